"""Two servers on one database, started as an operator starts them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.engine import Database
from tests.api import SLOT, at, count_rows
from tests.helpers import HOUR

pytestmark = pytest.mark.anyio

KALENDS = (sys.executable, "-c", "from kalends.server.cli import main; main()")
CREATE = """mutation ($input: CreateEventInput!) {
  createEvent(input: $input) { event { id } errors { __typename ... on UserError { code } } }
}"""
CREATE_CALENDAR = 'mutation { createCalendar(input: {name: "Work"}) { calendar { id } } }'
SECONDS, STOP_SECONDS = 90, 20


def environment(database_url: str) -> dict[str, str]:
    """Return an environment with no other setting than the database."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KALENDS_")}
    return inherited | {"KALENDS_DATABASE_URL": database_url, "KALENDS_WORKER": "false"}


async def kalends(database_url: str, folder: Path, *arguments: str) -> Process:
    """Start the command line in an empty folder; its log goes to a file there, which no reader can hold up."""
    with (folder / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *KALENDS, *arguments, env=environment(database_url), cwd=folder, stdout=PIPE, stderr=log
        )


@asynccontextmanager
async def servers(database_url: str, folder: Path, count: int) -> AsyncIterator[list[str]]:
    """Run servers and return their addresses; stop them at the end, whatever happens."""
    processes = [await kalends(database_url, folder, "serve", "--port", "0") for _ in range(count)]
    try:
        async with asyncio.timeout(SECONDS):
            yield [await address(process, folder) for process in processes]
    finally:
        await asyncio.gather(*map(stop, processes))


async def stop(process: Process) -> None:
    """Ask a process to end, and end it where it does not."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise


async def address(process: Process, folder: Path) -> str:
    """Return the address that a server prints once it listens."""
    assert process.stdout is not None
    async for line in process.stdout:
        if found := re.search(r"Kalends .* on (http://\S+)", line.decode()):
            return found[1]
    raise AssertionError((folder / "log").read_text())


async def test_50_calls_with_one_key_over_two_servers_create_one_event(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    made = await kalends(database_url, tmp_path, "app", "create", "Aurora", "--json")
    output, _ = await made.communicate()
    assert made.returncode == 0, (tmp_path / "log").read_text()
    headers = {"authorization": f"Bearer {json.loads(output)['token']}"}
    async with (
        servers(database_url, tmp_path, 2) as urls,
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as client,
    ):

        async def call(url: str, query: str, **variables: Any) -> dict[str, Any]:
            response = await client.post(url, json={"query": query, "variables": variables})
            answer = response.json()
            assert "errors" not in answer, answer
            return dict(answer["data"])

        calendar = (await call(urls[0], CREATE_CALENDAR))["createCalendar"]["calendar"]
        wanted = {
            "calendarId": calendar["id"],
            "start": at(SLOT),
            "end": at(SLOT + HOUR),
            "what": "Once",
            "where": "",
            "onConflict": "REJECT",
            "idempotencyKey": "the same",
        }
        answers = await asyncio.gather(*(call(urls[number % 2], CREATE, input=wanted) for number in range(50)))
    assert [answer["createEvent"]["errors"] for answer in answers] == [[]] * 50
    assert len({answer["createEvent"]["event"]["id"] for answer in answers}) == 1
    rows = await count_rows(database)
    assert (rows["event"], rows["idempotency"]) == (1, 1)
