"""Events in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, literal, select, tuple_, update

from kalends.domain.busy import BusyTime
from kalends.domain.errors import Collision, NotFound, Refused
from kalends.domain.events import Event, EventPage, EventPosition, EventStatus, renewed
from kalends.domain.recurrence import occurrence_named
from kalends.domain.spans import moment, ticks
from kalends.domain.time import TimeSpan
from storage.busy import BusyRepository
from storage.event_pages import EVENTS, expanded_page_query, page_query
from storage.event_rows import event_of, row_of
from storage.insertion import Insertion, Into
from storage.occurrences import OccurrenceRepository
from storage.repository import Repository
from storage.types import LONG_EVENT, MICROSECOND

MAX_CONFLICTS = 50
UIDS_AT_ONCE = 500
_EARLIEST = attrgetter("start", "event")
_NEW = Into(EVENTS, tuple(EVENTS.c.keys()))


class Taking(NamedTuple):
    """Times of a calendar that are about to be taken; what these events take of them is not in the way."""

    calendar_id: UUID
    spans: Sequence[TimeSpan]
    but: Collection[UUID] = ()


class EventRepository(Repository):
    """The events of one app."""

    def new(self, events: Sequence[Event]) -> list[Insertion]:
        """Return new events as rows to be stored."""
        rows = [row_of(event, self.app_id) for event in events]
        return [Insertion(_NEW, rows), *self._occurrences.expanded(events)]

    async def add(self, events: Sequence[Event]) -> None:
        """Store new events."""
        await self.store(*self.new(events))

    async def save(self, event: Event, *, before: Event | None = None) -> None:
        """Store the next version of an event, whose row its reader must have locked; `before` is the stored one.

        The occurrences of a series follow, where they differ from those before.
        """
        row = row_of(event, self.app_id)
        await self.run(update(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id == event.id).values(row))
        if event.recurrence is not None or (before is not None and before.recurrence is not None):
            await self.expand(event)

    async def expand(self, event: Event, *, seen_from: datetime | None = None) -> None:
        """Store the occurrences of an event anew, as seen from a moment: its last change by default."""
        await self._occurrences.clear(event)
        await self.store(*self._occurrences.expanded([event], seen_from=seen_from))

    @property
    def _occurrences(self) -> OccurrenceRepository:
        return OccurrenceRepository(*self.parts)

    async def get(self, event_id: UUID, *, lock: bool = False) -> Event:
        """Return an event; raise `Refused` with NotFound for unknown, foreign and deleted ones."""
        found = await self.with_tombstones([event_id], lock=lock)
        if not found or found[0].deleted_at is not None:
            raise Refused(NotFound(path=("id",), message="There is no such event."))
        return found[0]

    async def with_tombstones(self, ids: Sequence[UUID], *, lock: bool = False) -> list[Event]:
        """Return those of the events that exist, deleted ones too, in no particular order."""
        query = select(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id.in_(ids))
        return [event_of(row) for row in await self.rows(query.with_for_update() if lock else query)]

    async def by_uids(self, calendar_id: UUID, uids: Collection[str]) -> dict[str, Event]:
        """Return, locked, a calendar's events that have these UIDs; of several that share one, the oldest."""
        found: dict[str, Event] = {}
        wanted = sorted(uids)
        for begin in range(0, len(wanted), UIDS_AT_ONCE):
            query = select(EVENTS).where(
                *self.mine(EVENTS),
                EVENTS.c.calendar_id == calendar_id,
                EVENTS.c.uid.in_(wanted[begin : begin + UIDS_AT_ONCE]),
                EVENTS.c.deleted_at.is_(None),
            )
            for row in await self.rows(query.order_by(EVENTS.c.id).with_for_update()):
                found.setdefault(row.uid, event_of(row))
        return found

    async def listed(self, calendar_id: UUID, *, limit: int, after: Event | None = None) -> list[Event]:
        """Return some of all events of a calendar, in order of UID and id: those after one of them."""
        query = select(EVENTS).where(
            *self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id, EVENTS.c.deleted_at.is_(None)
        )
        if after is not None:
            query = query.where(tuple_(EVENTS.c.uid, EVENTS.c.id) > tuple_(literal(after.uid), literal(after.id)))
        rows = await self.rows(query.order_by(EVENTS.c.uid, EVENTS.c.id).limit(limit))
        return [event_of(row) for row in rows]

    async def earliest(self, calendar_id: UUID) -> datetime | None:
        """Return when the first event of a calendar starts, deleted ones too; of a series its first time."""
        query = select(func.min(EVENTS.c.starts_at)).where(*self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id)
        found = [(await self.rows(query.where(half)))[0][0] for half in (~EVENTS.c.long, EVENTS.c.long)]
        return min((each for each in found if each is not None), default=None)

    async def page(self, page: EventPage) -> list[Event]:
        """Return a page of events."""
        query = (expanded_page_query if page.expand else page_query)(
            some=page.calendar_ids is not None, later=page.after is not None, cancelled=page.include_cancelled
        )
        values: dict[str, Any] = {"app": self.app_id, "calendars": page.calendar_ids, "limit": page.limit}
        values |= {"from": page.span.start, "to": page.span.end, "short_from": page.span.start - LONG_EVENT}
        if page.after is not None:
            values |= dict(zip(("after_start", "after_id", "after_recurrence"), page.after, strict=True))
        rows = await self.rows(query, values)
        found = [_as_it_happens(row) for row in rows if not row.unready]
        unready = [event_of(row) for row in rows[len(found) :]]
        return _page_with(found, unready, page) if unready else found

    async def in_the_way(
        self, calendar_id: UUID, span: TimeSpan, *, but: Collection[UUID] = (), limit: int = MAX_CONFLICTS
    ) -> list[Event]:
        """Return the calendar's events that make any of `span` busy, earliest first; of a series the occurrences."""
        [found] = await BusyRepository(*self.parts).within([(calendar_id, span)])
        return (await self._happening([_earliest(found, but=but)[:limit]]))[0]

    async def collisions(self, taking: Sequence[Taking]) -> list[list[Collision]]:
        """Return, for each, those of its times that are taken already.

        Of each at most `MAX_CONFLICTS` are named, the earliest.
        """
        windows = [(each.calendar_id, span) for each in taking for span in each.spans]
        if not windows:
            return [[] for _ in taking]
        found = iter(await BusyRepository(*self.parts).within(windows))
        taken = [
            [_earliest(times, but=each.but) for _, times in zip(each.spans, found, strict=False)] for each in taking
        ]
        named: list[list[BusyTime]] = []
        for spans in taken:
            left = MAX_CONFLICTS
            for times in spans:
                named.append(times[:left])
                left -= len(named[-1])
        events = iter(await self._happening(named))
        return [
            [
                Collision(span, tuple(there), len(times))
                for span, times, there in zip(each.spans, spans, events, strict=False)
                if times
            ]
            for each, spans in zip(taking, taken, strict=True)
        ]

    async def conflicts_of(self, events: Sequence[Event]) -> list[list[Event]]:
        """Return, for each of these events that blocks, what else blocks its time: at most `MAX_CONFLICTS` each."""
        windows = [(number, span) for number, event in enumerate(events) for span in event.times(event.updated_at)]
        found = await BusyRepository(*self.parts).within([(events[at].calendar_id, span) for at, span in windows])
        taken: list[set[BusyTime]] = [set() for _ in events]
        for (at, _), times in zip(windows, found, strict=True):
            taken[at].update(each for each in times if each.event != events[at].id.bytes)
        return await self._happening([sorted(times, key=_EARLIEST)[:MAX_CONFLICTS] for times in taken])

    async def _happening(self, taken: Sequence[Sequence[BusyTime]]) -> list[list[Event]]:
        """Return the events that take these times, of series the occurrences."""
        ids = {each.event_id for times in taken for each in times}
        events = {event.id: event for event in await self.with_tombstones(list(ids))} if ids else {}
        return [[_at(events[each.event_id], each) for each in times] for times in taken]

    async def to_come(self, since: datetime, *, after: UUID | None, limit: int) -> list[Event]:
        """Return events that are not over, series among them, in order of id."""
        query = select(EVENTS).where(
            *self.mine(EVENTS),
            EVENTS.c.deleted_at.is_(None),
            EVENTS.c.recurrence.is_not(None) | (EVENTS.c.ends_at > since),
        )
        if after is not None:
            query = query.where(EVENTS.c.id > after)
        return [event_of(row) for row in await self.rows(query.order_by(EVENTS.c.id).limit(limit))]

    async def moved(self, event: Event, *, seen_from: datetime) -> bool:
        """Tell whether the zones' data of today put the event elsewhere, or any time of a series that is kept ready."""
        return renewed(event.state) != event.state or await self._occurrences.moved(event, seen_from=seen_from)

    async def days_of(self, calendar_id: UUID) -> list[Event]:
        """Return, locked, the all-day events of a calendar: those that move when its zone does."""
        query = select(EVENTS).where(
            *self.mine(EVENTS),
            EVENTS.c.calendar_id == calendar_id,
            EVENTS.c.all_day.is_(True),
            EVENTS.c.deleted_at.is_(None),
        )
        return [event_of(row) for row in await self.rows(query.with_for_update())]

    async def count_in(self, calendar_id: UUID, *, tombstones: bool = False) -> int:
        """Return how many events a calendar holds, cancelled ones too, deleted ones only with `tombstones`."""
        query = select(func.count()).where(*self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id)
        if not tombstones:
            query = query.where(EVENTS.c.deleted_at.is_(None))
        return int((await self.rows(query))[0][0])

    async def some_of(self, calendar_id: UUID, limit: int) -> list[Event]:
        """Return some events of a calendar, held, which the caller is about to remove."""
        query = select(EVENTS).where(
            *self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id, EVENTS.c.deleted_at.is_(None)
        )
        return [event_of(row) for row in await self.rows(query.order_by(EVENTS.c.id).limit(limit).with_for_update())]

    async def remove(self, ids: Sequence[UUID]) -> None:
        """Remove events that no provider has to hear of."""
        await self.run(delete(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id.in_(ids)))

    async def forget_tombstones(self, calendar_id: UUID) -> None:
        """Remove what is deleted in a calendar whose provider will not hear of it any more."""
        await self.run(
            delete(EVENTS).where(
                *self.mine(EVENTS), EVENTS.c.calendar_id == calendar_id, EVENTS.c.deleted_at.is_not(None)
            )
        )

    async def forget(self, event_id: UUID) -> None:
        """Remove a tombstone, with its link and its intent: nobody waits for it any more."""
        await self.run(
            delete(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id == event_id, EVENTS.c.deleted_at.is_not(None))
        )


