"""What every repository has: one connection inside one transaction, and the app whose rows it may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, FromClause, Table, any_, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.columns import Table as Model
from storage.engine import Database
from storage.insertion import Insertion, store


def table_of(model: type[Model]) -> Table:
    """Return the table that a model defines."""
    return model.metadata.tables[str(model.__tablename__)]


def one_of(column: ColumnElement[Any], name: str, *, sqlite: bool) -> ColumnElement[bool]:
    """Restrict a column to the values of a parameter. On PostgreSQL the text is the same for any number of them."""
    if sqlite:
        return column.in_(bindparam(name, expanding=True))
    return column == any_(bindparam(name, type_=postgresql.ARRAY(column.type)))


class Repository:
    """One app's rows of one kind. Every statement names the app, also where row-level security would add it."""

    def __init__(self, database: Database, connection: AsyncConnection, app_id: UUID) -> None:
        self.database = database
        self.connection = connection
        self.app_id = app_id

    @property
    def parts(self) -> tuple[Database, AsyncConnection, UUID]:
        """What another repository of the same transaction is made of."""
        return self.database, self.connection, self.app_id

    def mine(self, table: FromClause) -> tuple[ColumnElement[bool], ...]:
        """Restrict a statement to the app."""
        return (table.c.app_id == self.app_id,)

    async def run(self, statement: Executable, rows: Sequence[Mapping[str, Any]] | None = None) -> int:
        """Execute a statement, once or for many rows (for none: not at all), and return how many rows it touched."""
        if rows is not None and not rows:
            return 0
        result = await self.database.undisturbed(self.connection.execute(statement, rows))
        return int(getattr(result, "rowcount", 0))

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Execute a statement, with these values for its parameters, and return its rows."""
        return (await self.database.undisturbed(self.connection.execute(statement, values))).all()

    async def one(self, statement: Executable) -> Any | None:
        """Execute a statement and return its first row."""
        return (await self.database.undisturbed(self.connection.execute(statement))).first()

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Begin an INSERT that can say ON CONFLICT, in the database's own dialect."""
        return sqlite.insert(table) if self.database.is_sqlite else postgresql.insert(table)

    async def store(self, *insertions: Insertion) -> list[int]:
        """Store new rows and return how many of each insertion were written."""
        return await store(self.database, self.connection, insertions)

    async def lock(self, table: Table, row_id: UUID) -> Any | None:
        """Read a row and hold it to the end of the transaction. On SQLite the transaction already is alone."""
        query = select(table).where(*self.mine(table), table.c.id == row_id)
        return await self.one(query.with_for_update())
