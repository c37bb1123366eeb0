"""OAuth 2.0 for providers whose accounts are opened by their owner (RFC 6749; RFC 7636 for PKCE; RFC 7009 to revoke).

Tokens are kept by `Grants` and asked for here. A refresh token that is replaced on use is stored at once; of all
processes one at a time refreshes (https://github.com/frappe/frappe/issues/40399 is what happens otherwise).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from httpx_oauth.oauth2 import OAuth2, OAuth2RequestError

from providers.errors import (
    NotConfigured,
    OutcomeUnknown,
    ReconnectRequired,
    RetryLater,
    Throttled,
    Unreachable,
    WrongCredentials,
)
from providers.interface import Grant, Grants, RemoteAccount
from providers.web import Answer, Web

EARLY = timedelta(minutes=1)  # a token is renewed so long before its end
_BRIEF = timedelta(seconds=30)  # to wait where a token endpoint says 429 and not how long
# RFC 6749 section 5.2, and what Microsoft answers where its owner has to act again.
_OWNER_MUST_ACT = ("invalid_grant", "interaction_required", "consent_required", "login_required")
_OPERATOR_MUST_ACT = ("invalid_client", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider's OAuth lives, and what is asked of it. `extras` go into the authorisation URL.

    `prefix` is what the provider may write before the name of a scope that it has granted.
    """

    authorize: str
    token: str
    revoke: str | None
    scopes: Sequence[str]
    extras: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""


