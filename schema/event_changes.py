"""The mutations that change events and series: each reads its input, delegates to one use case, words the answer."""

from __future__ import annotations

from typing import Annotated

import strawberry

from kalends.domain import events as domain
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_event_id
from resolvers import changing as use_cases
from resolvers.changing import Changed, Manner, Target
from schema.context import Info
from schema.dry_runs import CONFLICTS, ERRORS, EVENT, DryRun
from schema.enums import Partstat, RecurrenceScope
from schema.errors import (
    CalendarNotWritableError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
    TimeConflictError,
    user_errors,
)
from schema.event_inputs import DRY_RUN, EXPECTED_VERSION, SCOPE, SYNC_PROVIDER, UpdateEventInput
from schema.events import Event, distinct

UpdateEventError = Annotated[
    InvalidInputError | NotFoundError | CalendarNotWritableError | TimeConflictError | StaleVersionError,
    strawberry.union("UpdateEventError", description="Why an event could not be changed."),
]
CancelEventError = Annotated[
    InvalidInputError | NotFoundError | CalendarNotWritableError | StaleVersionError,
    strawberry.union("CancelEventError", description="Why an event could not be cancelled."),
]
DeleteEventError = Annotated[
    InvalidInputError | NotFoundError | CalendarNotWritableError | StaleVersionError,
    strawberry.union("DeleteEventError", description="Why an event could not be deleted."),
]
RespondToEventError = Annotated[
    NotFoundError | CalendarNotWritableError | TimeConflictError | StaleVersionError,
    strawberry.union("RespondToEventError", description="Why an answer could not be given."),
]
CHANGED = EVENT + " Of a series it is what `scope` says: the occurrence, the series that goes on, or all of it."
EARLIER = "What is left of a series that was split by THIS_AND_FOLLOWING; else null."
DRY_RUNS = "What the provider would get, for each event that would change; in a dry run."


@strawberry.type(description="What became of `updateEvent`.")
class UpdateEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=CHANGED)
    earlier: Event | None = strawberry.field(default=None, description=EARLIER)
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    dry_runs: list[DryRun] = strawberry.field(default_factory=list, description=DRY_RUNS)
    errors: list[UpdateEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `cancelEvent`.")
class CancelEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=CHANGED)
    earlier: Event | None = strawberry.field(default=None, description=EARLIER)
    dry_runs: list[DryRun] = strawberry.field(default_factory=list, description=DRY_RUNS)
    errors: list[CancelEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `deleteEvent`.")
class DeleteEventPayload:
    """See the description."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the event or the occurrence that is gone; null where it was refused."
    )
    series: Event | None = strawberry.field(
        default=None, description="What is left of the series; null where nothing is, or where it was no series."
    )
    dry_runs: list[DryRun] = strawberry.field(default_factory=list, description=DRY_RUNS)
    errors: list[DeleteEventError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `respondToEvent`.")
class RespondToEventPayload:
    """See the description."""

    event: Event | None = strawberry.field(default=None, description=EVENT)
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    dry_runs: list[DryRun] = strawberry.field(default_factory=list, description=DRY_RUNS)
    errors: list[RespondToEventError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The event, or an occurrence of a series.")]
Scope = Annotated[RecurrenceScope | None, strawberry.argument(description=SCOPE)]
Expected = Annotated[int | None, strawberry.argument(description=EXPECTED_VERSION)]
SyncProvider = Annotated[bool, strawberry.argument(description=SYNC_PROVIDER)]
DryRunOnly = Annotated[bool, strawberry.argument(description=DRY_RUN)]


@strawberry.type
class EventChangeMutation:
    """The mutations."""

    @strawberry.mutation(
        description="Change an event, or a series. Where the change takes time anew (a move, an un-cancel, a "
        "confirmation), `onConflict` is obeyed."
    )
    async def update_event(
        self,
        info: Info,
        id: Id,
        input: Annotated[UpdateEventInput, strawberry.argument(description="What to change.")],
    ) -> UpdateEventPayload:
        """Change one event."""
        try:
            changed = await use_cases.update_event(
                info.context.services,
                info.context.actor,
                Target(parse_event_id(id), input.scope, input.expected_version),
                input.read(),
                Manner(input.sync_provider, input.dry_run),
            )
        except Refused as refused:
            return UpdateEventPayload(errors=user_errors(refused, arguments=("id",)))
        return UpdateEventPayload(
            event=_event(changed.event),
            earlier=_earlier(changed),
            conflicts=_conflicts(changed),
            dry_runs=_dry_runs(changed),
        )

    @strawberry.mutation(description="Cancel an event: it stays visible and frees its time. Twice is as good as once.")
    async def cancel_event(
        self,
        info: Info,
        id: Id,
        scope: Scope = None,
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
        dry_run: DryRunOnly = False,
    ) -> CancelEventPayload:
        """Cancel one event."""
        try:
            changed = await use_cases.cancel_event(
                info.context.services,
                info.context.actor,
                Target(parse_event_id(id), scope, expected_version),
                Manner(sync_provider, dry_run),
            )
        except Refused as refused:
            return CancelEventPayload(errors=user_errors(refused, under=()))
        return CancelEventPayload(event=_event(changed.event), earlier=_earlier(changed), dry_runs=_dry_runs(changed))

    @strawberry.mutation(description="Delete an event, here and at its provider.")
    async def delete_event(
        self,
        info: Info,
        id: Id,
        scope: Scope = None,
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
        dry_run: DryRunOnly = False,
    ) -> DeleteEventPayload:
        """Delete one event."""
        ref = parse_event_id(id)
        try:
            changed = await use_cases.delete_event(
                info.context.services,
                info.context.actor,
                Target(ref, scope, expected_version),
                Manner(sync_provider, dry_run),
            )
        except Refused as refused:
            return DeleteEventPayload(errors=user_errors(refused, under=()))
        return DeleteEventPayload(
            deleted_id=strawberry.ID(str(ref)), series=_event(changed.rest), dry_runs=_dry_runs(changed)
        )

    @strawberry.mutation(
        description="Answer for the calendar's owner: of a series for all of it, of an occurrence for that one. "
        "Taking back a refusal takes the time again, so `onConflict` is obeyed."
    )
    async def respond_to_event(
        self,
        info: Info,
        id: Id,
        rsvp: Annotated[Partstat, strawberry.argument(description="The answer.")],
        expected_version: Expected = None,
        sync_provider: SyncProvider = False,
        dry_run: DryRunOnly = False,
    ) -> RespondToEventPayload:
        """Answer one invitation."""
        try:
            changed = await use_cases.respond_to_event(
                info.context.services,
                info.context.actor,
                Target(parse_event_id(id), None, expected_version),
                rsvp,
                Manner(sync_provider, dry_run),
            )
        except Refused as refused:
            return RespondToEventPayload(errors=user_errors(refused, under=()))
        return RespondToEventPayload(
            event=_event(changed.event), conflicts=_conflicts(changed), dry_runs=_dry_runs(changed)
        )


def _event(event: domain.Event | None) -> Event | None:
    return None if event is None else Event.of(event)


def _earlier(changed: Changed) -> Event | None:
    split = changed.rest is not None and changed.event is not None and changed.rest.id != changed.event.id
    return _event(changed.rest) if split else None


def _conflicts(changed: Changed) -> list[Event]:
    return distinct(changed.conflicts)


def _dry_runs(changed: Changed) -> list[DryRun]:
    return [DryRun.of(each) for each in changed.previews]
