import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, text

import storage.migrate as migrations
from kalends.domain.calendars import SANDBOX, Account, AccountState, Calendar
from kalends.domain.events import Attendee, ConflictPolicy, Event, EventPage, EventStatus, Partstat
from kalends.domain.ids import EventRef, uuid7
from kalends.domain.merge import same
from kalends.domain.plain import from_plain, recurrence_to_plain
from kalends.domain.recurrence import Recurrence
from kalends.domain.sync import Link, SyncStatus
from providers.registry import Registry
from providers.sandbox import SandboxProvider
from resolvers.services import Services
from resolvers.settling import outgoing
from storage.columns import Table
from storage.engine import Database
from storage.errors import SchemaAhead, SchemaBehind
from storage.migrate import Migrated, current_revision, migrate, newest_revision, require_current
from storage.migrations.tenancy import SYSTEM, TENANT
from storage.models import EventRow
from storage.repository import table_of
from storage.unit_of_work import Storage
from tests.helpers import (
    DAY,
    HOUR,
    NOW,
    WEEK,
    Clock,
    add_app,
    make_account,
    make_calendar,
    make_days,
    make_event,
    make_span,
)
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings
from tests.resolvers.sync_stage import Stage

pytestmark = pytest.mark.anyio

LATER = """
import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer(), nullable=False))
    {then}
"""


@pytest.fixture
async def bare(bare_database_url: str) -> AsyncIterator[Database]:
    database = Database(bare_database_url)
    yield database
    await database.close()


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Return a context in which Kalends has a further revision, which ends with a statement of the test's."""

    @contextmanager
    def become(then: str = "") -> Iterator[None]:
        folder = tmp_path / "migrations"
        shutil.copytree(migrations._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "later.py").write_text(LATER.format(newest=newest_revision(), then=then))
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "_FOLDER", folder)
            yield

    return become


async def tables(database: Database) -> set[str]:
    async with database.reader.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_an_empty_database_gets_every_table(bare: Database) -> None:
    assert await migrate(bare, at=NOW) == Migrated(None, newest_revision())
    assert await tables(bare) == {*Table.metadata.tables, "alembic_version"}
    await require_current(bare)


async def test_a_second_migration_finds_nothing_to_do(database: Database) -> None:
    done = await migrate(database, at=NOW)
    assert not done.changed
    assert done.copy is None


async def test_a_database_that_was_not_migrated_is_behind(bare: Database) -> None:
    assert await current_revision(bare) is None
    with pytest.raises(SchemaBehind, match="run kalends migrate"):
        await require_current(bare)


async def test_of_several_processes_that_migrate_at_once_one_does_it(bare_database_url: str) -> None:
    databases = [Database(bare_database_url) for _ in range(4)]
    done = await asyncio.gather(*(migrate(each, at=NOW) for each in databases))
    assert sorted(each.changed for each in done) == [False, False, False, True]
    await require_current(databases[0])
    for each in databases:
        await each.close()


async def test_a_database_of_a_newer_kalends_is_left_alone(database: Database, newer: Callable[..., Any]) -> None:
    with newer():
        await migrate(database, at=NOW)
    before = await tables(database)
    for attempt in (migrate(database, at=NOW), require_current(database)):
        with pytest.raises(SchemaAhead, match="later"):
            await attempt
    assert await tables(database) == before


async def test_an_older_database_is_upgraded_and_an_embedded_one_copied_before(
    database: Database, newer: Callable[..., Any]
) -> None:
    await add_app(Storage(database), "Ours")
    old = newest_revision()
    with newer():
        with pytest.raises(SchemaBehind):
            await require_current(database)
        done = await migrate(database, at=NOW)
        assert (done.before, done.after) == (old, "later")
        assert "later" in await tables(database)
    if not database.is_sqlite:
        assert done.copy is None
        return
    assert done.copy is not None
    assert done.copy.name == f"kalends.sqlite3.{old}-20260504T070000Z.bak"
    copy = Database(f"sqlite:///{done.copy}")
    await require_current(copy)
    async with Storage(copy).system() as system:
        assert [app.name for app in await system.apps()] == ["Ours"]
    await copy.close()


