"""Series in SQL: found by the times at which they take place, guarded like single events, and kept ready ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from kalends.domain.events import Event, EventPage, EventPosition, EventState, EventStatus, Partstat
from kalends.domain.recurrence import AHEAD, PAST, RENEWED, Override, Recurrence, occurrence_at
from kalends.domain.time import TimeSpan
from providers.registry import Registry
from resolvers.services import Services
from resolvers.upkeep import extend_series
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    WEEK,
    Clock,
    add_calendar,
    add_events,
    make_content,
    make_days,
    make_event,
    make_span,
    make_when,
    recorded,
    wall,
)

pytestmark = pytest.mark.anyio

WEEKLY = Recurrence("FREQ=WEEKLY")


@pytest.fixture
async def calendar_id(storage: Storage, app_id: UUID) -> UUID:
    return (await add_calendar(storage, app_id)).id


async def listed(storage: Storage, app_id: UUID, span: TimeSpan, **options: Any) -> list[UUID]:
    async with storage.reading(app_id) as work:
        return [event.id for event in await work.events.page(EventPage(span, None, 100, **options))]


async def blocking(storage: Storage, app_id: UUID, calendar_id: UUID, span: TimeSpan) -> list[tuple[UUID, datetime]]:
    async with storage.reading(app_id) as work:
        found = await work.events.in_the_way(calendar_id, span)
    return [(event.id, event.when.span.start) for event in found]


async def change(storage: Storage, app_id: UUID, event: Event, after: Event) -> Event:
    async with storage.writing(app_id) as work:
        await work.events.save(after, before=event)
    return after


async def rows(database: Database, table: str = "occurrence") -> int:
    async with database.reader.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def test_a_series_comes_back_as_it_was_stored(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    recurrence = Recurrence(
        "FREQ=WEEKLY;BYDAY=MO,WE",
        frozenset({wall("2026-05-08T09:00")}),
        frozenset({wall("2026-05-11T09:00")}),
        {wall("2026-05-18T09:00"): Override(make_when(NOW + 2 * WEEK + HOUR), make_content("Moved"))},
    )
    event = make_event(calendar_id, recurrence=recurrence)
    await add_events(storage, app_id, event)
    async with storage.reading(app_id) as work:
        assert await work.events.get(event.id) == event


# In windows


@pytest.mark.parametrize("weeks", [0, 1, 10, 51, 103])
async def test_a_series_is_found_wherever_it_takes_place(
    storage: Storage, app_id: UUID, calendar_id: UUID, weeks: int
) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    at = make_when(NOW).start + weeks * WEEK
    one = occurrence_at(event.when, WEEKLY, at)
    assert one is not None
    span = one.when.span
    assert await listed(storage, app_id, span) == [event.id]
    assert await blocking(storage, app_id, calendar_id, span) == [(event.id, span.start)]
    for empty in (make_span(span.end), make_span(span.start - HOUR), make_span(span.start + 2 * DAY, 4 * DAY)):
        assert await listed(storage, app_id, empty) == []
        assert await blocking(storage, app_id, calendar_id, empty) == []


async def test_a_series_is_not_found_at_its_first_time_where_that_was_left_out(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    recurrence = Recurrence("FREQ=WEEKLY", exdates=frozenset({make_when(NOW).start}))
    event = make_event(calendar_id, recurrence=recurrence)
    await add_events(storage, app_id, event)
    assert await listed(storage, app_id, make_span()) == []
    assert await blocking(storage, app_id, calendar_id, make_span()) == []
    assert await listed(storage, app_id, make_span(NOW + WEEK)) == [event.id]


async def test_a_series_that_began_long_ago_is_found_today(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    event = make_event(calendar_id, NOW - 520 * WEEK, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    assert await listed(storage, app_id, make_span(NOW, WEEK)) == [event.id]
    assert [each for each, _ in await blocking(storage, app_id, calendar_id, make_span(NOW, WEEK))] == [event.id]


async def test_a_series_is_listed_once_however_often_it_takes_place_in_the_window(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    daily = make_event(calendar_id, recurrence=Recurrence("FREQ=DAILY"))
    single = make_event(calendar_id, NOW + DAY)
    await add_events(storage, app_id, daily, single)
    assert await listed(storage, app_id, make_span(NOW + HOUR, WEEK)) == [daily.id, single.id]
    found = await blocking(storage, app_id, calendar_id, make_span(NOW + HOUR, 2 * DAY))
    assert [start for _, start in found] == [NOW + DAY, NOW + DAY, NOW + 2 * DAY]


async def test_pages_go_on_over_series_and_single_events(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    series = [make_event(calendar_id, NOW - number * DAY, recurrence=Recurrence("FREQ=DAILY")) for number in range(4)]
    singles = [make_event(calendar_id, NOW + number * HOUR) for number in range(4)]
    await add_events(storage, app_id, *series, *singles)
    expected = sorted([*series, *singles], key=lambda each: (each.when.span.start, each.id))
    page, found = EventPage(make_span(NOW, DAY), None, 3), list[Event]()
    async with storage.reading(app_id) as work:
        while batch := await work.events.page(page):
            found += batch
            page = replace(page, after=EventPosition.of(batch[-1]))
    assert found == expected


async def test_cancelled_series_are_listed_on_request_and_block_nothing(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY, status=EventStatus.CANCELLED)
    await add_events(storage, app_id, event)
    span = make_span(NOW + WEEK)
    assert await listed(storage, app_id, span) == []
    assert await listed(storage, app_id, span, include_cancelled=True) == [event.id]
    assert await blocking(storage, app_id, calendar_id, span) == []


@pytest.mark.parametrize("duration", [DAY - MINUTE, DAY, DAY + MINUTE, 3 * DAY])
async def test_long_occurrences_are_found_to_their_end(
    storage: Storage, app_id: UUID, calendar_id: UUID, duration: Any
) -> None:
    event = make_event(calendar_id, NOW, duration, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    begin = NOW + 2 * WEEK
    for span in (make_span(begin + duration - MINUTE, HOUR), make_span(begin, MINUTE)):
        assert await listed(storage, app_id, span) == [event.id]
        assert await blocking(storage, app_id, calendar_id, span) == [(event.id, begin)]
    assert await blocking(storage, app_id, calendar_id, make_span(begin + duration, HOUR)) == []


async def test_days_of_a_series_are_whole_days(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    event = make_event(calendar_id, when=make_days(), recurrence=Recurrence("FREQ=DAILY;COUNT=2"))
    await add_events(storage, app_id, event)
    second = make_days(days=2).span.end
    found = await blocking(storage, app_id, calendar_id, make_span(second - MINUTE, HOUR))
    assert found == [(event.id, make_days().span.end)]
    assert await blocking(storage, app_id, calendar_id, make_span(second, HOUR)) == []


async def test_what_occurs_is_told_as_it_happens_then(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    async with storage.reading(app_id) as work:
        [found] = await work.events.in_the_way(calendar_id, make_span(NOW + WEEK))
    at = make_when(NOW).start + WEEK
    assert found == replace(event, when=make_when(NOW + WEEK), recurrence=None, recurrence_id=at)


# Exceptions


async def test_an_occurrence_that_differs_takes_the_place_of_its_own(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    moved = Override(make_when(NOW + WEEK + DAY), make_content("Moved"))
    renamed = Override(make_when(NOW + 2 * WEEK), make_content("Renamed"))
    free = Override(make_when(NOW + 3 * WEEK), make_content("Off", transparent=True))
    declined = Override(make_when(NOW + 4 * WEEK), make_content("No", partstat=Partstat.DECLINED))
    first = make_when(NOW).start
    overrides = {first + (number + 1) * WEEK: each for number, each in enumerate((moved, renamed, free, declined))}
    event = make_event(calendar_id, recurrence=Recurrence("FREQ=WEEKLY;COUNT=6", overrides=overrides))
    await add_events(storage, app_id, event)
    found = await blocking(storage, app_id, calendar_id, make_span(NOW, 10 * WEEK))
    assert [start for _, start in found] == [NOW, NOW + WEEK + DAY, NOW + 2 * WEEK, NOW + 5 * WEEK]
    async with storage.reading(app_id) as work:
        for start, summary in ((NOW + WEEK + DAY, "Moved"), (NOW + 2 * WEEK, "Renamed"), (NOW + 5 * WEEK, "Planning")):
            [occurrence] = await work.events.in_the_way(calendar_id, make_span(start))
            assert occurrence.content.summary == summary
    assert await listed(storage, app_id, make_span(NOW + WEEK, HOUR)) == []
    assert await listed(storage, app_id, make_span(NOW + 3 * WEEK, HOUR)) == [event.id]


async def test_an_occurrence_of_a_free_series_can_block(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    busy = Override(make_when(NOW + WEEK), make_content("Busy"))
    recurrence = Recurrence("FREQ=WEEKLY", overrides={make_when(NOW + WEEK).start: busy})
    event = make_event(calendar_id, recurrence=recurrence, transparent=True)
    single = make_event(calendar_id, NOW + WEEK)
    await add_events(storage, app_id, event, single)
    found = await blocking(storage, app_id, calendar_id, make_span(NOW, 4 * WEEK))
    assert sorted(found) == sorted([(event.id, NOW + WEEK), (single.id, NOW + WEEK)])
    async with storage.reading(app_id) as work:
        of_series, of_single = await work.events.conflicts_of([event, single])
    assert [each.id for each in of_series] == [single.id]
    assert [each.content.summary for each in of_single] == ["Busy"]


async def test_dates_left_out_and_added_count(storage: Storage, app_id: UUID, calendar_id: UUID) -> None:
    recurrence = Recurrence(
        "FREQ=WEEKLY;COUNT=3",
        rdates=frozenset({make_when(NOW + DAY).start}),
        exdates=frozenset({make_when(NOW + WEEK).start}),
    )
    event = make_event(calendar_id, recurrence=recurrence)
    await add_events(storage, app_id, event)
    found = await blocking(storage, app_id, calendar_id, make_span(NOW, 10 * WEEK))
    assert [start for _, start in found] == [NOW, NOW + DAY, NOW + 2 * WEEK]


# Conflicts


async def test_the_conflicts_of_a_series_are_those_of_all_its_occurrences_and_the_other_way_round(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    other_calendar = (await add_calendar(storage, app_id)).id
    series = make_event(calendar_id, recurrence=Recurrence("FREQ=WEEKLY;COUNT=4"))
    third = make_event(calendar_id, NOW + 2 * WEEK + 30 * MINUTE)
    between = make_event(calendar_id, NOW + 2 * WEEK + HOUR)
    late = make_event(calendar_id, NOW + 4 * WEEK)
    free = make_event(calendar_id, NOW + WEEK, transparent=True)
    daily = make_event(calendar_id, NOW - 2 * WEEK, recurrence=Recurrence("FREQ=DAILY;UNTIL=20260505T000000Z"))
    elsewhere = make_event(other_calendar, recurrence=WEEKLY)
    await add_events(storage, app_id, series, third, between, late, free, daily, elsewhere)
    async with storage.reading(app_id) as work:
        everything = [series, third, between, late, free, daily, elsewhere]
        conflicts = await work.events.conflicts_of(everything)
    told = {
        event.id: [(each.id, each.when.span.start) for each in found]
        for event, found in zip(everything, conflicts, strict=True)
    }
    assert told[series.id] == [(daily.id, NOW), (third.id, third.when.span.start)]
    assert told[third.id] == [(series.id, NOW + 2 * WEEK), (between.id, between.when.span.start)]
    assert told[daily.id] == [(series.id, NOW)]
    assert told[late.id] == told[free.id] == told[elsewhere.id] == []


async def test_series_are_found_as_if_each_occurrence_were_an_event(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    random = Random(5)
    rules = ["FREQ=DAILY;COUNT=20", "FREQ=WEEKLY;BYDAY=MO,TH", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=DAILY;INTERVAL=3"]
    durations = [30 * MINUTE, HOUR, DAY, 25 * HOUR, 3 * DAY]
    events = [
        make_event(
            calendar_id,
            NOW + random.randrange(-60 * 24, 30 * 24) * HOUR,
            random.choice(durations),
            recurrence=Recurrence(random.choice(rules)) if random.random() < 0.6 else None,
            transparent=random.random() < 0.2,
        )
        for _ in range(60)
    ]
    await add_events(storage, app_id, *events)
    happening = [(event, each.when.span) for event in events for each in _times(event) if event.blocks]
    for _ in range(20):
        span = make_span(NOW + random.randrange(0, 60 * 24) * HOUR, random.choice([HOUR, DAY, WEEK]))
        expected = sorted(((at.start, event.id) for event, at in happening if at.overlaps(span)))[:50]
        found = await blocking(storage, app_id, calendar_id, span)
        assert [(start, event_id) for event_id, start in found] == expected
        page = {event.id for event in events for each in _times(event) if each.when.span.overlaps(span)}
        assert set(await listed(storage, app_id, span)) == page


def _times(event: Event) -> list[Any]:
    return event.happening(TimeSpan(NOW - PAST, NOW + AHEAD))


async def test_the_number_of_statements_does_not_depend_on_how_often_a_series_takes_place(
    database: Database, storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    async def statements(count: int) -> int:
        event = make_event(calendar_id, recurrence=Recurrence(f"FREQ=DAILY;COUNT={count}"))
        with recorded(database) as sent:
            async with storage.writing(app_id) as work:
                await work.events.add([event])
                await work.events.page(EventPage(make_span(), [calendar_id], 100))
                await work.events.conflicts_of([event])
        return len(sent)

    await statements(1)  # the others are in its way, and have to be read
    assert await statements(2) == await statements(200)


async def test_occurrences_are_found_by_the_two_halves_of_their_index(
    database: Database, storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    events = [make_event(calendar_id, NOW + n * HOUR, recurrence=Recurrence("FREQ=DAILY")) for n in range(10)]
    await add_events(storage, app_id, *events)
    span = make_span(NOW + WEEK, HOUR)
    if not database.is_sqlite:
        async with database.writer.begin() as connection:
            await connection.execute(text("ANALYZE occurrence"))
    async with storage.reading(app_id) as work:
        connection = work.events.connection
        with recorded(database) as sent:
            await work.events.page(EventPage(span, [calendar_id], 50))
            await work.events.in_the_way(calendar_id, span)
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in sent[:2]:  # the third reads what was found
            explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
            plan = "\n".join(
                " ".join(map(str, row))
                for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters)
            )
            assert "ix_occurrence_short" in plan, plan
            assert "ix_occurrence_long" in plan, plan
            assert "SCAN occurrence" not in plan, plan


# Changes


async def test_a_series_that_changes_is_found_where_it_takes_place_then(
    database: Database, storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    later = event.became(replace(event.state, when=make_when(NOW + DAY)), at=NOW)
    await change(storage, app_id, event, later)
    assert await listed(storage, app_id, make_span(NOW + WEEK)) == []
    assert await listed(storage, app_id, make_span(NOW + WEEK + DAY)) == [event.id]
    free = later.became(replace(later.state, content=replace(later.content, transparent=True)), at=NOW)
    await change(storage, app_id, later, free)
    assert await blocking(storage, app_id, calendar_id, make_span(NOW, 4 * WEEK)) == []
    short = free.became(replace(event.state, recurrence=Recurrence("FREQ=WEEKLY;COUNT=2")), at=NOW)
    await change(storage, app_id, free, short)
    assert await rows(database) == 2


async def test_an_event_becomes_a_series_and_a_series_an_event(
    database: Database, storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    event = make_event(calendar_id)
    await add_events(storage, app_id, event)
    series = event.became(replace(event.state, recurrence=WEEKLY), at=NOW)
    await change(storage, app_id, event, series)
    assert await blocking(storage, app_id, calendar_id, make_span(NOW, 2 * WEEK)) == [
        (event.id, NOW),
        (event.id, NOW + WEEK),
    ]
    single = series.became(EventState(event.when, event.content), at=NOW)
    await change(storage, app_id, series, single)
    assert await blocking(storage, app_id, calendar_id, make_span(NOW, 2 * WEEK)) == [(event.id, NOW)]
    assert (await rows(database), await rows(database, "series")) == (0, 0)


@pytest.mark.parametrize("how", ["deleted", "removed", "forgotten"])
async def test_a_series_that_goes_takes_its_occurrences_with_it(
    database: Database, storage: Storage, app_id: UUID, calendar_id: UUID, how: str
) -> None:
    event, kept = (
        make_event(calendar_id, recurrence=WEEKLY),
        make_event(calendar_id, recurrence=Recurrence("FREQ=WEEKLY;COUNT=1")),
    )
    await add_events(storage, app_id, event, kept)
    async with storage.writing(app_id) as work:
        if how == "removed":
            await work.events.remove([event.id])
        else:
            await work.events.save(event.deleted(NOW))
        if how == "forgotten":
            await work.events.forget(event.id)
    assert await blocking(storage, app_id, calendar_id, make_span(NOW, 2 * WEEK)) == [(kept.id, NOW)]
    assert (await rows(database), await rows(database, "series")) == (1, 1)


async def test_a_deleted_series_that_comes_back_is_found_again(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    tombstone = await change(storage, app_id, event, event.deleted(NOW))
    await change(storage, app_id, tombstone, replace(tombstone, deleted_at=None, version=3))
    assert await listed(storage, app_id, make_span(NOW + WEEK)) == [event.id]


# Ahead


@pytest.fixture
def services(storage: Storage, clock: Clock) -> Services:
    return Services(storage, Registry({}), clock=clock)


@pytest.mark.parametrize("moment", [NOW - PAST - 500 * DAY, NOW - PAST, NOW + AHEAD, NOW + AHEAD + 2000 * DAY])
@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=HOURLY", "FREQ=HOURLY;UNTIL=20400101T000000Z"])
async def test_a_series_is_found_also_where_its_occurrences_are_not_kept_ready(
    storage: Storage, app_id: UUID, calendar_id: UUID, moment: datetime, rule: str
) -> None:
    series = make_event(calendar_id, NOW - 1000 * DAY, 30 * MINUTE, recurrence=Recurrence(rule))
    single = make_event(calendar_id, moment + 15 * MINUTE)
    await add_events(storage, app_id, series, single)
    window = make_span(moment - 2 * DAY, 4 * DAY)
    happening = sorted([*series.happening(window), single], key=EventPosition.of)
    assert await listed(storage, app_id, window) == [series.id, single.id]
    assert await every_page(storage, app_id, window, 17) == happening
    found = await blocking(storage, app_id, calendar_id, make_span(moment, 6 * HOUR))
    inside = [each for each in happening if each.when.span.overlaps(make_span(moment, 6 * HOUR))]
    assert found == [(each.id, each.when.span.start) for each in inside]
    async with storage.reading(app_id) as work:
        assert await work.events.conflicts_of([single]) == [
            [each for each in happening if each is not single and each.when.span.overlaps(single.when.span)]
        ]


async def test_a_list_of_occurrences_holds_each_once_and_in_order(
    storage: Storage, app_id: UUID, calendar_id: UUID
) -> None:
    first = make_when(NOW).start
    overrides = {
        first + DAY: Override(make_when(NOW + DAY), make_content("Off", status=EventStatus.CANCELLED)),
        first + 2 * DAY: Override(make_when(NOW + 5 * DAY + HOUR), make_content("Moved")),
    }
    series = [
        make_event(calendar_id, recurrence=Recurrence("FREQ=DAILY;COUNT=9", overrides=overrides)),
        make_event(calendar_id, NOW - 3 * WEEK, 2 * DAY, recurrence=Recurrence("FREQ=DAILY;INTERVAL=3")),
        make_event(calendar_id, NOW, recurrence=Recurrence("FREQ=DAILY")),
    ]
    singles = [make_event(calendar_id, NOW + number * DAY) for number in range(4)]
    await add_events(storage, app_id, *series, *singles)
    window = make_span(NOW, 10 * DAY)
    everything = [*singles, *(each for one in series for each in one.happening(window))]
    everything = sorted((each for each in everything if each.when.span.overlaps(window)), key=EventPosition.of)
    certain = [each for each in everything if each.content.status is not EventStatus.CANCELLED]
    for limit in (1, 3, 50):
        assert await every_page(storage, app_id, window, limit) == certain
        assert await every_page(storage, app_id, window, limit, include_cancelled=True) == everything
    assert len(everything) == len(certain) + 1


async def every_page(
    storage: Storage, app_id: UUID, window: TimeSpan, limit: int, *, include_cancelled: bool = False
) -> list[Event]:
    page = EventPage(window, None, limit, include_cancelled=include_cancelled, expand=True)
    found: list[Event] = []
    async with storage.reading(app_id) as work:
        while batch := await work.events.page(page):
            found += batch
            page = replace(page, after=EventPosition.of(batch[-1]))
    return found


async def test_series_come_into_sight_as_time_goes_by(
    storage: Storage, app_id: UUID, other_app_id: UUID, calendar_id: UUID, services: Services, clock: Clock
) -> None:
    theirs = (await add_calendar(storage, other_app_id)).id
    ours, foreign = make_event(calendar_id, recurrence=WEEKLY), make_event(theirs, recurrence=WEEKLY)
    gone = make_event(calendar_id, recurrence=WEEKLY, deleted_at=NOW)
    await add_events(storage, app_id, ours, make_event(calendar_id), gone)
    await add_events(storage, other_app_id, foreign)
    assert await extend_series(services) == 0
    clock.advance(RENEWED + DAY)
    assert await extend_series(services) == 2
    assert await extend_series(services) == 0
    last = make_span(clock.now + AHEAD - WEEK, WEEK)
    assert await listed(storage, app_id, last) == [ours.id]
    assert await listed(storage, other_app_id, last) == [foreign.id]


async def test_no_change_is_noted_where_a_series_only_comes_into_sight(
    storage: Storage, app_id: UUID, calendar_id: UUID, services: Services, clock: Clock
) -> None:
    event = make_event(calendar_id, recurrence=WEEKLY)
    await add_events(storage, app_id, event)
    clock.advance(400 * DAY)
    assert await extend_series(services) == 1
    async with storage.reading(app_id) as work:
        assert await work.events.get(event.id) == event
