"""What callers write about events, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import strawberry

from kalends.domain.drafts import EventChanges, EventDraft
from kalends.domain.events import (
    LONGEST_REMINDER,
    MAX_ATTENDEES,
    MAX_BATCH,
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_REMINDERS,
    MAX_SUMMARY,
    EventStatus,
)
from kalends.domain.ids import parse_id
from resolvers.events import NewEvent
from schema.enums import ConflictPolicy, Partstat, RecurrenceScope, SettableStatus, Visibility
from schema.errors import refuse_nulls
from schema.recurrence import RecurrenceInput
from schema.scalars import DateTime, EmailAddress, Metadata, TimeZone, email, instant_or_date, metadata, zone_name

START = "When it starts (DTSTART): a date-time with an offset; with `allDay` its first day, as a plain date."
END = (
    "When it ends (DTEND): the first moment that no longer belongs to it; with `allDay` the day after its last, "
    "as a plain date."
)
ZONE = "The zone whose wall time is kept (TZID); the calendar's by default. An all-day event always has its calendar's."
WHAT = f"What it is (SUMMARY), 1 to {MAX_SUMMARY} characters."
WHERE = f"Where it is (LOCATION), at most {MAX_LOCATION} characters; may be empty."
DESCRIPTION = f"More about it (DESCRIPTION), at most {MAX_DESCRIPTION} characters."
INVITE = "Have the provider mail invitations to the participants."
PARTICIPANTS = f"Who is asked to take part (ATTENDEE), at most {MAX_ATTENDEES}; duplicates are folded."
MY_RSVP = "The answer of the calendar's owner, given to their own entry where they are among the participants."
ALL_DAY = "Take whole days of the calendar's time zone, instead of a time of day."
TRANSPARENT = "Do not block the calendar's time (TRANSP:TRANSPARENT)."
OUT_OF_OFFICE = "Be away from work in that time: it is busy in a way that nobody should ask to change."
STATUS = "Whether it takes place for sure (STATUS)."
VISIBILITY = "Who may see more than that the time is busy (CLASS)."
REMINDERS = (
    f"Minutes before the start at which to remind the owner, at most {MAX_REMINDERS}, 0 to {LONGEST_REMINDER} each; "
    "null for the calendar's own reminders, [] for none."
)
METADATA = "The application's own key-value pairs; replaced as a whole."
ON_CONFLICT = "What to do where the calendar's time is taken; kept, and obeyed by later changes of the event."
AVAILABILITY_PROFILE = (
    "The name of a profile of the calendar's resource whose conditions must hold: a slot that `availability` offers "
    "under it can be booked, and of concurrent writers exactly as many get it as its capacity lets in. All of the "
    "resource's calendars are looked at, in place of what `onConflict: REJECT` would look at. Later changes "
    "of the event do not look."
)
SYNC_PROVIDER = (
    "Bring it to the calendar's provider at once, within a few seconds, and answer with what the provider said; "
    "otherwise the worker does it."
)
KEY = "1 to 255 characters. The same key with the same request, within 72 hours, is done once and answered again."
RECURRENCE = "How it repeats (RFC 5545 section 3.8.5); null for a single event."
SCOPE = (
    "How much of a series it is about. By default: the one occurrence where `id` is an occurrence's, "
    "all of the series where it is the series' own."
)
DRY_RUN = "Check everything, report conflicts and what the provider would get, and write nothing."
EXPECTED_VERSION = "Refuse unless this is the stored version: guards against overwriting somebody's change."


@strawberry.input(description="An event to be created.")
class EventDraftInput:
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="The calendar whose time it takes.")
    start: DateTime = strawberry.field(description=START)
    end: DateTime = strawberry.field(description=END)
    what: str = strawberry.field(description=WHAT)
    where: str = strawberry.field(description=WHERE)
    description: str | None = strawberry.field(default=None, description=DESCRIPTION)
    invite: bool = strawberry.field(default=False, description=INVITE)
    participants: list[EmailAddress] = strawberry.field(default_factory=list, description=PARTICIPANTS)
    my_rsvp: Partstat = strawberry.field(default=Partstat.ACCEPTED, description=MY_RSVP)
    all_day: bool = strawberry.field(default=False, description=ALL_DAY)
    time_zone: TimeZone | None = strawberry.field(default=None, description=ZONE)
    transparent: bool = strawberry.field(default=False, description=TRANSPARENT)
    out_of_office: bool = strawberry.field(default=False, description=OUT_OF_OFFICE)
    status: SettableStatus = strawberry.field(default=SettableStatus.CONFIRMED, description=STATUS)
    visibility: Visibility = strawberry.field(default=Visibility.DEFAULT, description=VISIBILITY)
    reminders: list[int] | None = strawberry.field(default=None, description=REMINDERS)
    metadata: Metadata | None = strawberry.field(default=None, description=METADATA)
    recurrence: RecurrenceInput | None = strawberry.field(default=None, description=RECURRENCE)
    on_conflict: ConflictPolicy = strawberry.field(default=ConflictPolicy.ALLOW, description=ON_CONFLICT)
    availability_profile: str | None = strawberry.field(default=None, description=AVAILABILITY_PROFILE)

    def read(self) -> NewEvent:
        """Return the event in the domain's words."""
        return NewEvent(
            parse_id(self.calendar_id),
            EventDraft(
                start=instant_or_date(self.start),
                end=instant_or_date(self.end),
                summary=self.what,
                location=self.where,
                description=self.description,
                attendees=tuple(email(each) for each in self.participants),
                partstat=self.my_rsvp,
                send_invitations=self.invite,
                all_day=self.all_day,
                tzid=None if self.time_zone is None else zone_name(self.time_zone),
                transparent=self.transparent,
                out_of_office=self.out_of_office,
                status=EventStatus(self.status),
                on_conflict=self.on_conflict,
                visibility=self.visibility,
                reminders=None if self.reminders is None else tuple(self.reminders),
                metadata={} if self.metadata is None else metadata(self.metadata),
                recurrence=None if self.recurrence is None else self.recurrence.read(),
            ),
            self.availability_profile,
        )


