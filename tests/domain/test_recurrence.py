"""Series: which rules are taken, and when they take place, by the clocks of their zone and in agreement with others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import icalendar
import pytest
import recurring_ical_events  # type: ignore[import-untyped]
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kalends.domain.errors import Malformed
from kalends.domain.recurrence import (
    AHEAD,
    DENSE_PAST,
    END_OF_TIME,
    MAX_OCCURRENCES,
    MAX_READY,
    MAX_RULE,
    PAST,
    RULE,
    START_OF_TIME,
    Occurrence,
    Override,
    Recurrence,
    begun_at,
    expanded,
    occurrences,
    read_rule,
)
from kalends.domain.time import TimeSpan, When, exists, instant, whole_days, zone
from tests.helpers import BERLIN, DAY, HOUR, NOW, WEEK, make_content, make_days, make_event, make_span, make_when, wall

NOBODY = UUID(int=0)
NEW_YORK, LORD_HOWE, SAO_PAULO = "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"
YEAR = make_span(datetime(2026, 1, 1, tzinfo=UTC), 365 * DAY)


def read(text: object, tzid: str = BERLIN, *, all_day: bool = False) -> str | Malformed:
    return read_rule(text, tzid=tzid, all_day=all_day)


def at(text: str, duration: timedelta = HOUR, tzid: str = BERLIN) -> When:
    """Return a time that begins when the zone's clocks show this."""
    return make_when(instant(wall(text), tzid), duration, tzid)


def starts(when: When, recurrence: Recurrence, window: TimeSpan = YEAR) -> list[datetime]:
    return [each.when.span.start for each in occurrences(when, recurrence, window)]


def walls(when: When, recurrence: Recurrence, window: TimeSpan = YEAR) -> list[str]:
    return [f"{each.recurrence_id:%m-%d %H:%M}" for each in occurrences(when, recurrence, window)]


# Rules


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("FREQ=DAILY", "FREQ=DAILY"),
        ("  freq=weekly;byday=mo,we  ", "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE:FREQ=HOURLY;INTERVAL=2", "FREQ=HOURLY;INTERVAL=2"),
        ("FREQ=MONTHLY;BYDAY=-1FR;", "FREQ=MONTHLY;BYDAY=-1FR"),
        ("FREQ=MONTHLY;BYDAY=+2TU;COUNT=3", "FREQ=MONTHLY;BYDAY=+2TU;COUNT=3"),
        ("FREQ=MONTHLY;BYDAY=-1MO;BYMONTHDAY=22", "FREQ=MONTHLY;BYDAY=-1MO;BYMONTHDAY=22"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"),
        ("FREQ=YEARLY;BYDAY=53MO", "FREQ=YEARLY;BYDAY=53MO"),
        ("FREQ=YEARLY;BYWEEKNO=53;WKST=SU", "FREQ=YEARLY;BYWEEKNO=53;WKST=SU"),
        ("FREQ=YEARLY;BYYEARDAY=-1,366", "FREQ=YEARLY;BYYEARDAY=-1,366"),
        ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30", "FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ("FREQ=DAILY;BYHOUR=9,17;BYSETPOS=2", "FREQ=DAILY;BYHOUR=9,17;BYSETPOS=2"),
    ],
)
def test_a_rule_is_read_in_upper_case_and_otherwise_as_it_was_written(text: str, rule: str) -> None:
    assert read(text) == rule
    assert read(rule) == rule


