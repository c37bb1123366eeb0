"""When an event is: DTSTART with DTEND or DURATION (RFC 5545 section 3.6.1), in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from kalends.domain.errors import Malformed, Refused
from kalends.domain.time import TimeSpan, When, instant, read_zone, whole_days
from kalends.domain.values import FIRST_YEAR, LAST_YEAR
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.values import Length, Moment, read_length, read_moment, unescaped
from providers.ical.zones import Place, Zones, shown

ZONE = "X-KALENDS-TIME-ZONE"
"""The zone of an event that had to be written in UTC: one that begins or ends in an hour that the clocks repeat."""

_OUTLOOKS_ALL_DAY = "X-MICROSOFT-CDO-ALLDAYEVENT"
_SHORTEST = timedelta(minutes=1)
_DAY = timedelta(days=1)
_MIDNIGHT = time()
NO_START = "It does not say when it begins."
NO_LENGTH = "It has no length: Kalends shows one minute."
REVERSED = "It ends before it begins."
OUTSIDE = f"Its time is outside the years {FIRST_YEAR} to {LAST_YEAR}."


class Unusable(Exception):
    """An event cannot be read; the message is a sentence that says why."""


def moment_of(property_: Property, value: str | None = None) -> tuple[Moment | None, str | None]:
    """Return what a DATE or DATE-TIME property says, or one of its values, and in which zone of the file's."""
    parameters, own = property_.parts()
    moment = read_moment(own if value is None else value)
    if moment is not None and parameters.get("VALUE", [""])[0].upper() == "DATE":
        moment = Moment(datetime.combine(moment.wall, _MIDNIGHT), all_day=True)
    return moment, unescaped(parameters["TZID"][0]) if parameters.get("TZID") else None


def read_when(told: Mapping[str, Sequence[Property]], zones: Zones, notes: Notes) -> When:
    """Read when an event is. Raises `Unusable`.

    Without an end, whole days are one day, and a time of day has no length (section 3.6.1).
    """
    if "DTSTART" not in told:
        raise Unusable(NO_START)
    start, tzid = moment_of(told["DTSTART"][0])
    if start is None:
        raise Unusable(NO_START)
    length = read_length(told["DURATION"][0].value) if "DURATION" in told else None
    end, end_tzid = moment_of(told["DTEND"][0]) if "DTEND" in told else (None, None)
    if end is None and "DTEND" in told:
        notes.partly("Its end cannot be read.")
    try:
        if start.all_day:
            when = days_of(start.wall, end, length, zones.tzid)
        else:
            begins = _in_own_zone(zones.place(start, tzid, notes), told)
            ends = _ends(begins, end, end_tzid, told, zones, notes) if end is not None else _after(begins, length)
            when = _timed(begins, ends, notes)
            if _says_all_day(told) and when.start.time() == when.end.time() == _MIDNIGHT:  # Outlook's whole days
                when = days_of(when.start, Moment(when.end), None, zones.tzid)
    except OverflowError as error:
        raise Unusable(OUTSIDE) from error
    if when.start.year < FIRST_YEAR or when.end.year > LAST_YEAR:
        raise Unusable(OUTSIDE)
    return when


