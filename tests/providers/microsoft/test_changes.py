"""Reading what has changed in a window of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from kalends.domain.events import EventState
from kalends.domain.merge import same
from kalends.domain.recurrence import Recurrence
from kalends.domain.time import TimeSpan
from providers.errors import CalendarGone, TokenExpired, Unreachable
from providers.interface import Known, Page
from providers.microsoft.inbound import FEW, Token, read_token
from tests.contracts.provider_contract import EVENTS, OWNER, outgoing_for
from tests.contracts.reading_contract import Round, nothing_known, read
from tests.helpers import DAY, HOUR, NOW, WEEK, make_content, make_event, make_when, wall
from tests.providers.microsoft.stage import Stage, an_outgoing, occurrence_id
from tests.providers.microsoft.words import spoken

pytestmark = pytest.mark.anyio


async def first(stage: Stage) -> str:
    """Read everything once; return the token, and forget the requests."""
    token = (await read(stage.provider, stage.calendar)).token
    stage.desk.requests.clear()
    return token


async def pages(stage: Stage, token: str | None = None, known: Known = nothing_known) -> list[Page]:
    return [page async for page in stage.provider.changes(stage.calendar, token, known)]


async def again(stage: Stage, token: str, known: Known = nothing_known) -> Round:
    return await read(stage.provider, stage.calendar, token, known)


def a_state(start: Any = NOW, summary: str = "Planning") -> EventState:
    return EventState(make_when(start), make_content(summary))


def daily(count: int = 5) -> EventState:
    return replace(a_state(), recurrence=Recurrence(f"FREQ=DAILY;COUNT={count}"))


# The window


async def test_a_whole_round_says_which_window_it_is_about(stage: Stage) -> None:
    last = (await pages(stage))[-1]
    assert (last.whole, last.window) == (True, TimeSpan(NOW - timedelta(days=90), NOW + timedelta(days=730)))
    assert last.token is not None
    later = (await pages(stage, last.token))[-1]
    assert (later.whole, later.window) == (False, None)


async def test_what_is_outside_of_the_window_is_not_listed(stage: Stage) -> None:
    for distance in (timedelta(days=-91), timedelta(days=731)):
        await stage.add(stage.calendar, a_state(NOW + distance))
    inside = {await stage.add(stage.calendar, a_state(NOW + timedelta(days=days))) for days in (-89, 729)}
    assert set((await read(stage.provider, stage.calendar)).alive) == inside


async def test_the_window_moves_when_it_runs_low(stage: Stage) -> None:
    token = await first(stage)
    stage.clock.advance(timedelta(days=182))
    token = (await again(stage, token)).token
    stage.clock.advance(timedelta(days=2))
    with pytest.raises(TokenExpired):
        await again(stage, token)
    window = (await pages(stage))[-1].window
    assert window is not None
    assert window.end == stage.clock() + timedelta(days=730)


async def test_the_end_of_the_window_is_kept_from_round_to_round(stage: Stage) -> None:
    token = await first(stage)
    stage.clock.advance(timedelta(days=10))
    assert read_token((await again(stage, token)).token).until == read_token(token).until == NOW + timedelta(days=730)


async def test_the_window_can_be_chosen(stage: Stage) -> None:
    stage.provider = stage.built(past=DAY, ahead=WEEK)
    names = [await stage.add(stage.calendar, a_state(NOW + days * DAY)) for days in (-3, 0, 6, 8)]
    assert set((await read(stage.provider, stage.calendar)).alive) == set(names[1:3])


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", "null", '{"link": "x"}', '{"link": "x", "until": "soon"}'])
async def test_a_token_that_is_none_of_ours_asks_for_a_whole_round(stage: Stage, text: str) -> None:
    with pytest.raises(TokenExpired):
        await again(stage, text)


# Out of the window


async def test_what_has_left_the_window_is_told_as_it_is_now(stage: Stage) -> None:
    name = await stage.add(stage.calendar, a_state())
    token = await first(stage)
    far = make_when(NOW + timedelta(days=900))
    times = {"start": far.start, "end": far.end}
    zone = "W. Europe Standard Time"
    await stage.edit(name, **{key: {"dateTime": at.isoformat(), "timeZone": zone} for key, at in times.items()})
    event = (await again(stage, token)).events[name]
    assert not event.deleted
    assert event.state is not None
    assert event.state.when == far


async def test_what_changes_outside_of_the_window_is_told(stage: Stage) -> None:
    name = await stage.add(stage.calendar, a_state(NOW + timedelta(days=900)))
    token = await first(stage)
    await stage.rename(stage.calendar, name, "Renamed")
    state = (await again(stage, token)).events[name].state
    assert state is not None
    assert state.content.summary == "Renamed"


@pytest.mark.parametrize("finds_deleted", [False, True])
async def test_what_was_deleted_is_told_to_be(stage: Stage, finds_deleted: bool) -> None:
    await stage.behave(finds_deleted=finds_deleted)
    names = [await stage.add(stage.calendar, state) for state in (a_state(), daily())]
    token = await first(stage)
    for name in names:
        await stage.remove(stage.calendar, name)
    found = await again(stage, token)
    assert {name: event.deleted for name, event in found.events.items()} == dict.fromkeys(names, True)


async def test_what_was_moved_to_another_calendar_is_deleted_in_this_one(stage: Stage) -> None:
    name = await stage.add(stage.calendar, a_state())
    token = await first(stage)
    other = await stage.control("POST", f"/calendars/{OWNER}", {"name": "Other"})
    await stage.edit(name, calendar=other["id"])
    assert (await again(stage, token)).events[name].deleted


async def test_a_series_that_has_no_more_occurrences_in_the_window_is_still_a_series(stage: Stage) -> None:
    name = await stage.add(stage.calendar, daily())
    token = await first(stage)
    for day in range(4, 9):
        await stage.remove(stage.calendar, occurrence_id(name, wall(f"2026-05-0{day}T09:00")))
    event = (await again(stage, token)).events[name]
    assert event.state is not None
    assert event.state.recurrence is not None
    assert len(event.state.recurrence.exdates) == 5


# Series


async def test_a_series_is_read_once_in_a_round_however_many_occurrences_it_has(stage: Stage) -> None:
    await stage.behave(told_times=3)
    name = await stage.add(stage.calendar, daily(100))
    stage.desk.requests.clear()
    found = await read(stage.built(page_size=5), stage.calendar)
    assert set(found.events) == {name}
    assert len(stage.sent("GET", f"/events/{name}")) == 1
    stage.desk.requests.clear()
    await stage.rename(stage.calendar, name, "Renamed")
    assert set((await again(stage, found.token)).events) == {name}
    assert len(stage.sent("GET", f"/events/{name}")) == 1


@pytest.mark.parametrize("masters_in_delta", [True, False])
async def test_a_deleted_occurrence_is_noticed_though_there_is_no_word_of_it(
    stage: Stage, masters_in_delta: bool
) -> None:
    """https://github.com/microsoftgraph/microsoft-graph-docs/pull/4501"""
    await stage.behave(masters_in_delta=masters_in_delta)
    name = await stage.add(stage.calendar, daily())
    token = await first(stage)
    await stage.remove(stage.calendar, occurrence_id(name, wall("2026-05-06T09:00")))
    state = (await again(stage, token)).events[name].state
    assert state is not None
    assert state.recurrence == Recurrence("FREQ=DAILY;COUNT=5", exdates=frozenset({wall("2026-05-06T09:00")}))


