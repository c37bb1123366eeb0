from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kalends.domain.recurrence import Recurrence, occurrences, read_rule
from kalends.domain.time import TimeSpan, When, whole_days
from providers.microsoft.recurrence import from_wire, named, to_wire
from providers.microsoft.wire import PatternedRecurrence
from tests.helpers import BERLIN, HOUR, NOW, make_days, make_when, wall
from tests.simulators.microsoft.recurring import days as outlooks_days

CODES = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
NAMES = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
FAR, MANY = timedelta(days=9 * 365), 200


def ours(rule: str, when: When) -> list[date]:
    """Return on which days a rule takes place, by our own rules."""
    window = TimeSpan(when.span.start, when.span.start + FAR)
    return _near([each.recurrence_id.date() for each in occurrences(when, Recurrence(rule), window)], when)


def theirs(recurrence: PatternedRecurrence, when: When) -> list[date]:
    """Return on which days a recurrence takes place, by the simulator's rules."""
    return _near(list(islice(outlooks_days(cast("dict[str, Any]", recurrence)), MANY)), when)


def _near(days: list[date], when: When) -> list[date]:
    return [day for day in days if day < when.start_date + FAR - timedelta(days=2)][:MANY]


times = st.builds(
    lambda day, hour, all_day: (
        whole_days(day, day + timedelta(days=1), BERLIN)
        if all_day
        else make_when(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))
    ),
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.integers(0, 23),
    st.booleans(),
)
some_days = st.lists(st.sampled_from(CODES), min_size=1, max_size=5, unique=True)
positions = st.sampled_from([-2, -1, 1, 2, 3, 4, 5])


@st.composite
def selections(draw: st.DrawFn, when: When) -> dict[str, str]:
    """Return which days of its period a rule names."""
    parts: dict[str, str] = {}
    match draw(st.sampled_from(["", "days", "day", "month day", "last days", "position"])):
        case "days":
            parts["BYDAY"] = ",".join(draw(some_days))
        case "day":
            parts["BYDAY"] = f"{draw(positions)}{CODES[when.start.weekday()]}"
        case "month day":
            parts["BYMONTHDAY"] = str(draw(st.sampled_from([-1, when.start.day, 30])))
        case "last days":
            last = draw(st.integers(28, 31))
            parts |= {"BYMONTHDAY": ",".join(map(str, range(28, last + 1))), "BYSETPOS": "-1"}
        case "position":
            parts |= {"BYDAY": ",".join(draw(some_days)), "BYSETPOS": str(draw(positions))}
    if draw(st.booleans()):
        parts["BYMONTH"] = str(when.start.month)
    return parts


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, When]:
    """Return a rule of any kind, whether Outlook has it or not, and when its event begins."""
    when = draw(times)
    parts = {"FREQ": draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY"]))}
    if draw(st.booleans()):
        parts["INTERVAL"] = str(draw(st.integers(1, 4)))
    parts |= draw(selections(when))
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(CODES))
    match draw(st.sampled_from(["", "count", "until"])):
        case "count":
            parts["COUNT"] = str(draw(st.integers(1, 40)))
        case "until":
            later = when.span.start + timedelta(minutes=draw(st.integers(-1440, 400 * 1440)))
            parts["UNTIL"] = f"{later:%Y%m%dT%H%M%SZ}"
    rule = read_rule(";".join(f"{name}={value}" for name, value in parts.items()), tzid=BERLIN, all_day=when.all_day)
    assume(isinstance(rule, str))
    return str(rule), when


@settings(max_examples=500)  # Outlook has one of seven
@given(rules())
def test_a_rule_that_outlook_has_takes_place_there_and_back_here_on_the_same_days(given: tuple[str, When]) -> None:
    rule, when = given
    recurrence = to_wire(rule, when)
    if recurrence is None:
        return
    assert theirs(recurrence, when) == ours(rule, when)
    back = from_wire(recurrence, when)
    assert ours(back, when) == ours(rule, when)
    assert from_wire(to_wire(back, when) or recurrence, when) == back


