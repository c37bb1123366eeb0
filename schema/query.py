"""The root of all queries."""

import strawberry

from schema.access import AccessQuery
from schema.accounts import AccountQuery
from schema.calendars import CalendarQuery
from schema.event_operations import EventQuery
from schema.freebusy import FreeBusyQuery
from schema.resources import ResourceQuery


@strawberry.type(description="What can be read.")
class Query(EventQuery, CalendarQuery, ResourceQuery, FreeBusyQuery, AccountQuery, AccessQuery):
    """Everything that can be read."""
