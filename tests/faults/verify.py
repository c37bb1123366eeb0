"""The judgement: the database and the providers' sides, as they lie there, against what everybody was told.

How an event and its copy are compared is written out here, and in `places/`, a second time, so that a defect in the
providers' own words would be seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from providers.interface import Identity
from tests.faults.ledger import CANCELLED, FIELDS, Entry, Ledger, Said
from tests.faults.observer import Rows
from tests.faults.places.place import Copy, Place
from tests.faults.places.sandbox import Sandbox, in_the_sandboxs_words
from tests.faults.sayings import invented, outlived, unheard

GENERATIONS = range(6)  # of the names that one event gives its copies


@dataclass
class Findings:
    """What is wrong, item by item, and how many of Kalends' writes were repetitions."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    repeated: int = 0

    @property
    def damage(self) -> tuple[int, int, int]:
        """How much was lost, doubled, diverged."""
        return len(self.lost), len(self.doubled), len(self.diverged)


def judge(rows: Rows, copies: Sequence[Copy], writes: Mapping[str, int], ledger: Ledger, place: Place) -> Findings:
    """Compare both sides with each other, and with what everybody knows."""
    found = Findings()
    _judge_copies(found, rows, copies, ledger, place)
    _judge_entries(found, rows, ledger)
    _judge_outbox(found, rows)
    found.repeated = _repeated(writes, ledger)
    return found


def apart(rows: Rows, copies: Sequence[Copy], place: Place, calendars: Iterable[str] | None = None) -> bool:
    """Tell whether the two sides do not say the same yet, in these calendars or in all."""
    wanted = set(place.links) if calendars is None else set(calendars)
    links = {row.event_id: row for row in rows.links}
    there = {(copy.calendar, copy.name): copy for copy in copies if copy.calendar in wanted}
    for event in rows.events:
        if str(event.calendar_id) not in wanted:
            continue
        link = links.get(event.id)
        copy = None if link is None else there.pop((str(event.calendar_id), link.remote_id), None)
        if event.deleted_at is not None or link is None or link.conflict is not None:
            return True
        if (copy is None and event.status != CANCELLED) or (copy is not None and _differences(event, copy, place)):
            return True
    return bool(there)


def _judge_copies(found: Findings, rows: Rows, copies: Sequence[Copy], ledger: Ledger, place: Place) -> None:
    """Each event has exactly one live copy, which says what the event says; nothing else is alive."""
    links = {row.event_id: row for row in rows.links}
    there = {(copy.calendar, copy.name): copy for copy in copies}
    with_copy = set()
    for event in rows.events:
        if event.deleted_at is not None:
            continue
        link = links.get(event.id)
        copy = None if link is None else there.pop((str(event.calendar_id), link.remote_id), None)
        if link is None or link.pushed_version != event.version or link.local_version != event.version:
            pushed = link.pushed_version if link else None
            found.diverged.append(f"event {event.id}: version {event.version}, pushed {pushed}")
        elif link.conflict is not None:
            found.diverged.append(f"event {event.id}: its conflict waits for somebody")
        if copy is not None:
            with_copy.add(_entry_of(event, ledger))
            if wrong := _differences(event, copy, place):
                found.diverged.append(f"event {event.id}: the copy differs: {wrong}")
        elif link is not None and link.pushed_version > 0 and not _needs_none(event, link, place):
            found.lost.append(f"event {event.id}: no copy at its provider")
    for ghost in there.values():
        if (entry := ledger.of(ghost.description)) is not None and entry in with_copy:
            found.doubled.append(f"copy {ghost.name}: a second one of {ghost.description[-16:]!r}")
        else:
            found.diverged.append(f"copy {ghost.name}: alive without an event of ours")


def _needs_none(event: Row[Any], link: Row[Any], place: Place) -> bool:
    """Tell whether an event may be without a copy: cancelled, where that deletes it, or where it was never sent."""
    return event.status == CANCELLED and (not place.keeps_cancelled or link.remote_id is None)


