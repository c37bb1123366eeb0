"""What simulators share: faults on demand, a record of the requests, and the way to them inside a process."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTROL = "/_control"
"""The prefix of the paths that belong to the simulator and not to the vendor."""


class ConnectionBroken(Exception):
    """Ends a connection in the middle: a server closes it, and inside a process the client sees a read error."""


@dataclass
class Fault:
    """Something that goes wrong with requests. The first fault that meets a request happens to it.

    `kind`: `throttled` (429), `unavailable` (503), `reply_lost` (done, and the connection breaks), `half_body` (done,
    and the answer breaks off in the middle), `hang` (nothing is done, and no answer comes). `method` and `path` (a part
    of it) say which requests, `times` how many of them (None: all), `after` how many before them are spared, `chance`
    how likely.
    """

    kind: str
    method: str | None = None
    path: str = ""
    times: int | None = None
    chance: float = 1.0
    retry_after: int | None = 1  # seconds, of `throttled`
    after: int = 0

    def meets(self, method: str, path: str, chance: float) -> bool:
        """Tell whether it happens to this request, and count it."""
        if self.times == 0 or self.method not in (None, method) or self.path not in path or chance >= self.chance:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Recorded:
    """A request as it came in, with what its validation found."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: Any
    violations: list[str] = field(default_factory=list)


@dataclass
class Desk:
    """What a test, or a person, tells a simulator from outside, and what it has noted."""

    faults: list[Fault] = field(default_factory=list)
    requests: list[Recorded] = field(default_factory=list)
    chance: Callable[[], float] = random.random
    keep: int = 20_000  # requests, the newest

    @property
    def violations(self) -> list[str]:
        """Everything that was sent and that the vendor would not understand."""
        return [f"{each.method} {each.path}: {violation}" for each in self.requests for violation in each.violations]

    def fault(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with a request, and count it."""
        chance = self.chance()
        return next((each for each in self.faults if each.meets(method, path, chance)), None)

    def save(self, file: Path) -> None:
        """Write the requests as JSON lines, for validators that read them from a file."""
        with file.open("w") as out:
            for each in self.requests:
                row = {"method": each.method, "path": each.path, "url": each.path, "headers": each.headers}
                out.write(json.dumps(row | {"body": each.body}) + "\n")


Validate = Callable[[str, str, Mapping[str, str], Any], list[str]]
"""Returns what is wrong with a request: its method, its path with the query, its headers and its body."""


class Faulty:
    """Stands before a simulator: records each request, validates it, and lets faults happen.

    `refusal` makes the vendor's own answer for 429 and 503: status and retry-after in, body out.
    """

    def __init__(
        self, app: ASGIApp, desk: Desk, validate: Validate, refusal: Callable[[int, int | None], Mapping[str, Any]]
    ) -> None:
        self._app = app
        self._desk = desk
        self._validate = validate
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        body = b"".join([chunk async for chunk in _chunks(receive)])
        self._record(scope, body)
        fault = self._desk.fault(scope["method"], scope["path"])
        kind = fault.kind if fault else ""
        if kind == "hang":
            await asyncio.sleep(3600)
        if fault is not None and kind in ("throttled", "unavailable"):
            status = 429 if kind == "throttled" else 503
            await self._refuse(send, status, fault.retry_after if kind == "throttled" else None)
            return
        await self._app(scope, _replayed(body), _breaking(send, kind) if kind else send)

    def _record(self, scope: Scope, body: bytes) -> None:
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin1")
        path = scope.get("raw_path", scope["path"].encode()).decode("latin1").partition("?")[0]
        path += f"?{query}" if query else ""
        try:
            content = json.loads(body) if body else None
        except ValueError:
            content = body.decode("utf-8", "replace")
        recorded = Recorded(scope["method"], path, headers, content)
        recorded.violations = self._validate(recorded.method, path, headers, content)
        self._desk.requests.append(recorded)
        del self._desk.requests[: -self._desk.keep]

    async def _refuse(self, send: Send, status: int, retry_after: int | None) -> None:
        body = json.dumps(self._refusal(status, retry_after)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if retry_after is not None:
            headers.append((b"retry-after", str(retry_after).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _replayed(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _breaking(send: Send, kind: str) -> Send:
    """Return a `send` that breaks the connection: before the body, or in the middle of it."""

    async def breaking(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
            await send({**message, "headers": [*headers, (b"content-length", b"1000000")]})
            return
        if kind == "half_body" and (body := message.get("body", b"")):
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        raise ConnectionBroken

    return breaking


class InProcess(httpx.AsyncBaseTransport):
    """The way to ASGI applications by their host's name, without a network."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._ways = {host: httpx.ASGITransport(app=app) for host, app in apps.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the application of its host."""
        way = self._ways.get(request.url.host)
        if way is None:
            raise httpx.ConnectError(f"there is no {request.url.host} here", request=request)
        try:
            return await way.handle_async_request(request)
        except ConnectionBroken as error:
            raise httpx.ReadError("the connection broke", request=request) from error
