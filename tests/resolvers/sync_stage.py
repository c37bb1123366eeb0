"""An app with calendars at a provider, seen from the use cases: writing events, and working the lanes."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from kalends.domain.access import Principal, Scope
from kalends.domain.calendars import SANDBOX, Account, AccountState, Calendar
from kalends.domain.drafts import EventChanges, EventDraft
from kalends.domain.events import Event, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.sync import Intent, Lane, Link, SyncState
from providers.interface import Provider
from providers.local import LocalProvider
from providers.registry import Registry
from providers.sandbox import Faults
from resolvers import changing, events, lookups
from resolvers.changing import Changed, Manner, Target
from resolvers.events import NewEvent
from resolvers.services import Services, SyncPatience
from resolvers.sync import retry_sync, work_lane
from storage.unit_of_work import Storage
from tests.helpers import NOW, Clock, add_calendar, make_account
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings

PATIENCE = SyncPatience(call=5.0, at_once=5.0, lease=timedelta(seconds=30), max_attempts=4)
PAST_LEASE = timedelta(seconds=31)
EVER = timedelta(minutes=16)
"""Longer than the longest pause."""


class Crash(BaseException):
    """The process dies here: nothing of ours runs any more."""


@dataclass
class Stage:
    """One process of ours, its app, and the time, which moves only when it is told to."""

    storage: Storage
    app_id: UUID
    services: Services
    clock: Clock
    calendar: Calendar
    woken: list[None] = field(default_factory=list)

    @property
    def principal(self) -> Principal:
        return Principal(self.app_id, UUID(int=7), frozenset(Scope))

    # What callers do

    async def create(
        self, summary: str = "Planning", *, calendar: Calendar | None = None, sync_now: bool = False, **draft: Any
    ) -> Event:
        new = self.draft(summary, calendar=calendar, **draft)
        written = await events.create_events(
            self.services, self.principal, [new], operation="createEvent", sync_now=sync_now
        )
        return written.event

    async def create_many(self, *news: NewEvent, sync_now: bool = False) -> tuple[Event, ...]:
        written = await events.create_events(
            self.services, self.principal, news, operation="createEvents", sync_now=sync_now
        )
        return written.events

    def draft(self, summary: str = "Planning", *, calendar: Calendar | None = None, **draft: Any) -> NewEvent:
        fields: dict[str, Any] = {"start": NOW, "end": NOW + timedelta(hours=1), "location": ""} | draft
        return NewEvent((calendar or self.calendar).id, EventDraft(summary=summary, **fields))

    async def update(self, event: Event, *, sync_now: bool = False, **changes: Any) -> Event:
        wanted: EventChanges = changes  # type: ignore[assignment]
        return await self._changed(
            changing.update_event(self.services, self.principal, Target(event.ref), wanted, Manner(sync_now=sync_now))
        )

    async def cancel(self, event: Event, *, sync_now: bool = False) -> Event:
        return await self._changed(
            changing.cancel_event(self.services, self.principal, Target(event.ref), Manner(sync_now=sync_now))
        )

    async def respond(self, event: Event, partstat: Partstat) -> Event:
        return await self._changed(
            changing.respond_to_event(self.services, self.principal, Target(event.ref), partstat)
        )

    async def _changed(self, change: Awaitable[Changed]) -> Event:
        event = (await change).event
        assert event is not None
        return event

    async def delete(self, event: Event, *, sync_now: bool = False) -> None:
        await changing.delete_event(self.services, self.principal, Target(event.ref), Manner(sync_now=sync_now))

    async def retry(self, event: Event) -> None:
        await retry_sync(self.services, self.principal, event.id)

    # What workers do

    async def take(self, at_most: int = 100) -> list[Lane]:
        async with self.storage.system(write=True) as system:
            return await system.take_lanes(at_most, self.services.patience.lease)

    async def turn(self) -> int:
        """Work every lane that is due, once, and return how many there were."""
        lanes = await self.take()
        for lane in lanes:
            await work_lane(self.services, lane)
        return len(lanes)

    async def drain(self) -> None:
        """Work until nothing is due."""
        for _ in range(100):
            if not await self.turn():
                return
        raise AssertionError("the lanes do not come to rest")

    async def converge(self, turns: int = 30) -> None:
        """Let time pass until nothing waits but for a person."""
        for _ in range(turns):
            await self.drain()
            async with self.storage.system() as system:
                if not (await system.backlog()).waiting:
                    return
            self.advance(EVER)
        raise AssertionError("something still waits")

    async def sweep(self) -> int:
        async with self.storage.system(write=True) as system:
            return await system.sweep()

    def advance(self, by: timedelta) -> None:
        """Let time pass, for the database and for us."""
        self.storage.database.skew += by
        self.clock.advance(by)

    # What is there

    async def now(self, event: Event) -> Event:
        """Return an event as it is stored now."""
        async with self.storage.reading(self.app_id) as work:
            return await work.events.get(event.id)

    async def state(self, event: Event) -> SyncState:
        return (await lookups.sync_states(self.services, self.principal, [event.id]))[0]

    async def link(self, event: Event) -> Link:
        async with self.storage.reading(self.app_id) as work:
            return (await work.links.many([event.id]))[event.id]

    async def intent(self, event: Event) -> Intent | None:
        async with self.storage.reading(self.app_id) as work:
            return (await work.intents.many([event.id])).get(event.id)

    async def exists(self, event: Event) -> bool:
        """Tell whether an event, or its tombstone, is stored."""
        async with self.storage.reading(self.app_id) as work:
            return bool(await work.events.with_tombstones([event.id]))

    async def account(self, calendar: Calendar | None = None) -> Account:
        account_id = (calendar or self.calendar).account_id
        assert account_id is not None
        async with self.storage.reading(self.app_id) as work:
            return (await work.accounts.many([account_id]))[0]

    async def set_account(self, state: AccountState) -> None:
        assert self.calendar.account_id is not None
        async with self.storage.writing(self.app_id) as work:
            await work.accounts.set_state(self.calendar.account_id, state, self.clock())

    async def misbehave(self, **faults: Any) -> None:
        """Tell the real sandbox how to behave towards the first calendar's account."""
        assert self.calendar.account_id is not None
        async with self.storage.writing(self.app_id) as work:
            await work.sandbox.set_faults(self.calendar.account_id, asdict(Faults(**faults)))

    async def add_calendar(self, name: str, *, account_of: Calendar | None = None) -> Calendar:
        """Connect another calendar, of an account of its own or of another calendar's."""
        return await connect(self.storage, self.app_id, name, account_of)

    def patient(self, **patience: Any) -> None:
        self.services = replace(self.services, patience=replace(self.services.patience, **patience))


async def connect(storage: Storage, app_id: UUID, name: str = "Work", account_of: Calendar | None = None) -> Calendar:
    account_id = account_of.account_id if account_of else None
    if account_id is None:
        account = make_account()
        async with storage.writing(app_id) as work:
            await work.accounts.add(account, NOW)
        account_id = account.id
    return await add_calendar(
        storage, app_id, name=name, provider=SANDBOX, account_id=account_id, remote_id=f"remote-{uuid7()}"
    )


async def open_stage(storage: Storage, app_id: UUID, provider: Provider, clock: Clock) -> Stage:
    around = surroundings(sandbox_memory=memory_in(storage), clock=clock)
    woken: list[None] = []
    services = Services(
        storage,
        Registry({"local": LocalProvider(around), SANDBOX: provider}),
        clock=clock,
        wake_worker=lambda: woken.append(None),
        chance=lambda: 0.5,
        patience=PATIENCE,
    )
    return Stage(storage, app_id, services, clock, await connect(storage, app_id), woken)
