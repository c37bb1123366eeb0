import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from kalends.domain.calendars import SANDBOX, AccountState, Calendar
from kalends.domain.events import Event
from kalends.domain.merge import Agreement
from kalends.domain.sync import Lane
from storage.engine import Database
from storage.outbox import INTENTS, LANES, MAX_ERROR
from storage.system import Backlog
from storage.unit_of_work import Storage
from tests.helpers import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    add_calendar,
    make_account,
    make_counterpart,
    make_event,
    until_somebody_waits,
)

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=30)


@dataclass(frozen=True)
class Connected:
    """An app's calendar that has a provider elsewhere."""

    storage: Storage
    app_id: UUID
    calendar: Calendar

    alone: bool = False

    async def write(self, *events: Event) -> None:
        """Store events the way every writer does: the events, what is wanted, and last the lane."""
        async with self.storage.writing(self.app_id) as work:
            await work.events.add(events)
            await work.links.track(events)
            await work.intents.put(events)
            await work.lanes.wake(self.calendar.id, self.calendar.account_id, alone=self.alone)

    async def written(self) -> Event:
        event = make_event(self.calendar.id)
        await self.write(event)
        return event

    async def take(self) -> Lane:
        [lane] = await self.take_any()
        return lane

    async def take_any(self, at_most: int = 10) -> list[Lane]:
        async with self.storage.system(write=True) as system:
            return await system.take_lanes(at_most, LEASE)

    async def pushed(self, event: Event) -> None:
        """Acknowledge a version the way a worker does after the provider's answer."""
        async with self.storage.writing(self.app_id) as work:
            await work.links.pushed(event.id, event.version)
            await work.intents.settle(event.id)

    async def release(self, lane: Lane, pause: timedelta | None = None, failures: int = 0) -> None:
        async with self.storage.writing(self.app_id) as work:
            await work.lanes.release(lane, pause=pause, failures=failures)

    async def read(self, again_in: timedelta) -> None:
        """Note that the calendar's source was read, and when it is to be read again."""
        async with self.storage.writing(self.app_id) as work:
            await work.sources.open(self.calendar.id)
            await work.sources.has_read(self.calendar.id, NOW, token=None, again_in=again_in, whole=True, broken=[])


async def connect(storage: Storage, app_id: UUID, *, account_id: UUID | None = None, alone: bool = False) -> Connected:
    if account_id is None:
        account = make_account()
        account_id = account.id
        async with storage.writing(app_id) as work:
            await work.accounts.add(account, NOW)
    calendar = await add_calendar(storage, app_id, provider=SANDBOX, account_id=account_id)
    return Connected(storage, app_id, calendar, alone)


async def connect_beside(storage: Storage, app_id: UUID, number: int, *, alone: bool) -> list[Connected]:
    """Return several calendars of one account, each with something to do."""
    first = await connect(storage, app_id, alone=alone)
    others = [
        await connect(storage, app_id, account_id=first.calendar.account_id, alone=alone) for _ in range(number - 1)
    ]
    for each in (first, *others):
        await each.written()
    return [first, *others]


@pytest.fixture
async def ours(storage: Storage, app_id: UUID) -> Connected:
    return await connect(storage, app_id)


# Leases


async def test_a_lane_is_leased_to_one_worker_at_a_time(storage: Storage, app_id: UUID, other_app_id: UUID) -> None:
    connected = [await connect(storage, each) for each in (app_id, other_app_id) * 5]
    for each in connected:
        await each.written()
    taken = await asyncio.gather(*(connected[0].take_any(3) for _ in range(8)))
    lanes = [(lane.app_id, lane.calendar_id) for each in taken for lane in each]
    assert max(map(len, taken)) <= 3
    assert len(lanes) == len(set(lanes)) == 10
    assert await connected[0].take_any() == []


