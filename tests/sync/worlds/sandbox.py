"""The sandbox: it remembers in our database, and keeps everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from kalends.domain.calendars import SANDBOX, AccountState
from kalends.domain.events import Attendee, EventState, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SandboxCopy
from providers.interface import Provider
from providers.sandbox import SandboxProvider
from resolvers.calendars import CalendarDraft, create_calendar
from storage.sandbox import COPIES
from storage.sources import SOURCES, TOKEN
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, Clock, make_content, make_when
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings
from tests.sync.line import Trouble, memory_on
from tests.sync.worlds.world import Person, World


class SandboxPerson(Person):
    """Writes into the sandbox's memory."""

    def __init__(self, storage: Storage, app_id: UUID, account_id: UUID, calendar: str) -> None:
        self._storage = storage
        self._app_id = app_id
        self._account_id = account_id
        self._calendar = calendar

    async def sees(self) -> dict[str, EventState]:
        return {copy.remote_id: from_plain(copy.body) for copy in await self._copies()}

    async def adds(self, state: EventState) -> str:
        name = uuid7().hex
        body = to_plain(state) | {"iCalUID": f"{name}@sandbox.example"}
        await self._put(SandboxCopy(self._account_id, self._calendar, name, 1, deleted=False, body=body))
        return name

    async def removes(self, name: str) -> None:
        copy = await self._copy(name)
        await self._put(replace(copy, revision=copy.revision + 1, deleted=True))

    async def rewrites(self, name: str, before: EventState, after: EventState) -> None:
        old, new, copy = to_plain(before), to_plain(after), await self._copy(name)
        changed = {key: new.get(key) for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
        await self._put(replace(copy, revision=copy.revision + 1, body={**copy.body, **changed}))

    async def is_invited(self, organizer: str) -> str:
        guests = (Attendee(OWNER), Attendee("bob@example.org"))
        content = make_content("Invited", organizer=organizer, attendees=guests, partstat=Partstat.NEEDS_ACTION)
        return await self.adds(EventState(make_when(), content))

    async def versions(self) -> Mapping[str, str]:
        return {copy.remote_id: f"{copy.revision} {copy.calls}" for copy in await self._copies()}

    async def _copies(self) -> list[SandboxCopy]:
        async with self._storage.reading(self._app_id) as work:
            rows = await work.sandbox.rows(select(COPIES.c.remote_id).where(COPIES.c.deleted.is_(False)))
            found = [await work.sandbox.find(self._account_id, row.remote_id) for row in rows]
        return [copy for copy in found if copy is not None]

    async def _copy(self, name: str) -> SandboxCopy:
        [copy] = [each for each in await self._copies() if each.remote_id == name]
        return copy

    async def _put(self, copy: SandboxCopy) -> None:
        async with self._storage.writing(self._app_id) as work:
            await work.sandbox.put(copy)


class SandboxWorld(World):
    """Its calendars are made with their account, and need not be linked."""

    kind = SANDBOX

    def build(self, storage: Storage, clock: Clock) -> Provider:
        async def at_once(_seconds: float) -> None:
            """Wait for nothing."""

        lent = surroundings(sandbox_memory=memory_on(self.line, memory_in(storage)), clock=clock)
        return SandboxProvider(lent, sleep=at_once, chance=lambda: 0.5)

    async def connect(self) -> None:
        self.line.heal()
        if self.stage.calendar.account_id is not None:
            await self.stage.set_account(AccountState.ACTIVE)

    async def link(self) -> None:
        stage = self.stage
        draft = CalendarDraft(
            name="Work", provider=SANDBOX, resource_id=self.resource.id, tzid=BERLIN, metadata=dict[str, str]()
        )
        stage.calendar = await create_calendar(stage.services, stage.principal, draft)
        assert stage.calendar.account_id is not None
        assert stage.calendar.remote_id is not None
        self.person = SandboxPerson(stage.storage, stage.app_id, stage.calendar.account_id, stage.calendar.remote_id)

    async def revoke(self) -> None:
        self.line.breaks(Trouble.REVOKED)

    async def expire(self) -> None:
        await overwrite_token(self, "no such token")

    async def close(self) -> None:
        """Nothing is open."""


async def overwrite_token(world: World, token: str) -> None:
    """Let us remember another mark of how far we have read, which the provider does not know."""
    stage = world.stage
    sealed = stage.storage.database.vault.seal(token.encode(), app_id=stage.app_id, owner=stage.calendar.id, kind=TOKEN)
    async with stage.storage.writing(stage.app_id) as work:
        await work.sources.run(update(SOURCES).where(SOURCES.c.calendar_id == stage.calendar.id).values(token=sealed))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of one body differs from another; what is no more is None."""
    return {key: after.get(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
