"""A file in which something is changed: nothing else in it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from kalends.domain.events import Attendee, Event, EventContent, EventState, EventStatus, Partstat, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Override, Recurrence
from providers.errors import Refused
from providers.ical.lines import Unreadable
from providers.ical.people import Owner
from providers.ical.read import Resource, opened, resource
from providers.ical.write import created, edited
from tests.contracts.provider_contract import OWNER
from tests.helpers import BERLIN, HOUR, NOW, WEEK, make_content, make_days, make_event, make_when, wall
from tests.providers.ical.test_files import FILES, NAMES

ME = Owner(OWNER)
LATER = NOW + timedelta(days=1)
HEAD = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Somebody//EN\n"
TIMES = "DTSTART;TZID=Europe/Berlin:20260504T090000\nDTEND;TZID=Europe/Berlin:20260504T100000\n"
STAMPS = ("DTSTAMP", "LAST-MODIFIED")


def file(*events: str) -> str:
    """Return a file with these events, each given as the lines inside."""
    inner = "".join(f"BEGIN:VEVENT\nUID:one\nDTSTAMP:20260501T080000Z\n{event}END:VEVENT\n" for event in events)
    return f"{HEAD}{inner}END:VCALENDAR\n"


def state_of(text: str, uid: str = "one") -> EventState:
    [group] = [group for group in opened(text.encode()).groups if group.uid == uid]
    found = resource(group, tzid=BERLIN, owner=ME)
    assert isinstance(found, Resource)
    return found.state


def event_of(state: EventState, sequence: int = 0) -> Event:
    event = make_event(uuid7(), sequence=sequence)
    return replace(event, when=state.when, content=state.content, recurrence=state.recurrence)


def changed(
    text: str, uid: str = "one", *, state: EventState | None = None, agreed: bool = True, **content: Any
) -> str:
    """Return a file after a change of ours, made when both sides were in step."""
    before = state_of(text, uid)
    after = state or replace(before, content=replace(before.content, **content))
    event = event_of(before).became(after, at=LATER)
    result = edited(text.encode(), event, before if agreed else None, uid, tzid=BERLIN, owner=ME)
    assert result is not None
    return unfolded(result)


def unfolded(data: bytes) -> str:
    return re.sub(r"\r?\n[ \t]", "", data.decode()).replace("\r\n", "\n")


def lines(text: str) -> list[str]:
    return re.sub(r"\r?\n[ \t]", "", text).splitlines()


def differences(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return which lines went and which came, those aside that say when the event was written."""
    old, new = lines(before), lines(after)
    gone = [line for line in old if line not in new and not line.upper().startswith(STAMPS)]
    came = [line for line in new if line not in old and not line.startswith(STAMPS)]
    return gone, came


# Nothing else changes


@pytest.mark.parametrize("name", NAMES)
def test_another_title_changes_that_line_alone(name: str) -> None:
    data = (FILES / f"{name}.ics").read_bytes()
    for group in opened(data).groups:
        found = resource(group, tzid=BERLIN, owner=ME)
        if not isinstance(found, Resource) or "of a series" in str(found.warnings) or len(group.uid) == 64:
            continue  # it cannot be changed as a whole, or has no UID to be found by
        text = data.decode()
        after = changed(text, group.uid, summary="Another title")
        gone, came = differences(text, after)
        assert came == ["SUMMARY:Another title"]
        assert [line for line in gone if not line.upper().startswith(("BEGIN", "END"))] in (
            [],  # it had none, or its title is one that another event has, too
            [f"SUMMARY:{found.state.content.summary}"],
            *([line] for line in lines(text) if line.upper().startswith("SUMMARY")),
        )
        assert state_of(after, group.uid).content.summary == "Another title"


