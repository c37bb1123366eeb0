"""`updateEvent`, `cancelEvent`, `deleteEvent` and `respondToEvent`: exactly what was asked changes, and is counted."""

from typing import Any

import pytest

from kalends.domain.access import Scope
from tests.api import SLOT, House, Tenant, at, dump, key_with, moment, problems
from tests.helpers import HOUR

pytestmark = pytest.mark.anyio

CHANGES: list[dict[str, Any]] = [
    {"what": "Renamed"},
    {"where": ""},
    {"description": "More"},
    {"description": None},
    {"invite": True},
    {"transparent": True},
    {"outOfOffice": True},
    {"status": "TENTATIVE"},
    {"metadata": {"b": "2"}},
    {"metadata": {}},
    {"onConflict": "REJECT"},
    {"myRsvp": "DECLINED"},
]
"""Changes of fields that are read as they are written, and touch no other field."""

NEVER_NULL = (
    *("start", "end", "what", "where", "invite", "participants", "myRsvp", "allDay"),
    *("timeZone", "transparent", "outOfOffice", "status", "metadata", "onConflict"),
)


async def test_what_is_given_changes_and_what_is_absent_stays(house: House, ours: Tenant) -> None:
    known = await ours.create(description="First", metadata={"a": "1"}, participants=["bob@example.org"])
    for change in CHANGES:
        house.clock.advance(HOUR)
        now = await ours.update(known, **change)
        differing = {name for name in known if now[name] != known[name]} - {"version", "updatedAt"}
        assert differing == set(change)
        assert {name: now[name] for name in change} == change
        assert now["version"] == known["version"] + 1
        assert moment(now["updatedAt"]) == house.clock.now
        assert await ours.event_now(known) == now
        known = now


async def test_null_is_refused_where_nothing_can_be_emptied(house: House, ours: Tenant) -> None:
    created = await ours.create()
    before = await dump(house.database)
    for name in NEVER_NULL:
        errors = await ours.api.refused("updateEvent", id=created["id"], input={name: None})
        assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", f"input.{name}")]
        assert errors[0]["expected"] == "a value; a field that is absent stays as it is"
    errors = await ours.api.refused("updateEvent", id=created["id"], input=dict.fromkeys(NEVER_NULL))
    assert [error["path"][1] for error in errors] == list(NEVER_NULL)
    assert await dump(house.database) == before


async def test_a_null_written_into_the_document_is_refused_like_one_in_a_variable(ours: Tenant) -> None:
    created = await ours.create()
    data = await ours.api.run(
        "mutation ($id: ID!) { updateEvent(id: $id, input: {what: null}) { errors { ... on UserError { path } } } }",
        id=created["id"],
    )
    assert data["updateEvent"]["errors"] == [{"path": ["input", "what"]}]


async def test_nothing_given_or_nothing_new_is_no_change(house: House, ours: Tenant) -> None:
    created = await ours.create(description="First")
    before = await dump(house.database)
    house.clock.advance(HOUR)
    assert await ours.update(created) == created
    same = {name: created[name] for name in ("start", "end", "what", "where", "description", "timeZone", "myRsvp")}
    assert await ours.update(created, **same) == created
    assert await dump(house.database) == before


async def test_an_event_can_be_moved_by_either_end(ours: Tenant) -> None:
    created = await ours.create()
    longer = await ours.update(created, end=at(SLOT + 3 * HOUR))
    assert (longer["start"], moment(longer["end"])) == (created["start"], SLOT + 3 * HOUR)
    later = await ours.update(created, start=at(SLOT + 2 * HOUR))
    assert (moment(later["start"]), later["end"]) == (SLOT + 2 * HOUR, longer["end"])
    errors = await ours.api.refused("updateEvent", id=created["id"], input={"start": at(SLOT + 4 * HOUR)})
    assert problems(errors) == [("InvalidInputError", "END_NOT_AFTER_START", "input.end")]


async def test_a_new_zone_alone_keeps_the_moments_and_changes_the_wall_time(ours: Tenant) -> None:
    created = await ours.create()
    moved = await ours.update(created, timeZone="America/New_York")
    assert (moved["timeZone"], moved["start"]) == ("America/New_York", "2026-05-04T04:00:00-04:00")
    assert moment(moved["end"]) == moment(created["end"])


