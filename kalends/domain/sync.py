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

LONGEST_PAUSE = timedelta(minutes=15)


class SyncStatus(StrEnum):
    """Where an event stands with its provider."""

    LOCAL = "LOCAL"  # lives only here
    PENDING = "PENDING"  # waits for its first try
    SYNCED = "SYNCED"  # the provider has this version
    RETRYING = "RETRYING"  # a try failed, another is planned
    PARKED = "PARKED"  # the account must be reconnected first; nothing is lost
    FAILED = "FAILED"  # a person must act; `retrySync` tries again


@dataclass(frozen=True, slots=True)
class Link:
    """An event's counterpart at its provider.

    `generation` is part of the identity that we give the remote copy: raised when one must be created anew.
    `attempted_version` is written before the first call, so that a crash in the middle of it leaves a trace.
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
class SyncState:
    """What a caller may know about an event's sync."""

    status: SyncStatus
    provider: str
    attempts: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    last_synced_at: datetime | None = None
    remote_url: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxCopy:
    """An event as the sandbox provider keeps it, in that provider's words. `calls` counts the writes that named it."""

    account_id: UUID
    calendar: str
    remote_id: str
    revision: int
    deleted: bool
    body: Mapping[str, Any]
    calls: int = 1


def sync_state(provider: str, link: Link | None, intent: Intent | None, *, parked: bool) -> SyncState:
    """Say where an event stands, from its link (none: it lives only here), its intent and its account."""
    if link is None:
        return SyncState(SyncStatus.LOCAL, provider)
    if intent is None:
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
    )


def pause_after(failures: int, chance: float) -> timedelta:
    """Return how long to wait after so many failures in a row.

    `min(2^n + up to one second, 15 min)`: truncated exponential back-off as Google asks for
    (https://developers.google.com/workspace/calendar/api/guides/quota). `chance` is a random number from 0 to 1.
    """
    return min(timedelta(seconds=2.0 ** min(failures - 1, 20) + chance), LONGEST_PAUSE)
