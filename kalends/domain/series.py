"""Changing a series: one of its occurrences, or from one on, or all of it.

An occurrence is named by the wall time at which its series' rule has it begin, whatever has become of it since
(RFC 5545 section 3.8.4.4, RECURRENCE-ID).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from enum import StrEnum

from kalends.domain.errors import InvalidInput, NotFound, Refused
from kalends.domain.events import EventContent, EventState
from kalends.domain.recurrence import Override, Recurrence, begun_at, occurrence_at, parts_of, rule_walls, with_parts
from kalends.domain.time import When, instant

MOMENT = timedelta(seconds=1)
_NOT_THEN = NotFound(path=("id",), message="The series does not take place then.")


class RecurrenceScope(StrEnum):
    """How much of a series a change is about."""

    THIS = "THIS"
    THIS_AND_FOLLOWING = "THIS_AND_FOLLOWING"
    ALL = "ALL"


def occurrence_of(state: EventState, recurrence_id: datetime) -> EventState:
    """Return what a series says of one of its occurrences; raise `Refused` where it has no such one (any more)."""
    found = state.recurrence and occurrence_at(state.when, state.recurrence, recurrence_id)
    if not found:
        raise Refused(_NOT_THEN)
    return EventState(found.when, found.override or state.content)


def with_override(state: EventState, recurrence_id: datetime, occurrence: EventState) -> EventState:
    """Return a series of which one occurrence says something of its own, or again what all the others say."""
    repeats = _repeats(state)
    overrides = dict(repeats.overrides)
    if occurrence.content == state.content and occurrence.when == begun_at(state.when, recurrence_id):
        overrides.pop(recurrence_id, None)
    else:
        overrides[recurrence_id] = Override(occurrence.when, occurrence.content)
    return replace(state, recurrence=replace(repeats, overrides=overrides))


def without_occurrence(state: EventState, recurrence_id: datetime) -> EventState:
    """Return a series without one of its occurrences."""
    repeats = _repeats(state)
    overrides = {wall: each for wall, each in repeats.overrides.items() if wall != recurrence_id}
    return replace(state, recurrence=replace(repeats, exdates=repeats.exdates | {recurrence_id}, overrides=overrides))


def carried_over(before: EventState, after: EventState, *, anew: bool = False) -> EventState:
    """Return a series after a change of all of it, with exceptions that follow the change.

    `after` has its new time and content. Its exceptions name the same occurrences as before, at their new times; an
    occurrence that said the same as all the others, in any respect, still does. Where the series repeats `anew`, its
    dates are those that `after` gives, and only exceptions stay that are about one of its new times.
    """
    if after.recurrence is None or before.recurrence is None:
        return after
    by = after.when.start - before.when.start
    old, new = before.recurrence, after.recurrence
    overrides = {wall + by: _following(each, wall, before, after) for wall, each in old.overrides.items()}
    if anew:
        held = {wall for wall in overrides if occurrence_at(after.when, new, wall) is not None}
        return replace(after, recurrence=replace(new, overrides={wall: overrides[wall] for wall in sorted(held)}))
    rdates, exdates = (frozenset(wall + by for wall in walls) for walls in (old.rdates, old.exdates))
    return replace(after, recurrence=Recurrence(new.rule, rdates, exdates, overrides))


def _following(override: Override, wall: datetime, before: EventState, after: EventState) -> Override:
    """Return an exception that takes part in what all of its series does, where it did so before."""
    same_time = override.when == begun_at(before.when, wall)
    when = begun_at(after.when, wall + (after.when.start - before.when.start)) if same_time else None
    changed = {
        each.name: new
        for each in fields(EventContent)
        if (new := getattr(after.content, each.name)) != (old := getattr(before.content, each.name))
        and getattr(override.content, each.name) == old
    }
    return Override(when or override.when, replace(override.content, **changed))


def every_time(state: EventState, change: Callable[[EventContent], EventContent]) -> EventState:
    """Return a series of which each time says something else, those that differ from the others too."""
    return with_contents(state, lambda content, _wall: change(content))


def with_contents(state: EventState, change: Callable[[EventContent, datetime | None], EventContent]) -> EventState:
    """Return a state whose content was changed, and that of its exceptions, which are named by their wall time."""
    repeats = state.recurrence
    if repeats is not None:
        overrides = {wall: Override(each.when, change(each.content, wall)) for wall, each in repeats.overrides.items()}
        repeats = replace(repeats, overrides=overrides)
    return EventState(state.when, change(state.content, None), repeats)


def moved_as(state: EventState, of: When, to: When) -> When:
    """Return a series' first time after a move of all of it that was told as a move of one of its times."""
    found = begun_at(to, state.when.start + (to.start - of.start))
    if found is None:
        raise Refused(_NOT_THEN)
    return found


def split(state: EventState, recurrence_id: datetime) -> tuple[EventState | None, EventState]:
    """Return a series up to one of its occurrences, and the series that begins with it; None for the empty first part.

    A rule that counts goes on counting; the first part gets an UNTIL in its place, a second before the occurrence. A
    date that was added beside the rule cannot begin the rest of it: raises `Refused`.
    """
    repeats, start = _repeats(state), state.when.start
    if recurrence_id <= start:
        return None, state
    later = begun_at(state.when, recurrence_id)
    if later is None or occurrence_at(state.when, repeats, recurrence_id) is None:
        raise Refused(_NOT_THEN)
    walls = iter(()) if repeats.rule is None else rule_walls(repeats.rule, state.when, recurrence_id)
    following = next(walls, None)
    if following not in (recurrence_id, None):
        raise Refused(
            InvalidInput(
                path=("scope",),
                message=f"This date was added beside the rule. Change it alone, or begin with {following.isoformat()}.",
                expected="an occurrence that the rule names",
            )
        )
    after = Recurrence(
        _rest_of(repeats.rule, walls) if following else None,
        frozenset(wall for wall in repeats.rdates if wall > recurrence_id),
        frozenset(wall for wall in repeats.exdates if wall > recurrence_id),
        {wall: each for wall, each in repeats.overrides.items() if wall >= recurrence_id},
    )
    until = recurrence_id - MOMENT
    told = f"{until:%Y%m%d}" if state.when.all_day else f"{instant(until, state.when.tzid):%Y%m%dT%H%M%SZ}"
    before = Recurrence(
        with_parts(repeats.rule, COUNT=None, UNTIL=told) if repeats.rule and following else repeats.rule,
        frozenset(wall for wall in repeats.rdates if wall < recurrence_id),
        frozenset(wall for wall in repeats.exdates if wall < recurrence_id),
        {wall: each for wall, each in repeats.overrides.items() if wall < recurrence_id},
    )
    repeats_still = after.rule or after.rdates or after.overrides
    return replace(state, recurrence=before), EventState(later, state.content, after if repeats_still else None)


def _rest_of(rule: str | None, following: Iterator[datetime]) -> str | None:
    """Return the rule of what follows its first time; what the first part has counted is not counted again."""
    if rule is None or "COUNT" not in parts_of(rule):
        return rule
    left = 1 + sum(1 for _ in following)
    return with_parts(rule, COUNT=str(left)) if left > 1 else None


def _repeats(state: EventState) -> Recurrence:
    if state.recurrence is None:
        raise Refused(NotFound(path=("id",), message="The event does not repeat."))
    return state.recurrence
