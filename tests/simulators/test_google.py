"""Google, simulated: where its behaviour is subtle, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.helpers import Clock
from tests.simulators.common import Desk, InProcess
from tests.simulators.google import create_app
from tests.simulators.google.validate import validate

pytestmark = pytest.mark.anyio

ADA, BOB = "ada@example.org", "bob@example.org"
SCOPES = [f"https://www.googleapis.com/auth/{each}" for each in ("calendar.events", "calendar.calendarlist.readonly")]
START = {"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "Europe/Berlin"}
END = {"dateTime": "2026-05-04T10:00:00+02:00", "timeZone": "Europe/Berlin"}
EVENT: dict[str, Any] = {"summary": "Planning", "start": START, "end": END}
SERIES = EVENT | {"id": "series0", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]}


class Client:
    """Somebody who calls the simulator as Google's API is called."""

    def __init__(self) -> None:
        self.desk, self.clock = Desk(), Clock()
        app = create_app(self.desk, self.clock)
        self.http = httpx.AsyncClient(transport=InProcess({"google.test": app}), base_url="https://google.test")
        self.headers: dict[str, str] = {}

    async def sign_in(self, scopes: list[str] = SCOPES) -> None:
        tokens = (await self.http.post("/_control/grants", json={"account": ADA, "scopes": scopes})).json()
        self.headers = {"authorization": f"Bearer {tokens['access_token']}"}

    async def call(
        self, method: str, path: str = "", body: Any = None, *, match: str | None = None, **params: str
    ) -> httpx.Response:
        """Send a request below the primary calendar's events."""
        headers = self.headers | ({"if-match": match} if match else {})
        url = f"/calendar/v3/calendars/primary/events{path}"
        return await self.http.request(method, url, json=body, params=params, headers=headers)

    async def made(self, body: Mapping[str, Any] = EVENT, **params: str) -> Any:
        answer = await self.call("POST", "", dict(body), **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def listed(self, **params: str) -> Any:
        answer = await self.call("GET", **params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


@pytest.fixture
async def google() -> Client:
    client = Client()
    await client.sign_in()
    return client


# Events


async def test_an_event_comes_back_as_google_shows_it(google: Client) -> None:
    made = await google.made(EVENT | {"id": "abc12", "start": {"dateTime": "2026-05-04T07:00:00Z"}})
    assert made["start"] == START
    assert made["iCalUID"] == "abc12@google.com"
    assert made["organizer"] == {"email": ADA, "self": True}
    assert (made["status"], made["sequence"], made["reminders"]) == ("confirmed", 0, {"useDefault": True})
    assert (await google.call("GET", "/abc12")).json() == made
    assert len((await google.made())["id"]) == 26


async def test_each_change_has_its_own_etag_and_another_one_is_refused(google: Client) -> None:
    made = await google.made()
    changed = (await google.call("PATCH", f"/{made['id']}", {"summary": "x"}, match=made["etag"])).json()
    assert changed["etag"] != made["etag"]
    for method in ("PATCH", "PUT", "DELETE"):
        body = None if method == "DELETE" else EVENT
        refused = await google.call(method, f"/{made['id']}", body, match=made["etag"])
        assert reason(refused) == (412, "conditionNotMet")
    assert (await google.call("DELETE", f"/{made['id']}", match=changed["etag"])).status_code == 204


async def test_the_sequence_grows_with_its_times_and_not_with_its_title(google: Client) -> None:
    made = await google.made()
    renamed = (await google.call("PATCH", f"/{made['id']}", {"summary": "x"})).json()
    moved = (
        await google.call("PATCH", f"/{made['id']}", {"end": END | {"dateTime": "2026-05-04T11:00:00+02:00"}})
    ).json()
    assert (made["sequence"], renamed["sequence"], moved["sequence"]) == (0, 0, 1)


async def test_a_patch_merges_and_a_put_replaces(google: Client) -> None:
    full = EVENT | {"location": "Here", "extendedProperties": {"private": {"a": "1", "b": "2"}}}
    made = await google.made(full)
    body = {"location": None, "extendedProperties": {"private": {"a": None}}}
    patched = (await google.call("PATCH", f"/{made['id']}", body)).json()
    assert "location" not in patched
    assert patched["extendedProperties"] == {"private": {"b": "2"}}
    put = (await google.call("PUT", f"/{made['id']}", EVENT)).json()
    assert "extendedProperties" not in put
    assert put["summary"] == "Planning"


async def test_a_deleted_event_is_shown_and_its_id_stays_taken(google: Client) -> None:
    await google.made(EVENT | {"id": "abc12"})
    assert (await google.call("DELETE", "/abc12")).status_code == 204
    shown = (await google.call("GET", "/abc12")).json()
    assert (shown["status"], shown["summary"]) == ("cancelled", "Planning")
    assert reason(await google.call("DELETE", "/abc12")) == (410, "deleted")
    assert reason(await google.call("PATCH", "/abc12", {"summary": "x"})) == (403, "forbidden")
    assert reason(await google.call("PUT", "/abc12", EVENT)) == (403, "forbidden")
    assert reason(await google.call("POST", "", EVENT | {"id": "abc12"})) == (409, "duplicate")
    assert reason(await google.call("GET", "/neverwas")) == (404, "notFound")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "abc"},
        {"id": "ABCDE"},
        {"id": "wxyz0"},
        {"id": "abc12", "iCalUID": "x@y"},
        {"start": None},
        {"start": {}},
        {"start": {"date": "2026-05-04"}},
        {"start": START | {"date": "2026-05-04"}},
        {"start": {"dateTime": "2026-05-04T09:00:00"}, "end": {"dateTime": "2026-05-04T10:00:00"}},
        {"start": START | {"timeZone": "Nowhere"}},
        {"end": {"dateTime": "2026-05-04T08:59:00+02:00"}},
        {"start": {"date": "2026-05-04"}, "end": {"date": "2026-05-04"}},
        {"recurrence": ["DTSTART:20260504T090000Z"]},
        {"recurrence": ["FREQ=DAILY"]},
        {"recurrence": []} | {"recurrence": ["RRULE:FREQ=DAILY;UNTIL=20260601"]},
        {"recurrence": ["RRULE:FREQ=DAILY"], "start": {"dateTime": START["dateTime"]}},
        {"status": "maybe"},
        {"visibility": "hidden"},
        {"description": "d" * 8193},
        {"attendees": [{"email": "nobody"}]},
        {"attendees": [{"email": BOB}, {"email": BOB.upper()}]},
        {"attendees": [{"email": BOB, "responseStatus": "perhaps"}]},
        {"reminders": {"useDefault": True, "overrides": [{"method": "popup", "minutes": 1}]}},
        {"reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": each} for each in range(6)]}},
        {"reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 40_321}]}},
        {"reminders": {"useDefault": False, "overrides": [{"method": "sms", "minutes": 1}]}},
        {"extendedProperties": {"private": {"k" * 45: "x"}}},
        {"extendedProperties": {"private": {"k": "x" * 1025}}},
    ],
)
async def test_what_google_refuses_is_refused(google: Client, wrong: dict[str, Any]) -> None:
    assert (await google.call("POST", "", EVENT | wrong)).status_code == 400
    assert (await google.listed())["items"] == []


