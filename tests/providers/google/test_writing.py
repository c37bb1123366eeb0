"""Writing events: which requests are sent, what survives, and what happens when something goes wrong in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from kalends.domain.events import Attendee, EventState, EventStatus, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement, same
from kalends.domain.recurrence import Override, Recurrence
from providers.errors import (
    AlreadyExists,
    CalendarGone,
    Gone,
    OutcomeUnknown,
    Refused,
    Stale,
    Unreachable,
)
from providers.interface import Identity, Outgoing, RemoteEvent
from tests.contracts.provider_contract import EVENTS, outgoing_for, revised
from tests.helpers import HOUR, NOW, WEEK, make_content, make_event, make_when, wall
from tests.providers.google.stage import ADA, Stage

pytestmark = pytest.mark.anyio

BOB, CY = "bob@example.org", "cy@example.net"
WEEKLY = Recurrence("FREQ=WEEKLY;COUNT=6")
SECOND, THIRD = wall("2026-05-11T09:00"), wall("2026-05-18T09:00")
SHARED = "c_1@group.calendar.google.com"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.connect()
    yield stage
    assert stage.desk.violations == []


def single(**content: Any) -> Outgoing:
    return outgoing_for(make_event(uuid7(), **content), owner=ADA)


def agreeing(outgoing: Outgoing, copy: RemoteEvent, **content: Any) -> Outgoing:
    """Return the next version of what is to be written, beside what was agreed."""
    assert copy.state is not None
    return replace(revised(outgoing, **content), agreed=Agreement(outgoing.event.state, copy.state))


def becoming(outgoing: Outgoing, copy: RemoteEvent, state: EventState) -> Outgoing:
    agreed = Agreement(outgoing.event.state, copy.state)
    return replace(outgoing, event=outgoing.event.became(state, at=NOW), agreed=agreed)


def with_overrides(state: EventState, **summaries: str) -> EventState:
    """Return a series of which some days of May, at 09:00 in Berlin, have another title."""
    assert state.recurrence is not None
    overrides = {}
    for day, summary in summaries.items():
        at = wall(f"2026-05-{day[1:]}T09:00")
        weeks = (at - state.when.start) // WEEK
        overrides[at] = Override(make_when(NOW + weeks * WEEK), replace(state.content, summary=summary))
    return replace(state, recurrence=replace(state.recurrence, overrides=overrides))


# Creating


async def test_the_uid_that_google_gives_is_the_copys(stage: Stage) -> None:
    """A UID of one's own, kept beside Google's, leaves orphans when the event is cancelled: calcom/cal.diy#28884."""
    outgoing = single()
    copy = await stage.provider.create(stage.calendar, outgoing)
    assert copy.uid == f"{outgoing.identity.key}@google.com" != outgoing.identity.uid
    sent = stage.sent("POST")[0].body
    assert "iCalUID" not in sent
    assert sent["id"] == outgoing.identity.key
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert found.uid == copy.uid


async def test_a_deleted_id_does_not_come_back_but_the_next_generation_does(stage: Stage) -> None:
    """Google keeps deleted ids: a second insert is 409, an update 403 (google-api-ruby-client#1811)."""
    outgoing = single()
    copy = await stage.provider.create(stage.calendar, outgoing)
    await stage.removes(copy.remote_id)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    with pytest.raises(Gone):
        await stage.provider.update(stage.calendar, revised(outgoing, summary="Changed"), copy)
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    assert found.deleted
    again = replace(outgoing, identity=Identity(outgoing.event.id, outgoing.event.uid, 1))
    second = await stage.provider.create(stage.calendar, again)
    assert second.remote_id != copy.remote_id
    assert second.event_id == outgoing.event.id


async def test_a_create_whose_answer_was_lost_has_happened_and_is_found(stage: Stage) -> None:
    outgoing = single()
    stage.fails("reply_lost", method="POST")
    with pytest.raises(OutcomeUnknown):
        await stage.provider.create(stage.calendar, outgoing)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert same(found.state, stage.provider.expected(outgoing))
    assert found.event_id == outgoing.event.id


