"""Sync with providers: nothing lost, nothing doubled, whatever goes wrong and whenever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

import pytest
import structlog
from sqlalchemy import event as listen
from sqlalchemy import select

from kalends.domain.calendars import AccountState
from kalends.domain.events import Event, EventStatus
from kalends.domain.sync import SyncStatus
from kalends.server.logs import redact
from providers.errors import Gone, OutcomeUnknown, ReconnectRequired, Refused, Throttled, Unreachable
from providers.interface import RemoteEvent
from resolvers import push as pushing
from resolvers import sync
from resolvers.push import MAX_STEPS, Pushed, push
from resolvers.services import Services
from resolvers.sync import PUSHES_A_TURN, STRIKES, work_lane
from storage.engine import Database
from storage.errors import Unavailable
from storage.outbox import LANES
from storage.sandbox import COPIES
from storage.unit_of_work import Storage
from tests.helpers import MINUTE
from tests.providers.scripted import Call, ScriptedProvider, nothing, once, raising
from tests.resolvers.sync_stage import EVER, PAST_LEASE, Crash, Stage

pytestmark = pytest.mark.anyio

BUSY = Throttled("The provider is busy.", retry_after=MINUTE)
AWAY = Unreachable("The provider is away.")
LOST = OutcomeUnknown("The answer was lost.")
REVOKED = ReconnectRequired("The grant is gone.")
NEVER = Refused("The provider does not want this.")


async def lane_row(stage: Stage) -> Any:
    async with stage.storage.reading(stage.app_id) as work:
        return await work.lanes.one(select(LANES).where(LANES.c.calendar_id == stage.calendar.id))


async def alive_in_sandbox(stage: Stage, event: Event) -> list[Any]:
    async with stage.storage.reading(stage.app_id) as work:
        rows = await work.sandbox.rows(select(COPIES).where(COPIES.c.deleted.is_(False)))
    return [row for row in rows if row.body["iCalUID"] == event.uid]


async def synced(stage: Stage, provider: ScriptedProvider, event: Event, summary: str = "Planning") -> None:
    """Check that the provider has exactly one copy, which is the event, and that nothing waits."""
    assert [copy.summary for copy in provider.alive(event.id)] == [summary]
    state = await stage.state(event)
    assert (state.status, state.attempts, state.last_error) == (SyncStatus.SYNCED, 0, None)
    assert await stage.intent(event) is None


async def crashed(stage: Stage) -> None:
    """Work the lane until the process dies."""
    with pytest.raises(Crash):
        await stage.turn()


# The way of an event


async def test_an_event_reaches_its_provider_and_its_state_says_so(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    assert (await stage.state(event)).status is SyncStatus.PENDING
    assert stage.woken
    await stage.drain()
    await synced(stage, provider, event)
    state, link = await stage.state(event), await stage.link(event)
    assert state.remote_url == f"https://calendar.example/{link.remote_id}"
    assert state.last_synced_at == stage.clock()
    assert provider.kinds() == ["create"]


async def test_changes_are_sent_in_the_order_in_which_they_were_made(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create(f"Number {number}") for number in range(5)]
    await stage.drain()
    assert [call.event_id for call in provider.calls] == [event.id for event in events]


async def test_several_changes_before_a_push_are_one_call(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("First")
    await stage.update(event, summary="Second")
    await stage.update(event, summary="Third")
    await stage.drain()
    assert provider.kinds() == ["create"]
    await synced(stage, provider, event, "Third")


async def test_an_event_of_a_local_calendar_is_never_pushed(
    stage: Stage, provider: ScriptedProvider, database: Database
) -> None:
    local = replace(stage.calendar, id=UUID(int=5), provider="local", account_id=None, remote_id=None)
    async with stage.storage.writing(stage.app_id) as work:
        await work.calendars.add(local)
    event = await stage.create(calendar=local, sync_now=True)
    assert (await stage.state(event)).status is SyncStatus.LOCAL
    await stage.drain()
    assert provider.calls == []
    await stage.delete(event)
    assert not await stage.exists(event)


async def test_a_cancelled_event_is_cancelled_at_the_provider(sandbox_stage: Stage) -> None:
    event = await sandbox_stage.create()
    await sandbox_stage.drain()
    await sandbox_stage.cancel(event)
    await sandbox_stage.drain()
    [copy] = await alive_in_sandbox(sandbox_stage, event)
    assert copy.body["status"] == "CANCELLED"


async def test_a_deleted_event_is_forgotten_when_its_copy_is_deleted(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    await stage.drain()
    await stage.delete(event)
    assert await stage.exists(event)
    await stage.drain()
    assert not await stage.exists(event)
    assert provider.alive(event.id) == []


async def test_a_delete_before_the_first_push_makes_no_call(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    await stage.delete(event)
    await stage.drain()
    assert provider.calls == []
    assert not await stage.exists(event)


async def test_a_cancel_before_the_first_push_makes_no_call_and_an_uncancel_does(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.cancel(event)
    await stage.drain()
    assert provider.calls == []
    assert (await stage.state(event)).status is SyncStatus.SYNCED
    await stage.update(event, status=EventStatus.CONFIRMED)
    await stage.drain()
    await synced(stage, provider, event)
    assert provider.kinds() == ["create"]


async def test_a_cancel_before_the_first_push_and_then_a_delete_make_no_call(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.cancel(event)
    await stage.drain()
    await stage.delete(event)
    await stage.drain()
    assert provider.calls == []
    assert not await stage.exists(event)


# The six rules


async def test_every_provider_call_is_acknowledged_before_the_next(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create() for _ in range(4)]
    provider.before = raising(Crash(), only=lambda call: call.event_id == events[2].id)
    await crashed(stage)
    assert [(await stage.state(event)).status for event in events[:2]] == [SyncStatus.SYNCED] * 2
    provider.before = nothing
    stage.advance(PAST_LEASE)
    await stage.drain()
    for event in events:
        await synced(stage, provider, event)
    assert [len(provider.kinds(event.id)) for event in events] == [1, 1, 3, 1]


async def test_progress_resets_the_back_off_so_that_one_failure_in_ten_starves_nobody(
    stage: Stage, provider: ScriptedProvider
) -> None:
    events = [await stage.create() for _ in range(40)]
    failed: list[Call] = []

    async def every_tenth(call: Call) -> None:
        if len(provider.calls) % 10 == 3:
            failed.append(call)
            raise AWAY

    provider.before = every_tenth
    await stage.turn()
    assert {call.event_id for call in provider.calls} == {event.id for event in events}
    assert len(failed) >= 4
    assert (await lane_row(stage)).failures == 0
    provider.before = nothing
    stage.advance(EVER)
    await stage.turn()
    for event in events:
        await synced(stage, provider, event)


async def test_a_worker_past_its_lease_cannot_acknowledge(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("Old")

    async def meanwhile() -> None:
        stage.advance(PAST_LEASE)
        await stage.update(event, summary="New")
        assert await stage.turn() == 1

    provider.after = once(meanwhile)
    [late] = await stage.take()
    assert await push(stage.services, late, event.id) is Pushed.LOST
    await synced(stage, provider, event, "New")
    link = await stage.link(event)
    assert (link.pushed_version, link.remote_etag) == (2, '"2"')


async def test_a_late_create_meets_its_own_name_and_a_late_update_another_etag(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create("First")
    for version in ("Second", "Third"):

        async def meanwhile(summary: str = version) -> None:
            stage.advance(PAST_LEASE)
            await stage.update(event, summary=summary)
            assert await stage.turn() == 1

        provider.before = once(meanwhile)
        [late] = await stage.take()
        assert await push(stage.services, late, event.id) is Pushed.LOST
        await synced(stage, provider, event, version)
        await stage.update(event, summary="In between")
    assert provider.kinds() == ["create", "find"] * 2 + ["update", "find"] * 2


async def test_leases_end_by_the_clock_of_the_database_and_not_by_the_workers(
    stage: Stage, provider: ScriptedProvider
) -> None:
    await stage.create()
    [lane] = await stage.take()
    stage.clock.advance(timedelta(hours=1))  # the worker's own clock is off
    assert await stage.take() == []
    stage.storage.database.skew += PAST_LEASE
    assert [each.fence for each in await stage.take()] == [lane.fence + 1]


async def test_a_429_blocks_the_account_costs_no_attempt_and_no_call_is_made_meanwhile(
    stage: Stage, provider: ScriptedProvider
) -> None:
    same = await stage.add_calendar("Same account", account_of=stage.calendar)
    other = await stage.add_calendar("Another account")
    events = [await stage.create() for _ in range(3)]
    sibling, stranger = await stage.create(calendar=same), await stage.create(calendar=other)
    provider.before = raising(BUSY, only=lambda call: call.calendar != other.remote_id)
    await stage.drain()
    assert len([call for call in provider.calls if call.calendar != other.remote_id]) == 1
    await synced(stage, provider, stranger)
    made = len(provider.calls)
    for _ in range(5):
        stage.advance(timedelta(seconds=5))
        await stage.drain()
        late = await stage.create("While it is blocked", calendar=other)
        await stage.create("While it is blocked", sync_now=True)
        await stage.drain()
        await synced(stage, provider, late, "While it is blocked")
    assert len(provider.calls) == made + 5
    state = await stage.state(events[0])
    assert (state.status, state.attempts, state.last_error) == (SyncStatus.PENDING, 0, str(BUSY))
    provider.before = nothing
    stage.advance(MINUTE)
    await stage.drain()
    for event in (*events, sibling):
        await synced(stage, provider, event)


async def test_dead_letters_are_a_state_that_can_be_seen_and_tried_again(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    provider.before = raising(AWAY)
    tries = []
    for _ in range(10):
        await stage.drain()
        tries.append((await stage.state(event)).attempts)
        stage.advance(EVER)
    most = stage.services.patience.max_attempts
    assert tries == [min(number, most) for number in range(1, 11)]
    state = await stage.state(event)
    assert (state.status, state.last_error, state.next_attempt_at) == (SyncStatus.FAILED, str(AWAY), None)
    assert len(provider.calls) == most
    assert await stage.sweep() == 0
    provider.before = nothing
    await stage.retry(event)
    assert (await stage.state(event)).status is SyncStatus.PENDING
    await stage.drain()
    await synced(stage, provider, event)


# Crashes: what was begun is finished by another worker, once


async def survive(stage: Stage, provider: ScriptedProvider, crash: Callable[[], None]) -> None:
    """Create, change and delete an event, each with a crash, and check that another worker finishes it."""
    event = await stage.create("First")
    for step in ("First", "Second", "Third", "deleted"):
        if step == "deleted":
            await stage.delete(event)
        elif step != "First":
            await stage.update(event, summary=step)
        crash()
        await crashed(stage)
        provider.before = provider.after = nothing
        assert await stage.take() == []  # not before the lease has ended
        stage.advance(PAST_LEASE)
        await stage.drain()
        if step != "deleted":
            await synced(stage, provider, event, step)
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)
    assert len(provider.copies) == 1


async def test_a_crash_before_the_request_is_sent_loses_and_doubles_nothing(
    stage: Stage, provider: ScriptedProvider
) -> None:
    def crash() -> None:
        provider.before = raising(Crash())

    await survive(stage, provider, crash)


async def test_a_crash_after_the_request_is_sent_loses_and_doubles_nothing(
    stage: Stage, provider: ScriptedProvider
) -> None:
    def crash() -> None:
        provider.after = raising(Crash())

    await survive(stage, provider, crash)


async def test_a_crash_before_the_acknowledgement_is_committed_loses_and_doubles_nothing(
    stage: Stage, provider: ScriptedProvider
) -> None:
    answered: list[Call] = []

    async def answer(call: Call) -> None:
        answered.append(call)

    def crash() -> None:
        provider.after = answer

    def commit(_connection: object) -> None:
        if answered:
            answered.clear()
            raise Crash

    engine = stage.storage.database.writer.sync_engine
    listen.listen(engine, "commit", commit)
    try:
        await survive(stage, provider, crash)
    finally:
        listen.remove(engine, "commit", commit)


async def test_a_push_that_is_cancelled_is_finished_by_another_worker(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    reached = asyncio.Event()

    async def hang(_call: Call) -> None:
        reached.set()
        await asyncio.Event().wait()

    provider.after = hang
    task = asyncio.create_task(stage.turn())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    provider.after = nothing
    stage.advance(PAST_LEASE)
    await stage.drain()
    await synced(stage, provider, event)
    assert len(provider.copies) == 1


# Answers that are lost, and answers that disagree


async def test_an_event_whose_creation_was_not_answered_is_adopted_and_not_doubled(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    provider.after = raising(LOST, times=1)
    await stage.drain()
    state = await stage.state(event)
    assert (state.status, state.attempts, state.last_error) == (SyncStatus.RETRYING, 1, str(LOST))
    stage.advance(EVER)
    await stage.drain()
    await synced(stage, provider, event)
    assert len(provider.copies) == 1


async def test_an_adopted_copy_takes_what_was_changed_since(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("First")
    provider.after = raising(LOST, times=1)
    await stage.drain()
    await stage.update(event, summary="Second")
    await stage.drain()
    await synced(stage, provider, event, "Second")
    assert len(provider.copies) == 1


async def test_the_sandbox_loses_answers_and_nothing_is_lost_or_doubled(sandbox_stage: Stage) -> None:
    stage = sandbox_stage
    events = [await stage.create(f"Number {number}") for number in range(5)]
    await stage.misbehave(reply_lost=1)
    await stage.drain()
    for event in events[:STRIKES]:
        assert (await stage.state(event)).status is SyncStatus.RETRYING
        assert len(await alive_in_sandbox(stage, event)) == 1
    await stage.update(events[0], summary="Changed")
    await stage.delete(events[1])
    await stage.misbehave()
    await stage.converge()
    assert await alive_in_sandbox(stage, events[1]) == []
    for event in (events[0], *events[2:]):
        [copy] = await alive_in_sandbox(stage, event)
        assert copy.body["summary"] == ("Changed" if event is events[0] else event.content.summary)
        assert (await stage.state(event)).status is SyncStatus.SYNCED


async def test_a_delete_after_an_unknown_outcome_deletes_by_name(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    provider.after = raising(LOST, times=1)
    await stage.drain()
    assert len(provider.alive(event.id)) == 1
    await stage.delete(event)
    await stage.drain()
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)


async def test_an_update_whose_copy_was_deleted_makes_it_anew_in_the_next_generation(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.drain()
    provider.meddle(event.id, delete=True)
    await stage.update(event, summary="Again")
    await stage.drain()
    await synced(stage, provider, event, "Again")
    assert (await stage.link(event)).generation == 1
    provider.meddle(event.id, delete=True)
    await stage.update(event, summary="And again")
    await stage.drain()
    await synced(stage, provider, event, "And again")
    assert (await stage.link(event)).generation == 2


async def test_a_create_that_meets_its_deleted_copy_goes_on_with_the_next_generation(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    provider.after = raising(LOST, times=1)
    await stage.drain()
    provider.meddle(event.id, delete=True)
    stage.advance(EVER)
    await stage.drain()
    await synced(stage, provider, event)
    assert (await stage.link(event)).generation == 1


async def test_a_copy_that_is_deleted_between_finding_and_adopting_it_is_made_anew(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    provider.after = raising(LOST, times=1)
    await stage.drain()

    async def meddle() -> None:
        provider.meddle(event.id, delete=True)

    provider.after = once(meddle, kind="find")
    await stage.update(event, summary="Ours")
    await stage.turn()
    await synced(stage, provider, event, "Ours")
    assert (await stage.link(event)).generation == 1


@pytest.mark.parametrize("crash", [LOST, Crash()])
async def test_a_copy_made_anew_whose_creation_was_not_answered_is_deleted_with_its_event(
    stage: Stage, provider: ScriptedProvider, crash: BaseException
) -> None:
    event = await stage.create()
    await stage.drain()
    provider.meddle(event.id, delete=True)
    await stage.update(event, summary="Again")
    provider.after = raising(crash, times=1, only=lambda call: call.kind == "create")
    try:
        await stage.turn()
    except Crash:
        stage.advance(PAST_LEASE)
    assert len(provider.alive(event.id)) == 1
    await stage.delete(event)
    await stage.drain()
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)


async def test_a_copy_that_was_changed_elsewhere_is_merged_after_a_second_look(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.drain()
    provider.meddle(event.id)
    await stage.update(event, summary="Ours")
    await stage.drain()
    await synced(stage, provider, event, "Ours")
    [copy] = provider.alive(event.id)
    assert (await stage.now(event)).content.location == copy.state.content.location == "Moved 1"
    assert provider.kinds() == ["create", "update", "find", "update"]


async def test_a_copy_that_changes_again_and_again_is_tried_again_later(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.drain()
    await stage.update(event, summary="Ours")

    async def meddle(call: Call) -> None:
        if call.kind == "update":
            provider.meddle(event.id)

    provider.before = meddle
    await stage.drain()
    assert provider.kinds() == ["create", *["update", "find"] * MAX_STEPS]
    assert (await stage.state(event)).status is SyncStatus.RETRYING
    provider.before = nothing
    await stage.converge()
    await synced(stage, provider, event, "Ours")


async def test_a_copy_that_is_found_deleted_at_the_second_look_is_made_anew(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.drain()
    provider.meddle(event.id)
    await stage.update(event, summary="Ours")

    async def meddle() -> None:
        provider.meddle(event.id, delete=True)

    provider.before = once(meddle, kind="find")
    await stage.drain()
    await synced(stage, provider, event, "Ours")
    assert (await stage.link(event)).generation == 1


async def test_a_provider_whose_copies_cannot_be_told_apart_ends_the_try_and_not_the_worker(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create()
    await stage.drain()
    provider.before = raising(Gone("It is gone."), only=lambda call: call.kind == "update")
    await stage.update(event, summary="Ours")
    await stage.drain()
    assert provider.kinds() == ["create", *["update", "find"] * MAX_STEPS]
    assert (await stage.state(event)).status is SyncStatus.RETRYING
    provider.before = nothing
    provider.meddle(event.id, delete=True)
    await stage.converge()
    await synced(stage, provider, event, "Ours")


# Several workers, and edits in the middle of a call


async def test_an_edit_during_a_push_is_pushed_too(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("First")

    async def edit() -> None:
        await stage.update(event, summary="Second")

    provider.after = once(edit)
    await stage.drain()
    await synced(stage, provider, event, "Second")
    assert provider.kinds() == ["create", "update"]


async def test_a_deletion_during_a_push_is_pushed_too(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    provider.after = once(lambda: stage.delete(event))
    await stage.drain()
    assert provider.kinds() == ["create", "delete"]
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)


async def test_an_edit_during_a_push_that_is_refused_is_tried_at_once(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("Not acceptable")

    async def edit_and_refuse(call: Call) -> None:
        if call.summary == "Not acceptable":
            await stage.update(event, summary="Acceptable")
            raise NEVER

    provider.before = edit_and_refuse
    await stage.drain()
    await synced(stage, provider, event, "Acceptable")


async def test_an_edit_during_a_push_that_fails_begins_with_its_own_first_attempt(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create("First")
    provider.before = raising(AWAY)
    for _ in range(2):
        await stage.drain()
        stage.advance(EVER)

    async def edit_and_fail() -> None:
        await stage.update(event, summary="Second")
        raise AWAY

    provider.before = once(edit_and_fail)
    await stage.turn()
    await synced(stage, provider, event, "Second")


async def test_a_worker_past_its_lease_does_not_write_an_old_version_over_a_newer_one(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create("First")
    await stage.drain()
    await stage.update(event, summary="Second")
    provider.meddle(event.id)  # so that it must look a second time

    async def meanwhile() -> None:
        stage.advance(PAST_LEASE)
        await stage.update(event, summary="Third")
        assert await stage.turn() == 1

    provider.before = once(meanwhile, kind="find")
    [late] = await stage.take()
    assert await push(stage.services, late, event.id) is Pushed.LOST
    await synced(stage, provider, event, "Third")


async def test_a_worker_past_its_lease_does_not_make_a_copy_anew(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create("First")
    await stage.drain()
    await stage.update(event, summary="Second")
    provider.meddle(event.id, delete=True)

    async def meanwhile() -> None:
        stage.advance(PAST_LEASE)
        await stage.delete(event)
        assert await stage.turn() == 1

    provider.before = once(meanwhile, kind="update")
    [late] = await stage.take()
    assert await push(stage.services, late, event.id) is Pushed.LOST
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)


async def test_a_process_that_was_stopped_before_its_call_does_not_make_it(
    stage: Stage, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await stage.create()
    [late] = await stage.take()
    loop, stopped = asyncio.get_running_loop(), [0.0]
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + stopped[0])

    def stop(_connection: object) -> None:
        stopped[0] = PAST_LEASE.total_seconds()

    engine = stage.storage.database.writer.sync_engine
    listen.listen(engine, "commit", stop)
    try:
        assert await push(stage.services, late, event.id) is Pushed.LOST
    finally:
        listen.remove(engine, "commit", stop)
    assert provider.calls == []
    stage.advance(PAST_LEASE)
    await stage.drain()
    await synced(stage, provider, event)


async def test_a_worker_past_its_lease_does_not_plan_the_next_attempt(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()

    async def meanwhile() -> None:
        stage.advance(PAST_LEASE)
        assert await stage.turn() == 1
        raise REVOKED

    provider.before = once(meanwhile)
    [late] = await stage.take()
    assert await push(stage.services, late, event.id) is Pushed.LOST
    await synced(stage, provider, event)
    assert (await stage.account()).state is AccountState.ACTIVE


async def test_a_worker_past_its_lease_leaves_the_lane_to_its_new_holder(
    stage: Stage, provider: ScriptedProvider
) -> None:
    await stage.create()
    [late] = await stage.take()
    stage.advance(PAST_LEASE)
    [current] = await stage.take()
    assert await work_lane(stage.services, late) == 0
    assert provider.calls == []
    row = await lane_row(stage)
    assert (row.fence, row.leased_until is None) == (current.fence, False)


async def test_workers_that_take_lanes_at_once_never_make_one_call_twice(
    stage: Stage, provider: ScriptedProvider
) -> None:
    calendars = [await stage.add_calendar(f"Number {number}") for number in range(4)]
    events = [await stage.create(calendar=calendar) for calendar in calendars for _ in range(4)]
    await asyncio.gather(*(stage.drain() for _ in range(4)))
    for event in events:
        await synced(stage, provider, event)
    assert provider.kinds() == ["create"] * len(events)


async def test_writers_and_workers_of_one_calendar_do_not_deadlock(stage: Stage, provider: ScriptedProvider) -> None:
    events = [await stage.create("0") for _ in range(4)]
    done = asyncio.Event()

    async def write(event: Event) -> None:
        for number in range(1, 9):
            await stage.update(event, summary=str(number), sync_now=number % 4 == 0)
            await stage.retry(event)

    async def work() -> None:
        while not done.is_set():
            await stage.turn()

    workers = [asyncio.create_task(work()) for _ in range(2)]
    await asyncio.gather(*(write(event) for event in events))
    done.set()
    await asyncio.gather(*workers)
    await stage.converge()
    for event in events:
        await synced(stage, provider, event, "8")


# Failures: who waits for what


async def test_a_429_of_the_sandbox_blocks_as_long_as_it_says(sandbox_stage: Stage) -> None:
    stage = sandbox_stage
    event = await stage.create()
    await stage.misbehave(throttled=1, retry_after=50)
    await stage.drain()
    assert (await stage.account()).blocked_until is not None
    await stage.misbehave()
    stage.advance(timedelta(seconds=49))
    await stage.drain()
    assert (await stage.state(event)).status is SyncStatus.PENDING
    stage.advance(timedelta(seconds=2))
    await stage.drain()
    assert (await stage.state(event)).status is SyncStatus.SYNCED


async def test_asking_for_another_try_does_not_break_a_429(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    provider.before = raising(BUSY)
    await stage.drain()
    await stage.retry(event)
    await stage.drain()
    assert len(provider.calls) == 1


async def test_a_storm_of_429s_makes_one_call_each_time_and_loses_nothing(
    stage: Stage, provider: ScriptedProvider
) -> None:
    events = [await stage.create() for _ in range(10)]
    provider.before = raising(BUSY)
    rounds = 3 * stage.services.patience.max_attempts
    for _ in range(rounds):
        await stage.drain()
        stage.advance(MINUTE + timedelta(seconds=1))
    assert len(provider.calls) == rounds
    provider.before = nothing
    await stage.drain()
    for event in events:
        await synced(stage, provider, event)


async def test_events_that_are_refused_for_good_do_not_keep_others_waiting(
    stage: Stage, provider: ScriptedProvider
) -> None:
    poison = [await stage.create("Poison") for _ in range(2 * STRIKES)]
    event = await stage.create()
    provider.before = raising(NEVER, only=lambda call: call.summary == "Poison")
    await stage.converge()
    await synced(stage, provider, event)
    for each in poison:
        state = await stage.state(each)
        assert (state.status, state.attempts, state.last_error) == (SyncStatus.FAILED, 1, str(NEVER))
        assert len(provider.kinds(each.id)) == 1


async def test_events_that_fail_again_and_again_do_not_keep_others_waiting(
    stage: Stage, provider: ScriptedProvider
) -> None:
    stage.patient(max_attempts=50)
    for _ in range(4 * STRIKES):
        await stage.create("Poison")
    provider.before = raising(AWAY, only=lambda call: call.summary == "Poison")
    for _ in range(10):
        await stage.turn()
        stage.advance(EVER)
    event = await stage.create()
    stage.advance(EVER)  # the longest that the lane may pause; all the poison is due before the event
    await stage.turn()
    await synced(stage, provider, event)


async def test_a_lane_pauses_after_strikes_in_a_row_and_then_sends_one_probe(
    stage: Stage, provider: ScriptedProvider
) -> None:
    events = [await stage.create() for _ in range(3 * STRIKES)]
    provider.before = raising(AWAY)
    await stage.drain()
    assert len(provider.calls) == STRIKES
    pauses = []
    for _ in range(3):
        before = await lane_row(stage)
        stage.advance(EVER)
        await stage.drain()
        pauses.append((await lane_row(stage)).failures)
        assert before.failures < pauses[-1]
    assert pauses == [STRIKES + 1, STRIKES + 2, STRIKES + 3]
    assert len(provider.calls) == STRIKES + 3
    provider.before = nothing
    await stage.converge()
    for event in events:
        await synced(stage, provider, event)
    assert (await lane_row(stage)).failures == 0


async def test_a_lane_with_much_to_do_goes_to_the_end_of_the_queue(stage: Stage, provider: ScriptedProvider) -> None:
    news = [stage.draft() for _ in range(PUSHES_A_TURN + 5)]
    await stage.create_many(*news)
    assert await stage.turn() == 1
    assert len(provider.calls) == PUSHES_A_TURN
    assert await stage.turn() == 1
    assert len(provider.calls) == PUSHES_A_TURN + 5


async def test_a_lane_that_is_left_in_the_middle_is_due_for_others_at_once(
    stage: Stage, provider: ScriptedProvider
) -> None:
    events = [await stage.create() for _ in range(5)]
    [lane] = await stage.take()
    assert await work_lane(stage.services, lane, go_on=lambda: len(provider.calls) < 2) == 2
    assert await stage.turn() == 1
    for event in events:
        await synced(stage, provider, event)


async def test_a_revoked_grant_parks_events_and_loses_none_until_it_is_renewed(sandbox_stage: Stage) -> None:
    stage = sandbox_stage
    first = await stage.create()
    await stage.misbehave(revoked=True)
    await stage.drain()
    second = await stage.create()
    await stage.create(sync_now=True)
    assert (await stage.account()).state is AccountState.NEEDS_RECONNECT
    for _ in range(30):
        stage.advance(EVER)
        assert await stage.turn() == 0
    for event in (first, second):
        state = await stage.state(event)
        assert (state.status, state.attempts, state.next_attempt_at) == (SyncStatus.PARKED, 0, None)
    await stage.retry(first)  # too early
    await stage.drain()
    assert (await stage.state(first)).status is SyncStatus.PARKED
    await stage.misbehave()
    await stage.retry(first)
    await stage.drain()
    for event in (first, second):
        assert (await stage.state(event)).status is SyncStatus.SYNCED
        assert len(await alive_in_sandbox(stage, event)) == 1


@pytest.mark.parametrize("error", [REVOKED, BUSY])
async def test_a_provider_without_accounts_that_turns_us_away_is_not_asked_in_a_circle(
    stage: Stage, provider: ScriptedProvider, error: Exception
) -> None:
    async with stage.storage.writing(stage.app_id) as work:
        await work.calendars.save(replace(stage.calendar, account_id=None))
    event = await stage.create()
    provider.before = raising(error)
    await stage.drain()
    assert len(provider.calls) == 1
    assert (await stage.state(event)).last_error == str(error)


async def test_trying_again_what_is_in_step_changes_nothing(stage: Stage, provider: ScriptedProvider) -> None:
    event = await stage.create()
    await stage.drain()
    await stage.retry(event)
    await stage.drain()
    assert provider.kinds() == ["create"]


async def test_trying_again_does_not_wait_for_the_lane_to_end_its_pause(
    stage: Stage, provider: ScriptedProvider
) -> None:
    events = [await stage.create() for _ in range(STRIKES)]
    provider.before = raising(AWAY)
    await stage.drain()
    provider.before = nothing
    await stage.retry(events[-1])
    await stage.turn()
    await synced(stage, provider, events[-1])


# Defects


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Return what is logged, as the server's own processors leave it."""
    entries: list[MutableMapping[str, Any]] = []

    def keep(_logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        entries.append({**event, "level": method})
        raise structlog.DropEvent

    processors: list[Any] = [structlog.processors.format_exc_info, redact, keep]
    monkeypatch.setattr(pushing, "log", structlog.wrap_logger(None, processors=processors))
    return entries


async def test_a_defect_of_a_provider_is_contained_and_logged_without_secrets(
    stage: Stage, provider: ScriptedProvider, logged: list[MutableMapping[str, Any]]
) -> None:
    broken, event = await stage.create("Broken"), await stage.create()
    secret = "https://ada:hunter2@calendar.example with Authorization: Bearer abc.def-123"
    provider.before = raising(RuntimeError(secret), only=lambda call: call.summary == "Broken")
    await stage.drain()
    await synced(stage, provider, event)
    state = await stage.state(broken)
    assert (state.status, state.attempts) == (SyncStatus.RETRYING, 1)
    assert "operator" in str(state.last_error)
    [entry] = [each for each in logged if each["event"] == "provider.defect"]
    assert "RuntimeError" in entry["exception"]
    for text in (*map(str, logged), str(state.last_error)):
        assert "hunter2" not in text
        assert "abc.def-123" not in text


async def test_an_answer_that_cannot_be_stored_is_the_providers_defect(
    stage: Stage, provider: ScriptedProvider, logged: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = provider.create

    async def answer(calendar: Any, outgoing: Any) -> RemoteEvent:
        copy = await create(calendar, outgoing)
        nonsense: Any = object()
        return replace(copy, remote_id=nonsense) if outgoing.event.content.summary == "Broken" else copy

    monkeypatch.setattr(provider, "create", answer)
    broken, event = await stage.create("Broken"), await stage.create()
    await stage.drain()
    await synced(stage, provider, event)
    assert (await stage.state(broken)).status is SyncStatus.RETRYING
    assert [each["event"] for each in logged] == ["provider.defect", "sync.failed"]


async def test_a_call_that_does_not_end_is_cut_off_and_has_an_unknown_outcome(
    stage: Stage, provider: ScriptedProvider
) -> None:
    stage.patient(call=0.02)
    event, other = await stage.create("Hangs"), await stage.create()

    async def hang(call: Call) -> None:
        if call.summary == "Hangs":
            await asyncio.Event().wait()

    provider.after = hang
    await stage.drain()
    await synced(stage, provider, other)
    assert (await stage.state(event)).last_error == "The provider did not answer in time."
    provider.after = nothing
    stage.patient(call=5.0)
    await stage.converge()
    await synced(stage, provider, event, "Hangs")
    assert len(provider.copies) == 2


# At once


async def test_an_event_that_is_pushed_at_once_comes_back_with_the_providers_answer(
    stage: Stage, provider: ScriptedProvider
) -> None:
    event = await stage.create(sync_now=True)
    await synced(stage, provider, event)
    await stage.update(event, summary="Changed", sync_now=True)
    await synced(stage, provider, event, "Changed")
    await stage.delete(event, sync_now=True)
    assert provider.alive(event.id) == []
    assert not await stage.exists(event)
    assert await stage.turn() == 0


async def test_a_worker_cannot_take_the_lane_of_an_event_that_is_pushed_at_once(
    stage: Stage, provider: ScriptedProvider
) -> None:
    seen: list[int] = []

    async def work() -> None:
        seen.append(await stage.turn())

    provider.before = once(work)
    event = await stage.create(sync_now=True)
    assert seen == [0]
    await synced(stage, provider, event)
    assert provider.kinds() == ["create"]


async def test_between_the_commit_and_the_push_at_once_no_worker_finds_the_lane_free(
    stage: Stage, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = push

    async def late(services: Services, lane: Any, event_id: UUID, *, at_most: float | None = None) -> Pushed:
        seen.append(await stage.turn())
        return await real(services, lane, event_id, at_most=at_most)

    monkeypatch.setattr(sync, "push", late)
    event = await stage.create(sync_now=True)
    assert seen == [0]
    await synced(stage, provider, event)


@pytest.mark.parametrize("error", [AWAY, LOST, BUSY, REVOKED, NEVER])
async def test_a_failure_at_once_does_not_fail_the_mutation_and_leaves_the_rest_to_the_worker(
    stage: Stage, provider: ScriptedProvider, error: Exception
) -> None:
    provider.before = raising(error, times=1)
    event = await stage.create(sync_now=True)
    assert (await stage.state(event)).last_error == str(error)
    assert (await lane_row(stage)).leased_until is None
    await stage.retry(event)
    await stage.converge()
    await synced(stage, provider, event)


async def test_a_provider_that_hangs_costs_a_mutation_a_bounded_time(stage: Stage, provider: ScriptedProvider) -> None:
    stage.patient(at_once=0.02)

    async def hang(_call: Call) -> None:
        await asyncio.Event().wait()

    provider.before = hang
    async with asyncio.timeout(5):
        events = await stage.create_many(stage.draft(), stage.draft(), sync_now=True)
    assert [call.event_id for call in provider.calls] == [events[0].id]
    assert [(await stage.state(each)).status for each in events] == [SyncStatus.RETRYING, SyncStatus.PENDING]
    provider.before = nothing
    await stage.converge()
    for event in events:
        await synced(stage, provider, event)


async def test_where_a_worker_has_the_lane_a_mutation_waits_for_what_becomes_of_its_event(
    stage: Stage, provider: ScriptedProvider
) -> None:
    await stage.create("First")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_call: Call) -> None:
        reached.set()
        await go_on.wait()

    provider.before = wait
    worker = asyncio.create_task(stage.drain())
    await reached.wait()
    mutation = asyncio.create_task(stage.create("Second", sync_now=True))
    while (waiting := await backlog(stage)) != 2:
        assert waiting < 2
    assert not mutation.done()
    go_on.set()
    event = await mutation
    await synced(stage, provider, event, "Second")
    await worker
    assert provider.kinds() == ["create", "create"]


async def test_where_a_worker_has_the_lane_a_mutation_hears_of_a_429_too(
    stage: Stage, provider: ScriptedProvider
) -> None:
    stage.patient(at_once=60.0)
    event = await stage.create("First")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> None:
        if call.summary == "First":
            reached.set()
            await go_on.wait()
        else:
            raise BUSY

    provider.before = wait
    worker = asyncio.create_task(stage.drain())
    await reached.wait()
    mutation = asyncio.create_task(stage.update(event, summary="Second", sync_now=True))
    while (await stage.link(event)).local_version == 1:
        assert not mutation.done()
    go_on.set()
    async with asyncio.timeout(10):
        await mutation
    await worker
    assert (await stage.state(event)).last_error == str(BUSY)


async def test_where_the_holder_of_the_lane_is_dead_a_mutation_waits_no_longer_than_it_may(
    stage: Stage, provider: ScriptedProvider
) -> None:
    stage.patient(at_once=0.02)
    await stage.create("First")
    await stage.take()
    async with asyncio.timeout(5):
        event = await stage.create("Second", sync_now=True)
    assert (await stage.state(event)).status is SyncStatus.PENDING
    stage.advance(PAST_LEASE)
    await stage.drain()
    await synced(stage, provider, event, "Second")


async def test_a_mutation_whose_lane_pauses_tries_at_once_and_leaves_the_pause_where_it_fails(
    stage: Stage, provider: ScriptedProvider
) -> None:
    for _ in range(STRIKES):
        await stage.create()
    provider.before = raising(AWAY)
    await stage.drain()
    await stage.create("Fails too", sync_now=True)
    row = await lane_row(stage)
    assert row.failures == STRIKES
    assert await stage.turn() == 0
    provider.before = nothing
    event = await stage.create("Goes through", sync_now=True)
    await synced(stage, provider, event, "Goes through")
    assert (await lane_row(stage)).failures == 0


async def test_several_calendars_are_pushed_at_once(stage: Stage, provider: ScriptedProvider) -> None:
    other = await stage.add_calendar("Another")
    events = await stage.create_many(stage.draft(), stage.draft(calendar=other), stage.draft(), sync_now=True)
    for event in events:
        await synced(stage, provider, event)
    assert await stage.turn() == 0


async def test_calendars_of_an_account_that_takes_one_call_at_a_time_are_pushed_at_once_one_after_the_other(
    stage: Stage, provider: ScriptedProvider
) -> None:
    provider.capabilities = replace(provider.capabilities, one_call_at_a_time=True)
    other = await stage.add_calendar("Another", account_of=stage.calendar)
    workers: list[asyncio.Task[None]] = []
    held: list[int] = []

    async def count_holders(_call: Call) -> None:
        async with stage.storage.reading(stage.app_id) as work:
            held.append(len(await work.lanes.rows(select(LANES).where(LANES.c.leased_until.is_not(None)))))

    def wake() -> None:
        workers.append(asyncio.create_task(stage.drain()))

    provider.before = count_holders
    stage.patient(at_once=60.0)
    stage.services = replace(stage.services, wake_worker=wake)
    events = await stage.create_many(stage.draft(), stage.draft(calendar=other), sync_now=True)
    for event in events:
        await synced(stage, provider, event)
    assert held == [1, 1]
    await asyncio.gather(*workers)


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_a_database_that_goes_away_after_the_commit_does_not_fail_the_mutation(
    stage: Stage, provider: ScriptedProvider, at: int
) -> None:
    stage.services = replace(stage.services, storage=FailingStorage(stage.storage.database, after=at))
    event = await stage.create(sync_now=True)
    stage.services = replace(stage.services, storage=stage.storage)
    stage.advance(PAST_LEASE)
    await stage.drain()
    await synced(stage, provider, event)
    assert len(provider.copies) == 1


async def test_a_mutation_that_is_cut_off_gives_its_lanes_back(stage: Stage, provider: ScriptedProvider) -> None:
    reached = asyncio.Event()

    async def hang(_call: Call) -> None:
        reached.set()
        await asyncio.Event().wait()

    provider.before = hang
    mutation = asyncio.create_task(stage.create(sync_now=True))
    await reached.wait()
    mutation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mutation
    provider.before = nothing
    assert await stage.turn() == 1
    assert [copy.summary for copy in provider.copies.values()] == ["Planning"]


class FailingStorage(Storage):
    """A database that goes away for good after so many writing transactions."""

    def __init__(self, database: Database, *, after: int) -> None:
        super().__init__(database)
        self._left = after

    def writing(self, app_id: UUID) -> Any:
        if self._left == 0:
            raise Unavailable("the database cannot be reached")
        self._left -= 1
        return super().writing(app_id)


async def backlog(stage: Stage) -> int:
    async with stage.storage.system() as system:
        return (await system.backlog()).waiting
