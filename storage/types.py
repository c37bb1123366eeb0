"""Column types and functions that mean the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from kalends.domain.time import EPOCH

MICROSECOND = timedelta(microseconds=1)
LONG_EVENT = timedelta(days=1)


class Instant(TypeDecorator[datetime]):
    """An aware moment in UTC: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:  # noqa: D102
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: D102
        if value is None or dialect.name == "postgresql":
            return value
        return (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: D102
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else EPOCH + timedelta(microseconds=value)


class now_plus(FunctionElement[datetime]):  # noqa: N801  SQL functions are lower case
    """The database's own clock, plus some microseconds: leases must not depend on a worker's clock."""

    type = Instant()
    inherit_cache = True
    name = "now_plus"


@compiles(now_plus, "postgresql")
def _now_on_postgresql(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    return now_in_words(compiler.process(element.clauses, **kw), sqlite=False)


@compiles(now_plus, "sqlite")
def _now_on_sqlite(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    return now_in_words(compiler.process(element.clauses, **kw), sqlite=True)


def now_in_words(plus: str, *, sqlite: bool) -> str:
    """Write the database's present, plus some microseconds, as SQL."""
    if sqlite:
        return f"(CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) + ({plus}))"
    return f"(clock_timestamp() + ({plus}) * interval '1 microsecond')"


class a_day_before(FunctionElement[datetime]):  # noqa: N801  SQL functions are lower case
    """An instant minus the longest duration of an event that is not `long`."""

    type = Instant()
    inherit_cache = True
    name = "a_day_before"


@compiles(a_day_before, "postgresql")
def _a_day_before_on_postgresql(element: a_day_before, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)} - interval '24 hours')"


@compiles(a_day_before, "sqlite")
def _a_day_before_on_sqlite(element: a_day_before, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)} - {LONG_EVENT // MICROSECOND})"


JSON_TYPE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
