"""The way to a provider. Whatever can happen to a request, happens here, when a test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum, auto
from typing import Any, TypeVar
from uuid import UUID

import httpx

from providers.errors import OutcomeUnknown, ReconnectRequired, Throttled, Unreachable
from providers.surroundings import SandboxMemory, SandboxTable
from tests.helpers import MINUTE
from tests.resolvers.sync_stage import Crash

T = TypeVar("T")

RETRY_AFTER = MINUTE


class Trouble(Enum):
    """What goes wrong."""

    THROTTLED = auto()  # 429: nothing is done
    UNAVAILABLE = auto()  # 503: nothing is done
    REVOKED = auto()  # 401: nothing is done
    REPLY_LOST = auto()  # it is done, and the connection breaks
    KILLED = auto()  # our process dies


Happening = Callable[[str, bool], Awaitable[Trouble | None]]
"""What happens to a request, before it is sent (False) and after it was answered (True)."""


async def nothing(_request: str, _done: bool) -> Trouble | None:
    """Let everything go well."""
    return None


class Line:
    """The way. `sent` are the requests that have passed: their methods and paths. `around` happens to each of them."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.around: Happening = nothing

    async def carry(self, request: str, send: Callable[[], Awaitable[T]], refuse: Callable[[Trouble], T]) -> T:
        """Carry a request; `refuse` makes the answer of one that is not carried, or raises it."""
        trouble = await self.around(request, False)
        if trouble is Trouble.KILLED:
            raise Crash
        if trouble not in (None, Trouble.REPLY_LOST):
            return refuse(trouble)
        answer = await send()
        self.sent.append(request)
        lost = trouble is Trouble.REPLY_LOST
        trouble = await self.around(request, True)
        if trouble is Trouble.KILLED:
            raise Crash
        return refuse(Trouble.REPLY_LOST) if lost or trouble is not None else answer

    def heal(self) -> None:
        """Let everything go well from now on."""
        self.around = nothing

    def breaks(self, trouble: Trouble, *, times: int | None = None, number: int = 0, only: str = "") -> None:
        """Let something go wrong from the request of this number on, so many times, with requests that are meant."""
        seen = 0

        async def happen(request: str, done: bool) -> Trouble | None:
            nonlocal seen
            if done or only not in request:
                return None
            seen += 1
            due = number < seen and (times is None or seen <= number + times)
            return trouble if due else None

        self.around = happen

    def dies(self, number: int, *, done: bool, only: Callable[[str], bool] = lambda _request: True) -> None:
        """Let our process die in the request of this number: before it is sent, or when it was answered."""
        seen = 0

        async def happen(request: str, answered: bool) -> Trouble | None:
            nonlocal seen
            seen += answered is done and only(request)
            return Trouble.KILLED if answered is done and only(request) and seen == number + 1 else None

        self.around = happen


_REFUSALS: Mapping[Trouble, tuple[int, dict[str, str]]] = {
    Trouble.THROTTLED: (429, {"retry-after": f"{RETRY_AFTER.total_seconds():.0f}"}),
    Trouble.UNAVAILABLE: (503, {}),
    Trouble.REVOKED: (401, {"www-authenticate": "Basic"}),
}


class Wire(httpx.AsyncBaseTransport):
    """HTTP on a line. What is `aside`, such as a request for a token, passes by itself; `body` is the vendor's refusal.

    Answers are read whole before anything happens to them, so that their connections are free again.
    """

    def __init__(
        self,
        line: Line,
        inner: httpx.AsyncBaseTransport,
        *,
        about: str = "",
        body: Callable[[int, int | None], Mapping[str, Any]] = lambda _status, _seconds: {},
    ) -> None:
        self._line = line
        self._inner = inner
        self._about = about
        self._body = body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async def send() -> httpx.Response:
            answer = await self._inner.handle_async_request(request)
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            raw = b"".join([chunk async for chunk in answer.stream])
            await answer.aclose()
            return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(raw))

        def refuse(trouble: Trouble) -> httpx.Response:
            if trouble is Trouble.REPLY_LOST:
                raise httpx.ReadError("the connection broke", request=request)
            status, headers = _REFUSALS[trouble]
            body = json.dumps(self._body(status, int(headers.get("retry-after", 0)) or None)).encode()
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

        if not request.url.path.startswith(self._about):
            return await send()
        return await self._line.carry(f"{request.method} {request.url.path}", send, refuse)

    async def aclose(self) -> None:
        await self._inner.aclose()


def memory_on(line: Line, memory: SandboxMemory) -> SandboxMemory:
    """Return the sandbox's memory at the end of a line: each of its transactions is a request."""

    def open_table(app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[SandboxTable]:
            before = await line.around("sandbox", False)
            if before not in (None, Trouble.REPLY_LOST):
                raise _sandbox_error(before)
            async with memory(app_id) as table:
                yield table
            line.sent.append("sandbox")
            after = await line.around("sandbox", True)
            if before is not None or after is not None:  # it is done, whatever comes of its answer
                raise _sandbox_error(after if after is Trouble.KILLED else Trouble.REPLY_LOST)

        return opened()

    return open_table


def _sandbox_error(trouble: Trouble) -> BaseException:
    match trouble:
        case Trouble.KILLED:
            return Crash()
        case Trouble.THROTTLED:
            return Throttled("The sandbox is busy (429).", retry_after=RETRY_AFTER)
        case Trouble.UNAVAILABLE:
            return Unreachable("The sandbox is unavailable (503).")
        case Trouble.REVOKED:
            return ReconnectRequired("The sandbox account's grant was revoked.")
    return OutcomeUnknown("The sandbox's answer was lost.")
