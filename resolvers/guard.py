"""The guard that every path to busy time passes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from kalends.domain.access import Principal, Scope
from kalends.domain.errors import Path, Refused, TimeConflict
from kalends.domain.events import ConflictPolicy, Event
from storage.unit_of_work import UnitOfWork


async def conflicts_of(
    work: UnitOfWork,
    principal: Principal,
    event: Event,
    *,
    among: Sequence[Event] = (),
    but: Sequence[UUID] = (),
    path: Path = ("start",),
) -> list[Event]:
    """Return what is in the way of an event that is about to be busy; raise `Refused` where its policy says so.

    The caller holds the calendar's row. A principal who may not read learns how many events they are, not which.
    `among` are events of the same request that are not stored yet, `but` are those that move together with this one.
    """
    policy = event.content.on_conflict
    if policy is ConflictPolicy.ALLOW or not event.blocks:
        return []
    found = await work.events.in_the_way(event.calendar_id, event.when.span, but=[event.id, *but])
    found += [
        other
        for other in among
        if other.calendar_id == event.calendar_id and other.blocks and other.when.span.overlaps(event.when.span)
    ]
    shown = found if Scope.READ in principal.scopes else []
    if found and policy is ConflictPolicy.REJECT:
        count = "1 event is" if len(found) == 1 else f"{len(found)} events are"
        raise Refused(TimeConflict(path=path, message=f"{count} in the way.", conflicts=tuple(shown)))
    return shown
