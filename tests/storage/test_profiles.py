"""Profiles as they are stored, and how old what is known of calendars is."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import exc

from kalends.domain.calendars import SANDBOX, StalePolicy
from kalends.domain.rules import Allow, Hours
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, NOW, make_calendar, make_profile, make_resource, refusing

pytestmark = pytest.mark.anyio


async def test_a_profile_is_read_back_whole_by_its_resource_and_name(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    profiles = [make_profile(resource.id, name, capacity=number) for number, name in ((1, "B"), (2, "A"))]
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        for each in profiles:
            await work.profiles.add(each)
    changed = replace(profiles[0], conditions=replace(profiles[0].conditions, rule=Allow(Hours(time(9), time(17)))))
    async with storage.writing(app_id) as work:
        await work.profiles.save(changed)
        assert await work.profiles.get(changed.id) == changed
    async with storage.reading(app_id) as work:
        assert await work.profiles.of([resource.id]) == [profiles[1], changed]
        assert await work.profiles.of([resource.id], names=["B", "C"]) == [changed]
        assert await work.profiles.of([]) == await work.profiles.of([resource.id], names=[]) == []


async def test_a_resource_has_one_profile_of_a_name(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.profiles.add(make_profile(resource.id))
    with pytest.raises(exc.IntegrityError):
        async with storage.writing(app_id) as work:
            await work.profiles.add(make_profile(resource.id))


async def test_profiles_go_by_themselves_and_with_their_resource(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    first, second = make_profile(resource.id, "A"), make_profile(resource.id, "B")
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.profiles.add(first)
        await work.profiles.add(second)
        await work.profiles.remove(first.id)
        assert await work.profiles.of([resource.id]) == [second]
        await work.resources.remove(resource.id)
    async with storage.writing(app_id) as work:
        with refusing(("id", "NOT_FOUND")):
            await work.profiles.get(second.id)


async def test_freshness_is_that_of_the_last_look_since_the_source_was_opened(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    local = make_calendar(resource_id=resource.id)
    read = make_calendar(resource_id=resource.id, provider=SANDBOX, stale_policy=StalePolicy.FAIL, stale_after=HOUR)
    archived = make_calendar(resource_id=resource.id, archived_at=NOW)

    async def freshness(now: timedelta) -> list[tuple[timedelta | None, bool]]:
        async with storage.reading(app_id) as work:
            found = await work.calendars.freshness(resource_ids=[resource.id])
            assert found == await work.calendars.freshness(calendar_ids=[read.id, local.id], resource_ids=[resource.id])
            assert [each.calendar_id for each in found] == [local.id, read.id]
            assert (found[1].policy, found[1].after, found[0].stale(NOW + 999 * DAY)) == (StalePolicy.FAIL, HOUR, False)
            assert await work.calendars.freshness() == []
            [named] = await work.calendars.freshness(calendar_ids=[archived.id])
            assert (named.sourced, named.synced_at) == (False, None)
        known = [(each.synced_at, each.stale(NOW + now)) for each in found if each.sourced]
        return [(None if synced_at is None else synced_at - NOW, stale) for synced_at, stale in known]

    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        for each in (local, read, archived):
            await work.calendars.add(each)
        await work.sources.open(read.id)
    assert await freshness(DAY) == [(None, True)]
    for number, whole in ((0, True), (1, False)):
        async with storage.writing(app_id) as work:
            at = NOW + number * HOUR
            await work.sources.has_read(read.id, at, token=None, again_in=HOUR, whole=whole, broken=[])
    assert await freshness(2 * HOUR) == [(HOUR, False)]
    assert await freshness(2 * HOUR + timedelta(microseconds=1)) == [(HOUR, True)]
    async with storage.writing(app_id) as work:
        await work.sources.open(read.id)  # linked anew: what was known is of another calendar
    assert await freshness(DAY) == [(None, True)]
    async with storage.writing(app_id) as work:
        await work.sources.open(read.id, empty=NOW + 2 * HOUR)
    assert await freshness(2 * HOUR) == [(2 * HOUR, False)]
