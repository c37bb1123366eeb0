"""The case table of reconciliation, row by row; and a property of it: whatever happens, in whatever order, both sides
end up saying the same, and what they say then was said last by one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kalends.domain.events import Attendee, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import Agreement, same
from kalends.domain.reconcile import Move, decide, settle
from tests.helpers import make_content, make_when

BASE = EventState(make_when(), make_content("Base"))


def says(**content: Any) -> EventState:
    return replace(BASE, content=replace(BASE.content, **content))


OURS, THEIRS = says(summary="Ours"), says(location="Theirs")
BOTH = says(summary="Ours", location="Theirs")
AGREED = Agreement(BASE, BASE)
ABSENT = Agreement(says(status=EventStatus.CANCELLED), None)


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed", "move"),
    [
        (BASE, BASE, AGREED, Move.DROP),
        (BASE, THEIRS, AGREED, Move.PULL),
        (BASE, None, AGREED, Move.REMOVE),
        (OURS, BASE, AGREED, Move.PUSH),
        (OURS, THEIRS, AGREED, Move.MERGE),
        (OURS, OURS, AGREED, Move.MERGE),
        (OURS, says(summary="Theirs"), AGREED, Move.CONFLICT),
        (OURS, None, AGREED, Move.RESURRECT),
        (None, BASE, AGREED, Move.DELETE),
        (None, THEIRS, AGREED, Move.RESTORE),
        (None, None, AGREED, Move.FORGET),
        (OURS, None, None, Move.PUSH),
        (None, THEIRS, None, Move.PULL),
        (None, None, None, Move.FORGET),
        (ABSENT.ours, None, ABSENT, Move.DROP),
        (BASE, None, ABSENT, Move.PUSH),
        (ABSENT.ours, THEIRS, ABSENT, Move.PULL),
        (None, None, ABSENT, Move.DELETE),
    ],
)
def test_the_case_table(
    ours: EventState | None, theirs: EventState | None, agreed: Agreement | None, move: Move
) -> None:
    assert decide(ours, theirs, agreed).move is move


def test_a_pull_takes_their_changes_and_agrees_on_them() -> None:
    decision = decide(BASE, THEIRS, AGREED)
    assert (decision.ours, decision.agreed, decision.push) == (THEIRS, Agreement(THEIRS, THEIRS), False)


def test_a_push_leaves_ours_and_remembers_their_form_of_it() -> None:
    theirs = says(description="")
    decision = decide(OURS, theirs, AGREED)
    assert (decision.move, decision.ours, decision.push) == (Move.PUSH, None, True)
    assert decision.agreed == Agreement(BASE, theirs)


def test_a_merge_has_both_changes_and_pushes_what_they_have_not_heard_of() -> None:
    decision = decide(OURS, THEIRS, AGREED)
    assert (decision.ours, decision.agreed, decision.push) == (BOTH, Agreement(THEIRS, THEIRS), True)


def test_the_same_change_on_both_sides_needs_no_push() -> None:
    assert not decide(OURS, OURS, AGREED).push


def test_a_conflict_touches_nothing_and_names_its_places() -> None:
    decision = decide(OURS, says(summary="Theirs", location="Theirs"), AGREED)
    assert (decision.ours, decision.agreed, decision.push) == (None, AGREED, False)
    assert decision.clashes == ("summary",)


@pytest.mark.parametrize(("keep_theirs", "summary"), [(False, "Ours"), (True, "Theirs")])
def test_a_decided_conflict_keeps_what_only_one_side_changed(keep_theirs: bool, summary: str) -> None:
    ours, theirs = says(summary="Ours", description="Ours"), says(summary="Theirs", location="Theirs")
    decision = settle(ours, theirs, AGREED, keep_theirs=keep_theirs)
    assert decision.ours == says(summary=summary, description="Ours", location="Theirs")
    assert decision.push
    assert decide(decision.ours, theirs, decision.agreed).move is Move.PUSH


def test_an_event_that_somebody_else_organises_is_not_brought_back() -> None:
    invited = says(organizer="eve@example.org")
    changed = says(organizer="eve@example.org", partstat=Partstat.TENTATIVE)
    assert decide(changed, None, Agreement(invited, invited)).move is Move.REMOVE


def test_a_cancelled_event_needs_no_copy() -> None:
    decision = decide(ABSENT.ours, None, AGREED)
    assert (decision.move, decision.agreed) == (Move.DROP, ABSENT)


def test_answers_of_attendees_do_not_bring_a_deleted_event_back() -> None:
    asked, answered = (
        says(attendees=(Attendee("bob@example.org", each),)) for each in (Partstat.NEEDS_ACTION, Partstat.DECLINED)
    )
    assert decide(None, answered, Agreement(asked, asked)).move is Move.DELETE


def test_a_deleted_event_that_comes_back_keeps_what_was_said_before_it_was_deleted() -> None:
    decision = decide(None, THEIRS, AGREED, deleted=OURS)
    assert (decision.move, decision.ours, decision.push) == (Move.RESTORE, BOTH, True)


# What was sent, and whose answer was lost


@pytest.mark.parametrize("agreed", [AGREED, None])
def test_what_we_tried_to_write_has_arrived_where_theirs_is_just_that(agreed: Agreement | None) -> None:
    decision = decide(OURS, OURS, agreed, Agreement(OURS, OURS))
    assert decision.move in (Move.DROP, Move.ADOPT)
    assert decision.agreed == Agreement(OURS, OURS)
    assert not decision.push


def test_what_a_provider_keeps_in_its_own_form_has_arrived_too() -> None:
    sent = Agreement(says(metadata={"crm": "1"}), BASE)
    decision = decide(sent.ours, BASE, None, sent)
    assert (decision.move, decision.ours, decision.push) == (Move.DROP, None, False)


def test_a_copy_that_was_changed_before_we_heard_of_it_is_merged() -> None:
    decision = decide(OURS, THEIRS, None, Agreement(BASE, BASE))
    assert (decision.move, decision.ours, decision.push) == (Move.ADOPT, BOTH, True)


def test_a_conflict_with_a_copy_that_we_had_not_heard_of_is_still_one() -> None:
    assert decide(OURS, says(summary="Theirs"), None, Agreement(BASE, BASE)).move is Move.CONFLICT


def test_what_has_arrived_of_a_write_is_no_change_of_theirs_though_they_have_changed_something_else() -> None:
    sent = says(summary="First")
    decision = decide(OURS, says(summary="First", location="Theirs"), AGREED, Agreement(sent, sent))
    assert (decision.move, decision.ours, decision.push) == (Move.MERGE, BOTH, True)


def test_what_did_not_arrive_is_sent_again() -> None:
    assert decide(OURS, None, None, Agreement(BASE, BASE)).move is Move.PUSH
    assert decide(OURS, BASE, AGREED, Agreement(says(summary="Before"), says(summary="Before"))).move is Move.PUSH


def test_what_was_deleted_here_and_may_have_arrived_is_deleted_there() -> None:
    assert decide(None, BASE, None, Agreement(BASE, BASE)).move is Move.DELETE
    assert decide(None, None, None, Agreement(BASE, BASE)).move is Move.FORGET


def test_a_cancellation_that_deleted_the_copy_has_arrived() -> None:
    assert decide(ABSENT.ours, None, AGREED, ABSENT).move is Move.DROP


def test_to_adopt_a_copy_one_must_know_what_ours_would_look_like() -> None:
    with pytest.raises(ValueError, match="adopt"):
        decide(OURS, THEIRS, None)


# Any history


TEXTS = st.sampled_from([f"{number} Text" for number in range(6)])
CUT = 4  # characters of a title that the provider keeps
FIELDS = st.sampled_from(["summary", "location", "description"])


def shown(state: EventState) -> EventState:
    """Return what the histories' provider shows: it has no visibility, cuts titles, and ends lines its own way."""
    content = replace(
        state.content,
        visibility=Visibility.DEFAULT,
        summary=state.content.summary[:CUT],
        description=state.content.description and state.content.description + "\r\n",
    )
    return replace(state, content=content)


