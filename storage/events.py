"""Events in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Uuid,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    null,
    select,
    tuple_,
    union_all,
    update,
)

from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import (
    Attendee,
    ConflictPolicy,
    Event,
    EventContent,
    EventPage,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.plain import recurrence_from_plain, recurrence_to_plain
from kalends.domain.time import TimeSpan, When
from storage.models import CalendarRow, EventRow
from storage.occurrences import OCCURRENCES, OccurrenceRepository
from storage.repository import Repository, table_of
from storage.types import LONG_EVENT, Instant, a_day_before

EVENTS = table_of(EventRow)
CALENDARS = table_of(CalendarRow)
MAX_CONFLICTS = 50
NO_ID = cast(null(), DateTime).label("recurrence_id")  # what does not repeat has none


def _blocking(events: FromClause) -> ColumnElement[bool]:
    """Say in SQL what `Event.blocks` says in Python."""
    return and_(
        events.c.deleted_at.is_(None),
        events.c.transparent.is_(False),
        events.c.status != EventStatus.CANCELLED,
        events.c.partstat != Partstat.DECLINED,
    )


# The larger queries are built once: that takes longer than the database needs to answer them.


@cache
def _page_query(*, some: bool, later: bool, cancelled: bool) -> Select[Any]:
    calendars = select(CALENDARS.c.id).where(CALENDARS.c.app_id == bindparam("app"))
    if some:
        calendars = calendars.where(CALENDARS.c.id.in_(bindparam("calendars", expanding=True)))
    where: list[ColumnElement[bool]] = [EVENTS.c.deleted_at.is_(None)]
    if not cancelled:
        where.append(EVENTS.c.status != EventStatus.CANCELLED)
    if later:
        after = tuple_(bindparam("after_start", type_=Instant()), bindparam("after_id", type_=Uuid()))
        where.append(tuple_(EVENTS.c.starts_at, EVENTS.c.id) > after)
    singles = [*where, EVENTS.c.calendar_id.in_(calendars)]
    series = union_all(
        *(
            select(OCCURRENCES.c.event_id).where(*each, OCCURRENCES.c.calendar_id.in_(calendars))
            for each in _window_of(OCCURRENCES)
        )
    )
    in_series = [EVENTS.c.app_id == bindparam("app"), EVENTS.c.id.in_(series), *where]
    return _first(*_singles(*singles), select(EVENTS, NO_ID, EVENTS.c.starts_at.label("at")).where(*in_series))


@cache
def _in_the_way_query() -> Select[Any]:
    others: BindParameter[UUID] = bindparam("but", expanding=True)
    calendar: BindParameter[UUID] = bindparam("calendar")
    return _first(
        *_singles(EVENTS.c.calendar_id == calendar, _blocking(EVENTS), EVENTS.c.id.not_in(others)),
        *(
            select(EVENTS, OCCURRENCES.c.recurrence_id, OCCURRENCES.c.starts_at.label("at"))
            .join(EVENTS, _of_series())
            .where(*each, OCCURRENCES.c.calendar_id == calendar, OCCURRENCES.c.blocks)
            .where(EVENTS.c.deleted_at.is_(None), EVENTS.c.id.not_in(others))
            for each in _window_of(OCCURRENCES)
        ),
    )


def _window_of(table: FromClause) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """Restrict a table to what overlaps the window, by each of the two halves of its index (see `EventRow`)."""
    overlap = [
        table.c.app_id == bindparam("app"),
        table.c.starts_at < bindparam("to"),
        table.c.ends_at > bindparam("from"),
    ]
    return [*overlap, ~table.c.long, table.c.starts_at >= bindparam("short_from")], [*overlap, table.c.long]


def _singles(*where: ColumnElement[bool]) -> Iterator[Select[Any]]:
    """Select the events in the window that do not repeat."""
    for each in _window_of(EVENTS):
        yield select(EVENTS, NO_ID, EVENTS.c.starts_at.label("at")).where(*each, *where, EVENTS.c.recurrence.is_(None))


def _of_series() -> ColumnElement[bool]:
    return and_(EVENTS.c.app_id == OCCURRENCES.c.app_id, EVENTS.c.id == OCCURRENCES.c.event_id)


def _first(*arms: Select[Any]) -> Select[Any]:
    """Return the earliest of several selections."""
    limit: BindParameter[int] = bindparam("limit")
    parts = [arm.order_by("at", EVENTS.c.id).limit(limit).subquery() for arm in arms]
    both = union_all(*map(select, parts)).subquery()
    return select(both).order_by(both.c.at, both.c.id).limit(limit)


@cache
def _conflicts_query() -> Select[Any]:
    ids: BindParameter[UUID] = bindparam("ids", expanding=True)
    singles = select(EVENTS.c.id, EVENTS.c.calendar_id, EVENTS.c.starts_at, EVENTS.c.ends_at).where(
        EVENTS.c.app_id == bindparam("app"), EVENTS.c.id.in_(ids), _blocking(EVENTS), EVENTS.c.recurrence.is_(None)
    )
    repeated = select(
        OCCURRENCES.c.event_id, OCCURRENCES.c.calendar_id, OCCURRENCES.c.starts_at, OCCURRENCES.c.ends_at
    ).where(OCCURRENCES.c.app_id == bindparam("app"), OCCURRENCES.c.event_id.in_(ids), OCCURRENCES.c.blocks)
    mine = union_all(singles, repeated).cte("mine")

    def overlapping(table: FromClause) -> tuple[tuple[ColumnElement[bool], ...], ...]:
        both = (
            table.c.app_id == bindparam("app"),
            table.c.calendar_id == mine.c.calendar_id,
            table.c.starts_at < mine.c.ends_at,
            table.c.ends_at > mine.c.starts_at,
        )
        return (*both, ~table.c.long, table.c.starts_at >= a_day_before(mine.c.starts_at)), (*both, table.c.long)

    of = mine.c.id.label("of_id")
    arms = [
        select(of, *EVENTS.c, NO_ID, EVENTS.c.starts_at.label("at"))
        .join(EVENTS, and_(*each))
        .where(_blocking(EVENTS), EVENTS.c.recurrence.is_(None), EVENTS.c.id != mine.c.id)
        for each in overlapping(EVENTS)
    ] + [
        select(of, *EVENTS.c, OCCURRENCES.c.recurrence_id, OCCURRENCES.c.starts_at.label("at"))
        .join(OCCURRENCES, and_(*each))
        .join(EVENTS, _of_series())
        .where(OCCURRENCES.c.blocks, EVENTS.c.deleted_at.is_(None), EVENTS.c.id != mine.c.id)
        for each in overlapping(OCCURRENCES)
    ]
    both = union_all(*arms).subquery()
    rank = func.row_number().over(partition_by=both.c.of_id, order_by=(both.c.at, both.c.id))
    ranked = select(both, rank.label("rank")).subquery()
    return select(ranked).where(ranked.c.rank <= MAX_CONFLICTS).order_by(ranked.c.of_id, ranked.c.rank)


class EventRepository(Repository):
    """The events of one app."""

    async def add(self, events: Sequence[Event]) -> None:
        """Store new events."""
        await self.run(insert(EVENTS), [self._row(event) for event in events])
        await self._occurrences.expand(events)

    async def save(self, event: Event, *, before: Event | None = None) -> None:
        """Store the next version of an event, whose row its reader must have locked; `before` is the stored one.

        The occurrences of a series follow, where they differ from those before.
        """
        row = self._row(event)
        await self.run(update(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id == event.id).values(row))
        if event.recurrence is not None or (before is not None and before.recurrence is not None):
            await self.expand(event)

    async def expand(self, event: Event, *, seen_from: datetime | None = None) -> None:
        """Store the occurrences of an event anew, as seen from a moment: its last change by default."""
        await self._occurrences.clear(event)
        await self._occurrences.expand([event], seen_from=seen_from)

    @property
    def _occurrences(self) -> OccurrenceRepository:
        return OccurrenceRepository(self.database, self.connection, self.app_id)

    async def get(self, event_id: UUID, *, lock: bool = False) -> Event:
        """Return an event; raise `Refused` with NotFound for unknown, foreign and deleted ones."""
        found = await self.with_tombstones([event_id], lock=lock)
        if not found or found[0].deleted_at is not None:
            raise Refused(NotFound(path=("id",), message="There is no such event."))
        return found[0]

    async def with_tombstones(self, ids: Sequence[UUID], *, lock: bool = False) -> list[Event]:
        """Return those of the events that exist, deleted ones too, in no particular order."""
        query = select(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id.in_(ids))
        return [_event(row) for row in await self.rows(query.with_for_update() if lock else query)]

    async def page(self, page: EventPage) -> list[Event]:
        """Return a page of events."""
        query = _page_query(
            some=page.calendar_ids is not None, later=page.after is not None, cancelled=page.include_cancelled
        )
        values = self._window(page.span, page.limit) | {"calendars": page.calendar_ids}
        if page.after is not None:
            values["after_start"], values["after_id"] = page.after
        return [_event(row) for row in await self.rows(query, values)]

    async def in_the_way(
        self, calendar_id: UUID, span: TimeSpan, *, but: Sequence[UUID] = (), limit: int = MAX_CONFLICTS
    ) -> list[Event]:
        """Return the calendar's events that make any of `span` busy, earliest first; of a series the occurrences."""
        values = self._window(span, limit) | {"calendar": calendar_id, "but": list(but)}
        return [_as_it_happens(row) for row in await self.rows(_in_the_way_query(), values)]

    async def conflicts_of(self, ids: Sequence[UUID]) -> dict[UUID, list[Event]]:
        """Return, for each of these events that blocks, what else blocks its time: at most `MAX_CONFLICTS` each."""
        found: dict[UUID, list[Event]] = {event_id: [] for event_id in ids}
        for row in await self.rows(_conflicts_query(), {"app": self.app_id, "ids": list(ids)}):
            found[row.of_id].append(_as_it_happens(row))
        return found

    async def days_of(self, calendar_id: UUID) -> list[Event]:
        """Return, locked, the all-day events of a calendar: those that move when its zone does."""
        query = select(EVENTS).where(
            *self.mine(EVENTS),
            EVENTS.c.calendar_id == calendar_id,
            EVENTS.c.all_day.is_(True),
            EVENTS.c.deleted_at.is_(None),
        )
        return [_event(row) for row in await self.rows(query.with_for_update())]

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
        return [_event(row) for row in await self.rows(query.order_by(EVENTS.c.id).limit(limit).with_for_update())]

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

    def _window(self, span: TimeSpan, limit: int) -> dict[str, Any]:
        ends = {"from": span.start, "to": span.end, "short_from": span.start - LONG_EVENT}
        return {"app": self.app_id, "limit": limit} | ends

    def _row(self, event: Event) -> dict[str, Any]:
        when, content = event.when, event.content
        return {
            "app_id": self.app_id,
            "id": event.id,
            "calendar_id": event.calendar_id,
            "uid": event.uid,
            "version": event.version,
            "sequence": event.sequence,
            "all_day": when.all_day,
            "start_wall": when.start,
            "end_wall": when.end,
            "tzid": when.tzid,
            "starts_at": when.span.start,
            "ends_at": when.span.end,
            "long": when.span.end - when.span.start > LONG_EVENT,
            "summary": content.summary,
            "location": content.location,
            "description": content.description,
            "attendees": [[each.email, each.partstat] for each in content.attendees],
            "partstat": content.partstat,
            "send_invitations": content.send_invitations,
            "transparent": content.transparent,
            "status": content.status,
            "on_conflict": content.on_conflict,
            "meta": dict(content.metadata),
            "created_at": event.created_at,
            "updated_at": event.updated_at,
            "deleted_at": event.deleted_at,
            "visibility": content.visibility,
            "reminders": None if content.reminders is None else list(content.reminders),
            "organizer": content.organizer,
            "recurrence": None if event.recurrence is None else recurrence_to_plain(event.recurrence),
        }


def _as_it_happens(row: Any) -> Event:
    """Return a row's event; of a series, the occurrence that the row is about."""
    event = _event(row)
    return event if row.recurrence_id is None else event.occurrence(row.recurrence_id)


def _event(row: Any) -> Event:
    return Event(
        id=row.id,
        calendar_id=row.calendar_id,
        uid=row.uid,
        when=When(row.start_wall, row.end_wall, row.tzid, TimeSpan(row.starts_at, row.ends_at), row.all_day),
        content=EventContent(
            summary=row.summary,
            location=row.location,
            description=row.description,
            attendees=tuple(Attendee(email, Partstat(partstat)) for email, partstat in row.attendees),
            partstat=Partstat(row.partstat),
            send_invitations=row.send_invitations,
            transparent=row.transparent,
            status=EventStatus(row.status),
            on_conflict=ConflictPolicy(row.on_conflict),
            metadata=row.meta,
            visibility=Visibility(row.visibility),
            reminders=None if row.reminders is None else tuple(row.reminders),
            organizer=row.organizer,
        ),
        version=row.version,
        sequence=row.sequence,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        recurrence=None if row.recurrence is None else recurrence_from_plain(row.recurrence),
    )
