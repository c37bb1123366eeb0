"""Damage done by hand: a judgement that cannot find anything would be worth nothing.

The stage is a real one, with the provider's real side. First, what is read from it is damaged on its way to the judge,
so that each kind of damage can be done to every provider in the same way. Then a worker with a defect plays on it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from kalends.domain.ids import uuid7
from tests.faults.careless import DIVERGES, DOUBLES, LOSES
from tests.faults.databases import Home
from tests.faults.ledger import Entry
from tests.faults.observer import Rows
from tests.faults.places.place import Copy, Faults, Place
from tests.faults.stage import DRAIN_SECONDS, Setting, Stage, open_stage, until
from tests.faults.verify import Findings, judge

CALLS, ADDED_THERE = 18, 6


def _altered(row: Any, **values: Any) -> Any:
    """Return a row with other values."""
    return SimpleNamespace(**(dict(row._mapping) | values))


@dataclass
class Evidence:
    """All that the judge is shown, to be damaged by one method each; `entry` is whose event it happens to."""

    rows: Rows
    copies: list[Copy]
    entry: Entry

    def no_damage(self) -> None:
        """Nothing is wrong."""

    def lose_a_copy(self) -> None:
        """The provider has nothing."""
        self.copies.remove(self.copy)

    def lose_an_event(self) -> None:
        """An acknowledged event is gone, and so is its copy."""
        self.lose_a_copy()
        event = self.event
        self._put(events=[row for row in self.rows.events if row.id != event.id])

    def lose_a_change_on_both_sides(self) -> None:
        """An event and its copy agree, and are not what was said."""
        said = dict(self.copy.said) | {"what": "Otherwise"}
        self._replace(said=said, whole=dict(self.copy.whole) | {"summary": "Otherwise"})
        self._alter("events", summary="Otherwise")

    def go_back_to_an_older_value(self) -> None:
        """Both sides say what the event said before the last change."""
        change = [each for each in self.entry.sayings if each.field == "what"][-1]
        said = dict(self.copy.said) | {"what": change.over}
        self._replace(said=said, whole=dict(self.copy.whole) | {"summary": change.over})
        self._alter("events", summary=change.over)

    def change_what_nobody_has_changed(self) -> None:
        """Both sides say more about it than anybody did."""
        self._alter("events", description="Otherwise. " + self.event.description)
        text = "Otherwise. " + self.copy.description
        self._replace(description=text, whole=dict(self.copy.whole) | {"description": text})

    def double_an_event(self) -> None:
        """One key has two events, each with a copy."""
        other: UUID = uuid7()
        event = _altered(self.event, id=other)
        link = _altered(self.link, event_id=other, remote_id="another")
        self._put(events=[*self.rows.events, event], links=[*self.rows.links, link])
        self.copies.append(replace(self.copy, name="another"))

    def double_a_copy(self) -> None:
        """One event has two copies."""
        self.copies.append(replace(self.copy, name="another"))

    def double_a_key(self) -> None:
        """A key stands for another event."""
        key = self.entry.key
        self._put(keys=[_altered(row, result=["other"]) if row.key == key else row for row in self.rows.keys])

    def change_a_copy(self) -> None:
        """A copy says something else than its event."""
        said = dict(self.copy.said) | {"where": "Elsewhere"}
        self._replace(said=said, whole=dict(self.copy.whole) | {"location": "Elsewhere"})

    def move_a_copy(self) -> None:
        """A copy is at another time than its event."""
        start, end = self.copy.said["when"]
        self._replace(said=dict(self.copy.said) | {"when": (start, end + (end - start))})

    def forget_a_push(self) -> None:
        """A link says that its provider is behind."""
        self._alter("links", local_version=9)

    def leave_a_dead_letter(self) -> None:
        """An intent waits for a person."""
        intent = SimpleNamespace(event_id=self.event.id, due_at=None, attempts=20, last_error="")
        self._put(intents=[*self.rows.intents, intent])

    def leave_a_conflict(self) -> None:
        """Nobody has decided."""
        self._alter("links", conflict={"places": ["what"]})

    def leave_a_ghost(self) -> None:
        """A copy lives on without its event."""
        self.copies.append(replace(self.copy, name="ghost", description="Nobody's"))

    def undo_a_deletion(self) -> None:
        """An event lives on that somebody has deleted who knew all of it."""
        self.entry.ends(dict(self.copy.said), there=True)

    def leave_a_tombstone(self) -> None:
        """A deletion was never carried out."""
        self.entry.ends(dict(self.copy.said), there=False)
        self._alter("events", deleted_at=self.event.updated_at)
        self.lose_a_copy()

    def hold_deletions(self) -> None:
        """A calendar's deletions wait for a person."""
        first, *others = self.rows.sources
        self._put(sources=[_altered(first, held=3), *others])

    @property
    def event(self) -> Any:
        """The entry's event."""
        return next(row for row in self.rows.events if self.entry.description in row.description)

    @property
    def link(self) -> Any:
        """Its link."""
        event = self.event
        return next(row for row in self.rows.links if row.event_id == event.id)

    @property
    def copy(self) -> Copy:
        """Its copy."""
        name = self.link.remote_id
        return next(each for each in self.copies if each.name == name)

    def _replace(self, **values: Any) -> None:
        copy = self.copy
        self.copies[self.copies.index(copy)] = replace(copy, **values)

    def _alter(self, table: str, **values: Any) -> None:
        mine = self.event if table == "events" else self.link
        self._put(**{table: [_altered(row, **values) if row is mine else row for row in getattr(self.rows, table)]})

    def _put(self, **tables: Any) -> None:
        self.rows = replace(self.rows, **tables)


