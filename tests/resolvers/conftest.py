from __future__ import annotations

from uuid import UUID

import pytest

from providers.sandbox import SandboxProvider
from storage.unit_of_work import Storage
from tests.helpers import Clock
from tests.providers.memory import memory_in
from tests.providers.scripted import ScriptedProvider
from tests.providers.surroundings import surroundings
from tests.resolvers.sync_stage import Stage, open_stage


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def stage(storage: Storage, app_id: UUID, provider: ScriptedProvider, clock: Clock) -> Stage:
    """Return an app whose calendar is at the scripted provider."""
    return await open_stage(storage, app_id, provider, clock)


@pytest.fixture
async def sandbox_stage(storage: Storage, app_id: UUID, clock: Clock) -> Stage:
    """Return an app whose calendar is at the real sandbox."""

    async def at_once(_seconds: float) -> None:
        """Wait for nothing."""

    sandbox = SandboxProvider(surroundings(sandbox_memory=memory_in(storage)), sleep=at_once, chance=lambda: 0.5)
    return await open_stage(storage, app_id, sandbox, clock)
