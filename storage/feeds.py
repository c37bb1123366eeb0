"""Feeds in SQL: which calendars are published as files, and what opens each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select

from storage.models import FeedRow
from storage.repository import Repository, table_of

FEEDS = table_of(FeedRow)


class FeedRepository(Repository):
    """The published calendars of one app."""

    async def open(self, calendar_id: UUID, secret_hash: bytes, at: datetime) -> None:
        """Publish a calendar; what has opened it before does not any more."""
        row = {"app_id": self.app_id, "calendar_id": calendar_id}
        values = {"secret_hash": secret_hash, "published_at": at}
        statement = self.insert(FEEDS).values(row | values)
        await self.run(statement.on_conflict_do_update(index_elements=["app_id", "calendar_id"], set_=values))

    async def close(self, calendar_id: UUID) -> bool:
        """Publish a calendar no longer; tell whether it was published."""
        return bool(await self.run(delete(FEEDS).where(*self.mine(FEEDS), FEEDS.c.calendar_id == calendar_id)))

    async def secret_hash(self, calendar_id: UUID) -> bytes | None:
        """Return the hash of what opens a calendar, None for one that is not published."""
        query = select(FEEDS.c.secret_hash).where(*self.mine(FEEDS), FEEDS.c.calendar_id == calendar_id)
        row = await self.one(query)
        return None if row is None else bytes(row.secret_hash)

    async def many(self, ids: Collection[UUID]) -> dict[UUID, datetime]:
        """Return since when calendars are published, of those that are."""
        query = select(FEEDS.c.calendar_id, FEEDS.c.published_at).where(*self.mine(FEEDS), FEEDS.c.calendar_id.in_(ids))
        return {row.calendar_id: row.published_at for row in await self.rows(query)}
