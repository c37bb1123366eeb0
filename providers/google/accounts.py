"""Where Google is, and what an account is asked to allow."""

from __future__ import annotations

from dataclasses import dataclass

from providers.google.client import Client
from providers.oauth import Endpoints, OAuth
from providers.surroundings import Surroundings

SCOPES = (
    "https://www.googleapis.com/auth/calendar.events",  # to read and write events, and to open channels
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",  # to choose calendars, and to learn whose
)
SETTINGS = "KALENDS_GOOGLE_CLIENT_ID and KALENDS_GOOGLE_CLIENT_SECRET"

# https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient
EXTRAS = {
    "access_type": "offline",  # we act while the owner is away
    "include_granted_scopes": "true",
    # Google gives a refresh token with the first consent only. Whoever connects again has lost the one of before.
    "prompt": "consent",
}


@dataclass(frozen=True)
class Addresses:
    """Where the calendars are, and where accounts are opened."""

    api: str
    authorize: str
    token: str
    revoke: str


GOOGLE = Addresses(
    api="https://www.googleapis.com/calendar/v3",
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",  # noqa: S106  an address
    revoke="https://oauth2.googleapis.com/revoke",
)


def addresses(endpoint: str | None) -> Addresses:
    """Return Google's addresses; with an endpoint, such as a simulator's, everything is there."""
    if not endpoint:
        return GOOGLE
    at = endpoint.rstrip("/")
    return Addresses(f"{at}/calendar/v3", f"{at}/o/oauth2/v2/auth", f"{at}/token", f"{at}/revoke")


def connection(surroundings: Surroundings) -> tuple[OAuth, Client]:
    """Return the ways to Google, for the client that the operator has registered there."""
    options = surroundings.options
    at = addresses(options.get("google_endpoint"))
    oauth = OAuth(
        Endpoints(at.authorize, at.token, at.revoke, SCOPES, EXTRAS),
        client_id=options.get("google_client_id"),
        client_secret=options.get("google_client_secret"),
        settings=SETTINGS,
        grants=surroundings.grants,
        web=surroundings.web,
        clock=surroundings.clock,
    )
    return oauth, Client(oauth, surroundings.web, at.api)
