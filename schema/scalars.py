"""The scalars, and how they are read.

A reader never raises: what it cannot read becomes `Malformed`, and the mutation answers with a typed error that names
the path and what was expected, beside every other problem of the same input.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NewType, cast
from uuid import UUID

import strawberry
from strawberry.types.scalar import ScalarDefinition

from kalends.domain.errors import Malformed
from kalends.domain.ids import parse_id
from kalends.domain.time import read_zone
from kalends.domain.values import (
    read_duration,
    read_email,
    read_instant_or_date,
    read_metadata,
    read_time_of_day,
    written_duration,
)

DateTime = NewType("DateTime", object)
Date = NewType("Date", object)
TimeZone = NewType("TimeZone", object)
EmailAddress = NewType("EmailAddress", object)
Metadata = NewType("Metadata", object)
LocalTime = NewType("LocalTime", object)
Duration = NewType("Duration", object)
JSONValue = NewType("JSONValue", object)


def moment(value: datetime) -> DateTime:
    """Return an aware moment for the API, in the zone it is in."""
    return DateTime(value)


def optional_moment(value: datetime | None) -> DateTime | None:
    """Return a moment for the API, or nothing."""
    return None if value is None else DateTime(value)


def _write_moment(value: datetime) -> str:
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if value.tzinfo is UTC else text


def _write_date(value: date) -> str:
    return value.isoformat()


def _write_mapping(value: Mapping[str, object]) -> dict[str, object]:
    return dict(value)


SCALARS: Mapping[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description=(
            "A moment: an RFC 3339 date-time with an offset and whole seconds, such as 2026-05-01T09:00:00+02:00. "
            "Beside `allDay: true` also a plain date, such as 2026-05-01."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        serialize=_write_moment,
        parse_value=read_instant_or_date,
    ),
    Date: strawberry.scalar(
        name="Date",
        description="A day: an RFC 3339 full-date, such as 2026-05-01.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        serialize=_write_date,
    ),
    TimeZone: strawberry.scalar(
        name="TimeZone",
        description="The name of a time zone in the IANA database, such as Europe/Berlin.",
        specified_by_url="https://www.iana.org/time-zones",
        serialize=str,
        parse_value=read_zone,
    ),
    LocalTime: strawberry.scalar(
        name="LocalTime",
        description="A time of day, such as 09:00 or 17:30:00; as an end, 24:00 is the end of the day.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        parse_value=read_time_of_day,
    ),
    Duration: strawberry.scalar(
        name="Duration",
        description=(
            "A duration in weeks, or in days of 24 hours, hours, minutes and seconds, such as PT30M or P1DT12H; never "
            "negative."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc5545#section-3.3.6",
        serialize=written_duration,
        parse_value=read_duration,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description="An e-mail address as browsers check it, at most 254 characters.",
        specified_by_url="https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address",
        serialize=str,
        parse_value=read_email,
    ),
    Metadata: strawberry.scalar(
        name="Metadata",
        description=(
            "An application's own key-value pairs: a JSON object of at most 50 strings, keys of 1 to 44 and values of "
            "at most 1024 characters."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-4",
        serialize=_write_mapping,
        parse_value=read_metadata,
    ),
    JSONValue: strawberry.scalar(
        name="JSON",
        description="Any JSON value, in a form that only its producer defines.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_write_mapping,
    ),
}


def instant_or_date(value: DateTime) -> datetime | date | Malformed:
    """Return what the reader of `DateTime` made of an argument."""
    return cast("datetime | date | Malformed", value)


def time_of_day(value: LocalTime) -> time | Malformed:
    """Return what the reader of `LocalTime` made of an argument."""
    return cast("time | Malformed", value)


def duration(value: Duration) -> timedelta | Malformed:
    """Return what the reader of `Duration` made of an argument."""
    return cast("timedelta | Malformed", value)


def zone_name(value: TimeZone) -> str | Malformed:
    """Return what the reader of `TimeZone` made of an argument."""
    return cast("str | Malformed", value)


def email(value: EmailAddress) -> str | Malformed:
    """Return what the reader of `EmailAddress` made of an argument."""
    return cast("str | Malformed", value)


def metadata(value: Metadata) -> dict[str, str] | Malformed:
    """Return what the reader of `Metadata` made of an argument."""
    return cast("dict[str, str] | Malformed", value)


def optional_id(value: strawberry.ID | None) -> UUID | Malformed | None:
    """Return an id, None for none, `Malformed` for text that cannot be one of ours."""
    if value is None:
        return None
    return parse_id(value) or Malformed("the id of something that exists")
