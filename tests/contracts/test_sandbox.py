from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import UUID

import pytest

from providers.interface import Provider, RemoteCalendar, RemoteEvent, Surroundings
from providers.sandbox import SandboxProvider
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import Kept, ProviderContract
from tests.helpers import NOW, make_account
from tests.providers.memory import memory_in


def unreachable(app_id: UUID) -> NoReturn:
    raise AssertionError(f"the memory of {app_id} was asked for")


class TestSandbox(ProviderContract):
    deleted_names_come_back = False

    @pytest.fixture
    def provider(self, storage: Storage) -> Provider:
        return SandboxProvider(Surroundings(sandbox_memory=memory_in(storage)))

    @pytest.fixture
    def offline(self) -> Provider:
        return SandboxProvider(Surroundings(sandbox_memory=unreachable))

    @pytest.fixture
    async def calendar(self, storage: Storage, app_id: UUID) -> RemoteCalendar:
        account = make_account()
        async with storage.writing(app_id) as work:
            await work.accounts.add(account, NOW)
        return RemoteCalendar(app_id, account.id, "primary")

    @pytest.fixture
    def closed_calendar(self, app_id: UUID) -> RemoteCalendar:
        return RemoteCalendar(app_id, None, "primary")

    @pytest.fixture
    def kept(self, storage: Storage) -> Kept:
        async def look(calendar: RemoteCalendar, copy: RemoteEvent) -> Mapping[str, Any] | None:
            assert calendar.account_id is not None
            async with storage.reading(calendar.app_id) as work:
                found = await work.sandbox.find(calendar.account_id, copy.remote_id)
            return None if found is None or found.deleted else found.body

        return look
