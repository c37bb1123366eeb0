"""Channels on which Google calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from providers.errors import OutcomeUnknown, ReconnectRequired, Refused
from providers.google import GoogleProvider
from providers.interface import Channel, Hint, HintKind, Hints, HookCall
from tests.helpers import NOW
from tests.providers.google.stage import ADA, Stage
from tests.providers.google.test_client import CALENDAR, provider_that_gets, refusal
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio

ADDRESS = "https://kalends.test/hooks/google/1"
CHANNEL, SECRET = "c" * 64, "hush"
START = {"dateTime": "2026-05-04T09:00:00+02:00", "timeZone": "Europe/Berlin"}
END = {"dateTime": "2026-05-04T10:00:00+02:00", "timeZone": "Europe/Berlin"}


class Ours(httpx.AsyncBaseTransport):
    """Our own server, as Google finds it."""

    def __init__(self) -> None:
        self.calls: list[HookCall] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.calls.append(HookCall(headers, dict(request.url.params), await request.aread()))
        return httpx.Response(202)


@pytest.fixture
def ours() -> Ours:
    return Ours()


@pytest.fixture
async def stage(ours: Ours) -> AsyncIterator[Stage]:
    stage = Stage(calls=ours)
    await stage.connect()
    yield stage
    assert stage.desk.violations == []


async def watched(stage: Stage) -> Channel:
    return await stage.provider.watch(stage.calendar, channel_id=CHANNEL, secret=SECRET, address=ADDRESS)


async def added(stage: Stage) -> str:
    return await stage.adds({"start": START, "end": END})


def heard(stage: Stage, ours: Ours) -> list[Hint]:
    return [hint for call in ours.calls for hint in stage.provider.hints(call)]


async def test_it_gives_hints(stage: Stage) -> None:
    assert isinstance(stage.provider, Hints)


async def test_a_channel_calls_when_something_has_changed_and_each_call_carries_the_secret(
    stage: Stage, ours: Ours
) -> None:
    channel = await watched(stage)
    assert channel.expires_at == NOW + timedelta(days=7)
    assert len(ours.calls) == 1
    assert heard(stage, ours) == []
    name = await added(stage)
    await stage.changes(name, summary="Changed")
    assert heard(stage, ours) == [Hint(HintKind.CHANGED, SECRET)] * 2


async def test_a_channel_is_closed_by_both_of_its_names_and_once_more(stage: Stage, ours: Ours) -> None:
    channel = await watched(stage)
    for _ in range(2):
        await stage.provider.unwatch(stage.calendar, channel)
    assert stage.sent("POST")[-1].body == {"id": CHANNEL, "resourceId": channel.remote_id.partition("/")[2]}
    await added(stage)
    assert heard(stage, ours) == []


async def test_a_channel_is_not_prolonged_but_another_one_is_opened_beside_it(stage: Stage, ours: Ours) -> None:
    """A channel that expired and was not opened anew: webhookdb/webhookdb#539."""
    first = await watched(stage)
    assert await stage.provider.renew(stage.calendar, first) is None
    second = await stage.provider.watch(stage.calendar, channel_id="d" * 64, secret="other", address=ADDRESS)
    await added(stage)
    assert {each.secret for each in heard(stage, ours)} == {SECRET, "other"}
    await stage.provider.unwatch(stage.calendar, first)
    ours.calls.clear()
    await added(stage)
    assert heard(stage, ours) == [Hint(HintKind.CHANGED, "other")]
    assert second.remote_id != first.remote_id


async def test_a_calendar_that_is_deleted_says_so(stage: Stage, ours: Ours) -> None:
    shared = "c_1@group.calendar.google.com"
    await stage.control("POST", "/calendars", {"id": shared, "roles": {ADA: "owner"}})
    await stage.provider.watch(stage.calendar_named(shared), channel_id=CHANNEL, secret=SECRET, address=ADDRESS)
    await stage.control("DELETE", f"/calendars/{shared}")
    assert heard(stage, ours) == [Hint(HintKind.LOST, SECRET)]


