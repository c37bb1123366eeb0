from dataclasses import replace
from uuid import UUID

import pytest

from kalends.domain.ids import uuid7
from kalends.domain.sync import SandboxCopy
from storage.unit_of_work import Storage
from tests.helpers import NOW, make_account

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
        for each in (copy, later):
            await work.sandbox.put(each)
            assert await work.sandbox.find(account_id, "r-1", lock=lock) == each
        assert await work.sandbox.find(account_id, "r-2", lock=lock) is None
        assert await work.sandbox.find(uuid7(), "r-1", lock=lock) is None
