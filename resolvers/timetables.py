"""The timetables of resources, as both the search for slots and the guard of their booking read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kalends.domain.availability import Timetable
from kalends.domain.busy import BusyTime
from kalends.domain.calendars import Freshness, Resource, StalePolicy
from kalends.domain.events import Event
from kalends.domain.profiles import Conditions
from kalends.domain.spans import span_of
from kalends.domain.time import TimeSpan
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Known:
    """What is known of resources' calendars: which there are, how old that is, and what takes time in them."""

    calendars: Mapping[UUID, Sequence[Freshness]]
    busy: Sequence[Mapping[UUID, Sequence[BusyTime]]]

    def timetable(
        self, resource: Resource, conditions: Conditions, window: TimeSpan, now: datetime, *, number: int = 0
    ) -> Timetable:
        """Return a resource's timetable within a window; `number` is the window's among those that were read."""
        counting = [
            each for each in self.calendars.get(resource.id, ()) if each.calendar_id not in conditions.blocking.ignored
        ]
        return Timetable(
            window=span_of(window),
            tzid=resource.tzid,
            busy={
                each.calendar_id: list(conditions.blocking.counting(self.busy[number][each.calendar_id]))
                for each in counting
            },
            rule=conditions.rule,
            capacity=conditions.capacity,
            stale=[
                each.calendar_id
                for each in counting
                if each.policy is not StalePolicy.TREAT_AS_FREE and each.stale(now)
            ],
        )


async def read(
    work: UnitOfWork, resource_ids: Iterable[UUID], windows: Sequence[TimeSpan], *, among: Sequence[Event] = ()
) -> Known:
    """Return what is known of resources' calendars that are not archived, within each of these windows.

    `among` are events of the same request that are not stored yet.
    """
    wanted = set(resource_ids)
    found: dict[UUID, list[Freshness]] = {each: [] for each in wanted}
    for freshness in await work.calendars.freshness(resource_ids=wanted) if wanted else ():
        if freshness.resource_id is not None:
            found[freshness.resource_id].append(freshness)
    ids = [each.calendar_id for theirs in found.values() for each in theirs]
    asked = [(calendar_id, window) for window in windows for calendar_id in ids]
    times = iter(await work.busy.within(asked) if asked else ())
    busy = [{calendar_id: next(times) for calendar_id in ids} for _ in windows]
    for event in among:
        for window, there in zip(windows, busy, strict=True):
            if event.calendar_id in there:
                there[event.calendar_id] += event.taken(window)
    return Known(found, busy)
