"""The HTTP door of the GraphQL API: GraphQL over HTTP (https://graphql.github.io/graphql-over-http/).

Status codes are those that the `graphql-http` audits ask for: under `application/json` 200 for every well-formed
request, under `application/graphql-response+json` 400 where a request ends before its execution. (The specification's
draft of 2026 would have 422 for some of these and 294 for partial data; the audits do not know them yet.)
Only POST with `application/json` changes anything, which a foreign web page cannot send without asking first.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from secrets import token_hex
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import parse_qsl

import orjson
from graphql import GraphQLFormattedError, OperationType
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from kalends.server.execution import Engine, Outcome, RequestError
from kalends.server.faults import Denied, Fault, explain

P = TypeVar("P")

_JSON = "application/json"
_GRAPHQL = "application/graphql-response+json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RETRY_SECONDS = 5
_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "UNAVAILABLE": 503}
"""The status where nothing came out but an error with one of these codes."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """An HTTP response but for the headers that each has; without `body` it is empty."""

    status: int
    body: dict[str, Any] | None
    headers: Mapping[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """The request ends here, before GraphQL sees it; the status is the same in either media type.

    After any status but 400 the connection closes: the body may not have been read, and nobody wants the rest of it.
    """

    def __init__(self, status: int, message: str, code: str = "BAD_REQUEST", **headers: str) -> None:
        super().__init__(message)
        if status != 400:
            headers["connection"] = "close"
        self.reply = _Reply(status, {"errors": [Fault(message, code).formatted()]}, headers)


class _ClientGone(Exception):
    """The connection closed before the request was complete: nobody to answer."""


@dataclass(frozen=True, slots=True)
class _Parameters:
    """A well-formed GraphQL-over-HTTP request (section "Request Parameters")."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None
    extensions: dict[str, Any] | None


