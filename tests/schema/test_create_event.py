"""`createEvent` and `createEvents`: what is given is stored and read back, once, or nothing is."""

import json
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from kalends.domain.access import Scope
from tests.api import SLOT, House, Tenant, at, count_rows, dump, key_with, moment, problems
from tests.helpers import DAY, HOUR, NOW

pytestmark = pytest.mark.anyio

GIVEN_AND_READ = {
    "what": "Design review ✓",
    "where": "Warnemünde, Halle 3",
    "description": "First line\n\tSecond line — 日本語 🎉",
    "invite": True,
    "myRsvp": "TENTATIVE",
    "transparent": True,
    "outOfOffice": True,
    "status": "TENTATIVE",
    "onConflict": "WARN",
    "metadata": {"ticket": "K-1", "colour": "grün"},
}


async def test_every_field_of_a_timed_event_is_read_back_as_it_was_given(ours: Tenant) -> None:
    created = await ours.create(
        **GIVEN_AND_READ, timeZone="America/New_York", participants=["Grace@Example.COM", "ada@aurora.example"]
    )
    expected = GIVEN_AND_READ | {
        "calendarId": str(ours.calendar.id),
        "start": "2026-05-04T04:00:00-04:00",
        "end": "2026-05-04T05:00:00-04:00",
        "startDate": None,
        "endDate": None,
        "allDay": False,
        "timeZone": "America/New_York",
        "participants": [
            {"email": "Grace@example.com", "rsvp": "NEEDS_ACTION"},
            {"email": "ada@aurora.example", "rsvp": "TENTATIVE"},
        ],
        "version": 1,
        "uid": f"{created['id']}@kalends",
        "createdAt": "2026-05-04T07:00:00Z",
        "updatedAt": "2026-05-04T07:00:00Z",
        "conflicts": [],
    }
    assert {name: created[name] for name in expected} == expected
    assert created["calendar"]["name"] == "Aurora's work"
    assert await ours.event_now(created) == created
    assert moment(created["start"]) == SLOT


async def test_every_field_of_an_all_day_event_is_read_back_as_it_was_given(ours: Tenant) -> None:
    days = {"allDay": True, "start": "2026-10-24", "end": "2026-10-26"}
    created = await ours.create(**GIVEN_AND_READ | days)
    expected = GIVEN_AND_READ | {
        "startDate": "2026-10-24",
        "endDate": "2026-10-26",
        "start": "2026-10-24T00:00:00+02:00",
        "end": "2026-10-26T00:00:00+01:00",  # the clocks go back in that night
        "allDay": True,
        "timeZone": "Europe/Berlin",
    }
    assert {name: created[name] for name in expected} == expected
    assert await ours.event_now(created) == created


async def test_the_day_is_the_calendars_not_utcs(ours: Tenant) -> None:
    payload = await ours.api.done("createCalendar", input={"name": "Far", "timeZone": "Pacific/Kiritimati"})
    days = {"allDay": True, "start": "2026-05-04", "end": "2026-05-05"}
    created = await ours.create(calendarId=payload["calendar"]["id"], **days)
    assert created["startDate"] == "2026-05-04"
    assert created["start"] == "2026-05-04T00:00:00+14:00"


async def test_what_is_not_given_has_the_defaults_of_the_schema(ours: Tenant) -> None:
    created = await ours.create(where="")
    expected: dict[str, Any] = {
        "what": "Planning",
        "where": "",
        "description": None,
        "invite": False,
        "participants": [],
        "myRsvp": "ACCEPTED",
        "allDay": False,
        "timeZone": "Europe/Berlin",
        "transparent": False,
        "outOfOffice": False,
        "status": "CONFIRMED",
        "metadata": {},
        "onConflict": "ALLOW",
    }
    assert {name: created[name] for name in expected} == expected


MOMENTS = [
    ("2026-05-04T10:00:00+02:00", None, "2026-05-04T10:00:00+02:00"),
    ("2026-05-04T08:00:00Z", None, "2026-05-04T10:00:00+02:00"),
    ("2026-05-04T08:00:00Z", "Asia/Kathmandu", "2026-05-04T13:45:00+05:45"),
    ("2026-05-04T17:00:00+09:00", "UTC", "2026-05-04T08:00:00Z"),
    ("2026-05-04T08:00-00:00", "UTC", "2026-05-04T08:00:00Z"),
    # of the two 02:30 of that night, the offset says which
    ("2026-10-25T02:30:00+02:00", None, "2026-10-25T02:30:00+02:00"),
    ("2026-10-25T02:30:00+01:00", None, "2026-10-25T02:30:00+01:00"),
    # an instant that falls into no gap, although its digits would
    ("2026-03-29T02:30:00Z", None, "2026-03-29T04:30:00+02:00"),
]


