"""The command line: `kalends`."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

import kalends
from kalends.domain.errors import KalendsError
from kalends.server.cli_access import app_cli, key_cli
from kalends.server.cli_secrets import secrets_cli, simulate
from kalends.server.terminal import Json, complain, fail, load_settings, opened, print_json, screen

if TYPE_CHECKING:
    from kalends.server.demo import Demo
    from kalends.server.settings import Settings

OURS = ("schema", "resolvers", "providers", "storage")
LOOPBACK_NAMES = ["localhost", "127.0.0.1", "["]  # the last is what Starlette takes for the name in [::1]:8000
DEMO_DATABASE = Path("var/demo.sqlite3")

cli = typer.Typer(
    name="kalends",
    help="A calendar-event server with a GraphQL API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(app_cli)
cli.add_typer(key_cli)
cli.add_typer(secrets_cli)
cli.command()(simulate)


def main() -> None:
    """Run the command line; what goes wrong is said in one line, with what to do."""
    from pydantic import ValidationError

    _refuse_foreign_packages()
    try:
        cli()
    except KalendsError as error:
        fail(str(error))
    except ValidationError as error:
        for each in error.errors():
            name = ".".join(str(part) for part in each["loc"])
            complain(f"KALENDS_{name.upper()}: {each['msg']}" if name else each["msg"])
        fail("the settings cannot be used; docs/settings.md lists them")
    except (ValueError, OSError) as error:
        fail(str(error))


def _refuse_foreign_packages() -> None:
    """Stop where another distribution owns the name of one of our packages."""
    home = Path(kalends.__file__).parents[1]
    for name in OURS:
        found = getattr(import_module(name), "__file__", None)
        if found is None or Path(found).parents[1] != home:
            fail(f"the package {name} belongs to another distribution: give Kalends an environment of its own")


@cli.command()
def serve(
    demo: Annotated[bool, typer.Option("--demo", help="Try it: an embedded database with data and a key.")] = False,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 for any.")] = None,
) -> None:
    """Run the server."""
    from pydantic import SecretStr

    changes: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if demo:
        changes |= {"mode": "development", "database_url": SecretStr(f"sqlite:///{DEMO_DATABASE}")}
        changes["allowed_hosts"] = LOOPBACK_NAMES
    settings = load_settings(**changes)
    if demo and not _is_loopback(settings.host):
        fail("the demo shows its key to everybody who opens the page: it listens on loopback only")
    with contextlib.suppress(KeyboardInterrupt):
        _serve(settings, demo=demo)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _serve(settings: Settings, *, demo: bool) -> None:
    import uvicorn

    from kalends.server.app import Welcome, create_app
    from kalends.server.demo import prepare_demo
    from kalends.server.welcome import welcome_tabs

    shown: Demo | None = None
    welcome = Welcome()

    async def prepare() -> Demo:
        async with opened(settings) as (_database, services):
            return await prepare_demo(services, DEMO_DATABASE.with_suffix(".key"))

    if demo:
        shown = asyncio.run(prepare())
        welcome = Welcome(
            tabs=welcome_tabs(str(shown.calendar_id), shown.free_hour),
            headers={"Authorization": f"Bearer {shown.token}"},
            workspace=str(shown.calendar_id),
        )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[Any] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                _announce(settings, port, shown)

    Server(
        uvicorn.Config(
            create_app(settings, welcome=welcome),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=15,
        )
    ).run()


def _announce(settings: Settings, port: int, demo: Demo | None) -> None:
    """Say where the server is. On a terminal for people, otherwise in plain lines."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}/graphql"
    if demo is None:
        screen.print(f"Kalends {kalends.__version__} on {url}", highlight=False, markup=False, soft_wrap=True)
        return
    query = (
        "mutation($input: CreateEventInput!) { createEvent(input: $input) "
        "{ event { id what start end sync { status } } errors { ... on UserError { message path } } } }"
    )
    event = {
        "calendarId": str(demo.calendar_id),
        "start": demo.free_hour.isoformat(),
        "end": (demo.free_hour + timedelta(hours=1)).isoformat(),
        "what": "Design review",
        "where": "Room 2",
        "syncProvider": True,
    }
    lines = [
        f"Kalends {kalends.__version__}: the demo",
        "",
        f"  GraphiQL   {url}",
        f"  Key        {demo.token}",
        f"  Calendar   {demo.calendar_id}",
        "",
        "Block an hour from another terminal:",
        "",
        f"curl {url} -H 'Content-Type: application/json' \\",
        f"  -H 'Authorization: Bearer {demo.token}' \\",
        f"  -d '{json.dumps({'query': query, 'variables': {'input': event}})}'",
        "",
        "Ctrl-C stops it.",
    ]
    for line in lines:
        screen.print(line, highlight=False, markup=False, soft_wrap=True)


