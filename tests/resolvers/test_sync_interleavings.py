"""Random histories: writers, workers, crashes, stalls, a misbehaving provider, and people who work there, too.

Whatever happened, once the faults end everything that lives has one copy that equals it, and nothing else has one. What
an event says then is the last that was said here or there, and it is gone only where somebody deleted it. Each history
follows from its seed, which is in the test's name.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import select, update

from kalends.domain.calendars import AccountState, Calendar
from kalends.domain.errors import Refused
from kalends.domain.events import Event, EventState, EventStatus, Partstat
from kalends.domain.merge import same
from kalends.domain.plain import from_plain, to_plain
from kalends.domain.sync import SandboxCopy, SyncStatus, SyncWarning
from providers.interface import Capabilities, Identity, Known, Outgoing, Page, RemoteCalendar, RemoteEvent
from providers.sandbox import SandboxProvider
from resolvers.conflicts import Keep, resolve_conflict
from resolvers.sync import work_lane
from storage.event_pages import EVENTS
from storage.sandbox import COPIES
from storage.sources import SOURCES, TOKEN
from storage.unit_of_work import Storage
from tests.helpers import Clock, make_content, make_when
from tests.providers.memory import memory_in
from tests.providers.surroundings import surroundings
from tests.resolvers.sync_stage import EVER, PAST_LEASE, Crash, Stage, open_stage

pytestmark = pytest.mark.anyio

T = TypeVar("T")
SEEDS = (*range(9), 52)  # 52 once left a copy of a deleted event
STEPS = 60
FEW = 3  # events, so that much happens to each
ROUNDS = 10
FAULTS: tuple[dict[str, Any], ...] = (
    *({},) * 4,
    *({"reply_lost": 0.4},) * 3,
    *({"unavailable": 0.4},) * 2,
    {"throttled": 0.3, "retry_after": 20},
    {"revoked": True},
)


async def at_once(_seconds: float) -> None:
    """Wait for nothing."""


@dataclass
class Unreliable:
    """The sandbox, behind a line on which, around every call, anything may happen."""

    inner: SandboxProvider
    around: Callable[[str, bool], Awaitable[None]]
    name: str = "sandbox"
    capabilities: Capabilities = SandboxProvider.capabilities

    async def create(self, calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        return await self._call("create", self.inner.create(calendar, outgoing))

    async def update(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        return await self._call("update", self.inner.update(calendar, outgoing, known))

    async def delete(self, calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent | None) -> None:
        await self._call("delete", self.inner.delete(calendar, outgoing, known))

    async def find(self, calendar: RemoteCalendar, identity: Identity, remote_id: str | None) -> RemoteEvent | None:
        return await self._call("find", self.inner.find(calendar, identity, remote_id))

    def expected(self, outgoing: Outgoing) -> EventState | None:
        return self.inner.expected(outgoing)

    def warnings(self, outgoing: Outgoing) -> tuple[SyncWarning, ...]:
        return self.inner.warnings(outgoing)

    async def changes(self, calendar: RemoteCalendar, token: str | None, known: Known) -> AsyncIterator[Page]:
        await self.around("changes", False)
        async for page in self.inner.changes(calendar, token, known):
            yield page
            await self.around("changes", True)

    def preview(self, outgoing: Outgoing) -> Mapping[str, Any]:
        return self.inner.preview(outgoing)

    def mailed(self, outgoing: Outgoing) -> tuple[str, ...]:
        return self.inner.mailed(outgoing)

    async def _call(self, kind: str, call: Awaitable[T]) -> T:
        try:
            await self.around(kind, False)
            answer = await call
        finally:
            if hasattr(call, "close"):
                call.close()
        await self.around(kind, True)
        return answer


@dataclass
class Story:
    """What has been done to one event, by whom: what the end must be explained by.

    `said` has, per field, the last thing that was said here and the last that was said there, `ever` all of it: whoever
    deletes an event that comes back may take what they had said along.
    """

    event: Event
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def says(self, side: str, **fields: str) -> None:
        for name, text in fields.items():
            self.said.setdefault(name, {})[side] = text
            self.ever.setdefault(name, {""}).add(text)


@dataclass
class History:
    """One random history on one database."""

    stage: Stage
    random: random.Random
    calendars: list[Calendar]
    stories: dict[UUID, Story] = field(default_factory=dict)
    guests: dict[str, bool] = field(default_factory=dict)  # titles of events made there, and whether they were deleted
    depth: int = 0
    calm: bool = False
    happened: list[str] = field(default_factory=list)

    async def run(self) -> None:
        for calendar in self.calendars:
            async with self.stage.storage.writing(self.stage.app_id) as work:
                await work.sources.open(calendar.id)
                await work.lanes.wake(calendar.id, calendar.account_id)
        for _ in range(STEPS):
            await self.step(deletes=True)
        await self.settle()
        await self.judge()

    async def step(self, *, deletes: bool) -> None:
        """Let one random thing happen."""
        doings = [self.update, self.update, self.respond, self.cancel, self.work, self.work, self.work, self.sweep]
        doings += [self.misbehave, self.reconnect, self.wait, self.wait, self.hint, self.forget_token, self.decide]
        doings += [self.meddle, self.meddle, self.meddle, self.invite]
        if deletes:
            doings += [self.delete, self.remove]
        if len(self.stories) < FEW:
            doings += [self.create] * (FEW - len(self.stories))
        doing = self.random.choice(doings)
        self.happened.append("  " * self.depth + doing.__name__)
        try:
            await doing()
        except Crash:
            self.happened.append("  " * self.depth + "(the process died)")

    async def around(self, kind: str, done: bool) -> None:
        """Happen around a call to the provider: nothing, a crash, or other things while it is under way."""
        if self.calm or self.depth >= 2:
            return
        luck = self.random.random()
        if luck < 0.08:
            raise Crash
        if luck < 0.35:
            self.depth += 1
            try:
                # A create that arrives after its event was deleted cannot be told from any other: a call must end
                # within its lease. So nothing is deleted while a create is on its way.
                unsafe = kind == "create" and not done
                if self.random.random() < 0.3:
                    self.happened.append("  " * self.depth + "(the process stops for longer than its lease)")
                    self.stage.advance(PAST_LEASE)
                for _ in range(self.random.randint(1, 2)):
                    await self.step(deletes=not unsafe and self.depth == 1)
            finally:
                self.depth -= 1

    # What may happen here

    async def create(self) -> None:
        calendar, text = self.random.choice(self.calendars), self._text()
        known = {event.id for event in await self._stored()}
        try:
            await self.stage.create(text, calendar=calendar, sync_now=self._sometimes(), attendees=("bob@example.org",))
        finally:
            for event in await self._stored():
                if event.id not in known and event.content.summary == text:
                    self.stories[event.id] = Story(event)
                    self.stories[event.id].says("here", summary=text)

    async def update(self) -> None:
        if story := self._some():
            name = self.random.choice(["summary", "location"])
            text = self._text()
            before = dict(story.said.get(name, {}))
            story.says("here", **{name: text})  # before it is: others may say something else while it is on its way
            if not await self._written(self.stage.update(story.event, sync_now=self._sometimes(), **{name: text})):
                story.said[name] = before

    async def respond(self) -> None:
        if story := self._some():
            await self._written(self.stage.respond(story.event, self.random.choice(list(Partstat))))

    async def cancel(self) -> None:
        if story := self._some():
            await self._written(self.stage.cancel(story.event, sync_now=self._sometimes()))

    async def delete(self) -> None:
        if story := self._some():
            story.deleted.add("here")
            await self._written(self.stage.delete(story.event, sync_now=self._sometimes()))

    async def decide(self) -> None:
        """Let a person decide a conflict, where there is one."""
        for story in self.stories.values():
            if await self.stage.exists(story.event):
                await self._decided(story.event)

    async def work(self) -> None:
        for lane in await self.stage.take(self.random.randint(1, 3)):
            await work_lane(self.stage.services, lane)

    async def wait(self) -> None:
        self.stage.advance(timedelta(seconds=self.random.choice([1, 5, 40, 1000])))

    async def sweep(self) -> None:
        assert await self.stage.sweep() == 0, "something was forgotten"

    # What may happen there

    async def misbehave(self) -> None:
        await self.stage.misbehave(**self.random.choice(FAULTS))

    async def reconnect(self) -> None:
        await self.stage.misbehave()
        await self.stage.set_account(AccountState.ACTIVE)

    async def hint(self) -> None:
        """Be told that something has changed, be it true or not."""
        async with self.stage.storage.writing(self.stage.app_id) as work:
            calendar = self.random.choice(self.calendars)
            await work.sources.hasten(calendar.id)
            await work.lanes.wake(calendar.id, calendar.account_id)

    async def forget_token(self) -> None:
        """Let the provider forget how far we have read."""
        async with self.stage.storage.writing(self.stage.app_id) as work:
            calendar = self.random.choice(self.calendars)
            vault = self.stage.storage.database.vault
            token = vault.seal(b"no such token", app_id=self.stage.app_id, owner=calendar.id, kind=TOKEN)
            await work.sources.run(update(SOURCES).where(SOURCES.c.calendar_id == calendar.id).values(token=token))

    async def meddle(self) -> None:
        """Let a person change something of a copy."""
        story = self._some()
        for copy in await self._copies(story) if story else []:
            name, text = self.random.choice(["summary", "location"]), self._text()
            await self._put(replace(copy, revision=copy.revision + 1, body={**copy.body, name: text}))
            if story:
                story.says("there", **{name: text})

    async def remove(self) -> None:
        """Let a person delete a copy."""
        story = self._some()
        for copy in await self._copies(story) if story else []:
            await self._put(replace(copy, revision=copy.revision + 1, deleted=True))
            if story:
                story.deleted.add("there")

    async def invite(self) -> None:
        """Let a person make an event of their own, or delete it again."""
        if self.guests and self._sometimes():
            title = self.random.choice(list(self.guests))
            for copy in [each for each in await self._alive() if each.body["summary"] == title]:
                await self._put(replace(copy, revision=copy.revision + 1, deleted=True))
                self.guests[title] = True
        elif len(self.guests) < FEW:
            title, calendar = self._text(), self.random.choice(self.calendars)
            assert calendar.account_id is not None
            assert calendar.remote_id is not None
            state = EventState(make_when(), make_content(title))
            body = to_plain(state) | {"iCalUID": f"{title}@elsewhere"}
            await self._put(SandboxCopy(calendar.account_id, calendar.remote_id, title, 1, deleted=False, body=body))
            self.guests[title] = False

    # How it ends

    async def settle(self) -> None:
        """End all faults and let time pass; people connect the account again, decide, and try again what waits."""
        self.calm = True
        await self.stage.misbehave()
        await self.stage.set_account(AccountState.ACTIVE)
        self.stage.advance(PAST_LEASE)
        for _ in range(ROUNDS):
            await self.stage.converge()
            again = False
            for event in await self._stored():
                status = (await self.stage.state(event)).status
                if status is SyncStatus.FAILED:
                    await self.stage.retry(event)
                again = again or status is SyncStatus.FAILED or await self._decided(event)
            self.stage.advance(EVER)
            await self.stage.drain()
            if not again:
                return
        raise AssertionError("it does not come to rest\n" + "\n".join(self.happened))

    async def judge(self) -> None:
        told = "\n".join(self.happened)
        assert await self.stage.sweep() == 0, told
        events = {event.id: event for event in await self._stored()}
        copies = {copy.remote_id: copy for copy in await self._alive()}
        assert [event.id for event in events.values() if event.deleted_at is not None] == [], told
        provider = self.stage.services.providers["sandbox"]
        for event in events.values():
            assert (await self.stage.state(event)).status is SyncStatus.SYNCED, f"{event.id} waits\n{told}"
            link = await self.stage.link(event)
            copy = copies.pop(link.remote_id or "", None)
            if copy is None:
                assert event.content.status is EventStatus.CANCELLED, f"{event.id} has no copy\n{told}"
                continue
            expected = provider.expected(Outgoing(event, Identity(event.id, event.uid, link.generation), None))
            assert same(from_plain(copy.body), expected), f"{event.id} differs\n{told}"
        assert copies == {}, f"these are copies of nothing\n{told}"
        for event_id, story in self.stories.items():
            found = events.get(event_id)
            assert found or story.deleted, f"{event_id} is lost\n{told}"
            for name, said in story.said.items() if found else ():
                text = getattr(found.content, name) if found else ""
                right = story.ever[name] if story.deleted else said.values()
                assert text in right, f"{event_id} says {text!r}, not {said}\n{told}"
        titles = [event.content.summary for event in events.values()]
        for title, deleted in self.guests.items():
            assert titles.count(title) == (0 if deleted else 1), f"{title} came {titles.count(title)} times\n{told}"

    async def _stored(self) -> list[Event]:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            ids = [row.id for row in await work.events.rows(select(EVENTS.c.id))]
            return await work.events.with_tombstones(ids)

    async def _alive(self) -> list[SandboxCopy]:
        async with self.stage.storage.reading(self.stage.app_id) as work:
            rows = await work.sandbox.rows(select(COPIES).where(COPIES.c.deleted.is_(False)))
            found = [await work.sandbox.find(row.account_id, row.remote_id) for row in rows]
        return [copy for copy in found if copy is not None]

    async def _copies(self, story: Story) -> list[SandboxCopy]:
        return [copy for copy in await self._alive() if copy.body["iCalUID"] == story.event.uid]

    async def _put(self, copy: SandboxCopy) -> None:
        async with self.stage.storage.writing(self.stage.app_id) as work:
            await work.sandbox.put(copy)

    async def _decided(self, event: Event) -> bool:
        if (await self.stage.state(event)).conflict is None:
            return False
        keep = self.random.choice([Keep.OURS, Keep.THEIRS])
        await self._written(resolve_conflict(self.stage.services, self.stage.principal, event.id, keep))
        return True

    async def _written(self, writing: Awaitable[object]) -> bool:
        """Tell whether a write was accepted: the event may have been deleted since."""
        try:
            await writing
        except Refused:
            return False
        return True

    def _note(self, text: str) -> None:
        self.happened.append("  " * self.depth + text)

    def _some(self) -> Story | None:
        return self.random.choice(list(self.stories.values())) if self.stories else None

    def _sometimes(self) -> bool:
        return self.random.random() < 0.3

    def _text(self) -> str:
        return f"Text {self.random.randrange(10**6)}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_any_history_every_event_has_one_equal_copy_and_nothing_waits(
    storage: Storage, app_id: UUID, clock: Clock, seed: int
) -> None:
    luck = random.Random(seed)
    sandbox = SandboxProvider(surroundings(sandbox_memory=memory_in(storage)), sleep=at_once, chance=luck.random)
    provider = Unreliable(sandbox, around=_before_there_is_a_history)
    stage = await open_stage(storage, app_id, provider, clock)
    stage.services = replace(stage.services, chance=luck.random)
    stage.patient(at_once=0.5, max_attempts=6)
    calendars = [stage.calendar, await stage.add_calendar("Same account", account_of=stage.calendar)]
    calendars.append(await stage.add_calendar("Another account"))
    history = History(stage, luck, calendars)
    provider.around = history.around
    await history.run()


async def _before_there_is_a_history(_kind: str, _done: bool) -> None:
    """Happen not at all."""
