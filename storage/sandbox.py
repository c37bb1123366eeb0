"""What the sandbox provider remembers, in SQL. It is a provider's memory, not ours: nothing else here reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy import select

from kalends.domain.sync import SandboxCopy
from storage.models import SandboxAccountRow, SandboxEventRow
from storage.repository import Repository, table_of

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
        statement = self.insert(ACCOUNTS).values(app_id=self.app_id, account_id=account_id, faults=faults)
        await self.run(
            statement.on_conflict_do_update(index_elements=["app_id", "account_id"], set_={"faults": faults})
        )

    async def find(self, account_id: UUID, remote_id: str, *, lock: bool = False) -> SandboxCopy | None:
        """Return a copy, a deleted one too."""
        query = select(COPIES).where(
            *self.mine(COPIES), COPIES.c.account_id == account_id, COPIES.c.remote_id == remote_id
        )
        row = await self.one(query.with_for_update() if lock else query)
        if row is None:
            return None
        return SandboxCopy(row.account_id, row.calendar, row.remote_id, row.revision, row.deleted, row.body, row.calls)

    async def put(self, copy: SandboxCopy) -> None:
        """Store a copy in place of its former state."""
        row = {each.name: getattr(copy, each.name) for each in fields(copy)}
        await self.run(
            self.insert(COPIES)
            .values(row | {"app_id": self.app_id})
            .on_conflict_do_update(index_elements=["app_id", "account_id", "remote_id"], set_=row)
        )
