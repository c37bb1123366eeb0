"""Bringing one event to its provider.

A push is: a short transaction that reads and notes the attempt, the provider's call, a short transaction that stores
its answer. No transaction is open during a call. Where the provider's copy is not what we thought, or an earlier answer
was lost, we look at the copy, settle what follows, and go on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar
from uuid import UUID

import structlog

from kalends.domain.calendars import AccountState
from kalends.domain.events import Event, EventStatus
from kalends.domain.merge import Agreement
from kalends.domain.sync import LONGEST_PAUSE, Lane, Link, pause_after
from providers.errors import (
    AlreadyExists,
    CalendarGone,
    Gone,
    NeedsPerson,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Stale,
    Throttled,
)
from providers.interface import Outgoing, Provider, RemoteCalendar, RemoteEvent
from resolvers.holding import LaneLost, as_holder, lock_out, place_of
from resolvers.services import Services
from resolvers.settling import outgoing, settle
from storage.errors import StorageError
from storage.links import Counterpart
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()
T = TypeVar("T")

MAX_STEPS = 5  # looks at a copy in one push


class Pushed(Enum):
    """How one push ended."""

    DONE = auto()
    FAILED = auto()  # planned again, or a dead letter
    CLOSED = auto()  # the account, or the calendar, must not be asked now
    LOST = auto()  # somebody else has the lane


@dataclass(slots=True)
class _Errand:
    """Everything that one push needs to know; `event` and `link` are as they were last read.

    `look`: what the provider has must be looked at before anything is written.
    """

    services: Services
    lane: Lane
    provider: Provider
    place: RemoteCalendar
    event: Event
    link: Link
    look: bool

    @property
    def outgoing(self) -> Outgoing:
        return outgoing(self.event, self.link, self.place.owner)

    @property
    def known(self) -> RemoteEvent | None:
        if self.link.remote_id is None:
            return None
        return RemoteEvent(self.link.remote_id, self.link.remote_etag or "")


async def push(services: Services, lane: Lane, event_id: UUID, *, at_most: float | None = None) -> Pushed:
    """Bring one event to its provider, as the holder of its lane, in at most so many seconds."""
    try:
        return await _push(services, lane, event_id, at_most)
    except LaneLost:
        log.info("sync.lane_lost", event_id=str(event_id))
        return Pushed.LOST


async def _push(services: Services, lane: Lane, event_id: UUID, at_most: float | None) -> Pushed:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with as_holder(services, lane) as work:
        errand = await _prepare(services, work, lane, event_id)
    if isinstance(errand, Pushed):
        return errand
    seconds = services.patience.call if at_most is None else min(at_most, services.patience.call)
    if loop.time() + seconds > began + services.patience.lease.total_seconds():
        return Pushed.LOST  # the process was stopped: the call would outlive the lease
    try:
        return await _bring(errand, loop.time() + seconds)
    except (LaneLost, StorageError):
        raise
    except TimeoutError:
        error: ProviderError = OutcomeUnknown("The provider did not answer in time.")
    except ProviderError as known:
        error = known
    except Exception:  # a defect in one provider must not stop the others
        log.exception("provider.defect", provider=errand.provider.name, event_id=str(event_id))
        error = OutcomeUnknown("Kalends could not speak to the provider: its operator finds the reason in the log.")
    return await _note_failure(errand, error)


async def _prepare(services: Services, work: UnitOfWork, lane: Lane, event_id: UUID) -> _Errand | Pushed:
    """Read what a push needs and note the attempt; say how it ended where nothing needs to be sent."""
    found = await work.events.with_tombstones([event_id])
    link = (await work.links.many([event_id])).get(event_id)
    if not found or link is None:
        await work.intents.settle(event_id)
        return Pushed.DONE
    event = found[0]
    calendar = (await work.calendars.many([event.calendar_id]))[0]
    if calendar.account_id is not None:
        account = (await work.accounts.many([calendar.account_id]))[0]
        if account.state is not AccountState.ACTIVE or account.blocked_until is not None:
            return Pushed.CLOSED
    source = (await work.sources.many([calendar.id])).get(calendar.id)
    if source is not None and not source.writable:
        return Pushed.CLOSED
    never_sent = link.attempted_version == 0 and link.remote_id is None
    if never_sent and event.deleted_at is not None:
        await work.events.forget(event_id)
        return Pushed.DONE
    if link.pushed_version >= event.version or (never_sent and event.content.status is EventStatus.CANCELLED):
        await work.links.pushed(event_id, event.version)
        await work.intents.settle(event_id)
        return Pushed.DONE
    place = await place_of(work, calendar)
    look = link.sent is not None or link.conflict is not None
    errand = _Errand(services, lane, services.providers[calendar.provider], place, event, link, look)
    if not look:
        await _note_attempt(work, errand)
    return errand


async def _note_attempt(work: UnitOfWork, errand: _Errand) -> None:
    event = errand.event
    await work.links.attempt(event.id, event.version, None if event.deleted_at else event.state)


async def _bring(errand: _Errand, deadline: float) -> Pushed:
    """Make the provider's copy what the event is, and write down that it is so."""
    for _ in range(MAX_STEPS):
        if not errand.look:
            try:
                return await _acknowledge(errand, await _in_time(deadline, _write(errand)))
            except (AlreadyExists, Stale, Gone) as disagreement:
                log.info("sync.disagreement", event_id=str(errand.event.id), what=type(disagreement).__name__)
        known = errand.link.remote_id
        theirs = await _in_time(deadline, errand.provider.find(errand.place, errand.outgoing.identity, known))
        if not await _settled(errand, theirs):
            return Pushed.DONE
    raise OutcomeUnknown("The provider's copies of this event do not come to rest.")


