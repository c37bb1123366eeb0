"""What can be done with events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.drafts import EventChanges, EventDraft, revised, with_partstat
from kalends.domain.errors import InvalidInput, NotFound, Problem, Refused, StaleVersion
from kalends.domain.events import MAX_BATCH, ConflictPolicy, Event, EventPage, EventStatus, Partstat, newly_busy
from kalends.domain.ids import uuid7
from providers.interface import Identity, Outgoing
from resolvers.guard import conflicts_of
from resolvers.keys import claim_of, refuse_replay
from resolvers.reserving import calendars_to_hold, reserve
from resolvers.services import Services
from resolvers.sync import Enqueued, after_commit, enqueue
from storage.calendars import BookedCalendar
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be created; `calendar_id` is None where the caller's text cannot be an id.

    `profile` names conditions of its calendar's resource that must hold.
    """

    calendar_id: UUID | None
    draft: EventDraft
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a provider would get, and who would be mailed."""

    provider: str
    payload: Mapping[str, Any]
    mailed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did, or in a dry run would do. `conflicts` are the events in the way, under policy WARN."""

    events: tuple[Event, ...]
    conflicts: Mapping[UUID, Sequence[Event]] = field(default_factory=dict)
    previews: Mapping[UUID, Preview] = field(default_factory=dict)

    @property
    def event(self) -> Event:
        """The first event, which is the only one outside `createEvents`."""
        return self.events[0]


async def create_events(
    services: Services,
    principal: Principal,
    news: Sequence[NewEvent],
    *,
    operation: str,
    idempotency_key: str | None = None,
    sync_now: bool = False,
    dry_run: bool = False,
) -> Written:
    """Create events, all or none; raise `Refused` with paths that begin with the number of the event.

    A repeated key returns the events of its first use, as they are now. A dry run decides and writes nothing.
    """
    require(principal, Scope.WRITE_EVENTS)
    if not 1 <= len(news) <= MAX_BATCH:
        expected = f"1 to {MAX_BATCH} events"
        message = f"Expected {expected}; these are {len(news)}."
        raise Refused(InvalidInput(path=("events",), message=message, expected=expected))
    claim = claim_of(principal, idempotency_key, operation, (news, sync_now))
    storage, ids = services.storage, [uuid7() for _ in news]
    if dry_run:
        async with storage.reading(principal.app_id) as work:
            written, booked = await _judged(services, principal, work, news, ids)
            previews = {event.id: _preview(services, event, booked[event.calendar_id]) for event in written.events}
            return replace(written, previews=previews)
    async with storage.writing(principal.app_id) as work:
        if claim is not None:
            earlier = await work.idempotency.claim(claim, ids, services.clock())
            if earlier is not None:
                return Written(await _as_they_are_now(work, earlier))
        written, booked = await _judged(services, principal, work, news, ids)
        calendars = {each.calendar.id: each.calendar for each in booked.values()}
        await work.events.add(written.events)
        await work.changes.note_events(written.events, Operation.CREATED, principal.name)
        enqueued = await enqueue(services, work, calendars, written.events, take=sync_now)
    await after_commit(services, principal.app_id, enqueued, at_once=sync_now)
    return written


async def _judged(
    services: Services, principal: Principal, work: UnitOfWork, news: Sequence[NewEvent], ids: Sequence[UUID]
) -> tuple[Written, dict[UUID, BookedCalendar]]:
    """Decide about new events under their calendars' locks; raise `Refused` with every problem."""
    guarded = any(new.draft.on_conflict is not ConflictPolicy.ALLOW or new.profile is not None for new in news)
    wanted = {new.calendar_id for new in news if new.calendar_id is not None}
    wanted |= await calendars_to_hold(work, [new.calendar_id for new in news if new.profile is not None])
    booked = await work.calendars.book(sorted(wanted), alone=guarded)
    problems: list[Problem] = []
    events: list[Event] = []
    conflicts: dict[UUID, Sequence[Event]] = {}
    for number, (new, event_id) in enumerate(zip(news, ids, strict=True)):
        try:
            event = _new_event(new, booked, event_id, services.clock())
            times = newly_busy(None, event)
            if new.profile is not None:
                owner = booked[event.calendar_id].calendar.resource_id
                await reserve(services, work, principal, event, times, owner, new.profile, among=events)
                if event.content.on_conflict is ConflictPolicy.REJECT:
                    times = []  # the profile has looked, and knows how many may take the same time
            conflicts[event_id] = await conflicts_of(work, principal, event, times, among=events)
            events.append(event)
        except Refused as refused:
            problems.extend(refused.under(str(number)).problems)
    if problems:
        raise Refused(*problems)
    return Written(tuple(events), conflicts), booked


def _new_event(new: NewEvent, booked: Mapping[UUID, BookedCalendar], event_id: UUID, now: datetime) -> Event:
    place = booked.get(new.calendar_id) if new.calendar_id else None
    problems: list[Problem] = []
    if place is None:
        problems.append(NotFound(path=("calendar_id",), message="There is no such calendar."))
    elif (closed := place.calendar.closed("calendar_id")) is not None:
        problems.append(closed)
    try:
        when, content = new.draft.judged(
            calendar_tzid=place.calendar.tzid if place else "UTC", owner=place.owner if place else None
        )
    except Refused as refused:
        problems.extend(refused.problems)
    if problems or place is None:
        raise Refused(*problems)
    return Event(
        id=event_id,
        calendar_id=place.calendar.id,
        uid=f"{event_id}@kalends",
        when=when,
        content=content,
        version=1,
        sequence=0,
        created_at=now,
        updated_at=now,
    )


