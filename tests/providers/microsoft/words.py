"""Outlook's words for events, put down a second time, without the provider's help: what its mapping is measured by.

It knows only what the tests use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When, whole_days

ZONES = {
    "Europe/Berlin": "W. Europe Standard Time",
    "America/New_York": "Eastern Standard Time",
    "UTC": "UTC",
}
DAYS = {"MO": "monday", "TU": "tuesday", "WE": "wednesday", "TH": "thursday", "FR": "friday"}
_FREQUENCIES = {"daily": "DAILY", "weekly": "WEEKLY", "absoluteYearly": "YEARLY"}
_NAMES = {zone: tzid for tzid, zone in ZONES.items()}
_ANSWERS = {"accepted": Partstat.ACCEPTED, "declined": Partstat.DECLINED, "tentativelyAccepted": Partstat.TENTATIVE}
_SENSITIVITIES = {Visibility.PRIVATE: "private", Visibility.CONFIDENTIAL: "confidential"}
_VISIBILITIES = {word: visibility for visibility, word in _SENSITIVITIES.items()}


def spoken(when: When, content: EventContent) -> dict[str, Any]:
    """Return what somebody writes in Outlook who means this."""
    show_as = "tentative" if content.status is EventStatus.TENTATIVE else "busy"
    body: dict[str, Any] = {
        "subject": content.summary,
        "location": {"displayName": content.location},
        "body": {"contentType": "text", "content": content.description or ""},
        "start": {"dateTime": when.start.isoformat(), "timeZone": ZONES[when.tzid]},
        "end": {"dateTime": when.end.isoformat(), "timeZone": ZONES[when.tzid]},
        "isAllDay": when.all_day,
        "showAs": "free" if content.transparent else "oof" if content.out_of_office else show_as,
        "sensitivity": _SENSITIVITIES.get(content.visibility, "normal"),
        "attendees": [{"emailAddress": {"address": each.email}} for each in content.attendees],
    }
    if content.reminders is not None:
        body["isReminderOn"] = bool(content.reminders)
        body["reminderMinutesBeforeStart"] = next(iter(content.reminders), 0)
    return body


def spoken_rule(rule: str, when: When) -> dict[str, Any]:
    """Return a rule as Outlook has it."""
    parts = dict(part.split("=") for part in rule.split(";"))
    kinds = {frequency: kind for kind, frequency in _FREQUENCIES.items()}
    pattern: dict[str, Any] = {"type": kinds[parts["FREQ"]], "interval": 1}
    if parts["FREQ"] == "WEEKLY":
        own = list(DAYS)[when.start.weekday()]
        pattern["daysOfWeek"] = [DAYS[day] for day in parts.get("BYDAY", own).split(",")]
        pattern["firstDayOfWeek"] = "monday"
    if parts["FREQ"] == "YEARLY":
        pattern |= {"month": when.start.month, "dayOfMonth": when.start.day}
    ends: dict[str, Any] = {"startDate": when.start.date().isoformat()}
    if "COUNT" in parts:
        ends |= {"type": "numbered", "numberOfOccurrences": int(parts["COUNT"])}
    else:
        ends |= {"type": "endDate", "endDate": date.fromisoformat(parts["UNTIL"][:8]).isoformat()}
    return {"pattern": pattern, "range": ends}


def understood(event: Mapping[str, Any], calendar_tzid: str, owner: str) -> EventState:
    """Return what somebody reads in Outlook."""
    when, content = _one(event, calendar_tzid, owner)
    repeats = event["recurrence"]
    if repeats is None:
        return EventState(when, content)
    begins = when.start.time()
    exdates = frozenset(_wall(day, begins) for day in event["cancelledOccurrences"])
    overrides = {
        _wall(day, begins): Override(*_one(each, calendar_tzid, owner, event))
        for day, each in event["exceptionOccurrences"].items()
    }
    return EventState(when, content, Recurrence(_rule(repeats, when), frozenset(), exdates, overrides))


def _wall(day: str, begins: time) -> datetime:
    return datetime.combine(date.fromisoformat(day), begins)


def _one(
    event: Mapping[str, Any], calendar_tzid: str, owner: str, series: Mapping[str, Any] | None = None
) -> tuple[When, EventContent]:
    own = event["organizer"]["emailAddress"]["address"] == owner
    answer = event["responseStatus"]["response"]
    properties = (series or event).get("properties", {})
    metadata = next((value for name, value in properties.items() if name.endswith("KalendsMetadata")), "{}")
    minutes = (event["reminderMinutesBeforeStart"],) if event["isReminderOn"] else ()
    partstat = Partstat.ACCEPTED if own else _ANSWERS.get(answer, Partstat.NEEDS_ACTION)
    guests = [(each["emailAddress"]["address"], each["status"]["response"]) for each in event["attendees"]]
    accepted = own or answer == "accepted"  # before that, an invitation shows as tentative whatever it is
    status = EventStatus.TENTATIVE if event["showAs"] == "tentative" and accepted else EventStatus.CONFIRMED
    content = EventContent(
        summary=event["subject"],
        location=event["location"]["displayName"],
        description=event["body"]["content"] or None,
        attendees=tuple(
            Attendee(each, partstat if each == owner else _ANSWERS.get(said, Partstat.NEEDS_ACTION))
            for each, said in guests
        ),
        partstat=partstat,
        transparent=event["showAs"] == "free",
        out_of_office=event["showAs"] == "oof",
        status=EventStatus.CANCELLED if event["isCancelled"] else status,
        metadata=json.loads(metadata),
        visibility=_VISIBILITIES.get(event["sensitivity"], Visibility.DEFAULT),
        reminders=None if minutes == (15,) else minutes,
        organizer=None if own else event["organizer"]["emailAddress"]["address"],
    )
    return _when(event, calendar_tzid), content


def _when(event: Mapping[str, Any], calendar_tzid: str) -> When:
    start, end = (datetime.fromisoformat(event[name]["dateTime"]) for name in ("start", "end"))
    if event["isAllDay"]:
        return whole_days(start.date(), end.date(), calendar_tzid)
    tzid = _NAMES[event["originalStartTimeZone"]]
    span = TimeSpan(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    walls = [each.astimezone(ZoneInfo(tzid)).replace(tzinfo=None) for each in (span.start, span.end)]
    return When(walls[0], walls[1], tzid, span)


def _rule(recurrence: Mapping[str, Any], when: When) -> str:
    pattern, ends = recurrence["pattern"], recurrence["range"]
    parts = [f"FREQ={_FREQUENCIES[pattern['type']]}"]
    if ends["type"] == "numbered":
        parts.append(f"COUNT={ends['numberOfOccurrences']}")
    else:
        last = datetime.combine(date.fromisoformat(ends["endDate"]), when.start.time(), ZoneInfo(when.tzid))
        parts.append(f"UNTIL={last.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    codes = [code for code, name in DAYS.items() if name in pattern.get("daysOfWeek", ())]
    if codes not in ([], [list(DAYS)[when.start.weekday()]]):
        parts.append(f"BYDAY={','.join(codes)}")
    return ";".join(parts)