async def _write(errand: _Errand) -> RemoteEvent | None:
    """Call the provider; None where there is no copy now."""
    provider, place, out, known = errand.provider, errand.place, errand.outgoing, errand.known
    if errand.event.deleted_at is not None:
        await provider.delete(place, out, known)
        return None
    if known is not None:
        return await provider.update(place, out, known)
    return None if provider.expected(out) is None else await provider.create(place, out)


async def _settled(errand: _Errand, theirs: RemoteEvent | None) -> bool:
    """Settle what follows from the copy as it is now; tell whether something must still be written."""
    services, event_id = errand.services, errand.event.id
    async with as_holder(services, errand.lane) as work:
        await work.calendars.book([errand.event.calendar_id], alone=False)
        done = await settle(work, errand.provider, event_id, theirs, owner=errand.place.owner, at=services.clock())
        if done.event is None or not done.push:
            return False
        errand.event, errand.look = done.event, False
        errand.link = (await work.links.many([event_id]))[event_id]
        await _note_attempt(work, errand)
    return True


async def _acknowledge(errand: _Errand, copy: RemoteEvent | None) -> Pushed:
    """Store a push's answer, unless the lane has been taken over: then its new holder finds out for itself."""
    event, link, provider = errand.event, errand.link, errand.provider
    async with as_holder(errand.services, errand.lane) as work:
        if event.deleted_at is not None:
            await work.events.forget(event.id)
            return Pushed.DONE
        out = errand.outgoing
        if copy is None or copy.deleted:
            agreed = Agreement(event.state, None)
            burnt = link.remote_id is not None
            counterpart = Counterpart(None, None, None, None, agreed, link.generation + burnt, provider.warnings(out))
        else:
            agreed = Agreement(event.state, copy.state or provider.expected(out))
            warnings = (*provider.warnings(out), *copy.warnings)
            counterpart = Counterpart(copy.remote_id, copy.etag, copy.url, copy.uid, agreed, link.generation, warnings)
        await work.links.learn(event.id, event.version, errand.services.clock(), counterpart)
        await work.intents.settle(event.id)
    return Pushed.DONE


async def _in_time(deadline: float, call: Awaitable[T]) -> T:
    """Wait for an answer; raise `TimeoutError` at the deadline. Transactions of ours are not cut off in the middle."""
    async with asyncio.timeout_at(deadline):
        return await call


async def _note_failure(errand: _Errand, error: ProviderError) -> Pushed:
    """Plan the next attempt, or wait for a person.

    An event that has changed since it was sent keeps the intent of its change: it was not this one that failed.
    """
    services, event, account_id = errand.services, errand.event, errand.place.account_id
    log.info("sync.failed", event_id=str(event.id), provider=errand.provider.name, error=str(error))
    again_in: timedelta | None = timedelta()
    async with as_holder(services, errand.lane) as work:
        link = (await work.links.many([event.id], lock=True)).get(event.id)
        intent = (await work.intents.many([event.id])).get(event.id)
        attempts = 1 + (intent.attempts if intent else 0)
        outcome, counts = Pushed.CLOSED, False
        if isinstance(error, Throttled) and account_id is not None:
            await work.accounts.block(account_id, error.retry_after)
            again_in = error.retry_after
        elif isinstance(error, ReconnectRequired) and account_id is not None:
            await lock_out(services, work, account_id, errand.provider.name, str(error))
        elif isinstance(error, CalendarGone):
            await work.sources.is_gone(event.calendar_id, str(error), services.clock(), again_in=LONGEST_PAUSE)
        else:
            outcome, counts = Pushed.FAILED, True
            hopeless = isinstance(error, NeedsPerson) or attempts >= services.patience.max_attempts
            again_in = None if hopeless else pause_after(attempts, services.chance())
        if link is not None and not errand.look and not isinstance(error, OutcomeUnknown):
            await work.links.not_sent(event.id)
        if link is not None and link.local_version <= event.version:
            await work.intents.failed(event.id, str(error), again_in=again_in, counts=counts)
    return outcome
