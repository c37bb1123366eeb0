"""What events live in: resources, their calendars, and the accounts that connect them to providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from kalends.domain.errors import NotWritable

MAX_NAME = 200
STALE_AFTER = timedelta(hours=6)
LEAST_STALE_AFTER, MOST_STALE_AFTER = timedelta(minutes=1), timedelta(days=30)
LOCAL, SANDBOX = "local", "sandbox"


class ResourceKind(StrEnum):
    """Who or what a calendar belongs to (RFC 5545 section 3.2.3, CUTYPE)."""

    PERSON = "PERSON"
    ROOM = "ROOM"
    EQUIPMENT = "EQUIPMENT"


class AccountState(StrEnum):
    """Whether a provider still lets us in."""

    ACTIVE = "ACTIVE"
    NEEDS_RECONNECT = "NEEDS_RECONNECT"  # it does not: its owner must connect it again
    REVOKED = "REVOKED"  # it was disconnected on purpose; what opened it is gone


class StalePolicy(StrEnum):
    """What availability makes of a calendar whose provider was last read too long ago."""

    TREAT_AS_BUSY = "TREAT_AS_BUSY"  # all of it is taken
    TREAT_AS_FREE = "TREAT_AS_FREE"  # what was last read counts, and nothing else
    FAIL = "FAIL"  # no answer


@dataclass(frozen=True, slots=True)
class Resource:
    """Whoever or whatever calendars belong to. Its `email` makes it recognisable among an event's participants."""

    id: UUID
    name: str
    kind: ResourceKind
    email: str | None
    tzid: str
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """A grant at a provider. While it is not ACTIVE, what waits for it stays where it is.

    `subject` is the provider's lasting name of it, `address` its owner's e-mail address there. While `blocked_until`
    lies ahead, the provider has asked us to be quiet.
    """

    id: UUID
    resource_id: UUID | None
    provider: str
    state: AccountState
    blocked_until: datetime | None = None
    subject: str | None = None
    address: str | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar. `tzid` is its own zone: the days of its all-day events, and the default of the others.

    `stale_policy` is what availability makes of it where its provider was not read for longer than `stale_after`.
    """

    id: UUID
    resource_id: UUID | None
    name: str
    description: str | None
    tzid: str
    provider: str
    account_id: UUID | None
    remote_id: str | None
    read_only: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    stale_policy: StalePolicy = StalePolicy.TREAT_AS_BUSY
    stale_after: timedelta = STALE_AFTER

    def closed(self, *path: str) -> NotWritable | None:
        """Return why the calendar takes no changes to its events, None where it does."""
        if self.archived_at is not None:
            code, message = "CALENDAR_ARCHIVED", "The calendar is archived: unarchive it with updateCalendar first."
        elif self.read_only:
            code, message = "CALENDAR_READ_ONLY", "The calendar is read-only."
        else:
            return None
        return NotWritable(code=code, message=message, path=path, calendar_id=self.id)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old what we know of a calendar is: `synced_at` is when its provider was last read to its end.

    A calendar that is read nowhere (`sourced` is False) is never stale; one that was not read yet is.
    """

    calendar_id: UUID
    resource_id: UUID | None
    policy: StalePolicy
    after: timedelta
    sourced: bool
    synced_at: datetime | None

    def stale(self, now: datetime) -> bool:
        """Tell whether it is too old to be relied on."""
        return self.sourced and (self.synced_at is None or now - self.synced_at > self.after)
