"""From iCalendar to states: what a file's events say, each with all that belongs to its UID.

An event that cannot be read becomes `Broken`, with its UID and the reason, and the others go on. What an event says
that Kalends has no word for is noted, and stays in the file. Nothing here knows where the file comes from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from kalends.domain.events import EventState
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SyncWarning
from kalends.domain.time import When
from kalends.domain.values import FIRST_YEAR
from providers import zones as names
from providers.ical.content import read_content
from providers.ical.lines import Component, Property, parsed
from providers.ical.notes import Notes
from providers.ical.people import Owner
from providers.ical.recurrence import Anchor, latest, read_dates
from providers.ical.times import Unusable, days_of, moment_of, read_when, span_of
from providers.ical.values import Moment, unescaped
from providers.ical.zones import Definitions, Zones
from providers.interface import Broken

STAMP = "X-KALENDS-EVENT"
"""Which event of ours a copy is of: its id and the UID of the copy, so that a copy of the copy does not claim it."""

SINGLE = "It is one time of a series that is not in the file."
SEVERAL = "It is some times of a series that is not in the file."
_NO_EVENTS = ("VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY")
_STAMPS = ("DTSTAMP", "LAST-MODIFIED", "CREATED")
_SKIPS = re.compile(r"COUNT=|INTERVAL=(?!1(?:;|$))")
_UNCLEAR = "One of its times differs in a way that cannot be read, and is shown like the others."
_RANGE = "A change is meant for all later times, too: Kalends shows it for one."
_EARLIER = f"It began before {FIRST_YEAR}: Kalends shows it from then on."


@dataclass(frozen=True, slots=True)
class Resource:
    """An event with all that belongs to it. `event_id` is what it says of its origin where it carries our stamp."""

    uid: str
    state: EventState
    event_id: UUID | None = None
    warnings: tuple[SyncWarning, ...] = ()


@dataclass(frozen=True)
class Group:
    """The VEVENTs of one file that share a UID; `spare` are those whose place another one takes."""

    uid: str
    definitions: Definitions
    master: Component | None
    overrides: Sequence[Component] = ()
    spare: Sequence[Component] = ()

    @property
    def members(self) -> Sequence[Component]:
        """All that is shown of it."""
        return (*([self.master] if self.master is not None else []), *self.overrides)

    @property
    def sequence(self) -> int:
        """The highest SEQUENCE in it, 0 where there is none."""
        return max((sequence_of(each.first("SEQUENCE")) for each in self.members), default=0)

    @cached_property
    def fingerprint(self) -> str:
        """A name of what the file says of it."""
        lines = (line for member in self.members for line in _lasting(member))
        return hashlib.sha256("\n".join([*lines, self.definitions.text]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class File:
    """A file's events, not yet read, and what it says of itself. `tzid` is an IANA name.

    `others` are what is no event, such as tasks: the UID of each and the name of its component. `method` is what the
    file was sent for (RFC 5546 section 1.4).
    """

    groups: Sequence[Group]
    name: str | None = None
    tzid: str | None = None
    others: Sequence[tuple[str, str]] = ()
    method: str | None = None


def opened(data: bytes) -> File:
    """Sort a file's events by UID. Raises `providers.ical.lines.Unreadable`."""
    calendars = parsed(data)
    groups: dict[str, Group] = {}
    for group in (group for calendar in calendars for group in groups_of(calendar)):
        first = groups.setdefault(group.uid, group)
        if first is not group:
            groups[group.uid] = replace(first, spare=(*first.spare, *group.members, *group.spare))
    name, tzid, method = (_said(calendars[0], each) for each in ("X-WR-CALNAME", "X-WR-TIMEZONE", "METHOD"))
    return File(
        tuple(groups.values()),
        name or _said(calendars[0], "NAME"),
        names.iana(tzid) if tzid else None,
        tuple((_uid(each), each.name) for calendar in calendars for each in calendar.components(*_NO_EVENTS)),
        method.upper() if method else None,
    )


