"""Servers of the tests' own, on loopback: real CalDAV servers in folders that go with them, and sockets that misbehave.

A test module imports the fixture that it needs; each CalDAV server is started once a session, with the first test that
asks for it.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

USER, PASSWORD = "ada", "correct horse battery staple"
_PATIENCE = 400  # looks, of a tenth of a second each, for a server that starts

_RADICALE = """
[server]
hosts = 127.0.0.1:{port}
delay_on_error = 0
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


@dataclass(frozen=True)
class Server:
    """A running CalDAV server. `home` is the path under which the account's calendars are."""

    url: str
    home: str

    @property
    def address(self) -> str:
        """Its host and port, as an operator lists it."""
        return self.url.removeprefix("http://")


@pytest.fixture(scope="session")
def radicale(fast_folder: Path) -> Iterator[Server]:
    """Return a Radicale that asks for a password."""
    folder = _own(fast_folder, "radicale")
    port = _free_port()
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n")
    (folder / "config").write_text(_RADICALE.format(port=port, folder=folder))
    command = [sys.executable, "-m", "radicale", "--config", str(folder / "config")]
    with _running(command, folder, port) as url:
        yield Server(url, f"/{USER}/")


@pytest.fixture(scope="session")
def xandikos(fast_folder: Path) -> Iterator[Server]:
    """Return a Xandikos; it believes everybody to be its one user."""
    folder = _own(fast_folder, "xandikos")
    port = _free_port()
    program = Path(sys.executable).with_name("xandikos")
    where = ["--listen-address", "127.0.0.1", "--port", str(port), "--no-detect-systemd"]
    user = ["--current-user-principal", f"/{USER}/", "--defaults", "--state-dir", str(folder / "state")]
    command = [str(program), "serve", "--directory", str(folder / "collections"), *where, *user]
    with _running(command, folder, port) as url:
        yield Server(url, f"/{USER}/calendars/")


def _own(folder: Path, name: str) -> Path:
    """Return a new folder for a server: each module that imports a fixture has one of its own."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[str]:
    """Run a server until the end; wait until it answers."""
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait_for(process, url, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(_PATIENCE):
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            try:
                httpx.get(url, trust_env=False)
            except httpx.TransportError:
                continue
            return
        break
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# Sockets

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What a server says to whoever has sent it a request's head."""


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """Serve sockets that read a request's head, say what they want, and close; return the server's host and port."""

    talks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await talk(writer)
                await writer.drain()
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(converse(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def saying(head: str, body: bytes = b"") -> Talk:
    """Return what says these lines, and then these bytes."""

    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write("".join(f"{line}\r\n" for line in (*head.splitlines(), "")).encode() + body)

    return talk
