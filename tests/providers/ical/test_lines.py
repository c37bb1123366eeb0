"""Lines and components: what a file may look like, how much of it is read, and that nothing gets lost."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Refused
from providers.ical import lines
from providers.ical.lines import BrokenOff, Component, NotACalendar, Property, parsed, written
from providers.ical.people import Owner
from providers.ical.read import opened, resources
from tests.helpers import BERLIN

BEGIN, END = "BEGIN:VCALENDAR\r\n", "END:VCALENDAR\r\n"


def file(inner: str) -> bytes:
    return f"{BEGIN}{inner}{END}".encode()


def only(inner: str) -> Property:
    """Return the one property of a calendar."""
    [calendar] = parsed(file(inner))
    [found] = calendar.items
    assert isinstance(found, Property)
    return found


# Lines


@pytest.mark.parametrize(
    ("line", "parameters", "value"),
    [
        ("SUMMARY:Plain", {}, "Plain"),
        ("summary:Plain", {}, "Plain"),
        ("SUMMARY:", {}, ""),
        ("SUMMARY", {}, ""),
        ("SUMMARY;LANGUAGE=en:a:b;c,d", {"LANGUAGE": ["en"]}, "a:b;c,d"),
        ('X;A="b;c:d,e":f', {"A": ["b;c:d,e"]}, "f"),
        ('X;A=b,"c,d",e;G=h:i', {"A": ["b", "c,d", "e"], "G": ["h"]}, "i"),
        ("X;A=b;A=c:d", {"A": ["b", "c"]}, "d"),
        ("X;A=^n^'^^^x:b", {"A": ['\n"^^x']}, "b"),
        ("X; A = b :c", {"A": ["b"]}, "c"),
        ("X;QUOTED-PRINTABLE:b", {}, "b"),
        ('X;A="never closed:b', {"A": [""]}, "b"),
        ('X;A="":b', {"A": [""]}, "b"),
        ("X;A=:b", {"A": [""]}, "b"),
        ("DTSTART;TZID=Europe/Berlin:20260504T090000", {"TZID": ["Europe/Berlin"]}, "20260504T090000"),
        ("DTSTART;TZID=tzone://Microsoft/Custom:20260504", {"TZID": ["tzone://Microsoft/Custom"]}, "20260504"),
        ('DTSTART;TZID="tzone://Microsoft/Custom":20260504', {"TZID": ["tzone://Microsoft/Custom"]}, "20260504"),
        ("DTSTART;TZID=(UTC+01:00) A, B:20260504", {"TZID": ["(UTC+01:00) A, B"]}, "20260504"),
        (
            "DTSTART;TZID=(UTC+01:00) A;VALUE=DATE-TIME:20260504",
            {"TZID": ["(UTC+01:00) A"], "VALUE": ["DATE-TIME"]},
            "20260504",
        ),
    ],
)
def test_a_line_has_parameters_and_a_value(line: str, parameters: dict[str, list[str]], value: str) -> None:
    assert only(f"{line}\r\n").parts() == (parameters, value)


@pytest.mark.parametrize("fold", ["\r\n ", "\r\n\t", "\n ", "\n\t"])
def test_a_folded_line_is_one_line_and_stays_folded(fold: str) -> None:
    data = file(f"SUMMARY;LANG{fold}UAGE=en:fol{fold}ded{fold} text\r\n")
    [calendar] = parsed(data)
    [found] = calendar.properties("SUMMARY")
    assert (found.name, found.line, found.value) == ("SUMMARY", "SUMMARY;LANGUAGE=en:folded text", "folded text")
    assert written([calendar]) == data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=400))
def test_whatever_is_written_is_folded_at_75_octets_and_unfolds_to_itself(text: str) -> None:
    found = Property.of("X-TEXT", text)
    assert found.line == f"X-TEXT:{text}"
    assert all(len(line.encode()) <= 75 for line in found.source.split("\n"))


@given(
    st.dictionaries(
        st.sampled_from(["A", "X-B", "TZ"]),
        st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f")).filter(
            lambda text: text == text.strip() != ""
        ),
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n:")),
)
def test_parameters_that_are_written_are_read_as_they_were(parameters: dict[str, str], value: str) -> None:
    found = Property.of("X", value, parameters)
    assert found.parts() == ({name: [text] for name, text in parameters.items()}, value)


def test_one_parameter_is_set_and_the_others_stay_as_they_are_written() -> None:
    found = only('ATTENDEE;CN="A; B";partstat=TENTATIVE;X-Z=1:mailto:a@b.example\r\n')
    assert found.with_parameter("PARTSTAT", "ACCEPTED").line == (
        'ATTENDEE;CN="A; B";PARTSTAT=ACCEPTED;X-Z=1:mailto:a@b.example'
    )
    assert found.with_parameter("PARTSTAT", None).line == 'ATTENDEE;CN="A; B";X-Z=1:mailto:a@b.example'
    assert found.with_parameter("ROLE", "CHAIR").line == (
        'ATTENDEE;CN="A; B";partstat=TENTATIVE;X-Z=1;ROLE=CHAIR:mailto:a@b.example'
    )
    assert found.with_value("urn:x").line == 'ATTENDEE;CN="A; B";partstat=TENTATIVE;X-Z=1:urn:x'


# Components


def test_properties_take_the_place_of_those_that_they_replace() -> None:
    [calendar] = parsed(file("A:1\r\nB:1\r\nA:2\r\nBEGIN:X\r\nEND:X\r\nC:1\r\n"))
    calendar.put("A", Property.of("A", "9"))
    calendar.put("D", Property.of("D", "1"), Property.of("D", "2"))
    calendar.put("C")
    assert list(calendar.lines())[1:-1] == ["A:9", "B:1", "D:1", "D:2", "BEGIN:X", "END:X"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + file("SUMMARY:\u00dc\r\n"),
        file("SUMMARY:\u00dc\r\n").replace(b"\r\n", b"\n"),
        file("SUMMARY:\u00dc\r\n").replace(b"\r\n", b"\r"),
        file("SUMMARY:\u00dc\r\n").replace(b"\r\n", b"\r\n\r\n"),
        file("SUMMARY:\u00dc\r\n").decode().encode("cp1252"),
        file("SUMMARY:\u00dc\r\n").replace(b"\xc3\x9c", b"\xc3\r\n \x9c"),
        b"\r\n\r\n" + file("SUMMARY:\u00dc\r\n") + b"\r\n\r\n",
    ],
    ids=["BOM", "LF", "CR", "empty lines", "Latin-1", "folded inside a character", "space around"],
)
def test_however_a_file_is_encoded_it_says_the_same(data: bytes) -> None:
    [calendar] = parsed(data)
    assert [each.value for each in calendar.properties("SUMMARY")] == ["\u00dc"]


def test_a_stream_may_hold_several_calendars() -> None:
    assert [each.name for each in parsed(file("") + file(""))] == ["VCALENDAR", "VCALENDAR"]


def test_a_component_that_nobody_closes_ends_with_the_one_around_it() -> None:
    [calendar] = parsed(file("BEGIN:VEVENT\r\nUID:1\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nEND:VEVENT\r\nX:1\r\n"))
    [event] = calendar.components("VEVENT")
    assert [each.name for each in event.components("VALARM")] == ["VALARM"]
    assert calendar.first("X") is not None


# What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"<!DOCTYPE html><html><body>Please sign in</body></html>",
        b"<html>\nBEGIN:VCALENDAR\nEND:VCALENDAR\n</html>",
        b'{"error": "not found"}',
        b"BEGIN:VCARD\r\nEND:VCARD\r\n",
        b"BEGIN:VEVENT\r\nEND:VEVENT\r\n",
        b"\x00\x01\x02\xff" * 100,
        file("") + b"and then something else\r\n",
    ],
)
def test_what_is_no_calendar_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotACalendar):
        parsed(data)


@pytest.mark.parametrize("cut", [20, 40, 60, 80])
def test_a_file_that_breaks_off_is_not_the_whole_calendar(cut: int) -> None:
    data = file("BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nEND:VEVENT\r\n")
    with pytest.raises((BrokenOff, NotACalendar)):
        parsed(data[:cut])
    with pytest.raises(BrokenOff):
        parsed(data[: -len(END)])


def test_an_end_without_a_beginning_is_passed_over() -> None:
    [calendar] = parsed(file("END:VEVENT\r\nX:1\r\n"))
    assert [item.name for item in calendar.items] == ["X"]


def test_ten_thousand_events_are_read_and_one_more_is_too_many() -> None:
    event = (
        "BEGIN:VEVENT\r\nUID:{0}\r\nDTSTART;TZID=Europe/Berlin:20260504T090000\r\nDTEND;TZID=Europe/Berlin:20260504T100000"
        '\r\nSUMMARY:Number {0}\r\nATTENDEE;PARTSTAT=ACCEPTED;CN="B, B":mailto:b@example.org\r\n'
        "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\nEND:VALARM\r\nEND:VEVENT\r\n"
    )
    events = [event.format(number) for number in range(lines.MAX_COMPONENTS + 1)]
    data = file("".join(events[:-1]))
    began = time.process_time()
    assert len(list(resources(data, tzid=BERLIN, owner=Owner()))) == lines.MAX_COMPONENTS
    assert time.process_time() - began < 30
    with pytest.raises(Refused, match="10,000"):
        parsed(file("".join(events)))


def test_a_file_takes_little_more_memory_than_its_own_bytes() -> None:
    event = f"BEGIN:VEVENT\r\nUID:x\r\nDESCRIPTION:{'d' * 900}\r\nEND:VEVENT\r\n"
    data = file(event * 5_000)
    tracemalloc.start()
    opened(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * len(data)


def test_too_many_bytes_are_refused_before_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_BYTES", 100)
    with pytest.raises(Refused, match="too large"):
        parsed(file("X:1\r\n" * 100))


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 1_000)
    with pytest.raises(Refused, match="too long"):
        parsed(file("X:" + "x" * 1_001 + "\r\n"))
    with pytest.raises(Refused, match="too long"):
        parsed(file("X:1\r\n" + " folded\r\n" * 200))


def test_components_inside_components_without_end_are_refused() -> None:
    deep = "".join(f"BEGIN:X{number}\r\n" for number in range(lines.MAX_DEPTH))
    with pytest.raises(Refused, match="nested"):
        parsed(file(deep))


@pytest.mark.parametrize(
    "inner",
    [
        "X" + ";A=b" * 50_000 + ":c\r\n",
        "X;A=" + "b," * 100_000 + ":c\r\n",
        'X;A="' + "b" * 200_000 + "\r\n",
        "X" + ";" * 200_000 + ":c\r\n",
        "DTSTART;TZID=" + "a:" * 100_000 + "20260504\r\n",
        "\r\n" * 200_000,
        "X:" + "\\" * 200_000 + "\r\n",
    ],
)
def test_no_line_takes_long(inner: str) -> None:
    began = time.process_time()
    [calendar] = parsed(file(inner))
    for item in calendar.items:
        assert isinstance(item, Property)
        item.parts()
        item.with_parameter("A", "z")
    assert time.process_time() - began < 5


@given(st.binary(max_size=300))
def test_no_bytes_make_it_stumble(data: bytes) -> None:
    for each in (data, file("") + data, BEGIN.encode() + data, file(data.decode("latin1"))):
        try:
            found = parsed(each)
        except Refused:
            continue
        assert all(isinstance(calendar, Component) for calendar in found)


def test_a_line_that_is_folded_in_its_name_is_the_line_that_it_is() -> None:
    [calendar] = parsed(b"BEG\r\n IN:VCALE\r\n NDAR\r\nSUM\r\n MARY\r\n ;X=1:Text\r\nEND:VCAL\r\n ENDAR\r\n")
    [line] = calendar.properties("SUMMARY")
    assert (calendar.name, line.value, line.parts()[0]) == ("VCALENDAR", "Text", {"X": ["1"]})
    assert line.source == "SUM\n MARY\n ;X=1:Text"
