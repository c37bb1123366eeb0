"""The simulator as an ASGI application.

`/v1.0` is Graph's API, `/{tenant}/oauth2/v2.0/authorize` and `/token` are where accounts are opened, and `/_control` is
how one tells the simulator what to do (`control.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
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
from .channels import Channels
from .control import Control
from .deltas import Deltas
from .errors import Refusal, busy, crowded, denied, invalid, no_mailbox, not_found
from .events import Events
from .oauth import OAuth, TokenRefusal
from .queries import Expansion, expanded, matching, paged, read_expand, read_select, series_parts
from .times import read_instant
from .validate import validate
from .views import Preferences, selected, view
from .world import Calendar, Item, Mailbox, Wire, World

Answer = Callable[[Request, Mailbox, Any], Wire | Awaitable[Wire] | None]

ACCOUNTS = {"ada@example.org": "Calendar"}
CLIENTS = {"client": "secret"}
_ANSWERS = {"accept": "accepted", "tentativelyAccept": "tentativelyAccepted", "decline": "declined"}


def create_app(
    desk: Desk,
    clock: Callable[[], datetime],
    *,
    accounts: Mapping[str, str] = ACCOUNTS,
    clients: Mapping[str, str] = CLIENTS,
    calls: httpx.AsyncBaseTransport | None = None,
) -> ASGIApp:
    """Return a simulator with these accounts (addresses, and the names of their main calendars) and applications.

    `calls` carries what it says on channels; without one, a real network does.
    """
    graph = Graph(World(clock, accounts), clients, calls)
    control = Control(desk, graph.world, graph.events, graph.deltas, graph.oauth, graph.channels)
    app = Starlette(
        routes=[
            Route("/{tenant}/oauth2/v2.0/authorize", graph.authorize, methods=["GET"]),
            Route("/{tenant}/oauth2/v2.0/token", graph.token, methods=["POST"]),
            Mount("/v1.0", routes=graph.routes()),
            Mount(CONTROL, routes=control.routes()),
        ]
    )
    return Faulty(app, desk, validate, busy)


class Graph:
    """The endpoints."""

    def __init__(self, world: World, clients: Mapping[str, str], calls: httpx.AsyncBaseTransport | None) -> None:
        self.world = world
        self.events = Events(world)
        self.deltas = Deltas(world)
        self.oauth = OAuth(world, clients)
        self.channels = Channels(world, calls)

    def routes(self) -> list[Route]:
        """Return the API's methods."""
        calendar, event = "/me/calendars/{calendar}", "/me/calendars/{calendar}/events/{event}"
        return [
            self._route("GET", "/me/calendar", self._own_calendar),
            self._route("GET", "/me/calendars", self._calendars),
            self._route("GET", calendar, self._calendar),
            self._route("GET", f"{calendar}/calendarView/delta", self._delta),
            self._route("GET", f"{calendar}/events", self._list),
            self._route("POST", f"{calendar}/events", self._create, 201),
            self._route("GET", event, self._get),
            self._route("PATCH", event, self._change),
            self._route("DELETE", event, self._delete, 204),
            self._route("GET", f"{event}/instances", self._instances),
            self._route("GET", f"{event}/calendar", self._calendar_of),
            self._route("POST", f"{event}/cancel", self._cancel, 202),
            self._route("POST", f"{event}/{{action}}", self._answer, 202),
            self._route("POST", "/subscriptions", self._subscribe, 201),
            self._route("PATCH", "/subscriptions/{subscription}", self._prolong),
            self._route("DELETE", "/subscriptions/{subscription}", self._unsubscribe, 204),
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
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            return JSONResponse(self.oauth.token(form))
        except TokenRefusal as refusal:
            return JSONResponse(refusal.body, refusal.status)

    # Calendars

    def _own_calendar(self, _request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        return _shown(next(each for each in mailbox.calendars.values() if each.default))

    def _calendars(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        found = [_shown(each) for each in mailbox.calendars.values()]
        return paged(found, request.query_params, _address(request))

    def _calendar(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        shown = _shown(mailbox.calendar(request.path_params["calendar"]))
        return selected(shown, read_select(request.query_params.get("$select")))

    def _delta(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        calendar = mailbox.calendar(request.path_params["calendar"])
        return self.deltas.page(mailbox, calendar, request.query_params, _preferences(request), _address(request))

    # Events

    def _list(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        calendar, query = mailbox.calendar(request.path_params["calendar"]), request.query_params
        here = [each for each in mailbox.items.values() if each.calendar == calendar.id and not each.deleted]
        found = matching(here, query.get("$filter"))
        return paged([self._view(request, mailbox, each) for each in found], query, _address(request))

    def _create(self, request: Request, mailbox: Mailbox, body: Any) -> Wire:
        calendar = self._writable(request, mailbox)
        return self._view(request, mailbox, self.events.create(mailbox, calendar, body))

    def _get(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        item, day = self._found(request, mailbox)
        expansion = read_expand(request.query_params.get("$expand"))
        seen = self._view(request, mailbox, item, day, expansion)
        if day is not None:
            return seen
        names = read_select(request.query_params.get("$select"))

        def exception(each: date) -> Wire:
            return view(mailbox, item, _preferences(request), self.world.behaviour, each)

        return seen | series_parts(item, names, expansion, exception)

    def _change(self, request: Request, mailbox: Mailbox, body: Any) -> Wire:
        self._writable(request, mailbox)
        self._found(request, mailbox)
        etag = request.headers.get("if-match")
        item, day = self.events.change(mailbox, request.path_params["event"], body, etag)
        return self._view(request, mailbox, item, day)

    def _delete(self, request: Request, mailbox: Mailbox, _body: Any) -> None:
        self._writable(request, mailbox)
        self._found(request, mailbox)
        self.events.delete(mailbox, request.path_params["event"], request.headers.get("if-match"))

    def _instances(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        item, _day = self._found(request, mailbox)
        query = request.query_params
        since, until = (read_instant(query.get(name), name) for name in ("startDateTime", "endDateTime"))
        found = [self._view(request, mailbox, item, each) for each in item.occurrences(since, until)]
        return paged(found, query, _address(request))

    def _calendar_of(self, request: Request, mailbox: Mailbox, _body: Any) -> Wire:
        item, _day = self.events.find(mailbox, request.path_params["event"])
        if item.deleted:  # it lies in a folder that is no calendar
            raise not_found()
        return selected(_shown(mailbox.calendars[item.calendar]), read_select(request.query_params.get("$select")))

    def _cancel(self, request: Request, mailbox: Mailbox, _body: Any) -> None:
        self._writable(request, mailbox)
        self.events.cancel(mailbox, request.path_params["event"])

    def _answer(self, request: Request, mailbox: Mailbox, body: Any) -> None:
        action = request.path_params["action"]
        if action not in _ANSWERS:
            raise not_found()
        tell = bool((body or {}).get("sendResponse", True))
        self.events.answer(mailbox, request.path_params["event"], _ANSWERS[action], tell=tell)

    # Channels

    def _subscribe(self, _request: Request, mailbox: Mailbox, body: Any) -> Awaitable[Wire]:
        return self.channels.create(mailbox, body)

    def _prolong(self, request: Request, mailbox: Mailbox, body: Any) -> Wire:
        return self.channels.prolong(mailbox, request.path_params["subscription"], body)

    def _unsubscribe(self, request: Request, mailbox: Mailbox, _body: Any) -> None:
        self.channels.delete(mailbox, request.path_params["subscription"])

    # What they share

    def _found(self, request: Request, mailbox: Mailbox) -> tuple[Item, date | None]:
        """Return an event by its id, which is looked for in the whole mailbox whatever calendar the path names."""
        mailbox.calendar(request.path_params["calendar"])
        return self.events.find(mailbox, request.path_params["event"])

    def _writable(self, request: Request, mailbox: Mailbox) -> Calendar:
        calendar = mailbox.calendar(request.path_params["calendar"])
        if not calendar.can_edit:
            raise denied()
        return calendar

    def _view(
        self,
        request: Request,
        mailbox: Mailbox,
        item: Item,
        day: date | None = None,
        expansion: Expansion | None = None,
    ) -> Wire:
        expansion = expansion or read_expand(request.query_params.get("$expand"))
        seen = view(mailbox, item, _preferences(request), self.world.behaviour, day)
        return selected(seen, read_select(request.query_params.get("$select"))) | expanded(item, expansion)

    def _route(self, method: str, path: str, answer: Answer, status: int = 200) -> Route:
        """Return a method as an endpoint: it looks who calls, answers, and then tells the channels."""

        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            try:
                mailbox = self.oauth.mailbox(request.headers.get("authorization", ""))
                told = await self._answered(request, mailbox, answer, raw)
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.status, refusal.headers)
            background = BackgroundTask(self.channels.tell)
            if told is None:
                return Response(status_code=status, background=background)
            return JSONResponse(told, status, background=background)

        return Route(path, endpoint, methods=[method])

    async def _answered(self, request: Request, mailbox: Mailbox, answer: Answer, raw: bytes) -> Wire | None:
        if not self.world.behaviour.has_mailbox:
            raise no_mailbox()
        if mailbox.at_once >= self.world.behaviour.most_at_once:
            raise crowded()
        mailbox.at_once += 1
        try:
            await asyncio.sleep(0)  # others come in the meantime
            told = answer(request, mailbox, json.loads(raw) if raw else None)
            return told if told is None or isinstance(told, dict) else await told
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise invalid("The body of the request is not what was expected.") from error
        finally:
            mailbox.at_once -= 1


def _shown(calendar: Calendar) -> Wire:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "canEdit": calendar.can_edit,
        "isDefaultCalendar": calendar.default,
        "owner": {"name": calendar.owner, "address": calendar.owner},
    }


def _preferences(request: Request) -> Preferences:
    return Preferences.read(request.headers.get("prefer", ""))


def _address(request: Request) -> str:
    return str(request.url.replace(query=""))
