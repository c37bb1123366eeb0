"""Events on the surface of the API. The only place that translates between its words and RFC 5545's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from kalends.domain import events as domain
from kalends.domain.access import Scope, require
from kalends.domain.ids import EventRef, parse_event_id
from kalends.domain.time import zone
from schema.context import Info
from schema.enums import ConflictPolicy, EventStatus, Partstat, SyncStatus, Visibility, WarningCode
from schema.errors import in_api_words
from schema.pages import DEFAULT_PAGE, FIRST, PageInfo, limit
from schema.recurrence import Recurrence
from schema.scalars import Date, DateTime, EmailAddress, Metadata, TimeZone, moment, optional_moment
from schema.times import window

if TYPE_CHECKING:
    from schema.calendars import Calendar

LazyCalendar = Annotated["Calendar", strawberry.lazy("schema.calendars")]


@strawberry.type(description="Somebody who is asked to take part in an event.")
class Participant:
    """See the description."""

    email: EmailAddress = strawberry.field(description="The address (RFC 5545 section 3.8.4.1, ATTENDEE).")
    rsvp: Partstat = strawberry.field(description="The answer so far.")


@strawberry.type(description="What one side of a sync conflict says.")
class SyncSide:
    """See the description."""

    what: str = strawberry.field(description="What it is.")
    where: str = strawberry.field(description="Where it is.")
    description: str | None = strawberry.field(description="More about it.")
    start: DateTime = strawberry.field(description="When it starts, with the offset of its time zone.")
    end: DateTime = strawberry.field(description="When it ends.")
    all_day: bool = strawberry.field(description="Whether it takes whole days.")
    time_zone: TimeZone = strawberry.field(description="The zone of its wall time.")
    status: EventStatus = strawberry.field(description="Whether it takes place.")
    transparent: bool = strawberry.field(description="True where it does not block time.")
    participants: list[Participant] = strawberry.field(description="Who is asked to take part.")
    my_rsvp: Partstat = strawberry.field(description="The answer of the calendar's owner.")

    @classmethod
    def of(cls, state: domain.EventState) -> Self:
        """Return a side in the API's words."""
        when, content, place = state.when, state.content, zone(state.when.tzid)
        return cls(
            what=content.summary,
            where=content.location,
            description=content.description,
            start=moment(when.span.start.astimezone(place)),
            end=moment(when.span.end.astimezone(place)),
            all_day=when.all_day,
            time_zone=TimeZone(when.tzid),
            status=content.status,
            transparent=content.transparent,
            participants=[
                Participant(email=EmailAddress(each.email), rsvp=each.partstat) for each in content.attendees
            ],
            my_rsvp=content.partstat,
        )


@strawberry.type(description="What both sides of a sync changed in different ways, since they were last in step.")
class SyncConflict:
    """See the description."""

    ours: SyncSide = strawberry.field(description="What the event says here.")
    theirs: SyncSide = strawberry.field(description="What it says at the provider.")
    fields: list[str] = strawberry.field(
        description="What clashes: names of fields of `Event`, with a dot and an entry where it is one of several."
    )


@strawberry.type(description="Something that is not the same on both sides.")
class SyncWarning:
    """See the description."""

    code: WarningCode = strawberry.field(description="What it is, for programs.")
    message: str = strawberry.field(description="What it is, for people.")


@strawberry.type(description="Where an event stands with its calendar's provider.")
class EventSync:
    """See the description."""

    status: SyncStatus = strawberry.field(description="The state.")
    provider: str = strawberry.field(description="The provider's name, such as `local` or `sandbox`.")
    attempts: int = strawberry.field(description="Failed attempts to bring the present version there.")
    last_error: str | None = strawberry.field(description="Why the last attempt failed.")
    next_attempt_at: DateTime | None = strawberry.field(description="When the next attempt is due.")
    last_synced_at: DateTime | None = strawberry.field(description="When both sides were last in step.")
    remote_url: str | None = strawberry.field(description="Where a person finds the event at the provider.")
    conflict: SyncConflict | None = strawberry.field(
        description="What both sides changed in different ways; neither is touched until `resolveSyncConflict`."
    )
    warnings: list[SyncWarning] = strawberry.field(
        description="What is not the same on both sides, and why: what the provider cannot keep, or we cannot read."
    )


