"""Under which conditions a resource can be booked, and the profiles under which they are kept.

A profile and a question about slots may both have conditions: then both hold. So whatever is offered under a profile
and more can be booked under the profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any as Anything
from typing import TypeAlias
from uuid import UUID

from kalends.domain.availability import Terms
from kalends.domain.busy import BusyRules
from kalends.domain.errors import Malformed, Problem, invalid
from kalends.domain.rules import (
    EVERYTHING,
    MAX_DEPTH,
    MAX_RULES,
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
    Weekday,
)
from kalends.domain.values import written_duration

MAX_PROFILES = 50  # of one resource
MAX_BUFFER, MAX_NOTICE = timedelta(days=1), timedelta(days=366)
MAX_CAPACITY = 1_000
_NONE = timedelta()
_ALL = BusyRules()


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a resource can be booked: see `Rule`, `BusyRules`, `Terms` and `Timetable`."""

    rule: Rule = EVERYTHING
    blocking: BusyRules = _ALL
    buffer_before: timedelta = _NONE
    buffer_after: timedelta = _NONE
    notice: timedelta = _NONE
    capacity: int = 1

    def terms(self, length: timedelta) -> Terms:
        """Return the terms of a booking of this length."""
        return Terms(length, self.buffer_before, self.buffer_after, self.notice)


@dataclass(frozen=True, slots=True)
class Profile:
    """Conditions of a resource's, under a name of their own."""

    id: UUID
    resource_id: UUID
    name: str
    conditions: Conditions
    created_at: datetime
    updated_at: datetime


Given: TypeAlias = timedelta | Malformed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsDraft:
    """What a caller wrote of conditions, read but not yet judged; None stands for what was not written.

    `unread` is what is wrong with the rule, beyond its size. `ignored` are the calendars that `blocking` leaves out, as
    they were written: None stands for text that cannot be an id.
    """

    rule: Rule | None = None
    unread: tuple[Problem, ...] = ()
    blocking: BusyRules | None = None
    ignored: tuple[UUID | None, ...] = ()
    buffer_before: Given = None
    buffer_after: Given = None
    notice: Given = None
    capacity: int | None = None

    def problems(self) -> list[Problem]:
        """Return everything that is wrong."""
        found = [each.under("rule") for each in self.unread]
        if self.rule is not None and _size(self.rule) > MAX_RULES:
            found.append(invalid("rule", f"at most {MAX_RULES} rules, combinations counted"))
        if self.rule is not None and _depth(self.rule) > MAX_DEPTH:
            found.append(invalid("rule", f"rules in one another at most {MAX_DEPTH} deep"))
        for name, value, most in (
            ("buffer_before", self.buffer_before, MAX_BUFFER),
            ("buffer_after", self.buffer_after, MAX_BUFFER),
            ("notice", self.notice, MAX_NOTICE),
        ):
            found += bounded(name, value, least=_NONE, most=most)
        if self.capacity is not None and not 1 <= self.capacity <= MAX_CAPACITY:
            found.append(invalid("capacity", f"1 to {MAX_CAPACITY:,}"))
        return found

    def over(self, base: Conditions | None) -> Conditions:
        """Return these conditions, and where there are others, both. For what has no problems."""
        blocking, capacity = self.blocking, self.capacity
        if base is None:
            base = Conditions(blocking=blocking or _ALL, capacity=capacity or 1)
        return Conditions(
            rule=base.rule
            if self.rule is None
            else self.rule
            if base.rule == EVERYTHING
            else All((base.rule, self.rule)),
            blocking=base.blocking if blocking is None else base.blocking | blocking,
            buffer_before=max(base.buffer_before, _duration(self.buffer_before)),
            buffer_after=max(base.buffer_after, _duration(self.buffer_after)),
            notice=max(base.notice, _duration(self.notice)),
            capacity=base.capacity if capacity is None else min(base.capacity, capacity),
        )


