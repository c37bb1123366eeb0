"""What must hold between our calendars and any provider's, through engine and provider together.

A world's tests subclass `SyncSuite` and name it:

    class TestGoogle(SyncSuite):
        @pytest.fixture
        def kind(self) -> str:
            return "google"

What the person sees, they see in their provider's own words, translated back by tests alone. What the provider cannot
do is said by its capabilities, and then the event's state must say so, too.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

import pytest
from sqlalchemy import event as listen

from kalends.domain.calendars import AccountState
from kalends.domain.events import Event, EventState, EventStatus, Partstat, Visibility
from kalends.domain.merge import same
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.sync import SyncStatus, WarningCode
from resolvers.conflicts import Keep, resolve_conflict
from tests.contracts.provider_contract import EVENTS, OWNER
from tests.helpers import DAY, HOUR, NOW, WEEK, make_content, make_event, make_when, wall
from tests.resolvers.sync_stage import EVER, PAST_LEASE, Crash
from tests.sync.history import History
from tests.sync.line import RETRY_AFTER, Trouble
from tests.sync.worlds.world import World, writes

GUESTS = ("bob@example.org", "Chloé.Ünï@example.org")
SOMEBODY = "grace@example.org"
BERLIN_9 = wall("2026-05-04T09:00")

HERE: dict[str, dict[str, Any]] = {
    "plain": {},
    "text": {"location": "Straße 1; Raum «2», 3\\4", "description": 'several\nlines\n\n"quoted" 日本語 🗓️ <b>&amp;</b>'},
    "another zone": {"tzid": "America/New_York"},
    "all day": {"start": date(2026, 5, 4), "end": date(2026, 5, 5), "all_day": True},
    "several days": {"start": date(2026, 12, 30), "end": date(2027, 1, 3), "all_day": True},
    "transparent": {"transparent": True},
    "tentative": {"status": EventStatus.TENTATIVE},
    "private": {"visibility": Visibility.PRIVATE},
    "public": {"visibility": Visibility.PUBLIC},
    "reminded": {"reminders": (10,)},
    "reminded twice": {"reminders": (5, 60)},
    "not reminded": {"reminders": ()},
    "metadata": {"metadata": {"crm": "4711", "note": "späť"}},
    "participants": {"attendees": GUESTS},
    "invited": {"attendees": GUESTS, "send_invitations": True},
    "declined": {"attendees": (OWNER, *GUESTS), "partstat": Partstat.DECLINED},
}
"""What callers make of an event, as fields of `EventDraft` and of `EventChanges`."""

THERE = {
    kind: fields
    for kind, fields in EVENTS.items()
    if kind not in ("with long text", "with invitations", "declined by the owner", "cancelled")
}
"""What people make there, as arguments of `make_event`."""

EDITS: dict[str, dict[str, Any]] = {
    "title": {"summary": "Renamed there"},
    "place": {"location": "Elsewhere"},
    "description": {"description": "several\nlines"},
    "time": {"when": make_when(NOW + 2 * HOUR, 2 * HOUR)},
    "transparency": {"transparent": True},
    "status": {"status": EventStatus.TENTATIVE},
    "visibility": {"visibility": Visibility.PRIVATE},
    "reminders": {"reminders": (30,)},
}
"""What people change there."""

SERIES = Recurrence(
    "FREQ=WEEKLY;COUNT=6",
    exdates=frozenset({BERLIN_9 + 3 * WEEK}),
    overrides={
        BERLIN_9 + WEEK: Override(make_when(NOW + WEEK + 3 * HOUR), make_content("Weekly")),
        BERLIN_9 + 2 * WEEK: Override(make_when(NOW + 2 * WEEK), make_content("Renamed", location="Room 3")),
    },
)
"""Mondays at 09:00, of which the second is in the afternoon, the third has another title, the fourth is left out."""


def weekly(**content: Any) -> EventState:
    return EventState(make_when(), make_content("Weekly", **content), SERIES)


class SyncSuite:
    """The suite. Its tests have no order."""

    pytestmark = pytest.mark.anyio

    unmakeable: ClassVar[frozenset[str]] = frozenset()
    """Kinds of `THERE` that a person cannot make in this world."""

    many: ClassVar[int] = 120
    """How many events there are in the test of many."""

    # From here to there

    async def test_whatever_is_made_here_is_seen_there_and_comes_back_unchanged(self, world: World) -> None:
        events = {kind: await world.stage.create(kind, **draft) for kind, draft in HERE.items()}
        await world.look()
        for kind, event in events.items():
            await self.is_seen(world, event, kind)
        await world.at_rest()

    async def test_whatever_is_changed_here_is_changed_there_and_comes_back_unchanged(self, world: World) -> None:
        events = {kind: await world.stage.create(kind) for kind in HERE}
        await world.look()
        for kind, event in events.items():
            await world.stage.update(event, summary=f"{kind}, changed", **HERE[kind])
        await world.look()
        for kind, event in events.items():
            await self.is_seen(world, event, kind)
        await world.at_rest()
        for event in events.values():
            await world.stage.update(event, summary="Once more", location="Nowhere")
        await world.look()
        assert await world.person.titles() == ["Once more"] * len(events)
        await world.in_step()

    async def is_seen(self, world: World, event: Event, kind: str) -> None:
        """Check that an event is seen there as the provider promises, and as it is unless something warns of more."""
        now, state = await world.stage.now(event), await world.stage.state(event)
        seen = await world.seen(event)
        assert same(seen, await world.expected(now)), kind
        plain = replace(now.content, send_invitations=False)
        assert state.warnings or same(seen, replace(now.state, content=plain)), kind

    async def test_a_cancelled_event_is_cancelled_there_or_gone_and_comes_back(self, world: World) -> None:
        event = await world.stage.create("Cancelled")
        await world.look()
        await world.stage.cancel(event)
        await world.look()
        state, seen = await world.stage.state(event), await world.person.sees()
        if world.provider.capabilities.keeps_cancelled:
            assert [each.content.status for each in seen.values()] == [EventStatus.CANCELLED]
        else:
            assert seen == {}
            assert [each.code for each in state.warnings] == [WarningCode.CANCELLATION_DELETES]
        await world.at_rest()
        await world.stage.update(event, status=EventStatus.CONFIRMED)
        await world.look()
        assert await world.person.titles() == ["Cancelled"]
        await world.at_rest()

    async def test_a_deleted_event_is_deleted_there_and_forgotten_here(self, world: World) -> None:
        event = await world.stage.create("Deleted")
        await world.stage.create("Stays")
        await world.look()
        await world.stage.delete(event)
        await world.look()
        assert await world.person.titles() == ["Stays"]
        assert not await world.stage.exists(event)
        await world.at_rest()

    async def test_an_answer_to_somebodys_invitation_is_seen_there(self, world: World) -> None:
        name = await world.person.is_invited(SOMEBODY)
        await world.look()
        event = await world.only()
        assert (event.content.organizer, event.content.partstat) == (SOMEBODY, Partstat.NEEDS_ACTION)
        await world.at_rest()
        for answer in (Partstat.TENTATIVE, Partstat.ACCEPTED):
            await world.stage.respond(event, answer)
            await world.look()
            seen = (await world.person.sees())[name]
            assert seen.content.partstat is answer
            assert [each.partstat for each in seen.content.attendees if each.email == OWNER] == [answer]
        await world.at_rest()

    # From there to here

    async def test_whatever_is_made_there_comes_here_and_is_never_sent_back(self, world: World) -> None:
        names = {}
        for kind, fields in THERE.items():
            if kind not in self.unmakeable:
                made = make_event(world.stage.calendar.id, **fields)
                names[kind] = await world.person.adds(
                    replace(made.state, content=replace(made.content, summary=f"{made.content.summary} {kind}"))
                )
        await world.look()
        events = {(await world.stage.link(event)).remote_id: event for event in await world.stored()}
        seen = await world.person.sees()
        for kind, name in names.items():
            assert same(events[name].state, seen[name]), kind
            assert events[name].version == 1
        await world.at_rest()
        assert world.written() == []

    async def test_whatever_is_edited_there_changes_here_and_is_never_sent_back(self, world: World) -> None:
        events = {kind: await world.stage.create(kind) for kind in EDITS}
        await world.look()
        sent = len(world.line.sent)
        for kind, fields in EDITS.items():
            await world.person.edits(await world.person.finds(kind), **fields)
        await world.look()
        for kind, fields in EDITS.items():
            now = await world.stage.now(events[kind])
            assert now.version == 2, kind
            for field, value in fields.items():
                assert getattr(now if field == "when" else now.content, field) == value, kind
        await world.at_rest()
        assert world.written(sent) == []

    async def test_what_is_deleted_there_is_deleted_here(self, world: World) -> None:
        ours = await world.stage.create("Ours")
        theirs = await world.person.adds(EventState(make_when(), make_content("Theirs")))
        await world.person.adds(EventState(make_when(), make_content("Stays")))
        await world.look()
        await world.person.removes(theirs)
        await world.person.removes(await world.person.finds("Ours"))
        await world.look()
        assert await world.titles() == ["Stays"]
        assert not await world.stage.exists(ours)
        await world.at_rest()

    # Both at once

    async def test_edits_of_different_things_are_merged(self, world: World) -> None:
        event = await world.stage.create("Base", attendees=())
        await world.look()
        await world.person.edits(await world.person.finds("Base"), location="There", transparent=True)
        await world.stage.update(event, summary="Ours", description="Here")
        await world.look()
        content = (await world.stage.now(event)).content
        assert (content.summary, content.description, content.location) == ("Ours", "Here", "There")
        assert content.transparent
        await world.at_rest()

    async def test_a_clash_is_a_conflict_with_both_sides_and_a_person_decides(self, world: World) -> None:
        events = {keep: await world.stage.create(keep) for keep in Keep}
        await world.look()
        for keep, event in events.items():
            name = await world.person.finds(keep)
            await world.person.edits(name, summary=f"Theirs {keep}", location="There")
            await world.stage.update(event, summary=f"Ours {keep}", description="Here")
        await world.look()
        for keep, event in events.items():
            state = await world.stage.state(event)
            assert (state.status, state.conflict and state.conflict.places) == (SyncStatus.CONFLICT, ("summary",))
            assert state.conflict is not None
            assert state.conflict.theirs.content.summary == f"Theirs {keep}"
            assert (await world.stage.now(event)).content.summary == f"Ours {keep}"
        assert await world.person.titles() == sorted(f"Theirs {keep}" for keep in Keep)
        await world.at_rest(conflicts=3)
        for keep, event in events.items():
            await resolve_conflict(world.stage.services, world.principal, event.id, keep)
        await world.look()
        kept = ["Ours BOTH", "Ours OURS", "Theirs BOTH", "Theirs THEIRS"]
        assert await world.titles() == await world.person.titles() == kept
        for event in events.values():
            content = (await world.stage.now(event)).content
            assert (content.location, content.description) == ("There", "Here")
        await world.at_rest()

    async def test_a_deletion_against_an_edit_keeps_the_event_wherever_it_was_deleted(self, world: World) -> None:
        here, there = await world.stage.create("Deleted here"), await world.stage.create("Deleted there")
        await world.look()
        await world.person.edits(await world.person.finds("Deleted here"), location="Edited there")
        await world.person.removes(await world.person.finds("Deleted there"))
        await world.stage.delete(here)
        await world.stage.update(there, location="Edited here")
        await world.look()
        assert await world.titles() == await world.person.titles() == ["Deleted here", "Deleted there"]
        assert (await world.stage.now(here)).content.location == "Edited there"
        assert {each.content.location for each in (await world.person.sees()).values()} == {
            "Edited here",
            "Edited there",
        }
        await world.at_rest()

    # Series

    async def test_a_series_comes_whole_and_its_times_are_busy_as_they_are_there(self, world: World) -> None:
        await world.person.adds(weekly())
        await world.look()
        event = await world.only()
        assert same(event.state, weekly())
        for weeks, hours, found in ((0, 0, 1), (1, 0, 0), (1, 3, 1), (2, 0, 1), (3, 0, 0), (4, 0, 1), (6, 0, 0)):
            async with world.stage.storage.reading(world.stage.app_id) as work:
                span = make_when(NOW + weeks * WEEK + hours * HOUR).span
                assert len(await work.events.in_the_way(world.stage.calendar.id, span)) == found, (weeks, hours)
        await world.at_rest()
        assert world.written() == []

    async def test_what_is_changed_of_a_series_there_changes_here(self, world: World) -> None:
        name = await world.person.adds(weekly())
        await world.look()
        event = await world.only()
        await world.person.moves(name, BERLIN_9 + 4 * WEEK, 2 * HOUR, summary="Moved there")
        await world.person.drops(name, BERLIN_9 + 5 * WEEK)
        await world.look()
        recurrence = (await world.stage.now(event)).recurrence
        assert recurrence is not None
        assert recurrence.exdates == {BERLIN_9 + 3 * WEEK, BERLIN_9 + 5 * WEEK}
        moved = recurrence.overrides[BERLIN_9 + 4 * WEEK]
        assert (moved.when.start, moved.content.summary) == (BERLIN_9 + 4 * WEEK + 2 * HOUR, "Moved there")
        assert recurrence.overrides.keys() >= SERIES.overrides.keys()
        await world.at_rest()
        await world.person.repeats(name, "FREQ=WEEKLY;COUNT=9")
        await world.look()
        now = await world.stage.now(event)
        assert now.recurrence is not None
        assert now.recurrence.rule == "FREQ=WEEKLY;COUNT=9"
        await world.person.edits(name, location="Everywhere")
        await world.look()
        assert (await world.stage.now(event)).content.location == "Everywhere"
        await world.at_rest()
        assert world.written() == []

    async def test_another_title_of_a_series_here_keeps_what_its_exceptions_say_otherwise(self, world: World) -> None:
        name = await world.person.adds(weekly())
        await world.look()
        event = await world.only()
        await world.stage.update(event, summary="Ours", transparent=True)
        await world.look()
        seen = (await world.person.sees())[name]
        assert seen.recurrence is not None
        assert seen.recurrence.exdates == SERIES.exdates
        said = {
            wall: (each.when.span, each.content.summary, each.content.location, each.content.transparent)
            for wall, each in seen.recurrence.overrides.items()
        }
        first, second = (SERIES.overrides[BERLIN_9 + weeks * WEEK].when.span for weeks in (1, 2))
        assert (seen.content.summary, seen.content.transparent) == ("Ours", True)
        assert said == {
            BERLIN_9 + WEEK: (first, "Ours", "", True),
            BERLIN_9 + 2 * WEEK: (second, "Renamed", "Room 3", True),
        }
        await world.at_rest()

    async def test_a_series_that_is_moved_here_takes_its_exceptions_along(self, world: World) -> None:
        await world.person.adds(weekly())
        await world.look()
        event = await world.only()
        await world.stage.update(event, start=NOW + HOUR, end=NOW + 2 * HOUR)
        await world.look()
        now = await world.stage.now(event)
        assert now.recurrence is not None
        assert now.recurrence.exdates == {BERLIN_9 + 3 * WEEK + HOUR}
        assert now.recurrence.overrides.keys() == {BERLIN_9 + HOUR + WEEK, BERLIN_9 + HOUR + 2 * WEEK}
        await world.at_rest()
        await world.stage.delete(event)
        await world.look()
        assert await world.person.sees() == {}
        await world.at_rest()

    # Many, and once more

    async def test_a_long_calendar_comes_over_in_pages_and_nothing_is_missed(self, world: World) -> None:
        for number in range(self.many):
            await world.person.adds(EventState(make_when(NOW + number * HOUR), make_content(f"Number {number:03}")))
        await world.look()
        assert await world.titles() == [f"Number {number:03}" for number in range(self.many)]
        await world.at_rest()

    async def test_what_was_linked_and_is_linked_again_is_not_there_twice(self, world: World) -> None:
        kept, changed = await world.stage.create("Ours"), await world.stage.create("Ours, too")
        await world.person.adds(EventState(make_when(NOW + DAY), make_content("Theirs")))
        await world.person.adds(weekly())
        await world.look()
        await world.disconnect()
        assert (await world.stage.state(kept)).status is SyncStatus.LOCAL
        await world.stage.update(changed, location="Changed meanwhile")
        await world.stage.create("New here")
        await world.person.edits(await world.person.finds("Theirs"), location="Changed there")
        await world.connect()
        await world.link()
        await world.look()
        everything = ["New here", "Ours", "Ours, too", "Theirs", "Weekly"]
        assert await world.titles() == await world.person.titles() == everything
        seen = {each.content.summary: each.content.location for each in (await world.person.sees()).values()}
        assert (seen["Ours, too"], seen["Theirs"]) == ("Changed meanwhile", "Changed there")
        await world.at_rest()

    # When things go wrong

    async def test_a_kill_at_any_request_loses_and_doubles_nothing(self, world: World) -> None:
        await world.person.adds(weekly())
        edited, made = await world.stage.create("Edited"), await world.stage.create("Made")
        await world.look()
        series = next(event for event in await world.stored() if event.recurrence is not None)
        number, died = -1, True
        while died:
            await world.stage.delete(made)
            await world.stage.update(edited, summary=f"Edited {number}")
            start = NOW + number % 2 * HOUR
            await world.stage.update(series, start=start, end=start + HOUR)
            made = await world.stage.create(f"Made {number}")
            if number < 0:
                world.line.dies(0, done=False)
            else:
                world.line.dies(number, done=True, only=self.matters)
            died = await self.dies(world)
            world.line.heal()
            world.stage.advance(PAST_LEASE)
            await world.stage.converge()
            await world.in_step()
            assert await world.titles() == [f"Edited {number}", f"Made {number}", "Weekly"]
            number += 1
        assert number > 3  # each of the three was written
        await world.at_rest()

    def matters(self, request: str) -> bool:
        """Tell whether a kill after this request is worth trying."""
        return writes(request)

    async def test_a_kill_before_an_acknowledgement_loses_and_doubles_nothing(self, world: World) -> None:
        event = await world.stage.create("Made")
        for step in ("made", "changed", "deleted"):
            if step == "changed":
                await world.stage.update(event, summary="Changed")
            elif step == "deleted":
                await world.stage.delete(event)
            with self.killed_after_a_write(world):
                assert await self.dies(world)
            world.stage.advance(PAST_LEASE)
            await world.converge()
            await world.at_rest()
        assert await world.person.sees() == {}

    async def dies(self, world: World) -> bool:
        """Look once, and tell whether our process died on the way."""
        with suppress(Crash):
            await world.look()
            return False
        return True

    @contextmanager
    def killed_after_a_write(self, world: World) -> Iterator[None]:
        """Let our process die before it commits what a write was answered."""
        answered: list[str] = []

        def telling(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def tell(*args: Any) -> Any:
                answer = await write(*args)
                answered.append(write.__name__)
                return answer

            return tell

        def commit(_connection: object) -> None:
            if answered:
                raise Crash

        engine = world.stage.storage.database.writer.sync_engine
        listen.listen(engine, "commit", commit)
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name in ("create", "update", "delete"):
                    patch.setattr(world.provider, name, telling(getattr(world.provider, name)))
                yield
        finally:
            listen.remove(engine, "commit", commit)

    async def test_replies_that_are_lost_lose_and_double_nothing(self, world: World) -> None:
        events = [await world.stage.create(f"Number {number}", attendees=GUESTS) for number in range(4)]
        for round_ in range(3):
            world.line.breaks(Trouble.REPLY_LOST, times=3)
            await world.look()
            world.line.heal()
            await world.converge()
            await world.in_step()
            assert len(await world.person.sees()) == len(events)
            for event in events:
                await world.stage.update(event, summary=f"Changed {round_}")
        await world.converge()
        await world.at_rest()

    async def test_a_busy_provider_is_left_alone_and_an_absent_one_is_asked_again(self, world: World) -> None:
        event = await world.stage.create("Waits")
        world.line.breaks(Trouble.THROTTLED, only=self.pushes)
        await world.look()
        account = await world.account()
        assert account.state is AccountState.ACTIVE
        assert account.blocked_until is not None
        assert (await world.stage.state(event)).attempts == 0
        sent = len(world.line.sent)
        await world.stage.drain()
        assert len(world.line.sent) == sent
        world.line.heal()
        world.stage.advance(RETRY_AFTER)
        await world.stage.drain()
        await world.in_step()
        await world.stage.update(event, summary="Waits again")
        world.line.breaks(Trouble.UNAVAILABLE, times=3)
        await world.look()
        await world.converge()
        await world.at_rest()
        assert await world.person.titles() == ["Waits again"]

    pushes: ClassVar[str] = ""
    """A part of the requests that are refused while a busy provider is left alone; empty for all."""

    async def test_a_grant_that_ends_in_the_middle_parks_everything_until_it_is_given_again(self, world: World) -> None:
        event = await world.stage.create("Before")
        await world.look()
        await world.revoke()
        await world.stage.update(event, summary="Meanwhile")
        new = await world.stage.create("New")
        await world.person.adds(EventState(make_when(), make_content("Theirs")))
        await world.look()
        account = await world.account()
        assert account.state is AccountState.NEEDS_RECONNECT
        assert account.last_error
        assert {(await world.stage.state(each)).status for each in (event, new)} == {SyncStatus.PARKED}
        world.stage.advance(EVER)
        assert await world.stage.turn() == 0
        await world.connect()
        await world.converge()
        assert (await world.account()).state is AccountState.ACTIVE
        assert await world.titles() == await world.person.titles() == ["Meanwhile", "New", "Theirs"]
        await world.at_rest()

    async def test_a_change_token_that_expires_leads_to_a_whole_round_and_to_no_deletion(self, world: World) -> None:
        await world.stage.create("Ours")
        theirs = await world.person.adds(EventState(make_when(), make_content("Theirs")))
        await world.person.adds(EventState(make_when(), make_content("Deleted")))
        await world.look()
        await world.expire()
        await world.person.edits(theirs, summary="Theirs, renamed")
        await world.person.removes(await world.person.finds("Deleted"))
        await world.look()
        assert await world.titles() == ["Ours", "Theirs, renamed"]
        await world.at_rest()

    @pytest.mark.parametrize("seed", range(3))
    async def test_after_any_history_both_sides_are_equal(self, world: World, seed: int) -> None:
        await History(world, random.Random(f"{type(self).__name__} {seed}")).run(25)


class MailSuite(SyncSuite):
    """What must hold besides where the provider's mail can be counted."""

    async def test_nobody_is_mailed_twice(self, world: World) -> None:
        invited = [(each, "invitation") for each in sorted(GUESTS)]
        updated = [(each, "update") for each in sorted(GUESTS)]
        cancelled = [(each, "cancellation") for each in sorted(GUESTS)]
        event = await world.stage.create("Invited", attendees=GUESTS, send_invitations=True)
        world.line.breaks(Trouble.REPLY_LOST, times=1, only="POST")
        await world.look()
        world.line.heal()
        await world.converge()
        assert sorted(await world.person.mail()) == invited
        await world.at_rest()
        await world.stage.update(event, summary="Renamed")
        await world.look()
        assert sorted((await world.person.mail())[2:]) == updated
        await world.at_rest()
        await world.stage.update(event, metadata={"crm": "4711"}, reminders=(30,))
        await world.look()
        assert len(await world.person.mail()) == 4
        await world.stage.delete(event)
        world.line.breaks(Trouble.REPLY_LOST, times=1, only="DELETE")
        await world.look()
        world.line.heal()
        await world.converge()
        assert sorted((await world.person.mail())[4:]) == cancelled
        await world.at_rest()

    async def test_nobody_is_mailed_without_being_invited(self, world: World) -> None:
        event = await world.stage.create("Quiet", attendees=GUESTS)
        await world.look()
        await world.stage.update(event, summary="Still quiet", start=NOW + HOUR, end=NOW + 2 * HOUR)
        await world.look()
        await world.stage.delete(event)
        await world.look()
        assert await world.person.mail() == []
        await world.at_rest()
