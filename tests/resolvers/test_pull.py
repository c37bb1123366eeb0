"""Taking in what changes at a provider: nothing lost, nothing doubled, nothing deleted that somebody did not delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kalends.domain.calendars import AccountState
from kalends.domain.events import Event, EventState, Partstat
from kalends.domain.ids import uuid7
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SandboxCopy, Source, SyncStatus
from providers.errors import CalendarGone, ReconnectRequired, TokenExpired, Unreachable
from providers.interface import Broken, Known, Page, RemoteCalendar
from resolvers.conflicts import Keep, allow_deletions, resolve_conflict
from resolvers.pull import FULL_EVERY, Pulled, pull
from resolvers.sync import work_lane
from storage.changes import CHANGES
from storage.event_pages import EVENTS
from storage.sandbox import COPIES
from tests.helpers import HOUR, NOW, WEEK, make_content, make_when, wall
from tests.providers.scripted import Copy, ScriptedProvider
from tests.resolvers.sync_stage import EVER, PAST_LEASE, Crash, Stage

pytestmark = pytest.mark.anyio

POLL = timedelta(minutes=1)


def says(summary: str = "Theirs", **content: Any) -> EventState:
    return EventState(make_when(), make_content(summary, **content))


@dataclass
class There:
    """A person's view of the calendar at the sandbox."""

    stage: Stage

    async def add(self, state: EventState, uid: str | None = None) -> str:
        name, calendar = uuid7().hex, self.stage.calendar
        assert calendar.account_id is not None
        assert calendar.remote_id is not None
        body = to_plain(state) | {"iCalUID": uid or f"{name}@elsewhere"}
        await self._put(SandboxCopy(calendar.account_id, calendar.remote_id, name, 1, deleted=False, body=body))
        return name

    async def edit(self, name: str, **body: Any) -> None:
        [copy] = [each for each in await self.copies() if each.remote_id == name]
        await self._put(replace(copy, revision=copy.revision + 1, body={**copy.body, **body}))

    async def delete(self, *names: str) -> None:
        for copy in [each for each in await self.copies() if each.remote_id in names]:
            await self._put(replace(copy, revision=copy.revision + 1, deleted=True))

    async def copies(self) -> list[SandboxCopy]:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            rows = await work.sandbox.rows(select(COPIES).where(COPIES.c.deleted.is_(False)))
            found = [await work.sandbox.find(row.account_id, row.remote_id) for row in rows]
        return [copy for copy in found if copy is not None]

    async def titles(self) -> list[str]:
        return sorted(copy.body["summary"] for copy in await self.copies())

    async def _put(self, copy: SandboxCopy) -> None:
        async with self.stage.storage.writing(self.stage.app_id) as work:
            await work.sandbox.put(copy)


async def stored(stage: Stage) -> list[Event]:
    """Return what is stored, tombstones too, by title."""
    async with stage.storage.reading(stage.app_id) as work:
        ids = [row.id for row in await work.events.rows(select(EVENTS.c.id))]
        return sorted(await work.events.with_tombstones(ids), key=lambda each: each.content.summary)


async def titles(stage: Stage) -> list[str]:
    return [event.content.summary for event in await stored(stage)]


async def news(stage: Stage) -> list[tuple[str, str, str]]:
    """Return the change log: what happened to what, by whom."""
    async with stage.storage.reading(stage.app_id) as work:
        rows = await work.changes.rows(select(CHANGES).order_by(CHANGES.c.id))
    return [(row.kind, row.operation, row.origin.partition(":")[0]) for row in rows]


async def source(stage: Stage) -> Source:
    async with stage.storage.reading(stage.app_id) as work:
        return (await work.sources.many([stage.calendar.id]))[stage.calendar.id]


async def begin_reading(stage: Stage, *, empty: bool = False) -> None:
    stage.patient(poll=POLL)
    async with stage.storage.writing(stage.app_id) as work:
        await work.sources.open(stage.calendar.id, empty=stage.clock() if empty else None)
        await work.lanes.wake(stage.calendar.id, stage.calendar.account_id)


async def look(stage: Stage) -> None:
    """Let the time of a poll pass, and have everything done that is due."""
    stage.advance(POLL)
    await stage.drain()


@pytest.fixture
async def there(sandbox_stage: Stage) -> There:
    await begin_reading(sandbox_stage, empty=True)
    return There(sandbox_stage)


