"""The judgement: the database, read as it lies there, against what clients were told.

The comparison of events with their copies is written out here a second time, so that a defect in the provider's own
words would be seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database
from storage.idempotency import KEYS_USED
from storage.links import LINKS
from storage.models import EventRow
from storage.outbox import INTENTS, LANES
from storage.repository import table_of
from storage.sync_models import SandboxEventRow
from tests.faults.ledger import Entry

EVENTS, COPIES = table_of(EventRow), table_of(SandboxEventRow)


@dataclass
class Findings:
    """What is wrong, item by item, and how many of the provider's calls were repetitions."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    repeated: int = 0

    @property
    def damage(self) -> tuple[int, int, int]:
        """How much was lost, doubled, diverged."""
        return len(self.lost), len(self.doubled), len(self.diverged)


@dataclass(frozen=True)
class Rows:
    """Everything that the judgement reads."""

    events: Sequence[Row[Any]]
    links: Sequence[Row[Any]]
    intents: Sequence[Row[Any]]
    copies: Sequence[Row[Any]]
    keys: Sequence[Row[Any]]


class Observer:
    """Reads one scenario's database from outside, as the operator of the database could."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, pool_size=2)

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()

    async def waiting(self) -> int:
        """Return how many events still have to reach their provider, without dead letters."""
        async with self.database.reader.connect() as connection:
            behind = select(LINKS.c.event_id).where(LINKS.c.pushed_version < LINKS.c.local_version)
            due = select(INTENTS.c.event_id).where(INTENTS.c.due_at.is_not(None))
            dead = select(INTENTS.c.event_id).where(INTENTS.c.due_at.is_(None))
            both = behind.where(LINKS.c.event_id.not_in(dead)).union(due).subquery()
            return int((await connection.execute(select(func.count()).select_from(both))).scalar_one())

    async def leased(self) -> dict[Any, int]:
        """Return the fences of the lanes that somebody holds."""
        held = LANES.c.leased_until > self.database.now()
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(select(LANES.c.calendar_id, LANES.c.fence).where(held))).all()
        return {row.calendar_id: row.fence for row in rows}

    async def fences(self) -> dict[Any, int]:
        """Return the fence of every lane."""
        async with self.database.reader.connect() as connection:
            rows = (await connection.execute(select(LANES.c.calendar_id, LANES.c.fence))).all()
        return {row.calendar_id: row.fence for row in rows}

    async def synced_between(self, calendars: set[str], since: datetime, until: datetime) -> int:
        """Return how many events of these calendars last reached their provider in a span of time."""
        async with self.database.reader.connect() as connection:
            query = select(LINKS.c.calendar_id).where(LINKS.c.last_synced_at.between(since, until))
            rows = (await connection.execute(query)).all()
        return sum(str(row.calendar_id) in calendars for row in rows)

    async def rows(self) -> Rows:
        """Read everything, in one transaction that cannot write."""
        async with self.database.reader.connect() as connection:
            if not self.database.is_sqlite:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            tables = (EVENTS, LINKS, INTENTS, COPIES, KEYS_USED)
            return Rows(*[await _all(connection, table) for table in tables])


async def _all(connection: AsyncConnection, table: Table) -> Sequence[Row[Any]]:
    return (await connection.execute(select(table))).all()


def judge(rows: Rows, entries: Sequence[Entry]) -> Findings:
    """Compare the database with what clients know."""
    found = Findings()
    _judge_events(found, rows, entries)
    _judge_copies(found, rows)
    _judge_outbox(found, rows)
    expected = {f"{entry.event_id}@kalends": entry.version for entry in entries}
    versions = {row.uid: row.version for row in rows.events}
    for copy in rows.copies:
        uid = copy.body["iCalUID"]
        found.repeated += max(0, copy.calls - versions.get(uid, expected.get(uid, copy.calls)))
    return found


def _judge_events(found: Findings, rows: Rows, entries: Sequence[Entry]) -> None:
    """Each acknowledged key is exactly one event, and that event is what its client was told."""
    by_key: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows.events:
        by_key[row.meta.get("key", "")].append(row)
    results = {row.key: row.result for row in rows.keys}
    for entry in entries:
        stored = by_key.pop(entry.key, [])
        found.doubled += [f"{entry.key}: a second event {row.id}" for row in stored[1:]]
        if not entry.acknowledged:
            continue
        mine = next((row for row in stored if str(row.id) == entry.event_id), None)
        if entry.deleted:
            if mine is not None:
                found.diverged.append(f"{entry.key}: deleted, and still stored, or still waiting for its provider")
            continue
        if mine is None:
            found.lost.append(f"{entry.key}: acknowledged as {entry.event_id}, and not stored")
        elif (wrong := _differences(_as_asked(entry), _as_stored(mine))) != "":
            found.lost.append(f"{entry.key}: acknowledged otherwise than stored: {wrong}")
        if results.get(entry.key) != [entry.event_id]:
            found.doubled.append(f"{entry.key}: its key stands for {results.get(entry.key)}")
    for key, strangers in by_key.items():
        found.doubled += [f"event {row.id} belongs to nobody's key ({key!r})" for row in strangers]


def _judge_copies(found: Findings, rows: Rows) -> None:
    """Each event has exactly one live copy, which says what the event says; nothing else is alive."""
    links = {row.event_id: row for row in rows.links}
    alive: dict[str, list[Row[Any]]] = defaultdict(list)
    for copy in rows.copies:
        if not copy.deleted:
            alive[copy.body["iCalUID"]].append(copy)
    for event in rows.events:
        if event.deleted_at is not None:
            continue
        copies = alive.pop(event.uid, [])
        found.doubled += [f"event {event.id}: a second copy {copy.remote_id}" for copy in copies[1:]]
        link = links.get(event.id)
        if link is None or link.pushed_version != event.version or link.local_version != event.version:
            pushed = link.pushed_version if link else None
            found.diverged.append(f"event {event.id}: version {event.version}, pushed {pushed}")
        never_sent = event.status == "CANCELLED" and link is not None and link.attempted_version == 0
        if not copies and not never_sent and link is not None and link.pushed_version > 0:
            found.lost.append(f"event {event.id}: no copy at its provider")
        elif copies and (wrong := _differences(_in_the_providers_words(event), dict(copies[0].body))):
            found.diverged.append(f"event {event.id}: the copy differs: {wrong}")
    for uid, ghosts in alive.items():
        found.diverged += [f"copy {copy.remote_id}: alive without its event {uid}" for copy in ghosts]


def _judge_outbox(found: Findings, rows: Rows) -> None:
    """Nothing waits any more. What is behind as well was counted there."""
    behind = {row.event_id for row in rows.links if row.pushed_version < row.local_version}
    for row in rows.intents:
        if row.event_id in behind:
            continue
        state = "a dead letter" if row.due_at is None else "still waiting"
        found.diverged.append(f"event {row.event_id}: {state} after {row.attempts} attempts: {row.last_error}")


def _as_asked(entry: Entry) -> dict[str, Any]:
    said = entry.said
    return {
        "what": said["what"],
        "where": said["where"],
        "description": said["description"],
        "participants": said["participants"],
        "start": datetime.fromisoformat(said["start"]),
        "end": datetime.fromisoformat(said["end"]),
        "calendar": entry.calendar_id,
        "version": entry.version,
        "status": "CANCELLED" if entry.cancelled else "CONFIRMED",
    }


def _as_stored(row: Row[Any]) -> dict[str, Any]:
    return {
        "what": row.summary,
        "where": row.location,
        "description": row.description,
        "participants": [email for email, _ in row.attendees],
        "start": row.starts_at,
        "end": row.ends_at,
        "calendar": str(row.calendar_id),
        "version": row.version,
        "status": row.status,
    }


def _in_the_providers_words(row: Row[Any]) -> dict[str, Any]:
    return {
        "iCalUID": row.uid,
        "sequence": row.sequence,
        "summary": row.summary,
        "location": row.location,
        "description": row.description,
        "start": {"dateTime": row.start_wall.isoformat(), "timeZone": row.tzid},
        "end": {"dateTime": row.end_wall.isoformat(), "timeZone": row.tzid},
        "status": row.status.lower(),
        "transparency": "transparent" if row.transparent else "opaque",
        "ownResponse": row.partstat,
        "attendees": [{"email": email, "responseStatus": answer} for email, answer in row.attendees],
        "sendUpdates": "all" if row.send_invitations else "none",
        "extendedProperties": {"private": row.meta},
    }


def _differences(wanted: dict[str, Any], there: dict[str, Any]) -> str:
    differing = [name for name, value in wanted.items() if there.get(name) != value]
    return ", ".join(f"{name} {there.get(name)!r} instead of {wanted[name]!r}" for name in differing)[:300]


def tally(counts: Counter[str]) -> str:
    """Return counts as words, most frequent first."""
    return ", ".join(f"{number} {name}" for name, number in counts.most_common()) or "none"
