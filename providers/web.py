"""HTTP to providers: bounded in time and in size, in the words of `providers/errors.py` where it fails."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import orjson

import kalends
from providers.errors import BadAddress, OutcomeUnknown, ProviderError, Refused, Throttled, Unreachable
from providers.guard import Guard, GuardedTransport, Resolve, resolved

MAX_BYTES = 32 * 2**20  # of one answer, decompressed
CHUNK = 64 * 1024
UNREADABLE = "The provider's answer could not be read."
REDIRECTS, MAX_REDIRECTS = (301, 302, 307, 308), 3  # for those who follow them, and check each address
_BRIEF = timedelta(seconds=30)  # to wait where a server is busy and does not say how long
_LONGEST_PAUSE = timedelta(days=1)


class TooLarge(Refused):
    """An answer has more bytes than were asked for at most."""

    def __init__(self) -> None:
        super().__init__("The provider's answer is too large.")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` are looked up whatever their case."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL

    def json(self) -> Any:
        """Return the body as JSON; raise `OutcomeUnknown` where it is none, such as half of one."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise OutcomeUnknown(UNREADABLE) from error


class Caller:
    """Sends requests and returns whole answers, whatever their status. It follows no redirect and keeps no cookie.

    All of a request takes at most `seconds`, of which half may pass before there is a connection. `client` is for
    libraries that want one of httpx's.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, guard: Guard | None, seconds: float) -> None:
        self._guard = guard
        self._seconds = seconds
        self.client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(seconds, connect=seconds / 2),
            trust_env=False,
            # Accounts share this client: one's session must not become another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"user-agent": f"Kalends/{kalends.__version__}", "accept-encoding": "gzip"},
        )

    async def ask(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        limit: int = MAX_BYTES,
    ) -> Answer:
        """Send a request.

        Raises `Unreachable` where nothing was sent, `OutcomeUnknown` where no whole answer came in time, `TooLarge` for
        an answer of more than `limit` bytes, `BadAddress` for an address that the guard refuses.
        """
        asked = dict(headers or {})
        if json is not None:
            content = orjson.dumps(json)
            asked.setdefault("content-type", "application/json")
        try:
            request = self.client.build_request(
                method, url, params=params, headers=asked, content=content, data=dict(form) if form else None
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise BadAddress("This is not an address.") from error
        if self._guard is not None:
            self._guard.check(request.url)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._answer(request, limit)
        except ProviderError:
            raise
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable("The provider cannot be reached.") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise OutcomeUnknown("The provider did not answer in time.") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown("The connection to the provider broke.") from error

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()

    async def _answer(self, request: httpx.Request, limit: int) -> Answer:
        response = await self.client.send(request, stream=True)
        try:
            body = await _body(response, limit)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body, request.url)


async def _body(response: httpx.Response, limit: int) -> bytes:
    """Read a body, decompressing it ourselves: httpx would do so without a limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    raw = _limited(response.aiter_raw(CHUNK), limit)
    match encoding:
        case "identity" | "":
            return b"".join([chunk async for chunk in raw])
        case "gzip" | "x-gzip":
            return b"".join([chunk async for chunk in _limited(_inflated(raw), limit)])
    raise OutcomeUnknown(UNREADABLE)


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Pass bytes on, until there are too many."""
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise TooLarge
        yield chunk


async def _inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what compressed bytes hold, in pieces of a bounded size (RFC 1952; what follows the end is an error)."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    empty = True
    try:
        async for raw in chunks:
            empty = empty and not raw
            while raw and not inflate.eof:
                yield inflate.decompress(raw, CHUNK)
                raw = inflate.unconsumed_tail
            if raw or inflate.unused_data:
                raise OutcomeUnknown(UNREADABLE)
    except zlib.error as error:
        raise OutcomeUnknown(UNREADABLE) from error
    if not empty and not inflate.eof:
        raise OutcomeUnknown(UNREADABLE)


def raise_for_server(answer: Answer, *, writes: bool, now: datetime) -> None:
    """Raise what it means where an answer is about the server and not about the request: it is busy, or broken.

    `now` is what a date in Retry-After is compared with. A gateway's 502 or 504 leaves open whether a write was done.
    """
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        pause = _pause(answer.headers.get("retry-after"), now)
        raise Throttled(f"The server is busy ({status}).", retry_after=pause)
    if writes and status in (502, 504):
        raise OutcomeUnknown(f"The server's answer was lost on its way ({status}).")
    if status in (408, 423) or (500 <= status < 600 and status not in (501, 507)):
        raise Unreachable(f"The server cannot do this at the moment ({status}).")


def _pause(text: str | None, now: datetime) -> timedelta:
    """Read Retry-After, which is seconds or a date (RFC 9110 section 10.2.3)."""
    said = (text or "").strip()
    if said.isascii() and said.isdecimal() and len(said) < 10:
        return min(timedelta(seconds=int(said)), _LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return _BRIEF
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return min(max(until - now, timedelta()), _LONGEST_PAUSE)


class Web:
    """The ways out: `vendor` to addresses that the operator chose, `guarded` to those that users gave.

    `allowed` are private servers, as `host:port`, that users may name all the same. `resolve` finds where names lead.
    Tests give a `transport` of theirs for both.
    """

    def __init__(
        self,
        *,
        allowed: Iterable[str] = (),
        seconds: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = resolved,
    ) -> None:
        self._guard = Guard(allowed, resolve)
        self._seconds = seconds
        self._transport = transport

    @cached_property
    def vendor(self) -> Caller:
        """The way to addresses that the operator chose."""
        return Caller(self._transport or httpx.AsyncHTTPTransport(trust_env=False), None, self._seconds)

    @cached_property
    def guarded(self) -> Caller:
        """The way to addresses that users gave."""
        return Caller(self._transport or GuardedTransport(self._guard), self._guard, self._seconds)

    async def close(self) -> None:
        """Close every connection that was made."""
        for name in ("vendor", "guarded"):
            caller: Caller | None = self.__dict__.pop(name, None)
            if caller is not None:
                await caller.close()
