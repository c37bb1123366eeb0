from __future__ import annotations

import pytest

from tests.sync.suite import SyncSuite
from tests.sync.worlds.world import World


class TestSandbox(SyncSuite):
    @pytest.fixture
    def kind(self) -> str:
        return "sandbox"

    @pytest.fixture(params=["sqlite", "postgresql"])
    def dialect(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_what_was_linked_and_is_linked_again_is_not_there_twice(self, world: World) -> None:
        """Its calendars are not linked."""

    def matters(self, request: str) -> bool:
        return request == "sandbox"
