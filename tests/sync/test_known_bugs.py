"""What has hurt other calendar software, in public: each is a test of what must hold here instead."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import icalendar
import pytest
from sqlalchemy import select

from kalends.domain.calendars import AccountState
from kalends.domain.events import ConflictPolicy, EventState
from kalends.domain.merge import same
from kalends.domain.recurrence import Recurrence
from kalends.domain.sync import SyncStatus, WarningCode
from resolvers.services import SyncPatience
from storage.changes import CHANGES
from storage.sources import OpenChannel
from tests.helpers import DAY, HOUR, NOW, WEEK, make_content, make_days, make_when, refusing
from tests.resolvers.sync_stage import PAST_LEASE, Crash
from tests.sync.line import Trouble
from tests.sync.suite import BERLIN_9, GUESTS, SERIES, weekly
from tests.sync.worlds.caldav import CaldavPerson
from tests.sync.worlds.google import PAGE, GooglePerson
from tests.sync.worlds.microsoft import OutlookPerson
from tests.sync.worlds.world import Person, World, writes

pytestmark = pytest.mark.anyio

SECOND, THIRD, FOURTH, FIFTH, SIXTH = (BERLIN_9 + number * WEEK for number in range(1, 6))
CUSTOM_ZONE = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//EN\r\nBEGIN:VEVENT\r\nUID:theirs\r\nSUMMARY:Unknown zone\r\n"
    'DTSTART;TZID="tzone://Microsoft/Custom":20260504T090000\r\n'
    'DTEND;TZID="tzone://Microsoft/Custom":20260504T100000\r\n'
    "DTSTAMP:20260501T080000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def at(*kinds: str) -> pytest.MarkDecorator:
    """Let a test happen in these worlds."""
    return pytest.mark.parametrize("kind", kinds, indirect=True)


everywhere = at("google", "microsoft", "radicale", "xandikos")


async def uid_of(person: Person, name: str) -> str:
    """Return the UID by which everybody else knows an event."""
    match person:
        case GooglePerson():
            return str((await person.google.event(name))["iCalUID"])
        case OutlookPerson():
            return str((await person.outlook.raw(name))["iCalUId"])
        case CaldavPerson():
            [event] = await events_in(person, name)
            return str(event["UID"])
    raise AssertionError(person)


async def events_in(person: CaldavPerson, name: str) -> list[Any]:
    """Return the components of a file."""
    text = await person.oracle.text(person.calendar, name)
    assert text is not None
    calendar: Any = icalendar.Calendar.from_ical(text)
    return list(calendar.walk("VEVENT"))


async def mailed(person: Person) -> list[str]:
    """Return whom the provider mails: those whom it has mailed, or whom a CalDAV server is not told to leave alone."""
    if not isinstance(person, CaldavPerson):
        return [address for address, _ in await person.mail()]
    events = [event for name in await person.sees() for event in await events_in(person, name)]
    return [
        str(each)
        for event in events
        for each in event.get("ATTENDEE", [])
        if each.params.get("SCHEDULE-AGENT") != "CLIENT"
    ]


async def busy(world: World, start: datetime) -> list[UUID]:
    """Return what is in the way of an hour."""
    async with world.stage.storage.reading(world.stage.app_id) as work:
        found = await work.events.in_the_way(world.stage.calendar.id, make_when(start).span)
    return [event.id for event in found]


async def channels(world: World) -> list[OpenChannel]:
    """Return the channels that are open."""
    async with world.stage.storage.reading(world.stage.app_id) as work:
        return await work.channels.of([world.stage.calendar.id])


async def news(world: World) -> list[tuple[str, UUID, str, str]]:
    """Return the change log: what, its id, what happened to it, and who did it."""
    async with world.stage.storage.reading(world.stage.app_id) as work:
        rows = await work.changes.rows(select(CHANGES).order_by(CHANGES.c.id))
    return [(row.kind, row.subject_id, row.operation, row.origin) for row in rows]


def exceptions(state: EventState | None) -> tuple[set[datetime], set[datetime]]:
    """Return the occurrences of a series that differ, and those that are left out."""
    assert state is not None
    assert state.recurrence is not None
    return set(state.recurrence.overrides), set(state.recurrence.exdates)


@everywhere
async def test_a_worker_that_dies_after_it_has_sent_an_event_does_not_send_it_twice(world: World) -> None:
    """1. Duplicate creates: calcom/cal.diy#7703."""
    await world.stage.create("Once")
    world.line.dies(0, done=True, only=writes)
    with pytest.raises(Crash):
        await world.look()
    assert await world.person.titles() == ["Once"]
    world.line.heal()
    world.stage.advance(PAST_LEASE)
    await world.converge()
    assert await world.titles() == await world.person.titles() == ["Once"]
    await world.at_rest()


