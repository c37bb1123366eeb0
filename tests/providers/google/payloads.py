"""Answers as Google sends them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import httpx

from providers.google.wire import Event
from providers.interface import RemoteCalendar
from tests.helpers import BERLIN

CALENDAR = RemoteCalendar(UUID(int=1), UUID(int=2), "ada@example.org", BERLIN, "ada@example.org")


def event(**fields: Any) -> Event:
    """Return a plain event, with some fields otherwise; a None leaves a field out."""
    plain = {
        "kind": "calendar#event",
        "etag": '"3480508598540894"',
        "id": "c4p3gchl6ss36b9gcgo64b9kcdh64b9o",
        "status": "confirmed",
        "htmlLink": "https://www.google.com/calendar/event?eid=YzRwM2djaGw",
        "created": "2026-02-22T19:58:05.000Z",
        "updated": "2026-02-22T19:58:19.270Z",
        "summary": "Planning",
        "creator": {"email": "ada@example.org", "self": True},
        "organizer": {"email": "ada@example.org", "self": True},
        "start": {"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-05-04T10:00:00+02:00", "timeZone": "Europe/Berlin"},
        "iCalUID": "c4p3gchl6ss36b9gcgo64b9kcdh64b9o@google.com",
        "sequence": 0,
        "reminders": {"useDefault": True},
        "eventType": "default",
    }
    return cast("Event", {name: value for name, value in (plain | fields).items() if value is not None})


def instance(original: str, **fields: Any) -> Event:
    """Return an instance of the plain event as a series, which its rule would start at a time of 2026-05."""
    moment = datetime.fromisoformat(original).astimezone(UTC)
    return event(
        id=f"{event()['id']}_{moment:%Y%m%dT%H%M%SZ}",
        recurringEventId=event()["id"],
        originalStartTime={"dateTime": original, "timeZone": "Europe/Berlin"},
        **fields,
    )


def tombstone(original: str) -> Event:
    """Return what Google says of an instance that was deleted."""
    whole = instance(original)
    kept = ("kind", "etag", "id", "recurringEventId", "originalStartTime")
    return cast("Event", {name: whole[name] for name in kept} | {"status": "cancelled"})  # type: ignore[literal-required]


class Answering(httpx.AsyncBaseTransport):
    """A network on which each request gets what a function answers, as often as it is asked."""

    def __init__(self, respond: Callable[[httpx.Request], httpx.Response]) -> None:
        self._respond = respond

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._respond(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
