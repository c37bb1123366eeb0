"""Accounts in SQL: what opens them, sealed, and how somebody is on the way to open one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import case, delete, insert, select, type_coerce, update

from kalends.domain.calendars import Account, AccountState
from kalends.domain.errors import NotFound, Refused
from storage.models import AccountRow
from storage.repository import Repository, table_of
from storage.sync_models import ConsentRow
from storage.types import Instant

ACCOUNTS = table_of(AccountRow)
CONSENTS = table_of(ConsentRow)
GRANT, VERIFIER = "grant", "verifier"
MAX_ERROR = 1024


class AccountRepository(Repository):
    """The accounts of one app."""

    async def add(self, account: Account, at: datetime) -> None:
        """Store a new account."""
        row = self._row(account) | {"app_id": self.app_id, "secret": None, "created_at": at, "updated_at": at}
        await self.run(insert(ACCOUNTS).values(row))

    async def get(self, account_id: UUID) -> Account:
        """Return an account, held to the end of a writing transaction; raise `Refused` where there is none."""
        row = await self.lock(ACCOUNTS, account_id)
        if row is None:
            raise Refused(NotFound(path=("account_id",), message="There is no such account."))
        return _account(row)

    async def find(self, *, resource_id: UUID | None, provider: str, subject: str | None = None) -> Account | None:
        """Return a resource's account at a provider; of several, the one that the provider calls so."""
        query = (
            select(ACCOUNTS)
            .where(*self.mine(ACCOUNTS), ACCOUNTS.c.provider == provider)
            .where(ACCOUNTS.c.resource_id.is_not_distinct_from(resource_id))
            .order_by(ACCOUNTS.c.id)
        )
        row = await self.one(query if subject is None else query.where(ACCOUNTS.c.subject == subject))
        return None if row is None else _account(row)

    async def many(self, ids: Collection[UUID]) -> list[Account]:
        """Return those that exist, in no particular order; `blocked_until` only where it still is in the future."""
        query = self._query().where(ACCOUNTS.c.id.in_(ids))
        return [_account(row) for row in await self.rows(query)]

    async def page(self, *, limit: int, after: UUID | None, resource_id: UUID | None) -> list[Account]:
        """Return a page in order of id, which is the order of creation."""
        query = self._query().order_by(ACCOUNTS.c.id).limit(limit)
        if after is not None:
            query = query.where(ACCOUNTS.c.id > after)
        if resource_id is not None:
            query = query.where(ACCOUNTS.c.resource_id == resource_id)
        return [_account(row) for row in await self.rows(query)]

    async def remove_of(self, resource_id: UUID) -> None:
        """Delete the accounts of a resource that has no calendar any more."""
        await self.run(delete(ACCOUNTS).where(*self.mine(ACCOUNTS), ACCOUNTS.c.resource_id == resource_id))

    async def set_state(self, account_id: UUID, state: AccountState, at: datetime, *, error: str | None = None) -> None:
        """Store whether the provider still lets us in, and why not; becoming active again ends a block."""
        values: dict[str, Any] = {"state": state, "updated_at": at, "last_error": error and error[:MAX_ERROR]}
        if state is AccountState.ACTIVE:
            values["blocked_until"] = None
        await self._set(account_id, **values)

    async def block(self, account_id: UUID, pause: timedelta) -> None:
        """Ask nothing of the provider for a while; of two blocks, the later one counts."""
        until = self.database.now(pause)
        still = ACCOUNTS.c.blocked_until.is_(None) | (ACCOUNTS.c.blocked_until < until)
        await self.run(
            update(ACCOUNTS).where(*self.mine(ACCOUNTS), ACCOUNTS.c.id == account_id, still).values(blocked_until=until)
        )

    # What opens them

    async def grant(self, account_id: UUID) -> dict[str, str] | None:
        """Return what opens an account, None where nothing does."""
        row = await self.one(select(ACCOUNTS.c.secret).where(*self.mine(ACCOUNTS), ACCOUNTS.c.id == account_id))
        if row is None or row.secret is None:
            return None
        plain = self.database.vault.open(row.secret, app_id=self.app_id, owner=account_id, kind=GRANT)
        return dict(orjson.loads(plain))

    async def give(
        self, account_id: UUID, secrets: Mapping[str, str], at: datetime, *, subject: str, address: str | None
    ) -> None:
        """Store what opens an account, and that it is open."""
        await self._set(account_id, secret=self._sealed(account_id, secrets), subject=subject, address=address)
        await self.set_state(account_id, AccountState.ACTIVE, at)

    async def begin_renewal(self, account_id: UUID, seconds: timedelta) -> bool:
        """Ask to be the one who renews a grant, for a while; False where somebody else is at it."""
        now = self.database.now()
        free = ACCOUNTS.c.renewing_until.is_(None) | (ACCOUNTS.c.renewing_until <= now)
        return bool(
            await self.run(
                update(ACCOUNTS)
                .where(*self.mine(ACCOUNTS), ACCOUNTS.c.id == account_id, free)
                .values(renewing_until=self.database.now(seconds))
            )
        )

    async def end_renewal(self, account_id: UUID, secrets: Mapping[str, str] | None) -> None:
        """Store a renewed grant, or that there was none; others may try."""
        values: dict[str, Any] = {} if secrets is None else {"secret": self._sealed(account_id, secrets)}
        await self._set(account_id, renewing_until=None, **values)

    async def take(self, account_id: UUID) -> None:
        """Forget what opens an account."""
        await self._set(account_id, secret=None)

    async def reseal(self, account_id: UUID) -> bool:
        """Seal a grant with the first key; tell whether it was sealed with another."""
        row = await self.lock(ACCOUNTS, account_id)
        if row is None or row.secret is None or not self.database.vault.is_old(row.secret):
            return False
        plain = self.database.vault.open(row.secret, app_id=self.app_id, owner=account_id, kind=GRANT)
        await self._set(
            account_id, secret=self.database.vault.seal(plain, app_id=self.app_id, owner=account_id, kind=GRANT)
        )
        return True

    async def all_ids(self) -> list[UUID]:
        """Return every account."""
        return [row.id for row in await self.rows(select(ACCOUNTS.c.id).where(*self.mine(ACCOUNTS)))]

    def _sealed(self, account_id: UUID, secrets: Mapping[str, str]) -> bytes:
        plain = orjson.dumps(dict(secrets))
        return self.database.vault.seal(plain, app_id=self.app_id, owner=account_id, kind=GRANT)

    def _row(self, account: Account) -> dict[str, Any]:
        return {name: getattr(account, name) for name in Account.__slots__}

    def _query(self) -> Any:
        still = case((ACCOUNTS.c.blocked_until > self.database.now(), ACCOUNTS.c.blocked_until))
        columns = [column for column in ACCOUNTS.c if column.name not in ("secret", "blocked_until")]
        return select(*columns, type_coerce(still, Instant()).label("blocked_until")).where(*self.mine(ACCOUNTS))

    async def _set(self, account_id: UUID, **values: Any) -> None:
        await self.run(update(ACCOUNTS).where(*self.mine(ACCOUNTS), ACCOUNTS.c.id == account_id).values(**values))


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody on the way to a provider and back. `verifier` is PKCE's; `origin` is whoever sent them."""

    id: UUID
    provider: str
    resource_id: UUID | None
    state_hash: bytes
    verifier: str
    return_to: str | None
    origin: str
    expires_at: datetime


class ConsentRepository(Repository):
    """Who is on the way, of one app."""

    async def add(self, consent: Consent) -> None:
        """Note that somebody was sent to a provider."""
        row = {name: getattr(consent, name) for name in Consent.__slots__} | {"app_id": self.app_id}
        row["verifier"] = self.database.vault.seal(
            consent.verifier.encode(), app_id=self.app_id, owner=consent.id, kind=VERIFIER
        )
        await self.run(insert(CONSENTS).values(row))

    async def take(self, consent_id: UUID, at: datetime) -> Consent | None:
        """Return whom an id stands for, once; None where it was used, has expired, or never was."""
        mine = (*self.mine(CONSENTS), CONSENTS.c.id == consent_id)
        found = await self.rows(delete(CONSENTS).where(*mine).returning(CONSENTS))
        if not found or found[0].expires_at <= at:
            return None
        row = {name: getattr(found[0], name) for name in Consent.__slots__}
        plain = self.database.vault.open(row["verifier"], app_id=self.app_id, owner=consent_id, kind=VERIFIER)
        return Consent(**row | {"verifier": plain.decode()})


def _account(row: Any) -> Account:
    return Account(**{name: getattr(row, name) for name in Account.__slots__} | {"state": AccountState(row.state)})
