"""What somebody tells the simulator from outside, in JSON below `/_control`: faults, and what people do in Outlook.

GET  violations                              what was sent that Graph would not understand
GET  requests, requests.jsonl                what was sent to Graph
PUT  faults                                  what goes wrong: a list of `common.Fault`
PUT  behaviour                               fields of `world.Behaviour`
GET  mail                                    who was mailed what
GET  calls; POST calls {mode}; POST calls/release       what was said on channels, and what happens to it
POST lifecycle {calendar, event}             `reauthorizationRequired`, `subscriptionRemoved` or `missed` is said
POST grants {account}                        tokens without asking anybody; DELETE grants/{account}: withdrawn
POST tokens/expire {access, delta}           every access token ends, and every link of a delta (with a status)
PUT  consent {denies, allows}                what owners answer next
GET  calendars/{account}; POST calendars/{account} {name, canEdit}; DELETE calendars/{account}/{calendar}
GET  calendars/{account}/{calendar}/events   all there is, with what is deleted
POST calendars/{account}/{calendar}/events   a person adds an event; `organizer` and `response` make it an invitation
PATCH, DELETE calendars/{account}/{calendar}/events/{event}       a person changes or deletes one, or an occurrence
POST calendars/{account}/{calendar}/events/{event}/replay         deltas tell of it once more; of
                                             an occurrence they tell that it has left the window
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..common import Desk, Fault, Recorded  # noqa: TID252  shipped under another name, too
from .channels import Channels
from .deltas import Deltas
from .errors import Refusal, invalid, not_found
from .events import Events
from .oauth import OAuth
from .validate import PREFIX
from .views import Preferences, view
from .world import Calendar, Item, Mailbox, Wire, World

Answer = Callable[[Request, Any], Any]

_TEXT = Preferences(text=True)


class Control:
    """The control's endpoints."""

    def __init__(
        self, desk: Desk, world: World, events: Events, deltas: Deltas, oauth: OAuth, channels: Channels
    ) -> None:
        self._desk = desk
        self._world = world
        self._events = events
        self._deltas = deltas
        self._oauth = oauth
        self._channels = channels

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        account, calendar = "/calendars/{account}", "/calendars/{account}/{calendar}"
        event = f"{calendar}/events/{{event}}"
        return [
            self._route("GET", "/violations", lambda _request, _body: self._desk.violations),
            self._route("GET", "/requests", lambda _request, _body: [asdict(each) for each in self._requests()]),
            Route("/requests.jsonl", self._requests_as_lines, methods=["GET"]),
            self._route("PUT", "/faults", self._faults),
            self._route("PUT", "/behaviour", self._behave),
            self._route("GET", "/mail", lambda _request, _body: self._world.mail),
            self._route("GET", "/calls", lambda _request, _body: self._channels.made),
            self._route("POST", "/calls", self._calls),
            Route("/calls/release", self._release, methods=["POST"]),
            Route("/lifecycle", self._lifecycle, methods=["POST"]),
            self._route("POST", "/grants", lambda _request, body: self._oauth.grant(body["account"])),
            self._route("DELETE", "/grants/{account}", self._withdrawn),
            self._route("POST", "/tokens/expire", self._expire),
            self._route("PUT", "/consent", self._consent),
            self._route("GET", account, self._calendars),
            self._route("POST", account, self._add_calendar),
            self._route("DELETE", calendar, self._remove_calendar),
            self._route("GET", f"{calendar}/events", self._list),
            self._route("POST", f"{calendar}/events", self._add),
            self._route("PATCH", event, self._change),
            self._route("DELETE", event, self._remove),
            self._route("POST", f"{event}/replay", self._replay),
        ]

    def _faults(self, _request: Request, body: Any) -> None:
        self._desk.faults = [Fault(**each) for each in body]

    def _behave(self, _request: Request, body: Any) -> None:
        for name, value in body.items():
            if not hasattr(self._world.behaviour, name):
                raise invalid(f"{name} is not something that can be one way or the other.")
            setattr(self._world.behaviour, name, value)

    def _calls(self, _request: Request, body: Any) -> None:
        self._channels.mode = body["mode"]

    def _withdrawn(self, request: Request, _body: Any) -> None:
        self._oauth.revoke(request.path_params["account"])

    def _expire(self, _request: Request, body: Any) -> None:
        if body.get("access"):
            self._oauth.expire_access_tokens()
        if body.get("delta"):
            self._deltas.expire(int(body.get("status", 410)))

    def _consent(self, _request: Request, body: Any) -> None:
        self._oauth.denies = body.get("denies", False)
        self._oauth.allows = frozenset(body["allows"]) if body.get("allows") is not None else None

    def _calendars(self, request: Request, _body: Any) -> Any:
        return [asdict(each) for each in self._mailbox(request).calendars.values()]

    def _add_calendar(self, request: Request, body: Any) -> Any:
        mailbox = self._mailbox(request)
        return asdict(self._world.add_calendar(mailbox, body["name"], can_edit=body.get("canEdit", True)))

    def _remove_calendar(self, request: Request, _body: Any) -> None:
        del self._mailbox(request).calendars[self._calendar(request).id]

    def _list(self, request: Request, _body: Any) -> Any:
        mailbox, calendar = self._mailbox(request), self._calendar(request)
        return [self._whole(mailbox, each) for each in mailbox.items.values() if each.calendar == calendar.id]

    def _add(self, request: Request, body: Any) -> Any:
        mailbox, others = self._mailbox(request), {}
        if "organizer" in body:
            others = {"organizer": body.pop("organizer"), "response": body.pop("response", "notResponded")}
        return self._whole(mailbox, self._events.create(mailbox, self._calendar(request), body, **others))

    def _change(self, request: Request, body: Any) -> Any:
        """Change an event as a person would, and what no application can write.

        `zone` is what it was made in, `calendar` where it is moved to, and `garble` what is shown whatever it says.
        """
        mailbox = self._mailbox(request)
        names = ("zone", "isCancelled", "response", "calendar", "garble")
        special = {name: body.pop(name) for name in names if name in body}
        item, _day = self._events.change(mailbox, request.path_params["event"], body)
        item.zone, item.is_cancelled = special.get("zone", item.zone), special.get("isCancelled", item.is_cancelled)
        item.response, item.garbled = special.get("response", item.response), special.get("garble", item.garbled)
        if "calendar" in special:
            self._world.tell(mailbox, item, "deleted")
            item.calendar = special["calendar"]
            self._world.tell(mailbox, item, "created")
        return self._whole(mailbox, item)

    def _remove(self, request: Request, _body: Any) -> None:
        self._events.delete(self._mailbox(request), request.path_params["event"])

    def _replay(self, request: Request, _body: Any) -> None:
        """Tell of an event once more, or that an occurrence has left the window."""
        mailbox, event = self._mailbox(request), request.path_params["event"]
        item, day = self._events.find(mailbox, event)
        if day is None:
            self._world.tell(mailbox, item, "updated")
        else:
            self._calendar(request).log.append(event)

    def _whole(self, mailbox: Mailbox, item: Item) -> Wire:
        """Return everything about an event, also what Graph does not show."""

        def seen(day: date | None = None) -> Wire:
            return view(mailbox, item, _TEXT, self._world.behaviour, day)

        return seen() | {
            "deleted": item.deleted,
            "properties": item.properties,
            "cancelledOccurrences": [day.isoformat() for day in sorted(item.cancelled)],
            "exceptionOccurrences": {day.isoformat(): seen(day) for day in sorted(item.exceptions)},
        }

    def _mailbox(self, request: Request) -> Mailbox:
        try:
            return self._world.mailboxes[request.path_params["account"]]
        except KeyError:
            raise not_found() from None

    def _calendar(self, request: Request) -> Calendar:
        return self._mailbox(request).calendar(request.path_params["calendar"])

    def _requests(self) -> list[Recorded]:
        return [each for each in self._desk.requests if each.path.startswith(PREFIX)]

    async def _requests_as_lines(self, _request: Request) -> Response:
        lines = [json.dumps({"url": each.path} | asdict(each)) + "\n" for each in self._requests()]
        return PlainTextResponse("".join(lines))

    async def _release(self, _request: Request) -> Response:
        await self._channels.release()
        return JSONResponse(None)

    async def _lifecycle(self, request: Request) -> Response:
        body: Mapping[str, str] = await request.json()
        await self._channels.lifecycle(body["calendar"], body["event"])
        return JSONResponse(None)

    def _route(self, method: str, path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            try:
                told = answer(request, json.loads(raw) if raw else None)
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.status)
            await self._channels.tell()
            return JSONResponse(told)

        return Route(path, endpoint, methods=[method])