def days_of(first: datetime, end: Moment | None, length: Length | None, tzid: str) -> When:
    """Return whole days: at least one, as some producers write the last day for the one after it."""
    days = 1
    if end is not None:
        days = (end.wall - first).days + bool(end.wall.time() > first.time())
    elif length is not None:
        days = length.days - (-length.exact // _DAY)
    try:
        return whole_days(first.date(), first.date() + max(days, 1) * _DAY, tzid)
    except Refused as refused:
        raise Unusable(refused.problems[0].message) from refused


def _ends(
    begins: Place,
    end: Moment,
    tzid: str | None,
    told: Mapping[str, Sequence[Property]],
    zones: Zones,
    notes: Notes,
) -> Place:
    """Return the end on the clocks of the beginning; a day is its midnight there."""
    if end.all_day:
        return Place(end.wall, begins.tzid)
    return _in_own_zone(zones.place(end, tzid, notes), told).moved_to(begins.tzid)


def _after(begins: Place, length: Length | None) -> Place:
    """Return the end after a length: first whole days on the clocks, then time that passes (section 3.3.6)."""
    if length is None:
        return begins
    ends = Place(begins.wall + timedelta(days=length.days), begins.tzid)
    return shown(ends.instant + length.exact, ends.tzid) if length.exact else ends


def _timed(begins: Place, ends: Place, notes: Notes) -> When:
    span = span_of(begins.wall, ends.wall, begins.tzid)
    if span is None:
        if ends.instant < begins.instant:
            raise Unusable(REVERSED)
        notes.partly(NO_LENGTH)
        ends = shown(begins.instant + _SHORTEST, begins.tzid)
        span = TimeSpan(begins.instant, ends.instant)
    return When(begins.wall, ends.wall, begins.tzid, span)


def _in_own_zone(place: Place, told: Mapping[str, Sequence[Property]]) -> Place:
    """Return a time that we wrote in UTC on the clocks of the zone that it is of."""
    zone = read_zone(told[ZONE][0].value) if place.tzid == "UTC" and ZONE in told else Malformed("")
    return place if isinstance(zone, Malformed) else shown(place.wall.replace(tzinfo=UTC), zone)


def span_of(start: datetime, end: datetime, tzid: str) -> TimeSpan | None:
    """Return the span between two wall times; None where it is empty or reversed.

    Of two equal wall times the first is meant (section 3.3.5), of an end that would not be after its start the second.
    What begins in an hour that the clocks skip is as long as it seems.
    """
    since = instant(start, tzid, start.fold)
    for fold in (end.fold, 1):
        until = instant(end, tzid, fold)
        if until > since:
            return TimeSpan(since, until)
    return TimeSpan(since, since + (end - start)) if end > start else None


def _says_all_day(told: Mapping[str, Sequence[Property]]) -> bool:
    return _OUTLOOKS_ALL_DAY in told and told[_OUTLOOKS_ALL_DAY][0].value.strip().upper() == "TRUE"


# Writing


def kept(when: When, *, series: bool) -> When:
    """Return what is read of a time that was written.

    Of two equal wall times a series means the first: its occurrences are found in wall time. A single wall time
    that the clocks skip becomes what they show at that moment.
    """
    if when.all_day:
        return when
    if not series:
        start, end = (shown(moment, when.tzid).wall for moment in (when.span.start, when.span.end))
        return replace(when, start=start, end=end)
    span = span_of(when.start.replace(fold=0), when.end.replace(fold=0), when.tzid)
    return replace(when, span=span or when.span)


def written(when: When, *, series: bool) -> dict[str, list[Property]]:
    """Return the properties that say when an event is; those to be removed have none.

    DTEND is always there: iCloud refuses events without
    (https://github.com/python-caldav/caldav-server-tester/issues/24).
    """
    properties: dict[str, list[Property]] = {"DURATION": [], ZONE: []}
    exact = all(instant(wall, when.tzid) == moment for wall, moment in zip(*_ends_of(when), strict=True))
    tzid = when.tzid if when.all_day or series or exact else "UTC"
    if tzid != when.tzid:
        properties[ZONE] = [Property.of(ZONE, when.tzid)]
    for name, wall, moment in zip(("DTSTART", "DTEND"), *_ends_of(when), strict=True):
        properties[name] = [moment_property(name, wall if tzid == when.tzid else moment, tzid, all_day=when.all_day)]
    return properties


def _ends_of(when: When) -> tuple[tuple[datetime, datetime], tuple[datetime, datetime]]:
    """Return the two wall times, and the moments that they are."""
    return (when.start, when.end), (when.span.start, when.span.end)


def moment_property(name: str, wall: datetime, tzid: str, *, all_day: bool) -> Property:
    """Return a property whose value is a wall time in a zone, or a day."""
    if all_day:
        return Property.of(name, f"{wall:%Y%m%d}", {"VALUE": "DATE"})
    if tzid == "UTC":
        return Property.of(name, f"{wall:%Y%m%dT%H%M%SZ}")
    return Property.of(name, f"{wall:%Y%m%dT%H%M%S}", {"TZID": tzid})


def write(event: Component, when: When, *, series: bool) -> None:
    """Let an event be at this time."""
    for name, properties in written(when, series=series).items():
        event.put(name, *properties)
    if event.first(_OUTLOOKS_ALL_DAY) is not None:
        event.put(_OUTLOOKS_ALL_DAY, Property.of(_OUTLOOKS_ALL_DAY, "TRUE" if when.all_day else "FALSE"))
