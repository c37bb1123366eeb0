"""Opening accounts: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow.

A refresh token is replaced on each use, and the old one refused, which is stricter than Microsoft.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .errors import unauthorized
from .world import Mailbox, Wire, World

LASTS = timedelta(seconds=3599)
_CODE_LASTS = timedelta(minutes=10)
_KNOWN = {"offline_access", "Calendars.ReadWrite", "Calendars.Read", "openid", "profile", "email", "User.Read"}


class TokenRefusal(Exception):
    """An answer of the token endpoint's that is none of success: RFC 6749 section 5.2, with Microsoft's codes."""

    def __init__(self, error: str, number: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        description = f"AADSTS{number}: {message} Trace ID: simulated"
        self.body = {"error": error, "error_description": description, "error_codes": [number]}


@dataclass(frozen=True)
class _Code:
    """What a code stands for, until it is used."""

    address: str
    client: str
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]
    ends: datetime


class OAuth:
    """The accounts' grants. `denies` and `allows` are what owners answer next."""

    def __init__(self, world: World, clients: Mapping[str, str]) -> None:
        self._world = world
        self._clock: Callable[[], datetime] = world.clock
        self._clients = dict(clients)
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, tuple[str, datetime]] = {}
        self._refresh: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._revoked: set[str] = set()
        self.denies = False
        self.allows: frozenset[str] | None = None

    def authorize(self, query: Mapping[str, str]) -> str:
        """Take an owner's consent for given; return where the browser goes."""
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") not in self._clients or not redirect_uri:
            raise TokenRefusal("unauthorized_client", 700016, "The application was not found in the directory.")
        scopes = tuple(query.get("scope", "").split())
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise TokenRefusal("invalid_request", 900144, "Expected a code, and PKCE with S256.")
        if not scopes or not set(scopes) <= _KNOWN:
            raise TokenRefusal("invalid_scope", 70011, "The provided value for 'scope' is not valid.")
        if self.denies:
            return f"{redirect_uri}?{urlencode({'error': 'access_denied', 'state': query.get('state', '')})}"
        address = query.get("login_hint") or next(iter(self._world.mailboxes))
        if address not in self._world.mailboxes:
            raise TokenRefusal("invalid_request", 50034, "The user account does not exist.")
        code = f"code-{self._world.number():08d}"
        allowed = tuple(scope for scope in scopes if self.allows is None or scope in self.allows)
        ends = self._clock() + _CODE_LASTS
        challenge = query.get("code_challenge", "")
        self._codes[code] = _Code(address, query["client_id"], redirect_uri, challenge, allowed, ends)
        return f"{redirect_uri}?{urlencode({'code': code, 'state': query.get('state', '')})}"

    def token(self, form: Mapping[str, str]) -> Wire:
        """Give out tokens."""
        if self._clients.get(form.get("client_id", "")) != form.get("client_secret"):
            raise TokenRefusal("invalid_client", 7000215, "Invalid client secret provided.", 401)
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchanged(form)
            case "refresh_token":
                return self._refreshed(form.get("refresh_token", ""))
        raise TokenRefusal("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")

    def grant(self, address: str) -> Wire:
        """Give out tokens without asking anybody."""
        return self._given(address, ("offline_access", "Calendars.ReadWrite"))

    def mailbox(self, authorization: str) -> Mailbox:
        """Return whose mailbox a request is about."""
        address, ends = self._access.get(authorization.removeprefix("Bearer "), ("", self._clock()))
        if ends <= self._clock() or address in self._revoked:
            raise unauthorized()
        return self._world.mailboxes[address]

    def expire_access_tokens(self) -> None:
        """Let every access token end."""
        self._access.clear()

    def revoke(self, address: str) -> None:
        """Let an owner take back what they have granted, until they grant it anew."""
        self._revoked.add(address)

    def _exchanged(self, form: Mapping[str, str]) -> Wire:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.ends <= self._clock():
            raise TokenRefusal("invalid_grant", 70008, "The provided authorization code has expired or was redeemed.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise TokenRefusal("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge.")
        if (form.get("redirect_uri"), form.get("client_id")) != (code.redirect_uri, code.client):
            raise TokenRefusal("invalid_grant", 50011, "The redirect URI does not match.")
        self._revoked.discard(code.address)
        return self._given(code.address, code.scopes)

    def _refreshed(self, token: str) -> Wire:
        if token not in self._refresh:
            raise TokenRefusal("invalid_grant", 70000, "The provided refresh token is not valid any more.")
        address, scopes = self._refresh[token]
        if address in self._revoked:
            raise TokenRefusal("invalid_grant", 50173, "The provided grant has expired due to it being revoked.")
        del self._refresh[token]
        return self._given(address, scopes)

    def _given(self, address: str, scopes: tuple[str, ...]) -> Wire:
        access, refresh = (f"{kind}-{self._world.number():08d}" for kind in ("access", "refresh"))
        self._access[access] = (address, self._clock() + LASTS)
        prefix = self._world.behaviour.scope_prefix
        told = " ".join(f"{prefix}{scope}" for scope in scopes if scope != "offline_access")
        tokens: dict[str, Any] = {"token_type": "Bearer", "scope": told, "expires_in": 3599, "access_token": access}
        if "offline_access" in scopes:
            self._refresh[refresh] = (address, scopes)
            tokens["refresh_token"] = refresh
        return tokens
