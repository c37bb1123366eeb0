"""The change log in SQL: one order of what happened, behind everything that tells others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select, text

from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from storage.insertion import Insertion, Into
from storage.models import ChangeRow
from storage.repository import Repository, table_of

CHANGES = table_of(ChangeRow)
_GIVEN = tuple(column.name for column in CHANGES.c if column.name != "transaction")
_IN_SQLITE = Into(CHANGES, _GIVEN, (("transaction", "0"),))
_IN_POSTGRES = Into(CHANGES, _GIVEN, (("transaction", "pg_current_xact_id()::text::bigint"),))


class Operation(StrEnum):
    """What happened to it."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class ChangeRepository(Repository):
    """The change log of one app."""

    def created(self, events: Iterable[tuple[Event, str]]) -> Insertion:
        """Return that events were created, and by whom, as rows to be stored with them."""
        return self._entries((event, Operation.CREATED, origin) for event, origin in events)

    async def note_events(self, events: Iterable[Event], operation: Operation, origin: str) -> None:
        """Note what happened to events, in the transaction in which it happens."""
        await self.store(self._entries((event, operation, origin) for event in events))

    async def note(self, kind: str, subject_id: UUID, operation: Operation, *, origin: str, at: datetime) -> None:
        """Note what happened to something that is not an event."""
        calendar_id = subject_id if kind == "calendar" else None
        row = {"id": uuid7(), "kind": kind, "subject_id": subject_id, "calendar_id": calendar_id, "version": 0}
        await self.store(self._written([row | {"operation": operation, "origin": origin, "at": at}]))

    def _entries(self, what: Iterable[tuple[Event, Operation, str]]) -> Insertion:
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
            for event, operation, origin in what
        ]
        return self._written(rows)

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

    def _written(self, rows: list[dict[str, object]]) -> Insertion:
        for row in rows:
            row["app_id"] = self.app_id
        return Insertion(_IN_SQLITE if self.database.is_sqlite else _IN_POSTGRES, rows)
