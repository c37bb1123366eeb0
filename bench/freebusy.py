"""What free/busy and common slots cost: `python -m bench freebusy --help`.

In one process, one question after the other: the use cases of Kalends, each with its transaction, its checks and its
answer ready to be written, beside a loop that fetches the rows of the window and merges them. Over HTTP: one calendar
of Kalends, with everything that a request passes, beside the free-busy REPORT of Radicale on the same events.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated, cast
from uuid import UUID

import typer
from rich.console import Console
from sqlalchemy import Uuid, bindparam, text

from bench.freebusy_data import Filled, calendar_file, fill, window
from bench.processes import Failed, environment, free_port, output_of, server
from bench.remotes import AUTHORIZATION, NOTHING, Dav
from bench.report import Sheet, as_markdown, machine, show
from bench.stage import KALENDS, Dialect, Stage
from kalends.domain.access import Principal, Scope
from kalends.domain.availability import Need
from kalends.domain.profiles import ConditionsDraft
from kalends.domain.rules import WEEKDAYS, All, Allow, Hours
from kalends.domain.time import TimeSpan
from providers.registry import Registry
from resolvers.availability import AvailabilityDraft, RoleDraft, availability
from resolvers.freebusy import free_busy
from resolvers.services import Services
from storage.engine import Database
from storage.types import Instant
from storage.unit_of_work import Storage

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")
SIZES = (1, 10, 100, 1_000)
PEOPLE = (10, 100)
QUESTIONS = (
    ("free_busy", "free/busy", SIZES, "calendars"),
    ("common_slots", "common slots", PEOPLE, "people"),
)
PATIENCE = 3.0  # seconds for one figure, at most
OFFICE = All((Allow(WEEKDAYS), Allow(Hours(datetime(2020, 1, 1, 9).time(), datetime(2020, 1, 1, 17).time()))))  # noqa: DTZ001
PLAIN = """SELECT calendar_id, starts_at, ends_at, status FROM plain
  WHERE calendar_id IN :calendars AND starts_at < :until AND ends_at > :since AND NOT transparent"""
QUERY = """query($id: ID!, $from: DateTime!, $to: DateTime!) {
  freeBusy(calendarIds: [$id], from: $from, to: $to) { busy { start end status } } }"""
REPORT = """<?xml version="1.0"?><C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav">
<C:time-range start="{:%Y%m%dT%H%M%SZ}" end="{:%Y%m%dT%H%M%SZ}"/></C:free-busy-query>"""

screen = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of so many questions: the milliseconds of a quick one, and of this process's CPU the median."""

    dialect: str
    events: int
    what: str
    size: int
    milliseconds: float
    cpu: float
    times: int


