"""Our free/busy against that of real CalDAV servers (RFC 4791 section 7.10) which hold the same events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import icalendar
import pytest

from kalends.domain.events import Event, EventStatus
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Override, Recurrence
from providers.interface import RemoteCalendar
from storage.engine import Database
from tests.api import House, build_house
from tests.contracts.provider_contract import OWNER
from tests.helpers import DAY, HOUR, MINUTE, NOW, Clock, add_calendar, add_events, make_content, make_days, make_event
from tests.helpers import make_when as when
from tests.providers.caldav.oracle import oracle, to_ics
from tests.servers import PASSWORD, USER, Server, radicale, xandikos

__all__ = ["radicale", "xandikos"]
pytestmark = pytest.mark.anyio

WINDOW = (NOW, NOW + 30 * DAY)
STRONGEST_LAST = ["BUSY-TENTATIVE", "BUSY", "BUSY-UNAVAILABLE"]
RULES = [
    "FREQ=DAILY;COUNT=12",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY;BYDAY={day},SU",
    "FREQ=WEEKLY;INTERVAL=2;UNTIL=20260601T120000Z",
    "FREQ=MONTHLY;BYDAY={nth}{day}",
    "FREQ=MONTHLY;BYMONTHDAY={month_day}",
]
"""The first time is one of the rule's: what it is otherwise, RFC 5545 section 3.8.5.3 leaves open."""
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
REPORT = """<?xml version="1.0"?><C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav">
<C:time-range start="{:%Y%m%dT%H%M%SZ}" end="{:%Y%m%dT%H%M%SZ}"/></C:free-busy-query>"""

BERLINS_CLOCKS = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:DAYLIGHT
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE""".replace("\n", "\r\n")
"""As people's programs write it: Radicale takes no notice of a zone whose changes are listed one by one."""


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    return await build_house(database, clock)


@pytest.fixture(params=["radicale", "xandikos"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def events(calendar_id: UUID, random: Random, count: int) -> Iterator[Event]:
    """Yield events of every kind, some outside the window or on its edge."""
    for number in range(count):
        kind = number % 6
        content: dict[str, Any] = {
            "summary": f"Nr {number}",
            "transparent": random.random() < 0.2,
            "status": random.choice([EventStatus.CONFIRMED] * 3 + [EventStatus.TENTATIVE, EventStatus.CANCELLED]),
        }
        start = NOW + random.randrange(-3 * 288, 32 * 288) * 5 * MINUTE
        long = random.randrange(1, 40) * 5 * MINUTE
        if kind == 0:
            days = make_days(start.date(), random.randrange(1, 4), "UTC")
            yield make_event(calendar_id, when=days, **content)
        elif kind == 1:
            yield make_event(calendar_id, start, random.randrange(1, 6) * DAY + long, **content)
        elif kind == 2:
            yield _series(calendar_id, random, start - random.randrange(10, 60) * DAY, long, content)
        else:
            yield make_event(calendar_id, start, long, **content)


def _series(calendar_id: UUID, random: Random, start: datetime, long: timedelta, content: dict[str, Any]) -> Event:
    first = when(start, long)
    day = first.start.day
    rule = random.choice(RULES).format(day=DAYS[first.start.weekday()], nth=(day - 1) // 7 + 1, month_day=day)
    exdates, overrides = frozenset[datetime](), {}
    if rule.startswith("FREQ=DAILY"):
        step = 3 * DAY if "INTERVAL" in rule else DAY
        exdates = frozenset({first.start + random.randrange(1, 4) * step})
        moved = first.start + 5 * step
        overrides = {moved: Override(when(start + 5 * step + 2 * HOUR, long), make_content(**content))}
    return make_event(
        calendar_id, when=first, recurrence=Recurrence(rule, exdates=exdates, overrides=overrides), **content
    )


def file_of(event: Event) -> str:
    """Return an event as a person's calendar would write it."""
    return re.sub("BEGIN:VTIMEZONE.*END:VTIMEZONE", BERLINS_CLOCKS, to_ics(event.state, event.uid), flags=re.DOTALL)


def minutes(text: str) -> dict[int, str]:
    """Return the status of each minute of the window that is not free, the strongest where there are several."""
    found: dict[int, str] = {}
    [busy] = icalendar.Calendar.from_ical(text).walk("VFREEBUSY")
    periods = busy.get("FREEBUSY", [])
    for period in periods if isinstance(periods, list) else [periods]:
        status = str(period.params.get("FBTYPE", "BUSY"))
        if status == "FREE":
            continue
        start, end = period.dt if isinstance(period.dt, tuple) else (period.start, period.end)
        end = start + end if isinstance(end, timedelta) else end
        assert NOW <= start < end <= WINDOW[1]
        for minute in range(int((start - NOW) / MINUTE), int((end - NOW) / MINUTE)):
            found[minute] = max(status, found.get(minute, status), key=STRONGEST_LAST.index)
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_a_month_is_as_busy_here_as_there(house: House, server: Server, seed: int) -> None:
    ours = house.ours
    calendar = await add_calendar(house.services.storage, ours.app_id, tzid="UTC")
    made = list(events(calendar.id, Random(seed), 60))
    await add_events(house.services.storage, ours.app_id, *made)
    with oracle(server) as somebody:
        path = await somebody.calendar()
        there = RemoteCalendar(uuid7(), None, path, "UTC", OWNER)
        for event in made:
            await somebody.put(there, f"{event.id}.ics", file_of(event))

    window = {"from": WINDOW[0].isoformat(), "to": WINDOW[1].isoformat()}
    key = {"authorization": f"Bearer {ours.token}"}
    here = await house.browse(f"/calendars/{calendar.id}/freebusy.ics", params=window, headers=key)
    async with httpx.AsyncClient(auth=(USER, PASSWORD), trust_env=False, timeout=60) as client:
        headers = {"depth": "1", "content-type": "application/xml"}
        answer = await client.request("REPORT", server.url + path, content=REPORT.format(*WINDOW), headers=headers)

    assert (here.status_code, answer.status_code) == (200, 200)
    assert minutes(here.text) == minutes(answer.text)
    assert len(minutes(here.text)) > 1_000
