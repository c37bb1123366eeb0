"""Microsoft 365 and Outlook as a provider: which requests, in which order, and what follows from the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from kalends.domain.events import EventState
from kalends.domain.merge import same
from kalends.domain.sync import SyncWarning
from kalends.domain.time import TimeSpan
from providers.errors import AlreadyExists, Gone, Stale, TokenExpired
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
from providers.microsoft import channels, wire
from providers.microsoft.accounts import connection
from providers.microsoft.client import account_of, segment
from providers.microsoft.copies import Copies
from providers.microsoft.inbound import Round, read_token
from providers.microsoft.mapping import created
from providers.microsoft.reading import address, as_written, read
from providers.microsoft.series import journal_of, write_journal
from providers.microsoft.shown import declines, shown, warnings
from providers.microsoft.writing import CHANGED, Writing
from providers.surroundings import Surroundings

PAST, AHEAD = timedelta(days=90), timedelta(days=2 * 365)
_RUNS_LOW = 0.75  # of what lies ahead: then another window is due


class MicrosoftProvider:
    """Microsoft 365 and Outlook. Single events are looked for from `past` ago to `ahead` from now, series as far as
    they have occurrences there. `page_size` is how many events it asks for at once.
    """

    name = "microsoft"
    capabilities = Capabilities(
        remote=True,
        writes=True,
        suppress_invites=False,
        set_own_rsvp=False,
        keeps_cancelled=False,
        keeps_tentative=True,
        keeps_metadata=True,
        keeps_visibility=True,
        max_reminders=1,
        recurrence=True,
        rdates=False,
        one_call_at_a_time=True,  # at most four at once to a mailbox, whoever sends them
    )

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        past: timedelta = PAST,
        ahead: timedelta = AHEAD,
        page_size: int = 200,
    ) -> None:
        self._oauth, self._client = connection(surroundings)
        self._clock = surroundings.clock
        self._past = past
        self._ahead = ahead
        self._page_size = page_size

    # Writing

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        """Create a copy that carries our name for it, unless there is one.

        Graph's own protection, `transactionId`, answers a repetition as if it were the first, and nobody says for how
        long it remembers: so the name is looked for first. Where two ask at once, it still makes one copy.
        """
        copies, target = self._copies(calendar), shown(outgoing)
        if target is None:
            await self.delete(calendar, outgoing, None)
            return RemoteEvent(outgoing.identity.key, "", deleted=True)
        if await copies.named(outgoing.identity) is not None:
            raise AlreadyExists("Outlook has this event.")
        journal = journal_of(target)
        body = created(outgoing, target)
        if journal:
            body["singleValueExtendedProperties"] += wire.extended({wire.JOURNAL: write_journal(journal)})
        event = await copies.created(body)
        if not journal:
            return read(event, calendar)
        return as_written(await copies.finished(event, journal, strictly=True), calendar, target)

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        """Write what has changed. A cancelled event's copy is deleted."""
        target, agreed = shown(outgoing), _agreed(outgoing)
        if outgoing.agreed is not None and target is not None and same(agreed, target):
            return replace(known, state=outgoing.agreed.theirs)
        if target is None and not declines(outgoing):
            await self.delete(calendar, outgoing, known)
            return replace(known, deleted=True, state=None)
        return await Writing(self._copies(calendar), outgoing, agreed, target).over(known)

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        """Delete a copy. Its version is compared here: Graph does not say that it does so."""
        copies = self._copies(calendar)
        name = known.remote_id if known else await copies.named(outgoing.identity)
        if name is None:
            return
        etag = known.etag if known else ""
        try:
            if etag and await copies.etag(name) != etag:
                if await copies.holds(name):
                    raise Stale(CHANGED)
                await copies.seen()
                return
            await copies.removed(name, etag=etag or None)
        except Gone:
            await self._delete_other(copies, outgoing.identity)

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        """Return a copy as it is; None for one that is in this calendar no more."""
        copies = self._copies(calendar)
        if remote_id is not None and (found := await _held(copies, remote_id)) is not None:
            return found
        name = await copies.named(identity)
        return None if name is None else await _held(copies, name)

    # Saying what would happen

    def expected(self, outgoing: Outgoing) -> EventState | None:
        """Return what Outlook will show."""
        return shown(outgoing)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        """Return what Outlook cannot keep."""
        return warnings(outgoing)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """Return the body of the create, and beside it what its occurrences will be told."""
        target = shown(outgoing)
        if target is None:
            return {"transactionId": outgoing.identity.key, "isCancelled": True}
        occurrences = {wall.isoformat(): changes for wall, changes in journal_of(target).items()}
        return created(outgoing, target) | ({"occurrences": occurrences} if occurrences else {})

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        """Return who takes part at Outlook: they are mailed, whether invitations are asked for or not.

        Of somebody else's event, it is its organizer, where an answer is to be told.
        """
        content, agreed = outgoing.event.content, outgoing.agreed
        if content.organizer is not None and agreed is not None:
            return (content.organizer,) if content.send_invitations else ()
        state = shown(outgoing) or (agreed.theirs if agreed else None)
        return tuple(each.email for each in state.content.attendees) if state else ()

    # Reading

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        """Yield what has changed in a window of time. It does not move: when it runs low, there is another one."""
        now = self._clock().replace(microsecond=0)  # the window is exactly the one that is asked for
        reading = Round(self._copies(calendar), known, self._page_size)
        if token is None:
            pages = reading.whole(TimeSpan(now - self._past, now + self._ahead))
        else:
            mark = read_token(token)
            if mark.until - now < self._ahead * _RUNS_LOW:
                raise TokenExpired("The time that was looked at runs out: it begins anew.")
            pages = reading.since(mark)
        async for page in pages:
            yield page

    # Being called

    async def watch(self, calendar: RemoteCalendar, *, channel_id: str, secret: str, address: str) -> Channel:  # noqa: ARG002
        """Open a channel, which Graph names itself. It tries the address before it answers."""
        body = channels.opening(calendar, secret=secret, address=address, at=self._clock())
        return channels.channel(await self._client.post(account_of(calendar), "/subscriptions", body))

    async def renew(self, calendar: RemoteCalendar, channel: Channel) -> Channel | None:
        """Prolong a channel; None for one that is gone."""
        try:
            path, body = _path(channel), channels.prolonging(self._clock())
            return channels.channel(await self._client.patch(account_of(calendar), path, body))
        except Gone:
            return None

    async def unwatch(self, calendar: RemoteCalendar, channel: Channel) -> None:
        """Close a channel."""
        try:
            await self._client.delete(account_of(calendar), _path(channel))
        except Gone:
            return

    def handshake(self, call: HookCall) -> str | None:
        """Return the token with which Graph tries an address."""
        return channels.handshake(call)

    def hints(self, call: HookCall) -> Sequence[Hint]:
        """Return what a call says, also about the channel itself."""
        return channels.hints(call)

    # Accounts

    async def authorization_url(self, *, state: str, challenge: str, redirect_uri: str, address: str | None) -> str:
        """Return where to send the owner."""
        return await self._oauth.authorization_url(
            state=state, challenge=challenge, redirect_uri=redirect_uri, address=address
        )

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Opened:
        """Open the account. Its main calendar's id is its name: an address may change, and this does not."""
        grant = await self._oauth.exchange(code=code, verifier=verifier, redirect_uri=redirect_uri)
        calendar: wire.Calendar = await self._client.own_calendar(grant.secrets["access_token"])
        return Opened(grant, calendar.get("id", ""), address({"emailAddress": calendar.get("owner")}))

    async def calendars(self, account: RemoteAccount) -> Sequence[ListedCalendar]:
        """Return the account's calendars. Their zones are the mailbox's, which we do not ask to see."""
        found: list[ListedCalendar] = []
        async for page in self._client.listed(account, "/me/calendars"):
            found += [_listed(each) for each in page]
        return found

    async def revoke(self, grant: Grant) -> None:
        """Do nothing: Microsoft takes no token back. An owner removes the application at myaccount.microsoft.com."""
        await self._oauth.revoke(grant)

    def _copies(self, calendar: RemoteCalendar) -> Copies:
        return Copies(self._client, calendar)

    async def _delete_other(self, copies: Copies, identity: Identity) -> None:
        """Delete the copy of this name, where it has another id than the one that we knew, as after a move."""
        name = await copies.named(identity)
        if name is not None:
            try:
                await copies.removed(name)
            except Gone:
                return


async def _held(copies: Copies, name: str) -> RemoteEvent | None:
    """Return an event of this calendar as it is."""
    try:
        event = await copies.event(name)
    except Gone:
        return None
    return read(event, copies.calendar) if await copies.holds(name) else None


def _agreed(outgoing: Outgoing) -> EventState | None:
    """Return what Outlook shows for what we said when both sides were last in step."""
    if outgoing.agreed is None:
        return None
    ours = outgoing.agreed.ours
    before = replace(outgoing.event, when=ours.when, content=ours.content, recurrence=ours.recurrence)
    return shown(replace(outgoing, event=before))


def _listed(calendar: wire.Calendar) -> ListedCalendar:
    return ListedCalendar(
        calendar["id"],
        calendar.get("name") or "",
        read_only=not calendar.get("canEdit", True),
        primary=bool(calendar.get("isDefaultCalendar")),
    )


def _path(channel: Channel) -> str:
    return f"/subscriptions/{segment(channel.remote_id)}"
