"""Google Calendar as a provider: which requests, in which order, and what follows from the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from kalends.domain.events import EventState
from kalends.domain.merge import same
from kalends.domain.sync import SyncWarning
from providers.errors import AlreadyExists, CalendarGone, Gone, Refused, Stale
from providers.google import channels
from providers.google.accounts import connection
from providers.google.client import Forbidden, Missing
from providers.google.copies import Copy, cancelled, deleted, own_etag, read
from providers.google.inbound import NO_CALENDAR, PAGE, Round, fetched
from providers.google.lists import merges
from providers.google.mapping import UNFINISHED, Unreadable, differing, stamp, unfinished, written
from providers.google.recurrence import lines_of, original_start
from providers.google.shown import shown, warnings
from providers.google.wire import Body, CalendarListEntry
from providers.google.writing import Writing
from providers.interface import (
    Capabilities,
    Channel,
    Grant,
    Hint,
    HookCall,
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
from providers.zones import iana

_WRITERS = ("owner", "writer", "writerWithoutPrivateAccess")
_GONE = "Google Calendar does not have this event any more."


class GoogleProvider:
    """Google Calendar. `page_size` is how many events it asks for at once."""

    name = "google"
    capabilities = Capabilities(
        remote=True,
        writes=True,
        suppress_invites=True,
        set_own_rsvp=True,
        keeps_cancelled=False,
        keeps_tentative=True,
        keeps_metadata=True,
        keeps_visibility=True,
        max_reminders=5,
        recurrence=True,
        rdates=True,
    )

    def __init__(self, surroundings: Surroundings, *, page_size: int = PAGE) -> None:
        self._oauth, self._client = connection(surroundings)
        self._clock = surroundings.clock
        self._page_size = page_size

    # Writing

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create a copy under our id for it. A series is marked until all of it is written; then a repetition goes on.

        Of a cancelled event there is no copy: should there be one from before, it is deleted.
        """
        target = shown(outgoing.event.state, outgoing.owner)
        if target is None:
            await self.delete(calendar, outgoing, None)
            return deleted(outgoing.identity.key)
        try:
            event = await self._client.insert(calendar, _created(outgoing, target), notify=_notify(outgoing))
        except Missing as error:
            raise CalendarGone(NO_CALENDAR) from error
        except AlreadyExists:
            copy = await fetched(self._client, calendar, outgoing.identity.key)
            if cancelled(copy.event) or not unfinished(copy.event):
                raise
            return await self._finished(calendar, outgoing, copy, old=_state(copy, calendar), new=target)
        if not unfinished(event):
            return _read(Copy(event), calendar)
        return await self._finished(calendar, outgoing, Copy(event), old=_without_overrides(target), new=target)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write what has changed. A cancelled event's copy is deleted."""
        target = shown(outgoing.event.state, outgoing.owner)
        if target is None:
            await self.delete(calendar, outgoing, known)
            return replace(known, deleted=True, state=None)
        agreed = shown(outgoing.agreed.ours, outgoing.owner) if outgoing.agreed else None
        async with self._writing_to(calendar, known.remote_id):
            if outgoing.agreed is not None and agreed is not None and _single(agreed) and _single(target):
                changes = _difference(agreed, target, outgoing.owner)
                if not changes:
                    return replace(known, state=outgoing.agreed.theirs)
                if known.etag and not merges(changes):
                    return await self._patched(calendar, outgoing, known, changes)
            elif outgoing.agreed is not None and same(agreed, target):
                return replace(known, state=outgoing.agreed.theirs)
            copy = await self._still(calendar, known)
            old = agreed or _state(copy, calendar)
            return _read(await self._writing(calendar, outgoing, old, target).over(copy), calendar)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Delete a copy. Its id stays taken."""
        name = outgoing.identity.key if known is None else known.remote_id
        try:
            if known is not None and (outgoing.event.recurrence is not None or not _is_googles(known.etag)):
                await self._still(calendar, known)  # the etag that Google compares does not tell of the occurrences
            etag = None if known is None else own_etag(known.etag)
            await self._client.delete(calendar, name, etag=etag, notify=_notify(outgoing))
        except Missing:
            await self._seen(calendar)
        except Gone:
            return
        except Stale:
            if not cancelled(await self._client.get(calendar, name)):
                raise

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return a copy as it is; None also for one that is still to be written whole, so that a create goes on."""
        try:
            copy = await fetched(self._client, calendar, remote_id or identity.key)
        except Missing:
            await self._seen(calendar)
            return None
        return None if unfinished(copy.event) and not cancelled(copy.event) else _read(copy, calendar)

    # Saying what would happen

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return what Google Calendar will show."""
        return shown(outgoing.event.state, outgoing.owner)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        """Return what Google Calendar cannot keep."""
        return warnings(outgoing.event.state, outgoing.owner)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return the body of the create, with the parameter beside it, and what its occurrences will be told."""
        target = shown(outgoing.event.state, outgoing.owner)
        sent = {"sendUpdates": "all" if _notify(outgoing) else "none"}
        if target is None:
            return sent | {"id": outgoing.identity.key, "status": "cancelled"}
        overrides = target.recurrence.overrides if target.recurrence else {}
        instances = {
            original_start(wall, target.when): written(override.when, override.content, outgoing.owner)
            for wall, override in overrides.items()
        }
        return sent | _created(outgoing, target) | ({"instances": instances} if instances else {})

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return the guests where invitations are asked for; of somebody else's event, only its organizer."""
        if not _notify(outgoing):
            return ()
        organizer = outgoing.event.content.organizer
        return outgoing.invitees if organizer is None else (organizer,)

    # Reading

    def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield what has changed since Google gave the token, or everything."""
        return Round(self._client, calendar, token, known, self._page_size).pages()

    # Being called

    async def watch(self, calendar: RemoteCalendar, *, channel_id: str, secret: str, address: str) -> Channel:
        """Open a channel."""
        try:
            channel = await self._client.watch(calendar, channels.asked(channel_id, secret, address))
        except Missing as error:
            raise CalendarGone(NO_CALENDAR) from error
        return channels.opened(channel, self._clock)

    async def renew(self, calendar: RemoteCalendar, channel: Channel) -> Channel | None:  # noqa: ARG002
        """Return None: Google prolongs no channel. Another one is opened, and both are open for a while."""
        return None

    async def unwatch(self, calendar: RemoteCalendar, channel: Channel) -> None:
        """Close a channel."""
        try:
            await self._client.stop(calendar, channels.closed(channel))
        except Missing:
            return

    def handshake(self, call: HookCall) -> str | None:  # noqa: ARG002
        """Return None: Google does not try an address."""
        return None

    def hints(self, call: HookCall) -> Sequence[Hint]:
        """Return what a call says."""
        return channels.hints(call)

    # Accounts

    async def authorization_url(self, *, state: str, challenge: str, redirect_uri: str, address: str | None) -> str:
        """Return Google's page of consent."""
        return await self._oauth.authorization_url(
            state=state, challenge=challenge, redirect_uri=redirect_uri, address=address
        )

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Opened:
        """Open the account: its name is the id of its primary calendar, which is its owner's address."""
        grant = await self._oauth.exchange(code=code, verifier=verifier, redirect_uri=redirect_uri)
        primary = await self._client.primary(grant.secrets["access_token"])
        return Opened(grant, primary["id"], primary["id"])

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        """Return the calendars in the owner's list, but for those that the owner hides."""
        entries: list[CalendarListEntry] = []
        params = {"maxResults": "250"}
        while True:
            page = await self._client.calendars(account, params)
            entries += page.get("items", [])
            if "nextPageToken" not in page:
                return [_listed(each) for each in entries]
            params |= {"pageToken": page["nextPageToken"]}

    async def revoke(self, grant: Grant) -> None:
        """Give the grant back."""
        await self._oauth.revoke(grant)

    async def _finished(
        self, calendar: RemoteCalendar, outgoing: Outgoing, copy: Copy, *, old: EventState, new: EventState
    ) -> RemoteEvent:
        """Write the occurrences of a series that was created, and take the mark away."""
        async with self._writing_to(calendar, copy.event["id"]):
            done = await self._writing(calendar, outgoing, old, new).over(copy)
            mark: Body = {"extendedProperties": {"private": {UNFINISHED: None}}}
            await self._client.patch(calendar, copy.event["id"], mark, etag=own_etag(done.etag), notify=False)
            return _read(await fetched(self._client, calendar, copy.event["id"]), calendar)

    async def _patched(
        self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent, changes: Body
    ) -> RemoteEvent:
        """Change a single event without looking at it first."""
        event = await self._client.patch(
            calendar, known.remote_id, changes, etag=own_etag(known.etag), notify=_notify(outgoing)
        )
        copy = await fetched(self._client, calendar, known.remote_id) if event.get("recurrence") else Copy(event)
        return _read(copy, calendar)

    def _writing(self, calendar: RemoteCalendar, outgoing: Outgoing, old: EventState, new: EventState) -> Writing:
        return Writing(self._client, calendar, outgoing.owner, _notify(outgoing), old, new)

    async def _still(self, calendar: RemoteCalendar, known: RemoteEvent) -> Copy:
        """Return the copy, where it is the one that we know."""
        copy = await fetched(self._client, calendar, known.remote_id)
        if cancelled(copy.event):
            raise Gone(_GONE)
        if copy.etag != known.etag:
            raise Stale("The event was changed in Google Calendar.")
        return copy

    @asynccontextmanager
    async def _writing_to(self, calendar: RemoteCalendar, event_id: str) -> AsyncIterator[None]:
        """Find out what a refusal means: Google answers 404 also where the calendar is gone, 403 and 412 also of an
        event that was deleted.
        """
        try:
            yield
        except Missing as error:
            await self._seen(calendar)
            raise Gone(_GONE) from error
        except (Forbidden, Stale) as error:
            if cancelled(await self._client.get(calendar, event_id)):
                raise Gone(_GONE) from error
            raise
        except Unreadable as error:
            raise _unreadable(error) from error

    async def _seen(self, calendar: RemoteCalendar) -> None:
        """Raise `CalendarGone` where the calendar does not answer.

        It is asked for its events: its own description needs a right that we do not ask for, and the entry in the
        owner's list can go while the calendar stays.
        """
        try:
            await self._client.events(calendar, {"maxResults": "1"})
        except Missing as error:
            raise CalendarGone(NO_CALENDAR) from error


