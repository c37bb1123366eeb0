"""A provider inside the process, with latency and faults on demand: what frontends develop against.

It behaves as Google Calendar does where providers differ: the client names the copy, a name once deleted stays taken,
updates carry an etag, changes are read by a token. It remembers in the database, so that it outlives a restart, in
transactions of its own, so that it is as far away as another company's server: a reply can be lost after the copy was
written.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from kalends.domain.events import ConflictPolicy, EventState
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SandboxCopy, SyncWarning
from providers.errors import (
    AlreadyExists,
    Gone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Stale,
    Throttled,
    TokenExpired,
    Unreachable,
)
from providers.interface import Capabilities, Identity, Known, Outgoing, Page, RemoteCalendar, RemoteEvent
from providers.surroundings import SandboxTable, Surroundings

T = TypeVar("T")
PAGE = 200


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
        remote=True,
        writes=True,
        suppress_invites=True,
        set_own_rsvp=True,
        keeps_cancelled=True,
        keeps_tentative=True,
        keeps_metadata=True,
        keeps_visibility=True,
        max_reminders=5,
        recurrence=True,
        rdates=True,
        poll=timedelta(seconds=10),
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

        async def write(table: SandboxTable) -> SandboxCopy | ProviderError:
            account, name = _account(calendar), outgoing.identity.key
            taken = await table.find(account, name, lock=True)
            if taken is not None:
                await table.put(replace(taken, calls=taken.calls + 1))
                return AlreadyExists("The sandbox has this event.")
            return await _put(
                table, SandboxCopy(account, calendar.remote_id, name, 1, deleted=False, body=self.preview(outgoing))
            )

        return _seen(await self._meet(calendar, write))

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write what has changed over a copy whose etag is the one that we know."""
        changed = self._changed(outgoing)
        if not changed and outgoing.agreed is not None:
            return replace(known, state=outgoing.agreed.theirs)

        async def write(table: SandboxTable) -> SandboxCopy | ProviderError:
            copy = await table.find(_account(calendar), known.remote_id, lock=True)
            if copy is None or copy.deleted:
                return Gone("The sandbox no longer has this event.")
            copy = replace(copy, calls=copy.calls + 1)
            if _etag(copy) != known.etag:
                await table.put(copy)
                return Stale("The event was changed in the sandbox.")
            return await _put(table, replace(copy, revision=copy.revision + 1, body={**copy.body, **changed}))

        return _seen(await self._meet(calendar, write))

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Delete a copy; its name stays taken."""

        async def write(table: SandboxTable) -> ProviderError | None:
            name = known.remote_id if known else outgoing.identity.key
            copy = await table.find(_account(calendar), name, lock=True)
            if copy is None or copy.deleted:
                return None
            copy = replace(copy, calls=copy.calls + 1)
            if known is not None and _etag(copy) != known.etag:
                await table.put(copy)
                return Stale("The event was changed in the sandbox.")
            await table.put(replace(copy, revision=copy.revision + 1, deleted=True))
            return None

        await self._meet(calendar, write)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return a copy as it is."""

        async def read(table: SandboxTable) -> SandboxCopy | None:
            return await table.find(_account(calendar), remote_id or identity.key)

        copy = await self._meet(calendar, read)
        return None if copy is None else _seen(copy)

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:  # noqa: ARG002
        """Yield the copies that changed after a position, which is the token."""
        if token is not None and not token.isdecimal():
            raise TokenExpired("The sandbox does not know this token.")
        position, more = int(token or 0), True
        while more:

            async def read(table: SandboxTable, after: int = position) -> Sequence[SandboxCopy]:
                return await table.since(_account(calendar), calendar.remote_id, after, PAGE)

            found = await self._meet(calendar, read)
            position, more = (found[-1].position if found else position), len(found) == PAGE
            events = [_seen(copy) for copy in found]
            yield Page(events) if more else Page(events, token=str(position), whole=token is None)

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return the event without what only we have words for."""
        content = replace(outgoing.event.content, send_invitations=False, on_conflict=ConflictPolicy.ALLOW)
        return replace(outgoing.event.state, content=content)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:  # noqa: ARG002
        """Return nothing: it can keep everything."""
        return ()

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return the event in the sandbox's words."""
        event, state = outgoing.event, self.expected(outgoing)
        told = to_plain(state) if state is not None else {}
        return told | {
            "id": outgoing.identity.key,
            "iCalUID": outgoing.identity.uid,
            "kalends": str(event.id),
            "sequence": event.sequence,
            "sendUpdates": "all" if event.content.send_invitations else "none",
        }

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return the invitees where invitations are asked for."""
        return outgoing.invitees if outgoing.event.content.send_invitations else ()

    async def _meet(
        self, calendar: RemoteCalendar, action: Callable[[SandboxTable], Awaitable[T | ProviderError]]
    ) -> T:
        """Let the account's faults happen around an action. An error that it returns is raised after its commit."""
        faults = await self._to_its_end(self._faults(calendar))
        if faults.latency:
            await self._sleep(faults.latency)
        if faults.revoked:
            raise ReconnectRequired("The sandbox account's grant was revoked.")
        if self._chance() < faults.throttled:
            raise Throttled("The sandbox is busy (429).", retry_after=timedelta(seconds=faults.retry_after))
        if self._chance() < faults.unavailable:
            raise Unreachable("The sandbox is unavailable (503).")
        answer = await self._to_its_end(self._done(calendar, action))
        if self._chance() < faults.reply_lost:
            raise OutcomeUnknown("The sandbox's answer was lost.")
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def _changed(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return what of the copy's body must be written: all of it, or what differs from what was agreed."""
        new = self.preview(outgoing)
        if outgoing.agreed is None:
            return new
        agreed, event = outgoing.agreed.ours, outgoing.event
        before = replace(event, when=agreed.when, content=agreed.content, recurrence=agreed.recurrence)
        old = self.preview(replace(outgoing, event=before))
        changed = {name: new.get(name) for name in new.keys() | old.keys() if new.get(name) != old.get(name)}
        return changed | {"sequence": event.sequence} if changed else {}

    async def _faults(self, calendar: RemoteCalendar) -> Faults:
        async with self._memory(calendar.app_id) as table:
            return Faults(**await table.faults(_account(calendar)))

    async def _done(self, calendar: RemoteCalendar, action: Callable[[SandboxTable], Awaitable[T]]) -> T:
        async with self._memory(calendar.app_id) as table:
            return await action(table)

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


async def _put(table: SandboxTable, copy: SandboxCopy) -> SandboxCopy:
    await table.put(copy)
    return copy


def _account(calendar: RemoteCalendar) -> UUID:
    if calendar.account_id is None:
        raise ReconnectRequired("The calendar has no account at the sandbox.")
    return calendar.account_id


def _seen(copy: SandboxCopy) -> RemoteEvent:
    url = f"kalends-sandbox:///{copy.calendar}/{copy.remote_id}"
    state = None if copy.deleted else from_plain(copy.body)
    ours = copy.body.get("kalends")
    return RemoteEvent(
        copy.remote_id,
        _etag(copy),
        url,
        deleted=copy.deleted,
        state=state,
        uid=copy.body["iCalUID"],
        event_id=UUID(ours) if ours else None,
    )


def _etag(copy: SandboxCopy) -> str:
    return f'"{copy.revision}"'
