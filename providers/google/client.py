"""Google Calendar over HTTP: requests, and what Google's refusals mean.

https://developers.google.com/workspace/calendar/api/v3/reference says what is asked,
https://developers.google.com/workspace/calendar/api/guides/errors what is answered when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

import httpx

from providers.errors import (
    AlreadyExists,
    Gone,
    NotConfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Stale,
    Throttled,
    Unreachable,
)
from providers.google.wire import Body, CalendarList, CalendarListEntry, Channel, Event, Events
from providers.interface import RemoteAccount, RemoteCalendar
from providers.oauth import OAuth
from providers.web import UNREADABLE, Answer, Web

A_MINUTE = timedelta(minutes=1)  # what Google counts requests by
MAX_DIGITS = 5  # of the seconds that Google asks us to wait: a day
HOURS = timedelta(hours=2)  # how long Google lets a user wait who has written too much
_NO_ACCOUNT = "The calendar has no account at Google."

_BUSY = {"rateLimitExceeded", "userRateLimitExceeded"}
_SPENT = {"quotaExceeded", "dailyLimitExceeded"}
_SCOPE = {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
_SWITCHED_OFF = {"accessNotConfigured", "SERVICE_DISABLED"}
_REFUSALS = {
    "forbiddenForNonOrganizer": "Google Calendar lets only the event's organizer change this.",
    "requiredAccessLevel": "This account may not write to this calendar at Google.",
    "pushNotSupportedForRequestedResource": "Google Calendar does not say when this calendar changes.",
    "webhookUrlUnauthorized": "Google Calendar does not call this server's address.",
    "webhookUrlNotHttps": "Google Calendar calls HTTPS addresses only.",
}


class Missing(Gone):
    """404: there is no such event, or no such calendar. Google does not say which."""


class Forbidden(Refused):
    """403: not allowed, as is every change of an event that was deleted."""


class Answered(Exception):
    """What Google answered, for the log: a status and its words for the reasons."""


class Client:
    """Calls Google Calendar with the grants of its accounts. `base` is the API's address."""

    def __init__(self, oauth: OAuth, web: Web, base: str) -> None:
        self._oauth = oauth
        self._web = web
        self._base = base

    # Events

    async def insert(self, calendar: RemoteCalendar, body: Body, *, notify: bool) -> Event:
        """Create an event. Raises `AlreadyExists` for a taken id, `Missing` where there is no such calendar."""
        return await self._write(calendar, "POST", _events(calendar), _sending(notify), body=body)

    async def patch(self, calendar: RemoteCalendar, event_id: str, body: Body, *, etag: str, notify: bool) -> Event:
        """Change what the body names. Raises `Stale`, `Missing`, `Gone`, or `Forbidden` for a deleted event, too."""
        return await self._write(
            calendar, "PATCH", _events(calendar, event_id), _sending(notify), body=body, headers={"if-match": etag}
        )

    async def delete(self, calendar: RemoteCalendar, event_id: str, *, etag: str | None, notify: bool) -> None:
        """Delete an event. Raises `Stale`, `Missing`, and `Gone` where it is deleted already."""
        headers = {} if etag is None else {"if-match": etag}
        url = self._base + _events(calendar, event_id)
        answer = await self._oauth.ask(_account(calendar), "DELETE", url, params=_sending(notify), headers=headers)
        _raise_for(answer, write=True)

    async def get(self, calendar: RemoteCalendar, event_id: str) -> Event:
        """Return an event, a deleted one too. Raises `Missing`."""
        event: Event = _identified(await self._read(_account(calendar), _events(calendar, event_id), {}))
        return event

    async def events(self, calendar: RemoteCalendar, params: Mapping[str, str]) -> Events:
        """Return a page of events. Raises `Missing` where there is no such calendar, `Gone` for an expired token."""
        page: Events = _page(await self._read(_account(calendar), _events(calendar), params))
        return page

    async def instances(self, calendar: RemoteCalendar, event_id: str, original_start: str) -> list[Event]:
        """Return the instances of a recurring event that its rule would start then: one or none."""
        path = _events(calendar, event_id, "instances")
        page: Events = _page(await self._read(_account(calendar), path, {"originalStart": original_start}))
        return page.get("items", [])

    # Calendars

    async def calendars(self, account: RemoteAccount, params: Mapping[str, str]) -> CalendarList:
        """Return a page of the account's calendars."""
        page: CalendarList = _page(await self._read(account, "/users/me/calendarList", params))
        return page

    async def primary(self, access_token: str) -> CalendarListEntry:
        """Return the primary calendar of an account that is just being opened: its id is the owner's address."""
        answer = await self._bearing(access_token, "GET", "/users/me/calendarList/primary")
        _raise_for(answer, write=False)
        entry: CalendarListEntry = _identified(answer)
        return entry

    # Channels

    async def watch(self, calendar: RemoteCalendar, body: Body) -> Channel:
        """Open a channel. Raises `Refused` where Google does not call for this calendar, or not this address."""
        account, path = _account(calendar), _events(calendar, "watch")
        token, _ = await self._oauth.token(account)
        answer = await self._bearing(token, "POST", path, json=body)
        # Google says 401 also of an address that it does not call: that is no reason to connect the account again.
        if answer.status == httpx.codes.UNAUTHORIZED and not _reasons(answer) & _REFUSALS.keys():
            answer = await self._oauth.ask(account, "POST", self._base + path, json=body)
        _raise_for(answer, write=True)
        channel: Channel = _identified(answer)
        if not isinstance(channel.get("resourceId"), str):
            raise OutcomeUnknown(UNREADABLE)
        return channel

    async def stop(self, calendar: RemoteCalendar, body: Body) -> None:
        """Close a channel. Raises `Missing`."""
        answer = await self._oauth.ask(_account(calendar), "POST", f"{self._base}/channels/stop", json=body)
        _raise_for(answer, write=True)

    async def _read(self, account: RemoteAccount, path: str, params: Mapping[str, str]) -> Answer:
        answer = await self._oauth.ask(account, "GET", self._base + path, params=params)
        _raise_for(answer, write=False)
        return answer

    async def _write(
        self,
        calendar: RemoteCalendar,
        method: str,
        path: str,
        params: Mapping[str, str],
        *,
        body: Body,
        headers: Mapping[str, str] | None = None,
    ) -> Event:
        answer = await self._oauth.ask(
            _account(calendar), method, self._base + path, params=params, json=body, headers=headers or {}
        )
        _raise_for(answer, write=True)
        event: Event = _identified(answer)
        return event

    async def _bearing(
        self, access_token: str, method: Literal["GET", "POST"], path: str, json: Body | None = None
    ) -> Answer:
        headers = {"authorization": f"Bearer {access_token}"}
        return await self._web.vendor.ask(method, self._base + path, headers=headers, json=json)