async def test_a_migration_that_fails_leaves_nothing_behind(database: Database, newer: Callable[..., Any]) -> None:
    await add_app(Storage(database), "Ours")
    before = await tables(database)
    with newer(then="raise ZeroDivisionError"), pytest.raises(ZeroDivisionError):
        await migrate(database, at=NOW)
    assert await tables(database) == before
    await require_current(database)
    async with Storage(database).system() as system:
        assert [app.name for app in await system.apps()] == ["Ours"]


async def test_a_first_migration_that_fails_leaves_an_empty_database(bare: Database, newer: Callable[..., Any]) -> None:
    with newer(then="raise ZeroDivisionError"), pytest.raises(ZeroDivisionError):
        await migrate(bare, at=NOW)
    assert await tables(bare) == set()
    assert await migrate(bare, at=NOW) == Migrated(None, newest_revision())


async def test_the_migrated_schema_is_the_one_that_the_models_describe(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))

    async with database.writer.connect() as connection:
        assert await connection.run_sync(differences) == []


# From the first tables to two-way sync


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Return a context in which Kalends has its first revisions only."""

    @contextmanager
    def become(newest: int = 1) -> Iterator[None]:
        folder = tmp_path / f"older-{newest}"
        later = (f"{revision:04}*" for revision in range(newest + 1, 100))
        shutil.copytree(migrations._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", *later))
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "_FOLDER", folder)
            yield

    return become


APP = uuid7()
ACCOUNT = make_account(blocked_until=NOW + 10 * 365 * DAY)
CALENDAR = make_calendar(provider=SANDBOX, account_id=ACCOUNT.id, remote_id="primary", metadata={"k": "v"})
FULL = make_event(
    CALENDAR.id,
    NOW,
    3 * DAY,
    version=2**40,
    sequence=3,
    summary="Ünïcødé 🗓",
    location="Room 1",
    description="several\r\nlines",
    attendees=(Attendee("ada@example.org", Partstat.TENTATIVE), Attendee("bob@example.org")),
    partstat=Partstat.TENTATIVE,
    send_invitations=True,
    transparent=True,
    status=EventStatus.TENTATIVE,
    on_conflict=ConflictPolicy.REJECT,
    metadata={"crm": "42"},
)
DAYS = make_event(CALENDAR.id, when=make_days(days=2))
GONE = make_event(CALENDAR.id, NOW + DAY, version=2, deleted_at=NOW)
PLACE = {"app_id": APP, "calendar_id": CALENDAR.id}
COUNTED = {"local_version": 5, "pushed_version": 4, "attempted_version": 5, "generation": 1}


def _rows() -> dict[str, list[dict[str, Any]]]:
    """Return rows as the first revision has them, but for columns that it lacks."""
    about = {"app_id": APP, "created_at": NOW, "updated_at": NOW}
    told = {name: getattr(CALENDAR, name) for name in Calendar.__slots__ if name != "metadata"}
    return {
        "app": [{"id": APP, "name": "Ours", "created_at": NOW}],
        "account": [{name: getattr(ACCOUNT, name) for name in Account.__slots__} | about | {"secret": None}],
        "calendar": [told | about | {"meta": CALENDAR.metadata}],
        "event": [_event_row(each) for each in (FULL, DAYS, GONE)],
        "link": [
            PLACE
            | COUNTED
            | {"event_id": FULL.id, "remote_id": "r-1", "remote_etag": '"1"', "remote_url": None, "last_synced_at": NOW}
        ],
        "outbox": [
            PLACE | {"event_id": FULL.id, "position": uuid7(), "attempts": 2, "due_at": NOW, "last_error": "503"}
        ],
        "lane": [PLACE | {"account_id": ACCOUNT.id, "due_at": NOW, "fence": 7, "leased_until": None, "failures": 3}],
        "sandbox_account": [{"app_id": APP, "account_id": ACCOUNT.id, "faults": {"latency": 1}}],
        "sandbox_event": [
            {"app_id": APP, "account_id": ACCOUNT.id, "remote_id": "r-1", "calendar": "primary", "revision": 1}
            | {"calls": 1, "deleted": False, "body": {"summary": "Old"}}
        ],
    }


def _event_row(event: Event) -> dict[str, Any]:
    when, content = event.when, event.content
    same = (
        "partstat",
        "send_invitations",
        "transparent",
        "status",
        "on_conflict",
        "summary",
        "location",
        "description",
    )
    return {
        **{name: getattr(content, name) for name in same},
        **{name: getattr(event, name) for name in ("id", "calendar_id", "uid", "version", "sequence", "deleted_at")},
        "app_id": APP,
        "all_day": when.all_day,
        "start_wall": when.start,
        "end_wall": when.end,
        "tzid": when.tzid,
        "starts_at": when.span.start,
        "ends_at": when.span.end,
        "long": when.span.end - when.span.start > DAY,
        "attendees": [[each.email, each.partstat] for each in content.attendees],
        "meta": dict(content.metadata),
        "created_at": event.created_at,
        "updated_at": event.updated_at,
    }


async def fill(database: Database, *names: str) -> None:
    """Store rows in the first revision's tables."""

    def columns(connection: Connection) -> dict[str, set[str]]:
        return {name: {each["name"] for each in inspect(connection).get_columns(name)} for name in names}

    async with database.writer.begin() as connection:
        known = await connection.run_sync(columns)
        for name in names:
            for row in _rows()[name]:
                kept = {key: value for key, value in row.items() if key in known[name]}
                await connection.execute(insert(Table.metadata.tables[name]).values(kept))


