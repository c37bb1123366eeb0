"""Sources and channels in SQL: how far we have read at a provider, and how it calls us."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from kalends.domain.sync import Source
from storage.repository import Repository, table_of
from storage.secrets import SecretLost
from storage.sync_models import ChannelRow, SourceRow

SOURCES = table_of(SourceRow)
CHANNELS = table_of(ChannelRow)
TOKEN = "sync token"  # noqa: S105  the use that a sealed value is bound to
MAX_ERROR = 1024


class SourceRepository(Repository):
    """The sources of one app's calendars."""

    async def open(self, calendar_id: UUID, *, empty: datetime | None = None, made_read_only: bool = False) -> None:
        """Begin to read a calendar, from the start, now; one that is read already begins anew.

        `empty` is since when there surely is nothing: what is written here needs not wait for the first round.
        `made_read_only` says that the calendar has become read-only by it.
        """
        row: dict[str, Any] = {"token": None, "due_at": self.database.now(), "failures": 0, "last_error": None}
        row |= {"broken": [], "held": 0, "allowed": 0, "gone": None, "full_at": empty}
        row |= {"made_read_only": made_read_only}
        statement = self.insert(SOURCES).values(row | {"app_id": self.app_id, "calendar_id": calendar_id})
        await self.run(statement.on_conflict_do_update(index_elements=["app_id", "calendar_id"], set_=row))

    async def close(self, calendar_id: UUID) -> None:
        """Read a calendar no more."""
        await self.run(delete(SOURCES).where(*self.mine(SOURCES), SOURCES.c.calendar_id == calendar_id))

    async def many(self, calendar_ids: Collection[UUID]) -> dict[UUID, Source]:
        """Return the sources of those calendars that have one, without their tokens."""
        query = select(SOURCES).where(*self.mine(SOURCES), SOURCES.c.calendar_id.in_(calendar_ids))
        return {row.calendar_id: _source(row) for row in await self.rows(query)}

    async def due(self, calendar_id: UUID) -> Source | None:
        """Return a calendar's source where it is to be read now. A token that cannot be opened is none."""
        query = select(SOURCES).where(
            *self.mine(SOURCES), SOURCES.c.calendar_id == calendar_id, SOURCES.c.due_at <= self.database.now()
        )
        row = await self.one(query)
        if row is None:
            return None
        token = None
        if row.token is not None:
            with suppress(SecretLost):
                plain = self.database.vault.open(row.token, app_id=self.app_id, owner=calendar_id, kind=TOKEN)
                token = plain.decode()
        return _source(row, token)

    async def hasten(self, calendar_id: UUID) -> bool:
        """Ask for a look now; tell whether there is anything to look at."""
        return bool(await self._set(calendar_id, due_at=self.database.now()))

    async def has_read(
        self,
        calendar_id: UUID,
        at: datetime,
        *,
        token: str | None,
        again_in: timedelta,
        whole: bool,
        broken: Sequence[tuple[str, str]],
    ) -> None:
        """Note that a round has been read to its end. Without a key to seal with, the next one reads everything."""
        sealed = None
        if token is not None and self.database.vault.usable:
            sealed = self.database.vault.seal(token.encode(), app_id=self.app_id, owner=calendar_id, kind=TOKEN)
        values: dict[str, Any] = {"full_at": at} if whole else {}
        await self._set(
            calendar_id,
            token=sealed,
            due_at=self.database.now(again_in),
            synced_at=at,
            failures=0,
            last_error=None,
            broken=[list(each) for each in broken],
            held=0,
            allowed=0,
            gone=None,
            **values,
        )

    async def has_held(self, calendar_id: UUID, deletions: int, *, again_in: timedelta) -> None:
        """Note that so many deletions wait for a person; the round is read again from where it began."""
        await self._set(
            calendar_id, held=deletions, due_at=self.database.now(again_in), failures=0, last_error=None, gone=None
        )

    async def has_failed(self, calendar_id: UUID, error: str, *, again_in: timedelta) -> None:
        """Note that a round could not be read to its end."""
        await self._set(
            calendar_id,
            failures=SOURCES.c.failures + 1,
            last_error=error[:MAX_ERROR],
            due_at=self.database.now(again_in),
        )

    async def is_gone(self, calendar_id: UUID, error: str, at: datetime, *, again_in: timedelta) -> None:
        """Note that the provider has no such calendar."""
        query = update(SOURCES).where(*self.mine(SOURCES), SOURCES.c.calendar_id == calendar_id)
        await self.run(query.where(SOURCES.c.gone.is_(None)).values(gone=at))
        await self.has_failed(calendar_id, error, again_in=again_in)

    async def allow(self, calendar_id: UUID, deletions: int) -> None:
        """Let so many deletions through, and read now."""
        await self._set(calendar_id, allowed=deletions, held=0, due_at=self.database.now())

    async def reseal(self, calendar_id: UUID) -> bool:
        """Seal a token with the first key; tell whether it was sealed with another."""
        row = await self.one(
            select(SOURCES.c.token).where(*self.mine(SOURCES), SOURCES.c.calendar_id == calendar_id).with_for_update()
        )
        if row is None or row.token is None or not self.database.vault.is_old(row.token):
            return False
        plain = self.database.vault.open(row.token, app_id=self.app_id, owner=calendar_id, kind=TOKEN)
        sealed = self.database.vault.seal(plain, app_id=self.app_id, owner=calendar_id, kind=TOKEN)
        await self._set(calendar_id, token=sealed)
        return True

    async def all_ids(self) -> list[UUID]:
        """Return the calendars that are read."""
        return [row.calendar_id for row in await self.rows(select(SOURCES.c.calendar_id).where(*self.mine(SOURCES)))]

    async def _set(self, calendar_id: UUID, **values: Any) -> int:
        return await self.run(
            update(SOURCES).where(*self.mine(SOURCES), SOURCES.c.calendar_id == calendar_id).values(**values)
        )


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """A channel that is open: only who knows the secret may speak on it."""

    id: UUID
    calendar_id: UUID
    remote_id: str
    secret_hash: bytes
    expires_at: datetime
    renew_at: datetime


