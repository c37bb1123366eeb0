"""Things by id, many at once: what the schema's loaders call, so that a list costs as many statements as one item.

Unknown and foreign ids come back as None. Every function returns its answers in the order of the ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import LOCAL, Account, AccountState, Calendar, Resource
from kalends.domain.events import Event
from kalends.domain.ids import EventRef
from kalends.domain.profiles import Profile
from kalends.domain.sync import Source, SyncState, SyncStatus, sync_state
from resolvers.services import Services


async def events(services: Services, principal: Principal, refs: Sequence[EventRef]) -> list[Event | None]:
    """Return events, and occurrences of series; a deleted one is unknown."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        stored = await work.events.with_tombstones([ref.id for ref in refs])
    found = {event.id: event for event in stored if event.deleted_at is None}
    return [found[ref.id].named(ref) if ref.id in found else None for ref in refs]


async def calendars(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[Calendar | None]:
    """Return calendars, archived ones too."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = {calendar.id: calendar for calendar in await work.calendars.many(ids)}
    return [found.get(each) for each in ids]


async def resources(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[Resource | None]:
    """Return resources."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = {resource.id: resource for resource in await work.resources.many(ids)}
    return [found.get(each) for each in ids]


async def calendars_of(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[list[Calendar]]:
    """Return the calendars of resources."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.calendars.of_resources(ids)
    grouped: dict[UUID | None, list[Calendar]] = {}
    for calendar in found:
        grouped.setdefault(calendar.resource_id, []).append(calendar)
    return [grouped.get(each, []) for each in ids]


async def profiles_of(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[list[Profile]]:
    """Return the profiles of resources."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.profiles.of(ids)
    return [[each for each in found if each.resource_id == resource_id] for resource_id in ids]


async def accounts(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[Account | None]:
    """Return accounts."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = {account.id: account for account in await work.accounts.many(ids)}
    return [found.get(each) for each in ids]


async def calendars_of_accounts(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[list[Calendar]]:
    """Return the calendars of accounts."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.calendars.of_accounts(ids)
    grouped: dict[UUID | None, list[Calendar]] = {}
    for calendar in found:
        grouped.setdefault(calendar.account_id, []).append(calendar)
    return [grouped.get(each, []) for each in ids]


async def sources(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[tuple[Source, bool] | None]:
    """Return how far calendars have been read at their providers, and whether these call us about them."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.sources.many(ids)
        called = {channel.calendar_id for channel in await work.channels.of(ids)}
    return [(found[each], each in called) if each in found else None for each in ids]


async def published(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[datetime | None]:
    """Return since when calendars are published as files."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.feeds.many(ids)
    return [found.get(each) for each in ids]


async def conflicts(services: Services, principal: Principal, events: Sequence[Event]) -> list[list[Event]]:
    """Return what blocks the same time as each of these events."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.events.conflicts_of(events)


async def sync_states(services: Services, principal: Principal, ids: Sequence[UUID]) -> list[SyncState]:
    """Return where events stand with their providers; whoever may write an event may know that.

    What a provider says in a conflict is for those who may read.
    """
    if Scope.WRITE_EVENTS not in principal.scopes:
        require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        links = await work.links.many(ids)
        intents = await work.intents.many(ids)
        calendars = {each.id: each for each in await work.calendars.many({link.calendar_id for link in links.values()})}
        asked = {each.account_id for each in calendars.values() if each.account_id is not None}
        closed = {each.id for each in await work.accounts.many(asked) if each.state is not AccountState.ACTIVE}
    states = []
    for each in ids:
        link = links.get(each)
        calendar = calendars.get(link.calendar_id) if link else None
        if link is None or calendar is None:
            states.append(SyncState(SyncStatus.LOCAL, LOCAL))
            continue
        parked = calendar.account_id in closed
        state = sync_state(calendar.provider, link, intents.get(each), parked=parked)
        states.append(state if Scope.READ in principal.scopes else replace(state, conflict=None))
    return states
