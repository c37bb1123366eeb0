"""Series over the API: how they repeat, one time of them, those from one on, and all."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.api import SLOT, House, Tenant, at, count_rows, dump, moment, problems
from tests.helpers import DAY, HOUR, WEEK

pytestmark = pytest.mark.anyio

DAILY = {"rule": "FREQ=DAILY;COUNT=10"}
WINDOW: dict[str, Any] = {"from": at(SLOT - 30 * DAY), "to": at(SLOT + 300 * DAY)}
TIMES = """query ($id: ID!, $from: DateTime!, $to: DateTime!) {
  event(id: $id) { occurrences(from: $from, to: $to, first: 100) { id start end what status seriesId recurrenceId } }
}"""


async def times(ours: Tenant, event: dict[str, Any], **window: Any) -> list[dict[str, Any]]:
    found = await ours.api.run(TIMES, id=event["id"], **(WINDOW | window))
    return list(found["event"]["occurrences"])


async def days(ours: Tenant, event: dict[str, Any]) -> list[float]:
    """Return how many days after the first slot a series takes place."""
    return [(moment(each["start"]) - SLOT) / DAY for each in await times(ours, event)]


async def occurrence(ours: Tenant, event: dict[str, Any], number: int) -> dict[str, Any]:
    return (await times(ours, event))[number]


# Creating


async def test_a_series_takes_place_as_its_rule_says(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY | {"rdates": [at(SLOT + 20 * DAY)], "exdates": [at(SLOT + 3 * DAY)]})
    assert series["recurrence"]["rule"] == "FREQ=DAILY;COUNT=10"
    assert [moment(each) for each in series["recurrence"]["exdates"]] == [SLOT + 3 * DAY]
    assert await days(ours, series) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 20]
    first = await occurrence(ours, series, 1)
    assert (first["seriesId"], moment(first["recurrenceId"])) == (series["id"], SLOT + DAY)


PATTERNS: list[tuple[dict[str, Any], str]] = [
    ({"frequency": "DAILY", "interval": 2}, "FREQ=DAILY;INTERVAL=2"),
    (
        {"frequency": "MONTHLY", "days": [{"day": "FRIDAY", "number": -1}, {"day": "MONDAY"}]},
        "FREQ=MONTHLY;BYDAY=-1FR,MO",
    ),
    (
        {"frequency": "YEARLY", "months": [2], "monthDays": [-1], "hours": [9]},
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1;BYHOUR=9",
    ),
    ({"frequency": "YEARLY", "weeks": [20], "weekStart": "SUNDAY"}, "FREQ=YEARLY;BYWEEKNO=20;WKST=SU"),
    ({"frequency": "YEARLY", "yearDays": [1, -1], "positions": [2]}, "FREQ=YEARLY;BYYEARDAY=1,-1;BYSETPOS=2"),
]


@pytest.mark.parametrize(("pattern", "rule"), PATTERNS)
async def test_a_pattern_becomes_a_rule(ours: Tenant, pattern: dict[str, Any], rule: str) -> None:
    series = await ours.create(recurrence={"pattern": pattern, "count": 4})
    assert series["recurrence"]["rule"] == rule + ";COUNT=4"


async def test_a_series_ends_with_its_last_moment_or_the_end_of_its_last_day(ours: Tenant) -> None:
    exact = await ours.create(recurrence={"rule": "FREQ=DAILY", "until": at(SLOT + 2 * DAY)})
    short = await ours.create(recurrence={"rule": "FREQ=DAILY", "until": at(SLOT + 2 * DAY - timedelta(seconds=1))})
    whole = await ours.create(recurrence={"rule": "FREQ=DAILY", "until": f"{SLOT + 2 * DAY:%Y-%m-%d}"})
    assert [len(await days(ours, each)) for each in (exact, short, whole)] == [3, 2, 3]


async def test_a_series_stays_at_its_wall_time_when_the_clocks_change(ours: Tenant) -> None:
    start = datetime(2026, 10, 23, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    series = await ours.create(start, timeZone="Europe/Berlin", recurrence={"rule": "FREQ=DAILY;COUNT=4"})
    found = await times(ours, series)
    assert [each["start"][10:] for each in found] == ["T09:00:00+02:00"] * 2 + ["T09:00:00+01:00"] * 2


async def test_whole_days_repeat_as_days(ours: Tenant) -> None:
    series = await ours.create(
        start="2026-05-01",
        end="2026-05-02",
        allDay=True,
        recurrence={"rule": "FREQ=WEEKLY", "until": "2026-05-22", "exdates": ["2026-05-08"]},
    )
    assert series["recurrence"]["rule"] == "FREQ=WEEKLY;UNTIL=20260522"
    window = {"from": "2026-04-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}
    assert [each["id"][-15:] for each in await times(ours, series, **window)] == [
        f"202605{day}T000000" for day in ("01", "15", "22")
    ]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "rule"),
    ({"rule": "FREQ=SECONDLY"}, "rule"),
    ({"rule": "FREQ=MINUTELY;INTERVAL=90"}, "rule"),
    ({"rule": ""}, "rule"),
    ({"rule": "FREQ=DAILY;" * 200}, "rule"),
    ({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "rule"),
    ({"rule": "FREQ=DAILY", "pattern": {"frequency": "DAILY"}}, "pattern"),
    ({"pattern": {"frequency": "DAILY", "interval": 0}}, "pattern"),
    ({"pattern": {"frequency": "MONTHLY", "monthDays": [32]}}, "pattern"),
    ({"pattern": {"frequency": "MONTHLY", "days": [{"day": "MONDAY", "number": 6}]}}, "pattern"),
    ({"rule": "FREQ=DAILY;COUNT=3", "count": 4}, "count"),
    ({"rule": "FREQ=DAILY;COUNT=3", "until": at(SLOT)}, "until"),
    ({"rule": "FREQ=DAILY", "count": 0}, "count"),
    ({"rule": "FREQ=DAILY", "count": 10**6}, "count"),
    ({"rule": "FREQ=DAILY", "until": "tomorrow"}, "until"),
    ({"count": 3}, "count"),
    ({"rule": "FREQ=DAILY", "rdates": ["2026-05-01"]}, "rdates.0"),
    ({"rule": "FREQ=DAILY", "exdates": [at(SLOT), "yesterday"]}, "exdates.1"),
    ({"rule": "FREQ=DAILY;COUNT=2", "exdates": [at(SLOT), at(SLOT + DAY)]}, "exdates"),
    ({"rule": "FREQ=DAILY", "exdates": [at(SLOT + day * DAY) for day in range(1001)]}, "exdates"),
]


@pytest.mark.parametrize(("recurrence", "path"), BAD)
async def test_a_recurrence_that_makes_no_sense_is_refused_with_its_path(
    house: House, ours: Tenant, recurrence: dict[str, Any], path: str
) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("createEvent", input=ours.event(recurrence=recurrence))
    codes = {"rdates.0": "TIME_EXPECTED"}
    assert problems(errors) == [("InvalidInputError", codes.get(path, "INVALID_VALUE"), f"input.recurrence.{path}")]
    assert await dump(house.database) == before


# Changing one time


async def test_one_time_changes_and_the_others_stay(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    second = await occurrence(ours, series, 1)
    moved = await ours.update(second, what="Elsewhere", start=at(SLOT + DAY + HOUR), end=at(SLOT + DAY + 2 * HOUR))
    assert (moved["id"], moved["what"], moment(moved["start"])) == (second["id"], "Elsewhere", SLOT + DAY + HOUR)
    assert (moved["seriesId"], moved["version"]) == (series["id"], 2)
    assert [each["what"] for each in await times(ours, series)] == ["Planning", "Elsewhere"] + ["Planning"] * 8
    assert (await ours.event_now(second))["what"] == "Elsewhere"


async def test_one_time_is_cancelled_answered_and_deleted_alone(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    found = await times(ours, series)
    cancelled = (await ours.api.done("cancelEvent", id=found[1]["id"]))["event"]
    assert (cancelled["status"], cancelled["id"]) == ("CANCELLED", found[1]["id"])
    declined = (await ours.api.done("respondToEvent", id=found[2]["id"], rsvp="DECLINED"))["event"]
    assert (declined["myRsvp"], declined["id"]) == ("DECLINED", found[2]["id"])
    payload = await ours.api.done("deleteEvent", id=found[3]["id"])
    assert (payload["deletedId"], payload["series"]["id"]) == (found[3]["id"], series["id"])
    assert await ours.api.ask("event", id=found[3]["id"]) is None
    assert await days(ours, series) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (await ours.event_now(series))["status"] == "CONFIRMED"
    assert problems(await ours.api.refused("deleteEvent", id=found[3]["id"])) == [("NotFoundError", "NOT_FOUND", "id")]


async def test_a_series_whose_last_time_is_deleted_is_gone(house: House, ours: Tenant) -> None:
    series = await ours.create(recurrence={"rule": "FREQ=DAILY;COUNT=2"})
    for each in await times(ours, series):
        payload = await ours.api.done("deleteEvent", id=each["id"])
    assert payload["series"] is None
    assert await ours.api.ask("event", id=series["id"]) is None
    assert (await count_rows(house.database))["event"] == 0


# From one time on


async def test_from_one_time_on_a_series_goes_on_as_another(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    fifth = await occurrence(ours, series, 4)
    payload = await ours.api.done(
        "updateEvent", id=fifth["id"], input={"scope": "THIS_AND_FOLLOWING", "what": "Review", "myRsvp": "TENTATIVE"}
    )
    later, earlier = payload["event"], payload["earlier"]
    assert (earlier["id"], later["what"], later["version"]) == (series["id"], "Review", 1)
    assert later["id"] != series["id"]
    assert (await days(ours, earlier), await days(ours, later)) == ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    assert {each["what"] for each in await times(ours, earlier)} == {"Planning"}
    page = await ours.api.ask("events", **WINDOW, expand=True)
    assert len(page["edges"]) == 10


async def test_a_change_from_the_first_time_on_is_one_of_all(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    first = await occurrence(ours, series, 0)
    payload = await ours.api.done(
        "updateEvent", id=first["id"], input={"scope": "THIS_AND_FOLLOWING", "what": "Review"}
    )
    assert (payload["event"]["id"], payload["earlier"], payload["event"]["what"]) == (series["id"], None, "Review")


async def test_from_one_time_on_a_series_is_deleted_or_cancelled(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    sixth = await occurrence(ours, series, 5)
    payload = await ours.api.done("deleteEvent", id=sixth["id"], scope="THIS_AND_FOLLOWING")
    assert payload["series"]["recurrence"]["rule"].startswith("FREQ=DAILY;UNTIL=")
    assert await days(ours, series) == [0, 1, 2, 3, 4]
    fourth = await occurrence(ours, series, 3)
    payload = await ours.api.done("cancelEvent", id=fourth["id"], scope="THIS_AND_FOLLOWING")
    assert (payload["event"]["status"], payload["earlier"]["status"]) == ("CANCELLED", "CONFIRMED")
    assert await days(ours, payload["event"]) == [3, 4]


# All of it


async def test_a_move_of_one_time_can_move_all(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY | {"exdates": [at(SLOT + 2 * DAY)]})
    own = await occurrence(ours, series, 4)
    await ours.update(own, what="Its own")
    third = await occurrence(ours, series, 1)
    payload = await ours.api.done(
        "updateEvent",
        id=third["id"],
        input={"scope": "ALL", "start": at(SLOT + DAY + HOUR), "end": at(SLOT + DAY + 3 * HOUR), "where": "Room 9"},
    )
    assert payload["event"]["id"] == series["id"]
    found = await times(ours, series)
    assert [(moment(each["start"]) - SLOT - HOUR) / DAY for each in found] == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert {moment(each["end"]) - moment(each["start"]) for each in found} == {2 * HOUR}
    assert [each["what"] for each in found].count("Its own") == 1
    assert (await ours.event_now(found[4]))["where"] == "Room 9"


async def test_a_series_repeats_otherwise_or_no_more(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    weekly = await ours.update(series, recurrence={"pattern": {"frequency": "WEEKLY"}, "count": 3})
    assert await days(ours, weekly) == [0, 7, 14]
    single = await ours.update(series, recurrence=None)
    assert (single["recurrence"], await days(ours, single)) == (None, [0])
    again = await ours.update(series, recurrence={"rdates": [at(SLOT + WEEK)]})
    assert await days(ours, again) == [0, 7]


async def test_all_of_a_series_is_deleted_or_cancelled_by_any_of_its_times(house: House, ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY)
    await ours.update(await occurrence(ours, series, 3), what="Its own")
    payload = await ours.api.done("cancelEvent", id=(await occurrence(ours, series, 2))["id"], scope="ALL")
    assert payload["event"]["id"] == series["id"]
    assert {each["status"] for each in await times(ours, series)} == {"CANCELLED"}
    assert (await ours.api.ask("events", **WINDOW, expand=True))["edges"] == []
    payload = await ours.api.done("deleteEvent", id=(await occurrence(ours, series, 2))["id"], scope="ALL")
    assert payload["series"] is None
    assert (await count_rows(house.database))["event"] == 0


async def test_what_cannot_be_done_with_a_series_is_refused(house: House, ours: Tenant) -> None:
    series, single = await ours.create(recurrence=DAILY), await ours.create()
    second = await occurrence(ours, series, 1)
    before = await dump(house.database)
    for event in (series, single):
        for scope in ("THIS", "THIS_AND_FOLLOWING"):
            errors = await ours.api.refused("updateEvent", id=event["id"], input={"scope": scope, "what": "x"})
            assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.scope")]
            errors = await ours.api.refused("deleteEvent", id=event["id"], scope=scope)
            assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "scope")]
    errors = await ours.api.refused("updateEvent", id=second["id"], input={"recurrence": DAILY})
    assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.recurrence")]
    for wrong in (
        f"{single['id']}_20260501T090000",
        f"{series['id']}_20260501T0900",
        f"{series['id']}_19700101T000000",
    ):
        errors = await ours.api.refused("updateEvent", id=wrong, input={"what": "x"})
        assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]
    errors = await ours.api.refused("updateEvent", id=second["id"], input={"what": "x", "expectedVersion": 9})
    assert problems(errors) == [("StaleVersionError", "STALE_VERSION", "input.expectedVersion")]
    assert await dump(house.database) == before


# Lists


async def test_a_list_shows_series_or_their_times_page_by_page(ours: Tenant) -> None:
    series, single = await ours.create(recurrence=DAILY), await ours.create(SLOT + 3 * DAY + HOUR)
    page = await ours.api.ask("events", **WINDOW)
    assert [edge["node"]["id"] for edge in page["edges"]] == [series["id"], single["id"]]
    found: list[str] = []
    after = None
    while True:
        page = await ours.api.ask("events", **WINDOW, expand=True, first=3, after=after)
        found += [edge["node"]["start"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    expected = sorted([SLOT + 3 * DAY + HOUR, *(SLOT + day * DAY for day in range(10))])
    assert [moment(each) for each in found] == expected


async def test_occurrences_are_counted_like_other_lists(ours: Tenant) -> None:
    series = await ours.create(recurrence={"rule": "FREQ=HOURLY"})
    query = TIMES.replace("first: 100", "first: %s")
    found = await ours.api.run(query % 7, id=series["id"], **WINDOW)
    assert len(found["event"]["occurrences"]) == 7
    for wrong in (0, 101):
        await ours.api.fault(query % wrong, id=series["id"], **WINDOW)


# Conflicts


async def test_a_series_is_refused_where_any_of_its_times_is_taken_and_told_how_it_would_fit(
    house: House, ours: Tenant
) -> None:
    first, second = await ours.create(SLOT + 2 * DAY), await ours.create(SLOT + 5 * DAY, 2 * HOUR)
    wanted = ours.event(recurrence=DAILY, onConflict="REJECT")
    before = await dump(house.database)
    [error] = await ours.api.refused("createEvent", input=wanted)
    assert (error["code"], error["path"]) == ("TIME_CONFLICT", ["input", "start"])
    assert [each["id"] for each in error["conflicts"]] == [first["id"], second["id"]]
    assert [moment(each) for each in error["exdates"]] == [SLOT + 2 * DAY, SLOT + 5 * DAY]
    assert await dump(house.database) == before

    fitting = wanted | {"recurrence": DAILY | {"exdates": error["exdates"]}}
    series = (await ours.api.done("createEvent", input=fitting))["event"]
    assert await days(ours, series) == [0, 1, 3, 4, 6, 7, 8, 9]


async def test_a_changed_series_is_guarded_at_its_new_times_only(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY, onConflict="REJECT")
    await ours.create(SLOT + 2 * DAY)  # booked over it, with ALLOW
    assert (await ours.update(series, what="Renamed"))["what"] == "Renamed"
    await ours.create(SLOT + 4 * DAY + HOUR)
    fifth = await occurrence(ours, series, 4)
    [error] = await ours.api.refused("updateEvent", id=fifth["id"], input={"end": at(SLOT + 4 * DAY + 2 * HOUR)})
    assert (error["code"], error["path"]) == ("TIME_CONFLICT", ["input", "start"])
    sixth = await occurrence(ours, series, 5)
    assert (await ours.update(sixth, end=at(SLOT + 5 * DAY + 2 * HOUR)))["id"] == sixth["id"]


async def test_a_series_that_is_split_is_not_in_its_own_way(ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY, onConflict="REJECT")
    fifth = await occurrence(ours, series, 4)
    half = at(SLOT + 4 * DAY + HOUR / 2)
    change = {"scope": "THIS_AND_FOLLOWING", "start": half, "end": at(SLOT + 4 * DAY + 3 * HOUR / 2)}
    payload = await ours.api.done("updateEvent", id=fifth["id"], input=change)
    assert payload["conflicts"] == []
    over = {"scope": "THIS_AND_FOLLOWING", "start": at(SLOT + 3 * DAY), "end": at(SLOT + 3 * DAY + HOUR)}
    seventh = await occurrence(ours, payload["event"], 2)
    [error] = await ours.api.refused("updateEvent", id=seventh["id"], input=over)
    assert {each["id"][:36] for each in error["conflicts"]} >= {series["id"]}


async def test_of_40_concurrent_bookers_of_one_time_of_a_series_exactly_one_gets_it(house: House, ours: Tenant) -> None:
    series = await ours.create(recurrence={"rule": "FREQ=WEEKLY"}, onConflict="REJECT")
    freed = (await times(ours, series))[3]
    await ours.api.done("deleteEvent", id=freed["id"])
    slot = moment(freed["start"])
    single = ours.event(slot, onConflict="REJECT")
    repeated = ours.event(slot, onConflict="REJECT", recurrence={"rule": "FREQ=DAILY;COUNT=3"})
    payloads = await asyncio.gather(
        *(ours.api.do("createEvent", input=each, depth=1) for each in (single, repeated) * 20)
    )
    won = [payload for payload in payloads if payload["event"]]
    assert len(won) == 1
    assert {error["code"] for payload in payloads for error in payload["errors"]} == {"TIME_CONFLICT"}
    assert (await count_rows(house.database))["event"] == 2


# Other tenants


async def test_the_series_of_another_tenant_is_not_there(ours: Tenant, theirs: Tenant) -> None:
    series = await theirs.create(recurrence=DAILY)
    second = (await times(theirs, series))[1]
    assert await ours.api.ask("event", id=second["id"]) is None
    for call, more in (("updateEvent", {"input": {"what": "x"}}), ("cancelEvent", {}), ("deleteEvent", {})):
        errors = await ours.api.refused(call, id=second["id"], **more)
        assert problems(errors) == [("NotFoundError", "NOT_FOUND", "id")]


# Dry runs


async def test_a_dry_run_says_what_would_be_done_and_writes_nothing(house: House, ours: Tenant) -> None:
    series = await ours.create(recurrence=DAILY, calendarId=str(ours.sandbox.id), participants=["bob@example.org"])
    single = await ours.create(onConflict="WARN")
    beside = await ours.create(SLOT + HOUR)
    found = await times(ours, series)
    before = await dump(house.database)

    longer = {"end": at(SLOT + 2 * HOUR), "dryRun": True}
    payload = await ours.api.done("updateEvent", id=single["id"], input=longer)
    assert (moment(payload["event"]["end"]), payload["event"]["version"]) == (SLOT + 2 * HOUR, 2)
    assert [each["id"] for each in payload["conflicts"]] == [beside["id"]]
    [run] = payload["dryRuns"]
    assert (run["provider"], run["payload"], run["mailed"]) == ("local", {}, [])
    assert [(moment(each["start"]), moment(each["end"])) for each in run["takes"]] == [(SLOT, SLOT + 2 * HOUR)]

    split = {"scope": "THIS_AND_FOLLOWING", "what": "Review", "invite": True, "dryRun": True}
    payload = await ours.api.done("updateEvent", id=found[4]["id"], input=split)
    assert payload["earlier"]["id"] == series["id"]
    assert [run["payload"]["summary"] for run in payload["dryRuns"]] == ["Planning", "Review"]
    assert [run["mailed"] for run in payload["dryRuns"]] == [[], ["bob@example.org"]]

    calls: list[tuple[str, dict[str, Any]]] = [("cancelEvent", {}), ("deleteEvent", {})]
    for call, more in (*calls, ("respondToEvent", {"rsvp": "DECLINED"})):
        for event in (single, series, found[2]):
            payload = await ours.api.done(call, id=event["id"], dryRun=True, **more)
            assert len(payload["dryRuns"]) == 1
            assert payload["dryRuns"][0]["takes"] == []
    payload = await ours.api.done("createEvents", input={"events": [ours.event(recurrence=DAILY)], "dryRun": True})
    assert len(payload["dryRuns"][0]["takes"]) == 10
    assert await dump(house.database) == before
