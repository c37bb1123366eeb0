"""Damage done by hand: a judgement that cannot find anything would be worth nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kalends.domain.ids import uuid7
from storage.links import LINKS
from storage.outbox import INTENTS
from tests.faults.databases import Home
from tests.faults.ledger import draw
from tests.faults.stage import open_stage
from tests.faults.verify import COPIES, EVENTS, judge

CALLS = 30


class Saboteur:
    """Does one kind of damage per method, to one event."""

    def __init__(self, connection: AsyncConnection, event_id: Any) -> None:
        self._connection = connection
        self._event_id = event_id

    async def delete_a_copy(self) -> None:
        """The provider has nothing."""
        await self._connection.execute(delete(COPIES).where(COPIES.c.remote_id == await self._remote_id()))

    async def delete_an_event(self) -> None:
        """An acknowledged event is gone, and so is its copy."""
        event_id = self._event_id
        await self.delete_a_copy()
        await self._connection.execute(delete(EVENTS).where(EVENTS.c.id == event_id))

    async def change_what_was_acknowledged(self) -> None:
        """An event and its copy agree, and are not what the client was told."""
        event_id = self._event_id
        copy = await self._copy()
        await self._connection.execute(update(EVENTS).where(EVENTS.c.id == event_id).values(summary="Otherwise"))
        await self._write(copy.remote_id, body=copy.body | {"summary": "Otherwise"})

    async def insert_a_second_event(self) -> None:
        """One key has two events, each with a copy."""
        event_id, other = self._event_id, uuid7()
        copy = await self._copy()
        link = (await self._connection.execute(select(LINKS).where(LINKS.c.event_id == event_id))).one()
        event = (await self._connection.execute(select(EVENTS).where(EVENTS.c.id == event_id))).one()
        uid = f"{other}@kalends"
        await self._connection.execute(insert(EVENTS).values(dict(event._mapping) | {"id": other, "uid": uid}))
        await self._connection.execute(insert(LINKS).values(dict(link._mapping) | {"event_id": other}))
        body = copy.body | {"iCalUID": uid}
        await self._connection.execute(
            insert(COPIES).values(dict(copy._mapping) | {"remote_id": other.hex, "body": body})
        )

    async def insert_a_second_copy(self) -> None:
        """One event has two copies."""
        copy = await self._copy()
        await self._connection.execute(insert(COPIES).values(dict(copy._mapping) | {"remote_id": "another"}))

    async def change_a_copy(self) -> None:
        """A copy says something else than its event."""
        copy = await self._copy()
        await self._write(copy.remote_id, body=copy.body | {"location": "Elsewhere"})

    async def forget_a_push(self) -> None:
        """A link says that its provider is behind."""
        await self._connection.execute(update(LINKS).where(LINKS.c.event_id == self._event_id).values(local_version=9))

    async def leave_a_dead_letter(self) -> None:
        """An intent waits for a person."""
        link = (await self._connection.execute(select(LINKS).where(LINKS.c.event_id == self._event_id))).one()
        intent = {"app_id": link.app_id, "event_id": link.event_id, "calendar_id": link.calendar_id}
        await self._connection.execute(insert(INTENTS).values(intent | {"position": uuid7(), "attempts": 20}))

    async def leave_a_ghost(self) -> None:
        """A copy lives on without its event."""
        copy = await self._copy()
        body = copy.body | {"iCalUID": "nobody@kalends"}
        await self._connection.execute(
            insert(COPIES).values(dict(copy._mapping) | {"remote_id": "ghost", "body": body})
        )

    async def _remote_id(self) -> str:
        query = select(LINKS.c.remote_id).where(LINKS.c.event_id == self._event_id)
        return str((await self._connection.execute(query)).scalar_one())

    async def _copy(self) -> Any:
        return (
            await self._connection.execute(select(COPIES).where(COPIES.c.remote_id == await self._remote_id()))
        ).one()

    async def _write(self, remote_id: str, **values: Any) -> None:
        await self._connection.execute(update(COPIES).where(COPIES.c.remote_id == remote_id).values(values))


DAMAGE = {
    "delete_a_copy": (1, 0, 0),
    "delete_an_event": (1, 0, 0),
    "change_what_was_acknowledged": (1, 0, 0),
    "insert_a_second_event": (0, 1, 0),
    "insert_a_second_copy": (0, 1, 0),
    "change_a_copy": (0, 0, 1),
    "forget_a_push": (0, 0, 1),
    "leave_a_dead_letter": (0, 0, 1),
    "leave_a_ghost": (0, 0, 1),
}
"""What each kind of damage adds to what is lost, doubled and diverged."""


async def self_check(home: Home, seed: int, say: Callable[[str], None]) -> bool:
    """Damage a healthy database piece by piece; return whether each piece, and nothing else, was found."""
    chance = random.Random(seed)
    async with open_stage(home, "self-check", chance, inside_worker=True) as stage:
        await stage.play(draw(chance, "call", stage.calendars, CALLS, changes=0.0, sync=0.5))
        await stage.drain()
        await stage.end()
        expected = judge(await stage.observer.rows(), stage.entries).damage
        good = expected == (0, 0, 0)
        say(f"{home.kind}: healthy: {'nothing found' if good else f'found {expected}'}")
        ids = [row.id for row in (await stage.observer.rows()).events]
        for name, (lost, doubled, diverged) in DAMAGE.items():
            async with stage.observer.database.writer.begin() as connection:
                saboteur = Saboteur(connection, ids.pop())
                await getattr(saboteur, name)()
            expected = (expected[0] + lost, expected[1] + doubled, expected[2] + diverged)
            found = judge(await stage.observer.rows(), stage.entries).damage
            say(
                f"{home.kind}: {name.replace('_', ' ')}: {'found' if found == expected else f'{found}, not {expected}'}"
            )
            good = good and found == expected
            expected = found
    return good
