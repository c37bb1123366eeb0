"""iCalendar files on the surface of the API: taken in, and published."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from kalends.domain import errors as problems
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from resolvers import feeds
from resolvers import imports as domain
from schema.calendars import Calendar
from schema.context import Info
from schema.dry_runs import CONFLICTS, ERRORS
from schema.enums import ConflictPolicy, ErrorCode, ImportOutcome
from schema.errors import CalendarNotWritableError, InvalidInputError, NotFoundError, user_errors
from schema.events import Event, SyncWarning

FILE = (
    f"The file, as text (RFC 5545): at most {domain.MAX_BYTES // 2**20} MiB and {domain.MAX_ENTRIES:,} events; a "
    "series is one, with its exceptions."
)
POLICY = (
    "What to do where the calendar's time is taken; kept. By default new events are written without a look, and those "
    "that are there already obey their own."
)
_FREE = "a time that is free"


@strawberry.input(description="A file to be taken in.")
class ImportIcsInput:
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="The calendar that its events go into.")
    ics: str = strawberry.field(description=FILE)
    on_conflict: ConflictPolicy | None = strawberry.field(default=None, description=POLICY)
    dry_run: bool = strawberry.field(default=False, description="Read and check everything, and write nothing.")


@strawberry.type(description="An event of a file, with all that has its UID, that is in the calendar now.")
class ImportedEvent:
    """See the description."""

    uid: str = strawberry.field(description="Its UID, by which it is known again.")
    outcome: ImportOutcome = strawberry.field(description="What became of it.")
    event: Event = strawberry.field(description="The event as it is stored now; in a dry run, as it would be.")
    warnings: list[SyncWarning] = strawberry.field(
        description="What is not as the file has it: a zone that nobody knows, something that has no place here."
    )

    @classmethod
    def of(cls, imported: domain.ImportedEvent) -> Self:
        """Return it in the API's words."""
        return cls(
            uid=imported.uid,
            outcome=imported.outcome,
            event=Event.of(imported.event),
            warnings=[SyncWarning(code=each.code, message=each.message) for each in imported.warnings],
        )


@strawberry.type(description="What of a file is in the calendar now.")
class Imported:
    """See the description."""

    created: int = strawberry.field(description="How many events are new.")
    updated: int = strawberry.field(description="How many were there and have changed.")
    unchanged: int = strawberry.field(description="How many were there and say the same.")
    events: list[ImportedEvent] = strawberry.field(description="All of them, in the order of the file.")

    @classmethod
    def of(cls, imported: domain.Imported) -> Self:
        """Return it in the API's words."""
        return cls(
            created=imported.count(ImportOutcome.CREATED),
            updated=imported.count(ImportOutcome.UPDATED),
            unchanged=imported.count(ImportOutcome.UNCHANGED),
            events=[ImportedEvent.of(each) for each in imported.events],
        )


@strawberry.type(description="A component of a file that was left out, while the rest was taken in.")
class ImportFailure:
    """See the description."""

    uid: str = strawberry.field(description="Its UID; where it has none, a name made of what it says.")
    code: ErrorCode = strawberry.field(description="What is wrong, for programs.")
    message: str = strawberry.field(description="What is wrong, for people.")
    expected: str = strawberry.field(description="What would have been accepted.")
    conflicts: list[Event] = strawberry.field(
        description="The events in the way, where the policy is REJECT; empty for a key without the scope READ."
    )

    @classmethod
    def of(cls, failure: domain.ImportFailure) -> Self:
        """Return it in the API's words."""
        problem = failure.problem
        collisions = problem.collisions if isinstance(problem, problems.TimeConflict) else ()
        return cls(
            uid=failure.uid,
            code=ErrorCode(problem.code),
            message=problem.message,
            expected=problem.expected if isinstance(problem, problems.InvalidInput) else _FREE,
            conflicts=[Event.of(event) for each in collisions for event in each.events],
        )


