"""What goes out to Graph, and what its answers mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from kalends.domain.ids import uuid7
from providers.errors import (
    AlreadyExists,
    CalendarGone,
    Gone,
    NotConfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Stale,
    Throttled,
    TokenExpired,
    Unreachable,
)
from providers.interface import Grant, Outgoing, RemoteAccount, RemoteCalendar, RemoteEvent
from providers.microsoft import MicrosoftProvider
from providers.microsoft.accounts import connection
from providers.microsoft.client import Client, encoded, of
from providers.microsoft.inbound import Token
from providers.web import Web
from tests.contracts.provider_contract import OWNER
from tests.contracts.reading_contract import nothing_known
from tests.helpers import BERLIN, NOW
from tests.providers.microsoft.stage import ENDPOINT, Stage, an_outgoing, became, lent
from tests.providers.surroundings import MemoryGrants, surroundings

pytestmark = pytest.mark.anyio

ACCOUNT = RemoteAccount(uuid7(), uuid7())
CALENDAR = RemoteCalendar(ACCOUNT.app_id, ACCOUNT.account_id, "AAkALg=", BERLIN, OWNER)
KNOWN = RemoteEvent("AAkALg1", 'W/"1"')


def grants() -> MemoryGrants:
    ends = (NOW + timedelta(hours=1)).isoformat()
    secrets = {"access_token": "access-1", "refresh_token": "refresh-1", "expires_at": ends}
    return MemoryGrants({ACCOUNT.account_id: Grant(secrets)})


class Graph(httpx.AsyncBaseTransport):
    """Answers as a test says, and notes what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[tuple[int, bytes, Mapping[str, str]]] = []
        self.grants = grants()
        lends = lent(self.grants, Web(transport=self))
        self.provider = MicrosoftProvider(lends)
        self.client: Client = connection(lends)[1]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path.endswith("/token"):
            tokens = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 3600}
            return httpx.Response(200, json=tokens)
        status, body, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(status, headers=headers, stream=_Body(body))

    def says(self, status: int, body: Any, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        self.answers.append((status, raw, {name.replace("_", "-"): value for name, value in headers.items()}))

    def refuses(self, status: int, code: Any = "", **headers: str) -> None:
        message = "ada@example.org at https://graph.microsoft.com"
        self.says(status, {"error": {"code": code, "message": message}}, **headers)


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


@pytest.fixture
def graph() -> Graph:
    return Graph()


# What an answer means


def get(graph: Graph) -> Any:
    return graph.client.get(ACCOUNT, of(CALENDAR, "AAkALg1"))


def post(graph: Graph) -> Any:
    return graph.client.post(ACCOUNT, f"{of(CALENDAR)}/events", {}, missing=CalendarGone)


def patch(graph: Graph) -> Any:
    return graph.client.patch(ACCOUNT, of(CALENDAR, "AAkALg1"), {}, etag='W/"1"')


def delete(graph: Graph) -> Any:
    return graph.client.delete(ACCOUNT, of(CALENDAR, "AAkALg1"))


@pytest.mark.parametrize(
    ("call", "status", "code", "error"),
    [
        (get, 404, "ErrorItemNotFound", Gone),
        (get, 400, "ErrorInvalidIdMalformed", Gone),
        (post, 404, "ErrorItemNotFound", CalendarGone),
        (post, 400, "ErrorInvalidIdMalformed", CalendarGone),
        (post, 409, "ErrorDuplicateTransactionId", AlreadyExists),
        (post, 400, "ErrorDuplicateTransactionId", AlreadyExists),
        (patch, 412, "", Stale),
        (patch, 412, "ErrorIrresolvableConflict", Stale),
        (patch, 409, "ErrorIrresolvableConflict", Stale),
        (patch, 404, "ErrorItemNotFound", Gone),
        (patch, 400, "ErrorOccurrenceCrossingBoundary", Refused),
        (delete, 404, "ErrorItemNotFound", Gone),
        (get, 410, "", TokenExpired),
        (get, 400, "SyncStateNotFound", TokenExpired),
        (get, 404, "syncStateNotFound", TokenExpired),
        (get, 403, "ErrorAccessDenied", Refused),
        (get, 404, "MailboxNotEnabledForRESTAPI", Refused),
        (post, 400, "TimeZoneNotSupportedException", Refused),
        (post, 400, "", Refused),
        (post, 405, "", Refused),
        (post, 413, "", Refused),
        (get, 302, "", Refused),
        (get, 500, "", Unreachable),
        (get, 504, "", Unreachable),
        (patch, 503, "", Unreachable),
        (patch, 500, "", OutcomeUnknown),
        (post, 504, "UnknownError", OutcomeUnknown),
        (delete, 502, "", OutcomeUnknown),
    ],
)
async def test_an_answer_means_what_must_be_done_next(
    graph: Graph, call: Callable[[Graph], Any], status: int, code: str, error: type[ProviderError]
) -> None:
    graph.refuses(status, code)
    with pytest.raises(error) as caught:
        await call(graph)
    assert type(caught.value) is error
    assert "@" not in str(caught.value)
    assert "://" not in str(caught.value)
    assert len(graph.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry_after": "17"}, 17),
        (429, {}, 30),
        (429, {"retry_after": "Mon, 04 May 2026 07:00:10 GMT"}, 30),
        (503, {"retry_after": "120"}, 120),
    ],
)
async def test_whoever_is_asked_to_be_quiet_is_told_for_how_long(
    graph: Graph, status: int, headers: Mapping[str, str], seconds: int
) -> None:
    graph.refuses(status, "ApplicationThrottled", **headers)
    with pytest.raises(Throttled) as caught:
        await get(graph)
    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("code", ["Two words", "x" * 100, "<script>", "ada@example.org", 7, None, ["a"]])
