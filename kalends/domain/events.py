"""The event: what blocks time in a calendar, and the rules that hold for every one of them.

The words are RFC 5545's; the ones on the GraphQL surface are the schema's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TypedDict, TypeVar
from uuid import UUID

from kalends.domain.errors import InvalidInput, Malformed, Problem, Refused
from kalends.domain.time import TimeSpan, When, read_when
from kalends.domain.values import read_text

T = TypeVar("T")

MAX_SUMMARY, MAX_LOCATION, MAX_DESCRIPTION = 1024, 1024, 32_768
MAX_ATTENDEES = 200  # past this, Google stops to propagate responses
MAX_BATCH = 100


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
    """What an event says, without its time, identity or history."""

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


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. `version` grows with every change; `sequence` (RFC 5545 section 3.8.7.4) with those that
    attendees must hear of. `deleted_at` marks one that is gone and only waits for its provider to forget it.
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

    @property
    def blocks(self) -> bool:
        """Whether its time counts as busy: transparent, cancelled, declined and deleted events do not."""
        return self.deleted_at is None and blocks(self.content)

    def changed(self, *, when: When, content: EventContent, at: datetime) -> Event:
        """Return the next version; the same event where nothing differs."""
        if (when, content) == (self.when, self.content):
            return self
        significant = (when, content.status, content.location) != (
            self.when,
            self.content.status,
            self.content.location,
        )
        return replace(
            self,
            when=when,
            content=content,
            version=self.version + 1,
            sequence=self.sequence + significant,
            updated_at=at,
        )

    def deleted(self, at: datetime) -> Event:
        """Return its tombstone."""
        return replace(self, deleted_at=at, version=self.version + 1, updated_at=at)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Which events to list: those that overlap `span`, in order of start and id, after `after`."""

    span: TimeSpan
    calendar_ids: Sequence[UUID] | None
    limit: int
    after: tuple[datetime, UUID] | None = None
    include_cancelled: bool = False


def blocks(content: EventContent) -> bool:
    """Tell whether an event with this content makes its time busy."""
    return (
        not content.transparent
        and content.status is not EventStatus.CANCELLED
        and content.partstat is not Partstat.DECLINED
    )


def becomes_busy(before: Event, after: Event) -> bool:
    """Tell whether a change takes time that the event did not hold before: a move, an un-cancel, a confirm.

    Every path to busy time passes the same guard; a change that frees time, or only renames, needs none.
    """
    if not after.blocks:
        return False
    confirmed = after.content.status is EventStatus.CONFIRMED and before.content.status is not EventStatus.CONFIRMED
    other_policy = after.content.on_conflict is not before.content.on_conflict
    now, held = after.when.span, before.when.span
    return not before.blocks or confirmed or other_policy or now.start < held.start or now.end > held.end


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """What a caller wrote for a new event, read but not yet judged."""

    start: datetime | date | Malformed
    end: datetime | date | Malformed
    summary: str
    location: str
    description: str | None = None
    attendees: tuple[str | Malformed, ...] = ()
    partstat: Partstat = Partstat.ACCEPTED
    send_invitations: bool = False
    all_day: bool = False
    tzid: str | Malformed | None = None
    transparent: bool = False
    status: EventStatus = EventStatus.CONFIRMED
    on_conflict: ConflictPolicy = ConflictPolicy.ALLOW
    metadata: dict[str, str] | Malformed = field(default_factory=dict)

    def judged(self, *, calendar_tzid: str, owner: str | None) -> tuple[When, EventContent]:
        """Return the event's time and content; raise `Refused` with every problem at once."""
        problems: list[Problem] = []
        when: When | None = None
        try:
            when = read_when(self.start, self.end, all_day=self.all_day, tzid=self.tzid, calendar_tzid=calendar_tzid)
        except Refused as refused:
            problems.extend(refused.problems)
        content = EventContent(
            summary=checked(problems, "summary", read_text(self.summary, at_least=1, at_most=MAX_SUMMARY), ""),
            location=checked(problems, "location", read_text(self.location, at_most=MAX_LOCATION), ""),
            description=checked_description(problems, self.description),
            attendees=invited(problems, self.attendees, owner=owner, partstat=self.partstat),
            partstat=self.partstat,
            send_invitations=self.send_invitations,
            transparent=self.transparent,
            status=self.status,
            on_conflict=self.on_conflict,
            metadata=checked(problems, "metadata", self.metadata, {}),
        )
        if problems or when is None:
            raise Refused(*problems)
        return when, content


