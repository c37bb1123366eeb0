"""Creating events, and listing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.drafts import EventDraft
from kalends.domain.errors import InvalidInput, NotFound, Problem, Refused
from kalends.domain.events import MAX_BATCH, ConflictPolicy, Event, EventPage, newly_busy
from kalends.domain.ids import uuid7
from kalends.domain.time import TimeSpan
from providers.interface import Identity, Outgoing
from resolvers.group import Again
from resolvers.guard import Found, Unstored, judge, look
from resolvers.keys import claim_of, refuse_replay
from resolvers.reserving import calendars_to_hold, reserve
from resolvers.services import Services
from resolvers.sync import Enqueued, after_commit, give_back_unused, kept_elsewhere, wake_and_take
from storage.calendars import BookedCalendar
from storage.idempotency import Claim, Use
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


_Answer = tuple[Written, Enqueued]


@dataclass(frozen=True, slots=True)
class _Creation:
    """A request to create events, with the ids that they will have."""

    principal: Principal
    news: Sequence[NewEvent]
    ids: Sequence[UUID]
    claim: Claim | None
    sync_now: bool

    @property
    def key(self) -> tuple[str, str]:
        """Whose idempotency key it has, and which; empty ones without."""
        return (self.claim.principal, self.claim.key) if self.claim is not None else ("", "")

    @property
    def places(self) -> set[UUID]:
        """The calendars that it writes to."""
        return {new.calendar_id for new in self.news if new.calendar_id is not None}


@dataclass(slots=True)
class _Decided:
    """What was decided about the requests of one transaction: the answers, in their order, and what is to be stored."""

    answers: list[Written | Exception]
    booked: Mapping[UUID, BookedCalendar]
    events: list[tuple[Event, _Creation]]
    claims: list[tuple[Claim, Sequence[UUID]]]


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

    A repeated key returns the events of its first use, as they are now. A dry run decides and writes nothing. Requests
    that arrive together are written together, each of them as if it were alone.
    """
    require(principal, Scope.WRITE_EVENTS)
    if not 1 <= len(news) <= MAX_BATCH:
        expected = f"1 to {MAX_BATCH} events"
        message = f"Expected {expected}; these are {len(news)}."
        raise Refused(InvalidInput(path=("events",), message=message, expected=expected))
    claim = claim_of(principal, idempotency_key, operation, (news, sync_now))
    creation = _Creation(principal, news, [uuid7() for _ in news], claim, sync_now)
    if dry_run:
        async with services.storage.reading(principal.app_id) as work:
            decided = await _decided(services, work, [replace(creation, claim=None)])
        [written] = decided.answers
        if isinstance(written, Exception):
            raise written
        previews = [preview(services, None, event, decided.booked[event.calendar_id]) for event in written.events]
        return replace(written, previews=tuple(previews))
    app_id = principal.app_id
    answer: _Answer = await services.groups.join(
        app_id,
        creation,
        partial(_write, services, app_id),
        places=creation.places,
        size=len(creation.news),
        at_once=services.storage.writers,
        unheard=partial(_unheard, services),
    )
    written, enqueued = answer
    await after_commit(services, app_id, enqueued, at_once=sync_now)
    return written


async def _unheard(services: Services, answer: _Answer) -> None:
    """Leave to the worker what a caller who has left would have pushed."""
    _, enqueued = answer
    await give_back_unused(services, enqueued)


async def _write(services: Services, app_id: UUID, creations: Sequence[_Creation]) -> list[_Answer | Exception]:
    """Create the events of several requests in one transaction; what one of them may not is no matter of the others'.

    Raises `Again` where somebody else has used one of the keys since it was looked up.
    """
    async with services.storage.writing(app_id) as work:
        decided = await _decided(services, work, creations)
        calendars = {each.calendar.id: each.calendar for each in decided.booked.values()}
        events = [event for event, _ in decided.events]
        remote = kept_elsewhere(services, calendars, events)
        *_, claimed = await work.store(
            *work.events.new(events),
            work.changes.created([(event, creation.principal.name) for event, creation in decided.events]),
            work.links.new(remote),
            work.intents.wished(remote),
            work.idempotency.new(decided.claims, services.clock()),
        )
        if claimed < len(decided.claims):
            raise Again
        woken, told = {event.calendar_id for event in remote}, {event.id for event in remote}
        take = woken & {event.calendar_id for event, creation in decided.events if creation.sync_now}
        lanes = {
            lane.calendar_id: lane
            for lane in await wake_and_take(services, work, [calendars[each] for each in woken], take=take)
        }
    answers: list[_Answer | Exception] = []
    for creation, answer in zip(creations, decided.answers, strict=True):
        if isinstance(answer, Exception):
            answers.append(answer)
            continue
        ours = tuple(event for event in answer.events if event.id in told and event.id in creation.ids)
        # Of several who want the same lane the first has it, and the others wait for whoever does.
        taken = [lanes.pop(each) for each in creation.places & lanes.keys()] if ours and creation.sync_now else []
        answers.append((answer, Enqueued(ours, tuple(taken))))
    return answers


