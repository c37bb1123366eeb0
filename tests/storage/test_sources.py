"""Sources and channels: how far a calendar has been read, when it is read again, and how we hear that it should be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from kalends.domain.calendars import SANDBOX, Calendar
from kalends.domain.ids import uuid7
from kalends.domain.sync import Source
from storage.engine import Database
from storage.secrets import Vault, new_key
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, MINUTE, NOW, WEEK, add_calendar, make_account, make_channel

pytestmark = pytest.mark.anyio

TOKEN = "https://calendar.example/changes?secret=in-the-clear"


class Reading:
    """A calendar's source, acted upon in transactions of their own."""

    def __init__(self, storage: Storage, app_id: UUID, calendar: Calendar) -> None:
        self.storage, self.app_id, self.calendar = storage, app_id, calendar

    async def open(self, **options: Any) -> None:
        async with self.storage.writing(self.app_id) as work:
            await work.sources.open(self.calendar.id, **options)

    async def read(self, token: str | None = TOKEN, *, again_in: timedelta = HOUR, **others: Any) -> None:
        fields: dict[str, Any] = {"whole": True, "broken": []} | others
        async with self.storage.writing(self.app_id) as work:
            await work.sources.has_read(self.calendar.id, NOW, token=token, again_in=again_in, **fields)

    async def fail(self, error: str = "503", *, again_in: timedelta = HOUR) -> None:
        async with self.storage.writing(self.app_id) as work:
            await work.sources.has_failed(self.calendar.id, error, again_in=again_in)

    async def due(self) -> Source | None:
        async with self.storage.reading(self.app_id) as work:
            return await work.sources.due(self.calendar.id)

    async def token(self) -> str | None:
        source = await self.due()
        assert source is not None
        return source.token

    async def now(self) -> Source:
        """Return the source as it is, but for when it is due."""
        async with self.storage.reading(self.app_id) as work:
            found = await work.sources.many([self.calendar.id, uuid7()])
        return replace(found[self.calendar.id], due_at=None)


@pytest.fixture
async def reading(storage: Storage, app_id: UUID) -> Reading:
    account = make_account()
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)
    calendar = await add_calendar(storage, app_id, provider=SANDBOX, account_id=account.id)
    reading = Reading(storage, app_id, calendar)
    await reading.open()
    return reading


# Reading


async def test_a_calendar_that_is_opened_is_read_now_and_from_the_start(reading: Reading) -> None:
    due = await reading.due()
    assert due is not None
    assert (due.token, due.full_at, due.synced_at, due.writable) == (None, None, None, False)
    assert await reading.now() == Source(reading.calendar.id)


async def test_a_calendar_in_which_there_surely_is_nothing_can_be_written_to_at_once(reading: Reading) -> None:
    await reading.open(empty=NOW)
    assert (await reading.now()).writable


async def test_a_calendar_without_a_source_is_never_due(storage: Storage, app_id: UUID, reading: Reading) -> None:
    other = await add_calendar(storage, app_id)
    async with storage.writing(app_id) as work:
        assert await work.sources.due(other.id) is None
        assert not await work.sources.hasten(other.id)
        assert await work.sources.many([other.id]) == {}
        assert await work.sources.all_ids() == [reading.calendar.id]


async def test_after_a_round_it_is_read_again_when_it_is_time(database: Database, reading: Reading) -> None:
    await reading.read(again_in=HOUR)
    for skew, due in ((59 * MINUTE, False), (61 * MINUTE, True)):
        database.skew = skew
        assert (await reading.due() is not None) is due


async def test_a_round_that_was_read_to_its_end_says_so_and_how_far(reading: Reading) -> None:
    await reading.fail()
    await reading.read(again_in=-HOUR, broken=[("uid-1", "It is no event."), ("uid-2", "Neither.")])
    assert await reading.token() == TOKEN
    assert await reading.now() == Source(
        reading.calendar.id,
        synced_at=NOW,
        full_at=NOW,
        broken=(("uid-1", "It is no event."), ("uid-2", "Neither.")),
    )
    await reading.read(again_in=-HOUR)
    assert (await reading.now()).broken == ()


