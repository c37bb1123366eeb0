"""How an event repeats, in Google's words and in ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from kalends.domain.events import EventState, EventStatus, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import WarningCode
from kalends.domain.time import When
from providers.google import GoogleProvider
from providers.google.copies import Copy, read
from providers.google.mapping import Unreadable
from providers.google.recurrence import lines_of, named, original_start, original_wall, read_lines, usual
from providers.google.wire import Event
from tests.contracts.provider_contract import outgoing_for
from tests.helpers import BERLIN, DAY, HOUR, NOW, WEEK, make_content, make_days, make_event, make_when, wall
from tests.providers.google.payloads import CALENDAR, event, instance, tombstone
from tests.providers.surroundings import surroundings

TIMED, DAYS = make_when(NOW, HOUR), make_days()


@pytest.mark.parametrize(
    ("when", "lines", "expected"),
    [
        (TIMED, ["RRULE:FREQ=WEEKLY;COUNT=5"], Recurrence("FREQ=WEEKLY;COUNT=5")),
        (TIMED, ["rrule:freq=weekly"], Recurrence("FREQ=WEEKLY")),
        (TIMED, ["RRULE:FREQ=DAILY;UNTIL=20260601T070000Z"], Recurrence("FREQ=DAILY;UNTIL=20260601T070000Z")),
        (TIMED, ["RRULE:FREQ=DAILY;UNTIL=20260601"], Recurrence("FREQ=DAILY;UNTIL=20260601T215959Z")),
        (DAYS, ["RRULE:FREQ=DAILY;UNTIL=20260601T000000Z"], Recurrence("FREQ=DAILY;UNTIL=20260601")),
        (
            TIMED,
            ["EXDATE;TZID=Europe/Berlin:20260511T090000,20260518T090000", "RRULE:FREQ=WEEKLY"],
            Recurrence("FREQ=WEEKLY", exdates=frozenset({wall("2026-05-11T09:00"), wall("2026-05-18T09:00")})),
        ),
        (
            TIMED,
            ["RRULE:FREQ=WEEKLY", "EXDATE:20260511T070000Z"],
            Recurrence("FREQ=WEEKLY", exdates=frozenset({wall("2026-05-11T09:00")})),
        ),
        (
            TIMED,
            ["RRULE:FREQ=WEEKLY", "EXDATE;VALUE=DATE:20260511"],
            Recurrence("FREQ=WEEKLY", exdates=frozenset({wall("2026-05-11T09:00")})),
        ),
        (
            TIMED,
            ["RDATE;TZID=America/New_York:20260506T030000"],
            Recurrence(None, rdates=frozenset({wall("2026-05-06T09:00")})),
        ),
        (TIMED, ["RDATE:20260506T090000"], Recurrence(None, rdates=frozenset({wall("2026-05-06T09:00")}))),
        (
            DAYS,
            ["RRULE:FREQ=YEARLY", "RDATE;VALUE=DATE:20260510", "EXDATE;VALUE=DATE:20270504"],
            Recurrence("FREQ=YEARLY", frozenset({wall("2026-05-10")}), frozenset({wall("2027-05-04")})),
        ),
        (TIMED, [], None),
        (TIMED, ["EXDATE:20260511T070000Z"], None),
    ],
)
def test_lines_are_read_in_the_zone_of_the_event(when: When, lines: list[str], expected: Recurrence | None) -> None:
    assert read_lines(lines, when) == expected


@pytest.mark.parametrize(
    "lines",
    [
        ["RRULE:FREQ=MINUTELY"],
        ["RRULE:FREQ=SECONDLY;COUNT=1000000"],
        ["RRULE:FREQ=WEEKLY", "RRULE:FREQ=MONTHLY"],
        ["RRULE:FREQ=WEEKLY", "EXRULE:FREQ=MONTHLY"],
        ["RRULE:"],
        ["RRULE:FREQ=SOMETIMES"],
        ["DTSTART:20260504T090000Z"],
        ["RDATE;VALUE=PERIOD:20260504T090000Z/PT1H"],
        ["RDATE;TZID=Nowhere/Land:20260504T090000"],
        ["EXDATE:soon"],
        [7],
        "RRULE:FREQ=DAILY",
    ],
)
def test_a_recurrence_that_kalends_does_not_expand_cannot_be_read(lines: Any) -> None:
    with pytest.raises(Unreadable):
        read_lines(lines, TIMED)


@pytest.mark.parametrize(
    "lines",
    [
        ["RRULE:FREQ=WEEKLY;COUNT=5"],
        ["RRULE:FREQ=WEEKLY", "RDATE;TZID=Europe/Berlin:20260506T090000", "EXDATE;TZID=Europe/Berlin:20260511T090000"],
        ["RDATE;TZID=Europe/Berlin:20260506T090000,20260507T090000"],
    ],
)
def test_lines_that_were_read_are_written_as_they_were(lines: list[str]) -> None:
    recurrence = read_lines(lines, TIMED)
    assert recurrence is not None
    assert lines_of(TIMED, recurrence) == lines


def test_dates_of_whole_days_are_written_as_dates() -> None:
    recurrence = Recurrence("FREQ=DAILY", frozenset({wall("2026-06-01")}), frozenset({wall("2026-05-05")}))
    assert lines_of(DAYS, recurrence) == [
        "RRULE:FREQ=DAILY",
        "RDATE;VALUE=DATE:20260601",
        "EXDATE;VALUE=DATE:20260505",
    ]


# Which occurrence


@pytest.mark.parametrize(
    ("when", "start", "expected"),
    [
        (TIMED, {"dateTime": "2026-05-11T09:00:00+02:00"}, "2026-05-11T09:00"),
        (TIMED, {"dateTime": "2026-05-11T07:00:00Z", "timeZone": "UTC"}, "2026-05-11T09:00"),
        (TIMED, {"date": "2026-05-11"}, "2026-05-11T09:00"),
        (DAYS, {"date": "2026-05-11"}, "2026-05-11T00:00"),
        (DAYS, {"dateTime": "2026-05-11T09:00:00+02:00"}, "2026-05-11T00:00"),
    ],
)
def test_an_instance_is_known_by_the_wall_time_at_which_its_rule_begins_it(
    when: When, start: dict[str, str], expected: str
) -> None:
    moved: Event = {"id": "x", "originalStartTime": start}  # type: ignore[typeddict-item]
    assert original_wall(moved, when) == wall(expected)


def test_an_instance_in_the_hour_that_the_clocks_skip_has_the_wall_time_of_the_rule() -> None:
    """The clocks go forward in Berlin on 2026-03-29, from 02:00 to 03:00."""
    night = make_when(datetime(2026, 3, 27, 1, 30, tzinfo=UTC), HOUR)
    skipped = wall("2026-03-29T02:30")
    assert original_start(skipped, night) == "2026-03-29T03:30:00+02:00"
    told: Event = {"id": "x", "originalStartTime": {"dateTime": original_start(skipped, night)}}
    assert original_wall(told, night) == skipped


def test_an_occurrence_is_named_as_google_does_it() -> None:
    assert original_start(wall("2026-05-11T09:00"), TIMED) == "2026-05-11T09:00:00+02:00"
    assert original_start(wall("2026-12-07T09:00"), TIMED) == "2026-12-07T09:00:00+01:00"
    assert original_start(wall("2026-05-11"), DAYS) == "2026-05-11"


def test_the_usual_time_of_an_occurrence_keeps_the_wall_time_over_a_change_of_the_clocks() -> None:
    at = usual(TIMED, wall("2026-11-02T09:00"))
    assert at == make_when(datetime(2026, 11, 2, 8, tzinfo=UTC), HOUR)
    assert usual(make_days(date(2011, 12, 1), 1, "Pacific/Apia"), wall("2011-12-30")) is None


def test_only_days_on_which_a_series_takes_place_are_named() -> None:
    weekly = Recurrence("FREQ=WEEKLY;COUNT=3", rdates=frozenset({wall("2026-06-01T09:00")}))
    there = {wall("2026-05-04T09:00"), wall("2026-05-18T09:00"), wall("2026-06-01T09:00")}
    elsewhere = {wall("2026-05-05T09:00"), wall("2026-05-18T10:00"), wall("2026-05-25T09:00")}
    assert named(TIMED, weekly, there | elsewhere) == there
    assert named(TIMED, weekly, []) == set()


def test_what_lies_beyond_what_is_expanded_is_taken_for_named() -> None:
    hourly = Recurrence("FREQ=HOURLY")
    late = wall("2030-05-04T09:00")
    assert named(TIMED, hourly, {wall("2026-05-04T10:00"), wall("2026-05-04T10:30"), late}) == {
        wall("2026-05-04T10:00"),
        late,
    }


# A series and what differs from it


def series(*exceptions: Event, **fields: Any) -> EventState:
    whole = Copy(event(**{"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=6"]} | fields), exceptions)
    found = read(whole, CALENDAR).state
    assert found is not None
    return found


def test_a_series_has_its_changed_and_its_deleted_occurrences() -> None:
    """Deleted instances leave a mark for the life of their series, or they return: OutlookGoogleCalendarSync#418."""
    moved = instance(
        "2026-05-11T09:00:00+02:00",
        start={"dateTime": "2026-05-12T14:00:00+02:00", "timeZone": BERLIN},
        end={"dateTime": "2026-05-12T15:00:00+02:00", "timeZone": BERLIN},
    )
    recurrence = series(
        moved,
        tombstone("2026-05-18T09:00:00+02:00"),
        recurrence=["RRULE:FREQ=WEEKLY;COUNT=6", "EXDATE;TZID=Europe/Berlin:20260525T090000"],
    ).recurrence
    assert recurrence == Recurrence(
        "FREQ=WEEKLY;COUNT=6",
        exdates=frozenset({wall("2026-05-18T09:00"), wall("2026-05-25T09:00")}),
        overrides={
            wall("2026-05-11T09:00"): Override(make_when(NOW + WEEK + DAY + 5 * HOUR, HOUR), make_content("Planning"))
        },
    )