async def test_a_series_that_we_know_is_read_all_the_same_for_its_version_may_say_nothing(stage: Stage) -> None:
    await stage.behave(series_etag_tells=False)
    name = await stage.add(stage.calendar, daily())
    found = await read(stage.provider, stage.calendar)

    async def known(_names: Sequence[str]) -> dict[str, str]:
        return {name: found.events[name].etag}

    await stage.edit(occurrence_id(name, wall("2026-05-06T09:00")), subject="Other")
    event = (await again(stage, found.token, known)).events[name]
    assert event.etag == found.events[name].etag
    assert event.state is not None
    assert event.state.recurrence is not None
    assert len(event.state.recurrence.overrides) == 1


async def test_an_occurrence_that_has_left_the_window_is_told_with_its_series(stage: Stage) -> None:
    name = await stage.add(stage.calendar, daily())
    token = await first(stage)
    for day in ("2026-05-05", "2026-05-06"):
        await stage.control("POST", f"{stage.events}/{occurrence_id(name, wall(day))}/replay")
    found = await again(stage, token)
    assert set(found.alive) == {name}
    assert len(stage.sent("GET", f"/events/{name}?")) == 1


async def test_an_occurrence_that_is_gone_is_told_and_nothing_of_ours_has_its_name(stage: Stage) -> None:
    name = await stage.add(stage.calendar, daily())
    token, occurrence = await first(stage), occurrence_id(name, wall("2026-05-05"))
    await stage.control("POST", f"{stage.events}/{occurrence}/replay")
    await stage.remove(stage.calendar, occurrence)
    found = await again(stage, token)
    assert {event: each.deleted for event, each in found.events.items()} == {name: False, occurrence: True}