async def test_only_a_whole_round_counts_as_one(reading: Reading) -> None:
    await reading.read(whole=False)
    assert ((await reading.now()).full_at, (await reading.now()).writable) == (None, False)
    await reading.read(whole=True)
    await reading.read(whole=False)
    assert (await reading.now()).full_at == NOW


async def test_a_round_without_a_mark_is_read_from_the_start_again(reading: Reading) -> None:
    await reading.read(again_in=-HOUR)
    await reading.read(None, again_in=-HOUR)
    assert await reading.token() is None


async def test_a_look_can_be_hastened(storage: Storage, app_id: UUID, reading: Reading) -> None:
    await reading.read(again_in=HOUR)
    assert await reading.due() is None
    async with storage.writing(app_id) as work:
        assert await work.sources.hasten(reading.calendar.id)
    assert await reading.token() == TOKEN


async def test_a_failure_is_counted_keeps_the_mark_and_is_forgotten_with_the_next_success(reading: Reading) -> None:
    await reading.read(again_in=-HOUR)
    for failures in (1, 2):
        await reading.fail("x" * 5000, again_in=-HOUR)
        source = await reading.now()
        assert (source.failures, source.last_error, source.synced_at) == (failures, "x" * 1024, NOW)
        assert await reading.token() == TOKEN
    await reading.read()
    assert ((await reading.now()).failures, (await reading.now()).last_error) == (0, None)


async def test_deletions_that_are_held_wait_for_a_person_and_the_round_is_read_again_from_where_it_began(
    storage: Storage, app_id: UUID, reading: Reading
) -> None:
    await reading.read("before", again_in=-HOUR)
    await reading.fail(again_in=-HOUR)
    async with storage.writing(app_id) as work:
        await work.sources.has_held(reading.calendar.id, 40, again_in=HOUR)
    source = await reading.now()
    assert (source.held, source.allowed, source.failures, source.last_error) == (40, 0, 0, None)
    assert await reading.due() is None
    async with storage.writing(app_id) as work:
        await work.sources.allow(reading.calendar.id, 40)
    source = await reading.now()
    assert (source.held, source.allowed) == (0, 40)
    assert await reading.token() == "before"
    await reading.read()
    assert ((await reading.now()).held, (await reading.now()).allowed) == (0, 0)


async def test_a_calendar_that_is_gone_says_since_when_until_it_is_read_again(
    storage: Storage, app_id: UUID, reading: Reading
) -> None:
    await reading.read()
    for number in (1, 2):
        async with storage.writing(app_id) as work:
            await work.sources.is_gone(reading.calendar.id, "404", NOW + number * DAY, again_in=HOUR)
        source = await reading.now()
        assert (source.gone, source.failures, source.last_error) == (NOW + DAY, number, "404")
        assert not source.writable
    await reading.read()
    assert (await reading.now()).gone is None
    assert (await reading.now()).writable


async def test_opening_it_again_begins_anew(storage: Storage, app_id: UUID, reading: Reading) -> None:
    await reading.read(broken=[("uid", "broken")])
    async with storage.writing(app_id) as work:
        await work.sources.has_held(reading.calendar.id, 9, again_in=HOUR)
        await work.sources.allow(reading.calendar.id, 9)
        await work.sources.is_gone(reading.calendar.id, "404", NOW, again_in=HOUR)
    await reading.open()
    assert await reading.token() is None
    assert replace(await reading.now(), synced_at=None) == Source(reading.calendar.id)


async def test_a_calendar_that_is_closed_is_read_no_more(storage: Storage, app_id: UUID, reading: Reading) -> None:
    async with storage.writing(app_id) as work:
        await work.sources.close(reading.calendar.id)
        assert await work.sources.many([reading.calendar.id]) == {}
    await reading.read()
    assert await reading.due() is None


# The mark of how far


async def stored(database: Database) -> str:
    async with database.reader.connect() as connection:
        return str([tuple(row) for row in await connection.execute(text("SELECT * FROM source"))])


