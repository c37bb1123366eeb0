"""What a person decides about sync: whose change counts, and whether many deletions were meant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import Calendar
from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from kalends.domain.reconcile import settle
from kalends.domain.sync import Conflict, Link
from resolvers.events import Preview, preview
from resolvers.holding import wake
from resolvers.services import Services
from resolvers.sync import after_commit, enqueue
from storage.changes import Operation
from storage.links import Counterpart
from storage.unit_of_work import UnitOfWork


class Keep(StrEnum):
    """Whose value the places of a conflict keep."""

    OURS = "OURS"
    THEIRS = "THEIRS"
    BOTH = "BOTH"  # theirs stays in this event, ours goes into a new one


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a conflict, or in a dry run would: the event and, where both are kept, the new one beside it."""

    event: Event
    second: Event | None = None
    previews: tuple[Preview, ...] = ()


async def resolve_conflict(
    services: Services,
    principal: Principal,
    event_id: UUID | None,
    keep: Keep,
    *,
    expected_version: int | None = None,
    dry_run: bool = False,
) -> Settled:
    """Decide a conflict.

    An event without a conflict stays as it is. Where the provider's copy has changed once more since, the next look may
    find another conflict. A dry run is the decision, taken back.
    """
    require(principal, Scope.WRITE_EVENTS)
    missing = Refused(NotFound(path=("event_id",), message="There is no such event."))
    if event_id is None:
        raise missing
    storage = services.storage
    async with (storage.trying if dry_run else storage.writing)(principal.app_id) as work:
        found = await work.events.with_tombstones([event_id])
        if not found or found[0].deleted_at is not None:
            raise missing
        place = (await work.calendars.book([found[0].calendar_id], alone=False))[found[0].calendar_id]
        event = (await work.events.with_tombstones([event_id], lock=True))[0]
        link = (await work.links.many([event_id], lock=True)).get(event_id)
        event.require_version(expected_version)
        if link is None or link.conflict is None or link.agreed is None:
            return Settled(event)
        second = await _second(services, work, principal, event) if keep is Keep.BOTH else None
        after = await _resolved(services, work, principal, event, link, link.agreed, link.conflict, keep)
        if dry_run:
            previews = [preview(services, event, after, place)]
            previews += [preview(services, None, second, place)] if second is not None else []
            return Settled(after, second, tuple(previews))
        both = [after] if second is None else [after, second]
        enqueued = await enqueue(services, work, {place.calendar.id: place.calendar}, both, take=False)
    await after_commit(services, principal.app_id, enqueued, at_once=False)
    return Settled(after, second)


async def _resolved(
    services: Services,
    work: UnitOfWork,
    principal: Principal,
    event: Event,
    link: Link,
    agreed: Agreement,
    conflict: Conflict,
    keep: Keep,
) -> Event:
    decision = settle(event.state, conflict.theirs, agreed, keep_theirs=keep is not Keep.OURS)
    after = event if decision.ours is None else event.became(decision.ours, at=services.clock())
    if after is not event:
        await work.events.save(after, before=event)
        await work.changes.note_events([after], Operation.UPDATED, principal.name)
    counterpart = Counterpart(
        link.remote_id,
        conflict.etag,
        link.remote_url,
        link.remote_uid,
        decision.agreed or agreed,
        link.generation,
        link.warnings,
    )
    await work.links.meet(after.id, after.version, counterpart, services.clock(), behind=True)
    return after


async def _second(services: Services, work: UnitOfWork, principal: Principal, event: Event) -> Event:
    """Store our side of a conflict as an event of its own."""
    state = replace(event.state, content=replace(event.content, organizer=None))
    second = Event.new(uuid7(), event.calendar_id, state, at=services.clock())
    await work.events.add([second])
    await work.changes.note_events([second], Operation.CREATED, principal.name)
    return second


async def allow_deletions(services: Services, principal: Principal, calendar_id: UUID | None, count: int) -> Calendar:
    """Let so many deletions of a provider's through, which wait for a person; look again now."""
    require(principal, Scope.MANAGE_CALENDARS)
    missing = Refused(NotFound(path=("calendar_id",), message="There is no such calendar."))
    if calendar_id is None:
        raise missing
    async with services.storage.writing(principal.app_id) as work:
        calendar = (await work.calendars.book([calendar_id], alone=False)).get(calendar_id)
        if calendar is None:
            raise missing
        await work.sources.allow(calendar_id, count)
        await wake(services, work, calendar.calendar, at_once=True)
    services.wake_worker()
    return calendar.calendar