@pytest.mark.parametrize("frequency", ["SECONDLY", "MINUTELY"])
@pytest.mark.parametrize("more", ["", ";INTERVAL=60", ";INTERVAL=1440;BYDAY=MO", ";COUNT=2"])
def test_a_rule_that_repeats_more_often_than_hourly_is_refused(frequency: str, more: str) -> None:
    assert read(f"FREQ={frequency}{more}") == Malformed(RULE)


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        ["FREQ=DAILY"],
        "",
        ";",
        "DAILY",
        "FREQ",
        "FREQ=",
        "FREQ=FORTNIGHTLY",
        "BYDAY=MO",
        "FREQ=DAILY;;BYDAY=MO",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY;X-KALENDS=1",
        "FREQ=DAILY;BYEASTER=0",
        "FREQ=DAILY\nRDATE:20260504T090000",
        "FREQ=DAILY\r\nEXRULE:FREQ=DAILY",
        "FREQ=DAILY;BYSECOND=0",
        "FREQ=DAILY;BYHOUR=9;BYMINUTE=0,30",
        "FREQ=HOURLY;BYMINUTE=0,15,30,45",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=1.5",
        "FREQ=DAILY;INTERVAL=99999999999999999999",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=-1",
        "FREQ=DAILY;COUNT=3;UNTIL=20260601T000000Z",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=HOURLY;BYHOUR=25",
        "FREQ=DAILY;BYMINUTE=60",
        "FREQ=DAILY;BYMONTH=0",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYMONTH=-1",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=YEARLY;BYYEARDAY=367",
        "FREQ=YEARLY;BYWEEKNO=54",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=YEARLY;BYMONTH=12;BYDAY=9MO",
        "FREQ=YEARLY;BYDAY=54MO",
        "FREQ=WEEKLY;WKST=1",
        "FREQ=DAILY;UNTIL=2026",
        "FREQ=DAILY;UNTIL=20261301",
        "FREQ=DAILY;UNTIL=20260230T000000Z",
        "FREQ=DAILY;UNTIL=20260501T250000Z",
        "FREQ=DAILY;UNTIL=20260501T000000+0200",
        "FREQ=DAILY;UNTIL=TOMORROW",
        "FREQ=DAILY;BYMONTHDAY=\uff11",
        "FREQ=DAILY;BYDAY=" + ",".join(["MO"] * MAX_RULE),
    ],
)
def test_text_that_is_no_rule_is_refused(text: object) -> None:
    assert read(text) == Malformed(RULE)
    assert read(text, all_day=True) == Malformed(RULE)


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30,31",
        "FREQ=HOURLY;BYMONTH=2;BYYEARDAY=1",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=8",
        "FREQ=DAILY;BYSETPOS=2",
        "FREQ=HOURLY;BYSETPOS=-2",
    ],
)
def test_a_rule_that_names_no_time_that_there_is_is_refused_and_never_searched_for_ever(text: str) -> None:
    assert read(text) == Malformed(RULE)


@given(st.text(max_size=60) | st.from_regex(r"FREQ=[A-Z]{4,8}(;[A-Z]{3,10}=[A-Z0-9,+-]{1,12}){0,3}", fullmatch=True))
def test_any_text_is_a_rule_or_is_not(text: str) -> None:
    rule = read(text)
    if isinstance(rule, str):
        assert read(rule) == rule
        occurrences(make_when(), Recurrence(rule), make_span(NOW, WEEK))


# The end of a rule (RFC 5545 section 3.3.10: in UTC beside a time of day, a date beside whole days)


@pytest.mark.parametrize(
    ("until", "tzid", "normal"),
    [
        ("20260601T070000Z", BERLIN, "20260601T070000Z"),
        ("20260601T090000", BERLIN, "20260601T070000Z"),
        ("20260101T090000", BERLIN, "20260101T080000Z"),
        ("20260601", BERLIN, "20260601T215959Z"),
        ("20260601", NEW_YORK, "20260602T035959Z"),
        ("20260601T090000", "UTC", "20260601T090000Z"),
        ("99991231T235959Z", BERLIN, "22001231T000000Z"),
        ("99991231", NEW_YORK, "22001231T000000Z"),
    ],
)
def test_the_end_of_a_rule_with_a_time_of_day_is_in_utc(until: str, tzid: str, normal: str) -> None:
    rule = read(f"FREQ=DAILY;UNTIL={until};BYDAY=MO", tzid)
    assert rule == f"FREQ=DAILY;UNTIL={normal};BYDAY=MO"
    assert read(rule, tzid) == rule


@pytest.mark.parametrize("until", ["20260601", "20260601T090000", "20260601T000000Z"])
def test_the_end_of_a_rule_of_whole_days_is_a_date(until: str) -> None:
    assert read(f"FREQ=DAILY;UNTIL={until}", all_day=True) == "FREQ=DAILY;UNTIL=20260601"


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260506T070000Z", "05-06 09:00"),
        ("20260506T065959Z", "05-05 09:00"),
        ("20260506T090000", "05-06 09:00"),
        ("20260506", "05-06 09:00"),
    ],
)
def test_the_end_of_a_rule_still_belongs_to_it(until: str, last: str) -> None:
    rule = read(f"FREQ=DAILY;UNTIL={until}")
    assert isinstance(rule, str)
    assert walls(make_when(), Recurrence(rule))[-1] == last


