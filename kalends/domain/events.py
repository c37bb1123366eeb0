"""The event: what blocks time in a calendar, and the rules that hold for every one of them.

The words are RFC 5545's; the ones on the GraphQL surface are the schema's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple, Self
from uuid import UUID

from kalends.domain.busy import BusyStatus, BusyTime, busy_kind
from kalends.domain.errors import Malformed, Refused, StaleVersion
from kalends.domain.ids import EventRef
from kalends.domain.recurrence import MAX_EXCEPTIONS, Occurrence, Recurrence, expanded, occurrence_at, occurrences
from kalends.domain.spans import holds, span_of, union
from kalends.domain.time import TimeSpan, When
from kalends.domain.values import FIRST_YEAR, LAST_YEAR, YEARS, read_text

MAX_SUMMARY, MAX_LOCATION, MAX_DESCRIPTION = 1024, 1024, 32_768
MAX_ATTENDEES = 200  # past this, Google stops to propagate responses
MAX_BATCH = 100
NO_RECURRENCE_ID = datetime(1, 1, 1)  # noqa: DTZ001  a wall time before every other
MAX_REMINDERS, LONGEST_REMINDER = 5, 40_320  # Google's limits: how many, and minutes, which are four weeks


class Partstat(StrEnum):
    """A participation status (RFC 5545 section 3.2.12)."""

    NEEDS_ACTION = "NEEDS_ACTION"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"


class EventStatus(StrEnum):
    """An event's status (RFC 5545 section 3.8.1.11)."""

    CONFIRMED = "CONFIRMED"
    TENTATIVE = "TENTATIVE"
    CANCELLED = "CANCELLED"


class Visibility(StrEnum):
    """Who may see more than that the time is busy (RFC 5545 section 3.8.1.3, CLASS)."""

    DEFAULT = "DEFAULT"
    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"
    CONFIDENTIAL = "CONFIDENTIAL"


