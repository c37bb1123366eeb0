"""What is offered can be booked, what is not has true reasons, and neither tells more than its reader may know."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from kalends.domain.access import Scope
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Recurrence
from kalends.domain.time import zone
from storage.engine import Database
from tests.api import House, Tenant, at, build_house, count_rows, document, key_with, moment, problems
from tests.helpers import (
    BERLIN,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    Clock,
    add_calendar,
    add_events,
    make_event,
    make_resource,
    recorded,
)

pytestmark = pytest.mark.anyio

REASONS = """reasons { __typename ... on SlotReason { resourceId message }
  ... on BusyReason { calendarId start end status event { id what start } }
  ... on RuleReason { rule } ... on NoticeReason { earliest } ... on CalendarReason { calendarId } }"""
ASK = f"""query ($input: AvailabilityInput!, $first: Int! = 500) {{
  availability(input: $input) {{
    calendars {{ calendarId syncedAt stale stalePolicy }}
    slots(first: $first) {{ start end roles {{ freeIds chosenIds }} }}
    refused(first: $first) {{ start end {REASONS} }}
  }}
}}"""
BOOK = f"""mutation ($input: CreateEventInput!) {{
  createEvent(input: $input) {{ event {{ id start }} conflicts {{ id }} errors {{ __typename
    ... on UserError {{ code path }} ... on NotAvailableError {{ count refused {{ start end {REASONS} }} }} }} }}
}}"""
OFFICE = {"and": [{"allowWeekdays": True}, {"allowHours": {"start": "09:00", "end": "17:00"}}]}
MONDAY = NOW - 2 * HOUR  # 07:00 in Berlin


async def ask(tenant: Tenant, first: Any = 500, **wanted: Any) -> dict[str, Any]:
    roles = [{"resourceIds": [str(tenant.resource.id)]}]
    base = {"roles": roles, "length": "PT1H", "from": at(MONDAY), "to": at(MONDAY + DAY), "timeZone": BERLIN}
    return dict((await tenant.api.run(ASK, input=base | wanted, first=first))["availability"])


async def refusals(tenant: Tenant, **wanted: Any) -> list[tuple[str, str]]:
    roles = [{"resourceIds": [str(tenant.resource.id)]}]
    base = {"roles": roles, "length": "PT1H", "from": at(MONDAY), "to": at(MONDAY + DAY)}
    fault = await tenant.api.fault(ASK, input=base | wanted)
    assert fault["extensions"]["code"] == "BAD_USER_INPUT"
    return [(".".join(each["path"]), each["code"]) for each in fault["extensions"]["problems"]]


async def book(tenant: Tenant, start: datetime, duration: timedelta = HOUR, /, **fields: Any) -> dict[str, Any]:
    wanted = tenant.event(start, duration, **{"onConflict": "REJECT", "availabilityProfile": "Office"} | fields)
    return dict((await tenant.api.run(BOOK, input=wanted))["createEvent"])


async def save(tenant: Tenant, **profile: Any) -> dict[str, Any]:
    given = {"resourceId": str(tenant.resource.id), "name": "Office"} | profile
    return dict((await tenant.api.done("saveAvailabilityProfile", input=given))["profile"])


def starts(answer: dict[str, Any], part: str = "slots") -> list[str]:
    return [each["start"][11:16] for each in answer[part]]


def kinds(slot: dict[str, Any]) -> list[str]:
    return [each["__typename"] for each in slot["reasons"]]


async def add_person(house: House, name: str, tzid: str = BERLIN, **calendar: Any) -> tuple[str, str]:
    """Store a person with a calendar, and return both ids."""
    ours, storage = house.ours, house.services.storage
    resource = make_resource(name, tzid=tzid)
    async with storage.writing(ours.app_id) as work:
        await work.resources.add(resource)
    made = await add_calendar(storage, ours.app_id, resource_id=resource.id, tzid=tzid, **calendar)
    return str(resource.id), str(made.id)


# What is offered


async def test_slots_lie_within_the_rules_and_beside_what_takes_time(ours: Tenant) -> None:
    await ours.create(NOW + HOUR)  # 10:00 to 11:00 in Berlin
    answer = await ask(ours, rule=OFFICE)
    assert starts(answer) == ["09:00", "11:00", "12:00", "13:00", "14:00", "15:00", "16:00"]
    assert answer["slots"][0]["start"] == "2026-05-04T09:00:00+02:00"
    assert answer["slots"][0]["roles"] == [{"freeIds": [str(ours.resource.id)], "chosenIds": []}]
    assert answer["refused"] == []


async def test_buffers_notice_and_increment_are_kept(ours: Tenant) -> None:
    await ours.create(NOW + 3 * HOUR)  # 12:00 to 13:00
    answer = await ask(
        ours, rule=OFFICE, bufferBefore="PT15M", bufferAfter="PT30M", minimumNotice="PT1H", increment="PT30M"
    )
    assert starts(answer) == ["10:00", "10:30", "13:30", "14:00", "14:30", "15:00", "15:30", "16:00"]


async def test_all_of_a_resources_calendars_count_but_those_that_are_ignored_or_archived(ours: Tenant) -> None:
    await ours.create(NOW, calendarId=str(ours.sandbox.id))
    assert "09:00" not in starts(await ask(ours))
    ignoring = {"ignoredCalendarIds": [str(ours.sandbox.id)]}
    assert "09:00" in starts(await ask(ours, blocking=ignoring))
    await ours.api.done("updateCalendar", id=str(ours.sandbox.id), input={"archived": True})
    assert "09:00" in starts(await ask(ours))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("allDay", {"allDay": True, "start": "2026-05-04", "end": "2026-05-05"}),
        ("tentative", {"status": "TENTATIVE"}),
    ],
)
async def test_what_blocks_is_a_rule_too(ours: Tenant, kind: str, fields: dict[str, Any]) -> None:
    await ours.create(NOW, **fields)
    assert "09:00" not in starts(await ask(ours))
    assert "09:00" in starts(await ask(ours, blocking={kind: False}))


async def test_being_out_of_office_blocks_unless_told_otherwise(house: House, ours: Tenant) -> None:
    away = make_event(ours.calendar.id, NOW, out_of_office=True)
    await add_events(house.services.storage, ours.app_id, away)
    assert "09:00" not in starts(await ask(ours))
    assert "09:00" in starts(await ask(ours, blocking={"outOfOffice": False}))


async def test_capacity_is_how_many_may_take_the_same_time(ours: Tenant) -> None:
    await ours.create(NOW)
    assert "09:00" in starts(await ask(ours, capacity=2))
    await ours.create(NOW)
    assert "09:00" not in starts(await ask(ours, capacity=2))


async def test_roles_are_all_any_or_a_round_robin_and_may_be_mixed(house: House, ours: Tenant) -> None:
    ada = str(ours.resource.id)
    bob, bobs = await add_person(house, "Bob")
    eve, eves = await add_person(house, "Eve")
    await ours.create(NOW, 2 * HOUR, calendarId=bobs)
    await ours.create(NOW + HOUR, HOUR, calendarId=eves)
    window = {"from": at(NOW), "to": at(NOW + 3 * HOUR)}
    everybody = [{"resourceIds": [ada, bob, eve]}]
    assert starts(await ask(ours, **window, roles=everybody)) == ["11:00"]
    some = [{"resourceIds": [bob, eve], "need": "ANY"}]
    assert starts(await ask(ours, **window, roles=some)) == ["09:00", "11:00"]
    mixed = [{"resourceIds": [ada]}, {"resourceIds": [bob, eve], "need": "ROUND_ROBIN"}]
    answer = await ask(ours, **window, roles=mixed)
    assert [each["roles"] for each in answer["slots"]] == [
        [{"freeIds": [ada], "chosenIds": []}, {"freeIds": [eve], "chosenIds": [eve]}],
        [{"freeIds": [ada], "chosenIds": []}, {"freeIds": [bob, eve], "chosenIds": [eve]}],
    ]


async def test_rules_obey_each_resources_own_clock(house: House, ours: Tenant) -> None:
    york, _ = await add_person(house, "York", "America/New_York")
    roles = [{"resourceIds": [str(ours.resource.id), york]}]
    answer = await ask(ours, roles=roles, rule=OFFICE)
    assert starts(answer) == ["15:00", "16:00"]  # 09:00 and 10:00 in New York
    assert starts(await ask(ours, roles=roles, rule=OFFICE, timeZone="America/New_York")) == ["09:00", "10:00"]


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        ("2026-03-29", ["00:00", "01:00", "03:00"]),  # 02:00 is skipped
        ("2026-10-25", ["00:00", "01:00", "02:00", "02:00", "03:00"]),  # it comes twice
        ("2026-05-03", ["00:00", "01:00", "02:00", "03:00"]),
    ],
)
async def test_the_nights_when_clocks_change_have_their_own_hours(ours: Tenant, day: str, slots: list[str]) -> None:
    night = datetime.fromisoformat(day).replace(tzinfo=zone(BERLIN))
    window = {"from": at(night), "to": at(night + 12 * HOUR)}
    answer = await ask(ours, **window, rule={"allowHours": {"start": "00:00", "end": "04:00"}}, explain=True)
    past = [each["start"][11:16] for each in answer["refused"] if kinds(each) == ["NoticeReason"]]
    assert starts(answer) + past == slots


RULES: list[tuple[dict[str, Any], list[str]]] = [
    ({"allowDay": "MONDAY"}, ["09", "10", "11"]),
    ({"blockDay": "MONDAY"}, []),
    ({"blockDay": "TUESDAY"}, ["09", "10", "11"]),
    ({"allowDayAndTime": {"day": "MONDAY", "start": "10:00", "end": "12:00"}}, ["10", "11"]),
    ({"blockDayAndTime": {"day": "MONDAY", "start": "10:00", "end": "11:00"}}, ["09", "11"]),
    ({"allowHours": {"start": "11:00", "end": "24:00"}}, ["11"]),
    ({"blockHours": {"start": "22:00", "end": "10:00"}}, ["10", "11"]),
    ({"allowPeriod": {"start": at(NOW), "end": at(NOW + HOUR)}}, ["09"]),
    ({"blockPeriod": {"start": at(NOW), "end": at(NOW + HOUR)}}, ["10", "11"]),
    ({"allowWeekdays": True}, ["09", "10", "11"]),
    ({"allowWeekdays": False}, []),
    ({"blockWeekdays": True}, []),
    ({"allowWeekends": True}, []),
    ({"blockWeekends": True}, ["09", "10", "11"]),
    ({"and": []}, ["09", "10", "11"]),
    ({"or": []}, []),
    ({"not": {"allowHours": {"start": "10:00", "end": "11:00"}}}, ["09", "11"]),
    ({"or": [{"allowHours": {"start": "09:00", "end": "10:00"}}, {"allowHours": {"start": "11:00", "end": "12:00"}}]},
     ["09", "11"]),
    ({"and": [{"allowHours": {"start": "09:00", "end": "11:00"}}, {"blockHours": {"start": "09:00", "end": "10:00"}}]},
     ["10"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "hours"), RULES)
async def test_every_rule_does_what_it_says_and_is_written_back_as_it_was_saved(
    ours: Tenant, rule: dict[str, Any], hours: list[str]
) -> None:
    answer = await ask(ours, rule=rule, **{"from": at(NOW), "to": at(NOW + 3 * HOUR)})
    assert [each[:2] for each in starts(answer)] == hours
    again = (await save(ours, rule=rule))["rule"]
    answer = await ask(ours, rule=again, **{"from": at(NOW), "to": at(NOW + 3 * HOUR)})
    assert [each[:2] for each in starts(answer)] == hours
    assert (await save(ours, rule=again))["rule"] == again


async def test_first_cuts_the_answer(ours: Tenant) -> None:
    assert len((await ask(ours, first=3, explain=True, minimumNotice="P2D"))["refused"]) == 3
    assert len((await ask(ours, first=3))["slots"]) == 3


# Why not


async def test_every_slot_is_offered_or_refused_with_its_reasons(house: House, ours: Tenant) -> None:
    busy = await ours.create(NOW + 2 * HOUR, what="Secret")
    series = make_event(ours.calendar.id, NOW + 4 * HOUR - 7 * DAY, recurrence=Recurrence("FREQ=WEEKLY"))
    await add_events(house.services.storage, ours.app_id, series)
    wanted = {"rule": OFFICE, "bufferAfter": "PT30M", "minimumNotice": "PT1H", "explain": True}
    answer = await ask(ours, **wanted)
    assert sorted(starts(answer) + starts(answer, "refused")) == [f"{hour:02}:00" for hour in range(24)]
    why = {each["start"][11:16]: each["reasons"] for each in answer["refused"]}
    assert [each["__typename"] for each in why["09:00"]] == ["NoticeReason"]
    assert why["09:00"][0]["earliest"] == "2026-05-04T08:00:00Z"
    [buffer] = why["10:00"]
    assert (buffer["__typename"], buffer["event"]["what"], buffer["start"]) == (
        "BufferReason",
        "Secret",
        busy["start"].replace("11:00:00+02:00", "09:00:00Z"),
    )
    [event] = why["11:00"]
    assert (event["__typename"], event["event"]["id"], event["status"]) == ("EventReason", busy["id"], "BUSY")
    [occurrence] = why["13:00"]
    assert moment(occurrence["event"]["start"]) == NOW + 4 * HOUR
    [rule] = why["18:00"]
    assert (rule["__typename"], rule["rule"]) == (
        "RuleReason",
        {"allowHours": {"start": "09:00:00", "end": "17:00:00"}},
    )
    assert all(each["resourceId"] == str(ours.resource.id) for reasons in why.values() for each in reasons)


async def test_a_key_that_may_not_read_learns_what_is_busy_and_not_what_it_is(house: House, ours: Tenant) -> None:
    await ours.create(NOW, what="Secret")
    narrow = replace(ours, api=await key_with(house, Scope.FREE_BUSY))
    answer = await ask(narrow, explain=True)
    assert starts(answer) == starts(await ask(ours))
    [reason] = next(each["reasons"] for each in answer["refused"] if each["start"][11:16] == "09:00")
    assert (reason["event"], reason["status"], reason["calendarId"]) == (None, "BUSY", str(ours.calendar.id))
    assert "Secret" not in str(answer)
    writer = await key_with(house, Scope.WRITE_EVENTS, Scope.MANAGE_CALENDARS, Scope.MANAGE_KEYS)
    wanted = {
        "roles": [{"resourceIds": [str(ours.resource.id)]}],
        "length": "PT1H",
        "from": at(NOW),
        "to": at(NOW + DAY),
    }
    fault = await writer.fault(ASK, input=wanted)
    assert fault["extensions"] == {"code": "FORBIDDEN", "scope": "FREE_BUSY"}


# What is stale


async def stale_calendar(house: House, policy: str) -> str:
    made = await house.ours.api.done(
        "createCalendar",
        input={
            "name": "Read", "provider": "sandbox", "resourceId": str(house.ours.resource.id), "stalePolicy": policy,
            "staleAfter": 600,
        },
    )  # fmt: skip
    house.clock.advance(timedelta(seconds=601))
    return str(made["calendar"]["id"])


async def test_a_stale_calendar_counts_as_it_says(house: House, ours: Tenant) -> None:
    stale = await stale_calendar(house, "TREAT_AS_BUSY")
    answer = await ask(ours, explain=True)
    assert answer["slots"] == []
    assert all("CalendarReason" in kinds(each) for each in answer["refused"])
    [known] = [each for each in answer["calendars"] if each["calendarId"] == stale]
    assert known == {
        "calendarId": stale,
        "syncedAt": "2026-05-04T07:00:00Z",
        "stale": True,
        "stalePolicy": "TREAT_AS_BUSY",
    }
    assert starts(await ask(ours, blocking={"ignoredCalendarIds": [stale]})) != []

    await ours.api.done("updateCalendar", id=stale, input={"stalePolicy": "TREAT_AS_FREE"})
    await ours.create(NOW + HOUR, calendarId=stale)
    free = starts(await ask(ours))
    assert "11:00" in free
    assert "10:00" not in free  # what is known counts all the same

    await ours.api.done("updateCalendar", id=stale, input={"stalePolicy": "FAIL"})
    wanted = {
        "roles": [{"resourceIds": [str(ours.resource.id)]}],
        "length": "PT1H",
        "from": at(NOW),
        "to": at(NOW + DAY),
    }
    fault = await ours.api.fault(ASK, input=wanted)
    assert fault["extensions"] == {"code": "CALENDAR_STALE", "calendarIds": [stale]}
    await house.worker.drain()
    assert starts(await ask(ours)) == free


async def test_nothing_is_booked_against_a_stale_calendar(house: House, ours: Tenant) -> None:
    await save(ours)
    for policy in ("FAIL", "TREAT_AS_BUSY"):
        stale = await stale_calendar(house, policy)
        [error] = (await book(ours, NOW + 3 * HOUR))["errors"]
        assert [each["calendarId"] for each in error["refused"][0]["reasons"]][-1] == stale
    await house.worker.drain()
    assert (await book(ours, NOW + 3 * HOUR))["errors"] == []


# Booking


async def test_what_is_offered_can_be_booked_and_what_is_refused_has_the_same_reasons(
    house: House, ours: Tenant
) -> None:
    await ours.create(NOW + 3 * HOUR)
    profile = {"rule": OFFICE, "bufferBefore": "PT30M", "bufferAfter": "PT15M", "minimumNotice": "PT90M", "capacity": 1}
    await save(ours, **profile)
    roles = [{"resourceIds": [str(ours.resource.id)], "profile": "Office"}]
    answer = await ask(ours, roles=roles, increment="PT30M", explain=True)
    assert answer["slots"]
    assert answer["refused"]
    for slot in answer["refused"]:
        [error] = (await book(ours, moment(slot["start"])))["errors"]
        assert (error["code"], error["path"], error["count"]) == ("NOT_AVAILABLE", ["input", "start"], 1)
        assert error["refused"][0]["reasons"] == slot["reasons"]
    before = await count_rows(house.database)
    for slot in answer["slots"]:
        payload = await book(ours, moment(slot["start"]))
        assert payload["errors"] == []
        await ours.api.done("deleteEvent", id=payload["event"]["id"])
    assert (await count_rows(house.database))["event"] == before["event"]


@pytest.mark.parametrize("wanted", [{"rule": {"blockHours": {"start": "13:00", "end": "14:00"}}}, {"capacity": 5}, {}])
async def test_conditions_beside_a_profile_only_take_away(ours: Tenant, wanted: dict[str, Any]) -> None:
    await ours.create(NOW + HOUR)
    await save(ours, rule=OFFICE, bufferBefore="PT5M", blocking={"tentative": False})
    roles = [{"resourceIds": [str(ours.resource.id)], "profile": "Office"}]
    alone = starts(await ask(ours, roles=roles))
    assert set(starts(await ask(ours, roles=roles, **wanted))) <= set(alone)
    assert starts(await ask(ours, roles=roles, rule=OFFICE, bufferBefore="PT1M")) == alone


async def test_of_40_concurrent_bookers_of_one_offered_slot_exactly_one_gets_it(house: House, ours: Tenant) -> None:
    await save(ours, rule=OFFICE)
    for number, slot in enumerate((await ask(ours, rule=OFFICE))["slots"][:5]):
        places = [str(ours.calendar.id), str(ours.sandbox.id)]  # one resource, whichever calendar it is booked in
        payloads = await asyncio.gather(
            *(book(ours, moment(slot["start"]), calendarId=places[each % 2]) for each in range(40))
        )
        ended = Counter("done" if each["event"] else each["errors"][0]["code"] for each in payloads)
        assert ended == {"done": 1, "NOT_AVAILABLE": 39}
        assert (await count_rows(house.database))["event"] == number + 1


async def test_as_many_get_a_slot_as_the_capacity_lets_in(house: House, ours: Tenant) -> None:
    await save(ours, capacity=3)
    payloads = await asyncio.gather(*(book(ours, NOW + HOUR) for _ in range(10)))
    assert sum(each["event"] is not None for each in payloads) == 3
    assert (await count_rows(house.database))["event"] == 3


async def test_a_batch_is_all_or_none_under_a_profile_and_its_events_see_each_other(ours: Tenant) -> None:
    await save(ours, bufferAfter="PT30M")
    first, second = (
        ours.event(NOW + number * HOUR, availabilityProfile="Office", onConflict="REJECT") for number in (1, 2)
    )
    errors = await ours.api.refused("createEvents", input={"events": [second, first]})
    assert problems(errors) == [("NotAvailableError", "NOT_AVAILABLE", "input.events.1.start")]


async def test_without_reject_the_profile_holds_all_the_same_and_warn_warns(ours: Tenant) -> None:
    other = await ours.create(NOW + HOUR, onConflict="ALLOW")
    await save(ours, capacity=2)
    assert [each["id"] for each in (await book(ours, NOW + HOUR, onConflict="WARN"))["conflicts"]] == [other["id"]]
    [error] = (await book(ours, NOW + HOUR, onConflict="ALLOW"))["errors"]
    assert error["code"] == "NOT_AVAILABLE"
    assert (await book(ours, NOW + HOUR, transparent=True))["errors"] == []


async def test_a_dry_run_asks_the_profile_too(house: House, ours: Tenant) -> None:
    await save(ours, rule=OFFICE)
    before = await count_rows(house.database)
    assert (await book(ours, NOW + 12 * HOUR, dryRun=True))["errors"][0]["code"] == "NOT_AVAILABLE"
    assert (await book(ours, NOW, dryRun=True))["errors"] == []
    assert await count_rows(house.database) == before


async def test_who_may_only_write_learns_that_it_is_taken_and_not_by_what(house: House, ours: Tenant) -> None:
    await ours.create(NOW + HOUR, what="Secret")
    await save(ours, rule=OFFICE)
    writer = replace(ours, api=await key_with(house, Scope.WRITE_EVENTS))
    [error] = (await book(writer, NOW + HOUR))["errors"]
    [reason] = error["refused"][0]["reasons"]
    hidden = ("calendarId", "start", "end", "status", "event")
    assert (reason["__typename"], [reason[each] for each in hidden]) == ("EventReason", [None] * 5)
    [error] = (await book(writer, NOW + 12 * HOUR))["errors"]
    assert [each["rule"] for each in error["refused"][0]["reasons"]] == [None]


async def test_a_profile_must_exist_to_be_booked_under(house: House, ours: Tenant) -> None:
    [error] = (await book(ours, NOW))["errors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "availabilityProfile"])
    alone = await add_calendar(house.services.storage, ours.app_id)
    [error] = (await book(ours, NOW, calendarId=str(alone.id)))["errors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "availabilityProfile"])


# Profiles


async def test_profiles_are_saved_replaced_listed_and_deleted(house: House, ours: Tenant) -> None:
    full = {
        "rule": OFFICE, "bufferBefore": "PT15M", "bufferAfter": "P1D", "minimumNotice": "P1W", "capacity": 7,
        "blocking": {"tentative": False, "ignoredCalendarIds": [str(ours.sandbox.id)]},
    }  # fmt: skip
    made = await save(ours, **full)
    assert (made["bufferBefore"], made["bufferAfter"], made["minimumNotice"]) == ("PT15M", "P1D", "P7D")
    assert made["blocking"] == {
        "allDay": True, "tentative": False, "outOfOffice": True, "ignoredCalendarIds": [str(ours.sandbox.id)]
    }  # fmt: skip
    house.clock.advance(HOUR)
    assert await save(ours, **full) == made  # nothing has changed
    changed = await save(ours)
    assert (changed["id"], changed["capacity"], changed["rule"]) == (made["id"], 1, {"and": []})
    assert changed["updatedAt"] != made["updatedAt"]
    other = await save(ours, name="Another")
    listed = (await ours.api.ask("resource", id=str(ours.resource.id)))["availabilityProfiles"]
    assert listed == [other, changed]
    assert (await ours.api.done("deleteAvailabilityProfile", id=other["id"]))["deletedId"] == other["id"]
    errors = await ours.api.refused("deleteAvailabilityProfile", id=other["id"])
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]


async def test_what_is_wrong_with_a_profile_comes_all_at_once(ours: Tenant, theirs: Tenant) -> None:
    given = {
        "resourceId": str(theirs.resource.id),
        "name": " ",
        "rule": {
            "and": [
                {"allowHours": {"start": "9", "end": "25:00"}},
                {"not": {"allowPeriod": {"start": "x", "end": at(NOW)}}},
            ]
        },
        "blocking": {"ignoredCalendarIds": [str(ours.calendar.id), str(theirs.calendar.id)]},
        "bufferBefore": "PT25H",
        "bufferAfter": "-PT1H",
        "minimumNotice": "P1Y",
        "capacity": 0,
    }
    errors = await ours.api.refused("saveAvailabilityProfile", input=given)
    assert problems(errors) == [
        ("InvalidInputError", "INVALID_VALUE", "input.name"),
        ("InvalidInputError", "INVALID_VALUE", "input.rule.and.0.allowHours.start"),
        ("InvalidInputError", "INVALID_VALUE", "input.rule.and.0.allowHours.end"),
        ("InvalidInputError", "INVALID_VALUE", "input.rule.and.1.not.allowPeriod.start"),
        ("InvalidInputError", "INVALID_VALUE", "input.bufferBefore"),
        ("InvalidInputError", "INVALID_VALUE", "input.bufferAfter"),
        ("InvalidInputError", "INVALID_VALUE", "input.minimumNotice"),
        ("InvalidInputError", "INVALID_VALUE", "input.capacity"),
        ("NotFoundError", "NOT_FOUND", "input.blocking.ignoredCalendarIds.1"),
        ("NotFoundError", "NOT_FOUND", "input.resourceId"),
    ]


@pytest.mark.parametrize("rule", [{"and": [{"allowWeekdays": True}] * 100}, None])
async def test_rules_have_a_size_and_a_depth(ours: Tenant, rule: dict[str, Any] | None) -> None:
    if rule is None:
        rule = {"allowWeekdays": True}
        for _ in range(8):
            rule = {"not": rule}
    given = {"resourceId": str(ours.resource.id), "name": "Office", "rule": rule}
    errors = await ours.api.refused("saveAvailabilityProfile", input=given)
    assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.rule")]


@pytest.mark.parametrize("rule", [{}, {"allowWeekdays": True, "blockDay": "MONDAY"}, {"allowDay": None}, {"and": None}])
async def test_a_rule_is_exactly_one_of_its_fields(ours: Tenant, rule: dict[str, Any]) -> None:
    given = {"resourceId": str(ours.resource.id), "name": "Office", "rule": rule}
    fault = await ours.api.fault(document("mutation", "saveAvailabilityProfile", ("input",), 1), input=given)
    assert fault["extensions"]["code"] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_a_resource_has_fifty_profiles_at_most(ours: Tenant) -> None:
    for number in range(50):
        await save(ours, name=f"Nr {number}")
    await save(ours, name="Nr 7", capacity=2)
    given = {"resourceId": str(ours.resource.id), "name": "One more"}
    errors = await ours.api.refused("saveAvailabilityProfile", input=given)
    assert problems(errors) == [("InUseError", "IN_USE", "input.resourceId")]


async def test_profiles_go_with_their_resource_and_are_for_those_who_manage(house: House, ours: Tenant) -> None:
    made = await ours.api.done("createResource", input={"name": "Room"})
    await save(ours, resourceId=made["resource"]["id"])
    await ours.api.done("deleteResource", id=made["resource"]["id"])
    assert (await count_rows(house.database))["profile"] == 0
    reader = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.FREE_BUSY)
    for mutation in (
        'saveAvailabilityProfile(input: {resourceId: "x", name: "y"})',
        'deleteAvailabilityProfile(id: "x")',
    ):
        fault = await reader.fault(f"mutation {{ {mutation} {{ errors {{ __typename }} }} }}")
        assert fault["extensions"]["scope"] == "MANAGE_CALENDARS"


# What cannot be asked


async def test_what_is_wrong_with_a_question_comes_all_at_once(ours: Tenant, theirs: Tenant) -> None:
    mine = str(ours.resource.id)
    assert await refusals(
        ours,
        roles=[{"resourceIds": [mine, str(theirs.resource.id), "x"], "profile": "None"}],
        length="PT0S",
        increment="P2D",
        timeZone="Mars",
        rule={"allowHours": {"start": "9", "end": "10:00"}},
        blocking={"ignoredCalendarIds": [str(uuid7())]},
        to="tomorrow",
        capacity=1_001,
    ) == [
        ("input.to", "INVALID_VALUE"),
        ("input.length", "INVALID_VALUE"),
        ("input.increment", "INVALID_VALUE"),
        ("input.timeZone", "UNKNOWN_TIME_ZONE"),
        ("input.rule.allowHours.start", "INVALID_VALUE"),
        ("input.capacity", "INVALID_VALUE"),
        ("input.roles.0.resourceIds.1", "NOT_FOUND"),
        ("input.roles.0.resourceIds.2", "NOT_FOUND"),
        ("input.roles.0.profile", "NOT_FOUND"),
        ("input.blocking.ignoredCalendarIds.0", "NOT_FOUND"),
    ]


async def test_roles_that_make_no_sense_are_refused(ours: Tenant) -> None:
    mine = str(ours.resource.id)
    one = {"resourceIds": [mine]}
    for roles, path in (
        ([], "input.roles"),
        ([{"resourceIds": []}], "input.roles.0.resourceIds"),
        ([{**one, "need": "ANY", "count": 2}], "input.roles.0.count"),
        ([{**one, "need": "ROUND_ROBIN", "count": 0}], "input.roles.0.count"),
        ([one, one], "input.roles"),
        ([{"resourceIds": [mine, mine]}], "input.roles"),
        ([{"resourceIds": [str(uuid7()) for _ in range(1_001)]}], "input.roles.resourceIds"),
        ([{"resourceIds": [str(uuid7())]} for _ in range(21)], "input.roles"),
    ):
        assert await refusals(ours, roles=roles) == [(path, "INVALID_VALUE")]
    assert await refusals(ours, to=at(MONDAY + 367 * DAY)) == [("input.to", "INVALID_VALUE")]
    assert await refusals(ours, to=at(MONDAY)) == [("input.to", "INVALID_VALUE")]


@pytest.mark.parametrize("first", [0, -1, 2_001])
async def test_first_has_its_bounds(ours: Tenant, first: int) -> None:
    wanted = {
        "roles": [{"resourceIds": [str(ours.resource.id)]}],
        "length": "PT1H",
        "from": at(NOW),
        "to": at(NOW + DAY),
    }
    response = await ours.api.post(ASK, input=wanted, first=first)
    assert {each["extensions"]["argument"] for each in response.json()["errors"]} == {"first"}


async def test_many_people_cost_as_many_statements_as_one(house: House, ours: Tenant) -> None:
    people = [await add_person(house, f"Nr {number}") for number in range(30)]
    for number, (_, calendar) in enumerate(people):
        await ours.create(NOW + number * HOUR, calendarId=calendar)
    counts = []
    for some in (people[:1], people):
        roles = [{"resourceIds": [each for each, _ in some]}]
        with recorded(house.database) as statements:
            answer = await ask(ours, roles=roles, explain=True, **{"from": at(NOW), "to": at(NOW + 40 * HOUR)})
        assert len(answer["slots"]) == 40 - len(some)
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_long_window_with_small_steps_is_answered_in_pieces(ours: Tenant) -> None:
    window = {"from": at(NOW), "to": at(NOW + 366 * DAY)}
    answer = await ask(
        ours, first=2_000, increment="PT1M", length="PT1M", explain=True, minimumNotice="P365D", **window
    )
    assert len(answer["slots"]) == 1_440
    assert len(answer["refused"]) == 2_000
    last = moment(answer["refused"][-1]["start"])
    assert last == NOW + 1_999 * MINUTE


async def test_an_ordinary_question_stays_within_the_limits(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock, limit_cost=5_000, limit_fields=1_000, limit_tokens=2_000)
    wanted = {"roles": [{"resourceIds": [str(house.ours.resource.id)]}], "length": "PT1H", "explain": True}
    window = {"from": at(NOW), "to": at(NOW + 7 * DAY)}
    document = ASK.replace("(first: $first)", "").replace(", $first: Int! = 500", "")
    answer = (await house.ours.api.run(document, input=wanted | window))["availability"]
    assert (len(answer["slots"]), answer["refused"]) == (50, [])
