"""How an event repeats, in Google's words and in ours. Pure: no input, no output.

Google keeps the rule in lines of iCalendar (RFC 5545 section 3.8.5) and what differs from it as events of their own,
each named by the time at which its rule would have started it:
https://developers.google.com/workspace/calendar/api/guides/recurringevents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from kalends.domain.errors import Malformed
from kalends.domain.recurrence import MAX_OCCURRENCES, Recurrence, occurrences, read_rule
from kalends.domain.time import TimeSpan, When, instant, zone
from providers.google.mapping import Unreadable, read_instant, reads
from providers.google.wire import Event
from providers.zones import iana

_LINE = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)((?:;[^:;]+)*):(.+)", re.IGNORECASE)
_TZID = re.compile(r";TZID=([^;]+)", re.IGNORECASE)
_STRANGE = "It repeats in a way that Kalends does not understand."
_DAY = timedelta(days=1)


@reads
def read_lines(lines: Iterable[str], when: When) -> Recurrence | None:
    """Return what a recurring event's lines say, None where they make it take place only once.

    Raises `Unreadable` for more than one rule, and for a rule that Kalends does not expand.
    """
    rule: str | None = None
    dates: dict[str, set[datetime]] = {"RDATE": set(), "EXDATE": set()}
    for line in lines:
        found = _LINE.fullmatch(line.strip())
        name = found[1].upper() if found else ""
        if found is None or name == "EXRULE" or (name == "RRULE" and rule is not None):
            raise Unreadable(_STRANGE)
        if name == "RRULE":
            read = read_rule(found[3], tzid=when.tzid, all_day=when.all_day)
            if isinstance(read, Malformed):
                raise Unreadable(_STRANGE)
            rule = read
        else:
            tzid = _TZID.search(found[2])
            dates[name] |= {_wall(each, tzid and tzid[1], when) for each in found[3].split(",")}
    if rule is None and not dates["RDATE"]:
        return None
    return Recurrence(rule, frozenset(dates["RDATE"]), frozenset(dates["EXDATE"]))


def lines_of(when: When, recurrence: Recurrence) -> list[str]:
    """Return the lines that say how an event repeats; its overrides are not among them."""
    lines = [] if recurrence.rule is None else [f"RRULE:{recurrence.rule}"]
    for name, walls in (("RDATE", recurrence.rdates), ("EXDATE", recurrence.exdates)):
        if walls:
            form = "%Y%m%d" if when.all_day else "%Y%m%dT%H%M%S"
            kind = "VALUE=DATE" if when.all_day else f"TZID={when.tzid}"
            lines.append(f"{name};{kind}:{','.join(f'{wall:{form}}' for wall in sorted(walls))}")
    return lines


@reads
def original_wall(event: Event, when: When) -> datetime:
    """Return the wall time at which the series would have started this occurrence; `when` is the series' own."""
    start = event["originalStartTime"]
    if "date" in start:
        day = datetime.fromisoformat(start["date"])
        return day if when.all_day else datetime.combine(day, when.start.time())
    moment = read_instant(start, when.tzid)
    wall = moment.astimezone(zone(when.tzid)).replace(tzinfo=None)
    if when.all_day:
        return datetime.combine(wall, when.start.time())
    # In the night in which the clocks skip the series' hour, its rule says that hour all the same.
    ruled = datetime.combine(wall, when.start.time())
    return ruled if instant(ruled, when.tzid) == moment else wall


def original_start(wall: datetime, when: When) -> str:
    """Return how Google names the occurrence that the series would start at a wall time."""
    if when.all_day:
        return wall.date().isoformat()
    return instant(wall, when.tzid).astimezone(zone(when.tzid)).isoformat()


def usual(when: When, wall: datetime) -> When | None:
    """Return when the occurrence of a wall time takes place if nothing differs; None for a day that does not exist."""
    return _by_themselves(when, Recurrence(None, frozenset({wall})), [wall]).get(wall)


def named(when: When, recurrence: Recurrence, walls: Iterable[datetime]) -> set[datetime]:
    """Return those of the wall times that the rule, or a date, names. What lies too far ahead to tell is named."""
    asked = set(walls)
    if not asked:
        return set()
    found = _by_themselves(when, recurrence, asked)
    cut = len(found) >= MAX_OCCURRENCES
    return {wall for wall in asked if wall in found or (cut and wall > max(found))}


def _by_themselves(when: When, recurrence: Recurrence, walls: Iterable[datetime]) -> Mapping[datetime, When]:
    """Return the occurrences around some wall times as they would be if none were left out or changed."""
    first, last = min(walls), max(walls)
    window = TimeSpan(instant(first, when.tzid) - _DAY, instant(last, when.tzid) + _DAY)
    bare = Recurrence(recurrence.rule, recurrence.rdates)
    return {each.recurrence_id: each.when for each in occurrences(when, bare, window)}


def _wall(text: str, tzid: str | None, when: When) -> datetime:
    """Return a date or a date-time of a line as a wall time in the zone of the event."""
    try:
        moment = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")  # noqa: DTZ007
    except ValueError as error:
        raise Unreadable(_STRANGE) from error
    if "T" not in text or when.all_day:
        return datetime.combine(moment, when.start.time())
    if text.endswith("Z"):
        return moment.replace(tzinfo=UTC).astimezone(zone(when.tzid)).replace(tzinfo=None)
    known = when.tzid if tzid is None else iana(tzid)
    if known is None:
        raise Unreadable("Its dates are in a time zone that Kalends does not know.")
    if known == when.tzid:
        return moment
    return instant(moment, known).astimezone(zone(when.tzid)).replace(tzinfo=None)
