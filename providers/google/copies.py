"""What Google has of an event, all of it: a single event, or a recurring one with what differs from its rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b

from kalends.domain.events import EventState
from kalends.domain.recurrence import Override, Recurrence
from providers.google.mapping import Notes, Unreadable, read_content, read_when, stamped
from providers.google.recurrence import original_wall, read_lines
from providers.google.shown import settled
from providers.google.wire import Event
from providers.interface import Broken, RemoteCalendar, RemoteEvent

_DELETED_ETAG = '"deleted"'
"""Stands where Google shows no etag, and agrees with none."""


def cancelled(event: Event) -> bool:
    """Tell whether an event is deleted: Google keeps it for a while, and shows it where one asks for it."""
    return event.get("status") == "cancelled"


@dataclass(frozen=True)
class Copy:
    """An event with its exceptions: instances that differ from their series, and those that were deleted."""

    event: Event
    exceptions: Sequence[Event] = ()

    @cached_property
    def etag(self) -> str:
        """What changes with every change of it.

        A series has Google's etag and, behind a space, a digest of its exceptions': each of them has an etag of its
        own, and that of the series does not tell of it.
        """
        own = self.event.get("etag", _DELETED_ETAG)
        if not self.exceptions:
            return own
        digest = blake2b(digest_size=12)
        for each in sorted(self.exceptions, key=lambda each: each["id"]):
            digest.update(f"{each['id']} {'' if cancelled(each) else each.get('etag')}\n".encode())
        return f"{own} {digest.hexdigest()}"


def own_etag(etag: str) -> str:
    """Return Google's etag, which is all or the first part of ours."""
    return etag.partition(" ")[0]


def deleted(remote_id: str, etag: str = _DELETED_ETAG, uid: str | None = None) -> RemoteEvent:
    """Return a copy that is deleted."""
    return RemoteEvent(remote_id, etag, deleted=True, uid=uid)


def read(copy: Copy, calendar: RemoteCalendar) -> RemoteEvent:
    """Return a copy in our words. Raises `Unreadable`."""
    event = copy.event
    if cancelled(event):
        return deleted(event["id"], copy.etag, event.get("iCalUID"))
    notes = Notes()
    state = _state(copy, calendar, notes)
    return RemoteEvent(
        event["id"],
        copy.etag,
        event.get("htmlLink"),
        state=state,
        uid=event.get("iCalUID"),
        event_id=stamped(event),
        warnings=notes.warnings,
    )


def read_or_broken(copy: Copy, calendar: RemoteCalendar) -> RemoteEvent | Broken:
    """Return a copy in our words, or why it cannot be read."""
    try:
        return read(copy, calendar)
    except Unreadable as error:
        return Broken(copy.event.get("iCalUID") or copy.event["id"], str(error))


def by_wall(copy: Copy, calendar: RemoteCalendar) -> Mapping[datetime, Event]:
    """Return a series' exceptions by the wall times at which it would have started them. Raises `Unreadable`."""
    if not copy.exceptions:
        return {}
    when = read_when(copy.event, calendar.tzid, Notes())
    return {original_wall(each, when): each for each in copy.exceptions}


def _state(copy: Copy, calendar: RemoteCalendar, notes: Notes) -> EventState:
    when = read_when(copy.event, calendar.tzid, notes)
    content = read_content(copy.event, calendar, notes)
    recurrence = read_lines(copy.event.get("recurrence", []), when)
    if recurrence is None:
        return EventState(when, content)
    gone, overrides = set(recurrence.exdates), {}
    for wall, event in by_wall(copy, calendar).items():
        if cancelled(event):
            gone.add(wall)
        else:
            overrides[wall] = Override(read_when(event, calendar.tzid, notes), read_content(event, calendar, notes))
    told = Recurrence(recurrence.rule, recurrence.rdates, frozenset(gone - overrides.keys()), overrides)
    return EventState(when, content, settled(when, content, told))
