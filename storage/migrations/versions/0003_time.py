"""Free/busy from indexes alone: what every event makes of its time, and for which time series are kept ready.

Files: events are found by their UID, and calendars are published. When resources can be booked: their profiles, and
what is made of a calendar that was not read for long.
"""

import sqlalchemy as sa
from alembic import op

from storage.migrations.tenancy import is_postgresql, protect, unforced
from storage.types import JSON_TYPE, Instant

revision = "0003"
down_revision = "0002"

# What `kalends.domain.events.busy` says: 1 busy, 2 tentative, and 4 more for whole days.
BUSY = """
    UPDATE event SET busy = CASE
        WHEN recurrence IS NOT NULL OR deleted_at IS NOT NULL OR transparent
            OR status = 'CANCELLED' OR partstat = 'DECLINED' THEN 0
        WHEN status = 'CONFIRMED' AND partstat = 'ACCEPTED' THEN 1
        ELSE 2
    END
"""


def upgrade() -> None:
    op.add_column("app", sa.Column("zone_data", sa.String(16), nullable=True))
    op.add_column("event", sa.Column("out_of_office", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("event", sa.Column("busy", sa.SmallInteger(), nullable=False, server_default=sa.text("1")))
    with unforced("event"):
        op.execute(BUSY)
        op.execute("UPDATE event SET busy = busy + 4 WHERE busy > 0 AND all_day")
    op.drop_index("ix_event_short", "event")
    op.drop_index("ix_event_long", "event")
    _halves(
        "event",
        short=["app_id", "calendar_id", "starts_at", "id", "ends_at", "busy"],
        long=["app_id", "calendar_id", "ends_at", "starts_at", "busy", "id"],
    )

    op.create_index("ix_event_uid", "event", ["app_id", "calendar_id", "uid", "id"])
    op.add_column(
        "calendar", sa.Column("stale_policy", sa.String(16), nullable=False, server_default=sa.text("'TREAT_AS_BUSY'"))
    )
    op.add_column("calendar", sa.Column("stale_after", sa.Integer(), nullable=False, server_default=sa.text("21600")))

    op.create_table(
        "profile",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("conditions", JSON_TYPE, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "resource_id"],
            ["resource.app_id", "resource.id"],
            name="fk_profile_resource",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "id", name="pk_profile"),
    )
    op.create_index("ix_profile_name", "profile", ["app_id", "resource_id", "name"], unique=True)

    op.drop_table("occurrence")
    op.drop_table("series")
    op.create_table(
        "occurrence",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("recurrence_id", sa.DateTime(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("long", sa.Boolean(), nullable=False),
        sa.Column("busy", sa.SmallInteger(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        _to_event("occurrence"),
        sa.PrimaryKeyConstraint("app_id", "event_id", "recurrence_id", name="pk_occurrence"),
    )
    _halves(
        "occurrence",
        short=["app_id", "calendar_id", "starts_at", "event_id", "ends_at", "busy"],
        long=["app_id", "calendar_id", "ends_at", "starts_at", "busy", "event_id"],
    )
    op.create_table(
        "series",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("expanded_since", Instant(), nullable=False),
        sa.Column("expanded_until", Instant(), nullable=False),
        sa.Column("renew_at", Instant(), nullable=False),
        _to_event("series"),
        sa.PrimaryKeyConstraint("app_id", "event_id", name="pk_series"),
    )
    op.create_index("ix_series_renew_at", "series", ["renew_at"])
    op.create_index(
        "ix_series_calendar", "series", ["app_id", "calendar_id", "expanded_until", "expanded_since", "event_id"]
    )
    # Nothing is kept ready yet: until the worker has seen to it, whoever asks reads the series themselves.
    with unforced("event"):
        op.execute(
            "INSERT INTO series (app_id, event_id, calendar_id, expanded_since, expanded_until, renew_at) "
            "SELECT app_id, id, calendar_id, starts_at, starts_at, created_at FROM event "
            "WHERE recurrence IS NOT NULL AND deleted_at IS NULL"
        )
    op.create_table(
        "feed",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("calendar_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "calendar_id"], ["calendar.app_id", "calendar.id"], name="fk_feed_calendar", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "calendar_id", name="pk_feed"),
    )
    op.create_index("ix_change_calendar", "change", ["app_id", "calendar_id", "transaction", "id"])
    if is_postgresql():
        protect("feed")
        protect("profile")
        protect("occurrence")
        protect("series", system="SELECT")


def _to_event(source: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["app_id", "event_id"], ["event.app_id", "event.id"], name=f"fk_{source}_event", ondelete="CASCADE"
    )


def _halves(table: str, *, short: list[str], long: list[str]) -> None:
    for name, columns, dialects in (("short", short, ("long = 0", "NOT long")), ("long", long, ("long = 1", "long"))):
        op.create_index(
            f"ix_{table}_{name}",
            table,
            columns,
            sqlite_where=sa.text(dialects[0]),
            postgresql_where=sa.text(dialects[1]),
        )
