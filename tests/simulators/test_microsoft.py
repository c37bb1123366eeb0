"""What is subtle about the simulated Graph: where it refuses, what it leaves out, and what it does unasked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import Clock
from tests.simulators.common import Desk, Fault, InProcess
from tests.simulators.microsoft import create_app
from tests.simulators.microsoft.validate import validate

pytestmark = pytest.mark.anyio

ADA, GRACE = "ada@example.org", "grace@example.org"
BERLIN = "W. Europe Standard Time"
OURS = "String {2b6d8f4e-5c1a-4f7e-9d3b-8e0a7c6f1d52} Name Test"
PREFER = 'IdType="ImmutableId", outlook.timezone="UTC", outlook.body-content-type="text"'
Json = dict[str, Any]


class Outlook:
    """Somebody who speaks to the simulator without any provider."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.clock = Clock()
        self.app = create_app(self.desk, self.clock, accounts={ADA: "Calendar", GRACE: "Calendar"})
        self._http = httpx.AsyncClient(transport=InProcess({"outlook.test": self.app}), base_url="http://outlook.test")
        self.token = ""
        self.calendar = ""

    async def open(self) -> None:
        self.token = (await self.control("POST", "/grants", {"account": ADA}))["access_token"]
        self.calendar = (await self.get("/me/calendar"))["id"]

    async def close(self) -> None:
        await self._http.aclose()

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, f"/_control{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        url = path if path.startswith("http") else f"/v1.0{path}"
        sent = {"authorization": f"Bearer {self.token}", "prefer": PREFER} | headers
        return await self._http.request(method, url, json=body, headers=sent)

    async def get(self, path: str, **headers: str) -> Any:
        answer = await self.ask("GET", path, **headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def add(self, **body: Any) -> Any:
        answer = await self.ask("POST", self.events, an_event(**body))
        assert answer.status_code == 201, answer.text
        return answer.json()

    @property
    def events(self) -> str:
        return f"/me/calendars/{self.calendar}/events"


def an_event(day: int = 4, hour: int = 9, **others: Any) -> Json:
    start = {"dateTime": f"2026-05-{day:02}T{hour:02}:00:00", "timeZone": BERLIN}
    end = {"dateTime": f"2026-05-{day:02}T{hour + 1:02}:00:00", "timeZone": BERLIN}
    return {"subject": "Planning", "start": start, "end": end} | others


def daily(count: int = 5, **pattern: Any) -> Json:
    ends = {"type": "numbered", "startDate": "2026-05-04", "numberOfOccurrences": count}
    return {"pattern": {"type": "daily", "interval": 1} | pattern, "range": ends}


def guests(*addresses: str) -> list[Json]:
    return [{"emailAddress": {"address": each}, "type": "required"} for each in addresses]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
async def outlook() -> AsyncIterator[Outlook]:
    outlook = Outlook()
    await outlook.open()
    yield outlook
    await outlook.close()


# Who calls


@pytest.mark.parametrize("token", ["", "unknown"])
async def test_without_a_token_that_it_gave_out_it_tells_nothing(outlook: Outlook, token: str) -> None:
    outlook.token = token
    answer = await outlook.ask("GET", "/me/calendar")
    assert code_of(answer) == (401, "InvalidAuthenticationToken")
    assert "www-authenticate" in answer.headers


async def test_a_token_ends_after_an_hour(outlook: Outlook) -> None:
    outlook.clock.advance(timedelta(hours=1))
    assert (await outlook.ask("GET", "/me/calendar")).status_code == 401


async def test_one_account_does_not_see_the_calendars_of_another(outlook: Outlook) -> None:
    event = await outlook.add()
    events = outlook.events
    outlook.token = (await outlook.control("POST", "/grants", {"account": GRACE}))["access_token"]
    assert code_of(await outlook.ask("GET", f"{events}/{event['id']}")) == (404, "ErrorItemNotFound")


async def test_a_fifth_request_at_once_is_turned_away(outlook: Outlook) -> None:
    answers = await asyncio.gather(*(outlook.ask("GET", "/me/calendar") for _ in range(6)))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [200] * 4 + [429] * 2
    assert {each.headers.get("retry-after") for each in answers if each.status_code == 429} == {"1"}


# Writing


async def test_an_id_that_never_was_one_is_malformed_and_another_is_not_found(outlook: Outlook) -> None:
    assert code_of(await outlook.ask("GET", f"{outlook.events}/none")) == (400, "ErrorInvalidIdMalformed")
    assert code_of(await outlook.ask("GET", f"{outlook.events}/AAkALgNone")) == (404, "ErrorItemNotFound")
    assert code_of(await outlook.ask("GET", "/me/calendars/AAkALgNone")) == (404, "ErrorItemNotFound")


async def test_the_same_transaction_makes_no_second_event(outlook: Outlook) -> None:
    first = await outlook.add(transactionId="t-1")
    again = await outlook.add(transactionId="t-1")
    assert again["id"] == first["id"]
    other = await outlook.ask("POST", outlook.events, an_event(transactionId="t-1", subject="Other"))
    assert code_of(other) == (409, "ErrorDuplicateTransactionId")
    assert len((await outlook.get(outlook.events))["value"]) == 1


@pytest.mark.parametrize(("remembers", "status"), [(True, 409), (False, 201)])
async def test_a_transaction_may_outlive_its_event(outlook: Outlook, remembers: bool, status: int) -> None:
    await outlook.control("PUT", "/behaviour", {"remembers_deleted": remembers})
    first = await outlook.add(transactionId="t-1")
    await outlook.ask("DELETE", f"{outlook.events}/{first['id']}")
    assert (await outlook.ask("POST", outlook.events, an_event(transactionId="t-1"))).status_code == status


@pytest.mark.parametrize("status", [412, 409])
async def test_a_change_of_another_version_is_refused(outlook: Outlook, status: int) -> None:
    await outlook.control("PUT", "/behaviour", {"stale_status": status})
    event = await outlook.add()
    path, headers = f"{outlook.events}/{event['id']}", {"if-match": event["@odata.etag"]}
    changed = await outlook.ask("PATCH", path, {"subject": "Changed"}, **headers)
    assert changed.json()["@odata.etag"] != event["@odata.etag"]
    assert changed.json()["changeKey"] in changed.json()["@odata.etag"]
    for method, body in (("PATCH", {"subject": "Again"}), ("DELETE", None)):
        answer = await outlook.ask(method, path, body, **headers)
        assert code_of(answer) == (status, "ErrorIrresolvableConflict")
    assert (await outlook.get(path))["subject"] == "Changed"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"start": None}, "ErrorInvalidRequest"),
        ({"start": {"dateTime": "2026-05-04T09:00:00"}}, "ErrorInvalidRequest"),
        ({"start": {"dateTime": "soon", "timeZone": "UTC"}}, "ErrorInvalidRequest"),
        ({"start": {"dateTime": "2026-05-04T09:00:00", "timeZone": "Mars"}}, "TimeZoneNotSupportedException"),
        (
            {"end": {"dateTime": "2026-05-04T08:00:00", "timeZone": BERLIN}},
            "ErrorCalendarEndDateIsEarlierThanStartDate",
        ),
        ({"isAllDay": True}, "ErrorInvalidRequest"),
        ({"subject": "s" * 256}, "ErrorPropertyValidationFailure"),
        ({"showAs": "sometimes"}, "ErrorInvalidRequest"),
        ({"sensitivity": "public"}, "ErrorInvalidRequest"),
        ({"attendees": guests(*(f"g{number}@x.org" for number in range(501)))}, "ErrorInvalidRecipients"),
        ({"attendees": [{"emailAddress": {"name": "Nobody"}}]}, "ErrorInvalidRecipients"),
        ({"iCalUId": "mine"}, "ErrorInvalidPropertySet"),
        ({"recurrence": {"pattern": {"type": "daily"}, "range": {}}}, "ErrorInvalidRequest"),
        ({"recurrence": daily(type="weekly")}, "ErrorInvalidRequest"),
        ({"recurrence": daily(0)}, "ErrorInvalidRequest"),
        (
            {"recurrence": daily(type="weekly", daysOfWeek=["tuesday"], firstDayOfWeek="monday")},
            "ErrorRecurrenceHasNoOccurrence",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(outlook: Outlook, body: Json, code: str) -> None:
    answer = await outlook.ask("POST", outlook.events, an_event(**body))
    assert code_of(answer) == (400, code)
    assert (await outlook.get(outlook.events))["value"] == []


async def test_what_repeats_needs_a_zone_of_windows(outlook: Outlook) -> None:
    """https://github.com/microsoftgraph/msgraph-sdk-php/issues/159"""
    times: Json = {
        name: {"dateTime": f"2026-05-04T{hour}:00:00", "timeZone": "Europe/Berlin"}
        for name, hour in (("start", "09"), ("end", "10"))
    }
    single = await outlook.add(**times)
    assert single["start"]["dateTime"] == "2026-05-04T07:00:00.0000000"
    answer = await outlook.ask("POST", outlook.events, an_event(**times, recurrence=daily()))
    assert code_of(answer) == (400, "TimeZoneNotSupportedException")


async def test_text_is_kept_with_other_line_ends_and_can_be_had_as_html(outlook: Outlook) -> None:
    event = await outlook.add(body={"contentType": "text", "content": "a < b\nc"})
    assert event["body"] == {"contentType": "text", "content": "a < b\r\nc\r\n"}
    seen = await outlook.get(f"{outlook.events}/{event['id']}", prefer="")
    assert seen["body"]["contentType"] == "html"
    assert "a &lt; b<br>" in seen["body"]["content"]


async def test_an_online_meeting_without_its_blob_is_none_any_more(outlook: Outlook) -> None:
    event = await outlook.add(isOnlineMeeting=True)
    path = f"{outlook.events}/{event['id']}"
    kept = await outlook.ask("PATCH", path, {"body": event["body"], "subject": "Kept"})
    assert kept.json()["isOnlineMeeting"]
    lost = await outlook.ask("PATCH", path, {"body": {"contentType": "text", "content": "Agenda"}})
    assert not lost.json()["isOnlineMeeting"]


async def test_nobody_answers_for_another(outlook: Outlook) -> None:
    listed = [{**each, "status": {"response": "accepted"}} for each in guests("bob@x.org")]
    event = await outlook.add(attendees=listed)
    assert event["attendees"][0]["status"]["response"] == "none"
    for action in ("accept", "cancel"):
        answer = await outlook.ask("POST", f"{outlook.events}/{event['id']}/{action}", {})
        assert answer.status_code == (400 if action == "accept" else 202)


async def test_mail_goes_to_whoever_takes_part_and_nobody_can_ask_for_less(outlook: Outlook) -> None:
    event = await outlook.add(attendees=guests("bob@x.org", "eve@x.org"))
    path = f"{outlook.events}/{event['id']}"
    await outlook.ask("PATCH", path, {"attendees": guests("bob@x.org", "carol@x.org")})
    await outlook.ask("PATCH", path, {"subject": "Renamed"})
    await outlook.ask("PATCH", path, {"showAs": "free"})
    await outlook.ask("DELETE", path)
    mail = [(each["to"][:3], each["kind"]) for each in await outlook.control("GET", "/mail")]
    assert mail == [
        ("bob", "invitation"),
        ("eve", "invitation"),
        ("eve", "cancellation"),
        ("car", "invitation"),
        ("bob", "update"),
        ("car", "update"),
        ("bob", "cancellation"),
        ("car", "cancellation"),
    ]


# Reading


async def test_properties_of_applications_come_only_where_they_are_asked_for_by_name(outlook: Outlook) -> None:
    event = await outlook.add(singleValueExtendedProperties=[{"id": OURS, "value": "Mine"}])
    assert "singleValueExtendedProperties" not in event
    path = f"{outlook.events}/{event['id']}"
    assert "singleValueExtendedProperties" not in await outlook.get(path)
    seen = await outlook.get(f"{path}?$expand=singleValueExtendedProperties($filter=id eq '{OURS}')")
    assert seen["singleValueExtendedProperties"] == [{"id": OURS, "value": "Mine"}]
    other = await outlook.get(f"{path}?$expand=singleValueExtendedProperties($filter=id eq '{OURS}2')")
    assert "singleValueExtendedProperties" not in other


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        (f"ep/id eq '{OURS}' and ep/value eq 'mine'", 1),
        (f"ep/id eq '{OURS}' and ep/value ne 'mine'", 1),
        (f"ep/id eq '{OURS}' and ep/value ne null", 2),
        (f"ep/id eq '{OURS}' and startswith(ep/value, 'MI')", 1),
        (f"ep/id eq '{OURS.upper()}' and ep/value eq 'mine'", 0),
    ],
)
async def test_events_are_found_by_properties_whose_names_have_case_and_whose_values_have_none(
    outlook: Outlook, condition: str, count: int
) -> None:
    for value in ("Mine", "Other"):
        await outlook.add(singleValueExtendedProperties=[{"id": OURS, "value": value}])
    await outlook.add()
    found = await outlook.get(f"{outlook.events}?$filter=singleValueExtendedProperties/Any(ep: {condition})")
    assert len(found["value"]) == count
    strange = await outlook.ask("GET", f"{outlook.events}?$filter=subject eq 'Planning'")
    assert code_of(strange) == (400, "ErrorInvalidUrlQueryFilter")


