"""What there is: accounts, calendars, events, mail. All of it in memory, and gone with the process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .errors import Refusal, forbidden, not_found

Wire = dict[str, Any]

WRITERS = ("owner", "writer", "writerWithoutPrivateAccess")
BASE32HEX = "0123456789abcdefghijklmnopqrstuv"


@dataclass
class Record:
    """An event as it is kept. An exception of a series keeps what differs from it, and of when it would have been.

    `revision` is of its last change, among all changes of all events; `number` of its creation.
    """

    id: str
    number: int
    revision: int
    body: Wire
    created: datetime
    updated: datetime
    deleted: bool = False
    master: str | None = None
    original: Wire | None = None


@dataclass
class Calendar:
    """A calendar. `roles` say what each account may do; `epoch` grows when all sync tokens expire at once."""

    id: str
    summary: str
    time_zone: str
    roles: dict[str, str]
    records: dict[str, Record] = field(default_factory=dict)
    epoch: int = 0

    def exceptions(self, master: str) -> list[Record]:
        """Return what differs from a series."""
        return [each for each in self.records.values() if each.master == master]


@dataclass(frozen=True)
class Mail:
    """A message to a guest or an organizer: `invitation`, `update`, `cancellation` or `reply`."""

    recipient: str
    kind: str
    calendar: str
    event: str
    summary: str


@dataclass(frozen=True)
class Caller:
    """Who asks: an account, and what it has allowed."""

    account: str
    scopes: frozenset[str]


class World:
    """All of Google. Each account's primary calendar has the account's address as its id."""

    def __init__(self, clock: Callable[[], datetime], accounts: Mapping[str, str]) -> None:
        """Open accounts: their addresses, and the zones of their primary calendars."""
        self.clock = clock
        self.accounts = dict.fromkeys(accounts)
        self.calendars: dict[str, Calendar] = {}
        self.mail: list[Mail] = []
        self.changed: list[str] = []  # calendars whose channels have not been told yet
        self._revision = 0
        for address, time_zone in accounts.items():
            self.add_calendar(address, address, time_zone, {address: "owner"})

    @property
    def revision(self) -> int:
        """The last change of all."""
        return self._revision

    def add_calendar(self, calendar_id: str, summary: str, time_zone: str, roles: dict[str, str]) -> Calendar:
        """Add a calendar."""
        self.calendars[calendar_id] = Calendar(calendar_id, summary, time_zone, roles)
        return self.calendars[calendar_id]

    def listed(self, account: str) -> Iterator[tuple[Calendar, str]]:
        """Yield the calendars that an account sees, and its role in each."""
        for calendar in self.calendars.values():
            if account in calendar.roles:
                yield calendar, calendar.roles[account]

    def calendar(self, calendar_id: str, caller: Caller, *, write: bool = False) -> Calendar:
        """Return a calendar; `primary` is the caller's own."""
        calendar = self.calendars.get(caller.account if calendar_id == "primary" else calendar_id)
        role = calendar.roles.get(caller.account) if calendar else None
        if calendar is None or role is None:
            raise not_found()
        if write and role not in WRITERS:
            raise forbidden("requiredAccessLevel", "You need to have writer access to this calendar.")
        return calendar

    def changes(self, calendar: Calendar, record: Record) -> None:
        """Note that an event has changed, for whoever asks, and for whoever wants to be told."""
        self._revision += 1
        record.revision = self._revision
        record.number = record.number or self._revision
        record.updated = self.clock()
        calendar.records[record.id] = record
        self.changed.append(calendar.id)


def new_id(length: int = 26) -> str:
    """Return an id as Google makes them."""
    return "".join(secrets.choice(BASE32HEX) for _ in range(length))


def require_scope(caller: Caller, *scopes: str) -> None:
    """Refuse who has not been allowed any of this."""
    wanted = {f"https://www.googleapis.com/auth/{each}" for each in (*scopes, "calendar")}
    if not wanted & caller.scopes:
        raise Refusal(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
