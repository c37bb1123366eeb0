from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import exc

from kalends.domain.calendars import SANDBOX, AccountState, Calendar, Resource, ResourceKind
from kalends.domain.ids import uuid7
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import (
    HOUR,
    MINUTE,
    NOW,
    add_calendar,
    add_events,
    make_account,
    make_calendar,
    make_event,
    make_resource,
    refusing,
)

pytestmark = pytest.mark.anyio


async def stored(storage: Storage, app_id: UUID, *things: Resource | Calendar) -> None:
    async with storage.writing(app_id) as work:
        for each in things:
            await (work.resources.add(each) if isinstance(each, Resource) else work.calendars.add(each))


# Resources


async def test_a_resource_comes_back_as_it_was_stored_and_as_it_was_saved(storage: Storage, app_id: UUID) -> None:
    room = make_resource("Room 1", kind=ResourceKind.ROOM, email=None, tzid="Asia/Tokyo", metadata={"floor": "3"})
    other = make_resource()
    await stored(storage, app_id, room, other)
    renamed = replace(room, name="Room 2", email="room@example.org", metadata={}, updated_at=NOW + HOUR)
    async with storage.writing(app_id) as work:
        assert await work.resources.get(room.id) == room
        await work.resources.save(renamed)
    async with storage.reading(app_id) as work:
        assert {each.id: each for each in await work.resources.many([room.id, other.id, uuid7()])} == {
            room.id: renamed,
            other.id: other,
        }


async def test_resources_are_listed_in_order_of_creation_and_each_once(storage: Storage, app_id: UUID) -> None:
    made = [make_resource(str(number)) for number in range(7)]
    await stored(storage, app_id, *reversed(made))
    async with storage.reading(app_id) as work:
        first = await work.resources.page(limit=3, after=None)
        second = await work.resources.page(limit=3, after=first[-1].id)
        third = await work.resources.page(limit=3, after=second[-1].id)
        assert first + second + third == made


async def test_a_resource_goes_only_when_nothing_belongs_to_it(storage: Storage, app_id: UUID) -> None:
    ada, bob = make_resource(), make_resource()
    await stored(storage, app_id, ada, bob, make_calendar(resource_id=ada.id))
    async with storage.writing(app_id) as work:
        await work.accounts.add(make_account(bob.id), NOW)
        await work.accounts.remove_of(bob.id)
        await work.resources.remove(bob.id)
    with pytest.raises(exc.IntegrityError):
        async with storage.writing(app_id) as work:
            await work.resources.remove(ada.id)
    async with storage.reading(app_id) as work:
        assert await work.resources.page(limit=10, after=None) == [ada]
        with refusing(("id", "NOT_FOUND")):
            await work.resources.get(bob.id)


# Calendars


async def test_a_calendar_comes_back_as_it_was_stored_and_as_it_was_saved(storage: Storage, app_id: UUID) -> None:
    resource, account = make_resource(), make_account()
    calendar = make_calendar(
        resource_id=resource.id,
        description="Everything",
        tzid="Asia/Tokyo",
        provider=SANDBOX,
        account_id=account.id,
        remote_id="primary",
        metadata={"crm": "42"},
    )
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.accounts.add(account, NOW)
        await work.calendars.add(calendar)
    changed = replace(calendar, name="Home", read_only=True, archived_at=NOW, description=None, updated_at=NOW + HOUR)
    async with storage.writing(app_id) as work:
        assert await work.calendars.get(calendar.id) == calendar
        await work.calendars.save(changed)
    async with storage.reading(app_id) as work:
        assert await work.calendars.many([calendar.id, uuid7()]) == [changed]


async def test_an_unknown_calendar_is_refused(storage: Storage, app_id: UUID) -> None:
    async with storage.reading(app_id) as work:
        with refusing(("id", "NOT_FOUND")):
            await work.calendars.get(uuid7())


