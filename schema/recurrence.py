"""How events repeat, on the surface of the API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self

import strawberry

from kalends.domain import events as domain
from kalends.domain.recurrence import MAX_COUNT, MAX_EXCEPTIONS
from kalends.domain.repeating import NumberedDay, Pattern, RecurrenceDraft
from kalends.domain.time import zone
from schema.enums import Frequency, Weekday
from schema.scalars import DateTime, instant_or_date, moment


@strawberry.type(description="How an event repeats (RFC 5545 section 3.8.5).")
class Recurrence:
    """See the description."""

    rule: str | None = strawberry.field(
        description="The rule (RRULE), without its name; null where only dates are given."
    )
    rdates: list[DateTime] = strawberry.field(description="Times beside those of the rule (RDATE), in order.")
    exdates: list[DateTime] = strawberry.field(description="Times at which it does not take place (EXDATE), in order.")
    overridden: list[DateTime] = strawberry.field(
        description="Times of the rule whose occurrences differ from the others (RECURRENCE-ID), in order."
    )

    @classmethod
    def of(cls, event: domain.Event) -> Self | None:
        """Return an event's recurrence in the API's words."""
        if event.recurrence is None:
            return None

        def moments(walls: Iterable[datetime]) -> list[DateTime]:
            return [moment(wall.replace(tzinfo=zone(event.when.tzid))) for wall in sorted(walls)]

        return cls(
            rule=event.recurrence.rule,
            rdates=moments(event.recurrence.rdates),
            exdates=moments(event.recurrence.exdates),
            overridden=moments(event.recurrence.overrides),
        )


@strawberry.input(description="A day of the week, or one of them in a month or year.")
class NumberedDayInput:
    """See the description."""

    day: Weekday = strawberry.field(description="The day.")
    number: int | None = strawberry.field(
        default=None,
        description="Which one of its month or year, from the end where negative: -1 is the last. All, where absent.",
    )


@strawberry.input(description="A rule, told part by part (RFC 5545 section 3.3.10).")
class RecurrencePatternInput:
    """See the description."""

    frequency: Frequency = strawberry.field(description="The unit of time in which it counts (FREQ).")
    interval: int = strawberry.field(default=1, description="Every so many of these units (INTERVAL).")
    days: list[NumberedDayInput] = strawberry.field(default_factory=list, description="On these days (BYDAY).")
    month_days: list[int] = strawberry.field(
        default_factory=list, description="On these days of the month, from its end where negative (BYMONTHDAY)."
    )
    months: list[int] = strawberry.field(default_factory=list, description="In these months, 1 to 12 (BYMONTH).")
    year_days: list[int] = strawberry.field(
        default_factory=list, description="On these days of the year, from its end where negative (BYYEARDAY)."
    )
    weeks: list[int] = strawberry.field(
        default_factory=list, description="In these weeks of the year, as ISO 8601 numbers them (BYWEEKNO)."
    )
    hours: list[int] = strawberry.field(default_factory=list, description="At these hours, 0 to 23 (BYHOUR).")
    positions: list[int] = strawberry.field(
        default_factory=list, description="Only these of all that it names in one unit of time (BYSETPOS)."
    )
    week_start: Weekday = strawberry.field(
        default=Weekday.MONDAY, description="The first day of a week, where that matters (WKST)."
    )

    def read(self) -> Pattern:
        """Return the pattern in the domain's words."""
        return Pattern(
            frequency=self.frequency,
            interval=self.interval,
            days=tuple(NumberedDay(each.day, each.number) for each in self.days),
            month_days=tuple(self.month_days),
            months=tuple(self.months),
            year_days=tuple(self.year_days),
            weeks=tuple(self.weeks),
            hours=tuple(self.hours),
            positions=tuple(self.positions),
            week_start=self.week_start,
        )


@strawberry.input(
    description="How an event repeats: by a `rule` or a `pattern`, by `rdates`, or both. "
    "Its `start` is always the first time, and wall time is kept when the clocks change."
)
class RecurrenceInput:
    """See the description."""

    rule: str | None = strawberry.field(
        default=None,
        description="The value of an RRULE, at most hourly, such as FREQ=WEEKLY;BYDAY=MO,WE (RFC 5545 section 3.3.10).",
    )
    pattern: RecurrencePatternInput | None = strawberry.field(
        default=None, description="The same, told part by part; instead of `rule`."
    )
    until: DateTime | None = strawberry.field(
        default=None, description="The last moment at which it may start; a plain date for that day's end (UNTIL)."
    )
    count: int | None = strawberry.field(
        default=None, description=f"How often it takes place, at most {MAX_COUNT}; instead of `until` (COUNT)."
    )
    rdates: list[DateTime] = strawberry.field(
        default_factory=list,
        description=f"Times beside those of the rule, at most {MAX_EXCEPTIONS}; plain dates for whole days (RDATE).",
    )
    exdates: list[DateTime] = strawberry.field(
        default_factory=list,
        description=f"Times at which it does not take place, at most {MAX_EXCEPTIONS} (EXDATE).",
    )

    def read(self) -> RecurrenceDraft:
        """Return the recurrence in the domain's words."""
        return RecurrenceDraft(
            rule=self.rule,
            pattern=None if self.pattern is None else self.pattern.read(),
            until=None if self.until is None else instant_or_date(self.until),
            count=self.count,
            rdates=tuple(instant_or_date(each) for each in self.rdates),
            exdates=tuple(instant_or_date(each) for each in self.exdates),
        )
