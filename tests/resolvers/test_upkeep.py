"""What is done from time to time: instants follow the data of the zones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from kalends.domain.events import Event
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When, zone_data_version
from resolvers.upkeep import renew_zones
from storage.access import APPS
from storage.changes import CHANGES
from storage.occurrences import OCCURRENCES
from tests.helpers import DAY, HOUR, NOW, WEEK, add_events, make_content, make_days, make_event, make_when
from tests.resolvers.sync_stage import Stage

pytestmark = pytest.mark.anyio


def late(when: When, by: timedelta = HOUR) -> When:
    """Return a time whose instants follow from data by which its zone was further west."""
    return replace(when, span=TimeSpan(when.span.start + by, when.span.end + by))


async def age(stage: Stage, *events: Event) -> None:
    """Make these events, and the app, as old data have them; what is kept ready of series, too."""
    await add_events(stage.storage, stage.app_id, *events)
    async with stage.storage.writing(stage.app_id) as work:
        await work.keys.compute_by("2000a")


async def moved(stage: Stage, event: Event) -> Event:
    async with stage.storage.reading(stage.app_id) as work:
        return await work.events.get(event.id)


async def test_what_is_to_come_keeps_its_wall_time_and_the_change_is_noted(stage: Stage) -> None:
    right, day = make_when(NOW + WEEK), make_days(days=2)
    event = make_event(stage.calendar.id, when=late(right))
    whole = make_event(stage.calendar.id, when=late(day))
    over = make_event(stage.calendar.id, when=late(make_when(NOW - WEEK)))
    untouched = make_event(stage.calendar.id, NOW + DAY)
    await age(stage, event, whole, over, untouched)

    assert await renew_zones(stage.services) == 2

    assert ((await moved(stage, event)).when, (await moved(stage, event)).version) == (right, 2)
    assert (await moved(stage, whole)).when == day
    assert await moved(stage, over) == over
    assert await moved(stage, untouched) == untouched
    async with stage.storage.reading(stage.app_id) as work:
        rows = await work.events.rows(select(CHANGES).where(CHANGES.c.origin == f"tzdata:{zone_data_version()}"))
        assert {row.subject_id for row in rows} == {event.id, whole.id}
        assert set(await work.intents.many([event.id, untouched.id])) == {event.id}
    assert await renew_zones(stage.services) == 0


async def test_of_two_instants_with_one_wall_time_the_one_that_was_meant_stays(stage: Stage) -> None:
    # 02:30 comes twice in Berlin on 2026-10-25; this is the second.
    second = make_when(NOW.replace(month=10, day=25, hour=1, minute=30))
    event = make_event(stage.calendar.id, when=second)
    await age(stage, event)
    assert await renew_zones(stage.services) == 0
    assert await moved(stage, event) == event


async def test_the_times_of_a_series_move_where_they_are_kept_ready_and_where_they_differ(stage: Stage) -> None:
    when, own = make_when(), make_when(NOW + WEEK + 2 * HOUR)
    override = Override(late(own), make_content("Its own"))
    series = make_event(stage.calendar.id, when=when, recurrence=Recurrence("FREQ=WEEKLY;COUNT=3"))
    differing = replace(
        make_event(stage.calendar.id, when=when),
        recurrence=Recurrence("FREQ=WEEKLY;COUNT=3", overrides={when.start + WEEK: override}),
    )
    await age(stage, series, differing)
    async with stage.storage.writing(stage.app_id) as work:
        third = OCCURRENCES.c.recurrence_id == when.start + 2 * WEEK
        await work.events.run(
            update(OCCURRENCES)
            .where(third, OCCURRENCES.c.event_id == series.id)
            .values(starts_at=NOW + 2 * WEEK + HOUR, ends_at=NOW + 2 * WEEK + 2 * HOUR)
        )

    assert await renew_zones(stage.services) == 2

    recurrence = (await moved(stage, differing)).recurrence
    assert recurrence is not None
    assert recurrence.overrides[when.start + WEEK].when == own
    async with stage.storage.reading(stage.app_id) as work:
        rows = await work.events.rows(select(OCCURRENCES).where(OCCURRENCES.c.event_id == series.id))
    assert sorted(row.starts_at for row in rows) == [NOW, NOW + WEEK, NOW + 2 * WEEK]


async def test_older_data_than_those_of_an_app_change_nothing(stage: Stage) -> None:
    event = make_event(stage.calendar.id, when=late(make_when()))
    await age(stage, event)
    async with stage.storage.writing(stage.app_id) as work:
        await work.keys.compute_by("2999z")
    assert await renew_zones(stage.services) == 0
    assert await moved(stage, event) == event


async def test_a_new_app_begins_with_the_data_of_today(stage: Stage) -> None:
    async with stage.storage.reading(stage.app_id) as work:
        [row] = await work.events.rows(select(APPS))
    assert row.zone_data == zone_data_version()