class GraphQLEndpoint(Generic[P]):
    """An ASGI application that answers GraphQL requests on the path where it is mounted.

    `authenticate` returns who calls, None where no credential was sent, or raises Denied; it runs before the body is
    read. Without a credential a caller may only ask what the schema says about itself. `context_for` makes the
    resolvers' context. Both get the request without its body. What they raise is explained like a resolver's error.

    A body must arrive within `receive_seconds`. Queries by GET are off unless `allow_get`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        authenticate: Callable[[Request], Awaitable[P | None]],
        context_for: Callable[[Request, P | None], object],
        allow_get: bool = False,
        receive_seconds: float = 20.0,
    ) -> None:
        self._engine = engine
        self._authenticate = authenticate
        self._context_for = context_for
        self._receive_seconds = receive_seconds
        self._methods = ("GET", "HEAD", "OPTIONS", "POST") if allow_get else ("OPTIONS", "POST")
        self._allow = ", ".join(self._methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (the ASGI specification names the parameters)."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b", " + value if name in headers else value
        sent_id = headers.get(b"x-request-id", b"")
        request_id = sent_id.decode() if _REQUEST_ID.fullmatch(sent_id) else token_hex(16)
        bind_contextvars(request_id=request_id)
        accepted = _negotiate(headers.get(b"accept", b"*/*"))
        media = accepted or _JSON
        try:
            if accepted is None:
                raise _Refused(406, f"The answer can be {_GRAPHQL} or {_JSON}.", "NOT_ACCEPTABLE")
            reply = await self._answer(Request(scope), headers, receive, media)
        except _Refused as refused:
            reply = refused.reply
        except _ClientGone:
            return
        except Exception as error:  # noqa: BLE001  whatever a hook raises, the caller gets an answer
            fault = explain(error, self._engine.classify)
            reply = _failure(_STATUS.get(fault.code, 500), [fault.formatted()])
        await _send(send, reply, media, request_id, with_body=scope["method"] != "HEAD")

    async def _answer(self, request: Request, headers: Mapping[bytes, bytes], receive: Receive, media: str) -> _Reply:
        method = request.method
        if method not in self._methods:
            raise _Refused(405, f"{method} is not allowed here.", "METHOD_NOT_ALLOWED", allow=self._allow)
        if method == "OPTIONS":
            return _Reply(204, None, {"allow": self._allow})
        if method == "POST":
            _check_content(headers, self._engine.limits.body_bytes)
        principal = await self._authenticate(request)
        deepest = self._engine.limits.variables_depth
        if method == "POST":
            parameters = _parameters(_decode(await self._read(receive)), deepest)
        else:
            parameters = _query_parameters(request.scope["query_string"], deepest)
        try:
            operation = self._engine.prepare(parameters.query, parameters.operation_name)
        except RequestError as error:
            return _reply(Outcome(error.errors), media)
        if method != "POST" and operation.kind is not OperationType.QUERY:
            message = f"A {operation.kind.value} cannot be sent by {method}, only by POST."
            raise _Refused(405, message, "METHOD_NOT_ALLOWED", allow="POST")
        if principal is None and not operation.is_public:
            raise Denied("This needs a credential, sent as 'Authorization: Bearer ...'.")
        context = self._context_for(request, principal)
        outcome = await self._engine.run(operation, parameters.variables, context, parameters.extensions)
        return _reply(outcome, media)

    async def _read(self, receive: Receive) -> bytes:
        maximum = self._engine.limits.body_bytes
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._receive_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientGone
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > maximum:
                        raise _too_large(maximum)
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            text = f"The body did not arrive within {self._receive_seconds:g} seconds."
            raise _Refused(408, text, "REQUEST_TIMEOUT") from None


def _reply(outcome: Outcome, media: str) -> _Reply:
    """Choose the status of an answer (section "Status Codes")."""
    if media == _JSON or outcome.data is not None or not outcome.errors:
        return _Reply(200, outcome.body())
    code = outcome.errors[0].get("extensions", {}).get("code", "")
    otherwise = 200 if outcome.executed else 500 if code == "INTERNAL" else 400
    return _failure(_STATUS.get(code, otherwise), outcome.errors, outcome.body())


def _failure(status: int, errors: Sequence[GraphQLFormattedError], body: dict[str, Any] | None = None) -> _Reply:
    headers: dict[str, str] = {}
    if status == 401:
        # Closed, because the body of a caller with a wrong credential is not read.
        headers |= {"www-authenticate": "Bearer", "connection": "close"}
    if status == 503:
        headers["retry-after"] = str(errors[0]["extensions"].get("retryAfter", _RETRY_SECONDS))
    return _Reply(status, body or {"errors": list(errors)}, headers)


async def _send(send: Send, reply: _Reply, media: str, request_id: str, *, with_body: bool) -> None:
    content = b"" if reply.body is None else _encode(reply.body)
    headers = [
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
        *((name.encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    if reply.body is not None:
        headers.append((b"content-type", f"{media}; charset=utf-8".encode()))
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})


@lru_cache(maxsize=256)
def _negotiate(accept: bytes) -> str | None:
    """Return the media type to answer in (RFC 9110 section 12.5.1), None where none is acceptable.

    Of two with one weight, the one named more exactly wins. Where the header does not name one, it is
    `application/json`, which clients older than the specification expect.
    """
    ranges: dict[str, float] = {}
    for part in accept.decode("latin-1").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        if values.get("charset", "utf-8").strip('"') not in ("utf-8", "utf8"):
            continue
        try:
            ranges[name] = float(values.get("q", "1"))
        except ValueError:
            continue
    best: tuple[float, int, str] | None = None
    for media in (_JSON, _GRAPHQL):
        names = (media, "application/*", "*/*")
        found = next(((ranges[name], -place, media) for place, name in enumerate(names) if name in ranges), None)
        if found is None or not found[0] > 0:
            continue
        named = found[1] == 0
        if best is None or found[:2] > best[:2] or (named and found[:2] == best[:2]):
            best = found
    return best[2] if best else None


@lru_cache(maxsize=256)
def _is_json(content_type: bytes) -> bool:
    """Say whether a body is JSON in UTF-8, which is also assumed where no charset is given (section "POST")."""
    name, *parameters = (piece.strip() for piece in content_type.decode("latin-1").lower().split(";"))
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    return name == _JSON and values.get("charset", "utf-8").strip('"') in ("utf-8", "utf8")


def _check_content(headers: Mapping[bytes, bytes], maximum: int) -> None:
    """Refuse by its headers a body that would not be read anyway."""
    if not _is_json(headers.get(b"content-type", b"")):
        raise _Refused(415, f"Send the request as {_JSON} in UTF-8.", "UNSUPPORTED_MEDIA_TYPE", accept=_JSON)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise _Refused(415, "Send the body without a content encoding.", "UNSUPPORTED_MEDIA_TYPE")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise _Refused(400, "Content-Length must be a number.", connection="close")
    # Compared by its digits first: reading a number of thousands of digits is an attack of its own.
    if len(length.lstrip(b"0")) > 18 or int(length) > maximum:
        raise _too_large(maximum)


def _too_large(maximum: int) -> _Refused:
    return _Refused(413, f"The body is larger than {maximum} bytes.", "PAYLOAD_TOO_LARGE")


def _decode(raw: bytes) -> object:
    """Read JSON (RFC 8259); refuse with 400 what is not.

    orjson refuses lone surrogates, which are valid JSON: they are left to the schema, whose error says where.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if b"\\u" not in raw:
            raise _Refused(400, f"This is not JSON: {error}.") from None
    try:
        return json.loads(raw.decode(), parse_constant=_not_a_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise _Refused(400, "This is not JSON, or is nested too deeply.") from None


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


def _parameters(payload: object, deepest: int) -> _Parameters:
    """Check the parameters' types; unknown ones are ignored, as they are reserved for the specification."""
    if isinstance(payload, list):
        raise _Refused(400, "Batches are not supported: send each operation as a request of its own.")
    if not isinstance(payload, dict):
        raise _Refused(400, "The body must be a JSON object.")
    query = payload.get("query")
    if not isinstance(query, str) or not query:
        raise _Refused(400, "'query' must be a string with a GraphQL document.")
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise _Refused(400, "'operationName' must be a string or null.")
    maps: list[dict[str, Any] | None] = []
    for parameter in ("variables", "extensions"):
        value = payload.get(parameter)
        if value is not None and not isinstance(value, dict):
            raise _Refused(400, f"'{parameter}' must be an object or null.")
        if value and _is_deeper(value, deepest):
            raise _Refused(400, f"'{parameter}' is nested more than {deepest} deep.")
        maps.append(value)
    return _Parameters(query, name or None, maps[0], maps[1])


def _query_parameters(query_string: bytes, deepest: int) -> _Parameters:
    """Read the parameters of a GET request, where maps are JSON texts (section "GET")."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise _Refused(400, "The query string is not UTF-8 in form encoding, or has too many fields.") from None
    payload: dict[str, object] = dict(pairs)
    for parameter in ("variables", "extensions"):
        text = payload.pop(parameter, "")
        if isinstance(text, str) and text:
            payload[parameter] = _decode(text.encode())
    return _parameters(payload, deepest)


def _is_deeper(value: object, deepest: int) -> bool:
    """Say whether lists and objects are nested in one another more than `deepest` times."""
    level = [value]
    for _ in range(deepest + 1):
        nodes = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        if not nodes:
            return False
        level = [child for node in nodes for child in node]
    return True


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=str)
    except TypeError:
        # A lone surrogate from the request, or an integer of more than 64 bits.
        return json.dumps(body, default=str).encode("ascii")
