"""The worker: it looks when it is told to, goes on whatever happens, and ends what it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select

from kalends.domain.events import Event
from kalends.domain.recurrence import AHEAD, Recurrence
from kalends.domain.sync import Lane, SyncStatus
from kalends.domain.time import EPOCH
from kalends.server.worker import Worker
from resolvers.services import Services
from resolvers.sync import work_lane
from storage.engine import Database
from storage.errors import Unavailable
from storage.idempotency import KEPT, KEYS_USED, Claim
from storage.outbox import INTENTS
from storage.unit_of_work import Storage
from tests.helpers import DAY, NOW, WEEK, Clock, make_consent, make_event, make_span
from tests.providers.scripted import Call, ScriptedProvider, nothing, raising
from tests.resolvers.sync_stage import PAST_LEASE, Stage, open_stage

pytestmark = pytest.mark.anyio

NEVER = 3600.0
"""Seconds that no test waits: what happens did not happen by itself."""


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def stage(storage: Storage, app_id: UUID, provider: ScriptedProvider, clock: Clock) -> Stage:
    return await open_stage(storage, app_id, provider, clock)


@asynccontextmanager
async def running(stage: Stage, **manners: Any) -> AsyncIterator[Worker]:
    """Run a worker that is woken by what is written, and stop it at the end."""
    worker = Worker(stage.services, **{"poll_seconds": NEVER, "sweep_seconds": NEVER} | manners)
    stage.services = replace(stage.services, wake_worker=worker.wake)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(20):
            await task


class Calls:
    """Lets a test wait for calls to the provider, hold them, and let them go."""

    def __init__(self, provider: ScriptedProvider, *, hold: bool = False) -> None:
        self.at_once = self.most = self.begun = 0
        self.go_on = asyncio.Event()
        self._changed = asyncio.Condition()
        if not hold:
            self.go_on.set()
        provider.before = self._before
        provider.after = self._after

    async def reach(self, count: int) -> None:
        """Wait until so many calls have begun."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.begun >= count)

    async def _before(self, _call: Call) -> None:
        async with self._changed:
            self.begun += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self._changed.notify_all()
        await self.go_on.wait()

    async def _after(self, _call: Call) -> None:
        self.at_once -= 1


