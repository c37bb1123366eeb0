"""Many callers at once, over HTTP: of those who want one thing exactly one gets it, and nobody sees a failure."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.api import SLOT, House, Tenant, at, count_rows
from tests.helpers import DAY, HOUR

pytestmark = pytest.mark.anyio

CREATE = """mutation ($input: CreateEventInput!) {
  createEvent(input: $input) { event { id version } errors { __typename ... on UserError { code path } } }
}"""
UPDATE = """mutation ($id: ID!, $input: UpdateEventInput!) {
  updateEvent(id: $id, input: $input) { event { id version } errors { __typename ... on UserError { code path } } }
}"""


async def create(ours: Tenant, **event: Any) -> dict[str, Any]:
    return dict((await ours.api.run(CREATE, input=event))["createEvent"])


async def update(ours: Tenant, event_id: str, **changes: Any) -> dict[str, Any]:
    return dict((await ours.api.run(UPDATE, id=event_id, input=changes))["updateEvent"])


def outcomes(payloads: Iterable[dict[str, Any]]) -> Counter[str]:
    """Count how calls ended: `done`, or the code of the only refusal."""
    return Counter("done" if payload["event"] else payload["errors"][0]["code"] for payload in payloads)


async def test_of_40_concurrent_bookers_of_one_slot_exactly_one_gets_it(house: House, ours: Tenant) -> None:
    for number in range(20):
        wanted = ours.event(SLOT + number * DAY, onConflict="REJECT")
        payloads = await asyncio.gather(*(create(ours, **wanted) for _ in range(40)))
        assert outcomes(payloads) == {"done": 1, "TIME_CONFLICT": 39}
    assert (await count_rows(house.database))["event"] == 20


async def test_concurrent_bookers_of_overlapping_slots_never_overlap(house: House, ours: Tenant) -> None:
    starts = [SLOT + number * HOUR / 4 for number in range(40)]
    wanted = [ours.event(start, onConflict="REJECT") for start in starts]
    payloads = await asyncio.gather(*(create(ours, **each) for each in wanted))
    window: dict[str, Any] = {"from": at(SLOT - DAY), "to": at(SLOT + DAY)}
    page = await ours.api.ask("events", **window)
    assert outcomes(payloads)["done"] == len(page["edges"]) >= 3
    assert [edge["node"]["conflicts"] for edge in page["edges"]] == [[]] * len(page["edges"])


async def test_50_concurrent_calls_with_one_key_create_one_event(house: House, ours: Tenant) -> None:
    for policy in ("ALLOW", "REJECT"):
        wanted = ours.event(SLOT + 2 * HOUR * len(policy), onConflict=policy, idempotencyKey=policy)
        payloads = await asyncio.gather(*(create(ours, **wanted) for _ in range(50)))
        assert outcomes(payloads) == {"done": 50}
        assert len({payload["event"]["id"] for payload in payloads}) == 1
    rows = await count_rows(house.database)
    assert (rows["event"], rows["idempotency"], rows["change"]) == (2, 2, 2)


async def test_of_concurrent_changes_of_one_version_exactly_one_wins(house: House, ours: Tenant) -> None:
    event = await ours.create()
    for version in range(1, 6):
        payloads = await asyncio.gather(
            *(update(ours, event["id"], what=f"Nr {version}.{number}", expectedVersion=version) for number in range(20))
        )
        assert outcomes(payloads) == {"done": 1, "STALE_VERSION": 19}
    assert (await ours.event_now(event))["version"] == 6


async def test_concurrent_changes_of_different_fields_are_all_kept(house: House, ours: Tenant) -> None:
    event = await ours.create()
    changes: list[dict[str, Any]] = [
        {"what": "Renamed"},
        {"where": "Elsewhere"},
        {"description": "More"},
        {"metadata": {"a": "b"}},
        {"invite": True},
        {"myRsvp": "TENTATIVE"},
    ]
    await asyncio.gather(*(update(ours, event["id"], **change) for change in changes))
    now = await ours.event_now(event)
    assert {name: now[name] for change in changes for name in change} == {
        name: value for change in changes for name, value in change.items()
    }
    assert now["version"] == 1 + len(changes)


async def test_of_events_moved_into_one_slot_exactly_one_gets_it(house: House, ours: Tenant) -> None:
    events = [await ours.create(SLOT + number * HOUR, onConflict="REJECT") for number in range(8)]
    for number in range(3):
        start = SLOT + (number + 1) * DAY
        slot = {"start": at(start), "end": at(start + HOUR)}
        payloads = await asyncio.gather(*(update(ours, event["id"], **slot) for event in events))
        assert outcomes(payloads) == {"done": 1, "TIME_CONFLICT": 7}


async def test_of_an_event_uncancelled_and_one_created_exactly_one_gets_the_slot(house: House, ours: Tenant) -> None:
    for number in range(8):
        start = SLOT + number * DAY
        event = await ours.create(start, onConflict="REJECT")
        await ours.api.done("cancelEvent", id=event["id"])
        payloads = await asyncio.gather(
            update(ours, event["id"], status="CONFIRMED"),
            create(ours, **ours.event(start, onConflict="REJECT")),
        )
        assert outcomes(payloads) == {"done": 1, "TIME_CONFLICT": 1}


async def test_an_event_deleted_while_it_is_changed_stays_deleted(house: House, ours: Tenant) -> None:
    for _ in range(5):
        event = await ours.create()
        changing = [update(ours, event["id"], what=f"Nr {number}") for number in range(5)]
        deleted, *payloads = await asyncio.gather(ours.api.do("deleteEvent", id=event["id"]), *changing)
        assert deleted["deletedId"] == event["id"]
        assert set(outcomes(payloads)) <= {"done", "NOT_FOUND"}
        assert await ours.api.ask("event", id=event["id"]) is None


async def test_a_calendar_archived_while_it_is_written_to_takes_nothing_afterwards(house: House, ours: Tenant) -> None:
    writing = [create(ours, **ours.event(SLOT + number * HOUR)) for number in range(10)]
    archiving = ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"archived": True})
    payloads = (await asyncio.gather(archiving, *writing))[1:]
    ended = outcomes(payloads)
    assert set(ended) <= {"done", "CALENDAR_ARCHIVED"}
    assert (await count_rows(house.database))["event"] == ended["done"]
    assert outcomes([await create(ours, **ours.event())]) == {"CALENDAR_ARCHIVED": 1}


async def test_bookers_of_several_calendars_at_once_do_not_block_each_other_for_ever(
    house: House, ours: Tenant
) -> None:
    calendars = [str(ours.calendar.id), str(ours.sandbox.id)]
    batches = []
    for number in range(20):
        places = calendars if number % 2 else calendars[::-1]
        events = [ours.event(SLOT + number * DAY, calendarId=place, onConflict="REJECT") for place in places]
        batches.append(ours.api.done("createEvents", depth=1, input={"events": events}))
    assert [len(payload["events"]) for payload in await asyncio.gather(*batches)] == [2] * 20
