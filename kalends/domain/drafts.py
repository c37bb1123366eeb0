"""What callers write about events, and how it is judged: every problem at once, each with its path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypedDict, TypeVar

from kalends.domain.errors import InvalidInput, Malformed, Problem, Refused
from kalends.domain.events import (
    LONGEST_REMINDER,
    MAX_ATTENDEES,
    MAX_DESCRIPTION,
    MAX_LOCATION,
    MAX_REMINDERS,
    MAX_SUMMARY,
    Attendee,
    ConflictPolicy,
    EventContent,
    EventState,
    EventStatus,
    Partstat,
    Visibility,
)
from kalends.domain.recurrence import Recurrence
from kalends.domain.repeating import RecurrenceDraft
from kalends.domain.series import carried_over, moved_as
from kalends.domain.time import When, read_when
from kalends.domain.values import read_text

T = TypeVar("T")
_TIMES = frozenset(("start", "end", "all_day", "tzid"))


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
    out_of_office: bool = False
    status: EventStatus = EventStatus.CONFIRMED
    on_conflict: ConflictPolicy = ConflictPolicy.ALLOW
    visibility: Visibility = Visibility.DEFAULT
    reminders: tuple[int, ...] | None = None
    metadata: dict[str, str] | Malformed = field(default_factory=dict)
    recurrence: RecurrenceDraft | None = None

    def judged(self, *, calendar_tzid: str, owner: str | None) -> EventState:
        """Return what the event says; raise `Refused` with every problem at once."""
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
            out_of_office=self.out_of_office,
            status=self.status,
            on_conflict=self.on_conflict,
            metadata=checked(problems, "metadata", self.metadata, {}),
            visibility=self.visibility,
            reminders=checked(problems, "reminders", read_reminders(self.reminders), None),
        )
        recurrence = _judged(problems, self.recurrence, when) if self.recurrence and when else None
        if problems or when is None:
            raise Refused(*problems)
        return EventState(when, content, recurrence)


def _judged(problems: list[Problem], draft: RecurrenceDraft, when: When) -> Recurrence | None:
    try:
        return draft.judged(when)
    except Refused as refused:
        problems.extend(refused.under("recurrence").problems)
        return None


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


def read_reminders(minutes: tuple[int, ...] | None) -> tuple[int, ...] | Malformed | None:
    """Read reminders: sorted, each once; None stays None."""
    if minutes is None:
        return None
    once = tuple(sorted(set(minutes)))
    if len(once) > MAX_REMINDERS or not all(0 <= each <= LONGEST_REMINDER for each in once):
        return Malformed(f"at most {MAX_REMINDERS} numbers of minutes, 0 to {LONGEST_REMINDER} each")
    return once


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
    out_of_office: bool
    status: EventStatus
    on_conflict: ConflictPolicy
    visibility: Visibility
    reminders: tuple[int, ...] | None
    metadata: dict[str, str] | Malformed
    recurrence: RecurrenceDraft | None


def revised(
    state: EventState, changes: EventChanges, *, calendar_tzid: str, owner: str | None, seen_at: When | None = None
) -> EventState:
    """Return what an event says after these changes; raise `Refused` with every problem of theirs.

    What is absent stays, also where it came from a provider and breaks a rule of ours. A new zone alone keeps the
    instants and changes the wall time. Attendees who stay keep their answers. A series moves as a whole, and its
    exceptions with it; where it is to repeat in another way, those stay that are still about one of its times. Whoever
    saw the series `seen_at` one of its times tells the new time of that one.
    """
    seen, content = seen_at or state.when, state.content
    unchanged = EventDraft(
        start=seen.start_date if seen.all_day else seen.span.start,
        end=seen.end_date if seen.all_day else seen.span.end,
        summary="unchanged",
        location="",
        partstat=content.partstat,
        all_day=seen.all_day,
        tzid=None if changes.get("all_day", seen.all_day) else seen.tzid,
    )
    told: dict[str, Any] = {**changes}
    draft: RecurrenceDraft | None = told.pop("recurrence", None)
    problems: list[Problem] = []
    when = state.when
    try:
        judged = replace(unchanged, **told).judged(calendar_tzid=calendar_tzid, owner=owner)
        if changes.keys() & _TIMES:
            when = judged.when if seen_at is None else moved_as(state, seen_at, judged.when)
    except Refused as refused:
        problems.extend(refused.problems)
    recurrence = _judged(problems, draft, when) if draft else None
    if problems:
        raise Refused(*problems)
    new = {name: getattr(judged.content, name) for name in told.keys() - _TIMES}
    answers = {each.email.lower(): each.partstat for each in content.attendees}
    if owner and "partstat" in changes:
        answers[owner.lower()] = changes["partstat"]
    invited_now = judged.content.attendees if "attendees" in changes else content.attendees
    new["attendees"] = tuple(
        replace(each, partstat=answers.get(each.email.lower(), each.partstat)) for each in invited_now
    )
    anew = "recurrence" in changes
    after = EventState(when, replace(content, **new), recurrence if anew else state.recurrence)
    return carried_over(state, after, anew=anew)


def with_partstat(content: EventContent, partstat: Partstat, *, owner: str | None) -> EventContent:
    """Return the content after the calendar's owner has answered."""
    attendees = tuple(
        replace(each, partstat=partstat) if owner and each.email.lower() == owner.lower() else each
        for each in content.attendees
    )
    return replace(content, partstat=partstat, attendees=attendees)
