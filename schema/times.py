"""Times and windows of time."""

from __future__ import annotations

from datetime import UTC, datetime

import strawberry

from kalends.domain.time import TimeSpan
from kalends.domain.values import DATE_TIME
from schema.errors import BadArgument
from schema.scalars import DateTime, instant_or_date, moment


@strawberry.type(description="A time, from its start up to its end.")
class TimeRange:
    """See the description."""

    start: DateTime = strawberry.field(description="The first moment, in UTC.")
    end: DateTime = strawberry.field(description="The first moment after it, in UTC.")

    @classmethod
    def of(cls, span: TimeSpan) -> TimeRange:
        """Return a time in the API's words."""
        return cls(start=moment(span.start), end=moment(span.end))


def window(from_: DateTime, to: DateTime) -> TimeSpan:
    """Read the two ends of a window; raise `BadArgument`."""
    ends = []
    for name, value in (("from", instant_or_date(from_)), ("to", instant_or_date(to))):
        if not isinstance(value, datetime):
            raise BadArgument(name, DATE_TIME)
        ends.append(value.astimezone(UTC))
    if ends[1] <= ends[0]:
        raise BadArgument("to", "a time after `from`")
    return TimeSpan(ends[0], ends[1])
