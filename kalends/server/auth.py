"""Who knocks: `Authorization: Bearer kal_<id>.<secret>` (RFC 6750 section 2.1)."""

from __future__ import annotations

from uuid import UUID

import structlog
from starlette.requests import Request

from kalends.domain.access import Principal
from kalends.server.faults import Denied
from resolvers.access import authenticate, note_use
from resolvers.services import Services
from storage.access import TOUCH_EVERY
from storage.errors import StorageError

log = structlog.get_logger()


class Doorkeeper:
    """Turns a request's credential into its principal. `anonymous_key` stands in where none was sent."""

    def __init__(self, services: Services, anonymous_key: str | None = None) -> None:
        self._services = services
        self._anonymous_key = anonymous_key
        self._noted: dict[UUID, float] = {}

    async def __call__(self, request: Request) -> Principal | None:
        """Return whose key it is, None without one; raise `Denied` for a key that does not open the door."""
        header = _authorization(request)
        if header is None and self._anonymous_key is None:
            return None
        scheme, _, text = (header or f"Bearer {self._anonymous_key}").partition(" ")
        principal = await authenticate(self._services, text.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise Denied("This key is not valid, has expired, or was revoked.")
        structlog.contextvars.bind_contextvars(app=str(principal.app_id), key=str(principal.key_id))
        await self._note_use(principal)
        return principal

    async def _note_use(self, principal: Principal) -> None:
        """Keep `lastUsedAt` true to the minute; that it cannot be written turns nobody away."""
        now = self._services.clock().timestamp()
        if now - self._noted.get(principal.key_id, 0) < TOUCH_EVERY.total_seconds():
            return
        self._noted[principal.key_id] = now
        try:
            await note_use(self._services, principal)
        except StorageError:
            log.warning("key.use_not_noted", key=str(principal.key_id))


def _authorization(request: Request) -> str | None:
    """Return the credential that was sent; read from the scope, as Starlette would decode all headers for it."""
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            return bytes(value).decode("latin-1")
    return None
