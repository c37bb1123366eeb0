import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from kalends.domain.values import utc_now
from storage.engine import Database
from storage.idempotency import KEPT, Claim
from storage.unit_of_work import Storage
from tests.helpers import HOUR, abandoned, add_app, refusing, until_somebody_waits

pytestmark = pytest.mark.anyio

CLAIM = Claim("key:1", "k-1", "createEvent", b"\x00" * 32)


async def claim(storage: Storage, app_id: UUID, claim: Claim, *results: UUID) -> list[UUID] | None:
    async with storage.writing(app_id) as work:
        return await work.idempotency.claim(claim, results, utc_now())


async def test_of_many_concurrent_uses_of_a_key_one_acts_and_the_others_get_its_results(
    storage: Storage, app_id: UUID
) -> None:
    results = [uuid4() for _ in range(20)]
    answers = await asyncio.gather(*(claim(storage, app_id, CLAIM, each) for each in results))
    assert answers.count(None) == 1
    winner = results[answers.index(None)]
    assert [each for each in answers if each is not None] == [[winner]] * 19


async def test_a_key_returns_all_results_of_its_first_use_in_order(storage: Storage, app_id: UUID) -> None:
    results = [uuid4(), uuid4(), uuid4()]
    assert await claim(storage, app_id, CLAIM, *results) is None
    assert await claim(storage, app_id, CLAIM, uuid4()) == results


@pytest.mark.parametrize(
    "other", [replace(CLAIM, request_hash=b"\x01" * 32), replace(CLAIM, operation="createCalendar")]
)
async def test_a_key_that_comes_with_another_request_is_refused(storage: Storage, app_id: UUID, other: Claim) -> None:
    await claim(storage, app_id, CLAIM, uuid4())
    with refusing(("idempotency_key", "IDEMPOTENCY_KEY_REUSED")):
        await claim(storage, app_id, other, uuid4())


async def test_a_key_belongs_to_one_caller_of_one_app(storage: Storage, app_id: UUID, other_app_id: UUID) -> None:
    await claim(storage, app_id, CLAIM, uuid4())
    assert await claim(storage, app_id, replace(CLAIM, principal="key:2"), uuid4()) is None
    assert await claim(storage, other_app_id, CLAIM, uuid4()) is None


async def test_a_use_that_fails_leaves_the_key_free_for_those_who_wait(storage: Storage, app_id: UUID) -> None:
    waiting: list[asyncio.Task[list[UUID] | None]] = []
    async with abandoned(storage, app_id) as work:
        assert await work.idempotency.claim(CLAIM, [uuid4()], utc_now()) is None
        waiting += [asyncio.create_task(claim(storage, app_id, CLAIM, uuid4())) for _ in range(3)]
        await until_somebody_waits(storage.database)
    assert (await asyncio.gather(*waiting)).count(None) == 1


async def test_a_key_is_forgotten_when_its_time_is_over(database: Database, storage: Storage) -> None:
    app_id = await add_app(storage)
    await claim(storage, app_id, CLAIM, uuid4())
    for skew, forgotten in ((KEPT - HOUR, 0), (KEPT + HOUR, 1)):
        database.skew = skew
        async with storage.system(write=True) as system:
            assert await system.forget_old_keys() == forgotten
    assert await claim(storage, app_id, CLAIM, uuid4()) is None