async def test_an_hour_that_becomes_a_day_must_lose_its_hours(google: Client) -> None:
    made = await google.made()
    days = {"start": {"date": "2026-05-04"}, "end": {"date": "2026-05-05"}}
    assert (await google.call("PATCH", f"/{made['id']}", days)).status_code == 400
    nothing = {"dateTime": None, "timeZone": None}
    changed = await google.call("PATCH", f"/{made['id']}", {name: day | nothing for name, day in days.items()})
    assert changed.json()["start"] == {"date": "2026-05-04"}


# Series


async def test_instances_are_there_without_being_kept(google: Client) -> None:
    await google.made(SERIES)
    found = (await google.call("GET", "/series0/instances", originalStart="2026-05-11T07:00:00Z")).json()["items"]
    assert [each["id"] for each in found] == ["series0_20260511T070000Z"]
    assert found[0]["originalStartTime"]["dateTime"] == "2026-05-11T09:00:00+02:00"
    assert found[0]["recurringEventId"] == "series0"
    assert "recurrence" not in found[0]
    none = await google.call("GET", "/series0/instances", originalStart="2026-05-12T07:00:00Z")
    assert none.json()["items"] == []
    assert reason(await google.call("GET", "/series0_20260512T070000Z")) == (404, "notFound")
    assert len((await google.listed())["items"]) == 1


