"""What has changed in a calendar: by sync-collection (RFC 6578) where it works, else by comparing ETags.

A token of ours says which way it belongs to. What a round has to fetch, it fetches by calendar-multiget in batches;
what the caller knows already is named only. A resource that cannot be read is reported as such, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from providers.caldav.client import Dav, Unanswered, etag_of, refusal, same_path
from providers.caldav.mapping import copy_of, read
from providers.caldav.wire import (
    Member,
    Multistatus,
    Unparsable,
    batches,
    calendar_multiget,
    propfind,
    read_conditions,
    sync_collection,
    tag,
)
from providers.errors import CalendarGone, OutcomeUnknown, ProviderError, Refused, TokenExpired
from providers.ical.lines import Unreadable
from providers.ical.people import Owner
from providers.ical.read import Resource
from providers.interface import Broken, Known, Page, RemoteEvent
from providers.web import UNREADABLE, TooLarge

BY_TOKEN, BY_TAG = "sync-token ", "ctag "
MAX_ROUNDS = 1_000  # of one listing that comes in parts
GONE = "The server has no such calendar, or hides it from this user."
_GONE = (403, 404, 410)
_ABOUT = propfind("d:resourcetype", "d:supported-report-set", "cs:getctag")
_ETAGS = propfind("d:getetag", "d:resourcetype")
_CUT = "The server lists only a part of this calendar, and does not say the rest."
_HIDDEN = "The server names this event, and does not show it."
_TOO_LARGE = "It is larger than Kalends reads."


@dataclass(frozen=True, slots=True)
class Place:
    """A calendar at its server: the way there, its path, and what is needed to read its events."""

    dav: Dav
    path: str
    tzid: str
    owner: Owner

    def path_of(self, name: str) -> str:
        """Return the path of a resource; names are relative to the calendar, where it is in there."""
        return name if name.startswith("/") else self.path + name

    def name_of(self, href: str) -> str | None:
        """Return the name of a resource; None for the calendar itself, and for what is no resource of this server."""
        path = self.dav.path(href)
        if path is None or path.endswith("/") or same_path(path, self.path):
            return None
        parent, _, leaf = path.rpartition("/")
        return leaf if same_path(parent, self.path) else path


@dataclass(frozen=True, slots=True)
class About:
    """What a calendar says of itself."""

    tokens: bool
    ctag: str | None


async def about(place: Place) -> About:
    """Ask a calendar what it can do. Raises `CalendarGone` where there is none."""
    try:
        listing, _ = await place.dav.propfind(place.path, _ABOUT, depth=0)
    except Unanswered as error:
        raise gone_or_refused(error) from error
    member = next((each for each in listing.members if same_path(place.dav.path(each.href) or "", place.path)), None)
    if member is None or member.status in _GONE or not member.has("d:resourcetype", "c:calendar"):
        raise CalendarGone(GONE)  # Xandikos says 404 inside of a 207
    tokens = member.has("d:supported-report-set", "d:sync-collection") and place.dav.quirks.tokens
    return About(tokens, member.text("cs:getctag"))


def gone_or_refused(error: Unanswered) -> ProviderError:
    """Return what it means that a calendar was asked and did not answer."""
    if error.answer.status in _GONE:
        return CalendarGone(GONE)
    if error.answer.status < 400:
        return OutcomeUnknown(UNREADABLE)
    if error.answer.status == 507:
        return Refused(_CUT)
    return refusal(error.answer)


class Listing:
    """One round of changes."""

    def __init__(self, place: Place, known: Known, batch: int) -> None:
        self._place = place
        self._known = known
        self._batch = batch

    async def pages(self, token: str | None) -> AsyncIterator[Page]:
        """Yield what has changed since a token; without one, everything."""
        if token is not None and token.startswith(BY_TOKEN):
            rounds = self._since(token.removeprefix(BY_TOKEN), whole=False)
        elif token is not None and token.startswith(BY_TAG):
            rounds = self._compared(token.removeprefix(BY_TAG))
        elif token is not None:
            raise TokenExpired("The server does not know this token.")
        elif (await about(self._place)).tokens:
            yield Page()
            rounds = self._since("", whole=True)
        else:
            yield Page()
            rounds = self._compared(None)
        async for page in rounds:
            yield page

    async def _since(self, token: str, *, whole: bool) -> AsyncIterator[Page]:
        """Yield what sync-collection tells, part by part, until the server has nothing more (RFC 6578 section 3.6)."""
        for _ in range(MAX_ROUNDS):
            listing = await self._asked(token)
            if listing.token is None:
                raise OutcomeUnknown(UNREADABLE)
            cut = self._is_cut(listing)
            if cut and whole and self._place.dav.quirks.lossy_first_listing:
                raise Refused(_CUT)
            if cut and listing.token == token:
                raise OutcomeUnknown(UNREADABLE)
            removed, etags = self._sorted(listing)
            # What is not there any more is left out of a whole round, but for what an earlier part of it has told of.
            yield Page([_removed(name) for name in removed])
            async for page in self._fetched(etags, whole=whole):
                yield page
            token = listing.token
            if not cut:
                yield Page(token=BY_TOKEN + token, whole=whole)
                return
        raise OutcomeUnknown(UNREADABLE)

    async def _compared(self, tag_then: str | None) -> AsyncIterator[Page]:
        """Yield everything that there is, where the calendar has changed: what is known is named only."""
        ctag = (await about(self._place)).ctag or ""
        if ctag and ctag == tag_then:
            yield Page(token=BY_TAG + ctag)
            return
        yield Page()
        place = self._place
        try:
            listing, _ = await place.dav.propfind(place.path, _ETAGS, depth=1)
        except Unanswered as error:
            raise gone_or_refused(error) from error
        if self._is_cut(listing):
            raise Refused(_CUT)
        _, etags = self._sorted(listing)
        yield Page()
        async for page in self._fetched(etags, whole=True):
            yield page
        yield Page(token=BY_TAG + ctag, whole=True)

    async def _asked(self, token: str) -> Multistatus:
        try:
            return await self._place.dav.report(self._place.path, sync_collection(token), depth=0)
        except Unanswered as error:
            conditions = read_conditions(error.answer.body)
            invalid = tag("d:valid-sync-token") in conditions or error.answer.status in (409, 412, 418)
            if token and (invalid or (error.answer.status == 403 and not conditions)):
                await about(self._place)  # a calendar that is hidden from us is no matter of its token
                raise TokenExpired("The server does not know any more how far Kalends had read.") from error
            raise gone_or_refused(error) from error

    def _is_cut(self, listing: Multistatus) -> bool:
        """Tell whether a listing is a part only: 507, on the calendar's own name."""
        return any(each.status == 507 for each in listing.members)

    def _sorted(self, listing: Multistatus) -> tuple[list[str], dict[str, str]]:
        """Return the names of what is not there any more, and the ETags of what is; unknown ones are empty."""
        removed: dict[str, None] = {}
        etags: dict[str, str] = {}
        for member in listing.members:
            name = self._place.name_of(member.href)
            if name is None or member.status == 507 or member.has("d:resourcetype", "d:collection"):
                continue
            if member.status in (404, 410):
                removed[name] = None
                etags.pop(name, None)
            else:
                removed.pop(name, None)
                etags[name] = etag_of(member.text("d:getetag")) or ""
        return list(removed), etags

    async def _fetched(self, etags: Mapping[str, str], *, whole: bool) -> AsyncIterator[Page]:
        """Yield the events behind these names, a page for each request."""
        for names in batches(list(etags), self._batch):
            known = await self._known(names)
            unchanged = [name for name in names if etags[name] and known.get(name) == etags[name]]
            fresh = [name for name in names if name not in set(unchanged)]
            if unchanged:
                yield Page([RemoteEvent(name, etags[name]) for name in unchanged])
            waiting = [fresh] if fresh else []
            while waiting:
                asked = waiting.pop()
                try:
                    yield await self._read(asked, whole=whole)
                except (TooLarge, Unparsable) as error:  # one of them is what cannot be read: the others can
                    if len(asked) == 1:
                        reason = _TOO_LARGE if isinstance(error, TooLarge) else UNREADABLE
                        yield Page([RemoteEvent(asked[0], "")], [Broken(asked[0], reason)])
                    else:
                        waiting += [asked[len(asked) // 2 :], asked[: len(asked) // 2]]
                        yield Page()

    async def _read(self, names: Sequence[str], *, whole: bool) -> Page:
        """Fetch these events, and read them in a thread: large ones take a while, in which others are served."""
        place = self._place
        try:
            listing = await place.dav.report(place.path, calendar_multiget(map(place.path_of, names)), depth=1)
        except Unanswered as error:
            raise gone_or_refused(error) from error
        return await asyncio.to_thread(self._page, names, listing, whole)

    def _page(self, names: Sequence[str], listing: Multistatus, whole: bool) -> Page:
        """Return what an answer says of these events.

        One that cannot be read is named without a state, beside the reason: it is there, and must not count as deleted.
        """
        place = self._place
        by_path = {unquote(place.path_of(name)): name for name in names}
        events: list[RemoteEvent] = []
        broken: list[Broken] = []
        for member in listing.members:
            name = by_path.pop(unquote(place.dav.path(member.href) or ""), None)
            if name is None:
                continue
            found = _removed(name) if member.status in (404, 410) else self._understood(name, member)
            if isinstance(found, Broken):
                broken.append(found)
                events.append(RemoteEvent(name, ""))
            elif found is not None and not (found.deleted and whole):
                events.append(found)
        events += [RemoteEvent(name, "") for name in by_path.values()]
        return Page(events, (*broken, *(Broken(name, _HIDDEN) for name in by_path.values())))

    def _understood(self, name: str, member: Member) -> RemoteEvent | Broken | None:
        """Read one of the events that were fetched; None where it is no event."""
        data, etag = member.text("c:calendar-data"), etag_of(member.text("d:getetag"))
        if data is None or etag is None:
            return Broken(name, _HIDDEN)
        try:
            found = read(data.encode(), name, None, tzid=self._place.tzid, owner=self._place.owner)
        except Unreadable as error:
            return Broken(name, str(error))
        return copy_of(name, etag, found) if isinstance(found, Resource) else found


def _removed(name: str) -> RemoteEvent:
    return RemoteEvent(name, "", deleted=True)
