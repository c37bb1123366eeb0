"""Calendars full of events for `python -m bench freebusy`, written by the databases themselves.

Every event takes 30 to 85 minutes; they follow one another at the same distance, whatever their number: ten times as
many events are ten times the years. One of ten is tentative, one of twenty leaves its time free. Whoever fetches rows
and merges them has a table of its own, as one would make it for that, with the same events.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from kalends.domain.calendars import LOCAL, Calendar, Resource, ResourceKind
from kalends.domain.ids import uuid7
from kalends.domain.spans import ticks
from kalends.domain.time import TimeSpan
from storage.engine import Database
from storage.unit_of_work import Storage

BASE = datetime(2020, 1, 1, tzinfo=UTC)
APART = timedelta(days=365) / 1_000
WINDOW = timedelta(days=30)

PLAIN = """CREATE TABLE plain (calendar_id {id} NOT NULL, starts_at {instant} NOT NULL, ends_at {instant} NOT NULL,
  status varchar(16) NOT NULL, transparent boolean NOT NULL)"""
PLAIN_INDEX = "CREATE INDEX ix_plain ON plain (calendar_id, starts_at, ends_at, status, transparent)"
COLUMNS = """app_id, id, calendar_id, uid, version, sequence, all_day, start_wall, end_wall, tzid, starts_at, ends_at,
  long, summary, location, attendees, partstat, send_invitations, transparent, status, on_conflict, meta, created_at,
  updated_at, busy"""

SQLITE = f"""INSERT INTO event ({COLUMNS})
  WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < :events - 1),
  at AS (SELECT c.id AS calendar_id, n.n, :base + n.n * :apart + (c.rowid % 60) * 60000000 AS starts,
    (30 + n.n % 12 * 5) * 60000000 AS long FROM calendar AS c CROSS JOIN n)
  SELECT :app, lower(hex(randomblob(16))), calendar_id, n, 1, 0, 0,
    strftime('%Y-%m-%d %H:%M:%S.000000', starts / 1000000, 'unixepoch'),
    strftime('%Y-%m-%d %H:%M:%S.000000', (starts + long) / 1000000, 'unixepoch'), 'UTC', starts, starts + long, 0,
    'Meeting', 'Room 2', '[]', 'ACCEPTED', 0, n % 20 = 7, CASE n % 10 WHEN 3 THEN 'TENTATIVE' ELSE 'CONFIRMED' END,
    'ALLOW', '{{}}', :base, :base, CASE WHEN n % 20 = 7 THEN 0 WHEN n % 10 = 3 THEN 2 ELSE 1 END FROM at"""
SQLITE_PLAIN = "INSERT INTO plain SELECT calendar_id, starts_at, ends_at, status, transparent FROM event"

POSTGRES = f"""INSERT INTO event ({COLUMNS})
  SELECT $1::uuid, gen_random_uuid(), calendar_id, n::text, 1, 0, false, starts AT TIME ZONE 'UTC',
    (starts + long) AT TIME ZONE 'UTC', 'UTC', starts, starts + long, false, 'Meeting', 'Room 2', '[]'::jsonb,
    'ACCEPTED', false, n % 20 = 7, CASE n % 10 WHEN 3 THEN 'TENTATIVE' ELSE 'CONFIRMED' END, 'ALLOW', '{{}}'::jsonb,
    $2, $2, CASE WHEN n % 20 = 7 THEN 0 WHEN n % 10 = 3 THEN 2 ELSE 1 END
  FROM (SELECT c.id AS calendar_id, n, (30 + n % 12 * 5) * interval '1 minute' AS long,
    $2::timestamptz + n * $4::interval + (c.number % 60) * interval '1 minute' AS starts
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM calendar) AS c
    CROSS JOIN generate_series(0, $3::int - 1) AS n) AS at"""
POSTGRES_PLAIN = SQLITE_PLAIN


@dataclass(frozen=True, slots=True)
class Filled:
    """A database full of events. The window lies in the middle of them."""

    app_id: UUID
    calendars: list[UUID]
    resources: list[UUID]
    window: TimeSpan


def window(events: int) -> TimeSpan:
    """Return the window that is asked about: 30 days in the middle of so many events."""
    start = BASE + APART * (events // 2)
    return TimeSpan(start.replace(microsecond=0), start.replace(microsecond=0) + WINDOW)


async def fill(database: Database, app_id: UUID, calendars: int, events: int) -> Filled:
    """Add people with a calendar each, and so many events in each calendar."""
    people = [Resource(uuid7(), f"Nr {n}", ResourceKind.PERSON, None, "UTC", BASE, BASE) for n in range(calendars)]
    theirs = [
        Calendar(
            id=uuid7(),
            resource_id=each.id,
            name=each.name,
            description=None,
            tzid="UTC",
            provider=LOCAL,
            account_id=None,
            remote_id=None,
            read_only=False,
            archived_at=None,
            created_at=BASE,
            updated_at=BASE,
        )
        for each in people
    ]
    async with Storage(database).writing(app_id) as work:
        for person, calendar in zip(people, theirs, strict=True):
            await work.resources.add(person)
            await work.calendars.add(calendar)
    await database.close()
    if database.is_sqlite:
        await asyncio.to_thread(_fill_sqlite, str(database.url.database), app_id, events)
    else:
        await _fill_postgres(
            database.url.set(drivername="postgresql").render_as_string(hide_password=False), app_id, events
        )
    return Filled(app_id, [each.id for each in theirs], [each.id for each in people], window(events))


def _fill_sqlite(file: str, app_id: UUID, events: int) -> None:
    values = {"app": app_id.hex, "base": ticks(BASE), "apart": APART // timedelta(microseconds=1), "events": events}
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(PLAIN.format(id="char(32)", instant="bigint"))
        connection.execute(SQLITE, values)
        connection.execute(SQLITE_PLAIN)
        connection.execute(PLAIN_INDEX)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgres(url: str, app_id: UUID, events: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(PLAIN.format(id="uuid", instant="timestamptz"))
        await connection.execute(POSTGRES, app_id, BASE, events, APART)
        await connection.execute(POSTGRES_PLAIN)
        await connection.execute(PLAIN_INDEX)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def calendar_file(number: int) -> bytes:
    """Return one of the events as a CalDAV server keeps it."""
    start = BASE + number * APART
    end = start + timedelta(minutes=30 + number % 12 * 5)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Bench//EN",
        "BEGIN:VEVENT",
        f"UID:{number}@bench.example",
        "DTSTAMP:20200101T000000Z",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        f"DTEND:{end:%Y%m%dT%H%M%SZ}",
        "SUMMARY:Meeting",
        "LOCATION:Room 2",
        f"TRANSP:{'TRANSPARENT' if number % 20 == 7 else 'OPAQUE'}",
        f"STATUS:{'TENTATIVE' if number % 10 == 3 else 'CONFIRMED'}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines).encode()
