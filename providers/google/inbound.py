"""Reading a calendar: what has changed, page by page, with every series put together again.

https://developers.google.com/workspace/calendar/api/guides/sync. Google tells single events and series in one list: a
recurring event, each instance that differs from it, and of each instance that was deleted hardly more than its name.
A change of a series tells of one of these; the others are asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from providers.errors import CalendarGone, Gone, OutcomeUnknown, Refused, TokenExpired
from providers.google.client import Client, Forbidden, Missing
from providers.google.copies import Copy, cancelled, deleted, read_or_broken
from providers.google.mapping import unfinished
from providers.google.wire import Event, Events
from providers.interface import Broken, Known, Page, RemoteCalendar
from providers.web import UNREADABLE, TooLarge

NO_CALENDAR = "Google has no such calendar any more, or does not show it to this account."
PAGE = 250
"""How many events of a calendar are asked for at once, as many as Google gives by itself.

A page must come within the time of one call, and the longest within the bytes of one answer. Of 2500, which Google
allows, that is not sure.
"""
LARGEST_PAGE = 2500  # of one series: what differs from it is seldom much, and comes in one answer


async def fetched(client: Client, calendar: RemoteCalendar, event_id: str) -> Copy:
    """Return an event as it is, a series with all that differs from it. Raises `Missing`."""
    event = await client.get(calendar, event_id)
    if cancelled(event) or not event.get("recurrence"):
        return Copy(event)
    return _together(event, [each async for part in _family(client, calendar, event) for each in part])


async def _family(client: Client, calendar: RemoteCalendar, event: Event) -> AsyncIterator[Sequence[Event]]:
    """Yield a series, and every instance that differs from it or was deleted, a part after every request."""
    params = {
        "iCalUID": event["iCalUID"],
        "showDeleted": "true",
        "singleEvents": "false",
        "maxResults": str(LARGEST_PAGE),
    }
    while True:
        page = await client.events(calendar, params)
        yield page.get("items", [])
        if "nextPageToken" not in page:
            return
        params |= {"pageToken": page["nextPageToken"]}


def _together(event: Event, family: Iterable[Event]) -> Copy:
    """Return a series with its own of what has its UID: a series that was divided has left parts with the same."""
    members = {each["id"]: each for each in family}
    own = [each for each in members.values() if each.get("recurringEventId") == event["id"]]
    return Copy(members.get(event["id"], event), own)


class Round:
    """One look at a calendar: at all of it without a token, at what has changed with one."""

    def __init__(
        self, client: Client, calendar: RemoteCalendar, token: str | None, known: Known, page_size: int
    ) -> None:
        self._client = client
        self._calendar = calendar
        self._token = token
        self._known = known
        self._page_size = page_size
        self._masters: dict[str, Event] = {}
        self._instances: dict[str, dict[str, Event]] = {}  # by their series' id, and by their own

    async def pages(self) -> AsyncIterator[Page]:
        """Yield what there is, after every request."""
        # Google wants these to be beside a token what they were without one.
        params = {"singleEvents": "false", "maxResults": str(self._page_size)}
        if self._token is not None:
            params["syncToken"] = self._token
        while True:
            page = await self._page(params)
            yield self._told(map(Copy, self._kept(page.get("items", []))))
            if "nextPageToken" not in page:
                break
            params |= {"pageToken": page["nextPageToken"]}
        async for told in self._whole() if self._token is None else self._changed():
            yield told
        yield Page(token=page["nextSyncToken"], whole=self._token is None)

    async def _page(self, params: Mapping[str, str]) -> Events:
        try:
            page = await self._client.events(self._calendar, params)
        except Missing as error:
            raise CalendarGone(NO_CALENDAR) from error
        except Gone as error:
            raise TokenExpired("Google Calendar does not know any more how far it was read.") from error
        except Refused as error:
            if self._token is None or isinstance(error, (Forbidden, TooLarge)):
                raise
            # 410 says that a token has expired, 400 that it was never given for such a request.
            raise TokenExpired("Google Calendar does not understand how far it was read.") from error
        if "nextPageToken" not in page and "nextSyncToken" not in page:
            raise OutcomeUnknown(UNREADABLE)
        return page

    def _kept(self, events: Iterable[Event]) -> list[Event]:
        """Keep what belongs to a series for later, and return the rest."""
        rest: list[Event] = []
        for event in events:
            if "recurringEventId" in event:
                self._instances.setdefault(event["recurringEventId"], {})[event["id"]] = event
            elif event.get("recurrence") and not cancelled(event):
                self._masters[event["id"]] = event
            else:
                self._masters.pop(event["id"], None)
                rest.append(event)
        return rest

    async def _whole(self) -> AsyncIterator[Page]:
        """Yield the series of a round that has listed everything."""
        copies = [Copy(each, list(self._instances.pop(name, {}).values())) for name, each in self._masters.items()]
        # Who is invited to one occurrence only does not see the series: to them it is a single event.
        lone = [Copy(each) for own in self._instances.values() for each in own.values() if not cancelled(each)]
        copies += lone
        for first in range(0, len(copies), self._page_size):
            yield self._told(copies[first : first + self._page_size])

    async def _changed(self) -> AsyncIterator[Page]:
        """Yield the series of which something has changed, each whole."""
        for name in sorted(self._masters.keys() | self._instances.keys()):
            event = self._masters.get(name)
            if event is None:
                event = await self._seen(name)
                yield Page()
            if event is None:
                async for page in self._without_series(self._instances[name].values()):
                    yield page
                continue
            family: list[Event] = []
            async for part in _family(self._client, self._calendar, event):
                family += part
                yield Page()
            yield await self._assembled(_together(event, family))

    async def _seen(self, event_id: str) -> Event | None:
        """Return an event that is there and shown to us."""
        try:
            event = await self._client.get(self._calendar, event_id)
        except Missing:
            return None
        return None if cancelled(event) else event

    async def _without_series(self, instances: Iterable[Event]) -> AsyncIterator[Page]:
        """Yield instances of a series that is not there, or not for us: as single events, where they are there."""
        for each in instances:
            seen = None if cancelled(each) else await self._seen(each["id"])
            yield Page([deleted(each["id"])]) if seen is None else self._told([Copy(seen)])

    async def _assembled(self, copy: Copy) -> Page:
        """Return a series, and that its instances are no single events, which they may have been before."""
        page = self._told([copy])
        names = [each["id"] for each in copy.exceptions]
        once_single = await self._known(names) if names else {}
        return Page((*page.events, *map(deleted, once_single)), page.broken)

    def _told(self, copies: Iterable[Copy]) -> Page:
        read = [read_or_broken(each, self._calendar) for each in copies if not unfinished(each.event)]
        return Page(
            tuple(each for each in read if not isinstance(each, Broken)),
            tuple(each for each in read if isinstance(each, Broken)),
        )
