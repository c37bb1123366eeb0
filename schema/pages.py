"""Relay's connections, by keyset: a cursor is the sort key of its item, so that pages hold while rows come and go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

import strawberry

from kalends.domain.events import NO_RECURRENCE_ID, Event, EventPosition
from kalends.domain.ids import parse_event_id, parse_id
from kalends.domain.spans import moment, ticks
from schema.errors import BadArgument

T = TypeVar("T")
MAX_PAGE = 100
DEFAULT_PAGE = 50
FIRST = f"How many items, 1 to {MAX_PAGE}."
AFTER = "Begin after the item with this cursor."


@strawberry.type(description="Where a page lies in its list (Relay's cursor connections).")
class PageInfo:
    """See the description."""

    has_next_page: bool = strawberry.field(description="Whether there are items after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the page was asked for with `after`.")
    start_cursor: str | None = strawberry.field(description="The first item's cursor.")
    end_cursor: str | None = strawberry.field(description="The last item's cursor: the next page's `after`.")


def limit(first: int) -> int:
    """Return how many rows to read for a page: one more, to see whether there is a next one."""
    if not 1 <= first <= MAX_PAGE:
        raise BadArgument("first", f"a number from 1 to {MAX_PAGE}")
    return first + 1


def cut(rows: Sequence[T], first: int, after: str | None, cursor: Callable[[T], str]) -> tuple[Sequence[T], PageInfo]:
    """Return the page's items and where it lies."""
    page = rows[:first]
    return page, PageInfo(
        has_next_page=len(rows) > first,
        has_previous_page=after is not None,
        start_cursor=cursor(page[0]) if page else None,
        end_cursor=cursor(page[-1]) if page else None,
    )


def id_cursor(item_id: UUID) -> str:
    """Write the cursor of a list that is in order of id."""
    return _opaque(str(item_id))


def read_id_cursor(text: str | None) -> UUID | None:
    """Read it back; raises `BadArgument`."""
    if text is None:
        return None
    found = parse_id(_clear(text))
    if found is None:
        raise BadArgument("after", "a cursor from an earlier page")
    return found


def event_cursor(event: Event) -> str:
    """Write the cursor of a list of events, which is in order of start and id."""
    return _opaque(f"{ticks(event.when.span.start)}/{event.ref}")


def read_event_cursor(text: str | None) -> EventPosition | None:
    """Read it back; raises `BadArgument`."""
    if text is None:
        return None
    microseconds, _, last = _clear(text).partition("/")
    found = parse_event_id(last)
    try:
        if found is not None:
            return EventPosition(moment(int(microseconds)), found.id, found.recurrence_id or NO_RECURRENCE_ID)
    except (ValueError, OverflowError):
        pass
    raise BadArgument("after", "a cursor from an earlier page")


def _opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _clear(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.encode() + b"==").decode()
    except (binascii.Error, ValueError):
        return ""