def resource(group: Group, *, tzid: str, owner: Owner) -> Resource | Broken:
    """Read an event; `tzid` is the calendar's zone, for whole days and for times that name no zone of their own."""
    notes = Notes()
    zones = Zones(group.definitions, tzid)
    try:
        if group.master is not None:
            state = _series(group.master, group.overrides, zones, owner, notes)
        else:
            state = _orphans(group.overrides, zones, owner, notes)
    except Unusable as error:
        return Broken(group.uid, str(error))
    stamped = group.master or group.overrides[0]
    return Resource(group.uid, state, _origin(stamped, group.uid), notes.warnings)


def resources(data: bytes, *, tzid: str, owner: Owner) -> Iterator[Resource | Broken]:
    """Read all events of a file. Raises `providers.ical.lines.Unreadable`."""
    for group in opened(data).groups:
        yield resource(group, tzid=tzid, owner=owner)
        yield from duplicates(group)


def duplicates(group: Group) -> Iterator[Broken]:
    """Say what of a file is left out because its UID is taken (RFC 5545 section 3.8.4.7 wants it unique)."""
    for _ in group.spare:
        yield Broken(group.uid, "Another event of the file has the same UID: the newer one is shown.")


def differing(group: Group, series: EventState, *, tzid: str, owner: Owner) -> Mapping[datetime, Override]:
    """Read times of a series that is not in the file but known: by the wall time at which each would have begun.

    What cannot be read is left out. `tzid` is the calendar's zone.
    """
    zones = Zones(group.definitions, tzid)
    anchor = Anchor(series.when, zones, Moment(series.when.start), series.when.tzid)
    return _overrides(group.overrides, anchor, owner, Notes())


def recurrence_id(component: Component, anchor: Anchor) -> datetime | None:
    """Return which time of a series a VEVENT stands for: a wall time in the zone of the series."""
    line = component.first("RECURRENCE-ID")
    return None if line is None else anchor.wall(line, line.value)


def _said(calendar: Component, name: str) -> str | None:
    line = calendar.first(name)
    return unescaped(line.value).strip() or None if line is not None else None


# Grouping


def groups_of(calendar: Component) -> Iterator[Group]:
    """Yield a calendar's events, each with what has its UID."""
    definitions = Definitions(calendar)
    by_uid: dict[str, list[Component]] = {}
    for event in calendar.components("VEVENT"):
        by_uid.setdefault(_uid(event), []).append(event)
    for uid, events in by_uid.items():
        masters = sorted((each for each in events if each.first("RECURRENCE-ID") is None), key=_revision)
        by_id: dict[str, list[Component]] = {}
        for each in events:
            if (line := each.first("RECURRENCE-ID")) is not None:
                by_id.setdefault(line.value.strip(), []).append(each)
        overrides = [sorted(each, key=_revision) for each in by_id.values()]
        yield Group(
            uid,
            definitions,
            masters[-1] if masters else None,
            tuple(each[-1] for each in overrides),
            (*masters[:-1], *(spare for each in overrides for spare in each[:-1])),
        )


def _uid(event: Component) -> str:
    """Return the UID; where a producer has left it out, a name of what the event says."""
    line = event.first("UID")
    uid = unescaped(line.value).strip() if line is not None else ""
    return uid or hashlib.sha256("\n".join(_lasting(event)).encode()).hexdigest()


def _lasting(event: Component) -> Iterator[str]:
    """Yield the lines of an event but for when it was written, which some servers say anew for every download."""
    return (line for line in event.lines() if not line.upper().startswith(_STAMPS))


def _revision(event: Component) -> tuple[int, str]:
    """Return what grows from one version of an event to the next (RFC 5546 section 2.1.5)."""
    sequence, stamp = event.first("SEQUENCE"), event.first("DTSTAMP")
    return sequence_of(sequence), stamp.value.strip() if stamp is not None else ""


def sequence_of(line: Property | None) -> int:
    """Return a SEQUENCE, 0 where there is none."""
    text = line.value.strip() if line is not None else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _origin(event: Component, uid: str) -> UUID | None:
    line = event.first(STAMP)
    if line is None:
        return None
    event_id, _, stamped = unescaped(line.value).partition(" ")
    try:
        return UUID(event_id) if stamped == uid else None
    except ValueError:
        return None


