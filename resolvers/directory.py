"""Which providers there are, and what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from providers.interface import (
    Capabilities,
    ConnectsByAddress,
    ConnectsByOAuth,
    ConnectsByPassword,
    Reads,
)
from resolvers.services import Services


class ConnectBy(StrEnum):
    """How an account is opened at a provider."""

    NOTHING = "NOTHING"
    OAUTH = "OAUTH"
    PASSWORD = "PASSWORD"  # noqa: S105  a word, not one
    ADDRESS = "ADDRESS"


@dataclass(frozen=True, slots=True)
class Described:
    """A provider, as a frontend can show it."""

    name: str
    connect_by: ConnectBy
    reads: bool
    capabilities: Capabilities


def describe_providers(services: Services) -> list[Described]:
    """Return every provider of this server, by name."""
    found = []
    for name in services.providers.names:
        provider: object = services.providers[name]
        found.append(
            Described(name, _connect_by(provider), isinstance(provider, Reads), services.providers[name].capabilities)
        )
    return found


def _connect_by(provider: object) -> ConnectBy:
    if isinstance(provider, ConnectsByOAuth):
        return ConnectBy.OAUTH
    if isinstance(provider, ConnectsByPassword):
        return ConnectBy.PASSWORD
    return ConnectBy.ADDRESS if isinstance(provider, ConnectsByAddress) else ConnectBy.NOTHING
