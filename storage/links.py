"""Links in SQL: which version of an event its provider has, and what both sides agreed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, select, update

from kalends.domain.events import Event, EventState
from kalends.domain.merge import Agreement
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import Conflict, Link, SyncWarning
from storage.insertion import Insertion, Into
from storage.models import EventRow
from storage.repository import Repository, table_of
from storage.states import (
    read_agreement,
    read_conflict,
    read_warnings,
    write_agreement,
    write_conflict,
    write_warnings,
)
from storage.sync_models import LinkRow

LINKS = table_of(LinkRow)
EVENTS = table_of(EventRow)
_NEW = Into(
    LINKS,
    ("app_id", "event_id", "calendar_id", "local_version", "pushed_version", "attempted_version", "generation"),
)
AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A copy at a provider, as a link keeps it. Without an id it is agreed that there is none."""

    remote_id: str | None
    etag: str | None
    url: str | None
    uid: str | None
    agreed: Agreement
    generation: int = 0
    warnings: Sequence[SyncWarning] = ()

    def row(self) -> dict[str, Any]:
        """Return the columns of it."""
        return {
            "remote_id": self.remote_id,
            "remote_etag": self.etag,
            "remote_url": self.url,
            "remote_uid": self.uid,
            "agreed": write_agreement(self.agreed),
            "generation": self.generation,
            "warnings": write_warnings(self.warnings),
            "sent": None,
            "conflict": None,
        }


