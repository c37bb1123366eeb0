"""Profiles of availability on the surface of the API."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from kalends.domain import profiles as domain
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from resolvers import profiles as use_cases
from resolvers.profiles import ProfileDraft
from schema.availability_inputs import SaveAvailabilityProfileInput, read_conditions
from schema.context import Info
from schema.errors import InUseError, InvalidInputError, NotFoundError, user_errors
from schema.rules import rule_in_api_words
from schema.scalars import DateTime, Duration, JSONValue, moment

ERRORS = "What is wrong, all of it at once; empty where it was done."


@strawberry.type(description="What of that which takes time in a resource's calendars counts as taken.")
class Blocking:
    """See the description."""

    all_day: bool = strawberry.field(description="Whether all-day events do.")
    tentative: bool = strawberry.field(description="Whether what is not certain, or not accepted yet, does.")
    out_of_office: bool = strawberry.field(description="Whether being out of office does.")
    ignored_calendar_ids: list[strawberry.ID] = strawberry.field(description="Calendars in which nothing does.")


@strawberry.type(description="Conditions under which a resource can be booked.")
class AvailabilityProfile:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The profile's own id; opaque.")
    resource_id: strawberry.ID = strawberry.field(description="The resource.")
    name: str = strawberry.field(description="Its name; no other of the resource's has it.")
    rule: JSONValue = strawberry.field(
        description="When it can be booked at all, in the form of `AvailabilityRuleInput`."
    )
    blocking: Blocking = strawberry.field(description="What of that which takes time counts.")
    buffer_before: Duration = strawberry.field(description="How long it must be free before a booking.")
    buffer_after: Duration = strawberry.field(description="How long it must be free after a booking.")
    minimum_notice: Duration = strawberry.field(description="How long before its start a booking must be made.")
    capacity: int = strawberry.field(description="How many things can take the same time before it counts as taken.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    @classmethod
    def of(cls, profile: domain.Profile) -> Self:
        """Return a profile in the API's words."""
        conditions, blocking = profile.conditions, profile.conditions.blocking
        return cls(
            id=strawberry.ID(str(profile.id)),
            resource_id=strawberry.ID(str(profile.resource_id)),
            name=profile.name,
            rule=JSONValue(rule_in_api_words(conditions.rule)),
            blocking=Blocking(
                all_day=blocking.all_day,
                tentative=blocking.tentative,
                out_of_office=blocking.unavailable,
                ignored_calendar_ids=[strawberry.ID(each) for each in sorted(map(str, blocking.ignored))],
            ),
            buffer_before=Duration(conditions.buffer_before),
            buffer_after=Duration(conditions.buffer_after),
            minimum_notice=Duration(conditions.notice),
            capacity=conditions.capacity,
            created_at=moment(profile.created_at),
            updated_at=moment(profile.updated_at),
        )


SaveAvailabilityProfileError = Annotated[
    InvalidInputError | NotFoundError | InUseError,
    strawberry.union("SaveAvailabilityProfileError", description="Why a profile could not be saved."),
]
DeleteAvailabilityProfileError = Annotated[
    NotFoundError,
    strawberry.union("DeleteAvailabilityProfileError", description="Why a profile could not be deleted."),
]


@strawberry.type(description="What became of `saveAvailabilityProfile`.")
class SaveAvailabilityProfilePayload:
    """See the description."""

    profile: AvailabilityProfile | None = strawberry.field(
        default=None, description="The profile as it is stored now; null where it was refused."
    )
    errors: list[SaveAvailabilityProfileError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `deleteAvailabilityProfile`.")
class DeleteAvailabilityProfilePayload:
    """See the description."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id of what is gone.")
    errors: list[DeleteAvailabilityProfileError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class ProfileMutation:
    """The mutations."""

    @strawberry.mutation(
        description="Keep conditions under which a resource can be booked; a profile of the same name is replaced as a "
        f"whole. At most {domain.MAX_PROFILES} of a resource. Twice is as good as once."
    )
    async def save_availability_profile(
        self,
        info: Info,
        input: Annotated[SaveAvailabilityProfileInput, strawberry.argument(description="The profile.")],
    ) -> SaveAvailabilityProfilePayload:
        """Save one profile."""
        draft = ProfileDraft(
            resource_id=parse_id(input.resource_id), name=input.name, conditions=read_conditions(input)
        )
        try:
            profile = await use_cases.save_profile(info.context.services, info.context.actor, draft)
        except Refused as refused:
            return SaveAvailabilityProfilePayload(errors=user_errors(refused))
        return SaveAvailabilityProfilePayload(profile=AvailabilityProfile.of(profile))

    @strawberry.mutation(description="Delete a profile. What was booked under it stays.")
    async def delete_availability_profile(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The profile.")]
    ) -> DeleteAvailabilityProfilePayload:
        """Delete one profile."""
        try:
            deleted = await use_cases.delete_profile(info.context.services, info.context.actor, parse_id(id))
        except Refused as refused:
            return DeleteAvailabilityProfilePayload(errors=user_errors(refused, under=()))
        return DeleteAvailabilityProfilePayload(deleted_id=strawberry.ID(str(deleted)))