async def test_an_exception_says_what_differs_and_follows_its_series_in_the_rest(google: Client) -> None:
    await google.made(SERIES)
    name = "series0_20260511T070000Z"
    await google.call("PATCH", f"/{name}", {"summary": "Mine"})
    before = (await google.call("GET", f"/{name}")).json()
    await google.call("PATCH", "/series0", {"summary": "All", "location": "Hall"})
    after = (await google.call("GET", f"/{name}")).json()
    assert (after["summary"], after["location"]) == ("Mine", "Hall")
    assert after["etag"] != before["etag"]


async def test_a_change_of_an_instance_leaves_the_etag_of_its_series(google: Client) -> None:
    made = await google.made(SERIES)
    await google.call("PATCH", "/series0_20260511T070000Z", {"summary": "Mine"})
    assert (await google.call("GET", "/series0")).json()["etag"] == made["etag"]


async def test_a_deleted_instance_leaves_a_mark_and_can_be_restored(google: Client) -> None:
    await google.made(SERIES)
    name = "series0_20260511T070000Z"
    await google.call("DELETE", f"/{name}")
    items = (await google.listed())["items"]
    assert items[1].keys() == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}
    assert reason(await google.call("DELETE", f"/{name}")) == (410, "deleted")
    assert reason(await google.call("PATCH", f"/{name}", {"summary": "x"})) == (403, "forbidden")
    restored = (await google.call("PATCH", f"/{name}", {"status": "confirmed"})).json()
    assert (restored["status"], restored["summary"]) == ("confirmed", "Planning")
    await google.call("DELETE", "/series0")
    assert (await google.listed())["items"] == []


async def test_exceptions_of_times_that_a_series_has_no_more_are_gone(google: Client) -> None:
    await google.made(SERIES)
    await google.call("PATCH", "/series0_20260511T070000Z", {"summary": "Mine"})
    await google.call("DELETE", "/series0_20260518T070000Z")
    await google.call("PATCH", "/series0", {"recurrence": ["RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4"]})
    assert [each["id"] for each in (await google.listed())["items"]] == ["series0", "series0_20260518T070000Z"]


async def test_an_instance_keeps_its_wall_time_when_the_clocks_change(google: Client) -> None:
    await google.made(SERIES | {"recurrence": ["RRULE:FREQ=MONTHLY;COUNT=12"]})
    late = await google.call("GET", "/series0/instances", originalStart="2026-12-04T09:00:00+01:00")
    (found,) = late.json()["items"]
    assert found["id"] == "series0_20261204T080000Z"
    assert found["end"]["dateTime"] == "2026-12-04T10:00:00+01:00"


# Lists


async def test_pages_end_with_a_token_that_leads_to_what_has_changed(google: Client) -> None:
    names = [(await google.made())["id"] for _ in range(5)]
    first = await google.listed(maxResults="2")
    second = await google.listed(maxResults="2", pageToken=first["nextPageToken"])
    third = await google.listed(maxResults="2", pageToken=second["nextPageToken"])
    assert [each["id"] for page in (first, second, third) for each in page["items"]] == names
    assert "nextSyncToken" not in first
    assert "nextPageToken" not in third
    await google.call("PATCH", f"/{names[3]}", {"summary": "x"})
    await google.call("DELETE", f"/{names[0]}")
    changed = await google.listed(maxResults="2", syncToken=third["nextSyncToken"])
    assert [each["id"] for each in changed["items"]] == [names[3], names[0]]
    assert changed["items"][1].keys() == {"kind", "etag", "id", "status"}
    assert (await google.listed(maxResults="2", syncToken=changed["nextSyncToken"]))["items"] == []


async def test_what_changes_between_two_pages_is_told_by_the_next_token(google: Client) -> None:
    names = [(await google.made())["id"] for _ in range(3)]
    first = await google.listed(maxResults="2")
    await google.call("PATCH", f"/{names[0]}", {"summary": "Meanwhile"})
    last = await google.listed(maxResults="2", pageToken=first["nextPageToken"])
    changed = await google.listed(maxResults="2", syncToken=last["nextSyncToken"])
    assert [each["summary"] for each in changed["items"]] == ["Meanwhile"]


