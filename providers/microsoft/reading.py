"""From an event as Graph sends it to a copy as we know it. Pure: no input, no output.

What Kalends has no word for is left where it is, and is not sent back changed: writes name single properties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import orjson

from kalends.domain.errors import Malformed
from kalends.domain.errors import Refused as Impossible
from kalends.domain.events import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_SUMMARY,
    Attendee,
    EventContent,
    EventState,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence, begun_at
from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.time import When
from kalends.domain.values import MAX_EMAIL, read_metadata
from providers.errors import Refused
from providers.interface import RemoteCalendar, RemoteEvent
from providers.microsoft import wire
from providers.microsoft.recurrence import from_wire
from providers.microsoft.text import clean, described
from providers.microsoft.times import read_day_of, read_original, read_when, read_zone
from providers.microsoft.wire import Event

USUAL_REMINDER = 15
"""Minutes. Outlook gives this one to an event of which nothing is said: it stands for the calendar's own."""

PARTSTATS = {
    "accepted": Partstat.ACCEPTED,
    "organizer": Partstat.ACCEPTED,
    "tentativelyAccepted": Partstat.TENTATIVE,
    "declined": Partstat.DECLINED,
}
_VISIBILITIES = {
    "personal": Visibility.PRIVATE,
    "private": Visibility.PRIVATE,
    "confidential": Visibility.CONFIDENTIAL,
}
_SHORTENED = SyncWarning(WarningCode.TEXT_SHORTENED, "Text of this event is longer in Outlook than Kalends keeps it.")
_PEOPLE = SyncWarning(
    WarningCode.PARTLY_READ, "Some of this event's participants in Outlook are not shown here: they have no address."
)
_CROWD = SyncWarning(
    WarningCode.PARTLY_READ, f"In Outlook this event has more participants than the {MAX_ATTENDEES} shown here."
)
ONLINE = SyncWarning(
    WarningCode.PARTLY_READ,
    "This is an online meeting: its description, which holds the way into it, is only changed in Outlook.",
)


class Unreadable(Refused):
    """What came is no event as Graph's documentation describes one."""


@dataclass(frozen=True)
class _Reading:
    """What one event is read for; `warnings` are found on the way."""

    calendar: RemoteCalendar
    tzid: str
    metadata: dict[str, str]
    warnings: list[SyncWarning] = field(default_factory=list)


def read(event: Event, calendar: RemoteCalendar) -> RemoteEvent:
    """Return the copy that an event is: of a series all of it, if its exceptions came along. Raises `Unreadable`."""
    try:
        properties = wire.properties(event)
        tzid, warnings = read_zone(event, calendar.tzid)
        reading = _Reading(calendar, tzid, _metadata(properties.get(wire.METADATA)), list(warnings))
        state = _state(event, reading)
        return RemoteEvent(
            event["id"],
            wire.etag(event),
            event.get("webLink"),
            state=state,
            uid=event.get("iCalUId"),
            event_id=_event_id(properties.get(wire.STAMP)),
            warnings=tuple(dict.fromkeys(reading.warnings)),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, Impossible) as error:
        raise Unreadable("Outlook has an event here that Kalends cannot read.") from error


def as_written(event: Event, calendar: RemoteCalendar, state: EventState) -> RemoteEvent:
    """Return a copy that was read after several requests had brought it into a state.

    Where it says something else, somebody may have been there in between: that is not agreed on yet. So its version is
    none that we know, and it will be read again. Raises `Unreadable`.
    """
    copy = read(event, calendar)
    return replace(copy, state=state, etag=copy.etag if same(copy.state, state) else "")


def address(person: wire.Recipient | None) -> str | None:
    """Return somebody's e-mail address. Some have none, or one of Exchange's own
    (https://github.com/microsoftgraph/microsoft-graph-docs/issues/13898).
    """
    text = clean(((person or {}).get("emailAddress") or {}).get("address")).strip()
    return text if "@" in text and len(text) <= MAX_EMAIL and not text.startswith("/") else None


def is_own(event: Event, owner: str | None) -> bool:
    """Tell whether the calendar's owner organises an event; of one without an organizer nobody else does."""
    if event.get("isOrganizer", True):
        return True
    organizer = event.get("organizer")
    return organizer is None or (owner is not None and (address(organizer) or "").lower() == owner.lower())


def _state(event: Event, reading: _Reading) -> EventState:
    when, warnings = read_when(event, reading.tzid, reading.calendar.tzid)
    content = _content(event, reading)
    reading.warnings.extend(warnings)
    repeats = event.get("recurrence")
    if repeats is None:
        return EventState(when, content)
    exdates = frozenset(read_day_of(each, when) for each in event.get("cancelledOccurrences") or ())
    overrides = dict(_overrides(event, when, content, reading))
    recurrence = Recurrence(from_wire(repeats, when), exdates=exdates - overrides.keys(), overrides=overrides)
    return EventState(when, content, recurrence)


