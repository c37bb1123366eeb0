"""The guard that every path to busy time passes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from kalends.domain.access import Principal, Scope
from kalends.domain.errors import Collision, Path, Refused, TimeConflict
from kalends.domain.events import ConflictPolicy, Event, newly_busy
from kalends.domain.time import TimeSpan
from storage.unit_of_work import UnitOfWork


async def conflicts_of(
    work: UnitOfWork,
    principal: Principal,
    before: Event | None,
    event: Event,
    *,
    among: Sequence[Event] = (),
    but: Collection[UUID] = (),
    path: Path = ("start",),
) -> list[Event]:
    """Return what is in the way of the times that an event takes anew; raise `Refused` under policy REJECT.

    The caller holds the calendar's row. A principal who may not read learns how many events they are, not which.
    `before` is what is stored of it, or of the series that it goes on with. `among` are events of the same request that
    are not stored yet, `but` are those that move together with this one.
    """
    policy = event.content.on_conflict
    spans = [] if policy is ConflictPolicy.ALLOW else newly_busy(before, event)
    if not spans:
        return []
    found = await work.events.collisions(event, spans, but=but)
    found = _with_those_among(found, event, spans, among)
    if Scope.READ not in principal.scopes:
        found = [replace(each, events=()) for each in found]
    if found and policy is ConflictPolicy.REJECT:
        count = sum(each.count for each in found)
        message = "1 event is in the way." if count == 1 else f"{count} events are in the way."
        if event.recurrence is not None:
            message = f"{len(found)} of its times are taken. Leave them out with `exdates`, or move it."
        exdates = tuple(each.span.start for each in found) if event.recurrence is not None else ()
        raise Refused(TimeConflict(path=path, message=message, collisions=tuple(found), exdates=exdates))
    return [other for each in found for other in each.events]


def _with_those_among(
    found: Sequence[Collision], event: Event, spans: Sequence[TimeSpan], among: Sequence[Event]
) -> list[Collision]:
    """Return the collisions, with those with events that are not stored yet."""
    others = [
        (span, other)
        for other in among
        if other.calendar_id == event.calendar_id
        for span in other.times(other.updated_at)
    ]
    if not others:
        return list(found)
    stored = {each.span: each for each in found}
    result = []
    for span in spans:
        there = stored.get(span, Collision(span, (), 0))
        beside = tuple(other for taken, other in others if taken.overlaps(span))
        there = Collision(span, there.events + beside, there.count + len(beside))
        if there.count:
            result.append(there)
    return result