async def test_calendars_are_listed_in_order_of_creation_and_archived_ones_on_request(
    storage: Storage, app_id: UUID
) -> None:
    ada, bob = make_resource(), make_resource()
    first, archived, third, theirs = (
        make_calendar(resource_id=ada.id),
        make_calendar(resource_id=ada.id, archived_at=NOW),
        make_calendar(resource_id=ada.id),
        make_calendar(resource_id=bob.id),
    )
    await stored(storage, app_id, ada, bob, theirs, third, archived, first)

    async with storage.reading(app_id) as work:

        async def page(
            after: Calendar | None = None, resource_id: UUID | None = None, **others: bool
        ) -> list[Calendar]:
            return await work.calendars.page(
                limit=2,
                after=after.id if after else None,
                resource_id=resource_id,
                archived=others.get("archived", False),
            )

        assert await page() == [first, third]
        assert await page(third) == [theirs]
        assert await page(archived=True) == [first, archived]
        assert await page(archived, archived=True) == [third, theirs]
        assert await page(resource_id=bob.id) == [theirs]
        assert await work.calendars.of_resources([bob.id, ada.id]) == [first, third, theirs]
        assert (await work.calendars.count_of(ada.id), await work.calendars.count_of(uuid7())) == (3, 0)


async def test_a_calendar_goes_only_when_it_is_empty(storage: Storage, app_id: UUID) -> None:
    full, empty = await add_calendar(storage, app_id), await add_calendar(storage, app_id)
    await add_events(storage, app_id, make_event(full.id, deleted_at=NOW))
    async with storage.writing(app_id) as work:
        await work.lanes.wake(empty.id, None)
        await work.calendars.remove(empty.id)
    with pytest.raises(exc.IntegrityError):
        async with storage.writing(app_id) as work:
            await work.calendars.remove(full.id)
    async with storage.reading(app_id) as work:
        assert await work.calendars.many([full.id, empty.id]) == [full]


@pytest.mark.parametrize("alone", [False, True])
async def test_calendars_are_booked_with_their_owners_addresses(storage: Storage, app_id: UUID, alone: bool) -> None:
    ada = make_resource()
    owned, free = make_calendar(resource_id=ada.id), make_calendar()
    await stored(storage, app_id, ada, owned, free)
    async with storage.writing(app_id) as work:
        booked = await work.calendars.book([free.id, uuid7(), owned.id, owned.id], alone=alone)
        assert list(booked) == [owned.id, free.id]
        assert [(each.calendar, each.owner) for each in booked.values()] == [(owned, "ada@example.org"), (free, None)]
        assert await work.calendars.book([], alone=alone) == {}


# Accounts


async def test_an_account_is_found_by_its_resource_and_provider(storage: Storage, app_id: UUID) -> None:
    ada = make_resource()
    hers, common, google = make_account(ada.id), make_account(), make_account(ada.id, "google")
    async with storage.writing(app_id) as work:
        await work.resources.add(ada)
        for each in (hers, common, google):
            await work.accounts.add(each, NOW)
        assert await work.accounts.find(resource_id=ada.id, provider=SANDBOX) == hers
        assert await work.accounts.find(resource_id=None, provider=SANDBOX) == common
        assert await work.accounts.find(resource_id=ada.id, provider="google") == google
        assert await work.accounts.find(resource_id=None, provider="google") is None
        assert {each.id for each in await work.accounts.many([hers.id, google.id, uuid7()])} == {hers.id, google.id}


async def test_of_two_blocks_the_later_one_counts_until_it_is_over_or_the_account_is_active_again(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    account = make_account()
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)

        async def blocked() -> bool:
            return (await work.accounts.many([account.id]))[0].blocked_until is not None

        assert not await blocked()
        await work.accounts.block(account.id, HOUR)
        await work.accounts.block(account.id, MINUTE)
        database.skew = 59 * MINUTE
        assert await blocked()
        database.skew = 61 * MINUTE
        assert not await blocked()
        database.skew = 59 * MINUTE
        await work.accounts.set_state(account.id, AccountState.NEEDS_RECONNECT, NOW)
        assert await blocked()
        await work.accounts.set_state(account.id, AccountState.ACTIVE, NOW)
        assert await work.accounts.many([account.id]) == [account]
