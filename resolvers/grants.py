"""What opens accounts, lent to providers: read, and renewed by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from providers.errors import ReconnectRequired, Unreachable
from providers.interface import Grant, RemoteAccount
from storage.secrets import SecretLost
from storage.unit_of_work import Storage

LOST = (
    "What opens the account cannot be read, because its key is missing in KALENDS_SECRET_KEYS: its owner must connect "
    "it again."
)
RENEWAL = timedelta(seconds=30)  # for which one process may be at it
_LOOK_AGAIN = 0.1  # seconds between looks at what another process is doing


class StoredGrants:
    """The grants in our database.

    A renewal is claimed for a while, in a column of the account's row, instead of holding the row's lock: so no
    transaction is open while a provider is asked, and a process that dies holds up the others for that while only.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self, account: RemoteAccount) -> Grant:
        """Return an account's grant; raise `ReconnectRequired` where there is none, or none that can be opened."""
        async with self._storage.reading(account.app_id) as work:
            try:
                secrets = await work.accounts.grant(account.account_id)
            except SecretLost as error:
                raise ReconnectRequired(LOST) from error
        if secrets is None:
            raise ReconnectRequired("The account is not connected: its owner must connect it again.")
        return Grant(secrets)

    async def renew(self, account: RemoteAccount, used: Grant, ask: Callable[[Grant], Awaitable[Grant]]) -> Grant:
        """Return a grant in place of one that was used; where somebody else has renewed it since, theirs."""
        for _ in range(int(RENEWAL.total_seconds() / _LOOK_AGAIN)):
            async with self._storage.writing(account.app_id) as work:
                mine = await work.accounts.begin_renewal(account.account_id, RENEWAL)
            if mine:
                return await self._renewed(account, used, ask)
            await asyncio.sleep(_LOOK_AGAIN)
            now = await self.read(account)
            if now != used:
                return now
        raise Unreachable("Another process is renewing the account's grant.")

    async def _renewed(self, account: RemoteAccount, used: Grant, ask: Callable[[Grant], Awaitable[Grant]]) -> Grant:
        new: Grant | None = None
        try:
            now = await self.read(account)  # again, now that nobody else can change it
            if now != used:
                return now
            new = await ask(now)
            return new
        finally:
            async with self._storage.writing(account.app_id) as work:
                await work.accounts.end_renewal(account.account_id, None if new is None else new.secrets)
