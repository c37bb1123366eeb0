"""One transaction and its repositories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.access import KeyRepository
from storage.accounts import AccountRepository, ConsentRepository
from storage.busy import BusyRepository
from storage.calendars import CalendarRepository, ResourceRepository
from storage.changes import ChangeRepository
from storage.engine import LOCK_MILLISECONDS, Database
from storage.errors import Unacknowledged, Unavailable, translated
from storage.events import EventRepository
from storage.feeds import FeedRepository
from storage.idempotency import IdempotencyRepository
from storage.insertion import Insertion, store
from storage.links import LinkRepository
from storage.outbox import IntentRepository, LaneRepository
from storage.profiles import ProfileRepository
from storage.sandbox import SandboxRepository
from storage.sources import ChannelRepository, SourceRepository
from storage.system import SystemUnit

TENANT_ROLE, SYSTEM_ROLE = "kalends_tenant", "kalends_system"
IDLE_MILLISECONDS = 10_000  # a process that is stopped inside a transaction gives its locks back after this

# Local to the transaction, so that it also holds behind pgbouncer in transaction mode.
_BECOME = (
    "SELECT set_config('role', '{role}', true), set_config('app.tenant', '{tenant}', true), "
    f"set_config('lock_timeout', '{LOCK_MILLISECONDS}', true), "
    f"set_config('idle_in_transaction_session_timeout', '{IDLE_MILLISECONDS}', true)"
)


class UnitOfWork:
    """One app's transaction. Everything that happens through it happens together or not at all."""

    def __init__(self, database: Database, connection: AsyncConnection, app_id: UUID) -> None:
        self.app_id = app_id
        self._parts = database, connection, app_id

    async def store(self, *insertions: Insertion) -> list[int]:
        """Store new rows of several kinds, and return how many of each were written."""
        return await store(*self._parts[:2], insertions)

    @cached_property
    def events(self) -> EventRepository:
        """The app's events."""
        return EventRepository(*self._parts)

    @cached_property
    def busy(self) -> BusyRepository:
        """The busy time of the app's calendars."""
        return BusyRepository(*self._parts)

    @cached_property
    def calendars(self) -> CalendarRepository:
        """The app's calendars."""
        return CalendarRepository(*self._parts)

    @cached_property
    def resources(self) -> ResourceRepository:
        """The app's resources."""
        return ResourceRepository(*self._parts)

    @cached_property
    def profiles(self) -> ProfileRepository:
        """The profiles of the app's resources."""
        return ProfileRepository(*self._parts)

    @cached_property
    def accounts(self) -> AccountRepository:
        """The app's accounts."""
        return AccountRepository(*self._parts)

    @cached_property
    def keys(self) -> KeyRepository:
        """The app and its keys."""
        return KeyRepository(*self._parts)

    @cached_property
    def links(self) -> LinkRepository:
        """The counterparts of the app's events."""
        return LinkRepository(*self._parts)

    @cached_property
    def intents(self) -> IntentRepository:
        """The app's outbox."""
        return IntentRepository(*self._parts)

    @cached_property
    def lanes(self) -> LaneRepository:
        """The app's lanes."""
        return LaneRepository(*self._parts)

    @cached_property
    def sources(self) -> SourceRepository:
        """How far the app's calendars have been read at their providers."""
        return SourceRepository(*self._parts)

    @cached_property
    def channels(self) -> ChannelRepository:
        """How providers call us about the app's calendars."""
        return ChannelRepository(*self._parts)

    @cached_property
    def consents(self) -> ConsentRepository:
        """Who is on the way to open an account."""
        return ConsentRepository(*self._parts)

    @cached_property
    def feeds(self) -> FeedRepository:
        """The app's published calendars."""
        return FeedRepository(*self._parts)

    @cached_property
    def changes(self) -> ChangeRepository:
        """The app's change log."""
        return ChangeRepository(*self._parts)

    @cached_property
    def idempotency(self) -> IdempotencyRepository:
        """The app's idempotency keys."""
        return IdempotencyRepository(*self._parts)

    @cached_property
    def sandbox(self) -> SandboxRepository:
        """What the sandbox provider remembers."""
        return SandboxRepository(*self._parts)


@asynccontextmanager
async def _acting(
    database: Database, connection: AsyncConnection, role: str, tenant: UUID | None
) -> AsyncIterator[None]:
    """Have the transaction that the connection begins next act as a role, for a tenant, from its first moment on."""
    if database.is_sqlite:
        yield
        return
    driver: Any = (await connection.get_raw_connection()).driver_connection
    driver.opening = _BECOME.format(role=role, tenant=tenant or "")
    try:
        yield
    finally:
        driver.opening = ""  # a transaction that asks nothing has not begun


class _TakenBack(Exception):
    """Ends the transaction of a dry run."""


class Storage:
    """The way to transactions. Leaving the block commits, leaving it with an exception rolls back.

    All raise `Unavailable` where the database cannot answer now.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def writers(self) -> int:
        """How many large transactions it is worth to have under way: on SQLite a second one would only wait."""
        return 1 if self.database.is_sqlite else 2

    @asynccontextmanager
    async def writing(self, app_id: UUID) -> AsyncIterator[UnitOfWork]:
        """Open a transaction that writes, as one app."""
        async with self._transaction(self.database.writer, TENANT_ROLE, app_id) as connection:
            yield UnitOfWork(self.database, connection, app_id)

    @asynccontextmanager
    async def trying(self, app_id: UUID) -> AsyncIterator[UnitOfWork]:
        """Open a transaction that writes, as one app, and takes all of it back at its end: a dry run."""
        with suppress(_TakenBack):
            async with self.writing(app_id) as work:
                yield work
                raise _TakenBack

    @asynccontextmanager
    async def reading(self, app_id: UUID) -> AsyncIterator[UnitOfWork]:
        """Open a transaction that reads, as one app."""
        async with self._transaction(self.database.reader, TENANT_ROLE, app_id) as connection:
            yield UnitOfWork(self.database, connection, app_id)

    @asynccontextmanager
    async def system(self, *, write: bool = False) -> AsyncIterator[SystemUnit]:
        """Open a transaction outside every app."""
        engine = self.database.writer if write else self.database.reader
        async with self._transaction(engine, SYSTEM_ROLE, None) as connection:
            yield SystemUnit(self.database, connection)

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine, role: str, tenant: UUID | None) -> AsyncIterator[AsyncConnection]:
        committing = False
        try:
            with translated():
                async with (
                    engine.connect() as connection,
                    _acting(self.database, connection, role, tenant),
                    connection.begin(),
                ):
                    yield connection
                    committing = True
        except Unavailable as error:
            if committing:
                raise Unacknowledged(str(error)) from error
            raise
