"""When calendars are busy, and how old what we know of them is."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from kalends.domain.access import Principal, require_busy
from kalends.domain.availability import MAX_WINDOW
from kalends.domain.busy import BusySpan, BusyTime, merged
from kalends.domain.calendars import Freshness
from kalends.domain.errors import InvalidInput, NotFound, Path, Problem, Refused, invalid
from kalends.domain.spans import span_of
from kalends.domain.time import TimeSpan
from resolvers.services import Services
from storage.unit_of_work import UnitOfWork

MAX_IDS = 1_000

Ids = Sequence[UUID | None]
"""Ids as a caller gave them; None stands for text that cannot be one."""


@dataclass(frozen=True)
class CalendarBusy:
    """What takes time in one calendar within a window, in no particular order."""

    freshness: Freshness
    stale: bool
    window: TimeSpan
    times: Sequence[BusyTime]

    @cached_property
    def spans(self) -> list[BusySpan]:
        """Its merged spans."""
        return merged(self.times, span_of(self.window))


@dataclass(frozen=True)
class FreeBusy:
    """What takes time in several calendars, each of them once, in the order in which they were asked for."""

    window: TimeSpan
    calendars: Sequence[CalendarBusy]

    @cached_property
    def times(self) -> list[BusyTime]:
        """What takes time in any of them."""
        return [each for calendar in self.calendars for each in calendar.times]

    @cached_property
    def spans(self) -> list[BusySpan]:
        """The merged spans of all of them together."""
        return merged(self.times, span_of(self.window))


async def free_busy(
    services: Services, principal: Principal, window: TimeSpan, *, calendar_ids: Ids = (), resource_ids: Ids = ()
) -> FreeBusy:
    """Return when calendars are busy: these, and those of these resources that are not archived.

    What is known counts, however old: how a stale calendar is to be taken is for availability, and for the caller. An
    archived calendar answers where it is named itself. Raises `Refused` with every problem.
    """
    require_busy(principal)
    problems = problems_of(window)
    if not calendar_ids and not resource_ids:
        problems.append(invalid("calendar_ids", "calendars, resources, or both"))
    problems += too_many({"calendar_ids": calendar_ids, "resource_ids": resource_ids})
    if problems:
        raise Refused(*problems)
    async with services.storage.reading(principal.app_id) as work:
        found = await known(work, calendar_ids, resource_ids)
        times = await work.busy.of([each.calendar_id for each in found], window)
    now = services.clock()
    return FreeBusy(window, [CalendarBusy(each, each.stale(now), window, times[each.calendar_id]) for each in found])


def problems_of(window: TimeSpan) -> list[Problem]:
    """Return what is wrong with a window."""
    if window.end - window.start <= MAX_WINDOW:
        return []
    return [invalid("to", f"at most {MAX_WINDOW.days} days after `from`")]


def too_many(ids: dict[str, Ids]) -> list[Problem]:
    """Return what is wrong with the number of ids, which are counted together."""
    count = sum(map(len, ids.values()))
    if count <= MAX_IDS:
        return []
    expected = f"at most {MAX_IDS:,} ids"
    longest = max(ids, key=lambda name: len(ids[name]))
    return [InvalidInput(path=(longest,), message=f"Expected {expected}; these are {count:,}.", expected=expected)]


async def known(work: UnitOfWork, calendar_ids: Ids, resource_ids: Ids) -> list[Freshness]:
    """Return the calendars that are meant; raise `Refused` with every id that nobody has."""
    asked = {each for each in calendar_ids if each is not None}
    owners = {each for each in resource_ids if each is not None}
    found = {each.calendar_id: each for each in await work.calendars.freshness(calendar_ids=asked, resource_ids=owners)}
    theirs: dict[UUID, list[Freshness]] = {}
    for each in found.values():
        if each.resource_id is not None:
            theirs.setdefault(each.resource_id, []).append(each)
    without = owners - theirs.keys()
    there = {each.id for each in await work.resources.many(list(without))} if without else set()
    problems = unknown(calendar_ids, found, ("calendar_ids",), "calendar")
    problems += unknown(resource_ids, there | theirs.keys(), ("resource_ids",), "resource")
    if problems:
        raise Refused(*problems)
    named = [found[each] for each in calendar_ids if each is not None]
    belonging = [each for owner in resource_ids if owner is not None for each in theirs.get(owner, ())]
    return list({each.calendar_id: each for each in (*named, *belonging)}.values())


def unknown(ids: Ids, there: Container[UUID], path: Path, what: str) -> list[Problem]:
    """Return a problem for each id that is not among those that there are."""
    return [
        NotFound(path=(*path, str(number)), message=f"There is no such {what}.")
        for number, each in enumerate(ids)
        if each is None or each not in there
    ]
