"""A provider inside the process, with latency and faults on demand: what frontends develop against.

It behaves as Google Calendar does where providers differ: the client names the copy, a name once deleted stays taken,
updates carry an etag. It remembers in the database, so that it outlives a restart, in transactions of its own, so that
it is as far away as another company's server: a reply can be lost after the copy was written.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from kalends.domain.sync import SandboxCopy
from providers.interface import (
    AlreadyExists,
    Capabilities,
    Gone,
    Identity,
    OutcomeUnknown,
    Outgoing,
    ReconnectRequired,
    RemoteCalendar,
    RemoteEvent,
    SandboxTable,
    Stale,
    Surroundings,
    Throttled,
    Unreachable,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Faults:
    """How the sandbox misbehaves towards one account. The three chances are from 0 to 1, drawn in this order."""

    latency: float = 0.0  # seconds, before every answer
    revoked: bool = False  # the grant is gone
    throttled: float = 0.0  # chance of a 429
    retry_after: float = 2.0  # seconds, in a 429
    unavailable: float = 0.0  # chance of a 503; nothing happens
    reply_lost: float = 0.0  # chance that it happens and the answer is lost


MAX_SECONDS = 60


class SandboxProvider:
    """The sandbox. `sleep` and `chance` are injected by tests."""

    name = "sandbox"
    capabilities = Capabilities(
        remote=True, suppress_invites=True, set_own_rsvp=True, keeps_cancelled=True, keeps_metadata=True
    )

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._memory = surroundings.sandbox_memory
        self._sleep = sleep
        self._chance = chance
        self._running: set[asyncio.Task[Any]] = set()

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create a copy under our name for it; a second one is refused, also after a deletion."""

        async def write(table: SandboxTable) -> SandboxCopy:
            account, name = _account(calendar), outgoing.identity.key
            taken = await table.find(account, name, lock=True)
            if taken is not None:
                raise _Noted(replace(taken, calls=taken.calls + 1), AlreadyExists("The sandbox has this event."))
            return SandboxCopy(account, calendar.remote_id, name, 1, deleted=False, body=self.preview(outgoing))

        return await self._write(calendar, write)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write over a copy whose etag is the one that we know."""

        async def write(table: SandboxTable) -> SandboxCopy:
            copy = await table.find(_account(calendar), known.remote_id, lock=True)
            if copy is None or copy.deleted:
                raise Gone("The sandbox no longer has this event.")
            copy = replace(copy, calls=copy.calls + 1)
            if _etag(copy) != known.etag:
                raise _Noted(copy, Stale("The event was changed in the sandbox."))
            return replace(copy, revision=copy.revision + 1, body=self.preview(outgoing))

        return await self._write(calendar, write)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, remote_id: str | None) -> None:
        """Delete a copy; its name stays taken."""

        async def write(table: SandboxTable) -> SandboxCopy | None:
            copy = await table.find(_account(calendar), remote_id or outgoing.identity.key, lock=True)
            if copy is None or copy.deleted:
                return None
            return replace(copy, revision=copy.revision + 1, calls=copy.calls + 1, deleted=True)

        await self._meet(calendar, write)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return a copy as it is."""

        async def read(table: SandboxTable) -> SandboxCopy | None:
            return await table.find(_account(calendar), remote_id or identity.key)

        copy = await self._meet(calendar, read, writes=False)
        return None if copy is None else _seen(copy)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return the event in the sandbox's words, which are close to Google's."""
        event, content, when = outgoing.event, outgoing.event.content, outgoing.event.when
        return {
            "id": outgoing.identity.key,
            "iCalUID": outgoing.identity.uid,
            "sequence": event.sequence,
            "summary": content.summary,
            "location": content.location,
            "description": content.description,
            "start": _end(when.start.isoformat(), when.tzid, all_day=when.all_day),
            "end": _end(when.end.isoformat(), when.tzid, all_day=when.all_day),
            "status": content.status.lower(),
            "transparency": "transparent" if content.transparent else "opaque",
            "ownResponse": content.partstat,
            "attendees": [{"email": each.email, "responseStatus": each.partstat} for each in content.attendees],
            "sendUpdates": "all" if content.send_invitations else "none",
            "extendedProperties": {"private": dict(content.metadata)},
        }

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return the invitees where invitations are asked for."""
        return outgoing.invitees if outgoing.event.content.send_invitations else ()

    async def _write(
        self, calendar: RemoteCalendar, action: Callable[[SandboxTable], Awaitable[SandboxCopy]]
    ) -> RemoteEvent:
        copy = await self._meet(calendar, action)
        if copy is None:  # pragma: no cover  create and update return the copy or raise
            raise Gone("The sandbox no longer has this event.")
        return _seen(copy)

    async def _meet(
        self,
        calendar: RemoteCalendar,
        action: Callable[[SandboxTable], Awaitable[SandboxCopy | None]],
        *,
        writes: bool = True,
    ) -> SandboxCopy | None:
        """Let the account's faults happen around an action."""
        faults = await self._to_its_end(self._faults(calendar))
        if faults.latency:
            await self._sleep(faults.latency)
        if faults.revoked:
            raise ReconnectRequired("The sandbox account's grant was revoked.")
        if self._chance() < faults.throttled:
            raise Throttled("The sandbox is busy (429).", retry_after=timedelta(seconds=faults.retry_after))
        if self._chance() < faults.unavailable:
            raise Unreachable("The sandbox is unavailable (503).")
        copy, noted = await self._to_its_end(self._done(calendar, action, writes=writes))
        if self._chance() < faults.reply_lost:
            raise OutcomeUnknown("The sandbox's answer was lost.")
        if noted is not None:
            raise noted
        return copy

    async def _faults(self, calendar: RemoteCalendar) -> Faults:
        async with self._memory(calendar.app_id) as table:
            return Faults(**await table.faults(_account(calendar)))

    async def _done(
        self,
        calendar: RemoteCalendar,
        action: Callable[[SandboxTable], Awaitable[SandboxCopy | None]],
        *,
        writes: bool,
    ) -> tuple[SandboxCopy | None, AlreadyExists | Stale | None]:
        async with self._memory(calendar.app_id) as table:
            noted = None
            try:
                copy = await action(table)
            except _Noted as error:
                noted, copy = error.error, error.copy
            if writes and copy is not None:
                await table.put(copy)
        return copy, noted

    async def _to_its_end(self, transaction: Coroutine[Any, Any, T]) -> T:
        """Let a transaction end where the caller gives up: another company's server would go on, too."""
        task = asyncio.create_task(transaction)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: the caller may be gone


class _Noted(Exception):
    """Carries an error out of a transaction that is to be committed all the same."""

    def __init__(self, copy: SandboxCopy, error: AlreadyExists | Stale) -> None:
        super().__init__()
        self.copy = copy
        self.error = error


def _account(calendar: RemoteCalendar) -> UUID:
    if calendar.account_id is None:
        raise ReconnectRequired("The calendar has no account at the sandbox.")
    return calendar.account_id


def _seen(copy: SandboxCopy) -> RemoteEvent:
    url = f"kalends-sandbox:///{copy.calendar}/{copy.remote_id}"
    return RemoteEvent(copy.remote_id, _etag(copy), url, deleted=copy.deleted)


def _etag(copy: SandboxCopy) -> str:
    return f'"{copy.revision}"'


def _end(wall: str, tzid: str, *, all_day: bool) -> dict[str, str]:
    return {"date": wall[:10]} if all_day else {"dateTime": wall, "timeZone": tzid}
