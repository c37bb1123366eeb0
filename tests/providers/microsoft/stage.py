"""An account at a simulated Outlook, the provider that speaks to it, and a person who uses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from kalends.domain.events import Event, EventState
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Recurrence
from providers.interface import Grant, Outgoing, RemoteCalendar, RemoteEvent
from providers.microsoft import MicrosoftProvider
from providers.surroundings import Surroundings
from providers.web import Web
from tests.contracts.provider_contract import OWNER, outgoing_for
from tests.helpers import BERLIN, NOW, Clock, make_event
from tests.providers.microsoft.words import spoken, spoken_rule, understood
from tests.providers.surroundings import MemoryGrants, surroundings
from tests.simulators.common import Desk, Fault, InProcess
from tests.simulators.microsoft import create_app

HOST = "outlook.test"
ENDPOINT = f"http://{HOST}"
OTHER = "grace@example.org"


def lent(
    grants: MemoryGrants | None = None, web: Web | None = None, clock: Callable[[], datetime] = lambda: NOW
) -> Surroundings:
    """Return surroundings with an application at the simulator."""
    return surroundings(
        grants=grants,
        web=web,
        clock=clock,
        microsoft_endpoint=ENDPOINT,
        microsoft_client_id="client",
        microsoft_client_secret="secret",
    )


class Calls(httpx.AsyncBaseTransport):
    """Where the simulator's calls go: they are noted, and answered as an address does that expects them."""

    def __init__(self) -> None:
        self.received: list[httpx.Request] = []
        self.answer: httpx.Response | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        if self.answer is not None:
            return self.answer
        token = request.url.params.get("validationToken")
        return httpx.Response(202) if token is None else httpx.Response(200, text=token)