def _preview(services: Services, event: Event, place: BookedCalendar) -> Preview:
    provider = services.providers[place.calendar.provider]
    outgoing = Outgoing(event, Identity(event.id, event.uid, generation=0), place.owner)
    return Preview(provider.name, provider.preview(outgoing), provider.mailed(outgoing))


async def _as_they_are_now(work: UnitOfWork, ids: Sequence[UUID]) -> tuple[Event, ...]:
    found = {event.id: event for event in await work.events.with_tombstones(ids) if event.deleted_at is None}
    if len(found) < len(ids):
        refuse_replay("event")
    return tuple(found[each] for each in ids)


async def update_event(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    changes: EventChanges,
    *,
    expected_version: int | None = None,
    sync_now: bool = False,
) -> Written:
    """Change an event; what is absent from `changes` stays. The guard runs where the event takes time anew."""

    def change(event: Event, place: BookedCalendar) -> Event:
        return revised(event, changes, calendar_tzid=place.calendar.tzid, owner=place.owner, at=services.clock())

    return await _change(services, principal, event_id, change, expected_version, sync_now=sync_now)


async def cancel_event(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    *,
    expected_version: int | None = None,
    sync_now: bool = False,
) -> Written:
    """Cancel an event: it stays, marked, and frees its time. Cancelling twice changes nothing."""

    def change(event: Event, _place: BookedCalendar) -> Event:
        content = replace(event.content, status=EventStatus.CANCELLED)
        return event.changed(when=event.when, content=content, at=services.clock())

    return await _change(services, principal, event_id, change, expected_version, sync_now=sync_now)


async def respond_to_event(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    partstat: Partstat,
    *,
    expected_version: int | None = None,
    sync_now: bool = False,
) -> Written:
    """Set the answer of the calendar's owner. Taking back a refusal takes time, so the guard runs."""

    def change(event: Event, place: BookedCalendar) -> Event:
        content = with_partstat(event.content, partstat, owner=place.owner)
        return event.changed(when=event.when, content=content, at=services.clock())

    return await _change(services, principal, event_id, change, expected_version, sync_now=sync_now)


async def delete_event(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    *,
    expected_version: int | None = None,
    sync_now: bool = False,
) -> UUID:
    """Delete an event. Its tombstone stays until its provider has deleted it too."""
    require(principal, Scope.WRITE_EVENTS)
    async with services.storage.writing(principal.app_id) as work:
        event, place = await _held(work, event_id, expected_version)
        tombstone = event.deleted(services.clock())
        await work.events.save(tombstone)
        await work.changes.note_events([tombstone], Operation.DELETED, principal.name)
        enqueued = await enqueue(services, work, {place.calendar.id: place.calendar}, [tombstone], take=sync_now)
    await after_commit(services, principal.app_id, enqueued, at_once=sync_now)
    return tombstone.id


async def _change(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    change: Callable[[Event, BookedCalendar], Event],
    expected_version: int | None,
    *,
    sync_now: bool,
) -> Written:
    """Apply a change under the calendar's lock, guard what becomes busy, store it and tell the provider."""
    require(principal, Scope.WRITE_EVENTS)
    async with services.storage.writing(principal.app_id) as work:
        before, place = await _held(work, event_id, expected_version)
        after = change(before, place)
        conflicts = await conflicts_of(work, principal, after, newly_busy(before, after))
        enqueued = Enqueued()
        if after is not before:
            await work.events.save(after, before=before)
            await work.changes.note_events([after], Operation.UPDATED, principal.name)
            enqueued = await enqueue(services, work, {place.calendar.id: place.calendar}, [after], take=sync_now)
    await after_commit(services, principal.app_id, enqueued, at_once=sync_now)
    return Written((after,), {after.id: conflicts})


async def _held(work: UnitOfWork, event_id: UUID | None, expected_version: int | None) -> tuple[Event, BookedCalendar]:
    """Return an event and its calendar, both held: the calendar first, as everywhere, so that nobody deadlocks."""
    missing = Refused(NotFound(path=("id",), message="There is no such event."))
    if event_id is None:
        raise missing
    calendar_id = (await work.events.get(event_id)).calendar_id
    place = (await work.calendars.book([calendar_id], alone=True)).get(calendar_id)
    if place is None:
        raise missing
    event = await work.events.get(event_id, lock=True)
    if (closed := place.calendar.closed("id")) is not None:
        raise Refused(closed)
    if expected_version is not None and expected_version != event.version:
        message = f"The event is at version {event.version}, not {expected_version}: read it again."
        raise Refused(StaleVersion(path=("expected_version",), message=message, current_version=event.version))
    return event, place


async def list_events(services: Services, principal: Principal, page: EventPage) -> list[Event]:
    """Return a page of events that overlap a span, in order of their start."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.events.page(page)
