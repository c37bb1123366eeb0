"""Channels on which Graph calls when something has changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import OutcomeUnknown, Refused
from providers.interface import Channel, Hint, HintKind, Hints, HookCall
from providers.microsoft import MicrosoftProvider, channels
from tests.helpers import NOW, make_event
from tests.providers.microsoft.stage import Stage, an_outgoing, became, lent

ADDRESS = "https://calendar.example.org/hooks/" + "c" * 64
SECRET = "s" * 43
CHANNEL_ID = "c" * 64


async def watched(stage: Stage) -> Channel:
    return await stage.provider.watch(stage.calendar, channel_id=CHANNEL_ID, secret=SECRET, address=ADDRESS)


def told(stage: Stage) -> list[Hint]:
    """Return what the calls that came in mean to us."""
    found: list[Hint] = []
    for request in stage.calls.received:
        query = dict(request.url.params)
        call = HookCall({name.lower(): value for name, value in request.headers.items()}, query, request.content)
        if stage.provider.handshake(call) is None:
            found += stage.provider.hints(call)
    return found


def a_call(body: Any) -> HookCall:
    return HookCall({}, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


CHANGED = Hint(HintKind.CHANGED, SECRET)


@pytest.mark.anyio
async def test_it_calls(stage: Stage) -> None:
    assert isinstance(stage.provider, Hints)


@pytest.mark.anyio
async def test_a_channel_is_opened_for_a_week_once_both_addresses_have_answered(stage: Stage) -> None:
    channel = await watched(stage)
    assert timedelta(days=6, hours=23) < channel.expires_at - NOW <= timedelta(minutes=10_080)
    assert [str(each.url).split("?")[0] for each in stage.calls.received] == [ADDRESS, ADDRESS]
    (sent,) = [each.body for each in stage.desk.requests if each.path.endswith("/subscriptions")]
    assert sent["resource"] == f"/me/calendars/{stage.calendar.remote_id}/events"
    assert sent["changeType"] == "created,updated,deleted"
    assert sent["clientState"] == SECRET
    assert sent["lifecycleNotificationUrl"] == sent["notificationUrl"] == ADDRESS


@pytest.mark.anyio
async def test_an_address_that_does_not_answer_opens_no_channel(stage: Stage) -> None:
    for answer in (httpx.Response(500), httpx.Response(200, text="something else"), httpx.Response(200, json={})):
        stage.calls.answer = answer
        with pytest.raises(Refused) as caught:
            await watched(stage)
        assert "://" not in str(caught.value)


@pytest.mark.anyio
async def test_every_change_is_called_about_with_the_secret(stage: Stage) -> None:
    await watched(stage)
    outgoing = an_outgoing()
    copy = await stage.provider.create(stage.calendar, outgoing)
    copy = await stage.provider.update(stage.calendar, became(outgoing, summary="Changed"), copy)
    await stage.provider.delete(stage.calendar, outgoing, copy)
    name = await stage.add(stage.calendar, make_event(stage.account_id).state)
    await stage.rename(stage.calendar, name, "Renamed")
    assert told(stage) == [CHANGED] * 5


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "count"), [("lose", 0), ("double", 2), ("deliver", 1)])
async def test_calls_may_be_lost_or_come_twice(stage: Stage, mode: str, count: int) -> None:
    await watched(stage)
    await stage.control("POST", "/calls", {"mode": mode})
    await stage.add(stage.calendar, make_event(stage.account_id).state)
    assert told(stage) == [CHANGED] * count


@pytest.mark.anyio
async def test_a_channel_is_prolonged_under_its_own_name(stage: Stage) -> None:
    channel = await watched(stage)
    stage.clock.advance(timedelta(days=4))
    longer = await stage.provider.renew(stage.calendar, channel)
    assert longer is not None
    assert longer.remote_id == channel.remote_id
    assert longer.expires_at == channel.expires_at + timedelta(days=4)


@pytest.mark.anyio
async def test_a_channel_that_has_ended_is_replaced(stage: Stage) -> None:
    channel = await watched(stage)
    stage.clock.advance(timedelta(days=8))
    assert await stage.provider.renew(stage.calendar, channel) is None
    assert await stage.provider.renew(stage.calendar, Channel("AAkALgNone", NOW)) is None


@pytest.mark.anyio
async def test_a_closed_channel_is_silent_and_can_be_closed_again(stage: Stage) -> None:
    channel = await watched(stage)
    for _ in range(2):
        await stage.provider.unwatch(stage.calendar, channel)
    await stage.add(stage.calendar, make_event(stage.account_id).state)
    assert told(stage) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("reauthorizationRequired", HintKind.RENEW),
        ("subscriptionRemoved", HintKind.LOST),
        ("missed", HintKind.CHANGED),
    ],
)
async def test_what_becomes_of_a_channel_is_understood(stage: Stage, event: str, kind: HintKind) -> None:
    """https://learn.microsoft.com/graph/change-notifications-lifecycle-events"""
    await watched(stage)
    await stage.control("POST", "/lifecycle", {"calendar": stage.calendar.remote_id, "event": event})
    assert told(stage) == [Hint(kind, SECRET)]


def test_a_call_that_only_tries_the_address_is_answered_with_its_token_to_the_letter() -> None:
    provider, token = MicrosoftProvider(lent()), "Validation: token <7> & more +%20"
    assert provider.handshake(HookCall({}, {"validationToken": token}, b"")) == token
    assert provider.handshake(HookCall({}, {}, b"")) is None
    assert provider.handshake(HookCall({}, {"validationtoken": token}, b"")) is None


def test_several_notifications_of_one_call_are_one_hint_for_each_thing_they_say() -> None:
    notifications = [
        {"clientState": SECRET, "changeType": "created"},
        {"clientState": SECRET, "changeType": "updated", "lifecycleEvent": None},
        {"clientState": "other", "changeType": "updated"},
        {"clientState": SECRET, "lifecycleEvent": "somethingNew"},
        {"clientState": SECRET, "lifecycleEvent": "reauthorizationRequired"},
    ]
    found = MicrosoftProvider(lent()).hints(a_call({"value": notifications}))
    assert list(found) == [CHANGED, Hint(HintKind.CHANGED, "other"), Hint(HintKind.RENEW, SECRET)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        {},
        [],
        {"value": None},
        {"value": {}},
        {"value": [None]},
        {"value": [[]]},
        {"value": [{}]},
        {"value": [{"clientState": None}]},
        {"value": [{"clientState": 7}]},
        {"value": [{"clientState": SECRET, "lifecycleEvent": []}]},
    ],
)
def test_a_call_that_cannot_be_understood_says_nothing(body: Any) -> None:
    assert list(MicrosoftProvider(lent()).hints(a_call(body))) == []


@given(st.binary(max_size=200))
def test_no_call_breaks_anything(body: bytes) -> None:
    assert list(MicrosoftProvider(lent()).hints(a_call(body))) == []


@pytest.mark.parametrize("body", [{}, {"id": "1"}, {"id": "1", "expirationDateTime": "soon"}, None])
def test_an_answer_that_is_no_channel_leaves_the_outcome_unknown(body: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        channels.channel(body)


def test_channels_end_when_graph_says() -> None:
    body = {"id": "1", "expirationDateTime": "2026-05-11T09:00:00.1234567+02:00"}
    assert channels.channel(body).expires_at == NOW + timedelta(days=7, microseconds=123456)