async def test_the_offset_names_the_moment_and_the_zone_the_wall_time(ours: Tenant) -> None:
    for start, zone, read in MOMENTS:
        created = await ours.create(start=start, end="2026-11-01T00:00:00Z", timeZone=zone)
        assert moment(created["start"]) == moment(start)
        assert created["start"].replace("+00:00", "Z") == read


async def test_the_owner_answers_for_the_calendar_only_where_invited(ours: Tenant) -> None:
    among = await ours.create(participants=["ADA@aurora.example", "bob@example.org"], myRsvp="DECLINED")
    assert among["participants"] == [
        {"email": "ADA@aurora.example", "rsvp": "DECLINED"},
        {"email": "bob@example.org", "rsvp": "NEEDS_ACTION"},
    ]
    absent = await ours.create(participants=["bob@example.org"], myRsvp="DECLINED")
    assert absent["participants"] == [{"email": "bob@example.org", "rsvp": "NEEDS_ACTION"}]
    assert absent["myRsvp"] == "DECLINED"


async def test_duplicate_participants_are_folded(ours: Tenant) -> None:
    created = await ours.create(participants=["bob@example.org", "BOB@Example.org", "eve@example.org"])
    assert [each["email"] for each in created["participants"]] == ["bob@example.org", "eve@example.org"]


async def test_text_at_its_limit_is_kept_whole(ours: Tenant) -> None:
    widest = {"what": "🎉" * 1024, "where": "ü" * 1024, "description": "日" * 32_768}
    people = [f"person-{number}@example.org" for number in range(200)]
    metadata = {f"{number:044}": "x" * 1024 for number in range(50)}
    created = await ours.create(**widest, participants=people, metadata=metadata)
    assert {name: created[name] for name in widest} == widest
    assert [each["email"] for each in created["participants"]] == people
    assert created["metadata"] == metadata


# Several at once


async def test_several_events_are_stored_in_the_order_of_the_input(ours: Tenant) -> None:
    events = [
        ours.event(SLOT + number * HOUR, what=f"Nr {number}", calendarId=str(calendar.id))
        for number, calendar in enumerate([ours.calendar, ours.sandbox] * 3)
    ]
    payload = await ours.api.done("createEvents", input={"events": events})
    assert [each["what"] for each in payload["events"]] == [each["what"] for each in events]
    assert [each["calendarId"] for each in payload["events"]] == [each["calendarId"] for each in events]
    assert [await ours.event_now(each) for each in payload["events"]] == payload["events"]


async def test_of_several_events_all_are_stored_or_none(house: House, ours: Tenant) -> None:
    await ours.create(SLOT + 5 * HOUR)
    events: list[dict[str, Any]] = [ours.event(SLOT + number * HOUR) for number in range(6)]
    events[1]["calendarId"] = str(house.theirs.calendar.id)
    events[3] |= {"what": " ", "participants": ["bob@example.org", "nobody"]}
    events[5]["onConflict"] = "REJECT"
    before = await dump(house.database)
    errors = await ours.api.refused("createEvents", input={"events": events, "idempotencyKey": "k"})
    assert problems(errors) == [
        ("NotFoundError", "NOT_FOUND", "input.events.1.calendarId"),
        ("InvalidInputError", "INVALID_VALUE", "input.events.3.what"),
        ("InvalidInputError", "INVALID_VALUE", "input.events.3.participants.1"),
        ("TimeConflictError", "TIME_CONFLICT", "input.events.5.start"),
    ]
    assert await dump(house.database) == before


async def test_one_hundred_events_may_be_created_at_once(house: House, ours: Tenant) -> None:
    events = [ours.event(SLOT + number * HOUR, onConflict="REJECT") for number in range(100)]
    payload = await ours.api.done("createEvents", depth=1, input={"events": events})
    assert len(payload["events"]) == 100
    assert (await count_rows(house.database))["event"] == 100


# Dry runs


