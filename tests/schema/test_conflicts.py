"""`onConflict` on every way to busy time: what is in the way is told, and under REJECT nothing is written."""

from typing import Any

import pytest

from tests.api import SLOT, House, Tenant, at, dump, problems
from tests.helpers import DAY, HOUR, MINUTE

pytestmark = pytest.mark.anyio

WAYS = ["create", "batch", "move", "lengthen", "uncancel", "confirm", "undecline", "answer", "opaque", "stricter"]
"""Every way in which an event comes to hold time that it did not hold before, or not under that policy."""


ELSEWHERE = SLOT + 3 * DAY


async def take_time(way: str, ours: Tenant, policy: str) -> dict[str, Any]:
    """Bring an event into the slot one way, and return the payload of the last step."""
    if way == "create":
        return await ours.api.do("createEvent", input=ours.event(onConflict=policy))
    if way == "batch":
        return await ours.api.do("createEvents", input={"events": [ours.event(onConflict=policy)]})
    before: dict[str, dict[str, Any]] = {
        "move": {"start": at(SLOT + DAY), "end": at(SLOT + DAY + HOUR)},
        "lengthen": {"start": at(SLOT - HOUR), "end": at(SLOT)},
        "confirm": {"status": "TENTATIVE", "transparent": True},
        "undecline": {"myRsvp": "DECLINED"},
        "answer": {"myRsvp": "DECLINED"},
        "opaque": {"transparent": True},
        "stricter": {},
    }
    change: dict[str, dict[str, Any]] = {
        "move": {"start": at(SLOT), "end": at(SLOT + HOUR)},
        "lengthen": {"end": at(SLOT + MINUTE)},
        "uncancel": {"status": "CONFIRMED"},
        "confirm": {"status": "CONFIRMED", "transparent": False},
        "undecline": {"myRsvp": "TENTATIVE"},
        "opaque": {"transparent": False},
        "stricter": {"onConflict": policy},
    }
    first = "ALLOW" if way in ("uncancel", "stricter") else policy
    event = await ours.create(**{"onConflict": first} | before.get(way, {}))
    if way == "answer":
        return await ours.api.do("respondToEvent", id=event["id"], rsvp="ACCEPTED")
    if way == "uncancel":
        await ours.api.done("cancelEvent", id=event["id"])
        event = await ours.update(event, onConflict=policy)
    return await ours.api.do("updateEvent", id=event["id"], input=change[way])


@pytest.mark.parametrize("way", WAYS)
async def test_reject_refuses_every_way_into_taken_time(house: House, ours: Tenant, way: str) -> None:
    taken = await ours.create(what="Taken")
    payload = await take_time(way, ours, "REJECT")
    path = "input.events.0.start" if way == "batch" else "start" if way == "answer" else "input.start"
    assert problems(payload["errors"]) == [("TimeConflictError", "TIME_CONFLICT", path)]
    assert [each["id"] for each in payload["errors"][0]["conflicts"]] == [taken["id"]]
    assert not any(value for name, value in payload.items() if name != "errors")
    window: dict[str, Any] = {"from": at(SLOT), "to": at(SLOT + HOUR)}
    blocking = [
        edge["node"]["id"]
        for edge in (await ours.api.ask("events", **window))["edges"]
        if not edge["node"]["transparent"] and edge["node"]["myRsvp"] != "DECLINED"
        if edge["node"]["onConflict"] == "REJECT"
    ]
    assert blocking == []


@pytest.mark.parametrize("way", WAYS)
async def test_warn_writes_and_names_what_is_in_the_way(ours: Tenant, way: str) -> None:
    taken = await ours.create(what="Taken")
    payload = await take_time(way, ours, "WARN")
    assert payload["errors"] == []
    assert [each["id"] for each in payload["conflicts"]] == [taken["id"]]
    event = payload["events"][0] if way == "batch" else payload["event"]
    assert [each["id"] for each in (await ours.event_now(event))["conflicts"]] == [taken["id"]]


async def test_allow_writes_and_does_not_look(ours: Tenant) -> None:
    await ours.create(what="Taken")
    for way in WAYS:
        payload = await take_time(way, ours, "ALLOW")
        assert payload["errors"] == payload["conflicts"] == []


@pytest.mark.parametrize("status", ["CONFIRMED", "TENTATIVE"])
async def test_a_tentative_event_holds_its_time_and_its_confirmation_looks_again(ours: Tenant, status: str) -> None:
    mine = await ours.create(status="TENTATIVE", onConflict="REJECT")
    assert (await ours.api.refused("createEvent", input=ours.event(onConflict="REJECT")))[0]["code"] == "TIME_CONFLICT"
    forced = await ours.create(onConflict="ALLOW", status=status)
    (error,) = await ours.api.refused("updateEvent", id=mine["id"], input={"status": "CONFIRMED"})
    assert (error["code"], [each["id"] for each in error["conflicts"]]) == ("TIME_CONFLICT", [forced["id"]])
    assert (await ours.event_now(mine))["status"] == "TENTATIVE"