async def test_of_a_cancelled_event_nothing_is_created_and_what_may_have_arrived_is_deleted(stage: Stage) -> None:
    outgoing = single()
    copy = await stage.provider.create(stage.calendar, outgoing)
    gone = await stage.provider.create(stage.calendar, revised(outgoing, status=EventStatus.CANCELLED))
    assert (gone.remote_id, gone.deleted) == (copy.remote_id, True)
    assert (await stage.event(copy.remote_id))["status"] == "cancelled"
    assert len(stage.sent("POST")) == 1


@pytest.mark.parametrize("fault", ["unavailable", "reply_lost", "half_body"])
@pytest.mark.parametrize("request_number", range(5))
async def test_a_series_whose_writing_broke_off_is_written_to_its_end_by_the_next_create(
    stage: Stage, fault: str, request_number: int
) -> None:
    outgoing = outgoing_for(make_event(uuid7(), **EVENTS["with an occurrence that differs"]), owner=ADA)
    methods = ["POST", "GET", "PATCH", "GET", "PATCH"]
    skipped = methods[:request_number].count(methods[request_number])
    stage.fails(fault, method=methods[request_number], after=skipped)
    with pytest.raises((Unreachable, OutcomeUnknown)):
        await stage.provider.create(stage.calendar, outgoing)
    assert await stage.provider.find(stage.calendar, outgoing.identity, None) is None
    copy = await stage.provider.create(stage.calendar, outgoing)
    assert same(copy.state, stage.provider.expected(outgoing))
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    alive = [each for each in await stage.events() if "recurrence" in each]
    assert len(alive) == 1
    assert "kalendsUnfinished" not in alive[0]["extendedProperties"]["private"]


async def test_what_has_changed_since_a_broken_create_is_written_by_the_next(stage: Stage) -> None:
    outgoing = outgoing_for(make_event(uuid7(), **EVENTS["with an occurrence that differs"]), owner=ADA)
    stage.fails("unavailable", method="PATCH")
    with pytest.raises(Unreachable):
        await stage.provider.create(stage.calendar, outgoing)
    changed = revised(outgoing, summary="Changed meanwhile")
    copy = await stage.provider.create(stage.calendar, changed)
    assert same(copy.state, stage.provider.expected(changed))


async def test_a_series_that_was_created_halfway_and_is_not_wanted_any_more_is_deleted(stage: Stage) -> None:
    outgoing = outgoing_for(make_event(uuid7(), **EVENTS["with an occurrence that differs"]), owner=ADA)
    stage.fails("unavailable", method="PATCH")
    with pytest.raises(Unreachable):
        await stage.provider.create(stage.calendar, outgoing)
    await stage.provider.delete(stage.calendar, outgoing, None)
    assert {each["status"] for each in await stage.events()} == {"cancelled"}


# Updating


async def test_one_request_is_enough_for_a_change_of_a_single_event(stage: Stage) -> None:
    outgoing = single(location="Here", attendees=(Attendee(BOB),))
    copy = await stage.provider.create(stage.calendar, outgoing)
    before = len(stage.sent())
    await stage.provider.update(stage.calendar, agreeing(outgoing, copy, summary="Changed", location=""), copy)
    (request,) = stage.sent()[before:]
    assert request.body == {"summary": "Changed", "location": None}
    assert request.headers["if-match"] == copy.etag


@pytest.mark.parametrize("kind", ["timed", "with participants", "with an occurrence that differs"])
async def test_a_write_that_changes_nothing_sends_nothing(stage: Stage, kind: str) -> None:
    """Invitations are not mailed again and again: calcom/cal.diy#9485, nextcloud/calendar#4867."""
    outgoing = outgoing_for(make_event(uuid7(), **EVENTS[kind]), owner=ADA)
    copy = await stage.provider.create(stage.calendar, outgoing)
    before = len(stage.sent())
    for change in ({}, {"send_invitations": True}):
        assert await stage.provider.update(stage.calendar, agreeing(outgoing, copy, **change), copy) == copy
    assert len(stage.sent()) == before


