"""Links: which version a provider has, what both sides agreed on, and what is disputed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from kalends.domain.calendars import SANDBOX, Calendar
from kalends.domain.events import Attendee, ConflictPolicy, Event, EventState, EventStatus, Partstat, Visibility
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import Conflict, Link, SyncWarning, WarningCode
from storage import links
from storage.unit_of_work import Storage
from tests.helpers import (
    DAY,
    HOUR,
    NOW,
    WEEK,
    add_calendar,
    add_events,
    make_account,
    make_content,
    make_counterpart,
    make_days,
    make_event,
    make_when,
    wall,
)

pytestmark = pytest.mark.anyio

FULL = EventState(
    make_when(NOW, 2 * HOUR, "America/St_Johns"),
    make_content(
        "Ünïcødé 🗓",
        location="'; DROP TABLE link; --",
        description="several\r\nlines",
        attendees=(Attendee("ada@example.org", Partstat.TENTATIVE), Attendee("bob@example.org")),
        partstat=Partstat.TENTATIVE,
        send_invitations=True,
        transparent=True,
        status=EventStatus.TENTATIVE,
        on_conflict=ConflictPolicy.REJECT,
        metadata={"crm": "42"},
        visibility=Visibility.CONFIDENTIAL,
        reminders=(0, 10),
        organizer="eve@example.org",
    ),
    Recurrence(
        "FREQ=WEEKLY",
        frozenset({wall("2026-05-06T04:30")}),
        frozenset({wall("2026-05-11T04:30")}),
        {wall("2026-05-18T04:30"): Override(make_days(), make_content("Moved", reminders=()))},
    ),
)
WARNINGS = (
    SyncWarning(WarningCode.PARTLY_READ, "It has an attachment."),
    SyncWarning(WarningCode.TEXT_SHORTENED, "Too long."),
)


@pytest.fixture
async def calendar(storage: Storage, app_id: UUID) -> Calendar:
    account = make_account()
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)
    return await add_calendar(storage, app_id, provider=SANDBOX, account_id=account.id)


async def taken_in(storage: Storage, app_id: UUID, calendar: Calendar, *names: str, **others: Any) -> list[Event]:
    """Store events that came from a provider, each with a copy of this name."""
    events = [make_event(calendar.id) for _ in names]
    async with storage.writing(app_id) as work:
        await work.events.add(events)
        pairs = [(event, make_counterpart(event, name, **others)) for event, name in zip(events, names, strict=True)]
        await work.links.take_in(pairs, NOW)
    return events


async def link_of(storage: Storage, app_id: UUID, event: Event) -> Link:
    async with storage.reading(app_id) as work:
        return (await work.links.many([event.id]))[event.id]


# What both sides agree on


async def test_what_came_from_a_provider_is_in_step_with_it(storage: Storage, app_id: UUID, calendar: Calendar) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1", warnings=WARNINGS)
    assert await link_of(storage, app_id, event) == Link(
        event_id=event.id,
        calendar_id=calendar.id,
        local_version=1,
        pushed_version=1,
        attempted_version=1,
        generation=0,
        remote_id="r-1",
        remote_etag='"1"',
        remote_url="https://calendar.example/r-1",
        last_synced_at=NOW,
        remote_uid=event.uid,
        agreed=Agreement(event.state, event.state),
        warnings=WARNINGS,
    )


async def test_taking_in_nothing_stores_nothing(storage: Storage, app_id: UUID, calendar: Calendar) -> None:
    assert await taken_in(storage, app_id, calendar) == []
    async with storage.reading(app_id) as work:
        assert await work.links.count_standing(calendar.id) == 0


AGREED = {
    "both say the same": Agreement(FULL, FULL),
    "theirs has another form": Agreement(FULL, replace(FULL, content=replace(FULL.content, description=None))),
    "there is no copy": Agreement(FULL, None),
    "whole days": Agreement(EventState(make_days(), make_content()), EventState(make_days(), make_content("x"))),
}


@pytest.mark.parametrize("agreed", AGREED.values(), ids=AGREED)
async def test_an_agreement_comes_back_as_it_was_noted(
    storage: Storage, app_id: UUID, calendar: Calendar, agreed: Agreement
) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1")
    for behind, pushed in ((True, 1), (False, 3)):
        async with storage.writing(app_id) as work:
            counterpart = make_counterpart(event, "r-2", etag='"2"', agreed=agreed, generation=4)
            await work.links.meet(event.id, 3, counterpart, NOW + HOUR, behind=behind)
        link = await link_of(storage, app_id, event)
        assert link.agreed == agreed
        assert (link.local_version, link.pushed_version, link.generation) == (3, pushed, 4)
        assert link.last_synced_at == (NOW if behind else NOW + HOUR)
        assert (link.remote_id, link.remote_etag) == ("r-2", '"2"')


async def test_what_is_agreed_ends_what_was_tried_and_what_was_disputed(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1")
    counterpart = make_counterpart(event, "r-1", etag='"9"')
    for settled in ("meet", "learn"):
        async with storage.writing(app_id) as work:
            await work.links.attempt(event.id, 2, FULL)
            await work.links.dispute(event.id, Conflict(FULL, '"5"', ("summary",)))
            await work.links.attempt(event.id, 2, FULL)
            if settled == "meet":
                await work.links.meet(event.id, 2, counterpart, NOW, behind=True)
            else:
                await work.links.learn(event.id, 2, NOW, counterpart)
        link = await link_of(storage, app_id, event)
        assert (link.sent, link.conflict, link.attempted_version) == (None, None, 2)


async def test_a_dispute_says_what_theirs_is_and_where_the_sides_differ(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1")
    conflict = Conflict(FULL, '"5"', ("attendees.bob@example.org", "summary"))
    async with storage.writing(app_id) as work:
        await work.links.attempt(event.id, 2, event.state)
        await work.links.dispute(event.id, conflict)
    link = await link_of(storage, app_id, event)
    assert (link.conflict, link.sent, link.remote_id) == (conflict, None, "r-1")
    assert link.agreed == Agreement(event.state, event.state)


async def test_what_is_tried_is_noted_and_what_has_surely_not_arrived_is_not(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1")
    for sent in (FULL, None):
        async with storage.writing(app_id) as work:
            await work.links.attempt(event.id, 2, sent)
        assert (await link_of(storage, app_id, event)).sent == sent
    async with storage.writing(app_id) as work:
        await work.links.attempt(event.id, 2, FULL)
        await work.links.not_sent(event.id)
    link = await link_of(storage, app_id, event)
    assert (link.sent, link.attempted_version, link.pushed_version) == (None, 2, 1)


# By the names of the copies


async def test_links_are_found_by_the_names_of_their_copies_in_their_calendar(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    other = await add_calendar(storage, app_id, provider=SANDBOX, account_id=calendar.account_id)
    one, two = await taken_in(storage, app_id, calendar, "r-1", "r-2")
    await taken_in(storage, app_id, other, "r-1")
    async with storage.reading(app_id) as work:
        found = await work.links.by_remote_ids(calendar.id, ["r-1", "r-2", "r-3"])
        assert {name: link.event_id for name, link in found.items()} == {"r-1": one.id, "r-2": two.id}
        assert await work.links.by_remote_ids(calendar.id, []) == {}
        assert await work.links.by_remote_ids(uuid7(), ["r-1"]) == {}


async def test_only_of_copies_that_are_known_and_undisputed_is_the_etag_told(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    names = ["plain", "tried", "disputed", "without an etag", "gone"]
    plain, tried, disputed, without, gone = await taken_in(storage, app_id, calendar, *names)
    unread = make_event(calendar.id)
    async with storage.writing(app_id) as work:
        await work.events.add([unread])
        await work.links.track([unread])
        await work.links.attempt(tried.id, 2, FULL)
        await work.links.dispute(disputed.id, Conflict(FULL, '"5"', ("summary",)))
        await work.links.meet(without.id, 1, make_counterpart(without, "without an etag", etag=None), NOW, behind=False)
        await work.links.begin_anew(gone.id, 1)
        assert await work.links.etags(calendar.id, [*names, "unknown"]) == {"plain": '"1"'}
        await work.links.not_sent(tried.id)
        assert set(await work.links.etags(calendar.id, names)) == {"plain", "tried"}
        assert await work.links.etags(calendar.id, ["tried"]) == {"tried": '"1"'}
        assert await work.links.etags(uuid7(), names) == {}
    assert plain.version == 1


async def test_what_has_a_copy_is_told_in_pieces_each_once(
    storage: Storage, app_id: UUID, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 3)
    names = [f"r-{number}" for number in range(7)]
    events = await taken_in(storage, app_id, calendar, *names)
    other = await add_calendar(storage, app_id, provider=SANDBOX, account_id=calendar.account_id)
    await taken_in(storage, app_id, other, "r-1")
    unsent = make_event(calendar.id)
    async with storage.writing(app_id) as work:
        await work.events.add([unsent])
        await work.links.track([unsent])
    async with storage.reading(app_id) as work:
        pieces = [list(piece) async for piece in work.links.standing(calendar.id)]
        assert await work.links.count_standing(calendar.id) == 7
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert sorted(each for piece in pieces for each in piece) == sorted(
        (event.id, name) for event, name in zip(events, names, strict=True)
    )


async def test_what_was_in_step_since_a_moment_is_told_where_it_has_a_copy(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    other = await add_calendar(storage, app_id, provider=SANDBOX, account_id=calendar.account_id)
    before, since, without = await taken_in(storage, app_id, calendar, "r-1", "r-2", "r-3")
    await taken_in(storage, app_id, other, "r-2")
    async with storage.writing(app_id) as work:
        await work.links.learn(since.id, 2, NOW + HOUR, make_counterpart(since, "r-2"))
        await work.links.learn(without.id, 2, NOW + HOUR, make_counterpart(without, None))
        assert await work.links.written_since(calendar.id, NOW) == [(since.id, "r-2")]
        assert await work.links.written_since(calendar.id, NOW + HOUR) == []
        assert (before.id, "r-1") in await work.links.written_since(calendar.id, NOW - HOUR)


async def test_events_without_a_copy_are_found_by_their_uid(storage: Storage, app_id: UUID, calendar: Calendar) -> None:
    [linked] = await taken_in(storage, app_id, calendar, "r-1")
    untracked, unsent = make_event(calendar.id), make_event(calendar.id)
    deleted, elsewhere = make_event(calendar.id, deleted_at=NOW), await add_calendar(storage, app_id)
    await add_events(storage, app_id, untracked, unsent, deleted, make_event(elsewhere.id))
    async with storage.writing(app_id) as work:
        await work.links.track([unsent])
        expected = {untracked.uid: untracked.id, unsent.uid: unsent.id}
        assert await work.links.unlinked(calendar.id) == expected
        await work.links.begin_anew(linked.id, 1)
        assert await work.links.unlinked(calendar.id) == expected | {linked.uid: linked.id}


# A whole calendar


async def test_every_event_of_a_calendar_can_be_tracked_at_once(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    other = await add_calendar(storage, app_id)
    events = [make_event(calendar.id, version=version) for version in (1, 2, 7)]
    gone = make_event(calendar.id, deleted_at=NOW)
    cancelled = make_event(calendar.id, status=EventStatus.CANCELLED)
    await add_events(storage, app_id, *events, gone, cancelled, make_event(other.id))
    async with storage.writing(app_id) as work:
        await work.links.track_calendar(calendar.id)
        found = await work.links.many([each.id for each in (*events, gone, cancelled)])
    assert {each.id: each.version for each in (*events, cancelled)} == {
        event_id: link.local_version for event_id, link in found.items()
    }
    told = [(link.calendar_id, link.pushed_version, link.attempted_version, link.agreed) for link in found.values()]
    assert set(told) == {(calendar.id, 0, 0, None)}


async def test_the_links_of_a_calendar_can_be_forgotten_and_its_events_stay(
    storage: Storage, app_id: UUID, calendar: Calendar
) -> None:
    other = await add_calendar(storage, app_id, provider=SANDBOX, account_id=calendar.account_id)
    [event], [kept] = await taken_in(storage, app_id, calendar, "r-1"), await taken_in(storage, app_id, other, "r-1")
    async with storage.writing(app_id) as work:
        await work.links.forget_calendar(calendar.id)
        assert list(await work.links.many([event.id, kept.id])) == [kept.id]
        assert await work.events.get(event.id) == event
        await work.links.track_calendar(calendar.id)
        assert (await work.links.many([event.id]))[event.id].remote_id is None


Change = Callable[[Event], Event]


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.became(FULL, at=NOW + DAY),
        lambda event: event.became(EventState(make_when(NOW + WEEK), make_content("Later")), at=NOW + DAY),
    ],
)
async def test_a_change_here_is_what_the_provider_has_not_heard_of(
    storage: Storage, app_id: UUID, calendar: Calendar, change: Change
) -> None:
    [event] = await taken_in(storage, app_id, calendar, "r-1")
    changed = change(event)
    async with storage.writing(app_id) as work:
        await work.events.save(changed, before=event)
        await work.links.track([changed])
    link = await link_of(storage, app_id, event)
    assert (link.local_version, link.pushed_version) == (2, 1)
    assert link.agreed == Agreement(event.state, event.state)