@strawberry.federation.type(
    keys=["id"], description="Something that happens at a time, and blocks it in its calendar (RFC 5545 section 3.6.1)."
)
class Event:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="Its own id; opaque. An occurrence of a series has one too.")
    calendar_id: strawberry.ID = strawberry.field(description="The calendar that it is in.")
    uid: str = strawberry.field(description="Its name in all calendars of the world (RFC 5545 section 3.8.4.7, UID).")
    version: int = strawberry.field(description="Grows by one with every change, from 1: see `expectedVersion`.")
    what: str = strawberry.field(description="What it is (SUMMARY).")
    where: str = strawberry.field(description="Where it is (LOCATION); may be empty.")
    description: str | None = strawberry.field(description="More about it (DESCRIPTION).")
    start: DateTime = strawberry.field(description="When it starts (DTSTART), with the offset of its time zone.")
    end: DateTime = strawberry.field(
        description="When it ends (DTEND), with the offset of its time zone; this moment no longer belongs to it."
    )
    start_date: Date | None = strawberry.field(description="An all-day event's first day; null for others.")
    end_date: Date | None = strawberry.field(description="The day after an all-day event's last; null for others.")
    all_day: bool = strawberry.field(description="Whether it takes whole days of its calendar's time zone.")
    time_zone: TimeZone = strawberry.field(description="The zone of its wall time (TZID).")
    status: EventStatus = strawberry.field(description="Whether it takes place.")
    transparent: bool = strawberry.field(description="True where it does not block its calendar's time (TRANSP).")
    out_of_office: bool = strawberry.field(
        description="True where the calendar's owner is away from work in that time; a transparent one is free all the "
        "same."
    )
    invite: bool = strawberry.field(description="Whether the provider mails invitations to the participants.")
    participants: list[Participant] = strawberry.field(description="Who is asked to take part.")
    my_rsvp: Partstat = strawberry.field(description="The answer of the calendar's owner.")
    on_conflict: ConflictPolicy = strawberry.field(
        description="What its writes do where the time is taken, unless one says otherwise."
    )
    visibility: Visibility = strawberry.field(description="Who may see more than that the time is busy (CLASS).")
    reminders: list[int] | None = strawberry.field(
        description="Minutes before the start at which its owner is reminded; null for the calendar's own reminders."
    )
    organizer: EmailAddress | None = strawberry.field(
        description="Who organises it (ORGANIZER), where that is not the calendar's owner."
    )
    recurrence: Recurrence | None = strawberry.field(
        description="How it repeats; null for a single event. Then `start` and `end` are those of its first time."
    )
    metadata: Metadata = strawberry.field(description="The application's own key-value pairs.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    series_id: strawberry.ID | None = strawberry.field(
        description="The series that it is an occurrence of; null for single events and for series."
    )
    recurrence_id: DateTime | None = strawberry.field(
        description="When its series would have this occurrence start (RECURRENCE-ID); null where `seriesId` is."
    )

    _event: strawberry.Private[domain.Event]

    @strawberry.field(description="The series that it is an occurrence of; null where `seriesId` is.")
    async def series(self, info: Info) -> Event | None:
        """Load the series."""
        if self._event.recurrence_id is None:
            return None
        found = await info.context.loaders.events.load(EventRef(self._event.id))
        return None if found is None else Event.of(found)

    @strawberry.field(
        description="The times at which it takes place within a window, each with an id of its own, in order of start; "
        "of a single event itself. For more of them, begin later."
    )
    async def occurrences(
        self,
        info: Info,
        from_: Annotated[DateTime, strawberry.argument(name="from", description="The window's first moment.")],
        to: Annotated[DateTime, strawberry.argument(description="The first moment after the window.")],
        first: Annotated[int, strawberry.argument(description=FIRST)] = DEFAULT_PAGE,
    ) -> list[Event]:
        """List the occurrences."""
        span, most = window(from_, to), limit(first) - 1
        require(info.context.caller, Scope.READ)
        return [Event.of(event) for event in self._event.happening(span)[:most]]

    @strawberry.field(description="The calendar that it is in.")
    async def calendar(self, info: Info) -> LazyCalendar:
        """Load the calendar."""
        from schema.calendars import Calendar

        found = await info.context.loaders.calendars.load(self._event.calendar_id)
        if found is None:  # pragma: no cover  a foreign key holds it
            raise LookupError("an event without a calendar")
        return Calendar.of(found)

    @strawberry.field(
        description="What else blocks its time in its calendar, earliest first, at most 50. Empty where it blocks none."
    )
    async def conflicts(self, info: Info) -> list[Event]:
        """Load what is in the way."""
        return [Event.of(event) for event in await info.context.loaders.conflicts.load(self._event)]

    @strawberry.field(description="Where it stands with its calendar's provider.")
    async def sync(self, info: Info) -> EventSync:
        """Load the sync state."""
        state = await info.context.loaders.sync.load(self._event.id)
        conflict = None
        if state.conflict is not None:
            event = await info.context.loaders.events.load(EventRef(self._event.id)) or self._event
            conflict = SyncConflict(
                ours=SyncSide.of(event.state),
                theirs=SyncSide.of(state.conflict.theirs),
                fields=[in_api_words(place) for place in state.conflict.places],
            )
        return EventSync(
            status=state.status,
            provider=state.provider,
            attempts=state.attempts,
            last_error=state.last_error,
            next_attempt_at=optional_moment(state.next_attempt_at),
            last_synced_at=optional_moment(state.last_synced_at),
            remote_url=state.remote_url,
            conflict=conflict,
            warnings=[SyncWarning(code=each.code, message=each.message) for each in state.warnings],
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Event | None:
        """Return the entity that another subgraph names, None for an unknown or foreign one."""
        ref = parse_event_id(id)
        found = await info.context.loaders.events.load(ref) if ref else None
        return cls.of(found) if found else None

    @classmethod
    def of(cls, event: domain.Event) -> Self:
        """Return an event in the API's words."""
        when, content, place = event.when, event.content, zone(event.when.tzid)
        return cls(
            id=strawberry.ID(str(event.ref)),
            calendar_id=strawberry.ID(str(event.calendar_id)),
            uid=event.uid,
            version=event.version,
            what=content.summary,
            where=content.location,
            description=content.description,
            start=moment(when.span.start.astimezone(place)),
            end=moment(when.span.end.astimezone(place)),
            start_date=Date(when.start_date) if when.all_day else None,
            end_date=Date(when.end_date) if when.all_day else None,
            all_day=when.all_day,
            time_zone=TimeZone(when.tzid),
            status=content.status,
            transparent=content.transparent,
            out_of_office=content.out_of_office,
            invite=content.send_invitations,
            participants=[
                Participant(email=EmailAddress(each.email), rsvp=each.partstat) for each in content.attendees
            ],
            my_rsvp=content.partstat,
            on_conflict=content.on_conflict,
            visibility=content.visibility,
            reminders=None if content.reminders is None else list(content.reminders),
            organizer=None if content.organizer is None else EmailAddress(content.organizer),
            recurrence=None if event.recurrence is None else Recurrence.of(event),
            metadata=Metadata(content.metadata),
            created_at=moment(event.created_at),
            updated_at=moment(event.updated_at),
            series_id=strawberry.ID(str(event.id)) if event.recurrence_id else None,
            recurrence_id=moment(event.recurrence_id.replace(tzinfo=place)) if event.recurrence_id else None,
            _event=event,
        )


def distinct(events: Iterable[domain.Event]) -> list[Event]:
    """Return events in the API's words, each once."""
    return [Event.of(event) for event in {event.ref: event for event in events}.values()]


@strawberry.type(description="An event in a page.")
class EventEdge:
    """See the description."""

    cursor: str = strawberry.field(description="Its place in the list: a page can begin after it.")
    node: Event = strawberry.field(description="The event.")


@strawberry.type(description="A page of events, in order of start and id.")
class EventConnection:
    """See the description."""

    edges: list[EventEdge] = strawberry.field(description="The events of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")
