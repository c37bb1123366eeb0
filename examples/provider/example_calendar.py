"""A provider for calendars that are folders: what `providers/interface.py` asks for, in the order in which it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from example_folders import File, Folders

from kalends.domain.events import EventState, unfit
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SyncWarning, WarningCode
from providers.errors import Gone, Refused
from providers.interface import Broken, Identity, Known, Outgoing, Page, RemoteCalendar, RemoteEvent
from providers.local import LocalProvider
from providers.surroundings import Surroundings

NOT_THERE = {"recurrence": None, "sendInvitations": False, "onConflict": "ALLOW"}  # what no file says


class ExampleProvider:
    """The provider. It keeps all that Kalends itself does, but for series: of those it has the first time only."""

    name = "example"
    capabilities = replace(LocalProvider.capabilities, remote=True, recurrence=False, rdates=False)

    def __init__(self, _surroundings: Surroundings) -> None:
        self._folders = Folders()

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Write a file of the name that follows from the identity, unless there is one."""
        return _seen(await self._folders.put(calendar.remote_id, outgoing.identity.key, self.preview(outgoing)))

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write what differs from what was agreed, and leave the rest of the file as it is."""
        new, event, agreed = self.preview(outgoing), outgoing.event, outgoing.agreed
        if agreed is not None:
            old = self.preview(replace(outgoing, event=event.became(agreed.ours, at=event.updated_at)))
            new = {key: value for key, value in new.items() if value != old[key]}
            if not new:
                return replace(known, state=agreed.theirs)
        file = await self._folders.get(calendar.remote_id, known.remote_id)
        return _seen(await self._folders.put(calendar.remote_id, file.name, {**file.body, **new}, known.etag))

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Delete the file that we know, or else the one of our name. That there is none is success."""
        name, etag = (known.remote_id, known.etag) if known else (outgoing.identity.key, None)
        with suppress(Gone):
            await self._folders.remove(calendar.remote_id, name, etag)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return the file as it is now; one that is deleted leaves nothing behind."""
        with suppress(Gone):
            return _seen(await self._folders.get(calendar.remote_id, remote_id or identity.key))
        return None

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return what will be read of what is written."""
        return from_plain(self.preview(outgoing))

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        """Say of a series that it does not repeat there."""
        message = "The folder has no events that repeat: it has the first time only."
        return (SyncWarning(WarningCode.RECURRENCE_NOT_SENT, message),) if outgoing.event.recurrence else ()

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return what `create` writes: the event, and that this file is its copy."""
        event, identity = outgoing.event, outgoing.identity
        return to_plain(event.state) | NOT_THERE | {"uid": identity.uid, "kalends": [str(event.id), identity.key]}

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:  # noqa: ARG002
        """Return nobody: a folder invites nobody."""
        return ()

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield what has changed since the token; of what was read before, as its etag says, the name only."""
        changes = await self._folders.changes(calendar.remote_id, token)
        yield Page([RemoteEvent(name, "", deleted=True) for name in changes.gone])
        for name, etag in changes.etags.items():
            page = Page([RemoteEvent(name, etag)])
            if (await known([name])).get(name) != etag:
                try:
                    page = Page([_seen(await self._folders.get(calendar.remote_id, name))])
                except (Gone, Refused) as error:  # the rest can be read
                    page = Page([RemoteEvent(name, "")], [Broken(name, str(error))])
            yield page
        yield Page(token=changes.token, whole=token is None)


def _seen(file: File) -> RemoteEvent:
    """Return a file as a copy. Raises `Refused` where it does not say what an event says, or too much."""
    try:
        state, uid = from_plain(file.body | NOT_THERE), file.body.get("uid")
        event_id, name = file.body.get("kalends") or (None, None)
        ours = UUID(event_id) if name == file.name else None  # whoever duplicates a file duplicates this, too
        problem = unfit(state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused("The file does not say what an event says.") from error
    if problem is not None:
        raise Refused(problem)
    return RemoteEvent(file.name, file.etag, state=state, uid=uid, event_id=ours)
