"""A round of reading: what has changed in a window of time since the last one.

Graph tells what has changed in a `calendarView`: https://learn.microsoft.com/graph/delta-query-events. It tells it in
pieces that are not enough by themselves:

- Of a series come its occurrences in the window, bare. The series is read whole, once in a round.
- Single events come full, but without properties of ours. Few of them are read again, with these; of many it is asked
  which ones carry our stamp, in one list, and only those are read again.
- What is no longer in the window comes as removed, and so does what was deleted, and what was never in it but has
  changed. Each is asked for by its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kalends.domain.time import TimeSpan
from providers.errors import Gone, TokenExpired
from providers.interface import Broken, Known, Page, RemoteEvent
from providers.microsoft import wire
from providers.microsoft.copies import Copies, moment
from providers.microsoft.reading import Unreadable, read
from providers.microsoft.wire import Event

_KEY = re.compile("[0-9a-f]{32}")  # of an `Identity`
FEW = 10
"""So many single events are read again in a round before it is asked which ones are worth it."""


@dataclass(frozen=True, slots=True)
class Token:
    """How far we have read: the link that Graph gave, and where the window ends that it is about."""

    link: str
    until: datetime

    def __str__(self) -> str:
        return json.dumps({"link": self.link, "until": self.until.isoformat()})


def read_token(text: str) -> Token:
    """Return the token that was written. Raises `TokenExpired` for anything else."""
    try:
        plain = json.loads(text)
        return Token(str(plain["link"]), datetime.fromisoformat(plain["until"]))
    except (ValueError, KeyError, TypeError) as error:
        raise TokenExpired("This is no mark of how far Outlook was read.") from error


@dataclass
class Round:
    """One round. `known` tells what need not be read again."""

    copies: Copies
    known: Known
    page_size: int
    _series: set[str] = field(default_factory=set)  # those that were read
    _again: int = 0  # single events that were read again
    _stamped: set[str] | None = None

    async def since(self, token: Token) -> AsyncIterator[Page]:
        """Yield what has changed. Raises `TokenExpired`, `CalendarGone`."""
        link = self.copies.client.followed(token.link) or ""
        async for page in self._follow(link, token.until):
            yield page

    async def whole(self, window: TimeSpan) -> AsyncIterator[Page]:
        """Yield everything that takes place in a window. Raises `CalendarGone`."""
        query = {"startDateTime": moment(window.start), "endDateTime": moment(window.end)}
        link = self.copies.client.delta_url(self.copies.calendar, query)
        async for page in self._follow(link, window.end, window):
            yield page

    async def _follow(self, link: str, until: datetime, window: TimeSpan | None = None) -> AsyncIterator[Page]:
        client, account = self.copies.client, self.copies.account
        following: str | None = link
        last: str | None = None
        while following is not None:
            items, following, last = await client.delta(account, following, page_size=self.page_size)
            async for page in self._told(items):
                yield page
        yield Page(token=str(Token(last or "", until)), whole=window is not None, window=window)

    async def _told(self, items: Sequence[Any]) -> AsyncIterator[Page]:
        """Yield what a page of a delta tells; of what it names twice, the last counts."""
        latest: dict[str, Event] = {item["id"]: item for item in items if isinstance(item.get("id"), str)}
        removed = [name for name, item in latest.items() if "@removed" in item]
        present = {name: item for name, item in latest.items() if "@removed" not in item}
        series = [_series_of(item) for item in present.values()]
        single = {name: item for name, item in present.items() if _series_of(item) is None}
        async for page in self._single(single):
            yield page
        for name in series:
            if name is not None and name not in self._series:
                yield await self._whole(name)
        for name in removed:
            async for page in self._removed(name):
                yield page

    async def _single(self, events: dict[str, Event]) -> AsyncIterator[Page]:
        """Yield single events: those that we know with nothing but that they are there."""
        etags = await self.known(list(events)) if events else {}
        told = [
            RemoteEvent(name, wire.etag(event), event.get("webLink"), uid=event.get("iCalUId"))
            for name, event in events.items()
            if etags.get(name) == wire.etag(event)
        ]
        yield Page(told)
        new = [event for name, event in events.items() if etags.get(name) != wire.etag(event)]
        if self._again + len(new) > FEW and self._stamped is None:
            self._stamped = set()
            async for names in self.copies.stamped():
                self._stamped |= names
                yield Page()
        again = [event for event in new if self._stamped is None or self._may_be_ours(event, self._stamped)]
        yield self._page(*(event for event in new if event not in again))
        for event in again:
            self._again += 1
            found = await self._asked(event["id"])
            yield found if isinstance(found, Page) else self._page(found)

    def _may_be_ours(self, event: Event, stamped: set[str]) -> bool:
        """Tell whether an event carries our stamp, or was created by us since it was asked which ones do."""
        return event["id"] in stamped or _KEY.fullmatch(str(event.get("transactionId"))) is not None

    async def _whole(self, name: str) -> Page:
        """Read a series with all that belongs to it."""
        self._series.add(name)
        found = await self._asked(name, series=True)
        return found if isinstance(found, Page) else self._page(found)

    async def _removed(self, name: str) -> AsyncIterator[Page]:
        """Find out what it means that something is not in the window any more, or never was."""
        found = await self._asked(name)
        if isinstance(found, Page):
            yield found
            return
        yield Page()
        series = found.get("seriesMasterId")
        if series is None:
            yield self._page(found) if await self.copies.holds(name) else Page([_deleted(name)])
        elif series not in self._series:
            yield await self._whole(series)

    async def _asked(self, name: str, *, series: bool = False) -> Event | Page:
        """Return an event as it is now, or else the page that says what became of it."""
        try:
            return await self.copies.event(name, series=series)
        except Gone:
            return Page([_deleted(name)])
        except Unreadable as error:
            return Page(broken=(Broken(name, str(error)),))

    def _page(self, *events: Event) -> Page:
        """Return events as read; what nobody can read does not keep us from the rest."""
        found: list[RemoteEvent] = []
        broken: list[Broken] = []
        for event in events:
            try:
                found.append(read(event, self.copies.calendar))
            except Unreadable as error:
                broken.append(Broken(event.get("iCalUId") or event["id"], str(error)))
        return Page(found, tuple(broken))


def _series_of(item: Event) -> str | None:
    """Return the id of the series that an item belongs to, or is; None for a single event."""
    return item["id"] if item.get("type") == "seriesMaster" else item.get("seriesMasterId")


def _deleted(name: str) -> RemoteEvent:
    return RemoteEvent(name, "", deleted=True)