def main(
    calendars: Annotated[int, typer.Option(min=10, help="How many calendars.")] = 1_000,
    events: Annotated[int, typer.Option(min=100, help="How many events in each.")] = 1_000,
    history: Annotated[int, typer.Option(min=1, help="How many times the events, in a tenth of the calendars.")] = 10,
    dialects: Annotated[
        list[str] | None, typer.Option("--database", help="`sqlite` or `postgresql`; can be repeated.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured here.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the databases lie: a disk, not memory.")] = Path("/var/tmp"),
) -> None:
    """Measure free/busy and common slots beside the obvious way, and beside Radicale."""
    figures: list[Figure] = []
    over_http: dict[str, float] = {}
    chosen = [each for each in DIALECTS if each in (dialects or DIALECTS)]
    with tempfile.TemporaryDirectory(prefix="kalends-bench-", dir=folder) as parent, ExitStack() as stack:
        stage = Stage(Path(parent), stack)
        for dialect in chosen:
            for count, each in ((calendars, events), (max(calendars // 10, 10), events * history)):
                with prepared(stage, dialect, count, each) as (url, token, filled):
                    figures += asyncio.run(_in_process(url, dialect, filled, each))
                    if each == events:
                        over_http |= _served(stage, url, dialect, token, filled)
        over_http["Radicale's free-busy REPORT"] = _radicale(stage, events)
    tables = sheets(figures, over_http, events, history)
    for table in tables:
        show(table, Console(width=None if sys.stdout.isatty() else 150))
    if markdown_file:
        markdown_file.write_text("\n".join(map(as_markdown, tables)))
    if json_file:
        found = {"machine": machine(), "figures": [asdict(each) for each in figures], "http": over_http}
        json_file.write_text(json.dumps(found, indent=2) + "\n")


@contextmanager
def prepared(stage: Stage, dialect: Dialect, calendars: int, events: int) -> Iterator[tuple[str, str, Filled]]:
    """Make a database full of events, and yield its URL, the token of its app, and what is in it."""
    with stage.database(dialect) as name:
        url = stage.url(dialect, name)
        env = environment(KALENDS_DATABASE_URL=url)
        output_of([KALENDS, "migrate"], stage.folder, env)
        made = json.loads(output_of([KALENDS, "app", "create", "Bench", "--json"], stage.folder, env))
        screen.print(f"{dialect}: filling {calendars:,} calendars with {events:,} events each", highlight=False)
        filled = asyncio.run(fill(Database(url), UUID(made["app"]), calendars, events))
        yield url, made["token"], filled


async def _in_process(url: str, dialect: Dialect, filled: Filled, events: int) -> list[Figure]:
    database = Database(url)
    now = filled.window.start
    services = Services(Storage(database), cast("Registry", None), clock=lambda: now)
    principal = Principal(filled.app_id, UUID(int=0), frozenset({Scope.FREE_BUSY}))
    found = []

    async def measure(size: int, **contestants: Callable[[], Awaitable[object]]) -> None:
        for what, figure in (await _by_turns(contestants)).items():
            found.append(Figure(dialect, events, what, size, *figure))
            told = f"{figure[0]:.2f} ms, of it {figure[1]:.2f} ms of this process"
            screen.print(f"{dialect}, {events:,} events: {what}, {size:,}: {told}", highlight=False)

    async def ours(ids: Sequence[UUID]) -> object:
        return (await free_busy(services, principal, filled.window, calendar_ids=ids)).spans

    async def theirs(ids: Sequence[UUID]) -> object:
        return await _rows_and_merge(database, ids, filled.window)

    async def slots(ids: Sequence[UUID]) -> object:
        return (await availability(services, principal, _common(ids, filled.window))).search.slots(50)

    for size in SIZES:
        if size <= len(filled.calendars):
            ids = filled.calendars[:size]
            await measure(size, free_busy=partial(ours, ids), rows_and_merge=partial(theirs, ids))
    for size in PEOPLE:
        if size <= len(filled.resources):
            await measure(size, common_slots=partial(slots, filled.resources[:size]))
    await database.close()
    return found


async def _by_turns(
    contestants: dict[str, Callable[[], Awaitable[object]]],
) -> dict[str, tuple[float, float, int]]:
    """Return each one's milliseconds per question, those of this process's CPU, and how often it was asked.

    They take turns, so that all meet the same machine.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    began = time.perf_counter()
    for number in range(503):
        if number >= 8 and time.perf_counter() - began > PATIENCE * len(contestants):
            break
        for name, ask in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            await ask()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    found = {}
    for name, taken in times.items():
        walls, cpus = zip(*taken[3:], strict=True)
        found[name] = _quick(walls), statistics.median(cpus) * 1e3, len(walls)
    return found


def _quick(seconds: Sequence[float]) -> float:
    """Return the milliseconds that one of ten questions was faster than: others on the machine count least in it."""
    return sorted(seconds)[len(seconds) // 10] * 1e3


async def _rows_and_merge(database: Database, ids: Sequence[UUID], span: TimeSpan) -> list[tuple[datetime, datetime]]:
    """Fetch the rows of a window and merge them, as one would without thinking twice."""
    query = text(PLAIN).bindparams(
        bindparam("calendars", type_=Uuid(), expanding=True),
        bindparam("since", type_=Instant()),
        bindparam("until", type_=Instant()),
    )
    query = query.columns(starts_at=Instant(), ends_at=Instant())  # type: ignore[assignment]
    async with database.reader.connect() as connection:
        values = {"calendars": list(ids), "since": span.start, "until": span.end}
        rows = (await connection.execute(query, values)).all()
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted((max(row.starts_at, span.start), min(row.ends_at, span.end)) for row in rows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _common(resources: Sequence[UUID], span: TimeSpan) -> AvailabilityDraft:
    half = timedelta(minutes=30)
    return AvailabilityDraft(
        roles=[RoleDraft(resources, Need.ALL, 1, None)],
        length=half,
        start=span.start,
        end=span.end,
        increment=half,
        tzid="UTC",
        conditions=ConditionsDraft(rule=OFFICE),
    )


# Over HTTP


def _served(stage: Stage, url: str, dialect: Dialect, token: str, filled: Filled) -> dict[str, float]:
    """Return the milliseconds of one calendar's free/busy, by GraphQL and as a file."""
    port = free_port()
    env = environment(KALENDS_DATABASE_URL=url, KALENDS_WORKER="false", KALENDS_LOG_LEVEL="warning")
    since, until = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (filled.window.start, filled.window.end))
    calendar = str(filled.calendars[0])
    body = json.dumps({"query": QUERY, "variables": {"id": calendar, "from": since, "to": until}})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = f"/calendars/{calendar}/freebusy.ics?from={since}&to={until}"
    with stage.scratch() as folder, server([KALENDS, "serve", "--port", str(port)], port, folder, env):
        return {
            f"Kalends, {dialect}, GraphQL": _asked(port, "POST", "/graphql", body, headers),
            f"Kalends, {dialect}, file": _asked(port, "GET", path, "", headers),
        }


def _radicale(stage: Stage, events: int) -> float:
    """Return the milliseconds of Radicale's REPORT on a calendar with the same events."""
    span = window(events)
    dav = Dav("radicale", free_port(), {"small": 0, "large": events})
    with stage.scratch() as folder:
        dav.prepare(folder)
        with server(dav.command(), dav.port, folder, environment()):
            dav.ask("MKCALENDAR", dav.remote_id("large"), NOTHING)
        home = folder / "files" / "collection-root" / dav.remote_id("large")[1:]
        for number in range(events):
            (home / f"{number}.ics").write_bytes(calendar_file(number))
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/xml", "Depth": "1"}
        with server(dav.command(), dav.port, folder, environment()):
            body = REPORT.format(span.start, span.end)
            return _asked(dav.port, "REPORT", dav.remote_id("large"), body, headers)


def _asked(port: int, method: str, path: str, body: str, headers: dict[str, str]) -> float:
    """Return the milliseconds of one request, on one connection, one after the other."""
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    times: list[float] = []
    while len(times) < 8 or (sum(times) < PATIENCE and len(times) < 500):
        began = time.perf_counter()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        times.append(time.perf_counter() - began)
        if answer.status != 200 or content.count(b"BUSY") < 10 or b'"errors"' in content:
            raise Failed(f"{method} {path}: {answer.status} {content[:500]!r}")
    connection.close()
    return _quick(times[3:])


# What comes of it


def sheets(figures: Sequence[Figure], over_http: dict[str, float], events: int, history: int) -> list[Sheet]:
    """Return the tables."""
    found = []
    of = {(each.dialect, each.events, each.what, each.size): each for each in figures}
    columns = ["", "ms", "our CPU ms", "rows and merge, ms", "times faster", f"ms with {history} x the history"]
    columns += [f"rows and merge with {history} x the history"]
    for dialect in DIALECTS:
        rows = []
        for key, what, sizes, name in QUESTIONS:
            for size in sizes:
                mine = of.get((dialect, events, key, size))
                plain = of.get((dialect, events, "rows_and_merge", size)) if key == "free_busy" else None
                old = of.get((dialect, events * history, key, size))
                old_plain = of.get((dialect, events * history, "rows_and_merge", size)) if plain else None
                ratio = f"{plain.milliseconds / mine.milliseconds:.2f}" if mine and plain else ""
                shown = [_shown(mine), _shown(mine, "cpu"), _shown(plain), ratio, _shown(old), _shown(old_plain)]
                rows.append([f"{what}: {size:,} {name if size > 1 else name[:-1]}", *shown])
        title = f"{dialect}, in one process, 30 days of {events:,} events per calendar"
        if any(each.dialect == dialect for each in figures):
            found.append(Sheet(title, columns, rows))
    radicale = over_http["Radicale's free-busy REPORT"]
    served = [[what, f"{value:.2f}", f"{radicale / value:.1f}"] for what, value in over_http.items()]
    found.append(Sheet("Over HTTP, one calendar, 30 days", ["", "ms", "times faster than Radicale"], served))
    return found


def _shown(figure: Figure | None, which: str = "milliseconds") -> str:
    if figure is None:
        return ""
    value: float = getattr(figure, which)
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
