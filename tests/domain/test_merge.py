from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.events import Attendee, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import Agreement, in_common, merged, moved_on, same, unanswered
from kalends.domain.recurrence import Override, Recurrence
from tests.helpers import HOUR, NOW, WEEK, make_content, make_days, make_when, wall

BOB, EVE = "bob@example.org", "eve@example.org"
MONDAY, NEXT = wall("2026-05-04T09:00"), wall("2026-05-11T09:00")


def state(when: Any = None, recurrence: Recurrence | None = None, **content: Any) -> EventState:
    return EventState(when or make_when(), make_content(**content), recurrence)


def agreed(both: EventState) -> Agreement:
    return Agreement(both, both)


texts = st.sampled_from(["", "one", "two", "three"])
states = st.builds(
    state,
    when=st.sampled_from([make_when(), make_when(NOW + HOUR), make_days()]),
    recurrence=st.none()
    | st.builds(
        Recurrence,
        rule=st.sampled_from(["FREQ=WEEKLY", "FREQ=DAILY;COUNT=3"]),
        exdates=st.frozensets(st.sampled_from([MONDAY, NEXT])),
        overrides=st.dictionaries(
            st.sampled_from([MONDAY, NEXT]),
            st.builds(Override, st.just(make_when(NOW + WEEK)), st.just(make_content())),
        ),
    ),
    summary=texts,
    location=texts,
    description=st.none() | texts,
    attendees=st.lists(
        st.builds(Attendee, st.sampled_from([BOB, EVE]), st.sampled_from(list(Partstat))),
        unique_by=lambda each: each.email,
    ).map(tuple),
    status=st.sampled_from(list(EventStatus)),
    visibility=st.sampled_from(list(Visibility)),
    reminders=st.none() | st.lists(st.integers(0, 9), max_size=2, unique=True).map(tuple),
    metadata=st.dictionaries(st.sampled_from(["a", "b"]), texts.filter(bool)),
)


# Saying the same


@given(states)
def test_a_state_says_the_same_as_itself_and_not_the_same_as_none(one: EventState) -> None:
    assert same(one, one)
    assert not same(one, None)
    assert not same(None, one)
    assert same(None, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"description": None}, {"description": ""}),
        ({"description": "a\r\nb"}, {"description": "a\nb"}),
        ({"description": "a  \nb\n\n"}, {"description": "a\nb"}),
        ({"attendees": (Attendee(BOB), Attendee(EVE))}, {"attendees": (Attendee(EVE), Attendee(BOB))}),
        ({"attendees": (Attendee(BOB),)}, {"attendees": (Attendee("Bob@Example.org"),)}),
        ({"reminders": (10, 5)}, {"reminders": (5, 10)}),
    ],
)
def test_habits_are_no_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(state(**one), state(**other))


@pytest.mark.parametrize(
    "other",
    [
        {"summary": "planning"},
        {"location": "There"},
        {"description": "a\nb"},
        {"description": " indented is not: a b"},
        {"attendees": (Attendee(BOB, Partstat.DECLINED),)},
        {"attendees": ()},
        {"transparent": True},
        {"status": EventStatus.TENTATIVE},
        {"partstat": Partstat.TENTATIVE},
        {"visibility": Visibility.PRIVATE},
        {"reminders": ()},
        {"metadata": {"a": "1"}},
        {"organizer": EVE},
        {"when": make_when(NOW + HOUR)},
        {"when": make_when(NOW, HOUR, "America/New_York")},
        {"when": make_days()},
        {"recurrence": Recurrence("FREQ=DAILY")},
    ],
)
def test_everything_else_is_one(other: dict[str, Any]) -> None:
    assert not same(state(attendees=(Attendee(BOB),)), state(**{"attendees": (Attendee(BOB),)} | other))


# Merging


@given(states, states)
def test_where_only_one_side_changed_the_merge_is_its_state(base: EventState, changed: EventState) -> None:
    assert same(merged(changed, base, agreed(base))[0], changed)
    assert same(merged(base, changed, agreed(base))[0], changed)
    assert merged(changed, base, agreed(base))[1] == merged(base, changed, agreed(base))[1] == ()


@given(states, states)
def test_where_both_made_the_same_change_nothing_clashes(base: EventState, changed: EventState) -> None:
    result, clashes = merged(changed, changed, agreed(base))
    assert same(result, changed)
    assert clashes == ()


@given(states, states, states)
def test_a_merge_is_symmetric_but_for_the_clashes(base: EventState, ours: EventState, theirs: EventState) -> None:
    one, clashes = merged(ours, theirs, agreed(base))
    other, mirrored = merged(theirs, ours, agreed(base))
    assert clashes == mirrored
    if not clashes:
        assert same(one, other)
    assert same(merged(ours, theirs, agreed(base), prefer_theirs=True)[0], other) or clashes == ()


@given(states, states, states)
def test_what_is_left_after_moving_on_is_what_they_have_not_heard_of(
    base: EventState, ours: EventState, theirs: EventState
) -> None:
    result, clashes = merged(ours, theirs, agreed(base))
    moved = moved_on(agreed(base), theirs)
    if not clashes:
        assert same(merged(result, theirs, moved)[0], result)
        assert same(result, moved.ours) is same(result, theirs)


