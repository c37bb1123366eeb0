"""Time as calendars mean it: wall time in a zone, whole days, and the instants they stand for.

Every span is half-open: it holds its start and not its end (RFC 5545 section 3.6.1). An event's wall time and
zone are its truth; the instants follow from them and from the zone's rules, and are what availability compares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from kalends.domain.errors import InvalidInput, Malformed, Refused, invalid
from kalends.domain.values import DATE, DATE_TIME, FIRST_YEAR, LAST_YEAR, YEARS

ZONE = "an IANA time zone name, such as Europe/Berlin"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT = time()


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return every IANA zone name that there is."""
    return frozenset(available_timezones() - {"Factory", "localtime", "posixrules"})


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the zone's rules. The name must have come through `read_zone`."""
    return ZoneInfo(name)


def read_zone(value: object) -> str | Malformed:
    """Read an IANA zone name, spelled exactly as the database spells it."""
    return value if isinstance(value, str) and value in zone_names() else Malformed(ZONE)


def zone_data_version() -> str:
    """Return the release of the IANA database that Python's `tzdata` package carries, such as 2026b."""
    import tzdata

    return str(tzdata.IANA_VERSION)


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A half-open piece of time between two instants in UTC. Cannot be naive, empty or reversed."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not UTC or self.end.tzinfo is not UTC:
            raise ValueError("a span's ends are in UTC")
        if self.end <= self.start:
            raise ValueError("a span's end is after its start")

    def overlaps(self, other: TimeSpan) -> bool:
        """Tell whether the two share any time; spans that only touch do not."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class When:
    """When an event is: wall time in a zone, and the span of instants that follows from it.

    For an all-day event both walls are midnights, `start` the first day and `end` the day after the last; the zone
    is the calendar's, because a day is whole only where its midnights are.
    """

    start: datetime
    end: datetime
    tzid: str
    span: TimeSpan
    all_day: bool = False

    @property
    def start_date(self) -> date:
        """The wall date on which it starts."""
        return self.start.date()

    @property
    def end_date(self) -> date:
        """The wall date of its exclusive end."""
        return self.end.date()

    def moved_to(self, tzid: str) -> When:
        """Return the same days in another zone: what an all-day event becomes when its calendar moves."""
        return whole_days(self.start_date, self.end_date, tzid)

    def renewed(self) -> When:
        """Return the same wall time by the zone data of today. Instants that its zone's clocks still show then stay."""
        if self.all_day:
            return self.moved_to(self.tzid)
        start, end = (
            moment if _shows(moment, wall, self.tzid) else instant(wall, self.tzid)
            for wall, moment in ((self.start, self.span.start), (self.end, self.span.end))
        )
        return replace(self, span=TimeSpan(start, end if end > start else start + (self.span.end - self.span.start)))


def _shows(moment: datetime, wall: datetime, tzid: str) -> bool:
    return moment.astimezone(zone(tzid)).replace(tzinfo=None, fold=0) == wall


def whole_days(first: date, end: date, tzid: str) -> When:
    """Return the days from `first` up to and not including `end`, as days of that zone.

    Raises `Refused` where the zone has no such day: on its way over the date line Samoa skipped 2011-12-30.
    """
    start, stop = datetime.combine(first, _MIDNIGHT), datetime.combine(end, _MIDNIGHT)
    since, until = start_of_day(first, tzid), start_of_day(end, tzid)
    if first < end and since == until:
        message = f"{first} does not exist in {tzid}: the calendars skip it."
        raise Refused(_invalid(None, "a day of the zone's", message=message, code="NONEXISTENT_LOCAL_TIME"))
    return When(start, stop, tzid, TimeSpan(since, until), all_day=True)


def start_of_day(day: date, tzid: str) -> datetime:
    """Return the first instant of that day. Where a zone skips midnight, the day begins when the gap ends."""
    wall = datetime.combine(day, _MIDNIGHT, zone(tzid))
    # PEP 495: inside a gap, fold=0 uses the offset from before it, so that the way through UTC lands after it.
    return wall.astimezone(UTC) if exists(wall) else _end_of_gap(wall)


def _end_of_gap(wall: datetime) -> datetime:
    """Return the instant at which the gap that swallows this wall time ends."""
    before = wall.replace(fold=0).utcoffset()
    after = wall.replace(fold=1).utcoffset()
    if before is None or after is None:  # pragma: no cover  a ZoneInfo always answers
        raise ValueError("the wall time has no zone")
    low = (wall.replace(tzinfo=UTC) - after).timestamp()  # still before the change
    high = (wall.replace(tzinfo=UTC) - before).timestamp()  # at it or after it
    while high - low > 1:
        middle = (low + high) // 2
        offset = datetime.fromtimestamp(middle, wall.tzinfo).utcoffset()
        low, high = (middle, high) if offset == before else (low, middle)
    return datetime.fromtimestamp(high, UTC)


def exists(wall: datetime) -> bool:
    """Tell whether the clocks of its zone ever show this wall time."""
    return wall.astimezone(UTC).astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None)


