"""Promises that hold across operations: revived deletions, fresh answers, narrow keys, bounded refusals."""

import pytest

from kalends.domain.access import Scope
from tests.api import House, Tenant, key_with, problems

pytestmark = pytest.mark.anyio


async def misbehave(ours: Tenant, **faults: object) -> None:
    await ours.api.done("configureSandbox", input={"calendarId": str(ours.sandbox.id), **faults})


async def test_a_deletion_that_waits_for_its_account_is_brought_to_the_provider_by_retry_sync(
    house: House, ours: Tenant
) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    await misbehave(ours, revoked=True)
    await ours.api.done("deleteEvent", id=created["id"], syncProvider=True)
    await misbehave(ours)
    assert await house.worker.take() == 0
    assert (await ours.api.done("retrySync", eventId=created["id"]))["event"] is None
    await house.worker.drain()
    errors = await ours.api.refused("retrySync", eventId=created["id"])
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "eventId")]
    await ours.api.done("deleteCalendar", id=str(ours.sandbox.id))


async def test_an_event_that_was_cancelled_before_it_was_sent_was_never_synced(house: House, ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id))
    cancelled = (await ours.api.done("cancelEvent", id=created["id"], syncProvider=True))["event"]
    assert (cancelled["sync"]["lastSyncedAt"], cancelled["sync"]["remoteUrl"]) == (None, None)


async def test_a_mutation_answers_with_what_it_has_done_and_not_with_what_was_loaded_before_it(ours: Tenant) -> None:
    created = await ours.create(calendarId=str(ours.sandbox.id))
    data = await ours.api.run(
        """mutation($id: ID!, $calendar: ID!) {
          first: updateEvent(id: $id, input: {what: "One"}) { event { sync { status } calendar { name } } }
          updateCalendar(id: $calendar, input: {name: "Renamed"}) { calendar { name } }
          second: updateEvent(id: $id, input: {what: "Two", syncProvider: true}) {
            event { sync { status } calendar { name } }
          }
        }""",
        id=created["id"],
        calendar=str(ours.sandbox.id),
    )
    assert data["first"]["event"]["sync"] == {"status": "PENDING"}
    assert data["second"]["event"] == {"sync": {"status": "SYNCED"}, "calendar": {"name": "Renamed"}}


async def test_a_key_that_may_not_read_learns_that_a_time_is_taken_and_not_by_what(house: House, ours: Tenant) -> None:
    await ours.create(what="Secret")
    writer = await key_with(house, Scope.WRITE_EVENTS)
    query = """mutation($input: CreateEventInput!) { createEvent(input: $input) {
      event { id sync { status } } conflicts { what }
      errors { ... on TimeConflictError { message conflicts { what } } } } }"""
    event = {
        "calendarId": str(ours.calendar.id),
        "start": "1970-01-01T00:00:00Z",
        "end": "2200-01-01T00:00:00Z",
        "what": "All",
        "where": "",
    }
    warned = (await writer.run(query, input=event | {"onConflict": "WARN"}))["createEvent"]
    assert (warned["conflicts"], warned["errors"], warned["event"]["sync"]) == ([], [], {"status": "LOCAL"})
    rejected = (await writer.run(query, input=event | {"onConflict": "REJECT"}))["createEvent"]
    assert rejected["errors"] == [{"message": "2 events are in the way.", "conflicts": []}]


async def test_a_flood_of_bad_participants_is_one_problem(ours: Tenant) -> None:
    errors = await ours.api.refused("createEvent", input=ours.event(participants=[""] * 10_000))
    assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.participants")]