# Requests


def _account(calendar: RemoteCalendar) -> RemoteAccount:
    if calendar.account_id is None:
        raise ReconnectRequired(_NO_ACCOUNT)
    return RemoteAccount(calendar.app_id, calendar.account_id)


def _events(calendar: RemoteCalendar, *more: str) -> str:
    return "/".join(("/calendars", *(quote(each, safe="") for each in (calendar.remote_id, "events", *more))))


def _sending(notify: bool) -> dict[str, str]:
    return {"sendUpdates": "all" if notify else "none"}


# Answers


def _identified(answer: Answer) -> Any:
    """Return an answer that is one thing with an id."""
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        raise OutcomeUnknown(UNREADABLE)
    return body


def _page(answer: Answer) -> Any:
    """Return an answer that is a page of things with an id."""
    body = answer.json()
    items = body.get("items", []) if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(each, dict) and "id" in each for each in items):
        raise OutcomeUnknown(UNREADABLE)
    return body


# Refusals


def _raise_for(answer: Answer, *, write: bool) -> None:
    """Raise what an answer means that is none of success."""
    if 200 <= answer.status < 300:
        return
    reasons = _reasons(answer)
    raise _failure(answer, reasons, write=write) from Answered(answer.status, *sorted(reasons))


def _reasons(answer: Answer) -> set[str]:
    """Return Google's words for what was wrong; of those for channels, without their prefix."""
    try:
        return {each.removeprefix("push.") for each in _words(answer.json()["error"])}
    except (OutcomeUnknown, AttributeError, KeyError, TypeError):
        return set()


def _words(error: Mapping[str, Any]) -> Iterator[str]:
    for each in (*error.get("errors", ()), *error.get("details", ())):
        if "reason" in each:
            yield str(each["reason"])


def _failure(answer: Answer, reasons: set[str], *, write: bool) -> ProviderError:
    status = answer.status
    if status == httpx.codes.TOO_MANY_REQUESTS or (status == httpx.codes.FORBIDDEN and reasons & (_BUSY | _SPENT)):
        return _throttled(answer, HOURS if reasons & _SPENT else A_MINUTE)
    if status in _MEANINGS:
        return _MEANINGS[status](reasons)
    if 400 <= status < 500:
        return Refused(_refusal(reasons, f"Google Calendar does not accept this ({status})."))
    # Of these, Google says nothing about what was done; 503 says that nothing was.
    if write and status != httpx.codes.SERVICE_UNAVAILABLE:
        return OutcomeUnknown(f"Google Calendar failed ({status}).")
    return Unreachable(f"Google Calendar is unavailable ({status}).")


def _throttled(answer: Answer, otherwise: timedelta) -> Throttled:
    after = answer.headers.get("retry-after", "")
    pause = timedelta(seconds=int(after)) if after.isdecimal() and len(after) <= MAX_DIGITS else otherwise
    return Throttled(f"Google Calendar is busy ({answer.status}).", retry_after=pause)


def _forbidden(reasons: set[str]) -> ProviderError:
    if reasons & _SCOPE:
        return ReconnectRequired("Google does not allow enough: the account must be connected again, with every right.")
    if reasons & _SWITCHED_OFF:
        return NotConfigured("The operator of this server must enable the Google Calendar API in the Google project.")
    return Forbidden(_refusal(reasons, "Google Calendar does not allow this."))


def _conflict(reasons: set[str]) -> ProviderError:
    if "duplicate" in reasons:
        return AlreadyExists("Google Calendar has this event.")
    return Stale("The event was changed in Google Calendar.")


def _refusal(reasons: set[str], otherwise: str) -> str:
    return next((text for reason, text in _REFUSALS.items() if reason in reasons), otherwise)


_MEANINGS: dict[int, Callable[[set[str]], ProviderError]] = {
    httpx.codes.FORBIDDEN: _forbidden,
    httpx.codes.NOT_FOUND: lambda _: Missing("Google Calendar does not have this."),
    httpx.codes.CONFLICT: _conflict,
    httpx.codes.GONE: lambda _: Gone("Google Calendar does not have this any more."),
    httpx.codes.PRECONDITION_FAILED: lambda _: Stale("The event was changed in Google Calendar."),
    httpx.codes.REQUEST_TIMEOUT: lambda _: OutcomeUnknown("Google Calendar did not answer in time."),
}
