"""Times as Google writes them, and the times at which a recurring event takes place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dateutil.rrule import rrulestr

from .errors import invalid

Wire = dict[str, Any]

ZONES = available_timezones()
_LINE = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)((?:;[^:;]+)*):(.+)")
_UNTIL = re.compile(r"UNTIL=(\d{8})(T\d{6}Z)?(?=;|$)")
_TZID = re.compile(r";TZID=([^;]+)")


def read_time(value: Any, name: str, zone: str) -> Wire:
    """Return a start or an end as Google answers it, in the calendar's zone; refuse what is none."""
    if not isinstance(value, dict) or not (value.get("date") or value.get("dateTime")):
        raise invalid(f"Missing {name} time.", "required")
    if value.get("date") and value.get("dateTime"):
        raise invalid(f"Invalid {name} time.")
    try:
        if value.get("date"):
            return {"date": date.fromisoformat(value["date"]).isoformat()}
        moment = datetime.fromisoformat(value["dateTime"])
    except ValueError as error:
        raise invalid(f"Invalid {name} time.") from error
    own = value.get("timeZone")
    if own is not None and own not in ZONES:
        raise invalid(f"Invalid time zone definition for {name} time.")
    if moment.tzinfo is None:
        if own is None:
            raise invalid(f"Missing time zone definition for {name} time.", "required")
        moment = moment.replace(tzinfo=ZoneInfo(own))
    return {"dateTime": moment.astimezone(ZoneInfo(zone)).isoformat(), "timeZone": own or zone}


def instant(time: Wire) -> datetime:
    """Return the instant of a time; of a date, its midnight in UTC."""
    if "date" in time:
        return datetime.fromisoformat(time["date"]).replace(tzinfo=UTC)
    return datetime.fromisoformat(time["dateTime"]).astimezone(UTC)


def wall(time: Wire) -> datetime:
    """Return what the clocks of its zone show then; of a date, midnight."""
    if "date" in time:
        return datetime.fromisoformat(time["date"])
    return datetime.fromisoformat(time["dateTime"]).astimezone(ZoneInfo(time["timeZone"])).replace(tzinfo=None)


def at_wall(moment: datetime, like: Wire, zone: str) -> Wire:
    """Return a wall time in the form, and in the zone, of another time."""
    if "date" in like:
        return {"date": moment.date().isoformat()}
    aware = moment.replace(tzinfo=ZoneInfo(like["timeZone"]))
    return {"dateTime": aware.astimezone(UTC).astimezone(ZoneInfo(zone)).isoformat(), "timeZone": like["timeZone"]}


def suffix(original: Wire) -> str:
    """Return what names an instance behind its series' id."""
    return f"{instant(original):%Y%m%d}" if "date" in original else f"{instant(original):%Y%m%dT%H%M%SZ}"


def check_recurrence(lines: Any, start: Wire) -> None:
    """Refuse lines that Google does not understand, such as an UNTIL that does not fit the start."""
    if not isinstance(lines, list) or not lines or not all(isinstance(each, str) for each in lines):
        raise invalid("Invalid recurrence rule.")
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            raise invalid("Invalid recurrence rule.")
        try:
            if found[1] in ("RRULE", "EXRULE"):
                _rule(found[3], start)
            else:
                _dates(line, start)
        except (ValueError, TypeError, KeyError) as error:
            raise invalid("Invalid recurrence rule.") from error


def takes_place(body: Wire, original: datetime) -> bool:
    """Tell whether a recurring event has an instance that begins at a wall time in its zone."""
    start = wall(body["start"])
    there, gone = original == start, False
    for line in body["recurrence"]:
        found = _LINE.fullmatch(line)
        assert found is not None
        if found[1] == "RRULE":
            there = there or bool(_rule(found[3], body["start"]).between(original, original, inc=True))
        elif found[1] == "RDATE":
            there = there or original in _dates(line, body["start"])
        elif found[1] == "EXDATE":
            gone = gone or original in _dates(line, body["start"])
    return there and not gone


def lasting(body: Wire) -> timedelta:
    """Return how long an event lasts: of whole days, in days."""
    return instant(body["end"]) - instant(body["start"])


def _rule(value: str, start: Wire) -> Any:
    until = _UNTIL.search(value)
    if ("UNTIL=" in value) and (until is None or bool(until[2]) is ("date" in start)):
        raise ValueError("UNTIL does not fit")

    def local(found: re.Match[str]) -> str:
        if not found[2]:
            return f"UNTIL={found[1]}T000000"
        moment = datetime.strptime(found[1] + found[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return f"UNTIL={moment.astimezone(ZoneInfo(start['timeZone'])):%Y%m%dT%H%M%S}"

    return rrulestr(_UNTIL.sub(local, value), dtstart=wall(start))


def _dates(line: str, start: Wire) -> set[datetime]:
    return set(_each_date(line, start))


def _each_date(line: str, start: Wire) -> Iterator[datetime]:
    head, _, values = line.partition(":")
    tzid = _TZID.search(head)
    for value in values.split(","):
        if "date" in start or "VALUE=DATE" in head:
            yield datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007
        elif value.endswith("Z"):
            moment = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            yield moment.astimezone(ZoneInfo(start["timeZone"])).replace(tzinfo=None)
        else:
            moment = datetime.strptime(value, "%Y%m%dT%H%M%S")  # noqa: DTZ007
            zone = ZoneInfo(tzid[1] if tzid else start["timeZone"])
            yield moment.replace(tzinfo=zone).astimezone(ZoneInfo(start["timeZone"])).replace(tzinfo=None)
