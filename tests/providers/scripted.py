"""A provider that keeps its copies in memory and does what a test tells it to in the middle of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from kalends.domain.events import ConflictPolicy, EventState
from kalends.domain.sync import SyncWarning
from providers.errors import AlreadyExists, Gone, Stale
from providers.interface import Capabilities, Identity, Outgoing, RemoteCalendar, RemoteEvent
from providers.sandbox import SandboxProvider


@dataclass(frozen=True)
class Call:
    """One call that reached the provider. `event` is None for a search."""

    kind: str
    event_id: UUID
    calendar: str
    generation: int
    summary: str | None


@dataclass
class Copy:
    """A copy as the provider keeps it."""

    event_id: UUID
    generation: int
    state: EventState
    version: int
    revision: int = 1
    deleted: bool = False

    @property
    def summary(self) -> str:
        """What a person would see first."""
        return self.state.content.summary


EVERYTHING = SandboxProvider.capabilities
Hook = Callable[[Call], Awaitable[None]]


async def nothing(_call: Call) -> None:
    """Happen not at all."""


@dataclass
class ScriptedProvider:
    """Remembers every call. `before` happens before one takes effect, `after` when it has and nobody knows yet."""

    name: str = "sandbox"
    capabilities: Capabilities = EVERYTHING
    before: Hook = nothing
    after: Hook = nothing
    copies: dict[str, Copy] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        call = await self._asked("create", calendar, outgoing)
        name = outgoing.identity.key
        if name in self.copies:
            raise AlreadyExists("There is one.")
        event = outgoing.event
        self.copies[name] = Copy(event.id, outgoing.identity.generation, self.expected(outgoing), event.version)
        await self.after(call)
        return self._seen(name)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        call = await self._asked("update", calendar, outgoing)
        copy = self.copies.get(known.remote_id)
        if copy is None or copy.deleted:
            raise Gone("There is none.")
        if self._seen(known.remote_id).etag != known.etag:
            raise Stale("It has changed.")
        event = outgoing.event
        copy.state, copy.version, copy.revision = self.expected(outgoing), event.version, copy.revision + 1
        await self.after(call)
        return self._seen(known.remote_id)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        call = await self._asked("delete", calendar, outgoing)
        name = known.remote_id if known else outgoing.identity.key
        copy = self.copies.get(name)
        if copy is not None and not copy.deleted:
            if known is not None and self._seen(name).etag != known.etag:
                raise Stale("It has changed.")
            copy.deleted = True
        await self.after(call)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        call = Call("find", identity.event_id, calendar.remote_id, identity.generation, None)
        self.calls.append(call)
        await self.before(call)
        name = remote_id or identity.key
        seen = self._seen(name) if name in self.copies else None
        await self.after(call)
        return seen

    def expected(self, outgoing: Outgoing) -> EventState:
        content = replace(outgoing.event.content, send_invitations=False, on_conflict=ConflictPolicy.ALLOW)
        return replace(outgoing.event.state, content=content)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:  # noqa: ARG002
        return ()

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        return {"summary": outgoing.event.content.summary}

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        return outgoing.invitees if outgoing.event.content.send_invitations else ()

    def alive(self, event_id: UUID) -> list[Copy]:
        """Return what a person would see of an event."""
        return [copy for copy in self.copies.values() if copy.event_id == event_id and not copy.deleted]

    def kinds(self, event_id: UUID | None = None) -> list[str]:
        """Return the calls so far, in order."""
        return [call.kind for call in self.calls if event_id in (None, call.event_id)]

    def meddle(self, event_id: UUID, *, delete: bool = False) -> None:
        """Let a person move an event to another place, or delete it, at the provider."""
        [copy] = self.alive(event_id)
        content = replace(copy.state.content, location=f"Moved {copy.revision}")
        copy.revision, copy.state, copy.deleted = copy.revision + 1, replace(copy.state, content=content), delete

    async def _asked(self, kind: str, calendar: RemoteCalendar, outgoing: Outgoing) -> Call:
        event = outgoing.event
        call = Call(kind, event.id, calendar.remote_id, outgoing.identity.generation, event.content.summary)
        self.calls.append(call)
        await self.before(call)
        return call

    def _seen(self, name: str) -> RemoteEvent:
        copy = self.copies[name]
        url, state = f"https://calendar.example/{name}", None if copy.deleted else copy.state
        return RemoteEvent(name, f'"{copy.revision}"', url, deleted=copy.deleted, state=state)


def raising(error: BaseException, *, times: int | None = None, only: Callable[[Call], bool] = lambda _: True) -> Hook:
    """Return a hook that raises, so many times, in the calls that are meant."""
    left = [times]

    async def hook(call: Call) -> None:
        if not only(call) or left[0] == 0:
            return
        if left[0] is not None:
            left[0] -= 1
        raise error

    return hook


def once(action: Callable[[], Awaitable[object]], *, kind: str | None = None) -> Hook:
    """Return a hook that does something in the middle of the first call, of a kind."""
    done: list[Call] = []

    async def hook(call: Call) -> None:
        if not done and kind in (None, call.kind):
            done.append(call)
            await action()

    return hook