@pytest.mark.parametrize("agreed", [True, False])
def test_what_somebody_else_has_changed_meanwhile_stays_where_only_ours_is_known_to_differ(agreed: bool) -> None:
    text = file(f"{TIMES}SUMMARY:Theirs now\nLOCATION:There\nATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org\n")
    then = EventState(make_when(), make_content("Both knew", location="Here", attendees=(Attendee("bob@example.org"),)))
    event = event_of(then).became(replace(then, content=replace(then.content, transparent=True)), at=LATER)
    result = edited(text.encode(), event, then if agreed else None, "one", tzid=BERLIN, owner=ME)
    assert result is not None
    content = state_of(unfolded(result)).content
    assert content.transparent
    theirs = (content.summary, content.location, content.attendees[0].partstat)
    assert theirs == (
        ("Theirs now", "There", Partstat.ACCEPTED) if agreed else ("Both knew", "Here", Partstat.NEEDS_ACTION)
    )


def test_a_change_that_is_there_already_is_no_change() -> None:
    text = file(f"{TIMES}SUMMARY:After\n")
    before = EventState(make_when(), make_content("Before"))
    event = event_of(before).became(replace(before, content=make_content("After")), at=LATER)
    assert edited(text.encode(), event, before, "one", tzid=BERLIN, owner=ME) is None


def test_only_what_was_changed_is_stamped() -> None:
    override = "RECURRENCE-ID;TZID=Europe/Berlin:20260511T090000\n" + TIMES.replace("0504", "0511")
    text = file(f"{TIMES}RRULE:FREQ=WEEKLY\nSUMMARY:All\n", f"{override}SUMMARY:One\n")
    after = changed(text, summary="All of them")
    assert after.count("DTSTAMP:20260501T080000Z") == 1
    assert after.count("DTSTAMP:20260505T070000Z") == 1
    assert "SUMMARY:One\n" in after


# Texts


def test_html_goes_with_the_description_that_it_repeats() -> None:
    rest = 'X-ALT-DESC;FMTTYPE=text/html:<p>Old</p>\nDESCRIPTION;ALTREP="cid:1";LANGUAGE=en:Old\nCOMMENT:Stays\n'
    after = changed(file(TIMES + rest), description="New; lines,\nand \\ more")
    assert "X-ALT-DESC" not in after
    assert "DESCRIPTION:New\\; lines\\,\\nand \\\\ more\n" in after
    assert "COMMENT:Stays" in after
    assert "X-ALT-DESC" in changed(file(TIMES + rest), summary="Another title")


def test_the_place_on_a_map_goes_with_the_place_that_it_repeats() -> None:
    rest = "LOCATION:Old\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE=Old:geo:1,2\nGEO:1;2\n"
    after = changed(file(TIMES + rest), location="New")
    assert "X-APPLE" not in after
    assert "GEO" not in after
    assert "LOCATION" not in changed(file(TIMES + rest), location="")


