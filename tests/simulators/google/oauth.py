"""Google's OAuth 2.0: a consent that is given at once, tokens, and their end.

https://developers.google.com/identity/protocols/oauth2/web-server
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .errors import unauthorized
from .world import Caller

LASTS = timedelta(seconds=3599)
CODE_LASTS = timedelta(minutes=10)


class TokenRefusal(Exception):
    """A refusal of the token endpoint's (RFC 6749 section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass
class Granted:
    """What an account has allowed a client."""

    client_id: str
    account: str
    scopes: frozenset[str]
    refresh_token: str = field(default_factory=lambda: f"1//{secrets.token_urlsafe(32)}")
    revoked: bool = False


@dataclass
class Code:
    """A code, until it is used."""

    granted: Granted
    redirect_uri: str
    challenge: str
    offline: bool
    ends: datetime


class OAuth:
    """Consents and tokens. `denies` and `allows` say what the next owners answer; None allows what is asked for."""

    def __init__(self, clock: Callable[[], datetime], accounts: Iterable[str], clients: Mapping[str, str]) -> None:
        self._clock = clock
        self._accounts = list(accounts)
        self._clients = dict(clients)
        self._codes: dict[str, Code] = {}
        self._granted: list[Granted] = []
        self._access: dict[str, tuple[Granted, datetime]] = {}
        self._consented: set[tuple[str, str]] = set()
        self.denies = False
        self.allows: frozenset[str] | None = None

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return where the owner's browser goes after the consent. Raises `TokenRefusal` where Google stays."""
        if query.get("client_id") not in self._clients:
            raise TokenRefusal("invalid_client", "The OAuth client was not found.", 401)
        back = query.get("redirect_uri", "")
        if not back.startswith(("https://", "http://")):
            raise TokenRefusal("redirect_uri_mismatch", "The redirect URI is not registered.")
        if query.get("response_type") != "code" or not query.get("scope"):
            raise TokenRefusal("invalid_request", "response_type or scope is missing or wrong.")
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            raise TokenRefusal("invalid_request", "The simulator knows S256 only.")
        hint = query.get("login_hint", "")
        account = hint if hint in self._accounts else self._accounts[0]
        state = {"state": query["state"]} if "state" in query else {}
        if self.denies:
            return f"{back}?{urlencode(state | {'error': 'access_denied'})}"
        asked = frozenset(query["scope"].split())
        granted = Granted(query["client_id"], account, asked if self.allows is None else asked & self.allows)
        consent = (granted.client_id, account)
        # A refresh token comes with the first consent only, or where it is asked for again.
        first = consent not in self._consented or "consent" in query.get("prompt", "")
        self._consented.add(consent)
        code = secrets.token_urlsafe(24)
        offline = query.get("access_type") == "offline" and first
        ends = self._clock() + CODE_LASTS
        self._codes[code] = Code(granted, back, query.get("code_challenge", ""), offline, ends)
        return f"{back}?{urlencode(state | {'code': code, 'scope': ' '.join(sorted(granted.scopes))})}"

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return tokens for a code or for a refresh token."""
        secret = self._clients.get(form.get("client_id", ""))
        if secret is None or not secrets.compare_digest(secret, form.get("client_secret", "")):
            raise TokenRefusal("invalid_client", "The OAuth client was not found.", 401)
        match form.get("grant_type"):
            case "authorization_code":
                return self._for_code(form)
            case "refresh_token":
                return self._for_refresh_token(form)
        raise TokenRefusal("unsupported_grant_type", "Invalid grant_type.")

    def revoke(self, token: str) -> None:
        """End a grant, by any of its tokens."""
        access = self._access.get(token)
        ended = [each for each in self._granted if each.refresh_token == token or (access and access[0] is each)]
        if not ended or ended[0].revoked:
            raise TokenRefusal("invalid_token", "Token expired or revoked")
        ended[0].revoked = True
        self._consented.discard((ended[0].client_id, ended[0].account))

    def caller(self, authorization: str) -> Caller:
        """Return who has sent a request."""
        granted, ends = self._access.get(authorization.removeprefix("Bearer "), (None, self._clock()))
        if granted is None or granted.revoked or ends <= self._clock():
            raise unauthorized()
        return Caller(granted.account, granted.scopes)

    # From outside

    def grant(self, account: str, scopes: Iterable[str]) -> dict[str, Any]:
        """Return tokens without asking anybody."""
        granted = Granted(next(iter(self._clients)), account, frozenset(scopes))
        self._granted.append(granted)
        return self._tokens(granted) | {"refresh_token": granted.refresh_token}

    def expire_access_tokens(self) -> None:
        """Let every access token end now."""
        self._access = {token: (granted, self._clock()) for token, (granted, _) in self._access.items()}

    def revoke_all(self, account: str) -> None:
        """Let an owner withdraw everything."""
        for each in self._granted:
            each.revoked = each.revoked or each.account == account

    def _for_code(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.ends <= self._clock() or code.redirect_uri != form.get("redirect_uri"):
            raise TokenRefusal("invalid_grant", "Malformed auth code.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code.challenge and code.challenge != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            raise TokenRefusal("invalid_grant", "Invalid code verifier.")
        self._granted.append(code.granted)
        refresh = {"refresh_token": code.granted.refresh_token} if code.offline else {}
        return self._tokens(code.granted) | refresh

    def _for_refresh_token(self, form: Mapping[str, str]) -> dict[str, Any]:
        for each in self._granted:
            if each.refresh_token == form.get("refresh_token") and not each.revoked:
                return self._tokens(each)
        raise TokenRefusal("invalid_grant", "Token has been expired or revoked.")

    def _tokens(self, granted: Granted) -> dict[str, Any]:
        token = f"ya29.{secrets.token_urlsafe(32)}"
        self._access[token] = (granted, self._clock() + LASTS)
        return {
            "access_token": token,
            "expires_in": int(LASTS.total_seconds()),
            "scope": " ".join(sorted(granted.scopes)),
            "token_type": "Bearer",
        }
