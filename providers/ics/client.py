"""HTTP to a file that somebody subscribes to. The address is a secret: whoever knows it may read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import httpx

from providers.errors import BadAddress, CalendarGone, OutcomeUnknown
from providers.guard import origin_of
from providers.ics.wire import Mark, mark_of
from providers.web import MAX_REDIRECTS, REDIRECTS, UNREADABLE, Answer, Caller, raise_for_server

ELSEWHERE = "The address leads to another server: give the address that it leads to."
GONE = "At this address there is no calendar, or none that Kalends may read."
_EMPTY = "The server sent an empty file."


def address_of(text: str) -> httpx.URL:
    """Return the URL that a user means: `webcal:` is HTTPS, and so is an address without a scheme.

    Raises `BadAddress`.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "https", scheme
    if scheme.lower() in ("webcal", "webcals"):
        scheme = "https"
    try:
        return httpx.URL(f"{scheme}://{rest}").copy_with(fragment=None)
    except httpx.InvalidURL as error:
        raise BadAddress("This is not an address.") from error


async def fetch(caller: Caller, url: httpx.URL, clock: Callable[[], datetime]) -> Answer:
    """Return a file. Raises `CalendarGone` where there is none, and `BadAddress` for a redirect to another server."""
    return _file(await _answer(caller, url, {}, clock))


async def fetch_changed(caller: Caller, url: httpx.URL, mark: Mark, clock: Callable[[], datetime]) -> Answer | None:
    """Return a file as `fetch` does; None where it is still the one that the mark is of (RFC 9110 section 13)."""
    validators = {"if-none-match": mark["etag"], "if-modified-since": mark["modified"]}
    answer = await _answer(caller, url, {name: value for name, value in validators.items() if value}, clock)
    if answer.status == httpx.codes.NOT_MODIFIED or mark_of(_file(answer))["hash"] == mark["hash"]:
        return None
    return answer


async def _answer(
    caller: Caller, url: httpx.URL, validators: Mapping[str, str], clock: Callable[[], datetime]
) -> Answer:
    headers = {"accept": "text/calendar, */*;q=0.1", **validators}
    for _ in range(MAX_REDIRECTS + 1):
        answer = await caller.ask("GET", url, headers=headers)
        if answer.status not in REDIRECTS or "location" not in answer.headers:
            raise_for_server(answer, writes=False, now=clock())
            return answer
        url = _redirected(url, answer.headers["location"])
    raise BadAddress("The address leads in circles.")


def _file(answer: Answer) -> Answer:
    """Return an answer that is a file."""
    if answer.status >= 400:
        raise CalendarGone(GONE)
    if answer.status != httpx.codes.OK:
        raise OutcomeUnknown(UNREADABLE)
    if not answer.body.strip():
        raise OutcomeUnknown(_EMPTY)
    return answer


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location)
    except httpx.InvalidURL as error:
        raise OutcomeUnknown(UNREADABLE) from error
    if origin_of(target) != origin_of(url):
        raise BadAddress(ELSEWHERE)
    return target
