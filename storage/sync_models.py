"""The tables of sync: what stands at providers, what must still go there, and how we hear of changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ForeignKeyConstraint, Index, text
from sqlmodel import Field

from storage.columns import Table, characters, json_column, moment, since, to


class LinkRow(Table, table=True):
    """An event's counterpart at its provider. `local_version` repeats the event's: an index can hold what is behind.

    `agreed`, `sent` and `conflict` hold states of the event as JSON (`storage/states.py`).
    """

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
        Index("ix_link_remote", "app_id", "calendar_id", "remote_id"),
    )
    app_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    calendar_id: UUID
    local_version: int = Field(sa_type=BigInteger)
    pushed_version: int = Field(sa_type=BigInteger)
    attempted_version: int = Field(sa_type=BigInteger)
    generation: int
    remote_id: str | None = characters(nullable=True)
    remote_etag: str | None = characters(nullable=True)
    remote_url: str | None = characters(nullable=True)
    last_synced_at: datetime | None = moment(nullable=True)
    remote_uid: str | None = characters(nullable=True)
    agreed: dict[str, Any] | None = json_column(nullable=True)
    sent: dict[str, Any] | None = json_column(nullable=True)
    conflict: dict[str, Any] | None = json_column(nullable=True)
    warnings: list[list[str]] | None = json_column(nullable=True)


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
    due_at: datetime | None = moment(nullable=True)
    last_error: str | None = characters(1024, nullable=True)


class LaneRow(Table, table=True):
    """One calendar's queue: when somebody should look at it, and who is at it now.

    `alone` ones are not worked beside another of the same account.
    """

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
    due_at: datetime | None = moment(nullable=True)
    fence: int = Field(sa_type=BigInteger)
    leased_until: datetime | None = moment(nullable=True)
    failures: int
    alone: bool = since("false", Boolean)


class SourceRow(Table, table=True):
    """Where a calendar's events come from. `token` is sealed: some providers' tokens open what they point at."""

    __tablename__ = "source"
    __table_args__ = (to("calendar", "calendar_id", cascade=True),)
    app_id: UUID = Field(primary_key=True)
    calendar_id: UUID = Field(primary_key=True)
    token: bytes | None = Field(nullable=True)
    due_at: datetime | None = moment(nullable=True)
    synced_at: datetime | None = moment(nullable=True)
    full_at: datetime | None = moment(nullable=True)
    failures: int
    last_error: str | None = characters(1024, nullable=True)
    broken: list[list[str]] = json_column()
    held: int
    allowed: int
    gone: datetime | None = moment(nullable=True)
    made_read_only: bool


class ChannelRow(Table, table=True):
    """A way on which a provider calls us about a calendar; the secret's hash only."""

    __tablename__ = "channel"
    __table_args__ = (
        to("calendar", "calendar_id", cascade=True),
        Index("ix_channel_calendar", "app_id", "calendar_id"),
    )
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    calendar_id: UUID
    remote_id: str = characters()
    secret_hash: bytes
    expires_at: datetime = moment()
    renew_at: datetime = moment()


class ConsentRow(Table, table=True):
    """Somebody was sent to a provider for their consent; whoever comes back must know the state."""

    __tablename__ = "consent"
    __table_args__ = (ForeignKeyConstraint(["app_id"], ["app.id"]), to("resource", "resource_id", cascade=True))
    app_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    provider: str = characters(32)
    resource_id: UUID | None = Field(nullable=True)
    state_hash: bytes
    verifier: bytes
    return_to: str | None = characters(nullable=True)
    origin: str = characters(64)
    expires_at: datetime = moment()


class SandboxAccountRow(Table, table=True):
    """How the sandbox provider misbehaves towards one account."""

    __tablename__ = "sandbox_account"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "account_id"], ["account.app_id", "account.id"], ondelete="CASCADE"),
    )
    app_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    faults: dict[str, Any] = json_column()
    position: int = since("0", BigInteger)


class SandboxEventRow(Table, table=True):
    """An event as the sandbox provider keeps it, in its own words. `calls` counts the writes that named it."""

    __tablename__ = "sandbox_event"
    __table_args__ = (
        ForeignKeyConstraint(["app_id", "account_id"], ["account.app_id", "account.id"], ondelete="CASCADE"),
        Index("ix_sandbox_event_position", "app_id", "account_id", "calendar", "position"),
    )
    app_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    remote_id: str = Field(primary_key=True, max_length=255)
    calendar: str = characters(255)
    revision: int
    calls: int
    deleted: bool
    body: dict[str, Any] = json_column()
    position: int = since("0", BigInteger)
