"""Channels on which Google calls when a calendar has changed: really, over HTTP.

https://developers.google.com/workspace/calendar/api/guides/push
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from .errors import Refusal, invalid, not_found
from .world import Calendar, World

Wire = dict[str, Any]

LASTS = timedelta(seconds=604_800)
_ID = re.compile(r"[A-Za-z0-9\-_+/=]{1,64}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class Channel:
    """A channel. `messages` counts its calls."""

    id: str
    resource_id: str
    calendar: str
    address: str
    token: str | None
    expires_at: datetime
    messages: int = 0


@dataclass
class Call:
    """A call that is to be made, or was made: `status` is what came back, None where nothing did."""

    address: str
    headers: dict[str, str]
    status: int | None = None


class Channels:
    """Every channel, and the calls that wait to be made.

    `mode` says what happens to them: `sent`, `lost`, `doubled`, or `held` until `release` sends them, last first.
    """

    def __init__(self, clock: Callable[[], datetime], transport: httpx.AsyncBaseTransport | None) -> None:
        self._clock = clock
        self._transport = transport
        self.open: dict[str, Channel] = {}
        self.mode = "sent"
        self.made: list[Call] = []
        self._waiting: list[Call] = []
        self._held: list[Call] = []

    def watch(self, calendar: Calendar, body: Wire) -> Wire:
        """Open a channel, and say so on it."""
        if not isinstance(body.get("id"), str) or not _ID.fullmatch(body["id"]):
            raise invalid("Channel id is missing, too long or malformed.", "channelIdInvalid")
        if body["id"] in self.open:
            raise invalid("Channel id not unique", "channelIdNotUnique")
        if body.get("type") not in ("web_hook", "webhook"):
            raise invalid("Unknown channel type.", "channelUnknown")
        if len(body.get("token", "")) > 256:
            raise invalid("Channel token is too long.", "invalidParameter")
        address = urlsplit(body.get("address", ""))
        # Google refuses plain HTTP everywhere; here it is allowed to this machine, for those who try things out.
        if address.scheme != "https" and address.hostname not in _LOOPBACK:
            raise Refusal(400, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS")
        ttl = timedelta(seconds=int(body.get("params", {}).get("ttl", LASTS.total_seconds())))
        expires_at = self._clock() + min(ttl, LASTS)
        resource = quote(calendar.id, safe="").replace("%", "-")
        channel = Channel(body["id"], resource, calendar.id, body["address"], body.get("token"), expires_at)
        self.open[channel.id] = channel
        self._call(channel, "sync")
        answer = {"kind": "api#channel", "id": channel.id, "resourceId": resource, "resourceUri": _uri(channel)}
        token = {} if channel.token is None else {"token": channel.token}
        return answer | token | {"expiration": str(int(expires_at.timestamp() * 1000))}

    def stop(self, body: Wire) -> None:
        """Close a channel, which is known by both of its names."""
        channel = self.open.get(body.get("id", ""))
        if channel is None or channel.resource_id != body.get("resourceId"):
            raise not_found()
        del self.open[channel.id]

    def tell(self, calendar: str, state: str) -> None:
        """Tell a calendar's channels: `exists`, something has changed; `not_exists`, it is gone."""
        for channel in list(self.open.values()):
            if channel.expires_at <= self._clock():
                del self.open[channel.id]
            elif channel.calendar == calendar:
                self._call(channel, state)

    async def deliver(self) -> None:
        """Make the calls that wait."""
        waiting, self._waiting = self._waiting, []
        match self.mode:
            case "lost":
                return
            case "held":
                self._held += waiting
                return
            case "doubled":
                waiting = [each for call in waiting for each in (call, Call(call.address, call.headers))]
        for call in waiting:
            await self._make(call)

    async def release(self) -> None:
        """Make the calls that were held, in the wrong order."""
        held, self._held = self._held, []
        for call in reversed(held):
            await self._make(call)

    def _call(self, channel: Channel, state: str) -> None:
        channel.messages += 1
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": f"{channel.expires_at.astimezone(UTC):%a, %d %b %Y %H:%M:%S GMT}",
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-URI": _uri(channel),
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(channel.messages),
        }
        if channel.token is not None:
            headers["X-Goog-Channel-Token"] = channel.token
        self._waiting.append(Call(channel.address, headers))

    async def _make(self, call: Call) -> None:
        self.made.append(call)
        client = httpx.AsyncClient(transport=self._transport or httpx.AsyncHTTPTransport(), trust_env=False, timeout=5)
        try:
            call.status = (await client.post(call.address, headers=call.headers)).status_code
        except httpx.HTTPError:
            return  # nobody is there: as Google's, the call gets lost
        finally:
            if self._transport is None:
                await client.aclose()


async def tell(world: World, channels: Channels) -> None:
    """Call whoever wants to know what has changed."""
    changed, world.changed = list(dict.fromkeys(world.changed)), []
    for calendar in changed:
        channels.tell(calendar, "exists" if calendar in world.calendars else "not_exists")
    await channels.deliver()


def _uri(channel: Channel) -> str:
    return f"https://www.googleapis.com/calendar/v3/calendars/{quote(channel.calendar, safe='')}/events?alt=json"
