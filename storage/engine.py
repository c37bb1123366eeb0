"""Connections: SQLite embedded by default, PostgreSQL in production."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import BigInteger, event, literal
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.sql.elements import ColumnElement

from storage.secrets import Vault
from storage.types import MICROSECOND, now_in_words, now_plus

T = TypeVar("T")

BUSY_SECONDS = 5
LOCK_MILLISECONDS = 5_000
SWITCHES = 10

# WAL lets readers go on beside the writer; FULL makes an acknowledged commit survive a power cut.
SQLITE_PRAGMAS = {
    "busy_timeout": BUSY_SECONDS * 1000,
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "cache_size": -32_000,  # KiB
    "temp_store": "MEMORY",
}


class Database:
    """The database of one process: an engine for writers, and one for readers, which on PostgreSQL are the same.

    On SQLite a single connection writes; waiting for it is a fair queue in the process, where SQLite's own busy
    handler would only sleep and try again. The `vault` seals what a stolen copy must not tell. `skew` is added to the
    database's clock; only tests set it.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_seconds: float = 5,
        prepared: bool = True,
        vault: Vault | None = None,
    ) -> None:
        self.url = make_url(url)
        self.skew = timedelta()
        self.vault = vault or Vault()
        if self.is_sqlite:
            self._prepare_folder()
            self.writer = _sqlite(self.url, size=1, seconds=pool_seconds, begin="BEGIN IMMEDIATE", pragmas={})
            self.reader = _sqlite(
                self.url, size=pool_size, seconds=pool_seconds, begin="BEGIN", pragmas={"query_only": "ON"}
            )
        else:
            self.writer = self.reader = _postgresql(self.url, pool_size, pool_seconds, prepared=prepared)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is embedded."""
        return self.url.get_backend_name() == "sqlite"

    def now(self, plus: timedelta = timedelta()) -> ColumnElement[Any]:
        """Return SQL for the database's present, plus some time."""
        return now_plus(literal((plus + self.skew) // MICROSECOND, BigInteger))

    @property
    def now_in_words(self) -> str:
        """The database's present, as the text of SQL."""
        return now_in_words(str(self.skew // MICROSECOND), sqlite=self.is_sqlite)

    async def undisturbed(self, work: Awaitable[T]) -> T:
        """Wait for one statement; on SQLite a caller who is cancelled is held up until it has ended.

        Cut off in the middle, it would leave a cursor behind that keeps a closed connection, and with it the lock of
        the only writer, alive (https://www.sqlite.org/c3ref/close.html, on "zombie" connections). asyncpg cancels
        the query in the server, and needs no such care.
        """
        if not self.is_sqlite:
            return await work
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            task.exception()  # noticed, so that nobody reports it as forgotten
            raise

    async def close(self) -> None:
        """Close every connection."""
        await self.writer.dispose()
        if self.reader is not self.writer:
            await self.reader.dispose()

    def _prepare_folder(self) -> None:
        if not self.url.database or ":memory:" in self.url.database:
            raise ValueError("the embedded database is a file: its connections could not share memory")
        Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)


def _sqlite(url: URL, *, size: int, seconds: float, begin: str, pragmas: dict[str, str]) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=seconds,
        json_serializer=_dump,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # what callers wrote has no place in a log
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for name, value in (SQLITE_PRAGMAS | pragmas).items():
            if name == "journal_mode":
                _switch(cursor, str(value))
            else:
                cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _switch(cursor: Any, journal_mode: str) -> None:
    """Set the journal's mode, which a file then keeps.

    Where another process does it to the same new file, SQLite fails without asking its busy handler: a transaction
    that writes does ask it, and so waits for the other.
    """
    for attempt in range(1, SWITCHES + 1):
        try:
            cursor.execute(f"PRAGMA journal_mode = {journal_mode}")
            return
        except sqlite3.OperationalError as error:
            if attempt == SWITCHES or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("ROLLBACK")


def _postgresql(url: URL, size: int, seconds: float, *, prepared: bool) -> AsyncEngine:
    from storage.postgresql import Connection

    # Behind pgbouncer in transaction mode a prepared statement may meet a connection that does not know it.
    options = {} if prepared else {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=size,
        max_overflow=0,
        pool_timeout=seconds,
        pool_pre_ping=False,
        connect_args={"timeout": seconds, "connection_class": Connection, **options},
        json_serializer=_dump,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # what callers wrote has no place in a log
    )


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
