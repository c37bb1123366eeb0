"""Files as producers write them, and what Kalends reads in each: beside every file is what is read, in words.

The files are written by hand in the style of each producer, after its exports and the test suites that quote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import icalendar
import pytest

from kalends.domain.events import EventContent, EventState
from kalends.domain.time import When
from providers.ical.lines import parsed, written
from providers.ical.people import Owner
from providers.ical.read import Resource, duplicates, opened, resource
from providers.interface import Broken
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN

FILES = Path(__file__).parent / "files"
NAMES = sorted(file.stem for file in FILES.glob("*.ics"))
ODD = ("exchange", "lengths", "series", "words", "zones")
"""Files that other readers do not understand."""

_PLAIN = EventContent("")


def told(data: bytes) -> Iterator[str]:
    """Say what is read in a file, in words: of each event what is not as usual."""
    file = opened(data)
    yield f"calendar: {file.name}, {file.tzid}"
    for group in file.groups:
        yield ""
        found = resource(group, tzid=BERLIN, owner=Owner(OWNER))
        yield from _broken(found) if isinstance(found, Broken) else _resource(found)
        for each in duplicates(group):
            yield from _broken(each)


def _broken(broken: Broken) -> Iterator[str]:
    yield f"broken {broken.name}: {broken.reason}"


def _resource(found: Resource) -> Iterator[str]:
    yield f"event {found.uid}"
    yield from _state(found.state)
    for warning in found.warnings:
        yield f"  {warning.code}: {warning.message}"


def _state(state: EventState) -> Iterator[str]:
    yield from _occurrence(state.when, state.content, "  ")
    if state.recurrence is not None:
        yield f"  rule: {state.recurrence.rule}"
        for name, walls in (("with", state.recurrence.rdates), ("without", state.recurrence.exdates)):
            if walls:
                yield f"  {name}: {', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in sorted(walls))}"
        for wall, override in sorted(state.recurrence.overrides.items(), key=lambda each: each[0]):
            yield f"  instead of {wall:%Y-%m-%d %H:%M}:"
            yield from _occurrence(override.when, override.content, "    ")


def _occurrence(when: When, content: EventContent, indent: str) -> Iterator[str]:
    if when.all_day:
        yield f"{indent}whole days: {when.start_date} until {when.end_date}"
    else:
        clocks = f"{when.start:%Y-%m-%d %H:%M} until {when.end:%Y-%m-%d %H:%M} {when.tzid}"
        yield f"{indent}{clocks}, which is {when.span.start:%H:%M}Z until {when.span.end:%H:%M}Z"
    for name in EventContent.__dataclass_fields__:
        value = getattr(content, name)
        if name == "attendees":
            for each in value:
                yield f"{indent}attendee: {each.email} {each.partstat}"
        elif value != getattr(_PLAIN, name):
            yield f"{indent}{name}: {value!r}" if isinstance(value, str) else f"{indent}{name}: {value}"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_as_it_is_told_beside_it(name: str) -> None:
    read = "\n".join(told((FILES / f"{name}.ics").read_bytes())) + "\n"
    assert read == (FILES / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_nobody_changes_is_written_as_it_came(name: str) -> None:
    data = (FILES / f"{name}.ics").read_bytes()
    kept = written(parsed(data)).replace(b"\r\n", b"\n")
    assert kept == data.replace(b"begin:vevent", b"BEGIN:VEVENT").replace(b"end:vevent", b"END:VEVENT")


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("exchange", "lengths", "series", "words", "zones")]
)
def test_another_reader_agrees_on_when_events_are(name: str) -> None:
    data = (FILES / f"{name}.ics").read_bytes()
    theirs = {
        str(event["UID"]): event.DTSTART
        for event in icalendar.Calendar.from_ical(data).walk("VEVENT")
        if isinstance(event, icalendar.Event) and "RECURRENCE-ID" not in event
    }
    for group in opened(data).groups:
        found = resource(group, tzid=BERLIN, owner=Owner(OWNER))
        assert isinstance(found, Resource)
        start = theirs[group.uid]
        if isinstance(start, datetime) and start.tzinfo is not None:
            assert start == found.state.when.span.start
        else:
            assert f"{start:%Y-%m-%d}" == f"{found.state.when.start:%Y-%m-%d}"
