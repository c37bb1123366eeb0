"""Calendars and resources: created, changed, archived, deleted when empty; their zones, and what moves with them."""

from typing import Any

import pytest

from kalends.domain.access import Scope
from tests.api import SLOT, House, Tenant, count_rows, dump, key_with, moment, problems
from tests.helpers import HOUR

pytestmark = pytest.mark.anyio

CALENDAR = {
    "name": "Home",
    "description": "Where the heart is",
    "timeZone": "Asia/Tokyo",
    "provider": "sandbox",
    "readOnly": True,
    "metadata": {"colour": "grün"},
}
RESOURCE = {
    "name": "Room 2",
    "kind": "ROOM",
    "email": "room-2@example.org",
    "timeZone": "Asia/Tokyo",
    "metadata": {"floor": "3"},
}
CALENDAR_CHANGES: list[dict[str, Any]] = [
    {"name": "House"},
    {"description": "More"},
    {"description": None},
    {"timeZone": "UTC"},
    {"readOnly": False},
    {"metadata": {}},
]
RESOURCE_CHANGES: list[dict[str, Any]] = [
    {"name": "Room 3"},
    {"kind": "EQUIPMENT"},
    {"email": "room-3@example.org"},
    {"email": None},
    {"timeZone": "UTC"},
    {"metadata": {}},
]


# Calendars


async def test_every_field_of_a_calendar_is_read_back_as_it_was_given(ours: Tenant) -> None:
    given = CALENDAR | {"resourceId": str(ours.resource.id)}
    created = (await ours.api.done("createCalendar", input=given))["calendar"]
    assert {name: created[name] for name in CALENDAR} == CALENDAR
    assert created["resource"]["name"] == "Aurora's Ada"
    assert (created["archivedAt"], created["createdAt"]) == (None, "2026-05-04T07:00:00Z")
    assert await ours.api.ask("calendar", id=created["id"], depth=1) == created


async def test_a_calendar_without_a_zone_takes_its_resources_and_else_utc(ours: Tenant) -> None:
    with_owner = {"name": "Home", "resourceId": str(ours.resource.id)}
    created = (await ours.api.done("createCalendar", input=with_owner))["calendar"]
    assert (created["timeZone"], created["provider"], created["readOnly"]) == ("Europe/Berlin", "local", False)
    alone = (await ours.api.done("createCalendar", input={"name": "Home"}))["calendar"]
    assert (alone["timeZone"], alone["resource"], alone["description"]) == ("UTC", None, None)


async def test_a_calendar_at_the_sandbox_works_without_anybody_to_ask(house: House, ours: Tenant) -> None:
    created = (await ours.api.done("createCalendar", input={"name": "Try", "provider": "sandbox"}))["calendar"]
    event = await ours.create(calendarId=created["id"], syncProvider=True)
    assert event["sync"]["status"] == "SYNCED"
    another = {"name": "Same", "provider": "sandbox", "resourceId": str(ours.resource.id)}
    await ours.api.done("createCalendar", input=another)
    assert (await count_rows(house.database))["account"] == 3  # ours, theirs, the one of nobody


async def test_what_is_given_changes_a_calendar_and_what_is_absent_stays(house: House, ours: Tenant) -> None:
    known = (await ours.api.done("createCalendar", input=CALENDAR))["calendar"]
    for change in CALENDAR_CHANGES:
        house.clock.advance(HOUR)
        now = (await ours.api.done("updateCalendar", id=known["id"], input=change))["calendar"]
        assert now == known | change | {"updatedAt": now["updatedAt"]}
        assert moment(now["updatedAt"]) == house.clock.now
        known = now
    before = await dump(house.database)
    assert (await ours.api.done("updateCalendar", id=known["id"], input={"name": "House"}))["calendar"] == known
    assert await dump(house.database) == before


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("updateCalendar", ("name", "timeZone", "readOnly", "archived", "metadata")),
        ("updateResource", ("name", "kind", "timeZone", "metadata")),
    ],
)
async def test_null_is_refused_where_nothing_can_be_emptied(
    house: House, ours: Tenant, field: str, names: tuple[str, ...]
) -> None:
    thing = ours.calendar if field == "updateCalendar" else ours.resource
    before = await dump(house.database)
    errors = await ours.api.refused(field, id=str(thing.id), input=dict.fromkeys(names))
    assert sorted(problems(errors)) == sorted(("InvalidInputError", "INVALID_VALUE", f"input.{name}") for name in names)
    assert await dump(house.database) == before