async def test_what_we_do_not_know_of_survives_a_change(stage: Stage) -> None:
    outgoing = single(attendees=(Attendee(BOB),), reminders=(10,), metadata={"crm": "7"})
    copy = await stage.provider.create(stage.calendar, outgoing)
    await stage.changes(
        copy.remote_id,
        colorId="7",
        conferenceData={"conferenceId": "abc"},
        attendees=[{"email": BOB, "displayName": "Bob", "optional": True, "responseStatus": "accepted"}],
        reminders={"useDefault": False, "overrides": [{"method": "email", "minutes": 10}]},
        extendedProperties={"private": {"other": "app"}, "shared": {"theirs": "too"}},
    )
    current = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert current is not None
    changes = {"attendees": (Attendee(BOB), Attendee(CY)), "reminders": (5, 10), "metadata": {"crm": "8"}}
    agreed = Agreement(outgoing.event.state, current.state)
    await stage.provider.update(stage.calendar, replace(revised(outgoing, **changes), agreed=agreed), current)
    there = await stage.event(copy.remote_id)
    assert there["colorId"] == "7"
    assert there["conferenceData"] == {"conferenceId": "abc"}
    assert there["attendees"][0] == {
        "email": BOB,
        "displayName": "Bob",
        "optional": True,
        "responseStatus": "accepted",
    }
    assert there["reminders"]["overrides"] == [
        {"method": "popup", "minutes": 5},
        {"method": "email", "minutes": 10},
    ]
    assert there["extendedProperties"]["private"].items() >= {"crm": "8", "other": "app"}.items()
    assert there["extendedProperties"]["shared"] == {"theirs": "too"}


async def test_a_change_of_the_participants_looks_first_and_does_not_overwrite_another(stage: Stage) -> None:
    outgoing = single(attendees=(Attendee(BOB),))
    copy = await stage.provider.create(stage.calendar, outgoing)
    await stage.changes(copy.remote_id, summary="By somebody else")
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, agreeing(outgoing, copy, attendees=()), copy)
    assert (await stage.event(copy.remote_id))["attendees"]


async def test_only_the_owners_answer_to_somebody_elses_event_is_written(stage: Stage) -> None:
    guests = [{"email": BOB, "responseStatus": "accepted"}, {"email": ADA, "responseStatus": "needsAction"}]
    name = await stage.adds(
        {
            "summary": "Theirs",
            "start": {"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": "2026-05-04T10:00:00+02:00", "timeZone": "Europe/Berlin"},
            "organizer": {"email": BOB},
            "attendees": guests,
        }
    )
    theirs = await stage.provider.find(stage.calendar, Identity(uuid7(), "", 0), name)
    assert theirs is not None
    assert theirs.state is not None
    event = make_event(uuid7()).became(theirs.state, at=NOW)
    outgoing = replace(outgoing_for(event, owner=ADA), agreed=Agreement(theirs.state, theirs.state))
    attendees = (Attendee(BOB, Partstat.ACCEPTED), Attendee(ADA, Partstat.DECLINED))
    declined = revised(outgoing, partstat=Partstat.DECLINED, attendees=attendees, send_invitations=True)
    updated = await stage.provider.update(stage.calendar, declined, theirs)
    assert same(updated.state, stage.provider.expected(declined))
    assert await stage.mail() == [(BOB, "reply")]
    assert stage.provider.mailed(declined) == (BOB,)
    renamed = replace(revised(declined, summary="Ours"), agreed=Agreement(declined.event.state, updated.state))
    with pytest.raises(Refused, match="organizer"):
        await stage.provider.update(stage.calendar, renamed, updated)
    await stage.provider.delete(stage.calendar, declined, updated)


async def test_guests_are_mailed_once_for_each_change_and_only_where_invitations_are_asked_for(stage: Stage) -> None:
    outgoing = single(attendees=(Attendee(BOB), Attendee(ADA, Partstat.ACCEPTED)), send_invitations=True)
    copy = await stage.provider.create(stage.calendar, outgoing)
    assert await stage.mail() == [(BOB, "invitation")]
    silent = agreeing(outgoing, copy, summary="Quietly", send_invitations=False)
    copy = await stage.provider.update(stage.calendar, silent, copy)
    assert await stage.mail() == [(BOB, "invitation")]
    guests = (Attendee(CY), Attendee(ADA, Partstat.ACCEPTED))
    aloud = agreeing(silent, copy, attendees=guests, send_invitations=True)
    copy = await stage.provider.update(stage.calendar, aloud, copy)
    assert (await stage.mail())[1:] == [(CY, "invitation"), (BOB, "cancellation")]
    await stage.provider.delete(stage.calendar, aloud, copy)
    assert (await stage.mail())[3:] == [(CY, "cancellation")]


