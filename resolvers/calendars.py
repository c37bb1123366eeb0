"""What can be done with calendars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import (
    LEAST_STALE_AFTER,
    MAX_NAME,
    MOST_STALE_AFTER,
    STALE_AFTER,
    Account,
    AccountState,
    Calendar,
    StalePolicy,
)
from kalends.domain.drafts import checked
from kalends.domain.errors import InUse, InvalidInput, Malformed, NotFound, Problem, Refused, invalid
from kalends.domain.events import in_zone
from kalends.domain.ids import uuid7
from kalends.domain.time import ZONE
from kalends.domain.values import read_text
from providers.interface import ListsCalendars, Reads
from resolvers.channels import channels_of, close_channels
from resolvers.guard import conflicts_of
from resolvers.holding import wake
from resolvers.keys import claim_of, refuse_replay
from resolvers.services import Services
from resolvers.sync import enqueue
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork

MAX_CALENDAR_DESCRIPTION = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDraft:
    """What a caller wrote for a new calendar. Without a zone it takes its resource's, without a resource UTC."""

    name: str
    description: str | None = None
    tzid: str | Malformed | None = None
    resource_id: UUID | Malformed | None = None
    provider: str = "local"
    read_only: bool = False
    stale_policy: StalePolicy = StalePolicy.TREAT_AS_BUSY
    stale_after: int = int(STALE_AFTER.total_seconds())
    metadata: dict[str, str] | Malformed


class CalendarChanges(TypedDict, total=False):
    """What a caller wants changed; what is absent stays."""

    name: str
    description: str | None
    tzid: str | Malformed
    read_only: bool
    archived: bool
    stale_policy: StalePolicy
    stale_after: int
    metadata: dict[str, str] | Malformed


async def create_calendar(
    services: Services, principal: Principal, draft: CalendarDraft, *, idempotency_key: str | None = None
) -> Calendar:
    """Create a calendar; one at a provider is connected through its resource's account there."""
    require(principal, Scope.MANAGE_CALENDARS)
    claim = claim_of(principal, idempotency_key, "createCalendar", draft)
    calendar_id, now = uuid7(), services.clock()
    async with services.storage.writing(principal.app_id) as work:
        earlier = await work.idempotency.claim(claim, [calendar_id], now) if claim else None
        if earlier is not None:
            made = await work.calendars.many(earlier)
            return made[0] if made else refuse_replay("calendar")
        problems: list[Problem] = []
        tzid, resource_id = draft.tzid, draft.resource_id
        if isinstance(resource_id, Malformed):
            problems.append(NotFound(path=("resource_id",), message="There is no such resource."))
        elif resource_id is not None:
            try:
                owner = await work.resources.get(resource_id)
                tzid = tzid or owner.tzid
            except Refused:
                problems.append(NotFound(path=("resource_id",), message="There is no such resource."))
        unasked = [
            name for name in services.providers.names if not isinstance(services.providers[name], ListsCalendars)
        ]
        if draft.provider not in unasked:
            expected = "one of " + ", ".join(unasked) + "; linkCalendar keeps a calendar in step with another provider"
            problems.append(InvalidInput(path=("provider",), message=f"Expected {expected}.", expected=expected))
        calendar = Calendar(
            id=calendar_id,
            resource_id=None,
            name=checked(problems, "name", read_text(draft.name, at_least=1, at_most=MAX_NAME), ""),
            description=_description(problems, draft.description),
            tzid=_zone(problems, tzid or "UTC"),
            provider=draft.provider,
            account_id=None,
            remote_id=None,
            read_only=draft.read_only,
            archived_at=None,
            created_at=now,
            updated_at=now,
            metadata=checked(problems, "metadata", draft.metadata, {}),
            stale_policy=draft.stale_policy,
            stale_after=_stale_after(problems, draft.stale_after),
        )
        if problems or isinstance(resource_id, Malformed):
            raise Refused(*problems)
        calendar = replace(calendar, resource_id=resource_id)
        if services.providers[draft.provider].capabilities.remote:
            account = await _account(services, work, resource_id, draft.provider)
            calendar = replace(calendar, account_id=account.id, remote_id=str(calendar.id))
        await work.calendars.add(calendar)
        await work.changes.note("calendar", calendar.id, Operation.CREATED, origin=principal.name, at=now)
        if isinstance(services.providers[draft.provider], Reads):
            await work.sources.open(calendar.id, empty=now)
            await wake(services, work, calendar)
    return calendar


async def _account(services: Services, work: UnitOfWork, resource_id: UUID | None, provider: str) -> Account:
    """Return the resource's account at a provider; the sandbox's is opened on the spot, having nobody to ask.

    The resource is held, or without one the app, so that two callers do not open one account each.
    """
    if resource_id is None:
        await work.keys.app(lock=True)
    account = await work.accounts.find(resource_id=resource_id, provider=provider)
    if account is None:
        account = Account(uuid7(), resource_id, provider, AccountState.ACTIVE)
        await work.accounts.add(account, services.clock())
    elif account.state is AccountState.REVOKED:
        await work.accounts.set_state(account.id, AccountState.ACTIVE, services.clock())
    return account


