"""Keys that were read a moment ago, so that not every request asks the database who knocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from kalends.domain.access import ApiKey

FRESH_SECONDS = 1.0
"""How long a key is believed without being read again: the longest that a revocation takes to reach every process."""

MOST_KEYS = 10_000


class KeyCache:
    """The keys of one process, each as it was stored at most `FRESH_SECONDS` ago.

    Keys that do not exist are not remembered: whoever guesses would push out the keys of others. `ticks` is a clock
    that never goes back, in seconds.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic, *, at_most: int = MOST_KEYS) -> None:
        self.ticks = ticks
        self._at_most = at_most
        self._known: dict[UUID, tuple[ApiKey, float]] = {}

    def get(self, key_id: UUID) -> ApiKey | None:
        """Return a key that is fresh enough to be believed."""
        known = self._known.get(key_id)
        if known is None or self.ticks() - known[1] >= FRESH_SECONDS:
            return None
        return known[0]

    def put(self, key: ApiKey, asked_at: float) -> None:
        """Remember a key; `asked_at` is when its reading began, as what was stored later may not be in it."""
        self._known.pop(key.id, None)
        self._known[key.id] = key, asked_at
        if len(self._known) > self._at_most:
            del self._known[next(iter(self._known))]  # the one read longest ago

    def forget(self, key_id: UUID) -> None:
        """Have a key read again when it is next used."""
        self._known.pop(key_id, None)
