"""What all worlds have: a calendar of ours, kept in step with one at a provider, and a person who works there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from kalends.domain.access import Principal
from kalends.domain.calendars import Account, Calendar, Resource
from kalends.domain.events import Event, EventState, EventStatus
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence, begun_at
from kalends.domain.sync import Source, SyncStatus
from providers.interface import Provider
from providers.local import LocalProvider
from providers.registry import Registry
from resolvers.accounts import remote_calendars
from resolvers.linking import disconnect_account, link_calendar
from resolvers.lookups import sync_states
from resolvers.pull import FULL_EVERY
from resolvers.services import Services
from resolvers.settling import outgoing
from storage.event_pages import EVENTS
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import OWNER
from tests.helpers import MINUTE, Clock, add_calendar, make_resource
from tests.providers.surroundings import surroundings
from tests.resolvers.sync_stage import PATIENCE, Stage
from tests.sync.line import Line

POLL = 6 * MINUTE
"""A little longer than any provider waits between two looks."""

_READS = ("GET", "REPORT", "PROPFIND", "OPTIONS", "sandbox")
_CHANNELS = ("/watch", "/channels/", "/subscriptions")


class Person(ABC):
    """Somebody who uses the provider's own calendar: past our provider, and in that calendar's words."""

    @abstractmethod
    async def sees(self) -> dict[str, EventState]:
        """Return what there is, by name, a series with all that differs from it."""

    @abstractmethod
    async def adds(self, state: EventState) -> str:
        """Add an event, or a series, and return its name."""

    @abstractmethod
    async def removes(self, name: str) -> None:
        """Delete an event."""

    @abstractmethod
    async def rewrites(self, name: str, before: EventState, after: EventState) -> None:
        """Change what differs between two states of an event, and nothing else."""

    @abstractmethod
    async def is_invited(self, organizer: str) -> str:
        """Be invited to somebody else's event, and return its name."""

    @abstractmethod
    async def versions(self) -> Mapping[str, str]:
        """Return something of every event that changes whenever somebody writes it."""

    async def mail(self) -> list[tuple[str, str]]:
        """Return who was mailed, and what kind of message, in order."""
        return []

    async def edits(self, name: str, *, when: Any = None, **content: Any) -> None:
        """Change something of an event."""
        before = (await self.sees())[name]
        after = replace(before, when=when or before.when, content=replace(before.content, **content))
        await self.rewrites(name, before, after)

    async def repeats(self, name: str, rule: str) -> None:
        """Give a series another rule."""
        before, recurrence = await self._series(name)
        await self.rewrites(name, before, replace(before, recurrence=replace(recurrence, rule=rule)))

    async def drops(self, name: str, wall: datetime) -> None:
        """Delete one occurrence of a series."""
        before, recurrence = await self._series(name)
        left = {each: override for each, override in recurrence.overrides.items() if each != wall}
        after = replace(recurrence, exdates=recurrence.exdates | {wall}, overrides=left)
        await self.rewrites(name, before, replace(before, recurrence=after))

    async def moves(self, name: str, wall: datetime, by: timedelta, **content: Any) -> None:
        """Move one occurrence of a series, and change something of it."""
        before, recurrence = await self._series(name)
        usual = Override(begun_at(before.when, wall) or before.when, before.content)
        override = recurrence.overrides.get(wall, usual)
        moved = begun_at(override.when, override.when.start + by)
        assert moved is not None
        override = Override(moved, replace(override.content, **content))
        after = replace(recurrence, overrides={**recurrence.overrides, wall: override})
        await self.rewrites(name, before, replace(before, recurrence=after))

    async def finds(self, summary: str) -> str:
        """Return the name of the only event with a title."""
        [name] = [name for name, state in (await self.sees()).items() if state.content.summary == summary]
        return name

    async def titles(self) -> list[str]:
        """Return the titles of all that there is."""
        return sorted(state.content.summary for state in (await self.sees()).values())

    async def _series(self, name: str) -> tuple[EventState, Recurrence]:
        state = (await self.sees())[name]
        assert state.recurrence is not None
        return state, state.recurrence


