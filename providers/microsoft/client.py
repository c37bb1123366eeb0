"""HTTP to Microsoft Graph v1.0: requests, and what goes wrong with them in the words of `providers/errors.py`.

https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from providers.errors import (
    AlreadyExists,
    CalendarGone,
    Gone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Stale,
    Throttled,
    TokenExpired,
    Unreachable,
)
from providers.interface import RemoteAccount, RemoteCalendar
from providers.oauth import OAuth
from providers.web import Answer, Web

PREFERENCES = ('IdType="ImmutableId"', 'outlook.timezone="UTC"', 'outlook.body-content-type="text"')
"""Ids that survive a move to another folder (https://learn.microsoft.com/graph/outlook-immutable-id), times in UTC,
descriptions as text."""

NO_CALENDAR = "Outlook has no such calendar any more."
_PAUSE = timedelta(seconds=30)  # where it says "too many" and not how long to wait
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_UNREADABLE = "Outlook's answer could not be read."
_SAFE_TO_REPEAT = ("GET",)

_STALE = ("ErrorIrresolvableConflict", "ErrorItemVersionMismatch")
_MALFORMED = ("ErrorInvalidIdMalformed", "ErrorInvalidId", "ErrorInvalidIdEmpty")  # of an id that never was
_NO_TOKEN = ("syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata")
_REFUSALS = {
    "ErrorOccurrenceCrossingBoundary": (
        "In Outlook, an occurrence cannot be moved to the day of another one of its series, or beyond it."
    ),
    "ErrorAccessDenied": "Outlook does not let this account do that.",
    "TimeZoneNotSupportedException": "Outlook does not know this time zone.",
}


class Client:
    """Microsoft Graph at an address, for the accounts that `oauth` opens."""

    def __init__(self, oauth: OAuth, web: Web, root: str) -> None:
        self._oauth = oauth
        self._web = web
        self._root = httpx.URL(root)

    async def get(
        self,
        account: RemoteAccount,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        missing: type[ProviderError] = Gone,
    ) -> Any:
        """Return what is at a path. Raises `missing` where there is nothing."""
        answer = await self._ask(account, "GET", self._url(path, query), missing=missing)
        return _object(answer)

    async def listed(
        self,
        account: RemoteAccount,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        missing: type[ProviderError] = CalendarGone,
    ) -> AsyncIterator[list[Any]]:
        """Yield a list, page by page. Raises `missing` where there is none."""
        url: str | None = self._url(path, query)
        while url is not None:
            body = _object(await self._ask(account, "GET", url, missing=missing))
            yield _members(body)
            url = self.followed(body.get("@odata.nextLink"))

    async def delta(
        self, account: RemoteAccount, url: str, *, page_size: int
    ) -> tuple[list[Any], str | None, str | None]:
        """Return a page of a delta, the link to the next one, or else the one to begin the next round with.

        Raises `TokenExpired` for a link that Graph does not know any more, `CalendarGone` without the calendar.
        """
        preferred = (*PREFERENCES, f"odata.maxpagesize={page_size}")
        body = _object(await self._ask(account, "GET", url, missing=CalendarGone, preferred=preferred))
        following, last = (self.followed(body.get(f"@odata.{name}Link")) for name in ("next", "delta"))
        if following is None and last is None:
            raise OutcomeUnknown(_UNREADABLE)
        return _members(body), following, last

    async def post(
        self, account: RemoteAccount, path: str, body: Mapping[str, Any], *, missing: type[ProviderError] = Gone
    ) -> Any:
        """Create something, and return it. Raises `missing` where there is nothing to create it in."""
        return _object(await self._ask(account, "POST", self._url(path), json=body, missing=missing))

    async def act(self, account: RemoteAccount, path: str, body: Mapping[str, Any]) -> None:
        """Do something with what is at a path, of which no answer tells. Raises `Gone` for nothing."""
        await self._ask(account, "POST", self._url(path), json=body)

    async def patch(
        self, account: RemoteAccount, path: str, body: Mapping[str, Any], *, etag: str | None = None
    ) -> Any:
        """Change what is at a path, and return it. Raises `Stale` for another version, `Gone` for nothing."""
        return _object(await self._ask(account, "PATCH", self._url(path), json=body, etag=etag))

    async def delete(self, account: RemoteAccount, path: str, *, etag: str | None = None) -> None:
        """Remove what is at a path. Raises `Stale` for another version, `Gone` for nothing."""
        await self._ask(account, "DELETE", self._url(path), etag=etag)

    async def own_calendar(self, token: str) -> Any:
        """Return the calendar of whoever a token is of."""
        headers = {"authorization": f"Bearer {token}", "prefer": ", ".join(PREFERENCES)}
        answer = await self._web.vendor.ask("GET", self._url("/me/calendar"), headers=headers)
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise ReconnectRequired("Outlook does not accept the token that it gave out: begin again.")
        if not answer.status == httpx.codes.OK:
            raise _failure(answer, "GET", CalendarGone)
        return _object(answer)

    def delta_url(self, calendar: RemoteCalendar, query: Mapping[str, str]) -> str:
        """Return where a round begins that lists everything in a window."""
        return self._url(f"{of(calendar)}/calendarView/delta", query)

    def followed(self, link: Any) -> str | None:
        """Return a link that Graph gave, as it came. Raises `TokenExpired` for one that leads elsewhere.

        Tokens go to Graph only, whatever an answer says.
        """
        if link is None:
            return None
        try:
            url = httpx.URL(str(link))
        except httpx.InvalidURL as error:
            raise TokenExpired("Outlook's mark of how far we had read is none.") from error
        same_place = (url.scheme, url.host, url.port) == (self._root.scheme, self._root.host, self._root.port)
        if not same_place or url.userinfo or not url.path.startswith(f"{self._root.path.rstrip('/')}/"):
            raise TokenExpired("Outlook's mark of how far we had read leads elsewhere.")
        return str(link)

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        text = f"{str(self._root).rstrip('/')}{path}"
        return f"{text}?{encoded(query)}" if query else text

    async def _ask(
        self,
        account: RemoteAccount,
        method: str,
        url: str,
        *,
        json: Mapping[str, Any] | None = None,
        etag: str | None = None,
        missing: type[ProviderError] = Gone,
        preferred: Sequence[str] = PREFERENCES,
    ) -> Answer:
        headers = {"prefer": ", ".join(preferred)} | ({"if-match": etag} if etag else {})
        answer = await self._oauth.ask(account, method, url, headers=headers, json=json)
        if not httpx.codes.is_success(answer.status):
            raise _failure(answer, method, missing)
        return answer


def account_of(calendar: RemoteCalendar) -> RemoteAccount:
    """Return a calendar's account; raise `ReconnectRequired` for one that has none."""
    if calendar.account_id is None:
        raise ReconnectRequired("The calendar has no account at Microsoft.")
    return RemoteAccount(calendar.app_id, calendar.account_id)


def of(calendar: RemoteCalendar, event_id: str | None = None) -> str:
    """Return the path of a calendar, or of one of its events."""
    path = f"/me/calendars/{segment(calendar.remote_id)}"
    return path if event_id is None else f"{path}/events/{segment(event_id)}"


def segment(name: str) -> str:
    """Return an id as a part of a path."""
    return quote(name, safe="")


def encoded(query: Mapping[str, str]) -> str:
    """Return a query as OData writes it: `$` stays, spaces are %20."""
    return "&".join(f"{name}={quote(value, safe='$(),:')}" for name, value in query.items())


def _object(answer: Answer) -> Any:
    body = answer.json()
    if not isinstance(body, dict):
        raise OutcomeUnknown(_UNREADABLE)
    return body


def _members(body: Mapping[str, Any]) -> list[Any]:
    members = body.get("value")
    if not isinstance(members, list):
        raise OutcomeUnknown(_UNREADABLE)
    return [each for each in members if isinstance(each, dict)]


def _failure(answer: Answer, method: str, missing: type[ProviderError]) -> ProviderError:
    """Return what an answer means that is no success."""
    code = _code(answer)
    if answer.status == httpx.codes.TOO_MANY_REQUESTS:
        return Throttled("Outlook is busy (429).", retry_after=_pause(answer) or _PAUSE)
    if answer.status == httpx.codes.SERVICE_UNAVAILABLE and (pause := _pause(answer)) is not None:
        return Throttled("Outlook is unavailable, and says for how long (503).", retry_after=pause)
    if answer.status == httpx.codes.SERVICE_UNAVAILABLE or (answer.status >= 500 and method in _SAFE_TO_REPEAT):
        return Unreachable(f"Outlook is unavailable ({answer.status}).")
    if answer.status >= 500:  # a gateway gave up: what stands behind it may have gone on
        return OutcomeUnknown(f"Outlook did not say whether it was done ({answer.status}).")
    if answer.status < 400:
        return Refused(f"Outlook's answer was not expected ({answer.status}).")
    return _refusal(answer.status, code, missing)


def _refusal(status: int, code: str, missing: type[ProviderError]) -> ProviderError:
    """Return what a 4xx means."""
    if status == httpx.codes.GONE or code.lower() in _NO_TOKEN:
        return TokenExpired("Outlook does not know any more how far we had read.")
    if code == "ErrorDuplicateTransactionId":
        return AlreadyExists("Outlook has, or had, an event of this name.")
    if status == httpx.codes.PRECONDITION_FAILED or code in _STALE:
        return Stale("The event was changed in Outlook.")
    if code.startswith("MailboxNot"):
        return Refused("This account has no mailbox in Exchange Online, and so no calendar.")
    if status == httpx.codes.NOT_FOUND or code in _MALFORMED:
        return missing(NO_CALENDAR if missing is CalendarGone else "Outlook does not have this any more.")
    return Refused(_REFUSALS.get(code, f"Outlook does not take this ({status}{code and ', '}{code})."))


def _code(answer: Answer) -> str:
    """Return the code of an error; nothing for one that is not as documented."""
    try:
        code = answer.json()["error"]["code"]
    except (OutcomeUnknown, KeyError, TypeError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _pause(answer: Answer) -> timedelta | None:
    after = answer.headers.get("retry-after", "")
    return timedelta(seconds=int(after)) if after.isdecimal() else None
