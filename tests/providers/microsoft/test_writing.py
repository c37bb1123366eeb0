"""What happens in Outlook when something is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from kalends.domain.events import Attendee, EventStatus, Partstat
from kalends.domain.merge import Agreement, same
from kalends.domain.sync import WarningCode
from providers.errors import AlreadyExists, CalendarGone, Gone, OutcomeUnknown, Refused, Stale
from providers.interface import Outgoing, RemoteEvent
from tests.contracts.provider_contract import GUESTS, OWNER, outgoing_for
from tests.contracts.reading_contract import read
from tests.helpers import make_event
from tests.providers.microsoft.stage import (
    OTHER,
    Stage,
    an_outgoing,
    became,
    created,
    later,
)

pytestmark = pytest.mark.anyio

BOB = Attendee("bob@example.org")


# Exactly once


async def test_a_create_looks_for_its_name_first_and_then_asks_once(stage: Stage) -> None:
    await stage.provider.create(stage.calendar, an_outgoing())
    assert [each.split(" ")[0] for each in stage.sent()] == ["GET", "POST"]


async def test_a_create_whose_answer_is_lost_is_not_repeated(stage: Stage) -> None:
    outgoing = an_outgoing()
    stage.fails("reply_lost", method="POST", times=1)
    with pytest.raises(OutcomeUnknown):
        await stage.provider.create(stage.calendar, outgoing)
    with pytest.raises(AlreadyExists):
        await stage.provider.create(stage.calendar, outgoing)
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert len(await stage.control("GET", stage.events)) == 1


async def test_two_who_create_at_once_make_one_copy(stage: Stage) -> None:
    outgoing = an_outgoing()
    made = await asyncio.gather(
        *(stage.provider.create(stage.calendar, outgoing) for _ in range(3)), return_exceptions=True
    )
    assert len(await stage.control("GET", stage.events)) == 1
    ids = {each.remote_id for each in made if isinstance(each, RemoteEvent)}
    assert len(ids) == 1


async def test_two_who_create_different_things_of_one_name_at_once_make_one_copy(stage: Stage) -> None:
    outgoing = an_outgoing()
    made = await asyncio.gather(
        stage.provider.create(stage.calendar, outgoing),
        stage.provider.create(stage.calendar, became(outgoing, summary="Other")),
        return_exceptions=True,
    )
    assert len(await stage.control("GET", stage.events)) == 1
    assert sorted(type(each).__name__ for each in made) == ["AlreadyExists", "RemoteEvent"]


async def test_a_person_who_copies_an_event_does_not_take_its_name(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    raw = await stage.raw(copy.remote_id)
    properties = [{"id": name, "value": value} for name, value in raw["properties"].items()]
    body = {name: raw[name] for name in ("subject", "start", "end")} | {"singleValueExtendedProperties": properties}
    await stage.control("POST", stage.events, body)
    found = await stage.provider.find(stage.calendar, outgoing.identity, None)
    assert found is not None
    assert found.remote_id == copy.remote_id


async def test_a_calendar_that_is_gone_is_not_a_copy_that_is_gone(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    await stage.control("DELETE", f"/calendars/{OWNER}/{stage.calendar.remote_id}")
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: stage.provider.create(stage.calendar, an_outgoing()),
        lambda: stage.provider.delete(stage.calendar, outgoing, copy),
        lambda: stage.provider.delete(stage.calendar, outgoing, None),
        lambda: stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id),
        lambda: read(stage.provider, stage.calendar),
    ]
    for call in calls:
        with pytest.raises(CalendarGone):
            await call()


# Single events


async def test_only_what_has_changed_is_sent(stage: Stage) -> None:
    outgoing = an_outgoing(description="Agenda", metadata={"crm": "1"})
    copy = await created(stage, outgoing)
    await stage.provider.update(stage.calendar, later(outgoing, copy, summary="Renamed"), copy)
    (change,) = [each for each in stage.desk.requests if each.method == "PATCH"]
    assert change.body == {"subject": "Renamed"}


async def test_what_changes_nothing_there_is_not_sent(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    for content in ({}, {"reminders": (15,)}, {"attendees": GUESTS}, {"partstat": Partstat.DECLINED}):
        after = await stage.provider.update(stage.calendar, later(outgoing, copy, **content), copy)
        assert after == copy
    assert stage.desk.requests == []


async def test_what_kalends_has_no_word_for_survives(stage: Stage) -> None:
    name = await stage.add(stage.calendar, make_event(stage.account_id).state)
    await stage.edit(name, categories=["Red"], importance="high", showAs="oof", sensitivity="personal")
    found = (await read(stage.provider, stage.calendar)).events[name]
    assert found.state is not None
    event = replace(make_event(stage.account_id), when=found.state.when, content=found.state.content)
    outgoing = outgoing_for(event)
    await stage.provider.update(stage.calendar, later(outgoing, found, summary="Renamed"), found)
    raw = await stage.raw(name)
    assert {raw[each] for each in ("importance", "showAs", "sensitivity", "subject")} == {
        "high",
        "oof",
        "personal",
        "Renamed",
    }
    assert raw["categories"] == ["Red"]


async def test_metadata_goes_onto_an_event_that_a_person_has_made_with_our_name(stage: Stage) -> None:
    name = await stage.add(stage.calendar, make_event(stage.account_id).state)
    found = (await read(stage.provider, stage.calendar)).events[name]
    outgoing = outgoing_for(make_event(stage.account_id))
    noted = later(outgoing, found, metadata={"crm": "4711"})
    await stage.provider.update(stage.calendar, noted, found)
    again = (await read(stage.provider, stage.calendar)).events[name]
    assert again.event_id == noted.event.id
    assert again.state is not None
    assert again.state.content.metadata == {"crm": "4711"}
    emptied = later(noted, again, metadata={})
    await stage.provider.update(stage.calendar, emptied, again)
    state = await stage.kept(stage.calendar, again)
    assert state is not None
    assert state.content.metadata == {}


async def test_the_body_of_an_online_meeting_is_never_written_and_that_is_said(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    await stage.edit(copy.remote_id, isOnlineMeeting=True)
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    assert [each.code for each in found.warnings] == [WarningCode.PARTLY_READ]
    changed = later(outgoing, found, description="Mine", summary="Renamed")
    after = await stage.provider.update(stage.calendar, changed, found)
    raw = await stage.raw(copy.remote_id)
    assert (raw["isOnlineMeeting"], raw["subject"]) == (True, "Renamed")
    assert after.state is not None
    assert "teams.example" in (after.state.content.description or "")
    assert after.warnings == found.warnings


# Participants


async def test_a_change_of_participants_mails_those_who_change_and_no_others(stage: Stage) -> None:
    outgoing = an_outgoing(attendees=(BOB,), send_invitations=True)
    copy = await created(stage, outgoing)
    eve = Attendee("eve@example.org")
    await stage.provider.update(stage.calendar, later(outgoing, copy, attendees=(eve,)), copy)
    mail = [(each["to"], each["kind"]) for each in await stage.control("GET", "/mail")]
    assert mail == [(BOB.email, "invitation"), (BOB.email, "cancellation"), (eve.email, "invitation")]


async def test_participants_whom_somebody_added_there_stay_when_others_are_added_here(stage: Stage) -> None:
    outgoing = an_outgoing(attendees=(BOB,), send_invitations=True)
    copy = await created(stage, outgoing)
    known = [{"emailAddress": {"address": each}, "type": "optional"} for each in (BOB.email, "carol@example.org")]
    await stage.edit(copy.remote_id, attendees=known)
    found = await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id)
    assert found is not None
    changed = replace(later(outgoing, copy, attendees=(BOB, Attendee("eve@example.org"))))
    await stage.provider.update(stage.calendar, changed, found)
    raw = await stage.raw(copy.remote_id)
    listed = {each["emailAddress"]["address"]: each["type"] for each in raw["attendees"]}
    assert listed == {BOB.email: "optional", "carol@example.org": "optional", "eve@example.org": "required"}


async def test_whoever_was_invited_is_not_uninvited_because_no_more_invitations_are_asked_for(stage: Stage) -> None:
    outgoing = an_outgoing(attendees=(BOB,), send_invitations=True)
    copy = await created(stage, outgoing)
    quietly = later(outgoing, copy, send_invitations=False, summary="Renamed")
    await stage.provider.update(stage.calendar, quietly, copy)
    kinds = [each["kind"] for each in await stage.control("GET", "/mail")]
    assert kinds == ["invitation", "update"]
    assert stage.provider.mailed(quietly) == (BOB.email,)


async def test_an_event_that_is_cancelled_is_taken_back_from_everybody(stage: Stage) -> None:
    outgoing = an_outgoing(attendees=(BOB,), send_invitations=True)
    copy = await created(stage, outgoing)
    after = await stage.provider.update(stage.calendar, later(outgoing, copy, status=EventStatus.CANCELLED), copy)
    assert after.deleted
    assert await stage.raw(copy.remote_id) is None
    assert [each["kind"] for each in await stage.control("GET", "/mail")] == ["invitation", "cancellation"]


# Invitations


async def invited(stage: Stage) -> tuple[Outgoing, RemoteEvent]:
    """Return an invitation that was read, and the event that it has become here."""
    name = await stage.invited()
    copy = (await read(stage.provider, stage.calendar)).events[name]
    assert copy.state is not None
    event = replace(make_event(stage.account_id), when=copy.state.when, content=copy.state.content)
    stage.desk.requests.clear()
    return replace(outgoing_for(event), agreed=Agreement(copy.state, copy.state)), copy


@pytest.mark.parametrize(
    ("partstat", "action", "response"),
    [
        (Partstat.ACCEPTED, "accept", "accepted"),
        (Partstat.TENTATIVE, "tentativelyAccept", "tentativelyAccepted"),
    ],
)
@pytest.mark.parametrize("tell", [True, False])
async def test_an_answer_goes_to_the_organizer_where_it_is_asked_for(
    stage: Stage, partstat: Partstat, action: str, response: str, tell: bool
) -> None:
    outgoing, copy = await invited(stage)
    assert outgoing.event.content.organizer == OTHER
    answered = became(outgoing, partstat=partstat, send_invitations=tell)
    after = await stage.provider.update(stage.calendar, answered, copy)
    assert len(stage.sent("POST", f"/{action}")) == 1
    assert stage.sent("PATCH") == []
    assert same(after.state, stage.provider.expected(answered))
    assert after.etag
    assert (await stage.raw(copy.remote_id))["responseStatus"]["response"] == response
    assert [each["to"] for each in await stage.control("GET", "/mail") if each["kind"] == response] == [OTHER] * tell


async def test_a_declined_invitation_leaves_the_calendar(stage: Stage) -> None:
    outgoing, copy = await invited(stage)
    declined = became(outgoing, partstat=Partstat.DECLINED)
    assert stage.provider.expected(declined) is None
    after = await stage.provider.update(stage.calendar, declined, copy)
    assert after.deleted
    assert len(stage.sent("POST", "/decline")) == 1
    assert stage.sent("DELETE") == []


@pytest.mark.parametrize("behaviour", [{"finds_deleted": True}, {"keeps_declined": True}])
async def test_a_declined_invitation_is_there_or_not_as_it_is_in_the_calendar(
    stage: Stage, behaviour: dict[str, Any]
) -> None:
    await stage.behave(**behaviour)
    outgoing, copy = await invited(stage)
    declined = became(outgoing, partstat=Partstat.DECLINED)
    after = await stage.provider.update(stage.calendar, declined, copy)
    assert after.deleted is ("finds_deleted" in behaviour)
    if after.state is not None:
        kept = replace(declined, agreed=Agreement(declined.event.state, after.state))
        assert after.state.content.partstat is Partstat.DECLINED
        assert stage.provider.expected(kept) is not None
        assert await stage.provider.update(stage.calendar, kept, after) == after


async def test_an_answer_and_a_reminder_are_both_written(stage: Stage) -> None:
    outgoing, copy = await invited(stage)
    answered = became(outgoing, partstat=Partstat.ACCEPTED, reminders=(5,))
    after = await stage.provider.update(stage.calendar, answered, copy)
    assert same(after.state, stage.provider.expected(answered))
    assert [each.body for each in stage.desk.requests if each.method == "PATCH"] == [
        {"isReminderOn": True, "reminderMinutesBeforeStart": 5}
    ]


# Deleting


async def test_what_lies_among_the_deleted_items_is_not_there(stage: Stage) -> None:
    await stage.behave(finds_deleted=True)
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    await stage.remove(stage.calendar, copy.remote_id)
    assert await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id) is None
    with pytest.raises(Gone):
        await stage.provider.update(stage.calendar, later(outgoing, copy, summary="Too late"), copy)
    await stage.provider.delete(stage.calendar, outgoing, copy)


async def test_a_copy_whose_id_has_changed_is_deleted_by_its_name(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    await stage.provider.delete(stage.calendar, outgoing, replace(copy, remote_id="AAkALgBeforeTheMove"))
    assert await stage.raw(copy.remote_id) is None


async def test_what_was_moved_to_another_calendar_is_not_in_this_one(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    other = await stage.control("POST", f"/calendars/{OWNER}", {"name": "Other"})
    await stage.edit(copy.remote_id, calendar=other["id"])
    assert await stage.provider.find(stage.calendar, outgoing.identity, copy.remote_id) is None


async def test_a_delete_compares_the_version_even_if_graph_does_not(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await created(stage, outgoing)
    await stage.rename(stage.calendar, copy.remote_id, "Theirs")
    with pytest.raises(Stale):
        await stage.provider.delete(stage.calendar, outgoing, copy)
    assert stage.sent("DELETE") == []


async def test_a_read_only_calendar_refuses(stage: Stage) -> None:
    shared = await stage.control("POST", f"/calendars/{OWNER}", {"name": "Shared", "canEdit": False})
    calendar = replace(stage.calendar, remote_id=shared["id"])
    with pytest.raises(Refused) as caught:
        await stage.provider.create(calendar, an_outgoing())
    assert str(caught.value) == "Outlook does not let this account do that."
