"""What a provider must be able to do, and what can go wrong with one.

    ProviderError
    ├── RetryLater              it may succeed by itself
    │   ├── Throttled           429: the account is asked nothing for `retry_after`; costs no attempt
    │   ├── Unreachable         5xx, a timeout before anything was sent, no network
    │   └── OutcomeUnknown      sent, but no answer: it may have happened
    ├── NeedsPerson             it will not succeed until a person acts
    │   ├── ReconnectRequired   the grant is gone: the account waits, nothing is lost
    │   └── Refused             the provider will never accept this: a dead letter
    └── Disagreement            the provider's state is not what we thought; the caller finds out and goes on
        ├── AlreadyExists       a create met a copy with the same identity
        ├── Stale               an update met another etag
        └── Gone                an update met nothing, or a deleted copy

A provider holds no state of ours, opens no database session and never retries by itself: the lane does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable
from uuid import NAMESPACE_OID, UUID, uuid5

from kalends.domain.errors import KalendsError
from kalends.domain.events import Event
from kalends.domain.sync import SandboxCopy


class ProviderError(KalendsError):
    """The root of this layer's errors. The message is shown to the calendar's user: no address, no secret."""


class RetryLater(ProviderError):
    """It may succeed by itself."""


class Throttled(RetryLater):
    """The provider asks us to be quiet for a while."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(RetryLater):
    """The provider did not do it, and may do it later."""


class OutcomeUnknown(RetryLater):
    """The request went out and no answer came back."""


class NeedsPerson(ProviderError):
    """It will not succeed until a person acts."""


class ReconnectRequired(NeedsPerson):
    """The account's grant is gone; its owner must connect it again."""


class Refused(NeedsPerson):
    """The provider will never accept this request."""


class Disagreement(ProviderError):
    """The provider's state is not what we thought."""


class AlreadyExists(Disagreement):
    """There is a copy with this identity, alive or deleted."""


class Stale(Disagreement):
    """The copy has changed since we last saw it."""


class Gone(Disagreement):
    """There is no copy any more."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do. What it cannot is never silently dropped: it is declared here and told to the user."""

    remote: bool  # keeps copies elsewhere; without it, nothing is ever pushed
    suppress_invites: bool  # `invite: false` with participants sends no mail
    set_own_rsvp: bool  # the owner's answer can be written
    keeps_cancelled: bool  # a cancelled event stays visible, instead of being deleted
    keeps_metadata: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """The name that we give a remote copy before it exists, so that a create can be repeated.

    `generation` grows when a copy must be created anew: providers do not let a deleted name come back
    (https://github.com/googleapis/google-api-ruby-client/issues/1811).
    """

    event_id: UUID
    uid: str
    generation: int

    @property
    def key(self) -> str:
        """32 characters of 0-9 and a-f, which every provider accepts: Google allows base32hex, 5 to 1024 of them."""
        return uuid5(NAMESPACE_OID, f"{self.event_id}/{self.generation}").hex


@dataclass(frozen=True, slots=True)
class RemoteCalendar:
    """Where to write: one calendar of one account."""

    app_id: UUID
    account_id: UUID | None
    remote_id: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to write: the event, the name of its copy, and the calendar owner's address."""

    event: Event
    identity: Identity
    owner: str | None

    @property
    def invitees(self) -> tuple[str, ...]:
        """Who would be mailed if the provider sends invitations: everybody but the owner."""
        mine = (self.owner or "").lower()
        return tuple(each.email for each in self.event.content.attendees if each.email.lower() != mine)


@dataclass(frozen=True, slots=True)
class RemoteEvent:
    """A copy as the provider has it now."""

    remote_id: str
    etag: str
    url: str | None = None
    deleted: bool = False


@runtime_checkable
class Provider(Protocol):
    """A calendar service. Every method may raise any `ProviderError`; the docstrings add what else must hold.

    Each call is bounded by the caller, who cancels it after a time: a cancelled call is an `OutcomeUnknown`.
    """

    name: str
    capabilities: Capabilities

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create the copy named by the identity. Repeating it never makes a second one: raise `AlreadyExists`."""
        ...

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write the event over the copy that we know. Raise `Stale` for another etag, `Gone` where it is deleted.

        A cancelled event comes here too: how to cancel is the provider's matter.
        """
        ...

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, remote_id: str | None) -> None:
        """Remove the copy, found by its id or else by its identity. One that is not there is success."""
        ...

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return the copy as it is now, found by its id or else by its identity; a deleted one where it is known."""
        ...

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return what `create` would send. Pure: no I/O."""
        ...

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return who would be mailed by writing this. Pure: no I/O."""
        ...


class SandboxTable(Protocol):
    """The sandbox's memory inside one transaction."""

    async def faults(self, account_id: UUID) -> Mapping[str, Any]:
        """Return how to misbehave."""
        ...

    async def find(self, account_id: UUID, remote_id: str, *, lock: bool = False) -> SandboxCopy | None:
        """Return a copy, a deleted one too."""
        ...

    async def put(self, copy: SandboxCopy) -> None:
        """Store a copy in place of its former state."""
        ...


class SandboxMemory(Protocol):
    """Where the sandbox remembers: a transaction of its own per call, as another company's database would be."""

    def __call__(self, app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
        """Open a transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the server lends to providers when it builds them."""

    sandbox_memory: SandboxMemory