async def test_all_day_events_keep_their_days_and_move_with_their_calendars_zone(house: House, ours: Tenant) -> None:
    days = await ours.create(allDay=True, start="2026-05-04", end="2026-05-06", calendarId=str(ours.sandbox.id))
    cancelled = await ours.create(allDay=True, start="2026-06-01", end="2026-06-02", calendarId=str(ours.sandbox.id))
    await ours.api.done("cancelEvent", id=cancelled["id"])
    timed = await ours.create(calendarId=str(ours.sandbox.id))
    elsewhere = await ours.create(allDay=True, start="2026-05-04", end="2026-05-06")
    await house.worker.drain()
    house.clock.advance(HOUR)
    await ours.api.done("updateCalendar", id=str(ours.sandbox.id), input={"timeZone": "America/New_York"})
    moved = await ours.event_now(days)
    assert (moved["startDate"], moved["endDate"], moved["timeZone"]) == ("2026-05-04", "2026-05-06", "America/New_York")
    assert (moved["start"], moved["version"]) == ("2026-05-04T00:00:00-04:00", 2)
    assert moved["sync"]["status"] == "PENDING"
    assert (await ours.event_now(cancelled))["version"] == 3
    still = await ours.event_now(timed)
    assert [still[name] for name in ("version", "start", "end", "updatedAt")] == [
        timed[name] for name in ("version", "start", "end", "updatedAt")
    ]
    assert await ours.event_now(elsewhere) == elsewhere
    await house.worker.drain()
    assert (await ours.event_now(days))["sync"]["status"] == "SYNCED"


async def test_a_zone_that_skips_the_day_of_an_event_is_refused(house: House, ours: Tenant) -> None:
    await ours.create(allDay=True, start="2011-12-30", end="2011-12-31")
    before = await dump(house.database)
    errors = await ours.api.refused("updateCalendar", id=str(ours.calendar.id), input={"timeZone": "Pacific/Apia"})
    assert problems(errors) == [("InvalidInputError", "NONEXISTENT_LOCAL_TIME", "input.timeZone")]
    assert await dump(house.database) == before


async def test_a_zone_in_which_an_exclusive_day_is_taken_is_refused(house: House, ours: Tenant) -> None:
    days = await ours.create(allDay=True, start="2026-05-04", end="2026-05-05", onConflict="REJECT")
    early = await ours.create(start="2026-05-05T02:00:00+02:00", end="2026-05-05T03:00:00+02:00", onConflict="REJECT")
    before = await dump(house.database)
    change = {"timeZone": "America/New_York"}
    refused = await ours.api.refused("updateCalendar", id=str(ours.calendar.id), input=change)
    assert problems(refused) == [("TimeConflictError", "TIME_CONFLICT", "input.timeZone")]
    assert await dump(house.database) == before
    await ours.api.done("deleteEvent", id=early["id"])
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input=change)
    assert (await ours.event_now(days))["timeZone"] == "America/New_York"


async def test_an_archived_calendar_is_out_of_sight_and_comes_back(house: House, ours: Tenant) -> None:
    calendar: dict[str, Any] = {"id": str(ours.calendar.id)}
    event = await ours.create()
    archived = (await ours.api.done("updateCalendar", input={"archived": True}, **calendar))["calendar"]
    assert moment(archived["archivedAt"]) == house.clock.now
    house.clock.advance(HOUR)
    again = (await ours.api.done("updateCalendar", input={"archived": True}, **calendar))["calendar"]
    assert again == archived
    assert [edge["node"]["id"] for edge in (await ours.api.ask("calendars"))["edges"]] == [str(ours.sandbox.id)]
    everything = await ours.api.ask("calendars", includeArchived=True)
    assert [edge["node"]["id"] for edge in everything["edges"]] == [str(ours.calendar.id), str(ours.sandbox.id)]
    of_ada = await ours.api.ask("resource", id=str(ours.resource.id))
    assert [each["id"] for each in of_ada["calendars"]] == [str(ours.sandbox.id)]
    assert (await ours.event_now(event))["calendar"]["archivedAt"] == archived["archivedAt"]
    back = (await ours.api.done("updateCalendar", input={"archived": False}, **calendar))["calendar"]
    assert back["archivedAt"] is None
    assert (await ours.create(SLOT + HOUR))["version"] == 1


async def test_a_calendar_with_events_cannot_be_deleted(house: House, ours: Tenant) -> None:
    await ours.create()
    cancelled = await ours.create(SLOT + HOUR)
    await ours.api.done("cancelEvent", id=cancelled["id"])
    before = await dump(house.database)
    errors = await ours.api.refused("deleteCalendar", id=str(ours.calendar.id))
    assert problems(errors) == [("InUseError", "IN_USE", "id")]
    assert errors[0]["count"] == 2
    assert await dump(house.database) == before


async def test_a_calendar_whose_provider_has_not_heard_of_a_deletion_cannot_be_deleted_yet(
    house: House, ours: Tenant
) -> None:
    event = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    await ours.api.done("deleteEvent", id=event["id"])
    errors = await ours.api.refused("deleteCalendar", id=str(ours.sandbox.id))
    assert (problems(errors), errors[0]["count"]) == ([("InUseError", "IN_USE", "id")], 1)
    await house.worker.drain()
    assert (await ours.api.done("deleteCalendar", id=str(ours.sandbox.id)))["deletedId"] == str(ours.sandbox.id)