# Busy or free


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"transparent": True}, {"TRANSP": "TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS": "FREE"}),
        ({"status": EventStatus.CONFIRMED}, {"STATUS": "CONFIRMED", "X-MICROSOFT-CDO-BUSYSTATUS": "BUSY"}),
        ({"status": EventStatus.CANCELLED}, {"STATUS": "CANCELLED", "X-MICROSOFT-CDO-BUSYSTATUS": "BUSY"}),
        ({"summary": "Another"}, {"STATUS": "CONFIRMED", "X-MICROSOFT-CDO-BUSYSTATUS": "TENTATIVE"}),
        ({"out_of_office": True}, {"STATUS": "TENTATIVE", "X-MICROSOFT-CDO-BUSYSTATUS": "OOF"}),
        (
            {"out_of_office": True, "status": EventStatus.CONFIRMED},
            {"STATUS": "CONFIRMED", "TRANSP": "OPAQUE", "X-MICROSOFT-CDO-BUSYSTATUS": "OOF"},
        ),
    ],
)
def test_outlooks_word_for_it_follows(change: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    text = file(f"{TIMES}STATUS:CONFIRMED\nTRANSP:OPAQUE\nX-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\n")
    after = changed(text, **change)
    assert {name: value for name, value in expected.items() if f"\n{name}:{value}\n" in after} == expected
    wanted = replace(state_of(text).content, **change)
    assert state_of(after).content == wanted


@pytest.mark.parametrize("there", ["", "FREE", "TENTATIVE", "BUSY", "OOF"])
@pytest.mark.parametrize("away", [True, False])
def test_who_is_out_of_office_is_so_whatever_the_file_has_said(there: str, away: bool) -> None:
    text = file(f"{TIMES}X-MICROSOFT-CDO-BUSYSTATUS:{there}\n" if there else TIMES)
    before = state_of(text)
    after = replace(before, content=replace(before.content, out_of_office=away))
    event = event_of(before).became(after, at=LATER)
    result = edited(text.encode(), event, before, "one", tzid=BERLIN, owner=ME)
    assert (result is None) == (before == after)
    assert state_of(unfolded(result) if result else text).content == after.content


def test_a_class_goes_where_the_calendars_own_is_meant() -> None:
    text = file(f"{TIMES}CLASS:PRIVATE\n")
    assert "CLASS" not in changed(text, visibility=Visibility.DEFAULT)
    assert "CLASS:CONFIDENTIAL" in changed(text, visibility=Visibility.CONFIDENTIAL)


# When


def test_a_move_writes_times_alone_and_tells_those_who_attend() -> None:
    text = file(f"{TIMES}SEQUENCE:4\nSUMMARY:Moves\nDURATION:PT1H\n".replace("DTEND", "X-DTEND"))
    before = state_of(text)
    after = changed(text, state=replace(before, when=make_when(NOW + HOUR, HOUR, "America/New_York")))
    assert "DTSTART;TZID=America/New_York:20260504T040000\n" in after
    assert "DTEND;TZID=America/New_York:20260504T050000\n" in after
    assert "DURATION" not in after
    assert "SEQUENCE:5\n" in after
    assert after.count("BEGIN:VTIMEZONE") == 1


def test_another_title_is_no_reason_to_ask_again() -> None:
    assert "SEQUENCE:4\n" in changed(file(f"{TIMES}SEQUENCE:4\n"), summary="Another title")


def test_who_is_only_invited_does_not_count_versions() -> None:
    text = file(f"{TIMES}SEQUENCE:4\nORGANIZER:mailto:grace@example.com\nATTENDEE:mailto:{OWNER}\n")
    before = state_of(text)
    after = changed(text, state=replace(before, when=make_when(NOW + HOUR)))
    assert "SEQUENCE:4\n" in after


def test_whole_days_become_a_time_of_day_and_back() -> None:
    text = file("DTSTART;VALUE=DATE:20260504\nDTEND;VALUE=DATE:20260505\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE\n")
    timed = changed(text, state=replace(state_of(text), when=make_when()))
    assert "DTSTART;TZID=Europe/Berlin:20260504T090000\n" in timed
    assert "X-MICROSOFT-CDO-ALLDAYEVENT:FALSE\n" in timed
    days = changed(timed, state=replace(state_of(timed), when=make_days(days=2)))
    assert "DTSTART;VALUE=DATE:20260504\nDTEND;VALUE=DATE:20260506\n" in days
    assert "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE\n" in days


def test_a_zone_that_is_defined_is_not_defined_again() -> None:
    text = (FILES / "google.ics").read_text()
    state = state_of(text, "standup@google.com")
    after = changed(text, "standup@google.com", state=replace(state, when=make_when(NOW, HOUR)))
    assert after.count("BEGIN:VTIMEZONE") == 1
    assert "TZID:Europe/Berlin" in after


def test_a_time_that_the_clocks_show_twice_comes_back_as_the_one_that_was_meant() -> None:
    second = make_when(datetime.fromisoformat("2026-10-25T01:15:00+00:00").astimezone(NOW.tzinfo), HOUR / 2)
    assert (second.start, second.span.start.hour) == (wall("2026-10-25T02:15"), 1)
    event = event_of(EventState(second, make_content()))
    text = unfolded(created(event, "one", ME))
    assert "DTSTART:20261025T011500Z\n" in text
    assert "X-KALENDS-TIME-ZONE:Europe/Berlin\n" in text
    assert state_of(text).when == second
    moved = changed(text, state=EventState(make_when(), make_content()))
    assert "X-KALENDS-TIME-ZONE" not in moved


# People

BOB = "ATTENDEE;CN=Bob B;ROLE=OPT-PARTICIPANT;RSVP=TRUE;X-NUM-GUESTS=2;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org\n"
CHLOE = 'ATTENDEE;CN="Chloé; C";SCHEDULE-STATUS="2.0;Success":MAILTO:Chloe@Example.org\n'
MINE = f"ATTENDEE;PARTSTAT=TENTATIVE;CN=Ada:mailto:{OWNER}\n"
ORGANIZER = f'ORGANIZER;CN="Ada, L";SENT-BY="mailto:x@example.org":mailto:{OWNER}\n'


def test_an_answer_changes_that_parameter_alone() -> None:
    text = file(TIMES + ORGANIZER + BOB + CHLOE)
    people = (Attendee("bob@example.org", Partstat.DECLINED), Attendee("Chloe@Example.org"))
    gone, came = differences(text, changed(text, attendees=people))
    assert gone == [BOB.strip()]
    assert came == [BOB.strip().replace("NEEDS-ACTION", "DECLINED")]


def test_an_answer_that_was_not_written_is_added() -> None:
    text = file(TIMES + ORGANIZER + CHLOE)
    after = changed(text, attendees=(Attendee("chloe@example.org", Partstat.ACCEPTED),))
    assert f"{CHLOE[: CHLOE.index(':MAILTO')]};PARTSTAT=ACCEPTED:MAILTO:Chloe@Example.org\n" in after


def test_who_leaves_goes_and_who_comes_is_added_and_nobody_mails_them() -> None:
    text = file(TIMES + ORGANIZER + BOB + CHLOE)
    after = changed(text, attendees=(Attendee("Chloe@Example.org"), Attendee("dora@example.org")))
    gone, came = differences(text, after)
    assert gone == [BOB.strip()]
    new = "ATTENDEE;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;SCHEDULE-AGENT=CLIENT:mailto:dora@example.org"
    assert came == [new]


def test_invitations_later_let_the_server_mail() -> None:
    text = file(TIMES + ORGANIZER + BOB.replace("PARTSTAT", "SCHEDULE-AGENT=CLIENT;PARTSTAT") + CHLOE)
    gone, came = differences(text, changed(text, send_invitations=True))
    assert came == [BOB.strip()]
    assert len(gone) == 1


def test_invitations_no_more_do_not_cancel_those_that_were_sent() -> None:
    """SCHEDULE-AGENT from SERVER to CLIENT is mailed as a cancellation (RFC 6638 section 3.2.1.2)."""
    text = file(TIMES + ORGANIZER + BOB)
    before = state_of(text)
    asked = replace(before, content=replace(before.content, send_invitations=True))
    after = replace(before, content=replace(before.content, summary="Quietly"))
    event = event_of(asked).became(after, at=LATER)
    result = edited(text.encode(), event, asked, "one", tzid=BERLIN, owner=ME)
    assert result is not None
    assert BOB in unfolded(result)


def test_our_own_answer_is_written_where_we_attend() -> None:
    text = file(TIMES + "ORGANIZER:mailto:grace@example.com\n" + MINE + BOB)
    assert state_of(text).content.partstat is Partstat.TENTATIVE
    gone, came = differences(text, changed(text, partstat=Partstat.ACCEPTED))
    assert (gone, came) == ([MINE.strip()], [MINE.strip().replace("TENTATIVE", "ACCEPTED")])


def test_our_own_answer_is_written_aside_where_we_do_not_attend() -> None:
    text = file(TIMES + ORGANIZER + BOB)
    after = changed(text, partstat=Partstat.DECLINED)
    assert "X-KALENDS-PARTSTAT:DECLINED\n" in after
    assert state_of(after).content.partstat is Partstat.DECLINED
    assert "X-KALENDS-PARTSTAT" not in changed(after, partstat=Partstat.ACCEPTED)


def test_an_answer_at_another_address_of_ours_is_our_own() -> None:
    text = file(TIMES + "ORGANIZER:mailto:grace@example.com\nATTENDEE;PARTSTAT=TENTATIVE:mailto:ada@alias.example\n")
    owner = Owner(OWNER, frozenset({"ada@alias.example"}))
    [group] = opened(text.encode()).groups
    found = resource(group, tzid=BERLIN, owner=owner)
    assert isinstance(found, Resource)
    assert found.state.content.partstat is Partstat.TENTATIVE
    after = replace(found.state, content=replace(found.state.content, partstat=Partstat.DECLINED))
    event = event_of(found.state).became(after, at=LATER)
    result = edited(text.encode(), event, found.state, "one", tzid=BERLIN, owner=owner)
    assert result is not None
    assert "ATTENDEE;PARTSTAT=DECLINED:mailto:ada@alias.example\n" in unfolded(result)
    assert "X-KALENDS" not in unfolded(result)


def test_the_first_participant_makes_the_owner_the_organiser_and_the_last_one_takes_it_away() -> None:
    with_one = changed(file(TIMES), attendees=(Attendee("bob@example.org"),))
    assert f"ORGANIZER:mailto:{OWNER}\n" in with_one
    assert "ORGANIZER" not in changed(with_one, attendees=())


# Reminders

UNDERSTOOD = "BEGIN:VALARM\nUID:u\nACTION:AUDIO\nTRIGGER;RELATED=START:-PT10M\nX-WR-ALARMUID:u\nEND:VALARM\n"
ABSOLUTE = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER;VALUE=DATE-TIME:20260504T060000Z\nEND:VALARM\n"


def test_alarms_that_stay_and_alarms_that_nobody_understands_are_left_alone() -> None:
    text = file(TIMES + UNDERSTOOD + ABSOLUTE)
    after = changed(text, reminders=(10, 60))
    assert UNDERSTOOD in after
    assert ABSOLUTE in after
    assert "TRIGGER:-PT60M\n" in after
    gone = changed(text, reminders=(60,))
    assert UNDERSTOOD not in gone
    assert ABSOLUTE in gone


def test_no_reminder_and_the_calendars_own_are_told_apart() -> None:
    text = file(TIMES + UNDERSTOOD)
    none = changed(text, reminders=())
    assert "X-KALENDS-REMINDERS:NONE\n" in none
    assert state_of(none).content.reminders == ()
    usual = changed(none, reminders=None)
    assert "X-KALENDS-REMINDERS" not in usual
    assert state_of(usual).content.reminders is None


def test_more_alarms_than_kalends_shows_survive() -> None:
    alarms = "".join(UNDERSTOOD.replace("PT10M", f"PT{number}0M") for number in range(1, 9))
    text = file(TIMES + alarms)
    assert state_of(text).content.reminders == (10, 20, 30, 40, 50)
    after = changed(text, reminders=(10, 20, 30, 40))
    assert [f"-PT{number}0M" in after for number in range(1, 9)] == [True] * 4 + [False] + [True] * 3


# Metadata


def test_pairs_of_somebody_elses_survive() -> None:
    text = file(TIMES + 'X-KALENDS-METADATA:{"crm":"1"\\,"theirs":"2"\\,"gone":"3"}\n')
    before = state_of(text)
    then = replace(before, content=replace(before.content, metadata={"crm": "1", "gone": "3"}))
    after = replace(then, content=replace(then.content, metadata={"crm": "9", "new": "4"}))
    event = event_of(then).became(after, at=LATER)
    result = edited(text.encode(), event, then, "one", tzid=BERLIN, owner=ME)
    assert result is not None
    assert state_of(unfolded(result)).content.metadata == {"crm": "9", "theirs": "2", "new": "4"}


# Series

WEEKLY = f"{TIMES}RRULE:FREQ=WEEKLY;COUNT=9\nSUMMARY:All\nCONFERENCE;VALUE=URI:https://meet.example/1\n"


def series(text: str, **changes: Any) -> str:
    state = state_of(text)
    assert state.recurrence is not None
    return changed(text, state=replace(state, recurrence=replace(state.recurrence, **changes)))


def test_a_date_leaves_its_list_and_the_others_stay_in_it() -> None:
    dates = "EXDATE;TZID=Europe/Berlin:20260511T090000,20260518T090000\nEXDATE:20260525T070000Z\n"
    after = series(file(WEEKLY + dates), exdates=frozenset({wall("2026-05-18T09:00"), wall("2026-06-01T09:00")}))
    assert "EXDATE;TZID=Europe/Berlin:20260518T090000\n" in after
    assert "EXDATE;TZID=Europe/Berlin:20260601T090000\n" in after
    assert after.count("EXDATE") == 2


def test_periods_stay_periods() -> None:
    dates = "RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20260506T090000/PT3H,20260507T090000/PT1H\n"
    text = file(WEEKLY + dates)
    state = state_of(text)
    assert state.recurrence is not None
    assert list(state.recurrence.overrides) == [wall("2026-05-06T09:00")]
    after = series(text, rdates=state.recurrence.rdates - {wall("2026-05-07T09:00")} | {wall("2026-05-08T09:00")})
    assert "RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20260506T090000/PT3H\n" in after
    assert "RDATE;TZID=Europe/Berlin:20260508T090000\n" in after


def test_a_time_that_begins_to_differ_says_all_that_the_series_says() -> None:
    override = Override(make_when(NOW + WEEK + HOUR), make_content("Later"))
    after = series(file(WEEKLY), overrides={wall("2026-05-11T09:00"): override})
    [_, one] = after.split("BEGIN:VEVENT")[1:]
    assert "RECURRENCE-ID;TZID=Europe/Berlin:20260511T090000\n" in one
    assert "DTSTART;TZID=Europe/Berlin:20260511T100000\n" in one
    assert "SUMMARY:Later\n" in one
    assert "CONFERENCE;VALUE=URI:https://meet.example/1\n" in one
    assert "RRULE" not in one


def test_a_time_that_differs_in_another_way_keeps_what_nobody_knows() -> None:
    one = "RECURRENCE-ID:20260511T070000Z\nDTSTART:20260511T080000Z\nDTEND:20260511T090000Z\nSUMMARY:One\nX-OURS:not\n"
    text = file(WEEKLY, one)
    state = state_of(text)
    assert state.recurrence is not None
    [(at, was)] = state.recurrence.overrides.items()
    after = series(text, overrides={at: replace(was, content=replace(was.content, summary="Other"))})
    assert one.replace("SUMMARY:One", "SUMMARY:Other") in after
    assert "\nSUMMARY:All\n" in after


def test_a_time_that_differs_no_more_goes() -> None:
    one = "RECURRENCE-ID:20260511T070000Z\nDTSTART:20260511T080000Z\nDTEND:20260511T090000Z\nSUMMARY:One\n"
    after = series(file(WEEKLY, one), overrides={})
    assert after.count("BEGIN:VEVENT") == 1
    gone = series(file(WEEKLY, one), overrides={}, exdates=frozenset({wall("2026-05-11T09:00")}))
    assert "RECURRENCE-ID" not in gone
    assert "EXDATE;TZID=Europe/Berlin:20260511T090000\n" in gone


def test_a_series_in_another_zone_names_all_its_dates_anew() -> None:
    text = file(WEEKLY + "EXDATE:20260511T070000Z\n")
    state = state_of(text)
    moved = EventState(
        make_when(NOW, HOUR, "America/New_York"),
        state.content,
        Recurrence("FREQ=WEEKLY;COUNT=9", exdates=frozenset({wall("2026-05-11T03:00")})),
    )
    after = changed(text, state=moved)
    assert "EXDATE;TZID=America/New_York:20260511T030000\n" in after
    assert after.count("EXDATE") == 1


def test_an_event_that_repeats_no_more_is_one_event() -> None:
    one = "RECURRENCE-ID:20260511T070000Z\nDTSTART:20260511T080000Z\nDTEND:20260511T090000Z\nSUMMARY:One\n"
    text = file(f"{WEEKLY}EXDATE:20260518T070000Z\nRDATE:20260506T070000Z\nEXRULE:FREQ=WEEKLY;COUNT=1\n", one)
    after = changed(text, state=replace(state_of(text), recurrence=None))
    assert not re.search(r"RRULE|RDATE|EXDATE|EXRULE|RECURRENCE-ID", after)
    assert state_of(after).recurrence is None


def test_a_rule_that_kalends_cannot_follow_stays() -> None:
    text = file(f"{TIMES}RRULE:FREQ=MINUTELY;COUNT=3\n")
    assert "RRULE:FREQ=MINUTELY;COUNT=3\n" in changed(text, summary="Another title")


# Times of a series that is not there

LONE = "RECURRENCE-ID:20260511T070000Z\nDTSTART:20260511T080000Z\nDTEND:20260511T090000Z\nSUMMARY:Lone\n"


def test_one_time_of_a_series_is_changed_as_it_is() -> None:
    after = changed(file(LONE), summary="Alone")
    assert LONE.replace("Lone", "Alone") in after


def test_several_times_of_a_series_are_changed_one_by_one() -> None:
    text = file(LONE, LONE.replace("0511", "0518"))
    state = state_of(text)
    assert state.recurrence is not None
    overrides = dict(state.recurrence.overrides)
    first = min(overrides)
    overrides[first] = replace(overrides[first], content=replace(overrides[first].content, summary="First"))
    after = series(text, overrides=overrides)
    assert (after.count("SUMMARY:First"), after.count("SUMMARY:Lone")) == (1, 1)
    with pytest.raises(Refused, match="series"):
        changed(text, summary="All")
    further = Override(make_when(NOW), make_content("Further"))
    with pytest.raises(Refused, match="series"):
        series(text, overrides={**overrides, wall("2026-06-01T07:00"): further})


# What cannot be written to


@pytest.mark.parametrize("text", ["<html>", HEAD, f"{HEAD}END:VCALENDAR\n", ""])
def test_what_is_no_event_is_not_written_to(text: str) -> None:
    event = make_event(uuid7())
    with pytest.raises(Refused):
        edited(text.encode(), event, None, "one", tzid=BERLIN, owner=ME)


def test_a_copy_that_cannot_be_read_is_not_written_over() -> None:
    with pytest.raises(Refused, match="cannot be read"):
        edited(file("SUMMARY:When?\n").encode(), make_event(uuid7()), None, "one", tzid=BERLIN, owner=ME)


def test_of_several_events_none_is_guessed() -> None:
    text = file(TIMES).replace("END:VCALENDAR\n", file(TIMES).replace("UID:one", "UID:two")[len(HEAD) :])
    event = make_event(uuid7(), summary="New")
    with pytest.raises(Unreadable):
        edited(text.encode(), event, None, "three", tzid=BERLIN, owner=ME)
    result = edited(text.encode(), event, None, "two", tzid=BERLIN, owner=ME)
    assert result is not None
    assert state_of(unfolded(result), "one").content == EventContent("")
