"""What opens an account can be lost with the operator's key: then its owner is asked, and nothing fails for ever."""

from __future__ import annotations

import pytest

from kalends.domain.calendars import AccountState
from kalends.domain.events import EventState
from kalends.domain.sync import SyncStatus
from storage.secrets import Vault, new_key
from tests.helpers import make_content, make_when
from tests.resolvers.sync_stage import EVER
from tests.sync.worlds.world import World

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["google", "microsoft", "radicale"], indirect=True),
]


def lose_keys(world: World) -> None:
    world.stage.storage.database.vault = Vault([new_key()])


async def test_an_account_whose_key_is_lost_waits_for_its_owner_and_goes_on_after_that(world: World) -> None:
    event = await world.stage.create("Before")
    await world.look()
    lose_keys(world)
    await world.stage.update(event, summary="Meanwhile")
    await world.person.adds(EventState(make_when(), make_content("Theirs")))
    await world.look()
    account = await world.account()
    assert account.state is AccountState.NEEDS_RECONNECT
    assert "KALENDS_SECRET_KEYS" in (account.last_error or "")
    assert (await world.stage.state(event)).status is SyncStatus.PARKED
    world.stage.advance(EVER)
    assert await world.stage.turn() == 0
    await world.connect()
    await world.converge()
    assert await world.titles() == await world.person.titles() == ["Meanwhile", "Theirs"]
    await world.at_rest()


async def test_a_push_that_finds_the_key_lost_parks_the_event(world: World) -> None:
    lose_keys(world)
    event = await world.stage.create("At once", sync_now=True)
    assert (await world.account()).state is AccountState.NEEDS_RECONNECT
    assert (await world.stage.state(event)).status is SyncStatus.PARKED


async def test_an_account_whose_key_is_lost_can_be_closed(world: World) -> None:
    event = await world.stage.create("Stays")
    await world.look()
    lose_keys(world)
    await world.disconnect()
    assert (await world.stage.state(event)).status is SyncStatus.LOCAL
