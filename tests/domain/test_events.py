from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalends.domain.drafts import EventChanges, EventDraft, revised, with_partstat
from kalends.domain.errors import Malformed, Refused
from kalends.domain.events import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_SUMMARY,
    Attendee,
    ConflictPolicy,
    Event,
    EventContent,
    EventState,
    EventStatus,
    Partstat,
    busy_status,
    in_zone,
    newly_busy,
    takes_place,
    unfit,
)
from kalends.domain.recurrence import MAX_EXCEPTIONS, Override, Recurrence
from kalends.domain.time import When, read_zone
from kalends.domain.values import read_email, read_instant_or_date, read_metadata
from tests.helpers import (
    BERLIN,
    DAY,
    HOUR,
    NOW,
    WEEK,
    make_content,
    make_days,
    make_event,
    make_span,
    make_when,
    refusing,
    wall,
)

CALENDAR = uuid4()
OWNER = "ada@example.org"
LATER = NOW + DAY
CANCELLED, CONFIRMED, TENTATIVE = EventStatus.CANCELLED, EventStatus.CONFIRMED, EventStatus.TENTATIVE


def many(number: int) -> frozenset[datetime]:
    """Return so many wall times."""
    return frozenset(make_when().start + n * DAY for n in range(number))


def judged(*, owner: str | None = OWNER, **fields: Any) -> tuple[When, EventContent]:
    defaults: dict[str, Any] = {"start": NOW, "end": NOW + HOUR, "summary": "Planning", "location": ""}
    state = EventDraft(**defaults | fields).judged(calendar_tzid=BERLIN, owner=owner)
    return state.when, state.content


def changed(event: Event, *, owner: str | None = OWNER, calendar_tzid: str = BERLIN, **changes: Any) -> Event:
    wanted: EventChanges = changes  # type: ignore[assignment]
    return event.became(revised(event.state, wanted, calendar_tzid=calendar_tzid, owner=owner), at=LATER)


# Drafts


def test_a_draft_becomes_what_it_says() -> None:
    fields: dict[str, Any] = {
        "summary": " Planning ",
        "location": "Room 1",
        "description": "line\nline",
        "partstat": Partstat.TENTATIVE,
        "send_invitations": True,
        "transparent": True,
        "status": TENTATIVE,
        "on_conflict": ConflictPolicy.REJECT,
        "metadata": {"crm": "42"},
    }
    assert judged(**fields) == (make_when(), EventContent(**fields))


@pytest.mark.parametrize(
    ("field", "longest"), [("summary", MAX_SUMMARY), ("location", MAX_LOCATION), ("description", MAX_DESCRIPTION)]
)
def test_text_has_a_limit_and_no_control_characters(field: str, longest: int) -> None:
    assert getattr(judged(**{field: "x" * longest})[1], field) == "x" * longest
    for wrong in ("x" * (longest + 1), "a\0b", "a\x1bb", "a\ud800b"):
        with refusing((field, "INVALID_VALUE")):
            judged(**{field: wrong})


def test_a_summary_says_something_and_a_location_need_not() -> None:
    with refusing(("summary", "INVALID_VALUE")):
        judged(summary=" \t ", location="")


def test_every_problem_of_a_draft_is_named_at_once() -> None:
    with refusing(
        ("tzid", "UNKNOWN_TIME_ZONE"),
        ("start", "INVALID_VALUE"),
        ("summary", "INVALID_VALUE"),
        ("location", "INVALID_VALUE"),
        ("description", "INVALID_VALUE"),
        ("attendees.1", "INVALID_VALUE"),
        ("metadata", "INVALID_VALUE"),
    ):
        judged(
            start=Malformed("a date-time"),
            tzid=Malformed("a zone"),
            summary="",
            location="\0",
            description="\0",
            attendees=(OWNER, Malformed("an address")),
            metadata=Malformed("an object"),
        )


# Attendees


def test_attendees_are_folded_without_regard_to_case_and_the_first_spelling_stays() -> None:
    _, content = judged(attendees=("Bob@example.org", "eve@example.org", "bob@example.org", "BOB@example.org"))
    assert content.attendees == (Attendee("Bob@example.org"), Attendee("eve@example.org"))


