"""How an event repeats: RRULE, RDATE and EXDATE (RFC 5545 section 3.8.5), in both directions.

Dates become wall times in the event's zone, whatever zone they are written in; of whole days, their midnights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from kalends.domain.errors import Malformed
from kalends.domain.recurrence import MAX_EXCEPTIONS, Recurrence, read_rule
from kalends.domain.time import When
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.times import moment_of, moment_property, span_of
from providers.ical.values import Moment, read_length
from providers.ical.zones import Place, Zones, shown

_UNREADABLE = "It repeats in a way that Kalends cannot follow: only its other dates are shown."
_SEVERAL = "It repeats by several rules: Kalends follows the first."
_EXRULE = "It leaves out times by a rule: Kalends shows them."
_DATE = "One of its dates cannot be read."
_TOO_MANY = f"It has more than {MAX_EXCEPTIONS:,} exceptions: Kalends keeps the latest."


@dataclass(frozen=True, slots=True)
class Dates:
    """What the lines of a series say. `periods` are dates that are of another length than the event."""

    rule: str | None = None
    rdates: frozenset[datetime] = frozenset()
    exdates: frozenset[datetime] = frozenset()
    periods: Mapping[datetime, When] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the times of a series are told by: when it begins, as it is read and as it is written."""

    when: When
    zones: Zones
    written: Moment
    tzid: str | None  # the zone's name in the file

    @classmethod
    def of(cls, event: Component, when: When, zones: Zones) -> Anchor:
        """Return the anchor of a series that begins with this VEVENT; `when` is how that is read."""
        start = event.first("DTSTART")
        moment, tzid = moment_of(start) if start is not None else (None, None)
        return cls(when, zones, moment or Moment(when.start), tzid)

    def wall(self, property_: Property, value: str) -> datetime | None:
        """Return which time of the series a RECURRENCE-ID, or one value of an RDATE or EXDATE, is.

        It is a wall time in the event's zone. Some producers write a day where the event has a time of day, some a time
        for whole days, and some no zone: the day is that occurrence's, and the clocks are the event's. On clocks that
        only the file knows, what counts is how far it is from the beginning.
        """
        moment, tzid = moment_of(property_, value)
        if moment is None:
            return None
        if self.when.all_day:
            return datetime.combine(moment.wall, time())
        if moment.all_day:
            return datetime.combine(moment.wall, self.when.start.time())
        if not moment.utc and tzid in (None, self.tzid):
            shifted = self.tzid is not None and self.zones.definitions.name(self.tzid) is None
            return self.when.start + (moment.wall - self.written.wall) if shifted else moment.wall
        return self.zones.place(moment, tzid, Notes()).moved_to(self.when.tzid).wall.replace(fold=0)


def read_dates(told: Mapping[str, Sequence[Property]], anchor: Anchor, notes: Notes) -> Dates:
    """Read how an event repeats; what cannot be read is noted and left out."""
    rule = _read_rule(told, anchor.when, notes)
    if "EXRULE" in told:
        notes.partly(_EXRULE)
    rdates: set[datetime] = set()
    periods: dict[datetime, When] = {}
    for line, value in _values(told.get("RDATE", ())):
        begin, _, end = value.partition("/")
        wall = anchor.wall(line, begin)
        if wall is None:
            notes.partly(_DATE)
            continue
        rdates.add(wall)
        period = _period(line, wall, end, anchor) if end else None
        if period is not None:
            periods[wall] = period
    exdates = {anchor.wall(line, value) for line, value in _values(told.get("EXDATE", ()))}
    if None in exdates:
        notes.partly(_DATE)
    known = {wall for wall in exdates if wall is not None}
    return Dates(rule, latest(rdates, notes), latest(known, notes), periods)


def latest(walls: Collection[datetime], notes: Notes) -> frozenset[datetime]:
    """Return the latest of these times, as many as a series may have exceptions."""
    if len(walls) > MAX_EXCEPTIONS:
        notes.partly(_TOO_MANY)
    return frozenset(sorted(walls)[-MAX_EXCEPTIONS:])


def _read_rule(told: Mapping[str, Sequence[Property]], when: When, notes: Notes) -> str | None:
    rules = told.get("RRULE", ())
    if not rules:
        return None
    if len(rules) > 1:
        notes.partly(_SEVERAL)
    try:
        rule = read_rule(rules[0].value, tzid=when.tzid, all_day=when.all_day)
    except (ValueError, OverflowError):  # an UNTIL that no calendar has
        rule = Malformed("")
    if isinstance(rule, Malformed):
        notes.partly(_UNREADABLE)
        return None
    return rule


def _values(lines: Sequence[Property]) -> list[tuple[Property, str]]:
    return [(line, value) for line in lines for value in line.value.split(",") if value.strip()]


def _period(line: Property, wall: datetime, end: str, anchor: Anchor) -> When | None:
    """Return the time of a PERIOD (section 3.3.9) that is of another length than the event."""
    when, length = anchor.when, read_length(end)
    if length is not None:
        begins = Place(wall, when.tzid)
        until = shown(begins.instant + timedelta(days=length.days) + length.exact, when.tzid).wall
    else:
        stop = anchor.wall(line, end)
        if stop is None:
            return None
        until = stop
    span = None if when.all_day else span_of(wall, until, when.tzid)
    return When(wall, until, when.tzid, span) if span is not None and until - wall != when.end - when.start else None


# Writing


def write_dates(event: Component, anchor: Anchor, old: Recurrence | None, when: When, new: Recurrence | None) -> None:
    """Bring to an event what differs between two ways to repeat. Dates that stay are left as they are written.

    `anchor` is of the event as it was, `when` when it is now.
    """
    old_when = anchor.when
    old_rule, rule = old.rule if old else None, new.rule if new else None
    if old_rule != rule:
        event.put("RRULE", *([Property.of("RRULE", rule)] if rule else []))
    if new is None:
        event.put("EXRULE")
    moved = (old_when.tzid, old_when.all_day) != (when.tzid, when.all_day)
    for name, told, wanted in (
        ("RDATE", old.rdates if old else frozenset(), new.rdates if new else frozenset()),
        ("EXDATE", old.exdates if old else frozenset(), new.exdates if new else frozenset()),
    ):
        if new is None or moved:
            event.put(name, *(moment_property(name, wall, when.tzid, all_day=when.all_day) for wall in sorted(wanted)))
        else:
            _write_walls(event, name, told - wanted, wanted - told, anchor)


def _write_walls(
    event: Component, name: str, gone: Collection[datetime], new: Collection[datetime], anchor: Anchor
) -> None:
    """Take dates out of the lines that hold them, and add lines for those that are not there yet."""
    present: set[datetime] = set()
    for line in event.properties(name):
        values = [value for value in line.value.split(",") if value.strip()]
        walls = [anchor.wall(line, value.partition("/")[0]) for value in values]
        staying = [value for value, wall in zip(values, walls, strict=True) if wall not in gone]
        present.update(wall for wall in walls if wall is not None)
        if len(staying) < len(values):
            event.swap(line, *([line.with_value(",".join(staying))] if staying else []))
    when, added = anchor.when, sorted(set(new) - present)
    lines = (moment_property(name, wall, when.tzid, all_day=when.all_day) for wall in added)
    event.put(name, *event.properties(name), *lines)
