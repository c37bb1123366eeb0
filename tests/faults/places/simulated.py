"""What the simulated vendors share: a process of their own, accounts opened by OAuth, people with tokens."""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx

from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.ledger import Entry, Said
from tests.faults.places.place import OWNERS, Copy, Faults, Place, Surroundings, address_of
from tests.faults.places.trouble import PERSON, PREFIX
from tests.faults.processes import HOST, Process, answers, environment, free_port

PUBLIC = "calendar.example.org"
STARTING_SECONDS = 120.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Far(Place):
    """A provider's side behind HTTP, with `tests.faults.places.far` before it."""

    what: str  # it is, for that process

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"
        self._process: Process | None = None
        self._faults: dict[int, Faults] = {}
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, headers={PERSON: "1"})

    async def open(self) -> None:
        """Start the process and wait until it answers."""
        command = [sys.executable, "-m", "tests.faults.places.far", self.what, "--port", str(self._port)]
        self._process = Process(self.name, [*command, *self.options()], environment({}), self.around.folder)
        await started(self._process, self.url)

    async def close(self) -> None:
        """End the process."""
        await self.http.aclose()
        if self._process is not None:
            await self._process.kill()

    def options(self) -> list[str]:
        """Return what the process is told beside."""
        options = []
        if self.around.hooks:
            options += ["--calls", PUBLIC, self.around.kalends]
        if self.around.page is not None:
            options += ["--page", str(self.around.page)]
        return options

    async def misbehave(self, faults: Faults, owners: Collection[int] = range(OWNERS)) -> None:
        """Have calls about these owners' calendars go wrong."""
        self._faults |= dict.fromkeys(owners, faults)
        told = [each for owner, each_faults in self._faults.items() for each in self._in_words(owner, each_faults)]
        latency = max(each.latency for each in self._faults.values())
        await self.tell("PUT", "faults", {"faults": told, "latency": latency})

    async def expire(self, times: int) -> None:
        """Let the next so many lists break off that are read further."""
        await self.tell("POST", "expire", {"times": times})

    async def told(self) -> dict[str, int]:
        """Return what became of the calls to Kalends, and how many lists broke off."""
        told: dict[str, int] = await self.tell("GET", "told")
        return told

    async def busy(self, owner: int, since: float, until: float) -> int:
        """Return what the process has counted."""
        return sum(
            each["kind"] == "throttled" and since <= each["at"] <= until
            for each in await self.tell("GET", "calls")
            if any(part in each["path"] for part in self.parts(owner))
        )

    async def met(self) -> Counter[str]:
        """Return what the process has done to Kalends' calls."""
        return Counter(each["kind"] for each in await self.tell("GET", "calls") if each["kind"])

    async def passed(self) -> list[dict[str, Any]]:
        """Return the writes that Kalends has made and that have arrived."""
        calls: list[dict[str, Any]] = await self.tell("GET", "calls")
        refused = ("throttled", "unavailable", "hang")
        return [each for each in calls if each["method"] in WRITES and each["kind"] not in refused]

    def parts(self, owner: int) -> list[str]:
        """Return what is in the paths that are about an owner's calendars."""
        return [remote for number, remote in self.links.values() if number == owner]

    async def tell(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the process for something of its own."""
        answer = await self.http.request(method, f"{PREFIX}/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def link(self, client: Client, owner: int, resource_id: str, remote: Sequence[str]) -> list[str]:
        """Create calendars of ours, and link them with these."""
        calendars = []
        for each, remote_id in enumerate(remote):
            asked = {"name": f"Calendar {owner}.{each}", "resourceId": resource_id}
            made = (await client.call(ask.CALENDAR, input=asked))["calendar"]["id"]
            linked = {"calendarId": made, "accountId": self.accounts[owner], "remoteCalendarId": remote_id}
            await client.call(ask.LINK, input=linked)
            self.links[made] = (owner, remote_id)
            calendars.append(made)
        return calendars

    def _in_words(self, owner: int, faults: Faults) -> list[dict[str, Any]]:
        """Return faults as the process is told them. A lost answer is of no interest where nothing was written."""
        shares = {"throttled": faults.throttled, "unavailable": faults.unavailable, "hang": faults.hang}
        of_writes = {"reply_lost": faults.reply_lost, "half_body": faults.half_body}
        drawn: list[tuple[str, float, str | None]] = [(kind, share, None) for kind, share in shares.items()]
        drawn += [(kind, share, method) for kind, share in of_writes.items() for method in WRITES]
        return [
            {"kind": kind, "path": part, "chance": share, "retry_after": faults.retry_after, "method": method}
            for kind, share, method in drawn
            if share
            for part in self.parts(owner)
        ]


class Simulated(Far):
    """A simulated vendor. `control` is where its simulator has a calendar's events, for whoever may see everything.

    `prefers` are the headers with which whoever asks the vendor says what they would rather have.
    """

    prefers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._tokens: dict[int, str] = {}
        self._owners: dict[int, str] = {}

    def settings(self) -> dict[str, object]:
        """Return where it is, and where Kalends is found from there."""
        return {
            f"{self.provider.upper()}_ENDPOINT": self.url,
            f"{self.provider.upper()}_CLIENT_ID": "client",
            f"{self.provider.upper()}_CLIENT_SECRET": "secret",
            "PUBLIC_URL": f"https://{PUBLIC}" if self.around.hooks else self.around.kalends,
        }

    async def connect(self, client: Client, owner: int, resource_id: str) -> list[str]:
        """Go the way of a browser: to the vendor's consent, and back to Kalends."""
        self._owners[owner] = resource_id
        await self._consent(client, resource_id)
        accounts = (await client.call(ask.ACCOUNTS, id=resource_id))["edges"]
        self.accounts[owner] = accounts[0]["node"]["id"]
        return await self.link(client, owner, resource_id, await self.make_calendars(owner))

    async def reconnect(self, client: Client, owner: int) -> None:
        """Go that way once more."""
        self._tokens.pop(owner, None)
        await self._consent(client, self._owners[owner])

    async def revoke(self, owner: int) -> None:
        """Withdraw all grants of an account."""
        await self.ask("DELETE", f"/_control/grants/{address_of(owner)}")

    async def violations(self) -> Sequence[str]:
        """Return what the simulator's validation has found."""
        found: list[str] = await self.ask("GET", "/_control/violations")
        return found

    async def copies(self, calendar: str) -> list[Copy]:
        """Return what the simulator has."""
        events = await self.ask("GET", self.control(calendar))
        return [self.copy(calendar, each) for each in events if self.is_alive(each)]

    async def add(self, entry: Entry) -> None:
        """Add an event as a person would."""
        body = self.words(entry.first) | self.described(entry.description)
        await self.ask("POST", self.control(entry.calendar_id), body)

    async def change(self, copy: Copy, values: Said) -> bool:
        """Change an event by the vendor's own API, under its etag."""
        return await self._as_person("PATCH", copy, self.words(values))

    async def remove(self, copy: Copy) -> bool:
        """Delete an event by the vendor's own API, under its etag."""
        return await self._as_person("DELETE", copy)

    @abstractmethod
    async def make_calendars(self, owner: int) -> list[str]:
        """Make an owner's calendars, and return their names."""

    @abstractmethod
    def control(self, calendar: str) -> str:
        """Return the path of a calendar's events at the simulator's control."""

    @abstractmethod
    def path(self, copy: Copy) -> str:
        """Return the path of an event in the vendor's API."""

    @abstractmethod
    def asked_of_owner(self, owner: int) -> dict[str, Any]:
        """Return what a grant for a person is asked with."""

    @abstractmethod
    def is_alive(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is there."""

    @abstractmethod
    def copy(self, calendar: str, event: Mapping[str, Any]) -> Copy:
        """Return an event in the harness' words."""

    @abstractmethod
    def words(self, values: Said) -> dict[str, Any]:
        """Return fields in the vendor's words."""

    @abstractmethod
    def described(self, description: str) -> dict[str, Any]:
        """Return a description in the vendor's words."""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator's control."""
        answer = await self.http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    async def _consent(self, client: Client, resource_id: str) -> None:
        asked = {"provider": self.provider, "resourceId": resource_id}
        url = (await client.call(ask.CONNECT, input=asked))["authorizationUrl"]
        back = httpx.URL((await self.http.get(url)).headers["location"])
        here = httpx.URL(client.url)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
            answer = await browser.get(back.copy_with(scheme=here.scheme, host=here.host, port=here.port))
        if answer.status_code != 200:
            raise RuntimeError(f"the account was not connected: {answer.text[:300]}")

    async def _as_person(self, method: str, copy: Copy, body: Any = None) -> bool:
        """Write under an etag; False where it is another one by now, or nothing is there."""
        owner = self.links[copy.calendar][0]
        for _ in range(50):
            if owner not in self._tokens:
                grant = await self.ask("POST", "/_control/grants", self.asked_of_owner(owner))
                self._tokens[owner] = grant["access_token"]
            headers = {"authorization": f"Bearer {self._tokens[owner]}", "if-match": copy.etag, **self.prefers}
            answer = await self.http.request(method, self.path(copy), json=body, headers=headers)
            match answer.status_code:
                case 200 | 204:
                    return True
                case 403 | 404 | 409 | 410 | 412:
                    return False
                case 401:
                    self._tokens.pop(owner)
                case _:
                    await asyncio.sleep(0.1)
        raise RuntimeError(f"a person cannot write: {answer.status_code} {answer.text[:300]}")


async def started(process: Process, url: str) -> None:
    """Start a process and wait until it answers."""
    await process.start()
    try:
        async with asyncio.timeout(STARTING_SECONDS):
            while not await answers(url):  # noqa: ASYNC110  another process sets no asyncio.Event here
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise RuntimeError(f"{process.name} does not answer: {process.last_words()}") from None
