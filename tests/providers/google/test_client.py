"""What Google's refusals mean."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from kalends.domain.ids import uuid7
from providers.errors import (
    AlreadyExists,
    Gone,
    NotConfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    RetryLater,
    Stale,
    Throttled,
    Unreachable,
)
from providers.google import GoogleProvider
from providers.google.client import Answered, Forbidden
from providers.interface import Grant, RemoteAccount, RemoteCalendar, RemoteEvent
from tests.contracts.provider_contract import outgoing_for
from tests.contracts.reading_contract import read
from tests.helpers import BERLIN, HOUR, NOW, make_event
from tests.providers.google.payloads import Answering, event
from tests.providers.google.stage import ADA, Stage
from tests.providers.surroundings import MemoryGrants, surroundings

pytestmark = pytest.mark.anyio

CALENDAR = RemoteCalendar(uuid7(), uuid7(), ADA, BERLIN, ADA)
OUTGOING = outgoing_for(make_event(uuid7()), owner=ADA)
KNOWN = RemoteEvent(OUTGOING.identity.key, '"1"')
SECRETS = {"access_token": "ya29.secret", "refresh_token": "1//secret", "expires_at": (NOW + HOUR).isoformat()}

Respond = Callable[[httpx.Request], httpx.Response]


def refusal(status: int, reason: str, **headers: str) -> httpx.Response:
    error = {"errors": [{"domain": "x", "reason": reason, "message": f"{ADA} https://x"}], "code": status}
    return httpx.Response(status, json={"error": error}, headers=headers)


def provider_that_gets(respond: Respond) -> GoogleProvider:
    assert CALENDAR.account_id is not None
    return GoogleProvider(
        surroundings(
            grants=MemoryGrants({CALENDAR.account_id: Grant(SECRETS)}),
            transport=Answering(respond),
            google_client_id="client",
            google_client_secret="secret",
        )
    )


async def create(provider: GoogleProvider) -> Any:
    return await provider.create(CALENDAR, OUTGOING)


async def update(provider: GoogleProvider) -> Any:
    return await provider.update(CALENDAR, OUTGOING, KNOWN)


async def delete(provider: GoogleProvider) -> Any:
    return await provider.delete(CALENDAR, OUTGOING, KNOWN)


async def find(provider: GoogleProvider) -> Any:
    return await provider.find(CALENDAR, OUTGOING.identity, None)


async def changes(provider: GoogleProvider) -> Any:
    return await read(provider, CALENDAR)


async def calendars(provider: GoogleProvider) -> Any:
    assert CALENDAR.account_id is not None
    return await provider.calendars(RemoteAccount(CALENDAR.app_id, CALENDAR.account_id))


Call = Callable[[GoogleProvider], Awaitable[Any]]
EVERY: list[Call] = [create, update, delete, find, changes, calendars]
READS: list[Call] = [update, find, changes, calendars]  # an update without an agreement looks first
WRITES: list[Call] = [create, delete]


@pytest.mark.parametrize("call", EVERY)
@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "invalid", Refused),
        (403, "forbiddenForNonOrganizer", Refused),
        (403, "requiredAccessLevel", Refused),
        (403, "notACalendarUser", Refused),
        (403, "insufficientPermissions", ReconnectRequired),
        (403, "accessNotConfigured", NotConfigured),
        (403, "rateLimitExceeded", Throttled),
        (403, "userRateLimitExceeded", Throttled),
        (403, "quotaExceeded", Throttled),
        (429, "rateLimitExceeded", Throttled),
        (429, "", Throttled),
        (413, "", Refused),
        (503, "backendError", Unreachable),
        (301, "", RetryLater),
    ],
)
async def test_a_refusal_means_the_same_to_every_request(
    call: Call, status: int, reason: str, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected) as caught:
        await call(provider_that_gets(lambda _: refusal(status, reason)))
    message = str(caught.value)
    assert message.endswith(".")
    assert "@" not in message
    assert "://" not in message
    assert "secret" not in message


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_of_a_failure_a_read_tries_again_and_a_write_finds_out(status: int) -> None:
    for call in READS:
        with pytest.raises(Unreachable):
            await call(provider_that_gets(lambda _: refusal(status, "backendError")))
    for call in WRITES:
        with pytest.raises(OutcomeUnknown):
            await call(provider_that_gets(lambda _: refusal(status, "backendError")))


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (refusal(429, "rateLimitExceeded", **{"retry-after": "7"}), timedelta(seconds=7)),
        (refusal(429, "rateLimitExceeded", **{"retry-after": "tomorrow"}), timedelta(minutes=1)),
        (refusal(429, "rateLimitExceeded", **{"retry-after": "9" * 30}), timedelta(minutes=1)),
        (refusal(403, "userRateLimitExceeded"), timedelta(minutes=1)),
        (refusal(403, "quotaExceeded"), timedelta(hours=2)),
        (refusal(429, "quotaExceeded"), timedelta(hours=2)),
        (httpx.Response(429, text="<html>"), timedelta(minutes=1)),
    ],
)
async def test_a_busy_google_says_how_long_to_be_quiet_or_it_is_as_long_as_it_counts(
    answer: httpx.Response, pause: timedelta
) -> None:
    with pytest.raises(Throttled) as caught:
        await find(provider_that_gets(lambda _: answer))
    assert caught.value.retry_after == pause


async def test_the_log_has_googles_reasons_and_people_have_a_sentence() -> None:
    with pytest.raises(Forbidden) as caught:
        await create(provider_that_gets(lambda _: refusal(403, "calendarUsageForbidden")))
    cause = caught.value.__cause__
    assert isinstance(cause, Answered)
    assert cause.args == (403, "calendarUsageForbidden")


@pytest.mark.parametrize("call", EVERY)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{", b'{"items": 7}', b'{"items": [7]}', b'{"items": [{}]}', b"\xff\xfe"]
)
async def test_an_answer_that_is_not_googles_is_none(call: Call, body: bytes) -> None:
    if call is delete:
        return  # it reads no answer
    with pytest.raises(OutcomeUnknown):
        await call(provider_that_gets(lambda _: httpx.Response(200, content=body)))


@pytest.mark.parametrize("call", EVERY)
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ReadTimeout("slow"), OutcomeUnknown),
        (httpx.ReadError("broken"), OutcomeUnknown),
    ],
)
async def test_a_network_that_fails_is_a_reason_to_try_again(
    call: Call, failure: Exception, expected: type[ProviderError]
) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(expected):
        await call(provider_that_gets(fail))


@pytest.mark.parametrize("status", [403, 412])
@pytest.mark.parametrize("deleted", [True, False])
async def test_a_refused_change_of_a_deleted_event_met_nothing_and_of_another_it_is_what_it_says(
    status: int, deleted: bool
) -> None:
    status_there = "cancelled" if deleted else "confirmed"
    there = event(id=KNOWN.remote_id, etag=KNOWN.etag, summary="Theirs", status=status_there)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=there)
        return refusal(status, "forbidden" if status == 403 else "conditionNotMet")

    expected = Gone if deleted else Forbidden if status == 403 else Stale
    with pytest.raises(expected):
        await update(provider_that_gets(respond))
    if status == 412:
        if deleted:
            await delete(provider_that_gets(respond))
        else:
            with pytest.raises(Stale):
                await delete(provider_that_gets(respond))


async def test_another_conflict_than_a_taken_id_is_a_change_by_somebody_else() -> None:
    with pytest.raises(Stale):
        await create(provider_that_gets(lambda _: refusal(409, "conflict")))
    taken = {"POST": refusal(409, "duplicate"), "GET": httpx.Response(200, json=event())}
    with pytest.raises(AlreadyExists):
        await create(provider_that_gets(lambda request: taken[request.method]))


# Tokens


async def test_a_token_that_ended_early_is_renewed_once() -> None:
    stage = Stage()
    await stage.connect()
    await stage.control("POST", "/tokens/expire", {"access": True})
    assert await stage.provider.find(stage.calendar, OUTGOING.identity, None) is None
    assert stage.grants.renewals == 1
    assert [each.path for each in stage.desk.requests].count("/token") == 1


async def test_a_token_is_renewed_before_its_end() -> None:
    stage = Stage()
    await stage.connect()
    stage.clock.advance(timedelta(minutes=59))
    await stage.provider.find(stage.calendar, OUTGOING.identity, None)
    assert stage.grants.renewals == 1


async def test_a_grant_that_was_withdrawn_must_be_given_again() -> None:
    """A revocation that nobody notices: calcom/cal.diy#7564, #5468."""
    stage = Stage()
    await stage.connect()
    await stage.control("DELETE", f"/grants/{ADA}")
    with pytest.raises(ReconnectRequired):
        await stage.provider.create(stage.calendar, OUTGOING)


