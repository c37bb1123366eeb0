"""Events of ours, as they are sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from kalends.domain.events import Attendee, EventState, EventStatus, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import whole_days
from providers.microsoft import MicrosoftProvider, wire
from providers.microsoft.mapping import created, differing, stamp, with_those_there, written
from providers.microsoft.series import journal_of, read_journal, steps, write_journal
from providers.microsoft.shown import shown
from tests.contracts.provider_contract import GUESTS, outgoing_for
from tests.helpers import BERLIN, DAY, HOUR, NOW, make_content, make_days, make_event, make_when, wall
from tests.providers.microsoft.payloads import (
    SERIES,
    agreed,
    attendee,
    expected,
    received,
    series,
    state_of,
)
from tests.providers.microsoft.stage import an_outgoing, became, lent


def test_a_create_says_everything_and_who_we_are() -> None:
    outgoing = an_outgoing(metadata={"crm": "4711"}, attendees=GUESTS, send_invitations=True)
    state = shown(outgoing)
    assert state is not None
    body = created(outgoing, state)
    assert body["transactionId"] == outgoing.identity.key
    properties = {each["id"]: each["value"] for each in body["singleValueExtendedProperties"]}
    assert properties == {wire.STAMP: stamp(outgoing.identity), wire.METADATA: '{"crm":"4711"}'}
    assert [each["emailAddress"]["address"] for each in body["attendees"]] == [each.email for each in GUESTS]
    assert "isReminderOn" not in body
    assert "recurrence" not in body


def test_the_owners_own_reminder_is_left_to_outlook_and_another_is_said() -> None:
    for reminders, said in (((), {"isReminderOn": False}), ((5,), {"reminderMinutesBeforeStart": 5})):
        state = EventState(make_when(), make_content(reminders=reminders))
        assert said.items() <= created(an_outgoing(), state).items()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, set()),
        ({"summary": "Other"}, {"subject"}),
        ({"location": "Other"}, {"location"}),
        ({"description": "Other"}, {"body"}),
        ({"transparent": True}, {"showAs"}),
        ({"status": EventStatus.TENTATIVE}, {"showAs"}),
        ({"out_of_office": True}, {"showAs"}),
        ({"visibility": Visibility.PRIVATE}, {"sensitivity"}),
        ({"reminders": ()}, {"isReminderOn"}),
        ({"reminders": (5,)}, {"isReminderOn", "reminderMinutesBeforeStart"}),
        ({"reminders": (15,)}, set()),
        ({"attendees": GUESTS, "send_invitations": True}, {"attendees"}),
    ],
)
def test_only_what_differs_is_written(changes: dict[str, Any], names: set[str]) -> None:
    outgoing = an_outgoing()
    before, after = shown(outgoing), shown(became(outgoing, **changes))
    assert before is not None
    assert after is not None
    assert differing(written(before), written(after)).keys() == names


def test_all_that_says_when_a_series_is_is_written_together() -> None:
    when, content = make_when(), make_content()
    series = EventState(when, content, Recurrence("FREQ=DAILY"))
    moved = replace(series, when=make_when(NOW + HOUR))
    assert differing(written(series), written(moved)).keys() == {"start", "end", "isAllDay", "recurrence"}
    single = EventState(when, content)
    assert differing(written(series), written(single))["recurrence"] is None
    assert differing(written(single), written(replace(single, when=moved.when))).keys() == {"start", "end", "isAllDay"}


def test_whoever_is_on_the_list_stays_on_it_as_they_are() -> None:
    there = [
        attendee("bob@example.org", "accepted", type="optional"),
        attendee("unknown@example.org"),
        attendee("room@example.org", type="resource"),
        attendee(None),
    ]
    event = received(attendees=there)
    wanted = written(
        EventState(make_when(), make_content(attendees=(Attendee("BOB@example.org"), Attendee("eve@x.org"))))
    )
    known = written(
        EventState(make_when(), make_content(attendees=(Attendee("bob@example.org"), Attendee("room@example.org"))))
    )
    listed = with_those_there(wanted["attendees"], known["attendees"], event)
    assert listed[:3] == [there[0], there[1], there[3]]
    assert [each["emailAddress"] for each in listed[3:]] == [{"address": "eve@x.org"}]


# The occurrences of a series


def test_a_journal_says_how_occurrences_differ_and_survives_being_kept() -> None:
    journal = journal_of(expected(series()))
    assert journal.keys() == {wall("2026-05-06T09:00"), wall("2026-05-07T09:00")}
    assert journal[wall("2026-05-06T09:00")] is None
    changes = journal[wall("2026-05-07T09:00")]
    assert changes is not None
    assert changes.keys() == {"subject", "start", "end", "isAllDay"}
    assert read_journal(write_journal(journal)) == journal


@pytest.mark.parametrize("text", [None, "", "{}", "{", "[]", "7", '{"soon": null}', '{"2026-05-06T09:00": 7}'])
def test_a_journal_of_nothing_or_that_nobody_can_read_is_none(text: str | None) -> None:
    assert read_journal(text) is None


def test_what_is_done_is_not_done_again() -> None:
    wanted = expected(series())
    fresh = replace(wanted, recurrence=Recurrence("FREQ=DAILY;COUNT=9"))
    journal = journal_of(wanted)
    assert [(step.wall.day, step.changes is None) for step in steps(journal, fresh)] == [(6, True), (7, False)]
    assert steps(journal, wanted) == []


def test_what_must_be_like_its_series_again_is_changed_back() -> None:
    (step,) = steps({}, expected(series(replace(SERIES, exdates=frozenset()))))
    assert step.wall == wall("2026-05-07T09:00")
    assert step.changes is not None
    assert step.changes["subject"] == "Planning"
    assert step.changes["start"]["dateTime"] == "2026-05-07T09:00:00"


def test_what_moves_towards_the_end_begins_there() -> None:
    later = {
        wall(f"2026-05-{day:02}T09:00"): Override(make_when(NOW + (day - 4 + 1) * DAY), make_content())
        for day in (6, 7, 8)
    }
    earlier = {wall("2026-05-05T09:00"): Override(make_when(NOW + DAY - HOUR), make_content())}
    state = expected(series(Recurrence("FREQ=DAILY;COUNT=9", overrides=later | earlier)))
    fresh = replace(state, recurrence=Recurrence("FREQ=DAILY;COUNT=9"))
    assert [step.wall.day for step in steps(journal_of(state), fresh)] == [5, 8, 7, 6]


def test_exceptions_are_found_by_when_they_would_have_been() -> None:
    ends = {"type": "numbered", "startDate": "2026-05-04", "numberOfOccurrences": 9}
    moved = received(
        id="AAkALg2",
        type="exception",
        subject="Moved",
        start={"dateTime": "2026-05-07T08:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-05-07T09:00:00.0000000", "timeZone": "UTC"},
    )
    for hint in ({"originalStart": "2026-05-07T07:00:00Z"}, {"occurrenceId": "OID.AAkALg.2026-05-07"}, {}):
        event = received(
            recurrence={"pattern": {"type": "daily", "interval": 1}, "range": ends},
            cancelledOccurrences=["OID.AAkALg.2026-05-06"],
            exceptionOccurrences=[moved | hint],
        )
        recurrence = state_of(event).recurrence
        assert recurrence is not None
        assert (recurrence.rule, recurrence.exdates) == (SERIES.rule, SERIES.exdates)
        (found,) = recurrence.overrides
        assert found == wall("2026-05-07T09:00")


def test_exceptions_of_whole_days_are_found_by_their_date() -> None:
    days = {"isAllDay": True, "originalStartTimeZone": "UTC"}
    ends = {"type": "noEnd", "startDate": "2026-05-04"}
    for original in ("2026-05-11T00:00:00Z", "2026-05-10T22:00:00Z"):
        exception = received(
            **days,
            type="exception",
            subject="Other",
            originalStart=original,
            start={"dateTime": "2026-05-11T00:00:00", "timeZone": "UTC"},
            end={"dateTime": "2026-05-12T00:00:00", "timeZone": "UTC"},
        )
        event = received(
            isAllDay=True,
            start={"dateTime": "2026-05-04T00:00:00", "timeZone": "UTC"},
            end={"dateTime": "2026-05-05T00:00:00", "timeZone": "UTC"},
            recurrence={"pattern": {"type": "daily", "interval": 7}, "range": ends},
            exceptionOccurrences=[exception],
        )
        recurrence = state_of(event).recurrence
        assert recurrence is not None
        (found,) = recurrence.overrides
        assert found == wall("2026-05-11T00:00")
        assert recurrence.overrides[found].when == whole_days(date(2026, 5, 11), date(2026, 5, 12), BERLIN)


def test_whole_days_may_differ_from_the_days_of_their_series() -> None:
    moved = Override(make_days(date(2026, 5, 12), 2), make_content("Longer"))
    outgoing = series(Recurrence("FREQ=WEEKLY", overrides={wall("2026-05-11T00:00"): moved}), make_days())
    assert same(shown(outgoing), outgoing.event.state)
    (changes,) = journal_of(expected(outgoing)).values()
    assert changes is not None
    assert changes["end"] == {"dateTime": "2026-05-14T00:00:00", "timeZone": "W. Europe Standard Time"}


# Before anything is done


def test_a_preview_shows_what_occurrences_would_be_told() -> None:
    preview = MicrosoftProvider(lent()).preview(series())
    assert preview["recurrence"]["range"]["numberOfOccurrences"] == 9
    assert preview["occurrences"]["2026-05-06T09:00:00"] is None
    assert preview["occurrences"]["2026-05-07T09:00:00"]["subject"] == "Moved"


def test_whoever_takes_part_at_outlook_is_mailed_by_every_change() -> None:
    provider = MicrosoftProvider(lent())
    outgoing = agreed(an_outgoing(attendees=GUESTS[:1], send_invitations=True))
    assert provider.mailed(became(outgoing, send_invitations=False)) == (GUESTS[0].email,)
    assert provider.mailed(became(outgoing, status=EventStatus.CANCELLED)) == (GUESTS[0].email,)
    assert provider.mailed(an_outgoing(attendees=GUESTS)) == ()


def test_the_organizer_of_somebody_elses_event_is_mailed_where_an_answer_is_to_be_told() -> None:
    provider, event = MicrosoftProvider(lent()), make_event(uuid7(), organizer="grace@example.org")
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    assert provider.mailed(outgoing) == ()
    assert provider.mailed(became(outgoing, send_invitations=True)) == ("grace@example.org",)


def test_a_stamp_can_be_found_by_what_we_know_of_it_alone() -> None:
    identity = an_outgoing().identity
    word, event_id, generation, key = stamp(identity).split(" ")
    assert (word, UUID(event_id), int(generation), key) == ("kalends", identity.event_id, 0, identity.key)
