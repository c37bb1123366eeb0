"""Times as Outlook has them: wall times beside the Windows name of a zone, and days as midnights.

Timed events are read as UTC, which says exactly when they are, and shown in the zone that they were made in
(`originalStartTimeZone`). A day is a date, whatever zone stands beside its midnight.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.time import TimeSpan, When, instant, whole_days, zone
from providers.microsoft.wire import Body, DateTimeTimeZone, Event
from providers.zones import iana, windows

UNKNOWN_ZONE = SyncWarning(
    WarningCode.UNKNOWN_TIME_ZONE,
    "Kalends does not know the time zone that this event has in Outlook: it is shown in its calendar's own.",
)
NO_DURATION = SyncWarning(WarningCode.PARTLY_READ, "In Outlook this event has no duration: here it takes a minute.")
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_MIDNIGHT = time()


def shown(when: When, *, repeats: bool) -> When:
    """Return a time in the form in which Outlook will show it.

    Outlook knows Windows' zones only, each of which stands for several of IANA's. A time that would be another one in
    Windows' zone, or that the zone's clocks show twice, becomes one of UTC; that of a series cannot, because its
    wall time is what repeats.
    """
    if when.all_day:
        return when
    name = windows(when.tzid)
    tzid = (iana(name) if name else None) or when.tzid
    span = _span(when.start, when.end, tzid)
    if repeats or (name is not None and span == when.span):
        return replace(when, tzid=tzid, span=span)
    return in_zone(when, "UTC")


def in_zone(when: When, tzid: str) -> When:
    """Return the same time as the clocks of another zone show it; days stay days."""
    if when.all_day:
        return when
    return _timed(when.span, tzid)


def written(when: When) -> Body:
    """Return a time, in the form of `shown`, as Graph takes it."""
    name = windows(when.tzid) or when.tzid
    start, end = ({"dateTime": each.isoformat(), "timeZone": name} for each in (when.start, when.end))
    return {"start": start, "end": end, "isAllDay": when.all_day}


def read_when(event: Event, tzid: str, calendar_tzid: str) -> tuple[When, tuple[SyncWarning, ...]]:
    """Return an event's time in a zone, or its days, which are the calendar's. Raises `ValueError`, `KeyError`."""
    if event.get("isAllDay"):
        first, end = (_read_day(event[name], tzid) for name in ("start", "end"))
        return whole_days(first, max(end, first + _DAY), calendar_tzid), ()
    start, end = (_read_instant(event[name], tzid) for name in ("start", "end"))
    if end <= start:
        return _timed(TimeSpan(start, start + _MINUTE), tzid), (NO_DURATION,)
    return _timed(TimeSpan(start, end), tzid), ()


def read_zone(event: Event, calendar_tzid: str) -> tuple[str, tuple[SyncWarning, ...]]:
    """Return an event's zone. One that nobody knows is never taken for UTC: it is the calendar's own, and said."""
    recurrence = event.get("recurrence")
    names = [event.get("originalStartTimeZone"), recurrence["range"].get("recurrenceTimeZone") if recurrence else None]
    written_names = [name for name in names if name]
    for name in written_names:
        if (tzid := iana(name)) is not None:
            return tzid, ()
    unknown = bool(written_names) and not event.get("isAllDay")
    return calendar_tzid, (UNKNOWN_ZONE,) if unknown else ()


def read_original(event: Event, when: When) -> datetime:
    """Return the wall time at which an occurrence of a series would have started. Raises `ValueError`, `KeyError`.

    A series has at most one occurrence a day: the day says which. `when` is the series' own time.
    """
    original, occurrence = event.get("originalStart"), event.get("occurrenceId")
    if occurrence:
        return read_day_of(occurrence, when)
    if not original:
        return datetime.combine(_read_day(event["start"], when.tzid), when.start.time())
    moment = datetime.fromisoformat(original).replace(microsecond=0)
    at_midnight = when.all_day and moment.time() == _MIDNIGHT
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    day = moment.date() if at_midnight else moment.astimezone(zone(when.tzid)).date()
    return datetime.combine(day, when.start.time())


def read_day_of(occurrence: str, when: When) -> datetime:
    """Return the wall time that an `occurrenceId` names, which ends with a date. Raises `ValueError`."""
    return datetime.combine(date.fromisoformat(occurrence[-10:]), when.start.time())


def _read_day(value: DateTimeTimeZone, tzid: str) -> date:
    """Return the date of a midnight.

    Exchange sends the days of whole-day events as midnights of whatever zone was asked for. Should one have been moved
    to another zone all the same, it is moved back.
    """
    wall = datetime.fromisoformat(value["dateTime"]).replace(tzinfo=None, microsecond=0)
    if wall.time() == _MIDNIGHT:
        return wall.date()
    return _read_instant(value, tzid).astimezone(zone(tzid)).date()


def _read_instant(value: DateTimeTimeZone, tzid: str) -> datetime:
    wall = datetime.fromisoformat(value["dateTime"]).replace(tzinfo=None, microsecond=0)
    return instant(wall, iana(value["timeZone"]) or tzid)


def _timed(span: TimeSpan, tzid: str) -> When:
    start, end = (each.astimezone(zone(tzid)).replace(tzinfo=None, fold=0) for each in (span.start, span.end))
    return When(start, end, tzid, span)


def _span(start: datetime, end: datetime, tzid: str) -> TimeSpan:
    """Return the span of wall times; its end may lie in the hour that the clocks take back."""
    since, until = instant(start, tzid), instant(end, tzid)
    return TimeSpan(since, until if until > since else since + (end - start))
