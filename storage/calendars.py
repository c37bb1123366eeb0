"""Resources and calendars in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, bindparam, delete, func, insert, select, update

from kalends.domain.calendars import Calendar, Freshness, Resource, ResourceKind, StalePolicy
from kalends.domain.errors import NotFound, Refused
from storage.accounts import ACCOUNTS
from storage.models import CalendarRow, ResourceRow
from storage.repository import Repository, one_of, table_of
from storage.sources import SOURCES

RESOURCES = table_of(ResourceRow)
CALENDARS = table_of(CalendarRow)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BookedCalendar:
    """A calendar about to be written to, held to the end of the transaction, with its owner's address.

    It is the account's where there is one: the provider knows its owner by that.
    """

    calendar: Calendar
    owner: str | None


class ResourceRepository(Repository):
    """The resources of one app."""

    async def add(self, resource: Resource) -> None:
        """Store a new resource."""
        await self.run(insert(RESOURCES).values(self._row(resource)))

    async def save(self, resource: Resource) -> None:
        """Store a changed resource."""
        await self.run(
            update(RESOURCES).where(*self.mine(RESOURCES), RESOURCES.c.id == resource.id).values(self._row(resource))
        )

    async def get(self, resource_id: UUID) -> Resource:
        """Return a resource, held to the end of a writing transaction; raise `Refused` where there is none."""
        row = await self.lock(RESOURCES, resource_id)
        if row is None:
            raise Refused(NotFound(path=("id",), message="There is no such resource."))
        return _resource(row)

    async def many(self, ids: Sequence[UUID]) -> list[Resource]:
        """Return those that exist, in no particular order."""
        query = select(RESOURCES).where(*self.mine(RESOURCES), RESOURCES.c.id.in_(ids))
        return [_resource(row) for row in await self.rows(query)]

    async def page(self, *, limit: int, after: UUID | None) -> list[Resource]:
        """Return a page in order of id, which is the order of creation."""
        query = select(RESOURCES).where(*self.mine(RESOURCES)).order_by(RESOURCES.c.id).limit(limit)
        if after is not None:
            query = query.where(RESOURCES.c.id > after)
        return [_resource(row) for row in await self.rows(query)]

    async def remove(self, resource_id: UUID) -> None:
        """Delete a resource that no calendar and no account belongs to."""
        await self.run(delete(RESOURCES).where(*self.mine(RESOURCES), RESOURCES.c.id == resource_id))

    def _row(self, resource: Resource) -> dict[str, Any]:
        row = asdict(resource) | {"app_id": self.app_id}
        row["meta"] = row.pop("metadata")
        return row


class CalendarRepository(Repository):
    """The calendars of one app."""

    async def add(self, calendar: Calendar) -> None:
        """Store a new calendar."""
        await self.run(insert(CALENDARS).values(self._row(calendar)))

    async def save(self, calendar: Calendar) -> None:
        """Store a changed calendar."""
        await self.run(
            update(CALENDARS).where(*self.mine(CALENDARS), CALENDARS.c.id == calendar.id).values(self._row(calendar))
        )

    async def get(self, calendar_id: UUID) -> Calendar:
        """Return a calendar, held to the end of a writing transaction; raise `Refused` where there is none."""
        row = await self.lock(CALENDARS, calendar_id)
        if row is None:
            raise _no_calendar("id")
        return _calendar(row)

    async def book(self, ids: Sequence[UUID], *, alone: bool) -> dict[UUID, BookedCalendar]:
        """Hold calendars to the end of the transaction, in id order, and return those that exist.

        `alone` is the lock under which time is booked: two bookers of one calendar wait for each other. Without it
        writers share the row, and only wait for somebody who changes the calendar itself.
        """
        query = _booking(alone=alone, sqlite=self.database.is_sqlite)
        rows = await self.rows(query, {"app": self.app_id, "ids": list(ids)})
        return {row.id: BookedCalendar(_calendar(row), row.owner) for row in rows}

    async def many(self, ids: Collection[UUID]) -> list[Calendar]:
        """Return those that exist, in no particular order."""
        query = select(CALENDARS).where(*self.mine(CALENDARS), CALENDARS.c.id.in_(ids))
        return [_calendar(row) for row in await self.rows(query)]

    async def page(self, *, limit: int, after: UUID | None, resource_id: UUID | None, archived: bool) -> list[Calendar]:
        """Return a page in order of id, which is the order of creation."""
        query = select(CALENDARS).where(*self.mine(CALENDARS)).order_by(CALENDARS.c.id).limit(limit)
        if after is not None:
            query = query.where(CALENDARS.c.id > after)
        if resource_id is not None:
            query = query.where(CALENDARS.c.resource_id == resource_id)
        if not archived:
            query = query.where(CALENDARS.c.archived_at.is_(None))
        return [_calendar(row) for row in await self.rows(query)]

    async def of_resources(self, ids: Collection[UUID]) -> list[Calendar]:
        """Return the calendars that are not archived of several resources, in order of id."""
        query = (
            select(CALENDARS)
            .where(*self.mine(CALENDARS), CALENDARS.c.resource_id.in_(ids), CALENDARS.c.archived_at.is_(None))
            .order_by(CALENDARS.c.id)
        )
        return [_calendar(row) for row in await self.rows(query)]

    async def of_accounts(self, ids: Collection[UUID]) -> list[Calendar]:
        """Return the calendars of several accounts, archived ones too, in order of id."""
        query = select(CALENDARS).where(*self.mine(CALENDARS), CALENDARS.c.account_id.in_(ids))
        return [_calendar(row) for row in await self.rows(query.order_by(CALENDARS.c.id))]

    async def freshness(
        self, *, calendar_ids: Collection[UUID] = (), resource_ids: Collection[UUID] = ()
    ) -> list[Freshness]:
        """Return how old what we know of calendars is: of these, and of those of resources that are not archived.

        In order of id; a calendar that is named twice comes once.
        """
        found: dict[UUID, Freshness] = {}
        for query, ids in ((_OF_CALENDARS, calendar_ids), (_OF_RESOURCES, resource_ids)):
            if ids:
                rows = await self.rows(query, {"app": self.app_id, "ids": list(ids)})
                found |= {row.id: _freshness(row) for row in rows}
        return [found[each] for each in sorted(found)]

    async def count_of(self, resource_id: UUID) -> int:
        """Return how many calendars belong to a resource, archived ones too."""
        query = select(func.count()).where(*self.mine(CALENDARS), CALENDARS.c.resource_id == resource_id)
        return int((await self.rows(query))[0][0])

    async def remove(self, calendar_id: UUID) -> None:
        """Delete a calendar that holds no event and no tombstone."""
        await self.run(delete(CALENDARS).where(*self.mine(CALENDARS), CALENDARS.c.id == calendar_id))

    def _row(self, calendar: Calendar) -> dict[str, Any]:
        row = asdict(calendar) | {"app_id": self.app_id, "stale_after": calendar.stale_after // SECOND}
        row["meta"] = row.pop("metadata")
        return row


# Built once: to build it takes longer than to answer it.
_FRESHNESS = (
    select(
        CALENDARS.c.id,
        CALENDARS.c.resource_id,
        CALENDARS.c.stale_policy,
        CALENDARS.c.stale_after,
        SOURCES.c.calendar_id.label("source"),
        SOURCES.c.synced_at,
        SOURCES.c.full_at,
    )
    .outerjoin(SOURCES, (SOURCES.c.app_id == CALENDARS.c.app_id) & (SOURCES.c.calendar_id == CALENDARS.c.id))
    .where(CALENDARS.c.app_id == bindparam("app", type_=Uuid()))
)
_IDS = bindparam("ids", type_=Uuid(), expanding=True)
_OF_CALENDARS = _FRESHNESS.where(CALENDARS.c.id.in_(_IDS))
_OF_RESOURCES = _FRESHNESS.where(CALENDARS.c.resource_id.in_(_IDS), CALENDARS.c.archived_at.is_(None))


def _freshness(row: Any) -> Freshness:
    # Since it was opened it may not have been read whole: then what an earlier source has left is no knowledge.
    known = None if row.full_at is None else max(row.synced_at or row.full_at, row.full_at)
    return Freshness(
        calendar_id=row.id,
        resource_id=row.resource_id,
        policy=StalePolicy(row.stale_policy),
        after=row.stale_after * SECOND,
        sourced=row.source is not None,
        synced_at=known,
    )


@cache
def _booking(*, alone: bool, sqlite: bool) -> Select[Any]:
    return (
        select(CALENDARS, func.coalesce(ACCOUNTS.c.address, RESOURCES.c.email).label("owner"))
        .outerjoin(
            RESOURCES,
            (RESOURCES.c.app_id == CALENDARS.c.app_id) & (RESOURCES.c.id == CALENDARS.c.resource_id),
        )
        .outerjoin(ACCOUNTS, (ACCOUNTS.c.app_id == CALENDARS.c.app_id) & (ACCOUNTS.c.id == CALENDARS.c.account_id))
        .where(CALENDARS.c.app_id == bindparam("app"), one_of(CALENDARS.c.id, "ids", sqlite=sqlite))
        .order_by(CALENDARS.c.id)
        .with_for_update(read=not alone, of=CALENDARS)
    )


def _no_calendar(*path: str) -> Refused:
    return Refused(NotFound(path=path, message="There is no such calendar."))


def _resource(row: Any) -> Resource:
    return Resource(
        id=row.id,
        name=row.name,
        kind=ResourceKind(row.kind),
        email=row.email,
        tzid=row.tzid,
        created_at=row.created_at,
        updated_at=row.updated_at,
        metadata=row.meta,
    )


def _calendar(row: Any) -> Calendar:
    return Calendar(
        id=row.id,
        resource_id=row.resource_id,
        name=row.name,
        description=row.description,
        tzid=row.tzid,
        provider=row.provider,
        account_id=row.account_id,
        remote_id=row.remote_id,
        read_only=row.read_only,
        archived_at=row.archived_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        metadata=row.meta,
        stale_policy=StalePolicy(row.stale_policy),
        stale_after=row.stale_after * SECOND,
    )
