"""Channels that are really opened: the simulators' calls come in by our own doors, and lead to a look."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from kalends.domain.events import EventState
from resolvers.calendars import delete_calendar
from resolvers.linking import unlink_calendar
from storage.sources import OpenChannel
from tests.helpers import DAY, HOUR, NOW, make_content, make_when, refusing
from tests.sync.worlds.google import GoogleWorld
from tests.sync.worlds.microsoft import MicrosoftWorld
from tests.sync.worlds.ours import Fate
from tests.sync.worlds.world import World

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", ["google", "microsoft"], indirect=True),
]

Called = GoogleWorld | MicrosoftWorld
CHANGES = 60


@pytest.fixture
def called(world: World) -> Called:
    """Return a world whose provider calls us."""
    assert isinstance(world, GoogleWorld | MicrosoftWorld)
    return world


async def channels(world: World) -> list[OpenChannel]:
    async with world.stage.storage.reading(world.stage.app_id) as work:
        return await work.channels.of([world.stage.calendar.id])


async def adds(world: World, title: str, at: datetime = NOW) -> None:
    await world.person.adds(EventState(make_when(at), make_content(title)))


async def test_a_change_there_is_here_without_waiting_for_the_next_look(called: Called) -> None:
    assert len(await channels(called)) == 1
    await adds(called, "Theirs")
    assert called.ours.received
    await called.stage.drain()
    assert await called.titles() == ["Theirs"]
    await called.person.edits(await called.person.finds("Theirs"), summary="Renamed")
    await called.stage.drain()
    assert await called.titles() == ["Renamed"]
    await called.at_rest()


async def test_our_own_writes_are_called_about_and_change_nothing(called: Called) -> None:
    event = await called.stage.create("Ours")
    await called.stage.drain()
    assert called.ours.received
    sent = len(called.line.sent)
    await called.stage.drain()
    assert called.written(sent) == []
    assert (await called.stage.now(event)).version == 1
    await called.at_rest()


async def test_calls_that_are_lost_doubled_or_late_leave_nothing_out(called: Called) -> None:
    luck = random.Random(called.kind)
    fates = (Fate.LOST, Fate.DOUBLED, Fate.LATE, *(Fate.COMES,) * 7)
    called.ours.fate = lambda: luck.choice(fates)
    for number in range(CHANGES):
        if number % 3 or not (names := list(await called.person.sees())):
            await adds(called, f"Number {number:02}", NOW + number * HOUR)
        else:
            await called.person.edits(luck.choice(names), location=f"Room {number}")
        if luck.random() < 0.3:
            await called.stage.drain()
    await called.look()
    await called.at_rest()
    assert len(called.ours.received) < 2 * CHANGES


async def test_a_channel_is_renewed_at_half_its_life_and_calls_go_on(called: Called) -> None:
    [first] = await channels(called)
    called.stage.advance((first.expires_at - called.stage.clock()) / 2 - HOUR)
    await called.stage.drain()
    assert [each.expires_at for each in await channels(called)] == [first.expires_at]
    for _ in range(3):
        [before] = await channels(called)
        called.stage.advance(2 * HOUR if before.expires_at == first.expires_at else timedelta(days=3.6))
        await called.stage.drain()
        [after] = await channels(called)
        assert after.expires_at > before.expires_at
        assert after.renew_at - called.stage.clock() < (after.expires_at - called.stage.clock()) / 2 + HOUR
        told = len(called.ours.received)
        await adds(called, f"After {after.expires_at}")
        assert len(called.ours.received) == told + 1  # one channel is open, and no more
        await called.stage.drain()
        assert f"After {after.expires_at}" in await called.titles()


async def test_a_server_that_was_away_for_longer_than_its_channel_looks_and_opens_another(called: Called) -> None:
    [first] = await channels(called)
    called.stage.advance(8 * DAY)
    told = len(called.ours.received)
    await adds(called, "While we were away")
    assert len(called.ours.received) == told
    await called.stage.drain()
    assert await called.titles() == ["While we were away"]
    [second] = await channels(called)
    assert second.id != first.id
    await adds(called, "Again")
    await called.stage.drain()
    assert "Again" in await called.titles()


@pytest.mark.parametrize("ended_by", ["unlinking", "disconnecting", "deleting"])
async def test_a_channel_is_closed_with_what_it_is_about(called: Called, ended_by: str) -> None:
    stage = called.stage
    if ended_by == "unlinking":
        await unlink_calendar(stage.services, called.principal, stage.calendar.id, keep_events=True)
    elif ended_by == "disconnecting":
        await called.disconnect()
    else:
        await delete_calendar(stage.services, called.principal, stage.calendar.id)
    told = len(called.ours.received)
    await adds(called, "Nobody is told")
    assert len(called.ours.received) == told
    assert await channels(called) == []


async def test_a_calendar_with_events_keeps_its_channel_when_its_deletion_is_refused(called: Called) -> None:
    await called.stage.create("In the way")
    await called.look()
    with refusing(("id", "IN_USE")):
        await delete_calendar(called.stage.services, called.principal, called.stage.calendar.id)
    await adds(called, "Theirs")
    await called.stage.drain()
    assert "Theirs" in await called.titles()
