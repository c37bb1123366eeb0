"""PostgreSQL's connections. Imported only where there is one: the driver takes a while to load."""

from __future__ import annotations

from typing import Any

import asyncpg


class Connection(asyncpg.Connection):
    """A connection that says who a transaction acts for as it begins it, in one round trip.

    `opening` is SQL for the next transaction. Where it fails, so does the connection: what has begun must not be taken
    for one that has not.
    """

    opening = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  asyncpg's
        """Execute SQL, and the opening with what begins a transaction."""
        if not self.opening or not query.startswith("BEGIN"):
            return str(await super().execute(query, *args, timeout=timeout))
        opening, self.opening = self.opening, ""
        try:
            return str(await super().execute(query + opening, timeout=timeout))
        except Exception:
            self.terminate()
            raise
