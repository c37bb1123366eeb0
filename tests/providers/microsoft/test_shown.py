"""What Outlook is expected to show, and what is said of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kalends.domain.events import Attendee, EventState, EventStatus, Partstat, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import WarningCode
from providers.microsoft.shown import shown, warnings
from tests.contracts.provider_contract import EVENTS, GUESTS, OWNER, outgoing_for
from tests.helpers import DAY, HOUR, NOW, make_content, make_event, make_when, wall
from tests.providers.microsoft.payloads import (
    agreed,
    expected,
    series,
)
from tests.providers.microsoft.stage import an_outgoing, became


@pytest.mark.parametrize(
    ("content", "code", "becomes"),
    [
        ({"summary": "s" * 256}, WarningCode.TEXT_SHORTENED, {"summary": "s" * 255}),
        ({"reminders": (60, 5, 10)}, WarningCode.REMINDERS_NOT_SENT, {"reminders": (5,)}),
        ({"visibility": Visibility.PUBLIC}, WarningCode.VISIBILITY_NOT_SENT, {"visibility": Visibility.DEFAULT}),
        (
            {"status": EventStatus.TENTATIVE, "transparent": True},
            WarningCode.STATUS_NOT_SENT,
            {"status": EventStatus.CONFIRMED, "transparent": True},
        ),
        (
            {"status": EventStatus.TENTATIVE, "out_of_office": True},
            WarningCode.STATUS_NOT_SENT,
            {"status": EventStatus.CONFIRMED, "out_of_office": True},
        ),
        (
            {"transparent": True, "out_of_office": True},
            WarningCode.OUT_OF_OFFICE_NOT_SENT,
            {"transparent": True, "out_of_office": False},
        ),
        ({"partstat": Partstat.TENTATIVE}, WarningCode.RSVP_NOT_SENT, {"partstat": Partstat.ACCEPTED}),
        ({"attendees": GUESTS}, WarningCode.PARTICIPANTS_NOT_SENT, {"attendees": ()}),
        (
            {"attendees": (Attendee(OWNER.title(), Partstat.ACCEPTED),)},
            WarningCode.PARTICIPANTS_NOT_SENT,
            {"attendees": ()},
        ),
        (
            {"attendees": (Attendee("bob@example.org", Partstat.DECLINED),), "send_invitations": True},
            WarningCode.RSVP_NOT_SENT,
            {"attendees": (Attendee("bob@example.org"),)},
        ),
        (
            {"organizer": "grace@example.org", "attendees": GUESTS, "send_invitations": True},
            WarningCode.PARTICIPANTS_NOT_SENT,
            {"organizer": None, "attendees": ()},
        ),
    ],
)
def test_what_is_lost_is_expected_to_be_and_is_said(
    content: dict[str, Any], code: WarningCode, becomes: dict[str, Any]
) -> None:
    outgoing = an_outgoing(**content)
    state = expected(outgoing)
    assert {name: getattr(state.content, name) for name in becomes} == becomes
    assert [each.code for each in warnings(outgoing)] == [code]


def test_guests_who_are_there_stay_there_where_no_invitations_are_asked_for() -> None:
    bob, eve = Attendee("bob@example.org"), Attendee("eve@example.org")
    outgoing = agreed(
        an_outgoing(attendees=(bob,), send_invitations=True), attendees=(replace(bob, partstat=Partstat.DECLINED),)
    )
    quietly = became(outgoing, attendees=(bob, eve), send_invitations=False, summary="Renamed")
    assert expected(quietly).content.attendees == (replace(bob, partstat=Partstat.DECLINED),)
    messages = [each.message for each in warnings(quietly)]
    assert len(messages) == 2
    assert all("mails" in message for message in messages)


def test_of_somebody_elses_event_only_the_answer_is_the_owners_to_say() -> None:
    listed = (Attendee(OWNER, Partstat.NEEDS_ACTION), Attendee("bob@example.org", Partstat.ACCEPTED))
    event = make_event(uuid7(), organizer="grace@example.org", partstat=Partstat.NEEDS_ACTION, attendees=listed)
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    accepted = expected(became(outgoing, partstat=Partstat.ACCEPTED)).content
    assert (accepted.partstat, accepted.organizer) == (Partstat.ACCEPTED, "grace@example.org")
    assert accepted.attendees == (Attendee(OWNER, Partstat.ACCEPTED), listed[1])
    others = became(outgoing, attendees=(Attendee("mallory@example.org"),))
    assert expected(others).content.attendees == listed
    assert [each.code for each in warnings(others)] == [WarningCode.PARTICIPANTS_NOT_SENT]


def test_an_answer_cannot_be_taken_back() -> None:
    event = make_event(uuid7(), organizer="grace@example.org", partstat=Partstat.ACCEPTED)
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    back = became(outgoing, partstat=Partstat.NEEDS_ACTION)
    assert expected(back).content.partstat is Partstat.ACCEPTED
    assert [each.code for each in warnings(back)] == [WarningCode.RSVP_NOT_SENT]


def test_what_is_declined_or_cancelled_is_gone_unless_outlook_shows_it_so() -> None:
    event = make_event(uuid7(), organizer="grace@example.org", partstat=Partstat.ACCEPTED)
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    for changes in ({"partstat": Partstat.DECLINED}, {"status": EventStatus.CANCELLED}):
        gone = became(outgoing, **changes)
        assert shown(gone) is None
        assert [each.code for each in warnings(gone)] == [WarningCode.CANCELLATION_DELETES]
        there = replace(gone, agreed=Agreement(gone.event.state, gone.event.state))
        assert shown(there) is not None


def test_an_invitation_is_tentative_until_it_is_accepted_whatever_its_status() -> None:
    event = make_event(uuid7(), organizer="grace@example.org", partstat=Partstat.TENTATIVE)
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    tentative = became(outgoing, status=EventStatus.TENTATIVE)
    assert expected(tentative).content.status is EventStatus.CONFIRMED
    assert [each.code for each in warnings(tentative)] == [WarningCode.STATUS_NOT_SENT]
    accepted = became(tentative, partstat=Partstat.ACCEPTED)
    assert expected(accepted).content.status is EventStatus.TENTATIVE
    assert warnings(accepted) == ()


def test_single_occurrences_of_somebody_elses_series_are_not_answered() -> None:
    declined = Override(make_when(NOW + DAY), make_content(organizer="grace@example.org", partstat=Partstat.DECLINED))
    rule = Recurrence("FREQ=DAILY;COUNT=9")
    event = make_event(uuid7(), organizer="grace@example.org", recurrence=rule)
    outgoing = replace(outgoing_for(event), agreed=Agreement(event.state, event.state))
    answered = became(
        outgoing, replace(event.state, recurrence=replace(rule, overrides={wall("2026-05-05T09:00"): declined}))
    )
    assert expected(answered).recurrence == rule
    assert [each.code for each in warnings(answered)] == [WarningCode.RSVP_NOT_SENT]


def test_of_a_series_that_outlook_cannot_repeat_it_has_the_first_occurrence() -> None:
    outgoing = series(Recurrence("FREQ=MONTHLY;BYMONTHDAY=4,5"))
    assert expected(outgoing) == EventState(make_when(), make_content())
    assert [each.code for each in warnings(outgoing)] == [WarningCode.RECURRENCE_NOT_SENT]


def test_the_first_occurrence_is_the_first_that_takes_place() -> None:
    first, second = wall("2026-05-04T09:00"), wall("2026-05-05T09:00")
    moved = Override(make_when(NOW + DAY + HOUR), make_content("Moved"))
    cancelled = Override(make_when(NOW + DAY), make_content(status=EventStatus.CANCELLED))
    rule = "FREQ=MONTHLY;BYMONTHDAY=4,5"
    for recurrence, when in (
        (Recurrence(rule, exdates=frozenset({first})), make_when(NOW + DAY)),
        (Recurrence(rule, exdates=frozenset({first}), overrides={second: moved}), moved.when),
        (Recurrence(rule, exdates=frozenset({first}), overrides={second: cancelled}), make_when(NOW + 31 * DAY)),
    ):
        assert expected(series(recurrence)).when == when


def test_a_series_that_never_takes_place_is_not_there() -> None:
    assert shown(series(Recurrence(None, exdates=frozenset({wall("2026-05-04T09:00")})))) is None


def test_dates_beside_a_rule_are_not_there_and_the_rule_is() -> None:
    outgoing = series(Recurrence("FREQ=WEEKLY", rdates=frozenset({wall("2026-05-06T09:00")})))
    recurrence = expected(outgoing).recurrence
    assert recurrence == Recurrence("FREQ=WEEKLY")
    assert [each.code for each in warnings(outgoing)] == [WarningCode.RECURRENCE_NOT_SENT]


def test_an_occurrence_that_is_cancelled_is_left_out() -> None:
    cancelled = Override(make_when(NOW + DAY), make_content(status=EventStatus.CANCELLED))
    recurrence = expected(series(Recurrence("FREQ=DAILY", overrides={wall("2026-05-05T09:00"): cancelled}))).recurrence
    assert recurrence == Recurrence("FREQ=DAILY", exdates=frozenset({wall("2026-05-05T09:00")}))


def test_an_occurrence_that_differs_in_nothing_is_none_that_differs() -> None:
    alike = Override(make_when(NOW + DAY), make_content())
    outgoing = series(Recurrence("FREQ=DAILY", overrides={wall("2026-05-05T09:00"): alike}))
    assert expected(outgoing).recurrence == Recurrence("FREQ=DAILY")
    assert warnings(outgoing) == ()


def test_an_occurrence_has_its_series_metadata_and_visibility() -> None:
    differs = Override(make_when(NOW + DAY), make_content("Other", metadata={"a": "b"}, visibility=Visibility.PRIVATE))
    outgoing = series(Recurrence("FREQ=DAILY", overrides={wall("2026-05-05T09:00"): differs}), metadata={"c": "d"})
    recurrence = expected(outgoing).recurrence
    assert recurrence is not None
    (override,) = recurrence.overrides.values()
    assert (override.content.metadata, override.content.visibility) == ({"c": "d"}, Visibility.DEFAULT)
    assert [each.code for each in warnings(outgoing)] == [
        WarningCode.METADATA_NOT_SENT,
        WarningCode.VISIBILITY_NOT_SENT,
    ]


def test_occurrences_of_days_that_the_series_does_not_have_are_not_there() -> None:
    stray = Override(make_when(NOW + DAY), make_content("Stray"))
    outgoing = series(Recurrence("FREQ=WEEKLY", overrides={wall("2026-05-05T09:00"): stray}))
    assert expected(outgoing).recurrence == Recurrence("FREQ=WEEKLY")
    assert [each.code for each in warnings(outgoing)] == [WarningCode.RECURRENCE_NOT_SENT]


def test_every_kind_of_event_expects_of_what_is_expected_just_that() -> None:
    for kind, arguments in EVENTS.items():
        outgoing = outgoing_for(make_event(uuid7(), **arguments))
        state = shown(outgoing)
        if state is not None:
            told = replace(state.content, send_invitations=True)
            again = shown(became(outgoing, replace(state, content=told)))
            assert same(again, state), kind