@pytest.mark.parametrize(
    "free", ["transparent", "cancelled", "declined", "deleted", "elsewhere", "before", "after", "foreign"]
)
async def test_what_does_not_block_is_in_nobodys_way(ours: Tenant, theirs: Tenant, free: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "transparent": {"transparent": True},
        "declined": {"myRsvp": "DECLINED"},
        "elsewhere": {"calendarId": str(ours.sandbox.id)},
        "before": {"start": at(SLOT - HOUR), "end": at(SLOT)},
        "after": {"start": at(SLOT + HOUR), "end": at(SLOT + 2 * HOUR)},
    }
    other = await (theirs if free == "foreign" else ours).create(**fields.get(free, {}))
    if free in ("cancelled", "deleted"):
        await ours.api.done("cancelEvent" if free == "cancelled" else "deleteEvent", id=other["id"])
    mine = await ours.create(onConflict="REJECT")
    assert mine["conflicts"] == []


@pytest.mark.parametrize("fields", [{"transparent": True}, {"myRsvp": "DECLINED"}])
async def test_an_event_that_does_not_block_needs_no_free_time(ours: Tenant, fields: dict[str, Any]) -> None:
    await ours.create(what="Taken")
    event = await ours.create(onConflict="REJECT", **fields)
    assert event["conflicts"] == []
    assert (await ours.update(event, what="Renamed"))["what"] == "Renamed"


async def test_a_change_that_takes_no_time_is_not_refused(ours: Tenant) -> None:
    mine = await ours.create(ELSEWHERE, onConflict="REJECT")
    await ours.create(ELSEWHERE, what="Forced in", onConflict="ALLOW")
    assert (await ours.update(mine, what="Renamed", description="More"))["what"] == "Renamed"
    shorter = await ours.update(mine, end=at(ELSEWHERE + 30 * MINUTE))
    assert shorter["version"] == 3
    assert (await ours.api.done("cancelEvent", id=mine["id"]))["event"]["status"] == "CANCELLED"


async def test_an_event_is_not_in_its_own_way(ours: Tenant) -> None:
    mine = await ours.create(onConflict="REJECT")
    moved = await ours.update(mine, start=at(SLOT + 30 * MINUTE), end=at(SLOT + 90 * MINUTE))
    assert moved["conflicts"] == []


async def test_events_of_one_batch_are_in_each_others_way(house: House, ours: Tenant) -> None:
    first, second = ours.event(onConflict="REJECT"), ours.event(SLOT + 30 * MINUTE, onConflict="REJECT")
    before = await dump(house.database)
    errors = await ours.api.refused("createEvents", input={"events": [first, second]})
    assert problems(errors) == [("TimeConflictError", "TIME_CONFLICT", "input.events.1.start")]
    assert await dump(house.database) == before
    warned = [each | {"onConflict": "WARN"} for each in (first, second)]
    payload = await ours.api.done("createEvents", input={"events": warned})
    assert [each["id"] for each in payload["conflicts"]] == [payload["events"][0]["id"]]


async def test_events_that_only_touch_do_not_conflict(ours: Tenant) -> None:
    events = [ours.event(SLOT + number * HOUR, onConflict="REJECT") for number in range(3)]
    payload = await ours.api.done("createEvents", input={"events": events})
    assert [each["conflicts"] for each in payload["events"]] == [[], [], []]


async def test_an_all_day_event_blocks_the_calendars_day(ours: Tenant) -> None:
    day = await ours.create(allDay=True, start="2026-05-04", end="2026-05-05")
    midnight = SLOT.replace(hour=22)  # in Berlin
    late = await ours.create(midnight - HOUR, onConflict="WARN")
    assert [each["id"] for each in late["conflicts"]] == [day["id"]]
    assert (await ours.create(midnight, onConflict="REJECT"))["conflicts"] == []
    assert (await ours.create(midnight - DAY - HOUR, onConflict="REJECT"))["conflicts"] == []


async def test_a_long_event_that_began_long_before_is_in_the_way(ours: Tenant) -> None:
    long = await ours.create(SLOT - 300 * DAY, 400 * DAY)
    (error,) = await ours.api.refused("createEvent", input=ours.event(onConflict="REJECT"))
    assert [each["id"] for each in error["conflicts"]] == [long["id"]]


async def test_what_is_in_the_way_comes_earliest_first_and_both_see_each_other(ours: Tenant) -> None:
    late = await ours.create(SLOT + 40 * MINUTE, what="Late")
    early = await ours.create(SLOT + 10 * MINUTE, what="Early")
    mine = await ours.create(onConflict="WARN")
    assert [each["what"] for each in mine["conflicts"]] == ["Early", "Late"]
    assert {each["id"] for each in (await ours.event_now(late))["conflicts"]} == {mine["id"], early["id"]}
    await ours.api.done("cancelEvent", id=early["id"])
    assert [each["what"] for each in (await ours.event_now(mine))["conflicts"]] == ["Late"]
    assert (await ours.event_now(early))["conflicts"] == []


async def test_at_most_fifty_events_in_the_way_are_named(ours: Tenant) -> None:
    events = [ours.event(SLOT + number * MINUTE, MINUTE, what=f"Nr {number}") for number in range(60)]
    await ours.api.done("createEvents", depth=1, input={"events": events})
    mine = await ours.create(onConflict="WARN")
    assert [each["what"] for each in mine["conflicts"]] == [f"Nr {number}" for number in range(50)]
