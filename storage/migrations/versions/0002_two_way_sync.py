"""Events that come from providers: series, agreements, sources, channels, accounts that are opened."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.migrations.tenancy import is_postgresql, protect, unforced
from storage.types import Instant

revision = "0002"
down_revision = "0001"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

CALENDAR = sa.table("calendar", *map(sa.column, ("app_id", "id", "account_id", "provider")))
LINK = sa.table(
    "link",
    *map(sa.column, ("app_id", "event_id", "calendar_id", "remote_id", "remote_etag", "remote_url")),
    *map(sa.column, ("pushed_version", "attempted_version")),
)
OUTBOX = sa.table("outbox", *map(sa.column, ("app_id", "event_id", "calendar_id", "position", "attempts", "due_at")))
LANE = sa.table("lane", *map(sa.column, ("app_id", "calendar_id", "account_id", "due_at", "fence", "failures")))
SOURCE = sa.table(
    "source",
    *map(sa.column, ("app_id", "calendar_id", "due_at", "full_at", "broken")),
    *map(sa.column, ("failures", "held", "allowed", "made_read_only")),
)


def upgrade() -> None:
    op.add_column("event", sa.Column("visibility", sa.String(16), nullable=False, server_default=sa.text("'DEFAULT'")))
    op.add_column("event", sa.Column("reminders", JSON, nullable=True))
    op.add_column("event", sa.Column("organizer", sa.String(254), nullable=True))
    op.add_column("event", sa.Column("recurrence", JSON, nullable=True))

    op.add_column("account", sa.Column("subject", sa.Text(), nullable=True))
    op.add_column("account", sa.Column("address", sa.String(254), nullable=True))
    op.add_column("account", sa.Column("last_error", sa.String(1024), nullable=True))
    op.add_column("account", sa.Column("renewing_until", Instant(), nullable=True))

    op.add_column("link", sa.Column("remote_uid", sa.Text(), nullable=True))
    for name in ("agreed", "sent", "conflict", "warnings"):
        op.add_column("link", sa.Column(name, JSON, nullable=True))
    op.create_index("ix_link_remote", "link", ["app_id", "calendar_id", "remote_id"])

    op.add_column("lane", sa.Column("alone", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column(
        "sandbox_account", sa.Column("position", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("sandbox_event", sa.Column("position", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_index("ix_sandbox_event_position", "sandbox_event", ["app_id", "account_id", "calendar", "position"])

    op.create_table(
        "occurrence",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("recurrence_id", sa.DateTime(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("long", sa.Boolean(), nullable=False),
        sa.Column("blocks", sa.Boolean(), nullable=False),
        _to("event", "occurrence", "event_id", cascade=True),
        sa.PrimaryKeyConstraint("app_id", "event_id", "recurrence_id", name="pk_occurrence"),
    )
    op.create_index(
        "ix_occurrence_short",
        "occurrence",
        ["app_id", "calendar_id", "starts_at"],
        sqlite_where=sa.text("long = 0"),
        postgresql_where=sa.text("NOT long"),
    )
    op.create_index(
        "ix_occurrence_long",
        "occurrence",
        ["app_id", "calendar_id", "ends_at"],
        sqlite_where=sa.text("long = 1"),
        postgresql_where=sa.text("long"),
    )
    op.create_table(
        "series",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("expanded_until", Instant(), nullable=False),
        _to("event", "series", "event_id", cascade=True),
        sa.PrimaryKeyConstraint("app_id", "event_id", name="pk_series"),
    )
    op.create_index("ix_series_expanded_until", "series", ["expanded_until"])

    op.create_table(
        "source",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("synced_at", Instant(), nullable=True),
        sa.Column("full_at", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(1024), nullable=True),
        sa.Column("broken", JSON, nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("gone", Instant(), nullable=True),
        sa.Column("made_read_only", sa.Boolean(), nullable=False),
        _to("calendar", "source", "calendar_id", cascade=True),
        sa.PrimaryKeyConstraint("app_id", "calendar_id", name="pk_source"),
    )
    op.create_table(
        "channel",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("renew_at", Instant(), nullable=False),
        _to("calendar", "channel", "calendar_id", cascade=True),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_channel"),
    )
    op.create_index("ix_channel_calendar", "channel", ["app_id", "calendar_id"])
    op.create_table(
        "consent",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("origin", sa.String(64), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_consent_app"),
        _to("resource", "consent", "resource_id", cascade=True),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_consent"),
    )

    with unforced("calendar", "lane", "link", "outbox", "sandbox_event"):
        _begin_sandbox_anew()
    if is_postgresql():
        protect("occurrence")
        protect("series", system="SELECT")
        protect("source", system="SELECT")
        protect("channel")
        protect("consent", system="SELECT, DELETE")


def _begin_sandbox_anew() -> None:
    """Read the sandbox's calendars from now on, and write into them again what they hold.

    The sandbox has other words for an event now, and whatever it held, it had from us.
    """
    now = sa.literal(datetime.now(UTC), Instant())
    theirs = sa.select(CALENDAR.c.app_id, CALENDAR.c.id).where(CALENDAR.c.provider == "sandbox")
    linked = sa.tuple_(LINK.c.app_id, LINK.c.calendar_id).in_(theirs)
    op.execute(sa.delete(sa.table("sandbox_event")))
    op.execute(
        sa.update(LINK)
        .where(linked)
        .values(remote_id=None, remote_etag=None, remote_url=None, pushed_version=0, attempted_version=0)
    )
    wished_for = sa.select(OUTBOX.c.app_id, OUTBOX.c.event_id)
    _add(
        OUTBOX,
        sa.select(LINK.c.app_id, LINK.c.event_id, LINK.c.calendar_id, LINK.c.event_id, sa.literal(0), now).where(
            linked, sa.tuple_(LINK.c.app_id, LINK.c.event_id).not_in(wished_for)
        ),
    )
    known = sa.select(LANE.c.app_id, LANE.c.calendar_id)
    op.execute(
        sa.update(LANE)
        .where(LANE.c.due_at.is_(None), sa.tuple_(LANE.c.app_id, LANE.c.calendar_id).in_(theirs))
        .values(due_at=now)
    )
    _add(
        LANE,
        theirs.add_columns(CALENDAR.c.account_id, now, sa.literal(0), sa.literal(0)).where(
            sa.tuple_(CALENDAR.c.app_id, CALENDAR.c.id).not_in(known)
        ),
    )
    none = (sa.literal(0),) * 3
    _add(SOURCE, theirs.add_columns(now, now, sa.literal([], JSON), *none, sa.false()))


def _add(table: sa.TableClause, rows: sa.Select[Any]) -> None:
    op.execute(sa.insert(table).from_select([column.name for column in table.c], rows))


def _to(table: str, source: str, column: str, *, cascade: bool) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["app_id", column],
        [f"{table}.app_id", f"{table}.id"],
        name=f"fk_{source}_{table}",
        ondelete="CASCADE" if cascade else None,
    )
