"""The sandbox: it remembers in Kalends' own database, and its people write there as well."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, exc, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database
from storage.models import EventRow
from storage.repository import table_of
from storage.sync_models import SandboxAccountRow, SandboxEventRow
from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.ledger import Entry, Said
from tests.faults.places.place import CALENDARS_EACH, OWNERS, ZONE, Copy, Faults, Place, Surroundings

T = TypeVar("T")
ACCOUNTS, COPIES, EVENTS = table_of(SandboxAccountRow), table_of(SandboxEventRow), table_of(EventRow)
PATIENCE = 60.0  # seconds for a database that is restarted


class Sandbox(Place):
    """The provider inside the process."""

    name = provider = "sandbox"
    pace = 1.0

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._database = Database(around.database, pool_size=2)

    async def open(self) -> None:
        """Do nothing: it is open with the database."""

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    async def connect(self, client: Client, owner: int, resource_id: str) -> list[str]:
        """Create calendars there."""
        calendars = []
        for each in range(CALENDARS_EACH):
            asked = {"name": f"Calendar {owner}.{each}", "resourceId": resource_id, "provider": self.provider}
            made = (await client.call(ask.CALENDAR, input=asked))["calendar"]
            self.links[made["id"]] = (owner, made["id"])
            self.accounts[owner] = made["account"]["id"]
            calendars.append(made["id"])
        self._client = client
        await self._configure({}, [owner])
        return calendars

    async def copies(self, calendar: str) -> list[Copy]:
        """Return what the table has."""
        query = select(COPIES).where(COPIES.c.calendar == calendar, COPIES.c.deleted.is_(False))

        async def read(_attempt: int) -> list[Copy]:
            async with self._database.reader.connect() as connection:
                return [_copy(row) for row in await connection.execute(query)]

        return await _done(read)

    async def writes(self) -> Counter[str]:
        """Return what the sandbox has counted."""
        async with self._database.reader.connect() as connection:
            rows = await connection.execute(select(COPIES.c.remote_id, COPIES.c.calls))
            return Counter({row.remote_id: row.calls for row in rows})

    async def add(self, entry: Entry) -> None:
        """Add a row."""
        calendar = UUID(entry.calendar_id)

        async def write(_attempt: int) -> None:
            async with self._database.writer.begin() as connection:
                where = COPIES.c.remote_id == entry.key
                if (await connection.execute(select(COPIES).where(where))).first() is not None:
                    return
                account = UUID(self.accounts[self.links[str(calendar)][0]])
                own = {"account_id": account, "remote_id": entry.key, "calendar": str(calendar)}
                position, app = await _next_position(connection, account)
                numbers = {"revision": 1, "calls": 0, "deleted": False, "position": position, "app_id": app}
                await connection.execute(insert(COPIES).values(own | numbers | {"body": _body(entry)}))

        await _done(write)

    async def change(self, copy: Copy, values: Said) -> bool:
        """Change a row, where its revision is still the one that was seen."""
        return await self._written(copy, lambda row: {"body": row.body | _words(values)})

    async def remove(self, copy: Copy) -> bool:
        """Mark a row as deleted."""
        return await self._written(copy, lambda _row: {"deleted": True})

    async def misbehave(self, faults: Faults, owners: Collection[int] = range(OWNERS)) -> None:
        """Configure the sandbox, by Kalends' own API."""
        told = asdict(faults)
        lost = sum(told.pop(name) for name in ("reply_lost", "half_body", "hang"))
        told["retry_after"] = self.told_to_wait(faults.retry_after)
        words = {name.partition("_")[0] + name.partition("_")[2].title(): value for name, value in told.items()}
        await self._configure(words | {"replyLost": lost}, owners)

    async def revoke(self, owner: int) -> None:
        """Withdraw an account's grant."""
        await self._configure({"revoked": True}, [owner])

    async def reconnect(self, client: Client, owner: int) -> None:  # noqa: ARG002
        """Give an account's grant back, and have one of its events tried again."""
        await self._configure({}, [owner])
        query = select(EVENTS.c.id).where(EVENTS.c.calendar_id.in_([UUID(each) for each in self.of(owner)]))
        async with self._database.reader.connect() as connection:
            ids = [row.id for row in await connection.execute(query)]
        for event_id in ids:
            if (await self._client.call(ask.STATUS, id=str(event_id))).payload["sync"]["status"] == "PARKED":
                await self._client.call(ask.RETRY, id=str(event_id))
                return

    async def busy(self, owner: int, since: float, until: float) -> int:
        """Return what Kalends' server has logged: nobody else knows of calls inside its process."""
        own = set(self.of(owner))
        async with self._database.reader.connect() as connection:
            rows = await connection.execute(select(EVENTS.c.id, EVENTS.c.calendar_id))
            calendar_of = {str(row.id): str(row.calendar_id) for row in rows}
        return sum(
            since <= datetime.fromisoformat(each["timestamp"]).timestamp() <= until
            and (each.get("calendar") or calendar_of.get(each.get("event_id", ""))) in own
            for each in self._failures()
            if "429" in each["error"]
        )

    async def met(self) -> Counter[str]:
        """Return what Kalends' processes have logged."""
        kinds = {"429": "throttled", "503": "unavailable", "answer was lost": "reply_lost"}
        errors = [each["error"] for each in self._failures()]
        return Counter(kind for error in errors for part, kind in kinds.items() if part in error)

    def _failures(self) -> list[dict[str, Any]]:
        lines = [
            line for log in self.around.folder.glob("*.log") for line in log.read_text("utf-8", "replace").split("\n")
        ]
        logged = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in logged if each.get("event") in ("sync.failed", "sync.unread")]

    def told_to_wait(self, seconds: int) -> float:
        """Return half of it: the sandbox's seconds are no whole ones."""
        return seconds / 2

    async def _configure(self, words: dict[str, Any], owners: Collection[int]) -> None:
        for owner in owners:
            await self._client.call(ask.MISBEHAVE, input={"calendarId": self.of(owner)[0]} | words)

    async def _written(self, copy: Copy, values: Callable[[Row[Any]], dict[str, Any]]) -> bool:
        async def write(attempt: int) -> bool:
            async with self._database.writer.begin() as connection:
                where = COPIES.c.remote_id == copy.name
                row = (await connection.execute(select(COPIES).where(where).with_for_update())).one()
                if row.deleted or str(row.revision) != copy.etag:
                    return bool(row.deleted) and attempt > 1  # the first time may have been done
                position, _ = await _next_position(connection, row.account_id)
                changed = values(row) | {"revision": row.revision + 1, "position": position}
                await connection.execute(update(COPIES).where(where).values(changed))
                return True

        return await _done(write)


