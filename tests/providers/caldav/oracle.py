"""Another opinion: states to and from iCalendar by the icalendar package, and servers by python-caldav.

Nothing of `providers/` is used here. python-caldav blocks, so that it runs in threads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from urllib.parse import unquote

import caldav
import icalendar
from anyio import to_thread
from caldav.lib.error import NotFoundError

from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import TimeSpan, When, whole_days, zone
from providers.interface import RemoteCalendar, RemoteEvent
from tests.contracts.provider_contract import OWNER
from tests.servers import PASSWORD, USER, Server

T = TypeVar("T")


# States as iCalendar


def to_ics(state: EventState, uid: str) -> str:
    """Return an event as a person's calendar would write it."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Oracle//EN")
    calendar.add("version", "2.0")
    master = _event(uid, state.when, state.content)
    calendar.add_component(master)
    if state.recurrence is not None:
        if state.recurrence.rule is not None:
            master.add("rrule", icalendar.vRecur.from_ical(state.recurrence.rule))
        for name, walls in (("rdate", state.recurrence.rdates), ("exdate", state.recurrence.exdates)):
            for wall in sorted(walls):
                master.add(name, _moment(wall, state.when))
        for wall, override in state.recurrence.overrides.items():
            event = _event(uid, override.when, override.content)
            event.add("recurrence-id", _moment(wall, state.when))
            calendar.add_component(event)
    calendar.add_missing_timezones()
    return str(calendar.to_ical().decode())


def _event(uid: str, when: When, content: EventContent) -> icalendar.Event:
    event = icalendar.Event()
    event.add("uid", uid)
    event.add("dtstamp", datetime(2026, 1, 1, tzinfo=UTC))
    event.add("dtstart", _moment(when.start, when))
    event.add("dtend", _moment(when.end, when))
    event.add("summary", content.summary)
    if content.location:
        event.add("location", content.location)
    if content.description is not None:
        event.add("description", content.description)
    event.add("status", content.status.value)
    event.add("transp", "TRANSPARENT" if content.transparent else "OPAQUE")
    if content.out_of_office:
        event.add("x-microsoft-cdo-busystatus", "OOF")
    if content.visibility is not Visibility.DEFAULT:
        event.add("class", content.visibility.value)
    for each in content.attendees:
        person = icalendar.vCalAddress(f"MAILTO:{each.email}")
        person.params["PARTSTAT"] = each.partstat.replace("_", "-")
        event.add("attendee", person, encode=False)
    if content.attendees:
        event.add("organizer", icalendar.vCalAddress(f"mailto:{content.organizer or OWNER}"))
    if content.metadata:
        event.add("x-kalends-metadata", icalendar.vText(json.dumps(dict(content.metadata))))
    for minutes in content.reminders or ():
        alarm = icalendar.Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", "Reminder")
        alarm.add("trigger", timedelta(minutes=-minutes))
        event.add_component(alarm)
    if content.reminders == ():
        alarm = icalendar.Alarm()  # as Apple says that there is none
        alarm.add("action", "NONE")
        alarm.add("trigger", datetime(1976, 4, 1, 0, 55, 45, tzinfo=UTC))
        event.add_component(alarm)
    return event


def _moment(wall: datetime, when: When) -> date | datetime:
    return wall.date() if when.all_day else wall.replace(tzinfo=zone(when.tzid))


def from_ics(text: str, tzid: str, owner: str = OWNER) -> EventState:
    """Return what a file says, which has one event with all that belongs to it."""
    calendar = icalendar.Calendar.from_ical(text)
    events: list[Any] = list(calendar.walk("VEVENT"))
    assert all(not component.errors for component in calendar.walk())
    [master] = [event for event in events if "RECURRENCE-ID" not in event]
    when, content = _when(master, tzid), _content(master, owner)
    overrides = {
        _wall(event["RECURRENCE-ID"].dt, when): Override(_when(event, tzid), _content(event, owner))
        for event in events
        if "RECURRENCE-ID" in event
    }
    rdates, exdates = (_walls(master, name, when) for name in ("RDATE", "EXDATE"))
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    rule = re.search(r"^RRULE:(.*?)\r?$", unfolded[unfolded.index("BEGIN:VEVENT") :], re.MULTILINE)
    if rule is None and not rdates:
        return EventState(when, content)
    return EventState(when, content, Recurrence(rule[1] if rule else None, rdates, exdates, overrides))


def _walls(event: Any, name: str, when: When) -> frozenset[datetime]:
    found = event.get(name, [])
    return frozenset(
        _wall(each.dt, when) for dates in (found if isinstance(found, list) else [found]) for each in dates.dts
    )


def _wall(moment: Any, when: When) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(zone(when.tzid)).replace(tzinfo=None)
    return datetime.combine(moment, time())


def _when(event: Any, tzid: str) -> When:
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    if not isinstance(start, datetime):
        return whole_days(start, end, tzid)
    name = event["DTSTART"].params.get("TZID", "UTC")
    span = TimeSpan(start.astimezone(UTC), end.astimezone(UTC))
    return When(start.replace(tzinfo=None), end.astimezone(zone(name)).replace(tzinfo=None), name, span)


