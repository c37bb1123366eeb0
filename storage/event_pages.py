"""The queries that list events. They are built once each: that takes longer than the database needs to answer them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

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
    literal,
    null,
    select,
    tuple_,
    union_all,
)

from kalends.domain.events import EventStatus
from storage.models import CalendarRow, EventRow, OccurrenceRow, SeriesRow
from storage.repository import table_of
from storage.types import Instant

EVENTS, CALENDARS = table_of(EventRow), table_of(CalendarRow)
OCCURRENCES, SERIES = table_of(OccurrenceRow), table_of(SeriesRow)

_ALONE = cast(null(), DateTime).label("recurrence_of")  # what does not repeat
_AFTER = (
    bindparam("after_start", type_=Instant()),
    bindparam("after_id", type_=Uuid()),
    bindparam("after_recurrence", type_=DateTime()),
)


@cache
def page_query(*, some: bool, later: bool, cancelled: bool) -> Select[Any]:
    """Return the query for a page of events, series among them as one each."""
    calendars = _calendars(some=some)
    where: list[ColumnElement[bool]] = [EVENTS.c.deleted_at.is_(None)]
    if not cancelled:
        where.append(EVENTS.c.status != EventStatus.CANCELLED)
    if later:
        where.append(tuple_(EVENTS.c.starts_at, EVENTS.c.id) > tuple_(*_AFTER[:2]))
    ready = [
        select(OCCURRENCES.c.event_id).where(*each, OCCURRENCES.c.calendar_id.in_(calendars))
        for each in _window_of(OCCURRENCES)
    ]
    in_series = [EVENTS.c.app_id == bindparam("app"), EVENTS.c.id.in_(union_all(*ready)), *where]
    return _page(
        *_singles(EVENTS.c.calendar_id.in_(calendars), *where),
        select(EVENTS, _ALONE, EVENTS.c.starts_at.label("at")).where(*in_series),
        unready=_unready(calendars),
    )


@cache
def expanded_page_query(*, some: bool, later: bool, cancelled: bool) -> Select[Any]:
    """Return the query for a page of events, series among them as the occurrences that are kept ready."""
    calendars = _calendars(some=some)
    singles: list[ColumnElement[bool]] = [EVENTS.c.deleted_at.is_(None), EVENTS.c.calendar_id.in_(calendars)]
    repeated: list[ColumnElement[bool]] = [EVENTS.c.deleted_at.is_(None), OCCURRENCES.c.calendar_id.in_(calendars)]
    if not cancelled:
        singles.append(EVENTS.c.status != EventStatus.CANCELLED)
        repeated.append(~OCCURRENCES.c.cancelled)
    if later:
        singles.append(tuple_(EVENTS.c.starts_at, EVENTS.c.id) > tuple_(*_AFTER[:2]))
        place = tuple_(OCCURRENCES.c.starts_at, OCCURRENCES.c.event_id, OCCURRENCES.c.recurrence_id)
        repeated.append(place > tuple_(*_AFTER))
    arms = [
        select(EVENTS, OCCURRENCES.c.recurrence_id.label("recurrence_of"), OCCURRENCES.c.starts_at.label("at"))
        .join(EVENTS, and_(EVENTS.c.app_id == OCCURRENCES.c.app_id, EVENTS.c.id == OCCURRENCES.c.event_id))
        .where(*each, *repeated)
        for each in _window_of(OCCURRENCES)
    ]
    return _page(*_singles(*singles), *arms, unready=_unready(calendars))


def _unready(calendars: Select[Any]) -> Select[Any]:
    """Select the series whose occurrences in the window are not all kept ready."""
    return (
        select(EVENTS, _ALONE, EVENTS.c.starts_at.label("at"))
        .join(SERIES, and_(SERIES.c.app_id == EVENTS.c.app_id, SERIES.c.event_id == EVENTS.c.id))
        .where(SERIES.c.app_id == bindparam("app"), SERIES.c.calendar_id.in_(calendars))
        .where((SERIES.c.expanded_since > bindparam("from")) | (SERIES.c.expanded_until < bindparam("to")))
        .where(EVENTS.c.deleted_at.is_(None))
    )


def _calendars(*, some: bool) -> Select[Any]:
    calendars = select(CALENDARS.c.id).where(CALENDARS.c.app_id == bindparam("app"))
    return calendars.where(CALENDARS.c.id.in_(bindparam("calendars", expanding=True))) if some else calendars


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
        yield select(EVENTS, _ALONE, EVENTS.c.starts_at.label("at")).where(*each, *where, EVENTS.c.recurrence.is_(None))


def _page(*arms: Select[Any], unready: Select[Any]) -> Select[Any]:
    """Return the earliest of several selections, and beside them what its caller has to look into."""
    limit: BindParameter[int] = bindparam("limit")
    parts = [arm.order_by("at", EVENTS.c.id, "recurrence_of").limit(limit).subquery() for arm in arms]
    both = union_all(*map(select, parts)).subquery()
    page = select(both).order_by(both.c.at, both.c.id, both.c.recurrence_of).limit(limit).subquery()
    beside = unready.subquery()
    found = union_all(select(page, literal(0).label("unready")), select(beside, literal(1))).subquery()
    return select(found).order_by(found.c.unready, found.c.at, found.c.id, found.c.recurrence_of)
