"""The tables. Every key begins with the app's id, so that they can be partitioned by tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Index, MetaData, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

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
    return f"(clock_timestamp() + ({compiler.process(element.clauses, **kw)}) * interval '1 microsecond')"


@compiles(now_plus, "sqlite")
def _now_on_sqlite(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    return f"({now} + ({compiler.process(element.clauses, **kw)}))"


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


JSON_TYPE = JSON().with_variant(JSONB(), "postgresql")
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel):
    """The root of all tables."""

    metadata = MetaData(naming_convention=NAMES)


def _moment(*, nullable: bool = False) -> Any:
    return Field(sa_type=Instant, nullable=nullable)


def _text(length: int | None = None, *, nullable: bool = False) -> Any:
    return Field(sa_type=String(length) if length else Text, nullable=nullable)


def _json() -> Any:
    return Field(sa_type=JSON_TYPE, nullable=False)


def _to(table: str, column: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["app_id", column], [f"{table}.app_id", f"{table}.id"], ondelete="CASCADE" if cascade else None
    )


class AppRow(Table, table=True):
    """A tenant."""

    __tablename__ = "app"
    id: UUID = Field(primary_key=True)
    name: str = _text(200)
    created_at: datetime = _moment()


class ApiKeyRow(Table, table=True):
    """A key; the secret's hash only."""

    __tablename__ = "api_key"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]), Index("ix_api_key_id", "id"))
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = _text(200)
    secret_hash: bytes
    scopes: list[str] = _json()
    created_at: datetime = _moment()
    expires_at: datetime | None = _moment(nullable=True)
    revoked_at: datetime | None = _moment(nullable=True)
    last_used_at: datetime | None = _moment(nullable=True)


class ResourceRow(Table, table=True):
    """Whoever or whatever calendars belong to."""

    __tablename__ = "resource"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]),)
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = _text(200)
    kind: str = _text(16)
    email: str | None = _text(254, nullable=True)
    tzid: str = _text(64)
    meta: dict[str, str] = _json()
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class AccountRow(Table, table=True):
    """A grant at a provider; `secret` is sealed."""

    __tablename__ = "account"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]), _to("resource", "resource_id"))
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    resource_id: UUID | None = Field(nullable=True)
    provider: str = _text(32)
    state: str = _text(16)
    secret: bytes | None = Field(nullable=True)
    blocked_until: datetime | None = _moment(nullable=True)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class CalendarRow(Table, table=True):
    """A calendar. Its row is the lock under which its time is booked."""

    __tablename__ = "calendar"
    __table_args__ = (
        ForeignKeyConstraint(["app_id"], ["app.id"]),
        _to("resource", "resource_id"),
        _to("account", "account_id"),
        Index("ix_calendar_resource", "app_id", "resource_id", "id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    resource_id: UUID | None = Field(nullable=True)
    name: str = _text(200)
    description: str | None = _text(4096, nullable=True)
    tzid: str = _text(64)
    provider: str = _text(32)
    account_id: UUID | None = Field(nullable=True)
    remote_id: str | None = _text(nullable=True)
    read_only: bool
    archived_at: datetime | None = _moment(nullable=True)
    meta: dict[str, str] = _json()
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class EventRow(Table, table=True):
    """An event: wall time and zone, the instants that follow, and everything else that it says.

    `long` (more than a day) splits the index: short events are found by their start, at most a day before the window,
    long ones, which are few, by their end. So a search costs the same wherever its window lies.
    """

    __tablename__ = "event"
    __table_args__ = (
        _to("calendar", "calendar_id"),
        Index(
            "ix_event_short",
            "app_id",
            "calendar_id",
            "starts_at",
            "id",
            sqlite_where=text("long = 0"),
            postgresql_where=text("NOT long"),
        ),
        Index(
            "ix_event_long",
            "app_id",
            "calendar_id",
            "ends_at",
            sqlite_where=text("long = 1"),
            postgresql_where=text("long"),
        ),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    calendar_id: UUID
    uid: str = _text(255)
    version: int = Field(sa_type=BigInteger)
    sequence: int
    all_day: bool
    start_wall: datetime = Field(sa_type=DateTime)
    end_wall: datetime = Field(sa_type=DateTime)
    tzid: str = _text(64)
    starts_at: datetime = _moment()
    ends_at: datetime = _moment()
    long: bool
    summary: str = _text(1024)
    location: str = _text(1024)
    description: str | None = _text(32_768, nullable=True)
    attendees: list[list[str]] = _json()
    partstat: str = _text(16)
    send_invitations: bool
    transparent: bool
    status: str = _text(16)
    on_conflict: str = _text(16)
    meta: dict[str, str] = _json()
    created_at: datetime = _moment()
    updated_at: datetime = _moment()
    deleted_at: datetime | None = _moment(nullable=True)


class LinkRow(Table, table=True):
    """An event's counterpart at its provider. `local_version` repeats the event's: an index can hold what is behind."""

    __tablename__ = "link"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "event_id"], ["event.app_id", "event.id"], ondelete="CASCADE"),
        Index(
            "ix_link_behind",
            "app_id",
            "event_id",
            sqlite_where=text("pushed_version < local_version"),
            postgresql_where=text("pushed_version < local_version"),
        ),
    )
    app_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    calendar_id: UUID
    local_version: int = Field(sa_type=BigInteger)
    pushed_version: int = Field(sa_type=BigInteger)
    attempted_version: int = Field(sa_type=BigInteger)
    generation: int
    remote_id: str | None = _text(nullable=True)
    remote_etag: str | None = _text(nullable=True)
    remote_url: str | None = _text(nullable=True)
    last_synced_at: datetime | None = _moment(nullable=True)


