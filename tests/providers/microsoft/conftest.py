"""What every test of this provider may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.providers.microsoft.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Return an account at a simulated Outlook."""
    async with staged() as stage:
        yield stage
