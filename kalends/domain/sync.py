"""What it means that an event is in step with its provider, and when to try again.

The truth is `event.version > link.pushed_version`. An outbox row only says that somebody should look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from kalends.domain.events import EventState
from kalends.domain.merge import Agreement

LONGEST_PAUSE = timedelta(minutes=15)


class SyncStatus(StrEnum):
    """Where an event stands with its provider."""

    LOCAL = "LOCAL"  # lives only here
    PENDING = "PENDING"  # waits for its first try
    SYNCED = "SYNCED"  # the provider has this version
    RETRYING = "RETRYING"  # a try failed, another is planned
    PARKED = "PARKED"  # the account must be reconnected first; nothing is lost
    FAILED = "FAILED"  # a person must act; `retrySync` tries again
    CONFLICT = "CONFLICT"  # both sides changed the same thing: `resolveSyncConflict` decides


class WarningCode(StrEnum):
    """What a provider could not do with an event, or we with what a provider has."""

    PARTICIPANTS_NOT_SENT = "PARTICIPANTS_NOT_SENT"  # it would mail them, and `invite` is false
    RSVP_NOT_SENT = "RSVP_NOT_SENT"
    CANCELLATION_DELETES = "CANCELLATION_DELETES"
    METADATA_NOT_SENT = "METADATA_NOT_SENT"
    REMINDERS_NOT_SENT = "REMINDERS_NOT_SENT"
    VISIBILITY_NOT_SENT = "VISIBILITY_NOT_SENT"
    STATUS_NOT_SENT = "STATUS_NOT_SENT"
    RECURRENCE_NOT_SENT = "RECURRENCE_NOT_SENT"
    OUT_OF_OFFICE_NOT_SENT = "OUT_OF_OFFICE_NOT_SENT"
    TEXT_SHORTENED = "TEXT_SHORTENED"
    UNKNOWN_TIME_ZONE = "UNKNOWN_TIME_ZONE"  # read as the calendar's own zone, never as UTC
    FLOATING_TIME = "FLOATING_TIME"  # without a zone: read as the calendar's own
    PARTLY_READ = "PARTLY_READ"  # it says something that Kalends has no word for


@dataclass(frozen=True, slots=True)
class SyncWarning:
    """Something that is not the same on both sides, and why; for people, in one sentence."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """What the provider had when both sides had changed the same places; `etag` is that version's."""

    theirs: EventState
    etag: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """An event's counterpart at its provider.

    `generation` is part of the identity that we give the remote copy: raised when one must be created anew.
    `attempted_version` and `sent` are written before a call, so that a crash in the middle of it leaves a trace: `sent`
    is what may have arrived. `agreed` is what both sides said when they were last in step.
    """

    event_id: UUID
    calendar_id: UUID
    local_version: int
    pushed_version: int
    attempted_version: int
    generation: int
    remote_id: str | None
    remote_etag: str | None
    remote_url: str | None
    last_synced_at: datetime | None
    remote_uid: str | None = None
    agreed: Agreement | None = None
    sent: EventState | None = None
    conflict: Conflict | None = None
    warnings: tuple[SyncWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """An outbox row: the wish to bring one event to its provider, and how that has gone so far."""

    event_id: UUID
    calendar_id: UUID
    attempts: int
    due_at: datetime | None  # None: a dead letter
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Lane:
    """The right to talk to a provider about one calendar, for a while. `fence` grows with every lease."""

    app_id: UUID
    calendar_id: UUID
    fence: int
    failures: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where a calendar's events come from, and how far we have read there.

    `token` is the provider's mark of how far; without one, the next round reads everything. `broken` are the names of
    what could not be read in the last round, and why. `held` is how many deletions a person must confirm before they
    are done here too, `allowed` how many were confirmed. `gone` is since when the provider has no such calendar.
    `made_read_only` says that the calendar became read-only with its source, and is so no longer than that.
    """

    calendar_id: UUID
    token: str | None = None
    due_at: datetime | None = None
    synced_at: datetime | None = None
    full_at: datetime | None = None
    failures: int = 0
    last_error: str | None = None
    broken: tuple[tuple[str, str], ...] = ()
    held: int = 0
    allowed: int = 0
    gone: datetime | None = None
    made_read_only: bool = False

    @property
    def writable(self) -> bool:
        """Whether anything may be written there. What is there must be known first: else it could be made twice."""
        return self.full_at is not None and self.gone is None


@dataclass(frozen=True, slots=True)
class SyncState:
    """What a caller may know about an event's sync."""

    status: SyncStatus
    provider: str
    attempts: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    last_synced_at: datetime | None = None
    remote_url: str | None = None
    conflict: Conflict | None = None
    warnings: tuple[SyncWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxCopy:
    """An event as the sandbox provider keeps it, in that provider's words.

    `calls` counts the writes that named it; `position` is where its last change stands among its account's.
    """

    account_id: UUID
    calendar: str
    remote_id: str
    revision: int
    deleted: bool
    body: Mapping[str, Any]
    calls: int = 1
    position: int = 0


def sync_state(provider: str, link: Link | None, intent: Intent | None, *, parked: bool) -> SyncState:
    """Say where an event stands, from its link (none: it lives only here), its intent and its account."""
    if link is None:
        return SyncState(SyncStatus.LOCAL, provider)
    if link.conflict is not None:
        status = SyncStatus.CONFLICT
    elif intent is None:
        status = SyncStatus.SYNCED if link.pushed_version >= link.local_version else SyncStatus.PENDING
    elif intent.due_at is None:
        status = SyncStatus.FAILED
    elif parked:
        status = SyncStatus.PARKED
    else:
        status = SyncStatus.RETRYING if intent.attempts else SyncStatus.PENDING
    return SyncState(
        status,
        provider,
        attempts=intent.attempts if intent else 0,
        last_error=intent.last_error if intent else None,
        next_attempt_at=None if intent is None or status is SyncStatus.PARKED else intent.due_at,
        last_synced_at=link.last_synced_at,
        remote_url=link.remote_url,
        conflict=link.conflict,
        warnings=link.warnings,
    )


def pause_after(failures: int, chance: float) -> timedelta:
    """Return how long to wait after so many failures in a row.

    `min(2^n + up to one second, 15 min)`: truncated exponential back-off as Google asks for
    (https://developers.google.com/workspace/calendar/api/guides/quota). `chance` is a random number from 0 to 1.
    """
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20) + chance), LONGEST_PAUSE)
