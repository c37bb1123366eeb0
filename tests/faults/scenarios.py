"""The scenarios. Each plays its load and its faults; what came of it is judged afterwards, the same way for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults import client as ask
from tests.faults.ledger import CONFIRMED, Entry
from tests.faults.mortal import AFTER_SEND, BEFORE_ACKNOWLEDGEMENT, BEFORE_SEND
from tests.faults.places.place import CALENDARS_EACH, OWNERS, Faults
from tests.faults.places.simulated import Far
from tests.faults.processes import Process
from tests.faults.stage import LEASE, TEN_PERCENT, Setting, Stage, until

MANY = 1000  # calls of api-kill, from which on everything is done more often
QUIET = Faults(latency=0.005)
LOST_REPLIES = Faults(latency=0.005, reply_lost=0.15, half_body=0.1)
STORM_RETRY_AFTER = 2
FEWEST_REVOKED = 24  # so that some are of the account that is revoked
FREEZES, SURVIVES, MOST_DEATHS = 5, 6, 12
STARTING_SECONDS, OTHERS_SECONDS, DYING_SECONDS, BREAKING_SECONDS = 10.0, 120.0, 90.0, 60.0
PAGE, SMALL_LOOK, SELDOM_LOOK = 5, 2.0, 5.0

Play = Callable[[Stage, int], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A kind of fault. `share` is its part of the calls asked for; `counts` are the faults that it must have seen.

    `inapplicable` says for which providers there is no such fault, and why.
    """

    name: str
    fault: str
    play: Play
    share: float
    counts: tuple[str, ...]
    setting: Setting = field(default_factory=Setting)
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    inapplicable: Mapping[str, str] = field(default_factory=dict)


def _kills(calls: int) -> int:
    """Return how often to kill: 12 times in 2,000 calls, and never less than 3 times."""
    return max(3, round(calls * 12 / 2000))


