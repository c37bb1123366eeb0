"""Reading how an event is to repeat: as an RRULE's text, or as a pattern that is told part by part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from kalends.domain.errors import InvalidInput, Malformed, Problem, Refused, invalid
from kalends.domain.recurrence import MAX_COUNT, MAX_EXCEPTIONS, Recurrence, occurs, parts_of, read_rule, with_parts
from kalends.domain.rules import Weekday
from kalends.domain.time import When, read_wall, zone

PATTERN = "a pattern whose numbers are those of RFC 5545 section 3.3.10, and that names days that there are"


class Frequency(StrEnum):
    """The unit of time in which a pattern counts (RFC 5545 section 3.3.10, FREQ)."""

    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True)
class NumberedDay:
    """A weekday; with a number the so-maniest of its month or year, counted from the end where negative."""

    day: Weekday
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A rule, told part by part: each field is a part of RFC 5545 section 3.3.10, empty where it is absent."""

    frequency: Frequency
    interval: int = 1
    days: tuple[NumberedDay, ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: Weekday = Weekday.MONDAY

    def rule(self) -> str:
        """Return the rule's text."""
        told = {
            "FREQ": str(self.frequency),
            "INTERVAL": str(self.interval) if self.interval != 1 else "",
            "BYMONTH": _listed(self.months),
            "BYWEEKNO": _listed(self.weeks),
            "BYYEARDAY": _listed(self.year_days),
            "BYMONTHDAY": _listed(self.month_days),
            "BYDAY": ",".join(f"{each.number or ''}{each.day.name[:2]}" for each in self.days),
            "BYHOUR": _listed(self.hours),
            "BYSETPOS": _listed(self.positions),
            "WKST": self.week_start.name[:2] if self.week_start is not Weekday.MONDAY else "",
        }
        return ";".join(f"{name}={value}" for name, value in told.items() if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrenceDraft:
    """What a caller wrote about how an event repeats, read but not yet judged. A rule is its text or a pattern."""

    rule: str | None = None
    pattern: Pattern | None = None
    until: datetime | date | Malformed | None = None
    count: int | None = None
    rdates: tuple[datetime | date | Malformed, ...] = ()
    exdates: tuple[datetime | date | Malformed, ...] = ()

    def judged(self, when: When) -> Recurrence:
        """Return the recurrence of an event whose first time is `when`; raise `Refused` with every problem at once."""
        problems: list[Problem] = []
        rule = self._rule(problems, when)
        rdates = _walls(problems, "rdates", self.rdates, when)
        exdates = _walls(problems, "exdates", self.exdates, when)
        if problems:
            raise Refused(*problems)
        recurrence = Recurrence(rule, rdates, exdates)
        if not occurs(when, recurrence):
            raise Refused(invalid("exdates", "dates that leave something of the series"))
        return recurrence

    def _rule(self, problems: list[Problem], when: When) -> str | None:
        name = "rule" if self.pattern is None else "pattern"
        if self.rule is not None and self.pattern is not None:
            problems.append(invalid(name, "either a rule or a pattern"))
            return None
        if self.rule is None and self.pattern is None:
            for end, given in (("until", self.until), ("count", self.count)):
                if given is not None:
                    problems.append(invalid(end, "no end where there is no rule"))
            if not self.rdates and not problems:
                problems.append(invalid("rule", "a rule, a pattern or rdates"))
            return None
        text = self.pattern.rule() if self.pattern is not None else self.rule
        read = read_rule(text, tzid=when.tzid, all_day=when.all_day)
        if isinstance(read, Malformed):
            problems.append(invalid(name, PATTERN if self.pattern is not None else read.expected))
            return None
        return self._ended(problems, read, when)

    def _ended(self, problems: list[Problem], rule: str, when: When) -> str:
        """Return the rule with its end, where that is told beside it."""
        ends = [*({"UNTIL", "COUNT"} & parts_of(rule).keys())]
        if len(ends) + (self.until is not None) + (self.count is not None) > 1:
            problems.append(invalid("until" if self.until is not None else "count", "one end at most, or none"))
        elif self.count is not None:
            if 1 <= self.count <= MAX_COUNT:
                return with_parts(rule, COUNT=str(self.count))
            problems.append(invalid("count", f"a number from 1 to {MAX_COUNT}"))
        elif isinstance(self.until, Malformed):
            problems.append(invalid("until", self.until.expected))
        elif self.until is not None:
            ended = read_rule(f"{rule};UNTIL={_until(self.until, when)}", tzid=when.tzid, all_day=when.all_day)
            if isinstance(ended, str):
                return ended
            problems.append(invalid("until", "a date or a moment"))
        return rule


def _until(until: datetime | date, when: When) -> str:
    """Write the end of a rule; a plain date is that day's end."""
    if not isinstance(until, datetime):
        return f"{until:%Y%m%d}"
    if when.all_day:
        return f"{until.astimezone(zone(when.tzid)):%Y%m%d}"
    return f"{until.astimezone(zone('UTC')):%Y%m%dT%H%M%SZ}"


def _walls(
    problems: list[Problem], name: str, given: tuple[datetime | date | Malformed, ...], when: When
) -> frozenset[datetime]:
    if len(given) > MAX_EXCEPTIONS:
        problems.append(invalid(name, f"at most {MAX_EXCEPTIONS} times"))
        return frozenset()
    walls = set()
    for number, value in enumerate(given):
        read = read_wall(value, all_day=when.all_day, tzid=when.tzid)
        if isinstance(read, InvalidInput):
            problems.append(read.under(name, str(number)))
        else:
            walls.add(read.replace(tzinfo=None))
    return frozenset(walls)


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))
