"""Calendars on the surface of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from kalends.domain import calendars as domain
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from kalends.domain.sync import Source
from resolvers import calendars as use_cases
from resolvers.calendars import CalendarChanges, CalendarDraft
from schema.context import Info
from schema.enums import StalePolicy
from schema.errors import (
    IdempotencyKeyReusedError,
    InUseError,
    InvalidInputError,
    NotFoundError,
    TimeConflictError,
    refuse_nulls,
    user_errors,
)
from schema.event_inputs import KEY
from schema.pages import AFTER, DEFAULT_PAGE, FIRST, PageInfo, cut, id_cursor, limit, read_id_cursor
from schema.scalars import (
    DateTime,
    Metadata,
    TimeZone,
    metadata,
    moment,
    optional_id,
    optional_moment,
    zone_name,
)

if TYPE_CHECKING:
    from schema.accounts import Account
    from schema.resources import Resource

LazyAccount = Annotated["Account", strawberry.lazy("schema.accounts")]
LazyResource = Annotated["Resource", strawberry.lazy("schema.resources")]

NAME = "What people call it, 1 to 200 characters."
DESCRIPTION = "More about it, at most 4096 characters."
READ_ONLY = "Whether it refuses changes to its events."
METADATA = "The application's own key-value pairs; replaced as a whole."
ERRORS = "What is wrong, all of it at once; empty where it was done."
STALE_POLICY = (
    "What availability makes of it where it is stale: its provider was not read for longer than `staleAfter`."
)
STALE_AFTER = (
    "Seconds without a look at its provider that was read to the end, 60 to 2,592,000, after which it is stale; "
    "a calendar that lives only here never is."
)
ZONE = "Its own zone: the days of its all-day events, and the default of the others."


@strawberry.type(description="Something of a provider's that could not be read, while the rest could.")
class Unreadable:
    """See the description."""

    name: str = strawberry.field(description="Its UID where it has one, otherwise the provider's name of it.")
    reason: str = strawberry.field(description="Why, for people.")


@strawberry.type(
    description="How far a calendar has been read at its provider. Its events' own sync is in `Event.sync`."
)
class CalendarSource:
    """See the description."""

    last_synced_at: DateTime | None = strawberry.field(
        description="When the provider's present was last read to its end; null before the first time."
    )
    next_look_at: DateTime | None = strawberry.field(description="When the next look is due.")
    called: bool = strawberry.field(description="Whether the provider calls us when something has changed.")
    last_error: str | None = strawberry.field(description="Why the last look failed.")
    failures: int = strawberry.field(description="Looks in a row that failed.")
    unreadable: list[Unreadable] = strawberry.field(description="What could not be read at the last look, at most 20.")
    held_deletions: int = strawberry.field(
        description="Events that the provider has deleted, so many that they wait for `allowDeletions`; 0 for none."
    )
    gone_since: DateTime | None = strawberry.field(
        description="Since when the provider has no such calendar. Nothing in it is taken for deleted."
    )

    @classmethod
    def of(cls, source: Source, *, called: bool) -> Self:
        """Return it in the API's words."""
        return cls(
            last_synced_at=optional_moment(source.synced_at),
            next_look_at=optional_moment(source.due_at),
            called=called,
            last_error=source.last_error,
            failures=source.failures,
            unreadable=[Unreadable(name=name, reason=reason) for name, reason in source.broken],
            held_deletions=source.held,
            gone_since=optional_moment(source.gone),
        )


