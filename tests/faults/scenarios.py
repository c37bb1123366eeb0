"""The scenarios. Each plays its load and its faults; what came of it is judged afterwards, the same way for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.faults import client as ask
from tests.faults.ledger import Entry, draw
from tests.faults.processes import Process
from tests.faults.stage import CALENDARS_EACH, LEASE, TEN_PERCENT, Stage, until

MANY = 1000  # calls of api-kill, from which on everything is done more often
STORM_SECONDS, STORM_RETRY_AFTER = 5.0, 0.5
FREEZES = 5
STARTING_SECONDS, OTHERS_SECONDS = 10.0, 30.0


@dataclass(frozen=True)
class Scenario:
    """A kind of fault. `share` is its part of the calls asked for; `inside` runs the worker in the server."""

    name: str
    fault: str
    play: Callable[[Stage, int], Awaitable[None]]
    share: float
    inside: bool = False
    databases: tuple[str, ...] = ("sqlite", "postgresql")


def _entries(
    stage: Stage, count: int, *, prefix: str = "call", changes: float = 0.0, sync: float = 0.25
) -> list[Entry]:
    return draw(stage.chance, prefix, stage.calendars, count, changes=changes, sync=sync)


def _kills(calls: int) -> int:
    """Return how often to kill: 12 times in 2,000 calls, and never less than 3 times."""
    return max(3, round(calls * 12 / 2000))


async def api_kill(stage: Stage, calls: int) -> None:
    """Kill the server, with the worker inside it, during keyed creations, and while it drains."""
    await stage.misbehave(TEN_PERCENT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(_entries(stage, calls)))
        async for _ in stage.moments(_kills(calls), calls):
            await stage.server.restart()
            stage.kills += 1
    for _ in range(1 if calls < MANY else 2):
        await stage.ready()
        await asyncio.sleep(stage.chance.uniform(0, 0.5))
        await stage.server.restart()
        stage.kills += 1


async def worker_kill(stage: Stage, calls: int) -> None:
    """Kill one of two workers beside the server, during creations, updates, cancellations and deletions."""
    await stage.misbehave(TEN_PERCENT)
    for _ in range(2):
        await stage.start_worker()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(_entries(stage, calls, changes=0.5)))
        async for _ in stage.moments(2 * _kills(calls), calls):
            await stage.chance.choice(stage.workers).restart()
            stage.kills += 1


async def worker_freeze(stage: Stage, calls: int) -> None:
    """Stop a worker in the middle of its calls, past its lease; let another take over; let the first go on."""
    await stage.misbehave(TEN_PERCENT | {"latency": 0.3})
    frozen = await stage.start_worker()
    await stage.play(_entries(stage, calls, changes=0.3))
    late = 0
    for number in range(FREEZES):
        await stage.play(_changed(stage, 48))
        held = await _freeze_at_work(stage, frozen)
        successor = await stage.start_worker()
        await stage.play(_changed(stage, 48))
        if not await _taken_over(stage, held):
            stage.problems.append(f"round {number}: the frozen worker's lanes were not taken over")
        await stage.drain()
        frozen.thaw()
        await asyncio.sleep(1.5)  # what it was at, it tries to finish now
        late += sum(entry.get("event") == "sync.lane_lost" for entry in frozen.entries())
        await frozen.kill()
        stage.kills += 1
        frozen = successor
        if late and (number or calls < MANY // 10):
            break
    stage.notes.append(f"{late} late acknowledgements refused")
    if not late:
        stage.problems.append("the frozen worker was never in the middle of a call: nothing was shown")


def _changed(stage: Stage, count: int) -> list[Entry]:
    """Return entries whose only step is one more update: the same ones every time."""
    alive = [entry for entry in stage.entries if not entry.deleted and not entry.cancelled]
    for entry in alive[:count]:
        entry.steps, entry.sync = ("update",), False
    return alive[:count]


async def _freeze_at_work(stage: Stage, worker: Process) -> dict[Any, int]:
    """Freeze the only worker while it holds lanes, and no lock; return the fences that it holds."""
    for _ in range(200):
        held = await stage.observer.leased()
        if len(held) < CALENDARS_EACH:
            await asyncio.sleep(0.02)
            continue
        worker.freeze()
        if await stage.home.is_free(stage.url) and (held := await stage.observer.leased()):
            return held
        worker.thaw()
        await asyncio.sleep(stage.chance.uniform(0.01, 0.1))
    raise RuntimeError("the worker was never found at work")


async def _taken_over(stage: Stage, held: dict[Any, int]) -> bool:
    """Wait until others have leased these lanes."""

    async def all_grown() -> bool:
        now = await stage.observer.fences()
        return all(now[lane] > fence for lane, fence in held.items())

    try:
        async with asyncio.timeout(LEASE + STARTING_SECONDS):
            await until(all_grown)
    except TimeoutError:
        return False
    return True


async def database_restart(stage: Stage, calls: int) -> None:
    """Stop PostgreSQL at once, as a crash would, and start it again, three times during the load."""
    await stage.misbehave(TEN_PERCENT)
    await stage.start_worker()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(_entries(stage, calls, changes=0.2)))
        async for _ in stage.moments(3, calls):
            await stage.home.crash()
            stage.kills += 1


async def revoked(stage: Stage, calls: int) -> None:
    """Revoke one account's grant in the middle; give it back, and ask for one event to be tried again."""
    await stage.misbehave(TEN_PERCENT)
    entries = _entries(stage, calls, changes=0.2)
    half = len(entries) // 2
    await stage.play(entries[:half])
    await stage.misbehave({"revoked": True}, [0])
    await stage.play(entries[half:])
    theirs = [entry for entry in entries[half:] if entry.calendar_id in stage.owners[0] and not entry.deleted]

    async def others_are_done() -> bool:
        return all(str(row.calendar_id) in stage.owners[0] for row in (await stage.observer.rows()).intents)

    async with asyncio.timeout(60):
        await until(others_are_done)
    answers = await asyncio.gather(*(stage.client.call(ask.STATUS, id=entry.event_id) for entry in theirs[:60]))
    states = {answer["sync"]["status"] for answer in answers}
    if states != {"PARKED"}:
        stage.problems.append(f"after the revocation events are {sorted(states)}, not PARKED")
    stage.notes.append(f"{await stage.observer.waiting()} events parked, the other accounts drained")
    await stage.misbehave(TEN_PERCENT, [0])
    await stage.client.call(ask.RETRY, id=theirs[0].event_id)


