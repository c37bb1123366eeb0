"""Events in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Uuid,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    union_all,
    update,
)

from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import Attendee, ConflictPolicy, Event, EventContent, EventPage, EventStatus, Partstat
from kalends.domain.time import TimeSpan, When
from storage.models import LONG_EVENT, CalendarRow, EventRow, Instant, a_day_before
from storage.repository import Repository, table_of

EVENTS = table_of(EventRow)
CALENDARS = table_of(CalendarRow)
MAX_CONFLICTS = 50


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
    where: list[ColumnElement[bool]] = [EVENTS.c.calendar_id.in_(calendars), EVENTS.c.deleted_at.is_(None)]
    if not cancelled:
        where.append(EVENTS.c.status != EventStatus.CANCELLED)
    if later:
        after = tuple_(bindparam("after_start", type_=Instant()), bindparam("after_id", type_=Uuid()))
        where.append(tuple_(EVENTS.c.starts_at, EVENTS.c.id) > after)
    return _overlapping(*where)


@cache
def _in_the_way_query() -> Select[Any]:
    others = EVENTS.c.id.not_in(bindparam("but", expanding=True))
    return _overlapping(EVENTS.c.calendar_id == bindparam("calendar"), _blocking(EVENTS), others)


def _overlapping(*where: ColumnElement[bool]) -> Select[Any]:
    """Select what overlaps a window, by the two halves of the index (see `EventRow`)."""
    order = (EVENTS.c.starts_at, EVENTS.c.id)
    limit: BindParameter[int] = bindparam("limit")
    overlap = [
        EVENTS.c.app_id == bindparam("app"),
        *where,
        EVENTS.c.starts_at < bindparam("to"),
        EVENTS.c.ends_at > bindparam("from"),
    ]
    halves = (
        select(EVENTS).where(*overlap, ~EVENTS.c.long, EVENTS.c.starts_at >= bindparam("short_from")),
        select(EVENTS).where(*overlap, EVENTS.c.long),
    )
    both = union_all(*(select(half.order_by(*order).limit(limit).subquery()) for half in halves)).subquery()
    return select(both).order_by(both.c.starts_at, both.c.id).limit(limit)


@cache
def _conflicts_query() -> Select[Any]:
    mine = EVENTS.alias("mine")
    pairs = (
        select(mine.c.id.label("of_id"), *EVENTS.c)
        .join(EVENTS, and_(EVENTS.c.app_id == mine.c.app_id, EVENTS.c.calendar_id == mine.c.calendar_id))
        .where(mine.c.app_id == bindparam("app"), mine.c.id.in_(bindparam("ids", expanding=True)))
        .where(_blocking(mine), _blocking(EVENTS), EVENTS.c.id != mine.c.id)
        .where(EVENTS.c.starts_at < mine.c.ends_at, EVENTS.c.ends_at > mine.c.starts_at)
    )
    both = union_all(
        pairs.where(~EVENTS.c.long, EVENTS.c.starts_at >= a_day_before(mine.c.starts_at)),
        pairs.where(EVENTS.c.long),
    ).subquery()
    rank = func.row_number().over(partition_by=both.c.of_id, order_by=(both.c.starts_at, both.c.id))
    ranked = select(both, rank.label("rank")).subquery()
    return select(ranked).where(ranked.c.rank <= MAX_CONFLICTS).order_by(ranked.c.of_id, ranked.c.rank)


class EventRepository(Repository):
    """The events of one app."""

    async def add(self, events: Iterable[Event]) -> None:
        """Store new events."""
        await self.run(insert(EVENTS), [self._row(event) for event in events])

    async def save(self, event: Event) -> None:
        """Store the next version of an event; its reader must have locked the row with `for_update`."""
        row = self._row(event)
        await self.run(update(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id == event.id).values(row))

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
        """Return the calendar's events that make any of `span` busy, earliest first."""
        values = self._window(span, limit) | {"calendar": calendar_id, "but": list(but)}
        return [_event(row) for row in await self.rows(_in_the_way_query(), values)]

    async def conflicts_of(self, ids: Sequence[UUID]) -> dict[UUID, list[Event]]:
        """Return, for each of these events that blocks, what else blocks its time: at most `MAX_CONFLICTS` each."""
        found: dict[UUID, list[Event]] = {event_id: [] for event_id in ids}
        for row in await self.rows(_conflicts_query(), {"app": self.app_id, "ids": list(ids)}):
            found[row.of_id].append(_event(row))
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
        }


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
        ),
        version=row.version,
        sequence=row.sequence,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
