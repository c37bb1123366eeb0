"""Creating events, and listing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.drafts import EventDraft
from kalends.domain.errors import InvalidInput, NotFound, Problem, Refused
from kalends.domain.events import MAX_BATCH, ConflictPolicy, Event, EventPage, newly_busy
from kalends.domain.ids import uuid7
from kalends.domain.time import TimeSpan
from providers.interface import Identity, Outgoing
from resolvers.guard import conflicts_of
from resolvers.keys import claim_of, refuse_replay
from resolvers.reserving import calendars_to_hold, reserve
from resolvers.services import Services
from resolvers.sync import after_commit, enqueue
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
    """What a provider would get, who would be mailed, and which times would be taken that are not taken now."""

    provider: str
    payload: Mapping[str, Any]
    mailed: tuple[str, ...]
    takes: tuple[TimeSpan, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did, or in a dry run would do. `conflicts` are the events in the way, under policy WARN."""

    events: tuple[Event, ...]
    conflicts: Mapping[UUID, Sequence[Event]] = field(default_factory=dict)
    previews: tuple[Preview, ...] = ()

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
            previews = [preview(services, None, event, booked[event.calendar_id]) for event in written.events]
            return replace(written, previews=tuple(previews))
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
            if new.profile is not None:
                owner = booked[event.calendar_id].calendar.resource_id
                times = newly_busy(None, event)
                await reserve(services, work, principal, event, times, owner, new.profile, among=events)
            if new.profile is None or event.content.on_conflict is not ConflictPolicy.REJECT:
                # Else the profile has looked, and knows how many may take the same time.
                conflicts[event_id] = await conflicts_of(work, principal, None, event, among=events)
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
        state = new.draft.judged(
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
        when=state.when,
        content=state.content,
        version=1,
        sequence=0,
        created_at=now,
        updated_at=now,
        recurrence=state.recurrence,
    )


def preview(services: Services, before: Event | None, after: Event, place: BookedCalendar) -> Preview:
    """Return what a write would have the calendar's provider do."""
    provider = services.providers[place.calendar.provider]
    outgoing = Outgoing(after, Identity(after.id, after.uid, generation=0), place.owner)
    payload = provider.preview(outgoing) if after.deleted_at is None else {}
    return Preview(provider.name, payload, provider.mailed(outgoing), tuple(newly_busy(before, after)))


async def _as_they_are_now(work: UnitOfWork, ids: Sequence[UUID]) -> tuple[Event, ...]:
    found = {event.id: event for event in await work.events.with_tombstones(ids) if event.deleted_at is None}
    if len(found) < len(ids):
        refuse_replay("event")
    return tuple(found[each] for each in ids)


async def list_events(services: Services, principal: Principal, page: EventPage) -> list[Event]:
    """Return a page of events that overlap a span, in order of their start."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.events.page(page)
