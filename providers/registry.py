"""Which providers there are: whatever is installed under the entry point group `kalends.providers`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from providers.interface import Provider
from providers.surroundings import Surroundings

GROUP = "kalends.providers"


class Registry:
    """The providers of one process, by name."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = dict(providers)

    @classmethod
    def installed(cls, surroundings: Surroundings) -> Registry:
        """Build every installed provider. Raises `TypeError` for one that is not a `Provider`."""
        built = {}
        for point in entry_points(group=GROUP):
            provider = point.load()(surroundings)
            if not isinstance(provider, Provider):
                raise TypeError(f"the entry point {point.name} of {point.value} is not a calendar provider")
            built[point.name] = provider
        return cls(built)

    def __getitem__(self, name: str) -> Provider:
        return self._providers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._providers

    def get(self, name: str) -> Provider | None:
        """Return a provider, None where there is none of that name."""
        return self._providers.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all providers, in order."""
        return tuple(sorted(self._providers))
