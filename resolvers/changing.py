"""Changing events, and series: one of their times, those from one on, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.drafts import EventChanges, revised, with_partstat
from kalends.domain.errors import NotFound, Refused, invalid
from kalends.domain.events import Event, EventContent, EventState, EventStatus, Partstat
from kalends.domain.ids import EventRef, uuid7
from kalends.domain.recurrence import occurs
from kalends.domain.series import (
    RecurrenceScope,
    every_time,
    occurrence_of,
    split,
    with_override,
    without_occurrence,
)
from kalends.domain.time import When
from resolvers.events import Preview, preview
from resolvers.guard import conflicts_of
from resolvers.services import Services
from resolvers.sync import after_commit, enqueue
from storage.calendars import BookedCalendar
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork

_MISSING = NotFound(path=("id",), message="There is no such event.")
_Change = Callable[[EventState, BookedCalendar, "When | None"], EventState]


@dataclass(frozen=True, slots=True)
class Target:
    """What a change is about: an event, or an occurrence of a series; None where the caller's text cannot be an id.

    `scope` is how much of a series: by default all of it where it is named itself, else the occurrence.
    """

    ref: EventRef | None
    scope: RecurrenceScope | None = None
    expected_version: int | None = None

    @property
    def extent(self) -> RecurrenceScope:
        """How much is changed."""
        of_one = self.ref is not None and self.ref.recurrence_id is not None
        return self.scope or (RecurrenceScope.THIS if of_one else RecurrenceScope.ALL)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a change is made: with the provider told at once, or tried out only."""

    sync_now: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did, or in a dry run would do.

    `event` is what was changed: the occurrence, or the series that holds all that was changed; None where it is gone.
    `rest` is the series that the occurrence belongs to, or what is left of the one that was split. `conflicts` are the
    events in the way, under policy WARN.
    """

    event: Event | None
    rest: Event | None = None
    conflicts: Sequence[Event] = ()
    previews: tuple[Preview, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One event before and after a change; None before for one that begins with it."""

    before: Event | None
    after: Event


async def update_event(
    services: Services, principal: Principal, target: Target, changes: EventChanges, manner: Manner = Manner()
) -> Changed:
    """Change an event; what is absent from `changes` stays. The guard runs where the event takes time anew."""

    def change(state: EventState, place: BookedCalendar, seen_at: When | None) -> EventState:
        return revised(state, changes, calendar_tzid=place.calendar.tzid, owner=place.owner, seen_at=seen_at)

    if target.extent is RecurrenceScope.THIS and "recurrence" in changes:
        raise Refused(invalid("recurrence", "no recurrence for one occurrence alone"))
    return await _change(services, principal, target, change, manner)


async def cancel_event(services: Services, principal: Principal, target: Target, manner: Manner = Manner()) -> Changed:
    """Cancel an event: it stays, marked, and frees its time. Cancelling twice changes nothing."""

    def cancelled(content: EventContent) -> EventContent:
        return replace(content, status=EventStatus.CANCELLED)

    return await _change(services, principal, target, lambda state, *_: every_time(state, cancelled), manner)


async def respond_to_event(
    services: Services, principal: Principal, target: Target, partstat: Partstat, manner: Manner = Manner()
) -> Changed:
    """Set the answer of the calendar's owner. Taking back a refusal takes time, so the guard runs."""

    def change(state: EventState, place: BookedCalendar, _seen_at: When | None) -> EventState:
        return every_time(state, lambda content: with_partstat(content, partstat, owner=place.owner))

    return await _change(services, principal, target, change, manner)


async def delete_event(services: Services, principal: Principal, target: Target, manner: Manner = Manner()) -> Changed:
    """Delete an event. Its tombstone stays until its provider has deleted it too."""
    return await _change(services, principal, target, None, manner)