async def test_an_empty_calendar_is_deleted_for_good(ours: Tenant) -> None:
    event = await ours.create()
    await ours.api.done("deleteEvent", id=event["id"])
    calendar_id = str(ours.calendar.id)
    assert (await ours.api.done("deleteCalendar", id=calendar_id))["deletedId"] == calendar_id
    assert await ours.api.ask("calendar", id=calendar_id) is None
    assert problems(await ours.api.refused("deleteCalendar", id=calendar_id)) == [("NotFoundError", "NOT_FOUND", "id")]


# Resources


async def test_every_field_of_a_resource_is_read_back_as_it_was_given(ours: Tenant) -> None:
    created = (await ours.api.done("createResource", input=RESOURCE))["resource"]
    assert {name: created[name] for name in RESOURCE} == RESOURCE
    assert created["calendars"] == []
    assert await ours.api.ask("resource", id=created["id"], depth=1) == created
    plain = (await ours.api.done("createResource", input={"name": "Bob"}))["resource"]
    expected: dict[str, Any] = {"kind": "PERSON", "email": None, "timeZone": "UTC", "metadata": {}}
    assert {name: plain[name] for name in expected} == expected


async def test_what_is_given_changes_a_resource_and_what_is_absent_stays(house: House, ours: Tenant) -> None:
    known = (await ours.api.done("createResource", input=RESOURCE))["resource"]
    for change in RESOURCE_CHANGES:
        house.clock.advance(HOUR)
        now = (await ours.api.done("updateResource", id=known["id"], input=change))["resource"]
        assert now == known | change | {"updatedAt": now["updatedAt"]}
        assert moment(now["updatedAt"]) == house.clock.now
        known = now


async def test_a_new_zone_of_a_resource_is_for_new_calendars(ours: Tenant) -> None:
    await ours.api.done("updateResource", id=str(ours.resource.id), input={"timeZone": "Asia/Tokyo"})
    assert (await ours.api.ask("calendar", id=str(ours.calendar.id)))["timeZone"] == "Europe/Berlin"
    new = {"name": "New", "resourceId": str(ours.resource.id)}
    assert (await ours.api.done("createCalendar", input=new))["calendar"]["timeZone"] == "Asia/Tokyo"


async def test_a_resource_with_calendars_cannot_be_deleted(house: House, ours: Tenant) -> None:
    resource_id = str(ours.resource.id)
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"archived": True})
    before = await dump(house.database)
    errors = await ours.api.refused("deleteResource", id=resource_id)
    assert (problems(errors), errors[0]["count"]) == ([("InUseError", "IN_USE", "id")], 2)
    assert await dump(house.database) == before
    for calendar in (ours.calendar, ours.sandbox):
        await ours.api.done("deleteCalendar", id=str(calendar.id))
    assert (await ours.api.done("deleteResource", id=resource_id))["deletedId"] == resource_id
    assert await ours.api.ask("resource", id=resource_id) is None
    assert (await count_rows(house.database))["account"] == 1  # theirs


# Both


@pytest.mark.parametrize(
    ("noun", "given"), [("Calendar", {"name": "Home"}), ("Resource", {"name": "Bob"})], ids=["calendar", "resource"]
)
async def test_a_repeated_key_creates_one(house: House, ours: Tenant, noun: str, given: dict[str, Any]) -> None:
    field, thing = f"create{noun}", noun.lower()
    wanted = given | {"idempotencyKey": "k"}
    first = await ours.api.done(field, input=wanted)
    assert await ours.api.done(field, input=wanted) == first
    errors = await ours.api.refused(field, input=wanted | {"name": "Another"})
    assert problems(errors) == [("IdempotencyKeyReusedError", "IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey")]
    changed = await ours.api.done(f"update{noun}", id=first[thing]["id"], input={"name": "Renamed"})
    assert (await ours.api.done(field, input=wanted))[thing] == changed[thing]
    await ours.api.done(f"delete{noun}", id=first[thing]["id"])
    before = await dump(house.database)
    errors = await ours.api.refused(field, input=wanted)
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.idempotencyKey")]
    assert await dump(house.database) == before


async def test_managing_needs_its_own_scope(house: House, ours: Tenant) -> None:
    writer = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.MANAGE_KEYS)
    before = await dump(house.database)
    for call in (
        'createCalendar(input: {name: "Mine"})',
        'updateCalendar(id: $id, input: {name: "Mine"})',
        "deleteCalendar(id: $id)",
        "configureSandbox(input: {calendarId: $id})",
    ):
        variables = "($id: ID!)" if "$id" in call else ""
        error = await writer.fault(f"mutation {variables} {{ {call} {{ __typename }} }}", id=str(ours.calendar.id))
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": "MANAGE_CALENDARS"}
    for call in (
        'createResource(input: {name: "Mine"})',
        'updateResource(id: $id, input: {name: "Mine"})',
        "deleteResource(id: $id)",
    ):
        variables = "($id: ID!)" if "$id" in call else ""
        error = await writer.fault(f"mutation {variables} {{ {call} {{ __typename }} }}", id=str(ours.resource.id))
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": "MANAGE_CALENDARS"}
    assert await dump(house.database) == before
