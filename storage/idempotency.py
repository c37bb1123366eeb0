"""Idempotency keys in SQL: what a key has already done, in the transaction in which it was done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select

from kalends.domain.errors import KeyReused, Refused
from storage.insertion import Insertion, Into
from storage.models import IdempotencyRow
from storage.repository import Repository, one_of, table_of

KEYS_USED = table_of(IdempotencyRow)
_NEW = Into(KEYS_USED, tuple(KEYS_USED.c.keys()), otherwise="ON CONFLICT DO NOTHING")
KEPT = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Claim:
    """One use of a key: who, for which operation, with which request."""

    principal: str
    key: str
    operation: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Use:
    """What a key was used for first, and what came of it."""

    operation: str
    request_hash: bytes
    result: tuple[UUID, ...]

    def answer(self, claim: Claim) -> list[UUID]:
        """Return the results for the same request; raise `Refused` with KeyReused for another one."""
        if (self.operation, self.request_hash) != (claim.operation, claim.request_hash):
            message = f"This key was used before, for a different request ({self.operation})."
            raise Refused(KeyReused(path=("idempotency_key",), message=message))
        return list(self.result)


class IdempotencyRepository(Repository):
    """The idempotency keys of one app."""

    async def uses(self, claims: Collection[Claim]) -> dict[tuple[str, str], Use]:
        """Return what these keys have done already, by principal and key."""
        if not claims:
            return {}
        values = {
            "app": self.app_id,
            "principals": list({each.principal for each in claims}),
            "keys": list({each.key for each in claims}),
        }
        rows = await self.rows(_uses(sqlite=self.database.is_sqlite), values)
        return {(row.principal, row.key): _use(row) for row in rows}

    def new(self, claims: Sequence[tuple[Claim, Sequence[UUID]]], at: datetime) -> Insertion:
        """Return keys and their results as rows to be stored, unless somebody else has used them meanwhile.

        Whoever is about to is waited for, in the order of the keys, so that nobody deadlocks.
        """
        rows = [self._row(claim, result, at) for claim, result in claims]
        return Insertion(_NEW, sorted(rows, key=itemgetter("principal", "key")))

    async def claim(self, claim: Claim, result: Sequence[UUID], at: datetime) -> list[UUID] | None:
        """Take the key for these results and return None, or return the results of its first use.

        A concurrent use of the same key is waited for: it holds the row until it commits or rolls back.
        Raises `Refused` with KeyReused where the first use was another request.
        """
        [fresh] = await self.store(self.new([(claim, result)], at))
        if fresh:
            return None
        earlier = (await self.uses([claim])).get((claim.principal, claim.key))
        return await self.claim(claim, result, at) if earlier is None else earlier.answer(claim)  # None: just swept

    def _row(self, claim: Claim, result: Sequence[UUID], at: datetime) -> dict[str, Any]:
        return asdict(claim) | {"app_id": self.app_id, "result": [str(each) for each in result], "created_at": at}


@cache
def _uses(*, sqlite: bool) -> Select[Any]:
    return select(KEYS_USED).where(
        KEYS_USED.c.app_id == bindparam("app"),
        one_of(KEYS_USED.c.principal, "principals", sqlite=sqlite),
        one_of(KEYS_USED.c.key, "keys", sqlite=sqlite),
    )


def _use(row: Any) -> Use:
    return Use(row.operation, bytes(row.request_hash), tuple(UUID(each) for each in row.result))
