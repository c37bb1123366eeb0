"""The commands about apps and keys: the operator's, who needs no key."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from kalends.domain.access import Scope
from kalends.server.terminal import Json, load_settings, moment, opened, print_json, print_rows, screen

app_cli = typer.Typer(name="app", help="Apps: the tenants of a server.", no_args_is_help=True)
key_cli = typer.Typer(name="key", help="API keys.", no_args_is_help=True)


@app_cli.command("create")
def create_app_(name: Annotated[str, typer.Argument(help="What people call it.")], as_json: Json = False) -> None:
    """Create an app, and its first key, which may do everything."""
    settings = load_settings()

    async def run() -> None:
        from resolvers.access import create_app, create_key, operator

        async with opened(settings) as (_database, services):
            made = await create_app(services, name)
            key = await create_key(services, operator(made.id), name="First key", scopes=list(Scope))
        if as_json:
            print_json({"app": str(made.id), "key": str(key.key.id), "token": key.token})
            return
        screen.print(f"App   {made.id}\nToken {key.token}\n", highlight=False, soft_wrap=True)
        screen.print("The token is shown once: keep it where secrets are kept.")

    asyncio.run(run())


@app_cli.command("list")
def list_apps(as_json: Json = False) -> None:
    """List the apps."""
    settings = load_settings()

    async def run() -> None:
        async with opened(settings) as (_database, services), services.storage.system() as system:
            apps = await system.apps()
        rows = [{"id": str(each.id), "name": each.name, "createdAt": each.created_at.isoformat()} for each in apps]
        print_rows("Apps", rows, as_json=as_json)

    asyncio.run(run())


AppId = Annotated[UUID, typer.Option("--app", help="The app's id.")]


@key_cli.command("create")
def create_key_(
    app: AppId,
    name: Annotated[str, typer.Option(help="What people call it.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be repeated.")],
    expires: Annotated[datetime | None, typer.Option(help="When it stops working, in local time.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key."""
    settings = load_settings()

    async def run() -> None:
        from resolvers.access import create_key, operator

        until = expires.astimezone() if expires else None
        async with opened(settings) as (_database, services):
            made = await create_key(services, operator(app), name=name, scopes=scope, expires_at=until)
        if as_json:
            print_json({"key": str(made.key.id), "token": made.token})
            return
        screen.print(f"Key   {made.key.id}\nToken {made.token}\n", highlight=False, soft_wrap=True)
        screen.print("The token is shown once: keep it where secrets are kept.")

    asyncio.run(run())


@key_cli.command("list")
def list_keys_(app: AppId, as_json: Json = False) -> None:
    """List an app's keys."""
    settings = load_settings()

    async def run() -> None:
        from resolvers.access import list_keys, operator

        async with opened(settings) as (_database, services):
            keys = await list_keys(services, operator(app))
        rows = [
            {
                "id": str(key.id),
                "name": key.name,
                "scopes": " ".join(sorted(key.scopes)),
                "expiresAt": moment(key.expires_at),
                "revokedAt": moment(key.revoked_at),
                "lastUsedAt": moment(key.last_used_at),
            }
            for key in keys
        ]
        print_rows("Keys", rows, as_json=as_json)

    asyncio.run(run())


@key_cli.command("revoke")
def revoke_key_(key: Annotated[UUID, typer.Argument(help="The key's id.")], app: AppId, as_json: Json = False) -> None:
    """Revoke a key, at once and for good."""
    settings = load_settings()

    async def run() -> None:
        from resolvers.access import operator, revoke_key

        async with opened(settings) as (_database, services):
            revoked = await revoke_key(services, operator(app), key)
        if as_json:
            print_json({"key": str(revoked.id), "revokedAt": moment(revoked.revoked_at)})
        else:
            screen.print(f"{revoked.name} is revoked.", highlight=False)

    asyncio.run(run())
