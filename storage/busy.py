"""Busy time in SQL: the one question behind free/busy, availability, conflicts and every guarded write.

It is answered from indexes alone. Its cost grows with the windows and with what lies in them, not with the years of
history behind: short events are found by their start, at most a day before the window, long ones by their end.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from struct import Struct
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from kalends.domain.busy import BusyTime
from kalends.domain.events import Event
from kalends.domain.spans import span_of, ticks
from kalends.domain.time import EPOCH, TimeSpan
from storage.event_rows import event_of
from storage.models import EventRow
from storage.repository import Repository, table_of
from storage.types import LONG_EVENT, MICROSECOND, Instant

EVENTS = table_of(EventRow)

_PACKED = Struct(">qqh16s")
_POSTGRES_EPOCH = ticks(EPOCH.replace(year=2000))
_busy = BusyTime._make  # twice as fast as BusyTime itself, and there may be hundreds of thousands
_NOT_READY = -1  # in the place of a kind: a series whose occurrences in the window are not all there

# `w` is a window: a calendar and the two ends of a span.
_EVENTS = "starts_at, ends_at, busy, id FROM event AS e WHERE {mine} AND busy > 0 AND"
_OCCURRENCES = "starts_at, ends_at, busy, event_id FROM occurrence AS e WHERE {mine} AND busy > 0 AND"
_SERIES = "expanded_since, expanded_until, -1, event_id FROM series AS e WHERE {mine} AND"
_SHORT = "{short} AND starts_at > w.since - {day} AND starts_at < w.until AND ends_at > w.since"
_LONG = "{long} AND ends_at > w.since AND starts_at < w.until"
_UNREADY = "(expanded_since > w.since OR expanded_until < w.until)"
_ARMS = tuple(
    f"{what} {where}"
    for what, where in (
        (_EVENTS, _SHORT),
        (_EVENTS, _LONG),
        (_OCCURRENCES, _SHORT),
        (_OCCURRENCES, _LONG),
        (_SERIES, _UNREADY),
    )
)
_MINE = "e.app_id = :app AND e.calendar_id = w.calendar_id"
# Each database takes its partial indexes only where the question says what the index does, in the same words.
_IN_POSTGRES = {"short": "NOT long", "long": "long", "day": "interval '24 hours'"}
_IN_SQLITE = {"short": "long = 0", "long": "long = 1", "day": str(LONG_EVENT // MICROSECOND)}


def _on_postgres() -> str:
    """Write the question for PostgreSQL: a row per window, because a row costs its driver more than the database."""
    arms = " UNION ALL ".join("SELECT " + arm.format(mine=_MINE, **_IN_POSTGRES) for arm in _ARMS)
    packed = "timestamptz_send(starts_at) || timestamptz_send(ends_at) || int2send(busy::int2) || uuid_send(id)"
    taken = f"SELECT string_agg({packed}, ''::bytea) FROM ({arms}) AS taken(starts_at, ends_at, busy, id)"  # noqa: S608
    windows = "unnest(:calendars, :sinces, :untils) WITH ORDINALITY AS w(calendar_id, since, until, number)"
    return f"SELECT w.number, ({taken}) FROM {windows}"  # noqa: S608  all of it is written here


def _on_sqlite() -> str:
    """Write the question for SQLite. CROSS JOIN keeps the windows outside, so that each is a search in an index."""
    windows = (
        "w(number, calendar_id, since, until) AS MATERIALIZED "
        "(SELECT key, value ->> 0, value ->> 1, value ->> 2 FROM json_each(:windows))"
    )
    arms = " UNION ALL ".join(
        "SELECT w.number, " + arm.format(mine=_MINE, **_IN_SQLITE).replace("FROM ", "FROM w CROSS JOIN ", 1)
        for arm in _ARMS
    )
    return f"WITH {windows} {arms}"


_POSTGRES = text(_on_postgres()).bindparams(
    bindparam("app", type_=Uuid()),
    bindparam("calendars", type_=ARRAY(Uuid())),
    bindparam("sinces", type_=ARRAY(Instant())),
    bindparam("untils", type_=ARRAY(Instant())),
)
_SQLITE = text(_on_sqlite()).bindparams(bindparam("app", type_=Uuid()))


class BusyRepository(Repository):
    """The busy time of one app's calendars."""

    async def of(self, calendar_ids: Collection[UUID], span: TimeSpan) -> dict[UUID, list[BusyTime]]:
        """Return what takes time in each of these calendars within a span, in no particular order."""
        found = await self.within([(calendar_id, span) for calendar_id in calendar_ids])
        return dict(zip(calendar_ids, found, strict=True))

    async def within(self, windows: Sequence[tuple[UUID, TimeSpan]]) -> list[list[BusyTime]]:
        """Return, for each of these calendars and spans, what takes time there, in no particular order."""
        if self.database.is_sqlite:
            found = await self._on_sqlite(windows)
        else:
            found = await self._on_postgres(windows)
        unready = {each.event for times in found for each in times if each.kind == _NOT_READY}
        if unready:
            series = await self._series([UUID(bytes=each) for each in unready])
            for times, (calendar_id, span) in zip(found, windows, strict=True):
                times[:] = [each for each in times if each.event not in unready]
                for event in series:
                    if event.calendar_id == calendar_id:
                        times += event.taken(span)
        return found

    async def _on_postgres(self, windows: Sequence[tuple[UUID, TimeSpan]]) -> list[list[BusyTime]]:
        values = {
            "app": self.app_id,
            "calendars": [calendar_id for calendar_id, _ in windows],
            "sinces": [span.start for _, span in windows],
            "untils": [span.end for _, span in windows],
        }
        found: list[list[BusyTime]] = [[] for _ in windows]
        for number, packed in await self.rows(_POSTGRES, values):
            found[number - 1] = [
                _busy((start + _POSTGRES_EPOCH, end + _POSTGRES_EPOCH, kind, event))
                for start, end, kind, event in _PACKED.iter_unpack(packed or b"")
            ]
        return found

    async def _on_sqlite(self, windows: Sequence[tuple[UUID, TimeSpan]]) -> list[list[BusyTime]]:
        told = json.dumps([(calendar_id.hex, *span_of(span)) for calendar_id, span in windows])
        found: list[list[BusyTime]] = [[] for _ in windows]
        fromhex = bytes.fromhex
        for number, start, end, kind, event in await self.rows(_SQLITE, {"app": self.app_id, "windows": told}):
            found[number].append(_busy((start, end, kind, fromhex(event))))
        return found

    async def _series(self, ids: Collection[UUID]) -> list[Event]:
        query = select(EVENTS).where(*self.mine(EVENTS), EVENTS.c.id.in_(ids), EVENTS.c.deleted_at.is_(None))
        return [event_of(row) for row in await self.rows(query)]
