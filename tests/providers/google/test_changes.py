"""Reading what has changed: pages, tokens, and series that come in pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Override, Recurrence
from providers.errors import (
    CalendarGone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    TokenExpired,
    Unreachable,
)
from providers.google import inbound
from providers.google.client import Forbidden
from providers.interface import Broken, Page, RemoteCalendar
from providers.web import MAX_BYTES
from tests.contracts.provider_contract import EVENTS, outgoing_for
from tests.contracts.reading_contract import nothing_known, read
from tests.helpers import DAY, HOUR, NOW, WEEK, make_content, make_event, make_when, wall
from tests.providers.google.stage import ADA, Stage
from tests.providers.google.test_client import CALENDAR, provider_that_gets, refusal

pytestmark = pytest.mark.anyio

WEEKLY = Recurrence("FREQ=WEEKLY;COUNT=6")
START, END = ({"dateTime": f"2026-05-04T{hour}:00:00+02:00", "timeZone": "Europe/Berlin"} for hour in ("09", "10"))
SECOND, THIRD = wall("2026-05-11T09:00"), wall("2026-05-18T09:00")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(page_size=3)
    await stage.connect()
    yield stage
    assert stage.desk.violations == []


async def pages(stage: Stage, token: str | None = None) -> list[Page]:
    return [page async for page in stage.provider.changes(stage.calendar, token, nothing_known)]


def weekly(**content: Any) -> Event:
    return make_event(uuid7(), recurrence=WEEKLY, **content)


def instance_of(series: str, day: str) -> str:
    """Return the name of the occurrence of a day of May, at 09:00 in Berlin."""
    return f"{series}_202605{day}T070000Z"


async def known_with(found: Mapping[str, str], names: Sequence[str]) -> Mapping[str, str]:
    return {name: found[name] for name in names if name in found}


# Pages and tokens


async def test_everything_is_read_and_not_its_first_page(stage: Stage) -> None:
    """Whoever ignores page 2 books twice and deletes the rest: alextselegidis/easyappointments#1883."""
    names = {await stage.add(stage.calendar, make_event(uuid7(), NOW + number * DAY).state) for number in range(7)}
    told = await pages(stage)
    assert {each.remote_id for page in told for each in page.events} == names
    assert [page.token is None for page in told[:-1]] == [True] * (len(told) - 1)
    assert told[-1].whole
    assert len(stage.sent("GET")) == 3


async def test_a_page_comes_after_every_request(stage: Stage) -> None:
    for number in range(7):
        await stage.add(stage.calendar, replace(weekly(), when=make_when(NOW + number * DAY)).state)
    token = (await read(stage.provider, stage.calendar)).token
    for each in await stage.events():
        await stage.changes(each["id"], summary="Changed")
    before = len(stage.sent())
    async for _ in stage.provider.changes(stage.calendar, token, nothing_known):
        assert len(stage.sent()) - before <= 1
        before = len(stage.sent())


async def test_a_round_that_breaks_off_has_no_token(stage: Stage) -> None:
    for number in range(7):
        await stage.add(stage.calendar, make_event(uuid7(), NOW + number * DAY).state)
    round_ = aiter(stage.provider.changes(stage.calendar, None, nothing_known))
    first = await anext(round_)
    assert (len(first.events), first.token) == (3, None)
    stage.fails("half_body")
    with pytest.raises(OutcomeUnknown):
        await anext(round_)


async def test_what_changes_while_the_pages_are_read_is_told_by_the_next_round(stage: Stage) -> None:
    names = [await stage.add(stage.calendar, make_event(uuid7(), NOW + number * DAY).state) for number in range(7)]
    token = None
    async for page in stage.provider.changes(stage.calendar, None, nothing_known):
        if not token:
            await stage.changes(names[0], summary="Meanwhile")
        token = page.token
    found = (await read(stage.provider, stage.calendar, token)).events
    state = found[names[0]].state
    assert state is not None
    assert state.content.summary == "Meanwhile"


async def test_an_expired_token_asks_for_a_whole_round(stage: Stage) -> None:
    token = (await read(stage.provider, stage.calendar)).token
    await stage.control("POST", "/tokens/expire", {"sync": True})
    with pytest.raises(TokenExpired):
        await pages(stage, token)


async def test_a_page_of_the_longest_events_fits_into_one_answer() -> None:
    stage = Stage()
    await stage.connect()
    longest = {"description": "ü" * 8192, "location": "ü" * 1024, "summary": "ü" * 1024}
    guests = [{"email": f"guest-{number:03}@example.org", "responseStatus": "accepted"} for number in range(200)]
    name = await stage.adds({"start": START, "end": END, "attendees": guests} | longest)
    told = await pages(stage)
    assert [each.remote_id for page in told for each in page.events] == [name]
    [asked] = stage.sent("GET")
    assert len(json.dumps(await stage.event(name))) * int(httpx.URL(asked.path).params["maxResults"]) < MAX_BYTES


