"""What Google does with events: they are created, changed, deleted; their guests are mailed.

A series' exception keeps what differs: what it does not say itself is as the series says. When the series begins at
another time, or by another rule, exceptions of times that it does not have any more are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from .checks import check_id, checked
from .errors import Refusal, forbidden, invalid, not_found
from .mail import post
from .times import at_wall, lasting, suffix, takes_place, wall
from .world import Calendar, Record, Wire, World, new_id

_READ_ONLY = ("kind", "etag", "id", "iCalUID", "created", "updated", "creator", "organizer", "htmlLink", "sequence")
_MOVES = ("start", "end", "recurrence")
# What whoever is only invited may change on the own copy.
_OWN = {"attendees", "attendeesOmitted", "reminders", "transparency", "colorId"}


class Events:
    """Events, as their writers meet them."""

    def __init__(self, world: World) -> None:
        self.world = world

    # Looking

    def found(self, calendar: Calendar, event_id: str) -> Record:
        """Return an event, also a deleted one, also an instance that differs in nothing yet."""
        record = calendar.records.get(event_id) or self._instance(calendar, event_id)
        if record is None:
            raise not_found()
        return record

    def instance_at(self, calendar: Calendar, master: Record, original: Wire) -> Record | None:
        """Return the instance that a series would start then."""
        body = master.body
        if master.deleted or "recurrence" not in body or ("date" in original) is not ("date" in body["start"]):
            return None
        original = original | _zoned(body["start"])
        event_id = f"{master.id}_{suffix(original)}"
        if event_id in calendar.records:
            return calendar.records[event_id]
        if not takes_place(body, wall(original)):
            return None
        revision, at = master.revision, master.updated
        return Record(event_id, 0, revision, {}, at, at, master=master.id, original=original)

    def said(self, calendar: Calendar, record: Record) -> Wire:
        """Return what an event says: of an instance, also what its series says."""
        if record.master is None:
            return record.body
        master = calendar.records[record.master].body
        assert record.original is not None
        end = at_wall(wall(record.original) + lasting(master), record.original, calendar.time_zone)
        said = master | {"recurrence": None, "start": record.original, "end": end} | record.body
        return {name: value for name, value in said.items() if value is not None}

    def view(self, calendar: Calendar, record: Record) -> Wire:
        """Return an event as Google answers it to whoever may read it."""
        shared: Wire = {"kind": "calendar#event", "etag": self.etag(calendar, record), "id": record.id}
        if record.master is not None:
            shared |= {"recurringEventId": record.master, "originalStartTime": record.original}
            if record.deleted:
                return shared | {"status": "cancelled"}
        said = deepcopy(self.said(calendar, record))
        for each in said.get("attendees", []):
            each.setdefault("responseStatus", "needsAction")
            if _is(each, calendar.id):
                each["self"] = True
            if _is(each, said.get("organizer", {}).get("email", calendar.id)):
                each["organizer"] = True
        organizer = said.pop("organizer", {"email": calendar.id})
        if _is(organizer, calendar.id):
            organizer["self"] = True
        told = {name: value for name, value in said.items() if (name, value) not in _DEFAULTS}
        return {
            "status": "confirmed",
            "eventType": "default",
            "reminders": {"useDefault": True},
            "htmlLink": f"https://www.google.com/calendar/event?eid={record.id}",
            "created": _stamp(record.created),
            "updated": _stamp(record.updated),
            "creator": organizer,
            "organizer": organizer,
            "iCalUID": f"{record.master or record.id}@google.com",
            **told,
            **shared,
            **({"status": "cancelled"} if record.deleted else {}),
        }

    def etag(self, calendar: Calendar, record: Record) -> str:
        """Return the etag, which an instance shares with its series until it differs."""
        master = calendar.records.get(record.master or "")
        return f'"34{max(record.revision, master.revision if master else 0):014}"'

    # Changing

    def insert(self, calendar: Calendar, body: Wire, notify: str) -> Record:
        """Create an event, under its own id where it has one."""
        if "id" in body:
            check_id(body["id"])
            if "iCalUID" in body:
                raise invalid("Only one of id and iCalUID may be given.")
            if body["id"] in calendar.records:
                raise Refusal(409, "duplicate", "The requested identifier already exists.")
        return self.add(
            calendar, {name: value for name, value in body.items() if name not in _READ_ONLY or name == "id"}, notify
        )

    def add(self, calendar: Calendar, body: Wire, notify: str = "none") -> Record:
        """Add an event, also one that somebody else organizes."""
        kept = {name: value for name, value in body.items() if name != "id" and value is not None}
        kept = checked(kept, calendar.time_zone) | {"sequence": 0}
        at = self.world.clock()
        record = Record(body.get("id") or new_id(), 0, 0, kept, at, at)
        self.world.changes(calendar, record)
        self.world.mail += post(calendar, record.id, {}, kept, notify, self.world.accounts)
        return record

    def patch(
        self,
        calendar: Calendar,
        event_id: str,
        changes: Wire,
        match: str | None = None,
        notify: str = "none",
        *,
        by_organizer: bool = False,
    ) -> Record:
        """Change what is named; a None deletes what is there. Some changes only its organizer may make."""
        record = self.found(calendar, event_id)
        restored = record.master is not None and changes.get("status") in ("confirmed", "tentative")
        if record.deleted and not restored:
            raise forbidden()
        self._check_match(calendar, record, match)
        before = {} if record.deleted else self.said(calendar, record)
        if record.deleted:
            record.body = {}
        if not by_organizer:
            _check_rights(calendar, self.said(calendar, record), changes)
        after = self._changed(calendar, record, changes)
        if changes.get("status") == "cancelled":
            return self.delete(calendar, event_id, None, notify)
        self.world.mail += post(calendar, record.id, before, after, notify, self.world.accounts)
        return record

    def replace(
        self, calendar: Calendar, event_id: str, body: Wire, match: str | None = None, notify: str = "none"
    ) -> Record:
        """Put one event in another's place: what is not named is gone."""
        said = self.said(calendar, self.found(calendar, event_id))
        missing: Wire = {name: None for name in said if name not in body and name not in _READ_ONLY}
        return self.patch(calendar, event_id, missing | body, match, notify)

    def delete(self, calendar: Calendar, event_id: str, match: str | None = None, notify: str = "none") -> Record:
        """Delete an event. Its id stays taken; of an instance, a mark stays."""
        record = self.found(calendar, event_id)
        if record.deleted:
            raise Refusal(410, "deleted", "Resource has been deleted")
        self._check_match(calendar, record, match)
        said = self.said(calendar, record)
        record.deleted = True
        self.world.changes(calendar, record)
        for each in calendar.exceptions(record.id):
            each.deleted = True
        self.world.mail += post(calendar, record.id, said, {}, notify, self.world.accounts)
        return record

    def _instance(self, calendar: Calendar, event_id: str) -> Record | None:
        master_id, _, when = event_id.rpartition("_")
        master = calendar.records.get(master_id)
        if master is None or "recurrence" not in master.body:
            return None
        try:
            original = _original(when, master.body["start"], calendar.time_zone)
        except ValueError:
            return None
        return self.instance_at(calendar, master, original)

    def _check_match(self, calendar: Calendar, record: Record, match: str | None) -> None:
        if match is not None and match not in ("*", self.etag(calendar, record)):
            raise Refusal(412, "conditionNotMet", "Precondition Failed")

    def _changed(self, calendar: Calendar, record: Record, changes: Wire) -> Wire:
        """Write changes, and return what the event says now."""
        said = self.said(calendar, record)
        named = {name: value for name, value in changes.items() if name not in _READ_ONLY}
        if named.pop("attendeesOmitted", None):
            named["attendees"] = _with_answer(said.get("attendees", []), named.get("attendees", []))
        after = checked(merged(said, named), calendar.time_zone)
        moved = any(after.get(name) != said.get(name) for name in _MOVES)
        if record.master is not None:
            record.body |= {name: after.get(name) for name in named}
            record.deleted = False
        else:
            record.body = after | {"sequence": said["sequence"] + moved}
            if moved:
                self._drop_exceptions(calendar, record)
        self.world.changes(calendar, record)
        return self.said(calendar, record)

    def _drop_exceptions(self, calendar: Calendar, master: Record) -> None:
        """Forget what differed at times that a series does not have any more."""
        for each in calendar.exceptions(master.id):
            original, start = each.original, master.body["start"]
            assert original is not None
            fits = "recurrence" in master.body and ("date" in original) is ("date" in start)
            if not fits or not takes_place(master.body, wall(original | _zoned(start))):
                del calendar.records[each.id]


