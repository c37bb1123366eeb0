"""What events live in: resources, their calendars, and the accounts that connect them to providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from kalends.domain.errors import NotWritable

MAX_NAME = 200
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
    """A calendar. `tzid` is its own zone: the days of its all-day events, and the default of the others."""

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

    def closed(self, *path: str) -> NotWritable | None:
        """Return why the calendar takes no changes to its events, None where it does."""
        if self.archived_at is not None:
            code, message = "CALENDAR_ARCHIVED", "The calendar is archived: unarchive it with updateCalendar first."
        elif self.read_only:
            code, message = "CALENDAR_READ_ONLY", "The calendar is read-only."
        else:
            return None
        return NotWritable(code=code, message=message, path=path, calendar_id=self.id)
