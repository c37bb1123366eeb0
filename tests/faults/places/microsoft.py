"""Microsoft 365, simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from tests.faults.client import Client
from tests.faults.ledger import CONFIRMED, Said
from tests.faults.places.place import ZONE, Copy, Surroundings, address_of
from tests.faults.places.simulated import Simulated


class Microsoft(Simulated):
    """Each owner has a main calendar and a second one, written to one after the other.

    What is cancelled here is deleted there; whoever is not to be mailed is not written there.
    """

    name = provider = what = "microsoft"
    keeps_cancelled = False
    keeps_guests = False
    lanes = 1
    prefers = MappingProxyType({"prefer": 'IdType="ImmutableId"'})

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._revoked: set[int] = set()

    async def make_calendars(self, owner: int) -> list[str]:
        """Add the second calendar."""
        account = f"/_control/calendars/{address_of(owner)}"
        await self.ask("POST", account, {"name": f"second of {owner}"})
        return [each["id"] for each in await self.ask("GET", account)]

    async def writes(self) -> Counter[str]:
        """Return the writes by the name that Kalends gave the copy, where it made it."""
        events = [each for calendar in self.links for each in await self.ask("GET", self.control(calendar))]
        named = {each["id"]: each["transactionId"] for each in events if each["transactionId"] is not None}
        paths = [(each["named"], each["path"].rpartition("/")[2]) for each in await self.passed()]
        return Counter(given or named.get(last, last) for given, last in paths)

    async def revoke(self, owner: int) -> None:
        """Withdraw the grant: no application gets in any more."""
        self._revoked.add(owner)
        await super().revoke(owner)

    async def reconnect(self, client: Client, owner: int) -> None:
        """Grant it anew."""
        await super().reconnect(client, owner)
        self._revoked.discard(owner)

    def control(self, calendar: str) -> str:
        """Return the path of a calendar's events at the simulator's control."""
        owner, remote = self.links[calendar]
        return f"/_control/calendars/{address_of(owner)}/{quote(remote, safe='')}/events"

    def path(self, copy: Copy) -> str:
        """Return the path of an event in Graph."""
        return f"/v1.0/me/calendars/{quote(self.theirs(copy.calendar), safe='')}/events/{quote(copy.name, safe='')}"

    def asked_of_owner(self, owner: int) -> dict[str, Any]:
        """Return the account."""
        return {"account": address_of(owner)}

    def is_alive(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is in its calendar."""
        return not event["deleted"]

    def copy(self, calendar: str, event: Mapping[str, Any]) -> Copy:
        """Return an event in the harness' words."""
        said = {
            "what": event["subject"],
            "where": event["location"]["displayName"],
            "when": (_moment(event["start"]), _moment(event["end"])),
            "status": CONFIRMED,
        }
        guests = [each["emailAddress"]["address"] for each in event["attendees"]]
        description = event["body"]["content"].replace("\r\n", "\n").strip()
        return Copy(calendar, event["id"], event["@odata.etag"], said, description, guests)

    def words(self, values: Said) -> dict[str, Any]:
        """Return fields in Graph's words."""
        words: dict[str, Any] = {}
        if "what" in values:
            words["subject"] = values["what"]
        if "where" in values:
            words["location"] = {"displayName": values["where"]}
        if "when" in values:
            for name, moment in zip(("start", "end"), values["when"], strict=True):
                wall = moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
                words[name] = {"dateTime": wall.isoformat(), "timeZone": ZONE}
        return words

    def described(self, description: str) -> dict[str, Any]:
        """Return a description in Graph's words."""
        return {"body": {"contentType": "text", "content": description}}

    async def _as_person(self, method: str, copy: Copy, body: Any = None) -> bool:
        """Write as the owner: also where applications are not let in, and so nobody else writes."""
        if self.links[copy.calendar][0] not in self._revoked:
            return await super()._as_person(method, copy, body)
        path = f"{self.control(copy.calendar)}/{quote(copy.name, safe='')}"
        return (await self.http.request(method, path, json=body)).status_code == 200


def _moment(time: Mapping[str, str]) -> datetime:
    zone = {"UTC": UTC}.get(time["timeZone"]) or ZoneInfo(time["timeZone"])
    return datetime.fromisoformat(time["dateTime"]).replace(tzinfo=zone).astimezone(UTC)
