"""Resources on the surface of the API."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

import strawberry

from kalends.domain import calendars as domain
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from resolvers import resources as use_cases
from resolvers.resources import ResourceChanges, ResourceDraft
from schema.calendars import ERRORS, METADATA, NAME, Calendar
from schema.context import Info
from schema.enums import ResourceKind
from schema.errors import (
    IdempotencyKeyReusedError,
    InUseError,
    InvalidInputError,
    NotFoundError,
    refuse_nulls,
    user_errors,
)
from schema.event_inputs import KEY
from schema.pages import AFTER, DEFAULT_PAGE, FIRST, PageInfo, cut, id_cursor, limit, read_id_cursor
from schema.profiles import AvailabilityProfile
from schema.scalars import DateTime, EmailAddress, Metadata, TimeZone, email, metadata, moment, zone_name

KIND = "Who or what it is."
EMAIL = "The address by which it is recognised among an event's participants."
ZONE = "The zone of its calendars where they name none."


@strawberry.federation.type(keys=["id"], description="Whoever or whatever calendars belong to: a person, a room.")
class Resource:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The resource's own id; opaque.")
    name: str = strawberry.field(description="What people call it.")
    kind: ResourceKind = strawberry.field(description=KIND)
    email: EmailAddress | None = strawberry.field(description=EMAIL)
    time_zone: TimeZone = strawberry.field(description=ZONE)
    metadata: Metadata = strawberry.field(description="The application's own key-value pairs.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    _id: strawberry.Private[UUID]

    @strawberry.field(description="Its calendars, oldest first, without archived ones.")
    async def calendars(self, info: Info) -> list[Calendar]:
        """Load the calendars."""
        return [Calendar.of(calendar) for calendar in await info.context.loaders.calendars_of.load(self._id)]

    @strawberry.field(description="Conditions under which it can be booked, in order of name.")
    async def availability_profiles(self, info: Info) -> list[AvailabilityProfile]:
        """Load the profiles."""
        return [AvailabilityProfile.of(each) for each in await info.context.loaders.profiles_of.load(self._id)]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Resource | None:
        """Return the entity that another subgraph names, None for an unknown or foreign one."""
        resource_id = parse_id(id)
        found = await info.context.loaders.resources.load(resource_id) if resource_id else None
        return cls.of(found) if found else None

    @classmethod
    def of(cls, resource: domain.Resource) -> Self:
        """Return a resource in the API's words."""
        return cls(
            id=strawberry.ID(str(resource.id)),
            name=resource.name,
            kind=resource.kind,
            email=None if resource.email is None else EmailAddress(resource.email),
            time_zone=TimeZone(resource.tzid),
            metadata=Metadata(resource.metadata),
            created_at=moment(resource.created_at),
            updated_at=moment(resource.updated_at),
            _id=resource.id,
        )


@strawberry.type(description="A resource in a page.")
class ResourceEdge:
    """See the description."""

    cursor: str = strawberry.field(description="Its place in the list: a page can begin after it.")
    node: Resource = strawberry.field(description="The resource.")


@strawberry.type(description="A page of resources, oldest first.")
class ResourceConnection:
    """See the description."""

    edges: list[ResourceEdge] = strawberry.field(description="The resources of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")


@strawberry.input(description="A resource to be created.")
class CreateResourceInput:
    """See the description."""

    name: str = strawberry.field(description=NAME)
    kind: ResourceKind = strawberry.field(default=ResourceKind.PERSON, description=KIND)
    email: EmailAddress | None = strawberry.field(default=None, description=EMAIL)
    time_zone: TimeZone = strawberry.field(default=TimeZone("UTC"), description=ZONE)
    metadata: Metadata | None = strawberry.field(default=None, description=METADATA)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)

    def read(self) -> ResourceDraft:
        """Return the resource in the domain's words."""
        return ResourceDraft(
            name=self.name,
            kind=self.kind,
            email=None if self.email is None else email(self.email),
            tzid=zone_name(self.time_zone),
            metadata={} if self.metadata is None else metadata(self.metadata),
        )


