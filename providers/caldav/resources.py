"""Single resources of a calendar: found by name or by UID, with their versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from providers.caldav.client import Unanswered, etag_of, is_strong, refusal
from providers.caldav.listing import Place, about, gone_or_refused
from providers.caldav.mapping import copy_of, read
from providers.caldav.wire import calendar_multiget, calendar_query, read_conditions, tag
from providers.errors import AlreadyExists, OutcomeUnknown, ProviderError, Refused
from providers.ical.lines import Unreadable
from providers.ical.read import opened
from providers.interface import Broken, RemoteEvent
from providers.web import UNREADABLE, Answer

TAKEN = "The calendar has this event."
_UID_TAKEN = {tag("c:no-uid-conflict"), tag("c:unique-scheduling-object-resource")}  # the latter is Cyrus's
_IN_THE_TRASH = "The server still keeps the deleted event in its trash bin: empty it there, or restore the event."
_NOT_SHOWN = "The server has taken the event, and does not show it."


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it is now."""

    name: str
    etag: str
    data: bytes


async def get(place: Place, name: str) -> Resource | None:
    """Return a resource by its name; None where there is none."""
    answer = await place.dav.ask("GET", place.path_of(name))
    if answer.status in (404, 410):
        return None
    if answer.status != httpx.codes.OK:
        raise refusal(answer) if answer.status >= 400 else OutcomeUnknown(UNREADABLE)
    etag = etag_of(answer.headers.get("etag"))
    if etag is not None:
        return Resource(name, etag, answer.body)
    found = await _reported(place, calendar_multiget([place.path_of(name)]))
    return next(found, None)


async def search(place: Place, uid: str) -> Resource | None:
    """Return the resource with this UID, whatever its name. Raises `CalendarGone` where there is no such calendar.

    Some servers understand no such filter and answer with everything, so what comes is looked at once more.
    """
    return next((each for each in await _reported(place, calendar_query(uid)) if _holds(each.data, uid)), None)


async def look(place: Place, uid: str, name: str) -> Resource | None:
    """Return a resource by its name, or else the one with the UID; None where the calendar has neither."""
    return await get(place, name) or await search(place, uid)


def understood(place: Place, resource: Resource, uid: str) -> RemoteEvent:
    """Read a resource that somebody asked for. Raises `Refused` where it cannot be read."""
    found = read(resource.data, resource.name, uid, tzid=place.tzid, owner=place.owner)
    if isinstance(found, Broken):
        raise Refused(f"The copy on the server cannot be read. {found.reason}")
    if found is None:
        raise Refused("The copy on the server is no event.")
    return copy_of(resource.name, resource.etag, found)


async def stored(place: Place, name: str, uid: str, body: bytes, answer: Answer) -> RemoteEvent:
    """Return what a server has stored: what was sent, where it names the version, else what it has now.

    A server that changes what it stores must not name a version (RFC 4791 section 5.3.4); not every one obeys.
    """
    said = answer.headers.get("etag")
    etag = etag_of(said)
    if etag is not None and is_strong(said) and not place.dav.quirks.reads_back:
        return understood(place, Resource(name, etag, body), uid)
    found = await look(place, uid, name)
    if found is None:
        raise OutcomeUnknown(_NOT_SHOWN)
    return understood(place, found, uid)


async def not_created(place: Place, name: str, uid: str, answer: Answer) -> ProviderError:
    """Return what it means that a create was refused. Raises `CalendarGone` where there is no such calendar."""
    if answer.status == 412 or _UID_TAKEN & read_conditions(answer.body):
        return AlreadyExists(TAKEN)
    if answer.status in (400, 403, 404, 405, 409, 410):
        await about(place)
        if await look(place, uid, name) is not None:  # SOGo says 409 and Nextcloud 400, and neither says why
            return AlreadyExists(TAKEN)
        if answer.status == 400 and place.dav.quirks.trash:
            return Refused(_IN_THE_TRASH)
    return refusal(answer)


async def _reported(place: Place, body: bytes) -> Iterator[Resource]:
    try:
        listing = await place.dav.report(place.path, body, depth=1)
    except Unanswered as error:
        raise gone_or_refused(error) from error
    found = []
    for member in listing.members:
        name, etag = place.name_of(member.href), etag_of(member.text("d:getetag"))
        data = member.text("c:calendar-data")
        if name is not None and etag is not None and data is not None:
            found.append(Resource(name, etag, data.encode()))
    return iter(found)


def _holds(data: bytes, uid: str) -> bool:
    try:
        return any(group.uid == uid for group in opened(data).groups)
    except Unreadable:
        return False