# The ordinary way in


async def test_what_a_person_makes_there_comes_here_and_is_news(there: There) -> None:
    stage = there.stage
    await there.add(says("Theirs", location="Room 2", attendees=()))
    await look(stage)
    [event] = await stored(stage)
    assert (event.content.summary, event.content.location, event.version) == ("Theirs", "Room 2", 1)
    assert event.when == make_when()
    assert event.uid.endswith("@elsewhere")
    assert (await stage.state(event)).status is SyncStatus.SYNCED
    assert await news(stage) == [("event", "CREATED", "provider")]


async def test_what_comes_in_is_never_sent_back(there: There) -> None:
    await there.add(says())
    await look(there.stage)
    for _ in range(3):
        await look(there.stage)
    [copy] = await there.copies()
    assert (copy.revision, copy.calls) == (1, 1)


async def test_our_own_copies_do_not_come_back_as_events(there: There) -> None:
    stage = there.stage
    event = await stage.create("Ours")
    for _ in range(3):
        await look(stage)
    assert await titles(stage) == await there.titles() == ["Ours"]
    assert (await stage.now(event)).version == 1


async def test_an_edit_there_comes_here_and_goes_nowhere(there: There) -> None:
    stage = there.stage
    event = await stage.create("Ours")
    await stage.drain()
    [copy] = await there.copies()
    await there.edit(copy.remote_id, summary="Theirs", location="There")
    await look(stage)
    now = await stage.now(event)
    assert (now.content.summary, now.content.location, now.version) == ("Theirs", "There", 2)
    assert (await there.copies())[0].revision == 2
    assert (await news(stage))[-1] == ("event", "UPDATED", "provider")
    assert await stage.intent(event) is None


async def test_edits_of_different_things_are_merged(there: There) -> None:
    stage = there.stage
    event = await stage.create("Base")
    await stage.drain()
    [copy] = await there.copies()
    await there.edit(copy.remote_id, location="There")
    await stage.update(event, summary="Ours")
    await look(stage)
    now = await stage.now(event)
    assert (now.content.summary, now.content.location) == ("Ours", "There")
    [copy] = await there.copies()
    assert (copy.body["summary"], copy.body["location"]) == ("Ours", "There")
    assert (await stage.state(event)).status is SyncStatus.SYNCED


async def test_an_event_that_was_deleted_there_is_deleted_here(there: There) -> None:
    stage = there.stage
    name = await there.add(says())
    await look(stage)
    [event] = await stored(stage)
    await there.delete(name)
    await look(stage)
    assert not await stage.exists(event)
    assert (await news(stage))[-1] == ("event", "DELETED", "provider")


async def test_an_edit_here_brings_back_what_was_deleted_there(there: There) -> None:
    stage = there.stage
    event = await stage.create("Base")
    await stage.drain()
    await there.delete((await there.copies())[0].remote_id)
    await stage.update(event, summary="Ours")
    await look(stage)
    assert await titles(stage) == await there.titles() == ["Ours"]
    assert (await stage.link(event)).generation == 1


async def test_an_edit_there_brings_back_what_was_deleted_here(there: There) -> None:
    stage = there.stage
    event = await stage.create("Base")
    await stage.drain()
    await there.edit((await there.copies())[0].remote_id, summary="Theirs")
    await stage.delete(event)
    await look(stage)
    assert await titles(stage) == await there.titles() == ["Theirs"]
    assert (await stage.now(event)).deleted_at is None


async def test_an_answer_of_an_attendee_does_not_bring_back_what_was_deleted_here(there: There) -> None:
    stage = there.stage
    event = await stage.create("Base", attendees=("bob@example.org",))
    await stage.drain()
    await there.edit((await there.copies())[0].remote_id, attendees=[["bob@example.org", Partstat.ACCEPTED]])
    await stage.delete(event)
    await look(stage)
    assert await titles(stage) == await there.titles() == []


