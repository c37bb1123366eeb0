"""Random histories: writers, workers, crashes, stalls, a misbehaving provider, and people who meddle there.

Whatever happened, once the faults end everything that lives has one copy that equals it, and nothing else has one. Each
history follows from its seed, which is in the test's name.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import select

from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.errors import Refused
from kalends.domain.events import Event, EventStatus, Partstat
from kalends.domain.sync import SyncStatus
from providers.interface import (
    Capabilities,
    Identity,
    Outgoing,
    RemoteCalendar,
    RemoteEvent,
    Surroundings,
)
from providers.sandbox import SandboxProvider
from resolvers.sync import work_lane
from storage.events import EVENTS
from storage.sandbox import COPIES
from storage.unit_of_work import Storage
from tests.helpers import NOW, Clock
from tests.providers.memory import memory_in
from tests.resolvers.sync_stage import PAST_LEASE, Crash, Stage, open_stage

pytestmark = pytest.mark.anyio

T = TypeVar("T")
SEEDS = (*range(9), 52)  # 52 once left a copy of a deleted event
STEPS = 60
FEW = 3  # events, so that much happens to each
FAULTS: tuple[dict[str, Any], ...] = (
    *({},) * 4,
    *({"reply_lost": 0.4},) * 3,
    *({"unavailable": 0.4},) * 2,
    {"throttled": 0.3, "retry_after": 20},
    {"revoked": True},
)


async def at_once(_seconds: float) -> None:
    """Wait for nothing."""


@dataclass
class Unreliable:
    """The sandbox, behind a line on which, around every call, anything may happen."""

    inner: SandboxProvider
    around: Callable[[str, bool], Awaitable[None]]
    name: str = "sandbox"
    capabilities: Capabilities = SandboxProvider.capabilities

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        return await self._call("create", self.inner.create(calendar, outgoing))

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        return await self._call("update", self.inner.update(calendar, outgoing, known))

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, remote_id: str | None) -> None:
        await self._call("delete", self.inner.delete(calendar, outgoing, remote_id))

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        return await self._call("find", self.inner.find(calendar, identity, remote_id))

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        return self.inner.preview(outgoing)

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        return self.inner.mailed(outgoing)

    async def _call(self, kind: str, call: Awaitable[T]) -> T:
        try:
            await self.around(kind, False)
            answer = await call
        finally:
            if hasattr(call, "close"):
                call.close()
        await self.around(kind, True)
        return answer


@dataclass
class History:
    """One random history on one database."""

    stage: Stage
    random: random.Random
    calendars: list[Calendar]
    alive: dict[UUID, Event] = field(default_factory=dict)
    depth: int = 0
    calm: bool = False
    happened: list[str] = field(default_factory=list)

    async def run(self) -> None:
        for _ in range(STEPS):
            await self.step(deletes=True)
        await self.settle()
        await self.judge()

    async def step(self, *, deletes: bool) -> None:
        """Let one random thing happen."""
        doings = [self.update, self.update, self.respond, self.cancel, self.work, self.work, self.work, self.sweep]
        doings += [self.misbehave, self.reconnect, self.wait, self.meddle, self.meddle]
        if deletes:
            doings += [self.delete]
        if len(self.alive) < FEW:
            doings += [self.create] * (FEW - len(self.alive))
        doing = self.random.choice(doings)
        self.happened.append("  " * self.depth + doing.__name__)
        try:
            await doing()
        except Crash:
            self.happened.append("  " * self.depth + "(the process died)")

    async def around(self, kind: str, done: bool) -> None:
        """Happen around a call to the provider: nothing, a crash, or other things while it is under way."""
        if self.calm or self.depth >= 2:
            return
        luck = self.random.random()
        if luck < 0.08:
            raise Crash
        if luck < 0.35:
            self.depth += 1
            try:
                # A create that arrives after its event was deleted cannot be told from any other: a call must end
                # within its lease. So nothing is deleted while a create is on its way.
                unsafe = kind == "create" and not done
                if self.random.random() < 0.3:
                    self.happened.append("  " * self.depth + "(the process stops for longer than its lease)")
                    self.stage.advance(PAST_LEASE)
                for _ in range(self.random.randint(1, 2)):
                    await self.step(deletes=not unsafe and self.depth == 1)
            finally:
                self.depth -= 1

    # What may happen

    async def create(self) -> None:
        calendar = self.random.choice(self.calendars)
        await self._write(
            self.stage.create(
                self._text(), calendar=calendar, sync_now=self._sometimes(), attendees=("bob@example.org",)
            )
        )

    async def update(self) -> None:
        if event := self._some():
            changes: dict[str, Any] = self.random.choice(
                [
                    {"summary": self._text()},
                    {"location": self._text()},
                    {"start": NOW - timedelta(minutes=self.random.randint(1, 600))},
                    {"status": self.random.choice([EventStatus.CONFIRMED, EventStatus.TENTATIVE])},
                ]
            )
            await self._write(self.stage.update(event, sync_now=self._sometimes(), **changes))

    async def respond(self) -> None:
        if event := self._some():
            await self._write(self.stage.respond(event, self.random.choice(list(Partstat))))

    async def cancel(self) -> None:
        if event := self._some():
            await self._write(self.stage.cancel(event, sync_now=self._sometimes()))

    async def delete(self) -> None:
        if event := self._some():
            del self.alive[event.id]
            await self.stage.delete(event, sync_now=self._sometimes())

    async def work(self) -> None:
        for lane in await self.stage.take(self.random.randint(1, 3)):
            await work_lane(self.stage.services, lane)

    async def misbehave(self) -> None:
        await self.stage.misbehave(**self.random.choice(FAULTS))

    async def reconnect(self) -> None:
        await self.stage.misbehave()
        await self.stage.set_account(AccountState.ACTIVE)

    async def wait(self) -> None:
        self.stage.advance(timedelta(seconds=self.random.choice([1, 5, 40, 1000])))

    async def sweep(self) -> None:
        assert await self.stage.sweep() == 0, "something was forgotten"

    async def meddle(self) -> None:
        """Let a person change or delete a copy at the provider; then the event changes here."""
        event = self._some()
        copies = await self._copies(event) if event else []
        if event and copies:
            changed = replace(copies[0], revision=copies[0].revision + 1, deleted=self._sometimes())
            async with self.stage.storage.writing(self.stage.app_id) as work:
                await work.sandbox.put(changed)
            await self._write(self.stage.update(event, summary=self._text()))

    # How it ends

    async def settle(self) -> None:
        """End all faults and let time pass; people connect the account again, and try again what waits for them."""
        self.calm = True
        await self.stage.misbehave()
        await self.stage.set_account(AccountState.ACTIVE)
        self.stage.advance(PAST_LEASE)
        await self.stage.converge()
        for event in self.alive.values():
            if (await self.stage.state(event)).status is SyncStatus.FAILED:
                await self.stage.retry(event)
        await self.stage.converge()

    async def judge(self) -> None:
        told = "\n".join(self.happened)
        assert await self.stage.sweep() == 0, told
        async with self.stage.storage.reading(self.stage.app_id) as work:
            ids = [row.id for row in await work.events.rows(select(EVENTS.c.id))]
            events = await work.events.with_tombstones(ids)
            names = {row.remote_id for row in await work.sandbox.rows(select(COPIES).where(~COPIES.c.deleted))}
        assert {event.id for event in events} >= self.alive.keys(), told
        assert [event.id for event in events if event.deleted_at is not None] == [], told
        for event in events:
            assert (await self.stage.state(event)).status is SyncStatus.SYNCED, f"{event.id} waits\n{told}"
            link, copies = await self.stage.link(event), await self._copies(event)
            if link.attempted_version == 0 and event.content.status is EventStatus.CANCELLED:
                assert copies == [], f"{event.id}\n{told}"
                continue
            outgoing = Outgoing(event, Identity(event.id, event.uid, link.generation), None)
            provider = self.stage.services.providers["sandbox"]
            assert [copy.body for copy in copies] == [provider.preview(outgoing)], f"{event.id}\n{told}"
            assert [copy.remote_id for copy in copies] == [link.remote_id], f"{event.id}\n{told}"
            names.discard(str(link.remote_id))
        assert names == set(), f"these are copies of nothing\n{told}"

    async def _copies(self, event: Event) -> list[Any]:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            rows = await work.sandbox.rows(select(COPIES).where(COPIES.c.deleted.is_(False)))
            found = [await work.sandbox.find(row.account_id, row.remote_id) for row in rows]
        return [copy for copy in found if copy is not None and copy.body["iCalUID"] == event.uid]

    async def _write(self, writing: Awaitable[Event]) -> None:
        """Note what was written, also where the process died before it could answer."""
        try:
            event = await writing
        except Refused:
            return  # it was deleted in the middle of this
        if event.id in self.alive or event.version == 1:
            self.alive[event.id] = event

    def _some(self) -> Event | None:
        return self.random.choice(list(self.alive.values())) if self.alive else None

    def _sometimes(self) -> bool:
        return self.random.random() < 0.3

    def _text(self) -> str:
        return f"Text {self.random.randrange(10**6)}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_any_history_every_event_has_one_equal_copy_and_nothing_waits(
    storage: Storage, app_id: UUID, clock: Clock, seed: int
) -> None:
    luck = random.Random(seed)
    sandbox = SandboxProvider(Surroundings(sandbox_memory=memory_in(storage)), sleep=at_once, chance=luck.random)
    provider = Unreliable(sandbox, around=_before_there_is_a_history)
    stage = await open_stage(storage, app_id, provider, clock)
    stage.services = replace(stage.services, chance=luck.random)
    stage.patient(at_once=0.5, max_attempts=6)
    calendars = [stage.calendar, await stage.add_calendar("Same account", account_of=stage.calendar)]
    calendars.append(await stage.add_calendar("Another account"))
    history = History(stage, luck, calendars)
    provider.around = history.around
    await history.run()


async def _before_there_is_a_history(_kind: str, _done: bool) -> None:
    """Happen not at all."""
