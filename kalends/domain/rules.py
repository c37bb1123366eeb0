"""When a resource can be booked at all: rules over days, hours and periods, in the resource's own zone.

A rule is a set of instants. `Allow` holds what its times hold, `Block` everything else; `All`, `Any` and `Not` combine
them. A slot is allowed where the rule holds all of it.

    allow hours 9 to 17, block weekends     All((Allow(Hours(9:00, 17:00)), Block(Weekends())))

Time of day is what the clocks show. An hour that they show twice is in a rule both times, one that they skip in none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import TypeAlias

from kalends.domain.spans import Span, Spans, intersection, moment, ticks, union, without
from kalends.domain.time import EPOCH, zone

MAX_RULES = 100  # in one profile
MAX_DEPTH = 8

_DAY = timedelta(days=1)
_MIDNIGHT = time()
_MICROSECOND = timedelta(microseconds=1)


class Weekday(IntEnum):
    """A day of the week, as ISO 8601 numbers them."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of the week."""

    days: frozenset[Weekday]

    def on(self, day: date) -> list[tuple[time, time]]:
        """Return the times of a day; an end at midnight is the day's end."""
        return [(_MIDNIGHT, _MIDNIGHT)] if day.isoweekday() in self.days else []


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day, on every day or on some days of the week. With an end before its start it goes over midnight."""

    start: time
    end: time
    days: frozenset[Weekday] = frozenset(Weekday)

    def on(self, day: date) -> list[tuple[time, time]]:
        """Return the times of a day; an end at midnight is the day's end."""
        over_midnight = self.end != _MIDNIGHT and self.end <= self.start
        found = []
        if day.isoweekday() in self.days:
            found.append((self.start, _MIDNIGHT if over_midnight else self.end))
        if over_midnight and (day - _DAY).isoweekday() in self.days:
            found.append((_MIDNIGHT, self.end))
        return found


@dataclass(frozen=True, slots=True)
class Period:
    """The time between two moments, in UTC: from the first, up to the second."""

    start: datetime
    end: datetime


Times: TypeAlias = Days | Hours | Period

WEEKDAYS = Days(frozenset(Weekday) - {Weekday.SATURDAY, Weekday.SUNDAY})
WEEKENDS = Days(frozenset({Weekday.SATURDAY, Weekday.SUNDAY}))


@dataclass(frozen=True, slots=True)
class Allow:
    """Only these times."""

    times: Times


@dataclass(frozen=True, slots=True)
class Block:
    """All but these times."""

    times: Times


@dataclass(frozen=True, slots=True)
class All:
    """What every one of these rules holds; without any, everything."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """What at least one of these rules holds; without any, nothing."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What this rule does not hold."""

    rule: Rule


Rule: TypeAlias = Allow | Block | All | Any | Not
EVERYTHING = All(())


@lru_cache(maxsize=64)  # a hundred people often have one rule
def allowed(rule: Rule, window: Span, tzid: str) -> Spans:
    """Return what a rule holds of a window, in a zone. Whoever is given it must not change it."""
    return _Zone(window, tzid).held(rule)


def refusing(rule: Rule, slot: Span, tzid: str) -> list[Rule]:
    """Return the rules that do not hold all of a slot, as deep as they can be told apart; none where it is allowed.

    Of `All` those of its rules that refuse, of everything else the rule itself.
    """
    place = _Zone(slot, tzid)

    def search(each: Rule) -> Iterator[Rule]:
        if place.held(each) == [slot]:
            return
        if isinstance(each, All):
            for inner in each.rules:
                yield from search(inner)
        else:
            yield each

    return list(search(rule))


class _Zone:
    """A window, cut into pieces in which the zone's clocks do not change."""

    def __init__(self, window: Span, tzid: str) -> None:
        self._window = window
        self._pieces = list(_pieces(window, tzid))

    def held(self, rule: Rule) -> Spans:
        whole = [self._window]
        match rule:
            case Allow(times):
                return self._times(times)
            case Block(times):
                return without(whole, self._times(times))
            case All(rules):
                result = whole
                for each in rules:
                    result = intersection(result, self.held(each))
                return result
            case Any(rules):
                return union(span for each in rules for span in self.held(each))
            case Not(inner):
                return without(whole, self.held(inner))

    def _times(self, times: Times) -> Spans:
        if isinstance(times, Period):
            return intersection([self._window], union([(ticks(times.start), ticks(times.end))]))
        found: Spans = []
        for start, end, offset in self._pieces:
            first = (moment(start) + offset).date()
            last = (moment(end) + offset).date()
            day = first
            while day <= last:
                base = (datetime.combine(day, _MIDNIGHT) - offset - EPOCH.replace(tzinfo=None)) // _MICROSECOND
                for begin, finish in times.on(day):
                    until = base + (_since_midnight(finish) or _DAY // _MICROSECOND)
                    found.append((max(start, base + _since_midnight(begin)), min(end, until)))
                day += _DAY
        return union(found)


def _since_midnight(clock: time) -> int:
    return (timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)) // _MICROSECOND


def _pieces(window: Span, tzid: str) -> Iterator[tuple[int, int, timedelta]]:
    """Yield the pieces of a window in which a zone's offset from UTC stays the same, with the offset."""
    step = _DAY // _MICROSECOND
    start, end = window
    since, offset = start, _offset(start, tzid)
    at = start
    while at < end:
        ahead = min(at + step, end)
        if _offset(ahead, tzid) != offset:
            low, high = at, ahead
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, tzid) == offset else (low, middle)
            if high < end:
                yield since, high, offset
                since, offset, at = high, _offset(high, tzid), high
                continue
        at = ahead
    yield since, end, offset


def _offset(tick: int, tzid: str) -> timedelta:
    found = moment(tick).astimezone(zone(tzid)).utcoffset()
    return found or timedelta()
