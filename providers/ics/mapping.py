"""Between a file's events and copies. Everything here is pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from providers.errors import CalendarGone, OutcomeUnknown
from providers.ical.lines import BrokenOff, NotACalendar
from providers.ical.people import Owner
from providers.ical.read import File, Group, duplicates, opened, resource
from providers.ics.client import GONE
from providers.interface import Broken, ListedCalendar, Page, RemoteEvent

CALENDAR = "calendar"
"""The name of the one calendar that a file is."""

_MAX_NAME = 255


def opened_now(data: bytes) -> File:
    """Open a file that was a calendar before.

    Raises `CalendarGone` for something else, such as a page that asks for a password, `OutcomeUnknown` where the end is
    missing, and `Unreadable` for more than Kalends reads: none of them is an empty calendar.
    """
    try:
        return opened(data)
    except NotACalendar as error:
        raise CalendarGone(GONE) from error
    except BrokenOff as error:
        raise OutcomeUnknown("The file broke off in the middle.") from error


def listed(file: File, host: str) -> ListedCalendar:
    """Return the calendar that a file is; without a name of its own, it has its server's."""
    return ListedCalendar(CALENDAR, file.name or host, file.tzid, read_only=True, primary=True)


def name_of(group: Group) -> str:
    """Return an event's name: its UID, where that is of a usual length."""
    return group.uid if len(group.uid) <= _MAX_NAME else hashlib.sha256(group.uid.encode()).hexdigest()


def etag_of(group: Group) -> str:
    """Return what changes when an event does."""
    return f'"{group.fingerprint}"'


def page_of(groups: Sequence[Group], known: Mapping[str, str], *, tzid: str, owner: Owner) -> Page:
    """Read some of a file's events; those that are known are named only.

    One that cannot be read is named, too, beside the reason: it is there, and must not count as deleted.
    """
    events: list[RemoteEvent] = []
    broken: list[Broken] = []
    for group in groups:
        name, etag = name_of(group), etag_of(group)
        broken += duplicates(group)
        if known.get(name) == etag:
            events.append(RemoteEvent(name, etag))
            continue
        found = copy_of(group, tzid=tzid, owner=owner)
        if isinstance(found, Broken):
            broken.append(found)
            found = RemoteEvent(name, "")
        events.append(found)
    return Page(tuple(events), tuple(broken))


def copy_of(group: Group, *, tzid: str, owner: Owner) -> RemoteEvent | Broken:
    """Read an event as a copy."""
    found = resource(group, tzid=tzid, owner=owner)
    if isinstance(found, Broken):
        return found
    return RemoteEvent(
        name_of(group),
        etag_of(group),
        state=found.state,
        uid=found.uid,
        event_id=found.event_id,
        warnings=found.warnings,
    )
