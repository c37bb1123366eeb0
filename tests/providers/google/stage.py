"""Google, simulated in this process: an account that is connected, and a person who uses Google's own calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from kalends.domain.events import EventState, EventStatus
from kalends.domain.ids import uuid7
from providers.google import GoogleProvider
from providers.google.accounts import SCOPES
from providers.google.inbound import PAGE
from providers.interface import Grant, RemoteAccount, RemoteCalendar, RemoteEvent
from providers.web import Web
from tests.helpers import BERLIN, Clock
from tests.providers.google.translation import from_google, instances, to_google
from tests.providers.surroundings import MemoryGrants, surroundings
from tests.simulators.common import Desk, Fault, InProcess, Recorded
from tests.simulators.google import create_app

ADA = "ada@example.org"
HOST = "google.test"
ENDPOINT = f"https://{HOST}"
Wire = dict[str, Any]


class Stage:
    """What tests of the provider stand on. `calls` are other hosts than Google's, such as ours, which it calls."""

    def __init__(
        self, *, page_size: int = PAGE, calls: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
    ) -> None:
        self.desk = Desk()
        self.clock = clock or Clock()
        self.app_id, self.account_id = UUID(int=1), uuid7()
        self.grants = MemoryGrants()
        app = create_app(
            self.desk, self.clock, accounts={ADA: BERLIN, "eve@example.org": "America/New_York"}, calls=calls
        )
        self.transport = InProcess({HOST: app})
        self.control_client = httpx.AsyncClient(transport=self.transport, base_url=f"{ENDPOINT}/_control")
        self.provider = self.made_provider(page_size)

    def made_provider(self, page_size: int) -> GoogleProvider:
        """Return a provider that asks for so many events at once, as after a restart."""
        lent = surroundings(
            grants=self.grants,
            web=Web(transport=self.transport),
            clock=self.clock,
            google_endpoint=ENDPOINT,
            google_client_id="client",
            google_client_secret="secret",
        )
        return GoogleProvider(lent, page_size=page_size)

    @property
    def account(self) -> RemoteAccount:
        return RemoteAccount(self.app_id, self.account_id)

    @property
    def calendar(self) -> RemoteCalendar:
        return self.calendar_named(ADA)

    def calendar_named(self, name: str) -> RemoteCalendar:
        return RemoteCalendar(self.app_id, self.account_id, name, BERLIN, ADA)

    async def connect(self, scopes: Sequence[str] = SCOPES) -> None:
        """Open the account, without asking anybody."""
        tokens = await self.control("POST", "/grants", {"account": ADA, "scopes": list(scopes)})
        ends = self.clock() + timedelta(seconds=tokens["expires_in"])
        secrets = {"access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"]}
        self.grants.grants[self.account_id] = Grant(secrets | {"expires_at": ends.isoformat()})

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Tell the simulator something, and return what it says."""
        answer = await self.control_client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    def fails(self, kind: str, **fault: Any) -> None:
        """Let something go wrong, once if nothing else is said."""
        self.desk.faults.append(Fault(kind, **{"times": 1} | fault))

    def sent(self, method: str | None = None) -> list[Recorded]:
        """Return the requests to the calendar's API."""
        return [
            each
            for each in self.desk.requests
            if each.path.startswith("/calendar/v3/") and method in (None, each.method)
        ]

    # What people do, and what they see

    async def events(self, calendar: RemoteCalendar | None = None) -> list[Wire]:
        """Return all that there is, with what is deleted."""
        found: list[Wire] = await self.control("GET", _events(calendar or self.calendar))
        return found

    async def event(self, event_id: str) -> Wire:
        """Return one event."""
        return next(each for each in await self.events() if each["id"] == event_id)

    async def adds(self, wire: Wire, calendar: RemoteCalendar | None = None) -> str:
        """Let a person add an event."""
        return str((await self.control("POST", _events(calendar or self.calendar), wire))["id"])

    async def changes(self, event_id: str, **changes: Any) -> None:
        """Let a person change an event."""
        await self.control("PATCH", f"{_events(self.calendar)}/{event_id}", changes)

    async def removes(self, event_id: str) -> None:
        """Let a person delete an event."""
        await self.control("DELETE", f"{_events(self.calendar)}/{event_id}")

    async def mail(self) -> list[tuple[str, str]]:
        """Return who was mailed what, in order."""
        return [(each["recipient"], each["kind"]) for each in await self.control("GET", "/mail")]

    # What the contract wants

    async def kept(self, calendar: RemoteCalendar, copy: RemoteEvent) -> EventState | None:
        """Return what Google keeps."""
        there = await self.events(calendar)
        found = [each for each in there if each["id"] == copy.remote_id and each["status"] != "cancelled"]
        exceptions = [each for each in there if each.get("recurringEventId") == copy.remote_id]
        return from_google(found[0], exceptions, calendar.tzid) if found else None

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        """Let a person add an event, or a series with what differs from it."""
        cancelled = state.content.status is EventStatus.CANCELLED
        wire = to_google(state) | ({"status": "confirmed"} if cancelled else {})
        name = await self.adds(wire, calendar)
        for instance, changes in instances(state, name).items():
            await self.changes(instance, **changes)
        if cancelled:
            await self.removes(name)
        return name

    async def rename(self, _calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        """Let a person give an event another title."""
        await self.changes(remote_id, summary=summary)

    async def remove(self, _calendar: RemoteCalendar, remote_id: str) -> None:
        """Let a person delete an event."""
        await self.removes(remote_id)


def _events(calendar: RemoteCalendar) -> str:
    return f"/calendars/{quote(calendar.remote_id, safe='')}/events"
