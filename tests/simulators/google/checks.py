"""What Google refuses in an event, beyond its form.

https://developers.google.com/workspace/calendar/api/v3/reference/events
"""

from __future__ import annotations

import re
from typing import Any

from .errors import Refusal, invalid
from .times import check_recurrence, instant, read_time

Wire = dict[str, Any]

_ID = re.compile(r"[a-v0-9]{5,1024}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_VALUES = {
    "status": ("confirmed", "tentative", "cancelled"),
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
}
_LONGEST = {"summary": 1024, "location": 1024, "description": 8192}
_ANSWERS = ("needsAction", "declined", "tentative", "accepted")
MAX_REMINDERS, LONGEST_REMINDER = 5, 40_320
MAX_KEY, MAX_VALUE, MAX_PROPERTIES = 44, 1024, 300


def check_id(event_id: Any) -> None:
    """Refuse an id that is not in base32hex, or too short."""
    if not isinstance(event_id, str) or not _ID.fullmatch(event_id):
        raise invalid("Invalid resource id value.")


def checked(body: Wire, zone: str) -> Wire:
    """Return an event with its times as Google answers them, or refuse it."""
    start, end = read_time(body.get("start"), "start", zone), read_time(body.get("end"), "end", zone)
    if start.keys() != end.keys():
        raise invalid("Start and end times must either both be date or both be dateTime.")
    if instant(end) < instant(start) or (end == start and "date" in start):
        raise invalid("The specified time range is empty.", "timeRangeEmpty")
    if body.get("recurrence"):
        if "date" not in start and not body["start"].get("timeZone"):
            raise invalid("Missing time zone definition for start time.", "required")
        check_recurrence(body["recurrence"], start)
    for name, values in _VALUES.items():
        if body.get(name, values[0]) not in values:
            raise invalid(f"Invalid value for: {name}.")
    for name, longest in _LONGEST.items():
        if len(body.get(name, "")) > longest:
            raise invalid(f"The {name} is too long.")
    _check_attendees(body.get("attendees", []))
    _check_reminders(body.get("reminders", {}))
    _check_properties(body.get("extendedProperties", {}))
    return body | {"start": start, "end": end}


def _check_attendees(attendees: list[Wire]) -> None:
    addresses = [str(each.get("email", "")) for each in attendees]
    if not all(_EMAIL.fullmatch(each) for each in addresses):
        raise invalid("Invalid attendee email.")
    if len({each.lower() for each in addresses}) != len(addresses):
        raise invalid("The same attendee is there twice.")
    if any(each.get("responseStatus", "needsAction") not in _ANSWERS for each in attendees):
        raise invalid("Invalid value for: responseStatus.")


def _check_reminders(reminders: Wire) -> None:
    overrides = reminders.get("overrides") or []
    if reminders.get("useDefault") and overrides:
        raise Refusal(
            400,
            "cannotUseDefaultRemindersAndSpecifyOverride",
            "Cannot specify both default reminders and overrides at the same time.",
            domain="calendar",
        )
    if len(overrides) > MAX_REMINDERS:
        raise invalid("Too many override reminders.")
    for each in overrides:
        if each.get("method") not in ("popup", "email"):
            raise invalid("Invalid reminder method.")
        if not 0 <= each.get("minutes", -1) <= LONGEST_REMINDER:
            raise invalid("Invalid reminder minutes.")


def _check_properties(properties: Wire) -> None:
    pairs = [pair for kind in properties.values() for pair in kind.items()]
    if len(pairs) > MAX_PROPERTIES or any(len(key) > MAX_KEY or len(value) > MAX_VALUE for key, value in pairs):
        raise invalid("The extended properties exceed their limits.")
