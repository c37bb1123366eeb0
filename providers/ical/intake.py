"""A file that somebody hands in: its events, and what of it cannot be taken, each with its UID and what was expected.

Nobody keeps the file. So what Kalends has no place for is said, where a copy at a provider would just keep it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kalends.domain.events import EventState, unfit
from kalends.domain.sync import SyncWarning, WarningCode
from kalends.domain.values import YEARS
from providers.ical import times
from providers.ical.lines import Component, Property, Unreadable
from providers.ical.people import Owner
from providers.ical.read import Group, Resource, duplicates, opened, resource
from providers.interface import Broken

MAX_UID = 255
_EVENT = "an event (VEVENT) as RFC 5545 section 3.6.1 has it"
_EXPECTED = {
    times.NO_START: "DTSTART with a date, or a date-time",
    times.REVERSED: "DTEND after DTSTART",
    times.OUTSIDE: YEARS,
}
_ONE_OF_A_UID = "a UID that no other event of the file has (RFC 5545 section 3.8.4.7)"
_MESSAGES = frozenset({"REPLY", "ADD", "REFRESH", "COUNTER", "DECLINECOUNTER"})  # each tells of a part of an event
_UNKEPT = {
    *("ATTACH", "CATEGORIES", "COLOR", "COMMENT", "CONFERENCE", "CONTACT"),
    *("GEO", "IMAGE", "PRIORITY", "RELATED-TO", "RESOURCES", "URL"),
}


@dataclass(frozen=True, slots=True)
class Unusable:
    """A component that is left out. `message` is a sentence for people, `expected` is what would have been taken."""

    uid: str
    message: str
    expected: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of the file as it was read, with what was noted about it. `group` is what it was read from."""

    group: Group
    found: Resource
    warnings: tuple[SyncWarning, ...]

    @property
    def uid(self) -> str:
        """Its UID."""
        return self.found.uid


@dataclass(frozen=True, slots=True)
class Intake:
    """What a file holds, in its order."""

    entries: tuple[Entry, ...]
    unusable: tuple[Unusable, ...]


def taken_in(data: bytes, *, tzid: str, owner: Owner, at_most: int) -> Intake:
    """Read a file of at most so many events, for a calendar in this zone that belongs to this owner.

    Raises `Unreadable` for what is no calendar, breaks off, holds more, or is an answer to an invitation.
    """
    file = opened(data)
    if file.method in _MESSAGES:
        raise Unreadable(f"This is a message about an event (METHOD:{file.method}), and not the event itself.")
    count = len(file.groups) + len(file.others)
    if count > at_most:
        raise Unreadable(f"The calendar has {count:,} entries, more than the {at_most:,} that are taken at once.")
    entries: list[Entry] = []
    unusable: list[Unusable] = []
    for group in file.groups:
        found = _read(group, tzid, owner)
        if isinstance(found, Unusable):
            unusable.append(found)
        else:
            entries.append(found)
        unusable += [Unusable(each.name, each.reason, _ONE_OF_A_UID) for each in duplicates(group)]
    unusable += [Unusable(uid, f"It is a {name}, and no event.", _EVENT) for uid, name in file.others]
    return Intake(tuple(entries), tuple(unusable))


def _read(group: Group, tzid: str, owner: Owner) -> Entry | Unusable:
    if len(group.uid) > MAX_UID:
        expected = f"a UID of at most {MAX_UID} characters"
        return Unusable(group.uid[:MAX_UID], "Its UID is too long.", expected)
    found = resource(group, tzid=tzid, owner=owner)
    if isinstance(found, Broken):
        return Unusable(group.uid, found.reason, _EXPECTED.get(found.reason, _EVENT))
    if (reason := unfit(found.state)) is not None:
        return Unusable(group.uid, reason, _EVENT)
    found = replace(found, state=_on_the_clocks(found.state))
    return Entry(group, found, (*found.warnings, *_unkept(group)))


def _on_the_clocks(state: EventState) -> EventState:
    """Return a state whose single wall times are all ones that the clocks show; the moments are the same."""
    if state.recurrence is None:
        return replace(state, when=times.kept(state.when, series=False))
    overrides = {
        wall: replace(each, when=times.kept(each.when, series=False))
        for wall, each in state.recurrence.overrides.items()
    }
    return replace(state, recurrence=replace(state.recurrence, overrides=overrides))


def _unkept(group: Group) -> Iterator[SyncWarning]:
    names = {name for each in group.members for name in _names(each)}
    if names:
        told = ", ".join(sorted(names))
        yield SyncWarning(WarningCode.PARTLY_READ, f"Kalends has no place for what it says in {told}.")


def _names(event: Component) -> Iterator[str]:
    return (item.name for item in event.items if isinstance(item, Property) and item.name in _UNKEPT)