async def test_a_token_of_other_parameters_asks_for_a_whole_round() -> None:
    """As after an update of Kalends that asks for other pages."""
    stage = Stage(page_size=3)
    await stage.connect()
    token = (await read(stage.provider, stage.calendar)).token
    stage.provider = stage.made_provider(page_size=4)
    with pytest.raises(TokenExpired):
        await pages(stage, token)


async def test_a_calendar_that_is_gone_is_gone_and_not_empty(stage: Stage) -> None:
    await stage.control("POST", "/calendars", {"id": "c_1@group.calendar.google.com", "roles": {ADA: "owner"}})
    calendar = stage.calendar_named("c_1@group.calendar.google.com")
    token = (await read(stage.provider, calendar)).token
    await stage.control("DELETE", "/calendars/c_1@group.calendar.google.com")
    for given in (token, None):
        with pytest.raises(CalendarGone):
            await read(stage.provider, calendar, given)


async def test_a_calendar_without_an_account_must_be_connected(stage: Stage) -> None:
    lonely = RemoteCalendar(stage.app_id, None, ADA)
    with pytest.raises(ReconnectRequired):
        await read(stage.provider, lonely)


async def test_a_page_that_does_not_say_how_to_go_on_is_no_page() -> None:
    provider = provider_that_gets(lambda _: httpx.Response(200, json={"items": []}))
    with pytest.raises(OutcomeUnknown):
        await read(provider, CALENDAR)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(410, "fullSyncRequired"), TokenExpired),
        (refusal(400, "invalid"), TokenExpired),
        (refusal(403, "forbidden"), Forbidden),
        (refusal(503, "backendError"), Unreachable),
    ],
)
async def test_only_what_is_said_of_the_token_makes_it_expire(
    answer: httpx.Response, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected):
        await read(provider_that_gets(lambda _: answer), CALENDAR, "token")


# What cannot be read


async def test_what_cannot_be_read_is_named_and_the_rest_is_read(stage: Stage) -> None:
    good = await stage.add(stage.calendar, make_event(uuid7()).state)
    strange = await stage.adds({"start": START, "end": END, "recurrence": ["RRULE:FREQ=MINUTELY;COUNT=3"]})
    told = await pages(stage)
    assert [each.remote_id for page in told for each in page.events] == [good]
    broken = [each for page in told for each in page.broken]
    assert broken == [Broken(f"{strange}@google.com", "It repeats in a way that Kalends does not understand.")]
    await stage.changes(strange, summary="Still strange")
    told = await pages(stage, told[-1].token)
    assert [each.name for page in told for each in page.broken] == [f"{strange}@google.com"]


# Series


async def test_a_series_is_read_whole_whatever_page_its_parts_are_on(stage: Stage) -> None:
    differs = make_event(uuid7(), **EVENTS["with an occurrence that differs"])
    series = await stage.add(stage.calendar, differs.state)
    for number in range(5):
        await stage.add(stage.calendar, make_event(uuid7(), NOW + number * DAY).state)
    await stage.changes(instance_of(series, "25"), location="Added last")
    await stage.removes(instance_of(series, "18"))
    found = (await read(stage.provider, stage.calendar)).events
    assert len(found) == 6
    state = found[series].state
    assert state is not None
    assert state.recurrence is not None
    assert state.recurrence.exdates == {THIRD}
    assert state.recurrence.overrides.keys() == {SECOND, wall("2026-05-25T09:00")}


@pytest.mark.parametrize("how", ["changed", "deleted"])
async def test_of_a_changed_occurrence_the_whole_series_is_told(stage: Stage, how: str) -> None:
    """Deleted occurrences must not come back with the next change: phw198/OutlookGoogleCalendarSync#418."""
    series = await stage.add(stage.calendar, weekly().state)
    await stage.removes(instance_of(series, "18"))
    token = (await read(stage.provider, stage.calendar)).token
    if how == "changed":
        await stage.changes(instance_of(series, "11"), summary="Renamed")
    else:
        await stage.removes(instance_of(series, "11"))
    found = (await read(stage.provider, stage.calendar, token)).events
    assert found.keys() == {series}
    state = found[series].state
    assert state is not None
    assert state.recurrence is not None
    assert THIRD in state.recurrence.exdates
    assert (SECOND in state.recurrence.overrides, SECOND in state.recurrence.exdates) == (
        how == "changed",
        how == "deleted",
    )


async def test_a_change_of_a_series_keeps_its_exceptions(stage: Stage) -> None:
    """An edit of the series must not lose them: nextcloud/calendar#7600, OutlookGoogleCalendarSync#1269."""
    series = await stage.add(stage.calendar, make_event(uuid7(), **EVENTS["with an occurrence that differs"]).state)
    first = await read(stage.provider, stage.calendar)
    await stage.changes(series, location="Everywhere")
    found = (await read(stage.provider, stage.calendar, first.token)).events[series].state
    before = first.events[series].state
    assert found is not None
    assert found.recurrence is not None
    assert before is not None
    assert before.recurrence is not None
    assert found.recurrence.overrides.keys() == before.recurrence.overrides.keys()
    assert found.content.location == "Everywhere"


