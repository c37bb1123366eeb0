"""Rules as Outlook has them: six patterns, and three ways to end (RFC 5545 section 3.3.10 has many more).

What both can say is said exactly. Where Outlook means something else by the same words, the other side's words are
chosen for what happens: its "day 31" is the last day of a month that has fewer, a rule's BYMONTHDAY=31 is no day of it.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta

from dateutil.rrule import rrulestr

from kalends.domain.errors import Malformed
from kalends.domain.recurrence import Recurrence, occurrences, read_rule
from kalends.domain.time import TimeSpan, When, instant, zone
from providers.microsoft.wire import PatternedRecurrence, RecurrencePattern, RecurrenceRange
from providers.zones import windows

_DAYS = {
    "MO": "monday",
    "TU": "tuesday",
    "WE": "wednesday",
    "TH": "thursday",
    "FR": "friday",
    "SA": "saturday",
    "SU": "sunday",
}
_CODES = {name: code for code, name in _DAYS.items()}
_ORDER = list(_DAYS)
_INDEXES = {1: "first", 2: "second", 3: "third", 4: "fourth", -1: "last"}
_NUMBERS = {name: number for number, name in _INDEXES.items()}
_ALWAYS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})
_SHORTEST, _LONGEST = 28, 31  # months
_COMMON_YEAR, _LEAP_YEAR = 2001, 2004


def to_wire(rule: str | None, when: When) -> PatternedRecurrence | None:
    """Return a rule as Outlook has it; None for one that it cannot have.

    That is also one that does not name the event's own start, which RFC 5545 section 3.8.5.3 counts all the same, and
    one that ends before it.
    """
    if rule is None:
        return None
    parts = dict(part.split("=", 1) for part in rule.split(";"))
    pattern, ends, interval = _pattern(parts, when.start), _range(parts, when), int(parts.get("INTERVAL", "1"))
    if pattern is None or ends is None or interval < 1 or not _names_start(parts, when.start):
        return None
    pattern["interval"] = interval
    return {"pattern": pattern, "range": ends}


def from_wire(recurrence: PatternedRecurrence, when: When) -> str:
    """Return the rule of a series that begins at this time, as short as it can be.

    Raises `ValueError` or `KeyError` for what is no recurrence of Graph's.
    """
    pattern, ends = recurrence["pattern"], recurrence["range"]
    frequency, by = _by(pattern, when.start)
    interval = int(pattern.get("interval") or 1)
    if interval < 1:
        raise ValueError("a recurrence that goes back")
    parts = {"FREQ": frequency} | ({"INTERVAL": str(interval)} if interval != 1 else {}) | _end(ends, when) | by
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    rule = read_rule(text, tzid=when.tzid, all_day=when.all_day)
    if isinstance(rule, Malformed):
        raise ValueError(f"{text} is no rule")
    return rule


def named(rule: str, when: When, walls: Collection[datetime]) -> frozenset[datetime]:
    """Return those of these wall times at which a series takes place by its rule."""
    if not walls:
        return frozenset()
    until = max(*walls, when.start).replace(tzinfo=UTC) + timedelta(days=2)
    found = occurrences(when, Recurrence(rule), TimeSpan(when.span.start, until))
    return frozenset(each.recurrence_id for each in found) & frozenset(walls)


# From rules to patterns


def _pattern(parts: Mapping[str, str], start: datetime) -> RecurrencePattern | None:
    extra = {name: value for name, value in parts.items() if name not in _ALWAYS}
    match parts["FREQ"]:
        case "DAILY" if not extra:
            return {"type": "daily"}
        case "DAILY" if parts.get("INTERVAL", "1") == "1":
            return _weekly(extra, parts, start)
        case "WEEKLY":
            return _weekly(extra, parts, start)
        case "MONTHLY":
            return _monthly(extra, start)
        case "YEARLY":
            return _yearly(extra, start)
    return None


def _weekly(extra: Mapping[str, str], parts: Mapping[str, str], start: datetime) -> RecurrencePattern | None:
    days = extra.get("BYDAY", _ORDER[start.weekday()]).split(",")
    if extra.keys() - {"BYDAY"} or not all(day in _DAYS for day in days):
        return None
    first = _DAYS[parts.get("WKST", "MO")]
    return {"type": "weekly", "daysOfWeek": _names(days), "firstDayOfWeek": first}


def _monthly(extra: Mapping[str, str], start: datetime) -> RecurrencePattern | None:
    if "BYDAY" in extra:
        relative = _relative(extra)
        return None if relative is None else {"type": "relativeMonthly", **relative}
    day = _day_of_month(extra, start, _SHORTEST, _LONGEST)
    return None if day is None else {"type": "absoluteMonthly", "dayOfMonth": day}


def _yearly(extra: Mapping[str, str], start: datetime) -> RecurrencePattern | None:
    others = {name: value for name, value in extra.items() if name != "BYMONTH"}
    month = extra.get("BYMONTH", str(start.month))
    if not month.isdecimal() or (others and "BYMONTH" not in extra):  # of each month, or of the year
        return None
    if "BYDAY" in others:
        relative = _relative(others)
        return None if relative is None else {"type": "relativeYearly", "month": int(month), **relative}
    day = _day_of_month(others, start, *_lengths(int(month)))
    return None if day is None else {"type": "absoluteYearly", "month": int(month), "dayOfMonth": day}


def _day_of_month(extra: Mapping[str, str], start: datetime, least: int, most: int) -> int | None:
    """Return Outlook's day of a month which has so many days; None for a rule that means something else.

    Up to `least`, both mean the same by a day. Beyond, Outlook means that day or else the last one, which is a rule's
    BYMONTHDAY=28,29,30;BYSETPOS=-1 for 30, and BYMONTHDAY=-1 for the longest month's last.
    """
    days = extra.get("BYMONTHDAY", str(start.day)).split(",")
    if extra.keys() - {"BYMONTHDAY", "BYSETPOS"} or not all(day.lstrip("+-").isdecimal() for day in days):
        return None
    numbers = sorted(int(day) for day in days)
    if extra.get("BYSETPOS") == "-1" and numbers == list(range(least, numbers[-1] + 1)) and numbers[-1] <= most:
        return numbers[-1]
    if "BYSETPOS" in extra or len(numbers) > 1:
        return None
    return most if numbers == [-1] else numbers[0] if 1 <= numbers[0] <= least else None


def _relative(extra: Mapping[str, str]) -> RecurrencePattern | None:
    """Return which of the days: one of a number, as in 2TU, or one of several at a position."""
    days = extra["BYDAY"].split(",")
    if extra.keys() - {"BYDAY", "BYSETPOS"}:
        return None
    if "BYSETPOS" in extra:
        position, codes = extra["BYSETPOS"], days
    elif len(days) == 1:
        position, codes = days[0][:-2], [days[0][-2:]]
    else:
        return None
    index = _INDEXES.get(int(position)) if position.lstrip("+-").isdecimal() else None
    if index is None or not all(code in _DAYS for code in codes):
        return None
    return {"index": index, "daysOfWeek": _names(codes)}


def _range(parts: Mapping[str, str], when: When) -> RecurrenceRange | None:
    ends: RecurrenceRange = {
        "type": "noEnd",
        "startDate": when.start_date.isoformat(),
        "recurrenceTimeZone": windows(when.tzid) or when.tzid,
    }
    if "COUNT" in parts:
        return {**ends, "type": "numbered", "numberOfOccurrences": int(parts["COUNT"])}
    if "UNTIL" in parts:
        last = _last_day(parts["UNTIL"], when)
        return None if last < when.start_date else {**ends, "type": "endDate", "endDate": last.isoformat()}
    return ends


def _last_day(until: str, when: When) -> date:
    """Return the last day on which an occurrence may begin."""
    moment = datetime.strptime(until, "%Y%m%dT%H%M%SZ" if until.endswith("Z") else "%Y%m%d")  # noqa: DTZ007  see next
    if when.all_day or not until.endswith("Z"):
        return moment.date()
    wall = moment.replace(tzinfo=UTC).astimezone(zone(when.tzid)).replace(tzinfo=None)
    return wall.date() if wall.time() >= when.start.time() else wall.date() - timedelta(days=1)


def _names_start(parts: Mapping[str, str], start: datetime) -> bool:
    endless = ";".join(f"{name}={value}" for name, value in parts.items() if name not in ("COUNT", "UNTIL"))
    return next(iter(rrulestr(endless, dtstart=start)), None) == start


def _names(codes: Collection[str]) -> list[str]:
    return [_DAYS[code] for code in sorted(set(codes), key=_ORDER.index)]


def _lengths(month: int) -> tuple[int, int]:
    """Return how many days a month has in a common year, and in a leap year."""
    return calendar.monthrange(_COMMON_YEAR, month)[1], calendar.monthrange(_LEAP_YEAR, month)[1]


# From patterns to rules


def _by(pattern: RecurrencePattern, start: datetime) -> tuple[str, dict[str, str]]:
    """Return the frequency, and what has to be said beside the start."""
    match pattern["type"]:
        case "daily":
            return "DAILY", {}
        case "weekly":
            return "WEEKLY", _week(pattern, start)
        case "absoluteMonthly":
            day = pattern["dayOfMonth"]
            return "MONTHLY", {} if day == start.day <= _SHORTEST else _monthday(day, _SHORTEST, _LONGEST)
        case "relativeMonthly":
            return "MONTHLY", _positioned(pattern)
        case "absoluteYearly":
            month, day = pattern["month"], pattern["dayOfMonth"]
            least, most = _lengths(month)
            if (month, day) == (start.month, start.day) and day <= least:
                return "YEARLY", {}
            return "YEARLY", {"BYMONTH": str(month)} | _monthday(day, least, most)
        case "relativeYearly":
            return "YEARLY", {"BYMONTH": str(pattern["month"])} | _positioned(pattern)
    raise ValueError(f"{pattern['type']} is no pattern")


def _week(pattern: RecurrencePattern, start: datetime) -> dict[str, str]:
    codes = _codes(pattern)
    by = {} if codes == [_ORDER[start.weekday()]] else {"BYDAY": ",".join(codes)}
    first = _CODES[(pattern.get("firstDayOfWeek") or "sunday").lower()]
    if first != "MO" and pattern.get("interval", 1) > 1 and len(codes) > 1:  # else it makes no difference
        by["WKST"] = first
    return by


def _monthday(day: int, least: int, most: int) -> dict[str, str]:
    """Return which day of a month that has so many; a day that it does not have is its last one."""
    if day <= least or least == most:
        return {"BYMONTHDAY": str(min(day, least))}
    if day >= most:
        return {"BYMONTHDAY": "-1"}
    return {"BYMONTHDAY": ",".join(str(each) for each in range(least, day + 1)), "BYSETPOS": "-1"}


def _positioned(pattern: RecurrencePattern) -> dict[str, str]:
    codes, number = _codes(pattern), str(_NUMBERS[pattern.get("index") or "first"])
    return {"BYDAY": number + codes[0]} if len(codes) == 1 else {"BYDAY": ",".join(codes), "BYSETPOS": number}


def _codes(pattern: RecurrencePattern) -> list[str]:
    codes = sorted({_CODES[day.lower()] for day in pattern["daysOfWeek"]}, key=_ORDER.index)
    if not codes:
        raise ValueError("a pattern of no days")
    return codes


def _end(ends: RecurrenceRange, when: When) -> dict[str, str]:
    if ends["type"] == "numbered":
        return {"COUNT": str(ends["numberOfOccurrences"])}
    if ends["type"] == "noEnd":
        return {}
    last = date.fromisoformat(ends["endDate"])
    if when.all_day:
        return {"UNTIL": f"{last:%Y%m%d}"}
    return {"UNTIL": f"{instant(datetime.combine(last, when.start.time()), when.tzid):%Y%m%dT%H%M%SZ}"}