async def test_a_cancelled_events_copy_is_deleted_and_its_guests_hear_of_it(stage: Stage) -> None:
    outgoing = single(attendees=(Attendee(BOB),), send_invitations=True)
    copy = await stage.provider.create(stage.calendar, outgoing)
    cancelled = agreeing(outgoing, copy, status=EventStatus.CANCELLED)
    for _ in range(2):
        gone = await stage.provider.update(stage.calendar, cancelled, copy)
        assert (gone.remote_id, gone.deleted, gone.state) == (copy.remote_id, True, None)
    assert await stage.mail() == [(BOB, "invitation"), (BOB, "cancellation")]


async def test_a_copy_without_a_known_etag_is_not_written_over(stage: Stage) -> None:
    outgoing = single()
    copy = await stage.provider.create(stage.calendar, outgoing)
    unknown = replace(copy, etag="")
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, agreeing(outgoing, copy, summary="Changed"), unknown)
    with pytest.raises(Stale):
        await stage.provider.delete(stage.calendar, outgoing, unknown)


async def test_a_copy_that_kalends_cannot_read_any_more_is_refused_and_left_alone(stage: Stage) -> None:
    outgoing = outgoing_for(make_event(uuid7(), recurrence=WEEKLY), owner=ADA)
    copy = await stage.provider.create(stage.calendar, outgoing)
    await stage.changes(copy.remote_id, recurrence=["RRULE:FREQ=WEEKLY", "RRULE:FREQ=MONTHLY"])
    with pytest.raises(Refused, match="cannot be read"):
        await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    there = replace(copy, etag=(await stage.event(copy.remote_id))["etag"])
    for changed in (revised(outgoing, summary="x"), agreeing(outgoing, copy, summary="x")):
        with pytest.raises(Refused, match="cannot be read"):
            await stage.provider.update(stage.calendar, changed, there)
    assert (await stage.event(copy.remote_id))["etag"] == there.etag


# Series


async def series(stage: Stage, **summaries: str) -> tuple[Outgoing, RemoteEvent]:
    state = with_overrides(make_event(uuid7(), recurrence=WEEKLY).state, **summaries)
    outgoing = outgoing_for(make_event(uuid7()).became(state, at=NOW), owner=ADA)
    return outgoing, await stage.provider.create(stage.calendar, outgoing)


async def test_an_edit_of_a_series_keeps_what_differs_from_it(stage: Stage) -> None:
    """Lost exceptions are nextcloud/calendar#7600 and OutlookGoogleCalendarSync#1269."""
    outgoing, copy = await series(stage, d11="Eleventh", d18="Planning")
    before = outgoing.event.state
    after = replace(before, content=replace(before.content, summary="All", location="Hall"))
    changed = becoming(outgoing, copy, after)
    copy = await stage.provider.update(stage.calendar, changed, copy)
    kept = await stage.kept(stage.calendar, copy)
    assert same(kept, stage.provider.expected(changed))
    assert kept is not None
    assert kept.recurrence is not None
    differing = {at: each.content for at, each in kept.recurrence.overrides.items()}
    assert (differing[SECOND].summary, differing[SECOND].location) == ("Eleventh", "")


async def test_a_change_of_one_occurrence_touches_no_other_and_not_the_series(stage: Stage) -> None:
    outgoing, copy = await series(stage, d11="Eleventh", d18="Eighteenth")
    changed = becoming(outgoing, copy, with_overrides(outgoing.event.state, d11="Changed", d18="Eighteenth"))
    before = len(stage.sent())
    await stage.provider.update(stage.calendar, changed, copy)
    writes = [each for each in stage.sent()[before:] if each.method != "GET"]
    assert [(each.method, each.body) for each in writes] == [("PATCH", {"summary": "Changed"})]
    assert "_20260511T070000Z?" in writes[0].path


async def test_an_occurrence_that_is_left_out_is_deleted_there_and_the_rule_is_not_touched(stage: Stage) -> None:
    outgoing, copy = await series(stage, d11="Eleventh")
    without = replace(WEEKLY, exdates=frozenset({SECOND, THIRD}))
    changed = becoming(outgoing, copy, replace(outgoing.event.state, recurrence=without))
    copy = await stage.provider.update(stage.calendar, changed, copy)
    assert len(stage.sent("DELETE")) == 2
    assert all("recurrence" not in (each.body or {}) for each in stage.sent("PATCH"))
    assert same(copy.state, stage.provider.expected(changed))
    back = becoming(changed, copy, replace(outgoing.event.state, recurrence=WEEKLY))
    copy = await stage.provider.update(stage.calendar, back, copy)
    assert same(copy.state, stage.provider.expected(back))


