"""Apps and API keys in SQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, or_, select, update

from kalends.domain.access import ApiKey, App, Scope
from kalends.domain.errors import NotFound, Refused
from storage.models import ApiKeyRow, AppRow
from storage.repository import Repository, table_of

APPS = table_of(AppRow)
KEYS = table_of(ApiKeyRow)
TOUCH_EVERY = timedelta(minutes=1)


class KeyRepository(Repository):
    """One app and its keys."""

    async def app(self, *, lock: bool = False) -> App:
        """Return the app itself; raise `Refused` where there is none."""
        query = select(APPS).where(APPS.c.id == self.app_id)
        row = await self.one(query.with_for_update() if lock else query)
        if row is None:
            raise Refused(NotFound(path=("app",), message="There is no such app."))
        return App(row.id, row.name, row.created_at)

    async def compute_by(self, release: str) -> None:
        """Note that the app's instants are computed by this release of the zones' data."""
        await self.run(update(APPS).where(APPS.c.id == self.app_id).values(zone_data=release))

    async def add(self, key: ApiKey) -> None:
        """Store a new key."""
        await self.run(
            insert(KEYS).values(
                app_id=self.app_id,
                id=key.id,
                name=key.name,
                secret_hash=key.secret_hash,
                scopes=sorted(key.scopes),
                created_at=key.created_at,
                expires_at=key.expires_at,
            )
        )

    async def get(self, key_id: UUID) -> ApiKey:
        """Return a key; raise `Refused` where there is none."""
        row = await self.one(select(KEYS).where(*self.mine(KEYS), KEYS.c.id == key_id))
        if row is None:
            raise Refused(NotFound(path=("id",), message="There is no such key."))
        return read_key(row)

    async def all(self) -> list[ApiKey]:
        """Return every key, oldest first."""
        return [read_key(row) for row in await self.rows(select(KEYS).where(*self.mine(KEYS)).order_by(KEYS.c.id))]

    async def revoke(self, key_id: UUID, at: datetime) -> None:
        """Close the door to a key; the first revocation's time stays."""
        await self.run(
            update(KEYS).where(*self.mine(KEYS), KEYS.c.id == key_id, KEYS.c.revoked_at.is_(None)).values(revoked_at=at)
        )

    async def touch(self, key_id: UUID, at: datetime) -> None:
        """Note that a key was used; once a minute is enough."""
        old = or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < at - TOUCH_EVERY)
        await self.run(update(KEYS).where(*self.mine(KEYS), KEYS.c.id == key_id, old).values(last_used_at=at))


def read_key(row: Any) -> ApiKey:
    """Return a row as a key."""
    return ApiKey(
        id=row.id,
        app_id=row.app_id,
        name=row.name,
        secret_hash=row.secret_hash,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
