"""What can be wrong with a request, as values, and the one exception that carries them.

    KalendsError
    └── Refused            the caller asked for something that is not possible; nothing was written
          .problems        one or more of:
              Problem
              ├── InvalidInput          a value that cannot be read, or breaks a rule
              ├── NotFound              no such thing in this app
              ├── TimeConflict          the time is taken (policy REJECT)
              ├── NotAvailable          a profile does not let it be booked
              ├── StaleVersion          somebody else changed it first
              ├── NotWritable           the calendar is read-only or archived
              ├── KeyReused             one idempotency key, two different requests
              ├── InUse                 it still holds what would be lost with it
              ├── ProviderUnavailable   a provider does not answer now: the same request may succeed later
              └── ProviderRefused       a provider will not do it until a person acts

A problem's `path` uses the domain's words; the schema translates it into the words of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from uuid import UUID

if TYPE_CHECKING:
    from datetime import datetime

    from kalends.domain.availability import RefusedSlot
    from kalends.domain.events import Event
    from kalends.domain.time import TimeSpan

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. `code` is stable and meant for programs, `message` for people."""

    code: str
    message: str
    path: Path = ()

    def under(self, *prefix: str) -> Self:
        """Return the same problem, one or more levels further down."""
        return replace(self, path=(*prefix, *self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidInput(Problem):
    """A value that cannot be read or breaks a rule; `expected` says what would have been accepted."""

    expected: str
    code: str = "INVALID_VALUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound(Problem):
    """No such thing in this app. A foreign id and an unknown one look the same, on purpose."""

    code: str = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Collision:
    """A time of an event that is taken already, by `count` others; `events` are those of them that are named."""

    span: TimeSpan
    events: tuple[Event, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeConflict(Problem):
    """The calendar is busy in some of that time. `exdates` are the times without which a series would fit."""

    collisions: tuple[Collision, ...]
    exdates: tuple[datetime, ...] = ()
    code: str = "TIME_CONFLICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAvailable(Problem):
    """A profile does not let `count` of an event's times be booked; `refused` are the first of them, with the reasons.

    `told` says whether the caller may know what takes time.
    """

    refused: tuple[RefusedSlot, ...]
    count: int
    told: bool
    code: str = "NOT_AVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleVersion(Problem):
    """The caller's `expectedVersion` is not the stored one, which is `current_version`."""

    current_version: int
    code: str = "STALE_VERSION"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritable(Problem):
    """The calendar takes no changes: code CALENDAR_READ_ONLY or CALENDAR_ARCHIVED."""

    calendar_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReused(Problem):
    """The idempotency key belongs to an earlier, different request."""

    code: str = "IDEMPOTENCY_KEY_REUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse(Problem):
    """It cannot go while it holds `count` other things."""

    count: int
    code: str = "IN_USE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUnavailable(Problem):
    """A provider did not do it and may do it later, in `retry_after` seconds where it said so."""

    retry_after: float | None = None
    code: str = "PROVIDER_UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefused(Problem):
    """A provider will not do it until a person acts; the code says who and what."""

    code: str = "PROVIDER_REFUSED"


class KalendsError(Exception):
    """The root of every exception that Kalends raises on purpose."""


class CalendarsStale(KalendsError):
    """There is no answer: the providers of these calendars were not read for too long, and their policy is FAIL."""

    def __init__(self, calendar_ids: Sequence[UUID]) -> None:
        super().__init__("What is known of some calendars is too old, and they say that this must fail.")
        self.calendar_ids = calendar_ids


class Refused(KalendsError):
    """The request is not possible, and why; nothing was written."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{'.'.join(p.path) or 'request'}: {p.message}" for p in problems))
        self.problems = problems

    def under(self, *prefix: str) -> Refused:
        """Return the same refusal with every path one or more levels further down."""
        return Refused(*(problem.under(*prefix) for problem in self.problems))


def invalid(name: str, expected: str) -> InvalidInput:
    """Return that the value under a name is none of those that were expected."""
    return InvalidInput(path=(name,), message=f"Expected {expected}.", expected=expected)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands where a value should be that could not be read: a reader that must not raise returns it."""

    expected: str
