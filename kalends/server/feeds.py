"""The door of published calendars: `GET /calendars/{id}.ics?token=…`, for programs that subscribe to files."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from kalends.domain.ids import parse_id
from resolvers.feeds import FEEDS, file_of, open_feed
from resolvers.services import Services
from storage.errors import Unavailable

MAX_TOKEN = 256
MEDIA_TYPE = "text/calendar; charset=utf-8"
_HEADERS = {
    "cache-control": "private, no-cache",  # kept by whoever asked, and compared before every use
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # the address holds a secret
}


def feeds(services: Services) -> list[Route]:
    """Return the routes."""

    async def file(request: Request) -> Response:
        """Answer with a calendar's file, or that it has not changed (RFC 9110 section 13).

        An unknown calendar, one that is not published and a wrong token are the same 404.
        """
        token = request.query_params.get("token", "")
        calendar_id = parse_id(request.path_params["name"])
        try:
            opened = await open_feed(services, calendar_id, token) if len(token) <= MAX_TOKEN else None
            if opened is None:
                return PlainTextResponse("There is no such calendar.", 404, headers={"cache-control": "no-store"})
            headers = _HEADERS | {"etag": opened.etag}
            if _is_known(opened.etag, request.headers.getlist("if-none-match")):
                return Response(status_code=304, headers=headers)
            if request.method == "HEAD":
                return Response(headers=headers | {"content-type": MEDIA_TYPE})
            pieces = file_of(services, opened)
            begun = [await anext(pieces), await anext(pieces)]  # while another answer can still be given
        except Unavailable:
            return PlainTextResponse("Try again in a minute.", 503, headers={"retry-after": "60"})
        return StreamingResponse(_whole(begun, pieces), headers=headers | {"content-type": MEDIA_TYPE})

    return [Route(f"{FEEDS}/{{name}}.ics", file, methods=["GET"])]


def _is_known(etag: str, told: list[str]) -> bool:
    """Tell whether If-None-Match names this version; a mark of weakness does not matter there (section 13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in ",".join(told).split(",")]
    return etag in known or "*" in known


async def _whole(begun: list[bytes], pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for each in begun:
        yield each
    async for each in pieces:
        yield each