async def update_calendar(
    services: Services, principal: Principal, calendar_id: UUID | None, changes: CalendarChanges
) -> Calendar:
    """Change a calendar. A new zone moves its all-day events with it: their days stay, their instants follow."""
    require(principal, Scope.MANAGE_CALENDARS)
    now = services.clock()
    async with services.storage.writing(principal.app_id) as work:
        before = await _held(work, calendar_id)
        after = _changed(before, changes, now)
        if after == before:
            return before
        after = replace(after, updated_at=now)
        await work.calendars.save(after)
        await work.changes.note("calendar", after.id, Operation.UPDATED, origin=principal.name, at=now)
        if after.tzid != before.tzid:
            await _move_days(services, work, principal, after)
    services.wake_worker()
    return after


def _changed(before: Calendar, changes: CalendarChanges, now: datetime) -> Calendar:
    """Return the calendar after these changes; raise `Refused` with every problem of theirs.

    What is absent stays, also where a provider gave it and it breaks a rule of ours.
    """
    problems: list[Problem] = []
    archived = changes.get("archived", before.archived_at is not None)
    stale_after = int(before.stale_after.total_seconds())
    name = read_text(changes["name"], at_least=1, at_most=MAX_NAME) if "name" in changes else before.name
    text = _description(problems, changes["description"]) if "description" in changes else before.description
    after = replace(
        before,
        name=checked(problems, "name", name, ""),
        description=text,
        tzid=_zone(problems, changes.get("tzid", before.tzid)),
        read_only=changes.get("read_only", before.read_only),
        archived_at=(before.archived_at or now) if archived else None,
        stale_policy=changes.get("stale_policy", before.stale_policy),
        stale_after=_stale_after(problems, changes.get("stale_after", stale_after)),
        metadata=checked(problems, "metadata", changes.get("metadata", dict(before.metadata)), {}),
    )
    if problems:
        raise Refused(*problems)
    return after


async def _move_days(services: Services, work: UnitOfWork, principal: Principal, calendar: Calendar) -> None:
    try:
        moved = [
            event.became(in_zone(event.state, calendar.tzid), at=calendar.updated_at)
            for event in await work.events.days_of(calendar.id)
        ]
    except Refused as refused:  # a day that the new zone skips
        raise refused.under("tzid") from None
    if moved:
        together = [event.id for event in moved]
        for event in moved:
            await work.events.save(event)
            await conflicts_of(work, principal, None, event, but=together, path=("tzid",))
        await work.changes.note_events(moved, Operation.UPDATED, principal.name)
        await enqueue(services, work, {calendar.id: calendar}, moved, take=False)


async def delete_calendar(services: Services, principal: Principal, calendar_id: UUID | None) -> UUID:
    """Delete a calendar that is empty, and close its channel; one with events can be archived instead."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        calendar = await _held(work, calendar_id)
        count = await work.events.count_in(calendar.id, tombstones=True)
        if count:
            message = f"The calendar still holds events ({count}, with those whose deletion its provider has not heard"
            message += " of yet: retrySync): delete them, or archive it with updateCalendar."
            raise Refused(InUse(path=("id",), message=message, count=count))
        channels = await channels_of(services, work, [calendar])
        await work.calendars.remove(calendar.id)
        now = services.clock()
        await work.changes.note("calendar", calendar.id, Operation.DELETED, origin=principal.name, at=now)
    await close_channels(services, channels)
    return calendar.id


async def list_calendars(
    services: Services,
    principal: Principal,
    *,
    limit: int,
    after: UUID | None,
    resource_id: UUID | None,
    archived: bool,
) -> Sequence[Calendar]:
    """Return a page of calendars, oldest first."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.calendars.page(limit=limit, after=after, resource_id=resource_id, archived=archived)


def _stale_after(problems: list[Problem], seconds: int) -> timedelta:
    after = timedelta(seconds=seconds)
    if LEAST_STALE_AFTER <= after <= MOST_STALE_AFTER:
        return after
    least, most = (int(each.total_seconds()) for each in (LEAST_STALE_AFTER, MOST_STALE_AFTER))
    problems.append(invalid("stale_after", f"{least:,} to {most:,} seconds"))
    return STALE_AFTER


async def _held(work: UnitOfWork, calendar_id: UUID | None) -> Calendar:
    if calendar_id is None:
        raise Refused(NotFound(path=("id",), message="There is no such calendar."))
    return await work.calendars.get(calendar_id)


def _description(problems: list[Problem], text: str | None) -> str | None:
    if text is None:
        return None
    return checked(problems, "description", read_text(text, at_most=MAX_CALENDAR_DESCRIPTION), None)


def _zone(problems: list[Problem], tzid: str | Malformed) -> str:
    if isinstance(tzid, Malformed):
        message = f"Expected {ZONE}."
        problems.append(InvalidInput(path=("tzid",), message=message, expected=ZONE, code="UNKNOWN_TIME_ZONE"))
        return "UTC"
    return tzid
