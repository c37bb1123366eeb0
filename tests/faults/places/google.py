"""Google Calendar, simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from tests.faults.ledger import Said
from tests.faults.places.place import ZONE, Copy, address_of
from tests.faults.places.simulated import Simulated

SCOPES = ("https://www.googleapis.com/auth/calendar.events",)


class Google(Simulated):
    """Each owner has a primary calendar and a second one. What is cancelled here is deleted there."""

    name = provider = what = "google"
    keeps_cancelled = False

    async def make_calendars(self, owner: int) -> list[str]:
        """Add the second calendar."""
        address = address_of(owner)
        second = f"second-of-{address}"
        asked = {"id": second, "timeZone": ZONE, "roles": {address: "owner"}}
        await self.ask("POST", "/_control/calendars", asked)
        return [address, second]

    async def writes(self) -> Counter[str]:
        """Return the writes by the id that the client chose."""
        names = [each["named"] or each["path"].rpartition("/")[2] for each in await self.passed()]
        return Counter(names)

    def parts(self, owner: int) -> list[str]:
        """Return the calendars' ids, as they are in paths."""
        return [f"/{each}/" for each in super().parts(owner)]

    def control(self, calendar: str) -> str:
        """Return the path of a calendar's events at the simulator's control."""
        return f"/_control/calendars/{quote(self.theirs(calendar), safe='')}/events"

    def path(self, copy: Copy) -> str:
        """Return the path of an event in the API."""
        return f"/calendar/v3/calendars/{quote(self.theirs(copy.calendar), safe='')}/events/{copy.name}"

    def asked_of_owner(self, owner: int) -> dict[str, Any]:
        """Return the account, and what is to be allowed."""
        return {"account": address_of(owner), "scopes": SCOPES}

    def is_alive(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is no mark of a deleted one."""
        return str(event["status"]) != "cancelled"

    def copy(self, calendar: str, event: Mapping[str, Any]) -> Copy:
        """Return an event in the harness' words."""
        said = {
            "what": event.get("summary", ""),
            "where": event.get("location", ""),
            "when": (_moment(event["start"]), _moment(event["end"])),
            "status": event["status"].upper(),
        }
        guests = [each["email"] for each in event.get("attendees", ())]
        return Copy(calendar, event["id"], event["etag"], said, event.get("description", ""), guests)

    def words(self, values: Said) -> dict[str, Any]:
        """Return fields in Google's words."""
        names = {"what": "summary", "where": "location"}
        words: dict[str, Any] = {names[name]: value for name, value in values.items() if name in names}
        if "when" in values:
            for name, moment in zip(("start", "end"), values["when"], strict=True):
                words[name] = {"dateTime": moment.astimezone(ZoneInfo(ZONE)).isoformat(), "timeZone": ZONE}
        return words

    def described(self, description: str) -> dict[str, Any]:
        """Return a description in Google's words."""
        return {"description": description}


def _moment(time: Mapping[str, str]) -> datetime:
    moment = datetime.fromisoformat(time["dateTime"])
    return moment.replace(tzinfo=moment.tzinfo or ZoneInfo(time["timeZone"])).astimezone(UTC)
