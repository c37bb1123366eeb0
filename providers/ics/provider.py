"""Calendars that are files at an address, as everybody publishes them: subscribed, and read-only.

What is read, and when, is in docs/providers/ics.md.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import httpx

from kalends.domain.events import EventState
from kalends.domain.sync import SyncWarning
from providers.errors import BadAddress, CalendarGone, ReconnectRequired, Refused
from providers.ical.lines import Unreadable
from providers.ical.people import Owner
from providers.ical.read import opened
from providers.ics import client, mapping, wire
from providers.interface import (
    Broken,
    Capabilities,
    Grant,
    Identity,
    Known,
    ListedCalendar,
    Opened,
    Outgoing,
    Page,
    RemoteAccount,
    RemoteCalendar,
    RemoteEvent,
)
from providers.surroundings import Surroundings
from providers.web import Answer

PAGE = 500  # events of one page
READ_ONLY = "This calendar is subscribed: it can only be read."


class IcsProvider:
    """Subscribed files. Nothing is ever written there; `page` is how many events come at once."""

    name = "ics"
    capabilities = Capabilities(
        remote=True,
        writes=False,
        suppress_invites=True,
        set_own_rsvp=False,
        keeps_cancelled=False,
        keeps_tentative=False,
        keeps_metadata=False,
        keeps_visibility=False,
        max_reminders=0,
        recurrence=False,
        rdates=False,
        poll=timedelta(minutes=30),
    )

    def __init__(self, surroundings: Surroundings, *, page: int = PAGE) -> None:
        self._grants = surroundings.grants
        self._web = surroundings.web
        self._clock = surroundings.clock
        self._page = page

    # Reading

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield all that the file says, where it has changed since the token was given."""
        answer = await self._changed(calendar, token)
        if answer is None:
            yield Page(token=token)
            return
        yield Page()
        # A large file takes seconds to read, in which others are served.
        file = await asyncio.to_thread(mapping.opened_now, answer.body)
        owner = Owner(calendar.owner)
        for start in range(0, len(file.groups), self._page):
            groups = file.groups[start : start + self._page]
            told = await known([mapping.name_of(group) for group in groups])
            read = partial(mapping.page_of, groups, told, tzid=calendar.tzid, owner=owner)
            yield await asyncio.to_thread(read)
        yield Page(token=wire.written(wire.mark_of(answer)), whole=True)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return an event of the file, by its name or else by the UID."""
        answer = await client.fetch(self._web.guarded, await self._address(calendar), self._clock)
        file = await asyncio.to_thread(mapping.opened_now, answer.body)
        wanted = (remote_id, identity.uid)
        group = next((each for each in file.groups if mapping.name_of(each) in wanted), None)
        found = None if group is None else mapping.copy_of(group, tzid=calendar.tzid, owner=Owner(calendar.owner))
        if isinstance(found, Broken):
            raise Refused(f"The event cannot be read. {found.reason}")
        return found

    # Accounts

    async def subscribe(self, *, url: str) -> Opened:
        """Find out whether there is a calendar at the address."""
        address = client.address_of(url)
        try:
            await self._file(address)
        except (CalendarGone, Unreadable) as error:
            raise BadAddress(str(error)) from error
        # The address is secret, and its hash tells it apart from others.
        subject = hashlib.sha256(str(address).encode()).hexdigest()
        return Opened(Grant({"url": str(address)}), subject, None)

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        """Return the one calendar that the file is."""
        address = httpx.URL((await self._grants.read(account)).secrets["url"])
        return [await self._file(address)]

    async def revoke(self, grant: Grant) -> None:
        """Do nothing: whoever published the file can take its address back."""

    # Writing

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise Refused(READ_ONLY)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise Refused(READ_ONLY)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise Refused(READ_ONLY)

    def expected(self, outgoing: Outgoing) -> EventState | None:  # noqa: ARG002
        """Return nothing: the file never shows an event of ours."""
        return None

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:  # noqa: ARG002
        """Return nothing: a write is refused as a whole."""
        return ()

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: nothing is sent."""
        return {}

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:  # noqa: ARG002
        """Return nobody."""
        return ()

    # Inside

    async def _file(self, address: httpx.URL) -> ListedCalendar:
        answer = await client.fetch(self._web.guarded, address, self._clock)
        return mapping.listed(await asyncio.to_thread(opened, answer.body), address.host)

    async def _changed(self, calendar: RemoteCalendar, token: str | None) -> Answer | None:
        address = await self._address(calendar)
        if token is None:
            return await client.fetch(self._web.guarded, address, self._clock)
        return await client.fetch_changed(self._web.guarded, address, wire.read(token), self._clock)

    async def _address(self, calendar: RemoteCalendar) -> httpx.URL:
        if calendar.account_id is None:
            raise ReconnectRequired("The calendar has no address to read from.")
        grant = await self._grants.read(RemoteAccount(calendar.app_id, calendar.account_id))
        return httpx.URL(grant.secrets["url"])