class World(ABC):
    """One world. `kind` is the provider's name."""

    kind: str

    def __init__(self, storage: Storage, app_id: UUID, clock: Clock) -> None:
        self.line = Line()
        self.resource: Resource = make_resource(email=OWNER)
        self._woken: list[None] = []
        provider = self.build(storage, clock)
        services = Services(
            storage,
            Registry({"local": LocalProvider(surroundings()), provider.name: provider}),
            clock=clock,
            wake_worker=lambda: self._woken.append(None),
            chance=lambda: 0.5,
            patience=PATIENCE,
            public_url=self.public_url,
        )
        self._found = storage, app_id, services, clock
        self.stage: Stage
        self.person: Person

    public_url: str | None = None
    named: str | None = None
    """The remote calendar that a test is about; None for the only one."""

    # What each world does in its own way

    @abstractmethod
    def build(self, storage: Storage, clock: Clock) -> Provider:
        """Return the real provider, at the end of the line."""

    @abstractmethod
    async def connect(self) -> None:
        """Open the account as its owner does it, or open it again."""

    @abstractmethod
    async def revoke(self) -> None:
        """Let the account's owner, or the provider, withdraw the grant."""

    @abstractmethod
    async def expire(self) -> None:
        """Let the provider forget how far we have read."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""

    # Opening

    async def open(self) -> None:
        """Open an account, and link a calendar with one of its."""
        storage, app_id, services, clock = self._found
        async with storage.writing(app_id) as work:
            await work.resources.add(self.resource)
        calendar = await add_calendar(storage, app_id, resource_id=self.resource.id)
        self.stage = Stage(storage, app_id, services, clock, calendar, self._woken)
        await self.connect()
        await self.link()
        await self.stage.drain()

    async def link(self) -> None:
        """Link our calendar with the account's."""
        stage, account = self.stage, await self.account()
        _, listed = await remote_calendars(stage.services, stage.principal, account.id)
        [remote_id] = [each.remote_id for each in listed if self.named in (None, each.remote_id)]
        stage.calendar = await link_calendar(stage.services, stage.principal, stage.calendar.id, account.id, remote_id)

    async def disconnect(self) -> None:
        """Close the account; what it has brought stays here."""
        stage, account = self.stage, await self.account()
        await disconnect_account(stage.services, stage.principal, account.id, keep_events=True)
        stage.calendar = await self.calendar()

    # What happens

    async def look(self) -> None:
        """Let the time until the next look pass, and have everything done that is due."""
        self.stage.advance(POLL)
        await self.stage.drain()

    async def look_at_everything(self) -> None:
        """Let a day pass: everything is listed anew."""
        self.stage.advance(FULL_EVERY)
        await self.stage.drain()

    async def converge(self) -> None:
        """Let time pass until nothing waits, and look once more."""
        await self.stage.converge()
        await self.look()

    # What is here

    @property
    def principal(self) -> Principal:
        return self.stage.principal

    @property
    def provider(self) -> Provider:
        return self.stage.services.providers[self.kind]

    async def calendar(self) -> Calendar:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            return (await work.calendars.many([self.stage.calendar.id]))[0]

    async def account(self) -> Account:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            return (await work.accounts.page(limit=9, after=None, resource_id=self.resource.id))[-1]

    async def source(self) -> Source:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            return (await work.sources.many([self.stage.calendar.id]))[self.stage.calendar.id]

    async def stored(self) -> list[Event]:
        """Return every event of ours, tombstones too, by title."""
        async with self.stage.storage.reading(self.stage.app_id) as work:
            ids = [row.id for row in await work.events.rows(select(EVENTS.c.id))]
            return sorted(await work.events.with_tombstones(ids), key=lambda each: each.content.summary)

    async def titles(self) -> list[str]:
        return [event.content.summary for event in await self.stored()]

    async def only(self) -> Event:
        """Return the only event."""
        [event] = await self.stored()
        return event

    async def expected(self, event: Event) -> EventState | None:
        """Return what the provider says that it shows of an event."""
        return self.provider.expected(outgoing(event, await self.stage.link(event), OWNER))

    async def seen(self, event: Event) -> EventState | None:
        """Return what the person sees of an event."""
        return (await self.person.sees()).get((await self.stage.link(event)).remote_id or "")

    # What must hold

    async def in_step(self, *, conflicts: int = 0) -> None:
        """Check that both sides are equal, and that nothing waits, is lost or is there twice."""
        stage, seen, events = self.stage, await self.person.sees(), await self.stored()
        ids = [event.id for event in events]
        states = dict(zip(ids, await sync_states(stage.services, self.principal, ids), strict=True))
        async with stage.storage.reading(stage.app_id) as work:
            links = await work.links.many(ids)
        assert [event.content.summary for event in events if event.deleted_at is not None] == []
        for event in events:
            title, state, name = event.content.summary, states[event.id], links[event.id].remote_id
            theirs = seen.pop(name or "", None)
            if state.status is SyncStatus.CONFLICT:
                continue
            assert (state.status, state.last_error) == (SyncStatus.SYNCED, None), title
            if name is None:  # a cancelled event needs no copy
                assert event.content.status is EventStatus.CANCELLED, title
            else:
                assert same(theirs, self.provider.expected(outgoing(event, links[event.id], OWNER))), title
        assert [state.content.summary for state in seen.values()] == [], "these are there, and not here"
        assert [state.status for state in states.values()].count(SyncStatus.CONFLICT) == conflicts
        source = await self.source()
        assert (source.last_error, source.broken, source.held, source.gone) == (None, (), 0, None)

    async def at_rest(self, *, conflicts: int = 0) -> None:
        """Check that both sides are equal, and that further looks change neither of them."""
        await self.in_step(conflicts=conflicts)
        versions, ours = await self.person.versions(), await self._versions()
        mail, sent = await self.person.mail(), len(self.line.sent)
        await self.look()
        await self.look_at_everything()
        assert self.written(sent) == []
        assert await self.person.versions() == versions
        assert await self._versions() == ours
        assert await self.person.mail() == mail
        await self.in_step(conflicts=conflicts)

    def written(self, since: int = 0) -> Sequence[str]:
        """Return the requests after the first so many that may have changed an event there."""
        return [each for each in self.line.sent[since:] if writes(each)]

    async def _versions(self) -> dict[UUID, int]:
        return {event.id: event.version for event in await self.stored()}


def writes(request: str) -> bool:
    """Tell whether a request may change an event."""
    return not request.startswith(_READS) and not any(part in request for part in _CHANNELS)
