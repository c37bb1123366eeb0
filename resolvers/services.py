"""What every use case is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kalends.domain.values import utc_now
from providers.registry import Registry
from storage.unit_of_work import Storage


@dataclass(frozen=True, slots=True)
class SyncPatience:
    """How long sync waits, in seconds unless said otherwise.

    `lease` must be longer than `call`, or a lane could be taken over in the middle of a call.
    """

    call: float = 10.0
    at_once: float = 5.0  # what a mutation with `syncProvider: true` may spend
    lease: timedelta = timedelta(seconds=30)
    max_attempts: int = 20


@dataclass(frozen=True, slots=True)
class Services:
    """The storage, the providers and the clock of one process; `wake_worker` says that there is something to push."""

    storage: Storage
    providers: Registry
    clock: Callable[[], datetime] = utc_now
    wake_worker: Callable[[], None] = lambda: None
    chance: Callable[[], float] = random.random  # spreads retries; not for secrets
    patience: SyncPatience = SyncPatience()