@st.composite
def recurrences(draw: st.DrawFn) -> tuple[PatternedRecurrence, When]:
    """Return a recurrence as Outlook may have it, and when its event begins."""
    pattern: dict[str, Any] = {"interval": draw(st.integers(1, 3)), "firstDayOfWeek": draw(st.sampled_from(NAMES))}
    pattern["type"] = draw(
        st.sampled_from(["daily", "weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly"])
    )
    if pattern["type"] in ("weekly", "relativeMonthly", "relativeYearly"):
        pattern["daysOfWeek"] = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    if pattern["type"].startswith("relative"):
        pattern["index"] = draw(st.sampled_from(["first", "second", "third", "fourth", "last"]))
    if pattern["type"].startswith("absolute"):
        pattern["dayOfMonth"] = draw(st.integers(1, 31))
    if pattern["type"].endswith("Yearly"):
        pattern["month"] = draw(st.integers(1, 12))
    ends: dict[str, Any] = {"type": "noEnd", "startDate": draw(st.dates(date(2024, 1, 1), date(2026, 12, 31)))}
    ends["startDate"] = ends["startDate"].isoformat()
    first = next(iter(outlooks_days({"pattern": pattern, "range": ends})))
    ends["startDate"] = first.isoformat()
    match draw(st.sampled_from(["noEnd", "numbered", "endDate"])):
        case "numbered":
            ends |= {"type": "numbered", "numberOfOccurrences": draw(st.integers(1, 40))}
        case "endDate":
            last = first + timedelta(days=draw(st.integers(0, 900)))
            ends |= {"type": "endDate", "endDate": last.isoformat()}
    when = (
        make_days(first)
        if draw(st.booleans())
        else make_when(datetime(first.year, first.month, first.day, 9, tzinfo=UTC))
    )
    return cast("PatternedRecurrence", {"pattern": pattern, "range": ends}), when


@given(recurrences())
def test_whatever_outlook_repeats_takes_place_here_on_the_same_days_and_can_be_written_back(
    given: tuple[PatternedRecurrence, When],
) -> None:
    recurrence, when = given
    rule = from_wire(recurrence, when)
    assert ours(rule, when) == theirs(recurrence, when)
    back = to_wire(rule, when)
    assert back is not None
    assert theirs(back, when) == theirs(recurrence, when)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;COUNT=8",
        "FREQ=WEEKLY;UNTIL=20260630T070000Z;BYDAY=MO,TU,WE,TH,FR",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1",
        "FREQ=YEARLY;COUNT=3",
        "FREQ=YEARLY;BYMONTH=5;BYDAY=1MO",
    ],
)
def test_a_rule_that_is_as_short_as_it_can_be_comes_back_to_the_letter(rule: str) -> None:
    recurrence = to_wire(rule, make_when())
    assert recurrence is not None
    assert from_wire(recurrence, make_when()) == rule


@pytest.mark.parametrize(
    ("rule", "shorter"),
    [
        ("FREQ=WEEKLY;BYDAY=MO;COUNT=8", "FREQ=WEEKLY;COUNT=8"),
        ("FREQ=WEEKLY;WKST=SU", "FREQ=WEEKLY"),
        ("FREQ=DAILY;BYDAY=MO,TU", "FREQ=WEEKLY;BYDAY=MO,TU"),
        ("FREQ=MONTHLY;BYMONTHDAY=4", "FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1", "FREQ=MONTHLY;BYDAY=1MO"),
        ("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=4", "FREQ=YEARLY"),
        ("FREQ=DAILY;UNTIL=20260510T215959Z", "FREQ=DAILY;UNTIL=20260510T070000Z"),
        ("FREQ=DAILY;UNTIL=20260510T065959Z", "FREQ=DAILY;UNTIL=20260509T070000Z"),
    ],
)
def test_a_rule_that_says_more_than_it_needs_to_comes_back_shorter(rule: str, shorter: str) -> None:
    recurrence = to_wire(rule, make_when())
    assert recurrence is not None
    assert from_wire(recurrence, make_when()) == shorter


