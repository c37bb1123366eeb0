"""Processes that can be killed, frozen and started again. Each is ended by its own process id."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

KALENDS = str(Path(sys.executable).with_name("kalends"))
HOST = "127.0.0.1"


class Process:
    """One command that keeps running. What it logs is kept in a file, over all its lives."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.deaths: list[str] = []
        self._command = command
        self._environment = environment
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; a former life must have ended."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill it (SIGKILL), and note where it had ended by itself, which it must not."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is not None:
            self.deaths.append(f"{self.name} ended by itself with {process.returncode}: {self.last_words()}")
            return
        process.kill()
        await process.wait()

    async def restart(self) -> None:
        """Kill it and start it at once."""
        await self.kill()
        await self.start()

    async def killed(self) -> bool:
        """Wait for it to have killed itself; note where it ended otherwise. Tell which."""
        process = self._process
        if process is None:
            return False
        if await process.wait() != -signal.SIGKILL:
            await self.kill()
            return False
        self._process = None
        return True

    def entries(self) -> Iterator[dict[str, Any]]:
        """Return what it has logged."""
        if not self._log.is_file():
            return
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                try:
                    yield json.loads(line)
                except ValueError:  # a line that a SIGKILL cut off
                    continue

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-600:] if self._log.is_file() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"{self.name} is not running: {self.last_words()}")
        self._process.send_signal(number)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return this process's environment with these settings, and no other of Kalends'."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KALENDS_")}
    return kept | {f"KALENDS_{name}": str(value) for name, value in settings.items()}


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def answers(url: str) -> bool:
    """Tell whether somebody answers there, whatever it is."""
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(url, timeout=2)
    except httpx.TransportError:
        return False
    return True
