"""The client: keeps connections busy with distinct `createEvent` requests, and measures the answers.

It is a process of its own, `python -m bench.load`, with a `Load` as JSON on its standard input and a `Measured` on its
standard output. It writes requests from one template and reads of each answer only what tells that it is one, so that
it costs less than any server that it measures.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from time import perf_counter, process_time
from typing import cast

import psutil  # type: ignore[import-untyped]
import uvloop

DOCUMENT = """
mutation CreateEvent($input: CreateEventInput!) {
  createEvent(input: $input) {
    event {
      id what where start end timeZone status version createdAt
      participants { email rsvp }
    }
    errors { ... on UserError { message } }
  }
}
"""
CREATED = re.compile(rb'"event": ?\{"id": ?"[0-9a-f-]{36}".*"errors": ?\[\]', re.DOTALL)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
FIRST_DAY = datetime(2027, 1, 1, tzinfo=UTC)
SLOT = timedelta(minutes=15)
PATIENCE = 20.0
"""Seconds in which the last answers must come."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, to whom, and how. With `rate` requests are due at that rate, whether answers have come or not."""

    port: int
    token: str
    calendars: Sequence[str]
    fields: dict[str, str]
    """Further fields of the input."""
    keyed: bool
    """Give each request an idempotency key of its own."""
    connections: int
    seconds: float
    warm_up: float
    rate: float | None
    server: int
    """The server's process, to measure what a request costs it."""
    postmaster: int | None
    """The database's first process, likewise."""


@dataclass(slots=True)
class Measured:
    """One run. Times in milliseconds, costs in microseconds of a processor per request, memory in MiB."""

    per_second: float
    p50: float
    p99: float
    created: int
    """Events created, those of the warm-up too."""
    errors: list[str] = field(default_factory=list)
    server_cpu: float | None = None
    database_cpu: float | None = None
    client_cpu: float | None = None
    memory: float | None = None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Requests:
    """An endless row of distinct requests; no two events overlap."""

    def __init__(self, load: Load) -> None:
        given = {
            "calendarId": "%(calendar)b",
            "start": "%(start)b",
            "end": "%(end)b",
            "what": "Planning %(number)b",
            "where": "Room 2",
            "description": "What we know, what we do next, and who does it.",
            "participants": ["ada@example.com", "grace@example.com"],
            **load.fields,
        }
        if load.keyed:
            given["idempotencyKey"] = "bench-%(number)b"
        query = " ".join(DOCUMENT.split())
        self._body = json.dumps({"query": query, "variables": {"input": given}}).encode()
        self._calendars = [each.encode() for each in load.calendars]
        self._numbers = count()
        self._slot = -1
        self._times = b"", b""
        self._head = (
            b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\n"
            + (f"Authorization: Bearer {load.token}\r\n".encode() if load.token else b"")
            + b"Content-Length: "
        )

    def next(self) -> bytes:
        """Return the next request."""
        number = next(self._numbers)
        slot, place = divmod(number, len(self._calendars))
        if slot != self._slot:
            start = FIRST_DAY + slot * SLOT
            self._slot, self._times = slot, (_rfc3339(start), _rfc3339(start + SLOT))
        start_text, end_text = self._times
        values = {
            b"calendar": self._calendars[place],
            b"start": start_text,
            b"end": end_text,
            b"number": b"%09d" % number,
        }
        body = self._body % values
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


def _rfc3339(moment: datetime) -> bytes:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way; `due` is when it was sent, or should have been."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self.due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self, request: bytes, due: float) -> None:
        """Send a request."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Put an answer together."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = LENGTH.search(self._buffer, 0, head)
        end = head + 4 + int(length[1]) if length else len(self._buffer)
        if len(self._buffer) < end:
            return
        answer, self._buffer = self._buffer[:end], self._buffer[end:]
        due, self.due = self.due, None
        if due is not None:
            good = answer[9:12] == b"200" and CREATED.search(answer, head) is not None
            self._client.answered(self, due, None if good else answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that gets no answer any more."""
        self._client.lost(self, exc)