async def test_a_list_comes_in_pages_of_ten(outlook: Outlook) -> None:
    for _ in range(12):
        await outlook.add()
    first = await outlook.get(f"{outlook.events}?$select=subject")
    assert [set(each) for each in first["value"]] == [{"id", "subject", "@odata.etag"}] * 10
    second = await outlook.get(first["@odata.nextLink"])
    assert len(second["value"]) == 2
    assert "@odata.nextLink" not in second


async def test_what_was_deleted_may_still_be_found_by_its_id_but_in_no_calendar(outlook: Outlook) -> None:
    event = await outlook.add()
    path = f"{outlook.events}/{event['id']}"
    await outlook.ask("DELETE", path)
    assert (await outlook.ask("GET", path)).status_code == 404
    await outlook.control("PUT", "/behaviour", {"finds_deleted": True})
    assert (await outlook.get(path))["@odata.etag"] != event["@odata.etag"]
    assert (await outlook.ask("GET", f"{path}/calendar")).status_code == 404
    assert (await outlook.ask("DELETE", path)).status_code == 404
    assert (await outlook.get(outlook.events))["value"] == []


# Series


async def test_a_series_tells_of_its_exceptions_only_where_both_are_named(outlook: Outlook) -> None:
    event = await outlook.add(recurrence=daily())
    path = f"{outlook.events}/{event['id']}"
    assert event["type"] == "seriesMaster"
    window = "startDateTime=2026-05-01T00:00:00Z&endDateTime=2026-05-31T00:00:00Z"
    instances = (await outlook.get(f"{path}/instances?{window}"))["value"]
    assert [each["type"] for each in instances] == ["occurrence"] * 5
    await outlook.ask("DELETE", f"{outlook.events}/{instances[1]['id']}")
    await outlook.ask("PATCH", f"{outlook.events}/{instances[2]['id']}", {"subject": "Other"})
    assert not {"cancelledOccurrences", "exceptionOccurrences"} & (await outlook.get(path)).keys()
    seen = await outlook.get(f"{path}?$select=cancelledOccurrences,exceptionOccurrences&$expand=exceptionOccurrences")
    assert seen["cancelledOccurrences"] == [f"OID.{event['id']}.2026-05-05"]
    assert [(each["subject"], each["type"]) for each in seen["exceptionOccurrences"]] == [("Other", "exception")]
    assert seen["exceptionOccurrences"][0]["originalStart"] == "2026-05-06T07:00:00Z"
    again = (await outlook.get(f"{path}/instances?{window}"))["value"]
    assert [each["type"] for each in again] == ["occurrence", "exception", "occurrence", "occurrence"]


