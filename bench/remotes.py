"""Remote calendars to be synced: servers as processes of their own, filled with events, and changed as people would.

Google and Microsoft are the simulators that come with Kalends, Radicale and Xandikos are the real ones. Each remote has
two calendars: `small`, to warm up with, and `large`.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

from dulwich.repo import Repo

from bench.processes import Failed, environment, free_port, server
from bench.stage import KALENDS

Size = Literal["small", "large"]
SMALL = 100  # events
SLOT = timedelta(minutes=15)
WHERE, DESCRIPTION = "Room 2", "What we know, what we do next, and who does it."
ADA = "ada@example.org"
AUTHORIZATION = f"Basic {b64encode(b'ada:lovelace').decode()}"

NOTHING = '<c:mkcalendar xmlns:c="urn:ietf:params:xml:ns:caldav"/>'
EVERYTHING = (
    '<d:sync-collection xmlns:d="DAV:"><d:sync-token/><d:sync-level>1</d:sync-level>'
    "<d:prop><d:getetag/></d:prop></d:sync-collection>"
)


def slot(number: int) -> tuple[datetime, datetime]:
    """Return when an event takes place: one after the other, from tomorrow on, so that Microsoft's window has them."""
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return tomorrow + number * SLOT, tomorrow + (number + 1) * SLOT


class Remote(Protocol):
    """A server with calendars."""

    name: str
    port: int

    def settings(self) -> dict[str, str]:
        """Return Kalends' settings that lead there."""
        ...

    def account(self) -> tuple[str, dict[str, str]]:
        """Return the mutation that opens the account, and its input: by OAuth or by a password."""
        ...

    def remote_id(self, size: Size) -> str:
        """Return a calendar's id at the server."""
        ...

    def rename(self, size: Size, count: int, title: str) -> None:
        """Give some of a calendar's events another title."""
        ...


