"""What the simulator remembers: mailboxes, their calendars, the events in them, and the mail that was sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from .errors import malformed_id, not_found
from .recurring import days
from .times import instant

Wire = dict[str, Any]


@dataclass
class Behaviour:
    """What Graph does or may do; a test turns it to the harder side."""

    stale_status: int = 412  # of another version: 412, or 409
    remembers_deleted: bool = True  # a `transactionId` stays taken after its event was deleted
    finds_deleted: bool = False  # an immutable id still finds what lies among the deleted items
    keeps_declined: bool = False  # what its owner has declined stays in the calendar
    masters_in_delta: bool = True  # a series comes beside its bare occurrences
    series_etag_tells: bool = True  # the etag of a series changes with its occurrences
    original_start: bool = True  # occurrences say when they would have started
    resets_exceptions: bool = True  # writing the time of a series takes its exceptions away
    told_times: int = 1  # how often a delta tells of each change
    most_at_once: int = 4  # requests to one mailbox
    html_in_delta: bool = False  # a delta ignores that text was asked for
    has_mailbox: bool = True  # not every account of Microsoft's has one in Exchange Online
    scope_prefix: str = "https://graph.microsoft.com/"  # before the scopes that were granted


@dataclass
class Item:
    """A single event, or a series with its exceptions: what differs, by the day that an occurrence was planned for."""

    id: str
    calendar: str
    fields: Wire
    start: datetime  # wall times, in `zone`
    end: datetime
    zone: str
    all_day: bool
    created: datetime
    uid: str
    recurrence: Wire | None = None
    exceptions: dict[date, Wire] = field(default_factory=dict)
    cancelled: set[date] = field(default_factory=set)
    properties: dict[str, str] = field(default_factory=dict)
    transaction: str | None = None
    organizer: str | None = None  # None: the calendar's owner
    response: str = "organizer"
    is_cancelled: bool = False
    deleted: bool = False
    version: int = 0
    versions: dict[date, int] = field(default_factory=dict)  # of the exceptions
    garbled: Wire = field(default_factory=dict)  # what is shown in place of what it says

    def duration(self) -> timedelta:
        """Return how long it takes."""
        return self.end - self.start

    def days(self) -> Iterator[date]:
        """Yield the planned days of a series that take place."""
        if self.recurrence is not None:
            yield from (day for day in days(self.recurrence) if day not in self.cancelled)

    def times(self, day: date) -> tuple[datetime, datetime, str, bool]:
        """Return when an occurrence is: its wall times, their zone, and whether it takes whole days."""
        changed = self.exceptions.get(day, {})
        start = datetime.combine(day, self.start.time())
        start, end = changed.get("start", start), changed.get("end", start + self.duration())
        return start, end, changed.get("zone", self.zone), changed.get("all_day", self.all_day)

    def span(self, day: date | None = None) -> tuple[datetime, datetime]:
        """Return the instants of the event, or of an occurrence."""
        start, end, zone, _ = self.times(day) if day else (self.start, self.end, self.zone, self.all_day)
        return instant(start, zone), instant(end, zone)

    def occurrences(self, since: datetime, until: datetime) -> list[date]:
        """Return the planned days of the occurrences that overlap a window."""
        found = []
        for day in self.days():
            begins, ends = self.span(day)
            if begins < until and (since < ends or begins == ends == since):
                found.append(day)
            if day not in self.exceptions and begins >= until:
                break
        return found

    def overlaps(self, since: datetime, until: datetime) -> bool:
        """Tell whether any of it is in a window."""
        if self.recurrence is not None:
            return bool(self.occurrences(since, until))
        begins, ends = self.span()
        return begins < until and since < ends


@dataclass
class Calendar:
    """A calendar. `log` are the events that were written, in order; deltas read it from a position on."""

    id: str
    name: str
    owner: str
    can_edit: bool = True
    default: bool = False
    log: list[str] = field(default_factory=list)


@dataclass
class Mailbox:
    """Somebody's calendars and events. `transactions` are the bodies that created events, by their `transactionId`."""

    address: str
    calendars: dict[str, Calendar] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    transactions: dict[str, tuple[str, str]] = field(default_factory=dict)
    at_once: int = 0

    def calendar(self, name: str) -> Calendar:
        """Return a calendar."""
        if name not in self.calendars:
            raise not_found() if _is_id(name) else malformed_id()
        return self.calendars[name]


class World:
    """Everything."""

    def __init__(self, clock: Callable[[], datetime], accounts: Mapping[str, str]) -> None:
        self.clock = clock
        self.behaviour = Behaviour()
        self.mailboxes: dict[str, Mailbox] = {}
        self.mail: list[Wire] = []
        self.changed: list[tuple[str, str, str]] = []  # calendar, event and what happened: what channels tell
        self._numbers = count(1)
        for address, calendar in accounts.items():
            self.add_calendar(self.mailboxes.setdefault(address, Mailbox(address)), calendar, default=True)

    def number(self) -> int:
        """Return a number that grows."""
        return next(self._numbers)

    def new_id(self, kind: str) -> str:
        """Return an id as Graph's look: opaque, case-sensitive, fit for a URL."""
        raw = f"simulated {kind} {self.number():08d}".encode()
        return "AAkALg" + base64.urlsafe_b64encode(raw).decode()

    def add_calendar(self, mailbox: Mailbox, name: str, *, default: bool = False, can_edit: bool = True) -> Calendar:
        """Add a calendar to a mailbox."""
        calendar = Calendar(self.new_id("calendar"), name, mailbox.address, can_edit, default)
        mailbox.calendars[calendar.id] = calendar
        return calendar

    def wrote(self, mailbox: Mailbox, item: Item, what: str, day: date | None = None) -> None:
        """Note that an event was written, or one of its occurrences."""
        if day is None or self.behaviour.series_etag_tells:
            item.version = self.number()
        if day is not None:
            item.versions[day] = self.number()
        self.tell(mailbox, item, what)

    def tell(self, mailbox: Mailbox, item: Item, what: str) -> None:
        """Let deltas and channels tell of an event."""
        if item.calendar in mailbox.calendars:
            mailbox.calendars[item.calendar].log.append(item.id)
        self.changed.append((item.calendar, item.id, what))

    def post(self, item: Item, kind: str, addresses: Mapping[str, Any]) -> None:
        """Mail somebody."""
        self.mail += [{"to": each, "kind": kind, "subject": item.fields["subject"]} for each in addresses]


def occurrence_id(item: Item, day: date) -> str:
    """Return the id of an occurrence."""
    return f"{item.id}-O-{day:%Y%m%d}"


def planned(occurrence: str) -> tuple[str, date | None]:
    """Return the id of an event, and the day where it is of an occurrence."""
    master, mark, day = occurrence.partition("-O-")
    if not _is_id(master):
        raise malformed_id()
    return master, date.fromisoformat(day) if mark else None


def _is_id(text: str) -> bool:
    return text.startswith("AAkALg")
