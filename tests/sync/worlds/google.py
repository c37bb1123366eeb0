"""Google Calendar, simulated in this process; it calls our doors, and its owner consents in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from kalends.domain.events import EventState
from kalends.domain.recurrence import Override, Recurrence
from providers.google import GoogleProvider
from providers.interface import Provider
from providers.surroundings import Surroundings
from providers.web import Web
from resolvers.accounts import connect_account
from resolvers.grants import StoredGrants
from storage.unit_of_work import Storage
from tests.contracts.provider_contract import OWNER
from tests.helpers import Clock, make_content, make_when
from tests.providers.google.stage import ENDPOINT
from tests.providers.google.stage import HOST as GOOGLE
from tests.providers.google.stage import Stage as Google
from tests.providers.google.translation import from_google, instances, to_google
from tests.providers.surroundings import no_memory
from tests.simulators.google.errors import busy
from tests.sync.line import Wire
from tests.sync.worlds.ours import HOST, PUBLIC, Ours
from tests.sync.worlds.sandbox import changed
from tests.sync.worlds.world import Person, World

PAGE = 25


class GooglePerson(Person):
    """Uses Google Calendar's own pages."""

    def __init__(self, google: Google) -> None:
        self.google = google

    async def sees(self) -> dict[str, EventState]:
        everything = await self.google.events()
        alive = [each for each in everything if each["status"] != "cancelled" and "recurringEventId" not in each]
        return {
            each["id"]: from_google(
                each,
                [other for other in everything if other.get("recurringEventId") == each["id"]],
                self.google.calendar.tzid,
            )
            for each in alive
        }

    async def adds(self, state: EventState) -> str:
        return await self.google.add(self.google.calendar, state)

    async def removes(self, name: str) -> None:
        await self.google.removes(name)

    async def rewrites(self, name: str, before: EventState, after: EventState) -> None:
        old, new = before.recurrence or Recurrence(None), after.recurrence or Recurrence(None)
        changes = changed(_alone(before), _alone(after))
        if old.rule != new.rule:
            changes["recurrence"] = [f"RRULE:{new.rule}"]
        if changes:
            await self.google.changes(name, **changes)
        there = instances(before, name)
        for instance, wire in instances(after, name).items():
            usual = there.get(instance, _alone(after))
            if differing := changed(usual, wire):
                await self.google.changes(instance, **differing)
        for wall in new.exdates - old.exdates:
            [instance] = instances(_differing_at(after, wall), name)
            await self.google.removes(instance)

    async def is_invited(self, organizer: str) -> str:
        guests = [{"email": each} for each in (OWNER, "bob@example.org")]
        wire = to_google(EventState(make_when(), make_content("Invited")))
        return await self.google.adds(wire | {"attendees": guests, "organizer": {"email": organizer}})

    async def versions(self) -> Mapping[str, str]:
        return {each["id"]: each["etag"] for each in await self.google.events()}

    async def mail(self) -> list[tuple[str, str]]:
        return await self.google.mail()


class GoogleWorld(World):
    """One account, connected by its owner's consent."""

    kind = "google"
    public_url = PUBLIC
    named = OWNER

    def build(self, storage: Storage, clock: Clock) -> Provider:
        self.ours = Ours()
        self.google = Google(calls=self.ours, clock=clock)
        web = Web(transport=Wire(self.line, self.google.transport, about="/calendar/v3", body=busy))
        lent = Surroundings(
            sandbox_memory=no_memory,
            grants=StoredGrants(storage),
            web=web,
            clock=clock,
            options={
                "google_endpoint": ENDPOINT,
                "google_client_id": "client",
                "google_client_secret": "secret",
            },
        )
        self._web = web
        return GoogleProvider(lent, page_size=PAGE)

    async def connect(self) -> None:
        services = self.stage.services
        self.ours.serve(services)
        self.person = GooglePerson(self.google)
        url = await connect_account(services, self.principal, self.kind, self.resource.id)
        await consent(url, GOOGLE, self.google.transport, self.ours)

    async def revoke(self) -> None:
        await self.google.control("DELETE", f"/grants/{OWNER}")

    async def expire(self) -> None:
        await self.google.control("POST", "/tokens/expire", {"sync": True})

    async def close(self) -> None:
        await self._web.close()
        assert self.google.desk.violations == []


async def consent(url: str, host: str, provider: httpx.AsyncBaseTransport, ours: Ours) -> None:
    """Go where an owner is sent, consent, and come back."""
    ways = {f"all://{host}": provider, f"all://{HOST}": ours}
    async with httpx.AsyncClient(mounts=ways, follow_redirects=True) as browser:
        answer = await browser.get(url)
    assert (answer.status_code, answer.url.host) == (200, HOST)
    assert "connected" in answer.text


def _alone(state: EventState) -> dict[str, Any]:
    """Return what an event says without how it repeats."""
    return to_google(EventState(state.when, state.content))


def _differing_at(state: EventState, wall: datetime) -> EventState:
    """Return a series of which one occurrence differs, and so has a name."""
    return replace(state, recurrence=Recurrence(None, overrides={wall: Override(state.when, state.content)}))
