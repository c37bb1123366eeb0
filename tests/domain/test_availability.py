"""Availability against an oracle that looks at every minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalends.domain.availability import (
    BufferReason,
    EventReason,
    Need,
    NoticeReason,
    Reason,
    Role,
    RuleReason,
    Search,
    StaleReason,
    Terms,
    Timetable,
)
from kalends.domain.busy import BusyStatus, BusyTime, busy_kind
from kalends.domain.rules import WEEKDAYS, All, Allow, Any, Block, Days, Hours, Rule, Weekday
from kalends.domain.spans import holds, moment, ticks
from kalends.domain.time import TimeSpan, start_of_day, zone
from tests.domain.test_rules import obeys
from tests.helpers import BERLIN, DAY, HOUR, MINUTE, NOBODY, NOW

WORLDS = 2_000
BUSY = busy_kind(BusyStatus.BUSY, all_day=False)
ADA, BOB, EVE = (uuid5(NOBODY, name) for name in ("ada", "bob", "eve"))
QUARTER = 15 * MINUTE
STARTS = [NOW, datetime.fromisoformat("2026-03-28T18:00+00:00"), datetime.fromisoformat("2026-10-24T18:00+00:00")]


@dataclass(frozen=True)
class World:
    """A question with everything that its answer depends on."""

    search: Search

    def minutes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        while start < end:
            yield start
            start += 5 * MINUTE

    def crowd(self, table: Timetable, at: datetime) -> int:
        return sum(each.start <= ticks(at) < each.end for times in table.busy.values() for each in times)

    def free(self, resource: UUID, start: datetime) -> bool:
        """Look at every minute of a slot, and of what must stay free around it."""
        table, terms = self.search.timetables[resource], self.search.terms
        end = start + terms.length
        if table.stale or start < self.search.now + terms.notice:
            return False
        if ticks(start) < table.window[0] or ticks(end) > table.window[1]:
            return False
        if not all(obeys(table.rule, at, table.tzid) for at in self.minutes(start, end)):
            return False
        around = self.minutes(start - terms.buffer_before, end + terms.buffer_after)
        return all(self.crowd(table, at) < table.capacity for at in around)

    def is_true(self, resource: UUID, start: datetime, reason: Reason) -> bool:
        """Tell whether a reason refuses a slot by itself."""
        table, terms = self.search.timetables[resource], self.search.terms
        end = start + terms.length
        match reason:
            case RuleReason(rule):
                return not all(obeys(rule, at, table.tzid) for at in self.minutes(start, end))
            case NoticeReason(earliest):
                return start < earliest == self.search.now + terms.notice
            case StaleReason(calendar_id):
                return calendar_id in table.stale
            case EventReason(_, busy):
                return self._crowded(table, busy, start, end) and busy.start < ticks(end) and busy.end > ticks(start)
            case BufferReason(_, busy):
                wide = start - terms.buffer_before, end + terms.buffer_after
                inside = busy.start < ticks(end) and busy.end > ticks(start)
                return self._crowded(table, busy, *wide) and not inside

    def _crowded(self, table: Timetable, busy: BusyTime, start: datetime, end: datetime) -> bool:
        terms = self.search.terms
        return any(
            self.crowd(table, at) >= table.capacity and busy.start <= ticks(at) < busy.end
            for at in self.minutes(start - terms.buffer_before, end + terms.buffer_after)
        )

    def grid(self) -> Iterator[datetime]:
        """Yield every start that could be offered."""
        window = self.search.window
        day = window.start.astimezone(zone(self.search.tzid)).date()
        while (at := start_of_day(day, self.search.tzid)) < window.end:
            day += DAY
            while at < min(start_of_day(day, self.search.tzid), window.end):
                if at >= window.start:
                    yield at
                at += self.search.increment

    def offered(self) -> list[datetime]:
        return [
            start
            for start in self.grid()
            if start + self.search.terms.length <= self.search.window.end
            and all(
                sum(self.free(each, start) for each in role.resource_ids) >= role.least for role in self.search.roles
            )
        ]


quarters = st.integers(0, 8).map(lambda number: number * QUARTER)
clocks = st.builds(time, st.integers(6, 20), st.sampled_from([0, 30]))
rule_leaves: st.SearchStrategy[Rule] = st.one_of(
    st.builds(lambda a, b: Allow(Hours(a, b)), clocks, clocks),
    st.builds(lambda a, b: Block(Hours(a, b)), clocks, clocks),
    st.just(Allow(WEEKDAYS)),
    st.builds(lambda day: Block(Days(frozenset({day}))), st.sampled_from(list(Weekday))),
)
rules: st.SearchStrategy[Rule] = st.one_of(
    st.just(All(())),
    rule_leaves,
    st.lists(rule_leaves, max_size=3).map(lambda each: All(tuple(each))),
    st.lists(rule_leaves, min_size=1, max_size=2).map(lambda each: Any(tuple(each))),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    start = draw(st.sampled_from(STARTS))
    window = TimeSpan(start, start + draw(st.sampled_from([6, 14, 30])) * HOUR)
    span = (ticks(window.start), ticks(window.end))

    def busy() -> BusyTime:
        begin = start + draw(st.integers(-8, 120)) * QUARTER
        taken = (ticks(begin), ticks(begin + draw(st.integers(1, 12)) * QUARTER))
        return BusyTime(*taken, BUSY, uuid5(NOBODY, str(draw(st.integers(0, 9)))).bytes)

    def timetable() -> Timetable:
        return Timetable(
            span,
            draw(st.sampled_from([BERLIN, "America/New_York", "Asia/Kathmandu"])),
            {NOBODY: [busy() for _ in range(draw(st.integers(0, 3)))], EVE: [busy()]} if draw(st.booleans()) else {},
            draw(rules),
            draw(st.sampled_from([1, 1, 1, 2])),
            draw(st.sampled_from([(), (), (), (), (NOBODY,)])),
        )

    people = [ADA, BOB, EVE]
    roles = [Role(people[:1])]
    match draw(st.integers(0, 3)):
        case 1:
            roles = [Role(people[:2], Need.ALL)]
        case 2:
            roles = [Role(people, Need.ANY, draw(st.integers(1, 3)))]
        case 3:
            roles = [Role(people[:1]), Role(people[1:], Need.ROUND_ROBIN)]
    asked = {each for role in roles for each in role.resource_ids}
    return World(
        Search(
            window,
            Terms(draw(quarters.filter(bool)), draw(quarters) / 3, draw(quarters) / 3, draw(quarters)),
            draw(st.sampled_from([QUARTER, 20 * MINUTE, 30 * MINUTE, HOUR])),
            roles,
            draw(st.sampled_from([BERLIN, "Asia/Kathmandu", "UTC"])),
            start + draw(st.integers(-4, 8)) * QUARTER,
            {each: timetable() for each in people if each in asked},
        )
    )


@settings(max_examples=WORLDS)
@given(worlds())
def test_what_is_offered_is_what_every_minute_says_and_every_refusal_has_true_reasons(world: World) -> None:
    slots = world.search.slots()
    assert [slot.span.start for slot in slots] == world.offered()
    refused = world.search.refused()
    starts = sorted([slot.span.start for slot in slots] + [each.span.start for each in refused])
    assert starts == [at for at in world.grid() if at + world.search.terms.length <= world.search.window.end]
    for each in refused:
        for resource, reasons in each.reasons.items():
            assert reasons
            assert not world.free(resource, each.span.start)
            assert all(world.is_true(resource, each.span.start, reason) for reason in reasons)
        assert all(world.free(other, each.span.start) for other in world.search.timetables.keys() - each.reasons.keys())


@settings(max_examples=300)
@given(worlds(), st.integers(0, 100))
def test_a_slot_is_offered_exactly_where_nothing_refuses_it(world: World, steps: int) -> None:
    start = world.search.window.start + steps * 5 * MINUTE
    for table in world.search.timetables.values():
        if ticks(start + world.search.terms.length) > table.window[1]:
            continue
        offered = holds(table.starts(world.search.terms, world.search.now), ticks(start), ticks(start) + 1)
        assert offered is not bool(table.reasons(start, world.search.terms, world.search.now))


def search(**changes: object) -> Search:
    window = TimeSpan(NOW, NOW + 4 * HOUR)
    table = Timetable((ticks(window.start), ticks(window.end)), BERLIN, {})
    base = Search(window, Terms(HOUR), 30 * MINUTE, [Role([ADA])], BERLIN, NOW, {ADA: table})
    return replace(base, **changes)  # type: ignore[arg-type]


def meeting(start: datetime, duration: timedelta = HOUR) -> BusyTime:
    return BusyTime(ticks(start), ticks(start + duration), BUSY, NOBODY.bytes)


def at(*times: BusyTime) -> dict[UUID, list[BusyTime]]:
    """Return what takes time in one calendar."""
    return {NOBODY: list(times)}


def test_a_round_robin_chooses_whoever_has_the_least_to_do() -> None:
    window = (ticks(NOW), ticks(NOW + 4 * HOUR))
    tables = {
        ADA: Timetable(window, BERLIN, at(meeting(NOW + 3 * HOUR))),
        BOB: Timetable(window, BERLIN, {}),
        EVE: Timetable(window, BERLIN, at(meeting(NOW, 2 * HOUR))),
    }
    slots = search(roles=[Role([ADA, BOB, EVE], Need.ROUND_ROBIN, 2)], timetables=tables).slots()
    assert slots[0].free == ((ADA, BOB),)
    assert [slot.chosen for slot in slots[:1] + slots[-1:]] == [((BOB, ADA),), ((BOB, EVE),)]


def test_more_of_a_role_than_there_are_is_never_free() -> None:
    assert search(roles=[Role([ADA], Need.ANY, 2)]).slots() == []


def test_slots_begin_at_multiples_of_the_increment_after_midnight_where_one_asks_from() -> None:
    found = search(tzid="Asia/Kathmandu", window=TimeSpan(NOW + MINUTE, NOW + 3 * HOUR)).slots()
    assert [slot.span.start.astimezone(zone("Asia/Kathmandu")).minute for slot in found[:2]] == [0, 30]


def test_a_limit_cuts_the_answer() -> None:
    assert len(search().slots(limit=3)) == len(search(now=NOW + DAY).refused(limit=3)) == 3


@pytest.mark.parametrize(("capacity", "free"), [(1, False), (2, True)])
def test_capacity_is_how_many_can_take_the_same_time(capacity: int, free: bool) -> None:
    window = (ticks(NOW), ticks(NOW + 4 * HOUR))
    table = Timetable(window, BERLIN, at(meeting(NOW + HOUR)), capacity=capacity)
    assert (NOW + HOUR in [slot.span.start for slot in search(timetables={ADA: table}).slots()]) is free


def test_what_is_only_in_a_buffer_is_told_from_what_is_in_the_slot() -> None:
    window = (ticks(NOW), ticks(NOW + 4 * HOUR))
    before, inside = meeting(NOW), meeting(NOW + HOUR + QUARTER, QUARTER)
    table = Timetable(window, BERLIN, at(before, inside))
    terms = Terms(HOUR, buffer_before=QUARTER)
    assert table.reasons(NOW + HOUR, terms, NOW) == [BufferReason(NOBODY, before), EventReason(NOBODY, inside)]
    assert moment(table.starts(terms, NOW)[0][0]) == NOW + HOUR + 3 * QUARTER