@pytest.mark.parametrize("resets", [True, False])
async def test_a_series_that_is_moved_forgets_its_exceptions(outlook: Outlook, resets: bool) -> None:
    await outlook.control("PUT", "/behaviour", {"resets_exceptions": resets})
    event = await outlook.add(recurrence=daily())
    path = f"{outlook.events}/{event['id']}"
    await outlook.ask("DELETE", f"{path}-O-20260505")
    await outlook.ask("PATCH", path, {"subject": "Renamed"})
    for body, kept in (({"subject": "Again"}, True), ({"recurrence": daily()}, not resets)):
        await outlook.ask("PATCH", path, body)
        seen = await outlook.get(f"{path}?$select=cancelledOccurrences")
        assert bool(seen["cancelledOccurrences"]) is kept


@pytest.mark.parametrize(("day", "taken"), [(4, False), (5, True), (6, False), (7, False)])
async def test_an_occurrence_stays_between_its_neighbours(outlook: Outlook, day: int, taken: bool) -> None:
    event = await outlook.add(recurrence=daily())
    times = {name: an_event(day, 15)[name] for name in ("start", "end")}
    answer = await outlook.ask("PATCH", f"{outlook.events}/{event['id']}-O-20260505", times)
    assert answer.is_success is taken
    assert taken or code_of(answer) == (400, "ErrorOccurrenceCrossingBoundary")


