"""From states to iCalendar: a new file, or an existing one in which nothing changes but what has changed here.

What Kalends does not know of survives: properties, parameters, components, and times of a series that it cannot read.
Nothing here knows where the file goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

from kalends.domain.errors import Malformed
from kalends.domain.events import Event, EventState
from kalends.domain.recurrence import Override, Recurrence, read_rule
from kalends.domain.time import read_zone
from kalends.domain.values import FIRST_YEAR
from providers.errors import Refused
from providers.ical import content as contents
from providers.ical import times
from providers.ical.lines import Component, Property, Unreadable, parsed, written
from providers.ical.people import Owner
from providers.ical.read import SEVERAL, STAMP, Group, groups_of, recurrence_id, resource, sequence_of
from providers.ical.recurrence import Anchor, write_dates
from providers.ical.values import escaped, unescaped
from providers.ical.zones import Definitions, Zones, definition
from providers.interface import Broken

PRODUCT = "-//Kalends//Kalends//EN"
_OF_A_SERIES = ("RRULE", "RDATE", "EXDATE", "EXRULE")


def kept(state: EventState, owner: Owner) -> EventState:
    """Return what is read of a state that was written."""
    recurrence = None if state.recurrence is None else _kept_recurrence(state, state.recurrence, owner)
    when = times.kept(state.when, series=recurrence is not None)
    return EventState(when, contents.kept(state.content, owner), recurrence)


def created(event: Event, uid: str, owner: Owner) -> bytes:
    """Return a new file with one event, its series and what differs from it; the same for the same version."""
    calendar = calendar_of(event, uid, owner)
    _define_zones(calendar, event.state, zones_of(calendar))
    return written([calendar])


def calendar_of(event: Event, uid: str, owner: Owner) -> Component:
    """Return a new calendar with one event, in which no zone is defined yet."""
    calendar = Component("VCALENDAR", [Property.of("VERSION", "2.0"), Property.of("PRODID", PRODUCT)])
    master = Component("VEVENT", [Property.of("UID", escaped(uid)), Property.of(STAMP, escaped(f"{event.id} {uid}"))])
    master.put("CREATED", _stamp("CREATED", event.created_at))
    master.put("SEQUENCE", Property.of("SEQUENCE", str(event.sequence)))
    _mark(master, event)
    times.write(master, event.when, series=event.recurrence is not None)
    contents.write_content(master, None, event.content, owner)
    calendar.items.append(master)
    blank = EventState(event.when, event.content)
    writer = _Writer(calendar, Zones(Definitions(calendar), event.when.tzid), owner)
    write_dates(master, Anchor.of(master, event.when, writer.zones), None, event.when, event.recurrence)
    writer.write_overrides(master, {}, blank, event.state)
    return calendar


def edited(data: bytes, event: Event, before: EventState | None, uid: str, *, tzid: str, owner: Owner) -> bytes | None:
    """Return a file after what differs between two states; None where that changes nothing.

    `before` is what this side said when the file was last in step with it. Without it, everything is written that the
    file says otherwise. `tzid` is the calendar's zone. Raises `Unreadable`, and `Refused` for a change that the file
    has no place for.
    """
    calendars = parsed(data)
    calendar, group = _found(calendars, uid)
    if before is None:
        read = resource(group, tzid=tzid, owner=owner)
        if isinstance(read, Broken):
            raise Refused(f"The copy cannot be read, so that nothing is written to it. {read.reason}")
        before = read.state
    untouched, used = written(calendars), zones_of(calendar)
    _write(calendar, group, before, event, _Writer(calendar, Zones(group.definitions, tzid), owner))
    if written(calendars) == untouched:
        return None
    _define_zones(calendar, event.state, zones_of(calendar) - used)
    return written(calendars)


def _found(calendars: Iterable[Component], uid: str) -> tuple[Component, Group]:
    """Return the event of this UID, or the only one that there is."""
    found = [(calendar, group) for calendar in calendars for group in groups_of(calendar)]
    named = [each for each in found if each[1].uid == uid]
    if len(found) != 1 and len(named) != 1:
        raise Unreadable("The copy does not hold this event.")
    return (named or found)[0]


def _write(calendar: Component, group: Group, before: EventState, event: Event, writer: _Writer) -> None:
    after = event.state
    master, components = group.master, list(group.overrides)
    if master is None and len(components) == 1:
        master = components.pop()
    anchor = Anchor.of(master or components[0], before.when, writer.zones)
    present = {recurrence_id(each, anchor): each for each in components}
    earlier = {id(each): list(each.lines()) for each in calendar.components("VEVENT")}
    if master is not None:
        writer.write(master, before, after)
        write_dates(master, anchor, before.recurrence, after.when, after.recurrence)
    elif (before.when, before.content) != (after.when, after.content):
        raise Refused(f"{SEVERAL} What is the same for all of them cannot be changed.")
    writer.write_overrides(master, present, before, after)
    organised = after.content.organizer is None
    for each in calendar.components("VEVENT"):
        if earlier.get(id(each)) != list(each.lines()):
            if organised and attended(before) != attended(after):
                grown = max(sequence_of(each.first("SEQUENCE")) + 1, event.sequence)
                each.put("SEQUENCE", Property.of("SEQUENCE", str(grown)))
            _mark(each, event)


def attended(state: EventState) -> object:
    """Return what makes SEQUENCE grow when it changes (RFC 5546 section 2.1.4)."""
    return state.when, state.recurrence, state.content.status, state.content.location


class _Writer:
    """Brings differences to the VEVENTs of one calendar."""

    def __init__(self, calendar: Component, zones: Zones, owner: Owner) -> None:
        self.zones = zones
        self._calendar = calendar
        self._owner = owner

    def write(self, component: Component, before: EventState, after: EventState) -> None:
        """Bring to one VEVENT what differs between two states of it."""
        was, now = (times.written(each.when, series=each.recurrence is not None) for each in (before, after))
        if was != now:
            times.write(component, after.when, series=after.recurrence is not None)
        contents.write_content(component, before.content, after.content, self._owner)

    def write_overrides(
        self,
        master: Component | None,
        present: Mapping[datetime | None, Component],
        before: EventState,
        after: EventState,
    ) -> None:
        """Bring what differs in the times that differ from their series; those that nobody touched stay."""
        old, new = _overrides(before), _overrides(after)
        for wall in old.keys() - new.keys():
            if wall in present:
                self._calendar.drop(present[wall])
        for wall, override in new.items():
            then = old.get(wall)
            if then == override:
                continue
            component = present.get(wall)
            if component is None and master is not None:
                component = self._copied(master, wall, after)
                times.write(component, override.when, series=False)
                then = Override(override.when, after.content)
            elif component is not None and then is None:
                then = self._as_it_is(component)
            if component is None or then is None:
                raise Refused(f"{SEVERAL} Another one cannot be added.")
            self.write(component, EventState(then.when, then.content), EventState(override.when, override.content))

    def _copied(self, master: Component, wall: datetime, series: EventState) -> Component:
        """Return a new VEVENT for one time of a series, with all that the series says."""
        component = deepcopy(master)
        for name in _OF_A_SERIES:
            component.put(name)
        line = times.moment_property("RECURRENCE-ID", wall, series.when.tzid, all_day=series.when.all_day)
        component.put("RECURRENCE-ID", line)
        self._calendar.items.append(component)
        return component

    def _as_it_is(self, component: Component) -> Override | None:
        """Return what one VEVENT says by itself."""
        read = resource(Group("", self.zones.definitions, component), tzid=self.zones.tzid, owner=self._owner)
        return None if isinstance(read, Broken) else Override(read.state.when, read.state.content)


def _overrides(state: EventState) -> Mapping[datetime, Override]:
    return state.recurrence.overrides if state.recurrence is not None else {}


def _kept_recurrence(state: EventState, recurrence: Recurrence, owner: Owner) -> Recurrence | None:
    rule = recurrence.rule
    if rule is not None:
        read = read_rule(rule, tzid=state.when.tzid, all_day=state.when.all_day)
        rule = rule if isinstance(read, Malformed) else read
    rdates = recurrence.rdates
    if rule is None:
        rdates |= recurrence.overrides.keys() - {state.when.start}
    if rule is None and not rdates:
        return None
    overrides = {
        wall: Override(times.kept(each.when, series=False), contents.kept(each.content, owner))
        for wall, each in recurrence.overrides.items()
    }
    return replace(recurrence, rule=rule, rdates=rdates, overrides=overrides)


def _mark(component: Component, event: Event) -> None:
    """Say when the event was last changed (RFC 5545 sections 3.8.7.2 and 3.8.7.3)."""
    for name in ("DTSTAMP", "LAST-MODIFIED"):
        component.put(name, _stamp(name, event.updated_at))


def _stamp(name: str, moment: datetime) -> Property:
    return Property.of(name, f"{moment:%Y%m%dT%H%M%SZ}")


def zones_of(calendar: Component) -> set[str]:
    """Return the names of the zones that events use."""
    lines = (item for event in calendar.components("VEVENT") for item in event.items if isinstance(item, Property))
    return {unescaped(name) for line in lines if "TZID" in line.source for name in line.parts()[0].get("TZID", ())}


def _define_zones(calendar: Component, state: EventState, names: set[str]) -> None:
    """Add a VTIMEZONE for each of these zones that has none (RFC 5545 section 3.6.5 wants one)."""
    defined = {unescaped(each.value) for zone in calendar.components("VTIMEZONE") if (each := zone.first("TZID"))}
    starts = [state.when.start, *(each.when.start for each in _overrides(state).values())]
    year = max(min(start.year for start in starts) - 1, FIRST_YEAR)
    at = next(number for number, item in enumerate(calendar.items) if isinstance(item, Component))
    calendar.items[at:at] = definitions(names - defined, year)


def definitions(names: Iterable[str], year: int) -> list[Component]:
    """Return the VTIMEZONE of each of these zones that there is, for what happens from the beginning of a year on."""
    return [definition(name, year) for name in sorted(names) if not isinstance(read_zone(name), Malformed)]
