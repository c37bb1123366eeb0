"""What happens in Outlook when a series is written: several requests, some of which fail."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from kalends.domain.events import Attendee, EventState
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence
from providers.errors import ProviderError, Refused, Stale
from providers.interface import Outgoing, RemoteEvent
from providers.microsoft import wire
from tests.contracts.reading_contract import read
from tests.helpers import DAY, HOUR, NOW, WEEK, make_content, make_when, wall
from tests.providers.microsoft.stage import (
    Stage,
    an_outgoing,
    became,
    created,
    is_there,
    later,
    occurrence_id,
)

pytestmark = pytest.mark.anyio

MONDAYS = Recurrence("FREQ=WEEKLY;COUNT=6")
DIFFERENT = replace(
    MONDAYS,
    exdates=frozenset({wall("2026-05-25T09:00")}),
    overrides={
        wall("2026-05-11T09:00"): Override(make_when(NOW + WEEK + 2 * HOUR), make_content("Moved")),
        wall("2026-05-18T09:00"): Override(make_when(NOW + 2 * WEEK), make_content("Renamed")),
    },
)
BOB = Attendee("bob@example.org")


def repeating(recurrence: Recurrence = DIFFERENT, **content: Any) -> Outgoing:
    return an_outgoing(recurrence=recurrence, **content)


def with_recurrence(outgoing: Outgoing, recurrence: Recurrence | None) -> EventState:
    return replace(outgoing.event.state, recurrence=recurrence)


async def test_an_event_may_begin_and_cease_to_repeat(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    for recurrence in (MONDAYS, DIFFERENT, None):
        changed = later(outgoing, copy, with_recurrence(outgoing, recurrence))
        copy = await stage.provider.update(stage.calendar, changed, copy)
        assert await is_there(stage, changed, copy)
        outgoing = replace(changed, agreed=None)


async def test_one_occurrence_is_changed_without_touching_the_series(stage: Stage) -> None:
    outgoing = repeating(MONDAYS)
    copy = await created(stage, outgoing)
    await stage.provider.update(stage.calendar, later(outgoing, copy, with_recurrence(outgoing, DIFFERENT)), copy)
    touched = [each.path.rsplit("/", 1)[1] for each in stage.desk.requests if each.method in ("PATCH", "DELETE")]
    days = ("2026-05-25", "2026-05-18", "2026-05-11")
    assert touched == [occurrence_id(copy.remote_id, wall(f"{day}T09:00")) for day in days]


async def test_an_occurrence_that_differs_no_more_is_like_its_series_again(stage: Stage) -> None:
    outgoing = repeating()
    copy = await created(stage, outgoing)
    plain = later(outgoing, copy, with_recurrence(outgoing, replace(DIFFERENT, overrides={})))
    after = await stage.provider.update(stage.calendar, plain, copy)
    assert same(after.state, stage.provider.expected(plain))
    assert same((await read(stage.provider, stage.calendar)).events[copy.remote_id].state, after.state)


async def test_a_deleted_occurrence_comes_back(stage: Stage) -> None:
    outgoing = repeating()
    copy = await created(stage, outgoing)
    whole = later(outgoing, copy, with_recurrence(outgoing, replace(DIFFERENT, exdates=frozenset())))
    after = await stage.provider.update(stage.calendar, whole, copy)
    assert await is_there(stage, whole, after)


async def test_a_series_that_moves_keeps_its_exceptions_where_they_still_are(stage: Stage) -> None:
    """Nobody's exceptions are lost (https://github.com/nextcloud/calendar/issues/7600)."""
    outgoing = repeating(description="Agenda")
    copy = await created(stage, outgoing)
    shorter = replace(outgoing.event.state, recurrence=replace(DIFFERENT, rule="FREQ=WEEKLY;COUNT=5"))
    after = await stage.provider.update(stage.calendar, later(outgoing, copy, shorter), copy)
    assert await is_there(stage, became(outgoing, shorter), after)
    raw = await stage.raw(copy.remote_id)
    assert raw["properties"][wire.JOURNAL] == "{}"


async def test_a_renamed_series_leaves_occurrences_alone_that_have_titles_of_their_own(stage: Stage) -> None:
    outgoing = repeating()
    copy = await created(stage, outgoing)
    renamed = later(outgoing, copy, summary="Standup")
    after = await stage.provider.update(stage.calendar, renamed, copy)
    assert await is_there(stage, renamed, after)
    assert after.state is not None
    assert after.state.recurrence is not None
    assert {each.content.summary for each in after.state.recurrence.overrides.values()} == {"Moved", "Renamed"}


async def test_a_change_of_an_occurrence_that_we_have_not_read_is_not_overwritten(stage: Stage) -> None:
    await stage.behave(series_etag_tells=False)
    outgoing = repeating(MONDAYS)
    copy = await created(stage, outgoing)
    await stage.edit(occurrence_id(copy.remote_id, wall("2026-05-11T09:00")), subject="Theirs")
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    assert found.etag == copy.etag
    moved = replace(outgoing.event.state, when=make_when(NOW + HOUR))
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, later(outgoing, copy, moved), copy)
    assert stage.sent("PATCH") == []


