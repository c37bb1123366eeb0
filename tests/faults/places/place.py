"""What every provider's side can do for the harness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.client import Client
from tests.faults.ledger import Entry, Said

OWNERS, CALENDARS_EACH = 3, 2
ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class Faults:
    """How a provider treats an account. The shares are of the calls to it, those that lose answers of the writes.

    `latency` is in seconds. `half_body` and `hang` are not for the sandbox: there, what they stand for is a lost reply.
    """

    latency: float = 0.0
    unavailable: float = 0.0  # 503, nothing is done
    throttled: float = 0.0  # 429, nothing is done
    retry_after: int = 1
    reply_lost: float = 0.0  # it is done, and the connection breaks
    half_body: float = 0.0  # it is done, and the answer breaks off
    hang: float = 0.0  # nothing is done, and no answer comes


@dataclass(frozen=True)
class Copy:
    """An event as its provider has it. `calendar` is ours; `name` and `etag` are the provider's.

    `whole` is the event in the provider's own words, where the judge compares it all.
    """

    calendar: str
    name: str
    etag: str
    said: Said
    description: str
    guests: Collection[str]
    whole: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What a place is told: the folder for its files, the database, and where Kalends will listen.

    `hooks`: it calls Kalends when something has changed. `page`: so many events at most are in one list.
    """

    folder: Path
    database: str
    kalends: str
    hooks: bool = False
    page: int | None = None


class Place(ABC):
    """One provider's side. `links` are its owners' numbers and its own names for calendars, by ours.

    `keeps_cancelled`: what is cancelled here stays visible there. `keeps_guests`: also without invitations. `lanes`:
    how many of an account's calendars are written to at the same time. `pace`: how many calls it gets for each that the
    sandbox gets.
    """

    name: str
    provider: str
    keeps_cancelled = True
    keeps_guests = True
    lanes = CALENDARS_EACH
    pace = 0.3

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.links: dict[str, tuple[int, str]] = {}
        self.accounts: dict[int, str] = {}

    # Its life

    @abstractmethod
    async def open(self) -> None:
        """Start what belongs to it."""

    @abstractmethod
    async def close(self) -> None:
        """End it."""

    def settings(self) -> dict[str, object]:
        """Return the settings that Kalends needs to find it."""
        return {}

    @abstractmethod
    async def connect(self, client: Client, owner: int, resource_id: str) -> list[str]:
        """Open an owner's account as they would, and return our ids of its calendars, linked."""

    # What is there

    @abstractmethod
    async def copies(self, calendar: str) -> list[Copy]:
        """Return everything alive in a calendar of ours, as it is there."""

    async def everything(self) -> list[Copy]:
        """Return everything alive in all calendars."""
        return [copy for calendar in self.links for copy in await self.copies(calendar)]

    async def look(self, copy: Copy) -> Copy | None:
        """Return a copy as it is now, None where it is no more."""
        return next((each for each in await self.copies(copy.calendar) if each.name == copy.name), None)

    @abstractmethod
    async def writes(self) -> Counter[str]:
        """Return how often Kalends has written each copy, by the names that it gave them, or else by their own."""

    @abstractmethod
    async def met(self) -> Counter[str]:
        """Return what has gone wrong on demand with Kalends' calls, and how often."""

    async def violations(self) -> Sequence[str]:
        """Return what Kalends has sent that the provider would not understand."""
        return ()

    # What people do there

    @abstractmethod
    async def add(self, entry: Entry) -> None:
        """Add an event."""

    @abstractmethod
    async def change(self, copy: Copy, values: Said) -> bool:
        """Change fields of an event; False where it is not as it was any more."""

    @abstractmethod
    async def remove(self, copy: Copy) -> bool:
        """Delete an event; False where it is not as it was any more."""

    # What goes wrong

    @abstractmethod
    async def misbehave(self, faults: Faults, owners: Collection[int] = range(OWNERS)) -> None:
        """Treat these owners' accounts so from now on."""

    @abstractmethod
    async def revoke(self, owner: int) -> None:
        """Let an owner's account in no more."""

    @abstractmethod
    async def reconnect(self, client: Client, owner: int) -> None:
        """Let an owner open the account again, as they would."""

    @abstractmethod
    async def busy(self, owner: int, since: float, until: float) -> int:
        """Return how many of Kalends' calls for an account were answered with 429, between two times."""

    # What their kinds share

    def theirs(self, calendar: str) -> str:
        """Return a calendar's name there."""
        return self.links[calendar][1]

    def told_to_wait(self, seconds: int) -> float:
        """Return for how many seconds Kalends is told to wait where a fault says so many."""
        return float(seconds)

    def of(self, owner: int) -> list[str]:
        """Return an owner's calendars, by our ids."""
        return [calendar for calendar, (number, _) in self.links.items() if number == owner]


def address_of(owner: int) -> str:
    """Return an owner's e-mail address."""
    return f"owner-{owner}@example.com"
