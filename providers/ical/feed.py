"""A whole calendar as a file that others subscribe to, written piece by piece (RFC 5545 section 3.4).

A zone is defined before the first event that uses it. What only Kalends and its applications know stays here: metadata,
and which event of ours it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from kalends.domain.events import Event
from providers.ical.content import METADATA
from providers.ical.lines import Component, Property, written
from providers.ical.people import Owner
from providers.ical.read import STAMP
from providers.ical.values import escaped
from providers.ical.write import PRODUCT, calendar_of, definitions, zones_of

REFRESH = timedelta(minutes=30)
"""How often a subscriber is asked to look (RFC 7986 section 5.7)."""

CLOSING = b"END:VCALENDAR\r\n"
_OURS = (STAMP, METADATA)


def opening(name: str, tzid: str) -> bytes:
    """Return how the file begins. Most readers know a calendar's name and zone by the older X- properties alone."""
    minutes = f"PT{REFRESH // timedelta(minutes=1)}M"
    lines = [
        Property.of("VERSION", "2.0"),
        Property.of("PRODID", PRODUCT),
        Property.of("METHOD", "PUBLISH"),
        Property.of("NAME", escaped(name)),
        Property.of("X-WR-CALNAME", escaped(name)),
        Property.of("X-WR-TIMEZONE", escaped(tzid)),
        Property.of("REFRESH-INTERVAL", minutes, {"VALUE": "DURATION"}),
        Property.of("X-PUBLISHED-TTL", minutes),
    ]
    return written([Component("VCALENDAR", [*lines])]).removesuffix(CLOSING)


def entries(events: Iterable[Event], owner: Owner, *, defined: set[str], year: int) -> bytes:
    """Return events as they stand in the file.

    `defined` are the zones that are defined already; those that are used here are added. `year` is that of the earliest
    event of all.
    """
    components: list[Component] = []
    for event in events:
        calendar = calendar_of(event, event.uid, owner)
        names = zones_of(calendar)
        components += definitions(names - defined, year)
        defined |= names
        for each in calendar.components("VEVENT"):
            for name in _OURS:
                each.put(name)
            components.append(each)
    return written(components)
