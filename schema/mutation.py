"""The root of all mutations."""

import strawberry

from schema.access import AccessMutation
from schema.account_operations import AccountMutation
from schema.calendars import CalendarMutation
from schema.event_changes import EventChangeMutation
from schema.event_operations import EventMutation
from schema.icalendar import ICalendarMutation
from schema.profiles import ProfileMutation
from schema.resources import ResourceMutation
from schema.sandbox import SandboxMutation


@strawberry.type(description="What can be done. A refusal is data, in the payload's `errors`.")
class Mutation(
    EventMutation,
    EventChangeMutation,
    CalendarMutation,
    ResourceMutation,
    ICalendarMutation,
    ProfileMutation,
    AccountMutation,
    AccessMutation,
    SandboxMutation,
):
    """Everything that can be done."""