def checked(problems: list[Problem], name: str, value: T | Malformed, otherwise: T) -> T:
    """Return the value, or note the problem under `name` and return `otherwise`."""
    if not isinstance(value, Malformed):
        return value
    problems.append(InvalidInput(path=(name,), message=f"Expected {value.expected}.", expected=value.expected))
    return otherwise


def checked_description(problems: list[Problem], text: str | None) -> str | None:
    """Return the description, or note what is wrong with it."""
    if text is None:
        return None
    return checked(problems, "description", read_text(text, at_most=MAX_DESCRIPTION), None)


def invited(
    problems: list[Problem], emails: Sequence[str | Malformed], *, owner: str | None, partstat: Partstat
) -> tuple[Attendee, ...]:
    """Return the attendees, duplicates folded; `owner`, if among them, has `partstat`, the others none yet."""
    folded: dict[str, Attendee] = {}
    flood = len(emails) > 2 * MAX_ATTENDEES  # so many that nobody would read the problems of each
    for number, email in enumerate(() if flood else emails):
        if isinstance(email, Malformed):
            message = f"Expected {email.expected}."
            path = ("attendees", str(number))
            problems.append(InvalidInput(path=path, message=message, expected=email.expected))
            continue
        mine = owner is not None and email.lower() == owner.lower()
        folded.setdefault(email.lower(), Attendee(email, partstat if mine else Partstat.NEEDS_ACTION))
    count = len(emails) if flood else len(folded)
    if count > MAX_ATTENDEES:
        expected = f"at most {MAX_ATTENDEES} participants"
        message = f"Expected {expected}; these are {count}."
        problems.append(InvalidInput(path=("attendees",), message=message, expected=expected))
    return tuple(folded.values())


class EventChanges(TypedDict, total=False):
    """What a caller wants changed; what is absent stays as it is. The fields are those of `EventDraft`."""

    start: datetime | date | Malformed
    end: datetime | date | Malformed
    summary: str
    location: str
    description: str | None
    attendees: tuple[str | Malformed, ...]
    partstat: Partstat
    send_invitations: bool
    all_day: bool
    tzid: str | Malformed | None
    transparent: bool
    status: EventStatus
    on_conflict: ConflictPolicy
    metadata: dict[str, str] | Malformed


def revised(event: Event, changes: EventChanges, *, calendar_tzid: str, owner: str | None, at: datetime) -> Event:
    """Return the event after these changes; raise `Refused` with every problem.

    A new zone alone keeps the instants and changes the wall time. Attendees who stay keep their answers.
    """
    when, content = event.when, event.content
    unchanged = EventDraft(
        start=when.start_date if when.all_day else when.span.start,
        end=when.end_date if when.all_day else when.span.end,
        summary=content.summary,
        location=content.location,
        description=content.description,
        attendees=tuple(each.email for each in content.attendees),
        partstat=content.partstat,
        send_invitations=content.send_invitations,
        all_day=when.all_day,
        tzid=None if changes.get("all_day", when.all_day) else when.tzid,
        transparent=content.transparent,
        status=content.status,
        on_conflict=content.on_conflict,
        metadata=dict(content.metadata),
    )
    new_when, new_content = replace(unchanged, **changes).judged(calendar_tzid=calendar_tzid, owner=owner)
    answers = {each.email.lower(): each.partstat for each in content.attendees}
    if owner and "partstat" in changes:
        answers.pop(owner.lower(), None)
    attendees = tuple(
        replace(each, partstat=answers.get(each.email.lower(), each.partstat)) for each in new_content.attendees
    )
    return event.changed(when=new_when, content=replace(new_content, attendees=attendees), at=at)


def with_partstat(content: EventContent, partstat: Partstat, *, owner: str | None) -> EventContent:
    """Return the content after the calendar's owner has answered."""
    attendees = tuple(
        replace(each, partstat=partstat) if owner and each.email.lower() == owner.lower() else each
        for each in content.attendees
    )
    return replace(content, partstat=partstat, attendees=attendees)
