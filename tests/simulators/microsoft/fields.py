"""What may be written of an event, and in which form Exchange keeps it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import invalid
from .world import Wire

LONGEST_SUBJECT, MOST_ATTENDEES = 255, 500
BLOB = "________________________________________________________________________________"
"""What Teams writes into the body of an online meeting. Without it, it is no online meeting any more."""

_SHOW_AS = {"free", "tentative", "busy", "oof", "workingElsewhere", "unknown"}
_SENSITIVITIES = {"normal", "personal", "private", "confidential"}
_TYPES = {"required", "optional", "resource"}
_TAG = re.compile(r"<[^>]+>")
_BREAK = re.compile(r"<br\s*/?>|</p>|</div>", re.IGNORECASE)

TIME = {"start", "end", "isAllDay", "recurrence"}
OTHERS = {"singleValueExtendedProperties", "transactionId"}
DEFAULTS: Wire = {
    "subject": "",
    "body": {"contentType": "text", "content": ""},
    "location": {"displayName": ""},
    "showAs": "busy",
    "sensitivity": "normal",
    "isReminderOn": True,
    "reminderMinutesBeforeStart": 15,
    "attendees": [],
    "importance": "normal",
    "categories": [],
    "responseRequested": True,
    "allowNewTimeProposals": True,
    "hideAttendees": False,
    "isOnlineMeeting": False,
}
MAILED = {"subject", "body", "location"} | TIME
"""What its attendees are mailed about when it changes."""


def read_fields(body: Mapping[str, Any], before: Mapping[str, Any]) -> Wire:
    """Return the fields that a body writes, as they are kept; `before` are those of now."""
    unknown = body.keys() - DEFAULTS.keys() - TIME - OTHERS
    if unknown:
        raise invalid(f"{', '.join(sorted(unknown))} cannot be written.", "ErrorInvalidPropertySet")
    read = {name: _READERS.get(name, _plain)(body[name], before) for name in body.keys() & DEFAULTS.keys()}
    if before.get("isOnlineMeeting"):
        read["isOnlineMeeting"] = "body" not in read or BLOB in read["body"]["content"]
    elif read.get("isOnlineMeeting"):
        written = read.get("body", before["body"])
        read["body"] = {**written, "content": f"{written['content']}\r\n{BLOB}\r\nJoin: https://teams.example/1\r\n"}
    return read


def text_of(body: Wire) -> str:
    """Return a body as text, as Exchange makes it: with a line end behind it."""
    content = str(body["content"])
    if body["contentType"] == "html":
        content = html.unescape(_TAG.sub("", _BREAK.sub("\r\n", content)))
    return f"{content.rstrip()}\r\n" if content.strip() else ""


def html_of(body: Wire) -> str:
    """Return a body as HTML."""
    if body["contentType"] == "html":
        return str(body["content"])
    lines = html.escape(str(body["content"]), quote=False).replace("\r\n", "<br>\r\n")
    return f'<html><head><meta charset="utf-8"></head><body>\r\n{lines}\r\n</body></html>'


def _subject(value: Any, _before: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_SUBJECT:
        raise invalid(f"The subject has more than {LONGEST_SUBJECT} characters.", "ErrorPropertyValidationFailure")
    return value


def _body(value: Any, _before: Mapping[str, Any]) -> Wire:
    kind = str(value.get("contentType", "text")).lower()
    if kind not in ("text", "html"):
        raise invalid("A body is text or html.")
    content = str(value.get("content") or "").replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    return {"contentType": kind, "content": content}


def _location(value: Any, _before: Mapping[str, Any]) -> Wire:
    return {"displayName": str(value.get("displayName") or ""), "locationType": "default"}


def _one_of(known: set[str]) -> Callable[[Any, Mapping[str, Any]], str]:
    def read(value: Any, _before: Mapping[str, Any]) -> str:
        if value not in known:
            raise invalid(f"Expected one of {', '.join(sorted(known))}.")
        return str(value)

    return read


def _minutes(value: Any, _before: Mapping[str, Any]) -> int:
    if not isinstance(value, int) or value < 0:
        raise invalid("A reminder is minutes before the start.")
    return value


def _attendees(value: Any, before: Mapping[str, Any]) -> list[Wire]:
    """Read attendees. Their answers are their own: what is written of them is not taken."""
    if len(value) > MOST_ATTENDEES:
        raise invalid(f"An event has at most {MOST_ATTENDEES} attendees.", "ErrorInvalidRecipients")
    answers = {each["emailAddress"]["address"].lower(): each["status"] for each in before.get("attendees", [])}
    found = {}
    for each in value:
        address = (each.get("emailAddress") or {}).get("address")
        if not address or each.get("type", "required") not in _TYPES:
            raise invalid("An attendee has no address, or a type that is not known.", "ErrorInvalidRecipients")
        named = {"name": (each["emailAddress"].get("name") or address), "address": address}
        status = answers.get(address.lower(), {"response": "none", "time": "0001-01-01T00:00:00Z"})
        found[address.lower()] = {"type": each.get("type", "required"), "status": status, "emailAddress": named}
    return list(found.values())


def _plain(value: Any, _before: Mapping[str, Any]) -> Any:
    return value


_READERS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "subject": _subject,
    "body": _body,
    "location": _location,
    "showAs": _one_of(_SHOW_AS),
    "sensitivity": _one_of(_SENSITIVITIES),
    "reminderMinutesBeforeStart": _minutes,
    "attendees": _attendees,
}