# Deltas


async def delta(outlook: Outlook, link: str | None = None, size: int = 50) -> tuple[list[Any], str]:
    """Follow a round to its end; return what it told, and where the next one begins."""
    told: list[Any] = []
    path = f"/me/calendars/{outlook.calendar}/calendarView/delta"
    link = link or f"{path}?startDateTime=2026-05-01T00:00:00Z&endDateTime=2026-05-31T00:00:00Z"
    while True:
        page = await outlook.get(link, prefer=f"{PREFER}, odata.maxpagesize={size}")
        told += page["value"]
        if "@odata.deltaLink" in page:
            return told, page["@odata.deltaLink"]
        link = page["@odata.nextLink"]


async def test_a_delta_tells_everything_once_and_then_what_has_changed(outlook: Outlook) -> None:
    events = [await outlook.add(day=day) for day in range(4, 11)]
    told, link = await delta(outlook, size=3)
    assert [each["id"] for each in told] == [each["id"] for each in events]
    assert (await delta(outlook, link))[0] == []
    await outlook.ask("PATCH", f"{outlook.events}/{events[0]['id']}", {"subject": "Renamed"})
    await outlook.ask("DELETE", f"{outlook.events}/{events[1]['id']}")
    told, _link = await delta(outlook, link)
    assert [each.get("subject") for each in told] == ["Renamed", None]
    assert told[1]["@removed"] == {"reason": "deleted"}
    assert told == (await delta(outlook, link))[0]


