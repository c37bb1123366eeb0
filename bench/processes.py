"""Processes of a run: started with a log of their own, ended by their id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
STOP_SECONDS = 30


class Failed(Exception):
    """A process did not do what it was started for."""


def environment(**values: str) -> dict[str, str]:
    """Return the environment of a process: this one's without any Kalends setting, and some values."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KALENDS_")}
    return kept | {"PYTHONPATH": str(ROOT)} | values


def output_of(
    command: Sequence[str], folder: Path, env: Mapping[str, str], *, stdin: str = "", seconds: float = 120
) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=env, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise Failed(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def server(command: Sequence[str], port: int, folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """Run a server, wait until it accepts connections, and yield its process id."""
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT)
    try:
        _await_port(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"the server ended:\n{log.read_text()[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failed(f"the server did not listen within {START_SECONDS} seconds:\n{log.read_text()[-2000:]}")
