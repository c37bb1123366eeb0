"""Zones in iCalendar: whose clocks a time means, and VTIMEZONE in both directions (RFC 5545 section 3.6.5).

A name is looked up first (`providers/zones.py`). Where nobody knows it, the file's own VTIMEZONE says which instant is
meant, and the event is read in the calendar's zone, with a warning. Without one the calendar's own clocks are meant,
never UTC's.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import groupby

from kalends.domain.sync import WarningCode
from kalends.domain.time import instant, zone
from kalends.domain.values import FIRST_YEAR, LAST_YEAR
from providers import zones
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.values import Moment, escaped, read_moment, unescaped

_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?", re.ASCII)
_DAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNDERSTOOD = {"FREQ", "INTERVAL", "BYMONTH", "BYDAY", "BYMONTHDAY", "UNTIL", "WKST", "BYHOUR", "BYMINUTE", "BYSECOND"}
_MAX_OBSERVANCES = 100
_MAX_DATES = 500
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LAST_WRITTEN = 2100  # the year until which changes are listed that follow no rule
_REGULAR = 10  # years in a row after which changes are believed to follow a rule
_UNKNOWN = "The time zone is unknown to Kalends: the time is read in the calendar's own zone."
_SHIFTED = "The time zone is unknown to Kalends: the time is shown in the calendar's own zone, at the same moment."
_FLOATING = "The time has no time zone: it is read in the calendar's own."


@dataclass(frozen=True, slots=True)
class Place:
    """A wall time and the IANA zone whose clocks show it."""

    wall: datetime
    tzid: str

    @property
    def instant(self) -> datetime:
        """The moment in UTC; of two, the first (section 3.3.5), or the one that `fold` chooses."""
        return instant(self.wall, self.tzid, self.wall.fold)

    def moved_to(self, tzid: str) -> Place:
        """Return the same moment on another zone's clocks."""
        return self if tzid == self.tzid else shown(self.instant, tzid)


def shown(moment: datetime, tzid: str) -> Place:
    """Return what a zone's clocks show at a moment; of two equal wall times, `fold` keeps apart."""
    return Place(moment.astimezone(zone(tzid)).replace(tzinfo=None), tzid)


class Definitions:
    """The zones that a calendar defines, read once for all of its events."""

    def __init__(self, calendar: Component) -> None:
        self._components: dict[str, Component] = {}
        for each in calendar.components("VTIMEZONE"):
            name = each.first("TZID")
            if name is not None:
                self._components.setdefault(unescaped(name.value).strip('"'), each)
        self._names: dict[str, str | None] = {}
        self._custom: dict[str, _Custom | None] = {}

    @cached_property
    def text(self) -> str:
        """All that is defined, as it is written."""
        return "\n".join(line for each in self._components.values() for line in each.lines())

    def name(self, tzid: str) -> str | None:
        """Return the IANA name of a zone; None where nobody knows one."""
        if tzid not in self._names:
            known, component = zones.iana(tzid), self._components.get(tzid)
            if known is None and component is not None:
                # libical writes the IANA name in here, where TZID has a name of its own.
                location = component.first("X-LIC-LOCATION")
                known = zones.iana(location.value) if location is not None else None
            self._names[tzid] = known
        return self._names[tzid]

    def custom(self, tzid: str) -> _Custom | None:
        """Return a zone as it is defined here; None where it is not, or not in a way that can be used."""
        if tzid not in self._custom:
            component = self._components.get(tzid)
            self._custom[tzid] = None if component is None else _read_definition(component)
        return self._custom[tzid]


@dataclass(frozen=True, slots=True)
class Zones:
    """The zones of a calendar whose own zone is `tzid`."""

    definitions: Definitions
    tzid: str

    def place(self, moment: Moment, tzid: str | None, notes: Notes) -> Place:
        """Return whose clocks show a time of day."""
        if moment.utc:
            return Place(moment.wall, "UTC")
        if tzid is None:
            notes.add(WarningCode.FLOATING_TIME, _FLOATING)
            return Place(moment.wall, self.tzid)
        name = self.definitions.name(tzid)
        if name is not None:
            return Place(moment.wall, name)
        custom = self.definitions.custom(tzid)
        if custom is None:
            notes.add(WarningCode.UNKNOWN_TIME_ZONE, _UNKNOWN)
            return Place(moment.wall, self.tzid)
        notes.add(WarningCode.UNKNOWN_TIME_ZONE, _SHIFTED)
        return shown(custom.instant(moment.wall), self.tzid)


