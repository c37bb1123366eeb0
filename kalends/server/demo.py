"""The demo: an app with people, rooms and calendars to try things on, and one key that opens it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from kalends.domain.access import Principal, Scope, read_token
from kalends.domain.calendars import SANDBOX, Calendar, Resource, ResourceKind
from kalends.domain.drafts import EventDraft
from kalends.domain.events import EventStatus, Partstat
from resolvers import access, calendars, events, resources
from resolvers.calendars import CalendarDraft
from resolvers.events import NewEvent
from resolvers.resources import ResourceDraft
from resolvers.services import Services

ZONE = "Europe/Berlin"


@dataclass(frozen=True, slots=True)
class Demo:
    """What a visitor needs: the key, a calendar that reaches the sandbox provider, and a free hour in it."""

    token: str
    calendar_id: UUID
    free_hour: datetime


async def prepare_demo(services: Services, key_file: Path) -> Demo:
    """Return the demo behind the key in `key_file`; where the key does not open the database, make a new one."""
    known = _read(key_file)
    principal = await access.authenticate(services, known) if read_token(known) else None
    sandbox = await _sandbox(services, principal) if principal is not None else None
    if sandbox is None:
        known, principal = await _new(services)
        _write_private(key_file, known)
        sandbox = await _sandbox(services, principal)
    if sandbox is None:  # pragma: no cover  it was made just now
        raise RuntimeError("a new demo has a calendar at the sandbox")
    return Demo(known, sandbox.id, _at(services, days=1, hour=14))


async def _sandbox(services: Services, principal: Principal) -> Calendar | None:
    """Return a calendar at the sandbox; a visitor may have archived or deleted the one there was."""
    page = await calendars.list_calendars(services, principal, limit=100, after=None, resource_id=None, archived=False)
    return next((each for each in page if each.provider == SANDBOX), None)


async def _new(services: Services) -> tuple[str, Principal]:
    app = await access.create_app(services, "Demo")
    operator = access.operator(app.id)
    made = await access.create_key(services, operator, name="Demo", scopes=list(Scope))
    if made.token is None:  # pragma: no cover  only a repeated request has none
        raise RuntimeError("a new key has a token")
    ada = await _resource(services, operator, "Ada Lovelace", ResourceKind.PERSON, "ada@example.com")
    room = await _resource(services, operator, "Room 2", ResourceKind.ROOM, "room-2@example.com")
    work = await _calendar(services, operator, ada, "Ada's work", SANDBOX)
    private = await _calendar(services, operator, ada, "Ada's private life", "local")
    booked = await _calendar(services, operator, room, "Room 2", "local")
    await events.create_events(
        services,
        operator,
        [
            _event(services, work, "Stand-up", days=1, hour=9, minutes=15),
            _event(services, work, "Lunch with Grace", days=1, hour=12, where="Canteen", guests=["grace@example.com"]),
            _event(services, work, "Maybe: talk on engines", days=2, hour=16, status=EventStatus.TENTATIVE),
            _event(services, private, "Piano lesson", days=3, hour=18),
            _event(services, booked, "Design review", days=2, hour=10, minutes=90, guests=["ada@example.com"]),
            NewEvent(
                private.id,
                EventDraft(
                    start=_at(services, days=5).date(),
                    end=_at(services, days=7).date(),
                    summary="Trip to the sea",
                    location="Warnemünde",
                    all_day=True,
                ),
            ),
        ],
        operation="createEvents",
    )
    return made.token, operator


async def _resource(services: Services, operator: Principal, name: str, kind: ResourceKind, email: str) -> Resource:
    draft = ResourceDraft(name=name, kind=kind, email=email, tzid=ZONE, metadata={})
    return await resources.create_resource(services, operator, draft)


async def _calendar(services: Services, operator: Principal, owner: Resource, name: str, provider: str) -> Calendar:
    draft = CalendarDraft(name=name, resource_id=owner.id, provider=provider, metadata={})
    return await calendars.create_calendar(services, operator, draft)


def _event(
    services: Services,
    calendar: Calendar,
    what: str,
    *,
    days: int,
    hour: int,
    minutes: int = 60,
    where: str = "",
    guests: list[str] | None = None,
    status: EventStatus = EventStatus.CONFIRMED,
) -> NewEvent:
    start = _at(services, days=days, hour=hour)
    draft = EventDraft(
        start=start,
        end=start + timedelta(minutes=minutes),
        summary=what,
        location=where,
        attendees=tuple(guests or ()),
        partstat=Partstat.ACCEPTED,
        status=status,
    )
    return NewEvent(calendar.id, draft)


def _at(services: Services, *, days: int, hour: int = 0) -> datetime:
    today = services.clock().astimezone(ZoneInfo(ZONE)).date()
    return datetime.combine(today + timedelta(days=days), time(hour), ZoneInfo(ZONE))


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
