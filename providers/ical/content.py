"""What an event says, in both directions: one property for each field of `EventContent` (docs/providers/caldav.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from kalends.domain.errors import Malformed
from kalends.domain.events import (
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_SUMMARY,
    ConflictPolicy,
    EventContent,
    EventStatus,
    Visibility,
)
from kalends.domain.sync import WarningCode
from kalends.domain.values import read_metadata
from providers.ical.alarms import read_reminders, write_reminders
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.people import Owner, read_people, with_own_answer, write_people
from providers.ical.values import escaped, unbroken, unescaped

METADATA = "X-KALENDS-METADATA"
"""An application's key-value pairs, as a JSON object."""

BUSY = "X-MICROSOFT-CDO-BUSYSTATUS"
"""How Outlook shows the time: the only place where Exchange says that it is tentative
(https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcical)."""

AWAY = "OOF"
"""Its word for somebody who is out of office; no other property has one."""

_BLANK = EventContent("")
_SHORTENED = "A text is longer than Kalends keeps: its end is not shown."
# What says the same in another form, and would contradict what we write.
_COMPANIONS = {
    "SUMMARY": (),
    "LOCATION": ("GEO", "X-APPLE-STRUCTURED-LOCATION", "X-MICROSOFT-LOCATIONS"),
    "DESCRIPTION": ("STYLED-DESCRIPTION", "X-ALT-DESC"),
}


def read_content(event: Component, told: Mapping[str, Sequence[Property]], owner: Owner, notes: Notes) -> EventContent:
    """Read what an event says. `told` are its properties by name."""
    attendees, partstat, organizer = read_people(told, owner, notes)
    busy = _word(told, BUSY)
    return EventContent(
        summary=_text(told, "SUMMARY", MAX_SUMMARY, notes) or "",
        location=_text(told, "LOCATION", MAX_LOCATION, notes) or "",
        description=_text(told, "DESCRIPTION", MAX_DESCRIPTION, notes),
        attendees=attendees,
        partstat=partstat,
        transparent=_word(told, "TRANSP") == "TRANSPARENT" or ("TRANSP" not in told and busy == "FREE"),
        status=_read_status(told, busy, notes),
        metadata=_read_metadata(told, notes),
        visibility=_read_visibility(told),
        reminders=read_reminders(event, notes),
        organizer=organizer,
        out_of_office=busy == AWAY,
    )


def _text(told: Mapping[str, Sequence[Property]], name: str, at_most: int, notes: Notes) -> str | None:
    if name not in told:
        return None
    text = unescaped(told[name][0].value)
    if len(text) > at_most:
        notes.add(WarningCode.TEXT_SHORTENED, _SHORTENED)
    return text[:at_most]


def _word(told: Mapping[str, Sequence[Property]], name: str) -> str | None:
    return told[name][0].value.strip().upper() if name in told else None


def _read_status(told: Mapping[str, Sequence[Property]], busy: str | None, notes: Notes) -> EventStatus:
    """Return the status; Exchange calls tentative events confirmed, and says elsewhere what they are."""
    said = _word(told, "STATUS") or EventStatus.CONFIRMED
    if said not in EventStatus.__members__:
        notes.partly("Its status is one that Kalends has no word for.")
        said = EventStatus.CONFIRMED
    status = EventStatus(said)
    return EventStatus.TENTATIVE if status is EventStatus.CONFIRMED and busy == "TENTATIVE" else status


def _read_visibility(told: Mapping[str, Sequence[Property]]) -> Visibility:
    """Return the visibility; a word that nobody knows means PRIVATE (RFC 5545 section 3.8.1.3)."""
    said = _word(told, "CLASS")
    if said is None:
        return Visibility.DEFAULT
    known = (Visibility.PUBLIC, Visibility.PRIVATE, Visibility.CONFIDENTIAL)
    return next((each for each in known if each == said), Visibility.PRIVATE)


