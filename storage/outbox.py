"""Intents and lanes in SQL: what must still reach a provider, and who is at it.

Locks are taken in one order everywhere (event, link, account, intent, lane), so that writers and workers cannot
deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from kalends.domain.sync import Intent, Lane
from storage.insertion import Insertion, Into
from storage.links import LINKS
from storage.repository import Repository, table_of
from storage.sources import SOURCES
from storage.sync_models import LaneRow, OutboxRow

INTENTS = table_of(OutboxRow)
LANES = table_of(LaneRow)
MAX_ERROR = 1024

_WISHED_ANEW = (
    "ON CONFLICT (app_id, event_id) DO UPDATE SET position = excluded.position, attempts = excluded.attempts, "
    "due_at = excluded.due_at, last_error = excluded.last_error"
)
_WOKEN_AT_ONCE = (
    "ON CONFLICT (app_id, calendar_id) DO UPDATE SET account_id = excluded.account_id, alone = excluded.alone, "
    "due_at = excluded.due_at"
)
_WOKEN = (
    "ON CONFLICT (app_id, calendar_id) DO UPDATE SET account_id = excluded.account_id, alone = excluded.alone, "
    "due_at = CASE WHEN lane.failures > 0 AND lane.due_at IS NOT NULL THEN lane.due_at ELSE excluded.due_at END"
)


class IntentRepository(Repository):
    """The outbox of one app."""

    async def put(self, events: Sequence[Event]) -> None:
        """Wish for events to be brought to their provider, now, and from the first attempt."""
        await self.store(self.wished(events))

    def wished(self, events: Sequence[Event]) -> Insertion:
        """Return, as rows to be stored, the wish for events to be brought to their provider, now."""
        computed = (("attempts", "0"), ("due_at", self.database.now_in_words), ("last_error", "NULL"))
        rows = [
            {"app_id": self.app_id, "event_id": event.id, "calendar_id": event.calendar_id, "position": uuid7()}
            for event in events
        ]
        return Insertion(Into(INTENTS, ("app_id", "event_id", "calendar_id", "position"), computed, _WISHED_ANEW), rows)

    async def put_calendar(self, calendar_id: UUID) -> None:
        """Wish for every event of a calendar to be brought to its provider, in the order in which they were made."""
        events = select(
            LINKS.c.app_id,
            LINKS.c.event_id,
            LINKS.c.calendar_id,
            LINKS.c.event_id,  # as good an order as any, and ids are in that of creation
            literal(0),
            self.database.now(),
        ).where(*self.mine(LINKS), LINKS.c.calendar_id == calendar_id, LINKS.c.pushed_version < LINKS.c.local_version)
        columns = ["app_id", "event_id", "calendar_id", "position", "attempts", "due_at"]
        await self.run(insert(INTENTS).from_select(columns, events))

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

    async def forget_calendar(self, calendar_id: UUID) -> None:
        """Wish for nothing in a calendar any more."""
        await self.run(delete(INTENTS).where(*self.mine(INTENTS), INTENTS.c.calendar_id == calendar_id))

    async def hold(self, event_id: UUID) -> None:
        """Let an event wait until a person has decided, or it changes."""
        await self.run(
            update(INTENTS).where(*self.mine(INTENTS), INTENTS.c.event_id == event_id).values(due_at=None, attempts=0)
        )

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


class Waking(NamedTuple):
    """A lane that should be looked at; `alone`: not beside another lane of the same account."""

    calendar_id: UUID
    account_id: UUID | None
    alone: bool


class LaneRepository(Repository):
    """The lanes of one app, one per calendar that has a provider elsewhere."""

    async def wake(
        self, calendar_id: UUID, account_id: UUID | None, *, alone: bool = False, at_once: bool = False
    ) -> None:
        """Ask for the lane to be looked at; one that is backing off goes on doing so, unless `at_once`.

        `alone`: not beside another lane of the same account. Last in its transaction: writers of one calendar wait here
        for each other, only while they commit.
        """
        await self.wake_all([Waking(calendar_id, account_id, alone)], at_once=at_once)

    async def wake_all(self, lanes: Sequence[Waking], *, at_once: bool = False) -> None:
        """Ask for lanes to be looked at, in the order of their calendars' ids."""
        computed = (("due_at", self.database.now_in_words), ("fence", "0"), ("failures", "0"))
        into = Into(LANES, ("app_id", *Waking._fields), computed, _WOKEN_AT_ONCE if at_once else _WOKEN)
        rows = [{"app_id": self.app_id} | each._asdict() for each in sorted(lanes, key=attrgetter("calendar_id"))]
        await self.store(Insertion(into, rows))

    async def forget(self, calendar_id: UUID) -> None:
        """Remove the lane of a calendar that has no provider any more; whoever holds it finds it lost."""
        await self.run(delete(LANES).where(*self.mine(LANES), LANES.c.calendar_id == calendar_id))

    async def take(self, calendar_id: UUID, lease: timedelta) -> Lane | None:
        """Lease one lane for ourselves; None where somebody else has it, or one beside which it must not be worked."""
        return next(iter(await self.take_all([calendar_id], lease)), None)

    async def take_all(self, calendar_ids: Collection[UUID], lease: timedelta) -> list[Lane]:
        """Lease lanes for ourselves; not those that somebody else has, or beside which they must not be worked.

        Of an account's lanes that are worked alone it is the first. The caller has just woken them.
        """
        mine = (*self.mine(LANES), LANES.c.calendar_id.in_(set(calendar_ids) - await self._crowded(calendar_ids)))
        now = self.database.now()
        leased = (
            update(LANES)
            .where(*mine, LANES.c.leased_until.is_(None) | (LANES.c.leased_until <= now))
            .where(~(LANES.c.alone & in_company(now)))
            .values(fence=LANES.c.fence + 1, leased_until=self.database.now(lease))
            .returning(LANES)
        )
        return [read_lane(row) for row in await self.rows(leased)]

    async def _crowded(self, calendar_ids: Collection[UUID]) -> set[UUID]:
        """Return those of the lanes that must be worked alone, and about which others decide, or we do by another."""
        mine = (*self.mine(LANES), LANES.c.calendar_id.in_(calendar_ids))
        alone = select(LANES.c.calendar_id, LANES.c.account_id).where(*mine, LANES.c.alone)
        crowded, decided = set(), set()
        for row in await self.rows(alone.order_by(LANES.c.calendar_id)):
            first = row.account_id not in decided
            decided.add(row.account_id)
            ours = first and (self.database.is_sqlite or (await self.rows(decision_over(row.account_id)))[0][0])
            if not ours:
                crowded.add(row.calendar_id)
        return crowded

    async def keep(self, lane: Lane, lease: timedelta) -> bool:
        """Renew a lease; False where the lane has been taken over, and nothing may be acknowledged any more."""
        return bool(
            await self.run(update(LANES).where(*self._held(lane)).values(leased_until=self.database.now(lease)))
        )

    async def holds(self, lane: Lane) -> bool:
        """Tell, and keep true to the end of the transaction, that the lane is still ours."""
        return await self.one(select(LANES.c.fence).where(*self._held(lane)).with_for_update()) is not None

    async def release(
        self, lane: Lane, *, pause: timedelta | None = None, failures: int = 0, only_read: bool = False
    ) -> None:
        """Give the lane back, to be looked at when its next intent or its source is due, or after a pause.

        `only_read`: nothing can be pushed before the source has been read.
        The lane is locked before these are read: a writer who adds one either is seen here, or wakes the lane after us.
        """
        if not await self.holds(lane):
            return
        both = union_all(
            *(
                select(table.c.due_at.label("at")).where(*self.mine(table), table.c.calendar_id == lane.calendar_id)
                for table in ((SOURCES,) if only_read else (INTENTS, SOURCES))
            )
        ).subquery()
        earliest = select(func.min(both.c.at)).scalar_subquery()
        due = earliest
        if pause is not None:
            later = self.database.now(pause)
            due = case((earliest.is_(None), None), (earliest > later, earliest), else_=later)  # type: ignore[assignment]
        await self.run(update(LANES).where(*self._held(lane)).values(leased_until=None, failures=failures, due_at=due))

    def _held(self, lane: Lane) -> tuple[Any, ...]:
        return (*self.mine(LANES), LANES.c.calendar_id == lane.calendar_id, LANES.c.fence == lane.fence)


def in_company(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Tell of a lane whether another one of its account is leased."""
    beside = LANES.alias("beside")
    return exists().where(
        beside.c.app_id == LANES.c.app_id,
        beside.c.account_id == LANES.c.account_id,
        beside.c.calendar_id != LANES.c.calendar_id,
        beside.c.leased_until > now,
    )


def decision_over(account_id: UUID) -> Select[Any]:
    """Ask PostgreSQL to be, to the end of the transaction, the only one who hands out an account's lanes that must be
    alone: the lock of one lane does not stop who looks at another. On SQLite the transaction already is alone.
    """
    return select(func.pg_try_advisory_xact_lock(func.hashtextextended(str(account_id), 0)))


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
