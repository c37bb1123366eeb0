"""Times and windows of time."""

from __future__ import annotations

import strawberry

from kalends.domain.errors import InvalidInput, Refused
from kalends.domain.time import TimeSpan, read_window
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
    since, until = instant_or_date(from_), instant_or_date(to)
    try:
        return read_window(since, until)
    except Refused as refused:
        first = refused.problems[0]
        expected = first.expected if isinstance(first, InvalidInput) else first.message
        raise BadArgument(first.path[0], expected) from None
