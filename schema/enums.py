"""The enums: the domain's, with the words and descriptions of the API."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any, TypeVar

import strawberry

from kalends.domain.access import Scope
from kalends.domain.availability import Need
from kalends.domain.busy import BusyStatus
from kalends.domain.calendars import AccountState, ResourceKind, StalePolicy
from kalends.domain.events import ConflictPolicy, EventStatus, Partstat, Visibility
from kalends.domain.repeating import Frequency
from kalends.domain.rules import Weekday
from kalends.domain.series import RecurrenceScope
from kalends.domain.sync import SyncStatus, WarningCode
from resolvers.conflicts import Keep
from resolvers.directory import ConnectBy
from resolvers.imports import ImportOutcome

E = TypeVar("E", bound=type[Enum])


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
    NOT_AVAILABLE = "NOT_AVAILABLE"
    STALE_VERSION = "STALE_VERSION"
    CALENDAR_READ_ONLY = "CALENDAR_READ_ONLY"
    CALENDAR_ARCHIVED = "CALENDAR_ARCHIVED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IN_USE = "IN_USE"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    RECONNECT_REQUIRED = "RECONNECT_REQUIRED"
    CALENDAR_GONE = "CALENDAR_GONE"
    BAD_ADDRESS = "BAD_ADDRESS"
    WRONG_CREDENTIALS = "WRONG_CREDENTIALS"
    NOT_CONFIGURED = "NOT_CONFIGURED"


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
    Frequency,
    "RecurrenceFrequency",
    "The unit of time in which a rule counts (RFC 5545 section 3.3.10, FREQ).",
    {"HOURLY": "Hours.", "DAILY": "Days.", "WEEKLY": "Weeks.", "MONTHLY": "Months.", "YEARLY": "Years."},
)
_described(
    Weekday,
    "Weekday",
    "A day of the week.",
    {name: f"{name.capitalize()}." for name in Weekday.__members__},
)
_described(
    RecurrenceScope,
    "RecurrenceScope",
    "How much of a series a change is about.",
    {
        "THIS": "One occurrence.",
        "THIS_AND_FOLLOWING": "An occurrence and all later ones: the series ends before it, and a new one goes on.",
        "ALL": "All of it. Told of an occurrence, a move of that one moves all of them by as much.",
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
        "CONFLICT": "Both sides changed the same thing; `resolveSyncConflict` decides, and nothing is lost until then.",
    },
)
_described(
    WarningCode,
    "SyncWarningCode",
    "Something that is not the same on both sides.",
    {
        "PARTICIPANTS_NOT_SENT": "The provider would mail them, and `invite` is false: they are known only here.",
        "RSVP_NOT_SENT": "The provider does not let the owner answer otherwise.",
        "CANCELLATION_DELETES": "The provider shows no cancelled events: it is deleted there.",
        "METADATA_NOT_SENT": "The provider cannot keep it, or not all of it.",
        "REMINDERS_NOT_SENT": "The provider cannot keep all of them.",
        "VISIBILITY_NOT_SENT": "The provider has no word for it.",
        "STATUS_NOT_SENT": "The provider has no word for it.",
        "RECURRENCE_NOT_SENT": "The provider cannot repeat events like this.",
        "OUT_OF_OFFICE_NOT_SENT": "The provider does not let us say it: it shows as busy there, or as free.",
        "TEXT_SHORTENED": "A text is too long for one side.",
        "UNKNOWN_TIME_ZONE": "The provider names a zone that nobody knows: the calendar's own is taken.",
        "FLOATING_TIME": "The provider names no zone: the calendar's own is taken.",
        "PARTLY_READ": "The provider says something that Kalends has no word for; it is left there as it is.",
    },
)
_described(
    Visibility,
    "Visibility",
    "Who may see more than that the time is busy (RFC 5545 section 3.8.1.3, CLASS).",
    {
        "DEFAULT": "As the calendar has it.",
        "PUBLIC": "Whoever may see the calendar.",
        "PRIVATE": "Its owner.",
        "CONFIDENTIAL": "Its owner; a provider may treat it like PRIVATE.",
    },
)
_described(
    AccountState,
    "AccountState",
    "Whether a provider still lets us in.",
    {
        "ACTIVE": "It does.",
        "NEEDS_RECONNECT": "It does not: its owner must connect it again. What waits for it is kept.",
        "REVOKED": "It was disconnected; what opened it is gone.",
    },
)
_described(
    Keep,
    "KeepInConflict",
    "Whose change counts.",
    {
        "OURS": "What the event says here.",
        "THEIRS": "What it says at the provider.",
        "BOTH": "This event becomes what it says at the provider; what it said here becomes an event of its own.",
    },
)
_described(
    ConnectBy,
    "ConnectBy",
    "How an account is opened at a provider.",
    {
        "NOTHING": "It has no accounts, or opens them by itself.",
        "OAUTH": "Its owner lets us in at the provider: `connectAccount`.",
        "PASSWORD": "With an address, a user name and a password: `connectCaldav`.",
        "ADDRESS": "Whoever knows the address may read: `subscribeCalendar`.",
    },
)
_described(
    ImportOutcome,
    "ImportOutcome",
    "What became of an event of a file.",
    {
        "CREATED": "It is new in the calendar.",
        "UPDATED": "An event with its UID was there, and says now what the file says.",
        "UNCHANGED": "An event with its UID was there, and says the same.",
    },
)
_described(
    BusyStatus,
    "BusyStatus",
    "Why time is busy (RFC 5545 section 3.2.9, FBTYPE). Of what overlaps, the strongest shows.",
    {
        "BUSY": "Something takes it.",
        "TENTATIVE": "Something may take it: it is not certain, or not accepted yet. The weakest.",
        "UNAVAILABLE": "Its owner is out of office. The strongest.",
    },
)
_described(
    Need,
    "AvailabilityNeed",
    "How many of a role's resources a slot needs.",
    {
        "ALL": "All of them.",
        "ANY": "At least `count` of them.",
        "ROUND_ROBIN": "`count` of them, and the answer says which: whoever has the least to do in the window.",
    },
)
_described(
    StalePolicy,
    "StalePolicy",
    "What availability makes of a calendar whose provider was last read too long ago.",
    {
        "TREAT_AS_BUSY": "All of it is taken.",
        "TREAT_AS_FREE": "What was last read counts, and nothing else.",
        "FAIL": "There is no answer, but an error that names the calendar.",
    },
)
_described(
    Scope,
    "ApiKeyScope",
    "What an API key may do. None includes another.",
    {
        "READ": "Read everything but keys.",
        "FREE_BUSY": "Know when calendars are busy and when slots are free, and not why.",
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
        "NOT_AVAILABLE": "The availability profile does not let it be booked at that time.",
        "STALE_VERSION": "Somebody else changed it first: read it again.",
        "CALENDAR_READ_ONLY": "The calendar takes no changes to its events.",
        "CALENDAR_ARCHIVED": "The calendar is archived.",
        "IDEMPOTENCY_KEY_REUSED": "The key was used before, for another request.",
        "IN_USE": "It cannot be done while it holds, or is held by, other things.",
        "PROVIDER_UNAVAILABLE": "The provider does not answer now: the same request may succeed later.",
        "PROVIDER_REFUSED": "The provider will not do it.",
        "RECONNECT_REQUIRED": "The account must be connected again first.",
        "CALENDAR_GONE": "The provider has no such calendar any more.",
        "BAD_ADDRESS": "The address leads where this server does not go, or to something else than expected.",
        "WRONG_CREDENTIALS": "The provider does not accept what was given to open the account.",
        "NOT_CONFIGURED": "The operator of this server has to set something first; the message says what.",
    },
)

__all__ = [
    "AccountState",
    "BusyStatus",
    "ConflictPolicy",
    "ConnectBy",
    "ErrorCode",
    "EventStatus",
    "Frequency",
    "ImportOutcome",
    "Keep",
    "Need",
    "Partstat",
    "RecurrenceScope",
    "ResourceKind",
    "Scope",
    "SettableStatus",
    "StalePolicy",
    "SyncStatus",
    "Visibility",
    "WarningCode",
    "Weekday",
]
