from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kalends.domain.errors import Malformed
from kalends.domain.time import (
    TimeSpan,
    When,
    exists,
    instant,
    read_when,
    read_zone,
    start_of_day,
    wall_time,
    whole_days,
)
from kalends.domain.values import read_instant, read_instant_or_date
from tests.helpers import BERLIN, DAY, HOUR, NOW, make_days, make_span, refusing, wall

zones = st.sampled_from(sorted(name for name in available_timezones() if read_zone(name) == name))
moments = st.datetimes(wall("1970-01-02"), wall("2200-12-30"), timezones=st.just(UTC))


def read(
    start: str, end: str, *, all_day: bool = False, tzid: str | Malformed | None = None, calendar_tzid: str = BERLIN
) -> When:
    return read_when(
        read_instant_or_date(start), read_instant_or_date(end), all_day=all_day, tzid=tzid, calendar_tzid=calendar_tzid
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def at(text: str) -> datetime:
    moment = read_instant(text)
    assert isinstance(moment, datetime)
    return moment


# Spans


def test_a_span_cannot_be_naive_or_in_another_zone() -> None:
    with pytest.raises(ValueError, match="UTC"):
        TimeSpan(NOW.replace(tzinfo=None), NOW)
    with pytest.raises(ValueError, match="UTC"):
        TimeSpan(NOW, (NOW + HOUR).astimezone(ZoneInfo(BERLIN)))


@pytest.mark.parametrize("duration", [timedelta(0), -HOUR])
def test_a_span_cannot_be_empty_or_reversed(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="after its start"):
        make_span(NOW, duration)


@given(*[st.integers(0, 8)] * 2, *[st.integers(1, 8)] * 2)
def test_spans_overlap_where_they_share_time_and_not_where_they_touch(a: int, b: int, long_a: int, long_b: int) -> None:
    one, other = make_span(NOW + a * HOUR, long_a * HOUR), make_span(NOW + b * HOUR, long_b * HOUR)
    shared = set(range(a, a + long_a)) & set(range(b, b + long_b))
    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


# Zones


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5"])
def test_an_iana_zone_is_read_as_it_is_written(name: str) -> None:
    assert read_zone(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "europe/berlin", "Mars/Base", "+02:00", "localtime", "Factory", "../etc/passwd", "UTC\0", "\ud800", None, 1],
)
def test_what_is_no_iana_zone_is_refused(name: object) -> None:
    assert isinstance(read_zone(name), Malformed)


# Gaps: the clocks skip from 02:00 to 03:00


@pytest.mark.parametrize("offset", ["+01:00", "+02:00"])
def test_a_wall_time_inside_a_gap_is_refused_with_either_offset_around_it(offset: str) -> None:
    with refusing(("start", "NONEXISTENT_LOCAL_TIME")):
        read(f"2026-03-29T02:30:00{offset}", "2026-03-29T05:00:00+02:00")


def test_both_ends_inside_a_gap_are_named() -> None:
    with refusing(("start", "NONEXISTENT_LOCAL_TIME"), ("end", "NONEXISTENT_LOCAL_TIME")):
        read("2026-03-29T02:10:00+01:00", "2026-03-29T02:50:00+01:00")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2026-03-29T01:59:59+01:00", "2026-03-29T01:59:59"),
        ("2026-03-29T03:00:00+02:00", "2026-03-29T03:00:00"),
        ("2026-03-29T02:30:00Z", "2026-03-29T04:30:00"),
        ("2026-03-29T02:30:00-00:00", "2026-03-29T04:30:00"),  # RFC 3339: the local offset is unknown
        ("2026-03-29T02:30:00+05:30", "2026-03-28T22:00:00"),
        ("2026-03-29T02:00:00+00:00", "2026-03-29T04:00:00"),
    ],
)
def test_beside_a_gap_and_with_foreign_offsets_a_time_is_an_instant(written: str, shown: str) -> None:
    assert wall_time(at(written), BERLIN).replace(tzinfo=None) == wall(shown)


def test_in_london_an_offset_of_zero_means_the_local_clocks_and_z_does_not() -> None:
    with refusing(("", "NONEXISTENT_LOCAL_TIME")):
        wall_time(at("2026-03-29T01:30:00+00:00"), "Europe/London")
    assert wall_time(at("2026-03-29T01:30:00Z"), "Europe/London").isoformat() == "2026-03-29T02:30:00+01:00"


def test_a_gap_of_half_an_hour_is_no_hour() -> None:
    with refusing(("", "NONEXISTENT_LOCAL_TIME")):
        wall_time(at("2026-10-04T02:15:00+10:30"), "Australia/Lord_Howe")
    assert wall_time(at("2026-10-04T02:30:00+11:00"), "Australia/Lord_Howe").hour == 2


