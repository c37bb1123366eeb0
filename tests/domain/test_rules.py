"""Rules against the clocks, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.rules import (
    EVERYTHING,
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
    Weekday,
    allowed,
    refusing,
)
from kalends.domain.spans import Span, holds, moment, ticks
from kalends.domain.time import zone
from tests.helpers import BERLIN, DAY, HOUR, MINUTE, NOW

ZONES = [BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "UTC", "Pacific/Apia"]
CHANGES = [  # on these days, and in these zones, the clocks change
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, 5, tzinfo=UTC),
    datetime(2026, 11, 1, 4, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2011, 12, 30, 9, tzinfo=UTC),
]

quarters = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
days = st.frozensets(st.sampled_from(list(Weekday)), min_size=1)
moments = st.builds(
    lambda base, steps: base + steps * 15 * MINUTE, st.sampled_from([*CHANGES, NOW]), st.integers(-96, 96)
)
times: st.SearchStrategy[Times] = st.one_of(
    st.builds(Days, days), st.builds(Hours, quarters, quarters, days), st.builds(Period, moments, moments)
)
rules: st.SearchStrategy[Rule] = st.recursive(
    st.builds(Allow, times) | st.builds(Block, times),
    lambda inner: st.one_of(
        st.builds(All, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Any, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)


def shown(at: datetime, tzid: str) -> datetime:
    return at.astimezone(zone(tzid)).replace(tzinfo=None)


def within(times: Times, at: datetime, tzid: str) -> bool:
    """Tell what the clocks on the wall say, for one moment."""
    if isinstance(times, Period):
        return times.start <= at < times.end
    wall = shown(at, tzid)
    if isinstance(times, Days):
        return wall.isoweekday() in times.days
    clock, over_midnight = wall.time(), times.end <= times.start and times.end != time()
    today, yesterday = wall.isoweekday() in times.days, (wall - DAY).isoweekday() in times.days
    if not over_midnight:
        return today and times.start <= clock and (clock < times.end or times.end == time())
    return (today and clock >= times.start) or (yesterday and clock < times.end)


def obeys(rule: Rule, at: datetime, tzid: str) -> bool:
    match rule:
        case Allow(times):
            return within(times, at, tzid)
        case Block(times):
            return not within(times, at, tzid)
        case All(inner):
            return all(obeys(each, at, tzid) for each in inner)
        case Any(inner):
            return any(obeys(each, at, tzid) for each in inner)
        case Not(inner_rule):
            return not obeys(inner_rule, at, tzid)


def window(start: datetime, duration: timedelta) -> Span:
    return ticks(start), ticks(start + duration)


@given(rules, st.sampled_from(ZONES), st.sampled_from([*CHANGES, NOW]), st.integers(-20, 20))
def test_a_rule_holds_what_the_clocks_say_minute_by_minute(rule: Rule, tzid: str, base: datetime, shift: int) -> None:
    start = base + shift * HOUR
    held = allowed(rule, window(start, 40 * HOUR), tzid)
    for number in range(0, 40 * 60, 5):
        at = start + number * MINUTE
        assert holds(held, ticks(at), ticks(at) + 1) is obeys(rule, at, tzid), (shown(at, tzid), rule)


@given(rules, st.sampled_from(ZONES), moments, st.sampled_from([15, 60, 600]))
def test_what_refuses_a_slot_does_not_hold_all_of_it_and_something_refuses_what_is_not_held(
    rule: Rule, tzid: str, start: datetime, minutes: int
) -> None:
    inside = [start + number * MINUTE for number in range(0, minutes, 5)]
    slot = window(start, minutes * MINUTE)
    found = refusing(rule, slot, tzid)
    assert bool(found) is not all(obeys(rule, at, tzid) for at in inside)
    for each in found:
        assert not isinstance(each, All)
        assert not all(obeys(each, at, tzid) for at in inside)


def test_without_a_rule_everything_is_allowed() -> None:
    assert allowed(EVERYTHING, window(NOW, DAY), BERLIN) == [window(NOW, DAY)]
    assert refusing(EVERYTHING, window(NOW, DAY), BERLIN) == []


def test_weekdays_and_weekends_share_nothing_and_leave_nothing_out() -> None:
    week = window(NOW, 7 * DAY)
    assert allowed(Any((Allow(WEEKDAYS), Allow(WEEKENDS))), week, BERLIN) == [week]
    assert allowed(All((Allow(WEEKDAYS), Allow(WEEKENDS))), week, BERLIN) == []


@pytest.mark.parametrize(
    ("start", "hours"),
    [
        (datetime(2026, 3, 28, 23, tzinfo=UTC), 7),  # 00:00 to 08:00, of which the clocks skip one
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 9),  # and one that they show twice
        (datetime(2026, 5, 3, 22, tzinfo=UTC), 8),
    ],
)
def test_a_night_is_as_long_as_the_clocks_make_it(start: datetime, hours: int) -> None:
    held = allowed(Allow(Hours(time(0), time(8))), window(start, 12 * HOUR), BERLIN)
    assert held == [window(start, hours * HOUR)]


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    friday_night = Allow(Hours(time(22), time(2), frozenset({Weekday.FRIDAY})))
    start = datetime(2026, 5, 8, 20, tzinfo=UTC)  # 22:00 in Berlin
    assert allowed(friday_night, window(start - DAY, 5 * DAY), BERLIN) == [window(start, 4 * HOUR)]


def test_an_end_at_midnight_is_the_end_of_the_day() -> None:
    evening = Allow(Hours(time(20), time(0)))
    start = datetime(2026, 5, 4, 18, tzinfo=UTC)
    assert allowed(evening, window(start - HOUR, 20 * HOUR), BERLIN) == [window(start, 4 * HOUR)]


def test_the_days_are_those_of_the_resources_zone() -> None:
    monday = Allow(Days(frozenset({Weekday.MONDAY})))
    for tzid, hour in ((BERLIN, 22), ("America/New_York", 4), ("Asia/Kathmandu", 18)):
        [(since, until)] = allowed(monday, window(datetime(2026, 5, 2, tzinfo=UTC), 4 * DAY), tzid)
        assert until - since == ticks(NOW + DAY) - ticks(NOW)
        assert moment(since).hour == hour
