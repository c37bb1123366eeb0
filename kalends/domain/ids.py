"""Time-ordered identifiers (RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import time
from uuid import UUID

_last = 0


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
