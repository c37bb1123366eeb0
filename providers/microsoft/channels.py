"""Channels on which Graph calls us: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from providers.errors import OutcomeUnknown
from providers.interface import Channel, Hint, HintKind, HookCall, RemoteCalendar
from providers.microsoft.wire import Body

LASTS = timedelta(minutes=10_080)
"""The longest that a channel about events may last: https://learn.microsoft.com/graph/api/resources/subscription."""

_SLACK = timedelta(minutes=10)  # their clock may be behind ours

# https://learn.microsoft.com/graph/change-notifications-lifecycle-events; "missed" means: look.
_LIFECYCLE = {"reauthorizationRequired": HintKind.RENEW, "subscriptionRemoved": HintKind.LOST}


def opening(calendar: RemoteCalendar, *, secret: str, address: str, at: datetime) -> Body:
    """Return what opens a channel. Where it is told of its own life cannot be added later."""
    return {
        "changeType": "created,updated,deleted",
        "notificationUrl": address,
        "lifecycleNotificationUrl": address,
        "resource": f"/me/calendars/{calendar.remote_id}/events",
        "clientState": secret,
        **prolonging(at),
    }


def prolonging(at: datetime) -> Body:
    """Return what prolongs a channel, seen from a moment."""
    return {"expirationDateTime": f"{(at + LASTS - _SLACK).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}


def channel(subscription: Mapping[str, Any]) -> Channel:
    """Return the channel that a subscription is. Raises `OutcomeUnknown` for an answer that is none."""
    try:
        expires = datetime.fromisoformat(subscription["expirationDateTime"]).astimezone(UTC)
        return Channel(str(subscription["id"]), expires)
    except (KeyError, TypeError, ValueError) as error:
        raise OutcomeUnknown("Outlook's answer could not be read.") from error


def handshake(call: HookCall) -> str | None:
    """Return the token that proves to Graph that the address is ours."""
    return call.query.get("validationToken")


def hints(call: HookCall) -> Sequence[Hint]:
    """Return what a call says, each thing once; nothing for one that is not as documented."""
    try:
        notifications = orjson.loads(call.body)["value"]
        found = [
            Hint(_LIFECYCLE.get(each.get("lifecycleEvent"), HintKind.CHANGED), each["clientState"])
            for each in notifications
            if isinstance(each.get("clientState"), str)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(dict.fromkeys(found))