@pytest.mark.parametrize(
    "rule",
    [
        None,
        "FREQ=HOURLY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=2;BYDAY=MO",
        "FREQ=DAILY;BYMONTH=5",
        "FREQ=WEEKLY;BYDAY=TU",  # does not name its own start
        "FREQ=WEEKLY;BYMONTH=5",
        "FREQ=MONTHLY;BYMONTHDAY=4,5",
        "FREQ=MONTHLY;BYDAY=MO",
        "FREQ=MONTHLY;BYDAY=1MO,3MO",
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,2",
        "FREQ=MONTHLY;BYHOUR=9",
        "FREQ=MONTHLY;BYMONTH=5,6",
        "FREQ=YEARLY;BYDAY=1MO",
        "FREQ=YEARLY;BYMONTHDAY=4",
        "FREQ=YEARLY;BYMONTH=5,6",
        "FREQ=YEARLY;BYWEEKNO=19",
        "FREQ=YEARLY;BYYEARDAY=124",
        "FREQ=DAILY;UNTIL=20260503T000000Z",  # ends before it begins
    ],
)
def test_what_outlook_has_no_pattern_for_is_none(rule: str | None) -> None:
    assert to_wire(rule, make_when()) is None


@pytest.mark.parametrize("day", [29, 30, 31])
def test_the_days_that_not_every_month_has_are_not_written_as_outlooks_days_which_never_miss(day: int) -> None:
    when = make_when(datetime(2026, 1, day, 8, tzinfo=UTC))
    assert to_wire("FREQ=MONTHLY", when) is None


def test_a_leap_day_is_not_written_as_outlooks_which_is_the_28th_in_other_years() -> None:
    assert to_wire("FREQ=YEARLY", make_when(datetime(2028, 2, 29, 8, tzinfo=UTC))) is None


@pytest.mark.parametrize(
    ("pattern", "begins", "rule"),
    [
        ({"type": "absoluteMonthly", "dayOfMonth": 31}, (2026, 1, 31), "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ({"type": "absoluteMonthly", "dayOfMonth": 30}, (2026, 1, 30), "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1"),
        (
            {"type": "absoluteYearly", "dayOfMonth": 29, "month": 2},
            (2028, 2, 29),
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1",
        ),
        (
            {"type": "absoluteYearly", "dayOfMonth": 31, "month": 4},
            (2026, 4, 30),
            "FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=30",
        ),
    ],
)
def test_a_day_that_a_month_does_not_have_is_its_last_one(
    pattern: Mapping[str, Any], begins: tuple[int, int, int], rule: str
) -> None:
    recurrence = {"pattern": {"interval": 1, **pattern}, "range": {"type": "noEnd", "startDate": "2026-01-01"}}
    when = make_when(datetime(*begins, 8, tzinfo=UTC))
    assert from_wire(cast("PatternedRecurrence", recurrence), when) == rule


def test_a_series_ends_on_the_day_that_until_is_in_its_own_zone() -> None:
    late = make_when(datetime(2026, 5, 4, 21, 30, tzinfo=UTC))  # 23:30 in Berlin
    recurrence = to_wire("FREQ=DAILY;UNTIL=20260510T213000Z", late)
    assert recurrence is not None
    assert recurrence["range"]["endDate"] == "2026-05-10"


def test_whole_days_end_on_a_date() -> None:
    recurrence = to_wire("FREQ=DAILY;UNTIL=20260510", make_days())
    assert recurrence is not None
    assert recurrence["range"]["endDate"] == "2026-05-10"
    assert from_wire(recurrence, make_days()) == "FREQ=DAILY;UNTIL=20260510"


def test_the_zone_of_a_series_has_windows_name() -> None:
    recurrence = to_wire("FREQ=DAILY", make_when(NOW, HOUR, "Europe/Vienna"))
    assert recurrence is not None
    assert recurrence["range"]["recurrenceTimeZone"] == "W. Europe Standard Time"


@pytest.mark.parametrize(
    "recurrence",
    [
        {"pattern": {"type": "lunar", "interval": 1}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": []}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["moonday"]}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "daily", "interval": -2}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "endDate", "endDate": "tomorrow"}},
        {"pattern": {"type": "daily", "interval": 1}},
    ],
)
def test_what_is_no_recurrence_is_said_to_be_none(recurrence: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        from_wire(recurrence, make_when())


def test_only_times_of_the_rule_are_named() -> None:
    walls = {wall("2026-05-11T09:00"), wall("2026-05-12T09:00"), wall("2026-05-11T10:00"), wall("2031-05-05T09:00")}
    assert named("FREQ=WEEKLY", make_when(), walls) == {wall("2026-05-11T09:00"), wall("2031-05-05T09:00")}
    assert named("FREQ=WEEKLY", make_when(), set()) == frozenset()
