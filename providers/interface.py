"""What a provider must be able to do, and what it may.

Every provider is a `Provider`: it writes copies of our events. It may also be

    Reads            its events come to us
    Hints            it calls us when something has changed
    ListsCalendars   its accounts have calendars to choose from, and are opened by one of
        ConnectsByOAuth, ConnectsByPassword, ConnectsByAddress

A provider holds no state of ours, opens no database session and never retries by itself: the lane does. Each call is
bounded by the caller, who cancels it after a time: a cancelled call is an `OutcomeUnknown`. Every method may raise any
`ProviderError` (`providers/errors.py`); the docstrings add what else must hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Protocol, runtime_checkable
from uuid import NAMESPACE_OID, UUID, uuid5

from kalends.domain.events import Event, EventState
from kalends.domain.merge import Agreement
from kalends.domain.sync import SyncWarning
from kalends.domain.time import TimeSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do. What it cannot is never silently dropped: it is declared here and told to the user."""

    remote: bool  # keeps copies elsewhere; without it, nothing is ever pushed
    writes: bool  # takes our events; without it, its calendars are read-only
    suppress_invites: bool  # `invite: false` with participants sends no mail
    set_own_rsvp: bool  # the owner's answer can be written
    keeps_cancelled: bool  # a cancelled event stays visible, instead of being deleted
    keeps_tentative: bool
    keeps_metadata: bool
    keeps_visibility: bool
    max_reminders: int
    recurrence: bool  # keeps series as series
    rdates: bool  # a series may have dates beside its rule
    one_call_at_a_time: bool = False  # of one account: its calendars are synced one after the other
    poll: timedelta = timedelta(minutes=5)  # how often to look for changes


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
class RemoteAccount:
    """One account of one app: by these two, `Grants` knows what opens it."""

    app_id: UUID
    account_id: UUID


@dataclass(frozen=True, slots=True)
class RemoteCalendar:
    """One calendar of one account. `tzid` is our calendar's zone, `owner` its owner's address."""

    app_id: UUID
    account_id: UUID | None
    remote_id: str
    tzid: str = "UTC"
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to write: the event, the name of its copy, and the calendar owner's address.

    `agreed` is what both sides said when they were last in step, None for a copy that must be written whole. A provider
    that can change single properties sends what differs from `agreed.ours` and nothing else.
    """

    event: Event
    identity: Identity
    owner: str | None
    agreed: Agreement | None = None

    @property
    def invitees(self) -> tuple[str, ...]:
        """Who would be mailed if the provider sends invitations: everybody but the owner."""
        mine = (self.owner or "").lower()
        return tuple(each.email for each in self.event.content.attendees if each.email.lower() != mine)


@dataclass(frozen=True, slots=True)
class RemoteEvent:
    """A copy as the provider has it now: of a series all of it, with what differs from its rule.

    `state` is None for a deleted copy, for one whose etag is the one that we knew (see `Known`), and for one that is
    there and cannot be read (a `Broken` says so). `event_id` is what the copy says of its origin where it carries our
    stamp. A series' etag may miss changes of single occurrences.
    """

    remote_id: str
    etag: str
    url: str | None = None
    deleted: bool = False
    state: EventState | None = None
    uid: str | None = None
    event_id: UUID | None = None
    warnings: tuple[SyncWarning, ...] = ()


@runtime_checkable
class Provider(Protocol):
    """A calendar service that keeps copies of our events."""

    name: str
    capabilities: Capabilities

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create the copy named by the identity. Repeating it never makes a second one: raise `AlreadyExists`."""
        ...

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write the event over the copy that we know. Raise `Stale` for another etag, `Gone` where it is deleted.

        What the copy has that we do not know of survives. A write that would change nothing is not sent. A cancelled
        event comes here too: how to cancel is the provider's matter.
        """
        ...

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Remove the copy that we know, or else the one named by the identity. Raise `Stale` for another etag.

        A copy that is not there is success, once the calendar itself has answered; else raise `CalendarGone`.
        """
        ...

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return the copy as it is now, found by its id or else by its identity; a deleted one where it is known."""
        ...

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return what the provider will show for this event, None where it will show nothing. Pure: no I/O.

        It is what `create` and `update` lead to: what is lost or changes its form on the way is so here.
        """
        ...

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        """Return what of this event the provider cannot keep. Pure: no I/O."""
        ...

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return what `create` would send. Pure: no I/O."""
        ...

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return who would be mailed by writing this. Pure: no I/O."""
        ...


# Reading


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that could not be read, while the rest could."""

    name: str  # its UID where it has one, otherwise its name at the provider
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the answer to `changes`. Only the last page has a `token`; it may be empty like any other.

    `whole` on the last page says that the round listed everything that takes place in `window` (None: ever): what was
    not listed is not there any more.
    """

    events: Sequence[RemoteEvent] = ()
    broken: Sequence[Broken] = ()
    token: str | None = None
    whole: bool = False
    window: TimeSpan | None = None


