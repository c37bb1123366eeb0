"""Which remote calendar feeds which of ours."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import LOCAL, MAX_NAME, Account, AccountState, Calendar
from kalends.domain.errors import InUse, InvalidInput, Malformed, NotFound, ProviderRefused, Refused
from kalends.domain.ids import uuid7
from kalends.domain.values import read_text
from providers.interface import ConnectsByAddress, ListedCalendar, ListsCalendars, RemoteAccount
from resolvers.accounts import give_back, open_account, owner_of, require_key, told
from resolvers.channels import channels_of, close_channels
from resolvers.holding import wake
from resolvers.services import Services
from storage.changes import Operation
from storage.secrets import SecretLost
from storage.unit_of_work import UnitOfWork

CLEARED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a caller wrote to subscribe to a calendar on the web. Without a name or a zone it has the calendar's own."""

    url: str
    name: str | None = None
    tzid: str | Malformed | None = None
    resource_id: UUID | Malformed | None = None


async def link_calendar(
    services: Services, principal: Principal, calendar_id: UUID | None, account_id: UUID | None, remote_id: str
) -> Calendar:
    """Keep a local calendar and a remote one in step, from now on, both ways.

    What is in either goes to the other; what is the same in both, by its UID, is recognised. A remote calendar that we
    may not write to needs a calendar without events of its own.
    """
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.reading(principal.app_id) as work:
        await _linkable(work, calendar_id)
        account = await _open_account(work, account_id)
    listed = await _listed(services, principal, account, remote_id)
    now = services.clock()
    async with services.storage.writing(principal.app_id) as work:
        before = await _linkable(work, calendar_id, lock=True)
        await work.accounts.get(account.id)  # held: it cannot be disconnected meanwhile
        for other in await work.calendars.of_accounts([account.id]):
            if other.remote_id == remote_id:
                raise Refused(
                    InUse(path=("remote_calendar_id",), message="It feeds another calendar already.", count=1)
                )
        writes = services.providers[account.provider].capabilities.writes and not listed.read_only
        held = await work.events.count_in(before.id)
        if held and not writes:
            message = "The remote calendar cannot be written to: link it with a calendar that has no events."
            raise Refused(InUse(path=("calendar_id",), message=message, count=held))
        after = replace(
            before,
            provider=account.provider,
            account_id=account.id,
            remote_id=remote_id,
            read_only=before.read_only or not writes,
            updated_at=now,
        )
        await work.calendars.save(after)
        await work.changes.note("calendar", after.id, Operation.UPDATED, origin=principal.name, at=now)
        await work.links.track_calendar(after.id)
        await work.intents.put_calendar(after.id)
        await work.sources.open(after.id, made_read_only=after.read_only and not before.read_only)
        await wake(services, work, after)
    services.wake_worker()
    return after


async def subscribe(services: Services, principal: Principal, subscription: Subscription) -> Calendar:
    """Make a calendar of what is at an address on the web: read-only, and its events block time like others."""
    require(principal, Scope.MANAGE_CALENDARS)
    name, provider = _subscriber(services)
    problems = []
    if subscription.name is not None:
        checked = read_text(subscription.name, at_least=1, at_most=MAX_NAME)
        if isinstance(checked, Malformed):
            message = f"Expected {checked.expected}."
            problems.append(InvalidInput(path=("name",), message=message, expected=checked.expected))
    if isinstance(subscription.tzid, Malformed):
        expected = subscription.tzid.expected
        message = f"Expected {expected}."
        problems.append(InvalidInput(path=("tzid",), message=message, expected=expected, code="UNKNOWN_TIME_ZONE"))
    if problems:
        raise Refused(*problems)
    require_key(services, "url")
    async with services.storage.reading(principal.app_id) as work:
        owner, _ = await owner_of(work, subscription.resource_id)
        zone = (await work.resources.many([owner]))[0].tzid if owner else "UTC"
    with told("url"):
        opened = await provider.subscribe(url=subscription.url)
    async with services.storage.writing(principal.app_id) as work:
        account = await open_account(services, work, name, owner, opened, principal.name)
        there = await work.calendars.of_accounts([account.id])
    if there:
        raise Refused(InUse(path=("url",), message="There is a calendar for this address already.", count=len(there)))
    listed = await _listed(services, principal, account, None)
    now = services.clock()
    tzid = subscription.tzid if isinstance(subscription.tzid, str) else None
    calendar = Calendar(
        id=uuid7(),
        resource_id=owner,
        name=subscription.name or listed.name[:MAX_NAME] or "Subscribed",
        description=None,
        tzid=tzid or listed.tzid or zone,
        provider=name,
        account_id=account.id,
        remote_id=listed.remote_id,
        read_only=True,
        archived_at=None,
        created_at=now,
        updated_at=now,
    )
    async with services.storage.writing(principal.app_id) as work:
        await work.calendars.add(calendar)
        await work.changes.note("calendar", calendar.id, Operation.CREATED, origin=principal.name, at=now)
        await work.sources.open(calendar.id)
        await wake(services, work, calendar)
    services.wake_worker()
    return calendar


