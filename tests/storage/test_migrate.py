import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

import storage.migrate as migrations
from storage.engine import Database
from storage.errors import SchemaAhead, SchemaBehind
from storage.migrate import Migrated, current_revision, migrate, newest_revision, require_current
from storage.models import Table
from storage.unit_of_work import Storage
from tests.helpers import NOW, add_app

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
