from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from kalends.domain.events import Attendee, ConflictPolicy, Event, EventPage, EventPosition, EventStatus, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.time import TimeSpan, When
from storage.engine import Database
from storage.events import MAX_CONFLICTS
from storage.unit_of_work import Storage
from tests.helpers import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    WEEK,
    add_calendar,
    add_events,
    make_days,
    make_event,
    make_span,
    make_when,
    recorded,
    refusing,
)

pytestmark = pytest.mark.anyio


def order(event: Event) -> tuple[datetime, UUID]:
    return event.when.span.start, event.id


def busy_month(calendars: Iterable[UUID], number: int = 240) -> list[Event]:
    """Return events from minutes to weeks long, many with equal starts, some of which block nothing."""
    random, calendar_ids = Random(7), list(calendars)
    durations = [MINUTE, 30 * MINUTE, HOUR, 23 * HOUR, DAY - MINUTE, DAY, DAY + MINUTE, 25 * HOUR, 3 * DAY, 2 * WEEK]
    kinds: list[dict[str, Any]] = [
        {},
        {},
        {},
        {"transparent": True},
        {"status": EventStatus.CANCELLED},
        {"status": EventStatus.TENTATIVE},
        {"partstat": Partstat.DECLINED},
    ]
    events = [
        make_event(
            random.choice(calendar_ids),
            NOW + random.randrange(0, 30 * 24, 6) * HOUR,
            random.choice(durations),
            deleted_at=NOW if random.random() < 0.1 else None,
            **random.choice(kinds),
        )
        for _ in range(number)
    ]
    random.shuffle(events)
    return events


def windows(number: int = 20) -> list[TimeSpan]:
    random = Random(11)
    sizes = [MINUTE, HOUR, 6 * HOUR, DAY, WEEK, 60 * DAY]
    return [make_span(NOW + random.randrange(-48, 32 * 24) * HOUR, random.choice(sizes)) for _ in range(number)]


# Round trips


@pytest.mark.parametrize(
    "when",
    [
        make_when(),
        make_when(NOW, 3 * WEEK, "Pacific/Apia"),
        make_when(datetime.fromisoformat("2026-10-25T00:30:00+00:00")),  # both hands of a fold
        make_when(datetime.fromisoformat("2026-10-25T01:30:00+00:00")),
        make_days(days=3),
        make_days(date(2018, 11, 4), tzid="America/Sao_Paulo"),
        make_when(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), tzid="UTC"),
    ],
)
async def test_the_time_of_an_event_comes_back_as_it_was_stored(storage: Storage, app_id: UUID, when: When) -> None:
    calendar = await add_calendar(storage, app_id)
    event = make_event(calendar.id, when=when)
    await add_events(storage, app_id, event)
    async with storage.reading(app_id) as work:
        assert await work.events.get(event.id) == event


