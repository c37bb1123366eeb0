"""Events for Hypothesis: single ones and series, whose exceptions are of days on which they are, and their edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import strategies as st

from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import When
from tests.helpers import BERLIN, DAY, HOUR, NOW, TODAY, make_days, make_when

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs", "S")), min_size=1, max_size=12)
GUESTS = ["bob@example.org", "cy@example.net", "Dee@Example.org"]
ZONES = [BERLIN, "America/New_York", "Asia/Kathmandu", "UTC"]
KINDS = ["usual", "usual", "gone", "cancelled", "moved", "renamed", "other"]


@st.composite
def contents(draw: st.DrawFn) -> EventContent:
    guests = draw(st.lists(st.sampled_from(GUESTS), unique=True))
    minutes = st.lists(st.integers(0, 40_320), unique=True, max_size=5).map(tuple)
    return EventContent(
        draw(TEXT),
        location=draw(st.just("") | TEXT),
        description=draw(st.none() | TEXT),
        attendees=tuple(Attendee(each, draw(st.sampled_from(Partstat))) for each in guests),
        partstat=draw(st.sampled_from(Partstat)),
        send_invitations=draw(st.booleans()),
        transparent=draw(st.booleans()),
        out_of_office=draw(st.booleans()),
        status=draw(st.sampled_from([EventStatus.CONFIRMED, EventStatus.TENTATIVE])),
        metadata=draw(st.dictionaries(st.sampled_from(["crm", "note", "x"]), TEXT)),
        visibility=draw(st.sampled_from(Visibility)),
        reminders=draw(st.none() | minutes),
    )


@st.composite
def times(draw: st.DrawFn, all_day: bool) -> When:
    days = draw(st.integers(-200, 200))
    if all_day:
        return make_days(TODAY + timedelta(days), draw(st.integers(1, 3)))
    start = NOW + days * DAY + draw(st.integers(0, 23)) * HOUR
    return make_when(start, draw(st.integers(1, 30)) * HOUR, draw(st.sampled_from(ZONES)))


@st.composite
def overrides(draw: st.DrawFn, when: When, content: EventContent, kind: str) -> Override:
    if kind == "moved":
        return Override(draw(times(when.all_day)), content)
    if kind == "renamed":
        return Override(when, replace(content, summary=draw(TEXT)))
    if kind == "cancelled":
        return Override(when, replace(content, status=EventStatus.CANCELLED))
    return Override(draw(times(when.all_day)), draw(contents()))


@st.composite
def series(draw: st.DrawFn, when: When, content: EventContent) -> EventState:
    count = draw(st.integers(2, 5))
    gone: set[datetime] = set()
    differing: dict[datetime, Override] = {}
    for number in range(count):
        wall, kind = when.start + number * DAY, draw(st.sampled_from(KINDS))
        if kind == "gone":
            gone.add(wall)
        elif kind != "usual":
            differing[wall] = draw(overrides(when, content, kind))
    extra = draw(st.sets(st.sampled_from([when.start + 30 * DAY, when.start + 31 * DAY])))
    recurrence = Recurrence(f"FREQ=DAILY;COUNT={count}", frozenset(extra), frozenset(gone), differing)
    return EventState(when, content, recurrence)


@st.composite
def states(draw: st.DrawFn) -> EventState:
    when, content = draw(times(draw(st.booleans()))), draw(contents())
    return draw(st.just(EventState(when, content)) | series(when, content))


@st.composite
def edited(draw: st.DrawFn, state: EventState) -> EventState:
    """Draw what somebody makes of an event: some things change, and others stay."""
    edits: list[Callable[[], EventState]] = [
        lambda: replace(state, content=replace(state.content, summary=draw(TEXT))),
        lambda: replace(state, content=draw(contents())),
        lambda: replace(state, when=draw(times(state.when.all_day))),
        lambda: draw(states()),
    ]
    if state.recurrence is not None:
        edits += [lambda: _with_exceptions(draw, state)] * 4
        edits += [lambda: _with_another_rule(draw, state), lambda: replace(state, recurrence=None)]
    for _ in range(draw(st.integers(1, 2))):
        state = draw(st.sampled_from(edits))()
        if state.recurrence is None:
            break
    return state


def _with_exceptions(draw: st.DrawFn, state: EventState) -> EventState:
    """Change what one or two occurrences are."""
    assert state.recurrence is not None
    gone, differing = set(state.recurrence.exdates), dict(state.recurrence.overrides)
    for number in draw(st.lists(st.integers(0, 4), min_size=1, max_size=2)):
        wall, kind = state.when.start + number * DAY, draw(st.sampled_from(KINDS))
        gone.discard(wall)
        differing.pop(wall, None)
        if kind == "gone":
            gone.add(wall)
        elif kind != "usual":
            differing[wall] = draw(overrides(state.when, state.content, kind))
    recurrence = replace(state.recurrence, exdates=frozenset(gone), overrides=differing)
    return replace(state, recurrence=recurrence)


def _with_another_rule(draw: st.DrawFn, state: EventState) -> EventState:
    assert state.recurrence is not None
    rule = draw(st.sampled_from(["FREQ=DAILY;COUNT=4", "FREQ=DAILY;INTERVAL=2;COUNT=4", "FREQ=WEEKLY"]))
    return replace(state, recurrence=replace(state.recurrence, rule=rule))


@st.composite
def histories(draw: st.DrawFn) -> list[EventState]:
    """Draw an event, and what somebody makes of it, one thing after the other."""
    history = [draw(states())]
    for _ in range(draw(st.integers(1, 3))):
        history.append(draw(edited(history[-1])))
    return history
