"""Whatever an event may be: what is written is read as the same, by Kalends and by others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import icalendar
from hypothesis import given

from kalends.domain.events import Event, EventState
from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from providers.ical.people import Owner
from providers.ical.read import Resource, resources
from providers.ical.write import created, edited, kept
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, NOW, make_event
from tests.providers.ical.strategies import states

ME = Owner(OWNER)
UNKNOWN = (
    'X-SOMEBODYS;X-PARAMETER="a;b:c";OTHER=d:e,f\\;g\\n',
    "GEO:48.85;2.35",
    "CATEGORIES:One,Two\\, and more",
    "REQUEST-STATUS:2.0;Success",
    "this line has no colon",
)
COMPONENT = "BEGIN:X-INNER\r\nX-DEEP:1\r\nEND:X-INNER\r\n"


def event_in(state: EventState) -> Event:
    return make_event(uuid7()).became(state, at=NOW)


def read(data: bytes) -> EventState:
    [found] = resources(data, tzid=BERLIN, owner=ME)
    assert isinstance(found, Resource)
    assert found.warnings == ()
    return found.state


@given(states())
def test_a_state_that_is_written_is_read_as_it_was(state: EventState) -> None:
    event = event_in(state)
    assert same(read(created(event, event.uid, ME)), kept(state, ME))


@given(states())
def test_what_is_kept_is_kept_for_good(state: EventState) -> None:
    once = kept(state, ME)
    assert same(kept(once, ME), once)


@given(states())
def test_what_is_lost_are_only_words_of_our_own(state: EventState) -> None:
    content = replace(kept(state, ME).content, send_invitations=state.content.send_invitations)
    without_own_answer = [each for each in state.content.attendees if each.email != OWNER]
    assert replace(content, attendees=()) == replace(state.content, attendees=())
    assert [each for each in content.attendees if each.email != OWNER] == without_own_answer


@given(states())
def test_writing_what_is_there_already_changes_nothing(state: EventState) -> None:
    event = event_in(state)
    data = created(event, event.uid, ME)
    assert edited(data, event, state, event.uid, tzid=BERLIN, owner=ME) is None
    quiet = event_in(replace(state, content=replace(state.content, send_invitations=False)))
    data = created(quiet, quiet.uid, ME)
    assert edited(data, quiet, None, quiet.uid, tzid=BERLIN, owner=ME) is None


@given(states(), states())
def test_one_state_is_written_over_another(before: EventState, after: EventState) -> None:
    event = event_in(before)
    data = created(event, event.uid, ME)
    changed = event.became(after, at=NOW)
    for agreed in (before, None):
        result = edited(data, changed, agreed, event.uid, tzid=BERLIN, owner=ME)
        assert same(read(result or data), kept(after, ME))


@given(states(), states())
def test_what_nobody_knows_survives(before: EventState, after: EventState) -> None:
    event = event_in(before)
    lines = "".join(f"{line}\r\n" for line in UNKNOWN)
    first = created(event, event.uid, ME).decode()
    data = first.replace("END:VEVENT", f"{lines}{COMPONENT}END:VEVENT", 1) if "VALARM" not in first else None
    if data is None:
        return
    result = edited(data.encode(), event.became(after, at=NOW), before, event.uid, tzid=BERLIN, owner=ME)
    text = (result or data.encode()).decode()
    moved = before.content.location != after.content.location
    assert [line for line in UNKNOWN if f"\r\n{line}\r\n" not in text] == (["GEO:48.85;2.35"] if moved else [])
    assert COMPONENT in text


@given(states())
def test_another_reader_finds_no_mistake_and_agrees_on_the_time(state: EventState) -> None:
    event = event_in(state)
    calendar = icalendar.Calendar.from_ical(created(event, event.uid, ME))
    assert [each.errors for each in calendar.walk() if each.errors] == []
    [master] = [each for each in calendar.walk("VEVENT") if "RECURRENCE-ID" not in each]
    assert isinstance(master, icalendar.Event)
    start, end = master.DTSTART, master.DTEND
    when = kept(state, ME).when
    if when.all_day:
        assert (start, end) == (when.start_date, when.end_date)
        assert type(start) is date
    else:
        assert isinstance(start, datetime)
        assert isinstance(end, datetime)
        assert (start.astimezone(UTC), end.astimezone(UTC)) == (when.span.start, when.span.end)


@given(states())
def test_every_zone_that_is_used_is_defined(state: EventState) -> None:
    event = event_in(state)
    calendar = icalendar.Calendar.from_ical(created(event, event.uid, ME))
    assert set(calendar.get_missing_tzids()) == set()
    assert all(len(line.encode()) <= 75 for line in created(event, event.uid, ME).decode().split("\r\n"))