class Away(Storage):
    """A database that is away while `away` is true, and says so to whoever asks."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.away = True
        self.asked = asyncio.Event()
        self.error: Exception = Unavailable("the database cannot be reached")

    def system(self, *, write: bool = False) -> Any:
        self.asked.set()
        if self.away:
            raise self.error
        return super().system(write=write)


async def synced(stage: Stage, *events: Event) -> bool:
    return all([(await stage.state(event)).status is SyncStatus.SYNCED for event in events])


# Waking


async def test_it_looks_for_work_when_it_begins(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    calls = Calls(provider)
    async with running(stage):
        await calls.reach(1)
    assert await synced(stage, event)


async def test_it_looks_at_once_when_it_is_woken(stage: Stage, provider: ScriptedProvider) -> None:
    calls = Calls(provider)
    async with running(stage):
        for number in range(1, 6):
            event = await stage.create()
            await calls.reach(number)
    assert await synced(stage, event)
    assert provider.kinds() == ["create"] * 5


async def test_it_looks_by_itself_from_time_to_time(stage: Stage, provider: ScriptedProvider) -> None:
    calls = Calls(provider)
    async with running(stage, poll_seconds=0.01):
        stage.services = replace(stage.services, wake_worker=lambda: None)
        await stage.create()
        await calls.reach(1)


async def test_a_wake_up_call_while_it_looks_is_not_lost(stage: Stage, provider: ScriptedProvider) -> None:
    calls = Calls(provider)
    worker = Worker(stage.services, poll_seconds=NEVER, sweep_seconds=NEVER)
    look = worker.take
    looks: list[int] = []

    async def look_and_write() -> int:
        found = await look()
        looks.append(found)
        if len(looks) == 1:
            await stage.create()  # too late for this look
            worker.wake()
        return found

    worker.take = look_and_write  # type: ignore[method-assign]
    task = asyncio.create_task(worker.run())
    await calls.reach(1)
    worker.stop()
    await task
    assert looks[:2] == [0, 1]


async def test_it_makes_use_of_room_as_soon_as_there_is_some(stage: Stage, provider: ScriptedProvider) -> None:
    for number in range(6):
        await stage.create(calendar=await stage.add_calendar(f"Number {number}"))
    calls = Calls(provider)
    async with running(stage, lanes=1):
        await calls.reach(6)
    assert calls.most == 1


async def test_it_works_no_more_lanes_at_once_than_it_may(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create(calendar=await stage.add_calendar(f"Number {number}")) for number in range(7)]
    calls = Calls(provider, hold=True)
    async with running(stage, lanes=3) as worker:
        await calls.reach(3)
        worker.wake()
        assert await worker.take() == 0
        assert calls.begun == 3
        calls.go_on.set()
        await calls.reach(7)
    assert calls.most == 3
    assert await synced(stage, *events)


# Stopping


async def test_it_ends_the_calls_that_it_is_at_and_begins_no_others(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create() for _ in range(3)]
    calls = Calls(provider, hold=True)
    async with running(stage) as worker:
        await calls.reach(1)
        worker.stop()
        calls.go_on.set()
    assert await synced(stage, events[0])
    assert len(provider.calls) == 1
    assert await stage.turn() == 1  # what it left is free for others, at once
    assert await synced(stage, *events)


async def test_it_stops_where_there_is_nothing_to_do(stage: Stage, provider: ScriptedProvider) -> None:
    async with running(stage):
        pass
    assert provider.calls == []


async def test_a_worker_that_is_cut_off_cuts_off_its_calls(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    calls = Calls(provider, hold=True)
    task = asyncio.create_task(Worker(stage.services, poll_seconds=NEVER).run())
    others = asyncio.all_tasks()
    await calls.reach(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() <= others
    provider.before = nothing
    stage.advance(PAST_LEASE)
    await stage.drain()
    assert await synced(stage, event)


async def test_draining_works_until_nothing_is_due(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create(calendar=await stage.add_calendar(f"Number {number}")) for number in range(5)]
    events += [await stage.create() for _ in range(3)]
    await Worker(stage.services, lanes=2).drain()
    assert await synced(stage, *events)


async def test_draining_does_not_wait_for_what_is_not_due_yet(stage: Stage, provider: ScriptedProvider) -> None:
    failing, event = await stage.create("Fails"), await stage.create()
    provider.before = raising(RuntimeError(), only=lambda call: call.summary == "Fails")
    await Worker(stage.services).drain()
    assert await synced(stage, event)
    assert (await stage.state(failing)).status is SyncStatus.RETRYING


# Going on


@pytest.mark.parametrize("error", [Unavailable("it restarts"), RuntimeError("there is no such table")])
async def test_it_waits_for_a_database_that_is_away_and_goes_on(
    stage: Stage, provider: ScriptedProvider, error: Exception
) -> None:
    event = await stage.create()
    away = Away(stage.storage.database)
    away.error = error
    stage.services = replace(stage.services, storage=away)
    calls = Calls(provider)
    async with running(stage, poll_seconds=0.01):
        for _ in range(3):
            away.asked.clear()
            await away.asked.wait()
        assert calls.begun == 0
        away.away = False
        await calls.reach(1)
    assert await synced(stage, event)


async def test_a_lane_whose_database_goes_away_is_left_and_the_others_go_on(
    stage: Stage, provider: ScriptedProvider
) -> None:
    other = await stage.add_calendar("Another")
    left, event = await stage.create("Left"), await stage.create(calendar=other)
    provider.before = raising(Unavailable("it restarts"), only=lambda call: call.summary == "Left")
    worker = Worker(stage.services)
    await worker.drain()
    assert await synced(stage, event)
    provider.before = nothing
    stage.advance(PAST_LEASE)
    await worker.drain()
    assert await synced(stage, left)


async def test_a_defect_in_one_lane_does_not_stop_the_worker(
    stage: Stage, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, broken = Calls(provider), asyncio.Event()

    async def break_once(services: Services, lane: Lane, *, go_on: Callable[[], bool]) -> int:
        if broken.is_set():
            return await work_lane(services, lane, go_on=go_on)
        broken.set()
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr("kalends.server.worker.work_lane", break_once)
    event = await stage.create()
    async with running(stage) as worker:
        await broken.wait()
        stage.advance(PAST_LEASE)
        worker.wake()
        await calls.reach(1)
    assert await synced(stage, event)


# Several workers


async def test_several_workers_on_one_database_never_make_a_call_twice(
    stage: Stage, provider: ScriptedProvider
) -> None:
    calendars = [await stage.add_calendar(f"Number {number}") for number in range(6)]
    events = [await stage.create(calendar=calendar) for calendar in calendars for _ in range(3)]
    database = stage.storage.database
    databases = [Database(database.url.render_as_string(hide_password=False)) for _ in range(2)]
    try:
        workers = [
            Worker(replace(stage.services, storage=Storage(each)), lanes=2, poll_seconds=0.01)
            for each in (database, *databases)
        ]
        calls = Calls(provider)
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        await calls.reach(len(events))
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)
    finally:
        for each in databases:
            await each.close()
    assert provider.kinds() == ["create"] * len(events)
    assert {call.event_id for call in provider.calls} == {event.id for event in events}
    assert await synced(stage, *events)


# Sweeping


async def test_a_sweep_brings_back_what_was_forgotten(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    async with stage.storage.writing(stage.app_id) as work:
        await work.intents.run(delete(INTENTS))
    worker = Worker(stage.services)
    await worker.drain()
    assert provider.calls == []
    await worker.sweep()
    await worker.drain()
    assert await synced(stage, event)


async def test_it_sweeps_when_it_begins_and_from_time_to_time(stage: Stage, provider: ScriptedProvider) -> None:
    calls = Calls(provider)

    async def forget() -> None:
        stage.services = replace(stage.services, wake_worker=lambda: None)
        async with stage.storage.writing(stage.app_id) as work:
            await work.intents.run(delete(INTENTS))

    await stage.create()
    await forget()
    async with running(stage, poll_seconds=0.01, sweep_seconds=0.01):
        await calls.reach(1)
        event = await stage.create()
        await forget()
        await calls.reach(2)
    assert await synced(stage, event)


async def test_a_sweep_that_fails_does_not_keep_lanes_waiting(
    stage: Stage, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_worker: Worker) -> None:
        raise Unavailable("a lock was not given")

    monkeypatch.setattr(Worker, "sweep", fail)
    event = await stage.create()
    calls = Calls(provider)
    async with running(stage):
        await calls.reach(1)
    assert await synced(stage, event)


async def test_a_sweep_forgets_keys_that_are_too_old(stage: Stage) -> None:
    database, now = stage.storage.database, stage.clock()
    for key, at in (("old", now - KEPT - timedelta(minutes=1)), ("young", now - KEPT + timedelta(minutes=1))):
        async with stage.storage.writing(stage.app_id) as work:
            await work.idempotency.claim(Claim("key:1", key, "createEvent", b"hash"), [], at)
    async with database.reader.connect() as connection:
        present = (await connection.execute(select(database.now()))).scalar_one()
    database.skew = now - present
    await Worker(stage.services).sweep()
    async with stage.storage.reading(stage.app_id) as work:
        rows = await work.idempotency.rows(select(KEYS_USED.c.key))
        assert [row.key for row in rows] == ["young"]
        assert (await work.idempotency.rows(select(func.count()).select_from(KEYS_USED)))[0][0] == 1


async def test_a_sweep_forgets_who_never_came_back_and_keeps_series_ready(stage: Stage, clock: Clock) -> None:
    late, waiting = make_consent(expires_at=EPOCH), make_consent(expires_at=NOW + 36_500 * DAY)
    series = make_event(stage.calendar.id, recurrence=Recurrence("FREQ=WEEKLY"))
    async with stage.storage.writing(stage.app_id) as work:
        for each in (late, waiting):
            await work.consents.add(each)
        await work.events.add([series])
    clock.advance(AHEAD)
    await Worker(stage.services).sweep()
    async with stage.storage.writing(stage.app_id) as work:
        assert await work.consents.take(waiting.id, NOW) == waiting
        assert await work.consents.take(late.id, EPOCH - DAY) is None
        found = await work.events.in_the_way(stage.calendar.id, make_span(clock.now + AHEAD - WEEK, WEEK))
    assert [each.id for each in found] == [series.id]
