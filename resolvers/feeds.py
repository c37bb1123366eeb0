"""Published calendars: files at an address that opens with a secret, for those who subscribe to them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from kalends.domain.access import (
    Principal,
    Scope,
    feed_token,
    is_secret,
    new_secret,
    read_feed_token,
    require,
    secret_hash,
)
from kalends.domain.calendars import Calendar
from kalends.domain.errors import NotFound, Refused
from kalends.domain.events import Event
from kalends.domain.time import zone_data_version
from kalends.domain.values import FIRST_YEAR
from providers.ical import feed
from providers.ical.people import Owner
from resolvers.holding import place_of
from resolvers.services import Services
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork

FEEDS = "/calendars"
EVENTS_AT_ONCE = 250
_FORM = "1"  # of what is written: another form is another version of every file
_NOBODY = secret_hash("")


@dataclass(frozen=True, slots=True)
class Published:
    """A calendar that was published just now. `token` is shown once; `url` is None where nobody knows our address."""

    calendar: Calendar
    token: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """A published calendar that somebody has opened. `etag` changes with whatever its file says."""

    app_id: UUID
    calendar: Calendar
    owner: str | None
    etag: str


async def publish_calendar(services: Services, principal: Principal, calendar_id: UUID | None) -> Published:
    """Make the secret that opens a calendar's file. One that was made before opens it no longer.

    Whoever has it reads all events, so that its maker must be allowed to.
    """
    require(principal, Scope.MANAGE_CALENDARS)
    require(principal, Scope.READ)
    secret = new_secret()
    async with services.storage.writing(principal.app_id) as work:
        calendar = await _held(work, calendar_id)
        await work.feeds.open(calendar.id, secret_hash(secret), services.clock())
        await _note(services, work, principal, calendar)
    token = feed_token(principal.app_id, secret)
    url = f"{services.public_url}{FEEDS}/{calendar.id}.ics?token={token}" if services.public_url else None
    return Published(calendar, token, url)


async def unpublish_calendar(services: Services, principal: Principal, calendar_id: UUID | None) -> Calendar:
    """Let nothing open a calendar's file any more."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.writing(principal.app_id) as work:
        calendar = await _held(work, calendar_id)
        if await work.feeds.close(calendar.id):
            await _note(services, work, principal, calendar)
    return calendar


async def _held(work: UnitOfWork, calendar_id: UUID | None) -> Calendar:
    if calendar_id is None:
        raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar."))
    try:
        return await work.calendars.get(calendar_id)
    except Refused:
        raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar.")) from None


async def _note(services: Services, work: UnitOfWork, principal: Principal, calendar: Calendar) -> None:
    at = services.clock()
    await work.changes.note("calendar", calendar.id, Operation.UPDATED, origin=principal.name, at=at)


async def open_feed(services: Services, calendar_id: UUID | None, token: str) -> Feed | None:
    """Return a published calendar; None for one that there is not, and for a token that does not open it."""
    taken = read_feed_token(token)
    if taken is None or calendar_id is None:
        return None
    app_id, secret = taken
    async with services.storage.reading(app_id) as work:
        known = await work.feeds.secret_hash(calendar_id)
        if not is_secret(secret, known or _NOBODY) or known is None:
            return None
        calendar = (await work.calendars.many([calendar_id]))[0]
        owner = (await place_of(work, calendar)).owner
        position = await work.changes.position(calendar_id)
    told = (_FORM, zone_data_version(), calendar.name, calendar.tzid, owner or "", position or "")
    etag = hashlib.sha256("\n".join(told).encode()).hexdigest()[:40]
    return Feed(app_id, calendar, owner, f'"{etag}"')


async def file_of(services: Services, opened: Feed) -> AsyncIterator[bytes]:
    """Yield the file of a published calendar, in pieces, each read by itself: no transaction waits for a reader.

    What changes meanwhile may be in it, or not: the ETag is older, so that whoever has the file looks again.
    """
    owner, defined = Owner(opened.owner), set[str]()
    yield feed.opening(opened.calendar.name, opened.calendar.tzid)
    async with services.storage.reading(opened.app_id) as work:
        earliest = await work.events.earliest(opened.calendar.id)
    year = max(earliest.year - 1, FIRST_YEAR) if earliest is not None else FIRST_YEAR
    events: Sequence[Event] = ()
    while not events or len(events) == EVENTS_AT_ONCE:
        last = events[-1] if events else None
        async with services.storage.reading(opened.app_id) as work:
            events = await work.events.listed(opened.calendar.id, limit=EVENTS_AT_ONCE, after=last)
        if not events:
            break
        yield await asyncio.to_thread(feed.entries, events, owner, defined=defined, year=year)
    yield feed.CLOSING