async def storm(stage: Stage, calls: int) -> None:
    """Answer every call of one account with 429 for a while."""
    await stage.misbehave({"latency": 0.005})
    await stage.misbehave({"throttled": 1.0, "retryAfter": STORM_RETRY_AFTER}, [0])
    stormed = set(stage.owners[0])

    async def others_are_done() -> bool:
        return all(str(row.calendar_id) in stormed for row in (await stage.observer.rows()).intents)

    begun = datetime.now(UTC)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(_entries(stage, calls)))
        group.create_task(asyncio.sleep(STORM_SECONDS))
    try:
        async with asyncio.timeout(OTHERS_SECONDS):
            await until(others_are_done)
    except TimeoutError:
        stage.problems.append(f"the other accounts were not in step {OTHERS_SECONDS:g} s after the last call")
    ended = datetime.now(UTC)
    seconds = (ended - begun).total_seconds()
    through = await stage.observer.synced_between(stormed, begun, ended)
    await stage.misbehave({"latency": 0.005}, [0])
    mine = {entry.event_id for entry in stage.entries if entry.calendar_id in stormed}
    busy = [each for each in stage.server.entries() if each.get("event") == "sync.failed" and "429" in each["error"]]
    asked = sum(each["event_id"] in mine for each in busy)
    probes = round((seconds / STORM_RETRY_AFTER + 1) * len(stormed))
    stage.notes.append(f"{asked} calls to the busy account in {seconds:.1f} s, {probes} allowed; the others in step")
    if asked > probes:
        stage.problems.append(f"the busy account was called {asked} times, {probes} allowed")
    if through:
        stage.problems.append(f"{through} events reached the account that refuses everything")


SCENARIOS = (
    Scenario("api-kill", "SIGKILL of the server and the worker in it", api_kill, 1.0, inside=True),
    Scenario("worker-kill", "SIGKILL of one of two workers", worker_kill, 0.25),
    Scenario("worker-freeze", "SIGSTOP of a worker past its lease", worker_freeze, 0.1),
    Scenario("database-restart", "crash of PostgreSQL", database_restart, 0.25, databases=("postgresql",)),
    Scenario("revoked", "the account's grant is withdrawn", revoked, 0.15, inside=True),
    Scenario("storm", "one account answers 429 only", storm, 0.15, inside=True),
)
