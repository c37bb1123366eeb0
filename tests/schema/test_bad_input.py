"""Bad input gets a typed error that names the path and what was expected, and nothing is written."""

from collections.abc import Callable
from typing import Any

import pytest

from kalends.domain.time import ZONE
from kalends.domain.values import DATE, DATE_TIME, EMAIL, METADATA, PLAIN_TEXT, YEARS
from tests.api import SLOT, House, Tenant, at, document, dump, problems
from tests.helpers import HOUR

pytestmark = pytest.mark.anyio

Input = dict[str, Any]
Case = tuple[Input, str, str, str]
"""What is wrong with an otherwise good input, and the error's code, its path below `input`, and what it expected."""

UNKNOWN = "01890000-0000-7000-8000-000000000000"
NOT_BLANK = "text of 1 to 1024 characters, not only white space"
INVALID = "INVALID_VALUE"
AFTER_START = "a time after start"
CLOCK_SHOWS = "a time that the zone's clocks show"

DAY_EVENT: Input = {"allDay": True, "start": "2026-05-04", "end": "2026-05-05"}

EVENTS: dict[str, Case] = {
    "end before start": ({"end": at(SLOT - HOUR)}, "END_NOT_AFTER_START", "end", AFTER_START),
    "end at start": ({"end": at(SLOT)}, "END_NOT_AFTER_START", "end", AFTER_START),
    "end at start in another offset": (
        {"start": "2026-05-04T10:00:00+02:00", "end": "2026-05-04T11:00:00+03:00"},
        "END_NOT_AFTER_START",
        "end",
        AFTER_START,
    ),
    "a day that ends on itself": (DAY_EVENT | {"end": "2026-05-04"}, "END_NOT_AFTER_START", "end", AFTER_START),
    "naive date-time": ({"start": "2026-05-04T10:00:00"}, INVALID, "start", DATE_TIME),
    "fractions of a second": ({"start": "2026-05-04T08:00:00.5Z"}, INVALID, "start", DATE_TIME),
    "a leap second": ({"start": "2016-12-31T23:59:60Z"}, INVALID, "start", DATE_TIME),
    "24 o'clock": ({"start": "2026-05-04T24:00:00Z"}, INVALID, "start", DATE_TIME),
    "a day that no month has": ({"start": "2026-02-30T08:00:00Z"}, INVALID, "start", DATE_TIME),
    "a space for the T": ({"start": "2026-05-04 08:00:00Z"}, INVALID, "start", DATE_TIME),
    "digits of another script": ({"start": "\uff12026-05-04T08:00:00Z"}, INVALID, "start", DATE_TIME),
    "a number for a moment": ({"start": 1_777_881_600}, INVALID, "start", DATE_TIME),
    "an object for a moment": ({"end": {"date": "2026-05-04"}}, INVALID, "end", DATE_TIME),
    "nothing for a moment": ({"end": ""}, INVALID, "end", DATE_TIME),
    "a year before 1970": ({"start": "1969-12-31T23:59:59Z"}, INVALID, "start", YEARS),
    "a year after 2200": ({"end": "2201-01-01T00:00:00Z"}, INVALID, "end", YEARS),
    "a day before 1970": (DAY_EVENT | {"start": "1969-12-31"}, INVALID, "start", YEARS),
    "a day after 2200": (DAY_EVENT | {"end": "2201-01-01"}, INVALID, "end", YEARS),
    "the year 0": ({"start": "0000-01-01T00:00:00Z"}, INVALID, "start", DATE_TIME),
    "a wall time after 2200": (
        {"end": "2200-12-31T23:30:00Z"},  # 2201 in Berlin
        INVALID,
        "end",
        YEARS,
    ),
    "a local time that does not exist": (
        {"start": "2026-03-29T02:30:00+01:00"},
        "NONEXISTENT_LOCAL_TIME",
        "start",
        CLOCK_SHOWS,
    ),
    "a local time that its own zone skips": (
        {"start": "2026-03-08T02:30:00-05:00", "timeZone": "America/New_York"},
        "NONEXISTENT_LOCAL_TIME",
        "start",
        CLOCK_SHOWS,
    ),
    "a date where a time is needed": ({"start": "2026-05-04"}, "TIME_EXPECTED", "start", DATE_TIME),
    "a time where a date is needed": (DAY_EVENT | {"start": at(SLOT)}, "DATE_EXPECTED", "start", DATE),
    "midnight elsewhere": (DAY_EVENT | {"end": "2026-05-06T00:00:00Z"}, "DATE_EXPECTED", "end", DATE),
    "a day that no month has, all day": (DAY_EVENT | {"end": "2026-05-32"}, INVALID, "end", DATE),
    "unknown zone": ({"timeZone": "Europe/Atlantis"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "a zone in another case": ({"timeZone": "europe/berlin"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "an offset for a zone": ({"timeZone": "+02:00"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "a path for a zone": ({"timeZone": "../../etc/passwd"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "a NUL in a zone": ({"timeZone": "Europe/Berlin\0"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "no zone's name": ({"timeZone": ""}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "a zone beside whole days": (
        DAY_EVENT | {"timeZone": "UTC"},
        INVALID,
        "timeZone",
        "no time zone, or Europe/Berlin",
    ),
    "not an e-mail address": ({"participants": ["bob"]}, INVALID, "participants.0", EMAIL),
    "a name with an address": ({"participants": ["a@b.c", "Bob <b@b.c>"]}, INVALID, "participants.1", EMAIL),
    "an address too long": ({"participants": [f"b@{'x' * 60}.{'y' * 200}.de"]}, INVALID, "participants.0", EMAIL),
    "a line break in an address": ({"participants": ["bob@example.org\n"]}, INVALID, "participants.0", EMAIL),
    "a surrogate in an address": ({"participants": ["b\ud800b@example.org"]}, INVALID, "participants.0", EMAIL),
    "a number for an address": ({"participants": [7]}, INVALID, "participants.0", EMAIL),
    "too many participants": (
        {"participants": [f"p{number}@example.org" for number in range(201)]},
        INVALID,
        "participants",
        "at most 200 participants",
    ),
    "empty what": ({"what": ""}, INVALID, "what", NOT_BLANK),
    "blank what": ({"what": " \t\n\u3000"}, INVALID, "what", NOT_BLANK),
    "what too long": (
        {"what": "x" * 1025},
        INVALID,
        "what",
        "text of at most 1024 characters; this one has 1025",
    ),
    "where too long": (
        {"where": "🎉" * 1025},
        INVALID,
        "where",
        "text of at most 1024 characters; this one has 1025",
    ),
    "description too long": (
        {"description": "x" * 32_769},
        INVALID,
        "description",
        "text of at most 32768 characters; this one has 32769",
    ),
    "NUL in what": ({"what": "a\0b"}, INVALID, "what", PLAIN_TEXT),
    "NUL in where": ({"where": "\0"}, INVALID, "where", PLAIN_TEXT),
    "NUL in description": ({"description": "a\0"}, INVALID, "description", PLAIN_TEXT),
    "lone surrogate in what": ({"what": "a\ud800b"}, INVALID, "what", PLAIN_TEXT),
    "lone surrogate in where": ({"where": "\udfff"}, INVALID, "where", PLAIN_TEXT),
    "lone surrogate in description": ({"description": "\udc00"}, INVALID, "description", PLAIN_TEXT),
    "escape in what": ({"what": "\x1b[2J"}, INVALID, "what", PLAIN_TEXT),
    "metadata that is no object": ({"metadata": "a=b"}, INVALID, "metadata", METADATA),
    "metadata that is a list": ({"metadata": [["a", "b"]]}, INVALID, "metadata", METADATA),
    "a number in metadata": ({"metadata": {"a": 1}}, INVALID, "metadata", METADATA),
    "an object in metadata": ({"metadata": {"a": {"b": "c"}}}, INVALID, "metadata", METADATA),
    "an empty key in metadata": ({"metadata": {"": "a"}}, INVALID, "metadata", METADATA),
    "a long key in metadata": ({"metadata": {"k" * 45: "a"}}, INVALID, "metadata", METADATA),
    "a long value in metadata": ({"metadata": {"k": "a" * 1025}}, INVALID, "metadata", METADATA),
    "too much metadata": ({"metadata": {str(number): "" for number in range(51)}}, INVALID, "metadata", METADATA),
    "NUL in metadata": ({"metadata": {"k": "\0"}}, INVALID, "metadata", METADATA),
    "lone surrogate in metadata": ({"metadata": {"\ud800": "v"}}, INVALID, "metadata", METADATA),
}
"""What is wrong with an event, however it is written: `createEvent`, `createEvents`, `updateEvent` say the same."""

KEYS: dict[str, Case] = {
    "an empty key": (
        {"idempotencyKey": ""},
        INVALID,
        "idempotencyKey",
        "text of 1 to 255 characters, not only white space",
    ),
    "a key too long": (
        {"idempotencyKey": "k" * 256},
        INVALID,
        "idempotencyKey",
        "text of at most 255 characters; this one has 256",
    ),
    "NUL in a key": ({"idempotencyKey": "k\0"}, INVALID, "idempotencyKey", PLAIN_TEXT),
    "lone surrogate in a key": ({"idempotencyKey": "\ud800"}, INVALID, "idempotencyKey", PLAIN_TEXT),
}

NAMES: dict[str, Case] = {
    "empty name": ({"name": " "}, INVALID, "name", "text of 1 to 200 characters, not only white space"),
    "name too long": ({"name": "x" * 201}, INVALID, "name", "text of at most 200 characters; this one has 201"),
    "NUL in a name": ({"name": "\0"}, INVALID, "name", PLAIN_TEXT),
    "lone surrogate in a name": ({"name": "\ud800"}, INVALID, "name", PLAIN_TEXT),
    "unknown zone": ({"timeZone": "Mars/Olympus"}, "UNKNOWN_TIME_ZONE", "timeZone", ZONE),
    "bad metadata": ({"metadata": []}, INVALID, "metadata", METADATA),
}

CALENDARS: dict[str, Case] = NAMES | {
    "description too long": (
        {"description": "x" * 4097},
        INVALID,
        "description",
        "text of at most 4096 characters; this one has 4097",
    ),
}

RESOURCES: dict[str, Case] = {
    name: (case[0], "INVALID_VALUE", *case[2:]) if name == "unknown zone" else case for name, case in NAMES.items()
} | {"not an e-mail address": ({"email": "ada"}, INVALID, "email", EMAIL)}

API_KEYS: dict[str, Case] = {
    "empty name": NAMES["empty name"],
    "NUL in a name": NAMES["NUL in a name"],
    "no scope": ({"scopes": []}, INVALID, "scopes", "at least one scope"),
    "a date": ({"expiresAt": "2027-01-01"}, INVALID, "expiresAt", f"{DATE_TIME}, in the future"),
    "no moment": ({"expiresAt": "soon"}, INVALID, "expiresAt", DATE_TIME),
    "the past": ({"expiresAt": "2026-05-04T07:00:00Z"}, INVALID, "expiresAt", f"{DATE_TIME}, in the future"),
}

CHANCE, SECONDS = "a chance from 0 to 1", "0 to 60 seconds"
SANDBOX: dict[str, Case] = {
    "latency below 0": ({"latency": -0.1}, INVALID, "latency", SECONDS),
    "latency above 60": ({"latency": 60.1}, INVALID, "latency", SECONDS),
    "a pause above 60": ({"retryAfter": 61}, INVALID, "retryAfter", SECONDS),
    "a chance below 0": ({"throttled": -1}, INVALID, "throttled", CHANCE),
    "a chance above 1": ({"unavailable": 1.01}, INVALID, "unavailable", CHANCE),
    "a loss above 1": ({"replyLost": 2}, INVALID, "replyLost", CHANCE),
}

OTHERS: dict[str, tuple[dict[str, Case], Callable[[Tenant], Input]]] = {
    "createEvent": (KEYS, lambda ours: ours.event()),
    "createCalendar": (CALENDARS | KEYS, lambda _: {"name": "Home"}),
    "createResource": (RESOURCES | KEYS, lambda _: {"name": "Bob"}),
    "createApiKey": (API_KEYS | KEYS, lambda _: {"name": "Narrow", "scopes": ["READ"]}),
    "configureSandbox": (SANDBOX, lambda ours: {"calendarId": str(ours.sandbox.id)}),
}


def told(errors: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(*problem, error["expected"]) for problem, error in zip(problems(errors), errors, strict=True)]


@pytest.mark.parametrize("case", EVENTS)
async def test_a_bad_event_is_refused_with_its_path_and_nothing_is_written(
    house: House, ours: Tenant, case: str
) -> None:
    change, code, path, expected = EVENTS[case]
    before = await dump(house.database)
    errors = await ours.api.refused("createEvent", input=ours.event() | change)
    assert told(errors) == [("InvalidInputError", code, f"input.{path}", expected)]
    assert await dump(house.database) == before


@pytest.mark.parametrize("field", OTHERS)
async def test_other_bad_input_is_refused_with_its_path_and_nothing_is_written(
    house: House, ours: Tenant, field: str
) -> None:
    cases, good = OTHERS[field]
    before = await dump(house.database)
    for case, (change, code, path, expected) in cases.items():
        errors = await ours.api.refused(field, input=good(ours) | change)
        assert told(errors) == [("InvalidInputError", code, f"input.{path}", expected)], case
        assert await dump(house.database) == before, case


async def test_what_is_wrong_with_an_event_is_wrong_in_a_batch(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for change, code, path, expected in EVENTS.values():
        errors = await ours.api.refused("createEvents", input={"events": [ours.event(), ours.event() | change]})
        assert told(errors) == [("InvalidInputError", code, f"input.events.1.{path}", expected)]
    for change, code, path, expected in KEYS.values():
        errors = await ours.api.refused("createEvents", input={"events": [ours.event()]} | change)
        assert told(errors) == [("InvalidInputError", code, f"input.{path}", expected)]
    assert await dump(house.database) == before


async def test_what_is_wrong_with_an_event_is_wrong_in_a_change(house: House, ours: Tenant) -> None:
    created = await ours.create()
    before = await dump(house.database)
    for change, code, path, expected in EVENTS.values():
        errors = await ours.api.refused("updateEvent", id=created["id"], input=change)
        assert (("InvalidInputError", code, f"input.{path}", expected)) in told(errors)
    assert await dump(house.database) == before


async def test_what_is_wrong_with_calendars_and_resources_is_wrong_in_a_change(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for field, thing, cases in (
        ("updateCalendar", ours.calendar.id, CALENDARS),
        ("updateResource", ours.resource.id, RESOURCES),
    ):
        for change, code, path, expected in cases.values():
            errors = await ours.api.refused(field, id=str(thing), input=change)
            assert told(errors) == [("InvalidInputError", code, f"input.{path}", expected)]
    assert await dump(house.database) == before


async def test_a_calendar_that_is_not_ours_is_not_found(house: House, ours: Tenant, theirs: Tenant) -> None:
    before = await dump(house.database)
    for calendar_id in (str(theirs.calendar.id), UNKNOWN, "no-uuid", "", "\0", "\ud800", "1" * 5000):
        errors = await ours.api.refused("createEvent", input=ours.event(calendarId=calendar_id))
        assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.calendarId")]
        assert errors[0]["message"] == "There is no such calendar."
        assert await dump(house.database) == before


async def test_a_batch_has_1_to_100_events(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for count in (0, 101):
        errors = await ours.api.refused("createEvents", input={"events": [ours.event()] * count})
        assert told(errors) == [("InvalidInputError", "INVALID_VALUE", "input.events", "1 to 100 events")]
    assert await dump(house.database) == before


async def test_an_unknown_provider_is_refused_with_the_known_ones(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("createCalendar", input={"name": "Home", "provider": "myspace"})
    expected = "one of local, sandbox; linkCalendar keeps a calendar in step with another provider"
    assert told(errors) == [("InvalidInputError", "INVALID_VALUE", "input.provider", expected)]
    assert await dump(house.database) == before


async def test_everything_that_is_wrong_is_told_at_once(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    wrong = {
        "calendarId": UNKNOWN,
        "start": "soon",
        "end": "later",
        "what": "",
        "where": "\0",
        "description": "\ud800",
        "participants": ["a", "bob@example.org", "c"],
        "timeZone": "Mars/Olympus",
        "metadata": 7,
    }
    errors = await ours.api.refused("createEvent", input=ours.event() | wrong)
    paths = {".".join(error["path"]) for error in errors}
    assert paths == {f"input.{name}" for name in wrong if name != "participants"} | {
        "input.participants.0",
        "input.participants.2",
    }
    assert await dump(house.database) == before


FORBIDDEN_BY_TYPE: list[Input] = [
    {"what": None},
    {"what": 7},
    {"allDay": "yes"},
    {"participants": None},
    {"participants": [None]},
    {"onConflict": "EXPLODE"},
    {"status": "CANCELLED"},
    {"myRsvp": "PERHAPS"},
    {"calendarId": None},
    {"surprise": True},
]


async def test_what_the_types_forbid_is_a_request_error(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for change in FORBIDDEN_BY_TYPE:
        response = await ours.api.post(document("mutation", "createEvent", ("input",), 1), input=ours.event() | change)
        assert response.status_code == 400, change
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "data" not in response.json()
    assert await dump(house.database) == before


WINDOW = {"from": at(SLOT), "to": at(SLOT + HOUR)}


BAD_ARGUMENTS: list[tuple[str, Input, str, str]] = [
    ("events", WINDOW | {"from": "soon"}, "from", DATE_TIME),
    ("events", WINDOW | {"to": "2026-05-05"}, "to", DATE_TIME),
    ("events", WINDOW | {"to": at(SLOT)}, "to", "a time after `from`"),
    ("events", WINDOW | {"first": 0}, "first", "a number from 1 to 100"),
    ("events", WINDOW | {"first": 101}, "first", "a number from 1 to 100"),
    ("events", WINDOW | {"after": "nowhere"}, "after", "a cursor from an earlier page"),
    ("events", WINDOW | {"after": "\ud800"}, "after", "a cursor from an earlier page"),
    ("events", WINDOW | {"calendarIds": [UNKNOWN] * 101}, "calendarIds", "at most 100 ids"),
    ("calendars", {"first": -1}, "first", "a number from 1 to 100"),
    ("calendars", {"after": "!"}, "after", "a cursor from an earlier page"),
    ("resources", {"first": 1000}, "first", "a number from 1 to 100"),
    ("resources", {"after": ""}, "after", "a cursor from an earlier page"),
    ("accounts", {"first": 0}, "first", "a number from 1 to 100"),
    ("accounts", {"after": "\0"}, "after", "a cursor from an earlier page"),
    ("remoteCalendars", {"accountId": UNKNOWN}, "accountId", "the id of an account"),
    ("remoteCalendars", {"accountId": "\ud800"}, "accountId", "the id of an account"),
]


async def test_a_bad_argument_of_a_query_is_named(ours: Tenant) -> None:
    for field, arguments, name, expected in BAD_ARGUMENTS:
        error = await ours.api.fault(document("query", field, tuple(arguments), 2), **arguments)
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": name, "expected": expected}
        assert error["path"] == [field]


NOTHINGS = ("no-uuid", "", UNKNOWN, "\0", "\ud800", "{01890000-0000-7000-8000-000000000000}")
BY_ID: list[tuple[str, Input]] = [
    ("updateEvent", {"input": {"what": "Mine"}}),
    ("cancelEvent", {}),
    ("deleteEvent", {}),
    ("respondToEvent", {"rsvp": "DECLINED"}),
    ("updateCalendar", {"input": {"name": "Mine"}}),
    ("deleteCalendar", {}),
    ("updateResource", {"input": {"name": "Mine"}}),
    ("deleteResource", {}),
    ("revokeApiKey", {}),
]


async def test_an_id_of_nothing_is_null_in_queries_and_not_found_in_mutations(house: House, ours: Tenant) -> None:
    before = await dump(house.database)
    for text in NOTHINGS:
        for field in ("event", "calendar", "resource", "account"):
            assert await ours.api.ask(field, id=text) is None
        for field, arguments in BY_ID:
            errors = await ours.api.refused(field, id=text, **arguments)
            assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]
    assert await dump(house.database) == before