def _overrides(
    event: Event, when: When, content: EventContent, reading: _Reading
) -> Iterator[tuple[datetime, Override]]:
    """Yield the occurrences that differ from their series, each under its own time.

    Outlook keeps calling an exception what was changed back: that one is none for us.
    """
    usual = EventState(when, content)
    for exception in event.get("exceptionOccurrences") or ():
        wall = read_original(exception, when)
        moved, warnings = read_when(exception, reading.tzid, reading.calendar.tzid)
        reading.warnings.extend(warnings)
        override = Override(moved, _content(exception, reading))
        begun = begun_at(when, wall)
        if begun is None or not same(EventState(override.when, override.content), replace(usual, when=begun)):
            yield wall, override


def _content(event: Event, reading: _Reading) -> EventContent:
    owner = reading.calendar.owner
    own = is_own(event, owner)
    partstat = Partstat.ACCEPTED if own else _partstat(event.get("responseStatus"))
    if event.get("isOnlineMeeting"):
        reading.warnings.append(ONLINE)
    return EventContent(
        summary=_text(event.get("subject"), MAX_SUMMARY, reading),
        location=_text((event.get("location") or {}).get("displayName"), MAX_LOCATION, reading),
        description=_text(described(event.get("body")), MAX_DESCRIPTION, reading) or None,
        attendees=_attendees(event, own, partstat, reading),
        partstat=partstat,
        transparent=event.get("showAs") == "free",
        out_of_office=event.get("showAs") == "oof",
        status=_status(event, own, partstat),
        metadata=reading.metadata,
        visibility=_VISIBILITIES.get(event.get("sensitivity", "normal"), Visibility.DEFAULT),
        reminders=_reminders(event),
        organizer=None if own else _organizer(event),
    )


def _text(text: str | None, at_most: int, reading: _Reading) -> str:
    whole = clean(text)
    if len(whole) > at_most:
        reading.warnings.append(_SHORTENED)
    return whole[:at_most]


def _attendees(event: Event, own: bool, partstat: Partstat, reading: _Reading) -> tuple[Attendee, ...]:
    """Return who is asked to take part, but for the organizer; the owner's answer is the one of the whole event."""
    owner, organizer = (reading.calendar.owner or "").lower(), (address(event.get("organizer")) or "").lower()
    found: dict[str, Attendee] = {}
    for each in event.get("attendees") or ():
        email = address(each)
        if email is None:
            reading.warnings.append(_PEOPLE)
            continue
        folded = email.lower()
        if folded == organizer or (own and folded == owner):
            continue
        found.setdefault(folded, Attendee(email, partstat if folded == owner else _partstat(each.get("status"))))
    if len(found) > MAX_ATTENDEES:
        reading.warnings.append(_CROWD)
    return tuple(found.values())[:MAX_ATTENDEES]


def _partstat(status: wire.ResponseStatus | None) -> Partstat:
    return PARTSTATS.get((status or {}).get("response") or "none", Partstat.NEEDS_ACTION)


def _status(event: Event, own: bool, partstat: Partstat) -> EventStatus:
    """Return an event's status. An invitation shows as tentative until its owner has accepted it: that is no status."""
    if event.get("isCancelled"):
        return EventStatus.CANCELLED
    tentative = event.get("showAs") == "tentative" and (own or partstat is Partstat.ACCEPTED)
    return EventStatus.TENTATIVE if tentative else EventStatus.CONFIRMED


def _reminders(event: Event) -> tuple[int, ...] | None:
    if not event.get("isReminderOn", True):
        return ()
    minutes = int(event.get("reminderMinutesBeforeStart", USUAL_REMINDER))
    return None if minutes == USUAL_REMINDER else (minutes,)


def _organizer(event: Event) -> str:
    """Return whose event it is, by address, or else by whatever there is."""
    organizer = event.get("organizer")
    named = (organizer or {}).get("emailAddress") or {}
    return address(organizer) or clean(named.get("name") or named.get("address"))[:254] or "unknown"


def _metadata(value: str | None) -> dict[str, str]:
    """Return an event's metadata; none where somebody else has written over it."""
    try:
        metadata = read_metadata(orjson.loads(value or "{}"))
    except orjson.JSONDecodeError:
        return {}
    return {} if isinstance(metadata, Malformed) else metadata


def _event_id(stamp: str | None) -> UUID | None:
    """Return the event of ours that a stamp names: see `Outgoing` and `mapping.stamp`."""
    try:
        return UUID((stamp or "").split(" ")[1])
    except (ValueError, IndexError):
        return None
