"""Changes to a series: to one of its times, to those from one on, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kalends.domain.errors import Refused
from kalends.domain.events import EventState
from kalends.domain.recurrence import Occurrence, Override, Recurrence, begun_at, occurrences
from kalends.domain.series import (
    carried_over,
    every_time,
    occurrence_of,
    split,
    with_override,
    without_occurrence,
)
from kalends.domain.time import TimeSpan, When
from tests.domain.test_recurrence import TWO_YEARS, series
from tests.helpers import BERLIN, DAY, HOUR, NOW, WEEK, make_content, make_days, make_span, make_when

YEAR = make_span(datetime(2026, 1, 1, tzinfo=UTC), 365 * DAY)
FIRST = make_when(tzid=BERLIN)
START = FIRST.start
FIRST_CONTENT = make_content()
OTHER = EventState(make_when(NOW + 30 * DAY, tzid=BERLIN), make_content("Elsewhere"))


def make_series(rule: str | None = "FREQ=DAILY;COUNT=10", **more: Any) -> EventState:
    return EventState(FIRST, make_content(), Recurrence(rule, **more))


def times(state: EventState | None, window: TimeSpan = YEAR) -> list[Occurrence]:
    if state is None:
        return []
    if state.recurrence is None:
        return [Occurrence(state.when.start, state.when)] if state.when.span.overlaps(window) else []
    return occurrences(state.when, state.recurrence, window)


def days(state: EventState | None) -> list[int]:
    """Return how many days after the first time of the tests a series takes place."""
    return [(each.when.start - START).days for each in times(state)]


def test_an_occurrence_says_what_its_series_says_at_its_own_time() -> None:
    state = make_series()
    assert occurrence_of(state, START + 3 * DAY) == EventState(make_when(NOW + 3 * DAY, tzid=BERLIN), state.content)
    assert occurrence_of(state, START) == EventState(FIRST, state.content)


def test_an_occurrence_that_differs_says_what_its_override_says() -> None:
    state = make_series(overrides={START + DAY: Override(OTHER.when, OTHER.content)})
    assert occurrence_of(state, START + DAY) == OTHER


def test_a_date_beside_the_rule_is_an_occurrence() -> None:
    state = make_series(rdates=frozenset({START + 40 * DAY}))
    assert occurrence_of(state, START + 40 * DAY).when.start == START + 40 * DAY


@pytest.mark.parametrize("off", [-DAY, HOUR, 4 * DAY, 10 * DAY, 4000 * DAY])
def test_a_time_at_which_a_series_does_not_take_place_is_not_found(off: timedelta) -> None:
    state = make_series(exdates=frozenset({START + 4 * DAY}))
    with pytest.raises(Refused) as refused:
        occurrence_of(state, START + off)
    assert [problem.code for problem in refused.value.problems] == ["NOT_FOUND"]


def test_an_event_that_does_not_repeat_has_no_occurrences() -> None:
    for change in (occurrence_of, without_occurrence, split):
        with pytest.raises(Refused):
            change(OTHER, START)


def test_one_occurrence_changes_and_the_others_stay() -> None:
    changed = with_override(make_series(), START + 2 * DAY, OTHER)
    assert days(changed) == [0, 1, 3, 4, 5, 6, 7, 8, 9, 30]
    assert occurrence_of(changed, START + 2 * DAY) == OTHER


def test_an_occurrence_that_says_again_what_its_series_says_is_no_exception_any_more() -> None:
    state = make_series()
    changed = with_override(state, START + 2 * DAY, OTHER)
    assert with_override(changed, START + 2 * DAY, occurrence_of(state, START + 2 * DAY)) == state


def test_an_occurrence_is_taken_out_also_where_it_differed() -> None:
    state = without_occurrence(with_override(make_series(), START + 2 * DAY, OTHER), START + 2 * DAY)
    assert days(state) == [0, 1, 3, 4, 5, 6, 7, 8, 9]


def test_a_rule_that_counts_is_split_without_counting_anything_twice() -> None:
    before, after = split(make_series(), START + 4 * DAY)
    assert before is not None
    assert before.recurrence == Recurrence("FREQ=DAILY;UNTIL=20260508T065959Z")
    assert (days(before), days(after)) == ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    assert after.recurrence == Recurrence("FREQ=DAILY;COUNT=6")


def test_a_series_of_whole_days_ends_the_day_before_its_split() -> None:
    state = EventState(make_days(), make_content(), Recurrence("FREQ=WEEKLY"))
    start = state.when.start
    before, after = split(state, start + 2 * WEEK)
    assert before is not None
    assert before.recurrence == Recurrence(f"FREQ=WEEKLY;UNTIL={start + 2 * WEEK - DAY:%Y%m%d}")
    assert after.when.start == start + 2 * WEEK


def test_a_split_at_the_first_time_leaves_nothing_before() -> None:
    state = make_series()
    assert split(state, START) == (None, state)


def test_exceptions_go_with_their_part() -> None:
    state = make_series(
        exdates=frozenset({START + DAY, START + 6 * DAY}),
        rdates=frozenset({START + 2 * DAY + HOUR, START + 20 * DAY}),
        overrides={
            START + 3 * DAY: Override(OTHER.when, OTHER.content),
            START + 7 * DAY: Override(OTHER.when, OTHER.content),
        },
    )
    before, after = split(state, START + 5 * DAY)
    assert before is not None
    assert before.recurrence is not None
    assert after.recurrence is not None
    assert before.recurrence.exdates == {START + DAY}
    assert after.recurrence.exdates == {START + 6 * DAY}
    assert before.recurrence.rdates == {START + 2 * DAY + HOUR}
    assert after.recurrence.rdates == {START + 20 * DAY}
    assert list(before.recurrence.overrides) == [START + 3 * DAY]
    assert list(after.recurrence.overrides) == [START + 7 * DAY]


def test_a_date_beside_the_rule_cannot_begin_the_rest_of_it() -> None:
    state = make_series("FREQ=DAILY", rdates=frozenset({START + 2 * DAY + HOUR}))
    with pytest.raises(Refused) as refused:
        split(state, START + 2 * DAY + HOUR)
    (problem,) = refused.value.problems
    assert problem.path == ("scope",)
    assert f"{START + 3 * DAY:%Y-%m-%dT%H:%M:%S}" in problem.message


def test_a_date_after_the_last_that_the_rule_names_begins_the_dates_that_are_left() -> None:
    dates = frozenset({START + 20 * DAY, START + 30 * DAY})
    before, after = split(make_series(rdates=dates), START + 20 * DAY)
    assert before is not None
    assert before.recurrence == Recurrence("FREQ=DAILY;COUNT=10")
    assert (days(before), days(after)) == ([*range(10)], [20, 30])


def test_dates_without_a_rule_are_split_anywhere() -> None:
    state = make_series(None, rdates=frozenset({START + DAY, START + 5 * DAY}))
    before, after = split(state, START + DAY)
    assert (days(before), days(after)) == ([0], [1, 5])


def test_the_last_time_alone_does_not_repeat() -> None:
    assert split(make_series(), START + 9 * DAY)[1].recurrence is None


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=3 * settings().max_examples
)
@given(series(), st.data())
def test_both_parts_of_a_split_take_place_when_the_whole_did(one: tuple[When, Recurrence], data: st.DataObject) -> None:
    when, recurrence = one
    state = EventState(when, make_content(), recurrence)
    whole = times(state, TWO_YEARS)
    named = times(replace(state, recurrence=replace(recurrence, rdates=frozenset())), TWO_YEARS)
    assume(named)
    at = data.draw(st.sampled_from(named)).recurrence_id
    before, after = split(state, at)
    assert times(before, TWO_YEARS) + times(after, TWO_YEARS) == whole
    assert after.when == begun_at(state.when, at)


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(series(), st.data())
def test_a_series_has_the_occurrences_that_it_takes_place_at_and_no_others(
    one: tuple[When, Recurrence], data: st.DataObject
) -> None:
    when, recurrence = one
    state = EventState(when, make_content(), recurrence)
    for each in data.draw(
        st.lists(st.sampled_from(times(state, TWO_YEARS) or [Occurrence(state.when.start, state.when)]), max_size=3)
    ):
        assert occurrence_of(state, each.recurrence_id).when == each.when
        with pytest.raises(Refused):
            occurrence_of(state, each.recurrence_id + 7 * HOUR / 11)


# All of a series


def test_exceptions_follow_their_series_when_it_moves() -> None:
    state = make_series(
        rdates=frozenset({START + 30 * DAY}),
        exdates=frozenset({START + DAY}),
        overrides={START + 2 * DAY: Override(OTHER.when, OTHER.content)},
    )
    moved = carried_over(state, replace(state, when=make_when(NOW + 3 * HOUR, tzid=BERLIN)))
    assert moved.recurrence == Recurrence(
        "FREQ=DAILY;COUNT=10",
        frozenset({START + 30 * DAY + 3 * HOUR}),
        frozenset({START + DAY + 3 * HOUR}),
        {START + 2 * DAY + 3 * HOUR: Override(OTHER.when, OTHER.content)},
    )


def test_an_occurrence_that_only_says_something_else_moves_with_its_series() -> None:
    day, own = START + 2 * DAY, make_content("Its own")
    state = make_series(overrides={day: Override(make_when(NOW + 2 * DAY, tzid=BERLIN), own)})
    moved = carried_over(state, replace(state, when=make_when(NOW + HOUR, tzid=BERLIN)))
    assert moved.recurrence is not None
    assert moved.recurrence.overrides == {day + HOUR: Override(make_when(NOW + 2 * DAY + HOUR, tzid=BERLIN), own)}


def test_an_occurrence_keeps_what_it_says_otherwise_and_follows_in_the_rest() -> None:
    day = START + 2 * DAY
    state = make_series(overrides={day: Override(OTHER.when, replace(FIRST_CONTENT, location="Elsewhere"))})
    told = replace(FIRST_CONTENT, summary="Review", location="Room 2")
    changed = carried_over(state, replace(state, content=told))
    assert occurrence_of(changed, day) == EventState(OTHER.when, replace(told, location="Elsewhere"))


def test_exceptions_stay_where_a_series_repeats_otherwise_and_still_has_them() -> None:
    kept, lost = START + 2 * DAY, START + 3 * DAY
    state = make_series(overrides={day: Override(OTHER.when, OTHER.content) for day in (kept, lost)})
    changed = carried_over(state, replace(state, recurrence=Recurrence("FREQ=DAILY;INTERVAL=2;COUNT=5")), anew=True)
    assert changed.recurrence == Recurrence(
        "FREQ=DAILY;INTERVAL=2;COUNT=5", overrides={kept: Override(OTHER.when, OTHER.content)}
    )


def test_a_change_of_every_time_reaches_those_that_differ() -> None:
    state = make_series(overrides={START + DAY: Override(OTHER.when, OTHER.content)})
    changed = every_time(state, lambda content: replace(content, transparent=True))
    assert {(each.override or changed.content).transparent for each in times(changed)} == {True}
    assert days(changed) == days(state)
