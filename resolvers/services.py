"""What every use case is given."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kalends.domain.values import utc_now
from providers.registry import Registry
from resolvers.group import Groups
from resolvers.key_cache import KeyCache
from storage.unit_of_work import Storage


@dataclass(frozen=True, slots=True)
class SyncPatience:
    """How long sync waits, in seconds unless said otherwise, and when it asks first.

    `lease` must be longer than `call`, or a lane could be taken over in the middle of a call. `poll` is how often to
    look for changes; None leaves it to each provider. A look that would delete more than `brake_share` of a calendar,
    and more than `brake_least` events, waits for a person.
    """

    call: float = 10.0
    at_once: float = 5.0  # what a mutation with `syncProvider: true` may spend
    lease: timedelta = timedelta(seconds=30)
    max_attempts: int = 20
    poll: timedelta | None = None
    brake_share: float = 0.25
    brake_least: int = 10


@dataclass(frozen=True, slots=True)
class Services:
    """The storage, the providers and the clock of one process; `wake_worker` says that there is something to do.

    `keys` are those read a moment ago.

    `public_url` is where browsers and providers find this server, such as `https://calendar.example.org`;
    `return_origins` are those to which people may be sent back from there. `groups` are the new events that are written
    together.
    """

    storage: Storage
    providers: Registry
    clock: Callable[[], datetime] = utc_now
    wake_worker: Callable[[], None] = lambda: None
    chance: Callable[[], float] = random.random  # spreads retries; not for secrets
    patience: SyncPatience = SyncPatience()
    public_url: str | None = None
    return_origins: Sequence[str] = ()
    keys: KeyCache = field(default_factory=KeyCache)
    groups: Groups[Any, Any] = field(default_factory=Groups)