def test_an_occurrence_that_was_changed_back_differs_in_nothing() -> None:
    back = instance(
        "2026-05-11T09:00:00+02:00",
        start={"dateTime": "2026-05-11T09:00:00+02:00", "timeZone": BERLIN},
        end={"dateTime": "2026-05-11T10:00:00+02:00", "timeZone": BERLIN},
    )
    assert series(back).recurrence == Recurrence("FREQ=WEEKLY;COUNT=6")


def test_an_occurrence_that_is_there_is_there_though_a_line_leaves_its_date_out() -> None:
    renamed = instance("2026-05-11T09:00:00+02:00", summary="Renamed")
    recurrence = series(renamed, recurrence=["RRULE:FREQ=WEEKLY", "EXDATE:20260511T070000Z"]).recurrence
    assert recurrence is not None
    assert recurrence.exdates == frozenset()
    assert recurrence.overrides.keys() == {wall("2026-05-11T09:00")}


def test_the_etag_of_a_series_changes_with_each_of_its_exceptions() -> None:
    weekly = event(recurrence=["RRULE:FREQ=WEEKLY"])
    moved, gone = instance("2026-05-11T09:00:00+02:00"), tombstone("2026-05-11T09:00:00+02:00")
    changed = instance("2026-05-11T09:00:00+02:00", etag='"2"')
    sets: list[Sequence[Event]] = [(), (moved,), (changed,), (gone,), (moved, tombstone("2026-05-18T09:00:00+02:00"))]
    etags = [Copy(weekly, each).etag for each in sets]
    assert len(set(etags)) == len(etags)
    assert Copy(weekly, sets[-1][::-1]).etag == etags[-1]
    assert etags[0] == weekly["etag"]


