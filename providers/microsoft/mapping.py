"""From an event of ours to what Graph is sent. Pure: no input, no output.

What is written here is in the form of `shown`: what Outlook will show for it is what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kalends.domain.events import EventContent, EventState, EventStatus, Visibility
from kalends.domain.time import When
from providers.interface import Identity, Outgoing
from providers.microsoft import text, times, wire
from providers.microsoft.reading import USUAL_REMINDER, address
from providers.microsoft.recurrence import to_wire
from providers.microsoft.wire import Attendee, Body, Event

TIME = ("start", "end", "isAllDay", "recurrence")
"""What says when an event is. Of a series, all of it is written together, and resets its exceptions."""

STAMPED = "kalends"
"""What every stamp begins with."""

_REMINDER = ("isReminderOn", "reminderMinutesBeforeStart")
_SENSITIVITIES = {Visibility.PRIVATE: "private", Visibility.CONFIDENTIAL: "confidential"}


def stamp(identity: Identity) -> str:
    """Return what a copy carries to be recognised, and to be found by: see `wire.STAMP`."""
    return f"{STAMPED} {identity.event_id} {identity.generation} {identity.key}"


def created(outgoing: Outgoing, state: EventState) -> Body:
    """Return the body that creates a copy in this state, but for a series' exceptions.

    `transactionId` lets Graph recognise a repetition, for as long as it remembers:
    https://learn.microsoft.com/graph/api/resources/event#properties.
    """
    body = written(state)
    if state.content.reminders is None:  # the owner's own default, which only Outlook knows
        for name in _REMINDER:
            del body[name]
    body = {name: value for name, value in body.items() if value not in (None, [])}
    properties = {wire.STAMP: stamp(outgoing.identity)}
    if state.content.metadata:
        properties[wire.METADATA] = metadata(state.content.metadata)
    body["singleValueExtendedProperties"] = wire.extended(properties)
    return body | {"transactionId": outgoing.identity.key}


def written(state: EventState) -> Body:
    """Return a state, as Graph takes it, but for properties of ours and a series' exceptions."""
    recurrence = to_wire(state.recurrence.rule, state.when) if state.recurrence else None
    return occurrence(state.when, state.content) | {"recurrence": recurrence}


def occurrence(when: When, content: EventContent) -> Body:
    """Return what one occurrence of a series can say by itself."""
    minutes = USUAL_REMINDER if content.reminders is None else next(iter(content.reminders), None)
    return {
        "subject": content.summary,
        "location": {"displayName": content.location},
        "body": text.sent(content.description),
        **times.written(when),
        "showAs": _show_as(content),
        "sensitivity": _SENSITIVITIES.get(content.visibility, "normal"),
        "isReminderOn": minutes is not None,
        **({} if minutes is None else {"reminderMinutesBeforeStart": minutes}),
        "attendees": [_attendee(each.email) for each in content.attendees],
    }


def differing(before: Body, after: Body) -> Body:
    """Return what must be written to make one thing that `written` returned into another."""
    changed = {name for name in after if not _alike(name, before.get(name), after[name])}
    if changed & set(TIME):
        repeats = before.get("recurrence") is not None or after.get("recurrence") is not None
        changed |= set(TIME if repeats else TIME[:3])
    if changed & set(_REMINDER):
        changed |= set(_REMINDER)
    return {name: after[name] for name in after if name in changed}


def metadata(values: Mapping[str, str]) -> str:
    """Return metadata as it is kept."""
    return orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS).decode()


def with_those_there(attendees: Sequence[Attendee], before: Sequence[Attendee], event: Event) -> list[Attendee]:
    """Return whom to list: Graph replaces the whole list, so whoever is on it stays on it as they are.

    That holds for those whom we do not know of, too; only those leave who were among `before` and are not among
    `attendees`.
    """
    wanted, known = _addresses(attendees), _addresses(before)
    there = event.get("attendees") or []
    staying = [each for each in there if _folded(each) in wanted or _folded(each) not in known]
    return staying + [each for each in attendees if _folded(each) not in _addresses(there)]


def _attendee(email: str) -> Attendee:
    return {"emailAddress": {"address": email}, "type": "required"}


def _addresses(attendees: Sequence[Attendee]) -> set[str]:
    return {_folded(each) for each in attendees}


def _folded(attendee: Attendee) -> str:
    return (address(attendee) or "").lower()


def _show_as(content: EventContent) -> str:
    if content.transparent:
        return "free"
    if content.out_of_office:
        return "oof"
    return "tentative" if content.status is EventStatus.TENTATIVE else "busy"


def _alike(name: str, one: Any, other: Any) -> bool:
    if name == "attendees":
        return _addresses(one or []) == _addresses(other or [])
    return bool(one == other)
