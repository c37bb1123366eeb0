"""One provider's side as a process of its own, on loopback.

    python -m tests.faults.places.far google --port 8100

The two simulators are served as they are; a CalDAV server runs beside it, and is asked from here.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import httpx
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.faults.places.place import OWNERS, ZONE, address_of
from tests.faults.places.trouble import Gate, Lists, Trouble, Unsteady
from tests.simulators import google, microsoft
from tests.simulators.common import Faulty

HOST = "127.0.0.1"
_HOP_BY_HOP = ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
_MARK = re.compile(rb"(<(?:\w+:)?sync-token[^>]*>)[^<]+(</)")


class Expiring:
    """Lets a simulator's marks expire: sync tokens, or links of a delta."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.app: ASGIApp | None = None

    async def __call__(self) -> None:
        """Let all of them expire."""
        if self.app is None:
            raise RuntimeError("there is nobody to tell")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://here") as client:
            (await client.post("/_control/tokens/expire", json={self._what: True})).raise_for_status()


class Proxy:
    """The way to a CalDAV server, for whoever has the right password where there are any."""

    def __init__(self, upstream: str, lists: Lists) -> None:
        self._client = httpx.AsyncClient(base_url=upstream, trust_env=False, timeout=30)
        self._lists = lists
        self.passwords: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        if self.passwords and not self._lets_in(headers.get("authorization", "")):
            refusal = Response(status_code=401, headers={"www-authenticate": 'Basic realm="people"'})
            await refusal(scope, receive, send)
            return
        if self._lists.breaking and _MARK.search(body):  # the server finds out by itself that this is no mark of its
            self._lists.break_off()
            body = _MARK.sub(rb"\g<1>http://example.com/ns/sync/gone\2", body)
        path = scope["raw_path"].decode("ascii")
        kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
        answer = await self._client.request(scope["method"], path, headers=kept, content=body)
        passed = {
            name: value
            for name, value in answer.headers.items()
            if name not in (*_HOP_BY_HOP, "content-encoding", "server", "date")
        }
        await Response(answer.content, answer.status_code, passed)(scope, receive, send)

    def _lets_in(self, authorization: str) -> bool:
        try:
            name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            return False
        return self.passwords.get(name) == password


def google_side(trouble: Trouble, told: Counter[str], calls: Unsteady | None, page: int | None) -> Gate:
    """Return Google with an account for every owner."""
    accounts = {address_of(owner): ZONE for owner in range(OWNERS)}
    app = google.create_app(trouble, _now, accounts=accounts, calls=calls)
    expire = Expiring("sync")
    expire.app = app

    def cut(scope: Scope) -> Scope:
        query = dict(parse_qsl(scope["query_string"].decode()))
        if page is None or "iCalUID" in query or not (scope["method"] == "GET" and scope["path"].endswith("/events")):
            return scope
        return {**scope, "query_string": urlencode(query | {"maxResults": str(page)}).encode()}

    def reads_on(scope: Scope) -> bool:
        return b"pageToken=" in scope["query_string"] and b"syncToken=" in scope["query_string"]

    return Gate(app, trouble, Lists(cut, reads_on, expire), told)


def microsoft_side(trouble: Trouble, told: Counter[str], calls: Unsteady | None, page: int | None) -> Gate:
    """Return Microsoft 365 with a mailbox for every owner."""
    accounts = {address_of(owner): f"owner-{owner}" for owner in range(OWNERS)}
    app = microsoft.create_app(trouble, _now, accounts=accounts, calls=calls)
    expire = Expiring("delta")
    expire.app = app

    def cut(scope: Scope) -> Scope:
        if page is None:
            return scope
        preferred = rb"odata.maxpagesize=%d" % page
        headers = [
            (name, re.sub(rb"odata\.maxpagesize=\d+", preferred, value) if name == b"prefer" else value)
            for name, value in scope["headers"]
        ]
        return {**scope, "headers": headers}

    def reads_on(scope: Scope) -> bool:
        return b"skiptoken=" in scope["query_string"]

    return Gate(app, trouble, Lists(cut, reads_on, expire), told)


def caldav_side(trouble: Trouble, told: Counter[str], upstream: str) -> Gate:
    """Return the way to a CalDAV server."""
    lists = Lists()
    proxy = Proxy(upstream, lists)
    gate = Gate(Faulty(proxy, trouble, lambda *_: [], lambda _status, _after: {}), trouble, lists, told)
    gate.passwords = proxy.passwords
    return gate


def _now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until somebody kills it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("google", "microsoft", "caldav"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", help="the CalDAV server")
    parser.add_argument("--calls", nargs=2, metavar=("HOST", "URL"), help="where a public name leads")
    parser.add_argument("--page", type=int, help="so many events at most are in one list")
    options = parser.parse_args(arguments)
    trouble, told = Trouble(), Counter[str]()
    calls = Unsteady({options.calls[0]: options.calls[1]}, told, random.random) if options.calls else None
    match options.what:
        case "google":
            gate = google_side(trouble, told, calls, options.page)
        case "microsoft":
            gate = microsoft_side(trouble, told, calls, options.page)
        case _:
            gate = caldav_side(trouble, told, options.upstream)
    config = uvicorn.Config(gate, host=HOST, port=options.port, log_level="warning", lifespan="off")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
