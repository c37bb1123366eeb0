"""Conditions: what is wrong with them, what two of them are together, and that the database keeps them whole."""

from __future__ import annotations

import json
from datetime import time, timedelta
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.busy import BusyRules
from kalends.domain.errors import InvalidInput, Malformed
from kalends.domain.profiles import (
    MAX_CAPACITY,
    Conditions,
    ConditionsDraft,
    conditions_from_plain,
    conditions_to_plain,
)
from kalends.domain.rules import EVERYTHING, WEEKDAYS, All, Allow, Block, Hours, Not, Rule, allowed
from kalends.domain.spans import intersection, ticks
from tests.domain.test_rules import rules
from tests.helpers import BERLIN, DAY, HOUR, MINUTE, NOBODY, NOW

OFFICE = Allow(Hours(time(9), time(17)))
IDS = [uuid5(NOBODY, str(number)) for number in range(3)]
blockings = st.builds(
    BusyRules, st.booleans(), st.booleans(), st.booleans(), st.frozensets(st.sampled_from(IDS), max_size=3)
)
minutes = st.integers(0, 1_440).map(lambda number: number * MINUTE)
conditions = st.builds(Conditions, rules, blockings, minutes, minutes, minutes, st.integers(1, MAX_CAPACITY))


@given(conditions)
def test_the_database_keeps_conditions_whole(given_ones: Conditions) -> None:
    plain = json.loads(json.dumps(conditions_to_plain(given_ones)))
    assert conditions_from_plain(plain) == given_ones


@given(conditions, conditions)
def test_of_two_conditions_both_hold(one: Conditions, other: Conditions) -> None:
    draft = ConditionsDraft(
        rule=other.rule,
        blocking=other.blocking,
        buffer_before=other.buffer_before,
        buffer_after=other.buffer_after,
        notice=other.notice,
        capacity=other.capacity,
    )
    both = draft.over(one)
    window = (ticks(NOW), ticks(NOW + 10 * DAY))
    held = [allowed(each.rule, window, BERLIN) for each in (one, other, both)]
    assert held[2] == intersection(held[0], held[1])
    for name in ("buffer_before", "buffer_after", "notice"):
        assert getattr(both, name) == max(getattr(one, name), getattr(other, name))
    assert both.capacity == min(one.capacity, other.capacity)
    assert both.blocking.ignored == one.blocking.ignored & other.blocking.ignored
    for name in ("all_day", "tentative", "unavailable"):
        assert getattr(both.blocking, name) is (getattr(one.blocking, name) or getattr(other.blocking, name))
    assert draft.over(None) == other


@given(conditions)
def test_what_is_not_said_changes_nothing(given_ones: Conditions) -> None:
    assert ConditionsDraft().over(given_ones) == given_ones
    assert ConditionsDraft().over(None) == Conditions()


def nested(depth: int) -> Rule:
    rule: Rule = OFFICE
    for _ in range(depth - 1):
        rule = Not(rule)
    return rule


@pytest.mark.parametrize(
    ("draft", "paths"),
    [
        (ConditionsDraft(), []),
        (ConditionsDraft(rule=nested(8), capacity=1_000, notice=366 * DAY, buffer_after=DAY), []),
        (ConditionsDraft(rule=nested(9)), ["rule"]),
        (ConditionsDraft(rule=All((OFFICE,) * 99)), []),
        (ConditionsDraft(rule=All((OFFICE,) * 100)), ["rule"]),
        (ConditionsDraft(unread=(InvalidInput(path=("and", "0"), message="", expected=""),)), ["rule.and.0"]),
        (ConditionsDraft(capacity=0, notice=367 * DAY), ["notice", "capacity"]),
        (ConditionsDraft(capacity=1_001), ["capacity"]),
        (ConditionsDraft(buffer_before=DAY + timedelta(seconds=1)), ["buffer_before"]),
        (ConditionsDraft(buffer_before=Malformed("a duration"), buffer_after=-HOUR), ["buffer_before", "buffer_after"]),
    ],
)
def test_what_is_wrong_comes_all_at_once(draft: ConditionsDraft, paths: list[str]) -> None:
    assert [".".join(each.path) for each in draft.problems()] == paths


def test_a_rule_beside_none_stays_what_it_is() -> None:
    draft = ConditionsDraft(rule=Block(WEEKDAYS))
    assert draft.over(Conditions()).rule == Block(WEEKDAYS)
    assert draft.over(Conditions(OFFICE)).rule == All((OFFICE, Block(WEEKDAYS)))
    assert ConditionsDraft().over(Conditions()).rule == EVERYTHING