def _content(event: Any, owner: str) -> EventContent:
    attendees = event.get("ATTENDEE", [])
    people = [_attendee(each) for each in (attendees if isinstance(attendees, list) else [attendees])]
    own = next((each.partstat for each in people if each.email.lower() == owner.lower()), None)
    organizer = _email(event["ORGANIZER"]) if "ORGANIZER" in event else None
    aside = event.get("X-KALENDS-PARTSTAT")
    minutes = [
        int(-alarm["TRIGGER"].dt.total_seconds() // 60) for alarm in event.walk("VALARM") if alarm["ACTION"] != "NONE"
    ]
    none = "X-KALENDS-REMINDERS" in event or any(alarm["ACTION"] == "NONE" for alarm in event.walk("VALARM"))
    return EventContent(
        summary=str(event.get("SUMMARY", "")),
        location=str(event.get("LOCATION", "")),
        description=str(event["DESCRIPTION"]) if "DESCRIPTION" in event else None,
        attendees=tuple(people),
        partstat=own or (_partstat(str(aside)) if aside is not None else Partstat.ACCEPTED),
        transparent=str(event.get("TRANSP", "OPAQUE")) == "TRANSPARENT",
        out_of_office=str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")) == "OOF",
        status=EventStatus(str(event.get("STATUS", "CONFIRMED"))),
        metadata=_metadata(event),
        visibility=Visibility(str(event.get("CLASS", "DEFAULT"))),
        reminders=tuple(minutes) if minutes else (() if none else None),
        organizer=None if organizer is None or organizer.lower() == owner.lower() else organizer,
    )


def _metadata(event: Any) -> Mapping[str, str]:
    text = event.get("X-KALENDS-METADATA")
    # icalendar leaves the text of a property that it does not know as it is written.
    return dict(json.loads(re.sub(r"\\(.)", r"\1", str(text)))) if text is not None else {}


def _attendee(address: Any) -> Attendee:
    return Attendee(_email(address), _partstat(address.params.get("PARTSTAT", "NEEDS-ACTION")))


def _email(address: Any) -> str:
    return unquote(str(address)[len("mailto:") :])


def _partstat(said: str) -> Partstat:
    return Partstat(said.replace("-", "_"))


# Servers


class Oracle:
    """Somebody who uses the server's calendars by python-caldav."""

    def __init__(self, client: Any, server: Server) -> None:
        self._client = client  # untyped, for the most part
        self._server = server

    async def calendar(self) -> str:
        """Create a calendar and return its path."""
        path = f"{self._server.home}{uuid7().hex}/"
        await self._do(lambda: self._client.mkcalendar(self._server.url + path))
        return path

    async def put(self, calendar: RemoteCalendar, name: str, text: str) -> None:
        """Store a file."""
        await self._do(lambda: self._event(calendar, name, text).save())

    async def text(self, calendar: RemoteCalendar, name: str) -> str | None:
        """Return a file, None where it is not there."""

        def load() -> str | None:
            event = self._event(calendar, name)
            try:
                event.load()
            except NotFoundError:
                return None
            return str(event.data)

        return await self._do(load)

    async def everything(self, calendar: RemoteCalendar) -> dict[str, str]:
        """Return every file of a calendar, by name."""

        def load() -> dict[str, str]:
            make: Any = caldav
            events = make.Calendar(client=self._client, url=f"{self._server.url}{calendar.remote_id}").events()
            return {unquote(str(event.url)).rpartition("/")[2]: str(event.data) for event in events}

        return await self._do(load)

    async def kept(self, calendar: RemoteCalendar, copy: RemoteEvent) -> EventState | None:
        """Return what the server keeps of a copy."""
        text = await self.text(calendar, copy.remote_id)
        return None if text is None else from_ics(text, calendar.tzid)

    async def add(self, calendar: RemoteCalendar, state: EventState) -> str:
        """Add an event and return its name."""
        uid = uuid7().hex
        await self.put(calendar, f"{uid}.ics", to_ics(state, uid))
        return f"{uid}.ics"

    async def rename(self, calendar: RemoteCalendar, remote_id: str, summary: str) -> None:
        """Give an event another title."""

        def rename() -> None:
            event = self._event(calendar, remote_id)
            event.load()
            event.icalendar_component["SUMMARY"] = icalendar.vText(summary)
            event.save()

        await self._do(rename)

    async def remove(self, calendar: RemoteCalendar, remote_id: str) -> None:
        """Delete an event."""
        await self._do(lambda: self._event(calendar, remote_id).delete())

    def _event(self, calendar: RemoteCalendar, name: str, data: str | None = None) -> Any:
        url = f"{self._server.url}{calendar.remote_id}"
        make: Any = caldav
        parent = make.Calendar(client=self._client, url=url)
        return make.Event(client=self._client, url=url + name, parent=parent, data=data)

    async def _do(self, action: Callable[[], T]) -> T:
        return await to_thread.run_sync(action)


@contextmanager
def oracle(server: Server) -> Iterator[Oracle]:
    """Return an oracle for a server."""
    make: Any = caldav.DAVClient
    client = make(url=server.url, username=USER, password=PASSWORD)
    with client:
        yield Oracle(client, server)
