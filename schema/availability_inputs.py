"""What callers write about availability, and how it is read."""

from __future__ import annotations

import strawberry

from kalends.domain.busy import BusyRules
from kalends.domain.errors import Problem
from kalends.domain.ids import parse_id
from kalends.domain.profiles import MAX_CAPACITY, ConditionsDraft
from resolvers.availability import MAX_ROLES, AvailabilityDraft, RoleDraft
from resolvers.freebusy import MAX_IDS
from schema.enums import Need
from schema.freebusy import FROM, TO
from schema.rules import AvailabilityRuleInput
from schema.scalars import DateTime, Duration, TimeZone, duration, instant_or_date, zone_name

RULE = "When it can be booked at all, in the resource's own zone; at any time by default."
BLOCKING = "What of that which takes time counts; all of it by default."
BUFFER_BEFORE = "How long it must be free before a booking, at most P1D."
BUFFER_AFTER = "How long it must be free after a booking, at most P1D."
NOTICE = "How long before its start a booking must be made, at most P366D."
CAPACITY = f"How many things can take the same time before it counts as taken, 1 to {MAX_CAPACITY:,}; 1 by default."
BESIDE = " Beside a profile, both must hold."


@strawberry.input(description="What of that which takes time in a resource's calendars counts as taken.")
class BlockingInput:
    """See the description."""

    all_day: bool = strawberry.field(default=True, description="Whether all-day events do.")
    tentative: bool = strawberry.field(
        default=True, description="Whether what is not certain, or not accepted yet, does."
    )
    out_of_office: bool = strawberry.field(default=True, description="Whether being out of office does.")
    ignored_calendar_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Calendars in which nothing does, however old what is known of them is."
    )


@strawberry.input(description="One of the roles that a slot needs: resources that are all needed, or can stand in.")
class AvailabilityRoleInput:
    """See the description."""

    resource_ids: list[strawberry.ID] = strawberry.field(description="The resources, each in one role only.")
    need: Need = strawberry.field(default=Need.ALL, description="How many of them a slot needs.")
    count: int = strawberry.field(default=1, description="The number, for ANY and ROUND_ROBIN.")
    profile: str | None = strawberry.field(
        default=None, description="The name of a profile that each of them has, whose conditions must hold."
    )

    def read(self) -> RoleDraft:
        """Return the role in the domain's words."""
        return RoleDraft([parse_id(each) for each in self.resource_ids], self.need, self.count, self.profile)


@strawberry.input(description="Which slots are wanted.")
class AvailabilityInput:
    """See the description."""

    roles: list[AvailabilityRoleInput] = strawberry.field(
        description=f"Who and what is needed, all roles at once: 1 to {MAX_ROLES} roles, at most {MAX_IDS:,} resources."
    )
    length: Duration = strawberry.field(description="How long a slot is, PT1M to P31D.")
    from_: DateTime = strawberry.field(name="from", description=FROM + " No slot begins before it.")
    to: DateTime = strawberry.field(description=TO + " No slot ends after it.")
    increment: Duration | None = strawberry.field(
        default=None,
        description="Slots begin at multiples of it after midnight in `timeZone`, PT1M to P1D; by default the length.",
    )
    time_zone: TimeZone = strawberry.field(
        default=TimeZone("UTC"), description="The zone that the slots are told in. Rules obey the resources' own zones."
    )
    rule: AvailabilityRuleInput | None = strawberry.field(default=None, description=RULE + BESIDE)
    blocking: BlockingInput | None = strawberry.field(
        default=None, description="What of that which takes time counts; all of it by default." + BESIDE
    )
    buffer_before: Duration | None = strawberry.field(default=None, description=BUFFER_BEFORE + BESIDE)
    buffer_after: Duration | None = strawberry.field(default=None, description=BUFFER_AFTER + BESIDE)
    minimum_notice: Duration | None = strawberry.field(default=None, description=NOTICE + BESIDE)
    capacity: int | None = strawberry.field(default=None, description=CAPACITY + BESIDE)
    explain: bool = strawberry.field(
        default=False, description="Whether `refused` tells the slots that are not offered."
    )

    def read(self) -> AvailabilityDraft:
        """Return the question in the domain's words."""
        return AvailabilityDraft(
            roles=[each.read() for each in self.roles],
            length=duration(self.length),
            start=instant_or_date(self.from_),
            end=instant_or_date(self.to),
            increment=None if self.increment is None else duration(self.increment),
            tzid=zone_name(self.time_zone),
            conditions=read_conditions(self),
        )


@strawberry.input(description="Conditions under which a resource can be booked, to be kept under a name.")
class SaveAvailabilityProfileInput:
    """See the description."""

    resource_id: strawberry.ID = strawberry.field(description="The resource.")
    name: str = strawberry.field(description="Its name, 1 to 200 characters; a profile of this name is replaced.")
    rule: AvailabilityRuleInput | None = strawberry.field(default=None, description=RULE)
    blocking: BlockingInput | None = strawberry.field(default=None, description=BLOCKING)
    buffer_before: Duration | None = strawberry.field(default=None, description=BUFFER_BEFORE)
    buffer_after: Duration | None = strawberry.field(default=None, description=BUFFER_AFTER)
    minimum_notice: Duration | None = strawberry.field(default=None, description=NOTICE)
    capacity: int | None = strawberry.field(default=None, description=CAPACITY)


def read_conditions(given: AvailabilityInput | SaveAvailabilityProfileInput) -> ConditionsDraft:
    """Return conditions in the domain's words."""
    problems: list[Problem] = []
    blocking = given.blocking
    ignored = tuple(parse_id(each) for each in blocking.ignored_calendar_ids) if blocking else ()
    return ConditionsDraft(
        rule=given.rule.read(problems) if given.rule else None,
        unread=tuple(problems),
        blocking=None
        if blocking is None
        else BusyRules(
            all_day=blocking.all_day,
            tentative=blocking.tentative,
            unavailable=blocking.out_of_office,
            ignored=frozenset(each for each in ignored if each is not None),
        ),
        ignored=ignored,
        buffer_before=None if given.buffer_before is None else duration(given.buffer_before),
        buffer_after=None if given.buffer_after is None else duration(given.buffer_after),
        notice=None if given.minimum_notice is None else duration(given.minimum_notice),
        capacity=given.capacity,
    )
