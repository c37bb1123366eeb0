import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from kalends.domain.ids import uuid7
from kalends.domain.sync import SandboxCopy
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import NOW, make_account, until_somebody_waits

pytestmark = pytest.mark.anyio


@pytest.fixture
async def account_id(storage: Storage, app_id: UUID) -> UUID:
    account = make_account()
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)
    return account.id


async def test_the_faults_of_an_account_are_none_until_they_are_set(
    storage: Storage, app_id: UUID, account_id: UUID
) -> None:
    async with storage.writing(app_id) as work:
        assert await work.sandbox.faults(account_id) == {}
        for faults in ({"latency": 0.5, "errors": {"500": 0.1}}, {"latency": None}):
            await work.sandbox.set_faults(account_id, faults)
            assert await work.sandbox.faults(account_id) == faults
        assert await work.sandbox.faults(uuid7()) == {}


@pytest.mark.parametrize("lock", [False, True])
async def test_a_copy_comes_back_as_it_was_put(storage: Storage, app_id: UUID, account_id: UUID, lock: bool) -> None:
    copy = SandboxCopy(account_id, "primary", "r-1", 1, False, {"summary": "Ünïcødé", "attendees": [], "n": None})
    later = replace(copy, revision=2, deleted=True, body={}, calls=3)
    async with storage.writing(app_id) as work:
        assert await work.sandbox.find(account_id, "r-1", lock=lock) is None
        for position, each in enumerate((copy, later), 1):
            await work.sandbox.put(each)
            assert await work.sandbox.find(account_id, "r-1", lock=lock) == replace(each, position=position)
        assert await work.sandbox.find(account_id, "r-2", lock=lock) is None
        assert await work.sandbox.find(uuid7(), "r-1", lock=lock) is None


async def test_what_changed_after_a_position_comes_in_the_order_of_the_last_changes(
    storage: Storage, app_id: UUID, account_id: UUID
) -> None:
    copies = [SandboxCopy(account_id, "primary", f"r-{number}", 1, False, {}) for number in range(4)]
    elsewhere = SandboxCopy(account_id, "team", "t-1", 1, False, {})
    async with storage.writing(app_id) as work:
        for each in (*copies, elsewhere, copies[1]):
            await work.sandbox.put(each)

        async def since(position: int, limit: int = 10, calendar: str = "primary") -> list[tuple[str, int]]:
            found = await work.sandbox.since(account_id, calendar, position, limit)
            return [(each.remote_id, each.position) for each in found]

        assert await since(0) == [("r-0", 1), ("r-2", 3), ("r-3", 4), ("r-1", 6)]
        assert await since(1, limit=2) == [("r-2", 3), ("r-3", 4)]
        assert await since(4) == [("r-1", 6)]
        assert await since(6) == []
        assert await since(0, calendar="team") == [("t-1", 5)]


async def test_faults_that_are_set_do_not_count_as_a_change(storage: Storage, app_id: UUID, account_id: UUID) -> None:
    copy = SandboxCopy(account_id, "primary", "r-1", 1, False, {})
    async with storage.writing(app_id) as work:
        await work.sandbox.put(copy)
        await work.sandbox.set_faults(account_id, {"latency": 1})
        assert await work.sandbox.faults(account_id) == {"latency": 1}
        await work.sandbox.put(copy)
        assert [each.position for each in await work.sandbox.since(account_id, "primary", 0, 9)] == [2]


async def test_no_reader_misses_a_copy_whose_writer_is_slower_than_another(
    database: Database, storage: Storage, app_id: UUID, account_id: UUID
) -> None:
    """Positions are given in the order of commits: who has read to one has read all before it."""
    first, second = (SandboxCopy(account_id, "primary", name, 1, False, {}) for name in ("r-1", "r-2"))

    async def put_second() -> None:
        async with storage.writing(app_id) as work:
            await work.sandbox.put(second)

    async with storage.writing(app_id) as work:
        await work.sandbox.put(first)
        other = asyncio.create_task(put_second())
        await until_somebody_waits(database)
        async with storage.reading(app_id) as reader:
            assert await reader.sandbox.since(account_id, "primary", 0, 9) == []
    await other
    async with storage.reading(app_id) as reader:
        found = await reader.sandbox.since(account_id, "primary", 0, 9)
    assert [(each.remote_id, each.position) for each in found] == [("r-1", 1), ("r-2", 2)]