Known = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
"""Returns, of these remote ids, the etags of those whose copies we have read, with all that they say."""


@runtime_checkable
class Reads(Protocol):
    """A provider whose events come to us."""

    def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield what has changed since `token` was given, or without one everything that there is.

        Yield after every request, also an empty page: the caller then renews its lease. Raise `TokenExpired` where
        only a full round helps, `CalendarGone` where there is no such calendar. A deleted copy is reported as such, or
        left out of a whole round; a copy that is not reported is never deleted otherwise.
        """
        ...


# Being called


class HintKind(Enum):
    """What a call of a provider's means."""

    CHANGED = auto()  # look at the calendar
    RENEW = auto()  # the channel must be renewed
    LOST = auto()  # the channel is gone: open another one, and look


@dataclass(frozen=True, slots=True)
class Hint:
    """A call of a provider's, not yet believed: `secret` must prove it."""

    kind: HintKind
    secret: str


@dataclass(frozen=True, slots=True)
class HookCall:
    """A request to one channel's address."""

    headers: Mapping[str, str]  # names in lower case
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Channel:
    """The way on which a provider calls us about one calendar. `remote_id` is all that it needs to be closed."""

    remote_id: str
    expires_at: datetime


@runtime_checkable
class Hints(Protocol):
    """A provider that calls us when something has changed. Its calls get lost: they replace no look."""

    async def watch(self, calendar: RemoteCalendar, *, channel_id: str, secret: str, address: str) -> Channel:
        """Open a channel to `address`, on which every call carries the secret. `channel_id` has 64 characters."""
        ...

    async def renew(self, calendar: RemoteCalendar, channel: Channel) -> Channel | None:
        """Prolong a channel; None where another one must be opened in its place."""
        ...

    async def unwatch(self, calendar: RemoteCalendar, channel: Channel) -> None:
        """Close a channel. One that is not there is success."""
        ...

    def handshake(self, call: HookCall) -> str | None:
        """Return what must be answered, in plain text, to a call that only tries the address; else None. Pure."""
        ...

    def hints(self, call: HookCall) -> Sequence[Hint]:
        """Return what a call says; nothing for one that cannot be understood. Pure."""
        ...


# Accounts


@dataclass(frozen=True, slots=True)
class Grant:
    """What opens an account, in the provider's own words. Secret as a whole: it is sealed where it is kept."""

    secrets: Mapping[str, str] = field(repr=False)


class Grants(Protocol):
    """Where grants are kept."""

    async def read(self, account: RemoteAccount) -> Grant:
        """Return an account's grant; raise `ReconnectRequired` where there is none."""
        ...

    async def renew(self, account: RemoteAccount, used: Grant, ask: Callable[[Grant], Awaitable[Grant]]) -> Grant:
        """Return a grant in place of one that was used and does not work any more.

        Where somebody else has renewed it since, that one is returned; of all processes, one at a time asks.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """An account that was just opened. `subject` is the provider's lasting name of it."""

    grant: Grant
    subject: str
    address: str | None  # its owner's e-mail address


@dataclass(frozen=True, slots=True)
class ListedCalendar:
    """A calendar that an account has."""

    remote_id: str
    name: str
    tzid: str | None = None
    read_only: bool = False
    primary: bool = False


@runtime_checkable
class ListsCalendars(Protocol):
    """A provider whose accounts have calendars to choose from."""

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        """Return the account's calendars."""
        ...

    async def revoke(self, grant: Grant) -> None:
        """Give a grant back, where the provider takes it. One that is worth nothing any more is success."""
        ...


@runtime_checkable
class ConnectsByOAuth(Protocol):
    """Accounts are opened by their owner, at the provider (RFC 6749 section 4.1, with RFC 7636)."""

    async def authorization_url(self, *, state: str, challenge: str, redirect_uri: str, address: str | None) -> str:
        """Return where to send the owner, by PKCE's `challenge`, S256. Raise `NotConfigured` without a client."""
        ...

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Opened:
        """Open the account that a code stands for. Raise `WrongCredentials` for a code that stands for none."""
        ...


@runtime_checkable
class ConnectsByPassword(Protocol):
    """Accounts are opened with an address, a user name and a password."""

    async def sign_in(self, *, url: str, username: str, password: str) -> Opened:
        """Find out what is at the address. Raise `BadAddress` or `WrongCredentials`."""
        ...


@runtime_checkable
class ConnectsByAddress(Protocol):
    """Whoever knows the address may read."""

    async def subscribe(self, *, url: str) -> Opened:
        """Find out what is at the address. Raise `BadAddress`."""
        ...