@pytest.mark.parametrize("field", ["createEvent", "createEvents"])
async def test_a_dry_run_tells_what_would_happen_and_writes_nothing(house: House, ours: Tenant, field: str) -> None:
    taken = await ours.create(calendarId=str(ours.sandbox.id), what="Taken")
    event = ours.event(
        calendarId=str(ours.sandbox.id),
        onConflict="WARN",
        invite=True,
        participants=["ada@aurora.example", "bob@example.org"],
    )
    options = {"dryRun": True, "syncProvider": True, "idempotencyKey": "dry"}
    before = await dump(house.database)
    if field == "createEvent":
        payload = await ours.api.done(field, input=event | options)
        would_be, run = payload["event"], payload["dryRun"]
    else:
        payload = await ours.api.done(field, input={"events": [event]} | options)
        (would_be,), (run,) = payload["events"], payload["dryRuns"]
    assert (would_be["what"], would_be["version"]) == ("Planning", 1)
    assert [each["id"] for each in payload["conflicts"]] == [taken["id"]]
    assert (run["provider"], run["mailed"]) == ("sandbox", ["bob@example.org"])
    assert run["payload"]["summary"] == "Planning"
    assert (run["payload"]["start"], run["payload"]["tzid"]) == ("2026-05-04T10:00:00", "Europe/Berlin")
    assert run["payload"]["sendUpdates"] == "all"
    assert await dump(house.database) == before
    assert await ours.api.ask("event", id=would_be["id"]) is None


async def test_a_dry_run_mails_nobody_without_invite_and_sends_nothing_to_no_provider(ours: Tenant) -> None:
    people = ["bob@example.org"]
    quiet = ours.event(calendarId=str(ours.sandbox.id), participants=people, dryRun=True)
    assert (await ours.api.done("createEvent", input=quiet))["dryRun"]["mailed"] == []
    local = ours.event(participants=people, invite=True, dryRun=True)
    run = (await ours.api.done("createEvent", input=local))["dryRun"]
    takes = [{"start": "2026-05-04T08:00:00Z", "end": "2026-05-04T09:00:00Z"}]
    assert run == {"provider": "local", "payload": {}, "mailed": [], "takes": takes}


async def test_a_dry_run_is_refused_like_the_write_would_be(house: House, ours: Tenant) -> None:
    taken = await ours.create()
    before = await dump(house.database)
    (error,) = await ours.api.refused("createEvent", input=ours.event(onConflict="REJECT", dryRun=True))
    assert [each["id"] for each in error["conflicts"]] == [taken["id"]]
    assert await dump(house.database) == before


async def test_a_write_that_is_no_dry_run_previews_nothing(ours: Tenant) -> None:
    assert (await ours.api.done("createEvent", input=ours.event()))["dryRun"] is None
    assert (await ours.api.done("createEvents", input={"events": [ours.event()]}))["dryRuns"] == []


# Idempotency keys


async def test_the_same_key_with_the_same_request_creates_one_event(house: House, ours: Tenant) -> None:
    # two spellings of one request: Z and the offset, the defaults left out and written out
    one = ours.event(idempotencyKey="k")
    other = one | {"start": "2026-05-04T08:00:00Z", "invite": False, "participants": [], "onConflict": "ALLOW"}
    first = await ours.api.done("createEvent", input=one)
    again = await ours.api.done("createEvent", input=other)
    assert again == first
    rows = await count_rows(house.database)
    assert (rows["event"], rows["idempotency"]) == (1, 1)


OTHER_REQUESTS: list[dict[str, Any]] = [
    {"what": "Another"},
    {"where": "Elsewhere"},
    {"description": "More"},
    {"start": at(SLOT - HOUR)},
    {"end": at(SLOT + 2 * HOUR)},
    {"timeZone": "UTC"},
    {"invite": True},
    {"participants": ["bob@example.org"]},
    {"myRsvp": "DECLINED"},
    {"transparent": True},
    {"status": "TENTATIVE"},
    {"metadata": {"a": "b"}},
    {"onConflict": "WARN"},
    {"syncProvider": True},
]


async def test_the_same_key_with_another_request_is_refused(house: House, ours: Tenant) -> None:
    await ours.create(idempotencyKey="k")
    before = await dump(house.database)
    for change in OTHER_REQUESTS:
        errors = await ours.api.refused("createEvent", input=ours.event(idempotencyKey="k") | change)
        assert problems(errors) == [
            ("IdempotencyKeyReusedError", "IDEMPOTENCY_KEY_REUSED", "input.idempotencyKey"),
        ], change
    assert await dump(house.database) == before