@dataclass(frozen=True, slots=True)
class _Onset:
    """When an offset begins: on the clocks that it ends, and what it is before and after."""

    wall: datetime
    before: timedelta
    after: timedelta

    @property
    def shown_from(self) -> datetime:
        """The first wall time that belongs to it: what the clocks skip still counts as before (section 3.3.5)."""
        return self.wall + max(self.after - self.before, timedelta())


class _Custom:
    """A zone as a VTIMEZONE defines it."""

    def __init__(self, onsets: Sequence[_Onset]) -> None:
        self._onsets = sorted(onsets, key=lambda each: each.wall)
        self._walls = [each.shown_from for each in self._onsets]

    def instant(self, wall: datetime) -> datetime:
        """Return the moment of a wall time; of two, the first."""
        at = bisect_right(self._walls, wall)
        offset = self._onsets[at - 1].after if at else self._onsets[0].before
        return (wall - offset).replace(tzinfo=UTC)


def _read_definition(component: Component) -> _Custom | None:
    """Read a VTIMEZONE; None where it says nothing that can be used.

    Only rules that name one day of the year are followed, which is all that producers write: others could take minutes.
    """
    onsets: list[_Onset] = []
    for observance in component.components("STANDARD", "DAYLIGHT")[:_MAX_OBSERVANCES]:
        told = observance.index()
        before, after = (_offset(told.get(name)) for name in ("TZOFFSETFROM", "TZOFFSETTO"))
        start = read_moment(told["DTSTART"][0].value) if "DTSTART" in told else None
        if before is None or after is None or start is None:
            return None
        walls = [start.wall]
        for each in told.get("RDATE", ())[:_MAX_DATES]:
            moments = (read_moment(text.partition("/")[0]) for text in each.value.split(",")[:_MAX_DATES])
            walls += [moment.wall for moment in moments if moment is not None]
        for each in told.get("RRULE", ())[:1]:
            further = _yearly(each.value, start.wall)
            if further is None:
                return None
            walls += further
        onsets += [_Onset(wall, before, after) for wall in walls]
    return _Custom(onsets) if onsets else None


def _yearly(rule: str, start: datetime) -> list[datetime] | None:
    """Return the wall times of a rule such as FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU; None for a rule of another kind."""
    parts = dict(part.partition("=")[::2] for part in rule.strip().upper().rstrip(";").split(";"))
    day = _DAY.fullmatch(parts.get("BYDAY", ""))
    if parts.get("FREQ") != "YEARLY" or parts.get("INTERVAL", "1") != "1" or parts.keys() - _UNDERSTOOD or day is None:
        return None
    clock = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    if any(parts.get(name, str(value)).lstrip("0") != str(value).lstrip("0") for name, value in clock.items()):
        return None
    until = read_moment(parts.get("UNTIL", f"{LAST_YEAR}1231"))
    try:
        month = int(parts.get("BYMONTH", start.month))
        monthdays = {int(each) for each in parts["BYMONTHDAY"].split(",")} if "BYMONTHDAY" in parts else None
        first = datetime(max(start.year, FIRST_YEAR), month, 1)  # noqa: DTZ001  a wall time
    except ValueError:
        return None
    if until is None:
        return None
    walls = []
    for year in range(first.year, min(until.wall.year, LAST_YEAR) + 1):
        days = [
            number
            for number in range(1, monthrange(year, month)[1] + 1)
            if date(year, month, number).weekday() == _WEEKDAYS.index(day[2])
            and (monthdays is None or number in monthdays)
        ]
        ordinal = int(day[1] or 1)
        if 0 < abs(ordinal) <= len(days):
            number = days[ordinal - 1 if ordinal > 0 else ordinal]
            walls.append(datetime.combine(date(year, month, number), start.time()))
    # UNTIL is in UTC, and so off by an offset: no two changes are that close.
    return [wall for wall in walls if start <= wall <= until.wall + timedelta(days=1)]


def _offset(properties: Sequence[Property] | None) -> timedelta | None:
    """Read a UTC-OFFSET (section 3.3.14)."""
    found = _OFFSET.fullmatch(properties[0].value.strip()) if properties else None
    if found is None:
        return None
    hours, minutes, seconds = (int(each or 0) for each in found.groups()[1:])
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] == "-" else length


# Writing


