"""The limit of HTTP: an ASGI application that does nothing, and answers with what `createEvent` answers."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

BODY = (
    b'{"data":{"createEvent":{"event":{"id":"01a20a1e-7fa6-768f-99e2-b9542803ea43","what":"Planning 000000001",'
    b'"where":"Room 2","start":"2027-01-01T00:00:00Z","end":"2027-01-01T00:15:00Z","timeZone":"UTC",'
    b'"status":"CONFIRMED","version":1,"createdAt":"2026-11-23T20:35:00.649579Z","participants":['
    b'{"email":"ada@example.com","rsvp":"NEEDS_ACTION"},{"email":"grace@example.com","rsvp":"NEEDS_ACTION"}]},'
    b'"errors":[]}}}'
)
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-request-id", b"0123456789abcdef0123456789abcdef"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", str(len(BODY)).encode()),
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a request and answer it."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
