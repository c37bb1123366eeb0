"""The change log in SQL: one order of what happened, behind everything that tells others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import insert, literal, text

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

    async def _write(self, rows: list[dict[str, object]]) -> None:
        transaction = literal(0) if self.database.is_sqlite else text("pg_current_xact_id()::text::bigint")
        await self.run(insert(CHANGES).values(app_id=self.app_id, transaction=transaction), rows)
