"""Event states as JSON: whatever an event may be comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings

from kalends.domain.events import Attendee, ConflictPolicy, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import Agreement
from kalends.domain.plain import from_plain, recurrence_from_plain, recurrence_to_plain, to_plain
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import Conflict, SyncWarning, WarningCode
from storage.states import (
    read_agreement,
    read_conflict,
    read_warnings,
    write_agreement,
    write_conflict,
    write_warnings,
)
from tests.helpers import BERLIN, HOUR, NOW, make_content, make_days, make_when, wall
from tests.providers.ical.strategies import states

MANY = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])

PLAIN = EventState(make_when(), make_content())
FULL = EventState(
    make_when(NOW, 2 * HOUR, "Asia/Kolkata"),
    make_content(
        "Ünïcødé 🗓",
        location="Room 1",
        description="",
        attendees=(Attendee("ada@example.org", Partstat.DECLINED), Attendee("bob@example.org")),
        partstat=Partstat.TENTATIVE,
        send_invitations=True,
        transparent=True,
        status=EventStatus.CANCELLED,
        on_conflict=ConflictPolicy.REJECT,
        metadata={"k": "v", "": ""},
        visibility=Visibility.PRIVATE,
        reminders=(),
        organizer="eve@example.org",
        out_of_office=True,
    ),
    Recurrence(
        None,
        frozenset({wall("2026-05-06T12:30"), wall("2026-05-05T12:30")}),
        frozenset({wall("2026-05-06T12:30")}),
        {wall("2026-05-05T12:30"): Override(make_days(), make_content("Moved", reminders=(0, 10)))},
    ),
)


@MANY
@given(states())
def test_a_state_comes_back_as_it_was_after_a_way_through_json(state: EventState) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(state)))) == state


@pytest.mark.parametrize("state", [PLAIN, FULL, replace(PLAIN, when=make_days(days=3))])
def test_every_field_comes_back(state: EventState) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(state)))) == state


@pytest.mark.parametrize("hand", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"])
def test_both_hands_of_a_fold_come_back_as_they_were(hand: str) -> None:
    state = replace(PLAIN, when=make_when(datetime.fromisoformat(hand).astimezone(UTC), HOUR, BERLIN))
    assert from_plain(json.loads(json.dumps(to_plain(state)))) == state


def test_the_instants_that_come_back_are_in_utc() -> None:
    when = from_plain(to_plain(PLAIN)).when
    assert when.span.start.tzinfo is when.span.end.tzinfo is UTC
    assert when.start.tzinfo is None


def test_equal_states_are_written_alike_whatever_the_order_of_their_sets() -> None:
    assert FULL.recurrence is not None
    days = sorted(FULL.recurrence.rdates)
    other = replace(FULL, recurrence=replace(FULL.recurrence, rdates=frozenset(reversed(days))))
    assert json.dumps(to_plain(other)) == json.dumps(to_plain(FULL))


def test_a_recurrence_comes_back_by_itself() -> None:
    assert FULL.recurrence is not None
    assert recurrence_from_plain(json.loads(json.dumps(recurrence_to_plain(FULL.recurrence)))) == FULL.recurrence


def test_json_that_is_no_state_is_refused() -> None:
    with pytest.raises(KeyError):
        from_plain({"summary": "Planning"})


# What is kept of a link


@MANY
@given(states(), states())
def test_an_agreement_comes_back_as_it_was(ours: EventState, theirs: EventState) -> None:
    for agreed in (Agreement(ours, theirs), Agreement(ours, ours), Agreement(ours, None)):
        assert read_agreement(json.loads(json.dumps(write_agreement(agreed)))) == agreed


def test_what_they_say_like_us_is_not_written_twice() -> None:
    assert len(json.dumps(write_agreement(Agreement(FULL, FULL)))) < len(json.dumps(to_plain(FULL))) + 20


def test_a_conflict_comes_back_as_it_was() -> None:
    conflict = Conflict(FULL, '"5"', ("attendees.bob@example.org", "summary"))
    assert read_conflict(json.loads(json.dumps(write_conflict(conflict)))) == conflict


def test_warnings_come_back_in_their_order_and_none_is_nothing() -> None:
    warnings = tuple(SyncWarning(code, f"It is {code}.") for code in WarningCode)
    assert read_warnings(json.loads(json.dumps(write_warnings(warnings)))) == warnings
    assert write_warnings(()) is None
    assert read_warnings(None) == ()
