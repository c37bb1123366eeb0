"""Builders of events, and the present: what the contracts need, and what is installed with them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from kalends.domain.events import Event, EventContent
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Recurrence
from kalends.domain.time import TimeSpan, When, wall_time, whole_days

NOW = datetime(2026, 5, 4, 7, tzinfo=UTC)
"""The present of every test that does not need the real one: a Monday, 09:00 in Berlin."""

TODAY = NOW.date()
MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
BERLIN = "Europe/Berlin"


def wall(text: str) -> datetime:
    """Return a naive wall time."""
    return datetime.fromisoformat(text)


def make_span(start: datetime = NOW, duration: timedelta = HOUR) -> TimeSpan:
    return TimeSpan(start, start + duration)


def make_when(start: datetime = NOW, duration: timedelta = HOUR, tzid: str = BERLIN) -> When:
    """Return a time with a clock's hands; see `make_days` for whole days."""
    first, last = (wall_time(each, tzid).replace(tzinfo=None) for each in (start, start + duration))
    return When(first, last, tzid, make_span(start, duration))


def make_days(first: date = TODAY, days: int = 1, tzid: str = BERLIN) -> When:
    return whole_days(first, first + timedelta(days=days), tzid)


def make_content(summary: str = "Planning", **others: Any) -> EventContent:
    return EventContent(summary, **others)


def make_event(
    calendar_id: UUID,
    start: datetime = NOW,
    duration: timedelta = HOUR,
    *,
    when: When | None = None,
    version: int = 1,
    sequence: int = 0,
    deleted_at: datetime | None = None,
    recurrence: Recurrence | None = None,
    **content: Any,
) -> Event:
    """Return an event; `content` are the fields of `EventContent`."""
    event_id = uuid7()
    return Event(
        id=event_id,
        calendar_id=calendar_id,
        uid=f"{event_id}@kalends",
        when=when or make_when(start, duration),
        content=make_content(**content),
        version=version,
        sequence=sequence,
        created_at=NOW,
        updated_at=NOW,
        deleted_at=deleted_at,
        recurrence=recurrence,
    )