def _notify(outgoing: Outgoing) -> bool:
    return outgoing.event.content.send_invitations


def _is_googles(etag: str) -> bool:
    return etag != "" and own_etag(etag) == etag


def _single(state: EventState) -> bool:
    return state.recurrence is None


def _difference(old: EventState, new: EventState, owner: str | None) -> Body:
    return differing(written(old.when, old.content, owner), written(new.when, new.content, owner))


def _without_overrides(state: EventState) -> EventState:
    return replace(state, recurrence=state.recurrence and replace(state.recurrence, overrides={}))


def _created(outgoing: Outgoing, target: EventState) -> Body:
    """Return the body of a create: the event under our id, with our stamp."""
    body = written(target.when, target.content, outgoing.owner)
    private = body.pop("extendedProperties", {}).get("private", {}) | stamp(outgoing.identity)
    if target.recurrence is not None:
        body["recurrence"] = lines_of(target.when, target.recurrence)
        private |= {UNFINISHED: "1"} if target.recurrence.overrides else {}
    return body | {"id": outgoing.identity.key, "extendedProperties": {"private": private}}


def _read(copy: Copy, calendar: RemoteCalendar) -> RemoteEvent:
    """Return a copy in our words; raise `Refused` where it cannot be read."""
    try:
        return read(copy, calendar)
    except Unreadable as error:
        raise _unreadable(error) from error


def _unreadable(error: Unreadable) -> Refused:
    return Refused(f"The event in Google Calendar cannot be read: {error}")


def _state(copy: Copy, calendar: RemoteCalendar) -> EventState:
    state = _read(copy, calendar).state
    if state is None:
        raise Gone(_GONE)
    return state


def _listed(entry: CalendarListEntry) -> ListedCalendar:
    return ListedCalendar(
        entry["id"],
        entry.get("summaryOverride") or entry.get("summary", ""),
        tzid=iana(entry.get("timeZone", "")),
        read_only=entry.get("accessRole") not in _WRITERS,
        primary=entry.get("primary", False),
    )