async def test_a_sync_token_is_of_its_parameters_and_ends(google: Client) -> None:
    token = (await google.listed(maxResults="2"))["nextSyncToken"]
    assert reason(await google.call("GET", syncToken=token)) == (400, "invalid")
    assert reason(await google.call("GET", maxResults="2", iCalUID="x", syncToken=token)) == (400, "invalid")
    assert reason(await google.call("GET", maxResults="2", syncToken="nonsense")) == (410, "fullSyncRequired")
    assert reason(await google.call("GET", maxResults="2", pageToken="nonsense")) == (400, "invalid")
    await google.http.post("/_control/tokens/expire", json={"sync": True})
    assert reason(await google.call("GET", maxResults="2", syncToken=token)) == (410, "fullSyncRequired")


async def test_a_uid_leads_to_a_series_and_all_that_differs_from_it(google: Client) -> None:
    await google.made(SERIES)
    await google.made()
    await google.call("DELETE", "/series0_20260511T070000Z")
    found = await google.listed(iCalUID="series0@google.com", showDeleted="true")
    assert [each["id"] for each in found["items"]] == ["series0", "series0_20260511T070000Z"]


# Who may what


async def test_who_is_not_signed_in_or_not_any_more_is_refused(google: Client) -> None:
    google.clock.advance(timedelta(hours=1))
    assert reason(await google.call("GET")) == (401, "authError")
    google.headers = {}
    assert reason(await google.call("GET")) == (401, "authError")
    await google.sign_in(SCOPES[1:])
    assert reason(await google.call("GET")) == (403, "insufficientPermissions")


async def test_what_somebody_else_organizes_only_they_can_change(google: Client) -> None:
    theirs = EVENT | {"organizer": {"email": BOB}, "attendees": [{"email": BOB}, {"email": ADA}]}
    made = (await google.http.post(f"/_control/calendars/{quote(ADA)}/events", json=theirs)).json()
    name = f"/{made['id']}"
    assert reason(await google.call("PATCH", name, {"summary": "x"})) == (403, "forbiddenForNonOrganizer")
    guests = [{"email": BOB, "responseStatus": "accepted"}, {"email": ADA}]
    assert reason(await google.call("PATCH", name, {"attendees": guests})) == (403, "forbiddenForNonOrganizer")
    own = {"attendeesOmitted": True, "attendees": [{"email": ADA, "responseStatus": "accepted"}]}
    answered = (await google.call("PATCH", name, own | {"transparency": "transparent"}, sendUpdates="all")).json()
    assert [each["responseStatus"] for each in answered["attendees"]] == ["needsAction", "accepted"]
    assert answered["organizer"] == {"email": BOB}
    assert [each["kind"] for each in (await google.http.get("/_control/mail")).json()] == ["reply"]


@pytest.mark.parametrize(("updates", "mailed"), [("all", [ADA, BOB]), ("externalOnly", [BOB]), ("none", []), ("", [])])
async def test_only_who_is_to_be_mailed_is_mailed(updates: str, mailed: list[str]) -> None:
    google = Client()
    await google.http.post("/_control/calendars", json={"id": "c_1", "roles": {ADA: "owner"}})
    await google.sign_in()
    body = EVENT | {"attendees": [{"email": ADA}, {"email": BOB}]}
    params = {"sendUpdates": updates} if updates else {}
    await google.http.post("/calendar/v3/calendars/c_1/events", json=body, params=params, headers=google.headers)
    assert [each["recipient"] for each in (await google.http.get("/_control/mail")).json()] == mailed


# Channels


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": "c" * 65}, "channelIdInvalid"),
        ({"id": "a b"}, "channelIdInvalid"),
        ({"type": "smoke"}, "channelUnknown"),
        ({"token": "t" * 257}, "invalidParameter"),
        ({"address": "http://kalends.test/"}, "push.webhookUrlNotHttps"),
    ],
)
async def test_a_channel_that_google_would_not_open_is_refused(
    google: Client, body: dict[str, Any], expected: str
) -> None:
    good = {"id": "c1", "type": "web_hook", "address": "https://kalends.test/", "token": "t"}
    assert reason(await google.call("POST", "/watch", good | body)) == (400, expected)


# Faults, and the control


