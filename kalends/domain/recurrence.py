"""Events that repeat: the rule, its exceptions, and the occurrences that follow (RFC 5545 section 3.8.5).

A series keeps wall times in the zone of its event. Each occurrence is found in wall time and becomes an instant
afterwards, so that a meeting at 09:00 stays at 09:00 when the clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import groupby, islice
from typing import TYPE_CHECKING

from dateutil.rrule import rrulestr

from kalends.domain.errors import Malformed, Refused
from kalends.domain.time import TimeSpan, When, instant, whole_days, zone
from kalends.domain.values import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    from kalends.domain.events import EventContent

MAX_RULE = 1024
MAX_COUNT = 100_000  # of a rule: eleven years of every hour
MAX_OCCURRENCES = 10_000  # of one series in a window: more than a year of every hour
MAX_READY = 2_000  # of one series, kept ready
MAX_EXCEPTIONS = 1_000  # dates and overrides, each
_EARLIEST, _LATEST = datetime.fromisoformat(f"{FIRST_YEAR}-01-01"), datetime.fromisoformat(f"{LAST_YEAR}-12-31")
PAST, DENSE_PAST, AHEAD = timedelta(days=366), timedelta(days=31), timedelta(days=2 * 366)
RENEWED = timedelta(days=30)  # after so long, what is kept ready is looked at again
START_OF_TIME, END_OF_TIME = datetime(FIRST_YEAR - 1, 1, 1, tzinfo=UTC), datetime(LAST_YEAR + 2, 1, 1, tzinfo=UTC)
RULE = "an RRULE's value (RFC 5545 section 3.3.10) that repeats at most hourly, such as FREQ=WEEKLY;BYDAY=MO,WE"

_UNTIL = re.compile(r"UNTIL=(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = r"(?:[+-]?\d{1,2})?(?:MO|TU|WE|TH|FR|SA|SU)"
_PARTS = {
    "FREQ": r"HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY",
    "UNTIL": r"\d{8}(?:T\d{6}Z?)?",
    "COUNT": r"\d{1,9}",
    "INTERVAL": r"\d{1,9}",
    "BYMINUTE": r"\d{1,2}",  # one alone: else it would be more often than hourly
    "BYHOUR": r"\d{1,2}(?:,\d{1,2})*",
    "BYDAY": rf"{_DAY}(?:,{_DAY})*",
    "BYMONTH": r"\d{1,2}(?:,\d{1,2})*",
    "WKST": r"MO|TU|WE|TH|FR|SA|SU",
} | dict.fromkeys(("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"), r"[+-]?\d{1,3}(?:,[+-]?\d{1,3})*")
_RANGES = {
    "COUNT": (1, MAX_COUNT),
    "INTERVAL": (1, 10**9),
    "BYMINUTE": (0, 59),
    "BYHOUR": (0, 23),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (1, 31),
    "BYYEARDAY": (1, 366),
    "BYWEEKNO": (1, 53),
    "BYSETPOS": (1, 366),
}
_NUMBERED = re.compile(r"[+-]?\d{1,2}(?=MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_FIXED = {"HOURLY": timedelta(hours=1), "DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1)}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LIMITS_OF_DAYS = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")


@dataclass(frozen=True, slots=True)
class Override:
    """An occurrence that differs from its series. It is complete in itself (RFC 5545 section 3.8.4.4)."""

    when: When
    content: EventContent


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How an event repeats. Every date-time is a wall time in the event's zone; of whole days, their midnight.

    `overrides` are found by the wall time at which the occurrence would have started: its RECURRENCE-ID.
    """

    rule: str | None
    rdates: frozenset[datetime] = frozenset()
    exdates: frozenset[datetime] = frozenset()
    overrides: Mapping[datetime, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time at which a series takes place: by its rule, or as its override says."""

    recurrence_id: datetime
    when: When
    override: EventContent | None = None


def read_rule(text: object, *, tzid: str, all_day: bool) -> str | Malformed:
    """Read an RRULE's value: upper case, UNTIL in UTC beside a time of day and a date beside whole days.

    RFC 5545 section 3.3.10 wants UNTIL so; a wall time is understood in the event's zone. A rule that repeats more
    often than hourly is refused: it would take seconds to expand; so is one that names no day that there is, because
    looking for one would never end.
    """
    if not isinstance(text, str) or len(text) > MAX_RULE:
        return Malformed(RULE)
    rule = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    try:
        if not _sound([part.partition("=")[::2] for part in rule.split(";")]):
            return Malformed(RULE)
        rule = _UNTIL.sub(lambda found: _until(found, tzid=tzid, all_day=all_day), rule)
        _dated(rule, _EARLIEST, tzid)
    except (ValueError, TypeError, OverflowError):
        return Malformed(RULE)
    return rule


def _sound(parts: list[tuple[str, str]]) -> bool:
    """Tell whether a rule has the grammar and the ranges of RFC 5545 section 3.3.10, and days that there are."""
    told = dict(parts)
    if "FREQ" not in told or len(told) != len(parts) or {"UNTIL", "COUNT"} <= told.keys():
        return False
    for name, value in parts:
        if name not in _PARTS or not re.fullmatch(_PARTS[name], value, re.ASCII):
            return False
        least, most = _RANGES.get(name, (0, 0))
        if name in _RANGES and not all(least <= abs(int(each)) <= most for each in value.split(",")):
            return False
    often = told["FREQ"]
    in_months = often == "MONTHLY" or "BYMONTH" in told
    for each in told.get("BYDAY", "MO").split(","):
        if len(each) > 2 and not 1 <= abs(int(each[:-2])) <= (5 if in_months else 53):
            return False
    hours = {"HOURLY": 1, "DAILY": len(told.get("BYHOUR", "0").split(","))}.get(often)  # in one set of BYSETPOS
    if hours and any(abs(int(each)) > hours for each in told.get("BYSETPOS", "1").split(",")):
        return False
    days = ";".join(f"{name}={told[name]}" for name in _LIMITS_OF_DAYS if name in told)
    if often not in ("MONTHLY", "YEARLY"):
        days = _NUMBERED.sub("", days)  # a number counts within months and years only
    probe = f"FREQ={'MONTHLY' if often == 'MONTHLY' else 'YEARLY'};{days}"
    return not days or next(iter(rrulestr(_unmixed(probe), dtstart=_EARLIEST)), None) is not None


def _unmixed(rule: str) -> str:
    """Return a rule whose days are all numbered where some are: of BYDAY=1MO,SU dateutil takes what is both."""
    told = parts_of(rule)
    days = told.get("BYDAY", "").split(",")
    if told["FREQ"] not in ("MONTHLY", "YEARLY") or len({len(day) > 2 for day in days}) < 2:
        return rule
    most = 5 if told["FREQ"] == "MONTHLY" or "BYMONTH" in told else 53
    numbered = [f"{n}{day}" for day in days if len(day) == 2 for n in range(1, most + 1)]
    return with_parts(rule, BYDAY=",".join([day for day in days if len(day) > 2] + numbered))


def _until(found: re.Match[str], *, tzid: str, all_day: bool) -> str:
    day, clock, utc = found.groups()
    wall = _wall(day, clock)
    if all_day:
        return f"UNTIL={wall:%Y%m%d}"
    moment = wall if utc else instant(wall, tzid).replace(tzinfo=None)
    return f"UNTIL={min(moment, _LATEST):%Y%m%dT%H%M%SZ}"


def _wall(day: str, clock: str | None) -> datetime:
    """Read the end of a rule; one after the last year is as good as the end of that. Raises `ValueError`."""
    wall = datetime.strptime(day + (clock or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007  a wall time, or in UTC
    return min(wall, _LATEST)


def rule_walls(rule: str, when: When, since: datetime = _EARLIEST) -> Iterator[datetime]:
    """Yield the wall times that a rule names from one on, in order, for an event that begins when `when` does.

    The cost does not grow with the years behind `since`, except for a rule that counts.
    """
    told = parts_of(rule)
    start, step = when.start, _FIXED.get(told["FREQ"])
    if _never(told, start):
        return
    if step is not None and since > start and "COUNT" not in told:
        step *= int(told.get("INTERVAL", "1"))
        start += step * max(0, (since - start) // step - 1)  # one earlier: a step's days may lie before its start
    for wall in _dated(rule, start, when.tzid):
        if wall.year > LAST_YEAR:
            return
        if wall >= max(since, when.start):
            yield wall


def _dated(rule: str, start: datetime, tzid: str) -> Iterator[datetime]:
    """Yield the wall times of a rule from a start on; dateutil counts in wall time when nothing has a zone."""

    def local(found: re.Match[str]) -> str:
        day, clock, utc = found.groups()
        until = _wall(day, clock)
        if utc:
            until = until.replace(tzinfo=UTC).astimezone(zone(tzid))
        return f"UNTIL={until:%Y%m%dT%H%M%S}"

    return iter(rrulestr(_UNTIL.sub(local, _unmixed(rule)), dtstart=start))


def parts_of(rule: str) -> dict[str, str]:
    """Return a rule's parts by their names."""
    return dict(part.partition("=")[::2] for part in rule.split(";"))


def with_parts(rule: str, **parts: str | None) -> str:
    """Return a rule with some of its parts told anew, or left out where None."""
    told = {**parts_of(rule), **parts}
    return ";".join(f"{name}={value}" for name, value in told.items() if value is not None)


def occurrences(when: When, recurrence: Recurrence, window: TimeSpan) -> list[Occurrence]:
    """Return the occurrences that overlap a window, earliest first, at most `MAX_OCCURRENCES`.

    An override takes the place of the occurrence that it names, wherever it lies. A wall time that the zone skips
    becomes the instant that the clocks show instead, as every calendar in wide use does it.
    """
    differing = [each for each in _overridden(recurrence) if each.when.span.overlaps(window)]
    regular = islice(_regular(when, recurrence, window), MAX_OCCURRENCES - len(differing))
    return sorted([*differing, *regular], key=_when)


def _when(each: Occurrence) -> tuple[datetime, datetime]:
    return each.when.span.start, each.recurrence_id


def _overridden(recurrence: Recurrence) -> Iterator[Occurrence]:
    for recurrence_id, override in recurrence.overrides.items():
        yield Occurrence(recurrence_id, override.when, override.content)


def _regular(when: When, recurrence: Recurrence, window: TimeSpan) -> Iterator[Occurrence]:
    """Yield the occurrences in a window that are as their series is, in order of their wall time."""
    # A day on either side: the window's ends are instants, and no zone is further than that from UTC.
    slack = timedelta(days=1) + (when.end - when.start)
    first, last = _naive(window.start, -slack), _naive(window.end, slack)
    for wall in _starts(when, recurrence, first):
        if wall > last:
            return
        if wall not in recurrence.exdates and wall not in recurrence.overrides:
            at = begun_at(when, wall)
            if at is not None and at.span.overlaps(window):
                yield Occurrence(wall, at)


def _starts(when: When, recurrence: Recurrence, first: datetime) -> Iterator[datetime]:
    """Yield the wall times from one on, by rule and by date, in order, each once.

    The event's own start counts as the first, also where its rule would not name it (RFC 5545 section 3.8.5.3).
    """
    by_rule = rule_walls(recurrence.rule, when, first) if recurrence.rule is not None else iter(())
    by_date = sorted(wall for wall in (when.start, *recurrence.rdates) if wall >= first)
    for wall, _ in groupby(merge(by_date, by_rule)):
        yield wall


def _never(told: Mapping[str, str], start: datetime) -> bool:
    """Tell whether a rule steps over its days or hours for ever: dateutil looks for them until the year 9999."""
    every = int(told.get("INTERVAL", "1")) * {"HOURLY": 1, "DAILY": 24}.get(told["FREQ"], 0)
    if every <= 1 or not {"BYDAY", "BYHOUR"} & told.keys():
        return False
    week = 7 * 24
    begin = start.weekday() * 24 + start.hour
    days = {_WEEKDAYS.index(day[-2:]) for day in told.get("BYDAY", ",".join(_WEEKDAYS)).split(",")}
    limited = told["FREQ"] == "HOURLY" and "BYHOUR" in told
    hours = {int(hour) for hour in told["BYHOUR"].split(",")} if limited else set(range(24))
    reached = (divmod((begin + step * every) % week, 24) for step in range(week))
    return not any(day in days and hour in hours for day, hour in reached)


def occurrence_at(when: When, recurrence: Recurrence, recurrence_id: datetime) -> Occurrence | None:
    """Return the occurrence that a series' rule has begin at a wall time; None where it does not take place then."""
    known = recurrence_id in recurrence.overrides or (
        recurrence_id not in recurrence.exdates
        and next(_starts(when, recurrence, recurrence_id), None) == recurrence_id
    )
    return occurrence_named(when, recurrence, recurrence_id) if known else None


def occurrence_named(when: When, recurrence: Recurrence, recurrence_id: datetime) -> Occurrence | None:
    """Return an occurrence of which somebody knows that it takes place."""
    override = recurrence.overrides.get(recurrence_id)
    if override is not None:
        return Occurrence(recurrence_id, override.when, override.content)
    at = begun_at(when, recurrence_id)
    return Occurrence(recurrence_id, at) if at is not None else None


def occurs(when: When, recurrence: Recurrence) -> bool:
    """Tell whether a series takes place at all."""
    always = TimeSpan(START_OF_TIME, END_OF_TIME)
    return bool(recurrence.overrides) or next(_regular(when, recurrence, always), None) is not None


def begun_at(when: When, wall: datetime) -> When | None:
    """Return the event's time, begun at another wall time; None for a day that its zone skips."""
    end = wall + (when.end - when.start)
    if when.all_day:
        try:
            return whole_days(wall.date(), end.date(), when.tzid)
        except Refused:
            return None
    since, until = instant(wall, when.tzid), instant(end, when.tzid)
    if until <= since:  # its end is in the hour that the clocks take back
        until = since + (when.end - when.start)
    return When(wall, end, when.tzid, TimeSpan(since, until))


def _naive(moment: datetime, plus: timedelta) -> datetime:
    naive = moment.replace(tzinfo=None)
    if plus < timedelta():
        return naive + plus if naive - _EARLIEST > -plus else _EARLIEST
    return naive + plus if _LATEST - naive > plus else _LATEST


@dataclass(frozen=True, slots=True)
class Expansion:
    """Occurrences of a series that are kept ready: all that overlap the time from `since` until `until`.

    Where the series has none before, or none after, these are the first or the last moment of all. At `renew_at` it is
    time to look at the series again.
    """

    found: tuple[Occurrence, ...]
    since: datetime
    until: datetime
    renew_at: datetime


def expanded(when: When, recurrence: Recurrence, at: datetime) -> Expansion:
    """Return what is kept ready of a series, seen from a moment: a year back and two ahead.

    Of a series that takes place too often for that, it is a month back and as far ahead as `MAX_READY` reach.
    """
    since, until = at - PAST, max(at, when.span.start) + AHEAD
    renew_at = until - AHEAD + RENEWED
    regular = list(islice(_regular(when, recurrence, TimeSpan(since, until)), MAX_READY))
    if len(regular) == MAX_READY:
        since = at - DENSE_PAST
        regular = list(islice(_regular(when, recurrence, TimeSpan(since, until)), MAX_READY))
    if len(regular) == MAX_READY:
        until = regular[-1].when.span.start - timedelta(days=1)  # clocks that change can make the last two cross
        renew_at = at + max((until - at) / 2, timedelta(days=1))
    elif next(_starts(when, recurrence, _naive(until, timedelta(days=1))), None) is None:
        until = renew_at = END_OF_TIME
    if min([when.start, *recurrence.rdates]) >= _naive(since, timedelta(days=1)):
        since = START_OF_TIME
    return Expansion((*_overridden(recurrence), *regular), since, until, renew_at)