async def test_what_the_first_tables_hold_is_read_back_whole_after_two_way_sync(
    bare: Database, older: Callable[..., Any]
) -> None:
    with older():
        assert (await migrate(bare, at=NOW)).after == "0001"
        await fill(bare, *_rows())

    done = await migrate(bare, at=NOW)

    assert (done.before, done.after) == ("0001", newest_revision())
    await require_current(bare)
    async with Storage(bare).writing(APP) as work:
        found = {each.id: each for each in await work.events.with_tombstones([FULL.id, DAYS.id, GONE.id])}
        assert found == {each.id: each for each in (FULL, DAYS, GONE)}
        assert await work.events.page(EventPage(make_span(NOW - DAY, WEEK), None, 9)) == [DAYS, FULL]
        assert await work.events.in_the_way(CALENDAR.id, make_span(NOW, HOUR)) == [DAYS]
        assert await work.accounts.get(ACCOUNT.id) == ACCOUNT
        assert await work.accounts.begin_renewal(ACCOUNT.id, HOUR)
        assert await work.calendars.get(CALENDAR.id) == CALENDAR
        link = (await work.links.many([FULL.id]))[FULL.id]
        assert link == Link(FULL.id, CALENDAR.id, 5, 0, 0, 1, None, None, None, last_synced_at=NOW)
        intent = (await work.intents.many([FULL.id]))[FULL.id]
        assert (intent.attempts, intent.due_at, intent.last_error) == (2, NOW, "503")
        lane = await work.lanes.take(CALENDAR.id, HOUR)
        assert lane is not None
        assert (lane.fence, lane.failures) == (8, 3)
        assert await work.sandbox.faults(ACCOUNT.id) == {"latency": 1}


async def test_what_was_there_before_two_way_sync_can_be_changed_after_it(
    bare: Database, older: Callable[..., Any]
) -> None:
    with older():
        await migrate(bare, at=NOW)
        await fill(bare, "app", "account", "calendar", "event")
    await migrate(bare, at=NOW)

    series = DAYS.became(replace(DAYS.state, recurrence=Recurrence("FREQ=WEEKLY")), at=NOW)
    async with Storage(bare).writing(APP) as work:
        await work.events.save(series, before=DAYS)
        await work.links.track_calendar(CALENDAR.id)
        await work.sources.open(CALENDAR.id)
    async with Storage(bare).reading(APP) as work:
        assert await work.events.get(DAYS.id) == series
        found = await work.events.in_the_way(CALENDAR.id, make_span(NOW + WEEK, HOUR))
        assert [each.id for each in found] == [DAYS.id]
        assert set(await work.links.many([FULL.id, DAYS.id, GONE.id])) == {FULL.id, DAYS.id}


