"""Event states as JSON: what is kept of an agreement, and what the sandbox provider keeps of an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kalends.domain.events import (
    Attendee,
    ConflictPolicy,
    EventContent,
    EventState,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When


def to_plain(state: EventState) -> dict[str, Any]:
    """Return a state in types that JSON has."""
    plain = _occurrence(state.when, state.content)
    if state.recurrence is not None:
        plain["recurrence"] = recurrence_to_plain(state.recurrence)
    return plain


def from_plain(plain: Mapping[str, Any]) -> EventState:
    """Return the state that was written. Raises `KeyError` for JSON that is no state."""
    when, content = _read_occurrence(plain)
    repeats = plain.get("recurrence")
    return EventState(when, content, None if repeats is None else recurrence_from_plain(repeats))


def recurrence_to_plain(recurrence: Recurrence) -> dict[str, Any]:
    """Return a recurrence in types that JSON has."""
    return {
        "rule": recurrence.rule,
        "rdates": [wall.isoformat() for wall in sorted(recurrence.rdates)],
        "exdates": [wall.isoformat() for wall in sorted(recurrence.exdates)],
        "overrides": {
            wall.isoformat(): _occurrence(override.when, override.content)
            for wall, override in sorted(recurrence.overrides.items(), key=lambda each: each[0])
        },
    }


def recurrence_from_plain(plain: Mapping[str, Any]) -> Recurrence:
    """Return the recurrence that was written."""
    return Recurrence(
        plain["rule"],
        frozenset(datetime.fromisoformat(each) for each in plain["rdates"]),
        frozenset(datetime.fromisoformat(each) for each in plain["exdates"]),
        {
            datetime.fromisoformat(wall): Override(*_read_occurrence(override))
            for wall, override in plain["overrides"].items()
        },
    )


def _occurrence(when: When, content: EventContent) -> dict[str, Any]:
    return {
        "start": when.start.isoformat(),
        "end": when.end.isoformat(),
        "tzid": when.tzid,
        "startsAt": when.span.start.isoformat(),
        "endsAt": when.span.end.isoformat(),
        "allDay": when.all_day,
        "summary": content.summary,
        "location": content.location,
        "description": content.description,
        "attendees": [[each.email, each.partstat] for each in content.attendees],
        "partstat": content.partstat,
        "sendInvitations": content.send_invitations,
        "transparent": content.transparent,
        "status": content.status,
        "onConflict": content.on_conflict,
        "metadata": dict(content.metadata),
        "visibility": content.visibility,
        "reminders": None if content.reminders is None else list(content.reminders),
        "organizer": content.organizer,
        "outOfOffice": content.out_of_office,
    }


def _read_occurrence(plain: Mapping[str, Any]) -> tuple[When, EventContent]:
    span = TimeSpan(*(datetime.fromisoformat(plain[name]).astimezone(UTC) for name in ("startsAt", "endsAt")))
    start, end = datetime.fromisoformat(plain["start"]), datetime.fromisoformat(plain["end"])
    reminders = plain["reminders"]
    content = EventContent(
        summary=plain["summary"],
        location=plain["location"],
        description=plain["description"],
        attendees=tuple(Attendee(email, Partstat(partstat)) for email, partstat in plain["attendees"]),
        partstat=Partstat(plain["partstat"]),
        send_invitations=plain["sendInvitations"],
        transparent=plain["transparent"],
        status=EventStatus(plain["status"]),
        on_conflict=ConflictPolicy(plain["onConflict"]),
        metadata=plain["metadata"],
        visibility=Visibility(plain["visibility"]),
        reminders=None if reminders is None else tuple(reminders),
        organizer=plain["organizer"],
        out_of_office=plain.get("outOfOffice", False),  # older states do not say
    )
    return When(start, end, plain["tzid"], span, plain["allDay"]), content