async def test_dates_left_out_stay_so_when_the_rule_changes(stage: Stage) -> None:
    """Deleted instances come back: phw198/OutlookGoogleCalendarSync#418."""
    outgoing, copy = await series(stage)
    without = replace(outgoing.event.state, recurrence=replace(WEEKLY, exdates=frozenset({SECOND})))
    changed = becoming(outgoing, copy, without)
    copy = await stage.provider.update(stage.calendar, changed, copy)
    longer = replace(WEEKLY, rule="FREQ=WEEKLY;COUNT=9", exdates=frozenset({SECOND}))
    again = becoming(changed, copy, replace(without, recurrence=longer))
    copy = await stage.provider.update(stage.calendar, again, copy)
    assert same(copy.state, stage.provider.expected(again))
    assert (await stage.event(copy.remote_id))["recurrence"] == [
        "RRULE:FREQ=WEEKLY;COUNT=9",
        "EXDATE;TZID=Europe/Berlin:20260511T090000",
    ]


async def test_an_occurrence_that_both_sides_left_out_is_no_reason_to_fail(stage: Stage) -> None:
    outgoing, copy = await series(stage)
    await stage.removes(f"{copy.remote_id}_20260511T070000Z")
    current = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert current is not None
    without = replace(outgoing.event.state, recurrence=replace(WEEKLY, exdates=frozenset({SECOND})))
    changed = replace(becoming(outgoing, copy, without), agreed=Agreement(outgoing.event.state, current.state))
    assert await stage.provider.update(stage.calendar, changed, current) == current


async def test_what_somebody_changed_of_another_occurrence_survives_our_change_of_the_series(stage: Stage) -> None:
    outgoing, copy = await series(stage, d11="Eleventh")
    await stage.changes(f"{copy.remote_id}_20260518T070000Z", location="There")
    await stage.changes(f"{copy.remote_id}_20260511T070000Z", location="There, too")
    await stage.removes(f"{copy.remote_id}_20260525T070000Z")
    current = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert current is not None
    before = outgoing.event.state
    after = with_overrides(replace(before, content=replace(before.content, description="New")), d11="Our eleventh")
    changed = replace(becoming(outgoing, copy, after), agreed=Agreement(before, current.state))
    updated = await stage.provider.update(stage.calendar, changed, current)
    assert updated.state is not None
    assert updated.state.recurrence is not None
    overrides = updated.state.recurrence.overrides
    assert updated.state.content.description == "New"
    assert overrides[THIRD].content.location == "There"
    assert (overrides[SECOND].content.summary, overrides[SECOND].content.location) == ("Our eleventh", "There, too")
    assert updated.state.recurrence.exdates == {wall("2026-05-25T09:00")}


async def test_a_change_of_an_occurrence_there_makes_ours_of_the_series_stale(stage: Stage) -> None:
    """Google's etag of the series does not tell of it."""
    outgoing, copy = await series(stage)
    etag = (await stage.event(copy.remote_id))["etag"]
    await stage.changes(f"{copy.remote_id}_20260518T070000Z", summary="There")
    assert (await stage.event(copy.remote_id))["etag"] == etag
    with pytest.raises(Stale):
        await stage.provider.update(stage.calendar, agreeing(outgoing, copy, summary="Ours"), copy)
    with pytest.raises(Stale):
        await stage.provider.delete(stage.calendar, outgoing, copy)
    current = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    await stage.provider.delete(stage.calendar, outgoing, current)


async def test_nobody_is_mailed_about_an_occurrence_that_only_stays_as_it_was(stage: Stage) -> None:
    state = make_event(uuid7(), recurrence=WEEKLY, attendees=(Attendee(BOB),), send_invitations=True).state
    outgoing = outgoing_for(make_event(uuid7()).became(with_overrides(state, d11="Eleventh"), at=NOW), owner=ADA)
    copy = await stage.provider.create(stage.calendar, outgoing)
    before = len(await stage.mail())
    changed = agreeing(outgoing, copy, location="Hall")
    copy = await stage.provider.update(stage.calendar, changed, copy)
    assert same(copy.state, stage.provider.expected(changed))
    assert (await stage.mail())[before:] == [(BOB, "update")]


