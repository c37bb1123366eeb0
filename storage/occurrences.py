"""The times at which series take place, in SQL: searches for busy time read them like those of single events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from kalends.domain.events import Event, EventStatus, busy
from kalends.domain.recurrence import Occurrence, expanded
from storage.insertion import Insertion, Into
from storage.models import OccurrenceRow, SeriesRow
from storage.repository import Repository, table_of
from storage.types import LONG_EVENT

OCCURRENCES = table_of(OccurrenceRow)
SERIES = table_of(SeriesRow)
_OCCURRENCES = Into(OCCURRENCES, tuple(OCCURRENCES.c.keys()))
_SERIES = Into(SERIES, tuple(SERIES.c.keys()))


class OccurrenceRepository(Repository):
    """The occurrences of one app's series."""

    def expanded(self, events: Iterable[Event], *, seen_from: datetime | None = None) -> tuple[Insertion, Insertion]:
        """Return the occurrences of series, as seen from their last change or a later moment; others have none."""
        rows: list[dict[str, Any]] = []
        series: list[dict[str, Any]] = []
        for event in events:
            if event.recurrence is None or event.deleted_at is not None:
                continue
            ready = expanded(event.when, event.recurrence, seen_from or event.updated_at)
            place = {"app_id": self.app_id, "event_id": event.id, "calendar_id": event.calendar_id}
            ends = {"expanded_since": ready.since, "expanded_until": ready.until, "renew_at": ready.renew_at}
            series.append(place | ends)
            rows += (place | _row_of(event, each) for each in ready.found)
        return Insertion(_SERIES, series), Insertion(_OCCURRENCES, rows)

    async def moved(self, event: Event, *, seen_from: datetime) -> bool:
        """Tell whether any time of a series that is kept ready is another one by now."""
        if event.recurrence is None:
            return False
        query = select(OCCURRENCES).where(*self.mine(OCCURRENCES), OCCURRENCES.c.event_id == event.id)
        kept = {row.recurrence_id: (row.starts_at, row.ends_at) for row in await self.rows(query)}
        now = expanded(event.when, event.recurrence, seen_from).found
        return any(kept.get(each.recurrence_id, span) != span for each in now for span in [_ends(each)])

    async def clear(self, event: Event) -> None:
        """Remove the occurrences of an event."""
        for table in (OCCURRENCES, SERIES):
            await self.run(delete(table).where(*self.mine(table), table.c.event_id == event.id))


def _ends(occurrence: Occurrence) -> tuple[datetime, datetime]:
    return occurrence.when.span.start, occurrence.when.span.end


def _row_of(event: Event, occurrence: Occurrence) -> dict[str, Any]:
    span, content = occurrence.when.span, occurrence.override or event.content
    return {
        "recurrence_id": occurrence.recurrence_id,
        "starts_at": span.start,
        "ends_at": span.end,
        "long": span.end - span.start > LONG_EVENT,
        "busy": busy(occurrence.when, content),
        "cancelled": content.status is EventStatus.CANCELLED,
    }
