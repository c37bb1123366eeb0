"""When resources can be booked: what is offered, and why the rest is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from kalends.domain.access import Principal, require_busy
from kalends.domain.availability import MAX_LENGTH, Need, Role, Search
from kalends.domain.calendars import Freshness, Resource, StalePolicy
from kalends.domain.errors import CalendarsStale, InvalidInput, Malformed, NotFound, Problem, Refused, invalid
from kalends.domain.profiles import Conditions, ConditionsDraft, Profile, bounded
from kalends.domain.time import ZONE, TimeSpan, read_window
from resolvers.freebusy import Ids, problems_of, too_many, unknown
from resolvers.services import Services
from resolvers.timetables import Known, read
from storage.unit_of_work import UnitOfWork

MAX_ROLES = 20
LEAST_STEP, MOST_STEP = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RoleDraft:
    """What a caller wrote of one role; `profile` is the name that each of its resources has a profile under."""

    resource_ids: Ids
    need: Need
    count: int
    profile: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityDraft:
    """What a caller wrote of a question about slots, read but not yet judged. `tzid` is the zone of the answer."""

    roles: Sequence[RoleDraft]
    length: timedelta | Malformed
    start: datetime | date | Malformed
    end: datetime | date | Malformed
    increment: timedelta | Malformed | None
    tzid: str | Malformed
    conditions: ConditionsDraft


@dataclass(frozen=True)
class Availability:
    """A search that is ready to answer, and how old what it knows is: of each calendar, and whether that is too old."""

    search: Search
    freshness: Sequence[tuple[Freshness, bool]]


async def availability(services: Services, principal: Principal, draft: AvailabilityDraft) -> Availability:
    """Return when resources can be booked. Raises `Refused` with every problem, and `CalendarsStale`."""
    require_busy(principal)
    problems = _problems_with(draft)
    ids = list(dict.fromkeys(each for role in draft.roles for each in role.resource_ids if each is not None))
    if any(each.path[0] == "roles" for each in problems):
        raise Refused(*problems)
    async with services.storage.reading(principal.app_id) as work:
        resources = {each.id: each for each in await work.resources.many(ids)}
        conditions = await _conditions(work, draft, resources, problems)
        if problems or not isinstance(draft.length, timedelta):
            raise Refused(*problems)
        window = read_window(draft.start, draft.end)
        known = await read(work, resources, [_around(window, conditions.values())])
    return _answer(draft, resources, conditions, known, window, draft.length, services.clock())


def _answer(
    draft: AvailabilityDraft,
    resources: Mapping[UUID, Resource],
    conditions: Mapping[UUID, Conditions],
    known: Known,
    window: TimeSpan,
    length: timedelta,
    now: datetime,
) -> Availability:
    freshness = [(each, each.stale(now)) for theirs in known.calendars.values() for each in theirs]
    counting = [
        each
        for each, stale in freshness
        if stale and each.resource_id and each.calendar_id not in conditions[each.resource_id].blocking.ignored
    ]
    if failing := [each.calendar_id for each in counting if each.policy is StalePolicy.FAIL]:
        raise CalendarsStale(failing)
    search = Search(
        window=window,
        terms=Conditions().terms(length),
        increment=draft.increment if isinstance(draft.increment, timedelta) else min(length, MOST_STEP),
        roles=[
            Role([each for each in role.resource_ids if each is not None], role.need, role.count)
            for role in draft.roles
        ],
        tzid=draft.tzid if isinstance(draft.tzid, str) else "UTC",
        now=now,
        timetables={each.id: known.timetable(each, conditions[each.id], window, now) for each in resources.values()},
        special={each: conditions[each].terms(length) for each in resources},
    )
    return Availability(search, freshness)


def _problems_with(draft: AvailabilityDraft) -> list[Problem]:
    """Return everything that is wrong with a question, but for ids and names that nobody has."""
    problems: list[Problem] = []
    if not 1 <= len(draft.roles) <= MAX_ROLES:
        problems.append(invalid("roles", f"1 to {MAX_ROLES} roles"))
    for number, role in enumerate(draft.roles[:MAX_ROLES]):
        problems += (each.under("roles", str(number)) for each in _problems_with_role(role))
    problems += (each.under("roles") for each in too_many({"resource_ids": [*_all_ids(draft)]}))
    taken = [each for each in _all_ids(draft) if each is not None]
    if len(set(taken)) < len(taken):
        problems.append(invalid("roles", "each resource once"))
    try:
        problems += problems_of(read_window(draft.start, draft.end))
    except Refused as refused:
        problems += refused.problems
    problems += bounded("length", draft.length, least=LEAST_STEP, most=MAX_LENGTH)
    problems += bounded("increment", draft.increment, least=LEAST_STEP, most=MOST_STEP)
    if isinstance(draft.tzid, Malformed):
        problems.append(
            InvalidInput(path=("tzid",), message=f"Expected {ZONE}.", expected=ZONE, code="UNKNOWN_TIME_ZONE")
        )
    return problems + draft.conditions.problems()


def _problems_with_role(role: RoleDraft) -> list[Problem]:
    if not role.resource_ids:
        return [invalid("resource_ids", "at least one id")]
    if role.need is not Need.ALL and not 1 <= role.count <= len(role.resource_ids):
        return [invalid("count", "a number from 1 to that of the role's resources")]
    return []


def _all_ids(draft: AvailabilityDraft) -> list[UUID | None]:
    return [each for role in draft.roles for each in role.resource_ids]


def _around(window: TimeSpan, conditions: Collection[Conditions]) -> TimeSpan:
    """Return a window with the time beside it that buffers can ask for."""
    before = max((each.buffer_before for each in conditions), default=timedelta())
    after = max((each.buffer_after for each in conditions), default=timedelta())
    return TimeSpan(window.start - before, window.end + after)


async def _conditions(
    work: UnitOfWork, draft: AvailabilityDraft, resources: Mapping[UUID, Resource], problems: list[Problem]
) -> dict[UUID, Conditions]:
    """Return the conditions of each resource; note ids and names that nobody has."""
    names = {role.profile for role in draft.roles if role.profile is not None}
    stored = await work.profiles.of(resources, names=names) if names else []
    profiles = {(each.resource_id, each.name): each for each in stored}
    found: dict[UUID, Conditions] = {}
    for number, role in enumerate(draft.roles):
        path = ("roles", str(number))
        problems += (each.under(*path) for each in unknown(role.resource_ids, resources, ("resource_ids",), "resource"))
        there = [each for each in role.resource_ids if each is not None and each in resources]
        profile_of: dict[UUID, Profile | None] = {each: profiles.get((each, role.profile or "")) for each in there}
        if role.profile is not None and None in profile_of.values():
            message = "Not every resource of the role has a profile of this name."
            problems.append(NotFound(path=(*path, "profile"), message=message))
        for each, profile in profile_of.items():
            found[each] = draft.conditions.over(profile.conditions if profile else None)
    problems += await unknown_calendars(work, draft.conditions)
    return found


async def unknown_calendars(work: UnitOfWork, conditions: ConditionsDraft) -> list[Problem]:
    """Return a problem for each calendar to be ignored that nobody has."""
    asked = {each for each in conditions.ignored if each is not None}
    there = {each.id for each in await work.calendars.many(asked)} if asked else set()
    return unknown(conditions.ignored, there, ("blocking", "ignored_calendar_ids"), "calendar")
