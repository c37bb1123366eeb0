"""Keys are read once a second at most, and a revocation is noticed within that second, whoever revoked."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from kalends.domain.access import ApiKey, Scope
from kalends.domain.ids import uuid7
from providers.registry import Registry
from resolvers.access import authenticate, create_key, operator, revoke_key
from resolvers.key_cache import FRESH_SECONDS, KeyCache
from resolvers.services import Services
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import MINUTE, NOW, Clock, recorded

pytestmark = pytest.mark.anyio


class Ticks:
    """A clock in seconds that stands still until it is told to advance."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def here(storage: Storage, clock: Clock, ticks: Ticks) -> Services:
    """Return one process."""
    return Services(storage, Registry({}), clock=clock, keys=KeyCache(ticks))


@pytest.fixture
def there(here: Services, ticks: Ticks) -> Services:
    """Return another process on the same database."""
    return replace(here, keys=KeyCache(ticks))


def make_key() -> ApiKey:
    return ApiKey(uuid7(), uuid7(), "Key", b"", frozenset(Scope), NOW)


async def new_key(services: Services, app_id: UUID) -> tuple[UUID, str]:
    made = await create_key(services, operator(app_id), name="Key", scopes=[Scope.READ])
    assert made.token
    return made.key.id, made.token


async def test_a_key_is_not_read_again_within_a_second(
    database: Database, here: Services, ticks: Ticks, app_id: UUID
) -> None:
    _, token = await new_key(here, app_id)
    assert await authenticate(here, token)
    with recorded(database) as counted:
        ticks.now += FRESH_SECONDS * 0.99
        assert await authenticate(here, token)
        assert not counted
        ticks.now += FRESH_SECONDS * 0.01
        assert await authenticate(here, token)
        assert counted


async def test_a_revocation_elsewhere_is_noticed_within_a_second(
    here: Services, there: Services, ticks: Ticks, app_id: UUID
) -> None:
    key_id, token = await new_key(here, app_id)
    assert await authenticate(here, token)
    await revoke_key(there, operator(app_id), key_id)
    ticks.now += FRESH_SECONDS
    assert await authenticate(here, token) is None


async def test_a_revocation_here_is_noticed_at_once(here: Services, app_id: UUID) -> None:
    key_id, token = await new_key(here, app_id)
    assert await authenticate(here, token)
    await revoke_key(here, operator(app_id), key_id)
    assert await authenticate(here, token) is None


async def test_a_key_that_expires_is_refused_though_it_was_just_read(
    here: Services, clock: Clock, app_id: UUID
) -> None:
    made = await create_key(here, operator(app_id), name="Short", scopes=[Scope.READ], expires_at=clock.now + MINUTE)
    assert made.token
    assert await authenticate(here, made.token)
    clock.advance(MINUTE)
    assert await authenticate(here, made.token) is None


async def test_a_wrong_secret_is_refused_though_the_key_was_just_read(here: Services, app_id: UUID) -> None:
    _, token = await new_key(here, app_id)
    assert await authenticate(here, token)
    assert await authenticate(here, token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_the_age_of_a_key_counts_from_when_it_was_asked_for() -> None:
    ticks = Ticks()
    cache = KeyCache(ticks)
    asked_at = ticks()
    ticks.now += FRESH_SECONDS / 2
    cache.put(key := make_key(), asked_at)
    assert cache.get(key.id) is key
    ticks.now += FRESH_SECONDS / 2
    assert cache.get(key.id) is None


def test_the_keys_read_longest_ago_make_room() -> None:
    cache = KeyCache(Ticks(), at_most=2)
    first, second, third = make_key(), make_key(), make_key()
    for key in (first, second, first, third):
        cache.put(key, 1_000.0)
    assert cache.get(second.id) is None
    assert cache.get(first.id) is first
    assert cache.get(third.id) is third
