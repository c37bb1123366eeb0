"""When somebody can be met, and why not otherwise.

One `Timetable` per resource answers both questions: where a slot can begin (`starts`), and what refuses a given slot
(`reasons`). The first offers, the second explains and guards the booking; a slot is offered exactly where nothing
refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import TypeAlias
from uuid import UUID

from kalends.domain.busy import BusyTime
from kalends.domain.rules import EVERYTHING, Rule, allowed, refusing
from kalends.domain.spans import (
    Span,
    Spans,
    covered,
    holds,
    intersection,
    length,
    moment,
    span_of,
    ticks,
    touches,
    union,
    where_fits,
    where_misses,
    without,
)
from kalends.domain.time import TimeSpan, start_of_day, zone

MAX_WINDOW = timedelta(days=366)
MAX_LENGTH = timedelta(days=31)
MAX_SLOTS = 2_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a booking needs: how long it takes, the time to keep free around it, and how much notice."""

    length: timedelta
    buffer_before: timedelta = timedelta()
    buffer_after: timedelta = timedelta()
    notice: timedelta = timedelta()


# Reasons


@dataclass(frozen=True, slots=True)
class RuleReason:
    """A rule does not hold all of the slot."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class EventReason:
    """Something in a calendar takes the slot's own time."""

    calendar_id: UUID
    busy: BusyTime


@dataclass(frozen=True, slots=True)
class BufferReason:
    """Something in a calendar takes the time that must stay free before or after the slot."""

    calendar_id: UUID
    busy: BusyTime


@dataclass(frozen=True, slots=True)
class NoticeReason:
    """The slot begins too soon: the first moment that would do is `earliest`."""

    earliest: datetime


@dataclass(frozen=True, slots=True)
class StaleReason:
    """A calendar's source was last read too long ago, and counts as busy or fails for that."""

    calendar_id: UUID


Reason: TypeAlias = RuleReason | EventReason | BufferReason | NoticeReason | StaleReason


@dataclass(frozen=True)
class Timetable:
    """One resource's time within a window.

    `busy` is what takes time in each of its calendars; `capacity` how many things can take the same time before it
    counts as taken. `stale` are the calendars that are too old to be relied on: they refuse everything.
    """

    window: Span
    tzid: str
    busy: Mapping[UUID, Sequence[BusyTime]]
    rule: Rule = EVERYTHING
    capacity: int = 1
    stale: Sequence[UUID] = ()

    @cached_property
    def taken(self) -> Spans:
        """What is taken, as often as the capacity allows."""
        return self.used if self.capacity == 1 else covered(self._spans(), self.capacity)

    @cached_property
    def used(self) -> Spans:
        """What anything takes."""
        return union(self._spans())

    def _spans(self) -> Iterator[Span]:
        return (each.span for times in self.busy.values() for each in times)

    def starts(self, terms: Terms, now: datetime) -> Spans:
        """Return where a slot can begin."""
        if self.stale:
            return []
        size, before, after = length(terms.length), length(terms.buffer_before), length(terms.buffer_after)
        fits = where_fits(allowed(self.rule, self.window, self.tzid), size)
        soon = [(-(2**62), ticks(now + terms.notice))]
        return without(without(fits, soon), where_misses(self.taken, before, size + after))

    def reasons(self, start: datetime, terms: Terms, now: datetime) -> list[Reason]:
        """Return everything that refuses a slot; nothing where it can be booked."""
        begin, size = ticks(start), length(terms.length)
        end = begin + size
        found: list[Reason] = [StaleReason(each) for each in self.stale]
        found += [RuleReason(each) for each in refusing(self.rule, (begin, end), self.tzid)]
        earliest = now + terms.notice
        if start < earliest:
            found.append(NoticeReason(earliest))
        wide = (begin - length(terms.buffer_before), end + length(terms.buffer_after))
        crowded = intersection([wide], self.taken)
        for calendar_id, times in self.busy.items() if crowded else ():
            for each in times:
                if each.start < wide[1] and each.end > wide[0] and touches(crowded, each.start, each.end):
                    inside = each.start < end and each.end > begin
                    found.append(EventReason(calendar_id, each) if inside else BufferReason(calendar_id, each))
        return found


# Several resources


class Need(StrEnum):
    """How many of a role's resources a slot needs."""

    ALL = "ALL"
    ANY = "ANY"  # at least so many
    ROUND_ROBIN = "ROUND_ROBIN"  # so many, and the answer says which: whoever has the least to do


