"""Who is calling and what they may do.

A key is written `kal_<id>.<secret>`: 32 hexadecimal digits of an id that finds it, and 256 random bits that prove it.
Only the SHA-256 of the secret is kept; a secret of 256 random bits needs no slower hash.

What opens a published calendar, and nothing else, is written `kalfeed_<app id>.<secret>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

_TOKEN = re.compile(r"kal_([0-9a-f]{32})\.([A-Za-z0-9_-]{43})", re.ASCII)
_FEED_TOKEN = re.compile(r"kalfeed_([0-9a-f]{32})\.([A-Za-z0-9_-]{43})", re.ASCII)


class Scope(StrEnum):
    """What a key may do; none includes another."""

    READ = "READ"
    FREE_BUSY = "FREE_BUSY"
    WRITE_EVENTS = "WRITE_EVENTS"
    MANAGE_CALENDARS = "MANAGE_CALENDARS"
    MANAGE_KEYS = "MANAGE_KEYS"


@dataclass(frozen=True, slots=True)
class App:
    """A tenant: everything belongs to exactly one, and none sees another's."""

    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. Its secret is not here."""

    id: UUID
    app_id: UUID
    name: str
    secret_hash: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def usable(self, at: datetime) -> bool:
        """Tell whether it opens the door at that moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of one request."""

    app_id: UUID
    key_id: UUID
    scopes: frozenset[Scope]

    @property
    def name(self) -> str:
        """The stable name under which idempotency keys and the change log know the caller."""
        return f"key:{self.key_id}"


class Forbidden(Exception):
    """The caller's key lacks `scope`. A top-level error, not one of the payload's."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"This needs a key with the scope {scope}.")
        self.scope = scope


def require(principal: Principal, scope: Scope) -> None:
    """Raise `Forbidden` where the caller's key lacks the scope."""
    if scope not in principal.scopes:
        raise Forbidden(scope)


def require_busy(principal: Principal) -> None:
    """Raise `Forbidden` where the caller may not know when calendars are busy; whoever may read events may."""
    if Scope.READ not in principal.scopes:
        require(principal, Scope.FREE_BUSY)


def new_secret() -> str:
    """Return 256 random bits, fit for a URL."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def token(key_id: UUID, secret: str) -> str:
    """Write the key the way its owner will send it."""
    return f"kal_{key_id.hex}.{secret}"


def read_token(text: str) -> tuple[UUID, str] | None:
    """Take a key apart; None where it has not the form of one."""
    match = _TOKEN.fullmatch(text)
    return (UUID(hex=match[1]), match[2]) if match else None


def feed_token(app_id: UUID, secret: str) -> str:
    """Write what opens a published calendar of an app's."""
    return f"kalfeed_{app_id.hex}.{secret}"


def read_feed_token(text: str) -> tuple[UUID, str] | None:
    """Take what opens a published calendar apart into app and secret; None where it has not the form."""
    match = _FEED_TOKEN.fullmatch(text)
    return (UUID(hex=match[1]), match[2]) if match else None


def proves(key: ApiKey, secret: str) -> bool:
    """Tell whether this is a key's secret."""
    return is_secret(secret, key.secret_hash)


def is_secret(secret: str, known_hash: bytes) -> bool:
    """Compare a secret with the hash of the right one, in constant time."""
    return hmac.compare_digest(known_hash, secret_hash(secret))