async def test_every_field_of_an_event_comes_back_as_it_was_stored(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    event = replace(
        make_event(
            calendar.id,
            version=2**40,
            sequence=7,
            summary="Ünïcødé 🗓 " + "x" * 1000,
            location="'; DROP TABLE event; --",
            description="line\r\nline\t\u2028" + "🗓" * 30_000,
            attendees=(Attendee("ada@example.org", Partstat.TENTATIVE), Attendee('"@example.org')),
            partstat=Partstat.TENTATIVE,
            send_invitations=True,
            transparent=True,
            status=EventStatus.TENTATIVE,
            on_conflict=ConflictPolicy.REJECT,
            metadata={"crm": "42", "ключ": "значение", "": ""},
        ),
        updated_at=NOW + HOUR,
    )
    await add_events(storage, app_id, event)
    async with storage.reading(app_id) as work:
        assert await work.events.get(event.id) == event
        assert await work.events.with_tombstones([event.id]) == [event]


async def test_the_next_version_takes_the_place_of_the_last(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    event, other = make_event(calendar.id), make_event(calendar.id)
    await add_events(storage, app_id, event, other)
    later = event.changed(when=make_days(days=4), content=replace(event.content, summary="Review"), at=NOW + HOUR)
    async with storage.writing(app_id) as work:
        assert await work.events.get(event.id, lock=True) == event
        await work.events.save(later)
    async with storage.reading(app_id) as work:
        assert [await work.events.get(each.id) for each in (event, other)] == [later, other]


async def test_storing_no_events_stores_nothing(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    await add_events(storage, app_id)
    async with storage.reading(app_id) as work:
        assert await work.events.count_in(calendar.id) == 0


async def test_a_deleted_event_is_only_a_tombstone_until_it_is_forgotten(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    event = make_event(calendar.id)
    await add_events(storage, app_id, event)
    async with storage.writing(app_id) as work:
        await work.events.forget(event.id)  # not deleted: stays
        await work.events.save(event.deleted(NOW))
    async with storage.writing(app_id) as work:
        with refusing(("id", "NOT_FOUND")):
            await work.events.get(event.id)
        assert await work.events.with_tombstones([event.id]) == [event.deleted(NOW)]
        assert await work.events.count_in(calendar.id) == 0
        assert await work.events.count_in(calendar.id, tombstones=True) == 1
        await work.events.forget(event.id)
        assert await work.events.with_tombstones([event.id]) == []


async def test_an_unknown_event_is_refused(storage: Storage, app_id: UUID) -> None:
    async with storage.reading(app_id) as work:
        with refusing(("id", "NOT_FOUND")):
            await work.events.get(uuid7())


async def test_the_days_of_a_calendar_are_its_all_day_events(storage: Storage, app_id: UUID) -> None:
    calendar, other = await add_calendar(storage, app_id), await add_calendar(storage, app_id)
    cancelled = make_event(calendar.id, when=make_days(), status=EventStatus.CANCELLED)
    gone, timed = make_event(calendar.id, when=make_days(), deleted_at=NOW), make_event(calendar.id, duration=2 * DAY)
    day = make_event(calendar.id, when=make_days())
    await add_events(storage, app_id, day, cancelled, gone, timed, make_event(other.id, when=make_days()))
    async with storage.writing(app_id) as work:
        assert {each.id for each in await work.events.days_of(calendar.id)} == {day.id, cancelled.id}
        assert await work.events.count_in(calendar.id) == 3


# Lists


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_pages_hold_every_event_of_the_window_once_and_in_order(
    storage: Storage, app_id: UUID, limit: int
) -> None:
    calendars = [(await add_calendar(storage, app_id)).id for _ in range(3)]
    events = busy_month(calendars)
    await add_events(storage, app_id, *events)
    random = Random(limit)
    async with storage.reading(app_id) as work:
        for span in windows(6 if limit == 1 else 20):
            chosen = random.choice([None, calendars[:1], calendars[1:], [calendars[0], uuid7()], []])
            cancelled = random.random() < 0.5
            expected = [
                each
                for each in sorted(events, key=order)
                if each.when.span.overlaps(span)
                and each.deleted_at is None
                and (cancelled or each.content.status is not EventStatus.CANCELLED)
                and (chosen is None or each.calendar_id in chosen)
            ]
            page = EventPage(span, chosen, limit, include_cancelled=cancelled)
            found: list[Event] = []
            while batch := await work.events.page(page):
                assert len(batch) <= limit
                found += batch
                page = replace(page, after=EventPosition.of(batch[-1]))
            assert found == expected


async def test_an_event_that_only_touches_the_window_is_not_in_it(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    await add_events(
        storage,
        app_id,
        *(make_event(calendar.id, NOW - length, length) for length in (HOUR, DAY, WEEK)),
        *(make_event(calendar.id, NOW + HOUR, length) for length in (HOUR, DAY, WEEK)),
    )
    async with storage.reading(app_id) as work:
        assert await work.events.page(EventPage(make_span(), None, 10)) == []
        assert await work.events.in_the_way(calendar.id, make_span()) == []


async def test_an_event_that_begins_while_somebody_pages_disturbs_nothing(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    first, second, third = (make_event(calendar.id, NOW + n * HOUR, DAY) for n in range(3))
    await add_events(storage, app_id, first, second, third)
    page = EventPage(make_span(NOW, WEEK), [calendar.id], 2)
    async with storage.reading(app_id) as work:
        assert await work.events.page(page) == [first, second]
    await add_events(storage, app_id, make_event(calendar.id, NOW))
    async with storage.reading(app_id) as work:
        assert await work.events.page(replace(page, after=EventPosition.of(second))) == [third]


# Conflicts


async def test_what_is_in_the_way_is_what_blocks_in_that_time(storage: Storage, app_id: UUID) -> None:
    calendars = [(await add_calendar(storage, app_id)).id for _ in range(2)]
    events = busy_month(calendars)
    await add_events(storage, app_id, *events)
    async with storage.reading(app_id) as work:
        for span in windows():
            expected = [
                each
                for each in sorted(events, key=order)
                if each.calendar_id == calendars[0] and each.blocks and each.when.span.overlaps(span)
            ]
            assert await work.events.in_the_way(calendars[0], span) == expected[:MAX_CONFLICTS]
            but = [each.id for each in expected[::2]]
            assert await work.events.in_the_way(calendars[0], span, but=but, limit=2) == expected[1::2][:2]


async def test_the_conflicts_of_events_are_what_else_blocks_their_time(storage: Storage, app_id: UUID) -> None:
    calendars = [(await add_calendar(storage, app_id)).id for _ in range(2)]
    events = busy_month(calendars)
    await add_events(storage, app_id, *events)

    def against(event: Event) -> list[Event]:
        return [
            each
            for each in sorted(events, key=order)
            if event.blocks
            and each.blocks
            and each.id != event.id
            and each.calendar_id == event.calendar_id
            and each.when.span.overlaps(event.when.span)
        ][:MAX_CONFLICTS]

    async with storage.reading(app_id) as work:
        found = await work.events.conflicts_of(events)
        assert found == [against(each) for each in events]
        assert max(map(len, found)) > 20
        assert await work.events.conflicts_of([]) == []


async def test_no_more_than_the_first_conflicts_are_named(storage: Storage, app_id: UUID) -> None:
    calendar = await add_calendar(storage, app_id)
    events = [make_event(calendar.id, NOW + n * MINUTE, DAY) for n in range(MAX_CONFLICTS + 5)]
    await add_events(storage, app_id, *reversed(events))
    async with storage.reading(app_id) as work:
        assert await work.events.conflicts_of([events[-1]]) == [events[:MAX_CONFLICTS]]


# Costs


async def test_the_number_of_statements_does_not_depend_on_how_many_events_there_are(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    calendar = await add_calendar(storage, app_id)

    async def statements(number: int) -> int:
        events = [make_event(calendar.id) for _ in range(number)]
        ids = [each.id for each in events]
        with recorded(database) as sent:
            async with storage.writing(app_id) as work:
                await work.events.add(events)
                await work.links.track(events)
                await work.intents.put(events)
                await work.events.page(EventPage(make_span(), [calendar.id], 100))
                await work.events.conflicts_of(events)
                await work.events.with_tombstones(ids)
                await work.links.many(ids)
                await work.intents.many(ids)
        return len(sent)

    assert await statements(2) == await statements(10) == await statements(50)


async def test_a_window_is_found_by_the_two_halves_of_the_index(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    calendar = await add_calendar(storage, app_id)
    await add_events(storage, app_id, *busy_month([calendar.id], 600))
    if not database.is_sqlite:
        async with database.writer.begin() as connection:
            await connection.execute(text("ANALYZE event"))
    span = make_span(NOW + WEEK, HOUR)
    async with storage.reading(app_id) as work:
        connection = work.events.connection
        with recorded(database) as sent:
            await work.events.page(EventPage(span, [calendar.id], 50))
            await work.events.in_the_way(calendar.id, span)
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in sent[:2]:  # the third reads what was found
            explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
            rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
            plan = "\n".join(" ".join(map(str, row)) for row in rows)
            assert "ix_event_short" in plan, plan
            assert "ix_event_long" in plan, plan
            assert "SCAN event" not in plan, plan
