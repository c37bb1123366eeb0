"""What the sandbox provider remembers, in SQL. It is a provider's memory, not ours: nothing else here reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy import select

from kalends.domain.sync import SandboxCopy
from storage.repository import Repository, table_of
from storage.sync_models import SandboxAccountRow, SandboxEventRow

ACCOUNTS = table_of(SandboxAccountRow)
COPIES = table_of(SandboxEventRow)


class SandboxRepository(Repository):
    """The sandbox provider's memory of one app."""

    async def faults(self, account_id: UUID) -> dict[str, Any]:
        """Return how the provider misbehaves towards an account."""
        row = await self.one(select(ACCOUNTS.c.faults).where(*self.mine(ACCOUNTS), ACCOUNTS.c.account_id == account_id))
        return {} if row is None else dict(row.faults)

    async def set_faults(self, account_id: UUID, faults: dict[str, Any]) -> None:
        """Store how the provider misbehaves towards an account."""
        statement = self.insert(ACCOUNTS).values(app_id=self.app_id, account_id=account_id, faults=faults, position=0)
        await self.run(
            statement.on_conflict_do_update(index_elements=["app_id", "account_id"], set_={"faults": faults})
        )

    async def find(self, account_id: UUID, remote_id: str, *, lock: bool = False) -> SandboxCopy | None:
        """Return a copy, a deleted one too."""
        query = select(COPIES).where(
            *self.mine(COPIES), COPIES.c.account_id == account_id, COPIES.c.remote_id == remote_id
        )
        row = await self.one(query.with_for_update() if lock else query)
        return None if row is None else _copy(row)

    async def put(self, copy: SandboxCopy) -> None:
        """Store a copy in place of its former state, as the account's latest change.

        The account's row is held from here on: positions are given in the order of commits, and no reader misses one.
        """
        place = {"app_id": self.app_id, "account_id": copy.account_id}
        counted = (
            self.insert(ACCOUNTS)
            .values(place | {"faults": {}, "position": 1})
            .on_conflict_do_update(index_elements=["app_id", "account_id"], set_={"position": ACCOUNTS.c.position + 1})
            .returning(ACCOUNTS.c.position)
        )
        position = (await self.rows(counted))[0].position
        row = {each.name: getattr(copy, each.name) for each in fields(copy)} | {"position": position}
        await self.run(
            self.insert(COPIES)
            .values(row | {"app_id": self.app_id})
            .on_conflict_do_update(index_elements=["app_id", "account_id", "remote_id"], set_=row)
        )

    async def since(self, account_id: UUID, calendar: str, position: int, limit: int) -> list[SandboxCopy]:
        """Return the copies of a calendar that changed after a position, in order of their last change."""
        query = (
            select(COPIES)
            .where(*self.mine(COPIES), COPIES.c.account_id == account_id, COPIES.c.calendar == calendar)
            .where(COPIES.c.position > position)
            .order_by(COPIES.c.position)
            .limit(limit)
        )
        return [_copy(row) for row in await self.rows(query)]


def _copy(row: Any) -> SandboxCopy:
    return SandboxCopy(**{each.name: getattr(row, each.name) for each in fields(SandboxCopy)})