@everywhere
async def test_an_event_is_known_by_the_uid_that_its_provider_gave_it_until_it_is_cancelled(world: World) -> None:
    """2. UID mismatch, orphan on cancel: calcom/cal.diy#28884."""
    event = await world.stage.create("Cancelled", attendees=GUESTS)
    await world.look()
    link = await world.stage.link(event)
    assert link.remote_uid == await uid_of(world.person, link.remote_id or "")
    await world.disconnect()
    await world.connect()
    await world.link()
    await world.look()
    assert (await world.stage.link(event)).remote_id == link.remote_id
    await world.stage.delete(event)
    await world.look()
    assert await world.person.sees() == {}
    await world.at_rest()


@at("google", "sandbox")
async def test_an_event_whose_id_was_deleted_there_comes_back_under_another(world: World) -> None:
    """3. A deleted id cannot come back: googleapis/google-api-ruby-client#1811."""
    event = await world.stage.create("Deleted there")
    await world.look()
    names = set()
    for number in range(3):
        name = (await world.stage.link(event)).remote_id or ""
        names.add(name)
        await world.person.removes(name)
        await world.stage.update(event, summary=f"Changed here {number}")
        await world.look()
        assert await world.titles() == await world.person.titles() == [f"Changed here {number}"]
    assert len(names | {(await world.stage.link(event)).remote_id}) == 4
    await world.at_rest()


@everywhere
async def test_a_copy_is_never_copied(world: World) -> None:
    """4. Copies of copies: karbassi/sync-multiple-google-calendars#36."""
    await world.stage.create("Ours")
    await world.person.adds(EventState(make_when(), make_content("Theirs")))
    await world.look()
    assert len(world.written()) == 1
    for _ in range(3):
        await world.expire()
        await world.look()
        await world.look_at_everything()
    assert await world.titles() == await world.person.titles() == ["Ours", "Theirs"]
    assert len(world.written()) == 1
    assert {event.version for event in await world.stored()} == {1}


@at("google", "microsoft")
async def test_nobody_is_invited_again_to_what_has_not_changed_for_them(world: World) -> None:
    """5. Invitations mailed again and again: calcom/cal.diy#9485, nextcloud/calendar#4867."""
    event = await world.stage.create("Invited", attendees=GUESTS, send_invitations=True)
    await world.look()
    invited = [(each, "invitation") for each in sorted(GUESTS)]
    assert sorted(await world.person.mail()) == invited
    await world.stage.update(event, metadata={"crm": "4711"})
    await world.stage.update(event, summary="Invited", location="")
    for _ in range(3):
        await world.look()
        await world.look_at_everything()
    assert sorted(await world.person.mail()) == invited


@everywhere
async def test_nobody_is_mailed_about_an_event_without_invitations(world: World) -> None:
    """6. Graph mails although `invite` is false: microsoftgraph/msgraph-sdk-dotnet#1549."""
    event = await world.stage.create("Quiet", attendees=GUESTS)
    await world.look()
    await world.stage.update(event, start=NOW + DAY, end=NOW + DAY + HOUR)
    await world.look()
    assert await mailed(world.person) == []
    [seen] = (await world.person.sees()).values()
    shown = world.provider.capabilities.suppress_invites
    assert {each.email for each in seen.content.attendees} == (set(GUESTS) if shown else set())
    codes = [each.code for each in (await world.stage.state(event)).warnings]
    assert codes == ([] if shown else [WarningCode.PARTICIPANTS_NOT_SENT])
    assert {each.email for each in (await world.stage.now(event)).content.attendees} == set(GUESTS)
    await world.stage.delete(event)
    await world.look()
    assert await mailed(world.person) == []


