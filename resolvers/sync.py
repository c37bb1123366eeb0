"""Bringing events to their providers. Mutations and the worker enter here, through the same functions.

One push is: a short transaction that reads and notes the attempt, the provider's call, a short transaction that stores
its answer. No transaction is open during the call. Whoever pushes holds the calendar's lane; a call that outlives its
lease may still reach the provider, so creates carry an identity and updates an etag.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

import structlog

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import Event, EventStatus
from kalends.domain.sync import Lane, Link, pause_after
from providers.interface import (
    AlreadyExists,
    Gone,
    Identity,
    NeedsPerson,
    OutcomeUnknown,
    Outgoing,
    Provider,
    ProviderError,
    ReconnectRequired,
    RemoteCalendar,
    RemoteEvent,
    Stale,
    Throttled,
    Unreachable,
)
from resolvers.services import Services
from storage.errors import StorageError
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

STRIKES = 3  # failures in a row before the whole lane pauses
PUSHES_A_TURN = 50
MAX_GENERATIONS = 5
_LOOK_AGAIN = 0.05  # seconds between looks at a lane that somebody else is working on


class Pushed(Enum):
    """How one push ended."""

    DONE = auto()
    FAILED = auto()  # planned again, or a dead letter
    CLOSED = auto()  # the account must not be asked now
    LOST = auto()  # somebody else has the lane


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The events that a provider must hear of, and the lanes that were leased on the spot for them."""

    events: tuple[Event, ...] = ()
    lanes: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class _Errand:
    """Everything that one push needs to know."""

    provider: Provider
    place: RemoteCalendar
    outgoing: Outgoing
    link: Link


async def enqueue(
    services: Services, work: UnitOfWork, calendars: Mapping[UUID, Calendar], events: Sequence[Event], *, take: bool
) -> Enqueued:
    """Note, in the events' own transaction and last in it, that their providers must hear of them.

    With `take`, the lanes that are free are leased here and now, before a worker could.
    """
    remote = [each for each in events if services.providers[calendars[each.calendar_id].provider].capabilities.remote]
    for event in events:
        if event.deleted_at is not None and event not in remote:
            await work.events.forget(event.id)
    if not remote:
        return Enqueued()
    await work.links.track(remote)
    await work.intents.put(remote)
    lanes = []
    for calendar_id in sorted({event.calendar_id for event in remote}):
        await work.lanes.wake(calendar_id, calendars[calendar_id].account_id)
        lane = await work.lanes.take(calendar_id, services.patience.lease) if take else None
        if lane is not None:
            lanes.append(lane)
    return Enqueued(tuple(remote), tuple(lanes))


async def after_commit(services: Services, app_id: UUID, enqueued: Enqueued, *, at_once: bool) -> None:
    """Push what was enqueued, within a bounded time, or leave it to the worker.

    What does not succeed in time, or fails, is the worker's too: the caller reads it in the event's sync state.
    """
    if not enqueued.events:
        return
    if at_once:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + services.patience.at_once
        ours = {lane.calendar_id: lane for lane in enqueued.lanes}
        with suppress(StorageError):  # the event is stored, and a lease that is not given back ends by itself
            for event in enqueued.events:
                left = deadline - loop.time()
                if left <= 0:
                    break
                lane = ours.get(event.calendar_id)
                if lane is None:
                    await _settled_by_others(services, app_id, event.id, left)
                else:
                    await push(services, lane, event.id, at_most=left)
        for lane in enqueued.lanes:
            with suppress(StorageError):
                async with services.storage.writing(app_id) as work:
                    await work.lanes.release(lane)
    services.wake_worker()


