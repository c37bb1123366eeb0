"""What a client knows: what it has asked for, and what was acknowledged. Everything is judged against this."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

FIRST = datetime(2027, 1, 4, 8, tzinfo=UTC)


@dataclass
class Entry:
    """One event: its idempotency key, what it should be now, and what is to be done to it after its creation."""

    key: str
    calendar_id: str
    sync: bool
    said: dict[str, Any]
    steps: tuple[str, ...] = ()
    event_id: str | None = None  # once acknowledged
    version: int = 0
    cancelled: bool = False
    deleted: bool = False
    revisions: int = field(default=0)

    @property
    def acknowledged(self) -> bool:
        """Whether the server has said that it is stored."""
        return self.event_id is not None

    def to_create(self) -> dict[str, Any]:
        """Return the input of `createEvent`."""
        own = {"calendarId": self.calendar_id, "syncProvider": self.sync, "idempotencyKey": self.key}
        return self.said | own | {"metadata": {"key": self.key}}

    def revise(self) -> dict[str, Any]:
        """Return an input of `updateEvent` that differs from everything before."""
        self.revisions += 1
        moved = _instant(self.said["start"]) + timedelta(minutes=5)
        return {
            "what": f"{self.said['what'].partition(',')[0]}, revision {self.revisions}",
            "start": moved.isoformat(),
            "end": (moved + timedelta(minutes=30)).isoformat(),
        }


def draw(
    chance: random.Random, prefix: str, calendars: Sequence[str], count: int, *, changes: float, sync: float
) -> list[Entry]:
    """Return that many entries; the share `changes` is changed after its creation, `sync` pushed at once."""
    entries = []
    for number in range(count):
        start = FIRST + timedelta(minutes=15 * number)
        guests = [f"guest-{number}-{each}@example.com" for each in range(chance.choice((0, 0, 1, 3)))]
        said = {
            "what": f"Event {number}",
            "where": chance.choice(("", "Room 2", "Zürich, Haus “Süd” 🏠")),
            "description": chance.choice((None, "Bring the plans.\nAll of them.")),
            "participants": guests,
            "start": start.isoformat(),
            "end": (start + timedelta(minutes=chance.choice((15, 45, 60 * 30)))).isoformat(),
        }
        steps: tuple[str, ...] = ()
        if chance.random() < changes:
            steps = chance.choice((("update",), ("update", "update"), ("update", "cancel"), ("cancel",), ("delete",)))
        calendar = calendars[number % len(calendars)]
        entries.append(Entry(f"{prefix}-{number}", calendar, chance.random() < sync, said, steps))
    return entries


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