async def test_a_series_comes_in_whole_and_blocks_its_times(there: There) -> None:
    stage = there.stage
    override = Override(make_when(NOW + WEEK + 3 * HOUR), make_content("Moved"))
    repeats = Recurrence(
        "FREQ=WEEKLY;COUNT=4",
        exdates=frozenset({wall("2026-05-18T09:00")}),
        overrides={wall("2026-05-11T09:00"): override},
    )
    await there.add(replace(says("Weekly"), recurrence=repeats))
    await look(stage)
    [event] = await stored(stage)
    assert event.recurrence == repeats
    async with stage.storage.reading(stage.app_id) as work:
        for weeks, hours, found in ((0, 0, ["Weekly"]), (1, 0, []), (1, 3, ["Moved"]), (2, 0, []), (3, 0, ["Weekly"])):
            start = NOW + weeks * WEEK + hours * HOUR
            busy = await work.events.in_the_way(stage.calendar.id, make_when(start).span)
            assert [each.content.summary for each in busy] == found
            assert all(each.when.span.start == start for each in busy)


async def test_an_edit_of_a_series_here_keeps_its_rule_and_its_exceptions_there(there: There) -> None:
    stage = there.stage
    override = Override(make_when(NOW + WEEK + 3 * HOUR), make_content("Moved"))
    repeats = Recurrence("FREQ=WEEKLY;COUNT=4", overrides={wall("2026-05-11T09:00"): override})
    await there.add(replace(says("Weekly"), recurrence=repeats))
    await look(stage)
    [event] = await stored(stage)
    await stage.update(event, summary="Ours")
    await look(stage)
    [copy] = await there.copies()
    assert from_plain(copy.body).recurrence == repeats
    assert copy.body["summary"] == "Ours"


# Conflicts


async def in_conflict(there: There) -> Event:
    stage = there.stage
    event = await stage.create("Base")
    await stage.drain()
    await there.edit((await there.copies())[0].remote_id, summary="Theirs", location="There")
    await stage.update(event, summary="Ours", description="Here")
    await look(stage)
    return event


async def test_a_conflict_touches_neither_side_and_shows_both(there: There) -> None:
    event = await in_conflict(there)
    state = await there.stage.state(event)
    assert (state.status, state.conflict and state.conflict.places) == (SyncStatus.CONFLICT, ("summary",))
    assert state.conflict is not None
    assert state.conflict.theirs.content.summary == "Theirs"
    for _ in range(3):
        await look(there.stage)
    assert await titles(there.stage) == ["Ours"]
    assert await there.titles() == ["Theirs"]


@pytest.mark.parametrize(("keep", "summary"), [(Keep.OURS, "Ours"), (Keep.THEIRS, "Theirs")])
async def test_a_decision_holds_for_what_clashes_and_keeps_the_rest_of_both(
    there: There, keep: Keep, summary: str
) -> None:
    event = await in_conflict(there)
    settled = await resolve_conflict(there.stage.services, there.stage.principal, event.id, keep)
    resolved, second = settled.event, settled.second
    assert second is None
    await look(there.stage)
    for content in (
        resolved.content,
        (await there.stage.now(event)).content,
        from_plain((await there.copies())[0].body).content,
    ):
        assert (content.summary, content.location, content.description) == (summary, "There", "Here")
    assert (await there.stage.state(event)).status is SyncStatus.SYNCED


async def test_both_sides_can_be_kept_as_two_events(there: There) -> None:
    event = await in_conflict(there)
    settled = await resolve_conflict(there.stage.services, there.stage.principal, event.id, Keep.BOTH)
    resolved, second = settled.event, settled.second
    assert second is not None
    assert (resolved.content.summary, second.content.summary) == ("Theirs", "Ours")
    await look(there.stage)
    assert await titles(there.stage) == await there.titles() == ["Ours", "Theirs"]


async def test_a_conflict_ends_by_itself_where_both_say_the_same_in_the_end(there: There) -> None:
    event = await in_conflict(there)
    await there.stage.update(event, summary="Theirs")
    await look(there.stage)
    assert (await there.stage.state(event)).status is SyncStatus.SYNCED
    assert [copy.body["description"] for copy in await there.copies()] == ["Here"]


async def test_a_conflict_shows_what_they_say_now(there: There) -> None:
    event = await in_conflict(there)
    await there.edit((await there.copies())[0].remote_id, summary="Theirs again")
    await look(there.stage)
    conflict = (await there.stage.state(event)).conflict
    assert conflict is not None
    assert conflict.theirs.content.summary == "Theirs again"