# Folds: the clocks show 02:00 to 03:00 twice


def test_each_offset_of_an_ambiguous_time_names_its_own_instant_and_keeps_the_wall_time() -> None:
    when = read("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
    assert when.start == when.end == wall("2026-10-25T02:30")
    assert when.span == TimeSpan(utc("2026-10-25T00:30"), utc("2026-10-25T01:30"))


def test_a_span_that_runs_backwards_through_a_fold_is_refused() -> None:
    with refusing(("end", "END_NOT_AFTER_START")):
        read("2026-10-25T02:10:00+01:00", "2026-10-25T02:50:00+02:00")


def test_the_fold_chooses_the_instant_of_an_ambiguous_wall_time() -> None:
    assert instant(wall("2026-10-25T02:30"), BERLIN) == utc("2026-10-25T00:30")
    assert instant(wall("2026-10-25T02:30"), BERLIN, fold=1) == utc("2026-10-25T01:30")


@given(moments, zones)
def test_the_wall_time_of_an_instant_is_that_instant_in_every_zone(moment: datetime, tzid: str) -> None:
    local = moment.astimezone(ZoneInfo(tzid))
    shown = wall_time(local, tzid)
    assert exists(shown)
    assert shown.astimezone(UTC) == moment
    assert wall_time(moment, tzid).replace(tzinfo=None) == local.replace(tzinfo=None)
    assert instant(shown.replace(tzinfo=None), tzid, shown.fold) == moment


# Days


@pytest.mark.parametrize(
    ("tzid", "day", "start", "hours"),
    [
        (BERLIN, "2026-05-01", "2026-04-30T22:00", 24),
        (BERLIN, "2026-03-29", "2026-03-28T23:00", 23),
        (BERLIN, "2026-10-25", "2026-10-24T22:00", 25),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23),  # the clocks skip midnight
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25),  # 23:00 to midnight comes twice
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00", 23),
        ("Africa/Cairo", "2023-04-28", "2023-04-27T22:00", 23),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00", 25),  # midnight comes twice
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30", 23.5),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24),
    ],
)
def test_a_whole_day_lasts_from_its_first_instant_to_the_next_days(
    tzid: str, day: str, start: str, hours: float
) -> None:
    first = date.fromisoformat(day)
    when = read(day, str(first + DAY), all_day=True, calendar_tzid=tzid)
    assert (when.start_date, when.end_date, when.all_day) == (first, first + DAY, True)
    assert when.span == TimeSpan(utc(start), utc(start) + hours * HOUR)


@given(st.dates(date(1970, 1, 3), date(2199, 12, 30)), zones)
@example(date(2018, 11, 4), "America/Sao_Paulo")
@example(date(2022, 3, 27), "Asia/Beirut")
@example(date(2023, 4, 28), "Africa/Cairo")
@example(date(2010, 11, 7), "America/St_Johns")  # 00:01 back to 23:01: the day begins, ends and begins
@example(date(2025, 11, 2), "America/Havana")
@example(date(2011, 12, 31), "Pacific/Apia")
def test_a_day_starts_at_the_first_instant_that_has_its_date(day: date, tzid: str) -> None:
    first = start_of_day(day, tzid)
    assume(first < start_of_day(day + DAY, tzid))  # some zones have skipped a whole day
    assert first.tzinfo is UTC
    assert first.astimezone(ZoneInfo(tzid)).date() == day
    before = [timedelta(seconds=1), *(n * timedelta(minutes=1) for n in range(1, 180)), *(n * HOUR for n in range(48))]
    assert all((first - step).astimezone(ZoneInfo(tzid)).date() < day for step in before if step)


def test_a_day_whose_midnight_lies_within_a_gap_starts_when_the_gap_ends() -> None:
    assert start_of_day(date(1919, 3, 31), "America/Toronto") == utc("1919-03-31T04:30")  # 23:30 to 00:30


def test_a_day_that_a_zone_skips_has_no_time_of_its_own() -> None:
    assert start_of_day(date(2011, 12, 30), "Pacific/Apia") == start_of_day(date(2011, 12, 31), "Pacific/Apia")
    with refusing(("", "NONEXISTENT_LOCAL_TIME")):
        whole_days(date(2011, 12, 30), date(2011, 12, 31), "Pacific/Apia")
    with refusing(("end", "END_NOT_AFTER_START")):
        read("2011-12-30", "2011-12-31", all_day=True, calendar_tzid="Pacific/Apia")
    assert whole_days(date(2011, 12, 29), date(2012, 1, 1), "Pacific/Apia").span.start == utc("2011-12-29T10:00")