ImportIcsError = Annotated[
    InvalidInputError | NotFoundError | CalendarNotWritableError,
    strawberry.union("ImportIcsError", description="Why nothing of a file could be taken in."),
]


@strawberry.type(description="What became of `importIcs`.")
class ImportIcsPayload:
    """See the description."""

    imported: Imported | None = strawberry.field(
        default=None, description="What of the file is in the calendar now; null where nothing could be read."
    )
    failures: list[ImportFailure] = strawberry.field(
        default_factory=list, description="What of the file was left out, and why; the rest was taken in."
    )
    conflicts: list[Event] = strawberry.field(default_factory=list, description=CONFLICTS)
    errors: list[ImportIcsError] = strawberry.field(default_factory=list, description=ERRORS)


PublishCalendarError = Annotated[
    NotFoundError, strawberry.union("PublishCalendarError", description="Why a calendar could not be published.")
]
UnpublishCalendarError = Annotated[
    NotFoundError,
    strawberry.union("UnpublishCalendarError", description="Why a calendar's file could not be taken back."),
]


@strawberry.type(description="What became of `publishCalendar`.")
class PublishCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar.")
    token: str | None = strawberry.field(
        default=None, description="What opens the file: `GET /calendars/{id}.ics?token=…`. Shown once."
    )
    url: str | None = strawberry.field(
        default=None,
        description="The whole address, with the token; null where this server does not know its own address "
        "(`KALENDS_PUBLIC_URL`).",
    )
    errors: list[PublishCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `unpublishCalendar`.")
class UnpublishCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar.")
    errors: list[UnpublishCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The calendar.")]


@strawberry.type
class ICalendarMutation:
    """The mutations."""

    @strawberry.mutation(
        description="Take an iCalendar file into a calendar: what can be read at once or not at all, the rest told in "
        "`failures`. Events are known by their UID, so the same file twice doubles nothing."
    )
    async def import_ics(
        self,
        info: Info,
        input: Annotated[ImportIcsInput, strawberry.argument(description="The file.")],
    ) -> ImportIcsPayload:
        """Take in one file."""
        try:
            imported = await domain.import_ics(
                info.context.services,
                info.context.actor,
                parse_id(input.calendar_id),
                input.ics,
                on_conflict=input.on_conflict,
                dry_run=input.dry_run,
            )
        except Refused as refused:
            return ImportIcsPayload(errors=user_errors(refused))
        in_the_way = {event.id: event for event in imported.conflicts}
        return ImportIcsPayload(
            imported=Imported.of(imported),
            failures=[ImportFailure.of(each) for each in imported.failures],
            conflicts=[Event.of(event) for event in in_the_way.values()],
        )

    @strawberry.mutation(
        description="Publish a calendar as a file to which other calendar programs subscribe. Whoever has the token "
        "reads all that its events say, private ones too (`CLASS` is told). A new token ends the one before."
    )
    async def publish_calendar(self, info: Info, calendar_id: Id) -> PublishCalendarPayload:
        """Publish one calendar."""
        try:
            made = await feeds.publish_calendar(info.context.services, info.context.actor, parse_id(calendar_id))
        except Refused as refused:
            return PublishCalendarPayload(errors=user_errors(refused, under=()))
        return PublishCalendarPayload(calendar=Calendar.of(made.calendar), token=made.token, url=made.url)

    @strawberry.mutation(description="Take a calendar's file back: its token opens nothing any more, at once.")
    async def unpublish_calendar(self, info: Info, calendar_id: Id) -> UnpublishCalendarPayload:
        """Take back one calendar's file."""
        try:
            calendar = await feeds.unpublish_calendar(info.context.services, info.context.actor, parse_id(calendar_id))
        except Refused as refused:
            return UnpublishCalendarPayload(errors=user_errors(refused, under=()))
        return UnpublishCalendarPayload(calendar=Calendar.of(calendar))
