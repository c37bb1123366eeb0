"""What has changed in a window of time: https://learn.microsoft.com/graph/delta-query-events.

Whoever follows the links gets everything in the window once, and then what has been written since. What is not in the
window comes as removed. The occurrences of a series come with it, bare, on one page; there is no word of one that was
deleted (https://github.com/microsoftgraph/microsoft-graph-docs/pull/4501), and none of applications' properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from .errors import Refusal, invalid
from .times import read_instant
from .views import Preferences, bare, view
from .world import Calendar, Mailbox, Wire, World

_NOT_HERE = ("$select", "$filter", "$expand", "$orderby", "$search")
_LARGEST_PAGE = 500


@dataclass(frozen=True)
class Mark:
    """What a link of a round stands for: a window of a calendar, what is still to be told, and how far its log is."""

    calendar: str
    since: datetime
    until: datetime
    pending: tuple[str, ...]
    position: int


class Deltas:
    """The rounds of all calendars. `expire` makes every link worthless."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._marks: dict[str, Mark] = {}
        self._expired = 410

    def expire(self, status: int = 410) -> None:
        """Forget every link; they are answered with this status from now on."""
        self._marks.clear()
        self._expired = status

    def page(
        self, mailbox: Mailbox, calendar: Calendar, query: Mapping[str, str], preferences: Preferences, url: str
    ) -> Wire:
        """Return a page."""
        mark = self._mark(mailbox, calendar, query)
        size = min(preferences.page_size or _LARGEST_PAGE, _LARGEST_PAGE)
        told: list[Wire] = []
        pending = list(mark.pending)
        while pending and (not told or len(told) < size):
            told += self._told(mailbox, pending.pop(0), mark, preferences)
        if pending:
            link = self._keep("skip", replace(mark, pending=tuple(pending)))
            return {"@odata.nextLink": f"{url}?$skiptoken={link}", "value": told}
        link = self._keep("delta", replace(mark, pending=()))
        return {"@odata.deltaLink": f"{url}?$deltatoken={link}", "value": told}

    def _mark(self, mailbox: Mailbox, calendar: Calendar, query: Mapping[str, str]) -> Mark:
        refused = [name for name in _NOT_HERE if name in query]
        if refused:
            raise invalid(f"{refused[0]} is not supported with a delta.", "ErrorInvalidUrlQuery")
        position = len(calendar.log)
        if "$skiptoken" in query:
            return self._kept(query["$skiptoken"], calendar)
        if "$deltatoken" in query:
            mark = self._kept(query["$deltatoken"], calendar)
            changed = tuple(dict.fromkeys(calendar.log[mark.position :])) * self._world.behaviour.told_times
            return replace(mark, pending=changed, position=position)
        since = read_instant(query.get("startDateTime"), "startDateTime")
        until = read_instant(query.get("endDateTime"), "endDateTime")
        found = [each for each in mailbox.items.values() if each.calendar == calendar.id and not each.deleted]
        return Mark(
            calendar.id, since, until, tuple(each.id for each in found if each.overlaps(since, until)), position
        )

    def _told(self, mailbox: Mailbox, name: str, mark: Mark, preferences: Preferences) -> list[Wire]:
        item = mailbox.items.get(name)  # none for an occurrence, which is only told of when it leaves
        here = item is not None and not item.deleted and item.calendar == mark.calendar
        if item is None or not here or not item.overlaps(mark.since, mark.until):
            return [{"@odata.type": "#microsoft.graph.event", "id": name, "@removed": {"reason": "deleted"}}]
        behaviour = self._world.behaviour
        if behaviour.html_in_delta:
            preferences = replace(preferences, text=False)
        whole = view(mailbox, item, preferences, behaviour)
        if item.recurrence is None:
            return [whole]
        days = item.occurrences(mark.since, mark.until)
        return [*([whole] if behaviour.masters_in_delta else []), *(bare(item, day, preferences) for day in days)]

    def _kept(self, token: str, calendar: Calendar) -> Mark:
        mark = self._marks.get(token)
        if mark is None or mark.calendar != calendar.id:
            raise Refusal(self._expired, "SyncStateNotFound", "The sync state generation is not found.")
        return mark

    def _keep(self, kind: str, mark: Mark) -> str:
        token = f"{kind}-{self._world.number():08d}"
        self._marks[token] = mark
        return token
