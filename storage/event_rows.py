"""Events and their rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kalends.domain.events import (
    Attendee,
    ConflictPolicy,
    Event,
    EventContent,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.plain import recurrence_from_plain, recurrence_to_plain
from kalends.domain.time import TimeSpan, When
from storage.types import LONG_EVENT


def row_of(event: Event, app_id: UUID) -> dict[str, Any]:
    """Return an event's row."""
    when, content = event.when, event.content
    return {
        "app_id": app_id,
        "id": event.id,
        "calendar_id": event.calendar_id,
        "uid": event.uid,
        "version": event.version,
        "sequence": event.sequence,
        "all_day": when.all_day,
        "start_wall": when.start,
        "end_wall": when.end,
        "tzid": when.tzid,
        "starts_at": when.span.start,
        "ends_at": when.span.end,
        "long": when.span.end - when.span.start > LONG_EVENT,
        "busy": 0 if event.recurrence is not None else event.busy,
        "summary": content.summary,
        "location": content.location,
        "description": content.description,
        "attendees": [[each.email, each.partstat] for each in content.attendees],
        "partstat": content.partstat,
        "send_invitations": content.send_invitations,
        "transparent": content.transparent,
        "status": content.status,
        "on_conflict": content.on_conflict,
        "meta": dict(content.metadata),
        "created_at": event.created_at,
        "updated_at": event.updated_at,
        "deleted_at": event.deleted_at,
        "visibility": content.visibility,
        "reminders": None if content.reminders is None else list(content.reminders),
        "organizer": content.organizer,
        "out_of_office": content.out_of_office,
        "recurrence": None if event.recurrence is None else recurrence_to_plain(event.recurrence),
    }


def event_of(row: Any) -> Event:
    """Return a row's event."""
    return Event(
        id=row.id,
        calendar_id=row.calendar_id,
        uid=row.uid,
        when=When(row.start_wall, row.end_wall, row.tzid, TimeSpan(row.starts_at, row.ends_at), row.all_day),
        content=EventContent(
            summary=row.summary,
            location=row.location,
            description=row.description,
            attendees=tuple(Attendee(email, Partstat(partstat)) for email, partstat in row.attendees),
            partstat=Partstat(row.partstat),
            send_invitations=row.send_invitations,
            transparent=row.transparent,
            status=EventStatus(row.status),
            on_conflict=ConflictPolicy(row.on_conflict),
            metadata=row.meta,
            visibility=Visibility(row.visibility),
            reminders=None if row.reminders is None else tuple(row.reminders),
            organizer=row.organizer,
            out_of_office=row.out_of_office,
        ),
        version=row.version,
        sequence=row.sequence,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        recurrence=None if row.recurrence is None else recurrence_from_plain(row.recurrence),
    )
