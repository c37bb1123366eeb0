"""What contestants stand on: a folder, a PostgreSQL server, and databases that Kalends prepared.

Every turn gets a fresh copy of a database, so that no turn inherits another's rows, bloat or backlog.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request, urlopen

from bench.calendars import CALENDARS
from bench.postgres import Cluster, postgresql
from bench.processes import Failed, environment, free_port, output_of, server

Dialect = Literal["sqlite", "postgresql"]
KALENDS = str(Path(sys.executable).with_name("kalends"))


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: the same for every contestant."""

    seconds: float
    warm_up: float
    connections: int
    rate: float | None
    """Requests that become due per second; None to send the next one when the last was answered."""
    profile: Path | None = None
    """Where a profile of the server goes, if one is wanted."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A migrated database to copy, with an app, its key, and calendars by provider."""

    source: str
    app: str
    token: str
    calendars: dict[str, list[str]]


class Stage:
    """One run of the bench."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._seeds: dict[Dialect, Seed] = {}

    @cached_property
    def cluster(self) -> Cluster:
        """The PostgreSQL server, started for the first contestant that needs it."""
        return self._stack.enter_context(postgresql(self.folder))

    def seed(self, dialect: Dialect) -> Seed:
        """Return the database that Kalends' contestants copy."""
        if dialect not in self._seeds:
            self._seeds[dialect] = self._sow(dialect)
        return self._seeds[dialect]

    @contextmanager
    def database(self, dialect: Dialect, source: str | None = None) -> Iterator[str]:
        """Make a database, empty or a copy of another, yield its name or file, and remove it."""
        if dialect == "postgresql":
            name = self.cluster.create(source or "template1")
            try:
                yield name
            finally:
                self.cluster.drop(name)
            return
        with self.scratch() as folder:
            file = folder / "kalends.sqlite3"
            if source:
                shutil.copy(source, file)
            yield str(file)

    def url(self, dialect: Dialect, name: str) -> str:
        """Return a database's URL."""
        return self.cluster.url(name) if dialect == "postgresql" else f"sqlite:///{name}"

    def events_in(self, dialect: Dialect, name: str, title: str | None = None) -> int:
        """Count what was stored, all of it or what has a title."""
        count = "SELECT count(*) FROM event" + (f" WHERE summary = '{title}'" if title else "")
        if dialect == "postgresql":
            return int(self.cluster.run(count, database=name))
        with closing(sqlite3.connect(name)) as connection:
            return int(connection.execute(count).fetchone()[0])

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Make an empty folder and remove it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    def _sow(self, dialect: Dialect) -> Seed:
        """Migrate a database and fill it, all from outside: by the command line and the API."""
        name = self.cluster.create() if dialect == "postgresql" else str(self.folder / "seed.sqlite3")
        env = environment(KALENDS_DATABASE_URL=self.url(dialect, name), KALENDS_WORKER="false")
        output_of([KALENDS, "migrate"], self.folder, env)
        made = json.loads(output_of([KALENDS, "app", "create", "Bench", "--json"], self.folder, env))
        port = free_port()
        with server([KALENDS, "serve", "--port", str(port)], port, self.folder, env):
            calendars = {
                provider: [_create_calendar(port, made["token"], provider) for _ in range(CALENDARS)]
                for provider in ("local", "sandbox")
            }
        return Seed(name, made["app"], made["token"], calendars)


def _create_calendar(port: int, token: str, provider: str) -> str:
    query = "mutation($input: CreateCalendarInput!) { createCalendar(input: $input) { calendar { id } } }"
    body = {"query": query, "variables": {"input": {"name": "Bench", "provider": provider}}}
    request = Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    try:
        return str(answer["data"]["createCalendar"]["calendar"]["id"])
    except (KeyError, TypeError):
        raise Failed(f"no calendar was created: {answer}") from None
