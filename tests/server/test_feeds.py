"""Published calendars: a file for whoever has the token, the same 404 for all others, 304 where nothing is new."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import icalendar
import pytest
from structlog.testing import capture_logs

from kalends.domain.access import Scope
from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from kalends.server.logs import redact
from providers.ical import feed
from resolvers import feeds
from storage.changes import Operation
from storage.engine import Database
from storage.errors import Unavailable
from storage.events import EventRepository
from storage.feeds import FeedRepository
from tests.api import SLOT, House, Tenant, build_house, dump, key_with, problems, sabotaged
from tests.helpers import DAY, HOUR, Clock, recorded
from tests.schema.remote import PUBLIC

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parents[1] / "providers" / "ical" / "files"
NAMES = sorted(file.stem for file in FILES.glob("*.ics"))


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a server that knows its address."""
    return await build_house(database, clock, public_url=PUBLIC)


@pytest.fixture
def ours(house: House) -> Tenant:
    return house.ours


async def publish(tenant: Tenant, calendar_id: UUID | None = None) -> str:
    """Publish a calendar and return the path to it."""
    payload = await tenant.api.done("publishCalendar", calendarId=str(calendar_id or tenant.calendar.id))
    assert payload["url"].startswith(f"{PUBLIC}/calendars/")
    return str(payload["url"]).removeprefix(PUBLIC)


async def read(house: House, path: str, **headers: str) -> httpx.Response:
    return await house.browse(path, headers=headers)


async def take_in(tenant: Tenant, ics: str, calendar_id: UUID | None = None) -> dict[str, Any]:
    given = {"calendarId": str(calendar_id or tenant.calendar.id), "ics": ics}
    return await tenant.api.done("importIcs", input=given)


async def states(house: House, calendar_id: UUID) -> dict[str, EventState]:
    async with house.services.storage.reading(house.ours.app_id) as work:
        return {event.uid: event.state for event in await work.events.listed(calendar_id, limit=1000)}


async def test_a_published_calendar_is_a_file_that_others_read(house: House, ours: Tenant) -> None:
    timed = await ours.create(what="Planning; and more, \\o/ 🎉", description="One\nTwo", visibility="PRIVATE")
    await ours.create(allDay=True, start="2026-05-10", end="2026-05-12", what="Days")
    answer = await read(house, await publish(ours))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert "private" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = icalendar.Calendar.from_ical(answer.content)
    assert [each.errors for each in told.walk() if each.errors] == []
    assert (told["METHOD"], told["NAME"], told["X-WR-TIMEZONE"]) == ("PUBLISH", "Aurora's work", "Europe/Berlin")
    assert told.get_missing_tzids() == set()
    found = {str(each["SUMMARY"]): each for each in told.walk("VEVENT")}
    assert found.keys() == {"Planning; and more, \\o/ 🎉", "Days"}
    planning = found["Planning; and more, \\o/ 🎉"]
    assert (planning["UID"], planning["CLASS"], planning["DESCRIPTION"]) == (timed["uid"], "PRIVATE", "One\nTwo")
    assert planning.decoded("DTSTART").astimezone(UTC) == SLOT
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))


async def test_what_only_applications_know_is_not_in_the_file(house: House, ours: Tenant) -> None:
    created = await ours.create(metadata={"customer": "secret"})
    text = (await read(house, await publish(ours))).text
    assert created["uid"] in text
    assert "X-KALENDS-EVENT" not in text
    assert "secret" not in text


async def test_a_cancelled_event_is_told_and_a_deleted_one_is_not(house: House, ours: Tenant) -> None:
    cancelled, deleted = await ours.create(what="Off"), await ours.create(what="Gone")
    await ours.api.done("cancelEvent", id=cancelled["id"])
    await ours.api.done("deleteEvent", id=deleted["id"])
    [told] = icalendar.Calendar.from_ical((await read(house, await publish(ours))).content).walk("VEVENT")
    assert (str(told["SUMMARY"]), str(told["STATUS"])) == ("Off", "CANCELLED")


async def test_an_empty_calendar_is_a_file_too(house: House, ours: Tenant) -> None:
    answer = await read(house, await publish(ours))
    assert icalendar.Calendar.from_ical(answer.content).walk("VEVENT") == []


async def test_a_long_calendar_comes_in_pieces_and_whole(
    house: House, ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "EVENTS_AT_ONCE", 4)
    zones = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC"]
    created = [await ours.create(SLOT + n * HOUR, timeZone=zones[n % 4], what=f"Nr {n}") for n in range(8)]
    told = icalendar.Calendar.from_ical((await read(house, await publish(ours))).content)
    assert {str(each["UID"]) for each in told.walk("VEVENT")} == {each["uid"] for each in created}
    assert sorted(str(each["TZID"]) for each in told.walk("VTIMEZONE")) == sorted(zones[:3])
    assert told.get_missing_tzids() == set()


