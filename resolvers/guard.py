"""The guard that every path to busy time passes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from kalends.domain.access import Principal, Scope
from kalends.domain.errors import Collision, Path, Refused, TimeConflict
from kalends.domain.events import ConflictPolicy, Event, newly_busy
from kalends.domain.time import TimeSpan
from storage.events import MAX_CONFLICTS, Taking
from storage.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Unstored:
    """What takes time in each calendar, and is decided on but not stored yet."""

    _times: dict[UUID, list[Event]] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> None:
        """Let events take their time."""
        for event in events:
            self._times.setdefault(event.calendar_id, []).extend(event.blocking(event.updated_at))

    def within(self, calendar_id: UUID, span: TimeSpan) -> list[Event]:
        """Return what takes time within a span, of series their occurrences."""
        return [each for each in self._times.get(calendar_id, ()) if each.when.span.overlaps(span)]


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the way of an event's new times: of these `spans`, what is stored."""

    event: Event
    spans: Sequence[TimeSpan]
    stored: Sequence[Collision]


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

    The caller holds the calendar's row. `before` is what is stored of it, or of the series that it goes on with.
    `among` are events of the same request that are not stored yet, `but` are those that move together with this one.
    """
    unstored = Unstored()
    unstored.add(among)
    [found] = await look([(before, event, but)], work)
    return judge(principal, found, unstored, path=path)


async def look(changes: Sequence[tuple[Event | None, Event, Collection[UUID]]], work: UnitOfWork) -> list[Found]:
    """Return what is in the way of each of these events, which their callers then judge, one after the other."""
    taking = []
    for before, event, but in changes:
        asks = event.content.on_conflict is not ConflictPolicy.ALLOW
        spans = newly_busy(before, event) if asks else []
        taking.append(Taking(event.calendar_id, spans, (event.id, *but)))
    stored = await work.events.collisions(taking)
    return [Found(event, each.spans, there) for (_, event, _), each, there in zip(changes, taking, stored, strict=True)]


def judge(principal: Principal, looked: Found, *unstored: Unstored, path: Path = ("start",)) -> list[Event]:
    """Return what is in the way of an event; raise `Refused` under policy REJECT.

    A principal who may not read learns how many events they are, not which.
    """
    event, policy = looked.event, looked.event.content.on_conflict
    found = _with_unstored(looked, unstored)
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


def _with_unstored(looked: Found, unstored: Sequence[Unstored]) -> Sequence[Collision]:
    """Return the collisions, with those with events that are not stored yet; what is named is what is earliest."""
    calendar_id = looked.event.calendar_id
    beside = {span: [each for some in unstored for each in some.within(calendar_id, span)] for span in looked.spans}
    if not any(beside.values()):
        return looked.stored
    stored = {each.span: each for each in looked.stored}
    result, left = [], MAX_CONFLICTS
    for span in looked.spans:
        there = stored.get(span, Collision(span, (), 0))
        named = sorted((*there.events, *beside[span]), key=_earliest)[:left]
        left -= len(named)
        if count := there.count + len(beside[span]):
            result.append(Collision(span, tuple(named), count))
    return result


def _earliest(event: Event) -> tuple[datetime, bytes]:
    return event.when.span.start, event.id.bytes
