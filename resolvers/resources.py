"""What can be done with resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import MAX_NAME, Resource, ResourceKind
from kalends.domain.drafts import checked
from kalends.domain.errors import InUse, Malformed, NotFound, Problem, Refused
from kalends.domain.ids import uuid7
from kalends.domain.values import read_text
from resolvers.keys import claim_of, refuse_replay
from resolvers.services import Services
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDraft:
    """What a caller wrote for a new resource."""

    name: str
    kind: ResourceKind
    email: str | Malformed | None
    tzid: str | Malformed
    metadata: dict[str, str] | Malformed


class ResourceChanges(TypedDict, total=False):
    """What a caller wants changed; what is absent stays."""

    name: str
    kind: ResourceKind
    email: str | Malformed | None
    tzid: str | Malformed
    metadata: dict[str, str] | Malformed


async def create_resource(
    services: Services, principal: Principal, draft: ResourceDraft, *, idempotency_key: str | None = None
) -> Resource:
    """Create a resource."""
    require(principal, Scope.MANAGE_CALENDARS)
    claim = claim_of(principal, idempotency_key, "createResource", draft)
    resource_id, now = uuid7(), services.clock()
    async with services.storage.writing(principal.app_id) as work:
        earlier = await work.idempotency.claim(claim, [resource_id], now) if claim else None
        if earlier is not None:
            made = await work.resources.many(earlier)
            return made[0] if made else refuse_replay("resource")
        blank = Resource(resource_id, "", draft.kind, None, "UTC", now, now)
        changes = ResourceChanges(
            name=draft.name, kind=draft.kind, email=draft.email, tzid=draft.tzid, metadata=draft.metadata
        )
        resource = _changed(blank, changes)
        await work.resources.add(resource)
        await work.changes.note("resource", resource.id, Operation.CREATED, origin=principal.name, at=now)
    return resource


async def update_resource(
    services: Services, principal: Principal, resource_id: UUID | None, changes: ResourceChanges
) -> Resource:
    """Change a resource. A new zone is for calendars made from now on; those that exist keep theirs."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        before = await _held(work, resource_id)
        after = _changed(before, changes)
        if after == before:
            return before
        after = replace(after, updated_at=services.clock())
        await work.resources.save(after)
        await work.changes.note("resource", after.id, Operation.UPDATED, origin=principal.name, at=after.updated_at)
    return after


async def delete_resource(services: Services, principal: Principal, resource_id: UUID | None) -> UUID:
    """Delete a resource that has no calendars, and its accounts with it."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        resource = await _held(work, resource_id)
        count = await work.calendars.count_of(resource.id)
        if count:
            message = f"The resource still has calendars ({count}): delete them first."
            raise Refused(InUse(path=("id",), message=message, count=count))
        await work.accounts.remove_of(resource.id)
        await work.resources.remove(resource.id)
        now = services.clock()
        await work.changes.note("resource", resource.id, Operation.DELETED, origin=principal.name, at=now)
    return resource.id


async def list_resources(
    services: Services, principal: Principal, *, limit: int, after: UUID | None
) -> Sequence[Resource]:
    """Return a page of resources, oldest first."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.resources.page(limit=limit, after=after)


async def _held(work: UnitOfWork, resource_id: UUID | None) -> Resource:
    if resource_id is None:
        raise Refused(NotFound(path=("id",), message="There is no such resource."))
    return await work.resources.get(resource_id)


def _changed(resource: Resource, changes: ResourceChanges) -> Resource:
    """Return the resource after these changes; raise `Refused` with every problem."""
    problems: list[Problem] = []
    name = read_text(changes.get("name", resource.name), at_least=1, at_most=MAX_NAME)
    after = replace(
        resource,
        name=checked(problems, "name", name, ""),
        kind=changes.get("kind", resource.kind),
        email=checked(problems, "email", changes.get("email", resource.email), None),
        tzid=checked(problems, "tzid", changes.get("tzid", resource.tzid), "UTC"),
        metadata=checked(problems, "metadata", changes.get("metadata", dict(resource.metadata)), {}),
    )
    if problems:
        raise Refused(*problems)
    return after