def test_an_all_day_event_keeps_its_days_when_its_calendar_moves() -> None:
    here = make_days(date(2026, 3, 28), days=2)
    there = here.moved_to("America/New_York")
    assert (there.start_date, there.end_date, there.tzid, there.all_day) == (
        date(2026, 3, 28),
        date(2026, 3, 30),
        "America/New_York",
        True,
    )
    assert there.span == TimeSpan(utc("2026-03-28T04:00"), utc("2026-03-30T04:00"))


# What callers write


def test_a_time_takes_the_zone_that_is_asked_for_and_else_the_calendars() -> None:
    ours = read("2026-05-04T09:00:00+02:00", "2026-05-04T10:00:00+02:00")
    theirs = read("2026-05-04T09:00:00+02:00", "2026-05-04T10:00:00+02:00", tzid="Asia/Tokyo")
    assert (ours.tzid, ours.start) == (BERLIN, wall("2026-05-04T09:00"))
    assert (theirs.tzid, theirs.start) == ("Asia/Tokyo", wall("2026-05-04T16:00"))
    assert ours.span == theirs.span == TimeSpan(NOW, NOW + HOUR)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-05-01T00:00:00+02:00", "2026-05-03T00:00:00+02:00"),
        ("2026-04-30T22:00:00Z", "2026-05-02T22:00:00Z"),
        ("2026-05-01", "2026-05-03T00:00:00+02:00"),
    ],
)
def test_whole_days_may_be_written_as_midnights_of_the_calendar(start: str, end: str) -> None:
    assert read(start, end, all_day=True) == make_days(date(2026, 5, 1), days=2)


def test_whole_days_across_a_change_of_the_clocks_may_be_written_as_midnights() -> None:
    when = read("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", all_day=True)
    assert when == make_days(date(2026, 3, 29))


@pytest.mark.parametrize(
    ("start", "end", "problems"),
    [
        ("2026-05-01", "2026-05-01", [("end", "END_NOT_AFTER_START")]),
        ("2026-05-02", "2026-05-01", [("end", "END_NOT_AFTER_START")]),
        ("2026-05-01T00:00:00Z", "2026-05-02", [("start", "DATE_EXPECTED")]),
        ("2026-05-01", "2026-05-02T00:00:01+02:00", [("end", "DATE_EXPECTED")]),
        ("2018-11-04T00:00:00-03:00", "2018-11-06", [("start", "DATE_EXPECTED")]),
        ("never", "2026-05-02", [("start", "INVALID_VALUE")]),
    ],
)
def test_an_all_day_event_has_dates_and_an_end_after_its_last_day(
    start: str, end: str, problems: list[tuple[str, str]]
) -> None:
    with refusing(*problems):
        read(start, end, all_day=True)


def test_a_midnight_that_a_zone_skips_is_no_way_to_write_its_day() -> None:
    with refusing(("start", "NONEXISTENT_LOCAL_TIME")):
        read("2018-11-04T00:00:00-03:00", "2018-11-06", all_day=True, calendar_tzid="America/Sao_Paulo")


def test_all_day_events_take_their_calendars_zone_and_no_other() -> None:
    assert read("2026-05-01", "2026-05-02", all_day=True, tzid=BERLIN) == make_days(date(2026, 5, 1))
    with refusing(("tzid", "INVALID_VALUE")):
        read("2026-05-01", "2026-05-02", all_day=True, tzid="Asia/Tokyo")


def test_a_plain_date_is_only_for_all_day_events() -> None:
    with refusing(("start", "TIME_EXPECTED"), ("end", "TIME_EXPECTED")):
        read("2026-05-01", "2026-05-02")


@pytest.mark.parametrize("end", ["2026-05-04T09:00:00+02:00", "2026-05-04T07:00:00Z", "2026-05-04T08:59:00+02:00"])
def test_an_end_that_is_not_after_the_start_is_refused(end: str) -> None:
    with refusing(("end", "END_NOT_AFTER_START")):
        read("2026-05-04T09:00:00+02:00", end)


def test_an_unknown_zone_does_not_hide_what_else_is_wrong() -> None:
    with refusing(("tzid", "UNKNOWN_TIME_ZONE"), ("start", "INVALID_VALUE"), ("end", "TIME_EXPECTED")):
        read("soon", "2026-05-02", tzid=Malformed("a zone"))


def test_a_year_that_only_the_zone_leaves_is_refused() -> None:
    with refusing(("start", "INVALID_VALUE")):
        read("1970-01-01T00:00:00Z", "1970-01-01T12:00:00Z", calendar_tzid="America/New_York")
    with refusing(("end", "INVALID_VALUE")):
        read("2200-12-31T12:00:00Z", "2200-12-31T20:00:00Z", calendar_tzid="Asia/Tokyo")
