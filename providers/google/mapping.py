"""One event in Google's words and in ours. Pure: no input, no output.

What an event says is a `Body` on the way out and an `Event` on the way in. An update sends what differs between two
bodies of ours, so that what we do not know of survives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from kalends.domain.errors import KalendsError
from kalends.domain.events import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_SUMMARY,
    Attendee,
    EventContent,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.time import TimeSpan, When, instant, whole_days, zone
from kalends.domain.values import MAX_METADATA_ENTRIES
from providers.google.wire import Body, Event, EventDateTime, EventReminders
from providers.interface import Identity, RemoteCalendar
from providers.zones import iana

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_DESCRIPTION = 8192  # characters that Google Calendar takes
STAMP_EVENT, STAMP_GENERATION = "kalendsEvent", "kalendsGeneration"
UNFINISHED = "kalendsUnfinished"
"""Marks a series that was created, and whose occurrences are still to be written."""

RESERVED = frozenset({STAMP_EVENT, STAMP_GENERATION, UNFINISHED})
"""Private extended properties that are ours, and nobody's metadata."""

_NO_TIME: Body = {"date": None, "dateTime": None, "timeZone": None}
ANSWERS = {
    Partstat.NEEDS_ACTION: "needsAction",
    Partstat.ACCEPTED: "accepted",
    Partstat.DECLINED: "declined",
    Partstat.TENTATIVE: "tentative",
}
_PARTSTATS = {answer: partstat for partstat, answer in ANSWERS.items()}
_VISIBILITIES = {each.lower(): each for each in Visibility}
# Google wants these two to be transparent; where they do not say so, they do not make anybody busy either.
# https://developers.google.com/workspace/calendar/api/guides/event-types
_NEVER_BUSY = ("workingLocation", "birthday")
_AWAY = "outOfOffice"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Unreadable(Exception):
    """An event that cannot be read. The message says why, to people."""


@dataclass
class Notes:
    """What could not be read as it is: one warning of a kind."""

    found: dict[WarningCode, SyncWarning] = field(default_factory=dict)

    def add(self, code: WarningCode, message: str) -> None:
        """Note something."""
        self.found.setdefault(code, SyncWarning(code, message))

    @property
    def warnings(self) -> tuple[SyncWarning, ...]:
        """What was noted."""
        return tuple(self.found.values())


def reads(function: Callable[P, T]) -> Callable[P, T]:
    """Make of whatever a reader stumbles upon in somebody else's data an `Unreadable`."""

    @wraps(function)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, KalendsError) as error:
            raise Unreadable("It is not in the form that Google describes.") from error

    return reading


# Reading


@reads
def read_when(event: Event, tzid: str, notes: Notes) -> When:
    """Return when an event takes place; `tzid` is the calendar's zone. Raises `Unreadable`."""
    if not event.get("start") or not event.get("end"):
        raise Unreadable("It has no start, or no end.")
    start, end = event["start"], event["end"]
    if "date" in start:
        first, stop = date.fromisoformat(start["date"]), date.fromisoformat(end["date"])
        return whole_days(first, _after(first, stop, timedelta(days=1), notes), tzid)
    tzid = _zone(start, tzid, notes)
    since, until = read_instant(start, tzid), read_instant(end, tzid)
    until = _after(since, until, timedelta(minutes=1), notes)
    first_wall, last_wall = (each.astimezone(zone(tzid)).replace(tzinfo=None) for each in (since, until))
    return When(first_wall, last_wall, tzid, TimeSpan(since, until))


def read_instant(time: EventDateTime, tzid: str) -> datetime:
    """Return the instant, in whole seconds; without an offset, by the clocks of a zone."""
    moment = datetime.fromisoformat(time["dateTime"]).replace(microsecond=0)
    return instant(moment, tzid) if moment.tzinfo is None else moment.astimezone(UTC)