def _earliest(times: Sequence[BusyTime], *, but: Collection[UUID]) -> list[BusyTime]:
    """Return what takes time, but for these events, earliest first."""
    ours = {each.bytes for each in but}
    return sorted((each for each in times if each.event not in ours), key=_EARLIEST)


def _at(event: Event, busy: BusyTime) -> Event:
    """Return an event as it happens when it takes this time."""
    start = moment(busy.start)
    found = [each for each in event.happening(TimeSpan(start, start + MICROSECOND)) if each.when.span.start == start]
    return next((each for each in found if ticks(each.when.span.end) == busy.end), event)


def _as_it_happens(row: Any) -> Event:
    """Return a row's event; of a series, the occurrence that the row is about."""
    event = event_of(row)
    if row.recurrence_of is None or event.recurrence is None:
        return event
    found = occurrence_named(event.when, event.recurrence, row.recurrence_of)
    return event.occurrence(found) if found else event


def _page_with(found: Sequence[Event], unready: Sequence[Event], page: EventPage) -> list[Event]:
    """Return a page in which these series are as they say themselves, and not as they are kept ready."""
    there: list[Event] = []
    for event in unready:
        happening = event.happening(page.span)
        there += happening if page.expand else [event] * bool(happening)
    ids = {event.id for event in unready}
    kept = [event for event in found if event.id not in ids] + [
        event
        for event in there
        if (page.include_cancelled or event.content.status is not EventStatus.CANCELLED)
        and (page.after is None or EventPosition.of(event) > page.after)
    ]
    return sorted(kept, key=EventPosition.of)[: page.limit]
