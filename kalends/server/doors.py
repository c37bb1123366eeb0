"""The doors that are not GraphQL: where people come back from a provider, and where providers call us."""

from __future__ import annotations

import asyncio
from html import escape

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from providers.interface import HookCall
from resolvers.accounts import CALLBACK, finish_connecting
from resolvers.channels import HOOKS, receive
from resolvers.services import Services
from storage.errors import Unavailable

MAX_HOOK_BYTES = 256 * 1024  # a provider's call is a few hundred bytes
MAX_STATE, MAX_CODE = 256, 4096
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Kalends</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>
<p>{message}</p><p>You can close this page.</p></html>"""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "referrer-policy": "no-referrer",  # the address holds a code
}


def doors(services: Services, *, receive_seconds: float) -> list[Route]:
    """Return the routes."""

    async def come_back(request: Request) -> Response:
        """Take somebody who comes back from a provider (RFC 6749 section 4.1.2)."""
        state, code = request.query_params.get("state", ""), request.query_params.get("code")
        if len(state) > MAX_STATE or len(code or "") > MAX_CODE:
            state = ""
        try:
            finished = await finish_connecting(services, state=state, code=code)
        except Unavailable:
            return _page("This cannot be done at the moment: try again in a minute.", 503)
        if finished.go_on_to is not None:
            return RedirectResponse(finished.go_on_to, 303, headers=_HEADERS)
        return _page(finished.message, 200 if finished.account else 400)

    async def hook(request: Request) -> Response:
        """Take a provider's call. Whatever is wrong with it, the answer is the same."""
        try:
            async with asyncio.timeout(receive_seconds):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=408)
        if body is None:
            return Response(status_code=413)
        call = HookCall(
            {name.lower(): value for name, value in request.headers.items()}, dict(request.query_params), body
        )
        place = request.path_params
        try:
            answer = await receive(services, place["provider"], place["name"], call)
        except Unavailable:
            return Response(status_code=503)
        if answer is not None:
            return PlainTextResponse(answer, headers={"x-content-type-options": "nosniff"})
        return Response(status_code=202)

    return [
        Route(CALLBACK, come_back, methods=["GET"]),
        Route(f"{HOOKS}/{{provider}}/{{name}}", hook, methods=["POST"]),
    ]


def _page(message: str, status: int) -> Response:
    return HTMLResponse(_PAGE.format(message=escape(message)), status, headers=_HEADERS)


async def _body(request: Request) -> bytes | None:
    """Read a body; None where it is too large."""
    parts: list[bytes] = []
    async for part in request.stream():
        parts.append(part)
        if sum(map(len, parts)) > MAX_HOOK_BYTES:
            return None
    return b"".join(parts)