async def test_an_edit_between_the_decision_and_its_push_is_not_written_over(there: There) -> None:
    event = await in_conflict(there)
    await resolve_conflict(there.stage.services, there.stage.principal, event.id, Keep.OURS)
    await there.edit((await there.copies())[0].remote_id, summary="Theirs again")
    await look(there.stage)
    assert (await there.stage.state(event)).status is SyncStatus.CONFLICT
    assert await there.titles() == ["Theirs again"]


# The first look


async def test_nothing_is_written_before_what_is_there_is_known(sandbox_stage: Stage) -> None:
    there = There(sandbox_stage)
    ours = await sandbox_stage.create("Both have it")
    await there.add(replace(ours.state, content=replace(ours.content, location="There")), uid=ours.uid)
    await begin_reading(sandbox_stage)
    await sandbox_stage.drain()
    assert await titles(sandbox_stage) == await there.titles() == ["Both have it"]
    assert (await sandbox_stage.now(ours)).content.location == "There"
    assert (await sandbox_stage.state(ours)).status is SyncStatus.SYNCED


async def test_where_the_first_look_fails_events_wait_and_the_lane_sleeps(sandbox_stage: Stage) -> None:
    await sandbox_stage.misbehave(unavailable=1)
    await begin_reading(sandbox_stage)
    event = await sandbox_stage.create(sync_now=True)
    await sandbox_stage.drain()
    assert await There(sandbox_stage).copies() == []
    assert (await source(sandbox_stage)).last_error
    await sandbox_stage.misbehave()
    sandbox_stage.advance(EVER)
    await sandbox_stage.drain()
    assert (await sandbox_stage.state(event)).status is SyncStatus.SYNCED


# Deletions, and what only looks like one


async def nothing_else() -> None:
    """Happen not at all."""


@dataclass
class Pages(ScriptedProvider):
    """Tells changes in the pages that a test has written; an exception in their place is raised."""

    pages: list[list[Page | BaseException]] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] = nothing_else

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:  # noqa: ARG002
        self.asked.append(token)
        for page in self.pages.pop(0) if self.pages else [Page(token=token or "end", whole=token is None)]:
            if isinstance(page, BaseException):
                raise page
            await self.meanwhile()
            yield page

    def told(self, *names: str, **options: Any) -> Page:
        """Return a page with these copies as they are now."""
        return Page([self._seen(name) for name in names], **options)

    def has(self, name: str, summary: str = "Theirs") -> str:
        self.copies[name] = Copy(uuid7(), 0, says(summary), 1)
        return name


@pytest.fixture
def provider() -> Pages:
    return Pages()


@pytest.fixture
async def reading(stage: Stage, provider: Pages) -> Stage:
    await begin_reading(stage)
    return stage


async def test_pages_after_the_first_are_read_before_anything_is_deleted(reading: Stage, provider: Pages) -> None:
    names = [provider.has(f"copy-{number}") for number in range(3)]
    provider.pages = [
        [provider.told(names[0]), provider.told(names[1]), provider.told(names[2], token="1", whole=True)]
    ]
    await reading.drain()
    assert len(await stored(reading)) == 3
    provider.pages = [[provider.told(names[0]), Unreachable("The second page is away.")]]
    reading.advance(FULL_EVERY)
    await reading.drain()
    assert len(await stored(reading)) == 3
    assert (await source(reading)).last_error == "The second page is away."
    assert provider.kinds() == []


async def test_a_token_that_ends_in_the_middle_leads_to_a_whole_round_and_to_no_deletion(
    reading: Stage, provider: Pages
) -> None:
    names = [provider.has(f"copy-{number}") for number in range(3)]
    provider.pages = [[provider.told(*names, token="1", whole=True)]]
    await reading.drain()
    fresh = provider.has("fresh")
    provider.pages = [
        [provider.told(fresh), TokenExpired("It is too old.")],
        [provider.told(*names), provider.told(fresh, token="2", whole=True)],
    ]
    await look(reading)
    assert provider.asked == [None, "1", None]
    assert len(await stored(reading)) == 4