class OAuth:
    """One provider's OAuth, for the client that the operator has registered there.

    `settings` names the operator's settings, for whoever has to set them.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        client_id: str | None,
        client_secret: str | None,
        settings: str,
        grants: Grants,
        web: Web,
        clock: Callable[[], datetime],
    ) -> None:
        self._endpoints = endpoints
        self._settings = settings
        self._grants = grants
        self._clock = clock
        self._registered: tuple[str, str] | None = (client_id, client_secret) if client_id and client_secret else None
        self._web = web

    async def authorization_url(self, *, state: str, challenge: str, redirect_uri: str, address: str | None) -> str:
        """Return where to send the account's owner. Raises `NotConfigured`."""
        extras = dict(self._endpoints.extras) | ({"login_hint": address} if address else {})
        return await self._client().get_authorization_url(
            redirect_uri, state, list(self._endpoints.scopes), challenge, "S256", extras_params=extras
        )

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """Return the grant that a code stands for.

        Raises `WrongCredentials` where it stands for none, or for less than was asked for.
        """
        try:
            token = await self._client().get_access_token(code, redirect_uri, verifier)
        except OAuth2RequestError as error:
            if _reason(error) in _OWNER_MUST_ACT:
                raise WrongCredentials("The provider does not accept this code: begin again.") from error
            raise self._failure(error) from error
        said = str(token.get("scope", " ".join(self._endpoints.scopes))).lower().split()
        granted = {each.removeprefix(self._endpoints.prefix.lower()) for each in said}
        missing = [each for each in self._endpoints.scopes if each.lower() not in granted and each != "offline_access"]
        if missing:
            raise WrongCredentials(
                "Not everything was allowed that is needed: begin again, and leave every box ticked."
            )
        if not token.get("refresh_token"):
            raise WrongCredentials("The provider gave no lasting grant: begin again.")
        return self._grant(token)

    async def token(self, account: RemoteAccount) -> tuple[str, Grant]:
        """Return an access token that still works for a while, and the grant that it is of."""
        grant = await self._grants.read(account)
        if datetime.fromisoformat(grant.secrets["expires_at"]) - EARLY <= self._clock():
            grant = await self.renewed(account, grant)
        return grant.secrets["access_token"], grant

    async def renewed(self, account: RemoteAccount, used: Grant) -> Grant:
        """Return a grant in place of one that does not work any more; raise `ReconnectRequired` where there is none."""
        return await self._grants.renew(account, used, self._refresh)

    async def ask(self, account: RemoteAccount, method: str, url: str, **options: Any) -> Answer:
        """Send a request with the account's token; where it is refused (401), once more with a new one."""
        token, grant = await self.token(account)
        answer = await self._ask(token, method, url, **options)
        if answer.status == httpx.codes.UNAUTHORIZED:
            grant = await self.renewed(account, grant)
            answer = await self._ask(grant.secrets["access_token"], method, url, **options)
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise ReconnectRequired(
                "The provider does not accept the account's grant: its owner must connect it again."
            )
        return answer

    async def revoke(self, grant: Grant) -> None:
        """Give the grant back, where the provider takes it (RFC 7009)."""
        if self._endpoints.revoke is None:
            return
        try:
            await self._client().revoke_token(grant.secrets["refresh_token"])
        except OAuth2RequestError as error:
            if error.response is None or error.response.status_code != httpx.codes.BAD_REQUEST:
                raise self._failure(error) from error

    async def _ask(self, token: str, method: str, url: str, **options: Any) -> Answer:
        headers = {"authorization": f"Bearer {token}"} | dict(options.pop("headers", {}))
        return await self._web.vendor.ask(method, url, headers=headers, **options)

    async def _refresh(self, grant: Grant) -> Grant:
        try:
            token = await self._client().refresh_token(grant.secrets["refresh_token"])
        except OAuth2RequestError as error:
            if _reason(error) in _OWNER_MUST_ACT:
                message = "The account's owner has withdrawn the grant, or it has expired: connect the account again."
                raise ReconnectRequired(message) from error
            raise self._failure(error) from error
        return self._grant({"refresh_token": grant.secrets["refresh_token"]} | token)

    def _grant(self, token: Mapping[str, Any]) -> Grant:
        try:
            lasts = timedelta(seconds=int(token.get("expires_in", 3600)))
            access, refresh = str(token["access_token"]), str(token["refresh_token"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutcomeUnknown("The provider's answer could not be read.") from error
        ends = (self._clock() + lasts).isoformat()
        return Grant({"access_token": access, "refresh_token": refresh, "expires_at": ends})

    def _failure(self, error: OAuth2RequestError) -> RetryLater | NotConfigured:
        response = error.response
        if response is None:
            return Unreachable("The provider cannot be reached.")
        if _reason(error) in _OPERATOR_MUST_ACT:
            return NotConfigured(f"The provider does not know this server: its operator must check {self._settings}.")
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            after = response.headers.get("retry-after", "")
            pause = timedelta(seconds=int(after)) if after.isdecimal() else _BRIEF
            return Throttled("The provider is busy (429).", retry_after=pause)
        return Unreachable("The provider does not give out tokens at the moment.")

    def _client(self) -> OAuth2:
        if self._registered is None:
            raise NotConfigured(f"The operator of this server must set {self._settings} first.")
        return _Client(self._web.vendor.client, *self._registered, self._endpoints)


class _Client(OAuth2):
    """httpx-oauth's client, on our connections."""

    def __init__(self, http: httpx.AsyncClient, client_id: str, client_secret: str, at: Endpoints) -> None:
        super().__init__(
            client_id,
            client_secret,
            at.authorize,
            at.token,
            refresh_token_endpoint=at.token,
            revoke_token_endpoint=at.revoke,
            revocation_endpoint_auth_method="client_secret_post",
        )
        self._http = http

    def get_httpx_client(self) -> contextlib.AbstractAsyncContextManager[httpx.AsyncClient]:
        """Return a client that stays open."""
        return contextlib.nullcontext(self._http)


def _reason(error: OAuth2RequestError) -> str:
    """Return the error code of an answer (RFC 6749 section 5.2)."""
    try:
        body = error.response.json() if error.response is not None else {}
    except ValueError:
        return ""
    return str(body.get("error", "")) if isinstance(body, dict) else ""
