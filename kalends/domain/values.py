"""Readers of single values. None raises: what cannot be read comes back as `Malformed`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone

from kalends.domain.errors import Malformed

FIRST_YEAR, LAST_YEAR = 1970, 2200
MAX_EMAIL = 254
MAX_METADATA_ENTRIES, MAX_METADATA_KEY, MAX_METADATA_VALUE = 50, 44, 1024

DATE_TIME = "a date-time with an offset, such as 2026-05-01T09:00:00+02:00 (RFC 3339), in whole seconds"
DATE = "a date, such as 2026-05-01 (RFC 3339 full-date)"
EMAIL = f"an e-mail address of at most {MAX_EMAIL} characters, such as ada@example.org"
YEARS = f"a year from {FIRST_YEAR} to {LAST_YEAR}"
METADATA = (
    f"an object of at most {MAX_METADATA_ENTRIES} strings, keys of 1 to {MAX_METADATA_KEY} "
    f"and values of at most {MAX_METADATA_VALUE} characters"
)
PLAIN_TEXT = "text without control characters or lone surrogates"

# RFC 3339 section 5.6; ISO 8601 lets the seconds out, and people do.
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_DATE_TIME = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt]{_CLOCK}(?::\d\d(?:\.0{{1,9}})?)?(?:[Zz]|[+-]{_CLOCK})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# The WHATWG's "valid e-mail address", which is what browsers check.
_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
# RFC 5545 section 3.1: TEXT has no CONTROL but tab and line breaks; UTF-8 has no surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

TIME_OF_DAY = "a time of day, such as 09:00 or 17:30:00; 24:00 for the end of the day"
DURATION = "a duration in weeks, or in days, hours, minutes and seconds, such as PT30M or P1DT12H"
_TIME_OF_DAY = re.compile(rf"{_CLOCK}(?::[0-5]\d)?", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,4})W|(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,9})S)?)?)",
    re.ASCII,
)

_ZERO_OFFSET = timezone(timedelta(0), "+00:00")


def read_instant(value: object) -> datetime | Malformed:
    """Read an RFC 3339 date-time. The result is aware and keeps the offset that was written.

    `Z` is read as `UTC`, +00:00 as another zone object: the first names an instant only, the second says that the
    local clocks were at zero too (RFC 9557 section 2.2).
    """
    if isinstance(value, str) and _DATE_TIME.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value.upper())
            if value.endswith("+00:00"):
                moment = moment.replace(tzinfo=_ZERO_OFFSET)
        except ValueError:
            return Malformed(DATE_TIME)
        return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else Malformed(YEARS)
    return Malformed(DATE_TIME)


def read_date(value: object) -> date | Malformed:
    """Read an RFC 3339 full-date."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            return Malformed(DATE)
        return day if FIRST_YEAR <= day.year <= LAST_YEAR else Malformed(YEARS)
    return Malformed(DATE)


def read_instant_or_date(value: object) -> datetime | date | Malformed:
    """Read a date-time, or the plain date that all-day events use."""
    if isinstance(value, str) and len(value) == 10:
        return read_date(value)
    return read_instant(value)


def read_time_of_day(value: object) -> time | Malformed:
    """Read a time of day (RFC 3339, partial-time; ISO 8601 lets the seconds out). The day's end is its midnight."""
    if value in ("24:00", "24:00:00"):
        return time()
    if isinstance(value, str) and _TIME_OF_DAY.fullmatch(value):
        return time.fromisoformat(value)
    return Malformed(TIME_OF_DAY)


def read_duration(value: object) -> timedelta | Malformed:
    """Read a duration (RFC 5545 section 3.3.6), which is never negative; its days are of 24 hours."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return Malformed(DURATION)
    return timedelta(**{unit: int(number) for unit, number in found.groupdict().items() if number is not None})


def written_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds that is not negative (RFC 5545 section 3.3.6)."""
    hours, rest = divmod(duration.seconds, 3600)
    parts = [f"{number}{unit}" for number, unit in ((hours, "H"), (rest // 60, "M"), (rest % 60, "S")) if number]
    days = f"{duration.days}D" if duration.days else ""
    return f"P{days}T{''.join(parts)}" if parts else f"P{days}" if days else "PT0S"


def read_email(value: object) -> str | Malformed:
    """Read an e-mail address; its domain is folded to lower case (RFC 5321 section 2.4)."""
    if isinstance(value, str) and len(value) <= MAX_EMAIL and _EMAIL.fullmatch(value):
        local, _, domain = value.rpartition("@")
        return f"{local}@{domain.lower()}"
    return Malformed(EMAIL)


def read_text(value: str, *, at_most: int, at_least: int = 0) -> str | Malformed:
    """Check text against its column: length in characters, and nothing that UTF-8 or iCalendar cannot carry."""
    if at_least and not value.strip():
        return Malformed(f"text of 1 to {at_most} characters, not only white space")
    if len(value) > at_most:
        return Malformed(f"text of at most {at_most} characters; this one has {len(value)}")
    return Malformed(PLAIN_TEXT) if _UNPRINTABLE.search(value) else value


def read_metadata(value: object) -> dict[str, str] | Malformed:
    """Read an application's own key-value pairs. The limits are the smallest of all providers' (Google's)."""
    if not isinstance(value, Mapping) or len(value) > MAX_METADATA_ENTRIES:
        return Malformed(METADATA)
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str):
            return Malformed(METADATA)
        if isinstance(read_text(key, at_least=1, at_most=MAX_METADATA_KEY), Malformed):
            return Malformed(METADATA)
        if isinstance(read_text(item, at_most=MAX_METADATA_VALUE), Malformed):
            return Malformed(METADATA)
    return dict(value)


def utc_now() -> datetime:
    """Return the present, to the microsecond, in UTC: the default of every injected clock."""
    return datetime.now(UTC)
