"""Taking in what has changed at a provider.

A round reads from where the last one ended to the provider's present, page by page. Each page is stored as it comes,
and after the last one how far we have read: a round that breaks off is only read again. Deletions wait for the end of
the round. Then we know how many they are, and whether a person should look first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

import structlog

from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.events import Event, takes_place, unfit
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from kalends.domain.reconcile import Move
from kalends.domain.sync import LONGEST_PAUSE, Lane, Link, Source, pause_after
from kalends.domain.time import TimeSpan
from providers.errors import (
    CalendarGone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Throttled,
    TokenExpired,
)
from providers.interface import Broken, Identity, Page, Provider, Reads, RemoteCalendar, RemoteEvent
from resolvers.holding import LaneLost, as_holder, lock_out, place_of
from resolvers.services import Services
from resolvers.settling import judge, settle
from storage.changes import Operation
from storage.errors import StorageError
from storage.links import Counterpart
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

STORED_AT_ONCE = 250  # events in one transaction
FULL_EVERY = timedelta(days=1)
"""How often everything is listed, whatever the provider says has changed: what it forgot to say is found then."""
MAX_BROKEN = 20  # that are shown


class Pulled(Enum):
    """How a look at a provider ended."""

    NOTHING = auto()  # it is not time yet, or there is nothing to look at
    DONE = auto()
    FAILED = auto()  # planned again
    CLOSED = auto()  # the account must not be asked now
    LOST = auto()  # somebody else has the lane


class _Stopped(Exception):
    """The process is ending: the round is read again by others."""


@dataclass(slots=True)
class _Round:
    """One round over one calendar."""

    services: Services
    lane: Lane
    provider: Provider
    reads: Reads
    calendar: Calendar
    place: RemoteCalendar
    source: Source
    token: str | None
    seen: set[str] = field(default_factory=set)
    gone: dict[UUID, RemoteEvent | None] = field(default_factory=dict)  # events whose copies seem to be deleted
    broken: list[Broken] = field(default_factory=list)
    unlinked: Mapping[str, UUID] | None = None  # in the first round: our events by UID, to be found there


async def pull(services: Services, lane: Lane, *, go_on: Callable[[], bool] = lambda: True) -> Pulled:
    """Read a calendar's changes, where it is time, as the holder of its lane."""
    try:
        reading = await _begin(services, lane)
        if isinstance(reading, Pulled):
            return reading
        try:
            return await _read(reading, go_on)
        except TokenExpired:
            log.info("sync.token_expired", calendar=str(lane.calendar_id))
            reading.token, reading.seen, reading.gone, reading.broken = None, set(), {}, []
            try:
                return await _read(reading, go_on)
            except TokenExpired:
                return await _note_failure(reading, OutcomeUnknown("The provider refuses to list the calendar."))
    except LaneLost:
        log.info("sync.lane_lost", calendar=str(lane.calendar_id))
        return Pulled.LOST


async def _begin(services: Services, lane: Lane) -> _Round | Pulled:
    async with services.storage.reading(lane.app_id) as work:
        source = await work.sources.due(lane.calendar_id)
        if source is None:
            return Pulled.NOTHING
        calendar = (await work.calendars.many([lane.calendar_id]))[0]
        provider = services.providers[calendar.provider]
        if not isinstance(provider, Reads):
            return Pulled.NOTHING
        for account in await work.accounts.many([calendar.account_id] if calendar.account_id else []):
            if account.state is not AccountState.ACTIVE or account.blocked_until is not None:
                return Pulled.CLOSED
        place = await place_of(work, calendar)
        unlinked = await work.links.unlinked(calendar.id) if source.full_at is None else None
    stale = source.full_at is None or services.clock() - source.full_at >= FULL_EVERY
    token = None if stale else source.token
    return _Round(services, lane, provider, provider, calendar, place, source, token, unlinked=unlinked)


async def _read(reading: _Round, go_on: Callable[[], bool]) -> Pulled:
    """Read to the end, and note how it went."""
    services = reading.services
    try:
        async for page in _pages(reading):
            if not go_on():
                raise _Stopped
            await _take_in(reading, page)
            if page.token is not None:
                await _finish(reading, page)
    except (LaneLost, StorageError, TokenExpired):
        raise
    except _Stopped:
        return Pulled.NOTHING
    except ProviderError as known:
        return await _note_failure(reading, known)
    except Exception:  # a defect in one provider must not stop the others
        log.exception("provider.defect", provider=reading.provider.name, calendar=str(reading.calendar.id))
        message = "Kalends could not understand the provider: its operator finds the reason in the log."
        return await _note_failure(reading, OutcomeUnknown(message))
    services.wake_worker()
    return Pulled.DONE


