"""Events in Google's words, translated for tests: on its own, so that a mistake of the provider's is not made twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When, whole_days
from providers.google.shown import settled

Wire = dict[str, Any]

ANSWERS = {
    "needsAction": Partstat.NEEDS_ACTION,
    "accepted": Partstat.ACCEPTED,
    "declined": Partstat.DECLINED,
    "tentative": Partstat.TENTATIVE,
}


def to_google(state: EventState) -> Wire:
    """Return an event as somebody makes it there; what differs from a series is `instances`' matter."""
    wire = _occurrence(state.when, state.content)
    if state.recurrence is not None:
        repeats = state.recurrence
        wire["recurrence"] = [
            *([f"RRULE:{repeats.rule}"] if repeats.rule else []),
            *(f"RDATE{_date(wall, state.when)}" for wall in sorted(repeats.rdates)),
            *(f"EXDATE{_date(wall, state.when)}" for wall in sorted(repeats.exdates)),
        ]
    return wire


def instances(state: EventState, series_id: str) -> dict[str, Wire]:
    """Return what differs from a series, by the ids of the instances."""
    overrides = state.recurrence.overrides if state.recurrence else {}
    return {
        f"{series_id}_{_suffix(wall, state.when)}": _occurrence(override.when, override.content)
        for wall, override in overrides.items()
    }


def from_google(wire: Wire, exceptions: Iterable[Wire], tzid: str) -> EventState:
    """Return what an event says there, in a calendar of this zone."""
    when, content = _read(wire, tzid)
    if "recurrence" not in wire:
        return EventState(when, content)
    rule: str | None = None
    rdates: set[datetime] = set()
    exdates: set[datetime] = set()
    for line in wire["recurrence"]:
        head, _, value = line.partition(":")
        if head == "RRULE":
            rule = value
        else:
            (rdates if head.startswith("RDATE") else exdates).update(map(datetime.fromisoformat, value.split(",")))
    overrides = {}
    for each in exceptions:
        start = each["originalStartTime"]
        wall = (
            datetime.fromisoformat(start["date"])
            if "date" in start
            else datetime.fromisoformat(start["dateTime"]).astimezone(ZoneInfo(when.tzid)).replace(tzinfo=None)
        )
        if each["status"] == "cancelled":
            exdates.add(wall)
        else:
            overrides[wall] = Override(*_read(each, tzid))
    told = Recurrence(rule, frozenset(rdates), frozenset(exdates), overrides)
    return EventState(when, content, settled(when, content, told))


def _occurrence(when: When, content: EventContent) -> Wire:
    answers = {partstat: word for word, partstat in ANSWERS.items()}
    wire: Wire = {
        "summary": content.summary,
        "location": content.location,
        "description": content.description,
        "attendees": [{"email": each.email, "responseStatus": answers[each.partstat]} for each in content.attendees],
        "status": content.status.lower(),
        "transparency": "transparent" if content.transparent else "opaque",
        "visibility": content.visibility.lower(),
        "extendedProperties": {"private": dict(content.metadata)},
        "reminders": {"useDefault": True},
    }
    if content.reminders is not None:
        overrides = [{"method": "popup", "minutes": each} for each in content.reminders]
        wire["reminders"] = {"useDefault": False, "overrides": overrides}
    if when.all_day:
        return wire | {"start": {"date": str(when.start_date)}, "end": {"date": str(when.end_date)}}
    return wire | {"start": _time(when.span.start, when.tzid), "end": _time(when.span.end, when.tzid)}


def _time(moment: datetime, tzid: str) -> Wire:
    return {"dateTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "timeZone": tzid}


def _date(wall: datetime, when: When) -> str:
    return f";VALUE=DATE:{wall:%Y%m%d}" if when.all_day else f";TZID={when.tzid}:{wall:%Y%m%dT%H%M%S}"


def _suffix(wall: datetime, when: When) -> str:
    if when.all_day:
        return f"{wall:%Y%m%d}"
    return f"{wall.replace(tzinfo=ZoneInfo(when.tzid)).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _read(wire: Wire, tzid: str) -> tuple[When, EventContent]:
    start, end = wire["start"], wire["end"]
    if "date" in start:
        when = whole_days(date.fromisoformat(start["date"]), date.fromisoformat(end["date"]), tzid)
    else:
        since, until = (datetime.fromisoformat(each["dateTime"]).astimezone(UTC) for each in (start, end))
        walls = [each.astimezone(ZoneInfo(start["timeZone"])).replace(tzinfo=None) for each in (since, until)]
        when = When(walls[0], walls[1], start["timeZone"], TimeSpan(since, until))
    own = [each for each in wire.get("attendees", []) if each.get("self")]
    reminders = wire["reminders"]
    minutes = tuple(each["minutes"] for each in reminders.get("overrides", []))
    noted = wire.get("extendedProperties", {}).get("private", {})
    return when, EventContent(
        summary=wire.get("summary", ""),
        location=wire.get("location", ""),
        description=wire.get("description"),
        attendees=tuple(Attendee(each["email"], ANSWERS[each["responseStatus"]]) for each in wire.get("attendees", [])),
        partstat=ANSWERS[own[0]["responseStatus"]] if own else Partstat.ACCEPTED,
        transparent=wire.get("transparency") == "transparent",
        status=EventStatus(wire["status"].upper()),
        metadata={key: value for key, value in noted.items() if not key.startswith("kalends")},
        visibility=Visibility(wire.get("visibility", "default").upper()),
        reminders=None if reminders["useDefault"] else minutes,
        organizer=None if wire["organizer"].get("self") else wire["organizer"]["email"],
    )
