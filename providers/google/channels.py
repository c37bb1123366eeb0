"""Google's calls when a calendar has changed: what is in their headers. Pure.

https://developers.google.com/workspace/calendar/api/guides/push
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from providers.google.wire import Body
from providers.google.wire import Channel as WireChannel
from providers.interface import Channel, Hint, HintKind, HookCall

RESOURCE_STATE = "x-goog-resource-state"
CHANNEL_TOKEN = "x-goog-channel-token"  # noqa: S105  a header's name

_STATES = {"exists": HintKind.CHANGED, "not_exists": HintKind.LOST}
_LASTS = timedelta(days=7)  # where Google does not say


def asked(channel_id: str, secret: str, address: str) -> Body:
    """Return what opens a channel."""
    return {"id": channel_id, "type": "web_hook", "address": address, "token": secret}


def opened(channel: WireChannel, clock: Callable[[], datetime]) -> Channel:
    """Return a channel that was opened: its name is both names that Google wants to hear when it is closed."""
    try:
        expires_at = datetime.fromtimestamp(int(channel["expiration"]) / 1000, UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        expires_at = clock() + _LASTS
    return Channel(f"{channel['id']}/{channel['resourceId']}", expires_at)


def closed(channel: Channel) -> Body:
    """Return what closes a channel."""
    channel_id, _, resource_id = channel.remote_id.partition("/")
    return {"id": channel_id, "resourceId": resource_id}


def hints(call: HookCall) -> Sequence[Hint]:
    """Return what a call says. The first of a channel, `sync`, says only that it is open."""
    kind = _STATES.get(call.headers.get(RESOURCE_STATE, ""))
    secret = call.headers.get(CHANNEL_TOKEN, "")
    return () if kind is None or not secret else (Hint(kind, secret),)