async def _pages(reading: _Round) -> AsyncIterator[Page]:
    """Yield the pages of a round; each must come within the time that a call may take."""

    async def known(names: Sequence[str]) -> Mapping[str, str]:
        async with reading.services.storage.reading(reading.lane.app_id) as work:
            return await work.links.etags(reading.calendar.id, names)

    pages = reading.reads.changes(reading.place, reading.token, known)
    while True:
        try:
            async with asyncio.timeout(reading.services.patience.call):
                page = await anext(pages)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise OutcomeUnknown("The provider did not answer in time.") from None
        yield page


async def _take_in(reading: _Round, page: Page) -> None:
    """Store a page; where it is empty, only renew the lease."""
    reading.broken += page.broken
    for begin in range(0, max(len(page.events), 1), STORED_AT_ONCE):
        async with as_holder(reading.services, reading.lane) as work:
            await work.calendars.book([reading.calendar.id], alone=False)
            await _store(reading, work, page.events[begin : begin + STORED_AT_ONCE])


async def _store(reading: _Round, work: UnitOfWork, events: Sequence[RemoteEvent]) -> None:
    latest = {remote.remote_id: remote for remote in events}  # of one that comes twice, the last counts
    links = await work.links.by_remote_ids(reading.calendar.id, list(latest))
    new: list[RemoteEvent] = []
    for remote in latest.values():
        reading.seen.add(remote.remote_id)
        link = links.get(remote.remote_id)
        event_id = link.event_id if link else await _ours(reading, work, remote)
        if event_id is not None and remote.deleted:
            reading.gone[event_id] = remote
            continue
        if event_id is not None:
            reading.gone.pop(event_id, None)
        if remote.deleted or remote.state is None or (link is not None and _is_echo(link, remote)):
            continue
        if (reason := unfit(remote.state)) is not None:
            reading.broken.append(Broken(remote.uid or remote.remote_id, reason))
        elif event_id is None:
            new.append(remote)
        else:
            await _settle(reading, work, event_id, remote)
    await _add(reading, work, new)


async def _ours(reading: _Round, work: UnitOfWork, remote: RemoteEvent) -> UUID | None:
    """Return the event of ours whose copy this is, though we had not known of the copy."""
    if remote.event_id is not None:
        link = (await work.links.many([remote.event_id])).get(remote.event_id)
        if link is not None and link.calendar_id == reading.calendar.id and link.remote_id is None:
            return remote.event_id
    return reading.unlinked.get(remote.uid or "") if reading.unlinked else None


def _is_echo(link: Link, remote: RemoteEvent) -> bool:
    """Tell whether this is what we know already: by its etag, which of a series may miss changes."""
    simple = remote.state is not None and remote.state.recurrence is None
    undisputed = link.agreed is not None and link.sent is None and link.conflict is None
    return simple and undisputed and bool(remote.etag) and remote.etag == link.remote_etag


async def _add(reading: _Round, work: UnitOfWork, new: Sequence[RemoteEvent]) -> None:
    """Store events that we had not known."""
    at = reading.services.clock()
    pairs: list[tuple[Event, Counterpart]] = []
    for remote in new:
        if remote.state is None:
            continue
        state = remote.state
        uid = remote.uid[:255] if remote.uid else None
        event = Event.new(uuid7(), reading.calendar.id, state, at=at, uid=uid)
        agreed = Agreement(state, state)
        pairs.append(
            (event, Counterpart(remote.remote_id, remote.etag, remote.url, remote.uid, agreed, 0, remote.warnings))
        )
    events = [event for event, _ in pairs]
    await work.events.add(events)
    await work.links.take_in(pairs, at)
    await work.changes.note_events(events, Operation.CREATED, f"provider:{reading.provider.name}")


async def _finish(reading: _Round, page: Page) -> None:
    """Do the deletions, unless they are so many that a person should look first, and note how far we have read."""
    services, calendar_id = reading.services, reading.calendar.id
    patience = services.patience
    poll = patience.poll or reading.provider.capabilities.poll
    if not page.whole:
        await _find_passed(reading)
    async with services.storage.reading(reading.lane.app_id) as work:
        standing = await work.links.count_standing(calendar_id)
        if page.whole:
            await _find_unlisted(reading, work, page.window)
        leaving = await _leaving(reading, work)
    most = max(patience.brake_least, int(standing * patience.brake_share), reading.source.allowed)
    if leaving > most:
        async with as_holder(services, reading.lane) as work:
            await work.sources.has_held(calendar_id, leaving, again_in=poll)
        log.warning("sync.held", calendar=str(calendar_id), deletions=leaving, of=standing)
        return
    for event_id, remote in reading.gone.items():
        await _let_go(reading, event_id, remote)
    shown = [(each.name[:255], each.reason) for each in reading.broken[:MAX_BROKEN]]
    async with as_holder(services, reading.lane) as work:
        await work.sources.has_read(
            calendar_id, services.clock(), token=page.token, again_in=poll, whole=page.whole, broken=shown
        )


