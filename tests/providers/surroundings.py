"""What the server lends to providers, as tests lend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NoReturn
from uuid import UUID

import httpx

from providers.errors import ReconnectRequired
from providers.interface import Grant, RemoteAccount
from providers.surroundings import SandboxMemory, SandboxTable, Surroundings
from providers.web import Web

from ..contracts.building import NOW  # noqa: TID252  shipped under another name, too


class MemoryGrants:
    """Grants in memory. `renewals` counts how often a provider was asked for a new one."""

    def __init__(self, grants: Mapping[UUID, Grant] | None = None) -> None:
        self.grants = dict(grants or {})
        self.renewals = 0

    async def read(self, account: RemoteAccount) -> Grant:
        try:
            return self.grants[account.account_id]
        except KeyError:
            raise ReconnectRequired("There is no grant.") from None

    async def renew(self, account: RemoteAccount, used: Grant, ask: Callable[[Grant], Awaitable[Grant]]) -> Grant:
        if await self.read(account) == used:
            self.renewals += 1
            self.grants[account.account_id] = await ask(used)
        return self.grants[account.account_id]


class _NoNetwork(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> NoReturn:
        raise AssertionError(f"{request.method} {request.url} was sent")


def no_memory(app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
    raise AssertionError(f"the sandbox's memory of {app_id} was asked for")


def surroundings(
    *,
    sandbox_memory: SandboxMemory = no_memory,
    grants: MemoryGrants | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    web: Web | None = None,
    clock: Callable[[], datetime] = lambda: NOW,
    **options: str,
) -> Surroundings:
    """Return surroundings; what is not given fails where it is used."""
    return Surroundings(
        sandbox_memory=sandbox_memory,
        grants=grants or MemoryGrants(),
        web=web or Web(transport=transport or _NoNetwork()),
        clock=clock,
        options=options,
    )
