import asyncio
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import exc, select, text

from kalends.domain.ids import uuid7
from storage import engine
from storage.engine import Database
from storage.errors import AccessRefused, Unavailable, translated
from storage.migrate import current_revision
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, NOW, abandoned, add_app, make_calendar, make_event, make_resource

pytestmark = pytest.mark.anyio

on_sqlite = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
LOCKED = "BEGIN IMMEDIATE"


async def names(storage: Storage) -> list[str]:
    async with storage.system() as system:
        return [app.name for app in await system.apps()]


# Transactions


async def test_what_happens_in_a_block_happens_together_or_not_at_all(storage: Storage, app_id: UUID) -> None:
    async with abandoned(storage, app_id) as work:
        await work.resources.add(make_resource())
        assert len(await work.resources.page(limit=10, after=None)) == 1
    async with storage.reading(app_id) as work:
        assert await work.resources.page(limit=10, after=None) == []


async def test_readers_do_not_wait_for_a_writer_and_do_not_see_what_it_has_not_committed(
    storage: Storage, app_id: UUID
) -> None:
    resource = make_resource()
    async with storage.writing(app_id) as writer:
        await writer.resources.add(resource)
        async with storage.reading(app_id) as reader:
            assert await reader.resources.page(limit=10, after=None) == []
    async with storage.reading(app_id) as reader:
        assert await reader.resources.page(limit=10, after=None) == [resource]


async def test_the_databases_clock_is_the_present_and_tests_can_move_it(database: Database) -> None:
    async def shown(plus: timedelta = timedelta()) -> datetime:
        async with database.reader.connect() as connection:
            moment = (await connection.execute(select(database.now(plus)))).scalar_one()
        assert isinstance(moment, datetime)
        return moment

    assert abs(await shown() - datetime.now(UTC)) < timedelta(seconds=10)
    assert abs(await shown(HOUR) - await shown() - HOUR) < timedelta(seconds=10)
    database.skew = DAY
    assert abs(await shown() - datetime.now(UTC) - DAY) < timedelta(seconds=10)


@on_sqlite
async def test_the_embedded_database_keeps_what_it_acknowledged_and_checks_its_keys(database: Database) -> None:
    async with database.writer.connect() as connection:
        pragmas = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@on_sqlite
async def test_an_embedded_reader_cannot_write(storage: Storage, app_id: UUID) -> None:
    with pytest.raises(exc.OperationalError, match="readonly"):
        async with storage.reading(app_id) as work:
            await work.resources.add(make_resource())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?cache=shared&uri=true"])
def test_an_embedded_database_is_a_file(url: str) -> None:
    with pytest.raises(ValueError, match="is a file"):
        Database(url)


async def test_the_folder_of_an_embedded_database_is_created(tmp_path: Path) -> None:
    await Database(f"sqlite:///{tmp_path / 'a' / 'b' / 'kalends.sqlite3'}").close()
    assert (tmp_path / "a" / "b").is_dir()


@on_postgresql
async def test_without_prepared_statements_everything_works_too(database_url: str) -> None:
    database = Database(database_url, prepared=False)
    app_id = await add_app(Storage(database))
    async with Storage(database).reading(app_id) as work:
        assert (await work.keys.app()).id == app_id
    await database.close()


# What passes by itself


async def test_when_every_connection_is_in_use_the_database_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1, pool_seconds=1)
    storage = Storage(database)
    async with storage.system():
        with pytest.raises(Unavailable, match="in use"):
            async with storage.system():
                pass
    assert await names(storage) == []
    await database.close()


@on_sqlite
async def test_a_locked_embedded_database_is_unavailable(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.SQLITE_PRAGMAS, "busy_timeout", 0)
    database = Database(database_url)
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute(LOCKED)
        with pytest.raises(Unavailable, match="busy"):
            await add_app(Storage(database))
        other.execute("ROLLBACK")
    await add_app(Storage(database), "Ours")
    assert await names(Storage(database)) == ["Ours"]
    await database.close()


@on_sqlite
async def test_a_full_disk_is_unavailable_and_writes_resume_when_there_is_room(
    database: Database, storage: Storage, app_id: UUID
) -> None:
    async def limit(pages: int) -> None:
        async with database.writer.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    calendar = make_calendar()
    async with storage.writing(app_id) as work:
        await work.calendars.add(calendar)
    await limit(1)  # not below what there is
    with pytest.raises(Unavailable):
        async with storage.writing(app_id) as work:
            await work.events.add([make_event(calendar.id, description="x" * 30_000)])
    await limit(1_000_000)
    async with storage.writing(app_id) as work:
        assert await work.events.count_in(calendar.id) == 0
        await work.events.add([make_event(calendar.id, description="x" * 30_000)])
        assert await work.events.count_in(calendar.id) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:1", "/?host=/nowhere"])