class ChannelRepository(Repository):
    """The channels of one app's calendars."""

    async def add(self, channel: OpenChannel) -> None:
        """Store a channel that was opened."""
        row = {name: getattr(channel, name) for name in OpenChannel.__slots__}
        await self.run(insert(CHANNELS).values(row | {"app_id": self.app_id}))

    async def get(self, channel_id: UUID) -> OpenChannel | None:
        """Return a channel."""
        row = await self.one(select(CHANNELS).where(*self.mine(CHANNELS), CHANNELS.c.id == channel_id))
        return None if row is None else _channel(row)

    async def of(self, calendar_ids: Collection[UUID]) -> list[OpenChannel]:
        """Return the channels of calendars, the newest last."""
        query = select(CHANNELS).where(*self.mine(CHANNELS), CHANNELS.c.calendar_id.in_(calendar_ids))
        return [_channel(row) for row in await self.rows(query.order_by(CHANNELS.c.expires_at, CHANNELS.c.id))]

    async def prolong(self, channel_id: UUID, *, expires_at: datetime, renew_at: datetime) -> None:
        """Note that a channel was renewed, or must be."""
        await self.run(
            update(CHANNELS)
            .where(*self.mine(CHANNELS), CHANNELS.c.id == channel_id)
            .values(expires_at=expires_at, renew_at=renew_at)
        )

    async def forget_calendar(self, calendar_id: UUID) -> None:
        """Forget the channels of a calendar."""
        await self.run(delete(CHANNELS).where(*self.mine(CHANNELS), CHANNELS.c.calendar_id == calendar_id))

    async def remove(self, channel_id: UUID) -> None:
        """Forget a channel."""
        await self.run(delete(CHANNELS).where(*self.mine(CHANNELS), CHANNELS.c.id == channel_id))


def _source(row: Any, token: str | None = None) -> Source:
    return Source(
        calendar_id=row.calendar_id,
        token=token,
        due_at=row.due_at,
        synced_at=row.synced_at,
        full_at=row.full_at,
        failures=row.failures,
        last_error=row.last_error,
        broken=tuple((name, reason) for name, reason in row.broken),
        held=row.held,
        allowed=row.allowed,
        gone=row.gone,
        made_read_only=row.made_read_only,
    )


def _channel(row: Any) -> OpenChannel:
    return OpenChannel(**{name: getattr(row, name) for name in OpenChannel.__slots__})