async def test_the_mark_is_sealed(database: Database, reading: Reading) -> None:
    await reading.read(again_in=-HOUR)
    assert "in-the-clear" not in await stored(database)
    assert await reading.token() == TOKEN


async def test_a_mark_whose_key_is_lost_is_none(database: Database, reading: Reading) -> None:
    await reading.read(again_in=-HOUR)
    database.vault = Vault([new_key()])
    assert await reading.token() is None


async def test_without_a_key_no_mark_is_kept_and_everything_is_read_again(database: Database, reading: Reading) -> None:
    database.vault = Vault()
    await reading.read(again_in=-HOUR)
    assert await reading.token() is None
    assert (await reading.now()).synced_at == NOW
    assert "in-the-clear" not in await stored(database)


async def test_the_mark_of_another_calendar_opens_nothing(
    database: Database, storage: Storage, app_id: UUID, reading: Reading
) -> None:
    other = Reading(storage, app_id, await add_calendar(storage, app_id))
    await other.open()
    await reading.read(again_in=-HOUR)
    async with database.writer.begin() as connection:
        sealed = "SELECT token FROM source WHERE token IS NOT NULL"
        await connection.execute(text(f"UPDATE source SET token = ({sealed})"))
    assert (await reading.token(), await other.token()) == (TOKEN, None)


async def test_a_new_key_in_front_seals_the_mark_anew_and_the_old_one_can_go(
    database: Database, storage: Storage, app_id: UUID, reading: Reading
) -> None:
    old, new = new_key(), new_key()
    database.vault = Vault([old])
    await reading.read(again_in=-HOUR)
    database.vault = Vault([new, old])
    async with storage.writing(app_id) as work:
        assert await work.sources.reseal(reading.calendar.id)
        assert not await work.sources.reseal(reading.calendar.id)
        assert not await work.sources.reseal(uuid7())
    database.vault = Vault([new])
    assert await reading.token() == TOKEN


# Channels


async def test_a_channel_comes_back_as_it_was_opened(storage: Storage, app_id: UUID, reading: Reading) -> None:
    channel = make_channel(reading.calendar.id)
    async with storage.writing(app_id) as work:
        await work.channels.add(channel)
        assert await work.channels.get(channel.id) == channel
        assert await work.channels.get(uuid7()) is None


async def test_the_channels_of_calendars_come_with_the_newest_last(
    storage: Storage, app_id: UUID, reading: Reading
) -> None:
    other = await add_calendar(storage, app_id)
    late, early, elsewhere = (
        make_channel(reading.calendar.id, expires_at=NOW + WEEK),
        make_channel(reading.calendar.id, expires_at=NOW + DAY),
        make_channel(other.id),
    )
    async with storage.writing(app_id) as work:
        for each in (late, early, elsewhere):
            await work.channels.add(each)
        assert await work.channels.of([reading.calendar.id]) == [early, late]
        assert await work.channels.of([]) == []
        await work.channels.remove(early.id)
        assert await work.channels.of([reading.calendar.id]) == [late]
        await work.channels.forget_calendar(reading.calendar.id)
        assert await work.channels.of([reading.calendar.id, other.id]) == [elsewhere]


async def test_a_channel_can_be_prolonged(storage: Storage, app_id: UUID, reading: Reading) -> None:
    channel, other = make_channel(reading.calendar.id), make_channel(reading.calendar.id)
    async with storage.writing(app_id) as work:
        for each in (channel, other):
            await work.channels.add(each)
        await work.channels.prolong(channel.id, expires_at=NOW + 2 * WEEK, renew_at=NOW + WEEK)
        assert await work.channels.get(channel.id) == replace(channel, expires_at=NOW + 2 * WEEK, renew_at=NOW + WEEK)
        assert await work.channels.get(other.id) == other


async def test_a_calendar_that_is_removed_takes_its_source_and_its_channels_with_it(
    storage: Storage, app_id: UUID, reading: Reading
) -> None:
    channel = make_channel(reading.calendar.id)
    async with storage.writing(app_id) as work:
        await work.channels.add(channel)
        await work.calendars.remove(reading.calendar.id)
        assert await work.channels.get(channel.id) is None
        assert await work.sources.all_ids() == []
