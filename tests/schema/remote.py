"""What people and providers do beside the API: accounts are opened, and calendars change over there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx

from kalends.domain.calendars import Calendar
from kalends.domain.events import EventState
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SandboxCopy
from tests.api import House, Tenant
from tests.helpers import make_content, make_when

PUBLIC = "https://kalends.test"
APP = "https://app.example.org"


async def begin(tenant: Tenant, **fields: Any) -> str:
    """Begin to open an account, and return where its owner is sent."""
    payload = await tenant.api.done("connectAccount", input={"provider": "oauth"} | fields)
    return str(payload["authorizationUrl"])


def state_of(url: str) -> str:
    (state,) = parse_qs(urlsplit(url).query)["state"]
    return state


async def come_back(house: House, url: str, code: str | None = "ada", **others: str) -> httpx.Response:
    """Come back from a provider, with a code or without."""
    told = {"state": state_of(url)} | others | ({"error": "access_denied"} if code is None else {"code": code})
    return await house.browse("/oauth/callback", params=told)


async def accounts_of(tenant: Tenant, provider: str = "oauth", *, depth: int = 4) -> list[dict[str, Any]]:
    page = await tenant.api.ask("accounts", first=100, depth=depth)
    return [each["node"] for each in page["edges"] if each["node"]["provider"] == provider]


async def connected(house: House, tenant: Tenant, code: str = "ada", **fields: Any) -> dict[str, Any]:
    """Open an account, and return it."""
    fields = {"resourceId": str(tenant.resource.id)} | fields
    assert (await come_back(house, await begin(tenant, **fields), code)).status_code == 200
    return (await accounts_of(tenant))[-1]


@dataclass(frozen=True, slots=True)
class There:
    """A remote calendar, as somebody sees and changes it at the provider."""

    house: House
    tenant: Tenant
    account_id: UUID
    calendar: str

    async def put(self, name: str, state: EventState | None = None, *, uid: str | None = None) -> None:
        """Let there be an event of this name, whatever there was before."""
        state = state or EventState(make_when(), make_content(name))
        body = to_plain(state) | {"id": name, "iCalUID": uid or f"{name}@elsewhere"}
        before = await self._find(name)
        revision = before.revision + 1 if before else 1
        await self._store(SandboxCopy(self.account_id, self.calendar, name, revision, False, body))

    async def change(self, name: str, **content: Any) -> None:
        """Let an event say something else."""
        copy = await self._copy(name)
        state = from_plain(copy.body)
        changed = to_plain(replace(state, content=replace(state.content, **content)))
        await self._store(replace(copy, revision=copy.revision + 1, body={**copy.body, **changed}))

    async def delete(self, *names: str) -> None:
        """Delete events."""
        for name in names:
            copy = await self._copy(name)
            await self._store(replace(copy, revision=copy.revision + 1, deleted=True))

    async def copies(self) -> Sequence[SandboxCopy]:
        """Return what was ever there, deleted or not."""
        async with self.house.services.storage.reading(self.tenant.app_id) as work:
            return await work.sandbox.since(self.account_id, self.calendar, 0, 1000)

    async def alive(self) -> list[str]:
        """Return the titles of what is there."""
        return sorted(str(copy.body["summary"]) for copy in await self.copies() if not copy.deleted)

    async def name_of(self, summary: str) -> str:
        """Return the name of the only event with a title."""
        (copy,) = [each for each in await self.copies() if each.body["summary"] == summary and not each.deleted]
        return copy.remote_id

    async def _find(self, name: str) -> SandboxCopy | None:
        async with self.house.services.storage.reading(self.tenant.app_id) as work:
            return await work.sandbox.find(self.account_id, name)

    async def _copy(self, name: str) -> SandboxCopy:
        copy = await self._find(name)
        assert copy is not None
        return copy

    async def _store(self, copy: SandboxCopy) -> None:
        async with self.house.services.storage.writing(self.tenant.app_id) as work:
            await work.sandbox.put(copy)


async def sandbox_of(house: House, tenant: Tenant, **fields: Any) -> tuple[Calendar, There]:
    """Create a calendar at the sandbox, which is read, and return it with its remote side."""
    wanted = {"name": "Both ways", "provider": "sandbox", "resourceId": str(tenant.resource.id)} | fields
    made = (await tenant.api.done("createCalendar", input=wanted))["calendar"]
    async with house.services.storage.reading(tenant.app_id) as work:
        [calendar] = await work.calendars.many([UUID(made["id"])])
    assert calendar.account_id is not None
    assert calendar.remote_id is not None
    return calendar, There(house, tenant, calendar.account_id, calendar.remote_id)


async def events_of(tenant: Tenant, calendar_id: UUID | str) -> list[dict[str, Any]]:
    """Return the events of a calendar, cancelled ones too, by their titles."""
    window = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "calendarIds": [str(calendar_id)]}
    page = await tenant.api.ask("events", first=100, includeCancelled=True, depth=4, **window)
    return sorted((each["node"] for each in page["edges"]), key=lambda event: str(event["what"]))
