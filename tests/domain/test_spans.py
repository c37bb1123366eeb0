from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.spans import (
    Span,
    Spans,
    covered,
    holds,
    intersection,
    length,
    moment,
    span_of,
    ticks,
    touches,
    union,
    where_fits,
    where_misses,
    without,
)
from tests.helpers import HOUR, NOW, make_span

LAST = 24
spans = st.lists(st.tuples(st.integers(0, LAST), st.integers(0, LAST)), max_size=6)
sets = spans.map(union)
span = st.tuples(st.integers(0, LAST), st.integers(1, 6)).map(lambda each: (each[0], each[0] + each[1]))


def points(spans: Spans) -> set[int]:
    return {point for start, end in spans for point in range(start, end)}


def is_set(spans: Spans) -> bool:
    flat = [tick for each in spans for tick in each]
    return flat == sorted(set(flat))


def test_ticks_are_microseconds_and_come_back() -> None:
    assert ticks(NOW + HOUR) - ticks(NOW) == length(HOUR) == 3_600_000_000
    assert moment(ticks(NOW)) == NOW
    assert span_of(make_span(NOW, HOUR)) == (ticks(NOW), ticks(NOW + HOUR))


@given(spans)
def test_a_union_holds_what_any_holds(some: list[Span]) -> None:
    assert is_set(union(some))
    assert points(union(some)) == points(some)


@given(sets, sets)
def test_intersection_and_difference_are_those_of_sets(one: Spans, other: Spans) -> None:
    assert is_set(intersection(one, other))
    assert is_set(without(one, other))
    assert points(intersection(one, other)) == points(one) & points(other)
    assert points(without(one, other)) == points(one) - points(other)


@given(spans, st.integers(1, 4))
def test_what_is_covered_is_covered_so_often(some: list[Span], times: int) -> None:
    often = {point for point in range(LAST) if sum(start <= point < end for start, end in some) >= times}
    assert points(covered(some, times)) == often
    assert is_set(covered(some, times))


@given(sets, span)
def test_a_set_holds_or_touches_a_span_as_its_points_do(some: Spans, one: Span) -> None:
    assert holds(some, *one) is (points([one]) <= points(some))
    assert touches(some, *one) is bool(points([one]) & points(some))


@given(sets, st.integers(1, 6))
def test_something_fits_where_all_of_it_is_in_the_set(some: Spans, size: int) -> None:
    fitting = {start for start in range(LAST) if points([(start, start + size)]) <= points(some)}
    assert points(where_fits(some, size)) == fitting


@given(sets, st.integers(0, 3), st.integers(1, 6))
def test_something_misses_a_set_where_none_of_it_is_in_it(some: Spans, before: int, after: int) -> None:
    hitting = {start for start in range(-9, LAST + 9) if points([(start - before, start + after)]) & points(some)}
    assert points(where_misses(some, before, after)) == hitting
