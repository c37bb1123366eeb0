"""What has to be done from time to time, whoever asks."""

from __future__ import annotations

from datetime import timedelta

from kalends.domain.recurrence import AHEAD
from resolvers.services import Services

EXTENDED_AT_ONCE = 100
AHEAD_AT_LEAST = AHEAD - timedelta(days=30)
"""How far ahead the occurrences of every series are there, whenever nobody has changed it."""


async def extend_series(services: Services) -> int:
    """Store the occurrences of series that come into sight as time goes by; return how many series there were."""
    until = services.clock() + AHEAD_AT_LEAST
    async with services.storage.system() as system:
        short = await system.short_series(until, EXTENDED_AT_ONCE)
    for app_id, event_id in short:
        async with services.storage.writing(app_id) as work:
            for event in await work.events.with_tombstones([event_id], lock=True):
                await work.events.expand(event, seen_from=services.clock())
    return len(short)


async def reseal(services: Services) -> int:
    """Seal every stored secret with the first key; return how many were sealed with another."""
    async with services.storage.system() as system:
        apps = await system.apps()
    count = 0
    for app in apps:
        async with services.storage.reading(app.id) as work:
            accounts, sources = await work.accounts.all_ids(), await work.sources.all_ids()
        for account_id in accounts:
            async with services.storage.writing(app.id) as work:
                count += await work.accounts.reseal(account_id)
        for calendar_id in sources:
            async with services.storage.writing(app.id) as work:
                count += await work.sources.reseal(calendar_id)
    return count
