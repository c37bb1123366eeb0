"""What it costs to keep a large remote calendar in step: `python -m bench sync --help`.

For each server and size: the first look, which reads everything; a look after ten changes; and the daily look at
everything while nothing has changed. Each round begins with a worker of its own and a fresh copy of a database in which
the calendar was linked, and reads a small calendar first, so that what is loaded once is loaded.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.request import Request, urlopen

import typer
from rich.console import Console

from bench.load import processor_seconds_below
from bench.processes import Failed, environment, free_port, output_of, server
from bench.remotes import SMALL, Remote, Size, running
from bench.report import Sheet, as_markdown, machine, show
from bench.stage import KALENDS, Dialect, Stage
from bench.syncer import Turn, Turned

REMOTES = ("google", "microsoft", "radicale", "xandikos")
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")
SIZES = (100, 1_000, 10_000)
CHANGES = 10
PATIENCE = "600"  # seconds for one answer: servers that need long are measured, too
LEASE = "1200"
LOOKS = {"first": "first look", "changes": f"{CHANGES} changes", "daily": "daily look"}

screen = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    remote: str
    dialect: Dialect
    events: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took, by look."""

    looks: dict[str, Turned]


@dataclass(frozen=True, slots=True)
class Linked:
    """A database to copy, in which both calendars are linked and nothing is read yet."""

    source: str
    app: str
    calendars: dict[Size, str]
    settings: dict[str, str]


def main(
    remotes: Annotated[list[str] | None, typer.Argument(metavar="[SERVER]...", help="Which; all by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each case is measured.")] = 3,
    events: Annotated[list[int] | None, typer.Option(min=20, help="How many events; can be repeated.")] = None,
    dialects: Annotated[
        list[str] | None, typer.Option("--database", help="`sqlite` or `postgresql`; can be repeated.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured here.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the databases lie: a disk, not memory.")] = Path("/var/tmp"),
) -> None:
    """Measure what it costs to read a remote calendar, and to keep it in step."""
    names, databases = remotes or list(REMOTES), dialects or list(DIALECTS)
    for given, known in ((names, REMOTES), (databases, DIALECTS)):
        if unknown := set(given) - set(known):
            raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers must end with us
    measured: dict[Case, list[Round]] = {}
    with tempfile.TemporaryDirectory(prefix="kalends-bench-", dir=folder) as parent, ExitStack() as stack:
        stage = Stage(Path(parent), stack)
        for name in names:
            for count in events or SIZES:
                with stage.scratch() as home, running(name, count, home) as remote:
                    chosen = [each for each in DIALECTS if each in databases]
                    for dialect, taken in _measured(stage, remote, chosen, count, rounds):
                        measured.setdefault(Case(name, dialect, count), []).append(taken)
    tables = sheets(measured)
    for table in tables:
        show(table, Console(width=None if sys.stdout.isatty() else 160))
    if markdown_file:
        markdown_file.write_text("\n".join(map(as_markdown, tables)))
    if json_file:
        json_file.write_text(json.dumps(as_json(measured), indent=2) + "\n")


def _measured(
    stage: Stage, remote: Remote, dialects: Sequence[Dialect], events: int, rounds: int
) -> Iterator[tuple[Dialect, Round]]:
    """Measure both databases by turns."""
    linked = {dialect: link(stage, remote, dialect) for dialect in dialects}
    for number in range(rounds):
        for dialect in dialects if number % 2 == 0 else list(reversed(dialects)):
            taken = take(stage, remote, dialect, linked[dialect], events, f"Changed {number} {dialect}")
            times = ", ".join(f"{LOOKS[look]} {turned.seconds:.3f} s" for look, turned in taken.looks.items())
            screen.print(f"{remote.name}, {events:,}, {dialect}, {number + 1}/{rounds}: {times}", highlight=False)
            yield dialect, taken


def take(stage: Stage, remote: Remote, dialect: Dialect, linked: Linked, events: int, title: str) -> Round:
    """Measure one round, and check that what was read is stored."""
    with stage.database(dialect, linked.source) as name, stage.scratch() as folder:
        env = environment(**linked.settings | {"KALENDS_DATABASE_URL": stage.url(dialect, name)})
        with worker(folder, env) as turn:

            def look(size: Size, *, whole: bool = False) -> Turned:
                if dialect == "sqlite":
                    return turn(Turn(linked.app, linked.calendars[size], whole))
                before = processor_seconds_below(stage.cluster.postmaster)
                turned = turn(Turn(linked.app, linked.calendars[size], whole))
                return replace(turned, database_cpu=processor_seconds_below(stage.cluster.postmaster) - before)

            look("small")
            remote.rename("small", CHANGES, "Warm")
            look("small")
            looks = {"first": look("large")}
            remote.rename("large", CHANGES, title)
            looks["changes"] = look("large")
            looks["daily"] = look("large", whole=True)
        found = stage.events_in(dialect, name), stage.events_in(dialect, name, title)
        if found != (events + SMALL, CHANGES):
            raise Failed(f"{events + SMALL} events and {CHANGES} changes were to be read; stored are {found}")
    return Round(looks)


