"""Time-ordered identifiers (RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

_last = 0
_WALL = re.compile(r"\d{8}T\d{6}", re.ASCII)


class EventRef(NamedTuple):
    """The name of an event, or of one occurrence of a series.

    An occurrence is written as its series' id, an underscore, and the wall time at which its series' rule has it begin
    (RFC 5545 section 3.8.4.4, RECURRENCE-ID): it stays the same when the occurrence moves.
    """

    id: UUID
    recurrence_id: datetime | None = None

    def __str__(self) -> str:
        """Return the name as the API writes it."""
        return str(self.id) if self.recurrence_id is None else f"{self.id}_{self.recurrence_id:%Y%m%dT%H%M%S}"


def uuid7() -> UUID:
    """Return a new UUIDv7; within one process each is greater than the one before.

    The 12 bits after the millisecond hold its fraction (RFC 9562 section 6.2, method 3), the rest is random.
    """
    global _last
    now = max(time.time_ns() * 4096 // 1_000_000, _last + 1)  # in 1/4096 of a millisecond
    _last = now
    value = (now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=value)


def parse_id(text: str) -> UUID | None:
    """Read an id as the API writes it, or None where the text cannot be one of ours."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None  # UUID() also reads other spellings


def parse_event_id(text: str) -> EventRef | None:
    """Read the name of an event or an occurrence, or None where the text cannot be one of ours."""
    head, _, wall = text.partition("_")
    event_id = parse_id(head)
    if event_id is None or "_" not in text:
        return None if event_id is None else EventRef(event_id)
    try:
        found = datetime.strptime(wall, "%Y%m%dT%H%M%S")  # noqa: DTZ007  a wall time
    except ValueError:
        return None
    return EventRef(event_id, found) if _WALL.fullmatch(wall) else None
