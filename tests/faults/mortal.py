"""`kalends`, which kills itself (SIGKILL) at a chosen point of a push, after so many that it survives.

    python -m tests.faults.mortal after-send 3 worker

before-send             the attempt is noted and committed, nothing has left the process
after-send              the provider has done it, and its answer has not been read
before-acknowledgement  the answer is written down, in a transaction that is not committed
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import httpx

from providers.interface import Provider
from providers.registry import Registry
from providers.surroundings import Surroundings
from storage.events import EventRepository
from storage.links import LinkRepository

POINTS = BEFORE_SEND, AFTER_SEND, BEFORE_ACKNOWLEDGEMENT = "before-send", "after-send", "before-acknowledgement"
WRITES = ("POST", "PUT", "PATCH", "DELETE")

_writing: ContextVar[bool] = ContextVar("writing", default=False)


class Fate:
    """Where this process ends, and how often it passes there first."""

    def __init__(self, point: str, survives: int) -> None:
        if point not in POINTS:
            raise ValueError(f"there is no point {point!r}: only {', '.join(POINTS)}")
        self._point = point
        self._left = survives

    def reached(self, point: str) -> None:
        """End here, where it is time."""
        if point != self._point:
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def seal(fate: Fate) -> None:
    """Make every push of this process pass by its fate."""
    installed = Registry.installed

    def doomed(surroundings: Surroundings) -> Registry:
        registry = installed(surroundings)
        for name in registry.names:
            _watch_writes(registry[name], fate)
        return registry

    setattr(Registry, "installed", staticmethod(doomed))  # noqa: B010  it is another kind of method
    _watch_answers(fate)
    _watch_notes(fate)


def _watch_writes(provider: Provider, fate: Fate) -> None:
    def watched(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any) -> Any:
            fate.reached(BEFORE_SEND)
            mark = _writing.set(True)
            try:
                answer = await write(*arguments)
            finally:
                _writing.reset(mark)
            if provider.name == "sandbox":  # it is inside the process: its transaction is the sending
                fate.reached(AFTER_SEND)
            return answer

        return call

    for name in ("create", "update", "delete"):
        setattr(provider, name, watched(getattr(provider, name)))


def _watch_answers(fate: Fate) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        answer = await send(self, request)
        if _writing.get() and request.method in WRITES and answer.is_success:
            fate.reached(AFTER_SEND)
        return answer

    setattr(httpx.AsyncHTTPTransport, "handle_async_request", watched)  # noqa: B010


def _watch_notes(fate: Fate) -> None:
    for owner, name in ((LinkRepository, "learn"), (EventRepository, "forget")):
        setattr(owner, name, _noted(getattr(owner, name), fate))


def _noted(note: Callable[..., Awaitable[None]], fate: Fate) -> Callable[..., Awaitable[None]]:
    async def watched(*arguments: Any) -> None:
        await note(*arguments)
        fate.reached(BEFORE_ACKNOWLEDGEMENT)

    return watched


def main(arguments: Sequence[str]) -> None:
    """Run `kalends` with what follows the point and the number."""
    point, survives, *rest = arguments
    seal(Fate(point, int(survives)))
    sys.argv = ["kalends", *rest]
    from kalends.server.cli import main as run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
