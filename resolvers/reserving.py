"""The guard of bookings under a profile: it refuses with the reasons that the search for slots would have given."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from kalends.domain.access import Principal, Scope
from kalends.domain.availability import RefusedSlot
from kalends.domain.errors import NotAvailable, NotFound, Refused
from kalends.domain.events import Event
from kalends.domain.time import TimeSpan
from resolvers.services import Services
from resolvers.timetables import read
from storage.unit_of_work import UnitOfWork

MAX_REFUSED = 50


async def calendars_to_hold(work: UnitOfWork, calendar_ids: Sequence[UUID | None]) -> set[UUID]:
    """Return the calendars that a booking in these looks at: all that belong to the same resources.

    Who books a resource holds them all, so that two who book it in different calendars wait for each other.
    """
    asked = {each for each in calendar_ids if each is not None}
    owners = {each.resource_id for each in await work.calendars.many(asked)} if asked else set()
    wanted = [each for each in owners if each is not None]
    return {each.calendar_id for each in await work.calendars.freshness(resource_ids=wanted)} if wanted else set()


async def reserve(
    services: Services,
    work: UnitOfWork,
    principal: Principal,
    event: Event,
    times: Sequence[TimeSpan],
    owner: UUID | None,
    name: str,
    *,
    among: Sequence[Event] = (),
) -> None:
    """Raise `Refused` where the conditions under this name do not let a resource be booked at all of these times.

    The caller holds the calendars that `calendars_to_hold` named. `among` are events of the same request that are not
    stored yet.
    """
    profiles = await work.profiles.of([owner], names=[name]) if owner is not None else []
    if owner is None or not profiles:
        message = "The calendar's resource has no profile of this name." if owner else "The calendar has no resource."
        raise Refused(NotFound(path=("availability_profile",), message=message))
    conditions, now = profiles[0].conditions, services.clock()
    [resource] = await work.resources.many([owner])
    windows = [TimeSpan(each.start - conditions.buffer_before, each.end + conditions.buffer_after) for each in times]
    known = await read(work, [owner], windows, among=among)
    refused = []
    for number, (span, window) in enumerate(zip(times, windows, strict=True)):
        table = known.timetable(resource, conditions, window, now, number=number)
        if reasons := table.reasons(span.start, conditions.terms(span.end - span.start), now):
            refused.append(RefusedSlot(span, {owner: reasons}))
    if refused:
        several = event.recurrence is not None
        message = f"{len(refused)} of its times cannot be booked." if several else "It cannot be booked at this time."
        told = bool(principal.scopes & {Scope.READ, Scope.FREE_BUSY})
        shown = tuple(refused[:MAX_REFUSED])
        raise Refused(NotAvailable(path=("start",), message=message, refused=shown, count=len(refused), told=told))