@pytest.mark.parametrize("email", [OWNER, "ADA@example.org"])
def test_the_owner_among_the_attendees_has_the_events_answer(email: str) -> None:
    _, content = judged(attendees=("bob@example.org", email), partstat=Partstat.TENTATIVE)
    assert content.attendees == (Attendee("bob@example.org"), Attendee(email, Partstat.TENTATIVE))
    _, content = judged(attendees=(email,), owner=None)
    assert content.attendees == (Attendee(email),)


def test_there_are_at_most_200_attendees_after_folding() -> None:
    emails = tuple(f"guest{number}@example.org" for number in range(MAX_ATTENDEES))
    assert len(judged(attendees=emails + emails)[1].attendees) == MAX_ATTENDEES == 200
    with refusing(("attendees", "INVALID_VALUE")):
        judged(attendees=(*emails, "one@more.example"))


@pytest.mark.parametrize("partstat", Partstat)
def test_an_answer_is_the_events_and_the_owners_among_its_attendees(partstat: Partstat) -> None:
    content = make_content(attendees=(Attendee("bob@example.org", Partstat.ACCEPTED), Attendee("Ada@example.org")))
    answered = with_partstat(content, partstat, owner=OWNER)
    assert answered.partstat is partstat
    assert answered.attendees == (content.attendees[0], Attendee("Ada@example.org", partstat))
    assert with_partstat(content, partstat, owner=None).attendees == content.attendees


# Changes


def test_what_a_change_does_not_name_stays_as_it_is() -> None:
    event = make_event(
        CALENDAR,
        when=make_when(NOW, 2 * HOUR, "Asia/Tokyo"),
        summary="Planning",
        location="Room 1",
        description="Bring a pen.",
        attendees=(Attendee(OWNER, Partstat.TENTATIVE), Attendee("bob@example.org", Partstat.DECLINED)),
        partstat=Partstat.TENTATIVE,
        send_invitations=True,
        transparent=True,
        status=TENTATIVE,
        on_conflict=ConflictPolicy.WARN,
        metadata={"crm": "42"},
    )
    assert changed(event) is event
    renamed = changed(event, summary="Review")
    assert renamed == replace(
        event, content=replace(event.content, summary="Review"), version=event.version + 1, updated_at=LATER
    )


@pytest.mark.parametrize("event", [make_event(CALENDAR), make_event(CALENDAR, when=make_days(days=2))])
def test_writing_the_same_again_changes_nothing(event: Event) -> None:
    same: dict[str, Any] = {
        "summary": event.content.summary,
        "all_day": event.when.all_day,
        "attendees": (),
        "metadata": {},
    }
    assert changed(event, **same) is event


def test_a_new_zone_alone_keeps_the_instants() -> None:
    event = changed(make_event(CALENDAR), tzid="Asia/Tokyo")
    assert event.when == make_when(tzid="Asia/Tokyo")
    assert event.when.span == make_when().span
    assert changed(event, tzid=None).when == make_when()


