"""Links, intents and lanes in SQL: what must still reach a provider, and who is at it.

Locks are taken in one order everywhere (event, link, account, intent, lane), so that writers and workers cannot
deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, exists, false, func, insert, select, update

from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from kalends.domain.sync import Intent, Lane, Link
from storage.models import LaneRow, LinkRow, OutboxRow
from storage.repository import Repository, table_of

LINKS = table_of(LinkRow)
INTENTS = table_of(OutboxRow)
LANES = table_of(LaneRow)
MAX_ERROR = 1024


class LinkRepository(Repository):
    """The counterparts of one app's events."""

    async def track(self, events: Sequence[Event]) -> None:
        """Say that the provider should have these versions of events, whose rows the caller has stored or holds.

        No upsert: on PostgreSQL one that meets a worker's update of the same row can deadlock with it.
        """
        older = [event.id for event in events if event.version > 1]
        known = await self.many(older, lock=True) if older else {}
        for event in events:
            if event.id in known:
                await self._set(event.id, local_version=event.version)
        new = [
            {
                "app_id": self.app_id,
                "event_id": event.id,
                "calendar_id": event.calendar_id,
                "local_version": event.version,
                "pushed_version": 0,
                "attempted_version": 0,
                "generation": 0,
            }
            for event in events
            if event.id not in known
        ]
        await self.run(insert(LINKS), new)

    async def many(self, event_ids: Sequence[UUID], *, lock: bool = False) -> dict[UUID, Link]:
        """Return the links of those events that have one; locked, their events cannot be enqueued anew meanwhile."""
        query = select(LINKS).where(*self.mine(LINKS), LINKS.c.event_id.in_(event_ids)).order_by(LINKS.c.event_id)
        return {row.event_id: _link(row) for row in await self.rows(query.with_for_update() if lock else query)}

    async def attempt(self, event_id: UUID, version: int) -> None:
        """Note, before the provider is called, which version it is called with."""
        await self._set(event_id, attempted_version=version)

    async def begin_anew(self, event_id: UUID, generation: int) -> None:
        """Note, before the provider is called, that the former copy is gone and which one is made in its place.

        Whoever deletes the event after a lost answer must find the new copy, not the former one.
        """
        await self._set(event_id, generation=generation, remote_id=None, remote_etag=None, remote_url=None)

    async def pushed(self, event_id: UUID, version: int) -> None:
        """Note that the provider needs to hear nothing of this version."""
        await self._set(event_id, pushed_version=version)

    async def learn(
        self, event_id: UUID, version: int, at: datetime, *, remote_id: str, etag: str, url: str | None, generation: int
    ) -> None:
        """Note that the provider has this version, which remote copy is ours, and its present etag."""
        await self._set(
            event_id,
            pushed_version=version,
            last_synced_at=at,
            remote_id=remote_id,
            remote_etag=etag,
            remote_url=url,
            generation=generation,
        )

    async def _set(self, event_id: UUID, **values: Any) -> None:
        await self.run(update(LINKS).where(*self.mine(LINKS), LINKS.c.event_id == event_id).values(**values))


class IntentRepository(Repository):
    """The outbox of one app."""

    async def put(self, events: Sequence[Event]) -> None:
        """Wish for events to be brought to their provider, now, and from the first attempt."""
        statement = self.insert(INTENTS).values(attempts=0, due_at=self.database.now(), last_error=None)
        renewed = {name: statement.excluded[name] for name in ("position", "attempts", "due_at", "last_error")}
        rows = [
            {"app_id": self.app_id, "event_id": event.id, "calendar_id": event.calendar_id, "position": uuid7()}
            for event in events
        ]
        await self.run(statement.on_conflict_do_update(index_elements=["app_id", "event_id"], set_=renewed), rows)

    async def many(self, event_ids: Sequence[UUID]) -> dict[UUID, Intent]:
        """Return the intents of those events that have one."""
        query = select(INTENTS).where(*self.mine(INTENTS), INTENTS.c.event_id.in_(event_ids))
        return {row.event_id: _intent(row) for row in await self.rows(query)}

    async def next_due(self, calendar_id: UUID, *, untried_first: bool = False) -> Intent | None:
        """Return the calendar's intent that has been due for the longest time, or of those that failed least often."""
        longest = (INTENTS.c.due_at, INTENTS.c.position)
        row = await self.one(
            select(INTENTS)
            .where(*self.mine(INTENTS), INTENTS.c.calendar_id == calendar_id)
            .where(INTENTS.c.due_at <= self.database.now())
            .order_by(*((INTENTS.c.attempts, *longest) if untried_first else longest))
            .limit(1)
        )
        return None if row is None else _intent(row)

    async def settle(self, event_id: UUID) -> None:
        """Take the intent away, unless the event has changed since it was sent."""
        behind = exists().where(
            LINKS.c.app_id == INTENTS.c.app_id,
            LINKS.c.event_id == INTENTS.c.event_id,
            LINKS.c.pushed_version < LINKS.c.local_version,
        )
        await self.run(delete(INTENTS).where(*self.mine(INTENTS), INTENTS.c.event_id == event_id, ~behind))

    async def failed(self, event_id: UUID, error: str, *, again_in: timedelta | None, counts: bool = True) -> None:
        """Note a failed attempt and when to try again; never, without `again_in`: a dead letter."""
        await self.run(
            update(INTENTS)
            .where(*self.mine(INTENTS), INTENTS.c.event_id == event_id)
            .values(
                attempts=INTENTS.c.attempts + int(counts),
                last_error=error[:MAX_ERROR],
                due_at=None if again_in is None else self.database.now(again_in),
            )
        )


