"""What every command does: open the database, talk to people in tables and to machines in JSON, fail in one line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from kalends.server.settings import Settings
    from resolvers.services import Services
    from storage.engine import Database

WAIT_SECONDS = 1.0
screen = Console()
errors = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def complain(reason: str) -> None:
    """Say on stderr, in one line, what is wrong."""
    errors.print("[red]kalends:[/]", escape(reason), highlight=False, soft_wrap=True)


def fail(reason: str) -> NoReturn:
    """Say what is wrong, and exit with 1."""
    complain(reason)
    raise SystemExit(1)


def load_settings(**changes: Any) -> Settings:
    """Read the settings, with these in place of what was found, and set up the logs by them."""
    from kalends.server.logs import configure_logs
    from kalends.server.settings import Settings

    settings = Settings(**changes)
    configure_logs(level=settings.log_level, form=settings.log_format)
    return settings


@asynccontextmanager
async def opened(
    settings: Settings, *, ready: bool = True, patient: bool = False
) -> AsyncIterator[tuple[Database, Services]]:
    """Open the database, bring an embedded one up to date, and close it in the end; `patient` waits for one away."""
    from kalends.server.app import build_services, connect
    from storage.errors import Unavailable

    database = connect(settings)
    try:
        while ready:
            try:
                await _prepare(database)
                break
            except Unavailable as error:
                if not patient:
                    raise
                errors.print(f"[yellow]kalends:[/] {error}: trying again", highlight=False)
                await asyncio.sleep(WAIT_SECONDS)
        yield database, build_services(database, settings)
    finally:
        await database.close()


async def _prepare(database: Database) -> None:
    from kalends.domain.values import utc_now
    from storage.migrate import migrate, require_current

    if database.is_sqlite:
        await migrate(database, at=utc_now())
    else:
        await require_current(database)


def moment(value: datetime | None) -> str | None:
    """Write a moment for people and machines, to the second."""
    return None if value is None else value.isoformat(timespec="seconds")


def print_json(value: Any) -> None:
    """Print a value for machines."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_rows(title: str, rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as a table or as JSON."""
    if as_json:
        print_json(rows)
        return
    table = Table(*(rows[0] if rows else ["none"]), title=title)
    for row in rows:
        table.add_row(*(escape(value or "") for value in row.values()))
    screen.print(table, width=None if screen.is_terminal else 200)