# What was read is written, and read again


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_producer_wrote_survives_the_way_through_a_calendar(house: House, ours: Tenant, name: str) -> None:
    first = await take_in(ours, (FILES / f"{name}.ics").read_bytes().decode("utf-8", "replace"))
    path = await publish(ours)
    file = await read(house, path)
    copy = (await ours.api.done("createCalendar", input={"name": "Copy", "resourceId": str(ours.resource.id)}))[
        "calendar"
    ]
    second = await take_in(ours, file.text, UUID(copy["id"]))
    assert second["failures"] == []
    assert second["imported"]["created"] == first["imported"]["created"]
    there, here = await states(house, UUID(copy["id"])), await states(house, ours.calendar.id)
    assert there.keys() == here.keys()
    assert [uid for uid in here if not same(there[uid], here[uid])] == []
    again = await take_in(ours, file.text)
    assert again["imported"]["unchanged"] == first["imported"]["created"]
    assert (await read(house, path)).content == file.content


# Conditional requests


async def test_nothing_is_sent_where_nothing_is_new(house: House, ours: Tenant) -> None:
    created = await ours.create()
    path = await publish(ours)
    etag = (await read(house, path)).headers["etag"]
    assert etag.startswith('"')
    for told in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        with recorded(house.database) as statements:
            answer = await read(house, path, **{"if-none-match": told})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert "private" in answer.headers["cache-control"]
        assert not [text for text, _ in statements if "FROM event" in text]
    assert (await read(house, path, **{"if-none-match": '"other"'})).status_code == 200
    assert (await read(house, path, **{"if-none-match": "nonsense"})).status_code == 200
    seen = {etag}
    for change in (
        ours.update(created, where="Elsewhere"),
        ours.create(SLOT + DAY),
        ours.api.done("cancelEvent", id=created["id"]),
        ours.api.done("deleteEvent", id=created["id"]),
        ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"name": "Renamed"}),
        take_in(ours, "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u\nDTSTART:20260504T080000Z\nEND:VEVENT\nEND:VCALENDAR"),
    ):
        await change
        answer = await read(house, path, **{"if-none-match": etag})
        assert answer.status_code == 200
        etag = answer.headers["etag"]
        assert etag not in seen
        seen.add(etag)


