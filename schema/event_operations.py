"""The queries and mutations about events: each reads its input, delegates to one use case, and words the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from kalends.domain.errors import Refused
from kalends.domain.events import EventPage
from kalends.domain.ids import parse_id
from kalends.domain.time import TimeSpan
from kalends.domain.values import DATE_TIME
from resolvers import events as use_cases
from resolvers.events import Written
from resolvers.sync import retry_sync
from schema.context import Info
from schema.enums import Partstat
from schema.errors import (
    BadArgument,
    CalendarNotWritableError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    NotAvailableError,
    NotFoundError,
    StaleVersionError,
    TimeConflictError,
    user_errors,
)
from schema.event_inputs import EXPECTED_VERSION, SYNC_PROVIDER, CreateEventInput, CreateEventsInput, UpdateEventInput
from schema.events import Event, EventConnection, EventEdge
from schema.pages import AFTER, DEFAULT_PAGE, FIRST, MAX_PAGE, cut, event_cursor, limit, read_event_cursor
from schema.scalars import DateTime, EmailAddress, JSONValue, instant_or_date

CreateEventError = Annotated[
    InvalidInputError
    | NotFoundError
    | CalendarNotWritableError
    | TimeConflictError
    | NotAvailableError
    | IdempotencyKeyReusedError,
    strawberry.union("CreateEventError", description="Why an event could not be created."),
]
UpdateEventError = Annotated[
    InvalidInputError | NotFoundError | CalendarNotWritableError | TimeConflictError | StaleVersionError,
    strawberry.union("UpdateEventError", description="Why an event could not be changed."),
]
CancelEventError = Annotated[
    NotFoundError | CalendarNotWritableError | StaleVersionError,
    strawberry.union("CancelEventError", description="Why an event could not be cancelled."),
]
DeleteEventError = Annotated[
    NotFoundError | CalendarNotWritableError | StaleVersionError,
    strawberry.union("DeleteEventError", description="Why an event could not be deleted."),
]
RespondToEventError = Annotated[
    NotFoundError | CalendarNotWritableError | TimeConflictError | StaleVersionError,
    strawberry.union("RespondToEventError", description="Why an answer could not be given."),
]
RetrySyncError = Annotated[
    NotFoundError, strawberry.union("RetrySyncError", description="Why a sync could not be tried again.")
]

ERRORS = "What is wrong, all of it at once; empty where it was done."
CONFLICTS = (
    "The events in the way, where the policy is WARN; earliest first, at most 50 per event. "
    "Empty for a key without the scope READ."
)
EVENT = "The event as it is stored now; null where it was refused."


@strawberry.type(description="What a write would have a provider do.")
class DryRun:
    """See the description."""

    provider: str = strawberry.field(description="The provider's name.")
    payload: JSONValue = strawberry.field(description="What the provider would get, in its own form; {} for none.")
    mailed: list[EmailAddress] = strawberry.field(description="Who would be mailed.")


@strawberry.type(description="What became of `createEvent`.")
class CreateEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT + " In a dry run, as it would be.")
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    dry_run: DryRun | None = strawberry.field(default=None, description="What the provider would get; in a dry run.")
    errors: list[CreateEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `createEvents`.")
class CreateEventsPayload:
    """See the description."""

    events: list[Event] = strawberry.field(
        default_factory=list, description="The events as they are stored now, in the order of the input."
    )
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    dry_runs: list[DryRun] = strawberry.field(
        default_factory=list, description="What the provider would get, event by event; in a dry run."
    )
    errors: list[CreateEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `updateEvent`.")
class UpdateEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    errors: list[UpdateEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `cancelEvent`.")
class CancelEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    errors: list[CancelEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `deleteEvent`.")
class DeleteEventPayload:
    """See the description."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the event that is gone; null where it was refused."
    )
    errors: list[DeleteEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `respondToEvent`.")
class RespondToEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    errors: list[RespondToEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `retrySync`.")
class RetrySyncPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    errors: list[RetrySyncError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The event.")]
Expected = Annotated[int | None, strawberry.argument(description=EXPECTED_VERSION)]
SyncProvider = Annotated[bool, strawberry.argument(description=SYNC_PROVIDER)]


@strawberry.type
class EventQuery:
    """The queries."""

    @strawberry.field(description="One event; null for an unknown one.")
    async def event(self, info: Info, id: Id) -> Event | None:
        """Load an event."""
        return await Event.resolve_reference(info, id)

    @strawberry.field(
        description="The events that share any time with `from` to `to`, in order of start and id. "
        "Long ones that began before are among them."
    )
    async def events(
        self,
        info: Info,
        from_: Annotated[DateTime, strawberry.argument(name="from", description="The window's first moment.")],
        to: Annotated[DateTime, strawberry.argument(description="The first moment after the window.")],
        calendar_ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(description=f"Only these calendars, at most {MAX_PAGE}; all of the app's by default."),
        ] = None,
        first: Annotated[int, strawberry.argument(description=FIRST)] = DEFAULT_PAGE,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
        include_cancelled: Annotated[bool, strawberry.argument(description="Also those that are cancelled.")] = False,
    ) -> EventConnection:
        """List events."""
        page = EventPage(
            span=_span(from_, to),
            calendar_ids=_calendar_ids(calendar_ids),
            limit=limit(first),
            after=read_event_cursor(after),
            include_cancelled=include_cancelled,
        )
        rows = await use_cases.list_events(info.context.services, info.context.caller, page)
        events, page_info = cut(rows, first, after, event_cursor)
        edges = [EventEdge(cursor=event_cursor(event), node=Event.of(event)) for event in events]
        return EventConnection(edges=edges, page_info=page_info)


@strawberry.type
class EventMutation:
    """The mutations."""

    @strawberry.mutation(description="Block time in a calendar.")
    async def create_event(
        self,
        info: Info,
        input: Annotated[CreateEventInput, strawberry.argument(description="The event.")],
    ) -> CreateEventPayload:
        """Create one event."""
        try:
            written = await use_cases.create_events(
                info.context.services,
                info.context.actor,
                [input.read()],
                operation="createEvent",
                idempotency_key=input.idempotency_key,
                sync_now=input.sync_provider,
                dry_run=input.dry_run,
            )
        except Refused as refused:
            return CreateEventPayload(errors=user_errors(refused, single=True))
        runs = _dry_runs(written) if input.dry_run else []
        return CreateEventPayload(
            event=Event.of(written.event), conflicts=_conflicts(written), dry_run=runs[0] if runs else None
        )

    @strawberry.mutation(description="Block several times, in one calendar or several: all or none.")
    async def create_events(
        self,
        info: Info,
        input: Annotated[CreateEventsInput, strawberry.argument(description="The events.")],
    ) -> CreateEventsPayload:
        """Create several events."""
        try:
            written = await use_cases.create_events(
                info.context.services,
                info.context.actor,
                [each.read() for each in input.events],
                operation="createEvents",
                idempotency_key=input.idempotency_key,
                sync_now=input.sync_provider,
                dry_run=input.dry_run,
            )
        except Refused as refused:
            return CreateEventsPayload(errors=user_errors(refused))
        return CreateEventsPayload(
            events=[Event.of(event) for event in written.events],
            conflicts=_conflicts(written),
            dry_runs=_dry_runs(written) if input.dry_run else [],
        )

    @strawberry.mutation(
        description="Change an event. Where the change takes time anew (a move, an un-cancel, a confirmation), "
        "`onConflict` is obeyed."
    )
    async def update_event(
        self,
        info: Info,
        id: Id,
        input: Annotated[UpdateEventInput, strawberry.argument(description="What to change.")],
    ) -> UpdateEventPayload:
        """Change one event."""
        try:
            written = await use_cases.update_event(
                info.context.services,
                info.context.actor,
                parse_id(id),
                input.read(),
                expected_version=input.expected_version,
                sync_now=input.sync_provider,
            )
        except Refused as refused:
            return UpdateEventPayload(errors=user_errors(refused, arguments=("id",)))
        return UpdateEventPayload(event=Event.of(written.event), conflicts=_conflicts(written))

    @strawberry.mutation(description="Cancel an event: it stays visible and frees its time. Twice is as good as once.")
    async def cancel_event(
        self,
        info: Info,
        id: Id,
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
    ) -> CancelEventPayload:
        """Cancel one event."""
        try:
            written = await use_cases.cancel_event(
                info.context.services,
                info.context.actor,
                parse_id(id),
                expected_version=expected_version,
                sync_now=sync_provider,
            )
        except Refused as refused:
            return CancelEventPayload(errors=user_errors(refused, under=()))
        return CancelEventPayload(event=Event.of(written.event))

    @strawberry.mutation(description="Delete an event, here and at its provider.")
    async def delete_event(
        self,
        info: Info,
        id: Id,
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
    ) -> DeleteEventPayload:
        """Delete one event."""
        try:
            deleted = await use_cases.delete_event(
                info.context.services,
                info.context.actor,
                parse_id(id),
                expected_version=expected_version,
                sync_now=sync_provider,
            )
        except Refused as refused:
            return DeleteEventPayload(errors=user_errors(refused, under=()))
        return DeleteEventPayload(deleted_id=strawberry.ID(str(deleted)))

    @strawberry.mutation(
        description="Answer for the calendar's owner. "
        "Taking back a refusal takes the time again, so `onConflict` is obeyed."
    )
    async def respond_to_event(
        self,
        info: Info,
        id: Id,
        rsvp: Annotated[Partstat, strawberry.argument(description="The answer.")],
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
    ) -> RespondToEventPayload:
        """Answer one invitation."""
        try:
            written = await use_cases.respond_to_event(
                info.context.services,
                info.context.actor,
                parse_id(id),
                rsvp,
                expected_version=expected_version,
                sync_now=sync_provider,
            )
        except Refused as refused:
            return RespondToEventPayload(errors=user_errors(refused, under=()))
        return RespondToEventPayload(event=Event.of(written.event), conflicts=_conflicts(written))

    @strawberry.mutation(
        description="Bring an event to its provider again, now: after a failure, or once its account was put right. "
        "Of a deleted event it is the deletion that is brought there, and `event` is null."
    )
    async def retry_sync(self, info: Info, event_id: Id) -> RetrySyncPayload:
        """Wake the event's lane."""
        try:
            event = await retry_sync(info.context.services, info.context.actor, parse_id(event_id))
        except Refused as refused:
            errors = [replace(error, path=["eventId"]) for error in user_errors(refused, under=())]
            return RetrySyncPayload(errors=errors)
        return RetrySyncPayload(event=Event.of(event) if event else None)


def _conflicts(written: Written) -> list[Event]:
    found = {event.id: event for events in written.conflicts.values() for event in events}
    return [Event.of(event) for event in found.values()]


def _dry_runs(written: Written) -> list[DryRun]:
    previews: Sequence[Any] = [written.previews[event.id] for event in written.events]
    return [
        DryRun(
            provider=preview.provider,
            payload=JSONValue(preview.payload),
            mailed=[EmailAddress(each) for each in preview.mailed],
        )
        for preview in previews
    ]


def _span(from_: DateTime, to: DateTime) -> TimeSpan:
    ends = []
    for name, value in (("from", instant_or_date(from_)), ("to", instant_or_date(to))):
        if not isinstance(value, datetime):
            raise BadArgument(name, DATE_TIME)
        ends.append(value.astimezone(UTC))
    if ends[1] <= ends[0]:
        raise BadArgument("to", "a time after `from`")
    return TimeSpan(ends[0], ends[1])


def _calendar_ids(ids: list[strawberry.ID] | None) -> list[UUID] | None:
    if ids is None:
        return None
    if len(ids) > MAX_PAGE:
        raise BadArgument("calendarIds", f"at most {MAX_PAGE} ids")
    return [found for found in map(parse_id, ids) if found is not None]