async def test_the_lanes_that_are_due_for_the_longest_time_come_first(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    old, new = await connect(storage, app_id), await connect(storage, app_id)
    await old.written()
    database.skew = MINUTE
    await new.written()
    assert [lane.calendar_id for lane in await new.take_any(1)] == [old.calendar.id]
    assert [lane.calendar_id for lane in await new.take_any(1)] == [new.calendar.id]


async def test_a_writer_and_a_worker_never_hold_the_same_lane(ours: Connected) -> None:
    await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        lane = await work.lanes.take(ours.calendar.id, LEASE)
        assert lane is not None
        assert await work.lanes.take(ours.calendar.id, LEASE) is None
    assert await ours.take_any() == []
    await ours.release(lane)
    assert (await ours.take()).fence == lane.fence + 1


async def test_a_worker_past_its_lease_is_fenced_off(database: Database, ours: Connected) -> None:
    await ours.written()
    late = await ours.take()
    database.skew = LEASE - timedelta(seconds=5)
    assert await ours.take_any() == []
    database.skew = LEASE + timedelta(seconds=5)
    current = await ours.take()
    assert current.fence == late.fence + 1
    async with ours.storage.writing(ours.app_id) as work:
        assert not await work.lanes.holds(late)
        assert not await work.lanes.keep(late, LEASE)
        await work.lanes.release(late)
        assert await work.lanes.holds(current)
        assert await work.lanes.keep(current, LEASE)
    assert await ours.take_any() == []


async def test_a_lease_that_is_renewed_is_kept(database: Database, ours: Connected) -> None:
    await ours.written()
    lane = await ours.take()
    for step in range(1, 4):
        database.skew = step * LEASE * 0.8
        async with ours.storage.writing(ours.app_id) as work:
            assert await work.lanes.keep(lane, LEASE)
        assert await ours.take_any() == []


async def test_a_worker_past_its_lease_that_nobody_replaced_may_go_on(database: Database, ours: Connected) -> None:
    await ours.written()
    lane = await ours.take()
    database.skew = DAY
    async with ours.storage.writing(ours.app_id) as work:
        assert await work.lanes.keep(lane, LEASE)
    assert await ours.take_any() == []


@pytest.mark.parametrize("state", [AccountState.NEEDS_RECONNECT, AccountState.REVOKED])
async def test_the_lanes_of_a_parked_account_wait_until_it_is_active(ours: Connected, state: AccountState) -> None:
    await ours.written()
    assert ours.calendar.account_id is not None
    for each, lanes in ((state, 0), (AccountState.ACTIVE, 1)):
        async with ours.storage.writing(ours.app_id) as work:
            await work.accounts.set_state(ours.calendar.account_id, each, NOW)
        assert len(await ours.take_any()) == lanes


async def test_the_lanes_of_a_blocked_account_wait_and_those_of_others_do_not(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    blocked, free = await connect(storage, app_id), await connect(storage, app_id)
    await blocked.written()
    await free.written()
    assert blocked.calendar.account_id is not None
    async with storage.writing(app_id) as work:
        await work.accounts.block(blocked.calendar.account_id, HOUR)
    assert [lane.calendar_id for lane in await free.take_any()] == [free.calendar.id]
    database.skew = 2 * HOUR
    assert blocked.calendar.id in {lane.calendar_id for lane in await free.take_any()}


# Accounts that are asked one thing at a time


async def test_lanes_of_one_account_are_worked_side_by_side_unless_they_must_be_alone(
    storage: Storage, app_id: UUID
) -> None:
    together = await connect_beside(storage, app_id, 3, alone=False)
    assert len(await together[0].take_any()) == 3


async def test_of_an_accounts_lanes_that_must_be_alone_one_is_leased_at_a_time_and_each_has_its_turn(
    storage: Storage, app_id: UUID
) -> None:
    calendars = {each.calendar.id: each for each in await connect_beside(storage, app_id, 3, alone=True)}
    other = await connect(storage, app_id, alone=True)
    await other.written()
    first = await other.take_any()
    assert other.calendar.id in {lane.calendar_id for lane in first}
    assert len(first) == 2
    worked = [lane for lane in first if lane.calendar_id in calendars]
    while worked[-1:]:
        lane = worked[-1]
        assert await other.take_any() == []
        await calendars[lane.calendar_id].release(lane, pause=HOUR)
        following = await other.take_any()
        if not following:
            break
        worked += following
    assert {lane.calendar_id for lane in worked} == set(calendars)
    assert len(worked) == 3


async def test_a_lane_that_must_be_alone_waits_for_one_whose_holder_died_no_longer_than_its_lease(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    calendars = await connect_beside(storage, app_id, 2, alone=True)
    [dead] = await calendars[0].take_any()
    assert await calendars[0].take_any() == []
    database.skew = 2 * LEASE
    [next_one] = await calendars[0].take_any()
    assert next_one.app_id == dead.app_id


async def test_a_writer_does_not_lease_a_lane_beside_another_that_it_must_not_be_beside(
    storage: Storage, app_id: UUID
) -> None:
    one, other = await connect_beside(storage, app_id, 2, alone=True)
    async with storage.writing(app_id) as work:
        lane = await work.lanes.take(one.calendar.id, LEASE)
        assert lane is not None
        assert await work.lanes.take(other.calendar.id, LEASE) is None
    assert await one.take_any() == []
    async with storage.writing(app_id) as work:
        assert await work.lanes.take(other.calendar.id, LEASE) is None
        await work.lanes.release(lane)
        assert await work.lanes.take(other.calendar.id, LEASE) is not None
    assert await one.take_any() == []


async def test_a_writer_leases_any_lane_that_need_not_be_alone(storage: Storage, app_id: UUID) -> None:
    one, other = await connect_beside(storage, app_id, 2, alone=False)
    async with storage.writing(app_id) as work:
        assert await work.lanes.take(one.calendar.id, LEASE) is not None
        assert await work.lanes.take(other.calendar.id, LEASE) is not None


async def test_writers_and_workers_at_once_lease_one_of_an_accounts_lanes_that_must_be_alone(
    storage: Storage, app_id: UUID
) -> None:
    calendars = await connect_beside(storage, app_id, 8, alone=True)

    async def take(each: Connected) -> list[Lane]:
        async with storage.writing(app_id) as work:
            lane = await work.lanes.take(each.calendar.id, LEASE)
        return [] if lane is None else [lane]

    for _ in range(5):
        found = await asyncio.gather(*(take(each) for each in calendars), *(each.take_any() for each in calendars))
        [lane] = [lane for lanes in found for lane in lanes]
        await calendars[0].release(lane)


async def test_many_workers_at_once_lease_one_of_an_accounts_lanes_that_must_be_alone(
    storage: Storage, app_id: UUID
) -> None:
    calendars = await connect_beside(storage, app_id, 8, alone=True)
    taken = await asyncio.gather(*(calendars[0].take_any(1) for _ in range(8)))
    assert len([lane for each in taken for lane in each]) == 1


# Giving back


async def test_a_lane_without_intents_sleeps_until_it_is_woken(database: Database, ours: Connected) -> None:
    event = await ours.written()
    lane = await ours.take()
    await ours.pushed(event)
    await ours.release(lane)
    database.skew = DAY
    assert await ours.take_any() == []
    await ours.written()
    assert len(await ours.take_any()) == 1


async def test_a_lane_is_looked_at_again_when_its_next_intent_is_due(database: Database, ours: Connected) -> None:
    event = await ours.written()
    lane = await ours.take()
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(event.id, "503", again_in=HOUR)
        await work.lanes.release(lane)
    for skew, lanes in ((59 * MINUTE, 0), (61 * MINUTE, 1)):
        database.skew = skew
        assert len(await ours.take_any()) == lanes


async def test_a_lane_that_backs_off_is_not_woken_before_its_time_unless_a_person_asks(
    database: Database, ours: Connected
) -> None:
    await ours.written()
    await ours.release(await ours.take(), pause=10 * MINUTE, failures=3)
    await ours.written()
    database.skew = 9 * MINUTE
    assert await ours.take_any() == []
    database.skew = 11 * MINUTE
    lane = await ours.take()
    assert lane.failures == 3
    await ours.release(lane, pause=HOUR, failures=4)
    async with ours.storage.writing(ours.app_id) as work:
        await work.lanes.wake(ours.calendar.id, ours.calendar.account_id, at_once=True)
    assert len(await ours.take_any()) == 1


async def test_a_lane_that_is_given_back_without_failures_is_woken_at_once(ours: Connected) -> None:
    await ours.written()
    await ours.release(await ours.take(), pause=10 * MINUTE)
    assert await ours.take_any() == []
    await ours.written()
    assert len(await ours.take_any()) == 1


async def test_an_intent_is_not_lost_when_its_writer_wakes_the_lane_while_a_worker_gives_it_back(
    database: Database, ours: Connected
) -> None:
    sent, late = await ours.written(), make_event(ours.calendar.id)
    lane = await ours.take()
    await ours.pushed(sent)
    async with ours.storage.writing(ours.app_id) as writer:
        await writer.events.add([late])
        await writer.links.track([late])
        await writer.intents.put([late])
        await writer.lanes.wake(ours.calendar.id, ours.calendar.account_id)
        giving_back = asyncio.create_task(ours.release(lane))
        await until_somebody_waits(database)
    await giving_back
    assert len(await ours.take_any()) == 1


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_an_intent_is_not_lost_when_its_writer_wakes_the_lane_after_a_worker_gave_it_back(
    ours: Connected,
) -> None:
    sent, late = await ours.written(), make_event(ours.calendar.id)
    lane = await ours.take()
    await ours.pushed(sent)
    async with ours.storage.writing(ours.app_id) as writer:
        await writer.events.add([late])
        await writer.links.track([late])
        await writer.intents.put([late])
        await ours.release(lane)  # does not see the intent, and does not wait for it
        await writer.lanes.wake(ours.calendar.id, ours.calendar.account_id)
    assert len(await ours.take_any()) == 1


async def test_a_lane_is_looked_at_again_when_its_source_is_due(database: Database, ours: Connected) -> None:
    event = await ours.written()
    lane = await ours.take()
    await ours.pushed(event)
    await ours.read(again_in=HOUR)
    await ours.release(lane)
    for skew, lanes in ((59 * MINUTE, 0), (61 * MINUTE, 1)):
        database.skew = skew
        assert len(await ours.take_any()) == lanes


@pytest.mark.parametrize("pause", [None, 10 * MINUTE])
async def test_of_what_waits_in_a_lane_the_earliest_counts(
    database: Database, ours: Connected, pause: timedelta | None
) -> None:
    event = await ours.written()
    lane = await ours.take()
    await ours.read(again_in=2 * HOUR)
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(event.id, "503", again_in=HOUR)
        await work.lanes.release(lane, pause=pause)
    for skew, lanes in ((59 * MINUTE, 0), (61 * MINUTE, 1)):
        database.skew = skew
        assert len(await ours.take_any()) == lanes


async def test_a_lane_that_can_only_be_read_waits_for_its_source(database: Database, ours: Connected) -> None:
    await ours.written()
    lane = await ours.take()
    await ours.read(again_in=HOUR)
    async with ours.storage.writing(ours.app_id) as work:
        await work.lanes.release(lane, only_read=True)
    for skew, lanes in ((59 * MINUTE, 0), (61 * MINUTE, 1)):
        database.skew = skew
        assert len(await ours.take_any()) == lanes


async def test_a_lane_that_is_forgotten_is_lost_to_its_holder(ours: Connected) -> None:
    await ours.written()
    lane = await ours.take()
    async with ours.storage.writing(ours.app_id) as work:
        await work.lanes.forget(ours.calendar.id)
    async with ours.storage.writing(ours.app_id) as work:
        assert not await work.lanes.keep(lane, LEASE)
        await work.lanes.release(lane)
    assert await ours.take_any() == []


# Intents


async def test_an_event_that_changes_while_it_is_sent_keeps_its_intent(ours: Connected) -> None:
    event = await ours.written()
    changed = event.changed(when=event.when, content=make_event(ours.calendar.id, summary="New").content, at=NOW)
    async with ours.storage.writing(ours.app_id) as work:
        await work.events.save(changed)
        await work.links.track([changed])
    await ours.pushed(event)
    async with ours.storage.reading(ours.app_id) as work:
        assert list(await work.intents.many([event.id])) == [event.id]
    await ours.pushed(changed)
    async with ours.storage.reading(ours.app_id) as work:
        assert await work.intents.many([event.id]) == {}
        link = (await work.links.many([event.id]))[event.id]
    assert (link.local_version, link.pushed_version, link.last_synced_at) == (2, 2, None)


async def test_intents_come_in_the_order_of_their_wishes_and_when_they_are_due(
    database: Database, ours: Connected
) -> None:
    first, second = await ours.written(), await ours.written()

    async with ours.storage.writing(ours.app_id) as work:

        async def next_due() -> UUID | None:
            intent = await work.intents.next_due(ours.calendar.id)
            return intent.event_id if intent else None

        assert await next_due() == first.id
        await work.intents.failed(first.id, "503", again_in=MINUTE)
        assert await next_due() == second.id
        await work.intents.failed(second.id, "400", again_in=None)
        assert await next_due() is None
        database.skew = 2 * MINUTE
        assert await next_due() == first.id


async def test_a_worker_that_is_asked_to_sends_what_failed_least_often_first(ours: Connected) -> None:
    first, second = await ours.written(), await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(first.id, "503", again_in=-HOUR)
        for untried_first, expected in ((False, first), (True, second)):
            intent = await work.intents.next_due(ours.calendar.id, untried_first=untried_first)
            assert intent is not None
            assert intent.event_id == expected.id


async def test_a_failure_counts_unless_it_says_otherwise_and_a_new_wish_begins_anew(ours: Connected) -> None:
    event = await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(event.id, "x" * 5000, again_in=HOUR)
        await work.intents.failed(event.id, "429", again_in=HOUR, counts=False)
        intent = (await work.intents.many([event.id]))[event.id]
        assert (intent.attempts, intent.last_error) == (1, "429")
        await work.intents.failed(event.id, "x" * 5000, again_in=None)
        intent = (await work.intents.many([event.id]))[event.id]
        assert (intent.attempts, intent.last_error, intent.due_at) == (2, "x" * MAX_ERROR, None)
        await work.intents.put([event])
        intent = (await work.intents.many([event.id]))[event.id]
        assert (intent.attempts, intent.last_error, intent.calendar_id) == (0, None, ours.calendar.id)
        assert intent.due_at is not None


async def test_what_is_held_for_a_person_is_not_due_until_it_changes(ours: Connected) -> None:
    event = await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(event.id, "503", again_in=-HOUR)
        await work.intents.hold(event.id)
        assert await work.intents.next_due(ours.calendar.id) is None
        intent = (await work.intents.many([event.id]))[event.id]
        assert (intent.attempts, intent.due_at, intent.last_error) == (0, None, "503")
        await work.intents.put([event])
        assert await work.intents.next_due(ours.calendar.id) is not None


async def test_every_event_of_a_calendar_is_wished_for_in_the_order_in_which_they_were_made(
    storage: Storage, app_id: UUID
) -> None:
    ours, other = await connect(storage, app_id), await connect(storage, app_id)
    events = [make_event(ours.calendar.id) for _ in range(3)]
    gone = make_event(ours.calendar.id, deleted_at=NOW)
    async with storage.writing(app_id) as work:
        await work.events.add([*reversed(events), gone, make_event(other.calendar.id)])
        await work.links.track_calendar(ours.calendar.id)
        await work.intents.put_calendar(ours.calendar.id)
        found = []
        while intent := await work.intents.next_due(ours.calendar.id):
            found.append(intent.event_id)
            await work.intents.failed(intent.event_id, "x", again_in=None)
        assert await work.intents.next_due(other.calendar.id) is None
        links = await work.links.many([each.id for each in (*events, gone)])
    assert found == [each.id for each in events]
    assert {(link.local_version, link.pushed_version, link.remote_id) for link in links.values()} == {(1, 0, None)}


async def test_the_wishes_of_a_calendar_can_be_forgotten(ours: Connected, app_id: UUID) -> None:
    other = await connect(ours.storage, app_id)
    event, kept = await ours.written(), await other.written()
    async with ours.storage.writing(app_id) as work:
        await work.intents.forget_calendar(ours.calendar.id)
        assert list(await work.intents.many([event.id, kept.id])) == [kept.id]


async def test_what_waits_and_what_waits_for_a_person_is_counted_over_all_apps(
    ours: Connected, other_app_id: UUID
) -> None:
    dead, theirs = await ours.written(), await connect(ours.storage, other_app_id)
    await ours.written()
    await theirs.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(dead.id, "400", again_in=None)
    async with ours.storage.system() as system:
        assert await system.backlog() == Backlog(waiting=2, dead=1)


# Links


async def test_a_link_remembers_what_is_tried_and_what_the_provider_calls_it(ours: Connected) -> None:
    event = await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.links.attempt(event.id, 1, event.state)
        assert (await work.links.many([event.id]))[event.id].sent == event.state
        await work.links.learn(event.id, 1, NOW, make_counterpart(event, "r-1", etag='"7"', generation=2))
        await work.links.track([replace(event, version=2)])  # what is known stays
        link = (await work.links.many([event.id]))[event.id]
    assert (link.event_id, link.calendar_id, link.local_version) == (event.id, ours.calendar.id, 2)
    assert (link.attempted_version, link.pushed_version, link.generation) == (1, 1, 2)
    assert (link.remote_id, link.remote_etag, link.remote_uid) == ("r-1", '"7"', event.uid)
    assert (link.remote_url, link.last_synced_at) == ("https://calendar.example/r-1", NOW)
    assert (link.agreed, link.sent) == (Agreement(event.state, event.state), None)


async def test_a_copy_that_is_gone_is_forgotten_before_another_is_made(ours: Connected) -> None:
    event = await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.links.learn(event.id, 1, NOW, make_counterpart(event, "r-1"))
        await work.links.attempt(event.id, 1, event.state)
        await work.links.begin_anew(event.id, 1)
        link = (await work.links.many([event.id], lock=True))[event.id]
    assert (link.generation, link.remote_id, link.remote_etag, link.remote_url) == (1, None, None, None)
    assert (link.remote_uid, link.agreed, link.sent, link.conflict) == (None, None, None, None)


async def test_a_forgotten_event_takes_its_link_and_its_intent_with_it(ours: Connected) -> None:
    event = await ours.written()
    async with ours.storage.writing(ours.app_id) as work:
        await work.events.save(event.deleted(NOW))
        await work.events.forget(event.id)
        assert await work.links.many([event.id]) == {}
        assert await work.intents.many([event.id]) == {}


# The sweeper


async def swept(storage: Storage) -> int:
    async with storage.system(write=True) as system:
        return await system.sweep()


async def test_a_sweep_finds_nothing_where_nothing_is_lost(ours: Connected) -> None:
    event, dead = await ours.written(), await ours.written()
    await ours.pushed(event)
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.failed(dead.id, "400", again_in=None)
    await ours.release(await ours.take())
    assert await swept(ours.storage) == 0
    assert await ours.take_any() == []


async def test_a_sweep_renews_lost_intents_and_wakes_their_lanes(ours: Connected) -> None:
    lost, synced = await ours.written(), await ours.written()
    await ours.pushed(synced)
    async with ours.storage.writing(ours.app_id) as work:
        await work.intents.run(delete(INTENTS))
    await ours.release(await ours.take())
    assert await ours.take_any() == []
    assert await swept(ours.storage) == 2  # the intent and the lane
    assert await swept(ours.storage) == 0
    assert len(await ours.take_any()) == 1
    async with ours.storage.reading(ours.app_id) as work:
        intent = await work.intents.next_due(ours.calendar.id)
    assert intent is not None
    assert intent.event_id == lost.id


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_sweep_wakes_lanes_that_sleep_although_something_waits(
    database: Database, ours: Connected, stopped: bool
) -> None:
    await ours.written()
    lane = await ours.take()
    if not stopped:
        await ours.release(lane)
    async with ours.storage.writing(ours.app_id) as work:
        await work.lanes.run(update(LANES).values(due_at=None))
    database.skew = 2 * LEASE
    assert await ours.take_any() == []
    assert await swept(ours.storage) == 1
    assert len(await ours.take_any()) == 1


async def test_a_sweep_leaves_lanes_alone_that_somebody_is_at(ours: Connected) -> None:
    await ours.written()
    await ours.take()
    async with ours.storage.writing(ours.app_id) as work:
        await work.lanes.run(update(LANES).values(due_at=None))
    assert await swept(ours.storage) == 0


async def test_a_sweep_wakes_lanes_that_sleep_although_their_calendar_is_read(
    database: Database, ours: Connected
) -> None:
    event = await ours.written()
    lane = await ours.take()
    await ours.pushed(event)
    await ours.release(lane)
    database.skew = 2 * LEASE
    assert await swept(ours.storage) == 0
    await ours.read(again_in=HOUR)
    assert await swept(ours.storage) == 1
    assert len(await ours.take_any()) == 1