class ConflictPolicy(StrEnum):
    """What a write does when the time is taken."""

    ALLOW = "ALLOW"
    WARN = "WARN"
    REJECT = "REJECT"


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who is asked to take part."""

    email: str
    partstat: Partstat = Partstat.NEEDS_ACTION


@dataclass(frozen=True, slots=True)
class EventContent:
    """What an event says, without its time, identity or history.

    `reminders` are minutes before the start; None stands for the calendar's own. `organizer` is the address of whoever
    else owns the event: None where it is the calendar's owner.
    """

    summary: str
    location: str = ""
    description: str | None = None
    attendees: tuple[Attendee, ...] = ()
    partstat: Partstat = Partstat.ACCEPTED
    send_invitations: bool = False
    transparent: bool = False
    status: EventStatus = EventStatus.CONFIRMED
    on_conflict: ConflictPolicy = ConflictPolicy.ALLOW
    metadata: Mapping[str, str] = field(default_factory=dict)
    visibility: Visibility = Visibility.DEFAULT
    reminders: tuple[int, ...] | None = None
    organizer: str | None = None
    out_of_office: bool = False


@dataclass(frozen=True, slots=True)
class EventState:
    """What an event says and when it takes place: what two calendars can agree on."""

    when: When
    content: EventContent
    recurrence: Recurrence | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. `version` grows with every change; `sequence` (RFC 5545 section 3.8.7.4) with those that
    attendees must hear of. `deleted_at` marks one that is gone and only waits for its provider to forget it. With a
    `recurrence`, `when` is the first time of a series. With a `recurrence_id`, it is one occurrence of the series that
    has its id.
    """

    id: UUID
    calendar_id: UUID
    uid: str
    when: When
    content: EventContent
    version: int
    sequence: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    recurrence: Recurrence | None = None
    recurrence_id: datetime | None = None

    @classmethod
    def new(
        cls,
        event_id: UUID,
        calendar_id: UUID,
        state: EventState,
        *,
        at: datetime,
        uid: str | None = None,
        sequence: int = 0,
    ) -> Self:
        """Return the first version of an event; its UID is ours where no other is known."""
        return cls(
            id=event_id,
            calendar_id=calendar_id,
            uid=uid or f"{event_id}@kalends",
            when=state.when,
            content=state.content,
            version=1,
            sequence=sequence,
            created_at=at,
            updated_at=at,
            recurrence=state.recurrence,
        )

    @property
    def ref(self) -> EventRef:
        """Its name, of an occurrence too."""
        return EventRef(self.id, self.recurrence_id)

    @property
    def state(self) -> EventState:
        """What it says and when it takes place."""
        return EventState(self.when, self.content, self.recurrence)

    def occurrence(self, occurrence: Occurrence) -> Event:
        """Return a series' event as it takes place at one of its times."""
        return replace(
            self,
            when=occurrence.when,
            content=occurrence.override or self.content,
            recurrence=None,
            recurrence_id=occurrence.recurrence_id,
        )

    def named(self, ref: EventRef) -> Event | None:
        """Return the event, or the occurrence of it that is named; None where it does not take place then."""
        if ref.recurrence_id is None:
            return self
        found = self.recurrence and occurrence_at(self.when, self.recurrence, ref.recurrence_id)
        return self.occurrence(found) if found else None

    def happening(self, span: TimeSpan) -> list[Event]:
        """Return the event as it takes place within a span: of a series its occurrences there, in order."""
        if self.recurrence is None:
            return [self] if self.when.span.overlaps(span) else []
        return [self.occurrence(each) for each in occurrences(self.when, self.recurrence, span)]

    @property
    def blocks(self) -> bool:
        """Whether its time counts as busy: transparent, cancelled, declined and deleted events do not."""
        return self.busy > 0

    @property
    def busy(self) -> int:
        """What it makes of its time, as `busy_kind` says it; 0 where it leaves it free."""
        return busy(self.when, self.content) if self.deleted_at is None else 0

    def times(self, at: datetime) -> list[TimeSpan]:
        """Return the times that it blocks, in order; of a series those that are kept ready, seen from a moment."""
        return sorted((each.when.span for each in self.blocking(at)), key=attrgetter("start"))

    def blocking(self, at: datetime) -> list[Event]:
        """Return the event where it blocks; of a series its occurrences that are kept ready, seen from a moment."""
        happening = [self]
        if self.recurrence is not None:
            happening = [self.occurrence(each) for each in expanded(self.when, self.recurrence, at).found]
        return [each for each in happening if each.blocks]

    def taken(self, span: TimeSpan) -> list[BusyTime]:
        """Return the time that it takes within a span, of a series that of its occurrences."""
        return [
            BusyTime(*span_of(each.when.span), each.busy, self.id.bytes) for each in self.happening(span) if each.blocks
        ]

    def require_version(self, expected: int | None) -> None:
        """Raise `Refused` where somebody expects another version; None expects any."""
        if expected is not None and expected != self.version:
            message = f"The event is at version {self.version}, not {expected}: read it again."
            raise Refused(StaleVersion(path=("expected_version",), message=message, current_version=self.version))

    def changed(self, *, when: When, content: EventContent, at: datetime) -> Event:
        """Return the next version; the same event where nothing differs."""
        return self.became(EventState(when, content, self.recurrence), at=at)

    def became(self, state: EventState, *, at: datetime) -> Event:
        """Return the next version, which is in this state; the same event where nothing differs."""
        if state == self.state:
            return self
        significant = _attended(state) != _attended(self.state)
        return replace(
            self,
            when=state.when,
            content=state.content,
            recurrence=state.recurrence,
            version=self.version + 1,
            sequence=self.sequence + significant,
            updated_at=at,
        )

    def deleted(self, at: datetime) -> Event:
        """Return its tombstone."""
        return replace(self, deleted_at=at, version=self.version + 1, updated_at=at)