@reads
def read_content(event: Event, calendar: RemoteCalendar, notes: Notes) -> EventContent:
    """Return what an event says. What is longer than Kalends takes is cut, always in the same way."""
    attendees, partstat = _read_attendees(event, calendar, notes)
    return EventContent(
        summary=_text(event.get("summary"), MAX_SUMMARY, notes),
        location=_text(event.get("location"), MAX_LOCATION, notes),
        description=_text(event.get("description"), MAX_DESCRIPTION, notes) or None,
        attendees=attendees,
        partstat=partstat,
        transparent=event.get("transparency") == "transparent" or event.get("eventType") in _NEVER_BUSY,
        out_of_office=event.get("eventType") == _AWAY,
        status=EventStatus.TENTATIVE if event.get("status") == "tentative" else EventStatus.CONFIRMED,
        metadata=_read_metadata(event, notes),
        visibility=_VISIBILITIES.get(event.get("visibility", "default"), Visibility.PRIVATE),
        reminders=_read_reminders(event.get("reminders", {})),
        organizer=_read_organizer(event, calendar),
    )


def stamped(event: Event) -> UUID | None:
    """Return the id of our event of which this is a copy.

    A stamp is believed only beside the id that follows from it: whoever duplicates an event in Google Calendar, or
    changes a series from some day on, takes the stamp along.
    """
    noted = _private(event)
    try:
        event_id, generation = UUID(noted[STAMP_EVENT]), int(noted[STAMP_GENERATION])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return event_id if Identity(event_id, "", generation).key == event.get("id") else None


def unfinished(event: Event) -> bool:
    """Tell whether this is a series of ours whose occurrences are still to be written."""
    return UNFINISHED in _private(event) and stamped(event) is not None


def _private(event: Event) -> Mapping[str, Any]:
    """Return the private properties; whatever is in another form is none."""
    properties: Any = event.get("extendedProperties")
    private = properties.get("private") if isinstance(properties, dict) else None
    return private if isinstance(private, dict) else {}


def _after(start: Any, end: Any, shortest: timedelta, notes: Notes) -> Any:
    """Return an end that is after the start: Google has events that take no time."""
    if end < start:
        raise Unreadable("It ends before it starts.")
    if end == start:
        notes.add(WarningCode.PARTLY_READ, "It takes no time at Google; here it takes the shortest that there is.")
        return start + shortest
    return end


def _zone(start: EventDateTime, tzid: str, notes: Notes) -> str:
    name = start.get("timeZone")
    if name is None:
        return tzid
    known = iana(name)
    if known is None:
        notes.add(WarningCode.UNKNOWN_TIME_ZONE, "Its time zone is unknown: it was read in the calendar's.")
    return known or tzid


def _text(value: str | None, limit: int, notes: Notes) -> str:
    text = _CONTROLS.sub("", value or "")
    if len(text) > limit:
        notes.add(WarningCode.TEXT_SHORTENED, "Some of its text is longer than Kalends keeps.")
    return text[:limit]


def _mine(email: str | None, calendar: RemoteCalendar) -> bool:
    """Tell whether an address is the calendar's, or its owner's."""
    return email is not None and email.lower() in {(calendar.owner or "").lower(), calendar.remote_id.lower()}


def _read_attendees(event: Event, calendar: RemoteCalendar, notes: Notes) -> tuple[tuple[Attendee, ...], Partstat]:
    found: dict[str, Attendee] = {}
    mine: str | None = None
    for each in event.get("attendees", []):
        answer = _PARTSTATS.get(each.get("responseStatus", ""), Partstat.NEEDS_ACTION)
        name = each["email"].lower()
        found.setdefault(name, Attendee(each["email"], answer))
        if each.get("self") or (mine is None and _mine(name, calendar)):
            mine = name
    if event.get("attendeesOmitted"):
        notes.add(WarningCode.PARTLY_READ, "Google does not show all of its participants.")
    if len(found) > MAX_ATTENDEES:
        notes.add(WarningCode.PARTLY_READ, "It has more participants than Kalends keeps.")
    # Whom to keep of too many must not depend on their order, or it would look like a change.
    kept = (
        found if len(found) <= MAX_ATTENDEES else sorted(found, key=lambda name: (name != mine, name))[:MAX_ATTENDEES]
    )
    return tuple(found[name] for name in kept), Partstat.ACCEPTED if mine is None else found[mine].partstat


def _read_organizer(event: Event, calendar: RemoteCalendar) -> str | None:
    organizer = event.get("organizer", {})
    email = organizer.get("email")
    return None if organizer.get("self") or _mine(email, calendar) else email


