"""What must hold of every event, and of every pair of events, whatever they say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from providers.google.copies import Copy, read_or_broken
from providers.google.mapping import unfinished
from providers.interface import RemoteEvent
from tests.contracts.provider_contract import outgoing_for
from tests.contracts.reading_contract import read
from tests.helpers import NOW, make_event
from tests.providers.google.payloads import CALENDAR, event, instance
from tests.providers.google.stage import ADA, Stage
from tests.providers.google.strategies import histories, states

WORDS = ["date", "dateTime", "timeZone", "email", "self", "private", "useDefault", "overrides", "minutes", "cancelled"]
SLOW = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def run(coroutine: object) -> None:
    asyncio.run(coroutine)  # type: ignore[arg-type]


@SLOW
@given(states())
def test_what_is_created_is_shown_as_expected_and_read_back_so(state: EventState) -> None:
    async def play() -> None:
        stage = Stage(page_size=2)
        await stage.connect()
        outgoing = outgoing_for(make_event(uuid7()).became(state, at=NOW), owner=ADA)
        copy = await stage.provider.create(stage.calendar, outgoing)
        expected = stage.provider.expected(outgoing)
        assert same(copy.state, expected)
        assert same(await stage.kept(stage.calendar, copy), expected)
        told = await read(stage.provider, stage.calendar)
        assert told.events == {copy.remote_id: copy}
        assert stage.desk.violations == []

    run(play())


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(event())), JUNK), st.booleans())
def test_whatever_google_sends_is_read_or_broken_with_a_reason(junk: dict[str, Any], repeats: bool) -> None:
    told: Any = event(**{"recurrence": ["RRULE:FREQ=DAILY"]} if repeats else {}) | junk | {"id": "x"}
    strange: Any = instance("2026-05-05T09:00:00+02:00") | junk | {"id": "y"}
    unfinished(told)
    for copy in (Copy(told), Copy(told, (strange,))):
        found = read_or_broken(copy, CALENDAR)
        assert isinstance(found, RemoteEvent) or found.reason.endswith(".")


@SLOW
@given(histories(), st.booleans())
def test_any_event_can_become_any_other(history: list[EventState], whole: bool) -> None:
    async def play() -> None:
        stage = Stage(page_size=2)
        await stage.connect()
        outgoing = outgoing_for(make_event(uuid7()).became(history[0], at=NOW), owner=ADA)
        copy = await stage.provider.create(stage.calendar, outgoing)
        for before, after in pairwise(history):
            agreed = None if whole else Agreement(before, copy.state)
            outgoing = replace(outgoing, event=outgoing.event.became(after, at=NOW), agreed=agreed)
            copy = await stage.provider.update(stage.calendar, outgoing, copy)
            expected = stage.provider.expected(outgoing)
            assert same(copy.state, expected)
            assert same(await stage.kept(stage.calendar, copy), expected)
            assert await stage.provider.find(stage.calendar, outgoing.identity, None) == copy
        sent = len(stage.sent("PATCH"))
        again = replace(outgoing, agreed=Agreement(history[-1], copy.state))
        assert await stage.provider.update(stage.calendar, again, copy) == copy
        assert len(stage.sent("PATCH")) == sent
        assert stage.desk.violations == []

    run(play())
