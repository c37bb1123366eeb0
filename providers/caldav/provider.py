"""Calendars on CalDAV servers: iCloud, Fastmail, Nextcloud and whoever else speaks RFC 4791.

What maps to what, and what differs from server to server, is in docs/providers/caldav.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from kalends.domain.events import MAX_REMINDERS, EventState
from kalends.domain.sync import SyncWarning
from providers.caldav import discovery, mapping, resources
from providers.caldav.client import NOT_ACCEPTED, Dav, Unanswered, refusal
from providers.caldav.listing import Listing, Place, about
from providers.caldav.quirks import named
from providers.errors import AlreadyExists, BadAddress, Gone, ReconnectRequired, Stale, WrongCredentials
from providers.ical.people import Owner
from providers.ical.write import edited
from providers.interface import (
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

BATCH = 50  # events of one calendar-multiget
_ICALENDAR = {"content-type": "text/calendar; charset=utf-8"}
_CHANGED = "The event was changed on the server."
_GONE = "The server no longer has this event."
_MOVED = "The account's calendars are not where they were: connect the account again."


class CaldavProvider:
    """Calendars on CalDAV servers. `batch` is how many events are fetched at once."""

    name = "caldav"
    capabilities = Capabilities(
        remote=True,
        writes=True,
        suppress_invites=True,
        set_own_rsvp=True,
        keeps_cancelled=True,
        keeps_tentative=True,
        keeps_metadata=True,
        keeps_visibility=True,
        max_reminders=MAX_REMINDERS,
        recurrence=True,
        rdates=True,
        poll=timedelta(minutes=5),
    )

    def __init__(self, surroundings: Surroundings, *, batch: int = BATCH) -> None:
        self._grants = surroundings.grants
        self._web = surroundings.web
        self._clock = surroundings.clock
        self._batch = batch

    # Writing

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create a resource under our own name, where there is none, and none with the event's UID."""
        place, uid, name = await self._place(calendar), outgoing.identity.uid, mapping.name_of(outgoing)
        if place.dav.quirks.looks_first and await resources.look(place, uid, name) is not None:
            raise AlreadyExists(resources.TAKEN)
        body = mapping.body_of(outgoing, place.owner)
        answer = await place.dav.ask("PUT", place.path_of(name), headers=mapping.CREATE, content=body)
        if not httpx.codes.is_success(answer.status):
            raise await resources.not_created(place, name, uid, answer)
        return await resources.stored(place, name, uid, body, answer)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write what has changed into the resource as it is, and leave the rest of it alone."""
        if outgoing.agreed is not None and not mapping.changes(outgoing):
            return replace(known, state=outgoing.agreed.theirs)
        place, uid = await self._place(calendar), outgoing.identity.uid
        found = await resources.get(place, known.remote_id)
        if found is None:
            if await resources.search(place, uid) is not None:
                raise Stale("The event has another name on the server than it had.")
            raise Gone(_GONE)
        if found.etag != known.etag:
            raise Stale(_CHANGED)
        before = outgoing.agreed.ours if outgoing.agreed is not None else None
        body = edited(found.data, outgoing.event, before, uid, tzid=place.tzid, owner=place.owner)
        if body is None:
            return resources.understood(place, found, uid)
        headers = {**_ICALENDAR, "if-match": found.etag}
        answer = await place.dav.ask("PUT", place.path_of(found.name), headers=headers, content=body)
        if httpx.codes.is_success(answer.status):
            return await resources.stored(place, found.name, uid, body, answer)
        if answer.status == 412:
            raise Stale(_CHANGED)
        if answer.status in (404, 410):
            await about(place)
            raise Gone(_GONE)
        raise refusal(answer)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Delete a resource. That it is not there is success only where the calendar is."""
        place = await self._place(calendar)
        name = known.remote_id if known is not None else mapping.name_of(outgoing)
        answer = await _deleted(place, outgoing, name, known.etag if known is not None else None)
        if answer.status in (404, 410) and known is None:
            found = await resources.search(place, outgoing.identity.uid)
            if found is not None:
                answer = await _deleted(place, outgoing, found.name, found.etag)
        if httpx.codes.is_success(answer.status):
            return
        # A precondition fails where there is nothing, too (RFC 9110 section 13.1.1).
        if answer.status in (404, 410) or (answer.status == 412 and await resources.get(place, name) is None):
            await about(place)
            return
        raise Stale(_CHANGED) if answer.status == 412 else refusal(answer)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return a resource by its name, or else the one that has the event's UID."""
        place = await self._place(calendar)
        found = await resources.look(place, identity.uid, remote_id or f"{identity.key}{mapping.SUFFIX}")
        return None if found is None else resources.understood(place, found, identity.uid)

    # Reading

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield what has changed, by sync-collection or, where there is none, by comparing ETags."""
        place = await self._place(calendar)
        async for page in Listing(place, known, self._batch).pages(token):
            yield page

    # Accounts

    async def sign_in(self, *, url: str, username: str, password: str) -> Opened:
        """Find an account's calendars from its server's address (RFC 6764)."""
        dav = Dav(self._web.guarded, discovery.address_of(url), username, password, self._clock)
        try:
            return await discovery.sign_in(dav)
        except ReconnectRequired as error:
            raise WrongCredentials("The server does not accept this user name and password.") from error
        except Unanswered as error:
            raise BadAddress(discovery.NOTHING) from error

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        """List the account's calendars that hold events."""
        try:
            return await discovery.calendars(self._dav(await self._grants.read(account)))
        except Unanswered as error:
            raise ReconnectRequired(_MOVED) from error

    async def revoke(self, grant: Grant) -> None:
        """Do nothing: an app password is revoked where it was made."""

    # Without a server

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return what a server shows for an event."""
        return mapping.expected(outgoing)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        """Return what of an event a server cannot do."""
        return mapping.warnings(outgoing)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return what a create sends."""
        return mapping.preview(outgoing)

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return whom the server mails, where it schedules (RFC 6638)."""
        return mapping.mailed(outgoing)

    # Inside

    async def _place(self, calendar: RemoteCalendar) -> Place:
        if calendar.account_id is None:
            raise ReconnectRequired(NOT_ACCEPTED)
        grant = await self._grants.read(RemoteAccount(calendar.app_id, calendar.account_id))
        path = calendar.remote_id if calendar.remote_id.endswith("/") else f"{calendar.remote_id}/"
        others = frozenset(grant.secrets.get("addresses", "").lower().split())
        return Place(self._dav(grant), path, calendar.tzid, Owner(calendar.owner, others))

    def _dav(self, grant: Grant) -> Dav:
        secrets = grant.secrets
        return Dav(
            self._web.guarded,
            httpx.URL(secrets["url"]),
            secrets["username"],
            secrets["password"],
            self._clock,
            named(secrets.get("server")),
            digest=secrets.get("scheme") == "digest",
        )


async def _deleted(place: Place, outgoing: Outgoing, name: str, etag: str | None) -> Answer:
    """Ask for a resource to be deleted. An organiser hears of it only where somebody is to be told (RFC 6638 8.1)."""
    headers = {"if-match": etag} if etag is not None else {}
    if not outgoing.event.content.send_invitations:
        headers["schedule-reply"] = "F"
    return await place.dav.ask("DELETE", place.path_of(name), headers=headers)