@strawberry.federation.type(keys=["id"], description="A calendar: what events block the time of.")
class Calendar:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The calendar's own id; opaque.")
    name: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(description="More about it.")
    time_zone: TimeZone = strawberry.field(description=ZONE)
    provider: str = strawberry.field(description="Where it is kept in step: `local` for nowhere, or a provider's name.")
    read_only: bool = strawberry.field(description=READ_ONLY)
    archived_at: DateTime | None = strawberry.field(description="Since when it is archived, and takes no events.")
    stale_policy: StalePolicy = strawberry.field(description=STALE_POLICY)
    stale_after: int = strawberry.field(description=STALE_AFTER)
    metadata: Metadata = strawberry.field(description="The application's own key-value pairs.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it last changed; its events do not count.")

    _id: strawberry.Private[UUID]
    _resource_id: strawberry.Private[UUID | None]
    _account_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The account at its provider; null where it has none.")
    async def account(self, info: Info) -> LazyAccount | None:
        """Load the account."""
        from schema.accounts import Account

        found = await info.context.loaders.accounts.load(self._account_id) if self._account_id else None
        return Account.of(found) if found else None

    @strawberry.field(description="How far it has been read at its provider; null where nothing is read.")
    async def source(self, info: Info) -> CalendarSource | None:
        """Load how far it has been read."""
        found = await info.context.loaders.sources.load(self._id)
        return CalendarSource.of(found[0], called=found[1]) if found else None

    @strawberry.field(
        description="Since when it is published as a file, with the token that counts now; null where it is not."
    )
    async def published_at(self, info: Info) -> DateTime | None:
        """Load since when it is published."""
        return optional_moment(await info.context.loaders.published.load(self._id))

    @strawberry.field(description="Whoever or whatever it belongs to.")
    async def resource(self, info: Info) -> LazyResource | None:
        """Load the resource."""
        from schema.resources import Resource

        found = await info.context.loaders.resources.load(self._resource_id) if self._resource_id else None
        return Resource.of(found) if found else None

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Calendar | None:
        """Return the entity that another subgraph names, None for an unknown or foreign one."""
        calendar_id = parse_id(id)
        found = await info.context.loaders.calendars.load(calendar_id) if calendar_id else None
        return cls.of(found) if found else None

    @classmethod
    def of(cls, calendar: domain.Calendar) -> Self:
        """Return a calendar in the API's words."""
        return cls(
            id=strawberry.ID(str(calendar.id)),
            name=calendar.name,
            description=calendar.description,
            time_zone=TimeZone(calendar.tzid),
            provider=calendar.provider,
            read_only=calendar.read_only,
            archived_at=optional_moment(calendar.archived_at),
            stale_policy=calendar.stale_policy,
            stale_after=int(calendar.stale_after.total_seconds()),
            metadata=Metadata(calendar.metadata),
            created_at=moment(calendar.created_at),
            updated_at=moment(calendar.updated_at),
            _id=calendar.id,
            _resource_id=calendar.resource_id,
            _account_id=calendar.account_id,
        )


@strawberry.type(description="A calendar in a page.")
class CalendarEdge:
    """See the description."""

    cursor: str = strawberry.field(description="Its place in the list: a page can begin after it.")
    node: Calendar = strawberry.field(description="The calendar.")


@strawberry.type(description="A page of calendars, oldest first.")
class CalendarConnection:
    """See the description."""

    edges: list[CalendarEdge] = strawberry.field(description="The calendars of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


@strawberry.input(description="A calendar to be created.")
class CreateCalendarInput:
    """See the description."""

    name: str = strawberry.field(description=NAME)
    description: str | None = strawberry.field(default=None, description=DESCRIPTION)
    time_zone: TimeZone | None = strawberry.field(
        default=None, description=f"{ZONE} Its resource's by default, and without one UTC."
    )
    resource_id: strawberry.ID | None = strawberry.field(default=None, description="Whoever or whatever it belongs to.")
    provider: str = strawberry.field(
        default="local",
        description="Where to keep it in step: `local` for nowhere, `sandbox` to try it out. `linkCalendar` keeps it "
        "in step with an account at another provider.",
    )
    read_only: bool = strawberry.field(default=False, description=READ_ONLY)
    stale_policy: StalePolicy = strawberry.field(default=StalePolicy.TREAT_AS_BUSY, description=STALE_POLICY)
    stale_after: int = strawberry.field(default=21_600, description=STALE_AFTER)
    metadata: Metadata | None = strawberry.field(default=None, description=METADATA)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)

    def read(self) -> CalendarDraft:
        """Return the calendar in the domain's words."""
        return CalendarDraft(
            name=self.name,
            description=self.description,
            tzid=None if self.time_zone is None else zone_name(self.time_zone),
            resource_id=optional_id(self.resource_id),
            provider=self.provider,
            read_only=self.read_only,
            stale_policy=self.stale_policy,
            stale_after=self.stale_after,
            metadata={} if self.metadata is None else metadata(self.metadata),
        )


@strawberry.input(description="What to change in a calendar. What is absent stays.")
class UpdateCalendarInput:
    """See the description."""

    name: strawberry.Maybe[str | None] = strawberry.field(description=NAME)
    description: strawberry.Maybe[str | None] = strawberry.field(description=DESCRIPTION)
    time_zone: strawberry.Maybe[TimeZone | None] = strawberry.field(
        description=f"{ZONE} All-day events keep their days, and move with it."
    )
    read_only: strawberry.Maybe[bool | None] = strawberry.field(description=READ_ONLY)
    archived: strawberry.Maybe[bool | None] = strawberry.field(description="Archive it, or take it out of the archive.")
    stale_policy: strawberry.Maybe[StalePolicy | None] = strawberry.field(description=STALE_POLICY)
    stale_after: strawberry.Maybe[int | None] = strawberry.field(description=STALE_AFTER)
    metadata: strawberry.Maybe[Metadata | None] = strawberry.field(description=METADATA)

    def read(self) -> CalendarChanges:
        """Return the changes in the domain's words."""
        refuse_nulls(self, nullable={"description"})
        changes = CalendarChanges()
        if self.name and self.name.value is not None:
            changes["name"] = self.name.value
        if self.description:
            changes["description"] = self.description.value
        if self.time_zone and self.time_zone.value is not None:
            changes["tzid"] = zone_name(self.time_zone.value)
        if self.read_only and self.read_only.value is not None:
            changes["read_only"] = self.read_only.value
        if self.archived and self.archived.value is not None:
            changes["archived"] = self.archived.value
        if self.stale_policy and self.stale_policy.value is not None:
            changes["stale_policy"] = self.stale_policy.value
        if self.stale_after and self.stale_after.value is not None:
            changes["stale_after"] = self.stale_after.value
        if self.metadata and self.metadata.value is not None:
            changes["metadata"] = metadata(self.metadata.value)
        return changes