def test_the_last_day_of_a_rule_of_whole_days_still_belongs_to_it() -> None:
    found = occurrences(make_days(), Recurrence("FREQ=DAILY;UNTIL=20260506"), YEAR)
    assert [each.when.start_date for each in found] == [date(2026, 5, day) for day in (4, 5, 6)]


# The clocks of the zone


@pytest.mark.parametrize(
    ("tzid", "before", "after", "shift"),
    [
        (BERLIN, "2026-03-28T09:00", "2026-03-29T09:00", -HOUR),
        (BERLIN, "2026-10-24T09:00", "2026-10-25T09:00", HOUR),
        (NEW_YORK, "2026-03-07T09:00", "2026-03-08T09:00", -HOUR),
        (NEW_YORK, "2026-10-31T09:00", "2026-11-01T09:00", HOUR),
        (LORD_HOWE, "2026-04-04T09:00", "2026-04-05T09:00", HOUR / 2),
        (LORD_HOWE, "2026-10-03T09:00", "2026-10-04T09:00", -HOUR / 2),
    ],
)
def test_a_series_stays_at_its_wall_time_when_the_clocks_change(
    tzid: str, before: str, after: str, shift: timedelta
) -> None:
    found = occurrences(at(before, tzid=tzid), Recurrence("FREQ=DAILY;COUNT=2"), YEAR)
    assert [each.when.start for each in found] == [wall(before), wall(after)]
    assert [each.when.end - each.when.start for each in found] == [HOUR, HOUR]
    assert found[1].when.span.start - found[0].when.span.start == DAY + shift


def test_a_wall_time_that_the_zone_skips_becomes_what_the_clocks_show_instead() -> None:
    found = occurrences(at("2026-03-28T02:30"), Recurrence("FREQ=DAILY;COUNT=3"), YEAR)
    assert [each.recurrence_id for each in found] == [wall(f"2026-03-{day}T02:30") for day in (28, 29, 30)]
    assert [f"{each.when.span.start.astimezone(zone(BERLIN)):%H:%M}" for each in found] == ["02:30", "03:30", "02:30"]


def test_a_wall_time_that_comes_twice_is_the_first_of_both() -> None:
    found = occurrences(at("2026-10-24T02:30"), Recurrence("FREQ=DAILY;COUNT=3"), YEAR)
    assert found[1].when.span.start == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert (found[1].when.start, found[1].when.end) == (wall("2026-10-25T02:30"), wall("2026-10-25T03:30"))


def test_an_occurrence_that_ends_in_the_hour_that_is_taken_back_is_not_empty() -> None:
    [_, found, _] = occurrences(at("2026-10-24T01:45", HOUR), Recurrence("FREQ=DAILY;COUNT=3"), YEAR)
    assert found.when.span.start < found.when.span.end
    over = begun_at(at("2026-10-24T02:50", HOUR / 6), wall("2026-10-25T02:50"))
    assert over is not None
    assert over.span.end > over.span.start


@pytest.mark.parametrize("days", [1, 3])
def test_whole_days_are_the_days_of_the_zone_however_long_they_are(days: int) -> None:
    when = whole_days(date(2026, 3, 28), date(2026, 3, 28) + days * DAY, BERLIN)
    for each in occurrences(when, Recurrence("FREQ=DAILY;COUNT=3"), YEAR):
        first = each.recurrence_id.date()
        assert each.when == whole_days(first, first + days * DAY, BERLIN)


def test_a_day_that_its_zone_skips_does_not_take_place() -> None:
    when = whole_days(date(2011, 12, 29), date(2011, 12, 30), "Pacific/Apia")
    found = occurrences(when, Recurrence("FREQ=DAILY;COUNT=3"), make_span(when.span.start, WEEK))
    assert [each.when.start_date for each in found] == [date(2011, 12, 29), date(2011, 12, 31)]


def test_a_day_whose_midnight_is_skipped_begins_when_the_clocks_go_on() -> None:
    when = whole_days(date(2018, 11, 3), date(2018, 11, 4), SAO_PAULO)
    found = occurrences(when, Recurrence("FREQ=DAILY;COUNT=2"), make_span(when.span.start, WEEK))
    assert found[0].when.span.end == found[1].when.span.start == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_the_29th_of_february_comes_in_leap_years_only() -> None:
    decade = make_span(datetime(2024, 1, 1, tzinfo=UTC), 3652 * DAY)
    found = occurrences(at("2024-02-29T09:00"), Recurrence("FREQ=YEARLY"), decade)
    assert [each.recurrence_id.year for each in found] == [2024, 2028, 2032]
    days = whole_days(date(2024, 2, 29), date(2024, 3, 1), BERLIN)
    found = occurrences(days, Recurrence("FREQ=YEARLY"), decade)
    assert [each.when.end_date for each in found] == [date(year, 3, 1) for year in (2024, 2028, 2032)]