async def test_occurrences_come_bare_beside_their_series_and_on_one_page(outlook: Outlook) -> None:
    event = await outlook.add(recurrence=daily(), singleValueExtendedProperties=[{"id": OURS, "value": "Mine"}])
    told, link = await delta(outlook, size=2)
    assert [each["type"] for each in told] == ["seriesMaster", *["occurrence"] * 5]
    assert "singleValueExtendedProperties" not in told[0]
    bare = {"@odata.type", "@odata.etag", "id", "seriesMasterId", "type", "start", "end"}
    assert all(each.keys() == bare for each in told[1:])
    await outlook.ask("DELETE", f"{outlook.events}/{event['id']}-O-20260505")
    told, _link = await delta(outlook, link)
    assert not any("@removed" in each for each in told)
    assert len(told) == 5


async def test_what_is_outside_of_the_window_comes_as_removed_when_it_changes(outlook: Outlook) -> None:
    _told, link = await delta(outlook)
    outside = await outlook.add(
        start={"dateTime": "2026-07-01T09:00:00", "timeZone": BERLIN},
        end={"dateTime": "2026-07-01T10:00:00", "timeZone": BERLIN},
    )
    told, _link = await delta(outlook, link)
    assert [(each["id"], each["@removed"]["reason"]) for each in told] == [(outside["id"], "deleted")]


@pytest.mark.parametrize("option", ["$select=subject", "$filter=x", "$expand=x", "$orderby=x", "$search=x"])
async def test_a_delta_takes_no_options(outlook: Outlook, option: str) -> None:
    path = f"/me/calendars/{outlook.calendar}/calendarView/delta"
    window = "startDateTime=2026-05-01T00:00:00Z&endDateTime=2026-05-31T00:00:00Z"
    assert (await outlook.ask("GET", f"{path}?{window}&{option}")).status_code == 400


async def test_links_are_forgotten_on_demand(outlook: Outlook) -> None:
    _told, link = await delta(outlook)
    await outlook.control("POST", "/tokens/expire", {"delta": True})
    assert code_of(await outlook.ask("GET", link)) == (410, "SyncStateNotFound")