CreateCalendarError = Annotated[
    InvalidInputError | NotFoundError | IdempotencyKeyReusedError,
    strawberry.union("CreateCalendarError", description="Why a calendar could not be created."),
]
UpdateCalendarError = Annotated[
    InvalidInputError | NotFoundError | TimeConflictError,
    strawberry.union("UpdateCalendarError", description="Why a calendar could not be changed."),
]
DeleteCalendarError = Annotated[
    NotFoundError | InUseError,
    strawberry.union("DeleteCalendarError", description="Why a calendar could not be deleted."),
]


@strawberry.type(description="What became of `createCalendar`.")
class CreateCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar as it is stored now.")
    errors: list[CreateCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `updateCalendar`.")
class UpdateCalendarPayload:
    """See the description."""

    calendar: Calendar | None = strawberry.field(default=None, description="The calendar as it is stored now.")
    errors: list[UpdateCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `deleteCalendar`.")
class DeleteCalendarPayload:
    """See the description."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id of what is gone.")
    errors: list[DeleteCalendarError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The calendar.")]


@strawberry.type
class CalendarQuery:
    """The queries."""

    @strawberry.field(description="One calendar; null for an unknown one.")
    async def calendar(self, info: Info, id: Id) -> Calendar | None:
        """Load a calendar."""
        return await Calendar.resolve_reference(info, id)

    @strawberry.field(description="Calendars, oldest first.")
    async def calendars(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description=FIRST)] = DEFAULT_PAGE,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
        resource_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only those of one resource.")
        ] = None,
        include_archived: Annotated[bool, strawberry.argument(description="Also those that are archived.")] = False,
    ) -> CalendarConnection:
        """List calendars."""
        rows = await use_cases.list_calendars(
            info.context.services,
            info.context.caller,
            limit=limit(first),
            after=read_id_cursor(after),
            resource_id=None if resource_id is None else parse_id(resource_id) or UUID(int=0),
            archived=include_archived,
        )
        calendars, page_info = cut(rows, first, after, lambda calendar: id_cursor(calendar.id))
        edges = [CalendarEdge(cursor=id_cursor(each.id), node=Calendar.of(each)) for each in calendars]
        return CalendarConnection(edges=edges, page_info=page_info)


@strawberry.type
class CalendarMutation:
    """The mutations."""

    @strawberry.mutation(description="Create a calendar.")
    async def create_calendar(
        self,
        info: Info,
        input: Annotated[CreateCalendarInput, strawberry.argument(description="The calendar.")],
    ) -> CreateCalendarPayload:
        """Create one calendar."""
        try:
            calendar = await use_cases.create_calendar(
                info.context.services, info.context.actor, input.read(), idempotency_key=input.idempotency_key
            )
        except Refused as refused:
            return CreateCalendarPayload(errors=user_errors(refused))
        return CreateCalendarPayload(calendar=Calendar.of(calendar))

    @strawberry.mutation(description="Change a calendar.")
    async def update_calendar(
        self,
        info: Info,
        id: Id,
        input: Annotated[UpdateCalendarInput, strawberry.argument(description="What to change.")],
    ) -> UpdateCalendarPayload:
        """Change one calendar."""
        try:
            calendar = await use_cases.update_calendar(
                info.context.services, info.context.actor, parse_id(id), input.read()
            )
        except Refused as refused:
            return UpdateCalendarPayload(errors=user_errors(refused, arguments=("id",)))
        return UpdateCalendarPayload(calendar=Calendar.of(calendar))

    @strawberry.mutation(description="Delete a calendar that holds no events; `updateCalendar` archives one that does.")
    async def delete_calendar(self, info: Info, id: Id) -> DeleteCalendarPayload:
        """Delete one calendar."""
        try:
            deleted = await use_cases.delete_calendar(info.context.services, info.context.actor, parse_id(id))
        except Refused as refused:
            return DeleteCalendarPayload(errors=user_errors(refused, under=()))
        return DeleteCalendarPayload(deleted_id=strawberry.ID(str(deleted)))
