"""Idempotency keys in SQL: what a key has already done, in the transaction in which it was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from kalends.domain.errors import KeyReused, Refused
from storage.models import IdempotencyRow
from storage.repository import Repository, table_of

KEYS_USED = table_of(IdempotencyRow)
KEPT = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Claim:
    """One use of a key: who, for which operation, with which request."""

    principal: str
    key: str
    operation: str
    request_hash: bytes


class IdempotencyRepository(Repository):
    """The idempotency keys of one app."""

    async def claim(self, claim: Claim, result: Sequence[UUID], at: datetime) -> list[UUID] | None:
        """Take the key for these results and return None, or return the results of its first use.

        A concurrent use of the same key is waited for: it holds the row until it commits or rolls back.
        Raises `Refused` with KeyReused where the first use was another request.
        """
        fresh = await self.run(
            self.insert(KEYS_USED)
            .values(
                app_id=self.app_id,
                principal=claim.principal,
                key=claim.key,
                operation=claim.operation,
                request_hash=claim.request_hash,
                result=[str(each) for each in result],
                created_at=at,
            )
            .on_conflict_do_nothing()
        )
        if fresh:
            return None
        earlier = await self._replayed(claim)
        return await self.claim(claim, result, at) if earlier is None else earlier  # it was swept in between

    async def _replayed(self, claim: Claim) -> list[UUID] | None:
        row = await self.one(
            select(KEYS_USED).where(
                *self.mine(KEYS_USED), KEYS_USED.c.principal == claim.principal, KEYS_USED.c.key == claim.key
            )
        )
        if row is None:
            return None
        if (row.operation, bytes(row.request_hash)) != (claim.operation, claim.request_hash):
            message = f"This key was used before, for a different request ({row.operation})."
            raise Refused(KeyReused(path=("idempotency_key",), message=message))
        return [UUID(each) for each in row.result]
