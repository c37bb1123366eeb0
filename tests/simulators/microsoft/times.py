"""Times in Graph's form: wall times beside the name of a zone, which is Windows' or one of a few of IANA's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from tzlocal.windows_tz import win_tz

from .errors import invalid

MIDNIGHT = time()
CUSTOM = "tzone://Microsoft/Custom"
"""What Exchange says of a zone that an old desktop Outlook made up; it keeps the rules, which nobody else sees."""

_CUSTOM_RULES = "Europe/Madrid"
_IANA = available_timezones()


def zone_of(name: str, *, repeats: bool = False) -> ZoneInfo:
    """Return a zone's rules. What repeats needs one of Windows' (msgraph-sdk-php#159)."""
    if name == CUSTOM:
        return ZoneInfo(_CUSTOM_RULES)
    if name == "UTC":
        return ZoneInfo("UTC")
    if name in win_tz:
        return ZoneInfo(win_tz[name])
    if name in _IANA and not repeats:
        return ZoneInfo(name)
    raise invalid(f"The time zone {name!r} is not supported.", "TimeZoneNotSupportedException")


def read_time(value: Any, what: str) -> tuple[datetime, str]:
    """Read a `dateTimeTimeZone`; return its wall time and the name of its zone."""
    if not isinstance(value, Mapping) or not {"dateTime", "timeZone"} <= value.keys():
        raise invalid(f"{what} needs a dateTime and a timeZone.")
    try:
        wall = datetime.fromisoformat(str(value["dateTime"]))
    except ValueError:
        raise invalid(f"{what} is no date-time.") from None
    if wall.tzinfo is not None:
        wall = wall.astimezone(zone_of(str(value["timeZone"]))).replace(tzinfo=None)
    return wall, str(value["timeZone"])


def instant(wall: datetime, name: str) -> datetime:
    """Return the instant of a wall time."""
    return wall.replace(tzinfo=zone_of(name)).astimezone(UTC)


def read_instant(text: str | None, what: str) -> datetime:
    """Read an instant of a query; one without an offset is of UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        raise invalid(f"{what} is no date-time.", "ErrorInvalidParameter") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def shown(wall: datetime, name: str, wanted: str, *, all_day: bool) -> dict[str, str]:
    """Return a `dateTimeTimeZone` in the zone that was asked for. A day stays a day, whatever zone that is."""
    if not all_day:
        wall = instant(wall, name).astimezone(zone_of(wanted)).replace(tzinfo=None)
    return {"dateTime": f"{wall:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": wanted}


def stamp(moment: datetime) -> str:
    """Return an instant as Graph writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def midnight(day: date) -> datetime:
    """Return a day's first wall time."""
    return datetime.combine(day, MIDNIGHT)