async def test_a_series_that_is_unfinished_and_that_nobody_can_read_is_only_broken(stage: Stage) -> None:
    outgoing = outgoing_for(make_event(stage.account_id, **EVENTS["with dates left out"]))
    stage.fails("unavailable", path="/instances")
    with pytest.raises(Unreachable):
        await stage.provider.create(stage.calendar, outgoing)
    stage.desk.faults.clear()
    (event,) = await stage.control("GET", stage.events)
    await stage.control("PATCH", f"{stage.events}/{event['id']}", {"garble": {"attendees": "everybody"}})
    told = await pages(stage)
    assert [each.name for page in told for each in page.broken] == [event["id"]]
    assert told[-1].token is not None


async def test_a_series_that_began_long_ago_is_read_while_it_goes_on(stage: Stage) -> None:
    begins = make_when(NOW - timedelta(days=400))
    name = await stage.add(stage.calendar, EventState(begins, make_content(), Recurrence("FREQ=DAILY;COUNT=800")))
    state = (await read(stage.provider, stage.calendar)).alive[name].state
    assert state is not None
    assert state.when == begins


# Single events


async def test_few_events_are_read_again_one_by_one(stage: Stage) -> None:
    for number in range(FEW):
        await stage.add(stage.calendar, a_state(NOW + number * HOUR))
    stage.desk.requests.clear()
    assert len((await read(stage.provider, stage.calendar)).alive) == FEW
    assert len(stage.sent()) == 1 + FEW


async def test_of_many_events_only_those_are_read_again_that_are_ours(stage: Stage) -> None:
    theirs = [await stage.add(stage.calendar, a_state(NOW + number * HOUR)) for number in range(60)]
    ours = [
        await stage.provider.create(stage.calendar, an_outgoing(make_when(NOW + number * DAY), metadata={"n": "1"}))
        for number in range(3)
    ]
    stage.desk.requests.clear()
    found = await read(stage.built(page_size=10), stage.calendar)
    assert set(found.alive) == {*theirs, *(each.remote_id for each in ours)}
    for copy in ours:
        assert same(found.events[copy.remote_id].state, copy.state)
        assert found.events[copy.remote_id].event_id == copy.event_id
    kinds = Counter(
        "delta" if "/delta" in each else "list" if "events?$filter" in each else "one" for each in stage.sent()
    )
    assert kinds == {"delta": 7, "list": 1, "one": 3 + FEW}


async def test_what_we_may_have_created_meanwhile_is_read_again_too(stage: Stage) -> None:
    for number in range(30):
        await stage.add(stage.calendar, a_state(NOW + number * HOUR))
    body = spoken(make_when(), make_content()) | {"transactionId": an_outgoing().identity.key}
    name = (await stage.control("POST", stage.events, body))["id"]
    stage.desk.requests.clear()
    assert name in (await read(stage.provider, stage.calendar)).alive
    assert len(stage.sent("GET", f"/events/{name}?")) == 1
    assert len(stage.sent()) == 3


async def test_what_is_known_is_not_read_again(stage: Stage) -> None:
    for number in range(50):
        await stage.provider.create(stage.calendar, an_outgoing(make_when(NOW + number * HOUR)))
    found = await read(stage.provider, stage.calendar)
    stage.desk.requests.clear()

    async def known(names: Sequence[str]) -> dict[str, str]:
        return {name: found.events[name].etag for name in names}

    once_more = await read(stage.provider, stage.calendar, None, known)
    assert once_more.events.keys() == found.events.keys()
    assert {each.state for each in once_more.events.values()} == {None}
    assert len(stage.sent()) == 1


async def test_text_that_comes_as_html_all_the_same_is_read(stage: Stage) -> None:
    await stage.behave(html_in_delta=True)
    description = "one\n\nthree <b>&amp;</b>"
    states = [EventState(make_when(NOW + number * HOUR), make_content(description=description)) for number in range(12)]
    for state in states:
        await stage.add(stage.calendar, state)
    found = (await read(stage.provider, stage.calendar)).alive
    assert {each.state and each.state.content.description for each in found.values()} == {description}


async def test_an_event_that_goes_while_it_is_read_is_deleted(stage: Stage) -> None:
    name = await stage.add(stage.calendar, a_state())
    rounds = stage.provider.changes(stage.calendar, None, nothing_known)
    assert (await anext(rounds)).events == []
    await stage.remove(stage.calendar, name)
    told = [event async for page in rounds for event in page.events]
    assert [(event.remote_id, event.deleted) for event in told] == [(name, True)]


async def test_what_is_told_again_is_told_again(stage: Stage) -> None:
    name = await stage.add(stage.calendar, a_state())
    token = await first(stage)
    await stage.control("POST", f"{stage.events}/{name}/replay")
    event = (await again(stage, token)).events[name]
    assert same(event.state, a_state())


