"""Real CalDAV servers, which a person uses by python-caldav."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from hashlib import sha256
from typing import Any

import httpx
import icalendar

from kalends.domain.events import Attendee, EventState
from providers.caldav import CaldavProvider
from providers.interface import Provider, RemoteCalendar
from providers.surroundings import Surroundings
from providers.web import Web
from resolvers.accounts import connect_by_password
from resolvers.grants import StoredGrants
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, Clock, make_content, make_when
from tests.providers.caldav.oracle import Oracle, from_ics, oracle, to_ics
from tests.providers.surroundings import no_memory
from tests.servers import PASSWORD, USER, Server
from tests.sync.line import Trouble, Wire
from tests.sync.worlds.sandbox import overwrite_token
from tests.sync.worlds.world import Person, World

BATCH = 25
_SERIES = ("RRULE", "RDATE", "EXDATE")


class CaldavPerson(Person):
    """Uses a calendar program that keeps what it does not understand."""

    def __init__(self, somebody: Oracle, calendar: RemoteCalendar) -> None:
        self.oracle = somebody
        self.calendar = calendar

    async def sees(self) -> dict[str, EventState]:
        return {name: from_ics(text, BERLIN) for name, text in await self._files()}

    async def adds(self, state: EventState) -> str:
        return await self.oracle.add(self.calendar, state)

    async def removes(self, name: str) -> None:
        await self.oracle.remove(self.calendar, name)

    async def rewrites(self, name: str, before: EventState, after: EventState) -> None:
        text = await self.oracle.text(self.calendar, name)
        assert text is not None
        await self.oracle.put(self.calendar, name, _edited(text, before, after))

    async def is_invited(self, organizer: str) -> str:
        guests = (Attendee(OWNER), Attendee("bob@example.org"))
        return await self.adds(EventState(make_when(), make_content("Invited", organizer=organizer, attendees=guests)))

    async def versions(self) -> Mapping[str, str]:
        return {name: sha256(text.encode()).hexdigest() for name, text in await self._files()}

    async def _files(self) -> list[tuple[str, str]]:
        return sorted((await self.oracle.everything(self.calendar)).items())


class CaldavWorld(World):
    """One account, opened with its password."""

    kind = "caldav"
    stale_token: str

    def __init__(self, storage: Storage, app_id: Any, clock: Clock, server: Server) -> None:
        self.server = server
        super().__init__(storage, app_id, clock)

    def build(self, storage: Storage, clock: Clock) -> Provider:
        self._web = Web(
            allowed=[self.server.address], transport=Wire(self.line, httpx.AsyncHTTPTransport(trust_env=False))
        )
        lent = Surroundings(sandbox_memory=no_memory, grants=StoredGrants(storage), web=self._web, clock=clock)
        return CaldavProvider(lent, batch=BATCH)

    async def open(self) -> None:
        self._somebody = oracle(self.server)
        somebody = self._somebody.__enter__()
        self.named = await somebody.calendar()
        self.person = CaldavPerson(somebody, RemoteCalendar(self.resource.id, None, self.named, BERLIN, OWNER))
        await super().open()

    async def connect(self) -> None:
        self.line.heal()
        await connect_by_password(
            self.stage.services,
            self.principal,
            self.kind,
            self.resource.id,
            url=self.server.url,
            username=USER,
            password=PASSWORD,
        )

    async def revoke(self) -> None:
        self.line.breaks(Trouble.REVOKED)

    async def expire(self) -> None:
        await overwrite_token(self, f"sync-token {self.stale_token}")

    async def close(self) -> None:
        await self._web.close()
        self._somebody.__exit__(None, None, None)


class RadicaleWorld(CaldavWorld):
    stale_token = f"http://radicale.org/ns/sync/{'0' * 64}"


class XandikosWorld(CaldavWorld):
    stale_token = "0" * 40


def _edited(text: str, before: EventState, after: EventState) -> str:
    """Return a file in which only what differs between two states has changed."""
    calendar: Any = icalendar.Calendar.from_ical(text)
    old, new = (_components(to_ics(state, "uid")) for state in (before, after))
    there = {_named(event): event for event in calendar.walk("VEVENT")}
    for name, wanted in new.items():
        component = there.get(name)
        if component is None:
            component = deepcopy(there[None])
            for each in _SERIES:
                component.pop(each, None)
            component["RECURRENCE-ID"] = wanted["RECURRENCE-ID"]
            calendar.add_component(component)
            _bring(component, old[None], wanted)
        else:
            _bring(component, old.get(name, old[None]), wanted)
    for name in old.keys() - new.keys():
        calendar.subcomponents.remove(there[name])
    return str(calendar.to_ical().decode())


def _bring(component: Any, before: Any, after: Any) -> None:
    for name in before.keys() | after.keys():
        if name in ("RECURRENCE-ID", "UID", "DTSTAMP") or before.get(name) == after.get(name):
            continue
        component.pop(name, None)
        if name in after:
            component[name] = after[name]
    if [each.to_ical() for each in before.subcomponents] != [each.to_ical() for each in after.subcomponents]:
        component.subcomponents = after.subcomponents


def _components(text: str) -> dict[Any, Any]:
    calendar: Any = icalendar.Calendar.from_ical(text)
    return {_named(event): event for event in calendar.walk("VEVENT")}


def _named(event: Any) -> datetime | None:
    moment = event.get("RECURRENCE-ID")
    return None if moment is None else moment.dt