async def test_a_series_that_was_deleted_is_told_once(stage: Stage) -> None:
    series = await stage.add(stage.calendar, weekly().state)
    await stage.changes(instance_of(series, "11"), summary="Renamed")
    token = (await read(stage.provider, stage.calendar)).token
    await stage.changes(instance_of(series, "18"), summary="Renamed")
    await stage.removes(series)
    found = (await read(stage.provider, stage.calendar, token)).events
    assert [each for each in found.values() if not each.deleted] == []
    assert found[series].deleted


async def test_a_series_that_ends_to_repeat_is_a_single_event(stage: Stage) -> None:
    series = await stage.add(stage.calendar, weekly().state)
    await stage.changes(instance_of(series, "11"), summary="Renamed")
    token = (await read(stage.provider, stage.calendar)).token
    await stage.changes(series, recurrence=None)
    found = (await read(stage.provider, stage.calendar, token)).alive
    assert found.keys() == {series}
    state = found[series].state
    assert state is not None
    assert state.recurrence is None


async def test_who_is_invited_to_one_occurrence_only_has_a_single_event(stage: Stage) -> None:
    lone = {
        "id": "theirs_20260511T070000Z",
        "recurringEventId": "theirs",
        "originalStartTime": {"dateTime": "2026-05-11T09:00:00+02:00"},
        "organizer": {"email": "bob@example.org"},
        "start": START,
        "end": END,
    }
    name = await stage.adds(lone)
    first = await read(stage.provider, stage.calendar)
    assert first.events.keys() == {name}
    state = first.events[name].state
    assert state is not None
    assert (state.recurrence, state.content.organizer) == (None, "bob@example.org")
    await stage.changes(name, summary="Renamed")
    second = await read(stage.provider, stage.calendar, first.token)
    assert second.alive.keys() == {name}
    await stage.removes(name)
    assert (await read(stage.provider, stage.calendar, second.token)).events[name].deleted


async def test_an_occurrence_that_was_a_single_event_before_its_series_was_seen_is_no_event_any_more(
    stage: Stage,
) -> None:
    series = await stage.add(stage.calendar, weekly().state)
    token = (await read(stage.provider, stage.calendar)).token
    name = instance_of(series, "11")
    await stage.changes(name, summary="Renamed")

    async def known(names: Sequence[str]) -> Mapping[str, str]:
        return await known_with({name: '"1"', series: '"1"'}, names)

    found = (await read(stage.provider, stage.calendar, token, known)).events
    assert found.keys() == {series, name}
    assert found[name].deleted
    assert not found[series].deleted


async def test_a_series_with_more_exceptions_than_fit_a_page_is_read_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "LARGEST_PAGE", 2)
    series = await stage.add(stage.calendar, weekly().state)
    token = (await read(stage.provider, stage.calendar)).token
    for day in ("11", "18", "25"):
        await stage.changes(instance_of(series, day), summary=f"On {day}")
    state = (await read(stage.provider, stage.calendar, token)).events[series].state
    assert state is not None
    assert state.recurrence is not None
    assert len(state.recurrence.overrides) == 3


# Our own series


async def test_a_series_that_is_still_being_written_is_not_told_yet(stage: Stage) -> None:
    outgoing = outgoing_for(make_event(uuid7(), **EVENTS["with an occurrence that differs"]), owner=ADA)
    stage.fails("unavailable", method="PATCH")
    with pytest.raises(Exception, match="unavailable"):
        await stage.provider.create(stage.calendar, outgoing)
    first = await read(stage.provider, stage.calendar)
    assert first.events == {}
    copy = await stage.provider.create(stage.calendar, outgoing)
    second = await read(stage.provider, stage.calendar, first.token)
    assert second.events == {copy.remote_id: copy}


async def test_our_change_of_an_occurrence_comes_back_as_what_we_wrote(stage: Stage) -> None:
    outgoing = outgoing_for(weekly(), owner=ADA)
    copy = await stage.provider.create(stage.calendar, outgoing)
    token = (await read(stage.provider, stage.calendar)).token
    overrides = {SECOND: Override(make_when(NOW + WEEK + HOUR, HOUR), make_content("Later"))}
    after = replace(outgoing.event.state, recurrence=replace(WEEKLY, overrides=overrides))
    changed = replace(
        outgoing,
        event=outgoing.event.became(after, at=NOW),
        agreed=Agreement(outgoing.event.state, copy.state),
    )
    updated = await stage.provider.update(stage.calendar, changed, copy)
    assert (await read(stage.provider, stage.calendar, token)).events == {copy.remote_id: updated}
    assert same(updated.state, after)
