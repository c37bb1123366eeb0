"""The provider on a server inside the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from providers.caldav import CaldavProvider
from providers.interface import Grant, Known, Outgoing, Page, RemoteCalendar, RemoteEvent
from tests.contracts.provider_contract import OWNER, outgoing_for
from tests.contracts.reading_contract import nothing_known
from tests.helpers import BERLIN, make_event
from tests.providers.caldav.fake import HOME, PASSWORD, PRINCIPAL, URL, USER, WORK, FakeDav
from tests.providers.surroundings import MemoryGrants, surroundings

TIMES = "DTSTART;TZID=Europe/Berlin:20260504T090000\r\nDTEND;TZID=Europe/Berlin:20260504T100000\r\n"


def ics(uid: str, inner: str = TIMES, summary: str = "Theirs") -> str:
    """Return a file with one event."""
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//EN\r\nBEGIN:VEVENT\r\n"
    tail = "END:VEVENT\r\nEND:VCALENDAR\r\n"
    return f"{head}UID:{uid}\r\nDTSTAMP:20260501T080000Z\r\nSUMMARY:{summary}\r\n{inner}{tail}"


class Stage:
    """A provider whose account's calendar is on this server."""

    def __init__(self, dav: FakeDav, *, batch: int = 50, server: str = "", scheme: str = "basic") -> None:
        self.dav = dav
        self.account: UUID = uuid7()
        secrets = {"url": URL + HOME, "principal": PRINCIPAL, "username": USER, "password": PASSWORD}
        grant = Grant({**secrets, "server": server, "scheme": scheme, "addresses": ""})
        self.grants = MemoryGrants({self.account: grant})
        self.provider = CaldavProvider(surroundings(grants=self.grants, transport=dav), batch=batch)
        self.calendar = RemoteCalendar(uuid7(), self.account, WORK, BERLIN, OWNER)

    async def pages(self, token: str | None = None, known: Known = nothing_known) -> list[Page]:
        """Read a round."""
        return [page async for page in self.provider.changes(self.calendar, token, known)]

    async def created(self, **content: object) -> tuple[Outgoing, RemoteEvent]:
        """Create a copy; forget the requests of that."""
        outgoing = outgoing_for(make_event(uuid7(), **content))  # type: ignore[arg-type]
        copy = await self.provider.create(self.calendar, outgoing)
        self.dav.requests.clear()
        return outgoing, copy


def agreed(outgoing: Outgoing, copy: RemoteEvent) -> Agreement:
    """Return that both sides are in step."""
    return Agreement(outgoing.event.state, copy.state)


def names(pages: Sequence[Page]) -> Mapping[str, RemoteEvent]:
    """Return the events of a round by name; of one that comes twice, the last."""
    return {event.remote_id: event for page in pages for event in page.events}


def read(pages: Sequence[Page]) -> set[str]:
    """Return the names of the events that were read in a round."""
    return {name for name, event in names(pages).items() if event.state is not None}


def broken(pages: Sequence[Page]) -> Mapping[str, str]:
    """Return what could not be read in a round, and why."""
    return {each.name: each.reason for page in pages for each in page.broken}
