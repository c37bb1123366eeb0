"""Lists of events: pages, and tokens that say how far somebody has read.

https://developers.google.com/workspace/calendar/api/guides/sync
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from .errors import Refusal, invalid
from .events import Events
from .world import Calendar, Record, Wire

_NOT_WITH_SYNC_TOKEN = (
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
)
_UNDERSTOOD = {"singleEvents", "maxResults", "showDeleted", "iCalUID", "syncToken", "pageToken", "alt", "prettyPrint"}
_TOKENS = ("syncToken", "pageToken")


def listed(events: Events, calendar: Calendar, query: Mapping[str, str]) -> Wire:
    """Return a page of a calendar's events."""
    if unknown := query.keys() - _UNDERSTOOD:
        raise invalid(f"The simulator does not know {', '.join(sorted(unknown))}.")
    if query.get("singleEvents", "false") != "false":
        raise invalid("The simulator does not expand series.")
    params = {name: value for name, value in query.items() if name not in _TOKENS}
    since = _since(calendar, query, params)
    after, until = 0, events.world.revision
    if "pageToken" in query:
        page = _read(query["pageToken"])
        if page is None or page.get("params") != params or page.get("since") != since:
            raise invalid("Invalid page token value.")
        after, until = page["after"], page["until"]
    found = [each for each in _in_order(calendar, since) if _place(each, since) > after]
    found = [each for each in found if _is_shown(calendar, each, params, since)]
    size = min(int(query.get("maxResults", "250")), 2500)
    answer: Wire = {
        "kind": "calendar#events",
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "items": [_item(events, calendar, each, params, since) for each in found[:size]],
    }
    if len(found) > size:
        at = {"params": params, "since": since, "after": _place(found[size - 1], since), "until": until}
        return answer | {"nextPageToken": _written(at)}
    # What changed while the pages were read is told again by the next round.
    return answer | {"nextSyncToken": _written({"params": params, "at": until, "epoch": calendar.epoch})}


def _since(calendar: Calendar, query: Mapping[str, str], params: Mapping[str, str]) -> int | None:
    """Return how far somebody has read, None for somebody who reads for the first time."""
    if "syncToken" not in query:
        return None
    if forbidden := [name for name in _NOT_WITH_SYNC_TOKEN if name in query]:
        raise invalid(f"{forbidden[0]} cannot be used with a sync token.")
    token = _read(query["syncToken"])
    if token is None or token.get("epoch") != calendar.epoch:
        message = "Sync token is no longer valid, a full sync is required."
        raise Refusal(410, "fullSyncRequired", message, domain="calendar")
    if token.get("params") != params or query.get("showDeleted") == "false":
        raise invalid("The parameters are not those of the first request.")
    return int(token["at"])


def _place(record: Record, since: int | None) -> int:
    """Return where a record stands in the order of a list: by its creation, or by its last change."""
    return record.number if since is None else record.revision


def _in_order(calendar: Calendar, since: int | None) -> list[Record]:
    """Return what there is, or what has changed."""
    found = [each for each in calendar.records.values() if since is None or each.revision > since]
    return sorted(found, key=lambda each: _place(each, since))


def _is_shown(calendar: Calendar, record: Record, params: Mapping[str, str], since: int | None) -> bool:
    uid = f"{record.master or record.id}@google.com"
    if params.get("iCalUID", uid) != uid:
        return False
    if not record.deleted or since is not None or params.get("showDeleted") == "true":
        return True
    # A deleted instance is shown for as long as its series is there.
    return record.master is not None and not calendar.records[record.master].deleted


def _item(events: Events, calendar: Calendar, record: Record, params: Mapping[str, str], since: int | None) -> Wire:
    view = events.view(calendar, record)
    bare = record.deleted and since is not None and params.get("showDeleted") != "true"
    return {name: view[name] for name in ("kind", "etag", "id", "status", *_LINKS) if name in view} if bare else view


_LINKS = ("recurringEventId", "originalStartTime")


def _written(token: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def _read(token: str) -> Any:
    """Return what a token says, None for one that says nothing."""
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
