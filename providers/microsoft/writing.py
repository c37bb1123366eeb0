"""Writing over a copy: what has changed here, and nothing else, over the version that we know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kalends.domain.events import EventState, Partstat
from kalends.domain.merge import same
from providers.errors import Gone, Stale
from providers.interface import Outgoing, RemoteEvent
from providers.microsoft import wire
from providers.microsoft.copies import Copies
from providers.microsoft.mapping import TIME, differing, metadata, stamp, with_those_there, written
from providers.microsoft.reading import as_written, read
from providers.microsoft.series import journal_of, restores, steps, write_journal
from providers.microsoft.wire import Body, Event

CHANGED = "The event was changed in Outlook."
GONE = "Outlook does not have this event any more."

_ANSWERS: Mapping[Partstat, str] = {
    Partstat.ACCEPTED: "accept",
    Partstat.TENTATIVE: "tentativelyAccept",
    Partstat.DECLINED: "decline",
}


@dataclass(frozen=True)
class Writing:
    """Makes a copy say what we say. Raises `Stale`, `Gone`, and `Refused` for what Outlook does not take.

    `old` is what both sides last agreed on, None for a copy that must be written whole; `new` is what we say now, None
    for somebody else's event that is declined. Both are in the form in which Outlook shows them.
    """

    copies: Copies
    outgoing: Outgoing
    old: EventState | None
    new: EventState | None

    async def over(self, known: RemoteEvent) -> RemoteEvent:
        """Write over the version that we know, and return the copy as it is then."""
        repeated = self.old is not None and self.old.recurrence is not None
        event = await self.copies.event(known.remote_id, series=repeated)
        now = self.copies.state(event)
        if wire.etag(event) != known.etag or self._has_moved_on(now):
            raise Stale(CHANGED) if await self.copies.holds(known.remote_id) else Gone(GONE)
        if self.new is None:
            return await self._answered(event, now)
        new = self._allowed(event, now, self.new)
        if new.recurrence is None:
            after = await self._changed(event, self._changes(event, now, new))
        else:
            after = await self._series(event, now, new)
        if _answer(self.outgoing, now) is not None:
            return await self._answered(after, now, new)
        if new.recurrence is None:
            return read(after, self.copies.calendar)
        return as_written(after, self.copies.calendar, new)

    def _has_moved_on(self, now: EventState) -> bool:
        """Tell whether a series has changed though its version is the one that we know: single occurrences may."""
        agreed = self.outgoing.agreed
        return now.recurrence is not None and agreed is not None and not same(now, agreed.theirs)

    def _allowed(self, event: Event, now: EventState, new: EventState) -> EventState:
        """Return what may be written: never the body of an online meeting, which holds the way into it.

        Whoever writes it without that turns the meeting off, for good
        (https://learn.microsoft.com/graph/api/event-update#notes-for-updating-specific-properties).
        """
        if not event.get("isOnlineMeeting"):
            return new
        return replace(new, content=replace(new.content, description=now.content.description))

    def _changes(self, event: Event, now: EventState, new: EventState) -> Body:
        """Return what must be written of the event itself."""
        old = self.old or now
        before, after = written(old), written(new)
        changes = differing(before, after)
        if event.get("isOnlineMeeting"):
            changes.pop("body", None)
        if restores(now, new):
            changes |= {name: after[name] for name in TIME}
        if "attendees" in changes:
            changes["attendees"] = with_those_there(after["attendees"], before["attendees"], event)
        if self.outgoing.agreed is None and not new.content.attendees:
            changes.pop("attendees", None)  # who takes part there is not known to have been agreed on
        properties: dict[str, str] = {}
        if old.content.metadata != new.content.metadata:
            properties[wire.METADATA] = metadata(new.content.metadata)
        if changes.keys() & set(TIME) and (journal := journal_of(new)):
            properties[wire.JOURNAL] = write_journal(journal)
        if not properties:
            return changes
        named = {wire.STAMP: stamp(self.outgoing.identity)} | wire.properties(event)
        return changes | {"singleValueExtendedProperties": wire.extended({wire.STAMP: named[wire.STAMP]} | properties)}

    async def _changed(self, event: Event, changes: Body) -> Event:
        return await self.copies.changed(event, changes) if changes else event

    async def _series(self, event: Event, now: EventState, new: EventState) -> Event:
        """Write a series, and then its occurrences."""
        changes, journal = self._changes(event, now, new), journal_of(new)
        if changes:
            await self.copies.changed(event, changes)
            event = await self.copies.whole(event["id"])
        if wire.JOURNAL in wire.properties(_sent(changes)):
            return await self.copies.finished(event, journal, strictly=True)
        found = steps(journal, self.copies.state(event))
        if not found:
            return event
        refusal = await self.copies.stepped(event, found)
        if refusal is not None:
            raise refusal
        return await self.copies.whole(event["id"])

    async def _answered(self, event: Event, now: EventState, new: EventState | None = None) -> RemoteEvent:
        """Answer an invitation. Outlook takes a declined one out of the calendar, unless its owner keeps them."""
        answer = _answer(self.outgoing, now)
        if answer is not None:
            await self.copies.answered(event, answer, tell=self.outgoing.event.content.send_invitations)
        try:
            after = await self.copies.event(event["id"])
        except Gone:
            return RemoteEvent(event["id"], "", deleted=True)
        if new is None and not await self.copies.holds(event["id"]):
            return RemoteEvent(event["id"], "", deleted=True)
        if new is None:
            return read(after, self.copies.calendar)
        return as_written(after, self.copies.calendar, new)


def _answer(outgoing: Outgoing, now: EventState) -> str | None:
    """Return how to answer somebody else's invitation; None where nothing new is to be said."""
    content = outgoing.event.content
    if now.content.organizer is None or content.organizer is None or content.partstat is now.content.partstat:
        return None
    return _ANSWERS.get(content.partstat)


def _sent(changes: Body) -> Event:
    return {"singleValueExtendedProperties": changes.get("singleValueExtendedProperties", [])}
