"""Reminders: VALARM (RFC 5545 section 3.6.6), in both directions.

Kalends knows minutes before the start. What an alarm says beside, and every other alarm, stays in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from kalends.domain.events import LONGEST_REMINDER, MAX_REMINDERS
from providers.ical.lines import Component, Property
from providers.ical.notes import Notes
from providers.ical.values import escaped, read_length

NONE = "X-KALENDS-REMINDERS"
"""Says NONE where nobody is to be reminded; without it and without alarms, the calendar's own reminders are meant."""

_OTHER = "A reminder is not a number of minutes before the start: Kalends does not show it."
_TOO_MANY = f"It has more than {MAX_REMINDERS} reminders: Kalends shows the earliest."


def read_reminders(event: Component, notes: Notes) -> tuple[int, ...] | None:
    """Return how many minutes before the start somebody is reminded, None for the calendar's own reminders.

    An alarm with ACTION:NONE is how Apple says that there is none
    (https://github.com/tine20/tine20/issues/3595, https://github.com/cyrusimap/cyrus-imapd/issues/2589).
    """
    found: set[int] = set()
    for alarm in event.components("VALARM"):
        minutes = _minutes(alarm)
        if minutes is not None:
            found.add(minutes)
        elif not _is_none(alarm):
            notes.partly(_OTHER)
    if len(found) > MAX_REMINDERS:
        notes.partly(_TOO_MANY)
    if found:
        return tuple(sorted(found)[:MAX_REMINDERS])
    says_none = event.first(NONE) is not None or any(_is_none(each) for each in event.components("VALARM"))
    return () if says_none else None


def _minutes(alarm: Component) -> int | None:
    """Return how many minutes before the start an alarm comes; None for one that Kalends has no word for."""
    trigger = alarm.first("TRIGGER")
    if trigger is None or _is_none(alarm):
        return None
    parameters, value = trigger.parts()
    length = read_length(value)
    if length is None or parameters.get("RELATED", ["START"])[0].upper() != "START":
        return None
    minutes, rest = divmod(-(timedelta(days=length.days) + length.exact), timedelta(minutes=1))
    return minutes if not rest and 0 <= minutes <= LONGEST_REMINDER else None


def _is_none(alarm: Component) -> bool:
    action = alarm.first("ACTION")
    return action is not None and action.value.strip().upper() == "NONE"


# Writing


def write_reminders(event: Component, before: Collection[int] | None, after: Collection[int] | None, text: str) -> None:
    """Let an event remind so. Alarms that Kalends does not know stay; `text` is what new ones show."""
    if before == after:
        return
    present: set[int] = set()
    for alarm in event.components("VALARM"):
        minutes = _minutes(alarm)
        if (minutes in (before or ()) and minutes not in (after or ())) or (after is None and _is_none(alarm)):
            event.drop(alarm)
        elif minutes is not None:
            present.add(minutes)
    event.put(NONE, *([Property.of(NONE, "NONE")] if after is not None and not after else []))
    event.items += [_written(minutes, text) for minutes in sorted(set(after or ()) - present)]


def _written(minutes: int, text: str) -> Component:
    return Component("VALARM", list(_lines(minutes, text)))


def _lines(minutes: int, text: str) -> Iterator[Property]:
    yield Property.of("ACTION", "DISPLAY")
    yield Property.of("DESCRIPTION", escaped(text) or "Reminder")
    yield Property.of("TRIGGER", f"-PT{minutes}M" if minutes else "PT0S")
