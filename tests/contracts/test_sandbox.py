from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SandboxCopy
from providers.interface import Provider, RemoteCalendar, RemoteEvent
from providers.sandbox import SandboxProvider
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import Kept
from tests.contracts.reading_contract import Person, ReadingContract
from tests.helpers import NOW, make_account
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings


class SandboxPerson:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        assert calendar.account_id is not None
        name = uuid7().hex
        body = to_plain(state) | {"iCalUID": f"{name}@sandbox.example"}
        async with self._storage.writing(calendar.app_id) as work:
            await work.sandbox.put(
                SandboxCopy(calendar.account_id, calendar.remote_id, name, 1, deleted=False, body=body)
            )
        return name

    async def rename(self, calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        await self._change(calendar, remote_id, summary=summary)

    async def remove(self, calendar: RemoteCalendar, remote_id: str) -> None:
        await self._change(calendar, remote_id, deleted=True)

    async def _change(self, calendar: RemoteCalendar, remote_id: str, *, deleted: bool = False, **body: Any) -> None:
        assert calendar.account_id is not None
        async with self._storage.writing(calendar.app_id) as work:
            copy = await work.sandbox.find(calendar.account_id, remote_id)
            assert copy is not None
            await work.sandbox.put(
                replace(copy, revision=copy.revision + 1, deleted=deleted, body={**copy.body, **body})
            )


class TestSandbox(ReadingContract):
    deleted_names_come_back = False
    pages_of = 250

    @pytest.fixture
    def provider(self, storage: Storage) -> Provider:
        return SandboxProvider(surroundings(sandbox_memory=memory_in(storage)))

    @pytest.fixture
    def offline(self) -> Provider:
        return SandboxProvider(surroundings())

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
    def person(self, storage: Storage) -> Person:
        return SandboxPerson(storage)

    @pytest.fixture
    def kept(self, storage: Storage) -> Kept:
        async def look(calendar: RemoteCalendar, copy: RemoteEvent) -> EventState | None:
            assert calendar.account_id is not None
            async with storage.reading(calendar.app_id) as work:
                found = await work.sandbox.find(calendar.account_id, copy.remote_id)
            return None if found is None or found.deleted else from_plain(found.body)

        return look
