import asyncio
from random import Random
from uuid import UUID

import pytest

from kalends.domain.time import TimeSpan
from storage.unit_of_work import Storage
from tests.helpers import DAY, NOW, add_calendar, make_event, make_span, until_somebody_waits

pytestmark = pytest.mark.anyio


async def book(storage: Storage, app_id: UUID, calendar_id: UUID, span: TimeSpan) -> bool:
    async with storage.writing(app_id) as work:
        await work.calendars.book([calendar_id], alone=True)
        if await work.events.in_the_way(calendar_id, span):
            return False
        await work.events.add([make_event(calendar_id, span.start)])
        return True


async def test_of_40_concurrent_bookers_of_one_slot_one_gets_it(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    for rounds in range(1, 4):
        span = make_span(NOW + rounds * DAY)
        won = await asyncio.gather(*(book(storage, app_id, calendar.id, span) for _ in range(40)))
        assert sum(won) == 1
        async with storage.reading(app_id) as work:
            assert await work.events.count_in(calendar.id) == rounds


async def test_a_booker_waits_for_the_one_before_and_then_sees_its_event(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    async with storage.writing(app_id) as work:
        await work.calendars.book([calendar.id], alone=True)
        second = asyncio.create_task(book(storage, app_id, calendar.id, make_span()))
        await until_somebody_waits(storage.database)
        await work.events.add([make_event(calendar.id)])
    assert not await second


async def test_bookers_of_several_calendars_do_not_block_each_other_for_ever(storage: Storage, app_id: UUID) -> None:
    calendars = [(await add_calendar(storage, app_id)).id for _ in range(5)]
    random = Random(3)

    async def several(ids: list[UUID]) -> int:
        async with storage.writing(app_id) as work:
            booked = await work.calendars.book(ids, alone=True)
            await work.events.add([make_event(each) for each in booked])
            return len(booked)

    choices = [random.sample(calendars, random.randint(2, 5)) for _ in range(30)]
    assert await asyncio.gather(*map(several, choices)) == [len(each) for each in choices]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_writers_who_do_not_book_do_not_wait_for_each_other(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    async with storage.writing(app_id) as one, storage.writing(app_id) as other:
        for work in (one, other):
            await work.calendars.book([calendar.id], alone=False)
            await work.events.add([make_event(calendar.id)])