DAMAGE = {
    "no_damage": (0, 0, 0),
    "lose_a_copy": (1, 0, 0),
    "lose_an_event": (1, 0, 0),
    "lose_a_change_on_both_sides": (1, 0, 1),
    "go_back_to_an_older_value": (1, 0, 0),
    "change_what_nobody_has_changed": (1, 0, 0),
    "double_an_event": (0, 1, 0),
    "double_a_copy": (0, 1, 0),
    "double_a_key": (0, 1, 0),
    "change_a_copy": (0, 0, 1),
    "move_a_copy": (0, 0, 1),
    "forget_a_push": (0, 0, 1),
    "leave_a_dead_letter": (0, 0, 1),
    "leave_a_conflict": (0, 0, 1),
    "leave_a_ghost": (0, 0, 1),
    "undo_a_deletion": (0, 0, 1),
    "leave_a_tombstone": (0, 0, 1),
    "hold_deletions": (0, 0, 1),
}
"""What each kind of damage adds to what is lost, doubled and diverged. A value that nobody ever said, as in
`lose_a_change_on_both_sides`, is a divergence beside the loss."""


async def self_check(home: Home, make: type[Place], seed: int, say: Callable[[str], None]) -> bool:
    """Do damage to what a healthy stage shows, and put defects into Kalends; return whether all of it was found."""
    chance = random.Random(seed)
    good = await _damaged(home, make, chance, say)
    for way, kind in ((LOSES, "lost"), (DOUBLES, "doubled"), (DIVERGES, "diverged")):
        found = await _careless(home, make, chance, way)
        right = bool(getattr(found, kind))
        say(f"{make.name} on {home.kind}: a worker that {way}: {'found' if right else 'NOT FOUND'}: {_first(found)}")
        good = good and right
    return good


async def _damaged(home: Home, make: type[Place], chance: random.Random, say: Callable[[str], None]) -> bool:
    """Do each kind of damage to what a healthy stage shows; return whether it, and nothing else, was found."""
    good = True
    async with open_stage(home, "self-check", chance, make, Setting()) as stage:
        await _used(stage)
        for _ in range(ADDED_THERE):
            await stage.people.add(stage.calendars[0])
        await stage.drain()
        await stage.end()
        rows, copies, writes = await stage.observer.rows(), await stage.place.everything(), await stage.place.writes()
        for name, expected in DAMAGE.items():
            ledger = deepcopy(stage.ledger)
            evidence = Evidence(rows, list(copies), ledger.entries[0])
            getattr(evidence, name)()
            found = judge(evidence.rows, evidence.copies, writes, ledger, stage.place)
            right = found.damage == expected
            good = good and right
            verdict = (
                ("found" if any(expected) else "nothing found")
                if right
                else f"{found.damage}, NOT {expected}: {_first(found)}"
            )
            say(f"{make.name} on {home.kind}: {name.replace('_', ' ')}: {verdict}")
    return good


async def _careless(home: Home, make: type[Place], chance: random.Random, way: str) -> Findings:
    """Have a worker with a defect bring everything there, and judge it."""
    async with open_stage(home, f"self-check-{way}", chance, make, Setting(inside=False)) as stage:
        await stage.start_careless(way)
        await _used(stage)

        await _pushed(stage)
        now = datetime.now(UTC)
        async with asyncio.timeout(DRAIN_SECONDS):
            await until(lambda: stage.observer.looked_since(now))
        await stage.end()
        place = stage.place
        return judge(await stage.observer.rows(), await place.everything(), await place.writes(), stage.ledger, place)


async def _used(stage: Stage) -> None:
    """Create events, and change each once it is there."""
    await stage.place.misbehave(Faults())
    entries = stage.draw(CALLS, sync=0.0)
    await stage.play(entries)
    await _pushed(stage)
    for entry in entries:
        entry.steps = ("update",)
    await stage.play(entries)


async def _pushed(stage: Stage) -> None:
    async def nothing_waits() -> bool:
        return not await stage.observer.waiting()

    async with asyncio.timeout(DRAIN_SECONDS):
        await until(nothing_waits)


def _first(found: Findings) -> str:
    return "; ".join([*found.lost[:1], *found.doubled[:1], *found.diverged[:1]])[:300]
