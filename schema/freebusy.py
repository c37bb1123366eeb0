"""When calendars are busy, on the surface of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import strawberry

from kalends.domain.access import Scope
from kalends.domain.availability import MAX_WINDOW
from kalends.domain.busy import BusySpan as MergedSpan
from kalends.domain.busy import BusyTime
from kalends.domain.calendars import Freshness
from kalends.domain.errors import Refused
from kalends.domain.ids import EventRef, parse_id
from kalends.domain.spans import moment as moment_at
from kalends.domain.time import TimeSpan, read_window
from resolvers import freebusy as use_cases
from resolvers.freebusy import MAX_IDS, CalendarBusy
from schema.context import Info
from schema.enums import BusyStatus, StalePolicy
from schema.errors import BadInput
from schema.events import Event
from schema.scalars import DateTime, instant_or_date, moment, optional_moment

MAX_NAMED = 50
FROM = "The window's first moment."
TO = f"The first moment after the window, at most {MAX_WINDOW.days} days after the first."


@strawberry.type(description="How old what is known of a calendar is.")
class CalendarFreshness:
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="The calendar.")
    resource_id: strawberry.ID | None = strawberry.field(description="Whoever or whatever it belongs to.")
    synced_at: DateTime | None = strawberry.field(
        description="When its provider was last read to the end; null for a calendar that lives only here, and for one "
        "that was not read yet."
    )
    stale: bool = strawberry.field(description="Whether that is longer ago than the calendar's `staleAfter`.")
    stale_policy: StalePolicy = strawberry.field(description="What availability makes of it where it is stale.")

    @classmethod
    def of(cls, freshness: Freshness, *, stale: bool) -> Self:
        """Return it in the API's words."""
        return cls(
            calendar_id=strawberry.ID(str(freshness.calendar_id)),
            resource_id=None if freshness.resource_id is None else strawberry.ID(str(freshness.resource_id)),
            synced_at=optional_moment(freshness.synced_at),
            stale=stale,
            stale_policy=freshness.policy,
        )


@strawberry.type(description="A piece of time that is busy; it holds its start and not its end.")
class BusySpan:
    """See the description."""

    start: DateTime = strawberry.field(description="When it starts, in UTC.")
    end: DateTime = strawberry.field(description="When it ends, in UTC.")
    status: BusyStatus = strawberry.field(description="Why it is busy: the strongest of what takes it.")

    _times: strawberry.Private[Sequence[BusyTime]]
    _span: strawberry.Private[MergedSpan]

    @strawberry.field(
        description=f"What takes it, earliest first, at most {MAX_NAMED}; of a series the occurrences. "
        "Empty for a key without the scope READ."
    )
    async def events(self, info: Info) -> list[Event]:
        """Load what takes it."""
        start, end, _ = self._span
        span = TimeSpan(moment_at(start), moment_at(end))
        return await events_behind(info, [each for each in self._times if each.start < end and each.end > start], span)

    @classmethod
    def all_of(cls, spans: Sequence[MergedSpan], times: Sequence[BusyTime]) -> list[Self]:
        """Return merged spans in the API's words; `times` are what they were merged from."""
        return [
            cls(
                start=moment(moment_at(each[0])),
                end=moment(moment_at(each[1])),
                status=each[2],
                _times=times,
                _span=each,
            )
            for each in spans
        ]


async def events_behind(info: Info, times: Sequence[BusyTime], span: TimeSpan) -> list[Event]:
    """Return the events that take time within a span, for those who may read them."""
    if Scope.READ not in info.context.caller.scopes:
        return []
    ids = list(dict.fromkeys(each.event_id for each in times))[:MAX_NAMED]
    stored = await info.context.loaders.events.load_many([EventRef(each) for each in ids])
    found = [each for event in stored if event is not None for each in event.happening(span) if each.blocks]
    found.sort(key=lambda event: (event.when.span.start, event.id))
    return [Event.of(event) for event in found[:MAX_NAMED]]


@strawberry.type(description="When one calendar is busy.")
class CalendarFreeBusy:
    """See the description."""

    freshness: CalendarFreshness = strawberry.field(description="Which calendar, and how old what is known of it is.")

    _busy: strawberry.Private[CalendarBusy]

    @strawberry.field(description="When it is busy, in order; spans that do not overlap.")
    def busy(self) -> list[BusySpan]:
        """Merge what takes its time."""
        return BusySpan.all_of(self._busy.spans, self._busy.times)

    @classmethod
    def of(cls, busy: CalendarBusy) -> Self:
        """Return it in the API's words."""
        return cls(freshness=CalendarFreshness.of(busy.freshness, stale=busy.stale), _busy=busy)


@strawberry.type(
    description="When calendars are busy. Transparent, cancelled and declined events are left out. What was last read "
    "counts, however old: `calendars` says how old."
)
class FreeBusy:
    """See the description."""

    start: DateTime = strawberry.field(description="The window's first moment, in UTC.")
    end: DateTime = strawberry.field(description="The first moment after the window, in UTC.")

    _busy: strawberry.Private[use_cases.FreeBusy]

    @strawberry.field(description="When any of them is busy, in order; spans that do not overlap.")
    def busy(self) -> list[BusySpan]:
        """Merge what takes the time of all of them."""
        return BusySpan.all_of(self._busy.spans, self._busy.times)

    @strawberry.field(description="Each of them by itself, once, in the order of the question.")
    def calendars(self) -> list[CalendarFreeBusy]:
        """Return each calendar by itself."""
        return [CalendarFreeBusy.of(each) for each in self._busy.calendars]


@strawberry.type
class FreeBusyQuery:
    """The query."""

    @strawberry.field(
        description="When calendars are busy. The scope FREE_BUSY is enough. "
        f"At most {MAX_IDS:,} ids in all; one that nobody has is an error."
    )
    async def free_busy(
        self,
        info: Info,
        from_: Annotated[DateTime, strawberry.argument(name="from", description=FROM)],
        to: Annotated[DateTime, strawberry.argument(description=TO)],
        calendar_ids: Annotated[
            list[strawberry.ID] | None, strawberry.argument(description="These calendars, archived ones too.")
        ] = None,
        resource_ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(description="The calendars of these resources, without archived ones."),
        ] = None,
    ) -> FreeBusy:
        """Return when calendars are busy."""
        try:
            window = read_window(instant_or_date(from_), instant_or_date(to))
            found = await use_cases.free_busy(
                info.context.services,
                info.context.caller,
                window,
                calendar_ids=[parse_id(each) for each in calendar_ids or ()],
                resource_ids=[parse_id(each) for each in resource_ids or ()],
            )
        except Refused as refused:
            raise BadInput(refused) from None
        return FreeBusy(start=moment(window.start), end=moment(window.end), _busy=found)