@cli.command()
def worker() -> None:
    """Run the sync worker alone, beside any number of servers and other workers."""
    settings = load_settings()

    async def run() -> None:
        from kalends.server.app import build_worker

        async with opened(settings, patient=True) as (_database, services):
            working = build_worker(services, settings)
            loop = asyncio.get_running_loop()
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, working.stop)
            screen.print(f"Kalends {kalends.__version__}: syncing", highlight=False)
            await working.run()

    asyncio.run(run())


@cli.command()
def migrate(as_json: Json = False) -> None:
    """Bring the database to this version's schema. Several at once are safe."""
    settings = load_settings()

    async def run() -> None:
        from kalends.domain.values import utc_now
        from storage.engine import Database
        from storage.migrate import migrate as migrate_database

        url = settings.migration_url or settings.database_url
        database = Database(url.get_secret_value(), prepared=settings.database_prepared)
        try:
            done = await migrate_database(database, at=utc_now())
        finally:
            await database.close()
        if as_json:
            print_json({"before": done.before, "after": done.after, "copy": str(done.copy) if done.copy else None})
        elif done.changed:
            kept = f"; the old file is kept as {done.copy}" if done.copy else ""
            screen.print(f"Migrated from {done.before or 'nothing'} to {done.after}{kept}.", highlight=False)
        else:
            screen.print(f"The schema is at {done.after} already.", highlight=False)

    asyncio.run(run())


@cli.command()
def schema(
    check: Annotated[Path | None, typer.Option(help="Compare with this file; exit 1 where they differ.")] = None,
) -> None:
    """Print the GraphQL schema."""
    from schema.schema import schema as graphql

    text = graphql.as_str() + "\n"
    if check is None:
        sys.stdout.write(text)
    elif not check.is_file() or check.read_text() != text:
        fail(f"{check} is not the schema: run kalends schema > {check}")


@cli.command()
def doctor(as_json: Json = False) -> None:
    """Look whether everything is in place, and say what to do where it is not."""
    settings = load_settings()
    failed = False

    async def run() -> None:
        nonlocal failed
        from kalends.server.doctor import examine

        async with opened(settings, ready=False) as (database, _services):
            findings = [finding async for finding in examine(settings, database)]
        failed = any(finding.state == "failed" for finding in findings)
        if as_json:
            print_json([finding.as_json() for finding in findings])
            return
        table = Table("", "what", "how it is", "what to do", box=None)
        marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
        for each in findings:
            table.add_row(marks[each.state], each.subject, each.detail, each.advice)
        screen.print(table)

    asyncio.run(run())
    if failed:
        raise SystemExit(1)


@cli.command("settings")
def show_settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md instead.")] = False,
    as_json: Json = False,
) -> None:
    """Show the settings in force; secrets are hidden."""
    from kalends.server import settings_table

    if markdown:
        sys.stdout.write(settings_table.markdown())
        return
    rows = settings_table.rows(load_settings())
    for name in settings_table.unknown_variables(os.environ):
        complain(f"{name} is no setting: it has no effect")
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    for row in rows:
        mark = "" if row.value == row.default else f"  (default: {row.default or 'none'})"
        screen.print(f"{row.variable} = {row.value}{mark}", highlight=False, markup=False, soft_wrap=True)
