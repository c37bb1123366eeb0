from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from kalends.domain.access import ApiKey, Scope, secret_hash
from kalends.domain.ids import uuid7
from storage.access import TOUCH_EVERY
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, MINUTE, NOW, refusing

pytestmark = pytest.mark.anyio


def make_key(app_id: UUID, **others: Any) -> ApiKey:
    fields: dict[str, Any] = {
        "name": "ci",
        "secret_hash": secret_hash("s"),
        "scopes": frozenset({Scope.READ}),
        "created_at": NOW,
    }
    return ApiKey(uuid7(), app_id, **fields | others)


async def add(storage: Storage, *keys: ApiKey) -> None:
    for key in keys:
        async with storage.writing(key.app_id) as work:
            await work.keys.add(key)


async def test_an_app_knows_itself_and_the_system_knows_every_app(
    storage: Storage, app_id: UUID, other_app_id: UUID
) -> None:
    async with storage.reading(app_id) as work:
        app = await work.keys.app()
    assert (app.id, app.name, app.created_at) == (app_id, "Ours", NOW)
    async with storage.system() as system:
        assert [each.name for each in await system.apps()] == ["Ours", "Theirs"]
    async with storage.reading(uuid4()) as work:
        with refusing(("app", "NOT_FOUND")):
            await work.keys.app()


async def test_a_key_comes_back_as_it_was_stored_and_the_oldest_first(storage: Storage, app_id: UUID) -> None:
    first = make_key(app_id, name="all", scopes=frozenset(Scope), expires_at=NOW + DAY, secret_hash=bytes(range(32)))
    second = make_key(app_id, scopes=frozenset())
    await add(storage, second, first)
    async with storage.reading(app_id) as work:
        assert await work.keys.get(first.id) == first
        assert await work.keys.all() == [first, second]
        with refusing(("id", "NOT_FOUND")):
            await work.keys.get(uuid7())


async def test_the_door_finds_a_key_of_whichever_app(storage: Storage, app_id: UUID, other_app_id: UUID) -> None:
    ours, theirs = make_key(app_id), make_key(other_app_id)
    await add(storage, ours, theirs)
    async with storage.system() as system:
        assert [await system.key(each.id) for each in (ours, theirs)] == [ours, theirs]
        assert await system.key(uuid7()) is None


async def test_the_first_revocation_counts(storage: Storage, app_id: UUID) -> None:
    key = make_key(app_id)
    await add(storage, key)
    async with storage.writing(app_id) as work:
        await work.keys.revoke(key.id, NOW)
        await work.keys.revoke(key.id, NOW + HOUR)
        assert await work.keys.get(key.id) == replace(key, revoked_at=NOW)


async def test_the_use_of_a_key_is_noted_once_a_minute(storage: Storage, app_id: UUID) -> None:
    key = make_key(app_id)
    await add(storage, key)
    async with storage.writing(app_id) as work:
        for at, noted in (
            (NOW, NOW),
            (NOW + TOUCH_EVERY, NOW),
            (NOW + TOUCH_EVERY + MINUTE, NOW + TOUCH_EVERY + MINUTE),
            (NOW, NOW + TOUCH_EVERY + MINUTE),
        ):
            await work.keys.touch(key.id, at)
            assert (await work.keys.get(key.id)).last_used_at == noted