@pytest.mark.parametrize("instant", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"])
def test_an_event_in_a_fold_stays_at_its_instant_when_something_else_changes(instant: str) -> None:
    event = make_event(CALENDAR, when=make_when(datetime.fromisoformat(instant)))
    assert changed(event, summary="Review").when.span == event.when.span


def test_a_start_can_move_without_the_end_and_not_past_it() -> None:
    event = make_event(CALENDAR, NOW, 2 * HOUR)
    assert changed(event, start=NOW + HOUR).when == make_when(NOW + HOUR, HOUR)
    with refusing(("end", "END_NOT_AFTER_START")):
        changed(event, start=NOW + 2 * HOUR)


def test_an_event_becomes_all_day_with_dates_and_timed_with_times() -> None:
    timed, days = make_event(CALENDAR, when=make_when(tzid="Asia/Tokyo")), make_event(CALENDAR, when=make_days())
    may = date(2026, 5, 4)
    assert changed(timed, all_day=True, start=may, end=may + DAY).when == make_days()
    assert changed(days, all_day=False, start=NOW, end=NOW + HOUR).when == make_when()
    with refusing(("start", "DATE_EXPECTED"), ("end", "DATE_EXPECTED")):
        changed(timed, all_day=True)
    with refusing(("start", "TIME_EXPECTED"), ("end", "TIME_EXPECTED")):
        changed(days, all_day=False)


def test_an_all_day_event_can_be_renamed_where_its_zone_skips_midnight() -> None:
    when = make_days(date(2018, 11, 4), tzid="America/Sao_Paulo")
    event = changed(make_event(CALENDAR, when=when), summary="Review", calendar_tzid="America/Sao_Paulo")
    assert event.when == when


def test_attendees_who_stay_keep_their_answers_and_new_ones_have_none() -> None:
    event = make_event(
        CALENDAR, attendees=(Attendee("Bob@example.org", Partstat.DECLINED), Attendee("eve@example.org"))
    )
    after = changed(event, attendees=("zoe@example.org", "bob@example.org"))
    assert after.content.attendees == (Attendee("zoe@example.org"), Attendee("bob@example.org", Partstat.DECLINED))


def test_an_owners_new_answer_replaces_the_one_among_the_attendees() -> None:
    event = make_event(
        CALENDAR, attendees=(Attendee(OWNER, Partstat.ACCEPTED), Attendee("bob@example.org", Partstat.DECLINED))
    )
    after = changed(event, partstat=Partstat.TENTATIVE)
    assert after.content.attendees == (
        Attendee(OWNER, Partstat.TENTATIVE),
        Attendee("bob@example.org", Partstat.DECLINED),
    )


def test_a_description_and_metadata_can_be_taken_away() -> None:
    event = changed(make_event(CALENDAR, description="x", metadata={"k": "v"}), description=None, metadata={})
    assert (event.content.description, event.content.metadata) == (None, {})


def test_every_problem_of_a_change_is_named_at_once() -> None:
    with refusing(("end", "INVALID_VALUE"), ("summary", "INVALID_VALUE"), ("attendees.0", "INVALID_VALUE")):
        changed(make_event(CALENDAR), end=Malformed("a date-time"), summary=" ", attendees=(Malformed("an address"),))


# Versions


@pytest.mark.parametrize(
    ("when", "content", "sequence"),
    [
        (make_when(NOW + HOUR), {}, 1),
        (make_when(tzid="Asia/Tokyo"), {}, 1),
        (make_when(), {"status": CANCELLED}, 1),
        (make_when(), {"location": "Room 2"}, 1),
        (make_when(NOW + HOUR), {"status": TENTATIVE, "location": "Room 2"}, 1),
        (make_when(), {"summary": "Review"}, 0),
        (make_when(), {"transparent": True}, 0),
        (make_when(), {"metadata": {"k": "v"}}, 0),
    ],
)
def test_the_version_grows_with_every_change_and_the_sequence_with_those_that_attendees_must_hear_of(
    when: When, content: dict[str, Any], sequence: int
) -> None:
    event = make_event(CALENDAR, version=3)
    after = event.changed(when=when, content=replace(event.content, **content), at=LATER)
    assert (after.version, after.sequence, after.updated_at) == (4, sequence, LATER)
    assert (after.id, after.uid, after.created_at) == (event.id, event.uid, event.created_at)


def test_a_change_to_the_same_is_no_change() -> None:
    event = make_event(CALENDAR)
    assert event.changed(when=make_when(), content=make_content(), at=LATER) is event


def test_a_tombstone_is_a_version_of_its_own_and_blocks_nothing() -> None:
    gone = make_event(CALENDAR).deleted(LATER)
    assert (gone.version, gone.deleted_at, gone.updated_at, gone.blocks) == (2, LATER, LATER, False)


@pytest.mark.parametrize(
    ("change", "sequence"),
    [
        ({"when": make_when(NOW + HOUR)}, 1),
        ({"recurrence": Recurrence("FREQ=WEEKLY")}, 1),
        ({"content": make_content(location="Room 2")}, 1),
        ({"content": make_content(status=CANCELLED)}, 1),
        ({"content": make_content("Review")}, 0),
        ({"content": make_content(reminders=(10,))}, 0),
    ],
)
def test_an_event_becomes_another_state_as_its_next_version(change: dict[str, Any], sequence: int) -> None:
    event = make_event(CALENDAR, version=3)
    state = replace(event.state, **change)
    after = event.became(state, at=LATER)
    assert after.state == state
    assert (after.version, after.sequence, after.updated_at, after.id) == (4, sequence, LATER, event.id)
    assert event.became(event.state, at=LATER) is event


# What comes from elsewhere


@pytest.mark.parametrize(
    ("state", "fits"),
    [
        (EventState(make_when(), make_content("")), True),
        (EventState(make_when(), make_content("x" * MAX_SUMMARY, location="x" * MAX_LOCATION)), True),
        (EventState(make_when(), make_content("x" * (MAX_SUMMARY + 1))), False),
        (EventState(make_when(), make_content(location="x" * (MAX_LOCATION + 1))), False),
        (EventState(make_when(), make_content(description="x" * (MAX_DESCRIPTION + 1))), False),
        (EventState(make_when(), make_content("a\0b")), False),
        (EventState(make_when(), make_content(metadata={"k": "\ud800"})), False),
        (EventState(make_when(), make_content(organizer="\0")), False),
        (EventState(make_when(), make_content(attendees=(Attendee("\x1b"),))), False),
        (EventState(make_when(datetime(1969, 5, 4, tzinfo=UTC)), make_content()), False),
        (EventState(make_when(datetime(2200, 12, 31, 22, 30, tzinfo=UTC)), make_content()), False),
        (EventState(make_when(), make_content(attendees=tuple(Attendee(f"{n}@x.org") for n in range(999)))), True),
        (EventState(make_when(), make_content(), Recurrence("FREQ=DAILY", exdates=many(MAX_EXCEPTIONS))), True),
        (EventState(make_when(), make_content(), Recurrence("FREQ=DAILY", exdates=many(MAX_EXCEPTIONS + 1))), False),
        (EventState(make_when(), make_content(), Recurrence(None, many(MAX_EXCEPTIONS + 1))), False),
    ],
)
def test_what_cannot_be_kept_says_why(state: EventState, fits: bool) -> None:
    reason = unfit(state)
    assert (reason is None) is fits
    assert reason is None or reason.endswith(".")


def test_an_event_takes_place_in_a_window_with_any_of_its_times() -> None:
    single = EventState(make_when(), make_content())
    series = replace(single, recurrence=Recurrence("FREQ=WEEKLY;COUNT=2"))
    for state, window, there in (
        (single, make_span(), True),
        (single, make_span(NOW + HOUR), False),
        (series, make_span(NOW + WEEK), True),
        (series, make_span(NOW + 2 * WEEK), False),
    ):
        assert takes_place(state, window) is there


def test_whole_days_move_with_their_calendar_and_their_exceptions_too() -> None:
    monday, clock = datetime(2026, 5, 11), make_when(NOW + DAY)  # noqa: DTZ001  wall times
    overrides = {
        monday: Override(make_days(date(2026, 5, 12)), make_content("Moved")),
        monday + WEEK: Override(clock, make_content("At a time")),
    }
    state = EventState(make_days(), make_content(), Recurrence("FREQ=WEEKLY", overrides=overrides))
    moved = in_zone(state, "Asia/Tokyo")
    assert moved.when == make_days(tzid="Asia/Tokyo")
    assert moved.recurrence is not None
    assert moved.recurrence.overrides[monday].when == make_days(date(2026, 5, 12), tzid="Asia/Tokyo")
    assert moved.recurrence.overrides[monday + WEEK].when == clock
    with pytest.raises(Refused):
        in_zone(EventState(make_days(date(2011, 12, 30)), make_content()), "Pacific/Apia")


# Busy


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("status", EventStatus)
@pytest.mark.parametrize("partstat", Partstat)
def test_transparent_cancelled_and_declined_events_do_not_block(
    transparent: bool, status: EventStatus, partstat: Partstat
) -> None:
    free = transparent or status is CANCELLED or partstat is Partstat.DECLINED
    content = make_content(transparent=transparent, status=status, partstat=partstat)
    assert (busy_status(content) is None) is free


@pytest.mark.parametrize(
    ("before", "after", "busy"),
    [
        ({}, {"summary": "Review"}, False),
        ({}, {"attendees": (Attendee("bob@example.org"),)}, False),
        ({}, {"transparent": True}, False),
        ({}, {"status": CANCELLED}, False),
        ({}, {"status": TENTATIVE}, False),
        ({}, {"partstat": Partstat.DECLINED}, False),
        ({}, {"partstat": Partstat.TENTATIVE}, False),
        ({"transparent": True}, {}, True),
        ({"status": CANCELLED}, {}, True),
        ({"status": CANCELLED}, {"status": TENTATIVE}, True),
        ({"status": TENTATIVE}, {}, True),
        ({"partstat": Partstat.DECLINED}, {}, True),
        ({"partstat": Partstat.NEEDS_ACTION}, {}, False),
        ({"status": CANCELLED}, {"transparent": True}, False),
        ({"transparent": True}, {"partstat": Partstat.DECLINED}, False),
        ({}, {"on_conflict": ConflictPolicy.REJECT}, True),
        ({"on_conflict": ConflictPolicy.REJECT}, {"on_conflict": ConflictPolicy.REJECT, "location": "x"}, False),
        ({"transparent": True}, {"transparent": True, "on_conflict": ConflictPolicy.REJECT}, False),
    ],
)
def test_which_changes_of_content_take_time_that_was_free(
    before: dict[str, Any], after: dict[str, Any], busy: bool
) -> None:
    event = make_event(CALENDAR, **before)
    assert bool(newly_busy(event, replace(event, content=make_content(**after)))) is busy


@pytest.mark.parametrize(
    ("when", "busy"),
    [
        (make_when(NOW, 4 * HOUR), False),
        (make_when(NOW, 4 * HOUR, "Asia/Tokyo"), False),
        (make_when(NOW + HOUR, 4 * HOUR), True),
        (make_when(NOW - HOUR, 4 * HOUR), True),
        (make_when(NOW, 5 * HOUR), True),
        (make_when(NOW - HOUR, 5 * HOUR), True),
        (make_when(NOW, 3 * HOUR), False),
        (make_when(NOW + HOUR, 2 * HOUR), False),
        (make_when(NOW + DAY, 4 * HOUR), True),
    ],
)
def test_a_move_takes_time_unless_it_stays_within_what_was_held(when: When, busy: bool) -> None:
    event = make_event(CALENDAR, NOW, 4 * HOUR)
    assert bool(newly_busy(event, replace(event, when=when))) is busy
    assert newly_busy(event, replace(event, when=when, deleted_at=NOW)) == []


# Whatever is written

strange = st.text(st.characters(categories=None), max_size=20)
times = st.one_of(
    strange,
    st.from_regex(r"(19|20|22)[0-9]{2}-[0-1][0-9]-[0-3][0-9]", fullmatch=True),
    st.from_regex(
        r"(19|20|22)[0-9]{2}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|[+-][0-2][0-9]:[0-6][0-9])",
        fullmatch=True,
    ),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.replace(microsecond=0).isoformat()),
)
drafts = st.builds(
    EventDraft,
    start=times.map(read_instant_or_date),
    end=times.map(read_instant_or_date),
    summary=strange,
    location=strange,
    description=st.none() | strange,
    attendees=st.lists(st.emails() | strange, max_size=3).map(lambda texts: tuple(map(read_email, texts))),
    partstat=st.sampled_from(Partstat),
    all_day=st.booleans(),
    tzid=st.none() | st.one_of(strange, st.timezone_keys()).map(read_zone),
    metadata=st.dictionaries(strange, strange, max_size=3).map(read_metadata),
)


@given(drafts, st.sampled_from([BERLIN, "Pacific/Apia", "America/St_Johns", "Africa/Monrovia", "UTC"]))
def test_a_draft_is_judged_or_refused_and_never_anything_else(draft: EventDraft, tzid: str) -> None:
    try:
        state = draft.judged(calendar_tzid=tzid, owner=OWNER)
    except Refused:
        pass
    else:
        assert state.when.span.start < state.when.span.end
        assert state.content.summary == draft.summary


@given(
    st.datetimes(wall("2026-01-01"), wall("2027-12-31")),
    st.timedeltas(timedelta(minutes=1), timedelta(days=40)),
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]),
)
def test_an_event_can_be_renamed_wherever_and_whenever_it_is(start: datetime, duration: timedelta, tzid: str) -> None:
    when = make_when(start.replace(tzinfo=NOW.tzinfo, microsecond=0), duration, tzid)
    assert changed(make_event(CALENDAR, when=when), summary="Review").when == when