def test_months_without_the_day_are_left_out() -> None:
    recurrence = Recurrence("FREQ=MONTHLY;COUNT=4")
    assert walls(at("2026-01-31T09:00"), recurrence) == ["01-31 09:00", "03-31 09:00", "05-31 09:00", "07-31 09:00"]


def test_days_with_and_without_a_number_are_all_meant() -> None:
    """RFC 5545 section 3.3.10: a list of days is all of them."""
    monthly = walls(at("2026-06-01T09:00"), Recurrence("FREQ=MONTHLY;BYDAY=1MO,SU;COUNT=6"))
    assert monthly == [f"{day} 09:00" for day in ("06-01", "06-07", "06-14", "06-21", "06-28", "07-05")]
    yearly = walls(at("2026-01-01T09:00"), Recurrence("FREQ=YEARLY;BYDAY=1TH,MO"))
    assert len(yearly) == 1 + 52
    assert read("FREQ=MONTHLY;BYDAY=1MO,SU") == "FREQ=MONTHLY;BYDAY=1MO,SU"


# Windows


def test_only_what_overlaps_the_window_is_returned_and_touching_is_not_overlapping() -> None:
    daily = Recurrence("FREQ=DAILY")
    for window, number in (
        (make_span(NOW, HOUR), 1),
        (make_span(NOW + HOUR, 23 * HOUR), 0),
        (make_span(NOW + HOUR / 2, HOUR), 1),
        (make_span(NOW + HOUR / 2, DAY), 2),
        (make_span(NOW - WEEK, WEEK), 0),
        (make_span(NOW + 1000 * DAY, WEEK), 7),
    ):
        assert len(occurrences(make_when(), daily, window)) == number


def test_an_occurrence_that_began_long_before_the_window_is_in_it() -> None:
    found = occurrences(make_when(NOW, 10 * DAY), Recurrence("FREQ=MONTHLY"), make_span(NOW + 9 * DAY, HOUR))
    assert [each.recurrence_id for each in found] == [make_when().start]


def test_the_first_time_counts_although_the_rule_would_not_name_it() -> None:
    assert walls(make_when(), Recurrence("FREQ=WEEKLY;BYDAY=WE;COUNT=2")) == [
        "05-04 09:00",
        "05-06 09:00",
        "05-13 09:00",
    ]


def test_a_series_of_dates_alone_has_no_rule() -> None:
    recurrence = Recurrence(None, frozenset({wall("2026-05-20T10:00"), wall("2026-05-06T09:00")}))
    assert walls(make_when(), recurrence) == ["05-04 09:00", "05-06 09:00", "05-20 10:00"]


def test_there_are_no_more_occurrences_than_can_be_kept_ready() -> None:
    assert len(occurrences(make_when(), Recurrence("FREQ=HOURLY"), TWO_YEARS)) == MAX_OCCURRENCES


# What is kept ready

LATER = NOW + 3000 * DAY
OLD, YOUNG = make_when(), make_when(LATER - 10 * DAY)
MOVED = {OLD.start + 4 * DAY: Override(make_when(NOW + 9000 * DAY), make_content("Moved"))}


