from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from providers.caldav import CaldavProvider
from providers.errors import Unreachable
from providers.interface import Identity, Outgoing, Provider, RemoteCalendar, RemoteEvent
from providers.web import Web
from tests.providers.caldav.suite import BATCH, CaldavContract
from tests.providers.surroundings import MemoryGrants, surroundings
from tests.servers import Server, xandikos

__all__ = ["xandikos"]

T = TypeVar("T")
ATTEMPTS = 200


class Patient(CaldavProvider):
    """Tries again as a lane does.

    Xandikos lets one request write at a time: while one that was cancelled is still under way, it answers another with
    423, or with 500 where both delete the same file.
    """

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        return await _patiently(lambda: super(Patient, self).create(calendar, outgoing))

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        return await _patiently(lambda: super(Patient, self).update(calendar, outgoing, known))

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        await _patiently(lambda: super(Patient, self).delete(calendar, outgoing, known))

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        return await _patiently(lambda: super(Patient, self).find(calendar, identity, remote_id))


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    for _ in range(ATTEMPTS):
        try:
            return await call()
        except Unreachable:
            continue
    return await call()


class TestXandikos(CaldavContract):
    stale_token = "0" * 40
    checks_passwords = False

    @pytest.fixture
    def server(self, xandikos: Server) -> Server:
        return xandikos

    @pytest.fixture
    def provider(self, web: Web, grants: MemoryGrants) -> Provider:
        return Patient(surroundings(web=web, grants=grants), batch=BATCH)
