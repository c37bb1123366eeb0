"""New rows, of several tables at once: on PostgreSQL by one statement over arrays, on SQLite by one per table.

The text of such a statement is the same for one row and for hundreds, so the driver keeps it prepared. SQLAlchemy's own
inserts are compiled, and sent, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import String, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database

_Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Into:
    """Where new rows go: the columns that each row names, and those that the database computes, with their SQL.

    `otherwise` is what happens to a row whose key is taken already, in SQL; by default the statement fails.
    """

    table: Table
    given: tuple[str, ...]
    computed: tuple[tuple[str, str], ...] = ()
    otherwise: str = ""

    @property
    def columns(self) -> str:
        """The names of the columns that are written."""
        return _quoted((*self.given, *(name for name, _ in self.computed)))


@dataclass(frozen=True, slots=True)
class Insertion:
    """Rows that are to be stored, in this order."""

    into: Into
    rows: Sequence[Mapping[str, Any]]


async def store(database: Database, connection: AsyncConnection, insertions: Sequence[Insertion]) -> list[int]:
    """Store new rows and return how many of each insertion were written."""
    if database.is_sqlite:
        return [await _on_sqlite(database, connection, each) for each in insertions]
    some = [each for each in insertions if each.rows]
    if not some:
        return [0] * len(insertions)
    values = [column for each in some for column in _columns_of(each, connection.dialect)]
    statement = _on_postgres(tuple(each.into for each in some), connection.dialect)
    result = await database.undisturbed(connection.exec_driver_sql(statement, tuple(values)))
    counts = iter(result.one())
    return [next(counts) if each.rows else 0 for each in insertions]


async def _on_sqlite(database: Database, connection: AsyncConnection, insertion: Insertion) -> int:
    if not insertion.rows:
        return 0
    rows = list(zip(*_columns_of(insertion, connection.dialect), strict=True))
    result = await database.undisturbed(connection.exec_driver_sql(_in_values(insertion.into), rows))
    return result.rowcount


def _columns_of(insertion: Insertion, dialect: Dialect) -> list[list[Any]]:
    """Return the rows' values, column by column, as the driver takes them."""
    columns = []
    for name, process in _processes(insertion.into, dialect):
        values = [row[name] for row in insertion.rows]
        columns.append(values if process is None else [process(value) for value in values])
    return columns


@cache
def _processes(into: Into, dialect: Dialect) -> tuple[tuple[str, _Process | None], ...]:
    return tuple((name, into.table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in into.given)


@cache
def _in_values(into: Into) -> str:
    values = ", ".join((*("?" * len(into.given)), *(sql for _, sql in into.computed)))
    return f"INSERT INTO {into.table.name} ({into.columns}) VALUES ({values}) {into.otherwise}"  # noqa: S608


@cache
def _on_postgres(targets: tuple[Into, ...], dialect: Dialect) -> str:
    """Write the statement. The foreign keys between its rows are checked at its end."""
    parts, first = [], 1
    for number, into in enumerate(targets):
        arrays = ", ".join(f"${first + at}::{_type_of(into, name, dialect)}[]" for at, name in enumerate(into.given))
        first += len(into.given)
        values = ", ".join((_quoted(into.given), *(sql for _, sql in into.computed)))
        parts.append(
            f"w{number} AS (INSERT INTO {into.table.name} ({into.columns}) SELECT {values} "  # noqa: S608
            f"FROM unnest({arrays}) AS new ({_quoted(into.given)}) {into.otherwise} RETURNING 1)"
        )
    counts = ", ".join(f"(SELECT count(*) FROM w{number})" for number in range(len(targets)))  # noqa: S608
    return f"WITH {', '.join(parts)} SELECT {counts}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _type_of(into: Into, name: str, dialect: Dialect) -> str:
    """Return a column's type; of text without its limit, to which a cast would cut it without a word."""
    type_ = into.table.c[name].type
    if isinstance(type_, String):
        return "text"
    return type_.compile(dialect=dialect)