@dataclass
class Side:
    """One calendar's copy, and the last that was said on this side, by field."""

    state: EventState | None = None
    said: dict[str, str] = field(default_factory=dict)
    deleted: bool = False

    def say(self, name: str, text: str) -> None:
        assert self.state is not None
        changes: dict[str, Any] = {name: text}
        self.state = replace(self.state, content=replace(self.state.content, **changes))
        self.said[name] = text


class Histories(RuleBasedStateMachine):
    """Two calendars that people edit, and a line between them on which answers and processes are lost.

    Here, a link remembers what was agreed and what was sent; there, only the copy is. `_look` and `_write` are what the
    engine does with a decision, without a database: they are the only ones who know both sides.
    """

    @initialize(text=TEXTS)
    def begin(self, text: str) -> None:
        self.here, self.there = (
            Side(replace(BASE, content=replace(BASE.content, visibility=Visibility.PRIVATE))),
            Side(),
        )
        self.agreed: Agreement | None = None
        self.sent: Agreement | None = None
        self.before: EventState | None = None  # what ours said when it was deleted
        self.conflict: EventState | None = None
        self.here.say("summary", text)

    # People

    @precondition(lambda self: self.here.state is not None)
    @rule(name=FIELDS, text=TEXTS)
    def edit_here(self, name: str, text: str) -> None:
        self.here.say(name, text)

    @precondition(lambda self: self.there.state is not None)
    @rule(name=FIELDS, text=TEXTS)
    def edit_there(self, name: str, text: str) -> None:
        self.there.say(name, text)
        assert self.there.state is not None
        self.there.state = shown(self.there.state)

    @precondition(lambda self: self.here.state is not None)
    @rule()
    def delete_here(self) -> None:
        self.before, self.here.state, self.here.deleted = self.here.state, None, True

    @precondition(lambda self: self.there.state is not None)
    @rule()
    def delete_there(self) -> None:
        self.there.state, self.there.deleted = None, True

    @precondition(lambda self: self.conflict is not None and self.here.state is not None)
    @rule(keep_theirs=st.booleans())
    def resolve(self, keep_theirs: bool) -> None:
        assert self.conflict is not None
        assert self.agreed is not None
        assert self.here.state is not None
        decision = settle(self.here.state, self.conflict, self.agreed, keep_theirs=keep_theirs)
        self.here.state, self.agreed, self.conflict = decision.ours, decision.agreed, None

    # The line

    @rule()
    def look(self) -> None:
        """Take in what is there: by a notification, the same one once more, or a whole round after a lost token."""
        self._look()

    @rule(fate=st.sampled_from(["arrives", "answer lost", "lost", "arrives and the process dies"]))
    def push(self, fate: str) -> None:
        """Look where an answer is missing or something is disputed, then write what differs."""
        if self.sent is not None or self.conflict is not None:
            self._look()
        if self.conflict is None:
            self._write(fate)

    def _look(self) -> None:
        theirs = self.there.state
        if self.here.state is None and self.before is None and theirs is None:
            return
        sent = self.sent
        if sent is None and self.agreed is None and self.here.state is not None:
            sent = Agreement(self.here.state, shown(self.here.state))
        decision = decide(self.here.state, theirs, self.agreed, sent, deleted=self.before)
        self.conflict = None
        match decision.move:
            case Move.CONFLICT:
                self.conflict, self.agreed, self.sent = theirs, decision.agreed, None
            case Move.REMOVE:
                self.here.state = self.before = self.agreed = self.sent = None
            case Move.FORGET:
                self.before = self.agreed = self.sent = None
            case Move.RESURRECT:
                self.agreed = self.sent = None
            case Move.PUSH if decision.agreed is None:
                self.sent = None
            case _:
                self.agreed, self.sent = decision.agreed, None
                if decision.ours is not None:
                    self.here.state, self.before = decision.ours, None

    def _write(self, fate: str) -> None:
        """Write ours over theirs, as with an etag: only where theirs is still what was agreed."""
        known = self.agreed.theirs if self.agreed else None
        if not same(self.there.state, known):
            self._look()
            return
        wanted = None if self.here.state is None else shown(self.here.state)
        if self.here.state is None and self.before is None:
            return
        if self.here.state is not None:
            self.sent = Agreement(self.here.state, wanted)
        if fate != "lost":
            self.there.state = wanted
        if fate == "arrives":
            if self.here.state is None:
                self.before = self.agreed = None
            else:
                self.agreed = self.sent
            self.sent = None

    # How it ends

    def teardown(self) -> None:
        if not hasattr(self, "here"):
            return
        for _ in range(6):
            self._look()
            if self.conflict is not None:
                self.resolve(keep_theirs=True)
            self._write("arrives")
        here, there = self.here.state, self.there.state
        assert self.conflict is None
        assert (here is None) is (there is None), "one side has it and the other has not"
        if here is None:
            assert self.here.deleted or self.there.deleted, "it is gone, and nobody deleted it"
            return
        assert there is not None
        assert same(there, shown(here)), "the sides differ"
        assert here.content.visibility is Visibility.PRIVATE, "what only we keep was lost"
        if not (self.here.deleted or self.there.deleted):
            for name in self.here.said.keys() | self.there.said.keys():
                said = {side.said[name][:CUT] for side in (self.here, self.there) if name in side.said}
                assert str(getattr(here.content, name)).strip()[:CUT] in said, f"what was said last of {name} was lost"


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=400, stateful_step_count=30)