@pytest.mark.parametrize(
    ("when", "recurrence", "since", "until"),
    [
        (OLD, Recurrence("FREQ=DAILY"), LATER - PAST, LATER + AHEAD),
        (YOUNG, Recurrence("FREQ=DAILY"), START_OF_TIME, LATER + AHEAD),
        (OLD, Recurrence("FREQ=DAILY;COUNT=9"), LATER - PAST, END_OF_TIME),
        (YOUNG, Recurrence("FREQ=DAILY;COUNT=9"), START_OF_TIME, END_OF_TIME),
        (YOUNG, Recurrence("FREQ=DAILY;UNTIL=20500101"), START_OF_TIME, LATER + AHEAD),
        (YOUNG, Recurrence("FREQ=DAILY;UNTIL=20350101"), START_OF_TIME, END_OF_TIME),
        (YOUNG, Recurrence(None, frozenset({OLD.start})), LATER - PAST, END_OF_TIME),
        (YOUNG, Recurrence(None, frozenset({YOUNG.start + 2000 * DAY})), START_OF_TIME, LATER + AHEAD),
        (make_when(LATER + 5000 * DAY), Recurrence("FREQ=DAILY"), START_OF_TIME, LATER + 5000 * DAY + AHEAD),
    ],
)
def test_a_year_back_and_two_ahead_are_kept_ready_or_all_where_there_is_no_more(
    when: When, recurrence: Recurrence, since: datetime, until: datetime
) -> None:
    ready = expanded(when, recurrence, LATER)
    assert (ready.since, ready.until) == (since, until)
    assert list(ready.found) == occurrences(when, recurrence, TimeSpan(max(since, LATER - PAST), min(until, OLD_AGE)))


OLD_AGE = LATER + 5000 * DAY + AHEAD


def test_of_what_takes_place_too_often_less_is_kept_ready() -> None:
    ready = expanded(OLD, Recurrence("FREQ=HOURLY"), LATER)
    assert len(ready.found) == MAX_READY
    assert ready.since == LATER - DENSE_PAST
    assert LATER + 50 * DAY < ready.until < ready.found[-1].when.span.start


def test_what_differs_is_kept_ready_wherever_it_lies() -> None:
    ready = expanded(OLD, Recurrence("FREQ=DAILY;COUNT=9", overrides=MOVED), LATER)
    assert [each.when for each in ready.found] == [make_when(NOW + 9000 * DAY)]


@given(st.sampled_from(["FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=2", "FREQ=DAILY", "FREQ=WEEKLY"]), st.data())
def test_what_is_kept_ready_is_all_that_overlaps_its_time(rule: str, data: st.DataObject) -> None:
    ready = expanded(OLD, Recurrence(rule), LATER)
    start = max(ready.since, data.draw(st.integers(-500, 800)) * DAY + LATER)
    window = make_span(start, DAY)
    assume(window.end <= ready.until)
    stored = [each for each in ready.found if each.when.span.overlaps(window)]
    assert stored == occurrences(OLD, Recurrence(rule), window)


# Exceptions


def test_dates_are_left_out_and_added_each_once() -> None:
    first = make_when().start
    recurrence = Recurrence(
        "FREQ=DAILY;COUNT=4",
        rdates=frozenset({first + DAY, first + DAY + HOUR, first + 9 * DAY}),
        exdates=frozenset({first + 2 * DAY, first + 9 * DAY, first + 99 * DAY, first + HOUR}),
    )
    assert walls(make_when(), recurrence) == ["05-04 09:00", "05-05 09:00", "05-05 10:00", "05-07 09:00"]


def test_an_override_takes_the_place_of_its_occurrence_wherever_it_lies() -> None:
    first = make_when().start
    away, near = (
        Override(make_when(NOW + 20 * DAY), make_content("Away")),
        Override(make_when(NOW), make_content("Near")),
    )
    recurrence = Recurrence("FREQ=DAILY;COUNT=3", overrides={first + DAY: away, first + 99 * DAY: near})
    assert occurrences(make_when(), recurrence, make_span(NOW, WEEK)) == [
        Occurrence(first, make_when()),
        Occurrence(first + 99 * DAY, near.when, near.content),
        Occurrence(first + 2 * DAY, make_when(NOW + 2 * DAY)),
    ]
    assert occurrences(make_when(), recurrence, make_span(NOW + 20 * DAY)) == [
        Occurrence(first + DAY, away.when, away.content)
    ]


def test_an_override_counts_although_its_date_is_left_out() -> None:
    first = make_when().start
    moved = Override(make_when(NOW + DAY + HOUR), make_content("Moved"))
    recurrence = Recurrence("FREQ=DAILY;COUNT=2", exdates=frozenset({first + DAY}), overrides={first + DAY: moved})
    assert starts(make_when(), recurrence) == [NOW, NOW + DAY + HOUR]


def test_an_event_tells_how_it_is_at_one_of_its_times() -> None:
    first = make_when().start
    moved = Override(make_when(NOW + DAY + HOUR), make_content("Moved"))
    event = make_event(NOBODY, recurrence=Recurrence("FREQ=DAILY", overrides={first + DAY: moved}))
    changed, plain = event.happening(make_span(NOW + DAY, 2 * DAY))
    assert (changed.when, changed.content) == (moved.when, moved.content)
    assert (plain.when, plain.content) == (make_when(NOW + 2 * DAY), event.content)


