"""Our own server, as browsers and providers find it: its doors, without a network."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import httpx
from starlette.applications import Starlette

from kalends.server.doors import doors
from resolvers.channels import HOOKS
from resolvers.services import Services

PUBLIC = "https://kalends.test"
HOST = "kalends.test"


class Fate(Enum):
    """What becomes of a provider's call."""

    COMES = auto()
    LOST = auto()
    DOUBLED = auto()
    LATE = auto()  # behind the next one


class Ours(httpx.AsyncBaseTransport):
    """The way to our server, which is built after those who call it. `received` are the calls that came through."""

    def __init__(self) -> None:
        self._way: httpx.AsyncBaseTransport | None = None
        self._late: list[httpx.Request] = []
        self.fate: Callable[[], Fate] = lambda: Fate.COMES
        self.received: list[str] = []

    def serve(self, services: Services) -> None:
        """Begin to answer."""
        app = Starlette(routes=list(doors(services, receive_seconds=5)))
        self._way = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == HOST
        if not request.url.path.startswith(HOOKS) or "validationToken" in request.url.params:
            return await self._answer(request)
        fate = self.fate()
        if fate is Fate.LOST:
            raise httpx.ConnectError("the call was lost", request=request)
        if fate is Fate.LATE:
            await request.aread()
            self._late.append(request)
            return httpx.Response(202)
        late, self._late = self._late, []
        for each in (request, *([request] if fate is Fate.DOUBLED else []), *late):
            self.received.append(each.url.path)
            answer = await self._answer(each)
        return answer

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert self._way is not None
        return await self._way.handle_async_request(request)
