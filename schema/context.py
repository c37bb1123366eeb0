"""What every resolver of a request shares: the caller, the use cases' services, and the loaders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeAlias, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from kalends.domain.access import Principal
from kalends.domain.calendars import Account, Calendar, Resource
from kalends.domain.events import Event
from kalends.domain.ids import EventRef
from kalends.domain.profiles import Profile
from kalends.domain.sync import Source, SyncState
from resolvers import lookups
from resolvers.services import Services

K = TypeVar("K")
T = TypeVar("T")
_Lookup = Callable[[Services, Principal, Sequence[K]], Awaitable[list[T]]]
MAX_LOADED_AT_ONCE = 500


class Unauthenticated(Exception):
    """The operation needs a key."""

    def __init__(self) -> None:
        super().__init__("This needs an API key: send Authorization: Bearer kal_…")


@dataclass(slots=True)
class Context:
    """One request. `caller` raises `Unauthenticated` where there is none."""

    services: Services
    principal: Principal | None
    _loaders: Loaders | None = None

    @property
    def caller(self) -> Principal:
        """Whoever asks."""
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    @property
    def actor(self) -> Principal:
        """Whoever changes something: what was loaded before is forgotten, as the change may make it untrue."""
        self._loaders = None
        return self.caller

    @property
    def loaders(self) -> Loaders:
        """The loaders of this request."""
        if self._loaders is None:
            self._loaders = Loaders(self.services, self.caller)
        return self._loaders


class Loaders:
    """One loader per kind of thing: what many resolvers ask for in one turn becomes one question."""

    def __init__(self, services: Services, principal: Principal) -> None:
        self._services = services
        self._principal = principal

    def _loader(self, lookup: _Lookup[K, T], key: Callable[[K], Hashable] | None = None) -> DataLoader[K, T]:
        async def load(keys: list[K]) -> Sequence[T]:
            return await lookup(self._services, self._principal, keys)

        return DataLoader(load, max_batch_size=MAX_LOADED_AT_ONCE, cache_key_fn=key)

    @cached_property
    def events(self) -> DataLoader[EventRef, Event | None]:
        """Events and occurrences by id."""
        return self._loader(lookups.events)

    @cached_property
    def calendars(self) -> DataLoader[UUID, Calendar | None]:
        """Calendars by id."""
        return self._loader(lookups.calendars)

    @cached_property
    def resources(self) -> DataLoader[UUID, Resource | None]:
        """Resources by id."""
        return self._loader(lookups.resources)

    @cached_property
    def calendars_of(self) -> DataLoader[UUID, list[Calendar]]:
        """The calendars of a resource."""
        return self._loader(lookups.calendars_of)

    @cached_property
    def profiles_of(self) -> DataLoader[UUID, list[Profile]]:
        """The profiles of a resource."""
        return self._loader(lookups.profiles_of)

    @cached_property
    def conflicts(self) -> DataLoader[Event, list[Event]]:
        """What blocks the same time as an event."""
        return self._loader(lookups.conflicts, key=lambda event: event.ref)

    @cached_property
    def accounts(self) -> DataLoader[UUID, Account | None]:
        """Accounts by id."""
        return self._loader(lookups.accounts)

    @cached_property
    def calendars_of_accounts(self) -> DataLoader[UUID, list[Calendar]]:
        """The calendars of an account."""
        return self._loader(lookups.calendars_of_accounts)

    @cached_property
    def sources(self) -> DataLoader[UUID, tuple[Source, bool] | None]:
        """How far a calendar has been read at its provider, and whether the provider calls us about it."""
        return self._loader(lookups.sources)

    @cached_property
    def published(self) -> DataLoader[UUID, datetime | None]:
        """Since when a calendar is published as a file."""
        return self._loader(lookups.published)

    @cached_property
    def sync(self) -> DataLoader[UUID, SyncState]:
        """Where an event stands with its provider."""
        return self._loader(lookups.sync_states)


Info: TypeAlias = strawberry.Info[Context, None]
