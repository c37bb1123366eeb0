"""Providers whose accounts are opened by people, and whose calendars are the sandbox's.

One is opened by OAuth and calls us, one with a password, one by its address. Each does what a test tells it to.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from kalends.domain.events import EventState
from kalends.domain.sync import SyncWarning
from providers.errors import BadAddress, ProviderError, WrongCredentials
from providers.interface import (
    Channel,
    Grant,
    Hint,
    HintKind,
    HookCall,
    Identity,
    Known,
    ListedCalendar,
    Opened,
    Outgoing,
    Page,
    Provider,
    RemoteAccount,
    RemoteCalendar,
    RemoteEvent,
)
from providers.sandbox import SandboxProvider
from providers.surroundings import Surroundings

CONSENT = "https://accounts.example/authorize"
PASSWORD = "app-password-in-the-clear"
ADDRESS = "https://calendars.example/private-in-the-clear/basic.ics"
TOKENS = {"access_token": "access-in-the-clear", "refresh_token": "refresh-in-the-clear"}
CHANNEL_LIFE = timedelta(days=7)

LISTED = (
    ListedCalendar("primary", "{address}", "Europe/Berlin", primary=True),
    ListedCalendar("team", "{address}'s team", "America/New_York"),
    ListedCalendar("holidays", "{address}'s holidays", read_only=True),
)


@dataclass
class _Double:
    """What all of them do: events live in the sandbox, calendars are listed, grants are given back."""

    surroundings: Surroundings
    name: str = "double"
    listed: Sequence[ListedCalendar] = LISTED
    error: ProviderError | None = None  # raised wherever an account is opened or asked
    revoked: list[Mapping[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sandbox = SandboxProvider(self.surroundings, chance=lambda: 1.0)
        self.capabilities = self._sandbox.capabilities

    # Events

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        return await self._sandbox.create(calendar, outgoing)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        return await self._sandbox.update(calendar, outgoing, known)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        await self._sandbox.delete(calendar, outgoing, known)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        return await self._sandbox.find(calendar, identity, remote_id)

    def expected(self, outgoing: Outgoing) -> EventState | None:
        return self._sandbox.expected(outgoing)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        return self._sandbox.warnings(outgoing)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        return self._sandbox.preview(outgoing)

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        return self._sandbox.mailed(outgoing)

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        async for page in self._sandbox.changes(calendar, token, known):
            yield page

    # Accounts

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        self._fail("calendars")
        grant = await self.surroundings.grants.read(account)
        address = grant.secrets["address"]
        return [replace(each, name=each.name.format(address=address)) for each in self.listed]

    async def revoke(self, grant: Grant) -> None:
        self.revoked.append(grant.secrets)
        self._fail("revoke")

    def _fail(self, call: str) -> None:
        self.asked.append(call)
        if self.error is not None:
            raise self.error


@dataclass
class OAuthDouble(_Double):
    """Opened by its owner, at the provider: a code is worth an account of that name. It also calls us."""

    name: str = "oauth"
    challenges: list[Mapping[str, str | None]] = field(default_factory=list)
    verifiers: list[str] = field(default_factory=list)
    channels: dict[str, tuple[str, str]] = field(default_factory=dict)  # by id: the secret, and where to call

    async def authorization_url(self, *, state: str, challenge: str, redirect_uri: str, address: str | None) -> str:
        self._fail("authorization_url")
        told = {"state": state, "code_challenge": challenge, "redirect_uri": redirect_uri, "login_hint": address}
        self.challenges.append(told)
        return f"{CONSENT}?{urlencode({name: value for name, value in told.items() if value})}"

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Opened:
        self._fail("exchange")
        assert redirect_uri == self.challenges[-1]["redirect_uri"]
        self.verifiers.append(verifier)
        if code == "wrong":
            raise WrongCredentials("The code is worth nothing.")
        address = f"{code}@example.org"
        return Opened(Grant(TOKENS | {"address": address}), f"subject-{code}", address)

    async def watch(self, calendar: RemoteCalendar, *, channel_id: str, secret: str, address: str) -> Channel:
        self._fail(f"watch {calendar.remote_id}")
        self.channels[channel_id] = secret, address
        return Channel(channel_id, self.surroundings.clock() + CHANNEL_LIFE)

    async def renew(self, calendar: RemoteCalendar, channel: Channel) -> Channel | None:
        self._fail(f"renew {calendar.remote_id} {channel.remote_id}")
        return None

    async def unwatch(self, calendar: RemoteCalendar, channel: Channel) -> None:
        self.channels.pop(channel.remote_id, None)
        self._fail(f"unwatch {calendar.remote_id}")

    def handshake(self, call: HookCall) -> str | None:
        return call.query.get("validationToken")

    def hints(self, call: HookCall) -> Sequence[Hint]:
        secret = call.headers.get("x-channel-token")
        kinds = {"lost": HintKind.LOST, "renew": HintKind.RENEW}
        kind = kinds.get(call.headers.get("x-channel-state", ""), HintKind.CHANGED)
        return [] if secret is None else [Hint(kind, secret)]


@dataclass
class PasswordDouble(_Double):
    """Opened with an address, a user name and a password."""

    name: str = "caldav"

    async def sign_in(self, *, url: str, username: str, password: str) -> Opened:
        self._fail("sign_in")
        if "example" not in url:
            raise BadAddress("There is no calendar server at this address.")
        if password != PASSWORD:
            raise WrongCredentials("The server does not accept the user name or the password.")
        address = f"{username}@example.org"
        return Opened(Grant({"password": password, "url": url, "address": address}), f"{url}#{username}", address)


@dataclass
class AddressDouble(_Double):
    """Read by whoever knows the address, and never written to."""

    name: str = "ics"
    listed: Sequence[ListedCalendar] = (ListedCalendar("feed", "Public holidays", "Asia/Tokyo", read_only=True),)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.capabilities = replace(self.capabilities, writes=False)

    async def subscribe(self, *, url: str) -> Opened:
        self._fail("subscribe")
        if "example" not in url:
            raise BadAddress("There is no calendar at this address.")
        return Opened(Grant({"url": url, "address": "nobody"}), hashlib.sha256(url.encode()).hexdigest(), None)


DOUBLES: dict[str, Callable[[Surroundings], Provider]] = {
    "oauth": OAuthDouble,
    "caldav": PasswordDouble,
    "ics": AddressDouble,
}