async def test_a_postgresql_that_refuses_to_connect_is_unavailable(host: str) -> None:
    database = Database(f"postgresql://postgres@{host}")
    with pytest.raises(Unavailable, match="reached"):
        await names(Storage(database))
    await database.close()


@on_postgresql
async def test_a_postgresql_with_too_many_connections_is_unavailable(database: Database) -> None:
    role = f"crowded_{uuid7().hex}"
    async with database.writer.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0"))
    crowded = Database(database.url.set(username=role).render_as_string(hide_password=False))
    with pytest.raises(Unavailable):
        await names(Storage(crowded))
    await crowded.close()
    async with database.writer.begin() as connection:
        await connection.execute(text(f"DROP ROLE {role}"))


@on_postgresql
async def test_a_connection_that_is_lost_is_unavailable_once(database: Database, storage: Storage) -> None:
    async def lose_it() -> None:
        idle = "datname = current_database() AND state = 'idle in transaction'"
        async with storage.system() as system:
            await system.apps()
            async with database.writer.connect() as other:
                await other.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {idle}"))
            await system.apps()

    with pytest.raises(Unavailable):
        await lose_it()
    assert await names(storage) == []


class Failure(Exception):
    """What a PostgreSQL driver raises."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def failing(sqlstate: str) -> None:
    with translated():
        raise exc.DBAPIError("SELECT 1", {}, Failure(sqlstate))


@pytest.mark.parametrize("state", ["08006", "25006", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P03"])
def test_what_a_retry_cures_is_unavailable(state: str) -> None:
    with pytest.raises(Unavailable):
        failing(state)


async def test_a_writer_who_is_cancelled_anywhere_does_not_keep_the_database_locked(
    storage: Storage, app_id: UUID
) -> None:
    async def write() -> None:
        async with storage.writing(app_id) as work:
            await work.calendars.add(make_calendar())
            await work.calendars.page(limit=10, after=None, resource_id=None, archived=True)

    for turns in range(60):
        task = asyncio.create_task(write())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5):
        await write()


# What does not pass


@pytest.mark.parametrize("state", ["22001", "23503", "23505", "40002", "42501", "42P01", "XX000"])
def test_what_no_retry_cures_is_let_through(state: str) -> None:
    with pytest.raises(exc.DBAPIError):
        failing(state)


@pytest.mark.parametrize("state", ["28000", "28P01", "3D000"])
def test_what_a_person_must_mend_says_so(state: str) -> None:
    with pytest.raises(AccessRefused):
        failing(state)


@on_postgresql
async def test_a_database_that_does_not_let_us_in_needs_a_person(database: Database) -> None:
    nowhere = Database(database.url.set(database="nowhere").render_as_string(hide_password=False))
    with pytest.raises(AccessRefused, match="nowhere"):
        await current_revision(nowhere)
    await nowhere.close()


async def test_a_broken_constraint_is_a_defect_and_not_unavailable(storage: Storage, app_id: UUID) -> None:
    with pytest.raises(exc.IntegrityError):
        async with storage.writing(app_id) as work:
            await work.events.add([make_event(uuid7())])
    resource = make_resource()
    async with abandoned(storage, app_id) as work:
        await work.resources.add(resource)
        with pytest.raises(exc.IntegrityError):
            await work.resources.add(resource)


async def test_a_database_without_tables_is_a_defect_and_not_unavailable(bare_database_url: str) -> None:
    database = Database(bare_database_url)
    with pytest.raises(exc.DBAPIError):
        await names(Storage(database))
    await database.close()


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2201, 1, 1, tzinfo=UTC),
        datetime(2026, 5, 4, 7, 0, 0, 1, tzinfo=UTC),
    ],
)
async def test_an_instant_is_kept_to_the_microsecond(storage: Storage, app_id: UUID, moment: datetime) -> None:
    calendar = make_calendar(archived_at=moment)
    async with storage.writing(app_id) as work:
        await work.calendars.add(calendar)
        stored: Any = (await work.calendars.get(calendar.id)).archived_at
    assert stored == moment
    assert stored.tzinfo is UTC
