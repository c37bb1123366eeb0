"""HTTP to a CalDAV server, as one account: methods, redirects, passwords, and errors as `providers/errors.py` has them.

Every request goes the guarded way, because the address is a user's. Redirects lead to the same server only, and hrefs
of other servers are ignored, so that the password never goes anywhere else.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote

import httpx

from providers.caldav.quirks import UNKNOWN, Quirks
from providers.caldav.wire import Multistatus, read_multistatus
from providers.errors import (
    BadAddress,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
)
from providers.guard import origin_of, port_of
from providers.web import MAX_REDIRECTS, REDIRECTS, UNREADABLE, Answer, Caller, raise_for_server

_WRITES = ("PUT", "DELETE")
_IN_PATHS = "/%:@!$&'()*+,;=~"  # RFC 3986 section 3.3, and what is escaped already
_LARGE = 64 * 1024  # bytes of an answer that is read in a thread, so that others are served meanwhile
ELSEWHERE = "The server sends Kalends to another server: give that server's address."
NOT_ACCEPTED = "The server does not accept the user name and the password: connect the account again."


@dataclass(slots=True)
class Dav:
    """The way to one server. `base` is where paths belong; `digest` says that passwords go by RFC 7616."""

    caller: Caller
    base: httpx.URL
    username: str = field(repr=False)
    password: str = field(repr=False)
    clock: Callable[[], datetime]
    quirks: Quirks = UNKNOWN
    digest: bool = False

    @property
    def home(self) -> str:
        """The path of `base`, as it is spelled."""
        return self.base.raw_path.decode("ascii")

    async def propfind(self, path: str, body: bytes, *, depth: int) -> tuple[Multistatus, Answer]:
        """Ask for properties."""
        return await self._multistatus("PROPFIND", path, body, depth)

    async def report(self, path: str, body: bytes, *, depth: int) -> Multistatus:
        """Ask for a report. Raises `Unanswered` for an answer that is no multistatus."""
        return (await self._multistatus("REPORT", path, body, depth))[0]

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """Send a request and return its answer, where it is about the request and not about the server.

        Raises `ReconnectRequired` after a second 401, and where the server is busy or broken what that means.
        """
        url = self.url(path)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._authorised(method, url, headers or {}, content)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                raise_for_server(answer, writes=method in _WRITES, now=self.clock())
                return answer
            url = self._redirected(url, answer.headers["location"])
        raise BadAddress("The server sends Kalends in circles.")

    def url(self, path: str) -> httpx.URL:
        """Return the address of a path. Raises `BadAddress` for a whole address that is not this server's.

        A path is never understood as more than that, also where it begins with two slashes.
        """
        try:
            if path.startswith("/"):
                return self.base.copy_with(raw_path=quote(path, safe=_IN_PATHS).encode())
            url = self.base.join(path)
        except httpx.InvalidURL as error:
            raise BadAddress(ELSEWHERE) from error
        if not self._is_here(url):
            raise BadAddress(ELSEWHERE)
        return url

    def path(self, href: str) -> str | None:
        """Return the path of an href as the server spells it; None for one of another server's."""
        try:
            url = self.base.join(href)
        except httpx.InvalidURL:
            return None
        return url.raw_path.decode("ascii").partition("?")[0] if href and self._is_here(url) else None

    async def _multistatus(self, method: str, path: str, body: bytes, depth: int) -> tuple[Multistatus, Answer]:
        headers = {"depth": str(depth), "content-type": "application/xml; charset=utf-8"}
        answer = await self.ask(method, path, headers=headers, content=body)
        if answer.status != httpx.codes.MULTI_STATUS:
            raise Unanswered(answer)
        if len(answer.body) > _LARGE:
            return await asyncio.to_thread(read_multistatus, answer.body), answer
        return read_multistatus(answer.body), answer

    async def _authorised(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        """Send a request with the account's password; once more where it is refused, in the way that is asked for."""
        told = {} if self.digest else {"authorization": self._basic()}
        answer = await self.caller.ask(method, url, headers={**headers, **told}, content=content)
        if answer.status != httpx.codes.UNAUTHORIZED:
            return answer
        schemes = [each.partition(" ")[0].lower() for each in answer.headers.get_list("www-authenticate")]
        if self.digest or ("digest" in schemes and "basic" not in schemes):
            self.digest = True
            told = {"authorization": self._digest(method, url, answer)}
        answer = await self.caller.ask(method, url, headers={**headers, **told}, content=content)
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise ReconnectRequired(NOT_ACCEPTED)
        return answer

    def _basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"

    def _digest(self, method: str, url: httpx.URL, challenge: Answer) -> str:
        """Return the answer to a challenge (RFC 7616 section 3.4), by httpx's own computation."""
        request = httpx.Request(method, url)
        flow = httpx.DigestAuth(self.username, self.password).sync_auth_flow(request)
        try:
            next(flow)
            flow.send(httpx.Response(challenge.status, headers=challenge.headers, request=request))
        except (StopIteration, httpx.HTTPError) as error:
            raise ReconnectRequired(NOT_ACCEPTED) from error
        return request.headers["authorization"]

    def _redirected(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            target = url.join(location)
        except httpx.InvalidURL as error:
            raise OutcomeUnknown(UNREADABLE) from error
        if not self._is_here(target):
            raise BadAddress(ELSEWHERE)
        return target

    def _is_here(self, url: httpx.URL) -> bool:
        """Tell whether an address belongs to this server: to its origin, or to its domain where that is one server."""
        domain = self.quirks.domain
        if domain is not None and url.scheme == "https" and not url.userinfo and port_of(url) == 443:
            return url.host == domain or url.host.endswith(f".{domain}")
        return origin_of(url) == origin_of(self.base) and not url.userinfo


class Unanswered(ProviderError):
    """A report or a PROPFIND was answered otherwise than by a multistatus; whoever asked knows what that means."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"The server answered with status {answer.status}.")
        self.answer = answer


def same_path(one: str, other: str) -> bool:
    """Tell whether two spellings name one resource: `@` and `%40` do, almost everywhere."""
    return unquote(one).rstrip("/") == unquote(other).rstrip("/")


def etag_of(text: str | None) -> str | None:
    """Return an entity tag in one spelling: quoted and strong.

    A proxy that compresses makes tags weak that are strong behind it, and `If-Match` compares strongly (RFC 9110
    section 13.1.1). Some servers leave the quotes out, and Bedework escapes them.
    """
    tag = (text or "").strip()
    if tag[:3] == "%22":
        tag = unquote(tag)
    tag = tag.removeprefix("W/").strip('"')
    return f'"{tag}"' if tag else None


def is_strong(text: str | None) -> bool:
    """Tell whether an entity tag is there and strong."""
    return bool((text or "").strip()) and not (text or "").strip().startswith("W/")


def refusal(answer: Answer) -> Refused:
    """Return what to raise for a request that the server will not accept later either."""
    match answer.status:
        case 403:
            return Refused("The server does not allow this: the calendar may be read-only.")
        case 413:
            return Refused("The event is larger than the server accepts.")
        case 507:
            return Refused("The server has no room left for this account.")
    return Refused(f"The server does not accept the request (status {answer.status}).")
