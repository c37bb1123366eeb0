"""The stage of one round: a server, its workers, a database of their own, a provider, and all who use them."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kalends.domain.access import Scope
from kalends.domain.values import utc_now
from providers.registry import Registry
from resolvers.access import create_app, create_key, operator
from resolvers.services import Services
from storage.engine import Database
from storage.migrate import migrate
from storage.secrets import new_key
from storage.unit_of_work import Storage
from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.databases import Home
from tests.faults.ledger import Entry, Ledger
from tests.faults.observer import Observer
from tests.faults.people import Callers, Decider, People
from tests.faults.places.place import OWNERS, ZONE, Faults, Place, Surroundings, address_of
from tests.faults.processes import HOST, KALENDS, Process, environment, free_port
from tests.faults.verify import apart

CONNECTIONS = 24
LEASE, CALL, POLL, LOOK = 4.0, 2.0, 0.2, 1.0
SETTINGS: dict[str, object] = {
    "SYNC_LEASE_SECONDS": LEASE,
    "SYNC_CALL_SECONDS": CALL,
    "SYNC_AT_ONCE_SECONDS": CALL,
    "WORKER_POLL_SECONDS": POLL,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}
TEN_PERCENT = Faults(0.005, unavailable=0.04, throttled=0.02, reply_lost=0.02, half_body=0.015, hang=0.005)
READY_SECONDS, DRAIN_SECONDS = 120, 180
_MIGRATING = asyncio.Lock()  # alembic keeps what it is at in its modules
DEFECTS = ("worker.defect", "provider.defect", "unexpected error", "worker.swept")


@dataclass(frozen=True)
class Setting:
    """How a scenario wants its stage.

    `inside`: the worker runs in the server. `look`: seconds between looks for changes at the provider. `hooks`: the
    provider calls. `page`: so many events at most are in one list.
    """

    inside: bool = True
    look: float = LOOK
    hooks: bool = False
    page: int | None = None


async def _founded(url: str) -> str:
    """Migrate a database, create an app in it and return its key."""
    database = Database(url)
    try:
        async with _MIGRATING:
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
    """What a scenario plays on. `problems` fail the scenario, `notes` do not; `faults` counts what has gone wrong.

    `storm` is for how many seconds an account refuses everything, where it does.
    """

    def __init__(self, home: Home, folder: Path, chance: random.Random, setting: Setting) -> None:
        self.home = home
        self.folder = folder
        self.chance = chance
        self.setting = setting
        self.storm = 60.0
        self.ledger = Ledger(chance)
        self.workers: list[Process] = []
        self.done = 0
        self.faults: Counter[str] = Counter()
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.on_progress: Callable[[int], None] = lambda _done: None
        self.url: str
        self.place: Place
        self.observer: Observer
        self.server: Process
        self.client: Client
        self.people: People
        self.callers: Callers
        self.decider: Decider
        self._settings: dict[str, object]
        self._started: list[Process] = []

    @property
    def calendars(self) -> list[str]:
        """Every calendar, of all accounts in turn."""
        owners = [self.place.of(owner) for owner in range(OWNERS)]
        return [calendar for each in zip(*owners, strict=True) for calendar in each]

    async def open(self, url: str, make: type[Place]) -> None:
        """Create everything and wait until the server is ready and has looked at every calendar."""
        port = free_port()
        around = Surroundings(self.folder, url, f"http://{HOST}:{port}", self.setting.hooks, self.setting.page)
        self.url, self.place, self.observer = url, make(around), Observer(url)
        token = await _founded(url)
        await self.place.open()
        own = {"DATABASE_URL": url, "WORKER": str(self.setting.inside).lower(), "SECRET_KEYS": new_key()}
        self._settings = SETTINGS | own | {"SYNC_POLL_SECONDS": self.setting.look} | self.place.settings()
        self.server = self._process("server", [KALENDS, "serve", "--host", HOST, "--port", str(port)])
        await self.server.start()
        self.client = Client(around.kalends, token, CONNECTIONS + 2)
        self.people = People(self.place, self.ledger, self.observer)
        self.callers = Callers(self.client, self.place, self.ledger, self.people, self.observer)
        self.decider = Decider(self.client, self.ledger, self.observer)
        await self.ready()
        for number in range(OWNERS):
            person = {"name": f"Owner {number}", "email": address_of(number), "timeZone": ZONE}
            owner = (await self.client.call(ask.RESOURCE, input=person))["resource"]["id"]
            await self.place.connect(self.client, number, owner)

    async def end(self) -> None:
        """End every process of Kalends; one that had ended by itself is a problem."""
        for process in self._started:
            await process.kill()

    async def close(self) -> None:
        """End everything that was started here."""
        await self.end()
        for each in ("client", "place", "observer"):
            if hasattr(self, each):
                await getattr(self, each).close()

    async def ready(self) -> None:
        """Wait until the server takes requests."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await until(self.client.is_ready)
        except TimeoutError:
            raise RuntimeError(f"the server is not ready: {self.server.last_words()}") from None

    async def start_worker(self) -> Process:
        """Start one more worker process."""
        return await self._worker([KALENDS, "worker"])

    async def start_mortal(self, point: str, survives: int) -> Process:
        """Start a worker that kills itself where a push is at a point, for the first time after so many."""
        return await self._worker([sys.executable, "-m", "tests.faults.mortal", point, str(survives), "worker"])

    async def start_careless(self, way: str) -> Process:
        """Start a worker with a defect."""
        return await self._worker([sys.executable, "-m", "tests.faults.careless", way, "worker"])

    async def _worker(self, command: list[str]) -> Process:
        worker = self._process(f"worker-{len(self.workers)}", command)
        self.workers.append(worker)
        await worker.start()
        return worker

    def _process(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, environment(self._settings), self.folder)
        self._started.append(process)
        return process

    def draw(self, count: int, *, changes: float = 0.0, sync: float = 0.25) -> list[Entry]:
        """Return so many new entries."""
        return self.ledger.draw(self.calendars, count, changes=changes, sync=sync)

    async def play(self, entries: Sequence[Entry], *, there: float = 0.0) -> None:
        """Do all that the entries ask for, over several connections at once.

        Meanwhile, people do things there: `there` for each entry.
        """
        rest, goal = iter(entries), self.done + len(entries)
        left = round(len(entries) * there)

        async def connection() -> None:
            for entry in rest:
                await self.callers.perform(entry)
                self.done += 1
                self.on_progress(self.done)

        async def others() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self.people.act()
                if self.done < goal:
                    await asyncio.sleep(self.chance.uniform(0, 0.1))

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(connection())
            for _ in range(2):
                group.create_task(others())

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
        """Wait until both sides say the same, and still do after one more look; return after how many seconds."""
        begun, reached = time.monotonic(), 0.0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while True:
                    last = datetime.now(UTC)
                    await until(lambda since=last: self._comes_to_rest(since), every=0.3)  # type: ignore[misc]
                    reached = time.monotonic() - begun
                    now = datetime.now(UTC)
                    await until(lambda since=now: self.observer.looked_since(since), every=0.3)  # type: ignore[misc]
                    if await self.is_in_step():
                        return reached
        except TimeoutError:
            self.problems.append(f"the sides were not in step after {DRAIN_SECONDS} s")
        return time.monotonic() - begun

    async def is_in_step(self, calendars: Iterable[str] | None = None) -> bool:
        """Tell whether both sides say the same, in these calendars or in all."""
        if calendars is None and await self.observer.waiting():
            return False
        return not apart(await self.observer.rows(), await self.place.everything(), self.place, calendars)

    async def _comes_to_rest(self, since: datetime) -> bool:
        """Tell whether both sides say the same. What waits for a person is decided once there is no more news."""
        if await self.is_in_step():
            return True
        if await self.observer.looked_since(since):
            await self.decider.decide()
        return False

    async def review(self) -> None:
        """Take what nobody should ever log, or send, as problems; count what has gone wrong."""
        self.problems += [f"the provider would not understand: {each}" for each in (await self.place.violations())[:5]]
        self.faults.update(await self.place.met())
        seen: Counter[str] = Counter()
        for process in self._started:
            self.problems += process.deaths
            for entry in process.entries():
                event = str(entry.get("event", ""))
                if event not in DEFECTS and entry.get("level") not in ("error", "critical"):
                    continue
                seen[event] += 1
                if seen[event] == 1:
                    detail = entry.get("traceback") or entry.get("exception") or entry.get("found") or entry
                    self.problems.append(f"{process.name} logged {event[:300]!r}: {str(detail)[-1500:]}")
        self.problems += [f"{number} times: {event[:100]!r}" for event, number in seen.items() if number > 1]


@asynccontextmanager
async def open_stage(
    home: Home, name: str, chance: random.Random, make: type[Place], setting: Setting
) -> AsyncIterator[Stage]:
    """Set a stage, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix=f"kalends-faults-{name}-"))
    try:
        stage = Stage(home, folder, chance, setting)
        try:
            await stage.open(await home.new(f"faults_{name.replace('-', '_')}_{time.time_ns()}", folder), make)
            yield stage
        finally:
            await stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
