"""The tables. Every key begins with the app's id, so that they can be partitioned by tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKeyConstraint, Index, Integer, SmallInteger, String, text
from sqlmodel import Field

from storage import sync_models  # noqa: F401  its tables are some of them
from storage.columns import Table, characters, json_column, moment, since, to


class AppRow(Table, table=True):
    """A tenant. `zone_data` is the release of the IANA database by which its events' instants are computed."""

    __tablename__ = "app"
    id: UUID = Field(primary_key=True)
    name: str = characters(200)
    created_at: datetime = moment()
    zone_data: str | None = characters(16, nullable=True)


class ApiKeyRow(Table, table=True):
    """A key; the secret's hash only."""

    __tablename__ = "api_key"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]), Index("ix_api_key_id", "id"))
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = characters(200)
    secret_hash: bytes
    scopes: list[str] = json_column()
    created_at: datetime = moment()
    expires_at: datetime | None = moment(nullable=True)
    revoked_at: datetime | None = moment(nullable=True)
    last_used_at: datetime | None = moment(nullable=True)


class ResourceRow(Table, table=True):
    """Whoever or whatever calendars belong to."""

    __tablename__ = "resource"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]),)
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = characters(200)
    kind: str = characters(16)
    email: str | None = characters(254, nullable=True)
    tzid: str = characters(64)
    meta: dict[str, str] = json_column()
    created_at: datetime = moment()
    updated_at: datetime = moment()


