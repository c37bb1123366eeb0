"""Events as Graph sends them, and short ways to what they are read as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from kalends.domain.events import EventContent, EventState
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import WarningCode
from kalends.domain.time import When
from providers.interface import Outgoing, RemoteCalendar, RemoteEvent
from providers.microsoft import wire
from providers.microsoft.reading import read
from providers.microsoft.shown import shown
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, DAY, HOUR, NOW, make_content, make_when, wall
from tests.providers.microsoft.stage import an_outgoing

CALENDAR = RemoteCalendar(uuid7(), uuid7(), "AAkALg", BERLIN, OWNER)


def received(**changes: Any) -> wire.Event:
    """Return an event as Graph sends it: Microsoft's own example, with what a test says otherwise."""
    event: dict[str, Any] = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('x')/events/$entity",
        "@odata.etag": 'W/"IiLKjG2I7E+Xv0+ys6MD0wAEd5/kNQ=="',
        "id": "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0AIiLKjG2I7E_Xv0-ys6MD0wABZp9f5gAA",
        "createdDateTime": "2026-04-01T08:00:00.1234567Z",
        "changeKey": "IiLKjG2I7E+Xv0+ys6MD0wAEd5/kNQ==",
        "categories": ["Red category"],
        "transactionId": None,
        "originalStartTimeZone": "W. Europe Standard Time",
        "originalEndTimeZone": "W. Europe Standard Time",
        "iCalUId": "040000008200E00074C5B7101A82E008",
        "reminderMinutesBeforeStart": 15,
        "isReminderOn": True,
        "subject": "New Product Regulations Touchpoint",
        "bodyPreview": "Agenda",
        "importance": "normal",
        "sensitivity": "normal",
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": True,
        "seriesMasterId": None,
        "showAs": "busy",
        "type": "singleInstance",
        "webLink": "https://outlook.office365.com/owa/?itemid=AAkALg",
        "isOnlineMeeting": False,
        "recurrence": None,
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "body": {"contentType": "text", "content": "Agenda\r\n\r\n1. Regulations\r\n"},
        "start": {"dateTime": "2026-05-04T07:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-05-04T08:00:00.0000000", "timeZone": "UTC"},
        "location": {"displayName": "Conf Room Rainier", "locationType": "default", "uniqueId": "Conf Room Rainier"},
        "locations": [{"displayName": "Conf Room Rainier"}],
        "attendees": [],
        "organizer": {"emailAddress": {"name": "Ada", "address": OWNER}},
    }
    return cast("wire.Event", event | changes)


def attendee(address: str | None, response: str = "none", **others: Any) -> dict[str, Any]:
    return {"type": "required", "status": {"response": response}, "emailAddress": {"address": address}} | others


def state_of(event: wire.Event, calendar: RemoteCalendar = CALENDAR) -> EventState:
    state = read(event, calendar).state
    assert state is not None
    return state


def content_of(**changes: Any) -> EventContent:
    return state_of(received(**changes)).content


def codes(copy: RemoteEvent) -> list[WarningCode]:
    return [each.code for each in copy.warnings]


def expected(outgoing: Outgoing) -> EventState:
    state = shown(outgoing)
    assert state is not None
    return state


def agreed(outgoing: Outgoing, **theirs: Any) -> Outgoing:
    """Return what was agreed on once, with what Outlook says otherwise."""
    state = expected(outgoing)
    there = replace(state, content=replace(state.content, **theirs))
    return replace(outgoing, agreed=Agreement(outgoing.event.state, there))


SERIES = Recurrence(
    "FREQ=DAILY;COUNT=9",
    exdates=frozenset({wall("2026-05-06T09:00")}),
    overrides={wall("2026-05-07T09:00"): Override(make_when(NOW + 3 * DAY + HOUR), make_content("Moved"))},
)


def series(recurrence: Recurrence = SERIES, when: When | None = None, **content: Any) -> Outgoing:
    return an_outgoing(when, recurrence=recurrence, **content)