async def test_a_code_that_is_none_is_not_shown(graph: Graph, code: Any) -> None:
    graph.refuses(400, code)
    with pytest.raises(Refused) as caught:
        await post(graph)
    assert str(caught.value) == "Outlook does not take this (400)."


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": []}', b'{"error": "no"}'])
async def test_a_refusal_in_no_known_form_is_one_all_the_same(graph: Graph, body: bytes) -> None:
    graph.says(400, body)
    with pytest.raises(Refused):
        await get(graph)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
async def test_a_success_that_cannot_be_read_leaves_the_outcome_unknown(graph: Graph, body: bytes) -> None:
    graph.says(200, body)
    for call in (get, post, patch):
        with pytest.raises(OutcomeUnknown):
            await call(graph)


@pytest.mark.parametrize("body", [{}, {"value": {}}, {"value": []}, {"value": [], "@odata.deltaLink": None}])
async def test_a_delta_that_leads_nowhere_cannot_be_read(graph: Graph, body: Any) -> None:
    graph.says(200, body)
    with pytest.raises(OutcomeUnknown):
        await graph.client.delta(ACCOUNT, f"{ENDPOINT}/v1.0/me", page_size=2)


async def test_a_list_that_is_none_cannot_be_read(graph: Graph) -> None:
    graph.says(200, {"value": "everything"})
    with pytest.raises(OutcomeUnknown):
        [page async for page in graph.client.listed(ACCOUNT, "/me/calendars")]


async def test_a_token_that_is_refused_as_soon_as_it_was_given_opens_nothing(graph: Graph) -> None:
    graph.refuses(401, "InvalidAuthenticationToken")
    with pytest.raises(ReconnectRequired):
        await graph.client.own_calendar("access-1")


# What goes out


async def test_every_request_asks_for_lasting_ids_utc_and_text(stage: Stage) -> None:
    copy = await stage.provider.create(stage.calendar, an_outgoing())
    await stage.provider.find(stage.calendar, an_outgoing().identity, copy.remote_id)
    await stage.provider.calendars(RemoteAccount(stage.calendar.app_id, stage.account_id))
    async for _page in stage.provider.changes(stage.calendar, None, nothing_known):
        pass
    assert len(stage.desk.requests) > 5
    for request in stage.desk.requests:
        preferred = request.headers["prefer"]
        assert 'IdType="ImmutableId"' in preferred
        assert 'outlook.timezone="UTC"' in preferred
        assert 'outlook.body-content-type="text"' in preferred


async def test_a_change_names_the_version_that_it_is_of(stage: Stage) -> None:
    outgoing = an_outgoing()
    copy = await stage.provider.create(stage.calendar, outgoing)
    await stage.provider.update(stage.calendar, became(outgoing, summary="Changed"), copy)
    (change,) = [each for each in stage.desk.requests if each.method == "PATCH"]
    assert change.headers["if-match"] == copy.etag


