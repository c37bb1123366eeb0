"""The copies in one of Outlook's calendars: finding, reading and writing them, in one request or several."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from kalends.domain.events import EventState
from kalends.domain.recurrence import begun_at
from kalends.domain.time import When
from providers.errors import CalendarGone, Gone, Refused
from providers.interface import Identity, RemoteAccount, RemoteCalendar
from providers.microsoft import wire
from providers.microsoft.client import Client, account_of, of
from providers.microsoft.mapping import STAMPED, stamp, with_those_there
from providers.microsoft.reading import Unreadable, read
from providers.microsoft.series import FINISHED, Journal, Step, read_journal, steps
from providers.microsoft.times import read_original
from providers.microsoft.wire import Body, Event

_DAY = timedelta(days=1)
_MANY = "500"  # ids in one answer

_PROPERTIES = " or ".join(f"id eq '{name}'" for name in wire.PROPERTIES)
_EXPAND = f"singleValueExtendedProperties($filter={_PROPERTIES})"
_SINGLE = {"$expand": _EXPAND}
_SERIES = {
    "$select": f"{wire.FIELDS},cancelledOccurrences,exceptionOccurrences",
    "$expand": f"exceptionOccurrences,{_EXPAND}",
}


@dataclass(frozen=True)
class Copies:
    """The copies in one calendar. Every method may raise any `ProviderError`."""

    client: Client
    calendar: RemoteCalendar

    @property
    def account(self) -> RemoteAccount:
        """Whose calendar it is."""
        return account_of(self.calendar)

    # Looking

    async def event(self, event_id: str, *, series: bool = False) -> Event:
        """Return an event with all that belongs to it: a `series` is asked for as such at once.

        One whose writing ended in the middle is finished first. Raises `Gone`.
        """
        event = await self.whole(event_id) if series else await self._get(event_id, _SINGLE)
        if event.get("type") == "seriesMaster" and not series:
            event = await self.whole(event_id)
        journal = read_journal(wire.properties(event).get(wire.JOURNAL))
        return event if journal is None else await self.finished(event, journal)

    async def whole(self, event_id: str) -> Event:
        """Return a series with its exceptions as they are, whatever its journal says. Raises `Gone`."""
        return await self._get(event_id, _SERIES)

    async def etag(self, event_id: str) -> str:
        """Return the version that an event has now. Raises `Gone`."""
        event = await self.client.get(self.account, of(self.calendar, event_id), query={"$select": "id"})
        return wire.etag(cast("Event", event))

    async def named(self, identity: Identity) -> str | None:
        """Return the id of the copy that carries this name. Raises `CalendarGone`.

        A person who copies an event in Outlook copies the name as well: the one that we created says so.
        """
        condition = f"ep/id eq '{wire.STAMP}' and ep/value eq '{stamp(identity)}'"
        found: list[Event] = []
        async for page in self._carrying(condition, "id,transactionId"):
            found += page
        found.sort(key=lambda event: event.get("transactionId") != identity.key)
        return found[0]["id"] if found else None

    async def stamped(self) -> AsyncIterator[set[str]]:
        """Yield the ids of all copies that carry a name of ours, page by page. Raises `CalendarGone`."""
        condition = f"ep/id eq '{wire.STAMP}' and startswith(ep/value, '{STAMPED}')"
        async for page in self._carrying(condition, "id"):
            yield {event["id"] for event in page}

    async def holds(self, event_id: str) -> bool:
        """Tell whether an event is in this calendar.

        By an immutable id, Graph may find it wherever it was moved, such as among the deleted items
        (https://learn.microsoft.com/graph/outlook-immutable-id).
        """
        try:
            path = f"{of(self.calendar, event_id)}/calendar"
            calendar = await self.client.get(self.account, path, query={"$select": "id"})
        except Gone:
            return False
        return bool(calendar.get("id") == self.calendar.remote_id)

    async def seen(self) -> None:
        """Return once the calendar itself has answered; raise `CalendarGone` where there is none."""
        await self.client.get(self.account, of(self.calendar), query={"$select": "id"}, missing=CalendarGone)

    def state(self, event: Event) -> EventState:
        """Return what an event says. Raises `Unreadable`."""
        state = read(event, self.calendar).state
        if state is None:
            raise Unreadable("Outlook has an event here that says nothing.")
        return state

    # Writing

    async def created(self, body: Body) -> Event:
        """Create a copy. Raises `AlreadyExists` where Graph remembers its `transactionId` with another body."""
        path = f"{of(self.calendar)}/events"
        event = await self.client.post(self.account, path, body, missing=CalendarGone)
        return _carrying(event, cast("Event", body))

    async def changed(self, event: Event, changes: Body) -> Event:
        """Change the version of an event that we have. Raises `Stale` for another one, `Gone`."""
        path = of(self.calendar, event["id"])
        after = await self.client.patch(self.account, path, changes, etag=wire.etag(event))
        return _carrying(after, event, cast("Event", changes))

    async def answered(self, event: Event, action: str, *, tell: bool) -> None:
        """Answer an invitation: https://learn.microsoft.com/graph/api/event-accept and its siblings."""
        path = f"{of(self.calendar, event['id'])}/{action}"
        await self.client.act(self.account, path, {"sendResponse": tell})

    async def removed(self, event_id: str, *, etag: str | None = None) -> None:
        """Remove an event, an occurrence of a series too. Raises `Stale`, `Gone`."""
        await self.client.delete(self.account, of(self.calendar, event_id), etag=etag)

    async def finished(self, event: Event, journal: Journal, *, strictly: bool = False) -> Event:
        """Make a series' occurrences what the journal says, empty it, and return the series as it is then.

        What Outlook refuses is left out. `strictly` raises `Refused` for it at the end, when all else is done: a
        journal that stayed would be tried again by everybody who looks.
        """
        refusal = await self.stepped(event, steps(journal, self.state(event)))
        done: Body = {"singleValueExtendedProperties": wire.extended({wire.JOURNAL: FINISHED})}
        await self.client.patch(self.account, of(self.calendar, event["id"]), done)
        if refusal is not None and strictly:
            raise refusal
        return await self.whole(event["id"])

    async def stepped(self, event: Event, found: list[Step]) -> Refused | None:
        """Do some steps with a series' occurrences, and return why Outlook has refused one, if it has."""
        refusal: Refused | None = None
        when = self.state(event).when
        for step in found:
            try:
                await self._step(event, when, step)
            except Gone:
                continue  # somebody else was faster
            except Refused as error:
                refusal = error
        return refusal

    async def _step(self, event: Event, when: When, step: Step) -> None:
        occurrence = _exception(event, when, step.wall) or await self._instance(event, when, step.wall)
        if occurrence is None:
            return  # deleted already
        if step.changes is None:
            await self.removed(occurrence["id"])
            return
        changes = step.changes
        if "attendees" in changes:
            there = occurrence.get("attendees") or []
            changes = changes | {"attendees": with_those_there(changes["attendees"], there, occurrence)}
        await self.client.patch(self.account, of(self.calendar, occurrence["id"]), changes)

    async def _instance(self, event: Event, when: When, wall: datetime) -> Event | None:
        """Return the occurrence that begins at a wall time, found around it; None for one that was deleted."""
        begun = begun_at(when, wall)
        if begun is None:
            return None
        window = {"startDateTime": moment(begun.span.start - _DAY), "endDateTime": moment(begun.span.end + _DAY)}
        path = f"{of(self.calendar, event['id'])}/instances"
        async for page in self.client.listed(self.account, path, query=window, missing=Gone):
            for each in page:
                if each.get("type") == "occurrence" and read_original(each, when) == wall:
                    return cast("Event", each)
        return None

    async def _get(self, event_id: str, query: Mapping[str, str]) -> Event:
        return cast("Event", await self.client.get(self.account, of(self.calendar, event_id), query=query))

    def _carrying(self, condition: str, select: str) -> AsyncIterator[list[Event]]:
        query = {
            "$filter": f"singleValueExtendedProperties/Any(ep: {condition})",
            "$select": select,
            "$top": _MANY,
        }
        return self.client.listed(self.account, f"{of(self.calendar)}/events", query=query)


def moment(at: datetime) -> str:
    """Return an instant as Graph takes it in a query."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _exception(event: Event, when: When, wall: datetime) -> Event | None:
    found = event.get("exceptionOccurrences") or ()
    return next((each for each in found if read_original(each, when) == wall), None)


def _carrying(event: Event, *sources: Event) -> Event:
    """Return an event with the properties of ours that it has now: answers to writes come without."""
    values: dict[str, str] = {}
    for source in sources:
        values |= wire.properties(source)
    return {**event, "singleValueExtendedProperties": wire.extended(values)}
