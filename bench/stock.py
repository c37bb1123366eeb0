# mypy: disallow-untyped-decorators=False
"""The yardstick: `createEvent` as a team would write it with Strawberry and SQLModel, by the manuals of both.

One ASGI view, one session per mutation, `refresh` after `commit`. It stores what Kalends stores in its event table. It
has no authentication, change log, outbox, idempotency or conflict check, so it does less than what it is compared to.
With STOCK_CACHES it has Strawberry's caches of parsed and validated documents.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import cast
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import strawberry
from sqlalchemy import JSON, DateTime, Index, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, SchemaExtension, ValidationCache
from strawberry.scalars import JSON as JSONScalar  # noqa: N811

from bench.calendars import FIXED_IDS

URL = os.environ.get("STOCK_URL", "sqlite+aiosqlite:///stock.sqlite3")
engine = create_async_engine(URL, connect_args={"timeout": 30})

if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: object, _record: object) -> None:
        """Let readers and the writer go on beside each other; a commit is on disk before it is acknowledged."""
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


class CalendarRow(SQLModel, table=True):
    """A calendar."""

    __tablename__ = "calendar"
    id: UUID = Field(primary_key=True)
    name: str
    tzid: str


class EventRow(SQLModel, table=True):
    """An event."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_start", "calendar_id", "starts_at"),)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    calendar_id: UUID = Field(foreign_key="calendar.id")
    uid: str
    version: int = 1
    sequence: int = 0
    all_day: bool
    tzid: str
    starts_at: datetime = Field(sa_type=DateTime(timezone=True))
    ends_at: datetime = Field(sa_type=DateTime(timezone=True))
    summary: str
    location: str
    description: str | None
    attendees: list[list[str]] = Field(sa_type=JSON)
    partstat: str
    send_invitations: bool
    transparent: bool
    status: str
    meta: dict[str, str] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))


@strawberry.enum
class Rsvp(Enum):
    """An answer to an invitation."""

    NEEDS_ACTION = "NEEDS_ACTION"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"


@strawberry.enum
class EventStatus(Enum):
    """Whether an event takes place."""

    CONFIRMED = "CONFIRMED"
    TENTATIVE = "TENTATIVE"
    CANCELLED = "CANCELLED"


@strawberry.input
class CreateEventInput:
    """An event to be created."""

    calendar_id: strawberry.ID
    start: datetime
    end: datetime
    what: str
    where: str
    description: str | None = None
    invite: bool = False
    participants: list[str] = strawberry.field(default_factory=list)
    my_rsvp: Rsvp = Rsvp.ACCEPTED
    all_day: bool = False
    time_zone: str | None = None
    transparent: bool = False
    status: EventStatus = EventStatus.CONFIRMED
    metadata: JSONScalar | None = None


@strawberry.type
class Participant:
    """Somebody who is asked to take part."""

    email: str
    rsvp: Rsvp


@strawberry.type
class Event:
    """An event."""

    id: strawberry.ID
    calendar_id: strawberry.ID
    uid: str
    version: int
    what: str
    where: str
    description: str | None
    start: datetime
    end: datetime
    all_day: bool
    time_zone: str
    status: EventStatus
    transparent: bool
    invite: bool
    participants: list[Participant]
    my_rsvp: Rsvp
    metadata: JSONScalar
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: EventRow) -> Event:
        """Return a row in the API's words."""
        place = ZoneInfo(row.tzid)
        return cls(
            id=strawberry.ID(str(row.id)),
            calendar_id=strawberry.ID(str(row.calendar_id)),
            uid=row.uid,
            version=row.version,
            what=row.summary,
            where=row.location,
            description=row.description,
            start=row.starts_at.astimezone(place),
            end=row.ends_at.astimezone(place),
            all_day=row.all_day,
            time_zone=row.tzid,
            status=EventStatus(row.status),
            transparent=row.transparent,
            invite=row.send_invitations,
            participants=[Participant(email=email, rsvp=Rsvp(rsvp)) for email, rsvp in row.attendees],
            my_rsvp=Rsvp(row.partstat),
            metadata=JSONScalar(row.meta),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@strawberry.interface
class UserError:
    """What is wrong."""

    message: str


@strawberry.type
class InvalidInputError(UserError):
    """An argument cannot be used."""


@strawberry.type
class CreateEventPayload:
    """What became of `createEvent`."""

    event: Event | None = None
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class Query:
    """The queries."""

    @strawberry.field
    async def event(self, id: strawberry.ID) -> Event | None:  # noqa: A002
        """Load an event."""
        async with AsyncSession(engine) as session:
            row = await session.get(EventRow, UUID(id))
            return Event.of(row) if row else None


@strawberry.type
class Mutation:
    """The mutations."""

    @strawberry.mutation
    async def create_event(self, input: CreateEventInput) -> CreateEventPayload:  # noqa: A002
        """Create an event."""
        async with AsyncSession(engine) as session:
            calendar = await session.get(CalendarRow, UUID(input.calendar_id))
            if calendar is None:
                return _refused("There is no such calendar.")
            if input.end <= input.start:
                return _refused("The end must be after the start.")
            if not input.what or any("@" not in each for each in input.participants):
                return _refused("Expected a title and e-mail addresses.")
            event_id, now = uuid4(), datetime.now(UTC)
            row = EventRow(
                id=event_id,
                calendar_id=calendar.id,
                uid=f"{event_id}@stock",
                all_day=input.all_day,
                tzid=input.time_zone or calendar.tzid,
                starts_at=input.start,
                ends_at=input.end,
                summary=input.what,
                location=input.where,
                description=input.description,
                attendees=[[each, Rsvp.NEEDS_ACTION.value] for each in input.participants],
                partstat=input.my_rsvp.value,
                send_invitations=input.invite,
                transparent=input.transparent,
                status=input.status.value,
                meta=cast("dict[str, str]", input.metadata or {}),
                created_at=now,
                updated_at=now,
            )
            session.add(row)
            await session.commit()
            await session.refresh(row)
            return CreateEventPayload(event=Event.of(row))


def _refused(message: str) -> CreateEventPayload:
    return CreateEventPayload(errors=[InvalidInputError(message=message)])


caches: list[Callable[[], SchemaExtension]] = [ParserCache, ValidationCache] if "STOCK_CACHES" in os.environ else []
schema = strawberry.Schema(Query, Mutation, extensions=caches, types=[InvalidInputError])


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Make the tables and the calendars."""
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        if (await session.execute(text("SELECT count(*) FROM calendar"))).scalar_one() == 0:
            session.add_all([CalendarRow(id=UUID(each), name="Calendar", tzid="UTC") for each in FIXED_IDS])
            await session.commit()
    yield
    await engine.dispose()


app = Starlette(routes=[Route("/graphql", GraphQL(schema))], lifespan=lifespan)
