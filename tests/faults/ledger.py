"""What was said, and by whom: clients of Kalends, here, and people at the provider, there. All is judged against this.

Whoever changes something saw first what it was, and the ledger keeps both. So it can be told afterwards whether a
change was replaced by somebody who knew of it, or went under without anybody's knowledge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Said = Mapping[str, Any]
"""What an event says, by the names in `FIELDS`; `when` is its start and its end, in UTC."""

FIELDS = ("what", "where", "when", "status")
CONFIRMED, CANCELLED = "CONFIRMED", "CANCELLED"
FIRST = datetime(datetime.now(UTC).year + 1, 1, 4, 8, tzinfo=UTC)
"""When the first event is: in a winter month, in which no clock is put forward or back."""

_STEPS = (
    ("update",),
    ("update", "update"),
    ("update", "cancel"),
    ("cancel",),
    ("delete",),
    ("contest",),
    ("contest", "update"),
    ("visit",),
    ("visit", "update"),
)
_KEY = re.compile(r"\[([a-z]+-\d+)\]$")


@dataclass(frozen=True)
class Saying:
    """One field that somebody gave a value, in place of another one that they saw."""

    field: str
    value: Any
    over: Any
    there: bool


@dataclass(eq=False)
class Entry:
    """One event: what it said at first, what is to be done to it after its creation, and all that was done to it.

    `key` is its idempotency key, and stands at the end of its description, which nobody changes. `twins` are events
    that became of it where both sides of a conflict were kept; `perhaps` of them are there, nobody knows for sure.
    """

    key: str
    calendar_id: str
    first: Said
    description: str
    guests: tuple[str, ...] = ()
    sync: bool = False
    steps: tuple[str, ...] = ()
    there: bool = False  # made at the provider
    done: bool = False  # acknowledged here, or done there
    event_id: str | None = None
    twins: list[str] = field(default_factory=list)
    perhaps: int = 0
    writes: int = 0  # that its provider needed to hear of
    sayings: list[Saying] = field(default_factory=list)
    deletions: list[Said] = field(default_factory=list)  # what those who deleted it saw
    ended: list[Said] = field(default_factory=list)  # those of them that must count, where they knew all
    rejected: set[tuple[str, Any]] = field(default_factory=set)  # values against which somebody has decided

    def begins(self) -> None:
        """Note that it was created."""
        self.done = True
        self.writes += not self.there
        self.sayings += [Saying(name, self.first[name], None, self.there) for name in FIELDS]

    def says(self, values: Said, over: Said, *, there: bool) -> None:
        """Note a change."""
        self.writes += not there
        self.sayings += [Saying(name, value, over[name], there) for name, value in values.items()]

    def ends(self, saw: Said, *, there: bool, surely: bool = True) -> None:
        """Note a deletion; `surely` where Kalends can know all that whoever deleted it knew."""
        self.writes += not there
        self.deletions.append(dict(saw))
        if surely:
            self.ended.append(dict(saw))

    def rejects(self, names: Sequence[str], values: Said) -> None:
        """Note that somebody has decided against values."""
        self.rejected |= {(name, values[name]) for name in names if name in FIELDS}

    def to_create(self) -> dict[str, Any]:
        """Return the input of `createEvent`."""
        return in_api_words(self.first) | {
            "calendarId": self.calendar_id,
            "description": self.description,
            "participants": list(self.guests),
            "metadata": {"key": self.key},
            "syncProvider": self.sync,
            "idempotencyKey": self.key,
        }


class Ledger:
    """All entries."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.entries: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        self._number = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def of(self, description: str | None) -> Entry | None:
        """Return the entry whose key stands in a description."""
        return self._by_key.get(key_in(description) or "")

    def add(self, entry: Entry) -> Entry:
        """Add an entry."""
        self.entries.append(entry)
        self._by_key[entry.key] = entry
        return entry

    def draw(self, calendars: Sequence[str], count: int, *, changes: float, sync: float) -> list[Entry]:
        """Add that many entries; the share `changes` is changed after its creation, `sync` is pushed at once."""
        return [self.add(self._drawn("call", calendars, changes, sync)) for _ in range(count)]

    def drawn_there(self, calendar: str) -> Entry:
        """Add an entry of somebody at the provider."""
        entry = self._drawn("there", [calendar], 0.0, 0.0)
        entry.there, entry.guests = True, ()
        return self.add(entry)

    def invented(self, name: str, now: Said, *, there: bool) -> Any:
        """Return a value for a field that it never had before."""
        self._number += 1
        side = "there" if there else "here"
        match name:
            case "what":
                return f"{str(now['what']).partition(',')[0]}, {side} {self._number}"
            case "where":
                return f"Room {self._number}, {side} 🏠"
            case "when":
                start = now["when"][0].replace(second=0)
                moved = start + timedelta(minutes=7 if there else 5, seconds=self._number % 60)
                return moved, moved + timedelta(minutes=30)
        raise ValueError(f"nobody invents another {name}")

    def _drawn(self, prefix: str, calendars: Sequence[str], changes: float, sync: float) -> Entry:
        chance, number = self.chance, len(self.entries)
        start = FIRST + timedelta(minutes=15 * number)
        key = f"{prefix}-{number}"
        first = {
            "what": f"Event {number}",
            "where": chance.choice(("", "Room 2", "Zürich, Haus “Süd” 🏠")),
            "when": (start, start + timedelta(minutes=chance.choice((15, 45, 60 * 30)))),
            "status": CONFIRMED,
        }
        description = chance.choice(("", "Bring the plans.\nAll of them; “all”.\n")) + f"[{key}]"
        guests = tuple(f"guest-{number}-{each}@example.com" for each in range(chance.choice((0, 0, 1, 3))))
        steps = chance.choice(_STEPS) if chance.random() < changes else ()
        calendar = calendars[number % len(calendars)]
        return Entry(key, calendar, first, description, guests, chance.random() < sync, steps)


def key_in(description: str | None) -> str | None:
    """Return the key that stands in a description."""
    found = _KEY.search((description or "").strip())
    return found and found[1]


def in_api_words(values: Said) -> dict[str, Any]:
    """Return fields as the inputs of mutations have them."""
    words = {name: value for name, value in values.items() if name in ("what", "where")}
    if "when" in values:
        start, end = values["when"]
        words |= {"start": start.isoformat(), "end": end.isoformat()}
    return words


def from_api_words(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an event, or of one side of a conflict, as the API shows it."""
    moments = [datetime.fromisoformat(event[name]).astimezone(UTC) for name in ("start", "end")]
    return {"what": event["what"], "where": event["where"], "when": tuple(moments), "status": event["status"]}