class Client:
    """All connections, and what was measured on them."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = Requests(load)
        self._idle: list[Connection] = []
        self._waiting: deque[float] = deque()
        self._open = 0
        self._times: list[float] = []
        self._errors: list[str] = []
        self._created = 0
        self._measuring = False
        self._stopped = False

    async def run(self) -> Measured:
        """Warm up, measure, wait for the last answers."""
        loop, load = asyncio.get_running_loop(), self._load
        for _ in range(load.connections):
            _transport, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", load.port)
            self._idle.append(connection)
        self._open = load.connections
        arrivals = asyncio.create_task(self._arrive(load.rate)) if load.rate else None
        if arrivals is None:
            for connection in self._take_idle():
                connection.send(self._requests.next(), perf_counter())
        await asyncio.sleep(load.warm_up)
        before, began, self._measuring = self._costs(), perf_counter(), True
        await asyncio.sleep(load.seconds)
        self._measuring, seconds, after = False, perf_counter() - began, self._costs()
        self._stopped = True
        if arrivals is not None:
            await arrivals
        patience = perf_counter() + PATIENCE
        while (len(self._idle) < self._open or self._waiting) and perf_counter() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if left := self._open - len(self._idle):
            self._errors.append(f"{left} requests got no answer within {PATIENCE:g} seconds")
        times, requests = sorted(self._times), max(1, len(self._times))
        server, database, own = (
            (late - early) if late is not None and early is not None else None
            for early, late in zip(before, after, strict=True)
        )
        return Measured(
            per_second=len(times) / seconds,
            p50=quantile(times, 0.50) * 1e3,
            p99=quantile(times, 0.99) * 1e3,
            created=self._created,
            errors=self._errors,
            server_cpu=None if server is None else server / requests * 1e6,
            database_cpu=None if database is None else database / requests * 1e6,
            client_cpu=None if own is None else own / requests * 1e6,
            memory=psutil.Process(load.server).memory_info().rss / 2**20,
        )

    def answered(self, connection: Connection, due: float, bad: bytes | None) -> None:
        """Note an answer, and send the next request."""
        now = perf_counter()
        if bad is not None:
            self._errors.append(bad[:1000].decode(errors="replace"))
        else:
            self._created += 1
            if self._measuring:
                self._times.append(now - due)
        if self._load.rate is None and not self._stopped:
            connection.send(self._requests.next(), now)
        elif self._waiting:
            connection.send(self._requests.next(), self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Note that a connection is gone."""
        self._open -= 1
        if connection.due is not None:
            self._errors.append(f"a connection was closed before its answer: {error}")
        if connection in self._idle:
            self._idle.remove(connection)

    async def _arrive(self, rate: float) -> None:
        """Let requests become due evenly, to the millisecond; waiting for a free connection counts."""
        due = perf_counter()
        while not self._stopped:
            now = perf_counter()
            while due <= now:
                if self._idle:
                    self._idle.pop().send(self._requests.next(), now)
                else:
                    self._waiting.append(now)
                due += 1 / rate
            await asyncio.sleep(0.001)

    def _take_idle(self) -> list[Connection]:
        taken, self._idle = self._idle, []
        return taken

    def _costs(self) -> tuple[float, float | None, float]:
        """Return the processor seconds used so far by the server, the database and this client."""
        server = _seconds(psutil.Process(self._load.server))
        database = None
        if self._load.postmaster is not None:
            database = processor_seconds_below(self._load.postmaster)
        return server, database, process_time()


def processor_seconds_below(pid: int) -> float:
    """Return the processor seconds used so far by a process's children, and theirs."""
    return sum(map(_seconds, psutil.Process(pid).children(recursive=True)))


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def main() -> None:
    load = Load(**json.load(sys.stdin))
    measured = uvloop.run(Client(load).run())
    json.dump(asdict(measured), sys.stdout)


if __name__ == "__main__":
    main()