async def test_one_occurrence_may_have_other_participants(stage: Stage) -> None:
    outgoing = repeating(MONDAYS, attendees=(BOB,), send_invitations=True)
    copy = await created(stage, outgoing)
    eve = make_content(attendees=(BOB, Attendee("eve@example.org")), send_invitations=True)
    there = {wall("2026-05-11T09:00"): Override(make_when(NOW + WEEK), eve)}
    changed = later(outgoing, copy, with_recurrence(outgoing, replace(MONDAYS, overrides=there)))
    after = await stage.provider.update(stage.calendar, changed, copy)
    assert await is_there(stage, changed, after)
    mail = [(each["to"], each["kind"]) for each in await stage.control("GET", "/mail")]
    assert mail == [(BOB.email, "invitation"), ("eve@example.org", "invitation")]


async def test_occurrences_that_somebody_else_deletes_meanwhile_are_left_alone(stage: Stage) -> None:
    outgoing = repeating(MONDAYS)
    copy = await created(stage, outgoing)
    changed = later(outgoing, copy, with_recurrence(outgoing, DIFFERENT))

    async def delete_all_three() -> None:
        for day in (11, 18, 25):
            await stage.remove(stage.calendar, occurrence_id(copy.remote_id, wall(f"2026-05-{day}T09:00")))

    stage.transport.meanwhile = ("DELETE", delete_all_three)
    after = await stage.provider.update(stage.calendar, changed, copy)
    assert same(after.state, stage.provider.expected(changed))
    assert after.etag == ""
    found = (await read(stage.provider, stage.calendar)).events[copy.remote_id]
    assert found.state is not None
    assert found.state.recurrence is not None
    assert len(found.state.recurrence.exdates) == 3


async def test_a_single_occurrence_that_outlook_refuses_is_said(stage: Stage) -> None:
    outgoing = repeating(MONDAYS)
    copy = await created(stage, outgoing)
    too_far = {wall("2026-05-11T09:00"): Override(make_when(NOW + 2 * WEEK), make_content("Too far"))}
    changed = later(outgoing, copy, with_recurrence(outgoing, replace(MONDAYS, overrides=too_far)))
    with pytest.raises(Refused):
        await stage.provider.update(stage.calendar, changed, copy)


async def test_what_outlook_refuses_of_a_series_is_said_and_the_rest_is_done(stage: Stage) -> None:
    outgoing = repeating(MONDAYS)
    copy = await created(stage, outgoing)
    too_far = Override(make_when(NOW + 2 * WEEK), make_content("Too far"))  # onto the next one's day
    recurrence = replace(DIFFERENT, overrides={**DIFFERENT.overrides, wall("2026-05-11T09:00"): too_far})
    longer = replace(outgoing.event.state, recurrence=replace(recurrence, rule="FREQ=WEEKLY;COUNT=7"))
    with pytest.raises(Refused) as caught:
        await stage.provider.update(stage.calendar, later(outgoing, copy, longer), copy)
    assert "another one of its series" in str(caught.value)
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    assert found.state is not None
    assert found.state.recurrence is not None
    assert found.state.recurrence.rule == "FREQ=WEEKLY;COUNT=7"
    assert found.state.recurrence.exdates == DIFFERENT.exdates
    assert list(found.state.recurrence.overrides) == [wall("2026-05-18T09:00")]


async def test_a_series_with_more_exceptions_than_can_be_noted_is_refused_before_anything_is_done(
    stage: Stage,
) -> None:
    walls = [wall("2026-05-04T09:00") + number * DAY for number in range(100)]
    text = make_content("Other", description="d" * 400)
    overrides = {day: Override(make_when(NOW + number * DAY), text) for number, day in enumerate(walls)}
    with pytest.raises(Refused):
        await stage.provider.create(stage.calendar, repeating(Recurrence("FREQ=DAILY", overrides=overrides)))
    assert stage.sent("POST") == []


@pytest.mark.parametrize("behaviour", [{}, {"resets_exceptions": False}, {"series_etag_tells": False}])
@pytest.mark.parametrize("survives", range(12))
async def test_a_series_whose_writing_ends_in_the_middle_is_finished_by_whoever_looks(
    stage: Stage, survives: int, behaviour: dict[str, Any]
) -> None:
    await stage.behave(**behaviour)
    outgoing = repeating()
    copy: RemoteEvent | None = None
    with suppress(ProviderError):
        await only(stage, survives, stage.provider.create(stage.calendar, outgoing))
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    if found is None:
        copy = await stage.provider.create(stage.calendar, outgoing)
    else:
        assert same(found.state, stage.provider.expected(outgoing))
        copy = found
    assert await is_there(stage, outgoing, copy)

    moved = replace(outgoing.event.state, recurrence=replace(DIFFERENT, rule="FREQ=WEEKLY;COUNT=8"))
    changed = later(outgoing, copy, replace(moved, content=replace(moved.content, summary="Changed")))
    before = stage.provider.expected(outgoing)
    with suppress(ProviderError):
        await only(stage, survives, stage.provider.update(stage.calendar, changed, copy))
    (seen,) = (await read(stage.provider, stage.calendar)).alive.values()
    assert same(seen.state, stage.provider.expected(changed)) or same(seen.state, before)


async def only(stage: Stage, requests: int, call: Awaitable[Any]) -> None:
    """Let a call send so many requests, and then lose the network."""
    count = 0

    def chance() -> float:
        nonlocal count
        count += 1
        return 0.0 if count > requests else 1.0

    chances, stage.desk.chance = stage.desk.chance, chance
    stage.fails("unavailable", chance=0.5)
    try:
        await call
    finally:
        stage.desk.chance = chances
        stage.desk.faults.clear()
