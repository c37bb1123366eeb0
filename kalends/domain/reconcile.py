"""What to do where an event lives here and at a provider, and either may have changed.

The question is what each side did since both were last in step:

                  theirs is the same    theirs changed       theirs is gone
    ours same     DROP                  PULL                 REMOVE
    ours changed  PUSH                  MERGE or CONFLICT    RESURRECT (1)
    ours is gone  DELETE                RESTORE (2)          FORGET

and where they never were in step, who has it:

                  theirs exists         theirs does not
    ours exists   ADOPT (3)             PUSH
    ours does not PULL                  FORGET

(1) REMOVE where somebody else organises it: whoever is only invited cannot keep it alive. DROP where ours is cancelled:
    it needs no copy.
(2) DELETE where nothing changed but attendees' answers: they are no reason to bring a deleted event back.
(3) Or CONFLICT: as if both had been in step on what we had sent, and what theirs says otherwise were their change; or,
    where we had sent nothing, on what both say alike.

Nobody's change is lost: what both sides changed in different places is merged; where they changed the same place in
different ways, it is a conflict, and neither side is touched until a person decides. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from kalends.domain.events import EventState, EventStatus
from kalends.domain.merge import Agreement, arrived, merged, moved_on, same, unanswered


class Move(Enum):
    """What to do; see the table."""

    DROP = auto()  # nothing
    PULL = auto()  # ours takes their changes
    PUSH = auto()  # theirs takes our changes
    MERGE = auto()  # both take both changes
    CONFLICT = auto()  # neither is touched: a person decides
    ADOPT = auto()  # theirs is our copy, which we had not known of
    REMOVE = auto()  # delete ours
    DELETE = auto()  # delete theirs
    RESURRECT = auto()  # create theirs anew
    RESTORE = auto()  # bring ours back
    FORGET = auto()  # neither exists


class _Change(Enum):
    """What one side did since both were last in step."""

    SAME = auto()
    CHANGED = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. `ours` is what our event becomes, None where it stays as it is or goes.

    `agreed` is what both agree on from now on; `push` says that our side differs from it, and they must hear of it.
    `clashes` names the places of a conflict.
    """

    move: Move
    ours: EventState | None = None
    agreed: Agreement | None = None
    push: bool = False
    clashes: tuple[str, ...] = ()


def decide(
    ours: EventState | None,
    theirs: EventState | None,
    agreed: Agreement | None,
    sent: Agreement | None = None,
    *,
    deleted: EventState | None = None,
) -> Decision:
    """Return what to do. `ours` and `theirs` are None where that side has no such event, or has it no more.

    `sent` is what we tried to write, and what the provider would show for it: the answer may have been lost. What
    theirs shows of it has arrived. `deleted` is what our event said when it was deleted: it may come back. Raises
    `ValueError` where both exist and there is neither `agreed` nor `sent`.
    """
    if sent is not None and same(theirs, sent.theirs):
        agreed = sent
    elif sent is not None and agreed is not None and theirs is not None:
        agreed = arrived(agreed, sent, theirs)
    if agreed is not None:
        decision = _TABLE[_change(ours, agreed.ours), _change(theirs, agreed.theirs)](ours, theirs, agreed)
        if decision.move is Move.RESTORE and theirs is not None and deleted is not None:
            return replace(settle(deleted, theirs, agreed, keep_theirs=True), move=Move.RESTORE)
        return decision
    if ours is not None and theirs is not None:
        if sent is None:
            raise ValueError("to adopt a copy one must know what ours would look like there")
        decision = decide(ours, theirs, sent, deleted=deleted)
        return decision if decision.move is Move.CONFLICT else replace(decision, move=Move.ADOPT)
    if theirs is not None:
        if sent is not None:  # we deleted what may have arrived
            return decide(None, theirs, sent, deleted=deleted)
        return Decision(Move.PULL, theirs, Agreement(theirs, theirs))
    return Decision(Move.FORGET) if ours is None else Decision(Move.PUSH, push=True)


def settle(ours: EventState, theirs: EventState, agreed: Agreement, *, keep_theirs: bool) -> Decision:
    """Return what follows from a conflict after a person has decided whose value the clashing places keep.

    What only one side changed is merged, as ever.
    """
    state, _ = merged(ours, theirs, agreed, prefer_theirs=keep_theirs)
    return _both(state, moved_on(agreed, theirs))


def _change(now: EventState | None, before: EventState | None) -> _Change:
    if same(now, before):
        return _Change.SAME
    return _Change.GONE if now is None else _Change.CHANGED


def _both(state: EventState, agreed: Agreement) -> Decision:
    return Decision(Move.MERGE, state, agreed, push=not same(state, agreed.ours))


def _drop(_ours: Any, theirs: EventState | None, agreed: Agreement) -> Decision:
    return Decision(Move.DROP, agreed=Agreement(agreed.ours, theirs))


def _pull(ours: EventState, theirs: EventState, agreed: Agreement) -> Decision:
    state, _ = merged(ours, theirs, agreed)
    return Decision(Move.PULL, state, Agreement(state, theirs))


def _push(_ours: EventState, theirs: EventState | None, agreed: Agreement) -> Decision:
    return Decision(Move.PUSH, agreed=Agreement(agreed.ours, theirs), push=True)


def _merge(ours: EventState, theirs: EventState, agreed: Agreement) -> Decision:
    state, clashes = merged(ours, theirs, agreed)
    if clashes:
        return Decision(Move.CONFLICT, agreed=agreed, clashes=clashes)
    return _both(state, moved_on(agreed, theirs))


def _remove(_ours: EventState, _theirs: None, _agreed: Agreement) -> Decision:
    return Decision(Move.REMOVE)


def _resurrect(ours: EventState, _theirs: None, _agreed: Agreement) -> Decision:
    if ours.content.organizer is not None:
        return Decision(Move.REMOVE)
    if ours.content.status is EventStatus.CANCELLED:
        return Decision(Move.DROP, agreed=Agreement(ours, None))
    return Decision(Move.RESURRECT, push=True)


def _delete(_ours: None, _theirs: EventState | None, agreed: Agreement) -> Decision:
    return Decision(Move.DELETE, agreed=agreed, push=True)


def _restore(ours: None, theirs: EventState, agreed: Agreement) -> Decision:
    if agreed.theirs is not None and same(unanswered(theirs), unanswered(agreed.theirs)):
        return _delete(ours, theirs, agreed)
    state, _ = merged(agreed.ours, theirs, agreed)
    return Decision(Move.RESTORE, state, Agreement(state, theirs))


def _forget(_ours: None, _theirs: None, _agreed: Agreement) -> Decision:
    return Decision(Move.FORGET)


_TABLE: dict[tuple[_Change, _Change], Callable[[Any, Any, Agreement], Decision]] = {
    (_Change.SAME, _Change.SAME): _drop,
    (_Change.SAME, _Change.CHANGED): _pull,
    (_Change.SAME, _Change.GONE): _remove,
    (_Change.CHANGED, _Change.SAME): _push,
    (_Change.CHANGED, _Change.CHANGED): _merge,
    (_Change.CHANGED, _Change.GONE): _resurrect,
    (_Change.GONE, _Change.SAME): _delete,
    (_Change.GONE, _Change.CHANGED): _restore,
    (_Change.GONE, _Change.GONE): _forget,
}
