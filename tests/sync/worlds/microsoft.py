"""Microsoft 365, simulated in this process; it calls our doors, and its owner consents in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kalends.domain.events import EventState
from kalends.domain.recurrence import Recurrence
from providers.interface import Provider
from providers.microsoft import MicrosoftProvider
from providers.surroundings import Surroundings
from providers.web import Web
from resolvers.accounts import connect_account
from resolvers.grants import StoredGrants
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import OWNER
from tests.helpers import Clock
from tests.providers.microsoft.stage import ENDPOINT, occurrence_id
from tests.providers.microsoft.stage import HOST as OUTLOOK
from tests.providers.microsoft.stage import Stage as Outlook
from tests.providers.microsoft.words import spoken, spoken_rule, understood
from tests.providers.surroundings import no_memory
from tests.simulators.microsoft.errors import busy
from tests.sync.line import Wire
from tests.sync.worlds.google import consent
from tests.sync.worlds.ours import PUBLIC, Ours
from tests.sync.worlds.sandbox import changed
from tests.sync.worlds.world import Person, World

PAGE = 25
AT_ITS_WORST: Mapping[str, Any] = {
    "stale_status": 409,
    "finds_deleted": True,
    "masters_in_delta": False,
    "series_etag_tells": False,
    "resets_exceptions": False,
    "original_start": False,
    "told_times": 2,
    "scope_prefix": "",
}
"""What Graph does not promise, the other way round."""


class OutlookPerson(Person):
    """Uses Outlook."""

    def __init__(self, outlook: Outlook) -> None:
        self.outlook = outlook

    async def sees(self) -> dict[str, EventState]:
        calendar = self.outlook.calendar
        return {
            each["id"]: understood(each, calendar.tzid, calendar.owner or "")
            for each in await self._everything()
            if not each["deleted"]
        }

    async def adds(self, state: EventState) -> str:
        return await self.outlook.add(self.outlook.calendar, state)

    async def removes(self, name: str) -> None:
        await self.outlook.remove(self.outlook.calendar, name)

    async def rewrites(self, name: str, before: EventState, after: EventState) -> None:
        old, new = before.recurrence or Recurrence(None), after.recurrence or Recurrence(None)
        usual = spoken(after.when, after.content)
        changes = _paired(changed(spoken(before.when, before.content), usual), usual)
        if new.rule is not None and (old.rule != new.rule or "start" in changes):
            changes |= {name: usual[name] for name in ("start", "end", "isAllDay")}
            changes["recurrence"] = spoken_rule(new.rule, after.when)
        if changes:
            await self.outlook.edit(name, **changes)
        for wall, override in new.overrides.items():
            told = old.overrides.get(wall)
            now = spoken(told.when, told.content) if told else usual
            wanted = spoken(override.when, override.content)
            if differing := _paired(changed(now, wanted), wanted):
                await self.outlook.edit(occurrence_id(name, wall), **differing)
        for wall in new.exdates - old.exdates:
            await self.removes(occurrence_id(name, wall))

    async def is_invited(self, organizer: str) -> str:
        return await self.outlook.invited(organizer, subject="Invited")

    async def versions(self) -> Mapping[str, str]:
        found = {}
        for each in await self._everything():
            found[each["id"]] = each["@odata.etag"] + str(each["deleted"])
            found |= {other["id"]: other["@odata.etag"] for other in each["exceptionOccurrences"].values()}
        return found

    async def mail(self) -> list[tuple[str, str]]:
        return [(each["to"], each["kind"]) for each in await self.outlook.control("GET", "/mail")]

    async def _everything(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.outlook.control("GET", self.outlook.events)
        return found


class MicrosoftWorld(World):
    """One account, connected by its owner's consent."""

    kind = "microsoft"
    public_url = PUBLIC
    behaviour: Mapping[str, Any] = {}

    def build(self, storage: Storage, clock: Clock) -> Provider:
        self.ours = Ours()
        self.outlook = Outlook(calls=self.ours, clock=clock)
        lent = Surroundings(
            sandbox_memory=no_memory,
            grants=StoredGrants(storage),
            web=Web(transport=Wire(self.line, self.outlook.transport, about="/v1.0", body=busy)),
            clock=clock,
            options={
                "microsoft_endpoint": ENDPOINT,
                "microsoft_client_id": "client",
                "microsoft_client_secret": "secret",
            },
        )
        self._web = lent.web
        return MicrosoftProvider(lent, page_size=PAGE)

    async def connect(self) -> None:
        services = self.stage.services
        self.ours.serve(services)
        await self.outlook.behave(**self.behaviour)
        await self.outlook.open()
        self.person = OutlookPerson(self.outlook)
        url = await connect_account(services, self.principal, self.kind, self.resource.id)
        await consent(url, OUTLOOK, self.outlook.transport, self.ours)

    async def revoke(self) -> None:
        await self.outlook.control("DELETE", f"/grants/{OWNER}")

    async def expire(self) -> None:
        await self.outlook.control("POST", "/tokens/expire", {"delta": True})

    async def close(self) -> None:
        await self._web.close()
        await self.outlook.close()
        assert self.outlook.desk.violations == []


class MicrosoftWorldAtItsWorst(MicrosoftWorld):
    """The same, where Graph keeps none of the promises that it does not make."""

    behaviour = AT_ITS_WORST


def _paired(changes: dict[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of which those of a start come with its end."""
    return changes | ({name: whole[name] for name in ("start", "end")} if {"start", "end"} & changes.keys() else {})