@everywhere
async def test_what_is_on_a_later_page_blocks_time_and_is_not_taken_for_deleted(world: World) -> None:
    """7. Page 2 ignored: alextselegidis/easyappointments#1883, OpenWhispr/openwhispr#1571."""
    titles = [f"Number {number:02}" for number in range(2 * PAGE + 5)]
    for number, title in enumerate(titles):
        await world.person.adds(EventState(make_when(NOW + number * HOUR), make_content(title)))
    await world.look()
    assert await world.titles() == titles
    last = NOW + (len(titles) - 1) * HOUR
    with refusing(("0.start", "TIME_CONFLICT")):
        await world.stage.create("Too late", start=last, end=last + HOUR, on_conflict=ConflictPolicy.REJECT)
    for answered in range(1, 5):
        world.line.breaks(Trouble.UNAVAILABLE, number=answered)
        await world.look_at_everything()
        world.line.heal()
        assert await world.titles() == titles
        await world.converge()
    await world.at_rest()


@at("microsoft", "microsoft at its worst")
async def test_a_series_of_which_only_bare_occurrences_are_told_is_taken_in_whole(world: World) -> None:
    """8. Bare occurrences dropped: ridafkih/keeper.sh#409."""
    await world.person.adds(weekly(location="Room 1"))
    await world.look()
    event = await world.only()
    assert same(event.state, weekly(location="Room 1"))
    times = {weeks: await busy(world, NOW + weeks * WEEK) for weeks in range(7)}
    assert [weeks for weeks, found in times.items() if found == [event.id]] == [0, 2, 4, 5]
    assert await busy(world, NOW + WEEK + 3 * HOUR) == [event.id]
    await world.at_rest()


@everywhere
async def test_an_occurrence_that_was_deleted_does_not_return(world: World) -> None:
    """9. Deleted instances return: phw198/OutlookGoogleCalendarSync#418."""
    name = await world.person.adds(weekly())
    await world.look()
    event = await world.only()
    await world.person.drops(name, SIXTH)
    await world.look()
    for title in ("Renamed here", "Renamed here again"):
        await world.stage.update(event, summary=title)
        await world.expire()
        await world.look()
        await world.look_at_everything()
        for state in ((await world.stage.now(event)).state, await world.seen(event)):
            assert exceptions(state)[1] == {FOURTH, SIXTH}
        assert await busy(world, NOW + 5 * WEEK) == []
    await world.at_rest()


@everywhere
async def test_a_series_that_is_edited_keeps_its_exceptions_of_both_sides(world: World) -> None:
    """10. A series edit loses exceptions: nextcloud/calendar#7600, phw198/OutlookGoogleCalendarSync#1269."""
    name = await world.person.adds(weekly())
    await world.look()
    event = await world.only()
    await world.person.moves(name, FIFTH, 2 * HOUR, summary="Moved there")
    await world.stage.update(event, summary="Renamed here", transparent=True)
    await world.look()
    now, seen = (await world.stage.now(event)).state, await world.seen(event)
    for state in (now, seen):
        assert state is not None
        assert (state.content.summary, state.content.transparent) == ("Renamed here", True)
        assert exceptions(state) == ({SECOND, THIRD, FIFTH}, {FOURTH})
        assert state.recurrence is not None
        assert state.recurrence.overrides[FIFTH].content.summary == "Moved there"
        assert state.recurrence.overrides[THIRD].content.location == "Room 3"
        assert state.recurrence.overrides[SECOND].when == SERIES.overrides[SECOND].when
    await world.at_rest()


@at("radicale", "xandikos")
async def test_a_zone_keeps_its_clock_time_and_one_that_is_unknown_is_not_taken_for_utc(world: World) -> None:
    """11. Zone unknown or shifted: phw198/OutlookGoogleCalendarSync#2148."""
    assert isinstance(world.person, CaldavPerson)
    october = datetime(2026, 10, 19, 13, tzinfo=UTC)  # 09:00 in New York, before both changes to winter
    state = EventState(
        make_when(october, tzid="America/New_York"), make_content("Standing"), Recurrence("FREQ=WEEKLY;COUNT=3")
    )
    await world.person.adds(state)
    await world.person.oracle.put(world.person.calendar, "custom.ics", CUSTOM_ZONE)
    await world.look()
    standing, unknown = await world.stored()
    assert same(standing.state, state)
    winter = datetime(2026, 11, 2, 14, tzinfo=UTC)
    assert await busy(world, october + WEEK) == await busy(world, winter) == [standing.id]
    assert await busy(world, winter - HOUR) == []
    assert unknown.when.span.start == datetime(2026, 5, 4, 7, tzinfo=UTC)  # as in the calendar's own zone
    codes = [each.code for each in (await world.stage.state(unknown)).warnings]
    assert codes == [WarningCode.UNKNOWN_TIME_ZONE]
    await world.look_at_everything()
    assert world.written() == []