async def _change(
    services: Services, principal: Principal, target: Target, change: _Change | None, manner: Manner
) -> Changed:
    """Apply a change (None: delete) under the calendar's lock, guard what becomes busy, store it, tell the provider."""
    require(principal, Scope.WRITE_EVENTS)
    storage, at = services.storage, services.clock()
    async with (storage.reading if manner.dry_run else storage.writing)(principal.app_id) as work:
        event, place = await _held(work, target)
        steps = _steps(event, target, change, place, at)
        conflicts = await _guarded(work, principal, steps)
        if manner.dry_run:
            previews = tuple(preview(services, step.before, step.after, place) for step in steps)
            return _changed(target, steps, conflicts, previews, gone=change is None)
        stored = [step for step in steps if step.after is not step.before]
        for step in stored:
            if step.before is None:
                await work.events.add([step.after])
            else:
                await work.events.save(step.after, before=step.before)
            await work.changes.note_events([step.after], _operation(step), principal.name)
        calendars = {place.calendar.id: place.calendar}
        enqueued = await enqueue(services, work, calendars, [step.after for step in stored], take=manner.sync_now)
    await after_commit(services, principal.app_id, enqueued, at_once=manner.sync_now)
    return _changed(target, steps, conflicts, gone=change is None)


def _steps(event: Event, target: Target, change: _Change | None, place: BookedCalendar, at: datetime) -> list[_Step]:
    """Decide what becomes of an event, and which one goes on in its place: that one is the last."""
    state, scope = event.state, target.extent
    named = target.ref.recurrence_id if target.ref else None
    if named is None:
        if scope is not RecurrenceScope.ALL:
            raise Refused(invalid("scope", "the id of an occurrence of a series, for anything but ALL"))
        after = event.deleted(at) if change is None else event.became(change(state, place, None), at=at)
        return [_Step(event, after)]
    occurrence = occurrence_of(state, named)
    if scope is RecurrenceScope.THIS:
        if change is None:
            rest = without_occurrence(state, named)
        else:
            rest = with_override(state, named, change(occurrence, place, None))
        return [_Step(event, _left(event, rest, at))]
    earlier, later = (None, state) if scope is RecurrenceScope.ALL else split(state, named)
    if earlier is None:
        after = event.deleted(at) if change is None else event.became(change(state, place, occurrence.when), at=at)
        return [_Step(event, after)]
    steps = [_Step(event, _left(event, earlier, at))]
    if change is not None:
        goes_on = change(later, place, occurrence.when)
        steps.append(_Step(None, Event.new(uuid7(), event.calendar_id, goes_on, at=at)))
    return steps


def _left(event: Event, state: EventState, at: datetime) -> Event:
    """Return what is left of a series; a tombstone where that is nothing."""
    if state.recurrence is not None and not occurs(state.when, state.recurrence):
        return event.deleted(at)
    return event.became(state, at=at)


async def _guarded(work: UnitOfWork, principal: Principal, steps: Sequence[_Step]) -> list[Event]:
    """Return what is in the way of the times that are taken anew; raise `Refused` under policy REJECT."""
    first, last = steps[0], steps[-1]
    if last.after.deleted_at is not None:
        return []
    if first is last:
        return await conflicts_of(work, principal, first.before, last.after)
    # What is left of the series is not stored yet, and what is stored of it holds the time that the new one takes over.
    return await conflicts_of(work, principal, first.before, last.after, among=[first.after], but=[first.after.id])


def _operation(step: _Step) -> Operation:
    if step.before is None:
        return Operation.CREATED
    return Operation.UPDATED if step.after.deleted_at is None else Operation.DELETED


def _changed(
    target: Target,
    steps: Sequence[_Step],
    conflicts: Sequence[Event],
    previews: tuple[Preview, ...] = (),
    *,
    gone: bool,
) -> Changed:
    """Word what was done: by what was named, not by what is stored."""
    first, last = steps[0].after, steps[-1].after
    rest = first if first.deleted_at is None else None
    if gone:
        return Changed(None, rest, conflicts, previews)
    if last is not first:
        return Changed(last, rest, conflicts, previews)
    if target.ref is not None and target.extent is RecurrenceScope.THIS:
        return Changed(first.named(target.ref), rest, conflicts, previews)
    return Changed(first, None, conflicts, previews)


async def _held(work: UnitOfWork, target: Target) -> tuple[Event, BookedCalendar]:
    """Return an event and its calendar, both held: the calendar first, as everywhere, so that nobody deadlocks."""
    if target.ref is None:
        raise Refused(_MISSING)
    event_id: UUID = target.ref.id
    calendar_id = (await work.events.get(event_id)).calendar_id
    found: Mapping[UUID, BookedCalendar] = await work.calendars.book([calendar_id], alone=True)
    if calendar_id not in found:
        raise Refused(_MISSING)
    place, event = found[calendar_id], await work.events.get(event_id, lock=True)
    if (closed := place.calendar.closed("id")) is not None:
        raise Refused(closed)
    event.require_version(target.expected_version)
    return event, place
