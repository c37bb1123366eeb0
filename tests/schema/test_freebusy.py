"""When calendars are busy: merged, half-open, without what leaves time free, and details only for who may read them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from kalends.domain.access import Scope
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Recurrence
from tests.api import SLOT, House, Tenant, at, key_with, moment
from tests.helpers import DAY, HOUR, MINUTE, NOW, add_calendar, add_events, make_event, recorded

pytestmark = pytest.mark.anyio

ASK = """query ($from: DateTime!, $to: DateTime!, $calendarIds: [ID!], $resourceIds: [ID!]) {
  freeBusy(from: $from, to: $to, calendarIds: $calendarIds, resourceIds: $resourceIds) {
    start end
    busy { start end status events { id what start } }
    calendars { freshness { calendarId resourceId syncedAt stale stalePolicy } busy { start end status } }
  }
}"""
WINDOW = {"from": at(NOW), "to": at(NOW + DAY)}


async def ask(tenant: Tenant, **arguments: Any) -> dict[str, Any]:
    wanted = {"calendarIds": [str(tenant.calendar.id)]} if "resourceIds" not in arguments else {}
    return dict((await tenant.api.run(ASK, **(WINDOW | wanted | arguments)))["freeBusy"])


def spans(answer: dict[str, Any]) -> list[tuple[datetime, datetime, str]]:
    return [(moment(each["start"]), moment(each["end"]), each["status"]) for each in answer["busy"]]


async def refusals(tenant: Tenant, **arguments: Any) -> list[tuple[str, str]]:
    fault = await tenant.api.fault(ASK, **(WINDOW | arguments))
    assert fault["extensions"]["code"] == "BAD_USER_INPUT"
    return [(".".join(each["path"]), each["code"]) for each in fault["extensions"]["problems"]]


async def test_nothing_is_busy_where_there_is_nothing(ours: Tenant) -> None:
    answer = await ask(ours)
    assert (answer["start"], answer["end"], answer["busy"]) == ("2026-05-04T07:00:00Z", "2026-05-05T07:00:00Z", [])


async def test_what_touches_or_overlaps_is_one_span_and_the_strongest_status_shows(house: House, ours: Tenant) -> None:
    await ours.create(SLOT)
    await ours.create(SLOT + HOUR)
    await ours.create(SLOT + 90 * MINUTE, HOUR, status="TENTATIVE")
    away = make_event(ours.calendar.id, SLOT + 4 * HOUR, HOUR, out_of_office=True)
    await add_events(house.services.storage, ours.app_id, away)
    await ours.create(SLOT + 3 * HOUR, 3 * HOUR)
    assert spans(await ask(ours)) == [
        (SLOT, SLOT + 2 * HOUR, "BUSY"),
        (SLOT + 2 * HOUR, SLOT + 150 * MINUTE, "TENTATIVE"),
        (SLOT + 3 * HOUR, SLOT + 4 * HOUR, "BUSY"),
        (SLOT + 4 * HOUR, SLOT + 5 * HOUR, "UNAVAILABLE"),
        (SLOT + 5 * HOUR, SLOT + 6 * HOUR, "BUSY"),
    ]


async def test_what_leaves_time_free_is_left_out(ours: Tenant, theirs: Tenant) -> None:
    await ours.create(transparent=True)
    await ours.create(myRsvp="DECLINED")
    for mutation in ("cancelEvent", "deleteEvent"):
        await ours.api.done(mutation, id=(await ours.create())["id"])
    await theirs.create()
    await ours.create(calendarId=str(ours.sandbox.id))
    assert spans(await ask(ours)) == []


async def test_spans_are_cut_where_the_window_ends(ours: Tenant) -> None:
    await ours.create(NOW - DAY, 10 * DAY)
    assert spans(await ask(ours)) == [(NOW, NOW + DAY, "BUSY")]
    await ours.create(NOW + 20 * DAY)
    window = {"from": at(NOW + 20 * DAY + HOUR), "to": at(NOW + 21 * DAY)}
    assert spans(await ask(ours, **window)) == []


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-05-04", 24)])
async def test_a_whole_day_is_as_long_as_the_clocks_of_its_zone_make_it(ours: Tenant, day: str, hours: int) -> None:
    start = datetime.fromisoformat(day)
    await ours.create(allDay=True, start=day, end=(start + DAY).date().isoformat())
    window = {"from": at(start.astimezone() - DAY), "to": at(start.astimezone() + 2 * DAY)}
    ((begin, end, status),) = spans(await ask(ours, **window))
    assert (end - begin, status) == (hours * HOUR, "BUSY")


async def test_every_occurrence_of_a_series_takes_its_time(house: House, ours: Tenant) -> None:
    series = make_event(ours.calendar.id, SLOT, recurrence=Recurrence("FREQ=DAILY"))
    await add_events(house.services.storage, ours.app_id, series)
    far = SLOT + 5_000 * DAY  # beyond what is kept ready
    for start in (SLOT, far):
        window = {"from": at(start), "to": at(start + 3 * DAY)}
        answer = await ask(ours, **window)
        assert len(answer["busy"]) == 3
        assert all(moment(each["start"]) == moment(each["events"][0]["start"]) for each in answer["busy"])
        assert len({each["events"][0]["id"] for each in answer["busy"]}) == 3


async def test_several_calendars_come_together_and_each_by_itself_once(ours: Tenant) -> None:
    await ours.create(SLOT)
    await ours.create(SLOT + 30 * MINUTE, calendarId=str(ours.sandbox.id))
    calendar, sandbox, resource = str(ours.calendar.id), str(ours.sandbox.id), str(ours.resource.id)
    answer = await ask(ours, calendarIds=[sandbox, calendar, sandbox], resourceIds=[resource, resource])
    assert spans(answer) == [(SLOT, SLOT + 90 * MINUTE, "BUSY")]
    assert [each["freshness"]["calendarId"] for each in answer["calendars"]] == [sandbox, calendar]
    assert {each["freshness"]["resourceId"] for each in answer["calendars"]} == {resource}
    assert [len(each["busy"]) for each in answer["calendars"]] == [1, 1]


async def test_a_resource_is_busy_without_its_archived_calendars_which_can_be_named(ours: Tenant) -> None:
    await ours.create()
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"archived": True})
    assert spans(await ask(ours, resourceIds=[str(ours.resource.id)])) == []
    assert spans(await ask(ours)) == [(SLOT, SLOT + HOUR, "BUSY")]


async def test_a_resource_without_calendars_is_free(ours: Tenant) -> None:
    made = await ours.api.done("createResource", input={"name": "Room"})
    answer = await ask(ours, resourceIds=[made["resource"]["id"]])
    assert (answer["busy"], answer["calendars"]) == ([], [])


async def test_details_are_for_those_who_may_read(house: House, ours: Tenant) -> None:
    event = await ours.create(what="Secret")
    seen = await ask(ours)
    assert [each["id"] for each in seen["busy"][0]["events"]] == [event["id"]]
    narrow = replace(ours, api=await key_with(house, Scope.FREE_BUSY))
    answer = await ask(narrow)
    assert spans(answer) == spans(seen)
    assert answer["busy"][0]["events"] == []
    reader = replace(ours, api=await key_with(house, Scope.READ))
    assert await ask(reader) == seen
    writer = await key_with(house, Scope.WRITE_EVENTS, Scope.MANAGE_CALENDARS, Scope.MANAGE_KEYS)
    fault = await writer.fault(ASK, **WINDOW, calendarIds=[str(ours.calendar.id)])
    assert fault["extensions"] == {"code": "FORBIDDEN", "scope": "FREE_BUSY"}


async def test_ids_that_nobody_has_are_named_all_at_once(ours: Tenant, theirs: Tenant) -> None:
    calendars = [str(ours.calendar.id), str(theirs.calendar.id), str(uuid7()), "no id"]
    resources = [str(theirs.resource.id), str(ours.resource.id), str(ours.calendar.id)]
    assert await refusals(ours, calendarIds=calendars, resourceIds=resources) == [
        ("calendarIds.1", "NOT_FOUND"),
        ("calendarIds.2", "NOT_FOUND"),
        ("calendarIds.3", "NOT_FOUND"),
        ("resourceIds.0", "NOT_FOUND"),
        ("resourceIds.2", "NOT_FOUND"),
    ]


async def test_bad_arguments_are_refused_all_at_once(ours: Tenant) -> None:
    mine = [str(ours.calendar.id)]
    bad = [("from", "INVALID_VALUE"), ("to", "INVALID_VALUE")]
    assert await refusals(ours, **{"from": "2026-05-04", "to": "tomorrow"}, calendarIds=mine) == bad
    assert await refusals(ours, to=at(NOW), calendarIds=mine) == [("to", "INVALID_VALUE")]
    assert await refusals(ours) == [("calendarIds", "INVALID_VALUE")]
    assert await refusals(ours, calendarIds=[], resourceIds=[]) == [("calendarIds", "INVALID_VALUE")]
    too_long, too_many = at(NOW + 366 * DAY + timedelta(seconds=1)), mine * 501
    found = await refusals(ours, to=too_long, calendarIds=too_many, resourceIds=[str(ours.resource.id)] * 500)
    assert found == [("to", "INVALID_VALUE"), ("calendarIds", "INVALID_VALUE")]


async def test_the_largest_question_is_answered(ours: Tenant) -> None:
    await ours.create()
    answer = await ask(ours, to=at(NOW + 366 * DAY), calendarIds=[str(ours.calendar.id)] * 1_000)
    assert len(answer["busy"]) == len(answer["calendars"]) == 1


async def test_the_answer_says_how_old_what_is_known_is(house: House, ours: Tenant) -> None:
    async def freshness() -> list[tuple[str | None, bool]]:
        ids = [str(ours.calendar.id), linked]
        found = [each["freshness"] for each in (await ask(ours, calendarIds=ids))["calendars"]]
        assert {each["stalePolicy"] for each in found} == {"TREAT_AS_BUSY"}
        return [(each["syncedAt"], each["stale"]) for each in found]

    made = await ours.api.done("createCalendar", input={"name": "New", "provider": "sandbox", "staleAfter": 600})
    linked = made["calendar"]["id"]
    assert await freshness() == [(None, False), (at(NOW).replace("+00:00", "Z"), False)]
    house.clock.advance(timedelta(seconds=600))
    assert [stale for _, stale in await freshness()] == [False, False]
    house.clock.advance(timedelta(seconds=1))
    assert [stale for _, stale in await freshness()] == [False, True]
    await house.worker.drain()
    assert [stale for _, stale in await freshness()] == [False, False]


@pytest.mark.parametrize("seconds", [59, 2_592_001, -1])
async def test_a_calendar_is_stale_after_a_minute_at_least_and_thirty_days_at_most(ours: Tenant, seconds: int) -> None:
    errors = await ours.api.refused("updateCalendar", id=str(ours.calendar.id), input={"staleAfter": seconds})
    assert [each["path"] for each in errors] == [["input", "staleAfter"]]
    errors = await ours.api.refused("createCalendar", input={"name": "New", "staleAfter": seconds})
    assert [each["path"] for each in errors] == [["input", "staleAfter"]]


async def test_what_a_stale_calendar_is_worth_can_be_changed(ours: Tenant) -> None:
    changes = {"stalePolicy": "FAIL", "staleAfter": 60}
    changed = (await ours.api.done("updateCalendar", id=str(ours.calendar.id), input=changes))["calendar"]
    assert {name: changed[name] for name in changes} == changes
    assert (await ask(ours))["calendars"][0]["freshness"]["stalePolicy"] == "FAIL"


async def test_many_calendars_cost_as_many_statements_as_one(house: House, ours: Tenant) -> None:
    calendars = [await add_calendar(house.services.storage, ours.app_id) for _ in range(20)]
    events = [make_event(each.id, SLOT + number * 2 * HOUR) for number, each in enumerate(calendars)]
    await add_events(house.services.storage, ours.app_id, *events)
    await ask(ours)
    counts = []
    for ids in (calendars[:1], calendars):
        with recorded(house.database) as statements:
            answer = await ask(ours, to=at(NOW + 3 * DAY), calendarIds=[str(each.id) for each in ids])
        assert [len(each["events"]) for each in answer["busy"]] == [1] * len(ids)
        counts.append(len(statements))
    assert counts[0] == counts[1]