class EventPosition(NamedTuple):
    """Where an event stands in a list; no two stand in one place."""

    start: datetime
    id: UUID
    recurrence_id: datetime = NO_RECURRENCE_ID

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return an event's place."""
        return cls(event.when.span.start, event.id, event.recurrence_id or NO_RECURRENCE_ID)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Which events to list: those that overlap `span`, in order of start and id, after `after`.

    With `expand` these are not series but their occurrences, each at its own time.
    """

    span: TimeSpan
    calendar_ids: Sequence[UUID] | None
    limit: int
    after: EventPosition | None = None
    include_cancelled: bool = False
    expand: bool = False


def _attended(state: EventState) -> object:
    """Return what attendees must hear of when it changes."""
    return state.when, state.recurrence, state.content.status, state.content.location


def busy(when: When, content: EventContent) -> int:
    """Return what an event makes of its time, as `busy_kind` says it; 0 where it leaves it free."""
    status = busy_status(content)
    return 0 if status is None else busy_kind(status, all_day=when.all_day)


def busy_status(content: EventContent) -> BusyStatus | None:
    """Return what an event with this content makes of its time, None where it leaves it free.

    Transparent, cancelled and declined ones do. What is not certain, or not accepted yet, is tentative.
    """
    if content.transparent or content.status is EventStatus.CANCELLED or content.partstat is Partstat.DECLINED:
        return None
    if content.out_of_office:
        return BusyStatus.UNAVAILABLE
    certain = content.status is EventStatus.CONFIRMED and content.partstat is Partstat.ACCEPTED
    return BusyStatus.BUSY if certain else BusyStatus.TENTATIVE


def takes_place(state: EventState, window: TimeSpan) -> bool:
    """Tell whether an event, or any occurrence of a series, overlaps a window."""
    if state.recurrence is None:
        return state.when.span.overlaps(window)
    return bool(occurrences(state.when, state.recurrence, window))


def in_zone(state: EventState, tzid: str) -> EventState:
    """Return whole days in another zone: what an all-day event, and its occurrences, become when their calendar moves.

    Raises `Refused` where the zone has no such day.
    """
    recurrence = state.recurrence
    if recurrence is not None:
        moved = {
            wall: replace(override, when=override.when.moved_to(tzid) if override.when.all_day else override.when)
            for wall, override in recurrence.overrides.items()
        }
        recurrence = replace(recurrence, overrides=moved)
    return EventState(state.when.moved_to(tzid), state.content, recurrence)


def renewed(state: EventState) -> EventState:
    """Return what an event says by the zone data of today: the same wall times, at the instants that they are now."""
    recurrence = state.recurrence
    if recurrence is not None:
        overrides = {
            wall: replace(override, when=override.when.renewed()) for wall, override in recurrence.overrides.items()
        }
        recurrence = replace(recurrence, overrides=overrides)
    return EventState(state.when.renewed(), state.content, recurrence)


def unfit(state: EventState) -> str | None:
    """Return why an event that comes from elsewhere cannot be kept, None where it can."""
    content, when = state.content, state.when
    texts = [content.summary, content.location, content.description or "", content.organizer or ""]
    texts += [each.email for each in content.attendees] + [*content.metadata, *content.metadata.values()]
    if any(isinstance(read_text(text, at_most=MAX_DESCRIPTION), Malformed) for text in texts):
        return "It has text that is too long, or that nobody can print."
    if len(content.summary) > MAX_SUMMARY or len(content.location) > MAX_LOCATION:
        return "Its title or its place is too long."
    if not FIRST_YEAR <= when.start.year <= when.end.year <= LAST_YEAR:
        return f"It is not in {YEARS}."
    if state.recurrence is not None:
        exceptions = (state.recurrence.exdates, state.recurrence.rdates, state.recurrence.overrides)
        if any(len(each) > MAX_EXCEPTIONS for each in exceptions):
            return f"It has more than {MAX_EXCEPTIONS} exceptions."
    return None


def newly_busy(before: Event | None, after: Event) -> list[TimeSpan]:
    """Return the times, in order, that an event takes and did not hold before: by a move, an un-cancel, a confirm.

    Every path to busy time passes the same guard with these; a change that frees time, or only renames, has none. With
    another policy, all of it is guarded anew.
    """
    spans = after.times(after.updated_at)
    if before is None or after.content.on_conflict is not before.content.on_conflict:
        return spans
    confirmed = EventStatus.CONFIRMED
    if after.content.status is confirmed and before.content.status is not confirmed:
        return spans
    held = union(map(span_of, before.times(after.updated_at)))
    return [span for span in spans if not holds(held, *span_of(span))]