def _read_metadata(told: Mapping[str, Sequence[Property]], notes: Notes) -> Mapping[str, str]:
    if METADATA not in told:
        return {}
    try:
        pairs = read_metadata(orjson.loads(unescaped(told[METADATA][0].value)))
    except orjson.JSONDecodeError:
        pairs = Malformed("")
    if isinstance(pairs, Malformed):
        notes.partly("Its metadata cannot be read.")
        return {}
    return pairs


# Writing


def kept(content: EventContent, owner: Owner) -> EventContent:
    """Return what is read of a content that was written: without what only Kalends has words for."""
    return replace(
        content,
        summary=unbroken(content.summary),
        location=unbroken(content.location),
        description=None if content.description is None else unbroken(content.description),
        attendees=with_own_answer(content, owner),
        send_invitations=False,
        on_conflict=ConflictPolicy.ALLOW,
        organizer=None if content.organizer is None or owner.is_at(content.organizer) else content.organizer,
    )


def write_content(event: Component, before: EventContent | None, after: EventContent, owner: Owner) -> None:
    """Bring to an event what differs between two contents; all of it, where there is none before."""
    then = before or _BLANK
    for name, old, new in (
        ("SUMMARY", then.summary, after.summary),
        ("LOCATION", then.location, after.location),
        ("DESCRIPTION", then.description, after.description),
    ):
        if old != new:
            _write_text(event, name, new)
    _write_busy(event, before, after)
    if then.visibility is not after.visibility:
        told = [] if after.visibility is Visibility.DEFAULT else [Property.of("CLASS", after.visibility)]
        event.put("CLASS", *told)
    if dict(then.metadata) != dict(after.metadata):
        _write_metadata(event, then.metadata, after.metadata)
    write_people(event, then, after, owner)
    write_reminders(event, then.reminders, after.reminders, after.summary)


def _write_text(event: Component, name: str, text: str | None) -> None:
    present = event.first(name)
    if (unescaped(present.value) if present else "") == unbroken(text or ""):
        return
    event.put(name, *([Property.of(name, escaped(text))] if text else []))
    for companion in _COMPANIONS[name]:
        event.put(companion)


def _write_busy(event: Component, before: EventContent | None, after: EventContent) -> None:
    """Write whether the event blocks its time; Outlook's own word for it follows, where it is there."""
    told = event.index()
    said = status = _read_status(told, _word(told, BUSY), Notes())
    away = was_away = _word(told, BUSY) == AWAY
    if before is None or before.status is not after.status:
        status = after.status
    if before is None or before.out_of_office is not after.out_of_office:
        away = after.out_of_office
    free = after.transparent
    alone = away is not was_away and "TRANSP" not in told  # then the word that goes has said that, too
    if before is None or before.transparent is not free or alone:
        event.put("TRANSP", Property.of("TRANSP", "TRANSPARENT" if free else "OPAQUE"))
    elif (status, away) == (said, was_away):
        return
    if before is None or status is not said or (status is EventStatus.TENTATIVE and _word(told, "STATUS") != status):
        event.put("STATUS", Property.of("STATUS", status))
    if away:
        event.put(BUSY, Property.of(BUSY, AWAY))
    elif BUSY in told:
        taken = "TENTATIVE" if status is EventStatus.TENTATIVE else "BUSY"
        free = _word(event.index(), "TRANSP") == "TRANSPARENT"
        event.put(BUSY, Property.of(BUSY, "FREE" if free else taken))


def _write_metadata(event: Component, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Write the pairs that differ; others that are there stay."""
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    pairs = {key: value for key, value in _read_metadata(event.index(), Notes()).items() if key not in differing}
    pairs |= {key: value for key, value in after.items() if key in differing}
    text = orjson.dumps(pairs, option=orjson.OPT_SORT_KEYS).decode()
    event.put(METADATA, *([Property.of(METADATA, escaped(text))] if pairs else []))
