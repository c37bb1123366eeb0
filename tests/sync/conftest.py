"""The worlds, by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from storage.unit_of_work import Storage
from tests.helpers import Clock
from tests.servers import radicale, xandikos
from tests.sync.worlds.caldav import RadicaleWorld, XandikosWorld
from tests.sync.worlds.google import GoogleWorld
from tests.sync.worlds.microsoft import MicrosoftWorld, MicrosoftWorldAtItsWorst
from tests.sync.worlds.sandbox import SandboxWorld
from tests.sync.worlds.world import World

__all__ = ["radicale", "xandikos"]

IN_PROCESS: dict[str, type[World]] = {
    "sandbox": SandboxWorld,
    "google": GoogleWorld,
    "microsoft": MicrosoftWorld,
    "microsoft at its worst": MicrosoftWorldAtItsWorst,
}
SERVERS: dict[str, Any] = {"radicale": RadicaleWorld, "xandikos": XandikosWorld}


class Ticking(Clock):
    """A clock that goes on by the least that there is whenever somebody looks: what follows is later."""

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the clock of both sides."""
    return Ticking()


@pytest.fixture
def dialect() -> str:
    """Run each world on SQLite; some run on PostgreSQL as well."""
    return "sqlite"


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The world's name, which a parameter may give."""
    return str(request.param)


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, kind: str, storage: Storage, app_id: UUID, clock: Clock
) -> AsyncIterator[World]:
    """Return a world in which a calendar is linked, and was looked at once."""
    if kind in SERVERS:
        opened: World = SERVERS[kind](storage, app_id, clock, request.getfixturevalue(kind))
    else:
        opened = IN_PROCESS[kind](storage, app_id, clock)
    await opened.open()
    yield opened
    await opened.close()
