"""Busy time as a file that anybody may read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kalends.domain.busy import BusySpan, BusyStatus
from kalends.domain.spans import moment
from kalends.domain.time import TimeSpan
from providers.ical.lines import Component, Property, written
from providers.ical.write import PRODUCT

FBTYPE = {
    BusyStatus.BUSY: "BUSY",
    BusyStatus.TENTATIVE: "BUSY-TENTATIVE",
    BusyStatus.UNAVAILABLE: "BUSY-UNAVAILABLE",
}


def free_busy_file(spans: Iterable[BusySpan], window: TimeSpan, *, uid: str, at: datetime) -> bytes:
    """Return one VFREEBUSY with the busy spans of a window, in order, in UTC; `at` is when it was made.

    It is what RFC 4791 section 7.10 has a free-busy-query answer: RFC 5545 section 3.6.4, without anybody's address.
    """
    busy = Component("VFREEBUSY", [Property.of("UID", uid)])
    for name, when in (("DTSTAMP", at), ("DTSTART", window.start), ("DTEND", window.end)):
        busy.items.append(Property.of(name, _utc(when)))
    for start, end, status in spans:
        period = f"{_utc(moment(start))}/{_utc(moment(end))}"
        busy.items.append(Property.of("FREEBUSY", period, {"FBTYPE": FBTYPE[status]}))
    head = [Property.of("VERSION", "2.0"), Property.of("PRODID", PRODUCT)]
    return written([Component("VCALENDAR", [*head, busy])])


def _utc(when: datetime) -> str:
    return f"{when:%Y%m%dT%H%M%SZ}"
