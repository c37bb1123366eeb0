"""Bringing a database to this version's schema."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from storage.engine import Database
from storage.errors import SchemaAhead, SchemaBehind, translated

_ONE_AT_A_TIME = 7_345_103_881  # any number; the advisory lock of Kalends' migrations
_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` did: from which revision (none: an empty database) to which, and where the old file is kept."""

    before: str | None
    after: str
    copy: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


async def migrate(database: Database, *, at: datetime) -> Migrated:
    """Migrate to the newest revision; several processes may try at once, one does it and the others find it done.

    An embedded database is copied first. Raises `SchemaAhead` where the database belongs to a newer Kalends.
    """
    copy = None
    if database.is_sqlite:
        before = await current_revision(database)
        _refuse_newer(before)
        if before is not None and before != newest_revision():
            copy = _copied(Path(str(database.url.database)), before, at)
    with translated(rights=True):
        async with database.writer.begin() as connection:
            if not database.is_sqlite:
                await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
            before = await connection.run_sync(_revision_of)
            _refuse_newer(before)
            if before != newest_revision():
                await connection.run_sync(_upgrade)
    return Migrated(before, newest_revision(), copy)


async def require_current(database: Database) -> None:
    """Raise `SchemaBehind` or `SchemaAhead` where the schema is not this version's."""
    revision = await current_revision(database)
    _refuse_newer(revision)
    if revision != newest_revision():
        raise SchemaBehind(f"the database is at {revision or 'nothing'}, not {newest_revision()}: run kalends migrate")


async def current_revision(database: Database) -> str | None:
    """Return the revision of a database, None for an empty one."""
    with translated():
        async with database.reader.connect() as connection:
            return await connection.run_sync(_revision_of)


def newest_revision() -> str:
    """Return the revision that this version of Kalends works with."""
    head = _scripts().get_current_head()
    if head is None:  # pragma: no cover  the package carries its migrations
        raise RuntimeError("no migrations were installed")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaAhead(f"the database is at {revision}, which this version does not know: install a newer Kalends")


def _copied(path: Path, revision: str, at: datetime) -> Path:
    copy = path.with_name(f"{path.name}.{revision}-{at:%Y%m%dT%H%M%SZ}.bak")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy
