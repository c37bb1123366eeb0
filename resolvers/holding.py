"""Acting as the holder of a lane: the right to talk to a provider about one calendar, for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.sync import Lane
from providers.interface import RemoteCalendar
from resolvers.services import Services
from storage.changes import Operation
from storage.outbox import Waking
from storage.unit_of_work import UnitOfWork


class LaneLost(Exception):
    """Somebody else has leased the lane."""


@asynccontextmanager
async def as_holder(services: Services, lane: Lane) -> AsyncIterator[UnitOfWork]:
    """Write as the holder of a lane, and renew its lease; raise `LaneLost`, with nothing written, where it was lost.

    The lane is locked last, as everywhere.
    """
    async with services.storage.writing(lane.app_id) as work:
        yield work
        if not await work.lanes.keep(lane, services.patience.lease):
            raise LaneLost


async def place_of(work: UnitOfWork, calendar: Calendar) -> RemoteCalendar:
    """Return a calendar as its provider knows it. Its owner there is the account's, or else the resource's address."""
    owner = None
    if calendar.account_id is not None:
        owner = (await work.accounts.many([calendar.account_id]))[0].address
    if owner is None and calendar.resource_id is not None:
        owner = (await work.resources.many([calendar.resource_id]))[0].email
    return RemoteCalendar(
        work.app_id, calendar.account_id, calendar.remote_id or str(calendar.id), calendar.tzid, owner
    )


async def wake(services: Services, work: UnitOfWork, *calendars: Calendar, at_once: bool = False) -> None:
    """Ask for calendars' lanes to be looked at; last in their transaction."""
    lanes = [
        Waking(each.id, each.account_id, services.providers[each.provider].capabilities.one_call_at_a_time)
        for each in calendars
    ]
    await work.lanes.wake_all(lanes, at_once=at_once)


async def lock_out(services: Services, work: UnitOfWork, account_id: UUID, provider: str, error: str) -> None:
    """Note that a provider does not let an account in any more, and that it is news."""
    at = services.clock()
    account = (await work.accounts.many([account_id]))[0]
    if account.state is AccountState.ACTIVE:
        await work.accounts.set_state(account_id, AccountState.NEEDS_RECONNECT, at, error=error)
        await work.changes.note("account", account_id, Operation.UPDATED, origin=f"provider:{provider}", at=at)
