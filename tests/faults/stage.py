"""The stage of one scenario: a server, its workers, a database of their own and a client that keeps a ledger."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kalends.domain.access import Scope
from kalends.domain.values import utc_now
from providers.registry import Registry
from resolvers.access import create_app, create_key, operator
from resolvers.services import Services
from storage.engine import Database
from storage.migrate import migrate
from storage.unit_of_work import Storage
from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.databases import Home
from tests.faults.ledger import Entry
from tests.faults.processes import HOST, Process, environment, free_port
from tests.faults.verify import Observer

CONNECTIONS = 24
OWNERS, CALENDARS_EACH = 3, 2
LEASE, CALL, POLL = 4.0, 2.0, 0.2
SETTINGS = {
    "SYNC_LEASE_SECONDS": LEASE,
    "SYNC_CALL_SECONDS": CALL,
    "SYNC_AT_ONCE_SECONDS": CALL,
    "WORKER_POLL_SECONDS": POLL,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}
TEN_PERCENT = {"latency": 0.005, "unavailable": 0.04, "replyLost": 0.04, "throttled": 0.02, "retryAfter": 0.2}
READY_SECONDS, DRAIN_SECONDS = 30, 120


async def _founded(url: str) -> str:
    """Migrate a database, create an app in it and return its key."""
    database = Database(url)
    try:
        await migrate(database, at=utc_now())
        services = Services(Storage(database), Registry({}))
        app = await create_app(services, "Faults")
        made = await create_key(services, operator(app.id), name="Faults", scopes=list(Scope))
    finally:
        await database.close()
    return str(made.token)


async def until(holds: Callable[[], Awaitable[bool]], *, every: float = 0.1) -> None:
    """Wait until something holds in another process."""
    while not await holds():  # noqa: ASYNC110  which sets no asyncio.Event here
        await asyncio.sleep(every)


class Stage:
    """What a scenario plays on. `owners` are calendars by account; `problems` fail the scenario, `notes` do not."""

    def __init__(self, home: Home, url: str, folder: Path, chance: random.Random, settings: dict[str, Any]) -> None:
        self.home = home
        self.url = url
        self.folder = folder
        self.chance = chance
        self.settings = settings
        self.observer = Observer(url)
        self.workers: list[Process] = []
        self.owners: list[list[str]] = []
        self.entries: list[Entry] = []
        self.done = 0
        self.kills = 0
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.on_progress: Callable[[int], None] = lambda _done: None
        self.server: Process
        self.client: Client
        self._started: list[Process] = []

    @property
    def calendars(self) -> list[str]:
        """Every calendar, of all accounts in turn."""
        return [calendar for each in zip(*self.owners, strict=True) for calendar in each]

    async def open(self) -> None:
        """Create everything and wait until the server is ready."""
        token = await _founded(self.url)
        port = free_port()
        self.server = self._process("server", ["serve", "--host", HOST, "--port", str(port)])
        await self.server.start()
        self.client = Client(f"http://{HOST}:{port}", token, CONNECTIONS + 2)
        await self.ready()
        for number in range(OWNERS):
            person = {"name": f"Owner {number}", "email": f"owner-{number}@example.com", "timeZone": "Europe/Berlin"}
            owner = (await self.client.call(ask.RESOURCE, input=person))["resource"]["id"]
            calendars = []
            for each in range(CALENDARS_EACH):
                calendar = {"name": f"Calendar {number}.{each}", "resourceId": owner, "provider": "sandbox"}
                calendars.append((await self.client.call(ask.CALENDAR, input=calendar))["calendar"]["id"])
            self.owners.append(calendars)

    async def end(self) -> None:
        """End every process that was started here; one that had ended by itself is a problem."""
        for process in self._started:
            await process.kill()

    async def close(self) -> None:
        """End everything that was started here."""
        await self.end()
        if hasattr(self, "client"):
            await self.client.close()
        await self.observer.close()

    async def ready(self) -> None:
        """Wait until the server takes requests."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await until(self.client.is_ready)
        except TimeoutError:
            raise RuntimeError(f"the server is not ready: {self.server.last_words()}") from None

    async def start_worker(self) -> Process:
        """Start one more worker process."""
        worker = self._process(f"worker-{len(self.workers)}", ["worker"])
        self.workers.append(worker)
        await worker.start()
        return worker

    def _process(self, name: str, arguments: list[str]) -> Process:
        process = Process(name, arguments, environment(self.settings), self.folder)
        self._started.append(process)
        return process

    async def misbehave(self, faults: dict[str, Any], owners: Iterable[int] = range(OWNERS)) -> None:
        """Have the sandbox treat these owners' accounts so."""
        for number in owners:
            await self.client.call(ask.MISBEHAVE, input={"calendarId": self.owners[number][0]} | faults)

    async def play(self, entries: Sequence[Entry]) -> None:
        """Do everything that the entries ask for, over several connections at once."""
        known = {entry.key for entry in self.entries}
        self.entries += [entry for entry in entries if entry.key not in known]
        rest = iter(entries)

        async def connection() -> None:
            for entry in rest:
                await self._perform(entry)
                self.done += 1
                self.on_progress(self.done)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(connection())

    async def _perform(self, entry: Entry) -> None:
        if not entry.acknowledged:
            event = (await self.client.call(ask.CREATE, input=entry.to_create()))["event"]
            entry.event_id, entry.version = event["id"], event["version"]
        for step in entry.steps:
            await getattr(self, f"_{step}")(entry)

    async def _update(self, entry: Entry) -> None:
        changes = entry.revise()
        answer = await self.client.call(ask.UPDATE, id=entry.event_id, input=changes | {"syncProvider": entry.sync})
        entry.said |= changes
        entry.version = answer["event"]["version"]

    async def _cancel(self, entry: Entry) -> None:
        answer = await self.client.call(ask.CANCEL, id=entry.event_id)
        entry.cancelled = True
        entry.version = answer["event"]["version"]

    async def _delete(self, entry: Entry) -> None:
        await self.client.call(ask.DELETE, missing_is_done=True, id=entry.event_id)
        entry.deleted = True
        entry.version += 1

    async def moments(self, times: int, of: int, within: float = 0.3) -> AsyncIterator[None]:
        """Yield at random moments of a load of so many calls, whatever its pace."""
        marks = sorted(self.done + self.chance.uniform(0.02, 0.97) * of for _ in range(times))

        async def is_due() -> bool:
            return self.done >= marks[0]

        while marks:
            await until(is_due, every=0.005)
            marks.pop(0)
            await asyncio.sleep(self.chance.uniform(0, within))
            yield

    async def drain(self) -> float:
        """Wait until every event has reached its provider; return after how many seconds."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await until(self.is_drained)
        except TimeoutError:
            self.problems.append(f"not drained after {DRAIN_SECONDS} s")
        return time.monotonic() - begun

    async def is_drained(self) -> bool:
        """Tell whether every event has reached its provider."""
        return not await self.observer.waiting()

    def review_logs(self) -> None:
        """Take what the processes should never log as problems."""
        seen: Counter[str] = Counter()
        for process in self._started:
            self.problems += process.deaths
            for entry in process.entries():
                event = str(entry.get("event", ""))
                if event in ("worker.defect", "provider.defect", "unexpected error", "worker.swept"):
                    seen[event] += 1
                    if seen[event] == 1:
                        detail = entry.get("traceback") or entry.get("exception") or entry.get("found") or ""
                        self.problems.append(f"{process.name} logged {event!r}: {str(detail)[-1500:]}")
                elif entry.get("level") in ("error", "critical"):
                    seen[event] += 1
                    if seen[event] == 1:
                        self.problems.append(f"{process.name} logged {event[:300]!r} {str(entry)[-1500:]}")
        self.problems += [f"{number} times: {event[:100]!r}" for event, number in seen.items() if number > 1]


@asynccontextmanager
async def open_stage(home: Home, name: str, chance: random.Random, *, inside_worker: bool) -> AsyncIterator[Stage]:
    """Set a stage, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix=f"kalends-faults-{name}-"))
    try:
        url = await home.new(f"faults_{name.replace('-', '_')}_{chance.randrange(10**6)}", folder)
        settings = SETTINGS | {"DATABASE_URL": url, "WORKER": str(inside_worker).lower()}
        stage = Stage(home, url, folder, chance, settings)
        try:
            await stage.open()
            yield stage
        finally:
            await stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
