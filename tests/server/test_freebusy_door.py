"""Free/busy as a file: what GraphQL answers, in words that every calendar program reads."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import httpx
import icalendar
import pytest

from kalends.domain.access import Scope
from kalends.domain.ids import uuid7
from storage.busy import BusyRepository
from storage.engine import Database
from storage.errors import Unavailable
from tests.api import SLOT, House, Tenant, build_house, key_with, sabotaged
from tests.helpers import DAY, HOUR, NOW, Clock, add_events, make_event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    return await build_house(database, clock)


async def get(house: House, token: str | None, path: str, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await house.browse(path, headers=headers, params=query)


def file_of(tenant: Tenant) -> str:
    return f"/calendars/{tenant.calendar.id}/freebusy.ics"


def read(text: str) -> Any:
    calendar = icalendar.Calendar.from_ical(text)
    (busy,) = calendar.walk("VFREEBUSY")
    assert not busy.errors
    return busy


async def test_a_calendar_is_one_vfreebusy_of_the_next_30_days(house: House) -> None:
    ours = house.ours
    await ours.create(SLOT)
    await ours.create(SLOT + 2 * HOUR, status="TENTATIVE")
    await ours.create(SLOT + 4 * HOUR, transparent=True)
    await ours.create(SLOT + 31 * DAY)
    away = make_event(ours.calendar.id, SLOT + DAY, HOUR, out_of_office=True)
    await add_events(house.services.storage, ours.app_id, away)

    answer = await get(house, ours.token, file_of(ours))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8; component=vfreebusy"
    assert answer.headers["cache-control"] == "no-store"
    busy = read(answer.text)
    assert (busy["DTSTART"].dt, busy["DTEND"].dt, busy["DTSTAMP"].dt) == (NOW, NOW + 30 * DAY, NOW)
    assert busy["UID"] == f"{ours.calendar.id}-freebusy@kalends"
    spans = [(each.dt, each.params["FBTYPE"]) for each in busy["FREEBUSY"]]
    assert spans == [
        ((SLOT, SLOT + HOUR), "BUSY"),
        ((SLOT + 2 * HOUR, SLOT + 3 * HOUR), "BUSY-TENTATIVE"),
        ((SLOT + DAY, SLOT + DAY + HOUR), "BUSY-UNAVAILABLE"),
    ]
    assert "Planning" not in answer.text
    assert all(len(line.encode()) <= 75 for line in answer.text.split("\r\n"))


async def test_a_resource_is_all_of_its_calendars_in_the_window_that_was_asked_for(house: House) -> None:
    ours = house.ours
    for calendar in (ours.calendar, ours.sandbox):
        await ours.create(SLOT, calendarId=str(calendar.id))
    window = {"from": "2026-05-04T10:30:00+02:00", "to": "2026-05-05T00:00:00Z"}
    answer = await get(house, ours.token, f"/resources/{ours.resource.id}/freebusy.ics", **window)
    assert "FREEBUSY;FBTYPE=BUSY:20260504T083000Z/20260504T090000Z\r\n" in answer.text
    assert read(answer.text)["DTEND"].dt.tzinfo is not None
    assert read(answer.text)["DTSTART"].dt.astimezone(UTC).hour == 8


@pytest.mark.parametrize("scope", list(Scope))
async def test_whoever_may_know_may_ask(house: House, scope: Scope) -> None:
    key = await key_with(house, scope)
    token = str(key._http.headers["authorization"]).removeprefix("Bearer ")
    answer = await get(house, token, file_of(house.ours))
    assert answer.status_code == (200 if scope in (Scope.READ, Scope.FREE_BUSY) else 403)


@pytest.mark.parametrize("token", [None, "kal_", "nobody's"])
async def test_nobody_else_may(house: House, token: str | None) -> None:
    answer = await get(house, token, file_of(house.ours))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_what_is_unknown_and_what_is_foreign_is_not_found_alike(house: House) -> None:
    answers = [
        await get(house, house.ours.token, path)
        for path in (
            file_of(house.theirs),
            f"/calendars/{uuid7()}/freebusy.ics",
            "/calendars/no-id/freebusy.ics",
            f"/calendars/{house.ours.resource.id}/freebusy.ics",
        )
    ]
    assert {(each.status_code, each.text) for each in answers} == {(404, answers[0].text)}


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"to": "2026-05-04"},
        {"from": "2026-05-04T09:00:00"},
        {"from": "2026-05-04T09:00:00Z", "to": "2026-05-04T09:00:00Z"},
        {"from": "2026-05-04T09:00:00Z", "to": "2028-05-04T09:00:00Z"},
    ],
)
async def test_a_window_that_is_none_is_refused(house: House, query: dict[str, str]) -> None:
    answer = await get(house, house.ours.token, file_of(house.ours), **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_what_goes_wrong_inside_stays_inside(house: House) -> None:
    with sabotaged(BusyRepository, "of", Unavailable("secret")):
        away = await get(house, house.ours.token, file_of(house.ours))
    with sabotaged(BusyRepository, "of", ZeroDivisionError("secret")):
        broken = await get(house, house.ours.token, file_of(house.ours))
    assert [each.status_code for each in (away, broken)] == [503, 500]
    assert "secret" not in away.text + broken.text
    assert away.headers["retry-after"] == "1"


async def test_nothing_but_get_is_answered(house: House) -> None:
    path = file_of(house.ours)
    assert (await house.browse(path, method="POST")).status_code == 405
    head = await house.browse(path, method="HEAD", headers={"authorization": f"Bearer {house.ours.token}"})
    assert (head.status_code, head.content) == (200, b"")