@pytest.mark.parametrize("broken", range(1, 4))
async def test_an_update_of_a_series_that_broke_off_is_brought_to_its_end(stage: Stage, broken: int) -> None:
    """As the caller does it: it looks, merges, and writes again what is not there yet."""
    outgoing, copy = await series(stage, d11="Eleventh")
    agreed = Agreement(outgoing.event.state, copy.state)
    after = with_overrides(outgoing.event.state, d11="Changed", d18="New")
    changed = becoming(outgoing, copy, replace(after, content=replace(after.content, summary="All")))
    stage.fails("unavailable", method="PATCH", after=broken - 1)
    with pytest.raises(Unreachable):
        await stage.provider.update(stage.calendar, changed, copy)
    current = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert current is not None
    done = await stage.provider.update(stage.calendar, replace(changed, agreed=agreed), current)
    assert same(done.state, stage.provider.expected(changed))


async def test_an_occurrence_that_google_does_not_have_is_left_out(stage: Stage) -> None:
    outgoing, copy = await series(stage)
    await stage.changes(copy.remote_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=2"])
    current = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert current is not None
    after = with_overrides(outgoing.event.state, d11="Eleventh", d18="Not there")
    changed = replace(becoming(outgoing, copy, after), agreed=Agreement(outgoing.event.state, current.state))
    updated = await stage.provider.update(stage.calendar, changed, current)
    assert updated.state is not None
    assert updated.state.recurrence is not None
    assert updated.state.recurrence.rule == "FREQ=WEEKLY;COUNT=2"
    assert updated.state.recurrence.overrides.keys() == {SECOND}


async def test_a_series_moves_with_what_differs_from_it(stage: Stage) -> None:
    outgoing, copy = await series(stage, d11="Eleventh")
    later = {SECOND + HOUR: Override(make_when(NOW + WEEK + HOUR), make_content("Eleventh"))}
    after = EventState(make_when(NOW + HOUR), make_content("Planning"), replace(WEEKLY, overrides=later))
    changed = becoming(outgoing, copy, after)
    copy = await stage.provider.update(stage.calendar, changed, copy)
    assert same(await stage.kept(stage.calendar, copy), stage.provider.expected(changed))


# Deleting, and calendars that are not there


@pytest.fixture
async def shared(stage: Stage) -> str:
    await stage.control("POST", "/calendars", {"id": SHARED, "timeZone": "Europe/Berlin", "roles": {ADA: "owner"}})
    return SHARED


async def test_nothing_is_taken_for_deleted_where_the_calendar_is_gone(stage: Stage, shared: str) -> None:
    calendar, outgoing = stage.calendar_named(shared), single()
    copy = await stage.provider.create(calendar, outgoing)
    await stage.control("DELETE", f"/calendars/{shared}")
    with pytest.raises(CalendarGone):
        await stage.provider.create(calendar, single())
    with pytest.raises(CalendarGone):
        await stage.provider.update(calendar, agreeing(outgoing, copy, summary="Changed"), copy)
    with pytest.raises(CalendarGone):
        await stage.provider.find(calendar, outgoing.identity, copy.remote_id)
    with pytest.raises(CalendarGone):
        await stage.provider.delete(calendar, outgoing, copy)
    with pytest.raises(CalendarGone):
        await stage.provider.watch(calendar, channel_id="c" * 64, secret="s", address="https://kalends.test/hook")


async def test_a_calendar_that_may_only_be_read_refuses_and_is_not_gone(stage: Stage) -> None:
    await stage.control("POST", "/calendars", {"id": SHARED, "roles": {ADA: "reader"}})
    calendar = stage.calendar_named(SHARED)
    with pytest.raises(Refused, match="may not write"):
        await stage.provider.create(calendar, single())
    assert await stage.provider.find(calendar, single().identity, None) is None


async def test_an_event_that_is_gone_where_its_calendar_answers_is_deleted(stage: Stage) -> None:
    outgoing = single()
    await stage.provider.delete(stage.calendar, outgoing, RemoteEvent("neverwas", '"1"'))
    with pytest.raises(Gone):
        await stage.provider.update(stage.calendar, outgoing, RemoteEvent("neverwas", '"1"'))