# Series


def _series(master: Component, overrides: Sequence[Component], zones: Zones, owner: Owner, notes: Notes) -> EventState:
    told = master.index()
    when = read_when(_from_the_first_year(told, notes), zones, notes)
    content = read_content(master, told, owner, notes)
    anchor = Anchor.of(master, when, zones)
    dates = read_dates(told, anchor, notes)
    differing = {wall: Override(period, content) for wall, period in dates.periods.items()}
    differing |= _overrides(overrides, anchor, owner, notes)
    rdates = dates.rdates
    if dates.rule is None:  # what differs must take place, also where its rule cannot be followed
        rdates |= differing.keys() - {when.start}
    if dates.rule is None and not rdates:
        return EventState(when, content)
    return EventState(when, content, Recurrence(dates.rule, rdates, dates.exdates, differing))


def _overrides(components: Sequence[Component], anchor: Anchor, owner: Owner, notes: Notes) -> dict[datetime, Override]:
    """Read what differs from a series, found by RECURRENCE-ID (RFC 5545 section 3.8.4.4)."""
    found: dict[datetime, Override] = {}
    for component in components:
        told = component.index()
        wall = recurrence_id(component, anchor)
        try:
            at = read_when(told, anchor.zones, notes)
        except Unusable:
            wall = None
        if wall is None:
            notes.partly(_UNCLEAR)
            continue
        if "RANGE" in told["RECURRENCE-ID"][0].parts()[0]:
            notes.partly(_RANGE)
        found[wall] = Override(at, read_content(component, told, owner, notes))
    kept = latest(found.keys(), notes)
    return {wall: override for wall, override in found.items() if wall in kept}


def _orphans(components: Sequence[Component], zones: Zones, owner: Owner, notes: Notes) -> EventState:
    """Read times of a series that is not there, as somebody has who was asked to some of them only.

    Several of them are a series that takes place at these times and no other.
    """
    told = components[0].index()
    when = read_when(told, zones, notes)
    anchor = Anchor.of(components[0], when, zones)
    overrides = _overrides(components, anchor, owner, notes) if len(components) > 1 else {}
    if not overrides:
        notes.partly(SINGLE)
        return EventState(when, read_content(components[0], told, owner, notes))
    notes.partly(SEVERAL)
    first = min(overrides)
    content = overrides[first].content
    begins = _moved(when, first)
    return EventState(begins, content, Recurrence(None, frozenset(overrides), frozenset(), overrides))


def _moved(when: When, wall: datetime) -> When:
    """Return the same length of time, begun at another wall time."""
    end = wall + (when.end - when.start)
    span = None if when.all_day else span_of(wall, end, when.tzid)
    return days_of(wall, Moment(end), None, when.tzid) if span is None else When(wall, end, when.tzid, span)


def _from_the_first_year(told: Mapping[str, list[Property]], notes: Notes) -> Mapping[str, list[Property]]:
    """Return an event's properties; of what comes back every year since long ago, begun where Kalends' years begin.

    Calendars of birthdays and holidays are full of such events.
    """
    rule = told["RRULE"][0].value.upper() if "RRULE" in told else ""
    start = moment_of(told["DTSTART"][0])[0] if "DTSTART" in told else None
    if start is None or start.wall.year >= FIRST_YEAR or "FREQ=YEARLY" not in rule or _SKIPS.search(rule):
        return told
    notes.partly(_EARLIER)
    leap_day = (start.wall.month, start.wall.day) == (2, 29)
    later = start.wall.replace(year=FIRST_YEAR + 2 if leap_day else FIRST_YEAR) - start.wall
    moved = dict(told)
    for name in ("DTSTART", "DTEND"):
        lines = told.get(name, [])
        moment = moment_of(lines[0])[0] if lines else None
        if moment is not None:
            text = lines[0].value
            moved[name] = [lines[0].with_value(f"{moment.wall + later:%Y%m%d}{text.strip()[8:]}")]
    return moved