async def unlink_calendar(
    services: Services, principal: Principal, calendar_id: UUID | None, *, keep_events: bool
) -> Calendar:
    """Keep a calendar in step no more. Its events stay, or go, here; the provider keeps what it has."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        if calendar_id is None or not await work.calendars.many([calendar_id]):
            raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar."))
        before = await work.calendars.get(calendar_id)
        channels = await channels_of(services, work, [before])
        after = await _unlinked(services, work, principal, before, keep_events)
    await close_channels(services, channels)
    return after


async def disconnect_account(
    services: Services, principal: Principal, account_id: UUID | None, *, keep_events: bool
) -> Account:
    """Close an account: stop its channels, give its grant back, forget what opened it; its calendars become local.

    It can be repeated where it broke off.
    """
    require(principal, Scope.MANAGE_CALENDARS)
    if account_id is None:
        raise Refused(NotFound(path=("account_id",), message="There is no such account."))
    async with services.storage.writing(principal.app_id) as work:
        account = await work.accounts.get(account_id)
        await work.accounts.set_state(account_id, AccountState.REVOKED, services.clock())
        calendars = await work.calendars.of_accounts([account_id])
        grant = None
        with suppress(SecretLost):  # what nobody can open, nobody has to give back
            grant = await work.accounts.grant(account_id)
        channels = await channels_of(services, work, calendars)
    await close_channels(services, channels)
    await give_back(services, account.provider, grant)
    async with services.storage.writing(principal.app_id) as work:
        for calendar in await work.calendars.of_accounts([account_id]):
            held = await work.calendars.get(calendar.id)
            await _unlinked(services, work, principal, held, keep_events)
        await work.accounts.take(account_id)
        await work.changes.note("account", account_id, Operation.DELETED, origin=principal.name, at=services.clock())
        return (await work.accounts.many([account_id]))[0]


async def _unlinked(
    services: Services, work: UnitOfWork, principal: Principal, calendar: Calendar, keep_events: bool
) -> Calendar:
    now = services.clock()
    source = (await work.sources.many([calendar.id])).get(calendar.id)
    made_read_only = source is not None and source.made_read_only
    await work.links.forget_calendar(calendar.id)
    await work.intents.forget_calendar(calendar.id)
    await work.sources.close(calendar.id)
    await work.channels.forget_calendar(calendar.id)
    await work.lanes.forget(calendar.id)
    await work.events.forget_tombstones(calendar.id)
    while not keep_events and (events := await work.events.some_of(calendar.id, CLEARED_AT_ONCE)):
        tombstones = [event.deleted(now) for event in events]
        await work.changes.note_events(tombstones, Operation.DELETED, principal.name)
        await work.events.remove([event.id for event in events])
    after = replace(
        calendar,
        provider=LOCAL,
        account_id=None,
        remote_id=None,
        read_only=calendar.read_only and not made_read_only,
        updated_at=now,
    )
    await work.calendars.save(after)
    await work.changes.note("calendar", after.id, Operation.UPDATED, origin=principal.name, at=now)
    return after


async def _linkable(work: UnitOfWork, calendar_id: UUID | None, *, lock: bool = False) -> Calendar:
    found = None
    if calendar_id is not None:
        found = (
            await work.calendars.get(calendar_id)
            if lock
            else next(iter(await work.calendars.many([calendar_id])), None)
        )
    if found is None:
        raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar."))
    if found.provider != LOCAL:
        message = "The calendar is kept in step with a provider already: unlink it first."
        raise Refused(InUse(path=("calendar_id",), message=message, count=1))
    return found


async def _open_account(work: UnitOfWork, account_id: UUID | None) -> Account:
    found = await work.accounts.many([account_id]) if account_id else []
    if not found:
        raise Refused(NotFound(path=("account_id",), message="There is no such account."))
    if found[0].state is not AccountState.ACTIVE:
        message = "The account must be connected again first."
        raise Refused(ProviderRefused(path=("account_id",), message=message, code="RECONNECT_REQUIRED"))
    return found[0]


async def _listed(services: Services, principal: Principal, account: Account, remote_id: str | None) -> ListedCalendar:
    """Ask the provider about a calendar, or about the only one that there is."""
    provider: object = services.providers.get(account.provider)
    if isinstance(provider, ListsCalendars):
        with told("account_id"):
            for listed in await provider.calendars(RemoteAccount(principal.app_id, account.id)):
                if remote_id in (None, listed.remote_id):
                    return listed
    raise Refused(NotFound(path=("remote_calendar_id",), message="The account has no such calendar."))


def _subscriber(services: Services) -> tuple[str, ConnectsByAddress]:
    for name in services.providers.names:
        provider: object = services.providers[name]
        if isinstance(provider, ConnectsByAddress):
            return name, provider
    message = "No provider that reads calendars from the web is installed."
    raise Refused(ProviderRefused(path=("url",), message=message, code="NOT_CONFIGURED"))
