"""Free/busy as an iCalendar file, for programs that speak no GraphQL: `GET /calendars/{id}/freebusy.ics`.

One VFREEBUSY (RFC 5545 section 3.6.4), as RFC 4791 section 7.10 has a free-busy-query answer. `from` and `to` are
RFC 3339 date-times; without them it is the next 30 days. Whoever asks shows a key, as at the GraphQL endpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kalends.domain.access import Principal
from kalends.domain.errors import NotFound, Refused, invalid
from kalends.domain.ids import parse_id
from kalends.domain.time import read_window
from kalends.domain.values import DATE_TIME, read_instant
from kalends.server.faults import Classify, Denied, Fault, explain
from providers.ical.freebusy import free_busy_file
from resolvers.freebusy import free_busy
from resolvers.services import Services

DEFAULT_WINDOW = timedelta(days=30)
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404, "BAD_USER_INPUT": 400, "UNAVAILABLE": 503}


def free_busy_routes(
    services: Services, *, authenticate: Callable[[Request], Awaitable[Principal | None]], classify: Classify
) -> list[Route]:
    """Return the routes, of calendars and of resources."""

    async def answer(request: Request, kind: str) -> Response:
        try:
            principal = await authenticate(request)
            if principal is None:
                raise Denied("This needs a credential, sent as 'Authorization: Bearer ...'.")
            return await _file(services, principal, request, kind)
        except Refused as refused:
            return _refusal(_fault(refused))
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
            return _refusal(explain(error, classify))

    async def of_calendar(request: Request) -> Response:
        return await answer(request, "calendar_ids")

    async def of_resource(request: Request) -> Response:
        return await answer(request, "resource_ids")

    return [
        Route("/calendars/{id}/freebusy.ics", of_calendar, methods=["GET"]),
        Route("/resources/{id}/freebusy.ics", of_resource, methods=["GET"]),
    ]


async def _file(services: Services, principal: Principal, request: Request, kind: str) -> Response:
    now = services.clock()
    since = _read(request, "from", now.replace(microsecond=0))
    until = _read(request, "to", since + DEFAULT_WINDOW)
    window = read_window(since, until)
    named = request.path_params["id"]
    ids = [parse_id(named)]
    if kind == "calendar_ids":
        found = await free_busy(services, principal, window, calendar_ids=ids)
    else:
        found = await free_busy(services, principal, window, resource_ids=ids)
    content = free_busy_file(found.spans, window, uid=f"{named.lower()}-freebusy@kalends", at=now)
    return Response(content, media_type="text/calendar; charset=utf-8; component=vfreebusy", headers=_HEADERS)


def _read(request: Request, name: str, otherwise: datetime) -> datetime:
    text = request.query_params.get(name)
    if text is None:
        return otherwise
    value = read_instant(text)
    if not isinstance(value, datetime):
        raise Refused(invalid(name, DATE_TIME))
    return value.astimezone(UTC)


def _fault(refused: Refused) -> Fault:
    """Say what a refusal means: of what is asked for in the path, that it is not there."""
    problem = refused.problems[0]
    if isinstance(problem, NotFound):
        return Fault(problem.message, problem.code)
    return Fault(f"{'.'.join(problem.path)}: {problem.message}", "BAD_USER_INPUT")


def _refusal(fault: Fault) -> Response:
    headers = dict(_HEADERS)
    if fault.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = "Bearer"
    if "retryAfter" in fault.extensions:
        headers["retry-after"] = str(fault.extensions["retryAfter"])
    return JSONResponse({"errors": [fault.formatted()]}, _STATUS.get(fault.code, 500), headers=headers)
