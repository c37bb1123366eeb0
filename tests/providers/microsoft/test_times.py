"""Times, days and zones, there and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.recurrence import Recurrence
from kalends.domain.sync import WarningCode
from kalends.domain.time import TimeSpan
from providers.microsoft.mapping import written
from providers.microsoft.reading import read
from providers.microsoft.shown import shown
from tests.helpers import BERLIN, HOUR, NOW, make_days, make_when, wall
from tests.providers.microsoft.payloads import CALENDAR, codes, received, state_of
from tests.providers.microsoft.stage import an_outgoing


def test_a_time_is_shown_in_the_zone_that_it_was_made_in() -> None:
    event = received(originalStartTimeZone="Eastern Standard Time")
    assert state_of(event).when == make_when(NOW, HOUR, "America/New_York")


@pytest.mark.parametrize("name", ["tzone://Microsoft/Custom", "Customized Time Zone", "Mars/Phobos"])
def test_a_zone_that_nobody_knows_is_the_calendars_own_and_that_is_said(name: str) -> None:
    copy = read(received(originalStartTimeZone=name), CALENDAR)
    assert copy.state is not None
    assert copy.state.when == make_when()
    assert codes(copy) == [WarningCode.UNKNOWN_TIME_ZONE]


def test_the_zone_of_a_series_is_looked_for_in_its_recurrence_too() -> None:
    ends = {"type": "noEnd", "startDate": "2026-05-04", "recurrenceTimeZone": "Eastern Standard Time"}
    recurrence = {"pattern": {"type": "daily", "interval": 1}, "range": ends}
    copy = read(received(originalStartTimeZone="tzone://Microsoft/Custom", recurrence=recurrence), CALENDAR)
    assert copy.state is not None
    assert copy.state.when.tzid == "America/New_York"
    assert copy.warnings == ()


def test_times_that_do_not_come_as_utc_are_understood_by_the_zone_beside_them() -> None:
    berlin = {"timeZone": "W. Europe Standard Time"}
    event = received(
        start={"dateTime": "2026-05-04T09:00:00", **berlin}, end={"dateTime": "2026-05-04T10:00:00", **berlin}
    )
    assert state_of(event).when == make_when()


def test_an_event_without_duration_takes_a_minute_and_that_is_said() -> None:
    copy = read(received(end=received()["start"]), CALENDAR)
    assert copy.state is not None
    assert copy.state.when.span == TimeSpan(NOW, NOW + timedelta(minutes=1))
    assert codes(copy) == [WarningCode.PARTLY_READ]


def test_the_second_hour_of_a_night_that_has_it_twice_is_read_as_the_instant_that_it_is() -> None:
    event = received(
        start={"dateTime": "2026-10-25T01:30:00", "timeZone": "UTC"},
        end={"dateTime": "2026-10-25T02:30:00", "timeZone": "UTC"},
    )
    when = state_of(event).when
    assert when.span.start == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert when.start == wall("2026-10-25T02:30")


@pytest.mark.parametrize("tzid", [BERLIN, "Pacific/Apia", "America/Los_Angeles"])
def test_days_are_dates_in_every_zone(tzid: str) -> None:
    calendar = replace(CALENDAR, tzid=tzid)
    event = received(
        isAllDay=True,
        originalStartTimeZone="UTC",
        start={"dateTime": "2026-05-04T00:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-05-06T00:00:00.0000000", "timeZone": "UTC"},
    )
    assert state_of(event, calendar).when == make_days(date(2026, 5, 4), 2, tzid)


def test_days_that_were_moved_to_utc_are_moved_back() -> None:
    event = received(
        isAllDay=True,
        start={"dateTime": "2026-05-03T22:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-05-04T22:00:00.0000000", "timeZone": "UTC"},
    )
    assert state_of(event).when == make_days(date(2026, 5, 4))


@pytest.mark.parametrize(
    ("tzid", "name", "becomes"),
    [
        (BERLIN, "W. Europe Standard Time", BERLIN),
        ("Europe/Vienna", "W. Europe Standard Time", BERLIN),
        ("America/New_York", "Eastern Standard Time", "America/New_York"),
        ("UTC", "UTC", "UTC"),
    ],
)
def test_times_are_written_beside_windows_name_of_their_zone(tzid: str, name: str, becomes: str) -> None:
    outgoing = an_outgoing(make_when(NOW, HOUR, tzid))
    state = shown(outgoing)
    assert state is not None
    assert state.when == make_when(NOW, HOUR, becomes)
    body = written(state)
    assert body["start"] == {"dateTime": state.when.start.isoformat(), "timeZone": name}


def test_a_time_that_the_clocks_show_twice_is_written_as_utc() -> None:
    begin = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # the second 02:30 in Berlin
    state = shown(an_outgoing(make_when(begin)))
    assert state is not None
    assert state.when == make_when(begin, HOUR, "UTC")
    assert written(state)["start"] == {"dateTime": "2026-10-25T01:30:00", "timeZone": "UTC"}


@given(st.datetimes(wall("1990-01-01"), wall("2037-12-31"), timezones=st.just(UTC)), st.integers(1, 10**6))
def test_whatever_is_written_is_the_same_instant(start: datetime, seconds: int) -> None:
    start = start.replace(microsecond=0)
    for tzid in (BERLIN, "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"):
        when = make_when(start, timedelta(seconds=seconds), tzid)
        state = shown(an_outgoing(when))
        assert state is not None
        assert state.when.span == when.span


def test_a_zone_that_windows_does_not_have_becomes_utc_but_stays_where_something_repeats() -> None:
    when = make_when(NOW, HOUR, "Antarctica/Troll")
    single, series = shown(an_outgoing(when)), shown(an_outgoing(when, recurrence=Recurrence("FREQ=DAILY")))
    assert single is not None
    assert single.when.tzid == "UTC"
    assert series is not None
    assert series.when.tzid == "Antarctica/Troll"