def _read_metadata(event: Event, notes: Notes) -> dict[str, str]:
    found = sorted(_private(event).items())
    noted = {key: value for key, value in found if key not in RESERVED and isinstance(value, str)}
    if len(noted) > MAX_METADATA_ENTRIES:
        notes.add(WarningCode.PARTLY_READ, "It has more private properties than Kalends keeps.")
    return dict(list(noted.items())[:MAX_METADATA_ENTRIES])


def _read_reminders(reminders: EventReminders) -> tuple[int, ...] | None:
    if reminders.get("useDefault", True):
        return None
    return tuple(sorted({each["minutes"] for each in reminders.get("overrides", [])}))


# Writing


def written(when: When, content: EventContent, owner: str | None) -> Body:
    """Return all of an event that has its own place at Google, as a create sends it."""
    start, end = (_time(when, since) for since in (True, False))
    body: Body = {
        "summary": content.summary,
        "location": content.location,
        "description": (content.description or "")[:LONGEST_DESCRIPTION],
        "start": start,
        "end": end,
        "attendees": [
            {"email": each.email, "responseStatus": ANSWERS[each.partstat]} for each in taking_part(content, owner)
        ],
        "status": "tentative" if content.status is EventStatus.TENTATIVE else "confirmed",
        "transparency": "transparent" if content.transparent else "opaque",
        "visibility": content.visibility.lower(),
        "reminders": _reminders(content.reminders),
    }
    noted = kept_metadata(content)
    body = {name: value for name, value in body.items() if value not in ("", [])}
    return body | ({"extendedProperties": {"private": noted}} if noted else {})


def taking_part(content: EventContent, owner: str | None) -> tuple[Attendee, ...]:
    """Return who takes part. The calendar's owner does so where there is an answer of theirs that is worth telling."""
    if owner is None:
        return content.attendees
    mine = [each for each in content.attendees if each.email.lower() == owner.lower()]
    if not mine:
        told = content.partstat is not Partstat.ACCEPTED
        return (*content.attendees, Attendee(owner, content.partstat)) if told else content.attendees
    return tuple(Attendee(each.email, content.partstat) if each in mine else each for each in content.attendees)


def kept_metadata(content: EventContent) -> dict[str, str]:
    """Return the metadata that has its place at Google."""
    return {key: value for key, value in content.metadata.items() if key not in RESERVED}


def stamp(identity: Identity) -> dict[str, str]:
    """Return what marks a copy as ours."""
    return {STAMP_EVENT: str(identity.event_id), STAMP_GENERATION: str(identity.generation)}


def differing(old: Body, new: Body) -> Body:
    """Return what a PATCH sends to make of one body the other: a part that is no more is None, times are whole.

    https://developers.google.com/workspace/calendar/api/guides/performance#patch
    """
    changes: Body = {}
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if _plain(before) == _plain(after):
            continue
        if name in ("start", "end"):
            after = {**_NO_TIME, **new[name]}  # or an event that takes whole days now would keep its hours
        elif name == "extendedProperties":
            was, noted = ((each or {}).get("private", {}) for each in (before, after))
            keys = sorted(was.keys() | noted.keys())
            after = {"private": {key: noted.get(key) for key in keys if was.get(key) != noted.get(key)}}
        changes[name] = after
    return changes


def _time(when: When, since: bool) -> Body:
    if when.all_day:
        return {"date": (when.start_date if since else when.end_date).isoformat()}
    moment = when.span.start if since else when.span.end
    return {"dateTime": moment.astimezone(zone(when.tzid)).isoformat(), "timeZone": when.tzid}


def _reminders(minutes: tuple[int, ...] | None) -> Body:
    overrides = [{"method": "popup", "minutes": each} for each in sorted(set(minutes or ()))]
    return {"useDefault": minutes is None, "overrides": overrides}


def _plain(value: Any) -> Any:
    """Return a value of a body in a form in which the order of a list, and nothing at all, make no difference."""
    if isinstance(value, list):
        return sorted(tuple(sorted(each.items())) if isinstance(each, dict) else each for each in value)
    return value or None
