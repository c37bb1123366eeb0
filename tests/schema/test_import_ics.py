"""`importIcs`: what can be read is in the calendar, once; what cannot is told, one by one; nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from kalends.domain.access import Scope
from kalends.domain.ids import uuid7
from resolvers.imports import MAX_BYTES, MAX_ENTRIES
from storage.events import EventRepository
from tests.api import SLOT, House, Tenant, at, count_rows, dump, key_with, problems, sabotaged
from tests.helpers import DAY, HOUR

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parents[1] / "providers" / "ical" / "files"
NAMES = sorted(file.stem for file in FILES.glob("*.ics"))


def event(uid: str, *lines: str, start: str = "20260504T080000Z", end: str = "20260504T090000Z") -> str:
    return "\n".join(
        ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTART:{start}", f"DTEND:{end}", f"SUMMARY:{uid}", *lines, "END:VEVENT"]
    )


def calendar(*components: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Test//EN", *components, "END:VCALENDAR", ""])


WEEKLY = event("weekly", "RRULE:FREQ=WEEKLY;COUNT=4")
MOVED = event(
    "weekly", "RECURRENCE-ID:20260511T080000Z", "SEQUENCE:3", start="20260511T120000Z", end="20260511T130000Z"
)


async def take_in(tenant: Tenant, ics: str, **options: Any) -> dict[str, Any]:
    given = {"calendarId": str(tenant.calendar.id), "ics": ics} | options
    return await tenant.api.done("importIcs", depth=3, input=given)


def counted(payload: dict[str, Any]) -> tuple[int, int, int]:
    return tuple(payload["imported"][name] for name in ("created", "updated", "unchanged"))


def failed(payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["uid"], each["code"]) for each in payload["failures"]]


async def test_events_are_created_under_the_uids_of_the_file(house: House, ours: Tenant) -> None:
    payload = await take_in(ours, calendar(event("one", "LOCATION:Room 7", "SEQUENCE:5"), event("two")))
    assert counted(payload) == (2, 0, 0)
    assert payload["failures"] == payload["conflicts"] == []
    [one, two] = payload["imported"]["events"]
    assert [(each["uid"], each["outcome"], each["event"]["uid"]) for each in (one, two)] == [
        ("one", "CREATED", "one"),
        ("two", "CREATED", "two"),
    ]
    stored = await ours.event_now(one["event"])
    assert (stored["what"], stored["where"], stored["start"]) == ("one", "Room 7", "2026-05-04T08:00:00+00:00")
    [row] = [row for row in (await dump(house.database))["event"] if "one" in row]
    assert 5 in row  # the SEQUENCE goes on from the file's


async def test_the_same_file_twice_doubles_nothing(house: House, ours: Tenant) -> None:
    ics = calendar(WEEKLY, MOVED, event("one", "DESCRIPTION:Two\\nlines  "))
    first = await take_in(ours, ics)
    assert counted(first) == (2, 0, 0)
    before = await dump(house.database)
    again = await take_in(ours, ics)
    assert counted(again) == (0, 0, 2)
    assert await dump(house.database) == before
    ids = [[each["event"]["id"] for each in payload["imported"]["events"]] for payload in (first, again)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("name", NAMES)
async def test_every_producers_file_comes_twice_without_a_change(ours: Tenant, name: str) -> None:
    ics = (FILES / f"{name}.ics").read_bytes().decode("utf-8", "replace")
    first = await take_in(ours, ics)
    created, updated, unchanged = counted(first)
    assert created
    assert (updated, unchanged) == (0, 0)
    again = await take_in(ours, ics)
    assert counted(again) == (0, 0, created)
    assert again["failures"] == first["failures"]


async def test_how_a_file_breaks_its_lines_makes_no_difference(ours: Tenant) -> None:
    lines = calendar(WEEKLY, MOVED, event("one", "DESCRIPTION:A long word 🎉 \\, and\n  another \\;one"))
    assert counted(await take_in(ours, lines)) == (2, 0, 0)
    for written in (
        lines.replace("\n", "\r\n"),
        lines.replace("\n", "\r"),
        "\ufeff" + lines,
        lines.replace("\n  another", "\r\n\t another").replace("DESCRIPTION", "description"),
        lines.replace("SUMMARY", "SUM\n MARY").replace("\nEND:VEVENT", "\n\n\nEND:VEVENT"),
        lines + "\n\n",
    ):
        assert counted(await take_in(ours, written)) == (0, 0, 2), written


async def test_an_event_that_is_there_becomes_what_the_file_says(ours: Tenant) -> None:
    first = await take_in(ours, calendar(event("one"), event("two")))
    second = await take_in(ours, calendar(event("one", "LOCATION:Elsewhere"), event("two")))
    assert counted(second) == (0, 1, 1)
    changed = second["imported"]["events"][0]["event"]
    assert changed["id"] == first["imported"]["events"][0]["event"]["id"]
    assert (changed["where"], changed["version"]) == ("Elsewhere", 2)


async def test_what_a_file_cannot_say_stays(ours: Tenant) -> None:
    [imported] = (await take_in(ours, calendar(event("one"))))["imported"]["events"]
    kept = {"metadata": {"ticket": "K-1"}, "invite": True, "onConflict": "WARN"}
    await ours.update(imported["event"], **kept)
    payload = await take_in(ours, calendar(event("one", "LOCATION:Elsewhere")))
    stored = await ours.event_now(payload["imported"]["events"][0]["event"])
    assert {name: stored[name] for name in kept} == kept
    assert stored["where"] == "Elsewhere"


async def test_an_event_of_another_calendar_is_left_alone(ours: Tenant, theirs: Tenant) -> None:
    ics = calendar(event("one"))
    [elsewhere] = (await take_in(ours, ics, calendarId=str(ours.sandbox.id)))["imported"]["events"]
    assert counted(await take_in(theirs, ics)) == (1, 0, 0)
    payload = await take_in(ours, calendar(event("one", "LOCATION:Here")))
    assert counted(payload) == (1, 0, 0)
    assert (await ours.event_now(elsewhere["event"]))["where"] == ""


async def test_a_deleted_event_comes_back_as_a_new_one(ours: Tenant) -> None:
    [imported] = (await take_in(ours, calendar(event("one"))))["imported"]["events"]
    await ours.api.done("deleteEvent", id=imported["event"]["id"])
    payload = await take_in(ours, calendar(event("one")))
    assert counted(payload) == (1, 0, 0)
    assert payload["imported"]["events"][0]["event"]["id"] != imported["event"]["id"]


# Series


async def test_a_series_is_one_event_with_what_differs_from_it(ours: Tenant) -> None:
    payload = await take_in(ours, calendar(MOVED, WEEKLY))
    assert counted(payload) == (1, 0, 0)
    [imported] = payload["imported"]["events"]
    stored = await ours.event_now(imported["event"])
    assert stored["recurrence"]["rule"] == "FREQ=WEEKLY;COUNT=4"
    assert stored["recurrence"]["overridden"] == ["2026-05-11T08:00:00+00:00"]


async def test_one_time_of_a_series_that_is_nowhere_is_an_event_by_itself(ours: Tenant) -> None:
    [imported] = (await take_in(ours, calendar(MOVED)))["imported"]["events"]
    assert imported["event"]["start"] == "2026-05-11T12:00:00+00:00"
    assert (await ours.event_now(imported["event"]))["recurrence"] is None
    assert [each["code"] for each in imported["warnings"]] == ["PARTLY_READ"]


async def test_one_time_of_a_series_that_is_there_changes_the_series(ours: Tenant) -> None:
    [series] = (await take_in(ours, calendar(WEEKLY)))["imported"]["events"]
    payload = await take_in(ours, calendar(MOVED))
    assert counted(payload) == (0, 1, 0)
    [imported] = payload["imported"]["events"]
    assert imported["event"]["id"] == series["event"]["id"]
    stored = await ours.event_now(series["event"])
    assert stored["recurrence"]["rule"] == "FREQ=WEEKLY;COUNT=4"
    assert stored["recurrence"]["overridden"] == ["2026-05-11T08:00:00+00:00"]
    assert counted(await take_in(ours, calendar(MOVED))) == (0, 0, 1)


async def test_a_time_at_which_the_series_is_not_leaves_it_alone(ours: Tenant) -> None:
    [series] = (await take_in(ours, calendar(WEEKLY)))["imported"]["events"]
    stray = MOVED.replace("RECURRENCE-ID:20260511T080000Z", "RECURRENCE-ID:20260512T080000Z")
    payload = await take_in(ours, calendar(stray, event("other")))
    assert failed(payload) == [("weekly", "INVALID_VALUE")]
    assert "RECURRENCE-ID" in payload["failures"][0]["expected"]
    assert counted(payload) == (1, 0, 0)
    assert (await ours.event_now(series["event"]))["version"] == 1


# What cannot be read


async def test_what_cannot_be_read_is_told_with_its_uid_and_the_rest_is_there(ours: Tenant) -> None:
    ics = calendar(
        "BEGIN:VEVENT\nUID:no-start\nSUMMARY:When?\nEND:VEVENT",
        event("backwards", end="20260504T070000Z"),
        event("long-ago", start="19000101T000000Z", end="19000101T010000Z"),
        event("x" * 256),
        event("twice", "SEQUENCE:1"),
        event("twice"),
        "BEGIN:VTODO\nUID:task\nSUMMARY:Shopping\nEND:VTODO",
        event("good"),
    )
    payload = await take_in(ours, ics)
    assert counted(payload) == (2, 0, 0)
    assert [each["uid"] for each in payload["imported"]["events"]] == ["twice", "good"]
    assert {each["uid"]: each["expected"] for each in payload["failures"]} == {
        "no-start": "DTSTART with a date, or a date-time",
        "backwards": "DTEND after DTSTART",
        "long-ago": "a year from 1970 to 2200",
        "x" * 255: "a UID of at most 255 characters",
        "twice": "a UID that no other event of the file has (RFC 5545 section 3.8.4.7)",
        "task": "an event (VEVENT) as RFC 5545 section 3.6.1 has it",
    }
    assert {each["code"] for each in payload["failures"]} == {"INVALID_VALUE"}


async def test_a_zone_that_nobody_knows_is_flagged_and_never_utc(ours: Tenant) -> None:
    ics = calendar(
        "BEGIN:VEVENT\nUID:odd\nDTSTART;TZID=Middle-earth/Shire:20260504T100000\nDURATION:PT1H\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:windows\nDTSTART;TZID=Tokyo Standard Time:20260504T100000\nDURATION:PT1H\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:floating\nDTSTART:20260504T100000\nDURATION:PT1H\nEND:VEVENT",
    )
    found = {each["uid"]: each for each in (await take_in(ours, ics))["imported"]["events"]}
    assert {
        uid: (each["event"]["start"], [note["code"] for note in each["warnings"]]) for uid, each in found.items()
    } == {
        "odd": ("2026-05-04T10:00:00+02:00", ["UNKNOWN_TIME_ZONE"]),
        "windows": ("2026-05-04T10:00:00+09:00", []),
        "floating": ("2026-05-04T10:00:00+02:00", ["FLOATING_TIME"]),
    }


async def test_what_has_no_place_here_is_said(ours: Tenant) -> None:
    ics = calendar(event("one", "URL:https://example.org", "CATEGORIES:A,B", "X-ANYTHING:1"))
    [imported] = (await take_in(ours, ics))["imported"]["events"]
    assert [each["message"] for each in imported["warnings"]] == [
        "Kalends has no place for what it says in CATEGORIES, URL."
    ]


NO_CALENDARS = {
    "": "This is not a calendar.",
    "<!doctype html><p>Sign in</p>": "This is not a calendar.",
    "\ud800": "This is not a calendar.",
    calendar(event("one")).removesuffix("END:VCALENDAR\n"): "The calendar breaks off in the middle.",
    calendar(
        "METHOD:REPLY", event("one")
    ): "This is a message about an event (METHOD:REPLY), and not the event itself.",
    calendar(*[event(f"e{number}") for number in range(MAX_ENTRIES + 1)]): (
        "The calendar has 5,001 entries, more than the 5,000 that are taken at once."
    ),
    calendar(*[event(f"h{number}", "RRULE:FREQ=HOURLY") for number in range(16)]): (
        "Its series take place more than 30,000 times: import them in several files."
    ),
    "x" * (MAX_BYTES + 1): "The file has 5,242,881 bytes: more than the 5,242,880 that are taken at once.",
}


async def test_what_is_no_calendar_is_refused_as_a_whole(house: House, ours: Tenant) -> None:
    before = await count_rows(house.database)
    for ics, message in NO_CALENDARS.items():
        errors = await ours.api.refused("importIcs", input={"calendarId": str(ours.calendar.id), "ics": ics})
        assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.ics")]
        assert (errors[0]["message"], errors[0]["expected"]) == (message, "an iCalendar file (RFC 5545)")
    assert await count_rows(house.database) == before


async def test_a_calendar_without_events_is_none_the_less_one(ours: Tenant) -> None:
    payload = await take_in(ours, calendar())
    assert (counted(payload), payload["failures"]) == ((0, 0, 0), [])


async def test_a_calendar_that_takes_no_events_takes_no_file(house: House, ours: Tenant, theirs: Tenant) -> None:
    await ours.api.done("updateCalendar", id=str(ours.sandbox.id), input={"readOnly": True})
    before = await count_rows(house.database)
    for calendar_id, told in (
        (str(ours.sandbox.id), ("CalendarNotWritableError", "CALENDAR_READ_ONLY", "input.calendarId")),
        (str(theirs.calendar.id), ("NotFoundError", "NOT_FOUND", "input.calendarId")),
        (str(uuid7()), ("NotFoundError", "NOT_FOUND", "input.calendarId")),
        ("no id", ("NotFoundError", "NOT_FOUND", "input.calendarId")),
    ):
        errors = await ours.api.refused("importIcs", input={"calendarId": calendar_id, "ics": calendar(event("one"))})
        assert problems(errors) == [told]
    assert await count_rows(house.database) == before


async def test_a_key_that_may_not_write_takes_nothing_in(house: House, ours: Tenant) -> None:
    reader = await key_with(house, Scope.READ)
    query = "mutation($input: ImportIcsInput!) { importIcs(input: $input) { imported { created } } }"
    fault = await reader.fault(query, input={"calendarId": str(ours.calendar.id), "ics": calendar(event("one"))})
    assert fault["extensions"] == {"code": "FORBIDDEN", "scope": "WRITE_EVENTS"}


# The guard, dry runs, sync


async def test_what_would_collide_is_left_out_under_reject_and_the_rest_is_there(ours: Tenant) -> None:
    taken = await ours.create(SLOT)
    later = {"start": "20260504T120000Z", "end": "20260504T130000Z"}
    ics = calendar(event("taken"), event("free", **later), event("second", **later))
    payload = await take_in(ours, ics, onConflict="REJECT")
    assert counted(payload) == (1, 0, 0)
    assert failed(payload) == [("taken", "TIME_CONFLICT"), ("second", "TIME_CONFLICT")]
    named = [[each["uid"] for each in failure["conflicts"]] for failure in payload["failures"]]
    assert named == [[taken["uid"]], ["free"]]
    again = await take_in(ours, ics, onConflict="REJECT")
    assert counted(again) == (0, 0, 1)


async def test_what_collides_is_named_under_warn(ours: Tenant) -> None:
    taken = await ours.create(SLOT)
    payload = await take_in(ours, calendar(event("one"), event("two")), onConflict="WARN")
    assert counted(payload) == (2, 0, 0)
    assert [each["uid"] for each in payload["conflicts"]] == [taken["uid"], "one"]
    assert {each["event"]["onConflict"] for each in payload["imported"]["events"]} == {"WARN"}


async def test_a_series_is_guarded_at_every_time(ours: Tenant) -> None:
    await ours.create(SLOT + 7 * DAY)
    payload = await take_in(ours, calendar(WEEKLY), onConflict="REJECT")
    assert failed(payload) == [("weekly", "TIME_CONFLICT")]


async def test_without_a_policy_events_that_are_there_obey_their_own(ours: Tenant) -> None:
    await take_in(ours, calendar(event("one")), onConflict="REJECT")
    await ours.create(SLOT + 4 * HOUR)
    moved = event("one", start="20260504T120000Z", end="20260504T130000Z")
    assert failed(await take_in(ours, calendar(moved))) == [("one", "TIME_CONFLICT")]


async def test_a_dry_run_says_what_would_be_and_writes_nothing(house: House, ours: Tenant) -> None:
    await take_in(ours, calendar(event("one"), event("two")))
    before = await dump(house.database)
    ics = calendar(event("one", "LOCATION:Elsewhere"), event("two"), event("three"), "BEGIN:VTODO\nEND:VTODO")
    payload = await take_in(ours, ics, dryRun=True)
    assert counted(payload) == (1, 1, 1)
    assert len(payload["failures"]) == 1
    assert await dump(house.database) == before


async def test_a_file_that_cannot_be_stored_leaves_nothing(house: House, ours: Tenant) -> None:
    before = await count_rows(house.database)
    with sabotaged(EventRepository, "save", RuntimeError("no")):
        await take_in(ours, calendar(event("one")))
        document = "mutation($input: ImportIcsInput!) { importIcs(input: $input) { imported { created } } }"
        ics = calendar(event("new"), event("one", "LOCATION:Elsewhere"))
        fault = await ours.api.fault(document, input={"calendarId": str(ours.calendar.id), "ics": ics})
    assert fault["extensions"]["code"] == "INTERNAL"
    after = await count_rows(house.database)
    assert after["event"] == before["event"] + 1


async def test_what_was_taken_in_is_in_the_change_log_and_goes_to_the_provider(house: House, ours: Tenant) -> None:
    target = {"calendarId": str(ours.sandbox.id)}
    await take_in(ours, calendar(event("one"), event("two")), **target)
    payload = await take_in(ours, calendar(event("one", "LOCATION:Elsewhere"), event("two"), event("three")), **target)
    changes = [(row[-3], row[-2]) for row in (await dump(house.database, ours.app_id))["change"]]
    told = [operation for operation, origin in changes if origin == f"key:{ours.key_id}"]
    assert sorted(told) == ["CREATED", "CREATED", "CREATED", "UPDATED"]
    await house.worker.drain()
    for each in payload["imported"]["events"]:
        assert (await ours.api.ask("event", id=each["event"]["id"]))["sync"]["status"] == "SYNCED"


async def test_whole_days_are_those_of_the_calendar(ours: Tenant) -> None:
    ics = calendar("BEGIN:VEVENT\nUID:day\nDTSTART;VALUE=DATE:20260504\nEND:VEVENT")
    [imported] = (await take_in(ours, ics))["imported"]["events"]
    assert (imported["event"]["startDate"], imported["event"]["timeZone"]) == ("2026-05-04", "Europe/Berlin")


async def test_two_imports_at_once_double_nothing(house: House, ours: Tenant) -> None:
    ics = calendar(*[event(f"e{number}") for number in range(20)])
    payloads: list[dict[str, Any]] = []

    async def once() -> None:
        payloads.append(await take_in(ours, ics))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(once)
    assert sorted(counted(each) for each in payloads) == [(0, 0, 20), (0, 0, 20), (20, 0, 0)]
    listed = await ours.api.ask("events", depth=2, **{"from": at(SLOT), "to": at(SLOT + HOUR), "first": 100})
    assert len(listed["edges"]) == 20
