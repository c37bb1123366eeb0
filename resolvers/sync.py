"""Keeping events in step with their providers. Mutations and the worker enter here, through the same functions.

Whoever talks to a provider about a calendar holds its lane. A call that outlives its lease may still reach the
provider, so creates carry an identity and updates an etag. `resolvers/pull.py` takes in what has changed there,
`push.py` brings what has changed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import Event
from kalends.domain.sync import Lane, pause_after
from resolvers.channels import tend
from resolvers.holding import wake
from resolvers.pull import Pulled, pull
from resolvers.push import Pushed, push
from resolvers.services import Services
from storage.errors import StorageError
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

STRIKES = 3  # failures in a row before the whole lane pauses
PUSHES_A_TURN = 50
_LOOK_AGAIN = 0.05  # seconds between looks at a lane that somebody else is working on


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The events that a provider must hear of, and the lanes that were leased on the spot for them."""

    events: tuple[Event, ...] = ()
    lanes: tuple[Lane, ...] = ()


async def enqueue(
    services: Services, work: UnitOfWork, calendars: Mapping[UUID, Calendar], events: Sequence[Event], *, take: bool
) -> Enqueued:
    """Note, in the events' own transaction and last in it, that their providers must hear of them.

    With `take`, the lanes that are free are leased here and now, before a worker could.
    """
    remote = kept_elsewhere(services, calendars, events)
    for event in events:
        if event.deleted_at is not None and event not in remote:
            await work.events.forget(event.id)
    if not remote:
        return Enqueued()
    await work.links.track(remote)
    await work.intents.put(remote)
    woken = {event.calendar_id for event in remote}
    lanes = await wake_and_take(services, work, [calendars[each] for each in woken], take=woken if take else ())
    return Enqueued(tuple(remote), tuple(lanes))


def kept_elsewhere(services: Services, calendars: Mapping[UUID, Calendar], events: Sequence[Event]) -> list[Event]:
    """Return those of the events that a provider keeps copies of."""
    return [each for each in events if services.providers[calendars[each.calendar_id].provider].capabilities.remote]


async def wake_and_take(
    services: Services, work: UnitOfWork, calendars: Sequence[Calendar], *, take: Collection[UUID]
) -> list[Lane]:
    """Ask for calendars' lanes to be looked at, lease those to `take` that are free; last in their transaction."""
    if calendars:
        await wake(services, work, *calendars)
    return await work.lanes.take_all(take, services.patience.lease) if take else []


async def after_commit(services: Services, app_id: UUID, enqueued: Enqueued, *, at_once: bool) -> None:
    """Push what was enqueued, within a bounded time, or leave it to the worker.

    What does not succeed in time, or fails, is the worker's too: the caller reads it in the event's sync state.
    """
    if not enqueued.events:
        return
    loop = asyncio.get_running_loop()
    deadline = loop.time() + services.patience.at_once
    if at_once:
        await _push_at_once(services, enqueued, deadline)
    services.wake_worker()
    if at_once:
        await _settled_by_others(services, app_id, enqueued, deadline)


async def _push_at_once(services: Services, enqueued: Enqueued, deadline: float) -> None:
    """Push the events whose lanes are ours, and give these back: others may wait for one of them."""
    loop = asyncio.get_running_loop()
    ours = {lane.calendar_id: lane for lane in enqueued.lanes}
    moving: set[UUID] = set()  # the calendars whose provider has taken something
    try:
        for event in enqueued.events:
            lane, left = ours.get(event.calendar_id), deadline - loop.time()
            if left <= 0:
                break
            if lane is not None and await push(services, lane, event.id, at_most=left) is Pushed.DONE:
                moving.add(event.calendar_id)
    except StorageError as error:  # the event is stored; a lease that is not given back ends by itself
        log.warning("sync.left_to_worker", reason=str(error))
    finally:
        for lane in enqueued.lanes:
            with suppress(StorageError):
                await _give_back(services, lane, 0 if lane.calendar_id in moving else lane.failures)


async def _settled_by_others(services: Services, app_id: UUID, enqueued: Enqueued, deadline: float) -> None:
    """Wait until whoever has the lanes that are not ours has tried their events."""
    ours = {lane.calendar_id for lane in enqueued.lanes}
    with suppress(TimeoutError, StorageError):  # the events are stored
        async with asyncio.timeout_at(deadline):
            for event in enqueued.events:
                while event.calendar_id not in ours:
                    async with services.storage.reading(app_id) as work:
                        intent = (await work.intents.many([event.id])).get(event.id)
                    if intent is None or intent.last_error is not None:
                        break
                    await asyncio.sleep(_LOOK_AGAIN)


async def give_back_unused(services: Services, enqueued: Enqueued) -> None:
    """Leave what was enqueued to the worker, and with it the lanes that were leased on the spot."""
    for lane in enqueued.lanes:
        with suppress(StorageError):
            await _give_back(services, lane, lane.failures)
    services.wake_worker()


async def work_lane(services: Services, lane: Lane, *, go_on: Callable[[], bool] = lambda: True) -> int:
    """Take in what has changed at the provider, push what is due, give the lane back, and return how many were pushed.

    Progress resets the lane's back-off: with one failure in ten, a lane must not slow down. A lane that comes out of a
    pause begins with what failed least often, so that some events that always fail do not keep the others waiting.
    Where `go_on` says no, what is left is left to others.
    """
    pulled = await pull(services, lane, go_on=go_on)
    if pulled is Pulled.LOST:
        return 0
    if pulled is Pulled.DONE and not await tend(services, lane):
        return 0
    async with services.storage.reading(lane.app_id) as work:
        source = (await work.sources.many([lane.calendar_id])).get(lane.calendar_id)
    if source is not None and not source.writable:
        async with services.storage.writing(lane.app_id) as work:
            await work.lanes.release(lane, only_read=True)
        return 0
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
        await wake(services, work, calendar, at_once=True)
    services.wake_worker()
    return known
