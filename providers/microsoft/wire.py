"""What Microsoft Graph sends and takes: https://learn.microsoft.com/graph/api/resources/event (v1.0).

Only what is read or written here is named; the rest of an event stays as it is.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, TypedDict, cast

# Named properties of ours on an event, in a namespace of our own
# (https://learn.microsoft.com/graph/api/resources/extended-properties-overview).
_OURS: Final = "String {2b6d8f4e-5c1a-4f7e-9d3b-8e0a7c6f1d52} Name Kalends"
STAMP: Final = f"{_OURS}Stamp"
"""Which event of ours it is a copy of. Every event that carries one of the others carries this one, too."""
METADATA: Final = f"{_OURS}Metadata"
"""An event's metadata, as a JSON object."""
JOURNAL: Final = f"{_OURS}Journal"
"""What a series must still become: see `series.py`. Empty on one that is finished."""
PROPERTIES: Final = (STAMP, METADATA, JOURNAL)

FIELDS: Final = (
    "id,subject,body,start,end,originalStartTimeZone,isAllDay,location,attendees,organizer,isOrganizer,responseStatus,"
    "isCancelled,showAs,sensitivity,isReminderOn,reminderMinutesBeforeStart,recurrence,type,seriesMasterId,iCalUId,"
    "transactionId,isOnlineMeeting,webLink"
)
"""Of a series everything must be named, because `cancelledOccurrences` comes only where it is named."""

Body: TypeAlias = dict[str, Any]
"""What is sent of an event: some of its properties."""


class DateTimeTimeZone(TypedDict):
    """A wall time without an offset, and its zone: https://learn.microsoft.com/graph/api/resources/datetimetimezone."""

    dateTime: str
    timeZone: str


class ItemBody(TypedDict):
    """A description: https://learn.microsoft.com/graph/api/resources/itembody."""

    contentType: Literal["text", "html"]
    content: str


class Location(TypedDict, total=False):
    """A place. Writing one replaces all of `locations`: https://learn.microsoft.com/graph/api/resources/location."""

    displayName: str | None


class EmailAddress(TypedDict, total=False):
    """A name and an address, either of which may be missing or something else."""

    name: str | None
    address: str | None


class Recipient(TypedDict, total=False):
    """Somebody with an address: https://learn.microsoft.com/graph/api/resources/recipient."""

    emailAddress: EmailAddress | None


class ResponseStatus(TypedDict, total=False):
    """An answer to an invitation: https://learn.microsoft.com/graph/api/resources/responsestatus."""

    response: str | None
    time: str | None


class Attendee(Recipient, total=False):
    """Somebody who is asked to take part: https://learn.microsoft.com/graph/api/resources/attendee."""

    type: str
    status: ResponseStatus | None


class RecurrencePattern(TypedDict, total=False):
    """How often: https://learn.microsoft.com/graph/api/resources/recurrencepattern."""

    type: str
    interval: int
    daysOfWeek: list[str]
    dayOfMonth: int
    month: int
    index: str
    firstDayOfWeek: str


class RecurrenceRange(TypedDict, total=False):
    """For how long, in whole days: https://learn.microsoft.com/graph/api/resources/recurrencerange."""

    type: str
    startDate: str
    endDate: str
    numberOfOccurrences: int
    recurrenceTimeZone: str | None


class PatternedRecurrence(TypedDict):
    """How an event repeats: https://learn.microsoft.com/graph/api/resources/patternedrecurrence."""

    pattern: RecurrencePattern
    range: RecurrenceRange


class ExtendedProperty(TypedDict):
    """https://learn.microsoft.com/graph/api/resources/singlevaluelegacyextendedproperty."""

    id: str
    value: str


class Event(TypedDict, total=False):
    """An event, a series or one occurrence of it: https://learn.microsoft.com/graph/api/resources/event.

    In a delta, an occurrence comes bare: with its id, type, times and the id of its series
    (https://github.com/microsoftgraph/microsoft-graph-docs/issues/7632).
    """

    id: str
    type: str
    seriesMasterId: str | None
    iCalUId: str | None
    transactionId: str | None
    webLink: str | None
    subject: str | None
    body: ItemBody | None
    location: Location | None
    start: DateTimeTimeZone
    end: DateTimeTimeZone
    originalStartTimeZone: str | None
    originalStart: str | None  # of an occurrence: when it would have started, in UTC; not every service sends it
    occurrenceId: str | None  # of an occurrence: OID.<id of its series>.<its date>
    isAllDay: bool
    isCancelled: bool
    isOrganizer: bool
    isOnlineMeeting: bool
    showAs: str
    sensitivity: str
    isReminderOn: bool
    reminderMinutesBeforeStart: int
    organizer: Recipient | None  # missing from some (https://github.com/closeio/sync-engine/pull/429)
    attendees: list[Attendee]
    responseStatus: ResponseStatus | None
    recurrence: PatternedRecurrence | None
    singleValueExtendedProperties: list[ExtendedProperty]
    cancelledOccurrences: list[str] | None  # the `occurrenceId`s of those that were deleted
    exceptionOccurrences: list[Event] | None


class Calendar(TypedDict, total=False):
    """A calendar: https://learn.microsoft.com/graph/api/resources/calendar."""

    id: str
    name: str | None
    owner: EmailAddress | None
    canEdit: bool
    isDefaultCalendar: bool


class Subscription(TypedDict, total=False):
    """A channel: https://learn.microsoft.com/graph/api/resources/subscription."""

    id: str
    expirationDateTime: str


def etag(event: Event) -> str:
    """Return the version of an event, as it came: an annotation of OData's, which is no property."""
    return str(cast("dict[str, Any]", event).get("@odata.etag") or "")


def properties(event: Event) -> dict[str, str]:
    """Return what of ours an event carries, by property."""
    ours = {name.lower(): name for name in PROPERTIES}
    found = event.get("singleValueExtendedProperties") or ()
    return {ours[each["id"].lower()]: each["value"] for each in found if each["id"].lower() in ours}


def extended(values: dict[str, str]) -> list[ExtendedProperty]:
    """Return properties of ours as Graph takes them."""
    return [{"id": name, "value": value} for name, value in values.items()]
