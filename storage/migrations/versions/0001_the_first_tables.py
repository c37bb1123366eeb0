"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.migrations.tenancy import create_roles, is_postgresql, protect
from storage.types import Instant

revision = "0001"
down_revision = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "app",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_app"),
    )
    op.create_table(
        "api_key",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.Column("last_used_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_api_key_app"),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_api_key"),
    )
    op.create_index("ix_api_key_id", "api_key", ["id"])

    op.create_table(
        "change",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_change_app"),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_change"),
    )
    op.create_index("ix_change_order", "change", ["app_id", "transaction", "id"])

    op.create_table(
        "idempotency",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("operation", sa.String(length=32), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("result", JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_idempotency_app"),
        sa.PrimaryKeyConstraint("app_id", "principal", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_age", "idempotency", ["created_at"])

    op.create_table(
        "resource",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("tzid", sa.String(length=64), nullable=False),
        sa.Column("meta", JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_resource_app"),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_resource"),
    )
    op.create_table(
        "account",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("blocked_until", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "resource_id"], ["resource.app_id", "resource.id"], name="fk_account_resource"
        ),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_account_app"),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_account"),
    )
    op.create_table(
        "calendar",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=4096), nullable=True),
        sa.Column("tzid", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("archived_at", Instant(), nullable=True),
        sa.Column("meta", JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["app_id", "account_id"], ["account.app_id", "account.id"], name="fk_calendar_account"),
        sa.ForeignKeyConstraint(
            ["app_id", "resource_id"], ["resource.app_id", "resource.id"], name="fk_calendar_resource"
        ),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_calendar_app"),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_calendar"),
    )
    op.create_index("ix_calendar_resource", "calendar", ["app_id", "resource_id", "id"])

    op.create_table(
        "sandbox_account",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("faults", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "account_id"],
            ["account.app_id", "account.id"],
            name="fk_sandbox_account_account",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "account_id", name="pk_sandbox_account"),
    )
    op.create_table(
        "sandbox_event",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("remote_id", sa.String(length=255), nullable=False),
        sa.Column("calendar", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "account_id"],
            ["account.app_id", "account.id"],
            name="fk_sandbox_event_account",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "account_id", "remote_id", name="pk_sandbox_event"),
    )
    op.create_table(
        "event",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("uid", sa.String(length=255), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("start_wall", sa.DateTime(), nullable=False),
        sa.Column("end_wall", sa.DateTime(), nullable=False),
        sa.Column("tzid", sa.String(length=64), nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("long", sa.Boolean(), nullable=False),
        sa.Column("summary", sa.String(length=1024), nullable=False),
        sa.Column("location", sa.String(length=1024), nullable=False),
        sa.Column("description", sa.String(length=32768), nullable=True),
        sa.Column("attendees", JSON, nullable=False),
        sa.Column("partstat", sa.String(length=16), nullable=False),
        sa.Column("send_invitations", sa.Boolean(), nullable=False),
        sa.Column("transparent", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("on_conflict", sa.String(length=16), nullable=False),
        sa.Column("meta", JSON, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "calendar_id"], ["calendar.app_id", "calendar.id"], name="fk_event_calendar"
        ),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_event"),
    )
    op.create_index(
        "ix_event_long",
        "event",
        ["app_id", "calendar_id", "ends_at"],
        sqlite_where=sa.text("long = 1"),
        postgresql_where=sa.text("long"),
    )
    op.create_index(
        "ix_event_short",
        "event",
        ["app_id", "calendar_id", "starts_at", "id"],
        sqlite_where=sa.text("long = 0"),
        postgresql_where=sa.text("NOT long"),
    )

    op.create_table(
        "lane",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "calendar_id"], ["calendar.app_id", "calendar.id"], name="fk_lane_calendar", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "calendar_id", name="pk_lane"),
    )
    op.create_index(
        "ix_lane_due",
        "lane",
        ["due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )

    op.create_table(
        "link",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("local_version", sa.BigInteger(), nullable=False),
        sa.Column("pushed_version", sa.BigInteger(), nullable=False),
        sa.Column("attempted_version", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("remote_etag", sa.Text(), nullable=True),
        sa.Column("remote_url", sa.Text(), nullable=True),
        sa.Column("last_synced_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "event_id"], ["event.app_id", "event.id"], name="fk_link_event", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "event_id", name="pk_link"),
    )
    op.create_index(
        "ix_link_behind",
        "link",
        ["app_id", "event_id"],
        sqlite_where=sa.text("pushed_version < local_version"),
        postgresql_where=sa.text("pushed_version < local_version"),
    )

    op.create_table(
        "outbox",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Uuid(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("last_error", sa.String(length=1024), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "event_id"], ["event.app_id", "event.id"], name="fk_outbox_event", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "event_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_lane", "outbox", ["app_id", "calendar_id", "due_at", "position"])

    if is_postgresql():
        create_roles()
        protect("app", key="id", system="SELECT, INSERT")
        protect("api_key", system="SELECT")
        protect("account", system="SELECT")
        protect("link", system="SELECT")
        protect("outbox", system="SELECT, INSERT")
        protect("lane", system="SELECT, UPDATE")
        protect("idempotency", system="SELECT, DELETE")
        for table in ("resource", "calendar", "event", "change", "sandbox_account", "sandbox_event"):
            protect(table)
        # The version of the schema is everybody's to read: readiness compares it.
        op.execute("GRANT SELECT ON alembic_version TO PUBLIC")
