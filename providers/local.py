"""A calendar that lives only here: nothing is pushed, and nothing comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kalends.domain.events import EventState
from kalends.domain.sync import SyncWarning
from providers.interface import Capabilities, Identity, Outgoing, RemoteCalendar, RemoteEvent
from providers.surroundings import Surroundings


class LocalProvider:
    """The provider of calendars that have none. The event is its own copy; nobody is mailed."""

    name = "local"
    capabilities = Capabilities(
        remote=False,
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
    )

    def __init__(self, _surroundings: Surroundings) -> None:
        pass

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:  # noqa: ARG002
        """Return the event as its own copy."""
        return RemoteEvent(outgoing.identity.key, str(outgoing.event.version), state=outgoing.event.state)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:  # noqa: ARG002
        """Return the event as its own copy."""
        return RemoteEvent(known.remote_id, str(outgoing.event.version), state=outgoing.event.state)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Do nothing: the event itself is the only copy."""

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:  # noqa: ARG002
        """Return nothing: there is no copy elsewhere."""
        return None

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return the event as it is."""
        return outgoing.event.state

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:  # noqa: ARG002
        """Return nothing: it can keep everything."""
        return ()

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: nothing is sent."""
        return {}

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:  # noqa: ARG002
        """Return nobody."""
        return ()