async def test_what_happens_in_another_calendar_is_no_news(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    etag = (await read(house, path)).headers["etag"]
    await ours.create(calendarId=str(ours.sandbox.id))
    assert (await read(house, path, **{"if-none-match": etag})).status_code == 304


async def test_a_change_that_commits_late_is_news_too(house: House, ours: Tenant) -> None:
    if house.database.is_sqlite:
        pytest.skip("has one writer: nobody commits late")
    path = await publish(ours)
    etags = [(await read(house, path)).headers["etag"]]
    early = await ours.create(SLOT)
    etags.append((await read(house, path)).headers["etag"])
    async with house.services.storage.writing(ours.app_id) as work:  # begins before, and ends behind, another
        event = await work.events.get(UUID(early["id"]), lock=True)
        await work.changes.note_events([event], Operation.UPDATED, "late")
        await ours.create(SLOT + HOUR)
        etags.append((await read(house, path)).headers["etag"])
        await ours.create(SLOT + 2 * HOUR)
        etags.append((await read(house, path)).headers["etag"])
    etags.append((await read(house, path)).headers["etag"])
    assert len(set(etags)) == 5
    assert (await read(house, path)).headers["etag"] == etags[-1]


async def test_the_head_is_that_of_the_file(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    head, whole = await house.browse(path, method="HEAD"), await read(house, path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert (await house.browse(path, method="POST")).status_code == 405


# Who may read


async def test_whoever_has_no_token_for_it_learns_nothing(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    token = path.partition("token=")[2]
    other = (await publish(house.theirs)).partition("token=")[2]
    sandbox = (await publish(ours, ours.sandbox.id)).partition("token=")[2]
    mine, nobodys = f"/calendars/{ours.calendar.id}.ics", f"/calendars/{uuid7()}.ics"
    refusals = [
        await read(house, each)
        for each in (
            mine,
            f"{mine}?token=",
            f"{mine}?token={token[:-1]}",
            f"{mine}?token={other}",
            f"{mine}?token={sandbox}",
            f"{mine}?token={ours.token}",
            f"{mine}?token={'x' * 10_000}",
            f"{mine}?token=%00%ff",
            f"{nobodys}?token={token}",
            f"/calendars/nonsense.ics?token={token}",
            f"/calendars/{ours.calendar.id}.ICS.ics?token={token}",
        )
    ]
    assert {(each.status_code, each.content) for each in refusals} == {(404, b"There is no such calendar.")}
    assert len({tuple(sorted(each.headers.items())) for each in refusals}) == 1
    assert (await read(house, path)).status_code == 200


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(house: House, ours: Tenant) -> None:
    token = (await publish(ours)).partition("token=")[2]
    secret = token.partition(".")[2]
    assert secret not in str(await dump(house.database))
    assert secret.encode() not in str(await dump(house.database)).encode()
    calendar = await ours.api.ask("calendar", id=str(ours.calendar.id))
    assert calendar["publishedAt"] == "2026-05-04T07:00:00Z"
    assert token not in str(calendar)


async def test_a_new_token_ends_the_one_before(house: House, ours: Tenant) -> None:
    old = await publish(ours)
    new = await publish(ours)
    assert ((await read(house, old)).status_code, (await read(house, new)).status_code) == (404, 200)


async def test_a_token_can_be_taken_back(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    etag = (await read(house, path)).headers["etag"]
    for _ in range(2):
        payload = await ours.api.done("unpublishCalendar", calendarId=str(ours.calendar.id))
        assert payload["calendar"]["publishedAt"] is None
        assert (await read(house, path, **{"if-none-match": etag})).status_code == 404


async def test_a_calendar_that_is_deleted_opens_no_more(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    await ours.api.done("deleteCalendar", id=str(ours.calendar.id))
    assert (await read(house, path)).status_code == 404


async def test_only_who_may_read_and_manage_a_calendar_publishes_it(house: House, ours: Tenant) -> None:
    query = "mutation($id: ID!) { publishCalendar(calendarId: $id) { token } }"
    for scopes, missing in (
        ((Scope.MANAGE_CALENDARS,), "READ"),
        ((Scope.READ, Scope.WRITE_EVENTS), "MANAGE_CALENDARS"),
    ):
        api = await key_with(house, *scopes)
        fault = await api.fault(query, id=str(ours.calendar.id))
        assert fault["extensions"] == {"code": "FORBIDDEN", "scope": missing}


async def test_another_apps_calendar_cannot_be_published(house: House, ours: Tenant) -> None:
    for mutation in ("publishCalendar", "unpublishCalendar"):
        for calendar_id in (str(house.theirs.calendar.id), str(uuid7()), "no id"):
            errors = await ours.api.refused(mutation, calendarId=calendar_id)
            assert problems(errors) == [("NotFoundError", "NOT_FOUND", "calendarId")]


async def test_a_server_that_does_not_know_its_address_gives_the_token(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock)
    payload = await house.ours.api.done("publishCalendar", calendarId=str(house.ours.calendar.id))
    assert payload["url"] is None
    path = f"/calendars/{house.ours.calendar.id}.ics?token={payload['token']}"
    assert (await read(house, path)).status_code == 200


async def test_no_log_has_the_token(house: House, ours: Tenant) -> None:
    path = await publish(ours)
    with capture_logs() as logs:
        await read(house, path)
    assert path.partition("token=")[2] not in str(logs)
    cleaned = redact(None, "info", {"event": f"GET {path}"})
    assert path.partition("token=")[2] not in str(cleaned)


# Failures


async def test_a_database_that_cannot_answer_is_not_an_empty_calendar(house: House, ours: Tenant) -> None:
    await ours.create()
    path = await publish(ours)
    for repository, method in ((FeedRepository, "secret_hash"), (EventRepository, "earliest")):
        with sabotaged(repository, method, Unavailable("no")):
            answer = await read(house, path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


async def test_a_file_that_breaks_off_is_not_a_whole_one(
    house: House, ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "EVENTS_AT_ONCE", 1)
    for number in range(3):
        await ours.create(SLOT + number * HOUR)
    path = await publish(ours)
    listed, calls = EventRepository.listed, iter(range(9))

    async def failing(self: EventRepository, *arguments: Any, **options: Any) -> Any:
        if next(calls):
            raise Unavailable("no")
        return await listed(self, *arguments, **options)

    monkeypatch.setattr(EventRepository, "listed", failing)
    with pytest.raises(Unavailable):
        await read(house, path)


def test_the_file_says_nothing_but_what_it_is_given() -> None:
    text = feed.opening("A,B; C\\D\nE", "Europe/Berlin").decode()
    assert "NAME:A\\,B\\; C\\\\D\\nE\r\n" in text
    assert datetime.now(UTC).strftime("%Y%m%d") not in text
