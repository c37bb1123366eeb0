"""Who does things: clients of Kalends, people at the provider, and the person here who decides what waits for one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping
from typing import Any

from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.ledger import CANCELLED, CONFIRMED, FIELDS, Entry, Ledger, Said, from_api_words, in_api_words
from tests.faults.observer import Observer
from tests.faults.places.place import Copy, Place

TIMES = 40  # that somebody looks again where somebody else was first
COPY_SECONDS, LOOK_SECONDS = 5.0, 0.5
MOVED = ("STALE_VERSION", "NOT_FOUND")
_CHANGEABLE = ("what", "where", "when")
_CLOCK = {"start", "end", "timeZone", "allDay"}


class People:
    """People at the provider. They write under an etag, so that they have seen what they replace."""

    def __init__(self, place: Place, ledger: Ledger, observer: Observer) -> None:
        self._place = place
        self._ledger = ledger
        self._observer = observer
        self._chance = ledger.chance

    async def act(self) -> None:
        """Do one thing somewhere: add, change or delete an event."""
        calendar = self._chance.choice(list(self._place.links))
        drawn = self._chance.random()
        copies = await self._place.copies(calendar) if drawn > 0.35 else []
        if not copies:
            await self.add(calendar)
        elif drawn < 0.85:
            await self.change(self._chance.choice(copies))
        else:
            await self.remove(self._chance.choice(copies))

    async def add(self, calendar: str) -> None:
        """Add an event to a calendar."""
        entry = self._ledger.drawn_there(calendar)
        await self._place.add(entry)
        entry.begins()

    async def change(self, seen: Copy, names: tuple[str, ...] = ()) -> None:
        """Change fields of an event; some where none are named."""
        copy = await self._fresh(seen)
        entry = None if copy is None else self._ledger.of(copy.description)
        if copy is None or entry is None:
            return
        names = names or tuple(self._chance.sample(_CHANGEABLE, self._chance.choice((1, 1, 2))))
        values = {name: self._ledger.invented(name, copy.said, there=True) for name in names}
        if await self._place.change(copy, values):
            entry.says(values, copy.said, there=True)

    async def remove(self, seen: Copy) -> None:
        """Delete an event. Where Kalends has not heard an answer, it cannot tell what whoever deleted it had seen."""
        copy = await self._fresh(seen)
        entry = None if copy is None else self._ledger.of(copy.description)
        if copy is None or entry is None:
            return
        surely = await self._observer.answered(entry.key)
        if await self._place.remove(copy):
            entry.ends(copy.said, there=True, surely=surely)

    async def _fresh(self, copy: Copy) -> Copy | None:
        return copy if copy.etag else await self._place.look(copy)


class Callers:
    """Clients of Kalends. Each does what an entry asks for, step by step."""

    def __init__(self, client: Client, place: Place, ledger: Ledger, people: People, observer: Observer) -> None:
        self._client = client
        self._observer = observer
        self._place = place
        self._ledger = ledger
        self._people = people
        self._chance: random.Random = ledger.chance

    async def perform(self, entry: Entry) -> None:
        """Create the event, where it is not there yet, and do what is to be done to it."""
        if not entry.done:
            answer = await self._client.call(ask.CREATE, input=entry.to_create())
            entry.event_id = answer["event"]["id"]
            entry.begins()
        for step in entry.steps:
            await getattr(self, f"_{step}")(entry)

    async def _update(self, entry: Entry, names: tuple[str, ...] = ("what", "when")) -> None:
        for _ in range(TIMES):
            seen = await self._read(entry)
            if seen is None or seen["status"] != CONFIRMED:
                return
            saw = from_api_words(seen)
            values = {name: self._ledger.invented(name, saw, there=False) for name in names}
            asked = in_api_words(values) | {"expectedVersion": seen["version"], "syncProvider": entry.sync}
            if await self._said(entry, ask.UPDATE, values, saw, input=asked):
                return
        raise RuntimeError(f"{entry.key}: somebody else was first {TIMES} times")

    async def _cancel(self, entry: Entry) -> None:
        for _ in range(TIMES):
            seen = await self._read(entry)
            if seen is None or seen["status"] == CANCELLED:
                return
            values = {"status": CANCELLED}
            if await self._said(entry, ask.CANCEL, values, from_api_words(seen), expectedVersion=seen["version"]):
                return
        raise RuntimeError(f"{entry.key}: somebody else was first {TIMES} times")

    async def _delete(self, entry: Entry) -> None:
        for _ in range(TIMES):
            seen = await self._read(entry)
            if seen is None:
                return
            version = seen["version"]
            answer = await self._client.call(ask.DELETE, accept=MOVED, id=entry.event_id, expectedVersion=version)
            if not answer.refused or (answer.attempts > 1 and "NOT_FOUND" in answer.refused):
                entry.ends(from_api_words(seen), there=False)
                return
        raise RuntimeError(f"{entry.key}: somebody else was first {TIMES} times")

    async def _contest(self, entry: Entry) -> None:
        """Change it here, while somebody changes the copy there: the same places, or others."""
        copy = await self._copy(entry)
        here, there = (tuple(self._chance.sample(_CHANGEABLE, self._chance.choice((1, 2)))) for _ in range(2))
        if copy is None:
            await self._update(entry, here)
        else:
            await asyncio.gather(self._update(entry, here), self._people.change(copy, there))

    async def _visit(self, _entry: Entry) -> None:
        """Change another event, which somebody has made there, once it is here."""
        made = [each for each in self._ledger if each.there and each.done and not each.twins]
        if not made:
            return
        other = self._chance.choice(made)
        event_id = await self._observer.imported(other.key)
        if event_id is not None:
            other.event_id = event_id
            await self._update(other)

    async def _said(self, entry: Entry, document: str, values: Said, saw: Said, **variables: Any) -> bool:
        """Ask for a change of what was seen, and note it where it was done; a lost answer is looked after."""
        answer = await self._client.call(document, accept=MOVED, id=entry.event_id, **variables)
        if not answer.refused:
            entry.says(values, saw, there=False)
            return True
        if answer.attempts > 1 and (now := await self._read(entry)) is not None:
            said = from_api_words(now)
            arrived = {name: value for name, value in values.items() if said[name] == value}
            entry.says(arrived, saw, there=False)
            return bool(arrived)
        return False

    async def _read(self, entry: Entry) -> Mapping[str, Any] | None:
        answer = await self._client.call(ask.READ, id=entry.event_id)
        event: Mapping[str, Any] | None = answer.payload
        return event

    async def _copy(self, entry: Entry) -> Copy | None:
        """Wait for an entry's copy, and return it; None where it is long in coming."""
        for _ in range(int(COPY_SECONDS / LOOK_SECONDS)):
            for copy in await self._place.copies(entry.calendar_id):
                if self._ledger.of(copy.description) is entry:
                    return copy
            await asyncio.sleep(LOOK_SECONDS)
        return None


