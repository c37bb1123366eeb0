"""Writing over a copy: the event itself, and then each occurrence of a series that must differ from it.

Google has no way to write a series in one request. Its recurring event goes first, with the dates that are left out;
each occurrence that differs is a change of an instance. Repeated after a part of it has failed, it writes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kalends.domain.events import EventContent, EventState
from kalends.domain.merge import Agreement, merged
from kalends.domain.recurrence import Override, Recurrence
from kalends.domain.time import When
from providers.google.client import Client
from providers.google.copies import Copy, by_wall, cancelled, read
from providers.google.inbound import fetched
from providers.google.lists import merging
from providers.google.mapping import Notes, differing, read_content, read_when, written
from providers.google.recurrence import lines_of, original_start, read_lines, usual
from providers.google.wire import Body, Event
from providers.interface import RemoteCalendar

_ONCE = Recurrence(None)
_DELETED = EventContent("")  # what an instance says that was deleted


@dataclass(frozen=True)
class Writing:
    """Makes a copy say what has changed here. Raises what `Client.patch` does, and `Unreadable`.

    `old` is what we said when both sides were last in step, or what the copy says where it must be written whole; `new`
    is what we say now. Both are in the form in which Google shows them.
    """

    client: Client
    calendar: RemoteCalendar
    owner: str | None
    notify: bool
    old: EventState
    new: EventState

    async def over(self, copy: Copy) -> Copy:
        """Write over a copy, and return it as it is then."""
        after, changes = copy, self._changes(copy)
        if changes:
            event = await self._patched(copy.event, changes, notify=self.notify)
            # What differed from the series may have changed with it.
            after = await fetched(self.client, self.calendar, event["id"]) if copy.exceptions else Copy(event)
        theirs, there = self._overrides(copy), by_wall(after, self.calendar)
        wanted = self._wanted(theirs, there, changes)
        staying = self._staying(theirs, there) if changes else {}
        done = False
        for wall, state in {**staying, **wanted}.items():
            notify = self.notify and wall in wanted  # of what stays as it was, nobody needs to hear
            done |= await self._occurrence(after, wall, there.get(wall), state, notify=notify)
        return await fetched(self.client, self.calendar, copy.event["id"]) if done else after

    # The event itself

    def _changes(self, copy: Copy) -> Body:
        changes = differing(
            written(self.old.when, self.old.content, self.owner), written(self.new.when, self.new.content, self.owner)
        )
        changes = merging(changes, self.old.content, self.new.content, copy.event, self.owner)
        return changes | self._lines(copy)

    def _lines(self, copy: Copy) -> Body:
        """Return the lines of the recurrence, where they must be written.

        A date that is left out later becomes a deleted instance, not a line, so that the rule is not touched; it is
        among the lines where these are written for another reason.
        """
        old, new = self.old.recurrence, self.new.recurrence
        if new is None:
            return {"recurrence": None} if old else {}
        there = read_lines(copy.event.get("recurrence", []), self._when(copy.event))
        if old is None or there is None:
            return {"recurrence": lines_of(self.new.when, new)}
        back = old.exdates - new.exdates
        if _begins(self.old.when, old) == _begins(self.new.when, new) and not there.exdates & back:
            return {}
        deleted = {wall for wall, each in by_wall(copy, self.calendar).items() if cancelled(each)}
        lines = Recurrence(
            there.rule if old.rule == new.rule else new.rule,
            (there.rdates - (old.rdates - new.rdates)) | (new.rdates - old.rdates),
            ((there.exdates | deleted) - back) | (new.exdates - old.exdates),
        )
        return {"recurrence": lines_of(self.new.when, lines)}

    # Its occurrences

    def _wanted(
        self, theirs: Mapping[datetime, Override], there: Mapping[datetime, Event], changes: Body
    ) -> Mapping[datetime, EventState | None]:
        """Return the occurrences to write, and as what; None for one to delete.

        `theirs` are the overrides that the copy had, `there` what it has of occurrences now, after these changes.
        """
        old, new = self.old.recurrence or _ONCE, self.new.recurrence
        if new is None:
            return {}
        wanted: dict[datetime, EventState | None] = {}
        for wall in sorted(_differing(old, new)):
            event = there.get(wall)
            if wall in new.exdates:
                if not (cancelled(event) if event else "recurrence" in changes):
                    wanted[wall] = None
            elif wall in new.overrides:
                wanted[wall] = _merged(old.overrides.get(wall), new.overrides[wall], theirs.get(wall))
            elif event is not None:
                wanted |= self._usual(wall)
        return wanted

    def _staying(
        self, theirs: Mapping[datetime, Override], there: Mapping[datetime, Event]
    ) -> Mapping[datetime, EventState | None]:
        """Return what must not change there because its series does: what differed must differ as it did, and what
        was like its series before must be so again.
        """
        new = self.new.recurrence
        if new is None:
            return {}
        staying: dict[datetime, EventState | None] = {}
        for wall, event in there.items():
            staying |= {} if cancelled(event) else self._usual(wall)
        staying |= {wall: _state(each) for wall, each in theirs.items()}
        changed = _differing(self.old.recurrence or _ONCE, new) | new.exdates
        return {wall: state for wall, state in staying.items() if wall not in changed}

    def _usual(self, wall: datetime) -> Mapping[datetime, EventState]:
        """Return an occurrence as its series says, and nothing for a day that does not exist."""
        at = usual(self.new.when, wall)
        return {} if at is None else {wall: EventState(at, self.new.content)}

    def _overrides(self, copy: Copy) -> Mapping[datetime, Override]:
        state = read(copy, self.calendar).state
        return state.recurrence.overrides if state and state.recurrence else {}

    async def _occurrence(
        self, series: Copy, wall: datetime, event: Event | None, wanted: EventState | None, *, notify: bool
    ) -> bool:
        """Write one occurrence, or delete it; tell whether there was anything to do."""
        if event is None:
            name = original_start(wall, self._when(series.event))
            found = await self.client.instances(self.calendar, series.event["id"], name)
            if not found:  # the series does not have it any more
                return False
            event = found[0]
        if wanted is None:
            await self.client.delete(self.calendar, event["id"], etag=event["etag"], notify=notify)
            return True
        content, before = _DELETED, {}
        if not cancelled(event):
            content = read_content(event, self.calendar, Notes())
            before = written(self._when(event), content, self.owner)
        changes = differing(before, written(wanted.when, wanted.content, self.owner))
        changes.pop("visibility", None)  # of one occurrence, it would be all the others', too
        if changes:
            await self._patched(event, merging(changes, content, wanted.content, event, self.owner), notify=notify)
        return bool(changes)

    async def _patched(self, event: Event, changes: Body, *, notify: bool) -> Event:
        return await self.client.patch(self.calendar, event["id"], changes, etag=event["etag"], notify=notify)

    def _when(self, event: Event) -> When:
        return read_when(event, self.calendar.tzid, Notes())


def _begins(when: When, recurrence: Recurrence) -> object:
    """Return what the times of a series follow from, but for the dates that are left out."""
    return when.start, when.tzid, when.all_day, recurrence.rule, recurrence.rdates


def _merged(old: Override | None, new: Override, theirs: Override | None) -> EventState:
    """Return what an occurrence is to say: what it says at Google, with what has changed here."""
    if old is None or theirs is None:
        return _state(new)
    return merged(_state(new), _state(theirs), Agreement(_state(old), _state(old)))[0]


def _state(override: Override) -> EventState:
    return EventState(override.when, override.content)


def _differing(old: Recurrence, new: Recurrence) -> set[datetime]:
    """Return the occurrences that one recurrence has otherwise than another."""
    changed = {
        wall
        for wall in old.overrides.keys() | new.overrides.keys()
        if old.overrides.get(wall) != new.overrides.get(wall)
    }
    return changed | (old.exdates ^ new.exdates)
