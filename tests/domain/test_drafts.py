"""What callers change in events that have come from elsewhere, in reminders, and in series."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from kalends.domain.drafts import EventChanges, EventDraft, read_reminders, revised
from kalends.domain.errors import Malformed
from kalends.domain.events import (
    LONGEST_REMINDER,
    MAX_ATTENDEES,
    MAX_REMINDERS,
    Attendee,
    Event,
    EventContent,
    Partstat,
    Visibility,
)
from kalends.domain.recurrence import Override, Recurrence, occurrences
from kalends.domain.time import instant
from tests.helpers import (
    BERLIN,
    DAY,
    HOUR,
    NOW,
    WEEK,
    make_content,
    make_days,
    make_event,
    make_span,
    make_when,
    refusing,
    wall,
)

CALENDAR, OWNER, LATER = uuid4(), "ada@example.org", NOW + DAY


def changed(event: Event, *, owner: str | None = OWNER, **changes: Any) -> Event:
    wanted: EventChanges = changes  # type: ignore[assignment]
    return event.became(revised(event.state, wanted, calendar_tzid=BERLIN, owner=owner), at=LATER)


def judged(**fields: Any) -> EventContent:
    draft = EventDraft(start=NOW, end=NOW + HOUR, summary="Planning", location="", **fields)
    return draft.judged(calendar_tzid=BERLIN, owner=OWNER).content


# What a provider gave us

CROWD = tuple(Attendee(f"guest{number}@example.org", Partstat.DECLINED) for number in range(MAX_ATTENDEES + 50))
FOREIGN: dict[str, dict[str, Any]] = {
    "no title": {"summary": ""},
    "a blank title": {"summary": " \t"},
    "many attendees": {"attendees": CROWD},
    "an attendee who is no address": {"attendees": (Attendee("bob@local host"), Attendee("BOB@EXAMPLE.ORG"))},
    "many reminders": {"reminders": tuple(range(20))},
    "a reminder long before": {"reminders": (100_000,)},
    "a large metadata": {"metadata": {"k" * 100: "v" * 2000}},
    "somebody else's": {"organizer": "eve@example.org"},
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_breaks_a_rule_of_ours_stays_where_it_is_not_touched(content: dict[str, Any]) -> None:
    event = make_event(CALENDAR, **content)
    after = changed(event, location="Room 2", visibility=Visibility.PRIVATE)
    expected = replace(event.content, location="Room 2", visibility=Visibility.PRIVATE)
    assert (after.content, after.when, after.version) == (expected, event.when, 2)
    assert changed(event, start=NOW + HOUR, end=NOW + 2 * HOUR).content == event.content


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("summary", "", "summary"),
        ("attendees", tuple(each.email for each in CROWD), "attendees"),
        ("attendees", (Malformed("an address"),), "attendees.0"),
        ("reminders", (100_000,), "reminders"),
        ("reminders", tuple(range(20)), "reminders"),
    ],
)
def test_what_breaks_a_rule_of_ours_is_refused_where_it_is_written(field: str, value: Any, path: str) -> None:
    with refusing((path, "INVALID_VALUE")):
        changed(make_event(CALENDAR), **{field: value})


@pytest.mark.parametrize("duration", [timedelta(seconds=1), 400 * DAY])
def test_a_time_that_a_provider_gave_stays_where_it_is_not_touched(duration: timedelta) -> None:
    when = make_when(NOW, duration, "Australia/Lord_Howe")
    assert changed(make_event(CALENDAR, when=when), summary="Review").when == when


def test_whole_days_of_another_zone_than_the_calendars_stay_where_they_are_not_touched() -> None:
    when = make_days(date(2026, 5, 4), tzid="Asia/Tokyo")
    assert changed(make_event(CALENDAR, when=when), summary="Review").when == when


def test_attendees_who_stay_keep_their_answers_and_the_owners_answer_is_the_events() -> None:
    event = make_event(
        CALENDAR,
        attendees=(Attendee("Ada@example.org", Partstat.ACCEPTED), Attendee("bob@example.org", Partstat.DECLINED)),
    )
    after = changed(event, partstat=Partstat.TENTATIVE, location="Room 2")
    assert after.content.attendees == (
        Attendee("Ada@example.org", Partstat.TENTATIVE),
        Attendee("bob@example.org", Partstat.DECLINED),
    )
    assert changed(event, partstat=Partstat.TENTATIVE, owner=None).content.attendees == event.content.attendees


def test_an_answer_of_the_owner_who_is_asked_anew_is_the_events() -> None:
    event = make_event(CALENDAR, partstat=Partstat.TENTATIVE)
    after = changed(event, attendees=(OWNER, "bob@example.org"))
    assert after.content.attendees == (Attendee(OWNER, Partstat.TENTATIVE), Attendee("bob@example.org"))


# Reminders and visibility


@pytest.mark.parametrize(
    ("written", "kept"),
    [(None, None), ((), ()), ((10,), (10,)), ((1440, 10, 0, 10), (0, 10, 1440)), ((LONGEST_REMINDER,),) * 2],
)
def test_reminders_are_kept_sorted_and_each_once(written: tuple[int, ...] | None, kept: tuple[int, ...] | None) -> None:
    assert read_reminders(written) == kept
    assert judged(reminders=written).reminders == kept
    assert changed(make_event(CALENDAR, reminders=(7,)), reminders=written).content.reminders == kept


@pytest.mark.parametrize("written", [(-1,), (LONGEST_REMINDER + 1,), tuple(range(MAX_REMINDERS + 1))])
def test_reminders_have_limits(written: tuple[int, ...]) -> None:
    assert isinstance(read_reminders(written), Malformed)
    with refusing(("reminders", "INVALID_VALUE")):
        judged(reminders=written)


def test_reminders_that_repeat_count_once() -> None:
    assert read_reminders(tuple(range(MAX_REMINDERS)) * 9) == tuple(range(MAX_REMINDERS))


@pytest.mark.parametrize("visibility", Visibility)
def test_the_visibility_is_the_one_that_was_written(visibility: Visibility) -> None:
    assert judged(visibility=visibility).visibility is visibility
    assert changed(make_event(CALENDAR), visibility=visibility).content.visibility is visibility


# Series

FIRST = make_when().start
MOVED = Override(make_when(NOW + WEEK + 5 * HOUR), make_content("Moved"))
SERIES = Recurrence(
    "FREQ=WEEKLY;COUNT=5",
    frozenset({FIRST + DAY}),
    frozenset({FIRST + 2 * WEEK}),
    {FIRST + WEEK: MOVED},
)


def times(event: Event) -> list[datetime]:
    assert event.recurrence is not None
    return [
        each.when.span.start for each in occurrences(event.when, event.recurrence, make_span(NOW - WEEK, 60 * WEEK))
    ]


def test_a_series_that_is_renamed_repeats_as_before() -> None:
    event = make_event(CALENDAR, recurrence=SERIES)
    after = changed(event, summary="Review")
    assert (after.recurrence, after.sequence, after.content.summary) == (SERIES, 0, "Review")


@pytest.mark.parametrize("by", [HOUR, -3 * HOUR, DAY])
def test_a_series_that_moves_keeps_its_exceptions(by: timedelta) -> None:
    event = make_event(CALENDAR, recurrence=SERIES)
    after = changed(event, start=NOW + by, end=NOW + by + HOUR)
    assert after.recurrence == Recurrence(
        "FREQ=WEEKLY;COUNT=5",
        frozenset({FIRST + DAY + by}),
        frozenset({FIRST + 2 * WEEK + by}),
        {FIRST + WEEK + by: MOVED},
    )
    assert sorted(times(after)) == sorted(
        [NOW + by, NOW + DAY + by, MOVED.when.span.start, NOW + 3 * WEEK + by, NOW + 4 * WEEK + by]
    )
    assert (after.version, after.sequence) == (2, 1)


def test_a_series_that_grows_longer_repeats_as_before() -> None:
    event = make_event(CALENDAR, recurrence=SERIES)
    after = changed(event, end=NOW + 2 * HOUR)
    assert after.recurrence == SERIES
    assert times(after) == times(event)


def test_a_series_in_another_zone_keeps_its_exceptions() -> None:
    event = make_event(CALENDAR, recurrence=SERIES)
    after = changed(event, tzid="Asia/Tokyo")
    assert after.when == make_when(tzid="Asia/Tokyo")
    assert after.recurrence is not None
    assert after.recurrence.exdates == frozenset({FIRST + 2 * WEEK + 7 * HOUR})
    assert times(after) == times(event)


def test_a_series_stays_at_its_wall_time_over_a_change_of_the_clocks() -> None:
    event = make_event(CALENDAR, when=make_when(instant(wall("2026-10-19T09:00"), BERLIN)), recurrence=SERIES)
    start = instant(wall("2026-10-20T11:00"), BERLIN)
    after = changed(event, start=start, end=start + HOUR)
    assert after.recurrence is not None
    assert after.recurrence.exdates == frozenset({FIRST + 2 * WEEK + DAY + 2 * HOUR})


def test_a_series_can_be_read_back_after_a_move_there_and_back() -> None:
    event = make_event(CALENDAR, recurrence=SERIES)
    there = changed(event, start=NOW + HOUR, end=NOW + 2 * HOUR)
    back = changed(there, start=NOW, end=NOW + HOUR)
    assert back.state == event.state
