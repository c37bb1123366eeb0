"""Why slots cannot be booked, on the surface of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self
from uuid import UUID

import strawberry

from kalends.domain import availability as domain
from kalends.domain.busy import BusyTime
from kalends.domain.spans import moment as moment_at
from kalends.domain.time import TimeSpan, zone
from schema.context import Info
from schema.enums import BusyStatus
from schema.events import Event
from schema.freebusy import events_behind
from schema.rules import rule_in_api_words
from schema.scalars import DateTime, JSONValue, moment

HIDDEN = "null for a key with neither the scope READ nor FREE_BUSY"


@strawberry.interface(description="Something that refuses a slot.")
class SlotReason:
    """What every reason tells."""

    resource_id: strawberry.ID = strawberry.field(description="The resource that cannot be booked.")
    message: str = strawberry.field(description="Why, for people; it may change.")


@strawberry.type(description="A rule does not hold all of the slot.")
class RuleReason(SlotReason):
    """See the description."""

    rule: JSONValue | None = strawberry.field(
        description=f"The rule, in the form of `AvailabilityRuleInput`; {HIDDEN}."
    )


@strawberry.type(description="The slot begins too soon.")
class NoticeReason(SlotReason):
    """See the description."""

    earliest: DateTime = strawberry.field(description="The first moment at which one could begin, in UTC.")


@strawberry.type(
    description="A calendar was last read too long ago to be relied on, and its policy is not TREAT_AS_FREE."
)
class CalendarReason(SlotReason):
    """See the description."""

    calendar_id: strawberry.ID | None = strawberry.field(description=f"The calendar; {HIDDEN}.")


@strawberry.interface(description="Something that takes time in a calendar.")
class BusyReason:
    """What both kinds tell."""

    calendar_id: strawberry.ID | None = strawberry.field(description=f"The calendar; {HIDDEN}.")
    start: DateTime | None = strawberry.field(description=f"When it starts, in UTC; {HIDDEN}.")
    end: DateTime | None = strawberry.field(description=f"When it ends, in UTC; {HIDDEN}.")
    status: BusyStatus | None = strawberry.field(description=f"Why the time is busy; {HIDDEN}.")

    _busy: strawberry.Private[BusyTime]

    @strawberry.field(description="The event, of a series the occurrence; null for a key without the scope READ.")
    async def event(self, info: Info) -> Event | None:
        """Load what takes the time."""
        start, end = self._busy.span
        found = await events_behind(info, [self._busy], TimeSpan(moment_at(start), moment_at(end)))
        return found[0] if found else None

    @classmethod
    def of(cls, resource_id: UUID, calendar_id: UUID, busy: BusyTime, message: str, *, told: bool) -> Self:
        """Return it in the API's words."""
        made: Any = cls
        return made(  # type: ignore[no-any-return]
            resource_id=strawberry.ID(str(resource_id)),
            message=message,
            calendar_id=strawberry.ID(str(calendar_id)) if told else None,
            start=moment(moment_at(busy.start)) if told else None,
            end=moment(moment_at(busy.end)) if told else None,
            status=busy.status if told else None,
            _busy=busy,
        )


@strawberry.type(description="Something takes the slot's own time, and no more fits in.")
class EventReason(BusyReason, SlotReason):
    """See the description."""


@strawberry.type(description="Something takes the time that must stay free before or after the slot.")
class BufferReason(BusyReason, SlotReason):
    """See the description."""


UnavailableReason = Annotated[
    RuleReason | EventReason | BufferReason | NoticeReason | CalendarReason,
    strawberry.union("UnavailableReason", description="Why a slot cannot be booked."),
]


def _reason(resource_id: UUID, reason: domain.Reason, *, told: bool) -> Any:
    whose = strawberry.ID(str(resource_id))
    match reason:
        case domain.RuleReason(rule):
            shown = JSONValue(rule_in_api_words(rule)) if told else None
            return RuleReason(resource_id=whose, message="A rule does not allow this time.", rule=shown)
        case domain.EventReason(calendar_id, busy):
            return EventReason.of(resource_id, calendar_id, busy, "Something takes this time.", told=told)
        case domain.BufferReason(calendar_id, busy):
            message = "Something takes the time that must stay free before or after it."
            return BufferReason.of(resource_id, calendar_id, busy, message, told=told)
        case domain.NoticeReason(earliest):
            return NoticeReason(resource_id=whose, message="It begins too soon.", earliest=moment(earliest))
        case domain.StaleReason(calendar_id):
            shown_id = strawberry.ID(str(calendar_id)) if told else None
            message = "What is known of a calendar is too old."
            return CalendarReason(resource_id=whose, message=message, calendar_id=shown_id)


@strawberry.type(description="A time that cannot be booked, and why.")
class RefusedSlot:
    """See the description."""

    start: DateTime = strawberry.field(description="When it starts.")
    end: DateTime = strawberry.field(description="When it ends.")
    reasons: list[UnavailableReason] = strawberry.field(description="Everything that refuses it, resource by resource.")

    @classmethod
    def all_of(cls, slots: Iterable[domain.RefusedSlot], *, told: bool, tzid: str = "UTC") -> list[Self]:
        """Return slots in the API's words; `told` says whether the caller may know what takes time."""
        place = zone(tzid)
        return [
            cls(
                start=moment(slot.span.start.astimezone(place) if tzid != "UTC" else slot.span.start),
                end=moment(slot.span.end.astimezone(place) if tzid != "UTC" else slot.span.end),
                reasons=[
                    _reason(resource_id, reason, told=told)
                    for resource_id, reasons in slot.reasons.items()
                    for reason in reasons
                ],
            )
            for slot in slots
        ]
