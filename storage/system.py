"""What no single app can do: open the door, hand out lanes, sweep. On PostgreSQL it has a role that sees no event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from kalends.domain.access import ApiKey, App
from kalends.domain.calendars import AccountState
from kalends.domain.ids import uuid7
from kalends.domain.sync import Lane
from kalends.domain.time import zone_data_version
from storage.access import APPS, KEYS, read_key
from storage.accounts import ACCOUNTS, CONSENTS
from storage.engine import Database
from storage.idempotency import KEPT, KEYS_USED
from storage.links import LINKS
from storage.occurrences import SERIES
from storage.outbox import INTENTS, LANES, decision_over, in_company, read_lane
from storage.sources import SOURCES

SWEPT_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for providers, over all apps."""

    waiting: int
    dead: int


class SystemUnit:
    """One transaction outside every app."""

    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._database = database
        self._connection = connection

    async def add_app(self, app: App) -> None:
        """Store a new app."""
        await self._run(
            insert(APPS).values(id=app.id, name=app.name, created_at=app.created_at, zone_data=zone_data_version())
        )

    async def apps(self) -> list[App]:
        """Return every app, oldest first."""
        return [App(row.id, row.name, row.created_at) for row in await self._rows(select(APPS).order_by(APPS.c.id))]

    async def apps_behind(self, release: str) -> list[UUID]:
        """Return the apps whose instants were computed by an older release of the zones' data."""
        query = select(APPS.c.id).where(APPS.c.zone_data.is_(None) | (APPS.c.zone_data < release))
        return [row.id for row in await self._rows(query.order_by(APPS.c.id))]

    async def key(self, key_id: UUID) -> ApiKey | None:
        """Find a key, of whichever app, to see who knocks."""
        rows = await self._rows(select(KEYS).where(KEYS.c.id == key_id))
        return read_key(rows[0]) if rows else None

    async def take_lanes(self, at_most: int, lease: timedelta) -> list[Lane]:
        """Lease lanes that are due, free, and whose account may be asked; longest due first.

        Of an account's lanes that must be worked alone, one at a time: another one that is leased keeps them waiting.
        """
        now = self._database.now()
        closed = exists().where(
            ACCOUNTS.c.app_id == LANES.c.app_id,
            ACCOUNTS.c.id == LANES.c.account_id,
            (ACCOUNTS.c.state != AccountState.ACTIVE) | (ACCOUNTS.c.blocked_until > now),
        )
        company = in_company(now)
        due = (
            select(LANES.c.app_id, LANES.c.calendar_id, LANES.c.account_id, LANES.c.alone)
            .where(LANES.c.due_at <= now, LANES.c.leased_until.is_(None) | (LANES.c.leased_until <= now), ~closed)
            .where(~(LANES.c.alone & company))
            .order_by(LANES.c.due_at)
            .limit(at_most)
            .with_for_update(skip_locked=True, of=LANES)
        )
        accounts: set[UUID] = set()
        picked: list[tuple[UUID, UUID]] = []
        for row in await self._rows(due):
            first = row.account_id not in accounts
            accounts.add(row.account_id)
            if not row.alone or (first and await self._decides(row.account_id)):
                picked.append((row.app_id, row.calendar_id))
        if not picked:
            return []
        taken = (
            update(LANES)
            .where(tuple_(LANES.c.app_id, LANES.c.calendar_id).in_(picked))
            .where(~(LANES.c.alone & company))  # again: another may have decided since, and we see it now
            .values(fence=LANES.c.fence + 1, leased_until=self._database.now(lease))
            .returning(LANES)
        )
        return [read_lane(row) for row in await self._rows(taken)]

    async def _decides(self, account_id: UUID) -> bool:
        """Tell, and keep true to the end of the transaction, that nobody else hands out the lanes of an account now."""
        return self._database.is_sqlite or bool((await self._rows(decision_over(account_id)))[0][0])

    async def sweep(self) -> int:
        """Wake what should be awake: links that are behind without an intent, lanes with intents and no date.

        Every such row means a defect or a restored backup; returns how many there were.
        """
        known = exists().where(INTENTS.c.app_id == LINKS.c.app_id, INTENTS.c.event_id == LINKS.c.event_id)
        forgotten = await self._rows(
            select(LINKS.c.app_id, LINKS.c.event_id, LINKS.c.calendar_id)
            .where(LINKS.c.pushed_version < LINKS.c.local_version, ~known)
            .order_by(LINKS.c.app_id, LINKS.c.event_id)  # two sweepers meet in one order, and cannot deadlock
            .limit(SWEPT_AT_ONCE)
        )
        new = sqlite.insert(INTENTS) if self._database.is_sqlite else postgresql.insert(INTENTS)
        for app_id, event_id, calendar_id in forgotten:
            row = {"app_id": app_id, "event_id": event_id, "calendar_id": calendar_id, "position": uuid7()}
            values = row | {"attempts": 0, "due_at": self._database.now()}
            await self._run(new.values(values).on_conflict_do_nothing())
        now = self._database.now()
        waiting = exists().where(
            INTENTS.c.app_id == LANES.c.app_id,
            INTENTS.c.calendar_id == LANES.c.calendar_id,
            INTENTS.c.due_at.is_not(None),
        )
        read = exists().where(SOURCES.c.app_id == LANES.c.app_id, SOURCES.c.calendar_id == LANES.c.calendar_id)
        asleep = await self._run(
            update(LANES)
            .where(
                LANES.c.due_at.is_(None), LANES.c.leased_until.is_(None) | (LANES.c.leased_until <= now), waiting | read
            )
            .values(due_at=now)
        )
        return len(forgotten) + asleep

    async def forget_old_keys(self) -> int:
        """Forget idempotency keys past their time."""
        return await self._run(delete(KEYS_USED).where(KEYS_USED.c.created_at < self._database.now(-KEPT)))

    async def forget_old_consents(self) -> int:
        """Forget who never came back from a provider."""
        return await self._run(delete(CONSENTS).where(CONSENTS.c.expires_at < self._database.now()))

    async def series_to_renew(self, at: datetime, limit: int) -> list[tuple[UUID, UUID]]:
        """Return series at whose occurrences it is time to look again: their apps and events."""
        query = (
            select(SERIES.c.app_id, SERIES.c.event_id)
            .where(SERIES.c.renew_at <= at)
            .order_by(SERIES.c.renew_at)
            .limit(limit)
        )
        return [(row.app_id, row.event_id) for row in await self._rows(query)]

    async def backlog(self) -> Backlog:
        """Count what waits, and what waits for a person."""
        row = (await self._rows(select(func.count(INTENTS.c.due_at), func.count()).select_from(INTENTS)))[0]
        return Backlog(waiting=row[0], dead=row[1] - row[0])

    async def _run(self, statement: Executable) -> int:
        result = await self._database.undisturbed(self._connection.execute(statement))
        return int(getattr(result, "rowcount", 0))

    async def _rows(self, statement: Executable) -> Sequence[Any]:
        return (await self._database.undisturbed(self._connection.execute(statement))).all()
