"""Conflicts: what both sides changed in different ways waits for a person, and so do many deletions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kalends.domain.access import Scope
from kalends.domain.events import Attendee, EventState, Partstat
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SyncWarning, WarningCode
from storage.engine import Database
from tests.api import House, Tenant, build_house, dump, key_with, moment, problems
from tests.helpers import DAY, HOUR, MINUTE, NOBODY, NOW, WEEK, Clock, make_content, make_days, make_when, wall
from tests.schema.remote import There, events_of, sandbox_of

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Disputed:
    """An event whose two sides say different things."""

    house: House
    tenant: Tenant
    there: There
    event: dict[str, Any]
    name: str

    async def now(self) -> dict[str, Any]:
        return dict(await self.tenant.api.ask("event", id=self.event["id"], depth=4))

    async def status(self) -> str:
        return str((await self.now())["sync"]["status"])

    async def decide(self, keep: str, **others: Any) -> dict[str, Any]:
        wanted = {"eventId": self.event["id"], "keep": keep} | others
        return await self.tenant.api.done("resolveSyncConflict", depth=3, input=wanted)

    async def said_there(self, *fields: str) -> list[Any]:
        [copy] = [each for each in await self.there.copies() if each.remote_id == self.name]
        return [copy.body[field] for field in fields]


@pytest.fixture
async def disputed(house: House, ours: Tenant) -> Disputed:
    """Return an event that both sides have renamed, and whose other changes do not meet."""
    calendar, there = await sandbox_of(house, ours)
    event = await ours.create(
        calendarId=str(calendar.id), syncProvider=True, participants=["bob@example.org"], where="Room 1"
    )
    await house.worker.drain()
    name = await there.name_of("Planning")
    await ours.update(event, what="Ours", description="Only ours")
    await there.change(name, summary="Theirs", location="Only theirs")
    await house.later(MINUTE)
    return Disputed(house, ours, there, event, name)


async def test_a_conflict_tells_both_sides_and_touches_neither(disputed: Disputed) -> None:
    event = await disputed.now()
    assert (event["what"], event["where"], event["description"]) == ("Ours", "Room 1", "Only ours")
    assert await disputed.said_there("summary", "location", "description") == ["Theirs", "Only theirs", None]
    sync = event["sync"]
    assert sync["status"] == "CONFLICT"
    assert sync["conflict"]["fields"] == ["what"]
    ours, theirs = sync["conflict"]["ours"], sync["conflict"]["theirs"]
    assert (ours["what"], ours["where"], ours["description"]) == ("Ours", "Room 1", "Only ours")
    assert (theirs["what"], theirs["where"], theirs["description"]) == ("Theirs", "Only theirs", None)
    assert (theirs["start"], theirs["allDay"], theirs["timeZone"]) == (event["start"], False, "Europe/Berlin")
    assert theirs["participants"] == ours["participants"] == [{"email": "bob@example.org", "rsvp": "NEEDS_ACTION"}]


async def test_a_conflict_waits_however_long_it_takes(disputed: Disputed) -> None:
    before = await dump(disputed.house.database)
    for _ in range(3):
        await disputed.house.later(DAY)
    assert await disputed.status() == "CONFLICT"
    after = await dump(disputed.house.database)
    assert (after["event"], after["sandbox_event"]) == (before["event"], before["sandbox_event"])


@pytest.mark.parametrize(("keep", "title"), [("OURS", "Ours"), ("THEIRS", "Theirs")])
async def test_a_decided_conflict_keeps_one_title_and_what_only_one_side_changed(
    disputed: Disputed, keep: str, title: str
) -> None:
    payload = await disputed.decide(keep)
    assert payload["copy"] is None
    assert (payload["event"]["what"], payload["event"]["sync"]["conflict"]) == (title, None)
    await disputed.house.worker.drain()
    event = await disputed.now()
    assert (event["what"], event["where"], event["description"]) == (title, "Only theirs", "Only ours")
    assert await disputed.said_there("summary", "location", "description") == [title, "Only theirs", "Only ours"]
    assert event["sync"]["status"] == "SYNCED"
    await disputed.house.later(DAY)
    assert (await disputed.now())["version"] == event["version"]


async def test_where_both_are_kept_ours_becomes_an_event_of_its_own(disputed: Disputed) -> None:
    payload = await disputed.decide("BOTH")
    first, second = payload["event"], payload["copy"]
    assert (first["id"], first["what"], first["where"]) == (disputed.event["id"], "Theirs", "Only theirs")
    assert (second["what"], second["where"], second["description"]) == ("Ours", "Room 1", "Only ours")
    assert second["uid"] != first["uid"]
    assert second["calendarId"] == first["calendarId"]
    await disputed.house.worker.drain()
    assert await disputed.there.alive() == ["Ours", "Theirs"]
    assert {each["sync"]["status"] for each in await events_of(disputed.tenant, first["calendarId"])} == {"SYNCED"}


async def test_a_decision_about_another_version_is_refused(disputed: Disputed) -> None:
    version = (await disputed.now())["version"]
    before = await dump(disputed.house.database)
    wanted = {"eventId": disputed.event["id"], "keep": "OURS", "expectedVersion": version - 1}
    [error] = await disputed.tenant.api.refused("resolveSyncConflict", input=wanted)
    assert problems([error]) == [("StaleVersionError", "STALE_VERSION", "input.expectedVersion")]
    assert error["currentVersion"] == version
    assert await dump(disputed.house.database) == before
    await disputed.decide("OURS", expectedVersion=version)
    assert await disputed.status() == "PENDING"


@pytest.mark.parametrize(("keep", "titles"), [("OURS", ["Ours"]), ("THEIRS", ["Theirs"]), ("BOTH", ["Theirs", "Ours"])])
async def test_a_decision_can_be_tried_out(disputed: Disputed, keep: str, titles: list[str]) -> None:
    before = await dump(disputed.house.database)
    payload = await disputed.decide(keep, dryRun=True)
    assert payload["event"]["what"] == titles[0]
    assert [run["payload"]["summary"] for run in payload["dryRuns"]] == titles
    assert await dump(disputed.house.database) == before
    assert await disputed.status() == "CONFLICT"


async def test_a_decision_where_there_is_no_conflict_does_nothing(house: House, ours: Tenant) -> None:
    calendar, _ = await sandbox_of(house, ours)
    synced = await ours.create(calendarId=str(calendar.id), syncProvider=True)
    for event in (synced, await ours.create()):
        before = await dump(house.database)
        for keep in ("OURS", "THEIRS", "BOTH"):
            wanted = {"eventId": event["id"], "keep": keep}
            payload = await ours.api.done("resolveSyncConflict", input=wanted)
            assert (payload["event"]["version"], payload["copy"]) == (1, None)
        assert await dump(house.database) == before


@pytest.mark.parametrize("text", [str(NOBODY), "nothing", ""])
async def test_nothing_is_decided_about_what_is_not_there(house: House, ours: Tenant, text: str) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("resolveSyncConflict", input={"eventId": text, "keep": "BOTH"})
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.eventId")]
    errors = await ours.api.refused("allowDeletions", calendarId=text, count=3)
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "calendarId")]
    assert await dump(house.database) == before


async def test_a_deleted_event_has_no_conflict_to_decide(disputed: Disputed) -> None:
    await disputed.tenant.api.done("deleteEvent", id=disputed.event["id"])
    wanted = {"eventId": disputed.event["id"], "keep": "OURS"}
    errors = await disputed.tenant.api.refused("resolveSyncConflict", input=wanted)
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", "input.eventId")]


async def test_a_change_there_after_the_decision_is_a_conflict_again_and_none_is_lost(disputed: Disputed) -> None:
    await disputed.there.change(disputed.name, summary="Theirs again")
    await disputed.decide("OURS")
    await disputed.house.worker.drain()
    event = await disputed.now()
    assert event["what"] == "Ours"
    assert await disputed.said_there("summary") == ["Theirs again"]
    assert event["sync"]["status"] == "CONFLICT"
    assert event["sync"]["conflict"]["theirs"]["what"] == "Theirs again"
    await disputed.decide("THEIRS")
    await disputed.house.worker.drain()
    assert (await disputed.now())["what"] == "Theirs again"


async def test_who_makes_both_the_same_ends_the_conflict(disputed: Disputed) -> None:
    await disputed.tenant.update(disputed.event, what="Theirs")
    await disputed.house.later(HOUR)
    event = await disputed.now()
    assert (event["what"], event["where"], event["sync"]["status"]) == ("Theirs", "Only theirs", "SYNCED")


async def test_decisions_are_in_the_change_log_under_the_name_of_who_decided(disputed: Disputed) -> None:
    before = len((await dump(disputed.house.database))["change"])
    await disputed.decide("BOTH")
    changes = (await dump(disputed.house.database))["change"][before:]
    told = [
        [str(each) for each in row if each in ("CREATED", "UPDATED") or str(each).startswith("key:")] for row in changes
    ]
    name = f"key:{disputed.tenant.key_id}"
    assert sorted(told) == sorted([["CREATED", name], ["UPDATED", name]])


async def test_only_who_writes_events_decides_and_only_who_reads_is_told_what_they_say(disputed: Disputed) -> None:
    decide = "mutation($input: ResolveSyncConflictInput!) { resolveSyncConflict(input: $input) { __typename } }"
    wanted = {"eventId": disputed.event["id"], "keep": "OURS"}
    reader = await key_with(disputed.house, Scope.READ, Scope.MANAGE_CALENDARS)
    assert (await reader.fault(decide, input=wanted))["extensions"]["scope"] == "WRITE_EVENTS"
    assert (await reader.ask("event", id=disputed.event["id"]))["sync"]["conflict"]["theirs"]["what"] == "Theirs"
    writer = await key_with(disputed.house, Scope.WRITE_EVENTS)
    changed = await writer.run(
        'mutation($id: ID!) { updateEvent(id: $id, input: {where: "Room 3"}) '
        "{ event { sync { status conflict { fields } } } } }",
        id=disputed.event["id"],
    )
    assert changed["updateEvent"]["event"]["sync"]["conflict"] is None
    decided = await writer.run(
        "mutation($input: ResolveSyncConflictInput!) { resolveSyncConflict(input: $input) "
        "{ event { what sync { status conflict { fields } } } errors { __typename } } }",
        input=wanted,
    )
    assert decided["resolveSyncConflict"]["errors"] == []


# What clashes


CLASHES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "the place": ({"where": "Ours"}, {"location": "Theirs"}, ["where"]),
    "an answer": (
        {"myRsvp": "DECLINED"},
        {"partstat": Partstat.TENTATIVE},
        ["myRsvp"],
    ),
    "the reminders": ({"reminders": [5]}, {"reminders": (10,)}, ["reminders"]),
    "an entry of the metadata": ({"metadata": {"crm": "1"}}, {"metadata": {"crm": "2"}}, ["metadata.crm"]),
    "several things": (
        {"what": "Ours", "transparent": True, "description": "Ours"},
        {"summary": "Theirs", "description": "Theirs"},
        ["description", "what"],
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
async def test_what_clashes_is_named_in_the_words_of_the_event(house: House, ours: Tenant, clash: str) -> None:
    mine, their, fields = CLASHES[clash]
    calendar, there = await sandbox_of(house, ours)
    event = await ours.create(calendarId=str(calendar.id), syncProvider=True)
    await house.worker.drain()
    await ours.update(event, **mine)
    await there.change(await there.name_of("Planning"), **their)
    await house.later(MINUTE)
    sync = (await ours.event_now(event))["sync"]
    assert sync["status"] == "CONFLICT"
    found = await ours.api.ask("event", id=event["id"])
    assert sorted(found["sync"]["conflict"]["fields"]) == fields


async def test_changes_that_do_not_meet_are_merged_and_pushed(house: House, ours: Tenant) -> None:
    calendar, there = await sandbox_of(house, ours)
    event = await ours.create(calendarId=str(calendar.id), syncProvider=True, participants=["bob@example.org"])
    await house.worker.drain()
    name = await there.name_of("Planning")
    await ours.update(event, what="Ours")
    await there.change(name, attendees=(Attendee("bob@example.org", Partstat.ACCEPTED),))
    await house.later(MINUTE)
    found = await ours.event_now(event)
    assert (found["what"], found["sync"]["status"]) == ("Ours", "SYNCED")
    assert (await ours.api.ask("event", id=event["id"]))["participants"] == [
        {"email": "bob@example.org", "rsvp": "ACCEPTED"}
    ]
    assert await there.alive() == ["Ours"]


async def test_a_moved_time_on_both_sides_is_a_conflict_about_the_start(house: House, ours: Tenant) -> None:
    calendar, there = await sandbox_of(house, ours)
    await there.put("Theirs")
    await house.later(MINUTE)
    [event] = await events_of(ours, calendar.id)
    await ours.update(event, start="2026-05-04T12:00:00+02:00", end="2026-05-04T13:00:00+02:00")
    await there.put("Theirs", EventState(make_days(), make_content("Theirs")))
    await house.later(MINUTE)
    conflict = (await ours.api.ask("event", id=event["id"]))["sync"]["conflict"]
    assert conflict["fields"] == ["start"]
    assert (conflict["ours"]["allDay"], conflict["theirs"]["allDay"]) == (False, True)
    assert moment(conflict["theirs"]["end"]) - moment(conflict["theirs"]["start"]) == DAY


# Series


async def test_series_that_come_from_there_are_shown_and_block_time(house: House, ours: Tenant) -> None:
    calendar, there = await sandbox_of(house, ours)
    recurrence = Recurrence(
        "FREQ=WEEKLY",
        frozenset({wall("2026-05-06T09:00")}),
        frozenset({wall("2026-05-11T09:00")}),
        {wall("2026-05-18T09:00"): Override(make_when(NOW + 2 * WEEK + HOUR), make_content("Moved"))},
    )
    await there.put("Weekly", EventState(make_when(), make_content("Weekly"), recurrence))
    await house.later(MINUTE)
    [event] = await events_of(ours, calendar.id)
    assert event["recurrence"] == {
        "rule": "FREQ=WEEKLY",
        "rdates": ["2026-05-06T09:00:00+02:00"],
        "exdates": ["2026-05-11T09:00:00+02:00"],
        "overridden": ["2026-05-18T09:00:00+02:00"],
    }
    for weeks, free in ((0, False), (1, True), (2, True), (3, False), (20, False)):
        wanted = ours.event(NOW + weeks * WEEK, calendarId=str(calendar.id), onConflict="REJECT", dryRun=True)
        payload = await ours.api.do("createEvent", input=wanted)
        assert (payload["errors"] == []) is free


# Warnings


async def test_what_is_not_the_same_on_both_sides_is_told(
    house: House, ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = (SyncWarning(WarningCode.METADATA_NOT_SENT, "The sandbox keeps no metadata today."),)
    monkeypatch.setattr(house.services.providers["sandbox"], "warnings", lambda _outgoing: warnings)
    event = await ours.create(calendarId=str(ours.sandbox.id), syncProvider=True)
    sync = (await ours.api.ask("event", id=event["id"]))["sync"]
    assert sync["warnings"] == [{"code": "METADATA_NOT_SENT", "message": "The sandbox keeps no metadata today."}]
    assert (await ours.create())["sync"]["status"] == "LOCAL"


# Many deletions


async def crowded(house: House, tenant: Tenant, number: int = 30) -> tuple[str, There, list[str]]:
    """Return a calendar with many events that came from there."""
    calendar, there = await sandbox_of(house, tenant)
    names = [f"Nr {each:02}" for each in range(number)]
    for each in names:
        await there.put(each)
    await house.later(MINUTE)
    assert len(await events_of(tenant, calendar.id)) == number
    return str(calendar.id), there, names


async def held(tenant: Tenant, calendar_id: str) -> int:
    source = (await tenant.api.ask("calendar", id=calendar_id))["source"]
    return int(source["heldDeletions"])


async def test_many_deletions_at_once_wait_for_a_person(house: House, ours: Tenant) -> None:
    calendar_id, there, names = await crowded(house, ours)
    await there.delete(*names[:20])
    await house.later(MINUTE)
    assert await held(ours, calendar_id) == 20
    assert len(await events_of(ours, calendar_id)) == 30
    await house.later(HOUR)
    assert (await held(ours, calendar_id), len(await events_of(ours, calendar_id))) == (20, 30)
    allowed = await ours.api.done("allowDeletions", calendarId=calendar_id, count=20)
    assert allowed["calendar"]["id"] == calendar_id
    await house.worker.drain()
    assert await held(ours, calendar_id) == 0
    assert [each["what"] for each in await events_of(ours, calendar_id)] == names[20:]


async def test_few_deletions_wait_for_nobody(house: House, ours: Tenant) -> None:
    calendar_id, there, names = await crowded(house, ours)
    await there.delete(*names[:10])
    await house.later(MINUTE)
    assert (await held(ours, calendar_id), len(await events_of(ours, calendar_id))) == (0, 20)


@pytest.mark.parametrize("allowed", [19, 0, -5])
async def test_more_deletions_than_were_allowed_wait_again(house: House, ours: Tenant, allowed: int) -> None:
    calendar_id, there, names = await crowded(house, ours)
    await there.delete(*names[:20])
    await house.later(MINUTE)
    await ours.api.done("allowDeletions", calendarId=calendar_id, count=allowed)
    await house.worker.drain()
    assert (await held(ours, calendar_id), len(await events_of(ours, calendar_id))) == (20, 30)


async def test_changes_beside_many_deletions_are_taken_in_all_the_same(house: House, ours: Tenant) -> None:
    calendar_id, there, names = await crowded(house, ours)
    await there.delete(*names[:20])
    await there.change(names[25], location="Moved")
    await there.put("New")
    await house.later(MINUTE)
    found = {each["what"]: each["where"] for each in await events_of(ours, calendar_id)}
    assert (len(found), found[names[25]], "New" in found) == (31, "Moved", True)


async def test_deletions_that_were_taken_back_are_not_done(house: House, ours: Tenant) -> None:
    calendar_id, there, names = await crowded(house, ours)
    await there.delete(*names[:20])
    await house.later(MINUTE)
    for each in names[:20]:
        await there.put(each)
    await house.later(MINUTE)
    assert (await held(ours, calendar_id), len(await events_of(ours, calendar_id))) == (0, 30)


async def test_only_who_manages_calendars_allows_deletions(house: House, ours: Tenant) -> None:
    other = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.MANAGE_KEYS)
    query = "mutation($id: ID!) { allowDeletions(calendarId: $id, count: 5) { __typename } }"
    before = await dump(house.database)
    assert (await other.fault(query, id=str(ours.sandbox.id)))["extensions"]["scope"] == "MANAGE_CALENDARS"
    assert await dump(house.database) == before


async def test_allowing_deletions_in_a_calendar_that_is_not_read_changes_nothing_in_it(
    house: House, ours: Tenant
) -> None:
    await ours.create()
    await ours.api.done("allowDeletions", calendarId=str(ours.calendar.id), count=100)
    await house.later(DAY)
    assert len(await events_of(ours, ours.calendar.id)) == 1


async def test_the_share_that_may_be_deleted_at_once_is_a_setting(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock, sync_brake_share=1.0)
    calendar_id, there, names = await crowded(house, house.ours)
    await there.delete(*names)
    await house.later(MINUTE)
    assert await events_of(house.ours, calendar_id) == []