class AccountRow(Table, table=True):
    """A grant at a provider; `secret` is sealed. While `renewing_until` lies ahead, somebody is renewing it."""

    __tablename__ = "account"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]), to("resource", "resource_id"))
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    resource_id: UUID | None = Field(nullable=True)
    provider: str = characters(32)
    state: str = characters(16)
    secret: bytes | None = Field(nullable=True)
    subject: str | None = characters(nullable=True)
    address: str | None = characters(254, nullable=True)
    last_error: str | None = characters(1024, nullable=True)
    renewing_until: datetime | None = moment(nullable=True)
    blocked_until: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class CalendarRow(Table, table=True):
    """A calendar. Its row is the lock under which its time is booked."""

    __tablename__ = "calendar"
    __table_args__ = (
        ForeignKeyConstraint(["app_id"], ["app.id"]),
        to("resource", "resource_id"),
        to("account", "account_id"),
        Index("ix_calendar_resource", "app_id", "resource_id", "id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    resource_id: UUID | None = Field(nullable=True)
    name: str = characters(200)
    description: str | None = characters(4096, nullable=True)
    tzid: str = characters(64)
    provider: str = characters(32)
    account_id: UUID | None = Field(nullable=True)
    remote_id: str | None = characters(nullable=True)
    read_only: bool
    archived_at: datetime | None = moment(nullable=True)
    meta: dict[str, str] = json_column()
    created_at: datetime = moment()
    updated_at: datetime = moment()
    stale_policy: str = since("'TREAT_AS_BUSY'", String(16))
    stale_after: int = since("21600", Integer())  # seconds


class ProfileRow(Table, table=True):
    """Conditions under which a resource can be booked, as `kalends.domain.profiles` writes them."""

    __tablename__ = "profile"
    __table_args__ = (
        to("resource", "resource_id", cascade=True),
        Index("ix_profile_name", "app_id", "resource_id", "name", unique=True),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    resource_id: UUID
    name: str = characters(200)
    conditions: dict[str, Any] = json_column()
    created_at: datetime = moment()
    updated_at: datetime = moment()


class EventRow(Table, table=True):
    """An event: wall time and zone, the instants that follow, and everything else that it says.

    `long` (more than a day) splits the index: short events are found by their start, at most a day before the window,
    long ones, which are few, by their end. So a search costs the same wherever its window lies. `busy` is what it makes
    of its time (`kalends.domain.busy.busy_kind`; 0 for nothing, and for series): the indexes alone tell that.
    """

    __tablename__ = "event"
    __table_args__ = (
        to("calendar", "calendar_id"),
        Index(
            "ix_event_short",
            "app_id",
            "calendar_id",
            "starts_at",
            "id",
            "ends_at",
            "busy",
            sqlite_where=text("long = 0"),
            postgresql_where=text("NOT long"),
        ),
        Index(
            "ix_event_long",
            "app_id",
            "calendar_id",
            "ends_at",
            "starts_at",
            "busy",
            "id",
            sqlite_where=text("long = 1"),
            postgresql_where=text("long"),
        ),
        Index("ix_event_uid", "app_id", "calendar_id", "uid", "id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    calendar_id: UUID
    uid: str = characters(255)
    version: int = Field(sa_type=BigInteger)
    sequence: int
    all_day: bool
    start_wall: datetime = Field(sa_type=DateTime)
    end_wall: datetime = Field(sa_type=DateTime)
    tzid: str = characters(64)
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    long: bool
    summary: str = characters(1024)
    location: str = characters(1024)
    description: str | None = characters(32_768, nullable=True)
    attendees: list[list[str]] = json_column()
    partstat: str = characters(16)
    send_invitations: bool
    transparent: bool
    status: str = characters(16)
    on_conflict: str = characters(16)
    meta: dict[str, str] = json_column()
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)
    visibility: str = since("'DEFAULT'", String(16))
    reminders: list[int] | None = json_column(nullable=True)
    organizer: str | None = characters(254, nullable=True)
    out_of_office: bool = since("false", Boolean())
    busy: int = since("1", SmallInteger())  # what an older server writes is busy until somebody knows better
    recurrence: dict[str, Any] | None = json_column(nullable=True)


class OccurrenceRow(Table, table=True):
    """One time at which a series takes place, of those that are kept ready."""

    __tablename__ = "occurrence"
    __table_args__ = (
        to("event", "event_id", cascade=True),
        Index(
            "ix_occurrence_short",
            *("app_id", "calendar_id", "starts_at", "event_id", "ends_at", "busy"),
            sqlite_where=text("long = 0"),
            postgresql_where=text("NOT long"),
        ),
        Index(
            "ix_occurrence_long",
            *("app_id", "calendar_id", "ends_at", "starts_at", "busy", "event_id"),
            sqlite_where=text("long = 1"),
            postgresql_where=text("long"),
        ),
    )
    app_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    recurrence_id: datetime = Field(sa_type=DateTime, primary_key=True)
    calendar_id: UUID
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    long: bool
    busy: int = Field(sa_type=SmallInteger)
    cancelled: bool


class SeriesRow(Table, table=True):
    """For which time the occurrences of a series are kept ready: see `kalends.domain.recurrence.Expansion`."""

    __tablename__ = "series"
    __table_args__ = (
        to("event", "event_id", cascade=True),
        Index("ix_series_renew_at", "renew_at"),
        Index("ix_series_calendar", "app_id", "calendar_id", "expanded_until", "expanded_since", "event_id"),
    )
    app_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    calendar_id: UUID
    expanded_since: datetime = moment()
    expanded_until: datetime = moment()
    renew_at: datetime = moment()


class FeedRow(Table, table=True):
    """A calendar that is published as a file; the secret's hash only."""

    __tablename__ = "feed"
    __table_args__ = (to("calendar", "calendar_id", cascade=True),)
    app_id: UUID = Field(primary_key=True)
    calendar_id: UUID = Field(primary_key=True)
    secret_hash: bytes
    published_at: datetime = moment()


class ChangeRow(Table, table=True):
    """What happened, in one order. `transaction` is PostgreSQL's id of the writing transaction: readers stop below the
    oldest one still running, so that a slow commit cannot slip in behind their cursor. On SQLite, with one writer, 0.
    """

    __tablename__ = "change"
    __table_args__ = (
        ForeignKeyConstraint(["app_id"], ["app.id"]),
        Index("ix_change_order", "app_id", "transaction", "id"),
        Index("ix_change_calendar", "app_id", "calendar_id", "transaction", "id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    transaction: int = Field(sa_type=BigInteger)
    kind: str = characters(16)
    subject_id: UUID
    calendar_id: UUID | None = Field(nullable=True)
    version: int = Field(sa_type=BigInteger)
    operation: str = characters(16)
    origin: str = characters(64)
    at: datetime = moment()


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
    operation: str = characters(32)
    request_hash: bytes
    result: list[str] = json_column()
    created_at: datetime = moment()


TENANT_TABLES = tuple(table.name for table in Table.metadata.sorted_tables if "app_id" in table.c)
"""Every table of a tenant's: row-level security covers each."""