@strawberry.input(description="What to change in a resource. What is absent stays.")
class UpdateResourceInput:
    """See the description."""

    name: strawberry.Maybe[str | None] = strawberry.field(description=NAME)
    kind: strawberry.Maybe[ResourceKind | None] = strawberry.field(description=KIND)
    email: strawberry.Maybe[EmailAddress | None] = strawberry.field(description=EMAIL)
    time_zone: strawberry.Maybe[TimeZone | None] = strawberry.field(
        description=f"{ZONE} Calendars that exist keep theirs."
    )
    metadata: strawberry.Maybe[Metadata | None] = strawberry.field(description=METADATA)

    def read(self) -> ResourceChanges:
        """Return the changes in the domain's words."""
        refuse_nulls(self, nullable={"email"})
        changes = ResourceChanges()
        if self.name and self.name.value is not None:
            changes["name"] = self.name.value
        if self.kind and self.kind.value is not None:
            changes["kind"] = self.kind.value
        if self.email:
            changes["email"] = None if self.email.value is None else email(self.email.value)
        if self.time_zone and self.time_zone.value is not None:
            changes["tzid"] = zone_name(self.time_zone.value)
        if self.metadata and self.metadata.value is not None:
            changes["metadata"] = metadata(self.metadata.value)
        return changes


CreateResourceError = Annotated[
    InvalidInputError | IdempotencyKeyReusedError | NotFoundError,
    strawberry.union("CreateResourceError", description="Why a resource could not be created."),
]
UpdateResourceError = Annotated[
    InvalidInputError | NotFoundError,
    strawberry.union("UpdateResourceError", description="Why a resource could not be changed."),
]
DeleteResourceError = Annotated[
    NotFoundError | InUseError,
    strawberry.union("DeleteResourceError", description="Why a resource could not be deleted."),
]


@strawberry.type(description="What became of `createResource`.")
class CreateResourcePayload:
    """See the description."""

    resource: Resource | None = strawberry.field(default=None, description="The resource as it is stored now.")
    errors: list[CreateResourceError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `updateResource`.")
class UpdateResourcePayload:
    """See the description."""

    resource: Resource | None = strawberry.field(default=None, description="The resource as it is stored now.")
    errors: list[UpdateResourceError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `deleteResource`.")
class DeleteResourcePayload:
    """See the description."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id of what is gone.")
    errors: list[DeleteResourceError] = strawberry.field(default_factory=list, description=ERRORS)


Id = Annotated[strawberry.ID, strawberry.argument(description="The resource.")]


@strawberry.type
class ResourceQuery:
    """The queries."""

    @strawberry.field(description="One resource; null for an unknown one.")
    async def resource(self, info: Info, id: Id) -> Resource | None:
        """Load a resource."""
        return await Resource.resolve_reference(info, id)

    @strawberry.field(description="Resources, oldest first.")
    async def resources(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description=FIRST)] = DEFAULT_PAGE,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
    ) -> ResourceConnection:
        """List resources."""
        rows = await use_cases.list_resources(
            info.context.services, info.context.caller, limit=limit(first), after=read_id_cursor(after)
        )
        resources, page_info = cut(rows, first, after, lambda resource: id_cursor(resource.id))
        edges = [ResourceEdge(cursor=id_cursor(each.id), node=Resource.of(each)) for each in resources]
        return ResourceConnection(edges=edges, page_info=page_info)


@strawberry.type
class ResourceMutation:
    """The mutations."""

    @strawberry.mutation(description="Create a resource.")
    async def create_resource(
        self,
        info: Info,
        input: Annotated[CreateResourceInput, strawberry.argument(description="The resource.")],
    ) -> CreateResourcePayload:
        """Create one resource."""
        try:
            resource = await use_cases.create_resource(
                info.context.services, info.context.actor, input.read(), idempotency_key=input.idempotency_key
            )
        except Refused as refused:
            return CreateResourcePayload(errors=user_errors(refused))
        return CreateResourcePayload(resource=Resource.of(resource))

    @strawberry.mutation(description="Change a resource.")
    async def update_resource(
        self,
        info: Info,
        id: Id,
        input: Annotated[UpdateResourceInput, strawberry.argument(description="What to change.")],
    ) -> UpdateResourcePayload:
        """Change one resource."""
        try:
            resource = await use_cases.update_resource(
                info.context.services, info.context.actor, parse_id(id), input.read()
            )
        except Refused as refused:
            return UpdateResourcePayload(errors=user_errors(refused, arguments=("id",)))
        return UpdateResourcePayload(resource=Resource.of(resource))

    @strawberry.mutation(description="Delete a resource that has no calendars.")
    async def delete_resource(self, info: Info, id: Id) -> DeleteResourcePayload:
        """Delete one resource."""
        try:
            deleted = await use_cases.delete_resource(info.context.services, info.context.actor, parse_id(id))
        except Refused as refused:
            return DeleteResourcePayload(errors=user_errors(refused, under=()))
        return DeleteResourcePayload(deleted_id=strawberry.ID(str(deleted)))