def test_changes_in_different_places_are_both_kept() -> None:
    base = state(summary="Planning", attendees=(Attendee(BOB),), metadata={"a": "1", "b": "1"})
    ours = state(summary="Ours", attendees=(Attendee(BOB), Attendee(EVE)), metadata={"a": "2", "b": "1"})
    theirs = state(
        summary="Planning", location="Theirs", attendees=(Attendee(BOB, Partstat.ACCEPTED),), metadata={"a": "1"}
    )
    result, clashes = merged(ours, theirs, agreed(base))
    assert clashes == ()
    assert result == state(
        summary="Ours",
        location="Theirs",
        attendees=(Attendee(BOB, Partstat.ACCEPTED), Attendee(EVE)),
        metadata={"a": "2"},
    )


def test_a_change_of_one_place_in_two_ways_is_a_clash_that_is_named() -> None:
    base = state(attendees=(Attendee(BOB),), recurrence=Recurrence("FREQ=WEEKLY"))
    ours = state(
        summary="Ours",
        attendees=(Attendee(BOB, Partstat.DECLINED),),
        recurrence=Recurrence("FREQ=WEEKLY", overrides={NEXT: Override(make_when(), make_content("Ours"))}),
    )
    theirs = state(
        summary="Theirs",
        attendees=(Attendee(BOB, Partstat.ACCEPTED),),
        recurrence=Recurrence("FREQ=WEEKLY", overrides={NEXT: Override(make_when(), make_content("Theirs"))}),
    )
    result, clashes = merged(ours, theirs, agreed(base))
    assert clashes == (f"attendees.{BOB}", "overrides.2026-05-11T09:00:00", "summary")
    assert result == ours
    assert same(merged(ours, theirs, agreed(base), prefer_theirs=True)[0], theirs)


def test_exceptions_of_a_series_are_merged_one_by_one() -> None:
    base = state(recurrence=Recurrence("FREQ=WEEKLY"))
    ours = replace(base, recurrence=Recurrence("FREQ=WEEKLY", exdates=frozenset({MONDAY})))
    override = Override(make_when(NOW + WEEK), make_content("Moved"))
    theirs = replace(base, recurrence=Recurrence("FREQ=WEEKLY", overrides={NEXT: override}))
    result, clashes = merged(ours, theirs, agreed(base))
    assert clashes == ()
    assert result.recurrence == Recurrence("FREQ=WEEKLY", exdates=frozenset({MONDAY}), overrides={NEXT: override})


def test_what_a_provider_cannot_keep_is_not_taken_for_deleted() -> None:
    ours = state(metadata={"crm": "4711"}, attendees=(Attendee(BOB),))
    theirs = state()
    lossy = Agreement(ours, theirs)
    renamed = state(summary="Theirs")
    result, _ = merged(ours, renamed, lossy)
    assert result == state(summary="Theirs", metadata={"crm": "4711"}, attendees=(Attendee(BOB),))
    assert same(moved_on(lossy, renamed).ours, result)


def test_what_only_we_have_words_for_stays_ours() -> None:
    ours = state(send_invitations=True)
    result, _ = merged(ours, state(summary="Theirs"), Agreement(ours, state()))
    assert result.content.send_invitations


def test_without_answers_only_the_answers_of_attendees_are_gone() -> None:
    one = state(attendees=(Attendee(BOB, Partstat.DECLINED),), partstat=Partstat.TENTATIVE)
    assert unanswered(one) == state(attendees=(Attendee(BOB),), partstat=Partstat.TENTATIVE)


# Two that were never in step


@given(states)
def test_two_that_say_the_same_agree_on_it_though_they_never_were_in_step(one: EventState) -> None:
    both, clashes = merged(one, one, in_common(one, one, one))
    assert same(both, one)
    assert clashes == ()


@given(states, states)
def test_of_two_that_never_were_in_step_what_only_one_says_is_kept_and_other_words_clash(
    ours: EventState, theirs: EventState
) -> None:
    both, clashes = merged(ours, theirs, in_common(ours, ours, theirs))
    for name in ("summary", "location", "description"):
        mine, their, kept = (getattr(each.content, name) or "" for each in (ours, theirs, both))
        assert kept == (mine or their)
        assert (name in clashes) == (mine != their and "" not in (mine, their))
    assert ("when" in clashes) == (ours.when != theirs.when)
    for each in (ours, theirs):
        assert {guest.email for guest in each.content.attendees} <= {guest.email for guest in both.content.attendees}
        assert each.content.metadata.keys() <= both.content.metadata.keys()


def test_of_two_that_never_were_in_step_answers_there_count() -> None:
    ours = state(attendees=(Attendee(BOB),))
    theirs = state(attendees=(Attendee(BOB, Partstat.ACCEPTED),))
    both, clashes = merged(ours, theirs, in_common(ours, ours, theirs))
    assert both.content.attendees == (Attendee(BOB, Partstat.ACCEPTED),)
    assert clashes == ()
