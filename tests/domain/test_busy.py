"""Busy time: what is told of it, merged."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.busy import STRONGEST_FIRST, BusyRules, BusySpan, BusyStatus, BusyTime, busy_kind, merged
from tests.helpers import NOBODY

WINDOW = (10, 50)
FREE = None


def busy(start: int, end: int, status: BusyStatus = BusyStatus.BUSY, *, all_day: bool = False) -> BusyTime:
    return BusyTime(start, end, busy_kind(status, all_day=all_day), NOBODY.bytes)


def at_tick(tick: int, times: list[BusyTime]) -> BusyStatus | None:
    there = {each.status for each in times if each.start <= tick < each.end}
    return next((status for status in STRONGEST_FIRST if status in there), FREE)


times = st.builds(
    lambda start, size, status: busy(start, start + size, status),
    st.integers(0, 60),
    st.integers(1, 15),
    st.sampled_from(BusyStatus),
)


@given(st.lists(times, max_size=8))
def test_every_tick_has_the_strongest_status_of_what_takes_it(several: list[BusyTime]) -> None:
    found = merged(several, WINDOW)
    shown = [next((status for start, end, status in found if start <= tick < end), FREE) for tick in range(70)]
    assert shown == [at_tick(tick, several) if WINDOW[0] <= tick < WINDOW[1] else FREE for tick in range(70)]


@given(st.lists(times, max_size=8))
def test_spans_are_in_order_and_as_few_as_can_be(several: list[BusyTime]) -> None:
    found = merged(several, WINDOW)
    assert all(start < end for start, end, _ in found)
    for (_, end, status), (start, _, following) in pairwise(found):
        assert end < start or (end == start and status is not following)


@pytest.mark.parametrize("status", BusyStatus)
@pytest.mark.parametrize("all_day", [False, True])
def test_a_kind_tells_its_status_and_whether_it_takes_whole_days(status: BusyStatus, all_day: bool) -> None:
    one = busy(0, 1, status, all_day=all_day)
    assert (one.status, one.all_day, one.event_id) == (status, all_day, NOBODY)
    assert one.kind > 0


def test_spans_that_touch_are_one() -> None:
    assert merged([busy(20, 30), busy(10, 20)], WINDOW) == [(10, 30, BusyStatus.BUSY)]


@pytest.mark.parametrize(
    ("rules", "counting"),
    [
        (BusyRules(), [0, 1, 2, 3]),
        (BusyRules(all_day=False), [0, 2, 3]),
        (BusyRules(tentative=False), [0, 1, 3]),
        (BusyRules(unavailable=False), [0, 1, 2]),
    ],
)
def test_what_counts_is_a_rule(rules: BusyRules, counting: list[int]) -> None:
    several = [
        busy(0, 1),
        busy(1, 2, all_day=True),
        busy(2, 3, BusyStatus.TENTATIVE),
        busy(3, 4, BusyStatus.UNAVAILABLE),
    ]
    assert [each.start for each in rules.counting(several)] == counting


def test_nothing_is_free() -> None:
    nothing: list[BusySpan] = merged([], WINDOW)
    assert nothing == []
