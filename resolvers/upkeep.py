"""What has to be done from time to time, whoever asks."""

from __future__ import annotations

from uuid import UUID

import structlog

from kalends.domain.events import renewed
from kalends.domain.time import zone_data_version
from resolvers.services import Services
from resolvers.sync import enqueue
from storage.changes import Operation

log = structlog.get_logger()

EXTENDED_AT_ONCE = 100
_PAGE = 500


async def extend_series(services: Services) -> int:
    """Store the occurrences of series that come into sight as time goes by; return how many series there were."""
    async with services.storage.system() as system:
        due = await system.series_to_renew(services.clock(), EXTENDED_AT_ONCE)
    for app_id, event_id in due:
        async with services.storage.writing(app_id) as work:
            for event in await work.events.with_tombstones([event_id], lock=True):
                await work.events.expand(event, seen_from=services.clock())
    return len(due)


async def renew_zones(services: Services) -> int:
    """Put what is to come where newer data of the zones say that it is, and note it; return how many events moved.

    An event keeps its wall time. A process with older data than an app's leaves the app alone.
    """
    release, moved = zone_data_version(), 0
    async with services.storage.system() as system:
        behind = await system.apps_behind(release)
    for app_id in behind:
        after: UUID | None = None
        while True:
            now = services.clock()
            async with services.storage.reading(app_id) as work:
                page = await work.events.to_come(now, after=after, limit=_PAGE)
                elsewhere = [event.id for event in page if await work.events.moved(event, seen_from=now)]
            for event_id in elsewhere:
                await _move(services, app_id, event_id, release)
            moved += len(elsewhere)
            if len(page) < _PAGE:
                break
            after = page[-1].id
        async with services.storage.writing(app_id) as work:
            await work.keys.compute_by(release)
    if moved:
        log.info("zones.renewed", release=release, moved=moved)
    return moved


async def _move(services: Services, app_id: UUID, event_id: UUID, release: str) -> None:
    now = services.clock()
    async with services.storage.writing(app_id) as work:
        for event in await work.events.with_tombstones([event_id], lock=True):
            after = event.became(renewed(event.state), at=now)
            await work.events.save(after, before=event)
            await work.changes.note_events([after], Operation.UPDATED, f"tzdata:{release}")
            if after is not event:
                [calendar] = await work.calendars.many([event.calendar_id])
                await enqueue(services, work, {calendar.id: calendar}, [after], take=False)


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
