from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from storage.changes import CHANGES, Operation
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import NOW, abandoned, add_calendar, make_event, recorded

pytestmark = pytest.mark.anyio


async def logged(storage: Storage, app_id: UUID) -> list[Any]:
    async with storage.reading(app_id) as work:
        query = select(CHANGES).where(*work.changes.mine(CHANGES)).order_by(CHANGES.c.transaction, CHANGES.c.id)
        return list(await work.changes.rows(query))


async def test_changes_are_noted_in_the_order_in_which_they_happen(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    events = [make_event(calendar.id) for _ in range(3)]
    async with storage.writing(app_id) as work:
        await work.changes.note("calendar", calendar.id, Operation.CREATED, origin="key:1", at=NOW)
        await work.changes.note_events(events, Operation.CREATED, "key:1")
    async with storage.writing(app_id) as work:
        await work.changes.note_events([events[0].deleted(NOW)], Operation.DELETED, "sync")
        await work.changes.note_events([], Operation.DELETED, "sync")
    rows = [(row.kind, row.subject_id, row.version, row.operation, row.origin) for row in await logged(storage, app_id)]
    assert rows == [
        ("calendar", calendar.id, 0, "CREATED", "key:1"),
        *(("event", each.id, 1, "CREATED", "key:1") for each in events),
        ("event", events[0].id, 2, "DELETED", "sync"),
    ]
    assert {row.calendar_id for row in await logged(storage, app_id)} == {calendar.id}


async def test_a_change_that_is_rolled_back_is_not_noted(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    async with abandoned(storage, app_id) as work:
        await work.changes.note_events([make_event(calendar.id)], Operation.CREATED, "key:1")
    assert await logged(storage, app_id) == []


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_the_changes_of_one_transaction_have_its_number(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    for _ in range(2):
        async with storage.writing(app_id) as work:
            await work.changes.note_events([make_event(calendar.id) for _ in range(3)], Operation.CREATED, "key:1")
    numbers = [row.transaction for row in await logged(storage, app_id)]
    assert numbers == sorted(numbers)
    assert [numbers.count(each) for each in sorted(set(numbers))] == [3, 3]


async def test_many_changes_are_noted_at_once(database: Database, storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    sent: list[int] = []
    for number in (1, 50):
        with recorded(database) as statements:
            async with storage.writing(app_id) as work:
                events = [make_event(calendar.id) for _ in range(number)]
                await work.changes.note_events(events, Operation.CREATED, "key:1")
        sent.append(len(statements))
    assert sent[0] == sent[1]
