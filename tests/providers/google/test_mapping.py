"""One event in Google's words and in ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest

from kalends.domain.events import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    Attendee,
    EventContent,
    EventState,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.sync import WarningCode
from kalends.domain.time import whole_days
from providers.google import GoogleProvider
from providers.google.copies import Copy, read
from providers.google.lists import merging
from providers.google.mapping import LONGEST_DESCRIPTION, Unreadable, differing, unfinished, written
from providers.interface import Identity, RemoteEvent
from tests.contracts.provider_contract import outgoing_for
from tests.helpers import BERLIN, HOUR, NOW, make_content, make_days, make_event, make_when, wall
from tests.providers.google.payloads import CALENDAR, event, instance
from tests.providers.surroundings import surroundings

ADA, BOB = "ada@example.org", "bob@example.org"


def seen(**fields: Any) -> RemoteEvent:
    """Return how an event is read."""
    return read(Copy(event(**fields)), CALENDAR)


def state(**fields: Any) -> EventState:
    found = seen(**fields).state
    assert found is not None
    return found


def content(**fields: Any) -> EventContent:
    return state(**fields).content


def codes(remote: RemoteEvent) -> Sequence[WarningCode]:
    return [each.code for each in remote.warnings]


# Reading


def test_a_plain_event_is_read_with_its_names() -> None:
    found = seen()
    assert found.state == EventState(make_when(NOW, HOUR), EventContent("Planning"))
    assert found.remote_id == event()["id"]
    assert found.etag == '"3480508598540894"'
    assert found.uid == "c4p3gchl6ss36b9gcgo64b9kcdh64b9o@google.com"
    assert found.url is not None
    assert found.url.startswith("https://www.google.com/calendar/")
    assert found.event_id is None
    assert found.warnings == ()


def test_an_event_that_says_nothing_but_when_is_read() -> None:
    bare = read(Copy({"id": "x", "start": event()["start"], "end": event()["end"]}), CALENDAR)
    assert bare.state == EventState(make_when(NOW, HOUR), EventContent(""))


@pytest.mark.parametrize(
    ("start", "tzid"),
    [
        ("2026-05-04T09:00:00+02:00", "Europe/Berlin"),
        ("2026-05-04T07:00:00Z", "Europe/Berlin"),
        ("2026-05-04T03:00:00-04:00", "America/New_York"),
        ("2026-05-04T07:00:00.000Z", "America/New_York"),
        ("2026-05-04T12:45:00+05:45", "Asia/Kathmandu"),
        ("2026-05-04T09:00:00", "Europe/Berlin"),
    ],
)
def test_a_time_is_the_instant_that_it_says_and_the_wall_time_of_its_zone(start: str, tzid: str) -> None:
    times = {"start": {"dateTime": start, "timeZone": tzid}, "end": {"dateTime": "2026-05-04T08:00:00Z"}}
    assert state(**times).when == make_when(NOW, HOUR, tzid)


def test_the_end_is_told_in_the_zone_of_the_start() -> None:
    end = {"dateTime": "2026-05-04T04:00:00-04:00", "timeZone": "America/New_York"}
    assert state(end=end).when == make_when(NOW, HOUR)


def test_a_time_without_a_zone_has_the_calendars() -> None:
    times = {name: {"dateTime": event()[name]["dateTime"]} for name in ("start", "end")}
    assert state(**times).when == make_when(NOW, HOUR, BERLIN)


def test_an_unknown_zone_becomes_the_calendars_and_never_utc() -> None:
    found = seen(start={"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "tzone://Microsoft/Custom"})
    assert found.state is not None
    assert found.state.when == make_when(NOW, HOUR, BERLIN)
    assert codes(found) == [WarningCode.UNKNOWN_TIME_ZONE]


def test_the_hour_that_comes_twice_keeps_its_instants() -> None:
    """The clocks go back in Berlin on 2026-10-25, from 03:00 to 02:00."""
    second = state(
        start={"dateTime": "2026-10-25T02:30:00+01:00", "timeZone": BERLIN},
        end={"dateTime": "2026-10-25T03:00:00+01:00", "timeZone": BERLIN},
    )
    assert second.when.span.start.isoformat() == "2026-10-25T01:30:00+00:00"
    assert written(second.when, second.content, None)["start"]["dateTime"] == "2026-10-25T02:30:00+01:00"


@pytest.mark.parametrize(
    ("first", "end", "days"),
    [("2026-05-04", "2026-05-05", 1), ("2026-12-30", "2027-01-03", 4), ("2026-03-29", "2026-03-30", 1)],
)
def test_whole_days_keep_their_number(first: str, end: str, days: int) -> None:
    """One day too many, or one too few, is what others got: relaticle/relaticle#755, formax68/memoChron#26."""
    when = state(start={"date": first}, end={"date": end}).when
    assert when == make_days(date.fromisoformat(first), days)
    body = written(when, EventContent("x"), None)
    assert (body["start"], body["end"]) == ({"date": first}, {"date": end})