async def test_a_timed_event_can_take_whole_days_and_become_timed_again(ours: Tenant) -> None:
    created = await ours.create(timeZone="America/New_York")
    days = await ours.update(created, allDay=True, start="2026-05-04", end="2026-05-05")
    assert (days["startDate"], days["endDate"], days["timeZone"]) == ("2026-05-04", "2026-05-05", "Europe/Berlin")
    timed = await ours.update(created, allDay=False, start=at(SLOT), end=at(SLOT + HOUR))
    assert (timed["startDate"], timed["start"]) == (None, "2026-05-04T10:00:00+02:00")
    errors = await ours.api.refused("updateEvent", id=created["id"], input={"allDay": True})
    assert problems(errors) == [
        ("InvalidInputError", "DATE_EXPECTED", "input.start"),
        ("InvalidInputError", "DATE_EXPECTED", "input.end"),
    ]


async def test_participants_who_stay_keep_their_answers(ours: Tenant) -> None:
    created = await ours.create(participants=["ada@aurora.example", "bob@example.org"], myRsvp="TENTATIVE")
    now = await ours.update(created, participants=["eve@example.org", "ADA@aurora.example"])
    assert now["participants"] == [
        {"email": "eve@example.org", "rsvp": "NEEDS_ACTION"},
        {"email": "ADA@aurora.example", "rsvp": "TENTATIVE"},
    ]
    assert (await ours.update(created, participants=[]))["participants"] == []


async def test_all_that_is_wrong_with_a_change_is_told_at_once(house: House, ours: Tenant) -> None:
    created = await ours.create()
    before = await dump(house.database)
    changes = {"start": "tomorrow", "what": "", "timeZone": "Mars/Olympus", "participants": ["nobody"], "metadata": 1}
    errors = await ours.api.refused("updateEvent", id=created["id"], input=changes)
    assert sorted(problems(errors)) == [
        ("InvalidInputError", "INVALID_VALUE", "input.metadata"),
        ("InvalidInputError", "INVALID_VALUE", "input.participants.0"),
        ("InvalidInputError", "INVALID_VALUE", "input.start"),
        ("InvalidInputError", "INVALID_VALUE", "input.what"),
        ("InvalidInputError", "UNKNOWN_TIME_ZONE", "input.timeZone"),
    ]
    assert await dump(house.database) == before


# Versions


async def test_a_stale_version_is_refused_by_every_change(house: House, ours: Tenant) -> None:
    created = await ours.create()
    await ours.update(created, what="Renamed")
    before = await dump(house.database)
    stale = {"id": created["id"], "expectedVersion": 1}
    update = {"id": created["id"], "input": {"what": "Lost", "expectedVersion": 1}}
    for field, arguments, path in (
        ("updateEvent", update, "input.expectedVersion"),
        ("cancelEvent", stale, "expectedVersion"),
        ("deleteEvent", stale, "expectedVersion"),
        ("respondToEvent", stale | {"rsvp": "DECLINED"}, "expectedVersion"),
    ):
        errors = await ours.api.refused(field, **arguments)
        assert problems(errors) == [("StaleVersionError", "STALE_VERSION", path)]
        assert errors[0]["currentVersion"] == 2
    assert await dump(house.database) == before


async def test_the_stored_version_is_accepted_by_every_change(ours: Tenant) -> None:
    created = await ours.create()
    assert (await ours.update(created, what="Renamed", expectedVersion=1))["version"] == 2
    answered = await ours.api.done("respondToEvent", id=created["id"], rsvp="TENTATIVE", expectedVersion=2)
    assert answered["event"]["version"] == 3
    cancelled = await ours.api.done("cancelEvent", id=created["id"], expectedVersion=3)
    assert cancelled["event"]["version"] == 4
    deleted = await ours.api.done("deleteEvent", id=created["id"], expectedVersion=4)
    assert deleted["deletedId"] == created["id"]


# Cancelling, deleting


async def test_a_cancelled_event_stays_and_twice_is_as_good_as_once(house: House, ours: Tenant) -> None:
    created = await ours.create()
    cancelled = (await ours.api.done("cancelEvent", id=created["id"]))["event"]
    assert cancelled == created | {"status": "CANCELLED", "version": 2, "updatedAt": cancelled["updatedAt"]}
    before = await dump(house.database)
    assert (await ours.api.done("cancelEvent", id=created["id"]))["event"] == cancelled
    assert await ours.event_now(created) == cancelled
    assert await dump(house.database) == before


