"""One scenario's database, read from outside, as its operator could."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Row, Table, exc, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database
from storage.idempotency import KEYS_USED
from storage.links import LINKS
from storage.models import EventRow
from storage.outbox import INTENTS, LANES
from storage.repository import table_of
from storage.sync_models import ChannelRow, SourceRow

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = 60.0  # seconds for a database that is restarted
EVENTS, SOURCES, CHANNELS = table_of(EventRow), table_of(SourceRow), table_of(ChannelRow)


@dataclass(frozen=True)
class Rows:
    """Everything that the judgement reads."""

    events: Sequence[Row[Any]]
    links: Sequence[Row[Any]]
    intents: Sequence[Row[Any]]
    sources: Sequence[Row[Any]]
    keys: Sequence[Row[Any]]


def patient(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Read again where the database is restarted in the middle."""

    @wraps(read)
    async def again(*arguments: P.args, **named: P.kwargs) -> T:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await read(*arguments, **named)
                except (exc.DBAPIError, exc.TimeoutError, OSError):
                    await asyncio.sleep(0.2)

    return again


class Observer:
    """Reads, and writes nothing."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, pool_size=2)

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()

    @patient
    async def waiting(self) -> int:
        """Return how many events still have to reach their provider, without dead letters and conflicts."""
        async with self.database.reader.connect() as connection:
            disputed = select(LINKS.c.event_id).where(LINKS.c.conflict.is_not(None))
            behind = select(LINKS.c.event_id).where(LINKS.c.pushed_version < LINKS.c.local_version)
            due = select(INTENTS.c.event_id).where(INTENTS.c.due_at.is_not(None))
            dead = select(INTENTS.c.event_id).where(INTENTS.c.due_at.is_(None))
            lost = behind.where(LINKS.c.event_id.not_in(dead), LINKS.c.event_id.not_in(disputed))
            return int(
                (await connection.execute(select(func.count()).select_from(lost.union(due).subquery()))).scalar_one()
            )

    @patient
    async def pending(self, calendars: Collection[str]) -> list[str]:
        """Return the events, not deleted, in these calendars that still have to reach their provider."""
        ours = LINKS.join(EVENTS, (EVENTS.c.app_id == LINKS.c.app_id) & (EVENTS.c.id == LINKS.c.event_id))
        query = select(LINKS.c.event_id, LINKS.c.calendar_id, LINKS.c.conflict).select_from(ours)
        query = query.where(LINKS.c.pushed_version < LINKS.c.local_version, EVENTS.c.deleted_at.is_(None))
        async with self.database.reader.connect() as connection:
            rows = await connection.execute(query)
            return [str(row.event_id) for row in rows if row.conflict is None and str(row.calendar_id) in calendars]

    @patient
    async def disputed(self) -> list[tuple[str, str]]:
        """Return the events whose conflict waits for somebody, each after its calendar."""
        async with self.database.reader.connect() as connection:
            rows = await connection.execute(select(LINKS.c.calendar_id, LINKS.c.event_id, LINKS.c.conflict))
            return [(str(row.calendar_id), str(row.event_id)) for row in rows if row.conflict is not None]

    @patient
    async def held(self) -> list[tuple[str, int]]:
        """Return the calendars in which deletions wait for somebody, and how many."""
        async with self.database.reader.connect() as connection:
            rows = await connection.execute(select(SOURCES).where(SOURCES.c.held > 0))
            return [(str(row.calendar_id), row.held) for row in rows]

    @patient
    async def answered(self, key: str) -> bool:
        """Tell whether every write of the event in whose description a key stands has been answered."""
        async with self.database.reader.connect() as connection:
            ours = LINKS.join(EVENTS, (EVENTS.c.app_id == LINKS.c.app_id) & (EVENTS.c.id == LINKS.c.event_id))
            query = select(LINKS.c.sent, LINKS.c.agreed).select_from(ours)
            rows = (
                await connection.execute(query.where(EVENTS.c.description.endswith(f"[{key}]", autoescape=True)))
            ).all()
            return bool(rows) and all(row.sent is None and row.agreed is not None for row in rows)

    @patient
    async def imported(self, key: str) -> str | None:
        """Return the event of ours in whose description a key stands."""
        async with self.database.reader.connect() as connection:
            where = EVENTS.c.description.endswith(f"[{key}]", autoescape=True)
            row = (await connection.execute(select(EVENTS.c.id).where(where, EVENTS.c.deleted_at.is_(None)))).first()
            return None if row is None else str(row.id)

    @patient
    async def looked_since(self, moment: datetime, calendars: Collection[str] | None = None) -> bool:
        """Tell whether calendars, or all, were read to their end since a moment, or found to wait for somebody."""
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(select(SOURCES))).all()
        rows = [row for row in rows if calendars is None or str(row.calendar_id) in calendars]
        return all(row.held or (row.synced_at is not None and row.synced_at >= moment) for row in rows)

    @patient
    async def channels(self) -> set[str]:
        """Return the calendars about which the provider calls."""
        async with self.database.reader.connect() as connection:
            return {str(row.calendar_id) for row in await connection.execute(select(CHANNELS.c.calendar_id))}

    @patient
    async def leased(self) -> dict[Any, int]:
        """Return the fences of the lanes that somebody holds."""
        held = LANES.c.leased_until > self.database.now()
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(select(LANES.c.calendar_id, LANES.c.fence).where(held))).all()
        return {row.calendar_id: row.fence for row in rows}

    @patient
    async def fences(self) -> dict[Any, int]:
        """Return the fence of every lane."""
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(select(LANES.c.calendar_id, LANES.c.fence))).all()
        return {row.calendar_id: row.fence for row in rows}

    @patient
    async def synced_between(self, calendars: set[str], since: datetime, until: datetime) -> int:
        """Return how many events of these calendars were last in step in a span of time."""
        async with self.database.reader.connect() as connection:
            query = select(LINKS.c.calendar_id).where(LINKS.c.last_synced_at.between(since, until))
            rows = (await connection.execute(query)).all()
        return sum(str(row.calendar_id) in calendars for row in rows)

    @patient
    async def rows(self) -> Rows:
        """Read everything, in one transaction that cannot write."""
        async with self.database.reader.connect() as connection:
            if not self.database.is_sqlite:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            tables = (EVENTS, LINKS, INTENTS, SOURCES, KEYS_USED)
            return Rows(*[await _all(connection, table) for table in tables])


async def _all(connection: AsyncConnection, table: Table) -> Sequence[Row[Any]]:
    return (await connection.execute(select(table))).all()
