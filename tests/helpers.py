"""Builders and small tools that tests share. What a test does not say is a sensible default."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event as listen
from sqlalchemy import text

from kalends.domain.access import App, secret_hash
from kalends.domain.calendars import LOCAL, Account, AccountState, Calendar, Resource, ResourceKind
from kalends.domain.errors import Refused
from kalends.domain.events import Event
from kalends.domain.ids import uuid7
from kalends.domain.merge import Agreement
from kalends.domain.profiles import Conditions, Profile
from storage.accounts import Consent
from storage.engine import Database
from storage.links import Counterpart
from storage.sources import OpenChannel
from storage.unit_of_work import Storage, UnitOfWork
from tests.contracts.building import (
    BERLIN,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TODAY,
    WEEK,
    make_content,
    make_days,
    make_event,
    make_span,
    make_when,
    wall,
)

__all__ = [  # what the contracts' builders are for everybody
    "BERLIN",
    "DAY",
    "HOUR",
    "MINUTE",
    "NOW",
    "TODAY",
    "WEEK",
    "make_content",
    "make_days",
    "make_event",
    "make_span",
    "make_when",
    "wall",
]

NOBODY = UUID("01989f6e-1c5a-7cb2-9d2b-6f0d5e3a4b10")
"""An id that nothing has."""


class Clock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@contextmanager
def refusing(*problems: tuple[str, str]) -> Iterator[None]:
    """Expect a refusal with exactly these problems, each as its dotted path and its code."""
    with pytest.raises(Refused) as caught:
        yield
    assert [(".".join(each.path), each.code) for each in caught.value.problems] == list(problems)


def make_resource(name: str = "Ada", **others: Any) -> Resource:
    fields: dict[str, Any] = {"kind": ResourceKind.PERSON, "email": "ada@example.org", "tzid": BERLIN} | others
    return Resource(uuid7(), name, created_at=NOW, updated_at=NOW, **fields)


def make_profile(resource_id: UUID, name: str = "Office hours", **conditions: Any) -> Profile:
    """Return a profile; `conditions` are the fields of `Conditions`."""
    return Profile(uuid7(), resource_id, name, Conditions(**conditions), NOW, NOW)


def make_account(resource_id: UUID | None = None, provider: str = "sandbox", **others: Any) -> Account:
    return Account(uuid7(), resource_id, provider, **{"state": AccountState.ACTIVE} | others)


def make_calendar(name: str = "Work", **others: Any) -> Calendar:
    fields: dict[str, Any] = {
        "resource_id": None,
        "description": None,
        "tzid": BERLIN,
        "provider": LOCAL,
        "account_id": None,
        "remote_id": None,
        "read_only": False,
        "archived_at": None,
    }
    return Calendar(uuid7(), name=name, created_at=NOW, updated_at=NOW, **fields | others)


def make_counterpart(event: Event, remote_id: str | None = "r-1", **others: Any) -> Counterpart:
    """Return a copy of an event, whose provider has it just as it is."""
    fields: dict[str, Any] = {
        "etag": '"1"',
        "url": f"https://calendar.example/{remote_id}",
        "uid": event.uid,
        "agreed": Agreement(event.state, event.state),
    }
    return Counterpart(remote_id, **fields | others)


def make_channel(calendar_id: UUID, secret: str = "secret", **others: Any) -> OpenChannel:
    """Return a channel that is open for a week."""
    fields: dict[str, Any] = {"remote_id": "channel-1", "expires_at": NOW + WEEK, "renew_at": NOW + WEEK / 2}
    return OpenChannel(uuid7(), calendar_id, secret_hash=secret_hash(secret), **fields | others)


def make_consent(resource_id: UUID | None = None, **others: Any) -> Consent:
    """Return somebody who is on the way to a provider, for an hour."""
    fields: dict[str, Any] = {
        "provider": "google",
        "state_hash": secret_hash("state"),
        "verifier": "verifier",
        "return_to": None,
        "origin": "key:1",
        "expires_at": NOW + HOUR,
    }
    return Consent(uuid7(), resource_id=resource_id, **fields | others)


async def add_app(storage: Storage, name: str = "Ours") -> UUID:
    """Store an app and return its id."""
    app = App(uuid7(), name, NOW)
    async with storage.system(write=True) as system:
        await system.add_app(app)
    return app.id


async def add_calendar(storage: Storage, app_id: UUID, **fields: Any) -> Calendar:
    """Store a calendar and return it."""
    calendar = make_calendar(**fields)
    async with storage.writing(app_id) as work:
        await work.calendars.add(calendar)
    return calendar


async def add_events(storage: Storage, app_id: UUID, *events: Event) -> None:
    """Store events."""
    async with storage.writing(app_id) as work:
        await work.events.add(events)


class _Abandoned(Exception):
    """Ends a transaction without its commit."""


@asynccontextmanager
async def abandoned(storage: Storage, app_id: UUID) -> AsyncIterator[UnitOfWork]:
    """Open a transaction that writes, and roll it back at the end."""
    with suppress(_Abandoned):
        async with storage.writing(app_id) as work:
            yield work
            raise _Abandoned


@contextmanager
def recorded(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Record the statements that go to the database, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_others: Any) -> None:
        statements.append((statement, parameters))

    engines = {database.writer.sync_engine, database.reader.sync_engine}
    for engine in engines:
        listen.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            listen.remove(engine, "before_cursor_execute", note)


async def until_somebody_waits(database: Database) -> None:
    """Return when a transaction waits for a lock; on SQLite, where all wait for the one writer, at once."""
    async with asyncio.timeout(10):
        while not database.is_sqlite:
            async with database.reader.connect() as connection:
                if (await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one():
                    return
