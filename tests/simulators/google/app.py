"""The simulator as an ASGI application.

`/calendar/v3` is the calendar's API, `/o/oauth2/v2/auth`, `/token` and `/revoke` are where accounts are opened, and
`/_control` is how one tells the simulator what to do (`control.py`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from ..common import CONTROL, Desk, Faulty  # noqa: TID252  shipped under another name, too
from .channels import Channels, tell
from .control import Control
from .errors import Refusal, busy, invalid, not_found
from .events import Events
from .listing import listed
from .oauth import OAuth, TokenRefusal
from .times import read_time
from .validate import validate
from .world import Calendar, Caller, Record, Wire, World, require_scope

Handler = Callable[[Request], Awaitable[Response]]

ACCOUNTS = {"ada@example.org": "Europe/Berlin"}
CLIENTS = {"client": "secret"}
_CALENDAR = "/calendars/{calendar}/events"


def create_app(
    desk: Desk,
    clock: Callable[[], datetime],
    *,
    accounts: Mapping[str, str] = ACCOUNTS,
    clients: Mapping[str, str] = CLIENTS,
    calls: httpx.AsyncBaseTransport | None = None,
) -> ASGIApp:
    """Return a simulator with these accounts (addresses and time zones) and OAuth clients (ids and secrets).

    `calls` carries what it says on channels; without one, a real network does.
    """
    google = Google(World(clock, accounts), OAuth(clock, accounts, clients), Channels(clock, calls))
    control = Control(desk, google.world, google.events, google.oauth, google.channels)
    app = Starlette(
        routes=[
            Route("/o/oauth2/v2/auth", google.authorize, methods=["GET"]),
            Route("/token", google.token, methods=["POST"]),
            Route("/revoke", google.revoke, methods=["POST"]),
            Mount("/calendar/v3", routes=google.routes()),
            Mount(CONTROL, routes=control.routes()),
        ]
    )
    return Faulty(app, desk, validate, busy)


class Google:
    """The endpoints."""

    def __init__(self, world: World, oauth: OAuth, channels: Channels) -> None:
        self.world = world
        self.events = Events(world)
        self.oauth = oauth
        self.channels = channels

    def routes(self) -> list[Route]:
        """Return the API's methods."""
        return [
            Route("/users/me/calendarList", self._api(self._calendars), methods=["GET"]),
            Route("/users/me/calendarList/{calendar}", self._api(self._calendar), methods=["GET"]),
            Route(_CALENDAR, self._api(self._list), methods=["GET"]),
            Route(_CALENDAR, self._api(self._insert), methods=["POST"]),
            Route(f"{_CALENDAR}/watch", self._api(self._watch), methods=["POST"]),
            Route(f"{_CALENDAR}/{{event}}", self._api(self._get), methods=["GET"]),
            Route(f"{_CALENDAR}/{{event}}", self._api(self._patch), methods=["PATCH"]),
            Route(f"{_CALENDAR}/{{event}}", self._api(self._update), methods=["PUT"]),
            Route(f"{_CALENDAR}/{{event}}", self._api(self._delete), methods=["DELETE"]),
            Route(f"{_CALENDAR}/{{event}}/instances", self._api(self._instances), methods=["GET"]),
            Route("/channels/stop", self._api(self._stop), methods=["POST"]),
            Route("/{other:path}", self._api(self._nothing), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    # Accounts

    async def authorize(self, request: Request) -> Response:
        """Take the owner's consent for given, and send the browser back."""
        try:
            return RedirectResponse(self.oauth.authorize(request.query_params), 302)
        except TokenRefusal as refusal:
            return JSONResponse(refusal.body, refusal.status)

    async def token(self, request: Request) -> Response:
        """Give out tokens."""
        try:
            return JSONResponse(self.oauth.token(await _form(request)))
        except TokenRefusal as refusal:
            return JSONResponse(refusal.body, refusal.status)

    async def revoke(self, request: Request) -> Response:
        """Take tokens back."""
        try:
            self.oauth.revoke((await _form(request)).get("token", ""))
        except TokenRefusal as refusal:
            return JSONResponse(refusal.body, refusal.status)
        return JSONResponse({})

    # Calendars

    def _calendars(self, request: Request, caller: Caller, _body: Wire) -> Wire:
        require_scope(caller, "calendar.calendarlist.readonly", "calendar.calendarlist")
        size, first = (
            int(request.query_params.get("maxResults", "100")),
            int(request.query_params.get("pageToken", "0")),
        )
        entries = [_entry(each, role, caller) for each, role in self.world.listed(caller.account)]
        more = {"nextPageToken": str(first + size)} if len(entries) > first + size else {"nextSyncToken": "none"}
        return {"kind": "calendar#calendarList", "items": entries[first : first + size]} | more

    def _calendar(self, request: Request, caller: Caller, _body: Wire) -> Wire:
        require_scope(caller, "calendar.calendarlist.readonly", "calendar.calendarlist")
        calendar = self.world.calendar(request.path_params["calendar"], caller)
        return _entry(calendar, calendar.roles[caller.account], caller)

    # Events

    def _list(self, request: Request, caller: Caller, _body: Wire) -> Wire:
        calendar = self._open(request, caller)
        return listed(self.events, calendar, request.query_params)

    def _get(self, request: Request, caller: Caller, _body: Wire) -> Wire:
        calendar = self._open(request, caller)
        return self.events.view(calendar, self.events.found(calendar, request.path_params["event"]))

    def _instances(self, request: Request, caller: Caller, _body: Wire) -> Wire:
        calendar = self._open(request, caller)
        if "originalStart" not in request.query_params:
            raise invalid("The simulator shows instances by their originalStart only.")
        master = self.events.found(calendar, request.path_params["event"])
        text = request.query_params["originalStart"]
        value = {"dateTime": text, "timeZone": calendar.time_zone} if "T" in text else {"date": text}
        original = read_time(value, "original start", calendar.time_zone)
        found = self.events.instance_at(calendar, master, original)
        shown = found is not None and (not found.deleted or request.query_params.get("showDeleted") == "true")
        items = [self.events.view(calendar, found)] if found is not None and shown else []
        return {"kind": "calendar#events", "items": items}

    def _insert(self, request: Request, caller: Caller, body: Wire) -> Wire:
        calendar = self._open(request, caller, write=True)
        return self._view(calendar, self.events.insert(calendar, body, _notify(request)))

    def _patch(self, request: Request, caller: Caller, body: Wire) -> Wire:
        calendar = self._open(request, caller, write=True)
        event, match = request.path_params["event"], request.headers.get("if-match")
        return self._view(calendar, self.events.patch(calendar, event, body, match, _notify(request)))

    def _update(self, request: Request, caller: Caller, body: Wire) -> Wire:
        calendar = self._open(request, caller, write=True)
        event, match = request.path_params["event"], request.headers.get("if-match")
        return self._view(calendar, self.events.replace(calendar, event, body, match, _notify(request)))

    def _delete(self, request: Request, caller: Caller, _body: Wire) -> None:
        calendar = self._open(request, caller, write=True)
        event, match = request.path_params["event"], request.headers.get("if-match")
        self.events.delete(calendar, event, match, _notify(request))

    # Channels

    def _watch(self, request: Request, caller: Caller, body: Wire) -> Wire:
        return self.channels.watch(self._open(request, caller), body)

    def _stop(self, _request: Request, _caller: Caller, body: Wire) -> None:
        self.channels.stop(body)

    def _nothing(self, _request: Request, _caller: Caller, _body: Wire) -> Wire:
        raise not_found()

    def _open(self, request: Request, caller: Caller, *, write: bool = False) -> Calendar:
        require_scope(caller, "calendar.events")
        return self.world.calendar(request.path_params["calendar"], caller, write=write)

    def _view(self, calendar: Calendar, record: Record) -> Wire:
        return self.events.view(calendar, record)

    def _api(self, method: Callable[[Request, Caller, Wire], Wire | None]) -> Handler:
        """Return a method as an endpoint: it looks who calls, answers, and then tells the channels."""

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            try:
                caller = self.oauth.caller(request.headers.get("authorization", ""))
                answer = method(request, caller, _json(raw))
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.status)
            told = BackgroundTask(tell, self.world, self.channels)
            return (
                Response(status_code=204, background=told) if answer is None else JSONResponse(answer, background=told)
            )

        return endpoint


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _json(raw: bytes) -> Wire:
    try:
        body: Any = json.loads(raw) if raw else {}
    except ValueError as error:
        raise invalid("Parse Error", "parseError") from error
    if not isinstance(body, dict):
        raise invalid("Parse Error", "parseError")
    return body


def _notify(request: Request) -> str:
    return request.query_params.get("sendUpdates", "none")


def _entry(calendar: Calendar, role: str, caller: Caller) -> Wire:
    entry: Wire = {
        "kind": "calendar#calendarListEntry",
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "accessRole": role,
        "selected": True,
    }
    return entry | ({"primary": True} if calendar.id == caller.account else {})
