"""What the server lends to providers when it builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from kalends.domain.sync import SandboxCopy
from providers.interface import Grants
from providers.web import Web


class SandboxTable(Protocol):
    """The sandbox's memory inside one transaction."""

    async def faults(self, account_id: UUID) -> Mapping[str, Any]:
        """Return how to misbehave."""
        ...

    async def find(self, account_id: UUID, remote_id: str, *, lock: bool = False) -> SandboxCopy | None:
        """Return a copy, a deleted one too."""
        ...

    async def put(self, copy: SandboxCopy) -> None:
        """Store a copy in place of its former state, as the account's latest change."""
        ...

    async def since(self, account_id: UUID, calendar: str, position: int, limit: int) -> Sequence[SandboxCopy]:
        """Return the copies of a calendar that changed after a position, in order of their last change."""
        ...


class SandboxMemory(Protocol):
    """Where the sandbox remembers: a transaction of its own per call, as another company's database would be."""

    def __call__(self, app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
        """Open a transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider is built with.

    `options` are the operator's, such as OAuth clients, by name; `clock` is the present in UTC.
    """

    sandbox_memory: SandboxMemory
    grants: Grants
    web: Web
    clock: Callable[[], datetime]
    options: Mapping[str, str] = field(default_factory=dict)