def test_ids_and_queries_are_written_so_that_they_mean_themselves() -> None:
    assert of(CALENDAR, "a/b?c#d e") == "/me/calendars/AAkALg%3D/events/a%2Fb%3Fc%23d%20e"
    assert encoded({"$filter": "id eq 'a&b+c'", "$top": "5"}) == "$filter=id%20eq%20%27a%26b%2Bc%27&$top=5"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/me/events",
        "http://graph.microsoft.com.evil.example/v1.0/me",
        "http://outlook.test:8080/v1.0/me",
        "https://outlook.test/v1.0/me",
        "http://user@outlook.test/v1.0/me",
        "http://outlook.test/beta/me",
        "http://outlook.test/v1.0",
        "/v1.0/me",
        "http://[",
        "http://outlook\x00.test/v1.0/me",
        7,
    ],
)
async def test_tokens_go_to_graph_only_whatever_a_link_says(graph: Graph, link: Any) -> None:
    graph.says(200, {"value": [], "@odata.nextLink": link})
    with pytest.raises(TokenExpired):
        [page async for page in graph.client.listed(ACCOUNT, "/me/calendars")]
    assert len(graph.requests) == 1
    token = str(Token(str(link), NOW + timedelta(days=700)))
    with pytest.raises(TokenExpired):
        [page async for page in graph.provider.changes(CALENDAR, token, nothing_known)]
    assert len(graph.requests) == 1


async def test_links_are_followed_as_they_came(graph: Graph) -> None:
    link = f"{ENDPOINT}/v1.0/me/calendars?$skip=10&x=a%20b"
    graph.says(200, {"value": [{"id": "1"}, 7], "@odata.nextLink": link})
    graph.says(200, {"value": [{"id": "2"}]})
    pages = [page async for page in graph.client.listed(ACCOUNT, "/me/calendars")]
    assert pages == [[{"id": "1"}], [{"id": "2"}]]
    assert str(graph.requests[1].url) == link


# Grants


async def test_a_token_that_is_refused_is_renewed_once(graph: Graph) -> None:
    graph.refuses(
        401, "InvalidAuthenticationToken", www_authenticate='Bearer error="insufficient_claims", claims="e30="'
    )
    graph.says(200, {"id": "AAkALg1"})
    assert await get(graph) == {"id": "AAkALg1"}
    assert [each.headers.get("authorization") for each in graph.requests] == [
        "Bearer access-1",
        None,
        "Bearer access-2",
    ]
    assert graph.grants.grants[ACCOUNT.account_id].secrets["refresh_token"] == "refresh-2"


async def test_a_token_that_is_refused_twice_needs_the_owner(graph: Graph) -> None:
    graph.refuses(401)
    with pytest.raises(ReconnectRequired):
        await get(graph)
    assert len(graph.requests) == 3


async def test_a_calendar_without_an_account_must_be_connected() -> None:
    provider, calendar = Graph().provider, RemoteCalendar(uuid7(), None, "AAkALg")
    outgoing: Outgoing = an_outgoing()
    calls: list[Callable[[], Any]] = [
        lambda: provider.create(calendar, outgoing),
        lambda: provider.update(calendar, outgoing, KNOWN),
        lambda: provider.delete(calendar, outgoing, KNOWN),
        lambda: provider.find(calendar, outgoing.identity, None),
        lambda: anext(provider.changes(calendar, None, nothing_known)),
    ]
    for call in calls:
        with pytest.raises(ReconnectRequired):
            await call()


async def test_without_an_application_the_operator_is_told_what_to_set() -> None:
    provider = MicrosoftProvider(surroundings())
    with pytest.raises(NotConfigured) as caught:
        await provider.authorization_url(state="s", challenge="c", redirect_uri="https://x.example", address=None)
    assert "KALENDS_MICROSOFT_CLIENT_ID" in str(caught.value)


# A network that fails


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttled", Throttled),
        ("unavailable", Unreachable),
        ("reply_lost", OutcomeUnknown),
        ("half_body", OutcomeUnknown),
    ],
)
async def test_what_goes_wrong_on_the_way_is_said_for_what_it_is(
    stage: Stage, kind: str, error: type[ProviderError]
) -> None:
    stage.fails(kind, method="GET", path="/calendars", times=1)
    with pytest.raises(error):
        await stage.provider.calendars(RemoteAccount(stage.calendar.app_id, stage.account_id))
    assert await stage.provider.calendars(RemoteAccount(stage.calendar.app_id, stage.account_id))


async def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown() -> None:
    stage = Stage()
    stage.web = Web(transport=stage.transport, seconds=0.05)
    stage.provider = stage.built()
    await stage.open()
    stage.fails("hang", method="POST", times=1)
    with pytest.raises(OutcomeUnknown):
        await stage.provider.create(stage.calendar, an_outgoing())
    await stage.close()
