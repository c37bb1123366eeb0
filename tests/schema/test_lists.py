"""Lists: pages join without a gap or a repetition, in a stated order, also while rows come and go."""

from datetime import datetime
from typing import Any

import pytest

from kalends.domain.access import Scope
from tests.api import SLOT, House, Tenant, at, document, key_with, moment
from tests.helpers import DAY, HOUR

pytestmark = pytest.mark.anyio


def window(start: datetime = SLOT - DAY, end: datetime = SLOT + 100 * DAY) -> dict[str, Any]:
    return {"from": at(start), "to": at(end)}


async def pages(ours: Tenant, field: str, first: int, **arguments: Any) -> list[list[str]]:
    """Walk a list to its end and return the ids, page by page."""
    found: list[list[str]] = []
    after: dict[str, Any] = {}
    while True:
        page = await ours.api.ask(field, depth=2, first=first, **arguments, **after)
        info, edges = page["pageInfo"], page["edges"]
        found.append([edge["node"]["id"] for edge in edges])
        assert info["hasPreviousPage"] == bool(after)
        assert (info["startCursor"], info["endCursor"]) == (
            (edges[0]["cursor"], edges[-1]["cursor"]) if edges else (None, None)
        )
        if not info["hasNextPage"]:
            return found
        after = {"after": info["endCursor"]}


async def test_pages_of_events_join_in_order_of_start_and_id(ours: Tenant) -> None:
    starts = [SLOT + number % 4 * HOUR for number in range(11)]
    events = [ours.event(start, what=f"Nr {number}") for number, start in enumerate(starts)]
    created = (await ours.api.done("createEvents", input={"events": events}))["events"]
    ordered = [each["id"] for each in sorted(created, key=lambda each: (moment(each["start"]), each["id"]))]
    for first in (1, 3, 10, 11, 100):
        found = await pages(ours, "events", first, **window())
        assert [each for page in found for each in page] == ordered
        assert [len(page) for page in found[:-1]] == [first] * (len(found) - 1)


async def test_pages_of_calendars_resources_and_accounts_join_in_order_of_creation(ours: Tenant) -> None:
    calendars, resources = [str(ours.calendar.id), str(ours.sandbox.id)], [str(ours.resource.id)]
    for number in range(5):
        made = await ours.api.done("createCalendar", input={"name": f"Nr {number}"})
        calendars.append(made["calendar"]["id"])
        owned = await ours.api.done("createResource", input={"name": f"Nr {number}"})
        resources.append(owned["resource"]["id"])
    for field, ids in (("calendars", calendars), ("resources", resources)):
        for first in (1, 3, 50):
            assert [each for page in await pages(ours, field, first) for each in page] == ids
    accounts = [str(ours.account.id)]
    for resource_id in resources[1:]:
        wanted = {"name": "There", "provider": "sandbox", "resourceId": resource_id}
        made = await ours.api.done("createCalendar", input=wanted)
        accounts.append(made["calendar"]["account"]["id"])
    for first in (1, 3, 50):
        assert [each for page in await pages(ours, "accounts", first) for each in page] == accounts
    assert await pages(ours, "accounts", 50, resourceId=str(ours.resource.id)) == [accounts[:1]]
    assert await pages(ours, "accounts", 50, resourceId="nobody") == [[]]
    of_ada = await pages(ours, "calendars", 50, resourceId=str(ours.resource.id))
    assert of_ada == [[str(ours.calendar.id), str(ours.sandbox.id)]]


async def test_a_page_holds_its_place_while_events_come_and_go(ours: Tenant) -> None:
    events = [ours.event(SLOT + number * HOUR, what=f"Nr {number}") for number in range(6)]
    created = (await ours.api.done("createEvents", input={"events": events}))["events"]
    cursor = (await ours.api.ask("events", first=3, **window()))["pageInfo"]["endCursor"]
    await ours.create(SLOT - HOUR, what="Before")
    await ours.create(SLOT + 4 * HOUR + HOUR / 2, what="After")
    for gone in created[1:4]:
        await ours.api.done("deleteEvent", id=gone["id"])
    rest = await ours.api.ask("events", after=cursor, **window())
    assert [edge["node"]["what"] for edge in rest["edges"]] == ["Nr 4", "After", "Nr 5"]


async def test_a_list_has_50_items_where_nobody_says_otherwise(ours: Tenant) -> None:
    events = [ours.event(SLOT + number * HOUR) for number in range(51)]
    await ours.api.done("createEvents", depth=1, input={"events": events})
    page = await ours.api.ask("events", depth=2, **window())
    assert (len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (50, True)


async def test_the_window_holds_what_shares_any_time_with_it(ours: Tenant) -> None:
    await ours.create(SLOT - 30 * DAY, 60 * DAY, what="Long")
    await ours.create(SLOT - HOUR, what="Ends when it begins")
    await ours.create(SLOT - HOUR / 2, what="Reaches in")
    await ours.create(SLOT, what="Inside")
    await ours.create(SLOT + HOUR / 2, what="Reaches out")
    await ours.create(SLOT + HOUR, what="Begins when it ends")
    page = await ours.api.ask("events", **window(SLOT, SLOT + HOUR))
    assert [edge["node"]["what"] for edge in page["edges"]] == ["Long", "Reaches in", "Inside", "Reaches out"]


async def test_cancelled_events_are_listed_on_request_and_deleted_ones_never(ours: Tenant) -> None:
    kept, cancelled, deleted = [await ours.create(SLOT + number * HOUR) for number in range(3)]
    await ours.api.done("cancelEvent", id=cancelled["id"])
    await ours.api.done("deleteEvent", id=deleted["id"])
    assert await pages(ours, "events", 50, **window()) == [[kept["id"]]]
    assert await pages(ours, "events", 50, includeCancelled=True, **window()) == [[kept["id"], cancelled["id"]]]


async def test_events_can_be_asked_for_by_calendar(house: House, ours: Tenant, theirs: Tenant) -> None:
    local, remote = await ours.create(), await ours.create(calendarId=str(ours.sandbox.id))
    foreign = await theirs.create()
    places = {each: str(each) for each in (ours.calendar.id, ours.sandbox.id)}
    both = [local["id"], remote["id"]]
    for ids, found in (
        ([places[ours.calendar.id]], [local["id"]]),
        ([*places.values()], both),
        ([places[ours.sandbox.id].upper(), str(theirs.calendar.id), "no-uuid"], [remote["id"]]),
        ([str(theirs.calendar.id)], []),
        (["no-uuid"], []),
        ([], []),
        (None, both),
    ):
        assert await pages(ours, "events", 50, calendarIds=ids, **window()) == [found]
    assert await pages(theirs, "events", 50, **window()) == [[foreign["id"]]]


async def test_an_empty_list_has_no_cursor(ours: Tenant) -> None:
    assert await pages(ours, "events", 50, **window()) == [[]]
    assert await pages(ours, "calendars", 50, resourceId="no-uuid") == [[]]


async def test_reading_needs_the_scope_of_readers(house: House, ours: Tenant) -> None:
    blind = await key_with(house, Scope.WRITE_EVENTS, Scope.MANAGE_CALENDARS, Scope.MANAGE_KEYS)
    one = {"id": str(ours.calendar.id)}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("events", window()),
        ("calendars", {}),
        ("resources", {}),
        ("event", one),
        ("calendar", one),
        ("resource", one),
    ]
    for field, arguments in calls:
        error = await blind.fault(document("query", field, tuple(arguments), 0 if arguments is one else 2), **arguments)
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": "READ"}