def _judge_entries(found: Findings, rows: Rows, ledger: Ledger) -> None:
    """Each entry is exactly one event, beside its twins, and all that was said of it is in its place."""
    by_entry: dict[str, list[Row[Any]]] = defaultdict(list)
    results = {row.key: row.result for row in rows.keys}
    for row in rows.events:
        entry = _entry_of(row, ledger)
        if entry is None:
            found.doubled.append(f"event {row.id} is nobody's ({row.summary!r})")
        else:
            by_entry[entry.key].append(row)
    for entry in ledger:
        stored = by_entry[entry.key]
        allowed = {entry.event_id or str(min((row.id for row in stored), default="")), *entry.twins}
        strangers = [row for row in stored if str(row.id) not in allowed]
        found.doubled += [f"{entry.key}: a second event {row.id}" for row in strangers[entry.perhaps :]]
        if not entry.done:
            continue
        alive = [row for row in stored if row.deleted_at is None]
        found.diverged += [f"{entry.key}: deleted, and still waits" for row in stored if row.deleted_at is not None]
        if not alive and not entry.deletions:
            found.lost.append(f"{entry.key}: acknowledged, deleted by nobody, and not stored")
            continue
        finals = [_said(row) for row in alive]
        found.lost += unheard(entry, finals)
        found.lost += [f"{entry.key}: {each}" for row in alive if (each := _otherwise(entry, row))]
        for final in finals:
            found.diverged += invented(entry, final)
        if alive and not entry.twins and not entry.perhaps and outlived(entry):
            found.diverged.append(f"{entry.key}: deleted by somebody who knew all of it, and still there")
        if not entry.there and results.get(entry.key) != [entry.event_id]:
            found.doubled.append(f"{entry.key}: its key stands for {results.get(entry.key)}")


def _judge_outbox(found: Findings, rows: Rows) -> None:
    """Nothing waits any more. What is behind as well was counted there."""
    behind = {row.event_id for row in rows.links if row.pushed_version < row.local_version}
    for row in rows.intents:
        if row.event_id not in behind:
            state = "a dead letter" if row.due_at is None else "still waiting"
            found.diverged.append(f"event {row.event_id}: {state} after {row.attempts} attempts: {row.last_error}")
    for row in rows.sources:
        if row.held or row.gone or row.broken:
            text = f"{row.held} deletions held, gone {row.gone}, unreadable {row.broken}"
            found.diverged.append(f"calendar {row.calendar_id}: {text}")


def _entry_of(row: Row[Any], ledger: Ledger) -> Entry | None:
    return ledger.of(row.description)


def _said(row: Row[Any]) -> Said:
    return {
        "what": row.summary,
        "where": row.location,
        "when": (row.starts_at.astimezone(UTC), row.ends_at.astimezone(UTC)),
        "status": row.status,
    }


def _otherwise(entry: Entry, row: Row[Any]) -> str:
    """Return what of an event is not as it was said, where nobody has changed it."""
    wanted = {"description": entry.description, "participants": list(entry.guests), "calendar": entry.calendar_id}
    stored = {
        "description": row.description.strip(),
        "participants": [email for email, _ in row.attendees],
        "calendar": str(row.calendar_id),
    }
    return _differing(wanted, stored)


def _differences(event: Row[Any], copy: Copy, place: Place) -> str:
    """Return what a copy says otherwise than its event."""
    wanted = {
        **_said(event),
        "description": event.description.strip(),
        "guests": sorted(email for email, _ in event.attendees) if place.keeps_guests else [],
    }
    there = {
        **{name: copy.said[name] for name in FIELDS},
        "description": copy.description.strip(),
        "guests": sorted(copy.guests),
    }
    if isinstance(place, Sandbox):
        wanted, there = wanted | in_the_sandboxs_words(event), there | dict(copy.whole)
    return _differing(wanted, there)


def _differing(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    differing = [name for name, value in wanted.items() if there.get(name) != value]
    return ", ".join(f"{name} {there.get(name)!r} instead of {wanted[name]!r}" for name in differing)[:300]


def _repeated(writes: Mapping[str, int], ledger: Ledger) -> int:
    """Return how many writes there were beyond one for each change of an event."""
    left = Counter(writes)
    repeated = 0
    for entry in ledger:
        ids = [each for each in (entry.event_id, *entry.twins) if each is not None]
        names = {Identity(UUID(each), "", generation).key for each in ids for generation in GENERATIONS} | {entry.key}
        repeated += max(0, sum(left.pop(name, 0) for name in names) - entry.writes)
    return repeated


def tally(counts: Counter[str]) -> str:
    """Return counts as words, most frequent first."""
    return ", ".join(f"{number} {name}" for name, number in counts.most_common()) or "none"
