"""The occurrences of a series that differ from it: which requests make them what they must be. Pure.

Graph cannot write a series in one request. The series goes first, and then each occurrence that is deleted or differs.
What is written of the time of a series resets all of its exceptions, as it does in Outlook. Were the work to end in the
middle, their absence would look like somebody's decision, and would be taken over here.

So the request after which exceptions are missing carries a journal of what they must be (`wire.JOURNAL`), and the last
request of all empties it. Whoever meets a journal finishes what it says first: it was decided, and partly done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from kalends.domain.events import EventState
from kalends.domain.recurrence import begun_at
from providers.errors import Refused
from providers.microsoft.mapping import differing, occurrence
from providers.microsoft.wire import Body

FINISHED = "{}"
"""A journal of nothing: Graph has no way to take a property away."""

_LONGEST = 30_000  # characters of a journal
_TOO_MANY = "This series has more dates that differ from it than can be written to Outlook at once."


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with the occurrence that would begin at this wall time: change it, or delete it (None)."""

    wall: datetime
    changes: Body | None


Journal = Mapping[datetime, Body | None]
"""By the wall time of its rule: what an occurrence says otherwise than its series, None for one that is deleted."""


def journal_of(state: EventState) -> Journal:
    """Return how the occurrences of a series differ from it."""
    recurrence = state.recurrence
    if recurrence is None:
        return {}
    journal: dict[datetime, Body | None] = dict.fromkeys(recurrence.exdates)
    for wall, override in recurrence.overrides.items():
        journal[wall] = differing(_usual(state, wall), occurrence(override.when, override.content))
    return journal


def steps(journal: Journal, state: EventState) -> list[Step]:
    """Return what must still be done so that a series, in this state now, has its occurrences as the journal says.

    Deletions come first: they make room. An occurrence may not be moved to the day of another one or beyond it
    (https://learn.microsoft.com/graph/api/event-update#response), so what moves towards the end begins there.
    """
    recurrence = state.recurrence
    if recurrence is None:
        return []
    deleted = [Step(wall, None) for wall, each in journal.items() if each is None and wall not in recurrence.exdates]
    changed = list(_changes(journal, state))
    later = [step for step in changed if _moves_later(step)]
    others = [step for step in changed if not _moves_later(step)]
    return [*_sorted(deleted), *_sorted(others), *reversed(_sorted(later))]


def restores(before: EventState, after: EventState) -> bool:
    """Tell whether an occurrence that was deleted must come back: Outlook only brings back all of them."""
    gone = before.recurrence.exdates if before.recurrence else frozenset[datetime]()
    return after.recurrence is not None and bool(gone - after.recurrence.exdates)


def write_journal(journal: Journal) -> str:
    """Return a journal as a copy carries it. Raises `Refused` for one that is too long."""
    plain = {wall.isoformat(): changes for wall, changes in sorted(journal.items(), key=lambda each: each[0])}
    text = orjson.dumps(plain).decode()
    if len(text) > _LONGEST:
        raise Refused(_TOO_MANY)
    return text


def read_journal(text: str | None) -> Journal | None:
    """Return the journal of a copy; None for one that is finished, or whose journal nobody can read any more."""
    try:
        plain = orjson.loads(text or FINISHED)
        journal = {datetime.fromisoformat(wall): _body(changes) for wall, changes in plain.items()}
    except (ValueError, AttributeError, TypeError):
        return None
    return journal or None


def _body(changes: Any) -> Body | None:
    if changes is not None and not isinstance(changes, dict):
        raise ValueError("not the changes of an occurrence")
    return changes


def _changes(journal: Journal, state: EventState) -> Iterator[Step]:
    """Yield the changes of occurrences, also of those that must become like their series again."""
    recurrence = state.recurrence
    overrides = recurrence.overrides if recurrence else {}
    gone = recurrence.exdates if recurrence else frozenset[datetime]()
    for wall in (journal.keys() | overrides.keys()) - gone:
        usual, different = _usual(state, wall), journal.get(wall, {})
        if different is None or not usual:
            continue
        override = overrides.get(wall)
        now = occurrence(override.when, override.content) if override else usual
        changes = differing(now, usual | different)
        if changes:
            yield Step(wall, changes)


def _usual(state: EventState, wall: datetime) -> Body:
    """Return what an occurrence says that does not differ; nothing for a day that its zone skips."""
    begun = begun_at(state.when, wall)
    return {} if begun is None else occurrence(begun, state.content)


def _moves_later(step: Step) -> bool:
    start = (step.changes or {}).get("start")
    return start is not None and datetime.fromisoformat(start["dateTime"]) > step.wall


def _sorted(found: list[Step]) -> list[Step]:
    return sorted(found, key=lambda step: step.wall)
