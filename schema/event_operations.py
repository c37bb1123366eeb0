"""The queries and mutations about events: each reads its input, delegates to one use case, and words the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

import strawberry

from kalends.domain.errors import Refused
from kalends.domain.events import EventPage
from kalends.domain.ids import parse_event_id, parse_id
from resolvers import events as use_cases
from resolvers.events import Written
from resolvers.sync import retry_sync
from schema.context import Info
from schema.dry_runs import CONFLICTS, ERRORS, EVENT, DryRun
from schema.errors import (
    BadArgument,
    CalendarNotWritableError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    NotAvailableError,
    NotFoundError,
    TimeConflictError,
    user_errors,
)
from schema.event_inputs import CreateEventInput, CreateEventsInput
from schema.events import Event, EventConnection, EventEdge, distinct
from schema.pages import AFTER, DEFAULT_PAGE, FIRST, MAX_PAGE, cut, event_cursor, limit, read_event_cursor
from schema.scalars import DateTime
from schema.times import window

CreateEventError = Annotated[
    InvalidInputError
    | NotFoundError
    | CalendarNotWritableError
    | TimeConflictError
    | NotAvailableError
    | IdempotencyKeyReusedError,
    strawberry.union("CreateEventError", description="Why an event could not be created."),
]
RetrySyncError = Annotated[
    NotFoundError, strawberry.union("RetrySyncError", description="Why a sync could not be tried again.")
]


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


@strawberry.type(description="What became of `retrySync`.")
class RetrySyncPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    errors: list[RetrySyncError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The event.")]


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
        expand: Annotated[
            bool, strawberry.argument(description="In the place of each series, its occurrences, each at its own time.")
        ] = False,
    ) -> EventConnection:
        """List events."""
        page = EventPage(
            span=window(from_, to),
            calendar_ids=_calendar_ids(calendar_ids),
            limit=limit(first),
            after=read_event_cursor(after),
            include_cancelled=include_cancelled,
            expand=expand,
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
        runs = [DryRun.of(each) for each in written.previews]
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
            dry_runs=[DryRun.of(each) for each in written.previews],
        )

    @strawberry.mutation(
        description="Bring an event to its provider again, now: after a failure, or once its account was put right. "
        "Of a deleted event it is the deletion that is brought there, and `event` is null."
    )
    async def retry_sync(self, info: Info, event_id: Id) -> RetrySyncPayload:
        """Wake the event's lane."""
        try:
            ref = parse_event_id(event_id)
            event = await retry_sync(info.context.services, info.context.actor, ref.id if ref else None)
        except Refused as refused:
            errors = [replace(error, path=["eventId"]) for error in user_errors(refused, under=())]
            return RetrySyncPayload(errors=errors)
        return RetrySyncPayload(event=Event.of(event) if event else None)


def _conflicts(written: Written) -> list[Event]:
    return distinct(event for events in written.conflicts.values() for event in events)


def _calendar_ids(ids: list[strawberry.ID] | None) -> list[UUID] | None:
    if ids is None:
        return None
    if len(ids) > MAX_PAGE:
        raise BadArgument("calendarIds", f"at most {MAX_PAGE} ids")
    return [found for found in map(parse_id, ids) if found is not None]
