"""What Google Calendar sends, as far as it is read here, in its own words.

The source is the reference of each resource, below
https://developers.google.com/workspace/calendar/api/v3/reference. Every field may be missing: Google leaves out what
has its default, and promises of a deleted event nothing but its id.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

Body: TypeAlias = dict[str, Any]
"""What is sent. A None in a PATCH deletes what stands there."""


class EventDateTime(TypedDict, total=False):
    """Either a `date`, or a `dateTime` with an offset, whose `timeZone` is an IANA name."""

    date: str
    dateTime: str
    timeZone: str


class EventAttendee(TypedDict, total=False):
    """Somebody who takes part. `self` marks the calendar in which this copy of the event is."""

    email: str
    responseStatus: str
    self: bool
    organizer: bool
    displayName: str
    optional: bool
    resource: bool
    comment: str
    additionalGuests: int


class Organizer(TypedDict, total=False):
    """Whose event it is. `self` marks the calendar in which this copy of the event is."""

    email: str
    self: bool


class EventReminder(TypedDict):
    """A reminder. The method is `popup` or `email`, the minutes are before the start."""

    method: str
    minutes: int


class EventReminders(TypedDict, total=False):
    """The reminders of whoever is signed in."""

    useDefault: bool
    overrides: list[EventReminder]


class ExtendedProperties(TypedDict, total=False):
    """What applications have noted: `private` on this copy, `shared` on all."""

    private: dict[str, str]
    shared: dict[str, str]


class Event(TypedDict, total=False):
    """A single event, a recurring one, or an instance of one, which has a `recurringEventId`.

    https://developers.google.com/workspace/calendar/api/v3/reference/events
    """

    id: str
    etag: str
    iCalUID: str
    htmlLink: str
    status: str
    eventType: str
    summary: str
    location: str
    description: str
    start: EventDateTime
    end: EventDateTime
    recurrence: list[str]
    recurringEventId: str
    originalStartTime: EventDateTime
    organizer: Organizer
    attendees: list[EventAttendee]
    attendeesOmitted: bool
    transparency: str
    visibility: str
    reminders: EventReminders
    extendedProperties: ExtendedProperties


class Events(TypedDict, total=False):
    """A page of events. Only the last has a `nextSyncToken`, every other a `nextPageToken`."""

    items: list[Event]
    nextPageToken: str
    nextSyncToken: str


class CalendarListEntry(TypedDict, total=False):
    """A calendar as somebody sees it.

    https://developers.google.com/workspace/calendar/api/v3/reference/calendarList
    """

    id: str
    summary: str
    summaryOverride: str
    timeZone: str
    accessRole: str
    primary: bool


class CalendarList(TypedDict, total=False):
    """A page of calendars."""

    items: list[CalendarListEntry]
    nextPageToken: str


class Channel(TypedDict, total=False):
    """A way on which Google calls. `expiration` is in milliseconds since 1970, as a string.

    https://developers.google.com/workspace/calendar/api/v3/reference/channels
    """

    id: str
    resourceId: str
    expiration: str
