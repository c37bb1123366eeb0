"""Writing together what arrives together: one transaction for many requests costs little more than for one.

Whoever finds nothing under way begins at once, alone. Who arrives meanwhile joins the next group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from storage.errors import Unacknowledged

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Write = Callable[[Sequence[Request]], Awaitable[Sequence[Answer | Exception]]]
"""Writes several requests in one transaction, or nothing; answers each, with an exception where it refuses one."""

LARGEST = 200


class Again(Exception):
    """What a transaction decided upon has changed meanwhile: the same requests must be decided anew."""


@dataclass(eq=False, slots=True)
class _Member(Generic[Request, Answer]):
    request: Request
    places: Collection[UUID]
    size: int
    unheard: Callable[[Answer], Coroutine[Any, Any, None]]
    answer: asyncio.Future[Answer | Exception]


@dataclass(slots=True)
class _Queue(Generic[Request, Answer]):
    """One app's requests that wait, how many groups are under way, and where these write."""

    waiting: deque[_Member[Request, Answer]] = field(default_factory=deque)
    under_way: int = 0
    places: set[UUID] = field(default_factory=set)


class Groups(Generic[Request, Answer]):
    """The groups of one process. Each app has its own: a transaction sees the rows of one app.

    `largest` is how much a group holds.
    """

    def __init__(self, *, largest: int = LARGEST) -> None:
        self._largest = largest
        self._queues: dict[UUID, _Queue[Request, Answer]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def join(
        self,
        app_id: UUID,
        request: Request,
        write: Write[Request, Answer],
        *,
        places: Collection[UUID],
        size: int,
        at_once: int,
        unheard: Callable[[Answer], Coroutine[Any, Any, None]],
    ) -> Answer:
        """Have a request written with others, and return the answer once it is durable, or raise what went wrong.

        `places` are the calendars that it writes to, `size` is how much it adds to a group. `at_once` groups may be
        under way, in different calendars: one that waits for somebody else's lock holds up only those who want the
        same calendars. A caller who is cancelled takes a request that still waits away; one that is being written
        already comes to its end, and `unheard` is called with the answer.
        """
        queue = self._queues.setdefault(app_id, _Queue())
        member = _Member(request, places, size, unheard, asyncio.get_running_loop().create_future())
        queue.waiting.append(member)
        if queue.under_way < at_once and queue.places.isdisjoint(places):
            queue.under_way += 1
            self._begin(self._run(app_id, queue, write))
        try:
            answer = await member.answer
        except asyncio.CancelledError:
            if not member.answer.cancelled():
                self._unheard(member, member.answer.result())
            raise
        if isinstance(answer, Exception):
            raise answer
        given: Answer = answer
        return given

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that belongs to no caller."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, app_id: UUID, queue: _Queue[Request, Answer], write: Write[Request, Answer]) -> None:
        """Write group after group, until nobody waits."""
        try:
            while group := self._next(queue):
                places = {place for member in group for place in member.places}
                queue.places |= places
                try:
                    await self._write(group, write)
                finally:
                    queue.places -= places
        finally:
            queue.under_way -= 1
            if not queue.under_way and not queue.waiting:
                del self._queues[app_id]

    def _next(self, queue: _Queue[Request, Answer]) -> list[_Member[Request, Answer]]:
        """Take who is next, and does not want a calendar in which a group is under way."""
        group: list[_Member[Request, Answer]] = []
        left, held = self._largest, []
        while queue.waiting and left > 0:
            member = queue.waiting.popleft()
            if member.answer.done():  # its caller has left
                continue
            if not queue.places.isdisjoint(member.places):
                held.append(member)
            elif member.size <= left or not group:
                group.append(member)
                left -= member.size
            else:
                queue.waiting.appendleft(member)
                break
        queue.waiting.extendleft(reversed(held))
        return group

    async def _write(self, group: Sequence[_Member[Request, Answer]], write: Write[Request, Answer]) -> None:
        """Write a group and answer everybody in it; where that fails, each of them alone, as if there were no others.

        A commit without an answer is not repeated: it may have happened.
        """
        try:
            answers = await _decided(write, [member.request for member in group])
        except Exception as error:  # noqa: BLE001  whatever it is, it is the members' to raise
            if len(group) > 1 and not isinstance(error, Unacknowledged):
                await asyncio.gather(*(self._write([member], write) for member in group))
                return
            answers = [error] * len(group)
        except asyncio.CancelledError:
            for member in group:
                member.answer.cancel()
            raise
        for member, answer in zip(group, answers, strict=True):
            if member.answer.done():
                self._unheard(member, answer)
            else:
                member.answer.set_result(answer)

    def _unheard(self, member: _Member[Request, Answer], answer: Answer | Exception) -> None:
        if not isinstance(answer, Exception):
            self._begin(member.unheard(answer))


async def _decided(write: Write[Request, Answer], requests: Sequence[Request]) -> Sequence[Answer | Exception]:
    while True:
        try:
            return await write(requests)
        except Again:
            continue
