"""The root of all queries."""

import strawberry

from schema.access import AccessQuery
from schema.accounts import AccountQuery
from schema.availability import AvailabilityQuery
from schema.calendars import CalendarQuery
from schema.event_operations import EventQuery
from schema.freebusy import FreeBusyQuery
from schema.resources import ResourceQuery


@strawberry.type(description="What can be read.")
class Query(EventQuery, CalendarQuery, ResourceQuery, FreeBusyQuery, AvailabilityQuery, AccountQuery, AccessQuery):
    """Everything that can be read."""