@everywhere
async def test_whole_days_are_the_same_days_on_both_sides(world: World) -> None:
    """12. All-day off by one: relaticle/relaticle#755, formax68/memoChron#26."""
    days = {"One": (date(2026, 5, 4), 1), "Into summer": (date(2026, 3, 28), 3), "New Year": (date(2026, 12, 31), 2)}
    for title, (first, count) in days.items():
        last = first + timedelta(days=count)
        await world.stage.create(f"{title}, ours", start=first, end=last, all_day=True)
        await world.person.adds(EventState(make_days(first, count), make_content(f"{title}, theirs")))
    await world.look()
    there = {state.content.summary: state.when for state in (await world.person.sees()).values()}
    here = {event.content.summary: event.when for event in await world.stored()}
    assert (
        here
        == there
        == {f"{title}, {whose}": make_days(*days[title]) for title in days for whose in ("ours", "theirs")}
    )
    [theirs] = [event for event in await world.stored() if event.content.summary == "New Year, theirs"]
    await world.stage.update(theirs, summary="New Year, renamed")
    await world.look()
    [renamed] = [each for each in (await world.person.sees()).values() if each.content.summary == "New Year, renamed"]
    assert renamed.when == make_days(*days["New Year"])
    await world.at_rest()


@at("google", "microsoft")
async def test_a_channel_does_not_expire_and_without_one_changes_come_all_the_same(world: World) -> None:
    """13. Channel expired: webhookdb/webhookdb#539."""
    [first] = await channels(world)
    for _ in range(4):
        [before] = await channels(world)
        world.stage.advance((before.expires_at - world.stage.clock()) * 0.6)
        await world.stage.drain()
        [after] = await channels(world)
        assert after.expires_at > before.expires_at
    assert world.stage.clock() > first.expires_at
    async with world.stage.storage.writing(world.stage.app_id) as work:
        await work.channels.forget_calendar(world.stage.calendar.id)
    await world.person.adds(EventState(make_when(), make_content("Nobody called")))
    await world.look()
    assert await world.titles() == ["Nobody called"]
    assert len(await channels(world)) == 1


@everywhere
async def test_a_grant_that_was_withdrawn_is_seen_by_everybody_who_looks(world: World) -> None:
    """14. Revocation unnoticed: calcom/cal.diy#7564, #5468."""
    event = await world.stage.create("Before")
    await world.look()
    known, seen_at = await news(world), (await world.source()).synced_at
    await world.revoke()
    await world.stage.update(event, summary="After")
    await world.look()
    account, source, state = await world.account(), await world.source(), await world.stage.state(event)
    assert account.state is AccountState.NEEDS_RECONNECT
    assert account.last_error
    assert state.status is SyncStatus.PARKED
    assert source.synced_at == seen_at
    assert ("account", account.id, "UPDATED", f"provider:{world.kind}") in (await news(world))[len(known) :]
    sent = len(world.line.sent)
    await world.look()
    assert len(world.line.sent) == sent  # nobody knocks on a closed door


@everywhere
async def test_an_empty_listing_deletes_nothing_until_a_person_has_looked(world: World) -> None:
    """15. An empty listing wipes the store: webhookdb/webhookdb#625, the-djmaze/snappymail#2060."""
    titles = [f"Number {number:02}" for number in range(SyncPatience().brake_least + 2)]
    for title in titles:
        await world.person.adds(EventState(make_when(), make_content(title)))
    await world.look()
    for name in await world.person.sees():
        await world.person.removes(name)
    await world.expire()
    for _ in range(3):
        await world.look()
        assert await world.titles() == titles
        assert (await world.source()).held == len(titles)
    async with world.stage.storage.writing(world.stage.app_id) as work:
        await work.sources.allow(world.stage.calendar.id, len(titles))
    await world.look()
    assert await world.titles() == []