async def _settled_by_others(services: Services, app_id: UUID, event_id: UUID, seconds: float) -> None:
    """Wait until whoever has the lane has tried this event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                async with services.storage.reading(app_id) as work:
                    intent = (await work.intents.many([event_id])).get(event_id)
                if intent is None or intent.attempts or intent.due_at is None:
                    return
                await asyncio.sleep(_LOOK_AGAIN)


async def work_lane(services: Services, lane: Lane) -> int:
    """Push what is due in a lane, one after the other, give the lane back, and return how many were pushed.

    Progress resets the lane's back-off: with one failure in ten, a lane must not slow down.
    """
    failures, done, pause = lane.failures, 0, None
    for _ in range(PUSHES_A_TURN):
        async with services.storage.reading(lane.app_id) as work:
            intent = await work.intents.next_due(lane.calendar_id)
        outcome = Pushed.CLOSED if intent is None else await push(services, lane, intent.event_id)
        if outcome is Pushed.LOST:
            return done
        if outcome is Pushed.CLOSED:
            break
        if outcome is Pushed.DONE:
            failures, done = 0, done + 1
        else:
            failures += 1
            if failures >= STRIKES:
                pause = pause_after(failures - STRIKES + 1, services.chance())
                break
    else:
        pause = timedelta()  # others are due too: go to the end of the queue
    async with services.storage.writing(lane.app_id) as work:
        await work.lanes.release(lane, failures=failures if failures >= STRIKES else 0, pause=pause)
    return done


async def push(services: Services, lane: Lane, event_id: UUID, *, at_most: float | None = None) -> Pushed:
    """Bring one event to its provider, as the holder of its lane, in at most so many seconds."""
    try:
        return await _push(services, lane, event_id, at_most)
    except _LaneLost:
        return Pushed.LOST


async def _push(services: Services, lane: Lane, event_id: UUID, at_most: float | None) -> Pushed:
    async with _as_holder(services, lane) as work:
        errand = await _prepare(services, work, lane, event_id)
    if isinstance(errand, Pushed):
        return errand
    seconds = services.patience.call if at_most is None else min(at_most, services.patience.call)
    try:
        async with asyncio.timeout(seconds):
            copy, generation = await _bring(errand)
    except TimeoutError:
        error: ProviderError = OutcomeUnknown("The provider did not answer in time.")
    except ProviderError as known:
        error = known
    except Exception:  # a defect in one provider must not stop the others
        log.exception("provider.defect", provider=errand.provider.name, event=str(event_id))
        error = Unreachable("Kalends could not speak to the provider: its operator finds the reason in the log.")
    else:
        return await _store(services, lane, errand, copy, generation)
    return await _note_failure(services, lane, errand, error)


async def _prepare(services: Services, work: UnitOfWork, lane: Lane, event_id: UUID) -> _Errand | Pushed:
    """Read what a push needs and note the attempt; say how it ended where nothing needs to be sent."""
    found = await work.events.with_tombstones([event_id])
    link = (await work.links.many([event_id])).get(event_id)
    if not found or link is None:
        await work.intents.settle(event_id)
        return Pushed.DONE
    event = found[0]
    booked = (await work.calendars.many([event.calendar_id]))[0]
    owner = None
    if booked.resource_id is not None:
        owner = (await work.resources.many([booked.resource_id]))[0].email
    if booked.account_id is not None:
        account = (await work.accounts.many([booked.account_id]))[0]
        if account.state is not AccountState.ACTIVE or account.blocked_until is not None:
            return Pushed.CLOSED
    never_sent = link.attempted_version == 0
    if never_sent and event.deleted_at is not None:
        await work.events.forget(event_id)
        return Pushed.DONE
    if link.pushed_version >= event.version or (never_sent and event.content.status is EventStatus.CANCELLED):
        await work.links.pushed(event_id, event.version, services.clock())
        await work.intents.settle(event_id)
        return Pushed.DONE
    await work.links.attempt(event_id, event.version)
    return _Errand(
        provider=services.providers[booked.provider],
        place=RemoteCalendar(lane.app_id, booked.account_id, booked.remote_id or str(booked.id)),
        outgoing=Outgoing(event, Identity(event.id, event.uid, link.generation), owner),
        link=link,
    )


async def _bring(errand: _Errand) -> tuple[RemoteEvent | None, int]:
    """Make the provider's copy what the event is; return the copy (None: deleted) and its generation.

    A create may be repeated after a lost answer, and so may everything here: what the provider already has is adopted.
    """
    provider, place, outgoing, link = errand.provider, errand.place, errand.outgoing, errand.link
    if outgoing.event.deleted_at is not None:
        await provider.delete(place, outgoing, link.remote_id)
        return None, link.generation
    known = None
    if link.remote_id is not None:
        known = RemoteEvent(link.remote_id, link.remote_etag or "")
    for generation in range(link.generation, link.generation + MAX_GENERATIONS):
        named = replace(outgoing, identity=replace(outgoing.identity, generation=generation))
        try:
            if known is None:
                return await provider.create(place, named), generation
            return await _update(provider, place, named, known), generation
        except AlreadyExists:
            known = await provider.find(place, named.identity, None)
            if known is not None and not known.deleted:
                return await _update(provider, place, named, known), generation
        except Gone:
            pass
        known = None  # a deleted name stays taken: go on with the next generation
    raise OutcomeUnknown("The provider's copies of this event could not be told apart.")


async def _update(provider: Provider, place: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
    """Write over the copy; where it has changed meanwhile, look again, once."""
    try:
        return await provider.update(place, outgoing, known)
    except Stale:
        fresh = await provider.find(place, outgoing.identity, known.remote_id)
        if fresh is None or fresh.deleted:
            raise Gone("The provider no longer has this event.") from None
        return await provider.update(place, outgoing, fresh)


async def _store(services: Services, lane: Lane, errand: _Errand, copy: RemoteEvent | None, generation: int) -> Pushed:
    """Acknowledge a push, unless the lane has been taken over: then its new holder finds out for itself."""
    event = errand.outgoing.event
    async with _as_holder(services, lane) as work:
        if copy is None:
            await work.events.forget(event.id)
        else:
            await work.links.pushed(event.id, event.version, services.clock())
            await work.links.learn(event.id, copy.remote_id, etag=copy.etag, url=copy.url, generation=generation)
            await work.intents.settle(event.id)
    return Pushed.DONE


async def _note_failure(services: Services, lane: Lane, errand: _Errand, error: ProviderError) -> Pushed:
    """Plan the next attempt, or wait for a person."""
    event_id, account_id = errand.outgoing.event.id, errand.place.account_id
    log.info("sync.failed", event=str(event_id), provider=errand.provider.name, error=str(error))
    async with _as_holder(services, lane) as work:
        intent = (await work.intents.many([event_id])).get(event_id)
        attempts = 1 + (intent.attempts if intent else 0)
        if isinstance(error, Throttled):
            if account_id is not None:
                await work.accounts.block(account_id, error.retry_after)
            await work.intents.failed(event_id, str(error), again_in=error.retry_after, counts=False)
            return Pushed.CLOSED
        if isinstance(error, ReconnectRequired):
            if account_id is not None:
                await work.accounts.set_state(account_id, AccountState.NEEDS_RECONNECT, services.clock())
            await work.intents.failed(event_id, str(error), again_in=timedelta(), counts=False)
            return Pushed.CLOSED
        hopeless = isinstance(error, NeedsPerson) or attempts >= services.patience.max_attempts
        again_in = None if hopeless else pause_after(attempts, services.chance())
        await work.intents.failed(event_id, str(error), again_in=again_in)
    return Pushed.FAILED


@asynccontextmanager
async def _as_holder(services: Services, lane: Lane) -> AsyncIterator[UnitOfWork]:
    """Write as the holder of a lane, and renew its lease; raise `_LaneLost`, with nothing written, where it was lost.

    The lane is locked last, as everywhere.
    """
    async with services.storage.writing(lane.app_id) as work:
        yield work
        if not await work.lanes.keep(lane, services.patience.lease):
            raise _LaneLost


class _LaneLost(Exception):
    """Somebody else has leased the lane."""


async def retry_sync(services: Services, principal: Principal, event_id: UUID | None) -> Event:
    """Try again now, from the first attempt: after a dead letter, or after the account was put right.

    An account that waits for its owner is asked again; it goes back to waiting where nothing has changed.
    """
    require(principal, Scope.WRITE_EVENTS)
    async with services.storage.writing(principal.app_id) as work:
        if event_id is None:
            raise Refused(NotFound(path=("id",), message="There is no such event."))
        event = await work.events.get(event_id)
        link = (await work.links.many([event_id])).get(event_id)
        if link is None or link.pushed_version >= event.version:
            return event
        calendar = (await work.calendars.many([event.calendar_id]))[0]
        if calendar.account_id is not None:
            await work.accounts.set_state(calendar.account_id, AccountState.ACTIVE, services.clock())
        await work.intents.put([event])
        await work.lanes.wake(calendar.id, calendar.account_id, at_once=True)
    services.wake_worker()
    return event