async def _find_unlisted(reading: _Round, work: UnitOfWork, window: TimeSpan | None) -> None:
    """Add to what is gone what a whole round has not listed, though its copy should be within the round's window."""
    async for piece in work.links.standing(reading.calendar.id):
        unlisted = [event_id for event_id, remote_id in piece if remote_id not in reading.seen]
        if window is not None and unlisted:
            events = await work.events.with_tombstones(unlisted)
            unlisted = [event.id for event in events if takes_place(event.state, window)]
        reading.gone |= {event_id: None for event_id in unlisted if event_id not in reading.gone}


async def _find_passed(reading: _Round) -> None:
    """Add to what is gone what we have written since the last look, where it is gone again.

    What came and went between two looks need not be told: RFC 6578 section 3.5.1 leaves it out.
    """
    services, calendar_id, since = reading.services, reading.calendar.id, reading.source.synced_at
    if since is None:
        return
    async with services.storage.reading(reading.lane.app_id) as work:
        written = await work.links.written_since(calendar_id, since)
    for event_id, remote_id in written:
        if remote_id in reading.seen or event_id in reading.gone:
            continue
        found = await _asked(reading, event_id)
        if found is None or found.deleted:
            reading.gone[event_id] = found
        await _take_in(reading, Page())


async def _leaving(reading: _Round, work: UnitOfWork) -> int:
    """Return how many events would be deleted here."""
    ids, count = list(reading.gone), 0
    for begin in range(0, len(ids), STORED_AT_ONCE):
        piece = ids[begin : begin + STORED_AT_ONCE]
        links = await work.links.many(piece)
        count += sum(
            judge(reading.provider, event, links[event.id], None, reading.place.owner).move is Move.REMOVE
            for event in await work.events.with_tombstones(piece)
            if event.id in links
        )
    return count


async def _let_go(reading: _Round, event_id: UUID, remote: RemoteEvent | None) -> None:
    """Settle what follows from a copy that is deleted. One that was only not listed is asked for by its name first:
    listings are not always complete. Where a person has allowed the deletions, they have looked.
    """
    if remote is None and not reading.source.allowed:
        remote = await _asked(reading, event_id)
    async with as_holder(reading.services, reading.lane) as work:
        await work.calendars.book([reading.calendar.id], alone=False)
        await _settle(reading, work, event_id, remote)


async def _asked(reading: _Round, event_id: UUID) -> RemoteEvent | None:
    """Return an event's copy as it is now, by its name; None where there is none, or only another event's."""
    services, calendar_id = reading.services, reading.calendar.id
    async with services.storage.reading(reading.lane.app_id) as work:
        link = (await work.links.many([event_id])).get(event_id)
        events = await work.events.with_tombstones([event_id])
    if link is None or not events:
        return None
    identity = Identity(event_id, events[0].uid, link.generation)
    try:
        async with asyncio.timeout(services.patience.call):
            found = await reading.provider.find(reading.place, identity, link.remote_id)
    except TimeoutError:
        raise OutcomeUnknown("The provider did not answer in time.") from None
    if found is None or found.remote_id == link.remote_id:
        return found
    async with services.storage.reading(reading.lane.app_id) as work:
        other = await work.links.by_remote_ids(calendar_id, [found.remote_id])
    return None if other else found


async def _settle(reading: _Round, work: UnitOfWork, event_id: UUID, remote: RemoteEvent | None) -> None:
    """Settle what follows for one event; what its provider must hear of is wished for."""
    at, owner = reading.services.clock(), reading.place.owner
    settled = await settle(work, reading.provider, event_id, remote, owner=owner, at=at)
    if settled.push and settled.event is not None:
        await work.intents.put([settled.event])


async def _note_failure(reading: _Round, error: ProviderError) -> Pulled:
    """Plan the next look."""
    services, account_id, calendar_id = reading.services, reading.calendar.account_id, reading.calendar.id
    log.info("sync.unread", calendar=str(calendar_id), provider=reading.provider.name, error=str(error))
    outcome = Pulled.FAILED
    again_in = pause_after(reading.source.failures + 1, services.chance())
    async with as_holder(services, reading.lane) as work:
        if isinstance(error, CalendarGone):
            await work.sources.is_gone(calendar_id, str(error), services.clock(), again_in=LONGEST_PAUSE)
            return outcome
        if isinstance(error, Throttled) and account_id is not None:
            await work.accounts.block(account_id, error.retry_after)
            outcome, again_in = Pulled.CLOSED, error.retry_after
        elif isinstance(error, ReconnectRequired) and account_id is not None:
            await lock_out(services, work, account_id, reading.provider.name, str(error))
            outcome = Pulled.CLOSED
        await work.sources.has_failed(calendar_id, str(error), again_in=again_in)
    return outcome
