"""A series under a profile: every one of its times is asked about, as a slot would be."""

from __future__ import annotations

from datetime import time
from uuid import UUID

import pytest

from kalends.domain.access import Principal, Scope
from kalends.domain.availability import BufferReason, EventReason, NoticeReason, RuleReason
from kalends.domain.errors import NotAvailable, Refused
from kalends.domain.events import Event, newly_busy
from kalends.domain.profiles import Profile
from kalends.domain.recurrence import Recurrence
from kalends.domain.rules import WEEKDAYS, All, Allow, Hours
from providers.registry import Registry
from resolvers.reserving import MAX_REFUSED, calendars_to_hold, reserve
from resolvers.services import Services
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, MINUTE, NOW, Clock, make_calendar, make_event, make_profile, make_resource

pytestmark = pytest.mark.anyio
OFFICE = All((Allow(WEEKDAYS), Allow(Hours(time(9), time(17)))))


class Booking:
    """A person with two calendars and a profile."""

    def __init__(self, storage: Storage, app_id: UUID, profile: Profile, calendars: tuple[UUID, UUID]) -> None:
        self.services = Services(storage, Registry({}), clock=Clock())
        self.app_id = app_id
        self.profile = profile
        self.calendars = calendars

    async def refusal(self, event: Event, *scopes: Scope, among: tuple[Event, ...] = ()) -> NotAvailable | None:
        """Return why an event cannot be booked, None where it can."""
        principal = Principal(self.app_id, UUID(int=1), frozenset(scopes))
        times = newly_busy(None, event)
        owner, name = self.profile.resource_id, self.profile.name
        async with self.services.storage.writing(self.app_id) as work:
            assert await calendars_to_hold(work, [event.calendar_id]) == set(self.calendars)
            try:
                await reserve(self.services, work, principal, event, times, owner, name, among=among)
            except Refused as refused:
                [problem] = refused.problems
                assert isinstance(problem, NotAvailable)
                return problem
        return None


@pytest.fixture
async def booking(storage: Storage, app_id: UUID) -> Booking:
    resource = make_resource()
    calendars = [make_calendar(resource_id=resource.id) for _ in range(2)]
    profile = make_profile(resource.id, rule=OFFICE, buffer_after=15 * MINUTE)
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.profiles.add(profile)
        for each in calendars:
            await work.calendars.add(each)
    return Booking(storage, app_id, profile, (calendars[0].id, calendars[1].id))


async def test_a_series_that_fits_is_booked(booking: Booking) -> None:
    series = make_event(booking.calendars[0], NOW + HOUR, recurrence=Recurrence("FREQ=WEEKLY;COUNT=20"))
    assert await booking.refusal(series) is None


async def test_each_time_that_does_not_fit_is_told_with_its_reasons(booking: Booking) -> None:
    first, second = booking.calendars
    others = [make_event(second, NOW + DAY + HOUR), make_event(second, NOW + 2 * DAY + 2 * HOUR)]
    async with booking.services.storage.writing(booking.app_id) as work:
        await work.events.add(others)
    series = make_event(first, NOW + HOUR, recurrence=Recurrence("FREQ=DAILY;COUNT=7"))
    told = await booking.refusal(series, Scope.READ)
    assert told is not None
    assert (told.count, told.told) == (4, True)
    [owner] = told.refused[0].reasons
    kinds = [
        ((slot.span.start - series.when.span.start).days, [type(each) for each in slot.reasons[owner]])
        for slot in told.refused
    ]
    assert kinds == [(1, [EventReason]), (2, [BufferReason]), (5, [RuleReason]), (6, [RuleReason])]


async def test_what_is_over_is_too_late_to_book(booking: Booking) -> None:
    told = await booking.refusal(make_event(booking.calendars[0], NOW - 7 * DAY))
    assert told is not None
    [reasons] = told.refused[0].reasons.values()
    assert (reasons, told.told) == ([NoticeReason(NOW)], False)


async def test_events_of_one_request_are_in_each_others_way_in_any_calendar_of_the_person(booking: Booking) -> None:
    event, other = (make_event(each, NOW + HOUR) for each in booking.calendars)
    assert await booking.refusal(event) is None
    told = await booking.refusal(event, among=(other,))
    assert told is not None
    assert [[type(each) for each in reasons] for reasons in told.refused[0].reasons.values()] == [[EventReason]]


async def test_of_many_refused_times_the_first_are_shown(booking: Booking) -> None:
    series = make_event(booking.calendars[0], NOW - 3 * HOUR, recurrence=Recurrence("FREQ=DAILY;COUNT=200"))
    told = await booking.refusal(series)
    assert told is not None
    assert (told.count, len(told.refused)) == (200, MAX_REFUSED)
