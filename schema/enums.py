"""The enums: the domain's, with the words and descriptions of the API."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import strawberry

from kalends.domain.access import Scope
from kalends.domain.calendars import ResourceKind
from kalends.domain.events import ConflictPolicy, EventStatus, Partstat
from kalends.domain.sync import SyncStatus

E = TypeVar("E", bound=type[StrEnum])


class ErrorCode(StrEnum):
    """What a program can act on."""

    INVALID_VALUE = "INVALID_VALUE"
    UNKNOWN_TIME_ZONE = "UNKNOWN_TIME_ZONE"
    NONEXISTENT_LOCAL_TIME = "NONEXISTENT_LOCAL_TIME"
    DATE_EXPECTED = "DATE_EXPECTED"
    TIME_EXPECTED = "TIME_EXPECTED"
    END_NOT_AFTER_START = "END_NOT_AFTER_START"
    NOT_FOUND = "NOT_FOUND"
    TIME_CONFLICT = "TIME_CONFLICT"
    STALE_VERSION = "STALE_VERSION"
    CALENDAR_READ_ONLY = "CALENDAR_READ_ONLY"
    CALENDAR_ARCHIVED = "CALENDAR_ARCHIVED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IN_USE = "IN_USE"


class SettableStatus(StrEnum):
    """The statuses that a write may give; cancelling is an act of its own."""

    CONFIRMED = "CONFIRMED"
    TENTATIVE = "TENTATIVE"


def _described(enum: E, name: str, description: str, values: Mapping[str, str]) -> E:
    """Give an enum its place in the schema; every value needs a description."""
    made: Any = strawberry.enum(enum, name=name, description=description)
    for value in made.__strawberry_definition__.values:
        value.description = values[value.name]
    return enum


_described(
    Partstat,
    "Rsvp",
    "An answer to an invitation (RFC 5545 section 3.2.12, PARTSTAT).",
    {
        "NEEDS_ACTION": "Not answered yet.",
        "ACCEPTED": "Will take part.",
        "DECLINED": "Will not take part: the event does not block the calendar's time.",
        "TENTATIVE": "May take part: the event blocks the time all the same.",
    },
)
_described(
    EventStatus,
    "EventStatus",
    "An event's status (RFC 5545 section 3.8.1.11, STATUS).",
    {
        "CONFIRMED": "It takes place.",
        "TENTATIVE": "It may take place, and blocks the time.",
        "CANCELLED": "It does not take place, stays visible, and frees the time.",
    },
)
_described(
    SettableStatus,
    "SettableEventStatus",
    "The statuses that a write may give; `cancelEvent` cancels.",
    {
        "CONFIRMED": "It takes place. Given to a cancelled event, it takes its time back.",
        "TENTATIVE": "It may take place, and blocks the time.",
    },
)
_described(
    ConflictPolicy,
    "ConflictPolicy",
    "What a write does where the calendar's time is already taken.",
    {
        "ALLOW": "Write, and do not look.",
        "WARN": "Write, and return the events in the way in the payload's `conflicts`.",
        "REJECT": "Refuse, with the events in the way; of concurrent writers of one slot exactly one wins.",
    },
)
_described(
    ResourceKind,
    "ResourceKind",
    "Who or what a calendar belongs to (RFC 5545 section 3.2.3, CUTYPE).",
    {"PERSON": "Somebody.", "ROOM": "A place.", "EQUIPMENT": "A thing that can be booked."},
)
_described(
    SyncStatus,
    "SyncStatus",
    "Where an event stands with its calendar's provider.",
    {
        "LOCAL": "It lives only here.",
        "PENDING": "It waits for its first attempt.",
        "SYNCED": "The provider has this version.",
        "RETRYING": "An attempt failed; the next one is planned.",
        "PARKED": "The account must be reconnected first; nothing is lost.",
        "FAILED": "A person must act; `retrySync` tries again.",
    },
)
_described(
    Scope,
    "ApiKeyScope",
    "What an API key may do. None includes another.",
    {
        "READ": "Read everything but keys.",
        "WRITE_EVENTS": "Create, change, cancel and delete events, and see those that it writes, with their sync.",
        "MANAGE_CALENDARS": "Create, change and delete calendars and resources.",
        "MANAGE_KEYS": "List, create and revoke keys; a new key has no scope that its maker lacks.",
    },
)
_described(
    ErrorCode,
    "ErrorCode",
    "What a program can act on; the message is for people.",
    {
        "INVALID_VALUE": "The value breaks a rule; `expected` says which.",
        "UNKNOWN_TIME_ZONE": "The name is not in the IANA database.",
        "NONEXISTENT_LOCAL_TIME": "The clocks of that zone skip that time.",
        "DATE_EXPECTED": "An all-day event has dates.",
        "TIME_EXPECTED": "A plain date is only for all-day events.",
        "END_NOT_AFTER_START": "The end is not after the start; an all-day event's end is the day after its last.",
        "NOT_FOUND": "There is no such thing in this app.",
        "TIME_CONFLICT": "The calendar's time is taken.",
        "STALE_VERSION": "Somebody else changed it first: read it again.",
        "CALENDAR_READ_ONLY": "The calendar takes no changes to its events.",
        "CALENDAR_ARCHIVED": "The calendar is archived.",
        "IDEMPOTENCY_KEY_REUSED": "The key was used before, for another request.",
        "IN_USE": "It cannot go while it holds other things.",
    },
)

__all__ = [
    "ConflictPolicy",
    "ErrorCode",
    "EventStatus",
    "Partstat",
    "ResourceKind",
    "Scope",
    "SettableStatus",
    "SyncStatus",
]
