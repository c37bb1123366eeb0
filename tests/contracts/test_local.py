from __future__ import annotations

import pytest

from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from providers.interface import Provider, RemoteCalendar, RemoteEvent
from providers.local import LocalProvider
from tests.contracts.provider_contract import Kept, ProviderContract
from tests.providers.surroundings import surroundings


class TestLocal(ProviderContract):
    deleted_names_come_back = True

    @pytest.fixture
    def provider(self) -> Provider:
        return LocalProvider(surroundings())

    @pytest.fixture
    def offline(self, provider: Provider) -> Provider:
        return provider

    @pytest.fixture
    def calendar(self) -> RemoteCalendar:
        return RemoteCalendar(uuid7(), None, "local")

    @pytest.fixture
    def closed_calendar(self, calendar: RemoteCalendar) -> RemoteCalendar:
        return calendar

    @pytest.fixture
    def kept(self) -> Kept:
        async def nothing(_calendar: RemoteCalendar, _copy: RemoteEvent) -> EventState | None:
            return None

        return nothing