def _dying(point: str) -> Play:
    async def play(stage: Stage, calls: int) -> None:
        """Have one worker after another end at the same point of a push, at work alone."""
        await stage.place.misbehave(QUIET)
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.play(stage.draw(calls, changes=0.5, sync=0.0), there=0.3))
            for _ in range(min(MOST_DEATHS, max(2, calls // 7))):
                worker = await stage.start_mortal(point, stage.chance.randrange(SURVIVES))
                async with asyncio.timeout(DYING_SECONDS):
                    stage.faults["kills"] += await worker.killed()
        await stage.start_worker()

    return play


async def reply_lost(stage: Stage, calls: int) -> None:
    """Do what is asked, in a quarter of all writes, and lose the answer: all of it, or its second half."""
    await stage.place.misbehave(LOST_REPLIES)
    await stage.play(stage.draw(calls, changes=0.5), there=0.3)


async def storm(stage: Stage, calls: int) -> None:
    """Answer every call of one account with 429 for a while."""
    place, loop = stage.place, asyncio.get_running_loop()
    await place.misbehave(QUIET)
    await place.misbehave(Faults(throttled=1.0, retry_after=STORM_RETRY_AFTER), [0])
    begun, ends = datetime.now(UTC), loop.time() + stage.storm
    await stage.play(stage.draw(calls), there=0.2)
    await _others_in_step(stage)
    await asyncio.sleep(max(0.0, ends - loop.time()))
    ended = datetime.now(UTC)
    through = await stage.observer.synced_between(set(place.of(0)), begun, ended)
    seconds = (ended - begun).total_seconds()
    asked = await place.busy(0, begun.timestamp(), ended.timestamp())
    await place.misbehave(QUIET, [0])
    allowed = round((seconds / place.told_to_wait(STORM_RETRY_AFTER) + 1) * place.lanes)
    stage.notes.append(f"{asked} calls to the busy account in {seconds:.1f} s, {allowed} allowed; the others in step")
    if asked > allowed:
        stage.problems.append(f"the busy account was called {asked} times, {allowed} allowed")
    if through:
        stage.problems.append(f"{through} events reached the account that refuses everything")


async def revoked(stage: Stage, calls: int) -> None:
    """Let one account in no more, in the middle of the load; then have its owner open it again."""
    place = stage.place
    await place.misbehave(QUIET)
    entries = stage.draw(max(FEWEST_REVOKED, calls), changes=0.2)
    half = len(entries) // 2
    await stage.play(entries[:half], there=0.2)
    await place.revoke(0)
    stage.faults["revocations"] += 1
    await stage.play(entries[half:], there=0.2)
    await _others_in_step(stage)

    async def is_shut() -> bool:
        account = await stage.client.call(ask.ACCOUNT, id=place.accounts[0])
        return str(account["state"]) == "NEEDS_RECONNECT"

    async with asyncio.timeout(OTHERS_SECONDS):
        await until(is_shut)
    pending = await stage.observer.pending(place.of(0))
    answers = await asyncio.gather(*(stage.client.call(ask.STATUS, id=each) for each in pending[:30]))
    found = {answer["sync"]["status"] for answer in answers if answer.payload}
    if found != {"PARKED"}:
        stage.problems.append(f"after the revocation events are {sorted(found)}, not PARKED")
    stage.notes.append(f"{len(pending)} events parked, the other accounts in step")
    await place.reconnect(stage.client, 0)
    await place.misbehave(QUIET, [0])


async def notifications(stage: Stage, calls: int) -> None:
    """Lose one notification in ten, double one, delay one past those that follow."""
    far = _far(stage)

    async def all_are_watched() -> bool:
        return await stage.observer.channels() >= set(stage.calendars)

    async with asyncio.timeout(STARTING_SECONDS + SELDOM_LOOK):
        await until(all_are_watched)
    await stage.play(stage.draw(calls, changes=0.3), there=1.0)
    told = await far.told()
    stage.faults.update({name: told.get(name, 0) for name in ("lost", "doubled", "late")})
    stage.notes.append(f"{told.get('arrived', 0)} notifications arrived once and in time")


async def token_expired(stage: Stage, calls: int) -> None:
    """Let the change token expire while a list of changes is being read, again and again."""
    far = _far(stage)
    await stage.play(stage.draw(calls, changes=0.2), there=0.3)
    for _ in range(max(3, calls // 30)):
        before = (await far.told())["broken"]

        async def one_has_broken(before: int = before) -> bool:
            return (await far.told())["broken"] > before

        calendar = stage.chance.choice(stage.calendars)
        await _looked_at(stage)
        await far.expire(1)
        await asyncio.gather(*(stage.people.add(calendar) for _ in range(3 * PAGE)))
        async with asyncio.timeout(BREAKING_SECONDS):
            await until(one_has_broken)
    stage.faults["expired"] = (await far.told())["broken"]


async def _looked_at(stage: Stage) -> None:
    """Wait until every calendar was looked at once more: the next look is a while away."""
    now = datetime.now(UTC)
    async with asyncio.timeout(BREAKING_SECONDS):
        await until(lambda: stage.observer.looked_since(now))


async def _others_in_step(stage: Stage) -> None:
    """Wait until the accounts but the first are in step; that they never are is a problem."""
    others = [calendar for owner in range(1, OWNERS) for calendar in stage.place.of(owner)]
    since = datetime.now(UTC)

    async def hold() -> bool:
        if await stage.is_in_step(others):
            return True
        if await stage.observer.looked_since(since, others):
            await stage.decider.decide(others)
        return False

    try:
        async with asyncio.timeout(OTHERS_SECONDS):
            await until(hold, every=0.5)
    except TimeoutError:
        stage.problems.append(f"the other accounts were not in step {OTHERS_SECONDS:g} s after the last call")


def _far(stage: Stage) -> Far:
    if not isinstance(stage.place, Far):
        raise TypeError(f"{stage.place.name} has no such fault")
    return stage.place


async def api_kill(stage: Stage, calls: int) -> None:
    """Kill the server, with the worker inside it, during keyed creations, and while it drains."""
    await stage.place.misbehave(TEN_PERCENT)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(stage.draw(calls), there=0.1))
        async for _ in stage.moments(_kills(calls), calls):
            await stage.server.restart()
            stage.faults["kills"] += 1
    for _ in range(1 if calls < MANY else 2):
        await stage.ready()
        await asyncio.sleep(stage.chance.uniform(0, 0.5))
        await stage.server.restart()
        stage.faults["kills"] += 1
    await stage.ready()


async def worker_kill(stage: Stage, calls: int) -> None:
    """Kill one of two workers beside the server, during creations, updates, cancellations and deletions."""
    await stage.place.misbehave(TEN_PERCENT)
    for _ in range(2):
        await stage.start_worker()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(stage.draw(calls, changes=0.5), there=0.3))
        async for _ in stage.moments(2 * _kills(calls), calls):
            await stage.chance.choice(stage.workers).restart()
            stage.faults["kills"] += 1


async def worker_freeze(stage: Stage, calls: int) -> None:
    """Stop a worker in the middle of its calls, past its lease; let another take over; let the first go on."""
    await stage.place.misbehave(Faults(0.3, unavailable=0.04, throttled=0.02, reply_lost=0.04))
    frozen = await stage.start_worker()
    await stage.play(stage.draw(calls, changes=0.3))
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
        stage.faults["freezes"] += 1
        frozen = successor
        if late and (number or calls < MANY // 10):
            break
    stage.notes.append(f"{late} late acknowledgements refused")
    if not late:
        stage.problems.append("the frozen worker was never in the middle of a call: nothing was shown")


def _changed(stage: Stage, count: int) -> list[Entry]:
    """Return entries whose only step is one more update: the same ones every time."""
    gone = {entry.key for entry in stage.ledger if entry.deletions or _last_status(entry) != CONFIRMED}
    alive = [entry for entry in stage.ledger if entry.key not in gone]
    for entry in alive[:count]:
        entry.steps, entry.sync = ("update",), False
    return alive[:count]


def _last_status(entry: Entry) -> Any:
    return [each.value for each in entry.sayings if each.field == "status"][-1]


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


async def _taken_over(stage: Stage, held: Mapping[Any, int]) -> bool:
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
    await stage.place.misbehave(TEN_PERCENT)
    await stage.start_worker()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.play(stage.draw(calls, changes=0.2), there=0.1))
        async for _ in stage.moments(3, calls):
            await stage.home.crash()
            stage.faults["crashes"] += 1


BESIDE = Setting(inside=False)
NO_CALLS = "CalDAV has no notifications: changes are found by looking"
OURS = "about Kalends' own processes and database, not about a provider, and so played with the sandbox"
ONLY_SANDBOX: Mapping[str, str] = dict.fromkeys(("google", "microsoft", "radicale", "xandikos"), OURS)

SCENARIOS = (
    Scenario(
        "kill-before-send",
        "SIGKILL of the worker before a write leaves it",
        _dying(BEFORE_SEND),
        0.1,
        ("kills",),
        BESIDE,
    ),
    Scenario(
        "kill-after-send",
        "SIGKILL after the write was done, its answer unread",
        _dying(AFTER_SEND),
        0.1,
        ("kills",),
        BESIDE,
    ),
    Scenario(
        "kill-before-ack",
        "SIGKILL before the acknowledgement is committed",
        _dying(BEFORE_ACKNOWLEDGEMENT),
        0.1,
        ("kills",),
        BESIDE,
    ),
    Scenario(
        "reply-lost",
        "a quarter of the writes is done, and the answer is lost",
        reply_lost,
        0.1,
        ("reply_lost", "half_body"),
    ),
    Scenario("storm", "one account answers 429 only", storm, 0.1, ("throttled",)),
    Scenario("revoked", "one account's grant is withdrawn, or its password changed", revoked, 0.15, ("revocations",)),
    Scenario(
        "notifications",
        "one notification in ten is lost, one doubled, one late",
        notifications,
        0.1,
        ("lost", "doubled", "late"),
        Setting(look=SELDOM_LOOK, hooks=True),
        inapplicable={
            "sandbox": "the sandbox calls nobody: changes are found by looking",
            "radicale": NO_CALLS,
            "xandikos": NO_CALLS,
        },
    ),
    Scenario(
        "token-expired",
        "the change token expires in the middle of a list",
        token_expired,
        0.1,
        ("expired",),
        Setting(look=SMALL_LOOK, page=PAGE),
        inapplicable={"sandbox": "the sandbox's token is a position, which never expires"},
    ),
    Scenario(
        "api-kill", "SIGKILL of the server and the worker in it", api_kill, 1.0, ("kills",), inapplicable=ONLY_SANDBOX
    ),
    Scenario(
        "worker-kill", "SIGKILL of one of two workers", worker_kill, 0.25, ("kills",), BESIDE, inapplicable=ONLY_SANDBOX
    ),
    Scenario(
        "worker-freeze",
        "SIGSTOP of a worker past its lease",
        worker_freeze,
        0.1,
        ("freezes",),
        BESIDE,
        inapplicable=ONLY_SANDBOX,
    ),
    Scenario(
        "database-restart",
        "crash of PostgreSQL",
        database_restart,
        0.25,
        ("crashes",),
        BESIDE,
        databases=("postgresql",),
        inapplicable=ONLY_SANDBOX,
    ),
)