@contextmanager
def worker(folder: Path, env: dict[str, str]) -> Iterator[Callable[[Turn], Turned]]:
    """Start the worker that is measured, and yield the way to have it take turns."""
    log = folder / "worker.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.syncer"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def turn(what: Turn) -> Turned:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(what)) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise Failed(f"the worker ended:\n{log.read_text()[-3000:]}")
        return Turned(**json.loads(answer))

    try:
        yield turn
    finally:
        process.terminate()
        process.wait(30)


def link(stage: Stage, remote: Remote, dialect: Dialect) -> Linked:
    """Open the account and link both calendars, as an operator and a frontend do it."""
    name = stage.cluster.create() if dialect == "postgresql" else str(stage.folder / f"linked-{remote.port}.sqlite3")
    port = free_port()
    settings = remote.settings() | {
        "KALENDS_SECRET_KEYS": urlsafe_b64encode(bytes(range(32))).decode(),
        "KALENDS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "KALENDS_SYNC_CALL_SECONDS": PATIENCE,
        "KALENDS_SYNC_LEASE_SECONDS": LEASE,
        "KALENDS_WORKER": "false",
        "KALENDS_LOG_LEVEL": "warning",
    }
    env = environment(**settings | {"KALENDS_DATABASE_URL": stage.url(dialect, name)})
    output_of([KALENDS, "migrate"], stage.folder, env)
    made = json.loads(output_of([KALENDS, "app", "create", "Bench", "--json"], stage.folder, env))
    calendars: dict[Size, str] = {}
    with stage.scratch() as folder, server([KALENDS, "serve", "--port", str(port)], port, folder, env):
        account = _opened(remote, port, made["token"])
        for size in ("small", "large"):
            calendar = _done(port, made["token"], "createCalendar", "calendar { id }", {"name": size})["calendar"]["id"]
            which = {"calendarId": calendar, "accountId": account, "remoteCalendarId": remote.remote_id(size)}
            _done(port, made["token"], "linkCalendar", "calendar { id }", which)
            calendars[size] = calendar
    return Linked(name, made["app"], calendars, settings)


def _opened(remote: Remote, port: int, token: str) -> str:
    """Open the account and return its id."""
    mutation, given = remote.account()
    if mutation == "connectCaldav":
        return str(_done(port, token, mutation, "account { id }", given)["account"]["id"])
    address = _done(port, token, mutation, "authorizationUrl", given)["authorizationUrl"]
    with urlopen(address, timeout=30) as page:  # the owner's browser, which comes back by itself
        page.read()
    found = _asked(port, token, "{ accounts(first: 1) { edges { node { id } } } }", {})
    return str(found["accounts"]["edges"][0]["node"]["id"])


def _done(port: int, token: str, mutation: str, fields: str, given: dict[str, str]) -> Any:
    kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
    errors = "errors { ... on UserError { message } }"
    document = f"mutation($input: {kind}) {{ {mutation}(input: $input) {{ {fields} {errors} }} }}"
    payload = _asked(port, token, document, {"input": given})[mutation]
    if payload["errors"]:
        raise Failed(f"{mutation}: {payload['errors']}")
    return payload


def _asked(port: int, token: str, document: str, variables: dict[str, Any]) -> Any:
    request = Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": document, "variables": variables}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urlopen(request, timeout=60) as response:
        answer = json.load(response)
    if "errors" in answer:
        raise Failed(f"{document}: {answer['errors']}")
    return answer["data"]


# What comes of it


def sheets(measured: dict[Case, list[Round]]) -> list[Sheet]:
    """Return a table for each look."""
    rounds = len(next(iter(measured.values())))
    times = ["seconds", "of it the server", "our CPU", "database CPU", "CPU per event, ms"]
    columns = ["server", "database", "events", *times, "requests", "peak MiB over before", "spread"]
    found = []
    for look, title in LOOKS.items():
        rows = []
        for case, taken in measured.items():
            of = {each.name: median(taken, look, each.name) for each in fields(Turned)}
            count = CHANGES if look == "changes" else case.events
            rows.append(
                [
                    case.remote,
                    case.dialect,
                    f"{case.events:,}",
                    f"{of['seconds']:.3f}",
                    f"{of['waited']:.3f}",
                    f"{of['cpu']:.3f}",
                    f"{of['database_cpu']:.2f}" if case.dialect == "postgresql" else "",
                    f"{(of['cpu'] + of['database_cpu']) / count * 1e3:.2f}",
                    f"{of['requests']:.0f}",
                    f"{of['peak'] - of['before']:.1f}",
                    f"{spread(taken, look):.0%}",
                ]
            )
        found.append(Sheet(f"{title}, medians of {rounds}", columns, rows))
    return found


def median(rounds: Sequence[Round], look: str, name: str) -> float:
    """Return the median of a figure over the rounds."""
    return float(statistics.median(getattr(each.looks[look], name) for each in rounds))


def spread(rounds: Sequence[Round], look: str) -> float:
    """Return how far apart the rounds' times are, as a share of their median."""
    times = [each.looks[look].seconds for each in rounds]
    return (max(times) - min(times)) / statistics.median(times)


def as_json(measured: dict[Case, list[Round]]) -> dict[str, Any]:
    """Return everything that was measured, and where."""
    cases = [asdict(case) | {"rounds": [asdict(each)["looks"] for each in taken]} for case, taken in measured.items()]
    return {"machine": machine(), "changes": CHANGES, "cases": cases}