@pytest.mark.parametrize(("mode", "calls"), [("sent", 3), ("lost", 0), ("doubled", 6), ("held", 0)])
async def test_calls_get_lost_doubled_and_late(stage: Stage, ours: Ours, mode: str, calls: int) -> None:
    await watched(stage)
    ours.calls.clear()
    await stage.control("POST", "/calls", {"mode": mode})
    for _ in range(3):
        await added(stage)
    assert len(ours.calls) == calls
    await stage.control("POST", "/calls/release")
    assert len(ours.calls) == (3 if mode == "held" else calls)
    numbers = [int(call.headers["x-goog-message-number"]) for call in ours.calls]
    assert (numbers == sorted(numbers)) is (mode != "held")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-goog-resource-state": "exists", "x-goog-channel-token": "s"}, [Hint(HintKind.CHANGED, "s")]),
        ({"x-goog-resource-state": "not_exists", "x-goog-channel-token": "s"}, [Hint(HintKind.LOST, "s")]),
        ({"x-goog-resource-state": "sync", "x-goog-channel-token": "s"}, []),
        ({"x-goog-resource-state": "add", "x-goog-channel-token": "s"}, []),
        ({"x-goog-resource-state": "exists", "x-goog-channel-token": ""}, []),
        ({"x-goog-resource-state": "exists"}, []),
        ({"x-goog-channel-token": "s"}, []),
        ({}, []),
    ],
)
async def test_a_call_says_what_its_headers_say_and_nothing_without_a_secret(
    headers: dict[str, str], expected: list[Hint]
) -> None:
    provider = GoogleProvider(surroundings())
    call = HookCall(headers, {}, b"anything")
    assert list(provider.hints(call)) == expected
    assert provider.handshake(call) is None


async def test_an_address_that_google_does_not_call_is_no_reason_to_connect_again(stage: Stage) -> None:
    unauthorized = provider_that_gets(lambda _: refusal(401, "push.webhookUrlUnauthorized"))
    with pytest.raises(Refused, match="address"):
        await unauthorized.watch(CALENDAR, channel_id=CHANNEL, secret=SECRET, address=ADDRESS)
    with pytest.raises(Refused, match="HTTPS"):
        await stage.provider.watch(stage.calendar, channel_id=CHANNEL, secret=SECRET, address="http://kalends.test/")


async def test_a_calendar_that_nobody_can_watch_refuses() -> None:
    holidays = provider_that_gets(lambda _: refusal(400, "pushNotSupportedForRequestedResource"))
    with pytest.raises(Refused, match="does not say"):
        await holidays.watch(CALENDAR, channel_id=CHANNEL, secret=SECRET, address=ADDRESS)


async def test_a_token_that_ended_is_renewed_also_to_watch(stage: Stage) -> None:
    await stage.control("POST", "/tokens/expire", {"access": True})
    await watched(stage)
    assert stage.grants.renewals == 1
    await stage.control("DELETE", f"/grants/{ADA}")
    with pytest.raises(ReconnectRequired):
        await stage.provider.watch(stage.calendar, channel_id="d" * 64, secret=SECRET, address=ADDRESS)


async def test_a_channel_without_its_second_name_cannot_be_closed_and_is_none() -> None:
    nameless = provider_that_gets(lambda _: httpx.Response(200, json={"id": CHANNEL}))
    with pytest.raises(OutcomeUnknown):
        await nameless.watch(CALENDAR, channel_id=CHANNEL, secret=SECRET, address=ADDRESS)


@pytest.mark.parametrize("said", [{}, {"expiration": None}, {"expiration": "soon"}, {"expiration": "9" * 40}])
async def test_a_channel_of_which_google_does_not_say_how_long_it_lasts_is_opened_anew_in_time(
    said: dict[str, str | None],
) -> None:
    opened = httpx.Response(200, json={"id": CHANNEL, "resourceId": "r/1"} | said)
    provider = provider_that_gets(lambda _: opened)
    channel = await provider.watch(CALENDAR, channel_id=CHANNEL, secret=SECRET, address=ADDRESS)
    assert channel == Channel(f"{CHANNEL}/r/1", NOW + timedelta(days=7))
