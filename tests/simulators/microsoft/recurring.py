"""Which days a recurrence names: https://learn.microsoft.com/graph/api/resources/recurrencepattern.

Day 31 of a month that has fewer is its last one, as in Outlook.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Any

from .errors import invalid

_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_INDEXES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}
_NEEDED = {
    "daily": set[str](),
    "weekly": {"daysOfWeek", "firstDayOfWeek"},
    "absoluteMonthly": {"dayOfMonth"},
    "relativeMonthly": {"daysOfWeek"},
    "absoluteYearly": {"dayOfMonth", "month"},
    "relativeYearly": {"daysOfWeek", "month"},
}
_RANGES = {"noEnd": set[str](), "endDate": {"endDate"}, "numbered": {"numberOfOccurrences"}}
_LAST_YEAR = 2100


def check(recurrence: Any, first: date) -> None:
    """Refuse what is no recurrence, or does not begin on the day of its event."""
    try:
        pattern, ends = recurrence["pattern"], recurrence["range"]
        needed = _NEEDED[pattern["type"]] | {"interval"}
        missing = (needed - pattern.keys()) | ((_RANGES[ends["type"]] | {"startDate"}) - ends.keys())
    except (KeyError, TypeError, AttributeError):
        raise invalid("The recurrence has no pattern, no range, or none that is known.") from None
    if missing:
        raise invalid(f"The recurrence needs {', '.join(sorted(missing))}.")
    if int(pattern["interval"]) < 1 or int(ends.get("numberOfOccurrences", 1)) < 1:
        raise invalid("The recurrence repeats less than once.")
    if date.fromisoformat(ends["startDate"]) != first:
        raise invalid("The recurrence does not begin on the day of its event.")
    if next(days(recurrence), None) != first:
        raise invalid("The event itself is not a day of its recurrence.", "ErrorRecurrenceHasNoOccurrence")


def days(recurrence: Mapping[str, Any]) -> Iterator[date]:
    """Yield the days that a recurrence names, in order."""
    pattern, ends = recurrence["pattern"], recurrence["range"]
    first = date.fromisoformat(ends["startDate"])
    found = (day for day in _endless(pattern, first) if day >= first)
    if ends["type"] == "numbered":
        yield from islice(found, int(ends["numberOfOccurrences"]))
        return
    last = date.fromisoformat(ends["endDate"]) if ends["type"] == "endDate" else date.max
    for day in found:
        if day > last:
            return
        yield day


def _endless(pattern: Mapping[str, Any], first: date) -> Iterator[date]:
    interval = int(pattern["interval"])
    match pattern["type"]:
        case "daily":
            day = first
            while day.year < _LAST_YEAR:
                yield day
                day += timedelta(days=interval)
        case "weekly":
            yield from _weekly(pattern, first, interval)
        case "absoluteMonthly" | "relativeMonthly":
            yield from _monthly(pattern, first.replace(day=1), interval)
        case _:
            yield from _monthly(pattern, first.replace(day=1, month=int(pattern["month"])), 12 * interval)


def _weekly(pattern: Mapping[str, Any], first: date, interval: int) -> Iterator[date]:
    begins = _DAYS.index(pattern["firstDayOfWeek"])
    week = first - timedelta(days=(first.weekday() - begins) % 7)
    offsets = sorted((_DAYS.index(day) - begins) % 7 for day in pattern["daysOfWeek"])
    while week.year < _LAST_YEAR:
        for offset in offsets:
            yield week + timedelta(days=offset)
        week += timedelta(weeks=interval)


def _monthly(pattern: Mapping[str, Any], month: date, interval: int) -> Iterator[date]:
    while month.year < _LAST_YEAR:
        length = calendar.monthrange(month.year, month.month)[1]
        if "dayOfMonth" in pattern:
            yield month.replace(day=min(int(pattern["dayOfMonth"]), length))
        else:
            wanted = {_DAYS.index(day) for day in pattern["daysOfWeek"]}
            fitting = [month.replace(day=day) for day in range(1, length + 1)]
            fitting = [day for day in fitting if day.weekday() in wanted]
            yield fitting[_INDEXES[pattern.get("index", "first")]]
        months = month.year * 12 + month.month - 1 + interval
        month = date(months // 12, months % 12 + 1, 1)