async def test_faults_happen_to_the_requests_that_they_are_meant_for(google: Client) -> None:
    faults = [{"kind": "throttled", "method": "POST", "times": 1, "retry_after": 3, "after": 1}]
    await google.http.put("/_control/faults", json=faults)
    await google.made()
    refused = await google.call("POST", "", EVENT)
    assert reason(refused) == (429, "rateLimitExceeded")
    assert refused.headers["retry-after"] == "3"
    await google.made()
    assert len((await google.http.get("/_control/requests")).json()) == 3


async def test_what_does_not_fit_googles_document_is_noted_beside_its_request(google: Client) -> None:
    await google.call("POST", "", EVENT | {"color": "red"}, sendUpdates="everybody")
    noted = (await google.http.get("/_control/violations")).json()
    assert len(noted) == 2
    assert "body.color: unknown" in noted[1]
    lines = (await google.http.get("/_control/requests.jsonl")).text.splitlines()
    assert len(lines) == 1
    unknown = await google.http.get("/_control/calendars/nobody/events")
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "calendars/a%40b/events?singleEvents=false&maxResults=2500&syncToken=x", None, []),
        ("GET", "calendars/a%40b/events/xyz", None, []),
        ("POST", "calendars/a%40b/events?sendUpdates=none", EVENT, []),
        ("PATCH", "calendars/a%40b/events/xyz?sendUpdates=all", {"start": START | {"date": None}}, []),
        ("DELETE", "calendars/a%40b/events/xyz", None, []),
        ("POST", "channels/stop", {"id": "x", "resourceId": "y"}, []),
        ("PATCH", "calendars/a%40b/events", {}, ["no such method"]),
        ("GET", "calendars/a%40b/event", None, ["no such method"]),
        ("GET", "calendars/a/events?colour=red", None, ["query colour: unknown"]),
        ("GET", "calendars/a/events?maxResults=0", None, ["out of range"]),
        ("GET", "calendars/a/events?maxResults=many", None, ["no integer"]),
        ("GET", "calendars/a/events?singleEvents=no", None, ["neither true nor false"]),
        ("GET", "calendars/a/events?q=a&q=b", None, ["more than once", "more than once"]),
        ("GET", "calendars/a/events?timeMin=2026-05-04T09:00:00", None, ["no RFC 3339"]),
        ("GET", "calendars/a/events?syncToken=x&q=y", None, ["not beside syncToken"]),
        ("GET", "calendars/a/events", {}, ["takes none"]),
        ("POST", "calendars/a/events?sendUpdates=some", EVENT, ["not one of"]),
        ("POST", "calendars/a/events", None, ["object expected"]),
        ("POST", "calendars/a/events", {"start": START}, ["body.end: required"]),
        ("PATCH", "calendars/a/events/x", {"summary": 7}, ["string expected"]),
        ("PATCH", "calendars/a/events/x", {"attendees": {}}, ["array expected"]),
        ("PATCH", "calendars/a/events/x", {"sequence": True}, ["integer expected"]),
        ("PATCH", "calendars/a/events/x", {"status": "gone"}, ["not one of"]),
        ("PATCH", "calendars/a/events/x", {"start": {"date": "tomorrow"}}, ["no date"]),
        ("PATCH", "calendars/a/events/x", {"start": {"dateTime": "2026-05-04T09:00:00"}}, ["no RFC 3339"]),
        ("PATCH", "calendars/a/events/x", {"attendees": [{"email": "a@b", "self": True}]}, ["read-only"]),
        ("PATCH", "calendars/a/events/x", {"etag": '"1"'}, []),
    ],
)
def test_requests_are_held_against_googles_document(method: str, path: str, body: Any, expected: list[str]) -> None:
    found = validate(method, f"/calendar/v3/{path}", {"Authorization": "Bearer x"}, body)
    assert len(found) == len(expected), found
    assert all(part in each for part, each in zip(expected, found, strict=True))


def test_a_request_without_a_token_or_with_a_torn_etag_is_noted_and_others_are_nobodys_business() -> None:
    path = "/calendar/v3/calendars/a/events/x"
    assert len(validate("GET", path, {}, None)) == 1
    assert len(validate("GET", path, {"authorization": "Bearer x", "if-match": "1 2"}, None)) == 1
    assert validate("POST", "/token", {}, "grant_type=x") == []
