"""The times at which series take place, in SQL: searches for busy time read them like those of single events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert

from kalends.domain.events import Event, EventStatus, busy
from kalends.domain.recurrence import expanded
from storage.models import OccurrenceRow, SeriesRow
from storage.repository import Repository, table_of
from storage.types import LONG_EVENT

OCCURRENCES = table_of(OccurrenceRow)
SERIES = table_of(SeriesRow)


class OccurrenceRepository(Repository):
    """The occurrences of one app's series."""

    async def expand(self, events: Iterable[Event], *, seen_from: datetime | None = None) -> None:
        """Store the occurrences of series, as seen from their last change or a later moment; others have none."""
        rows: list[dict[str, Any]] = []
        series: list[dict[str, Any]] = []
        for event in events:
            if event.recurrence is None or event.deleted_at is not None:
                continue
            ready = expanded(event.when, event.recurrence, seen_from or event.updated_at)
            place = {"app_id": self.app_id, "event_id": event.id, "calendar_id": event.calendar_id}
            series.append(place | {"expanded_since": ready.since, "expanded_until": ready.until})
            for each in ready.found:
                span, content = each.when.span, each.override or event.content
                rows.append(
                    place
                    | {
                        "recurrence_id": each.recurrence_id,
                        "starts_at": span.start,
                        "ends_at": span.end,
                        "long": span.end - span.start > LONG_EVENT,
                        "busy": busy(each.when, content),
                        "cancelled": content.status is EventStatus.CANCELLED,
                    }
                )
        await self.run(insert(SERIES), series)
        await self.run(insert(OCCURRENCES), rows)

    async def clear(self, event: Event) -> None:
        """Remove the occurrences of an event."""
        for table in (OCCURRENCES, SERIES):
            await self.run(delete(table).where(*self.mine(table), table.c.event_id == event.id))
