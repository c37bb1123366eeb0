"""Names of time zones as providers write them, and the IANA names that they stand for.

A name that is not known is never read as UTC: the caller takes the calendar's own zone and says so.
"""

from __future__ import annotations

from functools import cache

from tzlocal.windows_tz import tz_win, win_tz

from kalends.domain.errors import Malformed
from kalends.domain.time import read_zone, zone_names

# Of several IANA names of one zone, the CLDR's; Microsoft writes UTC in its own way, too.
_ALSO = {
    "utc": "UTC",
    "z": "UTC",
    "gmt": "Etc/GMT",
    "coordinated universal time": "UTC",
    "tzone://microsoft/utc": "UTC",
}


def iana(name: str) -> str | None:
    """Return the IANA name of a zone; None for one that nobody knows, such as `tzone://Microsoft/Custom`.

    Understood are IANA's own names, in whatever case, Windows' names, and IANA names behind a prefix, as in
    `/freeassociation.sourceforge.net/Europe/Berlin` (RFC 5545 section 3.8.3.1 lets producers do that).
    """
    text = name.strip().strip('"')
    if not isinstance(read_zone(text), Malformed):
        return text
    folded = text.lower()
    if folded in _ALSO:
        return _ALSO[folded]
    known = _windows().get(folded) or _folded().get(folded)
    if known is not None:
        return known
    parts = text.split("/")
    for start in range(1, len(parts)):
        tail = "/".join(parts[start:])
        if "/" in tail and (known := _folded().get(tail.lower())) is not None:
            return known
    return None


def windows(tzid: str) -> str | None:
    """Return Windows' name of an IANA zone; None where Windows has none."""
    return "UTC" if tzid in ("UTC", "Etc/UTC") else tz_win.get(tzid)


@cache
def _windows() -> dict[str, str]:
    known = {name: "UTC" if zone == "Etc/UTC" else zone for name, zone in win_tz.items()}
    return {name.lower(): zone for name, zone in known.items() if not isinstance(read_zone(zone), Malformed)}


@cache
def _folded() -> dict[str, str]:
    return {name.lower(): name for name in zone_names()}
