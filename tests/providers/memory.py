"""The sandbox's memory as the server lends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from providers.surroundings import SandboxMemory, SandboxTable
from storage.unit_of_work import Storage


def memory_in(storage: Storage) -> SandboxMemory:
    def memory(app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[SandboxTable]:
            async with storage.writing(app_id) as work:
                yield work.sandbox

        return opened()

    return memory