@dataclass
class Simulated:
    """A simulator, as `kalends simulate` runs it; told what to do by its `/_control`."""

    name: str
    port: int
    calendars: dict[Size, str] = field(default_factory=dict)
    events: dict[Size, list[str]] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """Return Kalends' settings that lead there."""
        endpoint = {"ENDPOINT": f"http://127.0.0.1:{self.port}", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
        return {f"KALENDS_{self.name.upper()}_{name}": value for name, value in endpoint.items()}

    def account(self) -> tuple[str, dict[str, str]]:
        """Return how the account is opened: its owner consents at once."""
        return "connectAccount", {"provider": self.name}

    def remote_id(self, size: Size) -> str:
        """Return a calendar's id at the vendor."""
        return self.calendars[size]

    def rename(self, size: Size, count: int, title: str) -> None:
        """Give some of a calendar's events another title."""
        body = {"summary" if self.name == "google" else "subject": title}
        with self._control() as tell:
            for name in spread(self.events[size], count):
                tell("PATCH", f"{self._place(size)}/events/{name}", body)

    def fill(self, sizes: Mapping[Size, int]) -> None:
        """Add the calendars with their events."""
        with self._control() as tell:
            for size, count in sizes.items():
                if self.name == "google":
                    self.calendars[size] = size
                    tell("POST", "/calendars", {"id": size, "summary": size, "roles": {ADA: "owner"}})
                else:
                    self.calendars[size] = tell("POST", f"/calendars/{ADA}", {"name": size})["id"]
                place = f"{self._place(size)}/events"
                self.events[size] = [tell("POST", place, self._event(number))["id"] for number in range(count)]

    def _place(self, size: Size) -> str:
        account = [ADA] if self.name == "microsoft" else []
        return "/".join(["/calendars", *account, quote(self.calendars[size])])

    def _event(self, number: int) -> dict[str, Any]:
        start, end = (f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in slot(number))
        if self.name == "microsoft":
            return {
                "subject": f"Meeting {number}",
                "location": {"displayName": WHERE},
                "body": {"contentType": "text", "content": DESCRIPTION},
                "start": {"dateTime": start, "timeZone": "UTC"},
                "end": {"dateTime": end, "timeZone": "UTC"},
            }
        return {
            "summary": f"Meeting {number}",
            "location": WHERE,
            "description": DESCRIPTION,
            "start": {"dateTime": f"{start}Z", "timeZone": "UTC"},
            "end": {"dateTime": f"{end}Z", "timeZone": "UTC"},
        }

    @contextmanager
    def _control(self) -> Iterator[Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)

        def tell(method: str, path: str, body: Mapping[str, Any]) -> Any:
            connection.request(method, f"/_control{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != 200:
                raise Failed(f"{method} {path}: {answer.status} {told[:500]!r}")
            return json.loads(told)

        try:
            yield tell
        finally:
            connection.close()


@dataclass
class Dav:
    """A CalDAV server; its files are put into place before it starts."""

    name: str
    port: int
    sizes: Mapping[Size, int]

    def settings(self) -> dict[str, str]:
        """Return Kalends' settings that lead there."""
        return {"KALENDS_PRIVATE_SERVERS": json.dumps([f"127.0.0.1:{self.port}"])}

    def account(self) -> tuple[str, dict[str, str]]:
        """Return how the account is opened."""
        return "connectCaldav", {"url": f"http://127.0.0.1:{self.port}", "username": "ada", "password": "lovelace"}

    def remote_id(self, size: Size) -> str:
        """Return a calendar's path."""
        return f"/ada/{'calendars/' if self.name == 'xandikos' else ''}{size}/"

    def rename(self, size: Size, count: int, title: str) -> None:
        """Give some of a calendar's events another title."""
        headers = {"Content-Type": "text/calendar", "Authorization": AUTHORIZATION}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        for number in spread(list(range(self.sizes[size])), count):
            path = f"{self.remote_id(size)}{number}.ics"
            connection.request("PUT", path, _file(number, title), headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 201, 204):
                raise Failed(f"PUT {path}: {answer.status}")
        connection.close()

    def command(self) -> list[str]:
        """Return how it is started."""
        if self.name == "radicale":
            return [sys.executable, "-m", "radicale", "--config", "radicale.conf"]
        where = ["--directory", "files", "--listen-address", "127.0.0.1", "--port", str(self.port)]
        user = ["--current-user-principal", "/ada/", "--defaults", "--no-detect-systemd", "--state-dir", "state"]
        return [str(Path(sys.executable).with_name("xandikos")), "serve", *where, *user]

    def prepare(self, folder: Path) -> None:
        """Write what the server reads when it starts."""
        (folder / "users").write_text("ada:lovelace\n")
        (folder / "radicale.conf").write_text(
            f"[server]\nhosts = 127.0.0.1:{self.port}\n"
            "[auth]\ntype = htpasswd\nhtpasswd_filename = users\nhtpasswd_encryption = plain\n"
            "[storage]\nfilesystem_folder = files\n[logging]\nlevel = error\n"
        )

    def fill(self, folder: Path) -> None:
        """Add the events of calendars that are there: as files, and with Xandikos as one commit."""
        for size, count in self.sizes.items():
            home = folder / "files" / ("collection-root" if self.name == "radicale" else "") / self.remote_id(size)[1:]
            for number in range(count):
                (home / f"{number}.ics").write_bytes(_file(number, f"Meeting {number}"))
            if self.name == "xandikos":
                with Repo(str(home)) as repo:
                    tree = repo.get_worktree()
                    tree.stage([f"{number}.ics".encode() for number in range(count)])
                    tree.commit(message=b"filled", author=b"Ada <ada@example.org>", committer=b"Ada <ada@example.org>")

    def ask(self, method: str, path: str, body: str) -> None:
        """Send a request that must succeed."""
        headers = {"Depth": "0", "Content-Type": "application/xml", "Authorization": AUTHORIZATION}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1_800)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status not in (201, 207):
            raise Failed(f"{method} {path}: {answer.status}")


@contextmanager
def running(name: str, events: int, folder: Path) -> Iterator[Remote]:
    """Start a server with so many events in its large calendar."""
    port = free_port()
    sizes: dict[Size, int] = {"small": SMALL, "large": events}
    if name in ("google", "microsoft"):
        simulated = Simulated(name, port)
        with server([KALENDS, "simulate", name, "--port", str(port)], port, folder, environment()):
            simulated.fill(sizes)
            yield simulated
        return
    dav = Dav(name, port, sizes)
    dav.prepare(folder)
    with server(dav.command(), port, folder, environment()):
        for size in sizes:
            dav.ask("MKCALENDAR", dav.remote_id(size), NOTHING)
    dav.fill(folder)
    with server(dav.command(), port, folder, environment()):
        for size in sizes:
            dav.ask("REPORT", dav.remote_id(size), EVERYTHING)  # it indexes what was put into place
        yield dav


def spread(names: list[Any], count: int) -> list[Any]:
    """Return some of many, evenly."""
    return names[:: max(1, len(names) // count)][:count]


def _file(number: int, title: str) -> bytes:
    start, end = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in slot(number))
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Bench//EN",
        "BEGIN:VEVENT",
        f"UID:{number}@bench.example",
        "DTSTAMP:20260101T000000Z",
        f"DTSTART:{start}",
        f"DTEND:{end}",
        f"SUMMARY:{title}",
        f"LOCATION:{WHERE}",
        f"DESCRIPTION:{DESCRIPTION}".replace(",", "\\,"),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines).encode()