class Decider:
    """Whoever decides here about conflicts and deletions in great number."""

    def __init__(self, client: Client, ledger: Ledger, observer: Observer) -> None:
        self._client = client
        self._ledger = ledger
        self._observer = observer
        self.conflicts = 0

    async def decide(self, calendars: Collection[str] | None = None) -> None:
        """Decide about everything that waits now, in these calendars or in all."""
        for calendar, event_id in await self._observer.disputed():
            if calendars is None or calendar in calendars:
                await self._resolve(event_id)
        for calendar, count in await self._observer.held():
            if calendars is None or calendar in calendars:
                await self._client.call(ask.ALLOW, id=calendar, count=count)

    async def _resolve(self, event_id: str) -> None:
        event = (await self._client.call(ask.DISPUTE, id=event_id)).payload
        conflict = event and event["sync"]["conflict"]
        entry = event and self._ledger.of(event["description"])
        if not conflict or entry is None:
            return
        keep = self._ledger.chance.choice(("OURS", "THEIRS", "BOTH"))
        asked = {"eventId": event_id, "keep": keep, "expectedVersion": event["version"]}
        answer = await self._client.call(ask.RESOLVE, accept=MOVED, input=asked)
        if answer.refused:
            return
        self.conflicts += 1
        entry.writes += 1
        if keep == "BOTH":
            if answer["copy"] is not None:
                entry.twins.append(answer["copy"]["id"])
            elif answer.attempts > 1:
                entry.perhaps += 1
            return
        refused = from_api_words(conflict["theirs" if keep == "OURS" else "ours"])
        clashing = set(conflict["fields"])
        names = [name for name in FIELDS if name in clashing or (name == "when" and clashing & _CLOCK)]
        entry.rejects(names, refused)
