"""Bringing events to their providers. Mutations and the worker enter here, through the same functions.

One push is: a short transaction that reads and notes the attempt, the provider's call, a short transaction that stores
its answer. No transaction is open during the call. Whoever pushes holds the calendar's lane; a call that outlives its
lease may still reach the provider, so creates carry an identity and updates an etag.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar
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
T = TypeVar("T")

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
        moving: set[UUID] = set()  # the calendars whose provider has taken something
        try:
            for event in enqueued.events:
                left = deadline - loop.time()
                if left <= 0:
                    break
                lane = ours.get(event.calendar_id)
                if lane is None:
                    await _settled_by_others(services, app_id, event.id, left)
                elif await push(services, lane, event.id, at_most=left) is Pushed.DONE:
                    moving.add(event.calendar_id)
        except StorageError as error:  # the event is stored; a lease that is not given back ends by itself
            log.warning("sync.left_to_worker", reason=str(error))
        finally:
            for lane in enqueued.lanes:
                with suppress(StorageError):
                    await _give_back(services, lane, 0 if lane.calendar_id in moving else lane.failures)
    services.wake_worker()


async def _settled_by_others(services: Services, app_id: UUID, event_id: UUID, seconds: float) -> None:
    """Wait until whoever has the lane has tried this event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                async with services.storage.reading(app_id) as work:
                    intent = (await work.intents.many([event_id])).get(event_id)
                if intent is None or intent.last_error is not None:
                    return
                await asyncio.sleep(_LOOK_AGAIN)


async def work_lane(services: Services, lane: Lane, *, go_on: Callable[[], bool] = lambda: True) -> int:
    """Push what is due in a lane, one after the other, give the lane back, and return how many were pushed.

    Progress resets the lane's back-off: with one failure in ten, a lane must not slow down. A lane that comes out of a
    pause begins with what failed least often, so that some events that always fail do not keep the others waiting.
    Where `go_on` says no, what is left is left to others.
    """
    failures, done, again = lane.failures, 0, False
    for _ in range(PUSHES_A_TURN):
        if not go_on():
            again = True
            break
        async with services.storage.reading(lane.app_id) as work:
            intent = await work.intents.next_due(lane.calendar_id, untried_first=failures >= STRIKES)
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
                break
    else:
        again = True  # others are due too: go to the end of the queue
    await _give_back(services, lane, failures, again=again)
    return done


async def _give_back(services: Services, lane: Lane, failures: int, *, again: bool = False) -> None:
    """Give a lane back after so many failures in a row; `again` puts it at the end of the queue."""
    pause = timedelta() if again else None
    if failures >= STRIKES:
        pause = pause_after(failures - STRIKES + 1, services.chance())
    async with services.storage.writing(lane.app_id) as work:
        await work.lanes.release(lane, failures=failures if failures >= STRIKES else 0, pause=pause)


async def push(services: Services, lane: Lane, event_id: UUID, *, at_most: float | None = None) -> Pushed:
    """Bring one event to its provider, as the holder of its lane, in at most so many seconds."""
    try:
        return await _push(services, lane, event_id, at_most)
    except _LaneLost:
        log.info("sync.lane_lost", event_id=str(event_id))
        return Pushed.LOST


async def _push(services: Services, lane: Lane, event_id: UUID, at_most: float | None) -> Pushed:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with _as_holder(services, lane) as work:
        errand = await _prepare(services, work, lane, event_id)
    if isinstance(errand, Pushed):
        return errand
    seconds = services.patience.call if at_most is None else min(at_most, services.patience.call)
    if loop.time() + seconds > began + services.patience.lease.total_seconds():
        return Pushed.LOST  # the process was stopped: the call would outlive the lease
    try:
        copy, generation = await _bring(
            errand, loop.time() + seconds, lambda generation: _hold(services, lane, errand, generation)
        )
        return await _store(services, lane, errand, copy, generation)
    except (_LaneLost, StorageError):
        raise
    except TimeoutError:
        error: ProviderError = OutcomeUnknown("The provider did not answer in time.")
    except ProviderError as known:
        error = known
    except Exception:  # a defect in one provider must not stop the others
        log.exception("provider.defect", provider=errand.provider.name, event_id=str(event_id))
        error = Unreachable("Kalends could not speak to the provider: its operator finds the reason in the log.")
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
        await work.links.pushed(event_id, event.version)
        await work.intents.settle(event_id)
        return Pushed.DONE
    await work.links.attempt(event_id, event.version)
    return _Errand(
        provider=services.providers[booked.provider],
        place=RemoteCalendar(lane.app_id, booked.account_id, booked.remote_id or str(booked.id)),
        outgoing=Outgoing(event, Identity(event.id, event.uid, link.generation), owner),
        link=link,
    )


