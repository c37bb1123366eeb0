"""The sync worker: leases lanes that are due and works them, several at once.

It runs inside the server or alone, any number of times, on any machine that reaches the database; the leases keep two
from working one calendar.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from kalends.domain.sync import Lane
from kalends.server.metrics import BACKLOG, DEAD_LETTERS, PUSHED, SWEPT
from resolvers.services import Services
from resolvers.sync import work_lane
from resolvers.upkeep import extend_series, renew_zones
from storage.errors import StorageError

log = structlog.get_logger()


class Worker:
    """One worker. `wake` makes it look at once; `stop` lets it finish the calls that it is at."""

    def __init__(
        self, services: Services, *, lanes: int = 16, poll_seconds: float = 1.0, sweep_seconds: float = 30.0
    ) -> None:
        self._services = services
        self._lanes = lanes
        self._poll = poll_seconds
        self._sweep_every = sweep_seconds
        self._awake = asyncio.Event()
        self._stopping = False
        self._busy: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Say that there is something to do."""
        self._awake.set()

    def stop(self) -> None:
        """Take no more lanes."""
        self._stopping = True
        self._awake.set()

    async def run(self) -> None:
        """Work until `stop`. A database that is away, or not migrated yet, is waited for."""
        next_sweep = time.monotonic()
        try:
            while not self._stopping:
                self._awake.clear()
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + self._sweep_every
                    await self._attempt(self.sweep)
                await self._attempt(self.take)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._awake.wait()
            if self._busy:
                await asyncio.wait(self._busy)
        finally:
            await self._abandon()

    async def take(self) -> int:
        """Lease as many lanes as there is room for, begin to work them, and return how many."""
        room = self._lanes - len(self._busy)
        if room <= 0:
            return 0
        async with self._services.storage.system(write=True) as system:
            lanes = await system.take_lanes(room, self._services.patience.lease)
        for lane in lanes:
            task = asyncio.create_task(self._work(lane))
            self._busy.add(task)
            task.add_done_callback(self._done)
        return len(lanes)

    async def drain(self) -> None:
        """Work until nothing is due; what waits for its next attempt is left."""
        while await self.take() or self._busy:
            if self._busy:
                await asyncio.wait(self._busy)

    async def sweep(self) -> None:
        """Wake what was forgotten, forget what is too old, see to series, and count what waits."""
        async with self._services.storage.system(write=True) as system:
            found = await system.sweep()
            await system.forget_old_keys()
            await system.forget_old_consents()
            backlog = await system.backlog()
        await extend_series(self._services)
        await renew_zones(self._services)
        SWEPT.inc(found)
        BACKLOG.set(backlog.waiting)
        DEAD_LETTERS.set(backlog.dead)
        if found:
            log.warning("worker.swept", found=found)

    async def _attempt(self, step: Callable[[], Awaitable[object]]) -> None:
        """Do one thing; whatever goes wrong with it, the worker goes on."""
        try:
            await step()
        except StorageError as error:
            log.warning("worker.waiting", reason=str(error))
        except Exception:
            log.exception("worker.defect")

    async def _abandon(self) -> None:
        """Stop in the middle of lanes, which is as good as a crash: their leases end by themselves."""
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._awake.set()  # there is room again

    async def _work(self, lane: Lane) -> None:
        try:
            PUSHED.inc(await work_lane(self._services, lane, go_on=lambda: not self._stopping))
        except StorageError as error:
            log.warning("worker.lane_left", calendar=str(lane.calendar_id), reason=str(error))
        except Exception:
            log.exception("worker.defect", calendar=str(lane.calendar_id))