def test_the_etag_does_not_hang_on_what_google_does_not_promise_of_a_deleted_instance() -> None:
    weekly, gone = event(recurrence=["RRULE:FREQ=WEEKLY"]), tombstone("2026-05-11T09:00:00+02:00")
    bare: Event = {each: gone[each] for each in ("id", "status", "originalStartTime")}  # type: ignore[assignment]
    assert Copy(weekly, (bare,)).etag == Copy(weekly, (gone,)).etag


def test_of_a_series_that_cannot_be_read_nothing_is_read() -> None:
    with pytest.raises(Unreadable):
        series(instance("2026-05-11T09:00:00+02:00", start=None))


# What is lost


def test_occurrences_that_google_cannot_keep_are_not_expected_and_said_to_be_lost() -> None:
    overrides = {
        wall("2026-05-05T09:00"): Override(make_when(NOW + DAY, HOUR), make_content("Not on a day of the series")),
        wall("2026-05-11T09:00"): Override(make_when(NOW + WEEK), make_content(status=EventStatus.CANCELLED)),
        wall("2026-05-18T09:00"): Override(
            make_when(NOW + 2 * WEEK), make_content("Secret", visibility=Visibility.PRIVATE)
        ),
        wall("2026-05-25T09:00"): Override(make_when(NOW + 3 * WEEK), make_content("Planning")),
    }
    recurrence = Recurrence("FREQ=WEEKLY", exdates=frozenset({wall("2026-05-06T09:00")}), overrides=overrides)
    outgoing = outgoing_for(make_event(uuid7(), recurrence=recurrence))
    provider = GoogleProvider(surroundings())
    expected = provider.expected(outgoing)
    kept = {wall("2026-05-18T09:00"): Override(make_when(NOW + 2 * WEEK), make_content("Secret"))}
    told = Recurrence("FREQ=WEEKLY", exdates=frozenset({wall("2026-05-11T09:00")}), overrides=kept)
    assert same(expected, replace(outgoing.event.state, recurrence=told))
    assert {each.code for each in provider.warnings(outgoing)} == {
        WarningCode.RECURRENCE_NOT_SENT,
        WarningCode.CANCELLATION_DELETES,
        WarningCode.VISIBILITY_NOT_SENT,
    }