async def test_a_key_belongs_to_one_operation(ours: Tenant) -> None:
    await ours.create(idempotencyKey="k")
    (error,) = await ours.api.refused("createEvents", input={"events": [ours.event()], "idempotencyKey": "k"})
    assert (error["code"], error["path"]) == ("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])
    (error,) = await ours.api.refused("createCalendar", input={"name": "Home", "idempotencyKey": "k"})
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_key_belongs_to_the_caller_who_used_it(house: House, ours: Tenant, theirs: Tenant) -> None:
    mine = await ours.create(idempotencyKey="k")
    colleague = await key_with(house, Scope.READ, Scope.WRITE_EVENTS)
    hers = (await colleague.done("createEvent", input=ours.event(idempotencyKey="k")))["event"]
    foreign = await theirs.create(idempotencyKey="k")
    assert len({mine["id"], hers["id"], foreign["id"]}) == 3
    again = await colleague.done("createEvent", input=ours.event(idempotencyKey="k"))
    assert again["event"]["id"] == hers["id"]
    assert (await ours.create(idempotencyKey="k"))["id"] == mine["id"]


async def test_a_replay_returns_the_event_as_it_is_now(house: House, ours: Tenant) -> None:
    created = await ours.create(idempotencyKey="k")
    house.clock.advance(HOUR)
    changed = await ours.update(created, what="Renamed")
    assert await ours.create(idempotencyKey="k") == changed
    assert changed["version"] == 2


async def test_a_replay_after_the_event_was_deleted_is_refused_and_creates_nothing(house: House, ours: Tenant) -> None:
    created = await ours.create(idempotencyKey="k")
    await ours.api.done("deleteEvent", id=created["id"])
    before = await dump(house.database)
    errors = await ours.api.refused("createEvent", input=ours.event(idempotencyKey="k"))
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.idempotencyKey")]
    assert await dump(house.database) == before


async def test_a_refused_request_does_not_use_its_key_up(ours: Tenant) -> None:
    taken = await ours.create()
    wanted = ours.event(onConflict="REJECT", idempotencyKey="k")
    await ours.api.refused("createEvent", input=wanted)
    await ours.api.done("deleteEvent", id=taken["id"])
    assert (await ours.api.done("createEvent", input=wanted))["event"]["what"] == "Planning"


async def test_a_dry_run_does_not_use_its_key_up(ours: Tenant) -> None:
    await ours.api.done("createEvent", input=ours.event(dryRun=True, idempotencyKey="k"))
    assert (await ours.create(what="For real", idempotencyKey="k"))["what"] == "For real"


async def test_a_batch_is_replayed_whole(house: House, ours: Tenant) -> None:
    batch = {"events": [ours.event(SLOT + number * DAY) for number in range(3)], "idempotencyKey": "k"}
    first = await ours.api.done("createEvents", input=batch)
    assert await ours.api.done("createEvents", input=batch) == first
    assert (await count_rows(house.database))["event"] == 3


async def test_a_key_works_again_after_its_72_hours(house: House, ours: Tenant) -> None:
    first = await ours.create(idempotencyKey="k")
    house.database.skew = (await _real_age(house)) + 3 * DAY + HOUR
    await house.worker.sweep()
    assert (await ours.create(idempotencyKey="k"))["id"] != first["id"]


async def _real_age(house: House) -> timedelta:
    """Return how far the standing clock of the tests is ahead of the database's."""
    async with house.database.reader.connect() as connection:
        now = (await connection.execute(select(house.database.now()))).scalar_one()
    return NOW - cast("datetime", now)


# Rights


async def test_writing_needs_the_scope_of_writers(house: House, ours: Tenant) -> None:
    reader = await key_with(house, Scope.READ, Scope.MANAGE_CALENDARS, Scope.MANAGE_KEYS)
    before = await dump(house.database)
    error = await reader.fault(
        "mutation ($input: CreateEventInput!) { createEvent(input: $input) { event { id } } }", input=ours.event()
    )
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": "WRITE_EVENTS"}
    assert await dump(house.database) == before


async def test_the_answer_needs_no_right_to_read_what_was_just_written(house: House, ours: Tenant) -> None:
    writer = await key_with(house, Scope.WRITE_EVENTS)
    created = await writer.run(
        "mutation ($input: CreateEventInput!) { createEvent(input: $input) { event { id what start } errors { "
        "__typename } } }",
        input=ours.event(),
    )
    assert created["createEvent"]["event"]["what"] == "Planning"
    error = await writer.fault("query ($id: ID!) { event(id: $id) { id } }", id=created["createEvent"]["event"]["id"])
    assert error["extensions"] == {"code": "FORBIDDEN", "scope": "READ"}


async def test_metadata_of_any_json_text_survives(ours: Tenant) -> None:
    text = json.dumps({"quotes": '"', "backslash": "\\", "null": None, "snow": "☃"})
    assert (await ours.create(metadata={"json": text}))["metadata"] == {"json": text}
