"""Real CalDAV servers, Radicale and Xandikos, behind a way on which things go wrong. People use them directly."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import httpx
import icalendar

from tests.faults import client as ask
from tests.faults.client import Client
from tests.faults.ledger import CONFIRMED, Entry, Said
from tests.faults.places.place import CALENDARS_EACH, OWNERS, ZONE, Copy, Surroundings
from tests.faults.places.simulated import Far, started
from tests.faults.processes import HOST, Process, environment, free_port

caldav: Any = import_module("caldav")  # typed for both of its ways, to wait and to be awaited

_RADICALE = """
[server]
hosts = {host}:{port}
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {folder}/collections
[logging]
level = error
"""


class Caldav(Far):
    """A CalDAV server. `home` is where an owner's calendars are."""

    provider = what = "caldav"
    pace = 0.2

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._server_port = free_port()
        self.server_url = f"http://{HOST}:{self._server_port}"
        self.files = around.folder / self.name
        self.passwords = {owner: f"password 1 of {owner}" for owner in range(OWNERS)}
        self._server: Process | None = None
        self._resources: dict[int, str] = {}

    def command(self) -> list[str]:
        """Return how the server is started."""
        raise NotImplementedError

    def home(self, owner: int) -> str:
        """Return the path of an owner's calendars."""
        raise NotImplementedError

    async def open(self) -> None:
        """Start the server, and the way to it."""
        self.files.mkdir()
        command = await asyncio.to_thread(self.command)
        self._server = Process(f"{self.name}-server", command, environment({}), self.files)
        await started(self._server, self.server_url)
        await super().open()
        await self.tell_passwords()

    async def close(self) -> None:
        """End both."""
        await super().close()
        if self._server is not None:
            await self._server.kill()

    def options(self) -> list[str]:
        """Return where the server is."""
        return ["--upstream", self.server_url]

    def settings(self) -> dict[str, object]:
        """Allow an address that is not public."""
        return {"PRIVATE_SERVERS": json.dumps([self.url.removeprefix("http://")])}

    async def connect(self, client: Client, owner: int, resource_id: str) -> list[str]:
        """Give Kalends the address, the name and the password."""
        self._resources[owner] = resource_id
        paths = await asyncio.to_thread(self._make_calendars, owner)
        await self._connect(client, owner)
        return await self.link(client, owner, resource_id, paths)

    async def revoke(self, owner: int) -> None:
        """Change the password."""
        self.passwords[owner] = f"password 2 of {owner}"
        await self.tell_passwords()

    async def reconnect(self, client: Client, owner: int) -> None:
        """Give Kalends the new password."""
        await self._connect(client, owner)

    async def tell_passwords(self) -> None:
        """Have the server know the passwords."""
        raise NotImplementedError

    async def copies(self, calendar: str) -> list[Copy]:
        """Return what python-caldav lists, and what each file says."""
        return await asyncio.to_thread(self._copies, calendar)

    async def look(self, copy: Copy) -> Copy | None:
        """Read one file."""
        answer = await self._request(copy.calendar, "GET", copy.name)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return _copy(copy.calendar, copy.name, answer.text, answer.headers["etag"])

    async def writes(self) -> Counter[str]:
        """Return the writes by the files' names, without what follows the dot."""
        return Counter(unquote(each["path"]).rpartition("/")[2].removesuffix(".ics") for each in await self.passed())

    async def add(self, entry: Entry) -> None:
        """Store a new file."""
        calendar, event = icalendar.Calendar(), icalendar.Event()
        calendar.add("prodid", "-//People//EN")
        calendar.add("version", "2.0")
        event.add("uid", f"{entry.key}@people")
        event.add("dtstamp", entry.first["when"][0])
        event.add("description", entry.description)
        event.add("status", CONFIRMED)
        _write(event, {name: value for name, value in entry.first.items() if name != "status"})
        calendar.add_component(event)
        calendar.add_missing_timezones()
        name, headers = f"{entry.key}.ics", {"if-none-match": "*"}
        answer = await self._request(entry.calendar_id, "PUT", name, headers, calendar.to_ical())
        answer.raise_for_status()

    async def change(self, copy: Copy, values: Said) -> bool:
        """Write a file under its etag: all that it said, but for what is to be changed."""
        calendar: Any = icalendar.Calendar.from_ical(copy.whole["text"])
        [event] = calendar.walk("VEVENT")
        _write(event, values)
        calendar.add_missing_timezones()
        headers = {"if-match": copy.etag}
        return _is_done(await self._request(copy.calendar, "PUT", copy.name, headers, calendar.to_ical()))

    async def remove(self, copy: Copy) -> bool:
        """Delete a file under its etag."""
        return _is_done(await self._request(copy.calendar, "DELETE", copy.name, {"if-match": copy.etag}))

    async def _connect(self, client: Client, owner: int) -> None:
        asked = {"url": self.url, "username": user_of(owner), "password": self.passwords[owner]}
        answer = await client.call(ask.CONNECT_CALDAV, input=asked | {"resourceId": self._resources[owner]})
        self.accounts[owner] = answer["account"]["id"]

    def _make_calendars(self, owner: int) -> list[str]:
        with self._client(owner) as client:
            paths = [f"{self.home(owner)}{user_of(owner)}-{each}/" for each in range(CALENDARS_EACH)]
            for path in paths:
                client.mkcalendar(self.server_url + path)
        return paths

    def _copies(self, calendar: str) -> list[Copy]:
        owner, path = self.links[calendar]
        with self._client(owner) as client:
            events = caldav.Calendar(client=client, url=self.server_url + path).events()
            return [_copy(calendar, unquote(str(each.url)).rpartition("/")[2], str(each.data), "") for each in events]

    def _client(self, owner: int) -> Any:
        return caldav.DAVClient(url=self.server_url, username=user_of(owner), password=self.passwords[owner])

    async def _request(
        self, calendar: str, method: str, name: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> httpx.Response:
        """Ask the server itself for a file."""
        owner, path = self.links[calendar]
        sent = {"content-type": "text/calendar; charset=utf-8"} | dict(headers or {})
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            auth = (user_of(owner), self.passwords[owner])
            url = f"{self.server_url}{path}{name}"
            return await http.request(method, url, headers=sent, content=content, auth=auth)


class Radicale(Caldav):
    """Radicale, which asks for passwords itself."""

    name = "radicale"

    def command(self) -> list[str]:
        """Write the configuration."""
        config = self.files / "config"
        config.write_text(_RADICALE.format(host=HOST, port=self._server_port, folder=self.files))
        self._write_passwords()
        return [sys.executable, "-m", "radicale", "--config", str(config)]

    def home(self, owner: int) -> str:
        """Return the owner's own collection."""
        return f"/{user_of(owner)}/"

    async def tell_passwords(self) -> None:
        """Write them into the file that Radicale reads."""
        await asyncio.to_thread(self._write_passwords)

    def _write_passwords(self) -> None:
        lines = [f"{user_of(owner)}:{password}\n" for owner, password in self.passwords.items()]
        (self.files / "users").write_text("".join(lines))


class Xandikos(Caldav):
    """Xandikos, which believes everybody to be its one user: the way to it asks for passwords in its place."""

    name = "xandikos"

    def command(self) -> list[str]:
        """Return its command line."""
        program = str(Path(sys.executable).with_name("xandikos"))
        where = ["--listen-address", HOST, "--port", str(self._server_port), "--no-detect-systemd"]
        folders = ["--directory", str(self.files / "collections"), "--state-dir", str(self.files / "state")]
        return [program, "serve", *where, *folders, "--current-user-principal", "/people/", "--defaults"]

    def home(self, owner: int) -> str:  # noqa: ARG002
        """Return the one home."""
        return "/people/calendars/"

    async def tell_passwords(self) -> None:
        """Tell the way to the server."""
        await self.tell("PUT", "passwords", {user_of(owner): word for owner, word in self.passwords.items()})


def user_of(owner: int) -> str:
    """Return an owner's name at the server."""
    return f"owner-{owner}"


def _copy(calendar: str, name: str, text: str, etag: str) -> Copy:
    whole: Any = icalendar.Calendar.from_ical(text)
    [event] = whole.walk("VEVENT")
    moments = tuple(event[each].dt.astimezone(ZoneInfo("UTC")) for each in ("DTSTART", "DTEND"))
    said = {
        "what": str(event.get("SUMMARY", "")),
        "where": str(event.get("LOCATION", "")),
        "when": moments,
        "status": str(event.get("STATUS", CONFIRMED)),
    }
    people = event.get("ATTENDEE", [])
    guests = [str(each)[len("mailto:") :] for each in (people if isinstance(people, list) else [people])]
    return Copy(calendar, name, etag, said, str(event.get("DESCRIPTION", "")), guests, {"text": text})


def _write(event: Any, values: Said) -> None:
    names: Sequence[tuple[str, str]] = (("what", "SUMMARY"), ("where", "LOCATION"))
    for ours, theirs in names:
        if ours in values:
            event.pop(theirs, None)
            event.add(theirs, values[ours])
    if "when" in values:
        for name, moment in zip(("DTSTART", "DTEND"), values["when"], strict=True):
            event.pop(name, None)
            event.add(name, moment.astimezone(ZoneInfo(ZONE)))


def _is_done(answer: httpx.Response) -> bool:
    """Tell whether a write under an etag was done; raise where it failed otherwise."""
    if answer.status_code in (404, 410, 412):
        return False
    answer.raise_for_status()
    return True
