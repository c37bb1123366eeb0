"""Channels on which Graph calls: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from .errors import invalid, not_found
from .times import read_instant, stamp
from .world import Mailbox, Wire, World

_LONGEST, _SHORTEST = timedelta(minutes=10_080), timedelta(minutes=45)
_RESOURCE = re.compile(r"/?me/calendars/([^/]+)/events")
_ACCEPTED = {200, 202, 204}
_SECONDS = 10


@dataclass
class Subscription:
    """A channel."""

    id: str
    mailbox: str
    calendar: str
    body: Wire
    ends: datetime


class Channels:
    """The channels, and what becomes of what they say.

    `mode`: `deliver`, `lose`, `double`, or `hold` until `release`, which delivers in reverse. `made` are the calls.
    """

    def __init__(self, world: World, transport: httpx.AsyncBaseTransport | None) -> None:
        self._world = world
        self._transport = transport
        self._open: dict[str, Subscription] = {}
        self._held: list[tuple[str, Wire]] = []
        self.mode = "deliver"
        self.made: list[Wire] = []

    async def create(self, mailbox: Mailbox, body: Wire) -> Wire:
        """Open a channel, once its addresses have shown that they are expecting it."""
        missing = {"changeType", "notificationUrl", "resource", "expirationDateTime"} - body.keys()
        if missing:
            raise invalid(f"A subscription needs {', '.join(sorted(missing))}.", "InvalidRequest")
        found = _RESOURCE.fullmatch(body["resource"])
        if found is None:
            raise invalid("The resource is none that can be subscribed to.", "ExtensionError")
        calendar = mailbox.calendar(found[1])
        if not set(body["changeType"].split(",")) <= {"created", "updated", "deleted"}:
            raise invalid("The changeType is not known.", "InvalidRequest")
        if len(body.get("clientState", "")) > 128:
            raise invalid("The clientState has more than 128 characters.", "InvalidRequest")
        ends = self._ends(body)
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if name in body:
                await self._try(body[name])
        opened = Subscription(self._world.new_id("subscription"), mailbox.address, calendar.id, dict(body), ends)
        self._open[opened.id] = opened
        return self._view(opened)

    def prolong(self, mailbox: Mailbox, name: str, body: Wire) -> Wire:
        """Let a channel live longer."""
        subscription = self._found(mailbox, name)
        if body.keys() - {"expirationDateTime", "notificationUrl"}:
            raise invalid("Only the end of a subscription can be changed.", "InvalidRequest")
        subscription.ends = self._ends(body)
        return self._view(subscription)

    def delete(self, mailbox: Mailbox, name: str) -> None:
        """Close a channel."""
        del self._open[self._found(mailbox, name).id]

    async def tell(self) -> None:
        """Say on every channel what has changed in its calendar."""
        changed, self._world.changed = self._world.changed, []
        for calendar, event, what in changed:
            for each in self._living(calendar):
                if what in each.body["changeType"].split(","):
                    data = {"@odata.type": "#Microsoft.Graph.Event", "id": event}
                    told = {"changeType": what, "resource": f"{each.body['resource']}/{event}", "resourceData": data}
                    await self._say(each.body["notificationUrl"], each, told)

    async def lifecycle(self, calendar: str, event: str) -> None:
        """Say what becomes of the channels of a calendar: https://learn.microsoft.com/graph/webhooks-lifecycle."""
        for each in self._living(calendar):
            if event == "subscriptionRemoved":
                del self._open[each.id]
            if "lifecycleNotificationUrl" in each.body:
                await self._say(each.body["lifecycleNotificationUrl"], each, {"lifecycleEvent": event})

    async def release(self) -> None:
        """Say what was held, the latest first."""
        held, self._held = self._held, []
        for url, body in reversed(held):
            await self._call(url, body)

    async def _say(self, url: str, subscription: Subscription, told: Wire) -> None:
        notification = told | {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": stamp(subscription.ends),
            "clientState": subscription.body.get("clientState"),
            "tenantId": "simulated",
        }
        body = {"value": [notification]}
        if self.mode == "hold":
            self._held.append((url, body))
        for _ in range({"deliver": 1, "double": 2}.get(self.mode, 0)):
            await self._call(url, body)

    async def _call(self, url: str, body: Wire) -> None:
        try:
            async with self._client() as client:
                answer = await client.post(url, json=body)
            self.made.append({"url": url, "body": body, "status": answer.status_code})
        except httpx.HTTPError as error:
            self.made.append({"url": url, "body": body, "status": None, "error": type(error).__name__})

    async def _try(self, url: str) -> None:
        token = f"Validation: token <{self._world.number()}> & more"
        try:
            async with self._client() as client:
                answer = await client.post(
                    url, params={"validationToken": token}, headers={"content-type": "text/plain"}
                )
        except httpx.HTTPError as error:
            raise _unproven(type(error).__name__) from error
        plain = answer.headers.get("content-type", "").startswith("text/plain")
        if answer.status_code not in _ACCEPTED or not plain or answer.text != token:
            raise _unproven(f"status {answer.status_code}")

    def _ends(self, body: Wire) -> datetime:
        ends, now = read_instant(str(body.get("expirationDateTime")), "expirationDateTime"), self._world.clock()
        if not _SHORTEST <= ends - now <= _LONGEST:
            raise invalid("A subscription lasts from 45 to 10,080 minutes.", "InvalidRequest")
        return ends

    def _living(self, calendar: str) -> Sequence[Subscription]:
        now = self._world.clock()
        return [each for each in self._open.values() if each.calendar == calendar and each.ends > now]

    def _found(self, mailbox: Mailbox, name: str) -> Subscription:
        found = self._open.get(name)
        if found is None or found.mailbox != mailbox.address or found.ends <= self._world.clock():
            raise not_found()
        return found

    def _view(self, subscription: Subscription) -> Wire:
        body = {name: value for name, value in subscription.body.items() if name != "clientState"}
        return body | {"id": subscription.id, "expirationDateTime": stamp(subscription.ends), "clientState": None}

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport, timeout=_SECONDS)


def _unproven(why: str) -> Any:
    return invalid(f"Subscription validation request failed: {why}.", "ValidationError")