async def test_a_copy_that_a_whole_round_leaves_out_is_asked_for_before_its_event_is_deleted(
    reading: Stage, provider: Pages
) -> None:
    names = [provider.has(f"copy-{number}", f"Number {number}") for number in range(3)]
    provider.pages = [[provider.told(*names, token="1", whole=True)]]
    await reading.drain()
    provider.copies[names[2]].deleted = True
    provider.pages = [[provider.told(names[0], token="2", whole=True)]]
    reading.advance(FULL_EVERY)
    await reading.drain()
    assert provider.kinds() == ["find", "find"]
    assert await titles(reading) == ["Number 0", "Number 1"]


async def test_what_came_and_went_between_two_looks_is_asked_for_once_by_its_name(
    reading: Stage, provider: Pages
) -> None:
    await reading.drain()
    reading.advance(timedelta(seconds=1))
    gone, stays = [await reading.create(summary) for summary in ("Deleted there", "Stays")]
    await reading.drain()
    provider.meddle(gone.id, delete=True)
    await look(reading)
    assert await titles(reading) == ["Stays"]
    asked = len(provider.calls)
    await look(reading)
    assert len(provider.calls) == asked
    assert provider.kinds(stays.id) == ["create", "find"]


async def test_an_event_that_is_new_here_is_not_taken_for_deleted_there(reading: Stage, provider: Pages) -> None:
    await reading.drain()
    event = await reading.create()
    reading.advance(FULL_EVERY)
    await reading.drain()
    assert await reading.exists(event)


async def test_many_deletions_wait_until_a_person_has_looked(there: There) -> None:
    stage = there.stage
    names = [await there.add(says(f"Number {number:02}")) for number in range(20)]
    await look(stage)
    await there.delete(*names[:15])
    await there.edit(names[19], summary="Renamed")
    await look(stage)
    assert len(await stored(stage)) == 20
    assert (await source(stage)).held == 15
    assert (await titles(stage))[-1] == "Renamed"
    await allow_deletions(stage.services, stage.principal, stage.calendar.id, 15)
    await stage.drain()
    assert len(await stored(stage)) == 5
    assert (await source(stage)).held == 0


async def test_what_was_allowed_does_not_cover_more(there: There) -> None:
    stage = there.stage
    names = [await there.add(says(f"Number {number:02}")) for number in range(40)]
    await look(stage)
    await there.delete(*names[:15])
    await look(stage)
    await there.delete(*names[15:30])
    await allow_deletions(stage.services, stage.principal, stage.calendar.id, 15)
    await stage.drain()
    assert len(await stored(stage)) == 40
    assert (await source(stage)).held == 30


async def test_pushes_go_on_while_deletions_wait(there: There) -> None:
    stage = there.stage
    names = [await there.add(says(f"Number {number:02}")) for number in range(20)]
    await look(stage)
    await there.delete(*names)
    await stage.create("Ours")
    await look(stage)
    assert await there.titles() == ["Ours"]


async def test_a_calendar_that_is_gone_takes_nothing_along_and_comes_back(reading: Stage, provider: Pages) -> None:
    provider.pages = [[provider.told(provider.has("copy"), token="1", whole=True)]]
    await reading.drain()
    provider.pages = [[CalendarGone("There is no such calendar.")]]
    event = await reading.create("Waits")
    await look(reading)
    assert await titles(reading) == ["Theirs", "Waits"]
    assert (await source(reading)).gone == reading.clock()
    await look(reading)
    assert provider.kinds() == []
    reading.advance(EVER)
    await reading.drain()
    assert (await source(reading)).gone is None
    assert (await reading.state(event)).status is SyncStatus.SYNCED


async def test_a_calendar_that_is_found_gone_by_a_push_is_marked_too(reading: Stage, provider: Pages) -> None:
    await reading.drain()

    async def gone(_call: object) -> None:
        raise CalendarGone("There is no such calendar.")

    provider.before = gone
    event = await reading.create()
    await reading.drain()
    assert (await source(reading)).gone is not None
    state = await reading.state(event)
    assert (state.status, state.last_error) == (SyncStatus.PENDING, "There is no such calendar.")
    assert provider.kinds() == ["create"]


# What cannot be read


async def test_what_is_broken_is_named_and_the_rest_is_taken_in(reading: Stage, provider: Pages) -> None:
    broken = Broken("broken@elsewhere", "It has no start.")
    unfit = provider.has("unfit", "Too long " * 200)
    provider.pages = [
        [Page([provider._seen(provider.has("good"))], [broken]), provider.told(unfit, token="1", whole=True)]
    ]
    await reading.drain()
    assert await titles(reading) == ["Theirs"]
    assert [name for name, _ in (await source(reading)).broken] == ["broken@elsewhere", "unfit"]


