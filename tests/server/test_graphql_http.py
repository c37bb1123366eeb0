"""The HTTP door, asked over HTTP: negotiation, status codes, bodies, credentials, headers."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import strawberry
from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from kalends.compiled import Plan
from kalends.server.execution import Engine
from kalends.server.faults import Denied, Fault
from kalends.server.graphql_http import GraphQLEndpoint
from kalends.server.limits import Limits

pytestmark = pytest.mark.anyio

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"


class Down(Exception):
    """The storage cannot be reached."""


def classify(error: BaseException) -> Fault | None:
    return Fault("Try again.", "UNAVAILABLE", {"retryAfter": 3}) if isinstance(error, Down) else None


@strawberry.type
class Query:
    @strawberry.field
    def echo(self, text: str = "hi") -> str:
        return text

    @strawberry.field
    def who(self, info: strawberry.Info) -> str:
        return f"{info.context['principal']} {get_contextvars()['request_id']}"

    @strawberry.field
    def down(self) -> str:
        raise Down

    @strawberry.field
    def maybe_down(self) -> str | None:
        raise Down

    @strawberry.field
    def forbidden(self) -> str:
        raise GraphQLError("Not yours.", extensions={"code": "FORBIDDEN"})

    @strawberry.field
    def complain(self) -> str | None:
        raise GraphQLError("odd \ud800 text")

    @strawberry.field
    def bug(self) -> str:
        raise ZeroDivisionError


@strawberry.type
class Mutation:
    @strawberry.mutation
    def put(self) -> str:
        return "stored"


SCHEMA = strawberry.Schema(Query, Mutation)


async def authenticate(request: Request) -> str | None:
    key = request.headers.get("authorization")
    if key is None:
        return None
    if key == "Bearer down":
        raise Down
    if key != "Bearer ann":
        raise Denied("The key is not known.")
    return "ann"


def context_for(request: Request, principal: str | None) -> dict[str, Any]:
    return {"principal": principal}


def client(key: str | None = "Bearer ann", *, limits: Limits | None = None, **options: Any) -> httpx.AsyncClient:
    engine = Engine(SCHEMA, limits=limits or Limits(), introspection=True, suggestions=True, classify=classify)
    endpoint = GraphQLEndpoint(engine, authenticate=authenticate, context_for=context_for, **options)
    app = Starlette(routes=[Route("/graphql", endpoint)])
    headers = {"authorization": key} if key else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)


async def ask(query: str, accept: str = GRAPHQL, key: str | None = "Bearer ann", **parameters: Any) -> httpx.Response:
    async with client(key) as http:
        return await http.post("/graphql", json={"query": query, **parameters}, headers={"accept": accept})


async def post(content: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
    fields = {"content-type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with client() as http:
        return await http.post("/graphql", content=content, headers=fields)


def code(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (GRAPHQL, GRAPHQL),
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("", None),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0.9", JSON),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.9", GRAPHQL),
        (f"{JSON}, */*", JSON),
        (f"{GRAPHQL}, */*", GRAPHQL),
        (f"{JSON};q=0, */*", GRAPHQL),
        ("text/html, */*;q=0.1", JSON),
        (f"{GRAPHQL}; charset=utf-8", GRAPHQL),
        (f"{GRAPHQL.upper()};Charset=UTF-8", GRAPHQL),
        (f"{GRAPHQL}; charset=latin1", None),
        ("text/html", None),
        (f"{JSON};q=0", None),
        (f"{JSON};q=x", None),
    ],
)
async def test_the_media_type_is_negotiated(accept: str, media: str | None) -> None:
    response = await ask("{ echo }", accept)
    assert response.status_code == (200 if media else 406)
    assert response.headers["content-type"] == f"{media or JSON}; charset=utf-8"


async def test_without_accept_the_answer_is_json() -> None:
    async with client() as http:
        del http.headers["accept"]
        response = await http.post("/graphql", json={"query": "{ echo }"})
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"


async def test_accept_may_be_sent_in_several_lines() -> None:
    async with client() as http:
        lines = [("accept", GRAPHQL), ("accept", "text/html")]
        response = await http.post("/graphql", json={"query": "{ echo }"}, headers=lines)
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "variables", "status"),
    [
        ("{ echo }", None, 200),
        ("{ maybeDown }", None, 200),
        ("{ complain }", None, 200),
        ("{", None, 400),
        ("{ nothing }", None, 400),
        ("query A { echo } query B { echo }", None, 400),
        ("query ($t: String!) { echo(text: $t) }", {"t": None}, 400),
        ("{ " + "x: echo " * 99 + "}", None, 400),
        ("{ down }", None, 503),
        ("{ forbidden }", None, 403),
        ("{ bug }", None, 200),
    ],
)
async def test_the_status_tells_the_phase_under_the_graphql_media_type_only(
    query: str, variables: dict[str, Any] | None, status: int
) -> None:
    with capture_logs():
        response = await ask(query, GRAPHQL, variables=variables)
        legacy = await ask(query, JSON, variables=variables)
    assert (response.status_code, legacy.status_code) == (status, 200)
    assert response.json().keys() == legacy.json().keys()
    assert ("data" in response.json()) is (status != 400)


async def test_an_answer_that_failed_for_storage_says_when_to_try_again() -> None:
    assert (await ask("{ down }")).headers["retry-after"] == "3"


@pytest.mark.parametrize("parameter", ["operationName", "variables", "extensions"])
async def test_parameters_may_be_null_or_absent_and_unknown_ones_are_ignored(parameter: str) -> None:
    response = await post(json.dumps({"query": "{ echo }", parameter: None, "more": 1}).encode())
    assert response.json() == {"data": {"echo": "hi"}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"qeury": "{ echo }"},
        {"query": ""},
        {"query": 1},
        {"query": ["{ echo }"]},
        {"query": "{ echo }", "operationName": 1},
        {"query": "{ echo }", "variables": []},
        {"query": "{ echo }", "variables": "{}"},
        {"query": "{ echo }", "extensions": 0},
        [],
        "query",
        None,
    ],
)
async def test_what_is_not_a_graphql_request_is_a_400_in_either_media_type(body: object) -> None:
    for accept in (JSON, GRAPHQL):
        response = await post(json.dumps(body).encode(), accept=accept)
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


async def test_a_batch_is_refused_and_the_message_says_what_to_do() -> None:
    response = await post(b'[{"query": "{ echo }"}]')
    assert response.status_code == 400
    assert "request of its own" in response.json()["errors"][0]["message"]


DEEP = 100_000
BAD_BODIES = {
    "empty": b"",
    "truncated": b'{"query": "{ ec',
    "a byte order mark": b'\xef\xbb\xbf{"query": "{ echo }"}',
    "not UTF-8": b'{"query": "{ echo }", "variables": {"a": "\xff"}}',
    "not UTF-8 with an escape": b'{"query": "{ echo }", "variables": {"a": "\xff \\ud800"}}',
    "UTF-16": '{"query": "{ echo }"}'.encode("utf-16"),
    "NaN": b'{"query": "{ echo }", "variables": {"a": NaN}}',
    "NaN with a surrogate": b'{"query": "{ echo }", "variables": {"a": NaN, "b": "\\ud800"}}',
    "infinite": b'{"query": "{ echo }", "variables": {"a": 1e999}}',
    "infinite with a surrogate": b'{"query": "{ echo }", "variables": {"a": 1e999, "b": "\\ud800"}}',
    "a huge integer with a surrogate": b'{"query": "{ echo }", "variables": {"a": %s, "b": "\\ud800"}}' % (b"9" * 9999),
    "deep lists": b'{"query": "{ echo }", "variables": {"a": %s}}' % (b"[" * DEEP + b"]" * DEEP),
    "deep lists with a surrogate": b'{"b": "\\ud800", "variables": {"a": %s}}' % (b"[" * DEEP + b"]" * DEEP),
    "deep objects": b'{"query": "{ echo }", "variables": %s}' % (b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "deep but readable": b'{"query": "{ echo }", "variables": %s}' % (b'{"a":' * 33 + b"1" + b"}" * 33),
    "deep extensions": b'{"query": "{ echo }", "extensions": %s}' % (b'{"a":' * 33 + b"1" + b"}" * 33),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bodies_that_cannot_be_read_are_a_400_with_a_json_error(name: str) -> None:
    start = time.process_time()
    response = await post(BAD_BODIES[name])
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert time.process_time() - start < 2


async def test_variables_may_be_nested_as_deep_as_the_limit_says() -> None:
    body = b'{"query": "{ echo }", "variables": %s}' % (b'{"a":' * 32 + b"1" + b"}" * 32)
    assert (await post(body)).status_code == 200


async def test_a_lone_surrogate_reaches_the_schema_and_comes_back_escaped() -> None:
    query = "query ($t: String!) { echo(text: $t) }"
    response = await post(json.dumps({"query": query, "variables": {"t": "\ud800"}}).encode())
    assert response.json() == {"data": {"echo": "\ud800"}}
    assert b"\\ud800" in response.content


async def test_errors_that_echo_a_surrogate_are_answered() -> None:
    for body in ({"query": "{ \ud800 }"}, {"query": "{ echo }", "operationName": "\ud800"}, {"query": "{ complain }"}):
        response = await post(json.dumps(body).encode())
        assert response.status_code == 200
        assert response.json()["errors"]


async def test_of_a_key_given_twice_the_last_counts() -> None:
    assert (await post(b'{"query": "{", "query": "{ echo }"}')).json() == {"data": {"echo": "hi"}}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=latin1",
        GRAPHQL,
    ],
)
async def test_only_json_in_utf8_is_taken_so_that_no_web_page_can_send_it_unasked(content_type: str) -> None:
    response = await post(b'{"query": "mutation { put }"}', content_type=content_type)
    assert (response.status_code, code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_the_charset_may_be_named(content_type: str) -> None:
    assert (await post(b'{"query": "mutation { put }"}', content_type=content_type)).status_code == 200


async def test_a_content_encoding_is_refused() -> None:
    assert (await post(b"x", content_encoding="gzip")).status_code == 415


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 405), ("HEAD", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)]
)
async def test_methods_other_than_post_are_told_what_is_allowed(method: str, status: int) -> None:
    async with client() as http:
        response = await http.request(method, "/graphql?query={echo}")
    assert (response.status_code, response.headers["allow"]) == (status, "OPTIONS, POST")
    assert bool(response.content) is (method in ("GET", "PUT", "DELETE"))


async def test_get_runs_queries_where_it_is_on() -> None:
    async with client(allow_get=True) as http:
        query = {"query": "query Q($t: String) { echo(text: $t) }", "operationName": "Q", "variables": '{"t": "x"}'}
        response = await http.get("/graphql", params=query)
        head = await http.head("/graphql", params=query)
    assert response.json() == {"data": {"echo": "x"}}
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == response.headers["content-length"]


@pytest.mark.parametrize(
    ("query_string", "status"),
    [
        ("query=mutation{put}", 405),
        ("", 400),
        ("query={echo}&variables=[]", 400),
        ("query={echo}&variables={", 400),
        ("query=%ff", 400),
        ("&".join(f"x{i}=1" for i in range(30)), 400),
        ("query={echo}&variables=&extensions=", 200),
    ],
)
async def test_get_is_checked_like_post_and_runs_no_mutation(query_string: str, status: int) -> None:
    async with client(allow_get=True) as http:
        response = await http.get(f"/graphql?{query_string}")
    assert response.status_code == status


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 100_000


async def test_a_body_too_large_is_refused_by_its_length_before_it_is_read() -> None:
    for length in (str(Limits().body_bytes + 1), "9" * 5000):
        response = await post(chunks(1), content_length=length)
        assert (response.status_code, code(response)) == (413, "PAYLOAD_TOO_LARGE")
        assert response.headers["connection"] == "close"


async def test_a_body_too_large_is_refused_while_it_arrives() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b" " * 100_000

    response = await post(endless())
    assert response.status_code == 413
    assert taken < Limits().body_bytes / 100_000 + 10


async def call(receive: Any, headers: list[tuple[bytes, bytes]], method: str = "POST", **options: Any) -> list[Message]:
    """Drive the endpoint as a server does, where httpx cannot: what it sends, in order."""
    engine = Engine(SCHEMA, limits=Limits(), introspection=True, suggestions=True)
    endpoint = GraphQLEndpoint(engine, authenticate=authenticate, context_for=context_for, **options)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/graphql", "query_string": b"query={echo}", "headers": headers}
    await endpoint(scope, receive, send)
    return sent


async def test_a_client_that_sends_too_slowly_gets_a_408() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    start, body = await call(never, [(b"content-type", b"application/json")], receive_seconds=0.01)
    assert start["status"] == 408
    assert json.loads(body["body"])["errors"][0]["extensions"]["code"] == "REQUEST_TIMEOUT"


async def test_a_client_that_went_away_gets_nothing() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    assert await call(gone, [(b"content-type", b"application/json")]) == []


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    key = [(b"authorization", b"Bearer ann")]
    start, body = await call(None, key, "HEAD", allow_get=True)
    assert (start["status"], body["body"]) == (200, b"")
    assert (b"content-length", b"22") in start["headers"]


async def test_a_bug_before_anything_is_executed_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(Plan, "begin", broken)
    with capture_logs():
        response = await ask("{ echo }")
    assert (response.status_code, response.json().keys()) == (500, {"errors"})


async def test_a_wrong_credential_is_refused_before_the_body_is_read() -> None:
    async def unread() -> Message:
        raise AssertionError

    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer eve")]
    start, body = await call(unread, headers)
    assert start["status"] == 401
    assert dict(start["headers"])[b"www-authenticate"] == b"Bearer"
    assert json.loads(body["body"])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_nobody_in_particular_may_ask_only_about_the_schema(accept: str) -> None:
    open_ = await ask("{ __typename __schema { queryType { name } } }", accept, key=None)
    closed = await ask("{ __typename echo }", accept, key=None)
    writing = await ask("mutation { __typename }", accept, key=None)
    assert [answer.status_code for answer in (open_, closed, writing)] == [200, 401, 401]
    assert closed.headers["www-authenticate"] == "Bearer"
    assert closed.headers["content-type"] == f"{accept}; charset=utf-8"
    assert code(closed) == "UNAUTHENTICATED"


async def test_authentication_that_cannot_be_done_is_a_503_not_a_401() -> None:
    response = await ask("{ echo }", key="Bearer down")
    assert (response.status_code, response.headers["retry-after"], code(response)) == (503, "3", "UNAVAILABLE")


async def test_a_bug_in_a_hook_is_a_masked_500() -> None:
    def broken(request: Request, principal: str | None) -> object:
        raise ZeroDivisionError("secret")

    engine = Engine(SCHEMA, limits=Limits(), introspection=True, suggestions=True)
    endpoint = GraphQLEndpoint(engine, authenticate=authenticate, context_for=broken)
    transport = httpx.ASGITransport(endpoint)
    with capture_logs() as logs:
        async with httpx.AsyncClient(transport=transport, headers={"authorization": "Bearer ann"}) as http:
            response = await http.post("http://test/", json={"query": "{ echo }"})
    assert (response.status_code, code(response)) == (500, "INTERNAL")
    assert response.json()["errors"][0]["extensions"]["id"] == logs[0]["error_id"]
    assert "secret" not in response.text


async def test_every_response_has_the_headers_that_keep_it_private() -> None:
    async with client() as http:
        answers = [
            await http.post("/graphql", json={"query": "{ echo }"}),
            await http.post("/graphql", content=b"{"),
            await http.get("/graphql"),
            await http.options("/graphql"),
        ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("sent", "kept"), [("a.B_9-", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False)]
)
async def test_the_request_id_is_kept_where_it_is_harmless_and_reaches_the_resolvers(sent: str, kept: bool) -> None:
    async with client() as http:
        response = await http.post("/graphql", json={"query": "{ who }"}, headers={"x-request-id": sent})
    identity = response.headers["x-request-id"]
    assert (identity == sent) is kept
    assert response.json() == {"data": {"who": f"ann {identity}"}}