class OutboxRow(Table, table=True):
    """A wake-up call for one event. `due_at` is null in a dead letter."""

    __tablename__ = "outbox"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "event_id"], ["event.app_id", "event.id"], ondelete="CASCADE"),
        Index("ix_outbox_lane", "app_id", "calendar_id", "due_at", "position"),
    )
    app_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    calendar_id: UUID
    position: UUID
    attempts: int
    due_at: datetime | None = _moment(nullable=True)
    last_error: str | None = _text(1024, nullable=True)


class LaneRow(Table, table=True):
    """One calendar's queue: when somebody should look at it, and who is at it now."""

    __tablename__ = "lane"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "calendar_id"], ["calendar.app_id", "calendar.id"], ondelete="CASCADE"),
        Index(
            "ix_lane_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
    )
    app_id: UUID = Field(primary_key=True)
    calendar_id: UUID = Field(primary_key=True)
    account_id: UUID | None = Field(nullable=True)
    due_at: datetime | None = _moment(nullable=True)
    fence: int = Field(sa_type=BigInteger)
    leased_until: datetime | None = _moment(nullable=True)
    failures: int


class ChangeRow(Table, table=True):
    """What happened, in one order. `transaction` is PostgreSQL's id of the writing transaction: readers stop below the
    oldest one still running, so that a slow commit cannot slip in behind their cursor. On SQLite, with one writer, 0.
    """

    __tablename__ = "change"
    __table_args__ = (
        ForeignKeyConstraint(["app_id"], ["app.id"]),
        Index("ix_change_order", "app_id", "transaction", "id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    transaction: int = Field(sa_type=BigInteger)
    kind: str = _text(16)
    subject_id: UUID
    calendar_id: UUID | None = Field(nullable=True)
    version: int = Field(sa_type=BigInteger)
    operation: str = _text(16)
    origin: str = _text(64)
    at: datetime = _moment()


class IdempotencyRow(Table, table=True):
    """What a key has already done."""

    __tablename__ = "idempotency"
    __table_args__ = (
        ForeignKeyConstraint(["app_id"], ["app.id"]),
        Index("ix_idempotency_age", "created_at"),
    )
    app_id: UUID = Field(primary_key=True)
    principal: str = Field(primary_key=True, max_length=64)
    key: str = Field(primary_key=True, max_length=255)
    operation: str = _text(32)
    request_hash: bytes
    result: list[str] = _json()
    created_at: datetime = _moment()


class SandboxAccountRow(Table, table=True):
    """How the sandbox provider misbehaves towards one account."""

    __tablename__ = "sandbox_account"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "account_id"], ["account.app_id", "account.id"], ondelete="CASCADE"),
    )
    app_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    faults: dict[str, Any] = _json()


class SandboxEventRow(Table, table=True):
    """An event as the sandbox provider keeps it, in its own words. `calls` counts the writes that named it."""

    __tablename__ = "sandbox_event"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "account_id"], ["account.app_id", "account.id"], ondelete="CASCADE"),
    )
    app_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    remote_id: str = Field(primary_key=True, max_length=255)
    calendar: str = _text(255)
    revision: int
    calls: int
    deleted: bool
    body: dict[str, Any] = _json()


TENANT_TABLES = tuple(table.name for table in Table.metadata.sorted_tables if "app_id" in table.c)
"""Every table of a tenant's: row-level security covers each."""