async def _bring(
    errand: _Errand, deadline: float, hold: Callable[[int], Awaitable[None]]
) -> tuple[RemoteEvent | None, int]:
    """Make the provider's copy what the event is; return the copy (None: deleted) and its generation.

    A create may be repeated after a lost answer, and so may everything here: what the provider already has is adopted.
    `hold` comes before every write that follows from a second look: its etag is as fresh as any, and could not keep a
    worker past its lease from writing an old version over a newer one.
    """
    provider, place, outgoing, link = errand.provider, errand.place, errand.outgoing, errand.link
    if outgoing.event.deleted_at is not None:
        await _in_time(deadline, provider.delete(place, outgoing, link.remote_id))
        return None, link.generation
    known = None
    if link.remote_id is not None:
        known = RemoteEvent(link.remote_id, link.remote_etag or "")
    for generation in range(link.generation, link.generation + MAX_GENERATIONS):
        if generation > link.generation:
            await hold(generation)
        named = replace(outgoing, identity=replace(outgoing.identity, generation=generation))
        with suppress(Gone):
            try:
                if known is None:
                    return await _in_time(deadline, provider.create(place, named)), generation
                return await _in_time(deadline, provider.update(place, named, known)), generation
            except (AlreadyExists, Stale):
                known = await _in_time(
                    deadline, provider.find(place, named.identity, known.remote_id if known else None)
                )
            if known is not None and not known.deleted:
                await hold(generation)
                return await _in_time(deadline, provider.update(place, named, known)), generation
        known = None  # a deleted name stays taken: go on with the next generation
    raise OutcomeUnknown("The provider's copies of this event could not be told apart.")


async def _in_time(deadline: float, call: Awaitable[T]) -> T:
    """Wait for an answer; raise `TimeoutError` at the deadline. Transactions of ours are not cut off in the middle."""
    async with asyncio.timeout_at(deadline):
        return await call


async def _hold(services: Services, lane: Lane, errand: _Errand, generation: int) -> None:
    """Go on with a push as the holder of its lane, noting the generation that is tried."""
    async with _as_holder(services, lane) as work:
        if generation > errand.link.generation:
            await work.links.begin_anew(errand.outgoing.event.id, generation)


async def _store(services: Services, lane: Lane, errand: _Errand, copy: RemoteEvent | None, generation: int) -> Pushed:
    """Acknowledge a push, unless the lane has been taken over: then its new holder finds out for itself."""
    event = errand.outgoing.event
    async with _as_holder(services, lane) as work:
        if copy is None:
            await work.events.forget(event.id)
        else:
            await work.links.learn(
                event.id,
                event.version,
                services.clock(),
                remote_id=copy.remote_id,
                etag=copy.etag,
                url=copy.url,
                generation=generation,
            )
            await work.intents.settle(event.id)
    return Pushed.DONE


async def _note_failure(services: Services, lane: Lane, errand: _Errand, error: ProviderError) -> Pushed:
    """Plan the next attempt, or wait for a person.

    An event that has changed since it was sent keeps the intent of its change: it was not this one that failed.
    """
    event, account_id = errand.outgoing.event, errand.place.account_id
    log.info("sync.failed", event_id=str(event.id), provider=errand.provider.name, error=str(error))
    again_in: timedelta | None = timedelta()
    async with _as_holder(services, lane) as work:
        link = (await work.links.many([event.id], lock=True)).get(event.id)
        intent = (await work.intents.many([event.id])).get(event.id)
        attempts = 1 + (intent.attempts if intent else 0)
        outcome, counts = Pushed.CLOSED, False
        if isinstance(error, Throttled) and account_id is not None:
            await work.accounts.block(account_id, error.retry_after)
            again_in = error.retry_after
        elif isinstance(error, ReconnectRequired) and account_id is not None:
            await work.accounts.set_state(account_id, AccountState.NEEDS_RECONNECT, services.clock())
        else:
            outcome, counts = Pushed.FAILED, True
            hopeless = isinstance(error, NeedsPerson) or attempts >= services.patience.max_attempts
            again_in = None if hopeless else pause_after(attempts, services.chance())
        if link is not None and link.local_version <= event.version:
            await work.intents.failed(event.id, str(error), again_in=again_in, counts=counts)
    return outcome


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


async def retry_sync(services: Services, principal: Principal, event_id: UUID | None) -> Event | None:
    """Try again now, from the first attempt: after a dead letter, or after the account was put right.

    An account that waits for its owner is asked again; it goes back to waiting where nothing has changed. Returns None
    for a deleted event, whose deletion is what the provider has not heard of.
    """
    require(principal, Scope.WRITE_EVENTS)
    async with services.storage.writing(principal.app_id) as work:
        found = await work.events.with_tombstones([event_id], lock=True) if event_id else []
        if not found:
            raise Refused(NotFound(path=("id",), message="There is no such event."))
        event = found[0]
        event_id, known = event.id, None if event.deleted_at else event
        link = (await work.links.many([event_id])).get(event_id)
        if link is None or link.pushed_version >= event.version:
            return known
        calendar = (await work.calendars.many([event.calendar_id]))[0]
        for account in await work.accounts.many([calendar.account_id] if calendar.account_id else []):
            if account.state is not AccountState.ACTIVE:  # an active one may be blocked, and stays so
                await work.accounts.set_state(account.id, AccountState.ACTIVE, services.clock())
        await work.intents.put([event])
        await work.lanes.wake(calendar.id, calendar.account_id, at_once=True)
    services.wake_worker()
    return known