class Way(httpx.AsyncBaseTransport):
    """The way to the simulator. `meanwhile` is done before the first request that it is given a method of."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.meanwhile: tuple[str, Callable[[], Awaitable[None]]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.meanwhile is not None and self.meanwhile[0] == request.method:
            (_method, act), self.meanwhile = self.meanwhile, None
            await act()
        return await self._inner.handle_async_request(request)


class Stage:
    """One account with one calendar. `control` is how one tells the simulator what to do.

    Its calls go to `calls`, or are only noted.
    """

    def __init__(self, *, calls: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None) -> None:
        self.desk = Desk(chance=lambda: 0.5)
        self.clock = clock or Clock()
        self.calls = Calls()
        accounts = {OWNER: "Calendar", OTHER: "Calendar"}
        self.app = create_app(self.desk, self.clock, accounts=accounts, calls=calls or self.calls)
        self.transport = Way(InProcess({HOST: self.app}))
        self.web = Web(transport=self.transport)
        self.grants = MemoryGrants()
        self.account_id: UUID = uuid7()
        self.calendar = RemoteCalendar(uuid7(), self.account_id, "", BERLIN, OWNER)
        self.provider = self.built()
        self._client = httpx.AsyncClient(transport=self.transport, base_url=ENDPOINT)

    def built(self, **options: Any) -> MicrosoftProvider:
        """Return a provider for this account."""
        return MicrosoftProvider(lent(self.grants, self.web, self.clock), **options)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Tell the simulator something, past the provider."""
        answer = await self._client.request(method, f"/_control{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def open(self) -> None:
        """Grant the account, and take its calendar."""
        tokens = await self.control("POST", "/grants", {"account": OWNER})
        ends = self.clock() + timedelta(hours=1)
        self.grants.grants[self.account_id] = Grant(
            {
                "access_token": tokens["access_token"],
                "refresh_token": tokens["refresh_token"],
                "expires_at": ends.isoformat(),
            }
        )
        calendars = await self.control("GET", f"/calendars/{OWNER}")
        self.calendar = replace(self.calendar, remote_id=calendars[0]["id"])

    async def close(self) -> None:
        await self._client.aclose()
        await self.web.close()

    async def behave(self, **behaviour: Any) -> None:
        """Turn the simulator to the one or the other side of what Graph may do."""
        await self.control("PUT", "/behaviour", behaviour)

    def fails(self, kind: str, **fault: Any) -> None:
        """Let something go wrong from now on."""
        self.desk.faults.append(Fault(kind, **fault))

    @property
    def events(self) -> str:
        return f"/calendars/{self.calendar.owner}/{self.calendar.remote_id}/events"

    async def kept(self, calendar: RemoteCalendar, copy: RemoteEvent) -> EventState | None:
        """Return what a person sees of an event; None where there is none."""
        event = await self.raw(copy.remote_id)
        return None if event is None else understood(event, calendar.tzid, calendar.owner or "")

    async def raw(self, remote_id: str) -> Any:
        """Return everything about an event, None where it is deleted."""
        found = [each for each in await self.control("GET", self.events) if each["id"] == remote_id]
        return found[0] if found and not found[0]["deleted"] else None

    def sent(self, method: str = "", path: str = "") -> list[str]:
        """Return the requests to Graph, such as `GET /me/calendar`."""
        told = [f"{each.method} {each.path.removeprefix('/v1.0')}" for each in self.desk.requests]
        return [each for each in told if each.startswith(method) and path in each]

    # A person

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        """Add an event as a person would."""
        body = spoken(state.when, state.content)
        recurrence = state.recurrence or Recurrence(None)
        if recurrence.rule is not None:
            body["recurrence"] = spoken_rule(recurrence.rule, state.when)
        body["singleValueExtendedProperties"] = _metadata(state)
        name: str = (await self.control("POST", self.events, body))["id"]
        for wall in recurrence.exdates:
            await self.remove(calendar, occurrence_id(name, wall))
        for wall, override in recurrence.overrides.items():
            usual = spoken(state.when, state.content)
            now = spoken(override.when, override.content)
            changes = {key: value for key, value in now.items() if value != usual[key]}
            await self.edit(occurrence_id(name, wall), **changes)
        return name

    async def edit(self, remote_id: str, **changes: Any) -> None:
        """Change an event, or an occurrence."""
        await self.control("PATCH", f"{self.events}/{remote_id}", changes)

    async def rename(self, _calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        """Give an event another title."""
        await self.edit(remote_id, subject=summary)

    async def remove(self, _calendar: RemoteCalendar, remote_id: str) -> None:
        """Delete an event, or an occurrence."""
        await self.control("DELETE", f"{self.events}/{remote_id}")

    async def invited(self, organizer: str = OTHER, response: str = "notResponded", **changes: Any) -> str:
        """Let somebody else invite the owner; return the event's id."""
        event = make_event(self.account_id)
        guests = [{"emailAddress": {"address": each}} for each in (OWNER, "bob@example.org")]
        body = {**spoken(event.when, event.content), "attendees": guests, "showAs": "tentative", **changes}
        body |= {"organizer": organizer, "response": response}
        return str((await self.control("POST", self.events, body))["id"])


def _metadata(state: EventState) -> list[dict[str, str]]:
    name = "String {2b6d8f4e-5c1a-4f7e-9d3b-8e0a7c6f1d52} Name Kalends"
    if not state.content.metadata:
        return []
    return [
        {"id": f"{name}Stamp", "value": "kalends of somebody"},
        {"id": f"{name}Metadata", "value": json.dumps(dict(state.content.metadata))},
    ]


def occurrence_id(remote_id: str, day: date | datetime) -> str:
    """Return the id that the simulator gives to an occurrence."""
    return f"{remote_id}-O-{day:%Y%m%d}"


def an_outgoing(when: Any = None, **content: Any) -> Outgoing:
    """Return an event to write."""
    return outgoing_for(make_event(uuid7(), when=when, **content))


def became(outgoing: Outgoing, state: EventState | None = None, **content: Any) -> Outgoing:
    """Return the next version of what is to be written."""
    event: Event = outgoing.event
    after = state or replace(event.state, content=replace(event.content, **content))
    return replace(outgoing, event=event.became(after, at=event.updated_at))


def later(outgoing: Outgoing, copy: RemoteEvent, state: EventState | None = None, **content: Any) -> Outgoing:
    """Return the next version of what was written, with what was agreed on."""
    return replace(became(outgoing, state, **content), agreed=Agreement(outgoing.event.state, copy.state))


async def created(stage: Stage, outgoing: Outgoing) -> RemoteEvent:
    """Create a copy, and forget the requests."""
    copy = await stage.provider.create(stage.calendar, outgoing)
    stage.desk.requests.clear()
    return copy


async def is_there(stage: Stage, outgoing: Outgoing, copy: RemoteEvent) -> bool:
    """Tell whether a person sees in Outlook what we expect them to see."""
    return same(await stage.kept(stage.calendar, copy), stage.provider.expected(outgoing))


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Open a stage, and look at its end that Graph has understood everything."""
    stage = Stage()
    await stage.open()
    yield stage
    await stage.close()
    assert stage.desk.violations == []