def bounded(name: str, value: Given, *, least: timedelta, most: timedelta) -> Iterator[Problem]:
    """Yield what is wrong with a duration; None is well."""
    if isinstance(value, Malformed):
        yield invalid(name, value.expected)
    elif value is not None and not least <= value <= most:
        yield invalid(name, f"a duration from {written_duration(least)} to {written_duration(most)}")


def _duration(given: Given) -> timedelta:
    return given if isinstance(given, timedelta) else _NONE


def _inside(rule: Rule) -> tuple[Rule, ...]:
    match rule:
        case All(rules) | Any(rules):
            return rules
        case Not(inner):
            return (inner,)
    return ()


def _size(rule: Rule) -> int:
    return 1 + sum(_size(each) for each in _inside(rule))


def _depth(rule: Rule) -> int:
    return 1 + max((_depth(each) for each in _inside(rule)), default=0)


# As JSON, for the database


def conditions_to_plain(conditions: Conditions) -> dict[str, Anything]:
    """Return conditions in types that JSON has; durations in seconds."""
    blocking = conditions.blocking
    return {
        "rule": _rule_to_plain(conditions.rule),
        "blocking": {
            "allDay": blocking.all_day,
            "tentative": blocking.tentative,
            "unavailable": blocking.unavailable,
            "ignored": sorted(map(str, blocking.ignored)),
        },
        "bufferBefore": conditions.buffer_before.total_seconds(),
        "bufferAfter": conditions.buffer_after.total_seconds(),
        "notice": conditions.notice.total_seconds(),
        "capacity": conditions.capacity,
    }


def conditions_from_plain(plain: Mapping[str, Anything]) -> Conditions:
    """Return the conditions that were written."""
    blocking = plain["blocking"]
    return Conditions(
        rule=_rule_from_plain(plain["rule"]),
        blocking=BusyRules(
            blocking["allDay"],
            blocking["tentative"],
            blocking["unavailable"],
            frozenset(UUID(each) for each in blocking["ignored"]),
        ),
        buffer_before=timedelta(seconds=plain["bufferBefore"]),
        buffer_after=timedelta(seconds=plain["bufferAfter"]),
        notice=timedelta(seconds=plain["notice"]),
        capacity=plain["capacity"],
    )


def _rule_to_plain(rule: Rule) -> dict[str, Anything]:
    match rule:
        case Allow(times):
            return {"allow": _times_to_plain(times)}
        case Block(times):
            return {"block": _times_to_plain(times)}
        case All(rules):
            return {"all": [_rule_to_plain(each) for each in rules]}
        case Any(rules):
            return {"any": [_rule_to_plain(each) for each in rules]}
        case Not(inner):
            return {"not": _rule_to_plain(inner)}


def _rule_from_plain(plain: Mapping[str, Anything]) -> Rule:
    ((kind, inner),) = plain.items()
    match kind:
        case "allow":
            return Allow(_times_from_plain(inner))
        case "block":
            return Block(_times_from_plain(inner))
        case "all":
            return All(tuple(_rule_from_plain(each) for each in inner))
        case "any":
            return Any(tuple(_rule_from_plain(each) for each in inner))
    return Not(_rule_from_plain(inner))


def _times_to_plain(times: Times) -> dict[str, Anything]:
    match times:
        case Days(days):
            return {"days": sorted(days)}
        case Hours(start, end, days):
            return {"start": start.isoformat(), "end": end.isoformat(), "days": sorted(days)}
        case Period(begin, until):
            return {"since": begin.isoformat(), "until": until.isoformat()}


def _times_from_plain(plain: Mapping[str, Anything]) -> Times:
    if "since" in plain:
        return Period(datetime.fromisoformat(plain["since"]), datetime.fromisoformat(plain["until"]))
    days = frozenset(Weekday(each) for each in plain["days"])
    if "start" in plain:
        return Hours(time.fromisoformat(plain["start"]), time.fromisoformat(plain["end"]), days)
    return Days(days)