def test_whole_days_are_days_of_the_calendars_zone_wherever_that_is() -> None:
    auckland = replace(CALENDAR, tzid="Pacific/Auckland")
    found = read(Copy(event(start={"date": "2026-05-04"}, end={"date": "2026-05-05"})), auckland).state
    assert found is not None
    assert found.when == whole_days(date(2026, 5, 4), date(2026, 5, 5), "Pacific/Auckland")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ({"date": "2026-05-04"}, {"date": "2026-05-04"}, make_days(date(2026, 5, 4), 1)),
        (event()["start"], event()["start"], make_when(NOW, HOUR / 60)),
    ],
)
def test_an_event_that_takes_no_time_takes_the_shortest_that_there_is(start: Any, end: Any, expected: Any) -> None:
    found = seen(start=start, end=end)
    assert found.state is not None
    assert found.state.when == expected
    assert codes(found) == [WarningCode.PARTLY_READ]


@pytest.mark.parametrize(
    "fields",
    [
        {"start": None},
        {"end": None},
        {"start": {}},
        {"start": {"date": "2026-05-04"}},
        {"start": {"dateTime": "yesterday"}},
        {"start": {"dateTime": 7}},
        {"start": "2026-05-04"},
        {"start": {"date": "2026-05-05"}, "end": {"date": "2026-05-04"}},
        {"end": {"dateTime": "2026-05-04T08:59:59+02:00"}},
        {"start": {"dateTime": "0001-01-01T00:00:00+14:00"}},
        {"attendees": [{"responseStatus": "accepted"}]},
        {"attendees": "everybody"},
        {"reminders": {"useDefault": False, "overrides": [{}]}},
    ],
)
def test_what_is_not_in_googles_form_cannot_be_read_and_says_so_in_a_sentence(fields: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        seen(**fields)
    assert str(caught.value).endswith(".")


def test_a_day_that_its_zone_skips_cannot_be_read() -> None:
    apia = replace(CALENDAR, tzid="Pacific/Apia")
    with pytest.raises(Unreadable):
        read(Copy(event(start={"date": "2011-12-30"}, end={"date": "2011-12-31"})), apia)


def test_a_deleted_event_is_read_as_deleted_though_it_says_nothing_else() -> None:
    found = read(Copy({"id": "abc", "status": "cancelled"}), CALENDAR)
    assert (found.remote_id, found.deleted, found.state) == ("abc", True, None)
    assert found.etag


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"summary": None}, {"summary": ""}),
        ({"location": "Room 1"}, {"location": "Room 1"}),
        ({"description": "<b>Bring</b> a pen<br>"}, {"description": "<b>Bring</b> a pen<br>"}),
        ({"description": ""}, {"description": None}),
        ({"summary": "a\x00b\x07"}, {"summary": "ab"}),
        ({"status": "tentative"}, {"status": EventStatus.TENTATIVE}),
        ({"transparency": "transparent"}, {"transparent": True}),
        ({"transparency": "opaque"}, {"transparent": False}),
        ({"visibility": "private"}, {"visibility": Visibility.PRIVATE}),
        ({"visibility": "confidential"}, {"visibility": Visibility.CONFIDENTIAL}),
        ({"visibility": "somethingNew"}, {"visibility": Visibility.PRIVATE}),
        ({"reminders": None}, {"reminders": None}),
        ({"reminders": {"useDefault": False}}, {"reminders": ()}),
        (
            {"reminders": {"useDefault": False, "overrides": [{"method": "email", "minutes": 60}]}},
            {"reminders": (60,)},
        ),
        ({"eventType": "workingLocation"}, {"transparent": True}),
        ({"eventType": "birthday"}, {"transparent": True}),
        ({"eventType": "outOfOffice"}, {"transparent": False, "out_of_office": True}),
        ({"eventType": "focusTime"}, {"transparent": False}),
        ({"eventType": "fromGmail", "transparency": "transparent"}, {"transparent": True}),
        ({"organizer": {"email": BOB}}, {"organizer": BOB}),
        ({"organizer": None}, {"organizer": None}),
        ({"organizer": {"email": "ADA@example.org"}}, {"organizer": None}),
        ({"extendedProperties": {"private": {"crm": "7"}, "shared": {"theirs": "x"}}}, {"metadata": {"crm": "7"}}),
    ],
)
def test_what_an_event_says_is_read(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert content(**fields) == replace(EventContent("Planning"), **expected)


def test_two_reminders_at_the_same_minute_are_one() -> None:
    overrides = [{"method": "popup", "minutes": 10}, {"method": "email", "minutes": 10}]
    assert content(reminders={"useDefault": False, "overrides": overrides}).reminders == (10,)


def test_the_owners_answer_is_that_of_the_calendar_itself() -> None:
    attendees = [
        {"email": BOB, "responseStatus": "accepted", "organizer": True},
        {"email": "ada.lovelace@example.org", "responseStatus": "tentative", "self": True},
        {"email": "cy@example.net", "responseStatus": "needsAction"},
        {"email": "dee@example.net"},
    ]
    found = content(attendees=attendees, organizer={"email": BOB})
    assert found.partstat is Partstat.TENTATIVE
    assert found.attendees == (
        Attendee(BOB, Partstat.ACCEPTED),
        Attendee("ada.lovelace@example.org", Partstat.TENTATIVE),
        Attendee("cy@example.net"),
        Attendee("dee@example.net"),
    )


def test_in_a_calendar_beside_the_primary_one_the_owner_is_known_by_the_address() -> None:
    beside = replace(CALENDAR, remote_id="c_1@group.calendar.google.com")
    attendees = [{"email": "Ada@example.org", "responseStatus": "declined"}]
    found = read(Copy(event(attendees=attendees, organizer={"email": beside.remote_id, "self": True})), beside).state
    assert found is not None
    assert found.content.partstat is Partstat.DECLINED
    assert found.content.organizer is None


def test_of_too_many_participants_the_same_are_kept_in_whatever_order_they_come() -> None:
    guests = [{"email": f"guest{number:03}@example.net", "responseStatus": "accepted"} for number in range(300)]
    attendees = [*guests, {"email": "zoe@example.org", "self": True, "responseStatus": "declined"}]
    found, turned = seen(attendees=attendees), seen(attendees=attendees[::-1])
    assert same(found.state, turned.state)
    assert codes(found) == [WarningCode.PARTLY_READ]
    assert found.state is not None
    assert len(found.state.content.attendees) == MAX_ATTENDEES
    assert Attendee("zoe@example.org", Partstat.DECLINED) in found.state.content.attendees


def test_participants_that_google_hides_are_said_to_be_missing() -> None:
    assert codes(seen(attendeesOmitted=True)) == [WarningCode.PARTLY_READ]


def test_long_text_is_cut_always_in_the_same_way() -> None:
    found, again = seen(description="d" * 40_000), seen(description="d" * 40_001)
    assert found == again
    assert found.state is not None
    assert found.state.content.description == "d" * MAX_DESCRIPTION
    assert codes(found) == [WarningCode.TEXT_SHORTENED]


def test_other_applications_properties_are_read_up_to_a_number() -> None:
    found = seen(extendedProperties={"private": {f"key{number:02}": "x" for number in range(60)}})
    assert found.state is not None
    assert len(found.state.content.metadata) == 50
    assert codes(found) == [WarningCode.PARTLY_READ]


# Stamps


def stamp(identity: Identity, **more: str) -> dict[str, Any]:
    private = {"kalendsEvent": str(identity.event_id), "kalendsGeneration": str(identity.generation)}
    return {"id": identity.key, "extendedProperties": {"private": private | more}}


def test_a_copy_of_ours_says_which_event_it_is_of_and_the_stamp_is_nobodys_metadata() -> None:
    identity = Identity(uuid7(), "x", 3)
    found = seen(**stamp(identity, crm="7"))
    assert found.event_id == identity.event_id
    assert found.state is not None
    assert found.state.content.metadata == {"crm": "7"}


def test_a_duplicate_that_somebody_made_is_no_copy_of_ours() -> None:
    """Copies of copies without end: karbassi/sync-multiple-google-calendars#36."""
    duplicate = stamp(Identity(uuid7(), "x", 0), kalendsUnfinished="1") | {"id": "another1d"}
    assert seen(**duplicate).event_id is None
    assert not unfinished(event(**duplicate))


@pytest.mark.parametrize("noted", ["no uuid", "", str(UUID(int=0))])
def test_a_stamp_that_says_nothing_is_none(noted: str) -> None:
    private = {"kalendsEvent": noted, "kalendsGeneration": "first"}
    assert seen(extendedProperties={"private": private}).event_id is None


# Writing


def test_what_is_written_is_as_google_describes_it() -> None:
    said = make_content(
        "Planning",
        location="Room 1",
        description="<b>Pens</b>",
        attendees=(Attendee(BOB),),
        transparent=True,
        status=EventStatus.TENTATIVE,
        visibility=Visibility.CONFIDENTIAL,
        reminders=(30, 10),
        metadata={"crm": "7"},
    )
    assert written(make_when(NOW, HOUR), said, ADA) == {
        "summary": "Planning",
        "location": "Room 1",
        "description": "<b>Pens</b>",
        "start": {"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-05-04T10:00:00+02:00", "timeZone": "Europe/Berlin"},
        "attendees": [{"email": BOB, "responseStatus": "needsAction"}],
        "status": "tentative",
        "transparency": "transparent",
        "visibility": "confidential",
        "reminders": {
            "useDefault": False,
            "overrides": [{"method": "popup", "minutes": 10}, {"method": "popup", "minutes": 30}],
        },
        "extendedProperties": {"private": {"crm": "7"}},
    }


def test_between_hours_and_whole_days_the_other_kind_of_time_is_deleted() -> None:
    hours, days = (written(each, EventContent("x"), None) for each in (make_when(NOW, HOUR), make_days()))
    assert differing(hours, days)["start"] == {"date": "2026-05-04", "dateTime": None, "timeZone": None}
    assert differing(days, hours)["end"] == {
        "date": None,
        "dateTime": "2026-05-04T10:00:00+02:00",
        "timeZone": "Europe/Berlin",
    }


def test_only_what_differs_is_sent_and_what_is_no_more_is_deleted() -> None:
    before = make_content(
        location="Here", description="Long", metadata={"a": "1", "b": "2"}, attendees=(Attendee(BOB),)
    )
    after = make_content(location="There", metadata={"b": "2", "c": "3"}, attendees=(Attendee(BOB),))
    old, new = (written(make_when(NOW, HOUR), each, ADA) for each in (before, after))
    assert differing(old, new) == {
        "location": "There",
        "description": None,
        "extendedProperties": {"private": {"a": None, "c": "3"}},
    }
    assert differing(old, old) == {}


def test_the_order_of_participants_is_no_difference() -> None:
    guests = (Attendee(BOB), Attendee("cy@example.net"))
    one, other = (written(make_when(NOW, HOUR), make_content(attendees=each), ADA) for each in (guests, guests[::-1]))
    assert differing(one, other) == {}


# Lists that Google replaces whole


def merged(before: EventContent, after: EventContent, **fields: Any) -> dict[str, Any]:
    """Return what is sent of a change, over an event as it is at Google."""
    old, new = (written(make_when(NOW, HOUR), each, ADA) for each in (before, after))
    return merging(differing(old, new), before, after, event(**fields), ADA)


def test_a_participant_keeps_what_we_do_not_know_of() -> None:
    bob = {"email": BOB, "displayName": "Bob", "optional": True, "comment": "Late", "responseStatus": "accepted"}
    cy = {"email": "cy@example.net", "additionalGuests": 2, "responseStatus": "needsAction"}
    room = {"email": "room@example.org", "resource": True, "responseStatus": "accepted", "id": "7", "self": False}
    before = make_content(attendees=(Attendee(BOB, Partstat.ACCEPTED), Attendee("cy@example.net")))
    after = make_content(attendees=(Attendee(BOB, Partstat.ACCEPTED), Attendee("dee@example.net")))
    assert merged(before, after, attendees=[bob, cy, room])["attendees"] == [
        bob,
        {"email": "room@example.org", "resource": True, "responseStatus": "accepted"},
        {"email": "dee@example.net", "responseStatus": "needsAction"},
    ]


def test_an_answer_that_came_there_is_not_overwritten_by_a_new_guest_here() -> None:
    before = make_content(attendees=(Attendee(BOB),))
    after = make_content(attendees=(Attendee(BOB), Attendee("cy@example.net")))
    sent = merged(before, after, attendees=[{"email": BOB.upper(), "responseStatus": "declined"}])
    assert sent["attendees"][0] == {"email": BOB.upper(), "responseStatus": "declined"}


def test_a_guest_who_was_removed_there_does_not_come_back_with_another_change() -> None:
    before = make_content(attendees=(Attendee(BOB),))
    after = make_content(attendees=(Attendee(BOB), Attendee("cy@example.net")))
    assert merged(before, after, attendees=[])["attendees"] == [
        {"email": "cy@example.net", "responseStatus": "needsAction"}
    ]


def test_the_owners_answer_alone_makes_the_owner_take_part_and_no_answer_does_not() -> None:
    tentative = make_content(partstat=Partstat.TENTATIVE)
    mine = {"email": ADA, "responseStatus": "tentative"}
    assert merged(make_content(), tentative)["attendees"] == [mine]
    assert merged(tentative, make_content(), attendees=[mine | {"self": True}])["attendees"] == []


def test_the_owner_is_found_under_the_address_that_google_knows() -> None:
    there = [{"email": "ada@gmail.com", "self": True, "responseStatus": "accepted"}, {"email": BOB}]
    sent = merged(make_content(), make_content(partstat=Partstat.DECLINED), attendees=there)
    assert sent["attendees"] == [{"email": "ada@gmail.com", "responseStatus": "declined"}, {"email": BOB}]


def test_whoever_is_only_invited_sends_the_own_answer_and_nothing_of_others() -> None:
    guests = (Attendee(BOB, Partstat.ACCEPTED), Attendee(ADA))
    invited = make_content(attendees=guests, partstat=Partstat.NEEDS_ACTION, organizer=BOB)
    accepting = replace(invited, partstat=Partstat.ACCEPTED)
    there = [{"email": BOB, "responseStatus": "accepted"}, {"email": ADA, "self": True}]
    assert merged(invited, accepting, attendees=there, organizer={"email": BOB}) == {
        "attendeesOmitted": True,
        "attendees": [{"email": ADA, "responseStatus": "accepted"}],
    }


def test_an_email_reminder_survives_while_it_is_wanted() -> None:
    there = {"useDefault": False, "overrides": [{"method": "email", "minutes": 60}, {"method": "popup", "minutes": 5}]}
    sent = merged(make_content(reminders=(5, 60)), make_content(reminders=(15, 60)), reminders=there)
    assert sent["reminders"] == {
        "useDefault": False,
        "overrides": [{"method": "popup", "minutes": 15}, {"method": "email", "minutes": 60}],
    }


def test_reminders_never_become_more_than_google_takes() -> None:
    there = [{"method": method, "minutes": minutes} for minutes in (1, 2) for method in ("popup", "email")]
    sent = merged(
        make_content(reminders=(1, 2)),
        make_content(reminders=(1, 2, 3, 4)),
        reminders={"useDefault": False, "overrides": there},
    )
    minutes = [each["minutes"] for each in sent["reminders"]["overrides"]]
    assert minutes == [1, 2, 3, 4, 1]


def test_the_calendars_own_reminders_take_the_place_of_all_others() -> None:
    there = {"useDefault": False, "overrides": [{"method": "email", "minutes": 60}]}
    sent = merged(make_content(reminders=(60,)), make_content(), reminders=there)
    assert sent["reminders"] == {"useDefault": True, "overrides": []}


# What is lost


@pytest.mark.parametrize(
    ("fields", "owner", "code"),
    [
        ({"status": EventStatus.CANCELLED}, ADA, WarningCode.CANCELLATION_DELETES),
        ({"description": "d" * (LONGEST_DESCRIPTION + 1)}, ADA, WarningCode.TEXT_SHORTENED),
        ({"metadata": {"kalendsEvent": "mine"}}, ADA, WarningCode.METADATA_NOT_SENT),
        ({"partstat": Partstat.DECLINED}, None, WarningCode.RSVP_NOT_SENT),
        ({"out_of_office": True}, ADA, WarningCode.OUT_OF_OFFICE_NOT_SENT),
    ],
)
def test_what_google_cannot_keep_is_said(fields: dict[str, Any], owner: str | None, code: WarningCode) -> None:
    outgoing = outgoing_for(make_event(uuid7(), **fields), owner=owner)
    provider = GoogleProvider(surroundings())
    assert [each.code for each in provider.warnings(outgoing)] == [code]
    expected = provider.expected(outgoing)
    assert expected is None or not same(expected, outgoing.event.state)


@pytest.mark.parametrize("away", [True, False])
def test_an_event_stays_of_the_type_that_google_has_made_it(away: bool) -> None:
    there = EventState(make_when(), make_content(out_of_office=True))
    renamed = replace(there, content=make_content("Renamed", out_of_office=away))
    ours = make_event(uuid7()).became(renamed, at=NOW)
    outgoing = replace(outgoing_for(ours, owner=ADA), agreed=Agreement(there, there))
    provider = GoogleProvider(surroundings())
    expected = provider.expected(outgoing)
    assert expected is not None
    assert expected.content.out_of_office
    assert bool(provider.warnings(outgoing)) is not away


def test_an_instance_has_the_place_of_its_own_that_its_time_has() -> None:
    moved = instance("2026-05-11T09:00:00+02:00", summary="Moved")
    found = read(Copy(moved), CALENDAR)
    assert found.remote_id == moved["id"]
    assert found.state is not None
    assert found.state.recurrence is None
    assert isinstance(found.state.when.start, datetime)
    assert found.state.when.start == wall("2026-05-04T09:00")