@strawberry.input(description="An event to be created, and how.")
class CreateEventInput(EventDraftInput):
    """See the description."""

    sync_provider: bool = strawberry.field(default=False, description=SYNC_PROVIDER)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input(description="Events to be created, all or none.")
class CreateEventsInput:
    """See the description."""

    events: list[EventDraftInput] = strawberry.field(description=f"1 to {MAX_BATCH} events.")
    sync_provider: bool = strawberry.field(default=False, description=SYNC_PROVIDER)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input(description="What to change in an event. What is absent stays; null empties what may be empty.")
class UpdateEventInput:
    """See the description."""

    start: strawberry.Maybe[DateTime | None] = strawberry.field(description=START)
    end: strawberry.Maybe[DateTime | None] = strawberry.field(description=END)
    what: strawberry.Maybe[str | None] = strawberry.field(description=WHAT)
    where: strawberry.Maybe[str | None] = strawberry.field(description=WHERE)
    description: strawberry.Maybe[str | None] = strawberry.field(description=DESCRIPTION)
    invite: strawberry.Maybe[bool | None] = strawberry.field(description=INVITE)
    participants: strawberry.Maybe[list[EmailAddress] | None] = strawberry.field(description=PARTICIPANTS)
    my_rsvp: strawberry.Maybe[Partstat | None] = strawberry.field(description=MY_RSVP)
    all_day: strawberry.Maybe[bool | None] = strawberry.field(description=ALL_DAY)
    time_zone: strawberry.Maybe[TimeZone | None] = strawberry.field(
        description="Another zone for the wall time; alone, it keeps the moments and changes what the clocks show."
    )
    transparent: strawberry.Maybe[bool | None] = strawberry.field(description=TRANSPARENT)
    out_of_office: strawberry.Maybe[bool | None] = strawberry.field(description=OUT_OF_OFFICE)
    status: strawberry.Maybe[SettableStatus | None] = strawberry.field(description=STATUS)
    visibility: strawberry.Maybe[Visibility | None] = strawberry.field(description=VISIBILITY)
    reminders: strawberry.Maybe[list[int] | None] = strawberry.field(description=REMINDERS)
    metadata: strawberry.Maybe[Metadata | None] = strawberry.field(description=METADATA)
    recurrence: strawberry.Maybe[RecurrenceInput | None] = strawberry.field(
        description="How it repeats from now on; null makes a series a single event, at its first time."
    )
    on_conflict: strawberry.Maybe[ConflictPolicy | None] = strawberry.field(description=ON_CONFLICT)
    scope: RecurrenceScope | None = strawberry.field(default=None, description=SCOPE)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED_VERSION)
    sync_provider: bool = strawberry.field(default=False, description=SYNC_PROVIDER)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)

    def read(self) -> EventChanges:
        """Return the changes in the domain's words."""
        refuse_nulls(self, nullable={"description", "reminders", "recurrence"})
        changes = {
            name: read(given.value)
            for field, (name, read) in READERS.items()
            if (given := getattr(self, field)) is not None
        }
        return cast("EventChanges", changes)


def _same(value: Any) -> Any:
    return value


READERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "start": ("start", instant_or_date),
    "end": ("end", instant_or_date),
    "what": ("summary", _same),
    "where": ("location", _same),
    "description": ("description", _same),
    "invite": ("send_invitations", _same),
    "participants": ("attendees", lambda given: tuple(email(each) for each in given)),
    "my_rsvp": ("partstat", _same),
    "all_day": ("all_day", _same),
    "time_zone": ("tzid", zone_name),
    "transparent": ("transparent", _same),
    "out_of_office": ("out_of_office", _same),
    "status": ("status", EventStatus),
    "visibility": ("visibility", _same),
    "reminders": ("reminders", lambda given: None if given is None else tuple(given)),
    "metadata": ("metadata", metadata),
    "recurrence": ("recurrence", lambda given: None if given is None else given.read()),
    "on_conflict": ("on_conflict", _same),
}
"""The fields of an update: their names in the domain, and how they are read."""