# In agreement with others

_days = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3, unique=True)
_numbered = st.builds("{}{}".format, st.sampled_from(["1", "2", "-1", "5"]), st.sampled_from(["MO", "WE", "SU"]))


def _numbers(*values: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(
        lambda each: ",".join(map(str, each))
    )


_LIMITS: dict[str, list[dict[str, st.SearchStrategy[str]]]] = {
    "DAILY": [{}, {"BYDAY": _days.map(",".join), "BYMONTH": _numbers(3, 5, 10)}],
    "WEEKLY": [{}, {"BYDAY": _days.map(",".join), "WKST": st.sampled_from(["MO", "SU"])}],
    "MONTHLY": [
        {},
        {"BYDAY": st.lists(_numbered, min_size=1, max_size=2, unique=True).map(",".join)},
        {"BYMONTHDAY": _numbers(1, 15, 29, 31, -1, -3)},
        {"BYDAY": _days.map(",".join), "BYSETPOS": _numbers(1, 2, -1)},
    ],
    "YEARLY": [{}, {"BYMONTH": _numbers(1, 2, 6, 12)}, {"BYMONTH": _numbers(1, 12), "BYMONTHDAY": _numbers(1, 28, -1)}],
}
"""By frequency, what a rule can say beside; each of it is said or not."""


@st.composite
def rules(draw: st.DrawFn, *, all_day: bool) -> str:
    """Rules that read well, most of which take place."""
    frequency = draw(st.sampled_from(sorted(_LIMITS)))
    beside: dict[str, st.SearchStrategy[Any]] = {"INTERVAL": st.integers(1, 5)}
    if not all_day and frequency in ("DAILY", "WEEKLY"):
        beside["BYHOUR"] = _numbers(1, 2, 3, 9, 23)
    parts = {"FREQ": frequency}
    parts |= {name: str(draw(each)) for name, each in draw(st.sampled_from(_LIMITS[frequency])).items()}
    parts |= {name: str(draw(each)) for name, each in beside.items() if draw(st.booleans())}
    ending = draw(st.sampled_from(["never", "COUNT", "UNTIL"]))
    if ending == "COUNT":
        parts["COUNT"] = str(draw(st.integers(1, 40)))
    elif ending == "UNTIL":
        until = wall("2026-01-01T00:00") + draw(st.integers(0, 900 * 24)) * HOUR
        parts["UNTIL"] = f"{until:%Y%m%d}" if all_day else f"{until:%Y%m%dT%H%M%SZ}"
    return ";".join(f"{name}={value}" for name, value in parts.items())


@st.composite
def series(draw: st.DrawFn) -> tuple[When, Recurrence]:
    """Series that begin about now, with dates left out and added."""
    tzid = draw(st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Asia/Kolkata"]))
    all_day = draw(st.booleans())
    first = wall("2025-10-01T00:00") - draw(st.sampled_from([0, 0, 1, 9])) * 366 * DAY
    first += draw(st.integers(0, 400 * 24)) * HOUR
    if all_day:
        when = whole_days(first.date(), first.date() + draw(st.integers(1, 3)) * DAY, tzid)
    else:
        assume(exists(first.replace(tzinfo=zone(tzid))))
        when = at(first.isoformat(), draw(st.sampled_from([HOUR, 5 * HOUR, 26 * HOUR])), tzid)
    rule = read(draw(rules(all_day=all_day)), tzid, all_day=all_day)
    assert isinstance(rule, str)
    taking_place = [each.recurrence_id for each in occurrences(when, Recurrence(rule), TWO_YEARS)]
    assume("UNTIL=" not in rule or len(taking_place) > 1)  # what ends before it begins is told in other ways
    exdates = draw(st.frozensets(st.sampled_from(taking_place or [when.start]), max_size=3))
    moves = st.integers(1, 500).map(lambda days: when.start + days * DAY)
    rdates = draw(st.frozensets(moves, max_size=2))
    return when, Recurrence(rule, rdates, exdates - {when.start})


TWO_YEARS = make_span(datetime(2026, 1, 1, tzinfo=UTC), 730 * DAY)
MANY = settings(
    max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


def _by_dateutil(when: When, recurrence: Recurrence) -> list[datetime]:
    """Return the wall times of a series within two years, all of it by dateutil."""
    lines = [f"DTSTART:{when.start:%Y%m%dT%H%M%S}"]
    rule = recurrence.rule or ""
    if "UNTIL=" in rule:
        head, _, tail = rule.partition("UNTIL=")
        until, _, rest = tail.partition(";")
        if until.endswith("Z"):
            moment = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone(when.tzid))
            until = f"{moment:%Y%m%dT%H%M%S}"
        rule = f"{head}UNTIL={until}" + (f";{rest}" if rest else "")
    lines.append(f"RRULE:{rule}")
    for name, dates in (("RDATE", {*recurrence.rdates, when.start}), ("EXDATE", recurrence.exdates)):
        lines += [f"{name}:{each:%Y%m%dT%H%M%S}" for each in sorted(dates)]
    return rrulestr("\n".join(lines), forceset=True).between(wall("2025-12-01"), wall("2028-02-01"))


@MANY
@given(series())
def test_a_series_takes_place_when_dateutil_says_so(one: tuple[When, Recurrence]) -> None:
    when, recurrence = one
    by_other = [
        occurrence.span
        for each in _by_dateutil(when, recurrence)
        if (occurrence := begun_at(when, each)) is not None and occurrence.span.overlaps(TWO_YEARS)
    ]
    found = [each.when.span for each in occurrences(when, recurrence, TWO_YEARS)]
    assert found == sorted(by_other, key=lambda span: span.start)


def _as_calendar(when: When, recurrence: Recurrence) -> icalendar.Calendar:
    """Return a series the way it stands in a file."""

    def value(each: datetime) -> str:
        return f"VALUE=DATE:{each:%Y%m%d}" if when.all_day else f"TZID={when.tzid}:{each:%Y%m%dT%H%M%S}"

    def line(name: str, each: datetime) -> str:
        return f"{name};{value(each)}" if when.tzid != "UTC" or when.all_day else f"{name}:{each:%Y%m%dT%H%M%S}Z"

    def dates(name: str, each: Iterable[datetime]) -> list[str]:
        return [line(name, one) for one in sorted(each)]

    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Kalends//tests//EN", "BEGIN:VEVENT", "UID:series"]
    lines += ["DTSTAMP:20260101T000000Z", line("DTSTART", when.start), line("DTEND", when.end)]
    lines += [f"RRULE:{recurrence.rule}", *dates("RDATE", recurrence.rdates), *dates("EXDATE", recurrence.exdates)]
    lines += ["END:VEVENT", "END:VCALENDAR", ""]
    return icalendar.Calendar.from_ical("\r\n".join(lines))


@MANY
@given(series())
def test_a_series_takes_place_when_recurring_ical_events_says_so(one: tuple[When, Recurrence]) -> None:
    when, recurrence = one
    found = recurring_ical_events.of(_as_calendar(when, recurrence)).between(date(2026, 1, 10), date(2027, 12, 1))
    by_other = sorted(each.start for each in found)
    inner = make_span(datetime(2026, 1, 15, tzinfo=UTC), 300 * DAY)

    def within(moments: Iterable[Any]) -> list[Any]:
        if when.all_day:
            return [each for each in moments if date(2026, 1, 15) <= each < date(2026, 11, 10)]
        return [each for each in moments if inner.start <= each.astimezone(UTC) < inner.end]

    ours = occurrences(when, recurrence, TWO_YEARS)
    # It leaves out also what begins at a date of EXDATE in UTC, and what the clocks show at one when they do in UTC.
    assume(recurrence.exdates.isdisjoint(each.when.span.start.replace(tzinfo=None) for each in ours))
    in_utc = {instant(each, when.tzid).replace(tzinfo=None) for each in recurrence.exdates}
    assume(in_utc.isdisjoint(each.when.start for each in ours))
    if when.all_day:
        assert within(each.when.start_date for each in ours) == within(by_other)
    else:
        assert within(each.when.span.start for each in ours) == [each.astimezone(UTC) for each in within(by_other)]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=HOURLY;INTERVAL=56;BYDAY=TU,TH",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=HOURLY;INTERVAL=84;BYHOUR=9;BYDAY=TH",
    ],
)
def test_a_rule_that_steps_over_its_days_for_ever_has_the_first_time_alone(rule: str) -> None:
    found = occurrences(make_when(), Recurrence(rule), TWO_YEARS)
    assert [each.when for each in found] == [make_when()]
