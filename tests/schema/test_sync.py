"""`syncProvider`, the worker, `retrySync`, `configureSandbox`: the stored event comes back, and its state is true."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from storage.engine import Database
from tests.api import House, Tenant, build_house, dump, moment, problems
from tests.helpers import HOUR, MINUTE, NOW, Clock

pytestmark = pytest.mark.anyio

FAULTS: list[tuple[str, dict[str, Any], str, int, str]] = [
    ("latency", {"latency": 30}, "RETRYING", 1, "The provider did not answer in time."),
    ("unavailable", {"unavailable": 1}, "RETRYING", 1, "The sandbox is unavailable (503)."),
    ("reply_lost", {"replyLost": 1}, "RETRYING", 1, "The sandbox's answer was lost."),
    ("throttled", {"throttled": 1, "retryAfter": 60}, "PENDING", 0, "The sandbox is busy (429)."),
    ("revoked", {"revoked": True}, "PARKED", 0, "The sandbox account's grant was revoked."),
]
"""How the sandbox misbehaves, and the state, the attempts and the last error that callers then see."""


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a server that waits for a provider for a moment only."""
    return await build_house(database, clock, sync_at_once_seconds=0.3, sync_attempts=3)


async def misbehave(ours: Tenant, **faults: Any) -> None:
    await ours.api.done("configureSandbox", input={"calendarId": str(ours.sandbox.id)} | faults)


async def copies(house: House) -> Sequence[Any]:
    """Return what the sandbox has: the title, whether it was deleted, and the revision."""
    tables = await dump(house.database)
    return [(row[7]["summary"], row[6], row[4]) for row in tables["sandbox_event"]]


