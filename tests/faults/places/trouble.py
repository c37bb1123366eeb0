"""What stands before a provider: trouble on demand for Kalends, none for people, and a journal of Kalends' calls.

PUT  /_faults/faults     what goes wrong: a list of `common.Fault`, and `latency` in seconds
GET  /_faults/calls      Kalends' calls since the beginning
POST /_faults/expire     the next so many lists that Kalends reads further break off: their mark is worth nothing
PUT  /_faults/passwords  who is let in, by name (a CalDAV server that asks nobody)
GET  /_faults/told       what became of the calls to Kalends, and how many lists broke off
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.simulators.common import Desk, Fault

PREFIX = "/_faults"
PERSON = "x-person"
"""The header by which people are known."""
SHARE = 0.1  # of the calls to Kalends: lost, doubled, late
LATE = (0.2, 3.0)  # seconds

_by_person: ContextVar[bool] = ContextVar("by_person", default=False)


@dataclass(frozen=True)
class Call:
    """A call of Kalends'. `named` is the name that it gives a copy in there; `kind` is what goes wrong with it."""

    at: float
    method: str
    path: str
    named: str | None
    kind: str


@dataclass
class Trouble(Desk):
    """A desk that lets people pass, draws for each fault anew, and keeps a journal."""

    calls: list[Call] = field(default_factory=list)
    latency: float = 0.0

    def fault(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with the request that was just recorded."""
        if _by_person.get():
            return None
        found = next((each for each in self.faults if each.meets(method, path, self.chance())), None)
        body = self.requests[-1].body
        named = (body.get("transactionId") or body.get("id")) if isinstance(body, dict) else None
        self.calls.append(Call(time.time(), method, path, named, found.kind if found else ""))
        return found


async def _nothing() -> None:
    return


@dataclass
class Lists:
    """How lists are cut, and how many of them still break off: before a request that `reads_on`, its mark expires."""

    cut: Callable[[Scope], Scope] = lambda scope: scope
    reads_on: Callable[[Scope], bool] = lambda _scope: False
    expire: Callable[[], Awaitable[None]] = _nothing
    breaking: int = 0
    broken: int = 0

    def break_off(self) -> None:
        """Count one that breaks off."""
        self.breaking -= 1
        self.broken += 1


class Gate:
    """The way in."""

    def __init__(self, app: ASGIApp, trouble: Trouble, lists: Lists, told: Counter[str]) -> None:
        self._app = app
        self._trouble = trouble
        self._lists = lists
        self._told = told
        self.passwords: dict[str, str] = {}
        routes = [
            Route(f"{PREFIX}/faults", self._set_faults, methods=["PUT"]),
            Route(f"{PREFIX}/calls", self._calls, methods=["GET"]),
            Route(f"{PREFIX}/expire", self._expire, methods=["POST"]),
            Route(f"{PREFIX}/passwords", self._set_passwords, methods=["PUT"]),
            Route(f"{PREFIX}/told", self._tell, methods=["GET"]),
        ]
        self._own = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(PREFIX):
            await self._own(scope, receive, send)
            return
        person = any(name == PERSON.encode() for name, _ in scope["headers"])
        _by_person.set(person)
        if not person and not scope["path"].startswith("/_control"):
            body = await _whole(receive)
            if body is None:  # whoever asked was killed before all of it was said
                return
            receive = _again(body)
            await asyncio.sleep(self._trouble.latency)
            scope = self._lists.cut(scope)
            if self._lists.breaking and self._lists.reads_on(scope):
                self._lists.break_off()
                await self._lists.expire()
        await self._app(scope, receive, send)

    async def _set_faults(self, request: Request) -> JSONResponse:
        told = await request.json()
        self._trouble.faults = [Fault(**each) for each in told["faults"]]
        self._trouble.latency = told["latency"]
        return JSONResponse(None)

    async def _calls(self, _request: Request) -> JSONResponse:
        return JSONResponse([asdict(each) for each in self._trouble.calls])

    async def _expire(self, request: Request) -> JSONResponse:
        self._lists.breaking = (await request.json())["times"]
        return JSONResponse(None)

    async def _set_passwords(self, request: Request) -> JSONResponse:
        self.passwords.clear()
        self.passwords.update(await request.json())
        return JSONResponse(None)

    async def _tell(self, _request: Request) -> JSONResponse:
        left = {"breaking": self._lists.breaking, "broken": self._lists.broken}
        return JSONResponse(dict(self._told) | left)


async def _whole(receive: Receive) -> bytes | None:
    """Return a request's body; None where the connection ended before it did."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes) -> Receive:
    """Return a `receive` that says a body once more."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class Unsteady(httpx.AsyncBaseTransport):
    """The way from a provider to Kalends' public address, on which calls are lost, doubled, or late.

    `hosts` say where names lead. A call that only tries the address always arrives.
    """

    def __init__(self, hosts: Mapping[str, str], told: Counter[str], chance: Callable[[], float]) -> None:
        self._hosts = {name: httpx.URL(url) for name, url in hosts.items()}
        self._inner = httpx.AsyncHTTPTransport(trust_env=False)
        self._told = told
        self._chance = chance
        self._late: set[asyncio.Task[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on, or not, or twice, or later."""
        body = await request.aread()
        if "validationToken" in request.url.params:
            return await self._send(request, body)
        drawn = self._chance()
        if drawn < SHARE:
            self._told["lost"] += 1
            raise httpx.ConnectError("lost on its way", request=request)
        if drawn < 2 * SHARE:
            self._told["doubled"] += 1
            await self._send(request, body)
        elif drawn < 3 * SHARE:
            self._told["late"] += 1
            task = asyncio.create_task(self._send_later(request, body))
            self._late.add(task)
            task.add_done_callback(self._sent)
            return httpx.Response(202, request=request)
        self._told["arrived"] += 1
        return await self._send(request, body)

    async def _send_later(self, request: httpx.Request, body: bytes) -> httpx.Response:
        await asyncio.sleep(random.uniform(*LATE))
        return await self._send(request, body)

    def _sent(self, task: asyncio.Task[httpx.Response]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # seen: what is late may be lost as well

    async def _send(self, request: httpx.Request, body: bytes) -> httpx.Response:
        at = self._hosts[request.url.host]
        url = request.url.copy_with(scheme=at.scheme, host=at.host, port=at.port)
        sent = httpx.Request(request.method, url, headers=request.headers, content=body)
        return await self._inner.handle_async_request(sent)
