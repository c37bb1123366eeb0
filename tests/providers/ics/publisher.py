"""A file at an address, published as people do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import httpx

from kalends.domain.ids import uuid7
from providers.ics import IcsProvider
from providers.ics.mapping import CALENDAR
from providers.interface import Grant, Known, Page, RemoteCalendar
from tests.contracts.provider_contract import OWNER
from tests.contracts.reading_contract import nothing_known
from tests.helpers import BERLIN
from tests.providers.surroundings import MemoryGrants, surroundings

URL = "https://feeds.example.org/private-0123456789abcdef/basic.ics"
SECRET = "private-0123456789abcdef"
HEAD, TAIL = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Publisher//EN\r\n", "END:VCALENDAR\r\n"


def vevent(uid: str, summary: str = "Busy", stamp: str = "20260501T080000Z") -> str:
    """Return an event's lines."""
    times = "DTSTART;TZID=Europe/Berlin:20260504T090000\r\nDTEND;TZID=Europe/Berlin:20260504T100000\r\n"
    return f"BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:{stamp}\r\nSUMMARY:{summary}\r\n{times}END:VEVENT\r\n"


def calendar(*events: str, head: str = "") -> str:
    """Return a file's text."""
    return f"{HEAD}{head}{''.join(events)}{TAIL}"


@dataclass
class Publisher(httpx.AsyncBaseTransport):
    """Serves one file; `etag` and `modified` are what it is known again by, where the server says so."""

    text: str | bytes = field(default_factory=calendar)
    status: int = 200
    etag: str | None = '"1"'
    modified: str | None = "Mon, 04 May 2026 07:00:00 GMT"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        validators = {"etag": self.etag, "last-modified": self.modified}
        headers = {**{name: value for name, value in validators.items() if value}, **self.headers}
        same_etag = self.etag is not None and request.headers.get("if-none-match") == self.etag
        same_date = self.modified is not None and request.headers.get("if-modified-since") == self.modified
        if self.status == 200 and (same_etag or (self.etag is None and same_date)):
            return httpx.Response(304, headers=headers, stream=httpx.ByteStream(b""))
        body = self.text.encode() if isinstance(self.text, str) else self.text
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(body))


class Stage:
    """A provider that is subscribed to a published file."""

    def __init__(self, publisher: Publisher, *, page: int = 500) -> None:
        self.publisher = publisher
        account: UUID = uuid7()
        grants = MemoryGrants({account: Grant({"url": URL})})
        self.provider = IcsProvider(surroundings(grants=grants, transport=publisher), page=page)
        self.calendar = RemoteCalendar(uuid7(), account, CALENDAR, BERLIN, OWNER)

    async def pages(self, token: str | None = None, known: Known = nothing_known) -> list[Page]:
        """Read a round."""
        return [page async for page in self.provider.changes(self.calendar, token, known)]