async def test_a_series_of_before_takes_its_time_after_it(bare: Database, older: Callable[..., Any]) -> None:
    series = make_event(CALENDAR.id, NOW, recurrence=Recurrence("FREQ=WEEKLY"))
    with older(2):
        await migrate(bare, at=NOW)
        await fill(bare, "app", "account", "calendar")
        async with bare.writer.begin() as connection:
            told = _event_row(series) | {"recurrence": recurrence_to_plain(Recurrence("FREQ=WEEKLY"))}
            await connection.execute(insert(table_of(EventRow)).values(told))
    await migrate(bare, at=NOW)

    async with Storage(bare).reading(APP) as work:
        [found] = await work.events.in_the_way(CALENDAR.id, make_span(NOW + WEEK, HOUR))
        assert found.ref == EventRef(series.id, series.when.start + WEEK)
    async with Storage(bare).system(write=True) as system:
        assert await system.series_to_renew(NOW, 9) == [(APP, series.id)]


async def test_a_sandbox_calendar_of_before_two_way_sync_is_in_step_after_it(
    bare: Database, older: Callable[[], Any]
) -> None:
    with older():
        await migrate(bare, at=NOW)
        await fill(bare, *_rows())
    await migrate(bare, at=NOW)

    async def at_once(_seconds: float) -> None:
        """Wait for nothing."""

    storage = Storage(bare)
    around = surroundings(sandbox_memory=memory_in(storage))
    provider = SandboxProvider(around, sleep=at_once, chance=lambda: 0.5)
    stage = Stage(storage, APP, Services(storage, Registry({SANDBOX: provider})), Clock(), CALENDAR)
    await stage.set_account(AccountState.ACTIVE)
    await stage.drain()
    assert (await stage.state(FULL)).status is SyncStatus.SYNCED
    name = (await stage.link(FULL)).remote_id or ""
    async with storage.writing(APP) as work:
        copy = await work.sandbox.find(ACCOUNT.id, name)
        assert copy is not None
        assert same(from_plain(copy.body), provider.expected(outgoing(FULL, None, None)))
        await work.sandbox.put(replace(copy, revision=2, body={**copy.body, "summary": "Theirs"}))
    stage.advance(HOUR)
    await stage.drain()
    assert (await stage.now(FULL)).content.summary == "Theirs"


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_an_owner_of_the_tables_who_is_no_superuser_migrates_every_apps_rows(
    bare: Database, older: Callable[[], Any]
) -> None:
    role = f"owner_{uuid7().hex}"
    with older():
        await migrate(bare, at=NOW)
    async with bare.writer.begin() as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT {TENANT}, {SYSTEM} TO {role}",
            f"ALTER DATABASE {bare.url.database} OWNER TO {role}",
            *(f"ALTER TABLE {table} OWNER TO {role}" for table in await tables(bare)),
        ):
            await connection.execute(text(statement))
    await fill(bare, *_rows())
    owner = Database(bare.url.set(username=role).render_as_string(hide_password=False))
    await migrate(owner, at=NOW)
    await require_current(owner)
    async with Storage(owner).reading(APP) as work:
        assert set(await work.sources.many([CALENDAR.id])) == {CALENDAR.id}
        assert await work.sandbox.find(ACCOUNT.id, "r-1") is None
        assert (await work.links.many([FULL.id]))[FULL.id].remote_id is None
    await owner.close()
    async with bare.writer.begin() as connection:
        for statement in (f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP OWNED BY {role}", f"DROP ROLE {role}"):
            await connection.execute(text(statement))
