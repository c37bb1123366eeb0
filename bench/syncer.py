"""The worker that is measured: a process of its own, `python -m bench.syncer`, which works calendars when told to.

It does what `kalends worker` does with a calendar that is due, by the same function, and says how long that took, how
much of it the provider was waited for, and how much memory it needed at most. Commands come as lines of JSON on its
standard input, a `Turn` each; the answers are lines on its standard output, a `Turned` each.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from uuid import UUID

from kalends.domain.values import utc_now
from kalends.server.settings import Settings
from kalends.server.terminal import opened
from providers.web import Answer, Caller
from resolvers.services import Services
from resolvers.sync import work_lane

PROCESS = Path("/proc/self")
LATER = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do: look at a calendar. `whole`: at all of it, as once a day."""

    app: str
    calendar: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """What it took: seconds, of which `waited` for the provider; MiB of memory, before and at most.

    `cpu` are processor seconds of this process, `database_cpu` those of a database server, which only others can see.
    """

    seconds: float
    waited: float
    cpu: float
    before: float
    peak: float
    requests: int
    database_cpu: float = 0.0


class Stopwatch:
    """Sums up how long answers of providers were waited for; one request is under way at a time."""

    def __init__(self) -> None:
        self.seconds, self.requests = 0.0, 0
        ask = Caller.ask

        async def timed(caller: Caller, *arguments: Any, **options: Any) -> Answer:
            began = perf_counter()
            try:
                return await ask(caller, *arguments, **options)
            finally:
                self.seconds, self.requests = self.seconds + perf_counter() - began, self.requests + 1

        Caller.ask = timed  # type: ignore[method-assign, assignment]


async def look(services: Services, turn: Turn, stopwatch: Stopwatch) -> Turned:
    """Work a calendar, as the holder of its lane. Raises `RuntimeError` where that fails."""
    app_id, calendar_id = UUID(turn.app), UUID(turn.calendar)
    if turn.whole:
        services = replace(services, clock=lambda: utc_now() + LATER)
    async with services.storage.writing(app_id) as work:
        await work.sources.hasten(calendar_id)
        lane = await work.lanes.take(calendar_id, services.patience.lease)
    if lane is None:
        raise RuntimeError("somebody else has the calendar")
    gc.collect()
    (PROCESS / "clear_refs").write_text("5")  # the peak begins anew: proc_pid_clear_refs(5)
    before, waited, requests, cpu = _memory("VmRSS"), stopwatch.seconds, stopwatch.requests, process_time()
    began = perf_counter()
    await work_lane(services, lane)
    seconds, cpu, peak = perf_counter() - began, process_time() - cpu, _memory("VmHWM")
    async with services.storage.reading(app_id) as work:
        source = (await work.sources.many([calendar_id]))[calendar_id]
    if source.failures or source.broken or source.held:
        raise RuntimeError(f"the calendar was not read: {source.last_error or source.broken or source.held}")
    return Turned(seconds, stopwatch.seconds - waited, cpu, before, peak, stopwatch.requests - requests)


def _memory(name: str) -> float:
    """Return a figure of this process's memory, in MiB."""
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


async def run() -> None:
    """Take turns until nobody tells any more."""
    stopwatch = Stopwatch()
    async with opened(Settings()) as (_database, services):
        while line := await asyncio.to_thread(sys.stdin.readline):
            turned = await look(services, Turn(**json.loads(line)), stopwatch)
            print(json.dumps(asdict(turned)), flush=True)


if __name__ == "__main__":
    asyncio.run(run())