_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("transparency", "opaque"),
    ("visibility", "default"),
    ("attendees", []),
    ("description", None),
    ("location", None),
    ("extendedProperties", {}),
)


def _check_rights(calendar: Calendar, said: Wire, changes: Wire) -> None:
    """Refuse changes of what is the organizer's, by somebody who is only invited."""
    organizer = said.get("organizer", {"email": calendar.id})
    if _is(organizer, calendar.id) or said.get("guestsCanModify"):
        return
    shared = {name for name in changes if name not in _OWN and changes[name] != said.get(name)}
    if (changes.get("extendedProperties") or {}).keys() <= {"private"}:
        shared.discard("extendedProperties")
    there = [_answer(each) for each in said.get("attendees", [])]
    others = [_answer(each) for each in changes.get("attendees") or [] if not _is(each, calendar.id)]
    if shared or any(each not in there for each in others):
        message = "Shared properties can only be changed by the organizer of the event."
        raise forbidden("forbiddenForNonOrganizer", message)


def merged(there: Mapping[str, Any], changes: Mapping[str, Any]) -> Wire:
    """Return what a PATCH leads to (RFC 7396): objects are merged, everything else is put in place."""
    result = dict(there)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = deepcopy(value)
    return result


def _zoned(start: Wire) -> Wire:
    return {} if "date" in start else {"timeZone": start["timeZone"]}


def _original(text: str, start: Wire, zone: str) -> Wire:
    if "date" in start:
        return {"date": datetime.strptime(text, "%Y%m%d").date().isoformat()}  # noqa: DTZ007
    moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return {"dateTime": moment.astimezone(ZoneInfo(zone)).isoformat(), "timeZone": start["timeZone"]}


def _is(somebody: Wire, address: str) -> bool:
    return bool(somebody["email"].lower() == address.lower())


def _answer(attendee: Wire) -> tuple[str, str]:
    return attendee["email"].lower(), attendee.get("responseStatus", "needsAction")


def _with_answer(there: list[Wire], given: list[Wire]) -> list[Wire]:
    """Return who takes part, with the answers of those who are named and nobody else."""
    answers = dict(map(_answer, given))
    return [
        each | ({"responseStatus": answers[each["email"].lower()]} if each["email"].lower() in answers else {})
        for each in there
    ]


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