# Faults, and what was sent


async def test_faults_happen_on_demand_and_before_or_after_the_deed(outlook: Outlook) -> None:
    await outlook.control("PUT", "/faults", [{"kind": "throttled", "times": 1, "retry_after": 9}])
    answer = await outlook.ask("GET", "/me/calendar")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")
    outlook.desk.faults = [Fault("reply_lost", method="POST", times=1)]
    with pytest.raises(httpx.ReadError):
        await outlook.add()
    assert len((await outlook.get(outlook.events))["value"]) == 1


async def test_what_was_sent_can_be_had_as_lines_for_other_validators(outlook: Outlook) -> None:
    await outlook.add()
    answer = await outlook._http.get("/_control/requests.jsonl")
    lines = answer.text.splitlines()
    assert len(lines) == 2
    assert '"method": "POST"' in lines[1]


SENT = {"authorization": "Bearer x", "prefer": 'IdType="ImmutableId"', "content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "violation"),
    [
        ("GET", "/v1.0/me/calendar", None, None),
        ("GET", "/v1.0/me/calendars/a%2Fb/events/c?$select=id,subject&$expand=x", None, None),
        ("POST", "/v1.0/me/calendars/a/events", an_event(), None),
        ("GET", "/v1.0/me/calendarz", None, "there is no such path"),
        ("PUT", "/v1.0/me/calendar", None, "PUT is not one of its methods"),
        ("GET", "/v1.0/me/calendars/a/events/b?$top=1", None, "$top is none of its query options"),
        ("GET", "/v1.0/me/calendars/a/events/b?$select=title", None, "$select names title"),
        (
            "GET",
            "/v1.0/me/calendars/a/calendarView/delta?startDateTime=x",
            None,
            "endDateTime is missing from its query",
        ),
        ("POST", "/v1.0/me/calendars/a/events", an_event(subject=7), "body.subject is int"),
        ("POST", "/v1.0/me/calendars/a/events", an_event(title="x"), "body.title is no property of Event"),
        (
            "POST",
            "/v1.0/me/calendars/a/events",
            an_event(attendees=[{"type": "x"}]),
            "body.attendees[0].type is none of",
        ),
        ("POST", "/v1.0/me/calendars/a/events", an_event(recurrence=daily(interval="1")), "pattern.interval is str"),
        ("POST", "/v1.0/me/calendars/a/events", {"subject": "x"}, "body.start is missing"),
        ("POST", "/v1.0/me/calendars/a/events", None, "body is no object"),
        ("PATCH", "/v1.0/me/calendars/a/events/b", {"iCalUId": "x"}, "body.iCalUId cannot be written"),
        ("PATCH", "/v1.0/me/calendars/a/events/b", {"transactionId": "x"}, "body.transactionId cannot be written"),
        ("POST", "/v1.0/me/calendars/a/events/b/accept", {"sendResponse": 1}, "body.sendResponse is int"),
        ("PATCH", "/v1.0/subscriptions/a", {"expirationDateTime": "2026"}, "is not a date-time with an offset"),
        ("GET", "/common/oauth2/v2.0/authorize?x=y", None, None),
    ],
)
def test_every_request_is_measured_by_microsofts_own_model(
    method: str, path: str, body: Any, violation: str | None
) -> None:
    pytest.importorskip("msgraph")
    found = validate(method, path, SENT, body)
    assert found == [] if violation is None else any(violation in each for each in found)


def test_a_request_without_what_every_request_needs_is_noticed() -> None:
    pytest.importorskip("msgraph")
    assert validate("GET", "/v1.0/me/calendar", {}, None) == [
        "it has no bearer token",
        "it does not ask for immutable ids",
    ]


def test_it_can_be_taken_out_of_here() -> None:
    """It is shipped for people without credentials: nothing of the product or of the tests comes with it."""
    folder = Path(create_app.__code__.co_filename).parent
    imported = re.compile(r"^\s*(?:from|import) (kalends|providers|resolvers|schema|storage|tests)\b", re.MULTILINE)
    assert [file.name for file in folder.glob("*.py") if imported.search(file.read_text())] == []
