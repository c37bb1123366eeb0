"""The change log in SQL: one order of what happened, behind everything that tells others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, insert, literal, select, text

from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from storage.models import ChangeRow
from storage.repository import Repository, table_of

CHANGES = table_of(ChangeRow)


class Operation(StrEnum):
    """What happened to it."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class ChangeRepository(Repository):
    """The change log of one app."""

    async def note_events(self, events: Iterable[Event], operation: Operation, origin: str) -> None:
        """Note what happened to events, in the transaction in which it happens."""
        rows = [
            {
                "id": uuid7(),
                "kind": "event",
                "subject_id": event.id,
                "calendar_id": event.calendar_id,
                "version": event.version,
                "operation": operation,
                "origin": origin,
                "at": event.updated_at,
            }
            for event in events
        ]
        await self._write(rows)

    async def note(self, kind: str, subject_id: UUID, operation: Operation, *, origin: str, at: datetime) -> None:
        """Note what happened to something that is not an event."""
        calendar_id = subject_id if kind == "calendar" else None
        row = {"id": uuid7(), "kind": kind, "subject_id": subject_id, "calendar_id": calendar_id, "version": 0}
        await self._write([row | {"operation": operation, "origin": origin, "at": at}])

    async def position(self, calendar_id: UUID) -> str | None:
        """Return a name of what has happened in a calendar so far, None for nothing; no two states share one.

        On PostgreSQL a change may become visible before an earlier one. Those that an earlier one may still come to lie
        before are counted: their number only grows.
        """
        here = (*self.mine(CHANGES), CHANGES.c.calendar_id == calendar_id)
        latest = select(CHANGES.c.transaction, CHANGES.c.id).where(*here)
        latest = latest.order_by(CHANGES.c.transaction.desc(), CHANGES.c.id.desc()).limit(1)
        if self.database.is_sqlite:
            row = await self.one(latest)
            return None if row is None else f"{row.transaction} {row.id}"
        oldest_running = text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        settled = await self.one(latest.where(CHANGES.c.transaction < oldest_running))
        moving = select(func.count()).select_from(CHANGES).where(*here, CHANGES.c.transaction >= oldest_running)
        count = (await self.rows(moving))[0][0]
        told = "" if settled is None else f"{settled.transaction} {settled.id}"
        return f"{told} {count}" if told or count else None

    async def _write(self, rows: list[dict[str, object]]) -> None:
        transaction = literal(0) if self.database.is_sqlite else text("pg_current_xact_id()::text::bigint")
        await self.run(insert(CHANGES).values(app_id=self.app_id, transaction=transaction), rows)