@pytest.mark.parametrize("count", [1, 15])
async def test_one_event_that_nobody_can_read_does_not_keep_us_from_the_rest(stage: Stage, count: int) -> None:
    names = [await stage.add(stage.calendar, a_state(NOW + number * HOUR)) for number in range(count)]
    strange = await stage.add(stage.calendar, a_state())
    await stage.edit(strange, location={"displayName": "Rome"}, garble={"attendees": "everybody"})
    series = await stage.add(stage.calendar, daily())
    await stage.edit(series, garble={"recurrence": {"pattern": {"type": "lunar"}, "range": {"type": "noEnd"}}})
    told = await pages(stage)
    assert {event.remote_id for page in told for event in page.events} == set(names)
    broken = [each for page in told for each in page.broken]
    assert len(broken) == 2
    assert {each.reason for each in broken} == {"Outlook has an event here that Kalends cannot read."}
    assert told[-1].token is not None


# Rounds


async def test_every_request_is_followed_by_a_page(stage: Stage) -> None:
    """The caller renews its lease with each."""
    names = [await stage.add(stage.calendar, a_state(NOW + number * HOUR)) for number in range(25)]
    far = await stage.add(stage.calendar, a_state(NOW + timedelta(days=900)))
    await stage.add(stage.calendar, daily())
    await stage.provider.create(stage.calendar, an_outgoing())
    provider, token = stage.built(page_size=5), None
    for _ in range(2):
        counts = [len(stage.desk.requests)]
        async for page in provider.changes(stage.calendar, token, nothing_known):
            counts.append(len(stage.desk.requests))
            token = page.token or token
        assert all(after - before <= 1 for before, after in pairwise(counts))
        await stage.remove(stage.calendar, names.pop())
        await stage.rename(stage.calendar, far, "Renamed")


@pytest.mark.parametrize("status", [410, 400, 404])
async def test_a_link_that_graph_has_forgotten_asks_for_a_whole_round(stage: Stage, status: int) -> None:
    token = await first(stage)
    await stage.control("POST", "/tokens/expire", {"delta": True, "status": status})
    with pytest.raises(TokenExpired):
        await again(stage, token)


async def test_a_round_that_breaks_off_has_no_token_and_can_be_repeated(stage: Stage) -> None:
    names = {await stage.add(stage.calendar, a_state(NOW + number * HOUR)) for number in range(20)}
    provider = stage.built(page_size=5)
    rounds = provider.changes(stage.calendar, None, nothing_known)
    told = [await anext(rounds)]
    stage.fails("unavailable", path="/delta", times=1)
    with pytest.raises(Unreachable):
        told += [page async for page in rounds]
    assert all(page.token is None and not page.whole for page in told)
    assert set((await read(provider, stage.calendar)).alive) == names


async def test_a_token_of_another_calendar_is_none_of_this_one(stage: Stage) -> None:
    token = await first(stage)
    other = await stage.control("POST", f"/calendars/{OWNER}", {"name": "Other"})
    link = read_token(token).link.replace(stage.calendar.remote_id, other["id"])
    with pytest.raises(TokenExpired):
        await again(stage, str(Token(link, NOW + timedelta(days=730))))


async def test_a_calendar_that_is_gone_is_an_error_also_for_a_round_that_goes_on(stage: Stage) -> None:
    token = await first(stage)
    await stage.control("DELETE", f"/calendars/{OWNER}/{stage.calendar.remote_id}")
    for mark in (None, token):
        with pytest.raises(CalendarGone):
            await read(stage.provider, stage.calendar, mark)


async def test_what_happens_during_a_round_is_told_in_the_next_one_at_the_latest(stage: Stage) -> None:
    names = [await stage.add(stage.calendar, a_state(NOW + number * HOUR)) for number in range(20)]
    rounds = stage.built(page_size=4).changes(stage.calendar, None, nothing_known)
    await anext(rounds)
    for name in names:
        await stage.rename(stage.calendar, name, "Renamed")
    last = [page async for page in rounds][-1]
    assert last.token is not None
    states = [event.state for event in (await again(stage, last.token)).events.values()]
    assert len(states) == 20
    assert {state and state.content.summary for state in states} == {"Renamed"}


async def test_every_kind_of_event_is_read_as_it_was_written_by_us(stage: Stage) -> None:
    for kind, arguments in EVENTS.items():
        outgoing = outgoing_for(make_event(stage.account_id, **arguments))
        copy = await stage.provider.create(stage.calendar, outgoing)
        if not copy.deleted:
            found = (await read(stage.provider, stage.calendar)).events[copy.remote_id]
            assert same(found.state, copy.state), kind
            assert found.etag == copy.etag, kind
            await stage.provider.delete(stage.calendar, outgoing, copy)
