"""What somebody tells the simulator from outside, in JSON below `/_control`: faults, and what people do at Google.

GET  violations                              what was sent that Google would not understand
GET  requests, requests.jsonl                what was sent to the calendar's API
PUT  faults                                  what goes wrong: a list of `common.Fault`
GET  mail                                    who was mailed what
GET  calls; POST calls {mode}; POST calls/release       what was said on channels, and what happens to it
POST grants {account, scopes}                tokens without asking anybody; DELETE grants/{account}: withdrawn
POST tokens/expire {access, sync}            every access token, and every sync token, ends
PUT  consent {denies, allows}                what owners answer next
POST calendars {id, summary, timeZone, roles}; DELETE calendars/{calendar}
GET  calendars/{calendar}/events             all there is, with what is deleted
POST calendars/{calendar}/events             a person adds an event
PATCH, DELETE calendars/{calendar}/events/{event}       a person changes or deletes one
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..common import Desk, Fault, Recorded  # noqa: TID252  shipped under another name, too
from .channels import Channels, tell
from .errors import Refusal, not_found
from .events import Events
from .oauth import OAuth
from .validate import PREFIX
from .world import Calendar, World

Answer = Callable[[Request, Any], Any]


class Control:
    """The control's endpoints."""

    def __init__(self, desk: Desk, world: World, events: Events, oauth: OAuth, channels: Channels) -> None:
        self._desk = desk
        self._world = world
        self._events = events
        self._oauth = oauth
        self._channels = channels

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        calendar, event = "/calendars/{calendar}", "/calendars/{calendar}/events/{event}"
        return [
            self._route("GET", "/violations", lambda _request, _body: self._desk.violations),
            self._route("GET", "/requests", lambda _request, _body: [asdict(each) for each in self._requests()]),
            Route("/requests.jsonl", self._requests_as_lines, methods=["GET"]),
            self._route("PUT", "/faults", self._faults),
            self._route("GET", "/mail", lambda _request, _body: [asdict(each) for each in self._world.mail]),
            self._route("GET", "/calls", lambda _request, _body: [asdict(each) for each in self._channels.made]),
            self._route("POST", "/calls", self._calls),
            Route("/calls/release", self._release, methods=["POST"]),
            self._route("POST", "/grants", lambda _request, body: self._oauth.grant(body["account"], body["scopes"])),
            self._route("DELETE", "/grants/{account}", self._withdrawn),
            self._route("POST", "/tokens/expire", self._expire),
            self._route("PUT", "/consent", self._consent),
            self._route("POST", "/calendars", self._add_calendar),
            self._route("DELETE", calendar, self._remove_calendar),
            self._route("GET", f"{calendar}/events", self._list),
            self._route("POST", f"{calendar}/events", self._add),
            self._route("PATCH", event, self._change),
            self._route("DELETE", event, self._remove),
        ]

    def _faults(self, _request: Request, body: Any) -> None:
        self._desk.faults = [Fault(**each) for each in body]

    def _calls(self, _request: Request, body: Any) -> None:
        self._channels.mode = body["mode"]

    def _withdrawn(self, request: Request, _body: Any) -> None:
        self._oauth.revoke_all(request.path_params["account"])

    def _expire(self, _request: Request, body: Any) -> None:
        if body.get("access"):
            self._oauth.expire_access_tokens()
        if body.get("sync"):
            for calendar in self._world.calendars.values():
                calendar.epoch += 1

    def _consent(self, _request: Request, body: Any) -> None:
        self._oauth.denies = body.get("denies", False)
        self._oauth.allows = frozenset(body["allows"]) if body.get("allows") is not None else None

    def _add_calendar(self, _request: Request, body: Any) -> None:
        zone = body.get("timeZone", "UTC")
        self._world.add_calendar(body["id"], body.get("summary", body["id"]), zone, body["roles"])

    def _remove_calendar(self, request: Request, _body: Any) -> None:
        calendar = self._calendar(request)
        del self._world.calendars[calendar.id]
        self._world.changed.append(calendar.id)

    def _list(self, request: Request, _body: Any) -> Any:
        calendar = self._calendar(request)
        return [self._events.view(calendar, each) for each in calendar.records.values()]

    def _add(self, request: Request, body: Any) -> Any:
        calendar = self._calendar(request)
        return self._events.view(calendar, self._events.add(calendar, body))

    def _change(self, request: Request, body: Any) -> Any:
        calendar = self._calendar(request)
        event_id = request.path_params["event"]
        return self._events.view(calendar, self._events.patch(calendar, event_id, body, by_organizer=True))

    def _remove(self, request: Request, _body: Any) -> None:
        self._events.delete(self._calendar(request), request.path_params["event"])

    def _calendar(self, request: Request) -> Calendar:
        try:
            return self._world.calendars[request.path_params["calendar"]]
        except KeyError:
            raise not_found() from None

    def _requests(self) -> list[Recorded]:
        return [each for each in self._desk.requests if each.path.startswith(PREFIX)]

    async def _requests_as_lines(self, _request: Request) -> Response:
        lines = [json.dumps({"url": each.path} | asdict(each)) + "\n" for each in self._requests()]
        return PlainTextResponse("".join(lines))

    async def _release(self, _request: Request) -> Response:
        await self._channels.release()
        return JSONResponse(None)

    def _route(self, method: str, path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            try:
                told = answer(request, json.loads(raw) if raw else None)
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.status)
            await tell(self._world, self._channels)
            return JSONResponse(told)

        return Route(path, endpoint, methods=[method])