async def test_an_event_pushed_at_once_comes_back_synced(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    sync = created["sync"]
    assert (sync["status"], sync["provider"], sync["attempts"], sync["lastError"]) == ("SYNCED", "sandbox", 0, None)
    assert moment(sync["lastSyncedAt"]) == NOW
    assert sync["remoteUrl"].startswith(f"kalends-sandbox:///{ours.sandbox.id}/")
    assert sync["nextAttemptAt"] is None
    assert await copies(house) == [("Planning", False, 1)]


async def test_every_change_can_be_pushed_at_once(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    renamed = await ours.update(created, what="Renamed", syncProvider=True)
    assert renamed["sync"]["status"] == "SYNCED"
    assert await copies(house) == [("Renamed", False, 2)]
    answered = await ours.api.done("respondToEvent", id=created["id"], rsvp="TENTATIVE", syncProvider=True)
    assert answered["event"]["sync"]["status"] == "SYNCED"
    cancelled = await ours.api.done("cancelEvent", id=created["id"], syncProvider=True)
    assert cancelled["event"]["sync"]["status"] == "SYNCED"
    assert await copies(house) == [("Renamed", False, 4)]
    await ours.api.done("deleteEvent", id=created["id"], syncProvider=True)
    assert await copies(house) == [("Renamed", True, 5)]
    tables = await dump(house.database)
    assert tables["event"] == tables["link"] == tables["outbox"] == []


async def test_a_batch_is_pushed_at_once(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock)  # a patient one
    ours = house.ours
    events = [ours.event(NOW + n * HOUR, calendarId=str(ours.sandbox.id), what=f"Nr {n}") for n in range(3)]
    payload = await ours.api.done("createEvents", input={"events": events, "syncProvider": True})
    assert [each["sync"]["status"] for each in payload["events"]] == ["SYNCED"] * 3
    assert sorted(await copies(house)) == [("Nr 0", False, 1), ("Nr 1", False, 1), ("Nr 2", False, 1)]


async def test_without_it_the_worker_pushes(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id))
    assert created["sync"]["status"] == "PENDING"
    assert await copies(house) == []
    await house.worker.drain()
    assert (await ours.event_now(created))["sync"]["status"] == "SYNCED"
    assert await copies(house) == [("Planning", False, 1)]


async def test_a_local_event_has_no_provider_to_wait_for(house: House, ours: Tenant) -> None:
    created = await ours.create(syncProvider=True)
    assert (created["sync"]["status"], created["sync"]["provider"]) == ("LOCAL", "local")
    tables = await dump(house.database)
    assert tables["link"] == tables["outbox"] == tables["lane"] == []


@pytest.mark.parametrize(
    ("faults", "status", "attempts", "error"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
async def test_a_failing_provider_is_no_error_and_heals(
    house: House, ours: Tenant, faults: dict[str, Any], status: str, attempts: int, error: str
) -> None:
    await misbehave(ours, **faults)
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True, what="Kept")
    sync = created["sync"]
    assert (sync["status"], sync["attempts"], sync["lastError"]) == (status, attempts, error)
    assert (sync["nextAttemptAt"] is None) == (status == "PARKED")
    assert (await ours.event_now(created))["what"] == "Kept"
    await misbehave(ours)
    if status == "PARKED":
        await house.later(HOUR)
        assert (await ours.event_now(created))["sync"]["status"] == "PARKED"
        await ours.api.done("retrySync", eventId=created["id"])
        await house.worker.drain()
    else:
        await house.later(2 * MINUTE)
    healed = (await ours.event_now(created))["sync"]
    assert (healed["status"], healed["attempts"], healed["lastError"]) == ("SYNCED", 0, None)
    assert [(title, deleted) for title, deleted, _ in await copies(house)] == [("Kept", False)]


async def test_a_throttled_account_is_left_alone_until_it_may_be_asked(house: House, ours: Tenant) -> None:
    await misbehave(ours, throttled=1, retryAfter=60)
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    await misbehave(ours)
    other = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True, what="Asked for meanwhile")
    await house.later(timedelta(seconds=30))
    for event in (created, other):
        assert (await ours.event_now(event))["sync"]["status"] == "PENDING"
    assert await copies(house) == []
    await house.later(timedelta(seconds=31))
    for event in (created, other):
        assert (await ours.event_now(event))["sync"]["status"] == "SYNCED"


async def test_after_its_last_attempt_an_event_waits_for_a_person(house: House, ours: Tenant) -> None:
    await misbehave(ours, unavailable=1)
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    for attempts, status in ((2, "RETRYING"), (3, "FAILED")):
        await house.later(HOUR)
        sync = (await ours.event_now(created))["sync"]
        assert (sync["status"], sync["attempts"]) == (status, attempts)
    assert sync["nextAttemptAt"] is None
    await misbehave(ours)
    await house.later(HOUR)
    assert (await ours.event_now(created))["sync"]["status"] == "FAILED"
    retried = (await ours.api.done("retrySync", eventId=created["id"]))["event"]["sync"]
    assert (retried["status"], retried["attempts"], retried["lastError"]) == ("PENDING", 0, None)
    await house.worker.drain()
    assert (await ours.event_now(created))["sync"]["status"] == "SYNCED"


async def test_a_change_while_the_provider_is_away_arrives_once_and_whole(house: House, ours: Tenant) -> None:
    await misbehave(ours, replyLost=1)
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    await misbehave(ours, unavailable=1)
    await ours.update(created, what="Second", syncProvider=True)
    await ours.update(created, what="Third")
    await misbehave(ours)
    await house.later(HOUR)
    assert (await ours.event_now(created))["sync"]["status"] == "SYNCED"
    assert [(title, deleted) for title, deleted, _ in await copies(house)] == [("Third", False)]


async def test_an_event_deleted_before_it_was_ever_sent_is_forgotten(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id))
    await ours.api.done("deleteEvent", id=created["id"])
    await house.worker.drain()
    assert await copies(house) == []
    assert (await dump(house.database))["event"] == []


async def test_a_deletion_whose_answer_is_lost_is_repeated(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    await misbehave(ours, unavailable=1)
    assert (await ours.api.done("deleteEvent", id=created["id"], syncProvider=True))["deletedId"] == created["id"]
    assert await copies(house) == [("Planning", False, 1)]
    await misbehave(ours)
    await house.later(HOUR)
    assert await copies(house) == [("Planning", True, 2)]
    assert (await dump(house.database))["event"] == []


async def test_retrying_what_is_in_step_changes_nothing(house: House, ours: Tenant) -> None:
    for created in (await ours.create(), await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)):
        before = await dump(house.database)
        assert (await ours.api.done("retrySync", eventId=created["id"]))["event"] == created
        assert await dump(house.database) == before


async def test_the_sandbox_tells_how_it_was_told_to_behave(house: House, ours: Tenant) -> None:
    faults = {
        "latency": 0.5,
        "revoked": True,
        "throttled": 0.25,
        "retryAfter": 7.0,
        "unavailable": 0.125,
        "replyLost": 1.0,
    }
    payload = await ours.api.done("configureSandbox", input={"calendarId": str(ours.sandbox.id)} | faults)
    assert payload["faults"] == faults
    defaults = await ours.api.done("configureSandbox", input={"calendarId": str(ours.sandbox.id)})
    assert defaults["faults"] == dict.fromkeys(faults, 0.0) | {"revoked": False, "retryAfter": 2.0}
    before = await dump(house.database)
    errors = await ours.api.refused("configureSandbox", input={"calendarId": str(ours.calendar.id)})
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.calendarId")]
    assert await dump(house.database) == before
