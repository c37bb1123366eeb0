"""The profiles of resources in SQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from kalends.domain.errors import NotFound, Refused
from kalends.domain.profiles import Profile, conditions_from_plain, conditions_to_plain
from storage.models import ProfileRow
from storage.repository import Repository, table_of

PROFILES = table_of(ProfileRow)


class ProfileRepository(Repository):
    """The profiles of one app's resources."""

    async def add(self, profile: Profile) -> None:
        """Store a new profile; its resource has none of this name."""
        await self.run(insert(PROFILES).values(self._row(profile)))

    async def save(self, profile: Profile) -> None:
        """Store a changed profile."""
        await self.run(
            update(PROFILES).where(*self.mine(PROFILES), PROFILES.c.id == profile.id).values(self._row(profile))
        )

    async def get(self, profile_id: UUID) -> Profile:
        """Return a profile, held to the end of a writing transaction; raise `Refused` where there is none."""
        row = await self.lock(PROFILES, profile_id)
        if row is None:
            raise Refused(NotFound(path=("id",), message="There is no such profile."))
        return _profile(row)

    async def of(self, resource_ids: Collection[UUID], *, names: Collection[str] | None = None) -> list[Profile]:
        """Return the profiles of resources, in order of name; of these names only, where there are any."""
        query = select(PROFILES).where(*self.mine(PROFILES), PROFILES.c.resource_id.in_(resource_ids))
        if names is not None:
            query = query.where(PROFILES.c.name.in_(names))
        return [_profile(row) for row in await self.rows(query.order_by(PROFILES.c.name, PROFILES.c.id))]

    async def remove(self, profile_id: UUID) -> None:
        """Delete a profile."""
        await self.run(delete(PROFILES).where(*self.mine(PROFILES), PROFILES.c.id == profile_id))

    def _row(self, profile: Profile) -> dict[str, Any]:
        return {
            "app_id": self.app_id,
            "id": profile.id,
            "resource_id": profile.resource_id,
            "name": profile.name,
            "conditions": conditions_to_plain(profile.conditions),
            "created_at": profile.created_at,
            "updated_at": profile.updated_at,
        }


def _profile(row: Any) -> Profile:
    return Profile(
        id=row.id,
        resource_id=row.resource_id,
        name=row.name,
        conditions=conditions_from_plain(row.conditions),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
