"""The rules of availability: how callers write them, and how they are written back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any as Anything
from typing import cast

import strawberry

from kalends.domain.errors import InvalidInput, Malformed, Path, Problem
from kalends.domain.rules import (
    EVERYTHING,
    MAX_DEPTH,
    MAX_RULES,
    WEEKDAYS,
    WEEKENDS,
    All,
    Allow,
    Any,
    Block,
    Days,
    Hours,
    Not,
    Period,
    Rule,
    Times,
)
from kalends.domain.values import DATE_TIME
from schema.enums import Weekday
from schema.scalars import DateTime, LocalTime, instant_or_date, time_of_day

HOURS = "A time of day in the resource's zone. An end that is not after the start is on the next day."
FROM = "The first moment that belongs to it."
UNTIL = "The first moment that no longer belongs to it."


@strawberry.input(description=HOURS)
class HoursInput:
    """See the description."""

    start: LocalTime = strawberry.field(description=FROM)
    end: LocalTime = strawberry.field(description=UNTIL)

    def read(self, problems: list[Problem], path: Path) -> Hours:
        """Return the times; note what cannot be read."""
        return _hours(self.start, self.end, problems, path)


@strawberry.input(description="A time of day on one day of the week, in the resource's zone.")
class DayAndTimeInput:
    """See the description."""

    day: Weekday = strawberry.field(description="The day on which it starts.")
    start: LocalTime = strawberry.field(description=FROM)
    end: LocalTime = strawberry.field(description=UNTIL)

    def read(self, problems: list[Problem], path: Path) -> Hours:
        """Return the times; note what cannot be read."""
        hours = _hours(self.start, self.end, problems, path)
        return Hours(hours.start, hours.end, frozenset({self.day}))


@strawberry.input(description="The time between two moments.")
class PeriodInput:
    """See the description."""

    start: DateTime = strawberry.field(description=FROM)
    end: DateTime = strawberry.field(description=UNTIL)

    def read(self, problems: list[Problem], path: Path) -> Times:
        """Return the times; note what cannot be read."""
        start, end = instant_or_date(self.start), instant_or_date(self.end)
        for name, value in (("start", start), ("end", end)):
            if not isinstance(value, datetime):
                problems.append(_invalid((*path, name), DATE_TIME))
        if not isinstance(start, datetime) or not isinstance(end, datetime):
            return Days(frozenset())
        if end <= start:
            problems.append(_invalid((*path, "end"), "a time after start"))
        return Period(start.astimezone(UTC), end.astimezone(UTC))


@strawberry.input(
    one_of=True,
    description="A rule about when a resource can be booked: exactly one of its fields. A slot is allowed where the "
    "rule holds all of it. Rules are about the clocks of each resource's own zone: an hour that they show twice is in "
    f"a rule both times. At most {MAX_RULES} rules, at most {MAX_DEPTH} deep.",
)
class AvailabilityRuleInput:
    """See the description."""

    allow_day: strawberry.Maybe[Weekday] = strawberry.field(description="Only this day of the week.")
    block_day: strawberry.Maybe[Weekday] = strawberry.field(description="Not this day of the week.")
    allow_day_and_time: strawberry.Maybe[DayAndTimeInput] = strawberry.field(
        description="Only this time of day on this day of the week."
    )
    block_day_and_time: strawberry.Maybe[DayAndTimeInput] = strawberry.field(
        description="Not this time of day on this day of the week."
    )
    allow_hours: strawberry.Maybe[HoursInput] = strawberry.field(description="Only this time of day, on every day.")
    block_hours: strawberry.Maybe[HoursInput] = strawberry.field(description="Not this time of day, on any day.")
    allow_period: strawberry.Maybe[PeriodInput] = strawberry.field(description="Only between these moments.")
    block_period: strawberry.Maybe[PeriodInput] = strawberry.field(description="Not between these moments.")
    allow_weekdays: strawberry.Maybe[bool] = strawberry.field(
        description="Only Monday to Friday; false, only Saturday and Sunday."
    )
    block_weekdays: strawberry.Maybe[bool] = strawberry.field(
        description="Not Monday to Friday; false, not Saturday and Sunday."
    )
    allow_weekends: strawberry.Maybe[bool] = strawberry.field(
        description="Only Saturday and Sunday; false, only Monday to Friday."
    )
    block_weekends: strawberry.Maybe[bool] = strawberry.field(
        description="Not Saturday and Sunday; false, not Monday to Friday."
    )
    and_: strawberry.Maybe[list[AvailabilityRuleInput]] = strawberry.field(
        name="and", description="What every one of these rules holds; of none of them, everything."
    )
    or_: strawberry.Maybe[list[AvailabilityRuleInput]] = strawberry.field(
        name="or", description="What at least one of these rules holds; of none of them, nothing."
    )
    not_: strawberry.Maybe[AvailabilityRuleInput] = strawberry.field(
        name="not", description="What this rule does not hold."
    )

    def read(self, problems: list[Problem], path: Path = (), depth: int = 1) -> Rule:
        """Return the rule; note what cannot be read. What is too deep is cut: whoever judges it sees that it is."""
        if depth > MAX_DEPTH:
            return EVERYTHING
        name, value = next((name, given.value) for name in _NAMES if (given := getattr(self, name)) is not None)
        inside = (*path, name.removesuffix("_"))
        if name in ("and_", "or_"):
            rules = tuple(
                each.read(problems, (*inside, str(number)), depth + 1)
                for number, each in enumerate(value[: MAX_RULES + 1])
            )
            return All(rules) if name == "and_" else Any(rules)
        if name == "not_":
            return Not(value.read(problems, inside, depth + 1))
        kind, _, what = name.partition("_")
        times = _times(what, value, problems, inside)
        return Allow(times) if kind == "allow" else Block(times)


_NAMES = tuple(AvailabilityRuleInput.__annotations__)


def _times(what: str, value: Anything, problems: list[Problem], path: Path) -> Times:
    match what:
        case "day":
            return Days(frozenset({value}))
        case "weekdays":
            return WEEKDAYS if value else WEEKENDS
        case "weekends":
            return WEEKENDS if value else WEEKDAYS
    return cast("Times", value.read(problems, path))


def _hours(start: LocalTime, end: LocalTime, problems: list[Problem], path: Path) -> Hours:
    first, last = time_of_day(start), time_of_day(end)
    for name, value in (("start", first), ("end", last)):
        if isinstance(value, Malformed):
            problems.append(_invalid((*path, name), value.expected))
    if isinstance(first, Malformed) or isinstance(last, Malformed):
        return Hours(datetime.min.time(), datetime.min.time())
    return Hours(first, last)


def _invalid(path: Path, expected: str) -> InvalidInput:
    return InvalidInput(path=path, message=f"Expected {expected}.", expected=expected)


def rule_in_api_words(rule: Rule) -> dict[str, Anything]:
    """Return a rule in the form of `AvailabilityRuleInput`."""
    match rule:
        case All(rules):
            return {"and": [rule_in_api_words(each) for each in rules]}
        case Any(rules):
            return {"or": [rule_in_api_words(each) for each in rules]}
        case Not(inner):
            return {"not": rule_in_api_words(inner)}
        case Allow(times):
            return _times_in_api_words("allow", times)
        case Block(times):
            return _times_in_api_words("block", times)


def _times_in_api_words(kind: str, times: Times) -> dict[str, Anything]:
    if times in (WEEKDAYS, WEEKENDS):
        return {f"{kind}{'Weekdays' if times == WEEKDAYS else 'Weekends'}": True}
    match times:
        case Days(days):
            return {f"{kind}Day": min(days).name}
        case Hours(start, end, days):
            hours = {"start": start.isoformat(), "end": end.isoformat()}
            if len(days) > 1:
                return {f"{kind}Hours": hours}
            return {f"{kind}DayAndTime": {"day": min(days).name, **hours}}
        case Period(begin, until):
            told = (each.isoformat().replace("+00:00", "Z") for each in (begin, until))
            return {f"{kind}Period": dict(zip(("start", "end"), told, strict=True))}