@dataclass(frozen=True, slots=True)
class Role:
    """Resources that can stand in for one another, or are all needed."""

    resource_ids: Sequence[UUID]
    need: Need = Need.ALL
    count: int = 1

    @property
    def least(self) -> int:
        """How many must be free."""
        return len(self.resource_ids) if self.need is Need.ALL else self.count


@dataclass(frozen=True, slots=True)
class Slot:
    """A time that can be booked: per role the resources that are free, and of a round robin those whose turn it is."""

    span: TimeSpan
    free: tuple[tuple[UUID, ...], ...]
    chosen: tuple[tuple[UUID, ...], ...]


@dataclass(frozen=True, slots=True)
class RefusedSlot:
    """A time that cannot be booked, and per resource why not."""

    span: TimeSpan
    reasons: Mapping[UUID, Sequence[Reason]]


@dataclass(frozen=True)
class Search:
    """A question about slots. `tzid` is the zone of whoever asks: slots begin at multiples of the increment after
    midnight there.
    """

    window: TimeSpan
    terms: Terms
    increment: timedelta
    roles: Sequence[Role]
    tzid: str
    now: datetime
    timetables: Mapping[UUID, Timetable] = field(default_factory=dict)
    special: Mapping[UUID, Terms] = field(default_factory=dict)
    """The terms of those resources that have others; the length is the same."""

    def _terms(self, resource_id: UUID) -> Terms:
        return self.special.get(resource_id, self.terms)

    @cached_property
    def _starts(self) -> dict[UUID, Spans]:
        return {each: table.starts(self._terms(each), self.now) for each, table in self.timetables.items()}

    @cached_property
    def _possible(self) -> Spans:
        """Where a slot can begin, grid or not."""
        possible = [span_of(self.window)]
        for role in self.roles:
            if role.least > len(role.resource_ids):
                return []
            spans = [span for each in role.resource_ids for span in self._starts[each]]
            possible = intersection(possible, covered(spans, role.least))
        return possible

    def slots(self, limit: int = MAX_SLOTS) -> list[Slot]:
        """Return the slots that can be booked, earliest first."""
        return [self._slot(start) for start in islice(self._grid(self._possible), limit)]

    def refused(self, limit: int = MAX_SLOTS) -> list[RefusedSlot]:
        """Return the slots that cannot be booked, earliest first, with every reason of every resource."""
        fits = where_fits([span_of(self.window)], length(self.terms.length))
        return [self._refused(start) for start in islice(self._grid(without(fits, self._possible)), limit)]

    def _refused(self, start: int) -> RefusedSlot:
        begin = moment(start)
        reasons = {
            each: why
            for each, table in self.timetables.items()
            if (why := table.reasons(begin, self._terms(each), self.now))
        }
        return RefusedSlot(TimeSpan(begin, begin + self.terms.length), reasons)

    def _slot(self, start: int) -> Slot:
        free = tuple(
            tuple(each for each in role.resource_ids if _within(self._starts[each], start)) for role in self.roles
        )
        chosen = tuple(
            tuple(sorted(there, key=lambda each: (self._load[each], str(each)))[: role.count])
            if role.need is Need.ROUND_ROBIN
            else ()
            for role, there in zip(self.roles, free, strict=True)
        )
        begin = moment(start)
        return Slot(TimeSpan(begin, begin + self.terms.length), free, chosen)

    @cached_property
    def _load(self) -> dict[UUID, int]:
        """How much of the window each resource has taken already."""
        window = [span_of(self.window)]
        return {
            each: sum(end - start for start, end in intersection(window, table.used))
            for each, table in self.timetables.items()
        }

    def _grid(self, spans: Spans) -> Iterator[int]:
        """Yield the multiples of the increment after each midnight that lie in a set."""
        step = length(self.increment)
        for start, end in spans:
            day = moment(start).astimezone(zone(self.tzid)).date()
            while (base := ticks(start_of_day(day, self.tzid))) < end:
                following = ticks(start_of_day(day + timedelta(days=1), self.tzid))
                first = base + -(-(max(start, base) - base) // step) * step
                yield from range(first, min(end, following), step)
                day += timedelta(days=1)


def _within(spans: Spans, start: int) -> bool:
    return holds(spans, start, start + 1)
