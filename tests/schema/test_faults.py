"""What goes wrong inside stays inside: the caller reads a code and an id, the log the rest, and nothing is written."""

import asyncio
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from kalends.domain.access import Forbidden, Scope
from storage.access import KeyRepository
from storage.calendars import CalendarRepository
from storage.errors import Unavailable
from storage.events import EventRepository
from storage.outbox import LaneRepository
from storage.system import SystemUnit
from storage.unit_of_work import UnitOfWork
from tests.api import House, Tenant, document, dump, sabotaged

pytestmark = pytest.mark.anyio

CREATE = document("mutation", "createEvent", ("input",), 1)
SECRET = "postgresql://kalends:hunter2@db.internal/kalends"


async def test_a_defect_is_masked_and_found_in_the_log_by_its_id(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for owner, method in (
        (CalendarRepository, "book"),
        (UnitOfWork, "store"),
        (LaneRepository, "wake_all"),
    ):
        wanted = ours.event(calendarId=str(ours.sandbox.id), idempotencyKey="k")
        with sabotaged(owner, method, RuntimeError(SECRET)), capture_logs() as logs:
            response = await ours.api.post(CREATE, input=wanted)
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "INTERNAL"
        identity = error["extensions"]["id"]
        assert error["message"] == f"Internal error. Quote the id {UUID(identity)} to the operator."
        for word in (SECRET, "hunter2", "RuntimeError", "storage", "Traceback"):
            assert word not in response.text
        (entry,) = [entry for entry in logs if entry.get("error_id") == identity]
        assert SECRET in entry["traceback"]
    assert await dump(house.database) == before


async def test_a_defect_in_one_field_leaves_the_stored_event_stored(house: House, ours: Tenant) -> None:
    with sabotaged(EventRepository, "conflicts_of", RuntimeError(SECRET)):
        response = await ours.api.post(
            "mutation ($input: CreateEventInput!) { createEvent(input: $input) { event { id conflicts { id } } } }",
            input=ours.event(idempotencyKey="k"),
        )
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert SECRET not in response.text
    assert len((await dump(house.database))["event"]) == 1
    assert (await ours.create(idempotencyKey="k"))["version"] == 1


async def test_a_database_that_is_away_is_unavailable(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    with sabotaged(UnitOfWork, "store", Unavailable(SECRET)):
        response = await ours.api.post(CREATE, input=ours.event(idempotencyKey="k"))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "UNAVAILABLE", "retryAfter": 1}
    assert SECRET not in response.text
    assert await dump(house.database) == before
    assert (await ours.create(idempotencyKey="k"))["version"] == 1


async def test_a_database_that_is_away_at_the_door_is_unavailable(ours: Tenant) -> None:
    with sabotaged(SystemUnit, "key", Unavailable(SECRET)):
        response = await ours.api.post("{ viewer { app { id } } }")
    assert response.status_code == 503
    assert response.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfter": 1}
    assert SECRET not in response.text


async def test_that_a_keys_use_cannot_be_noted_turns_nobody_away(ours: Tenant) -> None:
    with sabotaged(KeyRepository, "touch", Unavailable(SECRET)):
        assert (await ours.api.run("{ viewer { app { name } } }"))["viewer"]["app"]["name"] == "Aurora"


async def test_a_missing_scope_is_forbidden_and_named(ours: Tenant) -> None:
    for scope in Scope:
        with sabotaged(UnitOfWork, "store", Forbidden(scope)):
            response = await ours.api.post(CREATE, input=ours.event())
        assert response.status_code == 403
        (error,) = response.json()["errors"]
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": scope.value}
        assert error["message"] == f"This needs a key with the scope {scope}."


async def test_a_commit_that_fails_writes_nothing_and_pushes_nothing(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    wanted = ours.event(calendarId=str(ours.sandbox.id), syncProvider=True)
    with sabotaged(LaneRepository, "take_all", Unavailable(SECRET)):
        response = await ours.api.post(CREATE, input=wanted)
    assert response.status_code == 503
    await house.worker.drain()
    assert await dump(house.database) == before


async def test_a_database_that_goes_away_during_the_push_loses_nothing(house: House, ours: Tenant) -> None:
    wanted = ours.event(calendarId=str(ours.sandbox.id), syncProvider=True)
    with sabotaged(LaneRepository, "keep", Unavailable(SECRET)):
        created = (await ours.api.done("createEvent", input=wanted))["event"]
    assert created["sync"]["status"] == "PENDING"
    await house.worker.drain()
    assert (await ours.event_now(created))["sync"]["status"] == "SYNCED"


async def test_a_caller_who_leaves_does_not_undo_a_mutation_half_way(house: House, ours: Tenant) -> None:
    calling = asyncio.create_task(ours.api.post(CREATE, input=ours.event(idempotencyKey="k")))
    for _ in range(30):
        await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    again = await ours.create(idempotencyKey="k")
    assert [row[1] for row in (await dump(house.database))["event"]] == [UUID(again["id"])]
