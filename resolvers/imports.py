"""Taking in an iCalendar file: its events become events of a calendar, and what cannot is told, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.errors import InvalidInput, NotFound, Problem, Refused
from kalends.domain.events import ConflictPolicy, Event, EventContent, EventState, unfit
from kalends.domain.ids import uuid7
from kalends.domain.merge import same
from kalends.domain.recurrence import expanded, occurrence_at
from kalends.domain.series import with_contents
from kalends.domain.sync import SyncWarning
from providers.ical.intake import Entry, Intake, taken_in
from providers.ical.lines import Unreadable
from providers.ical.people import Owner
from providers.ical.read import differing
from resolvers.guard import conflicts_of
from resolvers.services import Services
from resolvers.sync import Enqueued, after_commit, enqueue
from storage.calendars import BookedCalendar
from storage.changes import Operation
from storage.unit_of_work import UnitOfWork

MAX_BYTES = 5 * 2**20
MAX_ENTRIES = 5_000
MAX_TIMES = 30_000  # at which the series of a file take place, of those that are kept ready: seconds of work
STORED_AT_ONCE = 100
FILE = "an iCalendar file (RFC 5545)"
_THEN = "RECURRENCE-ID with a time at which the series takes place"


class ImportOutcome(StrEnum):
    """What became of an event of a file."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """An event of a file that is in the calendar now. `warnings` say what is not as the file has it."""

    uid: str
    outcome: ImportOutcome
    event: Event
    warnings: tuple[SyncWarning, ...]


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """A component that was left out, and why: an `InvalidInput`, or a `TimeConflict`."""

    uid: str
    problem: Problem


@dataclass(slots=True)
class Imported:
    """What an import did, or in a dry run would do. `conflicts` are the events in the way, under policy WARN."""

    events: list[ImportedEvent] = field(default_factory=list)
    failures: list[ImportFailure] = field(default_factory=list)
    conflicts: list[Event] = field(default_factory=list)

    def count(self, outcome: ImportOutcome) -> int:
        """Return of how many events this became."""
        return sum(each.outcome is outcome for each in self.events)


async def import_ics(
    services: Services,
    principal: Principal,
    calendar_id: UUID | None,
    text: str,
    *,
    on_conflict: ConflictPolicy | None = None,
    dry_run: bool = False,
) -> Imported:
    """Bring a file's events into a calendar, all that can be read in one transaction.

    An event is known by its UID: one that is there already becomes what the file says, so that a file can come twice.
    What a file cannot say stays: metadata, invitations, and without `on_conflict` the policy. Raises `Refused` where
    there is no such calendar, where it takes no events, and where the file cannot be read at all.
    """
    require(principal, Scope.WRITE_EVENTS)
    data = text.encode("utf-8", "replace")
    if len(data) > MAX_BYTES:
        raise _not_a_file(f"The file has {len(data):,} bytes: more than the {MAX_BYTES:,} that are taken at once.")
    async with services.storage.reading(principal.app_id) as work:
        place = await _place(work, calendar_id, alone=False)
    at = services.clock()
    intake = await asyncio.to_thread(_read, data, place, at)
    imported = Imported()
    enqueued = Enqueued()
    storage = services.storage
    async with (storage.trying if dry_run else storage.writing)(principal.app_id) as work:
        before, place = place, await _place(work, calendar_id, alone=True)
        if _read_for(place) != _read_for(before):  # somebody has moved the calendar since
            intake = await asyncio.to_thread(_read, data, place, at)
        await _Import(work, principal, place, on_conflict, at, imported).run(intake)
        if not dry_run:
            changed = [each.event for each in imported.events if each.outcome is not ImportOutcome.UNCHANGED]
            enqueued = await enqueue(services, work, {place.calendar.id: place.calendar}, changed, take=False)
    await after_commit(services, principal.app_id, enqueued, at_once=False)
    return imported


async def _place(work: UnitOfWork, calendar_id: UUID | None, *, alone: bool) -> BookedCalendar:
    place = (await work.calendars.book([calendar_id], alone=alone)).get(calendar_id) if calendar_id else None
    if place is None:
        raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar."))
    if (closed := place.calendar.closed("calendar_id")) is not None:
        raise Refused(closed)
    return place


def _read_for(place: BookedCalendar) -> tuple[str, str | None]:
    """Return what of a calendar a file is read by."""
    return place.calendar.tzid, place.owner


def _read(data: bytes, place: BookedCalendar, at: datetime) -> Intake:
    """Read a file; raise `Refused` where it cannot be read at all, or would take too long to store."""
    try:
        intake = taken_in(data, tzid=place.calendar.tzid, owner=Owner(place.owner), at_most=MAX_ENTRIES)
    except Unreadable as error:
        raise _not_a_file(str(error)) from error
    times = 0
    for entry in intake.entries:
        state = entry.found.state
        times += 0 if state.recurrence is None else len(expanded(state.when, state.recurrence, at).found)
        if times > MAX_TIMES:
            raise _not_a_file(f"Its series take place more than {MAX_TIMES:,} times: import them in several files.")
    return intake


def _not_a_file(message: str) -> Refused:
    return Refused(InvalidInput(path=("ics",), message=message, expected=FILE))


@dataclass(frozen=True, slots=True)
class _Import:
    """One import, inside its transaction."""

    work: UnitOfWork
    principal: Principal
    place: BookedCalendar
    policy: ConflictPolicy | None
    at: datetime
    imported: Imported

    async def run(self, intake: Intake) -> None:
        """Store what was read, and note what became of it."""
        for each in intake.unusable:
            self._fail(each.uid, InvalidInput(path=("ics",), message=each.message, expected=each.expected))
        known = await self.work.events.by_uids(self.place.calendar.id, {each.uid for each in intake.entries})
        for begin in range(0, len(intake.entries), STORED_AT_ONCE):
            await self._store(intake.entries[begin : begin + STORED_AT_ONCE], known)

    async def _store(self, entries: Sequence[Entry], known: Mapping[str, Event]) -> None:
        new: list[Event] = []
        changed: list[Event] = []
        for entry in entries:
            before = known.get(entry.uid)
            try:
                after = self._created(entry) if before is None else self._revised(before, entry)
                await self._guard(before, after, new)
            except Refused as refused:
                self._fail(entry.uid, refused.problems[0])
                continue
            outcome = ImportOutcome.UNCHANGED
            if before is None:
                new.append(after)
                outcome = ImportOutcome.CREATED
            elif after is not before:
                await self.work.events.save(after, before=before)
                changed.append(after)
                outcome = ImportOutcome.UPDATED
            self.imported.events.append(ImportedEvent(entry.uid, outcome, after, entry.warnings))
        await self.work.events.add(new)
        await self.work.changes.note_events(new, Operation.CREATED, self.principal.name)
        await self.work.changes.note_events(changed, Operation.UPDATED, self.principal.name)

    def _created(self, entry: Entry) -> Event:
        policy = self.policy or ConflictPolicy.ALLOW
        state = with_contents(entry.found.state, lambda content, _: replace(content, on_conflict=policy))
        sequence = entry.group.sequence
        return Event.new(uuid7(), self.place.calendar.id, state, at=self.at, uid=entry.uid, sequence=sequence)

    def _revised(self, before: Event, entry: Entry) -> Event:
        """Return the next version of an event that is there already; the same one where the file says nothing new."""
        state = self._of_its_series(before, entry) if entry.group.master is None else entry.found.state
        told = before.recurrence.overrides if before.recurrence is not None else {}

        def kept(content: EventContent, wall: datetime | None) -> EventContent:
            former = told[wall].content if wall is not None and wall in told else before.content
            return replace(
                content,
                metadata=content.metadata or former.metadata,
                send_invitations=former.send_invitations,
                on_conflict=self.policy or former.on_conflict,
            )

        state = with_contents(state, kept)
        if same(state, before.state):
            return before
        after = before.became(state, at=self.at)
        return replace(after, sequence=max(after.sequence, entry.group.sequence))

    def _of_its_series(self, before: Event, entry: Entry) -> EventState:
        """Return what times of a series without the series make of an event: a known series takes them in."""
        if before.recurrence is None:
            return entry.found.state
        tzid, owner = self.place.calendar.tzid, Owner(self.place.owner)
        found = differing(entry.group, before.state, tzid=tzid, owner=owner)
        if not found or any(occurrence_at(before.when, before.recurrence, wall) is None for wall in found):
            message = "It is one time of a series, which does not take place then."
            raise Refused(InvalidInput(path=("ics",), message=message, expected=_THEN))
        overrides = {**before.recurrence.overrides, **found}
        state = replace(before.state, recurrence=replace(before.recurrence, overrides=overrides))
        if (reason := unfit(state)) is not None:
            raise Refused(InvalidInput(path=("ics",), message=reason, expected=_THEN))
        return state

    async def _guard(self, before: Event | None, after: Event, among: Sequence[Event]) -> None:
        """Let an event pass the guard of every path to busy time."""
        found = await conflicts_of(self.work, self.principal, before, after, among=among, path=("ics",))
        self.imported.conflicts.extend(found)

    def _fail(self, uid: str, problem: Problem) -> None:
        self.imported.failures.append(ImportFailure(uid, problem))
