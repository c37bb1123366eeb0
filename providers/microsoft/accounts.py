"""Where Microsoft is, and what an account is asked to allow."""

from __future__ import annotations

from providers.microsoft.client import Client
from providers.oauth import Endpoints, OAuth
from providers.surroundings import Surroundings

GRAPH, LOGIN = "https://graph.microsoft.com", "https://login.microsoftonline.com"
SCOPES = (
    "offline_access",  # we act while the owner is away
    "Calendars.ReadWrite",  # to read and write events, and to open channels
)
SETTINGS = "KALENDS_MICROSOFT_CLIENT_ID and KALENDS_MICROSOFT_CLIENT_SECRET"

# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code
EXTRAS = {
    "response_mode": "query",
    "prompt": "select_account",  # a browser is often signed in with another account than the one that is meant
}


def connection(surroundings: Surroundings) -> tuple[OAuth, Client]:
    """Return the ways to Microsoft, for the application that the operator has registered there.

    With the option `microsoft_endpoint`, such as a simulator's address, everything is there.
    """
    options = surroundings.options
    endpoint = options.get("microsoft_endpoint")
    graph, login = (each.rstrip("/") for each in ((endpoint, endpoint) if endpoint else (GRAPH, LOGIN)))
    login = f"{login}/{options.get('microsoft_tenant') or 'common'}/oauth2/v2.0"
    oauth = OAuth(
        # Microsoft has no way to give back a single token: an owner takes the whole application's grant back.
        Endpoints(f"{login}/authorize", f"{login}/token", None, SCOPES, EXTRAS, prefix=f"{GRAPH}/"),
        client_id=options.get("microsoft_client_id"),
        client_secret=options.get("microsoft_client_secret"),
        settings=SETTINGS,
        grants=surroundings.grants,
        web=surroundings.web,
        clock=surroundings.clock,
    )
    return oauth, Client(oauth, surroundings.web, f"{graph}/v1.0")