@pytest.mark.parametrize("error", [Unreachable("The provider is away."), RuntimeError("a defect")])
async def test_a_look_that_fails_is_tried_again_later_each_time(
    reading: Stage, provider: Pages, error: BaseException
) -> None:
    provider.pages = [[error], [error], [error]]
    for failures in (1, 2, 3):
        await reading.drain()
        assert (await source(reading)).failures == failures
        reading.advance(EVER)
    await reading.drain()
    assert ((await source(reading)).failures, (await source(reading)).last_error) == (0, None)


async def test_a_revoked_grant_parks_the_calendar_and_is_news(reading: Stage, provider: Pages) -> None:
    provider.pages = [[ReconnectRequired("The grant is gone.")]]
    event = await reading.create()
    await reading.drain()
    account = await reading.account()
    assert (account.state, account.last_error) == (AccountState.NEEDS_RECONNECT, "The grant is gone.")
    assert ("account", "UPDATED", "provider") in await news(reading)
    assert (await reading.state(event)).status is SyncStatus.PARKED
    reading.advance(EVER)
    assert await reading.turn() == 0


async def test_a_daily_round_finds_what_the_provider_forgot_to_tell(reading: Stage, provider: Pages) -> None:
    await reading.drain()
    name = provider.has("forgotten")
    await look(reading)
    assert await titles(reading) == []
    provider.pages = [[provider.told(name, token="2", whole=True)]]
    reading.advance(FULL_EVERY)
    await reading.drain()
    assert await titles(reading) == ["Theirs"]
    assert provider.asked[-1] is None


async def test_a_copy_that_is_told_twice_or_again_is_one_event(reading: Stage, provider: Pages) -> None:
    name = provider.has("copy")
    provider.pages = [[provider.told(name, name), provider.told(name), provider.told(name, token="1", whole=True)]]
    await reading.drain()
    provider.pages = [[provider.told(name, token="2")]]
    await look(reading)
    [event] = await stored(reading)
    assert event.version == 1


async def test_several_updates_of_one_write_of_ours_change_nothing(reading: Stage, provider: Pages) -> None:
    await reading.drain()
    event = await reading.create("Ours")
    await reading.drain()
    [name] = provider.copies
    for _ in range(3):
        provider.copies[name].revision += 1  # the same, with another etag
        provider.pages = [[provider.told(name, token="1")]]
        await look(reading)
    assert (await reading.now(event)).version == 1
    assert provider.kinds() == ["create"]


# Several processes


async def test_a_worker_past_its_lease_takes_nothing_in(reading: Stage, provider: Pages) -> None:
    name = provider.has("copy")

    async def meanwhile() -> None:
        reading.advance(PAST_LEASE)
        assert len(await reading.take()) == 1

    provider.meanwhile = meanwhile
    provider.pages = [[provider.told(name, token="1", whole=True)]]
    [late] = await reading.take()
    assert await pull(reading.services, late) is Pulled.LOST
    assert await stored(reading) == []
    assert (await source(reading)).synced_at is None


async def test_a_round_that_breaks_off_is_read_again_by_others(reading: Stage, provider: Pages) -> None:
    names = [provider.has(f"copy-{number}") for number in range(2)]
    first, last = provider.told(names[0]), provider.told(*names, token="1", whole=True)

    async def die() -> None:
        raise Crash

    provider.meanwhile, provider.pages = die, [[first, last]]
    with pytest.raises(Crash):
        await reading.turn()
    provider.meanwhile, provider.pages = nothing_else, [[first, last]]
    reading.advance(PAST_LEASE)
    await reading.drain()
    assert provider.asked == [None, None]
    assert len(await stored(reading)) == 2


async def test_a_process_that_is_ending_leaves_the_round_to_others(reading: Stage, provider: Pages) -> None:
    provider.pages = [[provider.told(provider.has("copy"), token="1", whole=True)]]
    [lane] = await reading.take()
    await work_lane(reading.services, lane, go_on=lambda: False)
    assert await stored(reading) == []
    provider.pages = [[provider.told("copy", token="1", whole=True)]]
    await reading.drain()
    assert len(await stored(reading)) == 1
