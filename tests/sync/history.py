"""Random histories of one calendar: callers, workers, a line that breaks, kills, and a person who works there.

Whatever happened, once the trouble ends both sides are equal. What an event says then is the last that was said here or
there, and it is gone only where somebody deleted it. Each history follows from its seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from kalends.domain.calendars import AccountState
from kalends.domain.errors import Refused
from kalends.domain.events import Event, EventState, Partstat
from kalends.domain.sync import SyncStatus
from resolvers.conflicts import Keep, resolve_conflict
from tests.helpers import make_content, make_when
from tests.resolvers.sync_stage import EVER, PAST_LEASE, Crash
from tests.sync.line import Trouble
from tests.sync.worlds.world import World

FEW = 3  # events, so that much happens to each
ROUNDS = 10
TROUBLES = (
    *(Trouble.KILLED,) * 3,
    *(Trouble.REPLY_LOST,) * 3,
    *(Trouble.UNAVAILABLE,) * 2,
    Trouble.THROTTLED,
)


@dataclass
class Story:
    """What has been done to one event: per field, the last that was said here and there, and all that ever was."""

    event: Event
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)
    deleted: bool = False

    def says(self, side: str, name: str, text: str) -> None:
        self.said.setdefault(name, {})[side] = text
        self.ever.setdefault(name, {""}).add(text)


@dataclass
class History:
    """One random history of a world."""

    world: World
    random: random.Random
    stories: dict[UUID, Story] = field(default_factory=dict)
    guests: dict[str, bool] = field(default_factory=dict)  # titles of events made there, and whether they were deleted
    nested: bool = False
    happened: list[str] = field(default_factory=list)

    async def run(self, steps: int) -> None:
        self.world.stage.patient(at_once=0.2, max_attempts=6)
        self.world.line.around = self.around
        for _ in range(steps):
            await self.step()
        await self.settle()
        await self.judge()

    async def step(self) -> None:
        """Let one random thing happen."""
        doings = [self.update, self.update, self.respond, self.cancel, self.look, self.look, self.look, self.wait]
        doings += [self.meddle, self.meddle, self.invite, self.decide]
        if not self.nested:
            doings += [self.delete, self.remove, self.expire, self.reconnect, self.withdraw]
        doings += [self.create] * (FEW - len(self.stories))
        doing = self.random.choice(doings)
        self.note(doing.__name__)
        try:
            await doing()
        except Crash:
            self.note("(the process died)")

    async def around(self, request: str, _done: bool) -> Trouble | None:
        """Happen to a request: mostly nothing, or something else meanwhile, or trouble."""
        if self.nested:
            return None
        luck = self.random.random()
        if luck < 0.1:
            trouble = self.random.choice(TROUBLES)
            self.note(f"  ({trouble.name}: {request.split('/')[0]})")
            return trouble
        if luck < 0.25:
            await self.meanwhile()
        return None

    async def meanwhile(self) -> None:
        """Let something else happen, and end: whoever waits for a provider with little patience does not cut it off."""
        self.nested = True
        step = asyncio.create_task(self.step())
        try:
            await asyncio.shield(step)
        finally:
            await step
            self.nested = False

    # What may happen here

    async def create(self) -> None:
        text, known = self.text(), {event.id for event in await self.world.stored()}
        try:
            await self.world.stage.create(text, sync_now=self.sometimes())
        finally:
            for event in await self.world.stored():
                if event.id not in known and event.content.summary == text:
                    self.stories[event.id] = Story(event)
                    self.stories[event.id].says("here", "summary", text)

    async def update(self) -> None:
        if story := self.some():
            name, text = self.random.choice(["summary", "location"]), self.text()
            before = dict(story.said.get(name, {}))
            story.says("here", name, text)  # before it is: others may say something else while it is on its way
            if not await written(self.world.stage.update(story.event, sync_now=self.sometimes(), **{name: text})):
                story.said[name] = before

    async def respond(self) -> None:
        if story := self.some():
            await written(self.world.stage.respond(story.event, self.random.choice(list(Partstat))))

    async def cancel(self) -> None:
        if story := self.some():
            await written(self.world.stage.cancel(story.event, sync_now=self.sometimes()))

    async def delete(self) -> None:
        if story := self.some():
            story.deleted = True
            await written(self.world.stage.delete(story.event, sync_now=self.sometimes()))

    async def decide(self) -> None:
        for story in self.stories.values():
            if await self.world.stage.exists(story.event):
                await self.decided(story.event)

    async def look(self) -> None:
        await self.world.stage.turn()

    async def wait(self) -> None:
        self.world.stage.advance(timedelta(seconds=self.random.choice([5, 40, 400, 1000])))

    # What may happen there

    async def meddle(self) -> None:
        """Let a person change something of a copy."""
        if (story := self.some()) and (found := await self.copy_of(story)):
            name, text = self.random.choice(["summary", "location"]), self.text()
            await self.world.person.edits(found, **{name: text})
            story.says("there", name, text)

    async def remove(self) -> None:
        """Let a person delete a copy."""
        if (story := self.some()) and (found := await self.copy_of(story)):
            await self.world.person.removes(found)
            story.deleted = True

    async def invite(self) -> None:
        """Let a person make an event of their own, or delete it again."""
        if self.guests and self.sometimes():
            title = self.random.choice(list(self.guests))
            if not self.guests[title]:
                await self.world.person.removes(await self.world.person.finds(title))
                self.guests[title] = True
        elif len(self.guests) < FEW:
            title = self.text()
            await self.world.person.adds(EventState(make_when(), make_content(title)))
            self.guests[title] = False

    async def expire(self) -> None:
        await self.world.expire()

    async def withdraw(self) -> None:
        await self.world.revoke()

    async def reconnect(self) -> None:
        self.world.line.heal()
        await self.world.connect()
        self.world.line.around = self.around

    # How it ends

    async def settle(self) -> None:
        """End all trouble and let time pass; people connect the account again, decide, and try again what waits."""
        self.nested = True
        world = self.world
        world.line.heal()
        await world.connect()
        assert (await world.account()).state is AccountState.ACTIVE
        world.stage.advance(PAST_LEASE)
        for _ in range(ROUNDS):
            world.stage.advance(EVER)
            await world.converge()
            again = False
            for event in await world.stored():
                failed = (await world.stage.state(event)).status is SyncStatus.FAILED
                if failed:
                    await world.stage.retry(event)
                again = again or failed or await self.decided(event)
            if not again:
                return
        raise AssertionError("it does not come to rest\n" + "\n".join(self.happened))

    async def judge(self) -> None:
        told = "\n".join(self.happened)
        assert await self.world.stage.sweep() == 0, told
        await self.world.at_rest()
        events = {event.id: event for event in await self.world.stored()}
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
        assert len(titles) == len(self.stories.keys() & events.keys()) + list(self.guests.values()).count(False), told

    async def copy_of(self, story: Story) -> str | None:
        """Return the name of an event's copy, where a person sees one."""
        if not await self.world.stage.exists(story.event):
            return None
        name = (await self.world.stage.link(story.event)).remote_id
        return name if name in await self.world.person.sees() else None

    async def decided(self, event: Event) -> bool:
        stage = self.world.stage
        if (await stage.state(event)).conflict is None:
            return False
        keep = self.random.choice([Keep.OURS, Keep.THEIRS])
        await written(resolve_conflict(stage.services, stage.principal, event.id, keep))
        return True

    def note(self, text: str) -> None:
        self.happened.append("    " * self.nested + text)

    def some(self) -> Story | None:
        return self.random.choice(list(self.stories.values())) if self.stories else None

    def sometimes(self) -> bool:
        return self.random.random() < 0.3

    def text(self) -> str:
        return f"Text {self.random.randrange(10**6)}"


async def written(writing: Awaitable[object]) -> bool:
    """Tell whether a write was accepted: the event may have been deleted since."""
    try:
        await writing
    except Refused:
        return False
    return True
