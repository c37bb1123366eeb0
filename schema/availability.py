"""When resources can be booked, on the surface of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

import strawberry

from kalends.domain import availability as domain
from kalends.domain.access import Scope
from kalends.domain.availability import MAX_SLOTS
from kalends.domain.errors import Refused
from kalends.domain.time import zone
from resolvers import availability as use_cases
from schema.availability_inputs import AvailabilityInput
from schema.context import Info
from schema.errors import BadArgument, BadInput
from schema.freebusy import CalendarFreshness
from schema.reasons import RefusedSlot
from schema.scalars import DateTime, moment

MANY = 5  # resources: with more, the search runs beside the event loop
MAX_REASONS = 20_000  # slots times resources
FIRST = f"How many at most, 1 to {MAX_SLOTS:,}. Where so many come there may be more: ask again from a later moment."
IDS = "The ids of the role's resources that are free"


@strawberry.type(description="Who of a role can be booked in a slot.")
class SlotRole:
    """See the description."""

    free_ids: list[strawberry.ID] = strawberry.field(description=IDS + ".")
    chosen_ids: list[strawberry.ID] = strawberry.field(
        description="Of a round robin those whose turn it is; empty for other roles."
    )


@strawberry.type(description="A time that can be booked.")
class AvailabilitySlot:
    """See the description."""

    start: DateTime = strawberry.field(description="When it starts, in the zone that was asked for.")
    end: DateTime = strawberry.field(description="When it ends, in the zone that was asked for.")
    roles: list[SlotRole] = strawberry.field(description="Who can be booked, in the order of the question's roles.")

    @classmethod
    def of(cls, slot: domain.Slot, tzid: str) -> Self:
        """Return a slot in the API's words."""
        place = zone(tzid)
        return cls(
            start=moment(slot.span.start.astimezone(place) if tzid != "UTC" else slot.span.start),
            end=moment(slot.span.end.astimezone(place) if tzid != "UTC" else slot.span.end),
            roles=[
                SlotRole(free_ids=_ids(free), chosen_ids=_ids(chosen))
                for free, chosen in zip(slot.free, slot.chosen, strict=True)
            ],
        )


def _ids(ids: Sequence[UUID]) -> list[strawberry.ID]:
    return [strawberry.ID(str(each)) for each in ids]


def _limit(first: int) -> int:
    if not 1 <= first <= MAX_SLOTS:
        raise BadArgument("first", f"a number from 1 to {MAX_SLOTS}")
    return first


@strawberry.type(description="When everybody and everything that is needed can be booked.")
class Availability:
    """See the description."""

    calendars: list[CalendarFreshness] = strawberry.field(
        description="The calendars that were looked at, and how old what is known of each is."
    )

    _found: strawberry.Private[use_cases.Availability]
    _explain: strawberry.Private[bool]

    @property
    def _apart(self) -> bool:
        return len(self._found.search.timetables) > MANY

    @strawberry.field(description="The slots that can be booked, earliest first.")
    async def slots(self, first: Annotated[int, strawberry.argument(description=FIRST)] = 50) -> list[AvailabilitySlot]:
        """Search for slots."""
        search, limit = self._found.search, _limit(first)
        found = await asyncio.to_thread(search.slots, limit) if self._apart else search.slots(limit)
        return [AvailabilitySlot.of(each, search.tzid) for each in found]

    @strawberry.field(
        description="The slots that are not offered, earliest first, each with everything that refuses it; empty "
        "without `explain`. Of a question about many resources fewer come at once."
    )
    async def refused(
        self, info: Info, first: Annotated[int, strawberry.argument(description=FIRST)] = 20
    ) -> list[RefusedSlot]:
        """Explain what is not offered."""
        search, limit = self._found.search, _limit(first)
        if not self._explain:
            return []
        limit = min(limit, max(1, MAX_REASONS // len(search.timetables)))
        found = await asyncio.to_thread(search.refused, limit) if self._apart else search.refused(limit)
        told = bool(info.context.caller.scopes & {Scope.READ, Scope.FREE_BUSY})
        return RefusedSlot.all_of(found, told=told, tzid=search.tzid)


@strawberry.type
class AvailabilityQuery:
    """The query."""

    @strawberry.field(
        description="When resources can be booked: what is offered under a profile can be booked under it, and "
        "whatever is refused is refused there for the same reasons. The scope FREE_BUSY is enough. A calendar that is "
        "stale and whose policy is FAIL is an error with the code CALENDAR_STALE."
    )
    async def availability(
        self, info: Info, input: Annotated[AvailabilityInput, strawberry.argument(description="What is wanted.")]
    ) -> Availability:
        """Search for slots."""
        try:
            found = await use_cases.availability(info.context.services, info.context.caller, input.read())
        except Refused as refused:
            raise BadInput(refused, under=("input",)) from None
        return Availability(
            calendars=[CalendarFreshness.of(each, stale=stale) for each, stale in found.freshness],
            _found=found,
            _explain=input.explain,
        )
