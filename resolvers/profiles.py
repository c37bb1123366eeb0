"""What can be done with profiles of availability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import MAX_NAME
from kalends.domain.drafts import checked
from kalends.domain.errors import InUse, NotFound, Problem, Refused
from kalends.domain.ids import uuid7
from kalends.domain.profiles import MAX_PROFILES, ConditionsDraft, Profile
from kalends.domain.values import read_text
from resolvers.availability import unknown_calendars
from resolvers.services import Services
from storage.changes import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileDraft:
    """What a caller wrote of a profile; `resource_id` is None where the text cannot be an id."""

    resource_id: UUID | None
    name: str
    conditions: ConditionsDraft


async def save_profile(services: Services, principal: Principal, draft: ProfileDraft) -> Profile:
    """Store a resource's profile; one of the same name is replaced as a whole. Twice is as good as once."""
    require(principal, Scope.MANAGE_CALENDARS)
    now = services.clock()
    async with services.storage.writing(principal.app_id) as work:
        problems: list[Problem] = []
        name = checked(problems, "name", read_text(draft.name, at_least=1, at_most=MAX_NAME), "")
        problems += draft.conditions.problems()
        problems += await unknown_calendars(work, draft.conditions)
        there: list[Profile] = []
        try:
            if draft.resource_id is not None:
                await work.resources.get(draft.resource_id)
                there = await work.profiles.of([draft.resource_id])
        except Refused:
            draft = replace(draft, resource_id=None)
        if draft.resource_id is None:
            problems.append(NotFound(path=("resource_id",), message="There is no such resource."))
        before = next((each for each in there if each.name == name), None)
        if before is None and len(there) >= MAX_PROFILES:
            message = f"The resource has {MAX_PROFILES} profiles already."
            problems.append(InUse(path=("resource_id",), message=message, count=len(there)))
        if problems or draft.resource_id is None:
            raise Refused(*problems)
        conditions = draft.conditions.over(None)
        if before is not None:
            after = replace(before, conditions=conditions)
            if after == before:
                return before
            after = replace(after, updated_at=now)
            await work.profiles.save(after)
        else:
            after = Profile(uuid7(), draft.resource_id, name, conditions, now, now)
            await work.profiles.add(after)
        operation = Operation.CREATED if before is None else Operation.UPDATED
        await work.changes.note("profile", after.id, operation, origin=principal.name, at=now)
    return after


async def delete_profile(services: Services, principal: Principal, profile_id: UUID | None) -> UUID:
    """Delete a profile. What was booked under it stays."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        if profile_id is None:
            raise Refused(NotFound(path=("id",), message="There is no such profile."))
        profile = await work.profiles.get(profile_id)
        await work.profiles.remove(profile.id)
        now = services.clock()
        await work.changes.note("profile", profile.id, Operation.DELETED, origin=principal.name, at=now)
    return profile.id