@lru_cache(maxsize=256)
def definition(tzid: str, year: int) -> Component:
    """Return a zone's VTIMEZONE, for what happens from the beginning of a year on. The component is not to be changed.

    A change of the clocks that keeps coming back is written as a rule, so that a series has no last right year.
    """
    result = Component("VTIMEZONE", [Property.of("TZID", escaped(tzid))])
    rules = zone(tzid)
    at = datetime(year, 1, 1, tzinfo=rules)
    begins = at.replace(tzinfo=None)
    result.items.append(_observance(at, begins, offset := at.utcoffset() or timedelta(), offset))
    for key, changes in groupby(sorted(_changes(tzid, year), key=_kind), key=_kind):
        before, after, _ = key
        result.items += _observances(list(changes), before, after)
    return result


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a zone's clocks: the first moment after it, and what the clocks would have shown without it."""

    at: datetime  # aware, in the zone
    wall: datetime


def _kind(change: _Change) -> tuple[timedelta, timedelta, str]:
    after = change.at.utcoffset() or timedelta()
    before = change.wall - change.at.astimezone(UTC).replace(tzinfo=None)
    return before, after, change.at.tzname() or ""


def _changes(tzid: str, year: int) -> Iterator[_Change]:
    """Yield the changes of a zone's clocks, found by looking at every day and then closer."""
    rules = zone(tzid)
    moment = datetime(year, 1, 1, tzinfo=rules).astimezone(UTC)
    end = datetime(max(_LAST_WRITTEN, year + 2 * _REGULAR), 1, 1, tzinfo=UTC)
    offset = moment.astimezone(rules).utcoffset() or timedelta()
    while moment < end:
        later = moment + timedelta(days=1)  # Gaza has changed its clocks twice within a week
        now = later.astimezone(rules).utcoffset() or timedelta()
        if now != offset:
            low, high = moment, later
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
                if middle.astimezone(rules).utcoffset() == offset:
                    low = middle
                else:
                    high = middle
            yield _Change(high.astimezone(rules), (high + offset).replace(tzinfo=None))
            offset, moment = high.astimezone(rules).utcoffset() or timedelta(), high
        else:
            moment = later


def _observances(changes: Sequence[_Change], before: timedelta, after: timedelta) -> Iterator[Component]:
    """Yield one kind of changes as observances: the regular ones at the end as a rule, the rest one by one."""
    regular, ordinal = _regular(changes)
    irregular = changes[: len(changes) - regular]
    if irregular:
        observance = _observance(irregular[0].at, irregular[0].wall, before, after)
        observance.items += [Property.of("RDATE", f"{each.wall:%Y%m%dT%H%M%S}") for each in irregular[1:]]
        yield observance
    if regular:
        first = changes[-regular]
        observance = _observance(first.at, first.wall, before, after)
        day = f"{ordinal}{_WEEKDAYS[first.wall.weekday()]}"
        observance.items.append(Property.of("RRULE", f"FREQ=YEARLY;BYMONTH={first.wall.month};BYDAY={day}"))
        yield observance


def _regular(changes: Sequence[_Change]) -> tuple[int, int]:
    """Return how many of the last changes follow one yearly rule, and which weekday of the month it names."""
    last = changes[-1].wall
    candidates = _ordinals(last)
    count = 1
    for change in reversed(changes[:-1]):
        wall = change.wall
        alike = (wall.month, wall.weekday(), wall.time()) == (last.month, last.weekday(), last.time())
        both = candidates & _ordinals(wall)
        if not alike or not both or wall.year != last.year - count:
            break
        candidates, count = both, count + 1
    if count < _REGULAR or last.year < _LAST_WRITTEN - 1:
        return 0, 0
    return count, min(candidates)  # the last of a month, where both would do


def _ordinals(wall: datetime) -> frozenset[int]:
    """Return which of its month's weekdays a day is, counted from the beginning and, for the last, from the end."""
    last = (wall + timedelta(days=7)).month != wall.month
    return frozenset({(wall.day - 1) // 7 + 1} | ({-1} if last else set()))


def _observance(at: datetime, wall: datetime, before: timedelta, after: timedelta) -> Component:
    return Component(
        "DAYLIGHT" if after > before else "STANDARD",
        [
            Property.of("DTSTART", f"{wall:%Y%m%dT%H%M%S}"),
            Property.of("TZOFFSETFROM", _written_offset(before)),
            Property.of("TZOFFSETTO", _written_offset(after)),
            Property.of("TZNAME", escaped(at.tzname() or "")),
        ],
    )


def _written_offset(offset: timedelta) -> str:
    seconds = abs(int(offset.total_seconds()))
    text = f"{'-' if offset < timedelta() else '+'}{seconds // 3600:02}{seconds // 60 % 60:02}"
    return f"{text}{seconds % 60:02}" if seconds % 60 else text
