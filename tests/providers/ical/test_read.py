"""What is read of an event: every field, its limits, and what is said where something is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.events import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    MAX_SUMMARY,
    Attendee,
    EventContent,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import MAX_EXCEPTIONS
from kalends.domain.sync import WarningCode
from providers.errors import Refused
from providers.ical.people import Owner
from providers.ical.read import Resource, opened, resource, resources
from providers.ical.write import created, edited
from providers.interface import Broken
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, make_days, make_event
from tests.providers.ical.test_edit import TIMES, file
from tests.providers.ical.test_files import FILES, NAMES

ME = Owner(OWNER)


def read(*events: str) -> Resource:
    [found] = resources(file(*events).encode(), tzid=BERLIN, owner=ME)
    assert isinstance(found, Resource)
    return found


def content(inner: str) -> EventContent:
    return read(TIMES + inner).state.content


def codes(inner: str) -> list[WarningCode]:
    return [each.code for each in read(TIMES + inner).warnings]


# Texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("a\\, b\\; c\\\\d", "a, b; c\\d"),
        ("one\\ntwo\\Nthree", "one\ntwo\nthree"),
        ("C:\\\\new\\\\N", "C:\\new\\N"),  # icalendar makes a line break of these
        ("\\\\n", "\\n"),
        ("a\\:b\\x", "a:bx"),
        ("the end\\", "the end\\"),
        ("nul\x00 bell\x07 tab\t", "nul bell tab\t"),
    ],
)
def test_text_is_unescaped_in_one_pass(value: str, text: str) -> None:
    assert content(f"DESCRIPTION:{value}\n").description == text


def test_text_that_is_too_long_is_cut_always_in_the_same_way_and_says_so() -> None:
    inner = f"SUMMARY:{'s' * (MAX_SUMMARY + 1)}\nDESCRIPTION:{'d' * (MAX_DESCRIPTION + 1)}\n"
    assert content(inner) == content(inner)
    assert (len(content(inner).summary), len(content(inner).description or "")) == (MAX_SUMMARY, MAX_DESCRIPTION)
    assert codes(inner) == [WarningCode.TEXT_SHORTENED]
    assert codes(f"SUMMARY:{'s' * MAX_SUMMARY}\n") == []


def test_a_text_that_was_cut_does_not_look_like_a_change_and_is_not_written_back() -> None:
    text = file(f"{TIMES}SUMMARY:{'s' * 2000}\n")
    state = read(f"{TIMES}SUMMARY:{'s' * 2000}\n").state
    event = make_event(uuid7(), when=state.when, summary=state.content.summary)
    for agreed in (state, None):
        assert edited(text.encode(), event, agreed, "one", tzid=BERLIN, owner=ME) is None


# Words


@pytest.mark.parametrize(
    ("inner", "expected", "flagged"),
    [
        ("", {}, False),
        ("STATUS:TENTATIVE\n", {"status": EventStatus.TENTATIVE}, False),
        ("STATUS:Cancelled\n", {"status": EventStatus.CANCELLED}, False),
        ("STATUS:NEEDS-ACTION\n", {}, True),
        ("TRANSP:TRANSPARENT\n", {"transparent": True}, False),
        ("TRANSP:OPAQUE\nX-MICROSOFT-CDO-BUSYSTATUS:FREE\n", {}, False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:FREE\n", {"transparent": True}, False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\nSTATUS:CONFIRMED\n", {"status": EventStatus.TENTATIVE}, False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\nSTATUS:CANCELLED\n", {"status": EventStatus.CANCELLED}, False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:OOF\n", {"out_of_office": True}, False),
        ("CLASS:PUBLIC\n", {"visibility": Visibility.PUBLIC}, False),
        ("CLASS:CONFIDENTIAL\n", {"visibility": Visibility.CONFIDENTIAL}, False),
        ("CLASS:X-TOP-SECRET\n", {"visibility": Visibility.PRIVATE}, False),
        ("X-KALENDS-METADATA:{}\n", {}, False),
        ('X-KALENDS-METADATA:{"a":"b\\,c"}\n', {"metadata": {"a": "b,c"}}, False),
        ('X-KALENDS-METADATA:{"a":1}\n', {}, True),
        ("X-KALENDS-METADATA:[]\n", {}, True),
        ("X-KALENDS-METADATA:{\n", {}, True),
    ],
)
def test_words_mean_what_they_mean(inner: str, expected: dict[str, Any], flagged: bool) -> None:
    assert content(inner) == EventContent("", **expected)
    assert codes(inner) == ([WarningCode.PARTLY_READ] if flagged else [])


# People


@pytest.mark.parametrize(
    ("line", "email"),
    [
        ("ATTENDEE:mailto:bob@example.org", "bob@example.org"),
        ("ATTENDEE:MAILTO:Bob@Example.org", "Bob@Example.org"),
        ("ATTENDEE:bob@example.org", "bob@example.org"),
        ("ATTENDEE:mailto:<bob@example.org>", "bob@example.org"),
        ("ATTENDEE:mailto:bob%2Bspam@example.org", "bob+spam@example.org"),
        ("ATTENDEE:mailto:Chlo%C3%A9@example.org", "Chloé@example.org"),
        ("ATTENDEE:mailto:Chloé@example.org", "Chloé@example.org"),
        ("ATTENDEE:mailto:bob@example.org?subject=x", "bob@example.org"),
        ("ATTENDEE;EMAIL=bob@example.org:/a1b2/principal/", "bob@example.org"),
        ('ATTENDEE;EMAIL="bob@example.org":urn:uuid:123', "bob@example.org"),
        ("ATTENDEE:invalid:nomail", None),
        ("ATTENDEE:mailto:", None),
        ("ATTENDEE;CN=Bob:mailto:bob at example.org", None),
        ("ATTENDEE:mailto:a@b@c", None),
        (f"ATTENDEE:mailto:{'b' * 300}@example.org", None),
        ("ATTENDEE", None),
    ],
)
def test_people_are_found_by_their_addresses(line: str, email: str | None) -> None:
    assert content(f"{line}\n").attendees == ((Attendee(email),) if email else ())
    assert codes(f"{line}\n") == ([] if email else [WarningCode.PARTLY_READ])


def test_one_person_is_one_participant() -> None:
    inner = "ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org\nATTENDEE:mailto:BOB@example.org\n"
    assert content(inner).attendees == (Attendee("bob@example.org", Partstat.ACCEPTED),)


def test_more_people_than_kalends_shows_are_cut_and_say_so() -> None:
    inner = "".join(f"ATTENDEE:mailto:guest{number}@example.org\n" for number in range(MAX_ATTENDEES + 5))
    assert len(content(inner).attendees) == MAX_ATTENDEES
    assert codes(inner) == [WarningCode.PARTLY_READ]
    late = f"{inner}ATTENDEE;PARTSTAT=DECLINED:mailto:{OWNER}\n"
    assert content(late).partstat is Partstat.DECLINED


@pytest.mark.parametrize(
    ("organizer", "expected"),
    [
        ("", None),
        (f"ORGANIZER:mailto:{OWNER.upper()}\n", None),
        ("ORGANIZER;CN=Grace:MAILTO:grace@example.com\n", "grace@example.com"),
        ("ORGANIZER;EMAIL=grace@example.com:/principal/\n", "grace@example.com"),
        ("ORGANIZER:invalid:nomail\n", None),
    ],
)
def test_the_organiser_is_somebody_else_or_nobody(organizer: str, expected: str | None) -> None:
    assert content(organizer).organizer == expected


def test_without_an_owner_whoever_organises_is_somebody_else() -> None:
    data = file(f"{TIMES}ORGANIZER:mailto:{OWNER}\n").encode()
    [found] = resources(data, tzid=BERLIN, owner=Owner())
    assert isinstance(found, Resource)
    assert found.state.content.organizer == OWNER


# Reminders


@pytest.mark.parametrize(
    ("alarm", "minutes", "flagged"),
    [
        ("TRIGGER:-PT15M\nACTION:DISPLAY\n", (15,), False),
        ("TRIGGER:PT0S\nACTION:EMAIL\n", (0,), False),
        ("TRIGGER;RELATED=START:-P1D\n", (1440,), False),
        ("TRIGGER:-P1W\n", (10_080,), False),
        ("TRIGGER;VALUE=DURATION:-P0DT0H30M0S\n", (30,), False),
        ("TRIGGER:-P29D\n", None, True),
        ("TRIGGER:PT15M\n", None, True),
        ("TRIGGER:-PT90S\n", None, True),
        ("TRIGGER;RELATED=END:-PT15M\n", None, True),
        ("TRIGGER;VALUE=DATE-TIME:20260504T060000Z\n", None, True),
        ("TRIGGER:soon\n", None, True),
        ("ACTION:DISPLAY\n", None, True),
        ("ACTION:NONE\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\n", (), False),
        (f"TRIGGER:-PT{'9' * 30}M\n", None, True),
    ],
)
def test_reminders_are_minutes_before_the_start(alarm: str, minutes: tuple[int, ...] | None, flagged: bool) -> None:
    inner = f"BEGIN:VALARM\n{alarm}END:VALARM\n"
    assert content(inner).reminders == minutes
    assert codes(inner) == ([WarningCode.PARTLY_READ] if flagged else [])


# Series


def test_the_latest_of_too_many_exceptions_are_kept() -> None:
    dates = "".join(
        f"EXDATE;VALUE=DATE:{2026 + number // 336}{number // 28 % 12 + 1:02}{number % 28 + 1:02}\n"
        for number in range(MAX_EXCEPTIONS + 10)
    )
    found = read(f"DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY\n{dates}")
    assert found.state.recurrence is not None
    assert len(found.state.recurrence.exdates) == MAX_EXCEPTIONS
    assert min(found.state.recurrence.exdates).day == 11
    assert [each.code for each in found.warnings] == [WarningCode.PARTLY_READ]


@pytest.mark.parametrize("until", ["20261345", "99999999T999999Z", "never", "00000000"])
def test_a_rule_with_an_end_that_no_calendar_has_is_left_out(until: str) -> None:
    found = read(f"{TIMES}RRULE:FREQ=DAILY;UNTIL={until}\n")
    assert found.state.recurrence is None
    assert [each.code for each in found.warnings] == [WarningCode.PARTLY_READ]


# Origin


def test_a_copy_of_ours_is_recognised_and_a_copy_of_that_copy_is_not() -> None:
    """karbassi/sync-multiple-google-calendars#36: copies of copies, without end."""
    event = make_event(uuid7())
    data = created(event, event.uid, ME)
    [found] = resources(data, tzid=BERLIN, owner=ME)
    assert isinstance(found, Resource)
    assert found.event_id == event.id
    pasted = data.replace(f"UID:{event.uid}".encode(), b"UID:another")
    [other] = resources(pasted, tzid=BERLIN, owner=ME)
    assert isinstance(other, Resource)
    assert other.event_id is None


