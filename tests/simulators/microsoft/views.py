"""How events look from outside: https://learn.microsoft.com/graph/api/resources/event."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from .fields import html_of, text_of
from .times import instant, shown, stamp
from .world import Behaviour, Item, Mailbox, Wire, occurrence_id

_PREFERENCE = re.compile(r'([\w.-]+)="?([^",]*)"?')


@dataclass(frozen=True)
class Preferences:
    """What a request prefers: https://learn.microsoft.com/graph/api/event-get#request-headers."""

    zone: str = "UTC"
    text: bool = False
    page_size: int | None = None

    @staticmethod
    def read(header: str) -> Preferences:
        """Read a `Prefer` header."""
        found = dict(_PREFERENCE.findall(header))
        size = found.get("odata.maxpagesize")
        return Preferences(
            found.get("outlook.timezone", "UTC"),
            found.get("outlook.body-content-type") == "text",
            int(size) if size else None,
        )


def etag_of(item: Item, day: date | None = None) -> str:
    """Return the version of an event, or of an occurrence."""
    return f'W/"{change_key(item, day)}"'


def change_key(item: Item, day: date | None = None) -> str:
    """Return a version without its quotes."""
    version = item.version if day is None else item.versions.get(day, item.version)
    return base64.b64encode(f"version {version:010d}".encode()).decode()


def view(mailbox: Mailbox, item: Item, preferences: Preferences, behaviour: Behaviour, day: date | None = None) -> Wire:
    """Return an event as Graph shows it, or an occurrence of it."""
    fields = {**item.fields, **(item.exceptions.get(day, {}) if day else {})}
    fields = {name: value for name, value in fields.items() if name not in ("start", "end", "zone", "all_day")}
    start, end, zone, all_day = item.times(day) if day else (item.start, item.end, item.zone, item.all_day)
    organizer = item.organizer or mailbox.address
    kind, body = ("text", text_of) if preferences.text else ("html", html_of)
    seen = fields | {
        "@odata.etag": etag_of(item, day),
        "id": occurrence_id(item, day) if day else item.id,
        "changeKey": change_key(item, day),
        "createdDateTime": stamp(item.created),
        "lastModifiedDateTime": stamp(item.created),
        "transactionId": item.transaction,
        "iCalUId": item.uid if day is None else f"{item.uid}{day:%Y%m%d}",
        "type": _type(item, day),
        "seriesMasterId": item.id if day else None,
        "isAllDay": all_day,
        "isCancelled": item.is_cancelled,
        "isOrganizer": item.organizer is None,
        "organizer": {"emailAddress": {"name": organizer, "address": organizer}},
        "responseStatus": {"response": item.response, "time": "0001-01-01T00:00:00Z"},
        "originalStartTimeZone": zone,
        "originalEndTimeZone": zone,
        "start": shown(start, zone, preferences.zone, all_day=all_day),
        "end": shown(end, zone, preferences.zone, all_day=all_day),
        "body": {"contentType": kind, "content": body(fields["body"])},
        "bodyPreview": text_of(fields["body"])[:255],
        "locations": [fields["location"]] if fields["location"]["displayName"] else [],
        "recurrence": item.recurrence if day is None else None,
        "webLink": f"https://outlook.office365.com/owa/?itemid={item.id}&exvsurl=1&path=/calendar/item",
    }
    if day is not None and behaviour.original_start:
        seen["originalStart"] = stamp(instant(planned_start(item, day), item.zone))
    if day is not None:
        seen["occurrenceId"] = f"OID.{item.id}.{day.isoformat()}"
    return seen | item.garbled


def bare(item: Item, day: date, preferences: Preferences) -> Wire:
    """Return an occurrence as deltas show it: https://github.com/microsoftgraph/microsoft-graph-docs/issues/7632."""
    start, end, zone, all_day = item.times(day)
    return {
        "@odata.type": "#microsoft.graph.event",
        "@odata.etag": etag_of(item, day),
        "id": occurrence_id(item, day),
        "seriesMasterId": item.id,
        "type": _type(item, day),
        "start": shown(start, zone, preferences.zone, all_day=all_day),
        "end": shown(end, zone, preferences.zone, all_day=all_day),
    }


def planned_start(item: Item, day: date) -> Any:
    """Return the wall time at which an occurrence would begin."""
    return item.start.replace(year=day.year, month=day.month, day=day.day)


def selected(seen: Wire, names: Sequence[str]) -> Wire:
    """Return the properties that were named, beside annotations and the id."""
    wanted = {"id", *names} if names else seen.keys()
    return {name: value for name, value in seen.items() if name in wanted or name.startswith("@")}


def _type(item: Item, day: date | None) -> str:
    if day is not None:
        return "exception" if day in item.exceptions else "occurrence"
    return "singleInstance" if item.recurrence is None else "seriesMaster"