class LaneRepository(Repository):
    """The lanes of one app, one per calendar that has a provider elsewhere."""

    async def wake(self, calendar_id: UUID, account_id: UUID | None, *, at_once: bool = False) -> None:
        """Ask for the lane to be looked at; one that is backing off goes on doing so, unless `at_once`.

        Last in its transaction: writers of one calendar wait here for each other, only while they commit.
        """
        now = self.database.now()
        row = {"app_id": self.app_id, "calendar_id": calendar_id, "account_id": account_id, "due_at": now}
        statement = self.insert(LANES).values(row | {"fence": 0, "failures": 0})
        patient = false() if at_once else (LANES.c.failures > 0) & LANES.c.due_at.is_not(None)
        await self.run(
            statement.on_conflict_do_update(
                index_elements=["app_id", "calendar_id"],
                set_={"account_id": account_id, "due_at": case((patient, LANES.c.due_at), else_=now)},
            )
        )

    async def take(self, calendar_id: UUID, lease: timedelta) -> Lane | None:
        """Lease one lane for ourselves, or return None where somebody else has it."""
        now = self.database.now()
        row = await self.one(
            update(LANES)
            .where(*self.mine(LANES), LANES.c.calendar_id == calendar_id)
            .where(LANES.c.leased_until.is_(None) | (LANES.c.leased_until <= now))
            .values(fence=LANES.c.fence + 1, leased_until=self.database.now(lease))
            .returning(LANES)
        )
        return None if row is None else read_lane(row)

    async def keep(self, lane: Lane, lease: timedelta) -> bool:
        """Renew a lease; False where the lane has been taken over, and nothing may be acknowledged any more."""
        return bool(
            await self.run(update(LANES).where(*self._held(lane)).values(leased_until=self.database.now(lease)))
        )

    async def holds(self, lane: Lane) -> bool:
        """Tell, and keep true to the end of the transaction, that the lane is still ours."""
        return await self.one(select(LANES.c.fence).where(*self._held(lane)).with_for_update()) is not None

    async def release(self, lane: Lane, *, pause: timedelta | None = None, failures: int = 0) -> None:
        """Give the lane back, to be looked at when its next intent is due, or after a pause.

        The lane is locked before its intents are read: a writer who adds one either is seen here, or wakes the lane
        after us.
        """
        if not await self.holds(lane):
            return
        earliest = (
            select(func.min(INTENTS.c.due_at))
            .where(*self.mine(INTENTS), INTENTS.c.calendar_id == lane.calendar_id)
            .scalar_subquery()
        )
        due = earliest
        if pause is not None:
            later = self.database.now(pause)
            due = case((earliest.is_(None), None), (earliest > later, earliest), else_=later)  # type: ignore[assignment]
        await self.run(update(LANES).where(*self._held(lane)).values(leased_until=None, failures=failures, due_at=due))

    def _held(self, lane: Lane) -> tuple[Any, ...]:
        return (*self.mine(LANES), LANES.c.calendar_id == lane.calendar_id, LANES.c.fence == lane.fence)


def _link(row: Any) -> Link:
    return Link(
        event_id=row.event_id,
        calendar_id=row.calendar_id,
        local_version=row.local_version,
        pushed_version=row.pushed_version,
        attempted_version=row.attempted_version,
        generation=row.generation,
        remote_id=row.remote_id,
        remote_etag=row.remote_etag,
        remote_url=row.remote_url,
        last_synced_at=row.last_synced_at,
    )


def _intent(row: Any) -> Intent:
    return Intent(
        event_id=row.event_id,
        calendar_id=row.calendar_id,
        attempts=row.attempts,
        due_at=row.due_at,
        last_error=row.last_error,
    )


def read_lane(row: Any) -> Lane:
    """Return a row as a lane."""
    return Lane(app_id=row.app_id, calendar_id=row.calendar_id, fence=row.fence, failures=row.failures)