def test_what_a_file_says_does_not_depend_on_when_it_was_downloaded() -> None:
    one = file(f"{TIMES}SUMMARY:Same\nLAST-MODIFIED:20260501T000000Z\n")
    other = one.replace("20260501", "20260909")
    changed = one.replace("SUMMARY:Same", "SUMMARY:Other")
    prints = [opened(text.encode()).groups[0].fingerprint for text in (one, other, changed)]
    assert prints[0] == prints[1] != prints[2]


# Whole days


def test_whole_days_are_days_of_the_calendar() -> None:
    """relaticle/relaticle#755, formax68/memoChron#26: all-day events are off by one."""
    text = file("DTSTART;VALUE=DATE:20260504\nDTEND;VALUE=DATE:20260506\n")
    for tzid in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC", "America/New_York"):
        [found] = resources(text.encode(), tzid=tzid, owner=ME)
        assert isinstance(found, Resource)
        assert found.state.when == make_days(days=2, tzid=tzid)
        event = make_event(uuid7(), when=found.state.when)
        assert b"DTSTART;VALUE=DATE:20260504\r\nDTEND;VALUE=DATE:20260506\r\n" in created(event, "one", ME)


def test_a_day_that_the_calendars_zone_skips_is_said_to_be_missing() -> None:
    [found] = resources(file("DTSTART;VALUE=DATE:20111230\n").encode(), tzid="Pacific/Apia", owner=ME)
    assert isinstance(found, Broken)
    assert "Pacific/Apia" in found.reason