def wall_time(moment: datetime, tzid: str) -> datetime:
    """Return what the zone's clocks show at that moment, as an aware time in the zone.

    A caller who writes a wall time that the zone skips, with an offset that the zone has on either side of the
    gap, means that wall time: it is refused rather than moved. `Z` and any other offset name an instant.
    """
    local = moment.replace(tzinfo=zone(tzid), fold=0)
    meant_here = moment.tzinfo is not UTC and moment.utcoffset() in (
        local.utcoffset(),
        local.replace(fold=1).utcoffset(),
    )
    if meant_here and not exists(local):
        raise Refused(
            InvalidInput(
                code="NONEXISTENT_LOCAL_TIME",
                message=f"{moment:%Y-%m-%d %H:%M:%S} does not exist in {tzid}: the clocks skip it.",
                expected="a time that the zone's clocks show",
            )
        )
    return moment.astimezone(zone(tzid))


def instant(wall: datetime, tzid: str, fold: int = 0) -> datetime:
    """Return the instant of a naive wall time in a zone; of two, `fold` chooses (PEP 495)."""
    return wall.replace(tzinfo=zone(tzid), fold=fold).astimezone(UTC)


def read_window(start: datetime | date | Malformed, end: datetime | date | Malformed) -> TimeSpan:
    """Read the two ends of a window, `from` and `to`; raise `Refused` with every problem."""
    problems = [
        invalid(name, DATE_TIME) for name, value in (("from", start), ("to", end)) if not isinstance(value, datetime)
    ]
    if isinstance(start, datetime) and isinstance(end, datetime):
        since, until = start.astimezone(UTC), end.astimezone(UTC)
        if since < until:
            return TimeSpan(since, until)
        problems.append(invalid("to", "a time after `from`"))
    raise Refused(*problems)


def read_when(
    start: datetime | date | Malformed,
    end: datetime | date | Malformed,
    *,
    all_day: bool,
    tzid: str | Malformed | None,
    calendar_tzid: str,
) -> When:
    """Turn what a caller wrote into a `When`; raise `Refused` with every problem, paths in the domain's words.

    `tzid` is the event's zone and the calendar's where absent. An all-day event takes the calendar's days, so any
    other zone is refused; its ends are dates, or date-times that are midnights of the calendar.
    """
    problems = []
    if isinstance(tzid, Malformed):
        problems.append(_invalid("tzid", tzid.expected, code="UNKNOWN_TIME_ZONE"))
        tzid = None
    elif all_day and tzid not in (None, calendar_tzid):
        problems.append(
            _invalid(
                "tzid",
                f"no time zone, or {calendar_tzid}",
                message="An all-day event takes the days of its calendar's time zone.",
            )
        )
    ends: list[datetime] = []
    for name, value in (("start", start), ("end", end)):
        read = read_wall(value, all_day=all_day, tzid=calendar_tzid if all_day else tzid or calendar_tzid)
        if isinstance(read, InvalidInput):
            problems.append(read.under(name))
        else:
            ends.append(read)
    if len(ends) == 2 and ends[1].astimezone(UTC) <= ends[0].astimezone(UTC):
        hint = " An all-day event's end is the day after its last." if all_day else ""
        message = f"The end is not after the start.{hint}"
        problems.append(_invalid("end", "a time after start", message=message, code="END_NOT_AFTER_START"))
    if problems:
        raise Refused(*problems)
    if all_day:
        return whole_days(ends[0].date(), ends[1].date(), calendar_tzid)
    span = TimeSpan(ends[0].astimezone(UTC), ends[1].astimezone(UTC))
    return When(ends[0].replace(tzinfo=None), ends[1].replace(tzinfo=None), tzid or calendar_tzid, span)


def read_wall(value: datetime | date | Malformed, *, all_day: bool, tzid: str) -> datetime | InvalidInput:
    """Return the wall time that a caller wrote, or what is wrong with it: aware and in the zone, fold kept."""
    if isinstance(value, Malformed):
        return _invalid(None, value.expected)
    if isinstance(value, datetime):
        try:
            wall = wall_time(value, tzid)
        except Refused as refused:
            return refused.problems[0]  # type: ignore[return-value]
        if all_day and wall.time() != _MIDNIGHT:
            message = f"An all-day event has dates; this time is not midnight in {tzid}."
            return _invalid(None, DATE, message=message, code="DATE_EXPECTED")
        return wall if FIRST_YEAR <= wall.year <= LAST_YEAR else _invalid(None, YEARS)
    if not all_day:
        message = "A plain date is only for all-day events."
        return _invalid(None, DATE_TIME, message=message, code="TIME_EXPECTED")
    return datetime.combine(value, _MIDNIGHT, zone(tzid))


def _invalid(
    name: str | None, expected: str, *, message: str | None = None, code: str = "INVALID_VALUE"
) -> InvalidInput:
    path = (name,) if name else ()
    return InvalidInput(path=path, message=message or f"Expected {expected}.", expected=expected, code=code)
