"""A list costs as many SQL statements as one item, with everything that can be asked about its items."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from tests.api import SCHEMA, SLOT, House, at, document, selection
from tests.helpers import DAY, MINUTE, add_calendar, make_account, make_channel, make_resource, recorded

pytestmark = pytest.mark.anyio

MANY = 50
TRANSACTION = ("BEGIN", "SELECT set_config")


async def fill(house: House, count: int) -> dict[str, list[str]]:
    """Store so many resources, each with an account and two calendars that are read, one with a tangle of events."""
    ours, storage = house.ours, house.services.storage
    ids: dict[str, list[str]] = {"Resource": [], "Calendar": [], "Event": []}
    events = []
    for number in range(count):
        resource = make_resource(f"Nr {number}", email=f"nr-{number}@example.org")
        account = make_account(resource.id)
        async with storage.writing(ours.app_id) as work:
            await work.resources.add(resource)
            await work.accounts.add(account, resource.created_at)
        fields: dict[str, Any] = {"resource_id": resource.id, "provider": "sandbox", "account_id": account.id}
        calendars = [await add_calendar(storage, ours.app_id, **fields) for _ in range(2)]
        async with storage.writing(ours.app_id) as work:
            for calendar in calendars:
                await work.sources.open(calendar.id)
                await work.channels.add(make_channel(calendar.id))
        ids["Resource"].append(str(resource.id))
        ids["Calendar"].append(str(calendars[0].id))
        start = SLOT + number * MINUTE
        events += [ours.event(start, what=what, calendarId=str(calendars[0].id)) for what in ("One", "Other")]
    for first in range(0, len(events), MANY):
        payload = await ours.api.done("createEvents", depth=1, input={"events": events[first : first + MANY]})
        ids["Event"] += [each["id"] for each in payload["events"] if each["what"] == "One"]
    return ids


async def count(house: House, ask: Callable[[], Awaitable[Any]]) -> list[str]:
    """Return the statements that a question costs, but for those that begin a transaction."""
    with recorded(house.database) as statements:
        await ask()
    return [text for text, _ in statements if not text.startswith(TRANSACTION)]


@pytest.mark.parametrize("field", ["events", "calendars", "resources", "accounts"])
async def test_a_list_costs_as_many_statements_as_one_item(house: House, field: str) -> None:
    ids = await fill(house, MANY)
    arguments: dict[str, Any] = {"from": at(SLOT - DAY), "to": at(SLOT + DAY)} if field == "events" else {}
    query = document("query", field, (*arguments, "first"), 5)
    lengths = []

    async def ask(first: int) -> None:
        data = await house.ours.api.run(query, first=first, **arguments)
        lengths.append(len(data[field]["edges"]))

    await ask(1)
    one, many = [await count(house, lambda first=first: ask(first)) for first in (1, MANY)]  # type: ignore[misc]
    assert lengths == [1, 1, MANY]
    assert len(many) <= len(one)  # one item may take more turns to find out what many have found out already
    assert len(ids["Event"]) == MANY


@pytest.mark.parametrize("kind", ["Event", "Calendar", "Resource"])
async def test_entities_cost_as_many_statements_as_one(house: House, kind: str) -> None:
    ids = (await fill(house, MANY))[kind]
    query = (
        f"query ($them: [_Any!]!) {{ _entities(representations: $them) {selection(SCHEMA.type_map['_Entity'], 3)} }}"
    )
    found: list[int] = []

    async def ask(number: int) -> None:
        them = [{"__typename": kind, "id": each} for each in ids[:number]]
        data = await house.ours.api.run(query, them=them)
        found.append(len([each for each in data["_entities"] if each]))

    await ask(1)
    one, many = [await count(house, lambda number=number: ask(number)) for number in (1, MANY)]  # type: ignore[misc]
    assert found == [1, 1, MANY]
    assert len(many) <= len(one)  # one item may take more turns to find out what many have found out already


async def test_entities_of_one_kind_are_loaded_in_one_statement(house: House) -> None:
    ids = (await fill(house, 5))["Event"]
    them = [{"__typename": "Event", "id": each} for each in ids]
    query = "query ($them: [_Any!]!) { _entities(representations: $them) { ... on Event { id what } } }"
    await house.ours.api.run(query, them=them)  # the key is read once a second
    statements = await count(house, lambda: house.ours.api.run(query, them=them))
    [only] = statements
    assert "FROM event" in only
    assert all(UUID(each) for each in ids)
