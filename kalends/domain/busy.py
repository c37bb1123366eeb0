"""Time that is taken: what calendars tell one another of their events, and nothing more.

Searches for free time compare thousands of these: each is a tuple of whole numbers (see `kalends.domain.spans`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from kalends.domain.spans import Span, Spans, intersection, union, without

_ALL_DAY = 4


class BusyStatus(StrEnum):
    """Why time is busy (RFC 5545 section 3.2.9, FBTYPE)."""

    BUSY = "BUSY"
    TENTATIVE = "TENTATIVE"
    UNAVAILABLE = "UNAVAILABLE"  # out of office


_NUMBERS = {BusyStatus.BUSY: 1, BusyStatus.TENTATIVE: 2, BusyStatus.UNAVAILABLE: 3}
_STATUSES = {number: status for status, number in _NUMBERS.items()}
STRONGEST_FIRST = (BusyStatus.UNAVAILABLE, BusyStatus.BUSY, BusyStatus.TENTATIVE)


class BusyTime(NamedTuple):
    """What takes time: from `start` up to `end`, in microseconds since 1970.

    `kind` is its status and whether it takes whole days, as `busy_kind` writes it; `event` are the bytes of the event's
    id.
    """

    start: int
    end: int
    kind: int
    event: bytes

    @property
    def status(self) -> BusyStatus:
        """Why it is busy."""
        return _STATUSES[self.kind & ~_ALL_DAY]

    @property
    def all_day(self) -> bool:
        """Whether it takes whole days."""
        return bool(self.kind & _ALL_DAY)

    @property
    def event_id(self) -> UUID:
        """The event, of a series too."""
        return UUID(bytes=self.event)

    @property
    def span(self) -> Span:
        """Its time."""
        return self.start, self.end


BusySpan: TypeAlias = tuple[int, int, BusyStatus]


def busy_kind(status: BusyStatus, *, all_day: bool) -> int:
    """Return a status, and whether it is about whole days, as a number above 0."""
    return _NUMBERS[status] | (_ALL_DAY if all_day else 0)


def merged(times: Iterable[BusyTime], window: Span) -> list[BusySpan]:
    """Return what is busy within a window, in order: spans that do not overlap, each with its strongest status.

    Spans of one status that touch are one (RFC 4791 section 7.10 wants no more than that).
    """
    spans: dict[int, list[Span]] = {}
    for start, end, kind, _ in times:  # there may be hundreds of thousands
        if kind in spans:
            spans[kind].append((start, end))
        else:
            spans[kind] = [(start, end)]
    found: list[BusySpan] = []
    taken: Spans = []
    for status in STRONGEST_FIRST:
        together = spans.get(_NUMBERS[status], []) + spans.get(_NUMBERS[status] | _ALL_DAY, [])
        if together:
            mine = intersection(union(together), [window])
            found += ((start, end, status) for start, end in without(mine, taken))
            taken = union([*taken, *mine])
    found.sort()
    return found


class BusyRules(NamedTuple):
    """Which of the things that take time count, when somebody asks for a slot: of calendars all but the `ignored`."""

    all_day: bool = True
    tentative: bool = True
    unavailable: bool = True
    ignored: frozenset[UUID] = frozenset()

    def __or__(self, other: BusyRules) -> BusyRules:
        """Return the rules under which counts what counts under either."""
        return BusyRules(
            self.all_day or other.all_day,
            self.tentative or other.tentative,
            self.unavailable or other.unavailable,
            self.ignored & other.ignored,
        )

    def counting(self, times: Iterable[BusyTime]) -> Iterator[BusyTime]:
        """Yield those that count."""
        leaving = {
            status
            for status, counts in ((BusyStatus.TENTATIVE, self.tentative), (BusyStatus.UNAVAILABLE, self.unavailable))
            if not counts
        }
        return (each for each in times if each.status not in leaving and (self.all_day or not each.all_day))
