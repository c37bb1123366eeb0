"""Values of properties (RFC 5545 section 3.3): text, times, durations and addresses, in both directions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, unquote

from kalends.domain.values import MAX_EMAIL

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r"[\\;,\n]")
_LINE_BREAK = re.compile(r"\r\n?")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)
_DURATION = re.compile(r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)
_ADDRESS = re.compile(r'[^@\s"<>,;:\\\x00-\x1f\x7f]+@[^@\s"<>,;:\\\x00-\x1f\x7f]+')
_MAX_DIGITS = 9  # of one number in a duration


def escaped(text: str) -> str:
    """Return text as TEXT writes it (section 3.3.11)."""
    return _TO_ESCAPE.sub(lambda found: "\\n" if found[0] == "\n" else f"\\{found[0]}", unbroken(text))


def unescaped(value: str) -> str:
    """Return the text that a TEXT value stands for, without characters that no text may have."""
    if "\\" in value:
        value = _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)
    return _UNPRINTABLE.sub("", unbroken(value))


def unbroken(text: str) -> str:
    """Return text whose lines all end with a line feed: TEXT knows no other break."""
    return _LINE_BREAK.sub("\n", text)


@dataclass(frozen=True, slots=True)
class Moment:
    """A DATE, or a DATE-TIME before its zone is known: what the clocks show."""

    wall: datetime
    all_day: bool = False
    utc: bool = False


def read_moment(value: str) -> Moment | None:
    """Read a DATE or a DATE-TIME (sections 3.3.4 and 3.3.5); None for anything else."""
    found = _MOMENT.fullmatch(value.strip().upper())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(each or 0) for each in found.groups()[:6])
    try:
        # A leap second is one that no clock of ours shows.
        wall = datetime(year, month, day, hour, minute, 59 if second == 60 else second)  # noqa: DTZ001  a wall time
    except ValueError:
        return None
    return Moment(wall, all_day=found[4] is None, utc=bool(found[7]))


@dataclass(frozen=True, slots=True)
class Length:
    """A DURATION (section 3.3.6): `days` are as long as the zone makes them, `exact` is time that passes."""

    days: int
    exact: timedelta


def read_length(value: str) -> Length | None:
    """Read a DURATION; None for anything else, and for one that no calendar can hold."""
    found = _DURATION.fullmatch(value.strip().upper())
    if found is None or not any(found.groups()[1:]) or any(len(each or "") > _MAX_DIGITS for each in found.groups()):
        return None
    sign = -1 if found[1] == "-" else 1
    weeks, days, hours, minutes, seconds = (int(each or 0) for each in found.groups()[1:])
    if weeks * 7 + days > timedelta.max.days:
        return None
    exact = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return Length(sign * (weeks * 7 + days), sign * exact)


def read_address(value: str, email: str | None = None) -> str | None:
    """Return the e-mail address of a CAL-ADDRESS (section 3.3.3).

    `email` is its EMAIL parameter (RFC 7986 section 6.2). Apple's servers name people by other URIs, and say their
    addresses there.
    """
    text = value.strip()
    if text[:7].lower() == "mailto:":
        text = unquote(text[7:].partition("?")[0])
    for each in (text, email or ""):
        address = each.strip().strip("<>")
        if len(address) <= MAX_EMAIL and _ADDRESS.fullmatch(address):
            return address
    return None


def written_address(email: str) -> str:
    """Return an address as a CAL-ADDRESS: a mailto URI (RFC 6068 section 2)."""
    return "mailto:" + quote(email, safe="@!$'()*+-._~")