class LinkRepository(Repository):
    """The counterparts of one app's events."""

    async def track(self, events: Sequence[Event]) -> None:
        """Say that the provider should have these versions of events, whose rows the caller has stored or holds.

        No upsert: on PostgreSQL one that meets a worker's update of the same row can deadlock with it.
        """
        older = [event.id for event in events if event.version > 1]
        known = await self.many(older, lock=True) if older else {}
        for event in events:
            if event.id in known:
                await self._set(event.id, local_version=event.version)
        await self.store(self.new([event for event in events if event.id not in known]))

    def new(self, events: Sequence[Event]) -> Insertion:
        """Return, as rows to be stored, that the provider should have events that it has never heard of."""
        return Insertion(_NEW, [self._new(event) for event in events])

    async def track_calendar(self, calendar_id: UUID) -> None:
        """Say that the provider should have every event of a calendar that none had before."""
        numbers = {"pushed_version": 0, "attempted_version": 0, "generation": 0}
        columns = ["app_id", "event_id", "calendar_id", "local_version", *numbers]
        events = select(
            EVENTS.c.app_id, EVENTS.c.id, EVENTS.c.calendar_id, EVENTS.c.version, *map(literal, numbers.values())
        ).where(*self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id, EVENTS.c.deleted_at.is_(None))
        await self.run(insert(LINKS).from_select(columns, events))

    async def take_in(self, pairs: Sequence[tuple[Event, Counterpart]], at: datetime) -> None:
        """Link events that came from a provider, and are in step with it."""
        rows = [
            self._new(event)
            | counterpart.row()
            | {"pushed_version": event.version, "attempted_version": event.version, "last_synced_at": at}
            for event, counterpart in pairs
        ]
        await self.run(insert(LINKS), rows)

    async def many(self, event_ids: Collection[UUID], *, lock: bool = False) -> dict[UUID, Link]:
        """Return the links of those events that have one; locked, their events cannot be enqueued anew meanwhile."""
        query = select(LINKS).where(*self.mine(LINKS), LINKS.c.event_id.in_(event_ids)).order_by(LINKS.c.event_id)
        return {row.event_id: _link(row) for row in await self.rows(query.with_for_update() if lock else query)}

    async def by_remote_ids(self, calendar_id: UUID, remote_ids: Collection[str]) -> dict[str, Link]:
        """Return a calendar's links by the ids of their copies."""
        query = select(LINKS).where(
            *self.mine(LINKS), LINKS.c.calendar_id == calendar_id, LINKS.c.remote_id.in_(remote_ids)
        )
        return {row.remote_id: _link(row) for row in await self.rows(query)}

    async def etags(self, calendar_id: UUID, remote_ids: Collection[str]) -> dict[str, str]:
        """Return the etags of those copies that we have read with all that they say, and that nobody disputes."""
        query = select(LINKS.c.remote_id, LINKS.c.remote_etag).where(
            *self.mine(LINKS),
            LINKS.c.calendar_id == calendar_id,
            LINKS.c.remote_id.in_(remote_ids),
            LINKS.c.remote_etag.is_not(None),
            LINKS.c.agreed.is_not(None),
            LINKS.c.sent.is_(None),
            LINKS.c.conflict.is_(None),
        )
        return {row.remote_id: row.remote_etag for row in await self.rows(query)}

    async def standing(self, calendar_id: UUID) -> AsyncIterator[Sequence[tuple[UUID, str]]]:
        """Yield, in pieces, a calendar's events with the ids of the copies that they are known to have."""
        last: UUID | None = None
        while True:
            query = (
                select(LINKS.c.event_id, LINKS.c.remote_id)
                .where(*self.mine(LINKS), LINKS.c.calendar_id == calendar_id, LINKS.c.remote_id.is_not(None))
                .order_by(LINKS.c.event_id)
                .limit(AT_ONCE)
            )
            if last is not None:
                query = query.where(LINKS.c.event_id > last)
            found = [(row.event_id, row.remote_id) for row in await self.rows(query)]
            if not found:
                return
            last = found[-1][0]
            yield found

    async def written_since(self, calendar_id: UUID, at: datetime) -> list[tuple[UUID, str]]:
        """Return the events, with the ids of their copies, of which one was in step after a moment."""
        query = select(LINKS.c.event_id, LINKS.c.remote_id).where(
            *self.mine(LINKS),
            LINKS.c.calendar_id == calendar_id,
            LINKS.c.remote_id.is_not(None),
            LINKS.c.last_synced_at > at,
        )
        return [(row.event_id, row.remote_id) for row in await self.rows(query)]

    async def count_standing(self, calendar_id: UUID) -> int:
        """Return how many of a calendar's events are known to have a copy."""
        query = select(func.count()).where(
            *self.mine(LINKS), LINKS.c.calendar_id == calendar_id, LINKS.c.remote_id.is_not(None)
        )
        return int((await self.rows(query))[0][0])

    async def unlinked(self, calendar_id: UUID) -> dict[str, UUID]:
        """Return the events of a calendar that have no copy that we know of, by their UID."""
        query = (
            select(EVENTS.c.uid, EVENTS.c.id)
            .outerjoin(LINKS, (LINKS.c.app_id == EVENTS.c.app_id) & (LINKS.c.event_id == EVENTS.c.id))
            .where(*self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id, EVENTS.c.deleted_at.is_(None))
            .where(LINKS.c.remote_id.is_(None))
        )
        return {row.uid: row.id for row in await self.rows(query)}

    async def attempt(self, event_id: UUID, version: int, sent: EventState | None) -> None:
        """Note, before the provider is called, which version it is called with, and what that says."""
        await self._set(event_id, attempted_version=version, sent=None if sent is None else to_plain(sent))

    async def not_sent(self, event_id: UUID) -> None:
        """Note that what was tried has surely not arrived."""
        await self._set(event_id, sent=None)

    async def begin_anew(self, event_id: UUID, generation: int) -> None:
        """Note, before the provider is called, that the former copy is gone and which one is made in its place.

        Whoever deletes the event after a lost answer must find the new copy, not the former one.
        """
        nothing = dict.fromkeys(("remote_id", "remote_etag", "remote_url", "remote_uid", "agreed", "sent", "conflict"))
        await self._set(event_id, generation=generation, **nothing)

    async def pushed(self, event_id: UUID, version: int) -> None:
        """Note that the provider needs to hear nothing of this version."""
        await self._set(event_id, pushed_version=version)

    async def learn(self, event_id: UUID, version: int, at: datetime, counterpart: Counterpart) -> None:
        """Note that the provider has this version, and what its copy is."""
        await self._set(event_id, pushed_version=version, last_synced_at=at, **counterpart.row())

    async def meet(self, event_id: UUID, version: int, counterpart: Counterpart, at: datetime, *, behind: bool) -> None:
        """Note what the copy is and what both agree on now; `behind`: the copy does not have this version yet."""
        values = counterpart.row() | {"local_version": version}
        if not behind:
            values |= {"pushed_version": version, "last_synced_at": at}
        await self._set(event_id, **values)

    async def dispute(self, event_id: UUID, conflict: Conflict) -> None:
        """Note that both sides have changed the same places."""
        await self._set(event_id, conflict=write_conflict(conflict), sent=None)

    async def forget_calendar(self, calendar_id: UUID) -> None:
        """Forget every counterpart of a calendar's events; their intents with them."""
        await self.run(delete(LINKS).where(*self.mine(LINKS), LINKS.c.calendar_id == calendar_id))

    def _new(self, event: Event) -> dict[str, Any]:
        return {
            "app_id": self.app_id,
            "event_id": event.id,
            "calendar_id": event.calendar_id,
            "local_version": event.version,
            "pushed_version": 0,
            "attempted_version": 0,
            "generation": 0,
        }

    async def _set(self, event_id: UUID, **values: Any) -> None:
        await self.run(update(LINKS).where(*self.mine(LINKS), LINKS.c.event_id == event_id).values(**values))


def _link(row: Any) -> Link:
    return Link(
        event_id=row.event_id,
        calendar_id=row.calendar_id,
        local_version=row.local_version,
        pushed_version=row.pushed_version,
        attempted_version=row.attempted_version,
        generation=row.generation,
        remote_id=row.remote_id,
        remote_etag=row.remote_etag,
        remote_url=row.remote_url,
        last_synced_at=row.last_synced_at,
        remote_uid=row.remote_uid,
        agreed=None if row.agreed is None else read_agreement(row.agreed),
        sent=None if row.sent is None else from_plain(row.sent),
        conflict=None if row.conflict is None else read_conflict(row.conflict),
        warnings=read_warnings(row.warnings),
    )