# Whatever comes


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A file in which lines and characters were lost, doubled and exchanged."""
    lines: Sequence[str] = (FILES / f"{draw(st.sampled_from(NAMES))}.ics").read_text().splitlines()
    result = list(lines)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(result) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                del result[at : at + draw(st.integers(1, 3))]
            case 1:
                result.insert(at, draw(st.sampled_from(lines)))
            case 2:
                name, separator, _ = result[at].partition(":")
                values = [
                    "",
                    "0",
                    "-P999999999W",
                    "99991231T235960Z",
                    "20260504T250000",
                    "é;,\\",
                    "FREQ=YEARLY;BYDAY=0MO",
                ]
                result[at] = name + separator + draw(st.sampled_from(values))
            case _:
                line, where = result[at], draw(st.integers(0, 40))
                result[at] = line[:where] + draw(st.sampled_from([":", ";", '"', "=", ",", "\x00", "T"])) + line[where:]
        if not result:
            result = [""]
    return "\n".join(result)


@given(damaged())
def test_no_damage_makes_it_stumble(text: str) -> None:
    try:
        groups = opened(text.encode()).groups
    except Refused:
        return
    for group in groups:
        found = resource(group, tzid=BERLIN, owner=ME)
        if isinstance(found, Broken):
            assert found.reason.endswith(".")
            continue
        event = make_event(uuid7(), when=found.state.when, summary="Written over")
        try:
            result = edited(text.encode(), event, None, group.uid, tzid=BERLIN, owner=ME)
        except Refused:
            continue
        assert result is None or list(resources(result, tzid=BERLIN, owner=ME))