async def _next_position(connection: AsyncConnection, account: UUID) -> tuple[int, UUID]:
    statement = (
        update(ACCOUNTS)
        .where(ACCOUNTS.c.account_id == account)
        .values(position=ACCOUNTS.c.position + 1)
        .returning(ACCOUNTS.c.position, ACCOUNTS.c.app_id)
    )
    row = (await connection.execute(statement)).one()
    return row.position, row.app_id


async def _done(action: Callable[[int], Awaitable[T]]) -> T:
    """Do something in the database, again where it is restarted in the middle."""
    attempt = 0
    async with asyncio.timeout(PATIENCE):
        while True:
            attempt += 1
            try:
                return await action(attempt)
            except (exc.DBAPIError, exc.TimeoutError, OSError):
                await asyncio.sleep(0.2)


def _copy(row: Row[Any]) -> Copy:
    body = row.body
    moments = tuple(datetime.fromisoformat(body[name]).astimezone(UTC) for name in ("startsAt", "endsAt"))
    said = {"what": body["summary"], "where": body["location"], "when": moments, "status": body["status"]}
    guests = [email for email, _ in body["attendees"]]
    return Copy(row.calendar, row.remote_id, str(row.revision), said, body["description"] or "", guests, body)


def _body(entry: Entry) -> dict[str, Any]:
    return _words(entry.first) | {
        "iCalUID": f"{entry.key}@people",
        "tzid": ZONE,
        "allDay": False,
        "description": entry.description,
        "attendees": [],
        "partstat": "ACCEPTED",
        "sendInvitations": False,
        "transparent": False,
        "onConflict": "ALLOW",
        "metadata": {},
        "visibility": "DEFAULT",
        "reminders": None,
        "organizer": None,
    }


def _words(values: Said) -> dict[str, Any]:
    """Return fields in the sandbox's words."""
    names = {"what": "summary", "where": "location", "status": "status"}
    words = {names[name]: value for name, value in values.items() if name in names}
    if "when" in values:
        for name, moment in zip(("start", "end"), values["when"], strict=True):
            words[name] = moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat()
            words[f"{name}sAt"] = moment.isoformat()
    return words


def in_the_sandboxs_words(row: Row[Any]) -> dict[str, Any]:
    """Return what the sandbox should have of an event of ours: all of it, but for what only we have words for."""
    return {
        "summary": row.summary,
        "location": row.location,
        "description": row.description,
        "start": row.start_wall.isoformat(),
        "end": row.end_wall.isoformat(),
        "startsAt": row.starts_at.isoformat(),
        "endsAt": row.ends_at.isoformat(),
        "tzid": row.tzid,
        "allDay": row.all_day,
        "status": row.status,
        "transparent": row.transparent,
        "partstat": row.partstat,
        "attendees": [list(each) for each in row.attendees],
        "metadata": row.meta,
        "visibility": row.visibility,
        "reminders": row.reminders,
        "organizer": row.organizer,
    }
