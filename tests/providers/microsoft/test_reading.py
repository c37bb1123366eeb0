"""Events as Graph sends them, read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.events import Attendee, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import same
from kalends.domain.sync import WarningCode
from providers.microsoft import wire
from providers.microsoft.mapping import stamp, written
from providers.microsoft.reading import Unreadable, read
from providers.microsoft.text import described, from_html
from tests.contracts.provider_contract import OWNER
from tests.helpers import make_content, make_when
from tests.providers.microsoft.payloads import CALENDAR, attendee, codes, content_of, received, state_of
from tests.providers.microsoft.stage import an_outgoing


def test_an_event_is_read() -> None:
    copy = read(received(), CALENDAR)
    assert (copy.remote_id[:6], copy.etag) == ("AAkALg", 'W/"IiLKjG2I7E+Xv0+ys6MD0wAEd5/kNQ=="')
    assert copy.url == "https://outlook.office365.com/owa/?itemid=AAkALg"
    assert copy.uid == "040000008200E00074C5B7101A82E008"
    assert (copy.event_id, copy.warnings) == (None, ())
    assert copy.state is not None
    assert copy.state.when == make_when()
    content = EventContent(
        "New Product Regulations Touchpoint", "Conf Room Rainier", description="Agenda\n\n1. Regulations"
    )
    assert copy.state.content == content


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"showAs": "free"}, {"transparent": True}),
        ({"showAs": "tentative"}, {"status": EventStatus.TENTATIVE}),
        ({"showAs": "oof"}, {"transparent": False, "out_of_office": True}),
        ({"showAs": "workingElsewhere"}, {"transparent": False}),
        ({"isCancelled": True}, {"status": EventStatus.CANCELLED}),
        ({"sensitivity": "private"}, {"visibility": Visibility.PRIVATE}),
        ({"sensitivity": "personal"}, {"visibility": Visibility.PRIVATE}),
        ({"sensitivity": "confidential"}, {"visibility": Visibility.CONFIDENTIAL}),
        ({"isReminderOn": False}, {"reminders": ()}),
        ({"reminderMinutesBeforeStart": 15}, {"reminders": None}),
        ({"reminderMinutesBeforeStart": 30}, {"reminders": (30,)}),
        ({"subject": None}, {"summary": ""}),
        ({"subject": "a\x00b\x1fc\ud800"}, {"summary": "abc"}),
        ({"location": None}, {"location": ""}),
        ({"body": None}, {"description": None}),
        ({"body": {"contentType": "text", "content": "\r\n"}}, {"description": None}),
        ({"organizer": None, "isOrganizer": False}, {"organizer": None}),
        ({"isOrganizer": False}, {"organizer": None}),  # it is the owner all the same
    ],
)
def test_what_is_said_is_read(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    content = content_of(**changes)
    assert {name: getattr(content, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("response", "show_as", "partstat", "status"),
    [
        ("accepted", "busy", Partstat.ACCEPTED, EventStatus.CONFIRMED),
        ("accepted", "tentative", Partstat.ACCEPTED, EventStatus.TENTATIVE),
        ("tentativelyAccepted", "tentative", Partstat.TENTATIVE, EventStatus.CONFIRMED),
        ("declined", "free", Partstat.DECLINED, EventStatus.CONFIRMED),
        ("notResponded", "tentative", Partstat.NEEDS_ACTION, EventStatus.CONFIRMED),
        ("none", "tentative", Partstat.NEEDS_ACTION, EventStatus.CONFIRMED),
    ],
)
def test_an_invitation_has_the_owners_answer_and_is_not_tentative_for_want_of_one(
    response: str, show_as: str, partstat: Partstat, status: EventStatus
) -> None:
    content = content_of(
        isOrganizer=False,
        organizer={"emailAddress": {"address": "grace@example.org"}},
        responseStatus={"response": response},
        showAs=show_as,
        attendees=[attendee(OWNER.upper()), attendee("bob@example.org", "declined"), attendee("grace@example.org")],
    )
    assert (content.organizer, content.partstat, content.status) == ("grace@example.org", partstat, status)
    assert content.attendees == (Attendee(OWNER.upper(), partstat), Attendee("bob@example.org", Partstat.DECLINED))


def test_the_owner_of_an_event_is_not_among_its_participants() -> None:
    listed = [attendee(OWNER, "organizer"), attendee("bob@example.org", "tentativelyAccepted")]
    assert content_of(attendees=listed).attendees == (Attendee("bob@example.org", Partstat.TENTATIVE),)


def test_participants_without_an_address_are_left_out_and_that_is_said() -> None:
    listed = [attendee(None), attendee("/o=ExchangeLabs/cn=x@y"), attendee("bob@example.org"), attendee("")]
    copy = read(received(attendees=listed), CALENDAR)
    assert copy.state is not None
    assert copy.state.content.attendees == (Attendee("bob@example.org"),)
    assert codes(copy) == [WarningCode.PARTLY_READ]


def test_a_crowd_is_cut_to_what_is_kept_here_and_that_is_said() -> None:
    copy = read(received(attendees=[attendee(f"guest{number}@example.org") for number in range(300)]), CALENDAR)
    assert copy.state is not None
    assert len(copy.state.content.attendees) == 200
    assert codes(copy) == [WarningCode.PARTLY_READ]


def test_text_that_is_too_long_is_cut_always_in_the_same_way_and_that_is_said() -> None:
    event = received(subject="s" * 2000, body={"contentType": "text", "content": "d" * 40_000})
    copy = read(event, CALENDAR)
    assert copy.state is not None
    assert (len(copy.state.content.summary), len(copy.state.content.description or "")) == (1024, 32_768)
    assert codes(copy) == [WarningCode.TEXT_SHORTENED]
    assert same(copy.state, read(event, CALENDAR).state)


def test_an_organizer_of_whom_little_is_known_is_still_somebody_else() -> None:
    for organizer in ({"emailAddress": {"name": "Grace"}}, {"emailAddress": {"address": "/o=Exchange"}}, {}):
        assert content_of(isOrganizer=False, organizer=organizer).organizer


def test_our_stamp_and_metadata_are_read_whatever_the_case_of_their_names() -> None:
    outgoing = an_outgoing()
    values = {wire.STAMP.upper(): stamp(outgoing.identity), wire.METADATA: '{"crm": "4711"}', "String {x} Name Y": "z"}
    copy = read(received(singleValueExtendedProperties=[{"id": k, "value": v} for k, v in values.items()]), CALENDAR)
    assert copy.event_id == outgoing.event.id
    assert copy.state is not None
    assert copy.state.content.metadata == {"crm": "4711"}


@pytest.mark.parametrize("value", ["", "none of ours", "kalends", "kalends not-a-uuid 0 key"])
def test_a_stamp_that_nobody_can_read_is_none(value: str) -> None:
    event = received(singleValueExtendedProperties=[{"id": wire.STAMP, "value": value}])
    assert read(event, CALENDAR).event_id is None


@pytest.mark.parametrize("value", ["", "{", "[]", '{"a": 1}', '{"": "empty"}'])
def test_metadata_that_somebody_has_written_over_is_none(value: str) -> None:
    event = received(singleValueExtendedProperties=[{"id": wire.METADATA, "value": value}])
    assert state_of(event).content.metadata == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"start": None},
        {"start": {"dateTime": "yesterday", "timeZone": "UTC"}},
        {"start": {"dateTime": "0001-01-01T00:00:00.0000000", "timeZone": "UTC"}, "isAllDay": True},
        {"recurrence": {"pattern": {"type": "lunar"}, "range": {"type": "noEnd"}}},
        {"recurrence": "daily"},
        {"attendees": "everybody"},
        {"attendees": ["bob@example.org"]},
        {"location": "Rome"},
        {"reminderMinutesBeforeStart": "soon"},
        {"id": None, "start": {}},
    ],
)
def test_what_is_no_event_is_said_to_be_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        read(received(**changes), CALENDAR)
    assert "@" not in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=5) | st.integers(), st.lists, max_leaves=3), st.data())
def test_nothing_that_can_come_makes_reading_fail_otherwise(junk: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(received())))
    try:
        read(received(**{name: junk}), CALENDAR)
    except Unreadable:
        return


# Text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<html><head><style>p{}</style><title>t</title></head><body>Hello</body></html>", "Hello"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
        ("<div>a &amp; b&nbsp;c</div>", "a & b c"),
        ("  <b>  spaced \r\n out </b>  ", "spaced out"),
        ("<script>alert(1)</script>safe", "safe"),
        ("<p>unclosed <i>tags", "unclosed tags"),
        ("", ""),
    ],
)
def test_html_is_read_as_a_browser_would_show_it(html: str, text: str) -> None:
    assert from_html(html) == text


def test_a_body_of_nothing_but_markup_is_none() -> None:
    assert described({"contentType": "html", "content": "<html><body><br></body></html>"}) is None


def test_text_is_sent_with_the_line_ends_that_exchange_keeps() -> None:
    body = written(EventState(make_when(), make_content(description="one\ntwo\r\nthree")))["body"]
    assert body == {"contentType": "text", "content": "one\r\ntwo\r\nthree"}
