"""Keys: who may come in, and with which rights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from kalends.domain.access import (
    ApiKey,
    App,
    Forbidden,
    Principal,
    Scope,
    new_secret,
    proves,
    read_token,
    require,
    secret_hash,
    token,
)
from kalends.domain.calendars import MAX_NAME
from kalends.domain.drafts import checked
from kalends.domain.errors import InvalidInput, Malformed, NotFound, Problem, Refused
from kalends.domain.ids import uuid7
from kalends.domain.values import DATE_TIME, read_text
from resolvers.keys import claim_of
from resolvers.services import Services


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `token` is shown once and kept nowhere, so that a repeated request gets None."""

    key: ApiKey
    token: str | None


async def authenticate(services: Services, text: str) -> Principal | None:
    """Return whom a token belongs to; None for one that is malformed, unknown, wrong, expired or revoked.

    A revocation by another process is noticed within `FRESH_SECONDS`, one by this process at once.
    """
    taken = read_token(text)
    if taken is None:
        return None
    key_id, secret = taken
    key = services.keys.get(key_id) or await _read_key(services, key_id)
    if key is None or not proves(key, secret) or not key.usable(services.clock()):
        return None
    return Principal(key.app_id, key.id, key.scopes)


async def _read_key(services: Services, key_id: UUID) -> ApiKey | None:
    asked_at = services.keys.ticks()
    async with services.storage.system() as system:
        key = await system.key(key_id)
    if key is not None:
        services.keys.put(key, asked_at)
    return key


async def note_use(services: Services, principal: Principal) -> None:
    """Note that a key was used just now."""
    async with services.storage.writing(principal.app_id) as work:
        await work.keys.touch(principal.key_id, services.clock())


async def create_app(services: Services, name: str) -> App:
    """Create a tenant: the operator's act, not a caller's."""
    checked_name = read_text(name, at_least=1, at_most=MAX_NAME)
    if isinstance(checked_name, Malformed):
        message = f"Expected {checked_name.expected}."
        raise Refused(InvalidInput(path=("name",), message=message, expected=checked_name.expected))
    app = App(uuid7(), checked_name, services.clock())
    async with services.storage.system(write=True) as system:
        await system.add_app(app)
    return app


async def create_key(
    services: Services,
    principal: Principal,
    *,
    name: str,
    scopes: Sequence[Scope],
    expires_at: datetime | date | Malformed | None = None,
    idempotency_key: str | None = None,
) -> NewKey:
    """Create a key with no more rights than the caller's own."""
    require(principal, Scope.MANAGE_KEYS)
    for scope in scopes:
        if scope not in principal.scopes:
            raise Forbidden(scope)
    claim = claim_of(principal, idempotency_key, "createApiKey", (name, sorted(scopes), expires_at))
    now = services.clock()
    problems: list[Problem] = []
    checked_name = checked(problems, "name", read_text(name, at_least=1, at_most=MAX_NAME), "")
    if not scopes:
        expected = "at least one scope"
        problems.append(InvalidInput(path=("scopes",), message=f"Expected {expected}.", expected=expected))
    if expires_at is not None and (not isinstance(expires_at, datetime) or expires_at <= now):
        expected = expires_at.expected if isinstance(expires_at, Malformed) else f"{DATE_TIME}, in the future"
        problems.append(InvalidInput(path=("expires_at",), message=f"Expected {expected}.", expected=expected))
        expires_at = None
    elif expires_at is not None:
        expires_at = expires_at.astimezone(UTC)
    if problems:
        raise Refused(*problems)
    secret = new_secret()
    key = ApiKey(uuid7(), principal.app_id, checked_name, secret_hash(secret), frozenset(scopes), now, expires_at)
    async with services.storage.writing(principal.app_id) as work:
        await work.keys.app()
        earlier = await work.idempotency.claim(claim, [key.id], now) if claim else None
        if earlier is not None:
            return NewKey(await work.keys.get(earlier[0]), None)
        await work.keys.add(key)
    return NewKey(key, token(key.id, secret))


async def revoke_key(services: Services, principal: Principal, key_id: UUID | None) -> ApiKey:
    """Revoke a key for good: here at once, in other processes within `FRESH_SECONDS`; a key may revoke itself."""
    require(principal, Scope.MANAGE_KEYS)
    if key_id is None:
        raise Refused(NotFound(path=("id",), message="There is no such key."))
    async with services.storage.writing(principal.app_id) as work:
        await work.keys.get(key_id)
        await work.keys.revoke(key_id, services.clock())
        revoked = await work.keys.get(key_id)
    services.keys.forget(key_id)
    return revoked


async def list_keys(services: Services, principal: Principal) -> list[ApiKey]:
    """Return every key of the app, revoked ones too, oldest first."""
    require(principal, Scope.MANAGE_KEYS)
    async with services.storage.reading(principal.app_id) as work:
        await work.keys.app()
        return await work.keys.all()


async def viewer(services: Services, principal: Principal) -> tuple[App, ApiKey]:
    """Return the caller's app and key."""
    async with services.storage.reading(principal.app_id) as work:
        return await work.keys.app(), await work.keys.get(principal.key_id)


def operator(app_id: UUID) -> Principal:
    """Return the operator, who acts for an app from the command line with every right."""
    return Principal(app_id, UUID(int=0), frozenset(Scope))