async def _decided(services: Services, work: UnitOfWork, creations: Sequence[_Creation]) -> _Decided:
    """Decide about the events of several requests, one after the other, under their calendars' locks.

    A key is looked up under these locks: whoever has used it for the same request has let them go by then.
    """
    news = [new for each in creations for new in each.news]
    guarded = any(new.draft.on_conflict is not ConflictPolicy.ALLOW or new.profile is not None for new in news)
    places = {place for each in creations for place in each.places}
    places |= await calendars_to_hold(work, [new.calendar_id for new in news if new.profile is not None])
    booked = await work.calendars.book(sorted(places), alone=guarded)
    uses = await work.idempotency.uses([each.claim for each in creations if each.claim is not None])
    earlier = await _still_there(work, [event_id for use in uses.values() for event_id in use.result])
    drafted = [[] if each.key in uses else _drafted(services, each, booked) for each in creations]
    wanted = [event for each in drafted for event in each if isinstance(event, Event)]
    found = {each.event.id: each for each in await look([(None, event, ()) for event in wanted], work)}
    decided, unstored = _Decided([], booked, [], []), Unstored()
    for creation, drafts in zip(creations, drafted, strict=True):
        claim = creation.claim
        try:
            if claim is not None and (use := uses.get(creation.key)):
                decided.answers.append(_replayed(use.answer(claim), earlier))
                continue
            written = await _judged(services, work, creation, drafts, found, unstored, decided)
        except Refused as refused:
            decided.answers.append(refused)
            continue
        unstored.add(written.events)
        decided.answers.append(written)
        decided.events += ((event, creation) for event in written.events)
        if claim is not None:
            decided.claims.append((claim, creation.ids))
            uses[creation.key] = Use(claim.operation, claim.request_hash, tuple(creation.ids))
            earlier |= {event.id: event for event in written.events}
    return decided


async def _still_there(work: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, Event]:
    stored = await work.events.with_tombstones(ids) if ids else []
    return {event.id: event for event in stored if event.deleted_at is None}


def _drafted(services: Services, creation: _Creation, booked: Mapping[UUID, BookedCalendar]) -> list[Event | Refused]:
    """Return the events that a request asks for, or what is wrong with them."""
    drafts: list[Event | Refused] = []
    for number, (new, event_id) in enumerate(zip(creation.news, creation.ids, strict=True)):
        try:
            drafts.append(_new_event(new, booked, event_id, services.clock()))
        except Refused as refused:
            drafts.append(refused.under(str(number)))
    return drafts


async def _judged(
    services: Services,
    work: UnitOfWork,
    creation: _Creation,
    drafts: Sequence[Event | Refused],
    found: Mapping[UUID, Found],
    unstored: Unstored,
    decided: _Decided,
) -> Written:
    """Decide about the events of one request, of which all are stored or none; raise `Refused` with every problem."""
    problems: list[Problem] = []
    events: list[Event] = []
    conflicts: dict[UUID, Sequence[Event]] = {}
    ours = Unstored()
    for number, (new, draft) in enumerate(zip(creation.news, drafts, strict=True)):
        if isinstance(draft, Refused):
            problems.extend(draft.problems)
            continue
        try:
            if new.profile is not None:
                owner = decided.booked[draft.calendar_id].calendar.resource_id
                among = [*(event for event, _ in decided.events), *events]
                times = newly_busy(None, draft)
                await reserve(services, work, creation.principal, draft, times, owner, new.profile, among=among)
            if new.profile is None or draft.content.on_conflict is not ConflictPolicy.REJECT:
                # Else the profile has looked, and knows how many may take the same time.
                conflicts[draft.id] = judge(creation.principal, found[draft.id], unstored, ours)
        except Refused as refused:
            problems.extend(refused.under(str(number)).problems)
        else:
            events.append(draft)
            ours.add([draft])
    if problems:
        raise Refused(*problems)
    return Written(tuple(events), conflicts)


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
    return Event.new(event_id, place.calendar.id, state, at=now)


def preview(services: Services, before: Event | None, after: Event, place: BookedCalendar) -> Preview:
    """Return what a write would have the calendar's provider do."""
    provider = services.providers[place.calendar.provider]
    outgoing = Outgoing(after, Identity(after.id, after.uid, generation=0), place.owner)
    payload = provider.preview(outgoing) if after.deleted_at is None else {}
    return Preview(provider.name, payload, provider.mailed(outgoing), tuple(newly_busy(before, after)))


def _replayed(ids: Sequence[UUID], earlier: Mapping[UUID, Event]) -> Written:
    """Return the events that a key has created, as they are now."""
    if any(each not in earlier for each in ids):
        refuse_replay("event")
    return Written(tuple(earlier[each] for each in ids))


async def list_events(services: Services, principal: Principal, page: EventPage) -> list[Event]:
    """Return a page of events that overlap a span, in order of their start."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.events.page(page)