async def test_a_token_that_google_never_accepts_is_tried_twice_and_no_more() -> None:
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "new", "expires_in": 3599})
        return refusal(401, "authError")

    with pytest.raises(ReconnectRequired):
        await find(provider_that_gets(respond))
    assert len(asked) == 3


async def test_rights_that_are_too_few_must_be_given_again() -> None:
    stage = Stage()
    await stage.connect(["https://www.googleapis.com/auth/calendar.calendarlist.readonly"])
    with pytest.raises(ReconnectRequired):
        await stage.provider.create(stage.calendar, OUTGOING)


# Where requests go


async def test_requests_go_to_google_where_no_endpoint_is_set() -> None:
    asked: list[httpx.URL] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json=event())

    calendar = replace(CALENDAR, remote_id="de.german#holiday@group.v.calendar.google.com")
    provider = provider_that_gets(respond)
    await provider.find(calendar, OUTGOING.identity, "a/b?c")
    (url,) = asked
    assert (url.scheme, url.host) == ("https", "www.googleapis.com")
    path = "/calendar/v3/calendars/de.german%23holiday%40group.v.calendar.google.com/events/a%2Fb%3Fc"
    assert url.raw_path.decode() == path


async def test_a_request_says_who_asks_and_what_is_to_be_done() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=event())

    await create(provider_that_gets(respond))
    (request,) = asked
    assert request.headers["authorization"] == "Bearer ya29.secret"
    assert request.url.params["sendUpdates"] == "none"
    assert json.loads(request.content)["id"] == OUTGOING.identity.key
