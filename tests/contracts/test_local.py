from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import UUID

import pytest

from kalends.domain.ids import uuid7
from providers.interface import Provider, RemoteCalendar, RemoteEvent, Surroundings
from providers.local import LocalProvider
from tests.contracts.provider_contract import Kept, ProviderContract


def nowhere(app_id: UUID) -> NoReturn:
    raise AssertionError(f"a local calendar remembers nothing elsewhere, of {app_id} neither")


class TestLocal(ProviderContract):
    deleted_names_come_back = True

    @pytest.fixture
    def provider(self) -> Provider:
        return LocalProvider(Surroundings(sandbox_memory=nowhere))

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
        async def nothing(_calendar: RemoteCalendar, _copy: RemoteEvent) -> Mapping[str, Any] | None:
            return None

        return nothing