async def test_a_cancelled_event_takes_place_again_when_given_another_status(ours: Tenant) -> None:
    created = await ours.create()
    await ours.api.done("cancelEvent", id=created["id"])
    assert (await ours.update(created, what="Still off"))["status"] == "CANCELLED"
    assert (await ours.update(created, status="TENTATIVE"))["status"] == "TENTATIVE"


@pytest.mark.parametrize("provider", ["local", "sandbox"])
async def test_a_deleted_event_is_gone_for_good(house: House, ours: Tenant, provider: str) -> None:
    calendar = ours.calendar if provider == "local" else ours.sandbox
    created = await ours.create(calendarId=str(calendar.id))
    assert (await ours.api.done("deleteEvent", id=created["id"]))["deletedId"] == created["id"]
    assert await ours.api.ask("event", id=created["id"]) is None
    before = await dump(house.database)
    for field, arguments in (
        ("deleteEvent", {}),
        ("cancelEvent", {}),
        ("updateEvent", {"input": {"what": "Back"}}),
        ("respondToEvent", {"rsvp": "ACCEPTED"}),
    ):
        errors = await ours.api.refused(field, id=created["id"], **arguments)
        assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]
    assert await dump(house.database) == before


# Answering


async def test_the_owner_among_the_participants_answers_there_too(ours: Tenant) -> None:
    created = await ours.create(participants=["Ada@Aurora.example", "bob@example.org"])
    answered = (await ours.api.done("respondToEvent", id=created["id"], rsvp="DECLINED"))["event"]
    assert (answered["myRsvp"], answered["version"]) == ("DECLINED", 2)
    assert answered["participants"] == [
        {"email": "Ada@aurora.example", "rsvp": "DECLINED"},
        {"email": "bob@example.org", "rsvp": "NEEDS_ACTION"},
    ]
    assert (await ours.api.done("respondToEvent", id=created["id"], rsvp="DECLINED"))["event"] == answered
    back = await ours.update(created, myRsvp="ACCEPTED")
    assert back["participants"][0] == {"email": "Ada@aurora.example", "rsvp": "ACCEPTED"}


async def test_an_owner_who_is_not_among_the_participants_answers_for_the_calendar(ours: Tenant) -> None:
    created = await ours.create(participants=["bob@example.org"])
    answered = (await ours.api.done("respondToEvent", id=created["id"], rsvp="TENTATIVE"))["event"]
    assert answered["myRsvp"] == "TENTATIVE"
    assert answered["participants"] == [{"email": "bob@example.org", "rsvp": "NEEDS_ACTION"}]


# Closed calendars, narrow keys


@pytest.mark.parametrize(
    ("change", "code"), [({"readOnly": True}, "CALENDAR_READ_ONLY"), ({"archived": True}, "CALENDAR_ARCHIVED")]
)
async def test_a_closed_calendar_takes_no_change_to_its_events(
    house: House, ours: Tenant, change: dict[str, Any], code: str
) -> None:
    created = await ours.create()
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input=change)
    before = await dump(house.database)
    event = {"id": created["id"]}
    for field, arguments, path in (
        ("createEvent", {"input": ours.event()}, "input.calendarId"),
        ("createEvents", {"input": {"events": [ours.event()]}}, "input.events.0.calendarId"),
        ("updateEvent", event | {"input": {"what": "Renamed"}}, "id"),
        ("cancelEvent", event, "id"),
        ("deleteEvent", event, "id"),
        ("respondToEvent", event | {"rsvp": "DECLINED"}, "id"),
    ):
        errors = await ours.api.refused(field, **arguments)
        assert problems(errors) == [("CalendarNotWritableError", code, path)]
        assert errors[0]["calendarId"] == str(ours.calendar.id)
    assert await dump(house.database) == before
    opened = dict.fromkeys(change, False)
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input=opened)
    assert (await ours.update(created, what="Renamed"))["version"] == 2


async def test_every_change_needs_the_scope_of_writers(house: House, ours: Tenant) -> None:
    created = await ours.create()
    reader = await key_with(house, Scope.READ, Scope.MANAGE_CALENDARS, Scope.MANAGE_KEYS)
    before = await dump(house.database)
    for call in (
        'updateEvent(id: $id, input: {what: "Mine"})',
        "cancelEvent(id: $id)",
        "deleteEvent(id: $id)",
        "respondToEvent(id: $id, rsvp: DECLINED)",
        "retrySync(eventId: $id)",
    ):
        error = await reader.fault(f"mutation ($id: ID!) {{ {call} {{ __typename }} }}", id=created["id"])
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": "WRITE_EVENTS"}
    assert await dump(house.database) == before
