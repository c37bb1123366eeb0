"""The commands about the keys that seal secrets, and the simulators that need none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Any

import typer

from kalends.server.terminal import Json, fail, load_settings, opened, print_json, screen

secrets_cli = typer.Typer(
    name="secrets", help="The keys that seal what opens other people's accounts.", no_args_is_help=True
)


@secrets_cli.command("new")
def new() -> None:
    """Make a key for KALENDS_SECRET_KEYS."""
    from storage.secrets import new_key

    screen.print(new_key(), highlight=False, markup=False, soft_wrap=True)


@secrets_cli.command("rotate")
def rotate(as_json: Json = False) -> None:
    """Seal every stored secret with the first key of KALENDS_SECRET_KEYS; afterwards the others can go.

    Put the new key in front of the old ones first, and restart the servers and workers with both.
    """
    settings = load_settings()

    async def run() -> None:
        from resolvers.upkeep import reseal

        async with opened(settings) as (_database, services):
            count = await reseal(services)
        if as_json:
            print_json({"resealed": count})
        else:
            screen.print(f"{count} secrets were sealed with another key; now all have the first.", highlight=False)

    asyncio.run(run())


class Vendor(StrEnum):
    """Whose calendar service to simulate."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"


PORTS = {Vendor.GOOGLE: 8002, Vendor.MICROSOFT: 8003}


def simulate(
    vendor: Annotated[Vendor, typer.Argument(help="Whose calendar service.")],
    port: Annotated[int | None, typer.Option(help="The port to listen on, on loopback: 8002 or 8003.")] = None,
) -> None:
    """Run a simulator of Google's or Microsoft's calendar service, to try sync without an account there."""
    simulator = _simulator(vendor)
    port, name = port or PORTS[vendor], vendor.value.upper()
    lines = [
        f"{vendor.value.capitalize()}, simulated, on http://127.0.0.1:{port}",
        "",
        "Start Kalends beside it, in another terminal, with",
        "",
        f"export KALENDS_{name}_ENDPOINT=http://127.0.0.1:{port}",
        f"export KALENDS_{name}_CLIENT_ID=client KALENDS_{name}_CLIENT_SECRET=secret",
        "export KALENDS_PUBLIC_URL=http://127.0.0.1:8000",
        "",
        "Ctrl-C stops it.",
    ]
    for line in lines:
        screen.print(line, highlight=False, markup=False, soft_wrap=True)
    simulator.serve(port)


def _simulator(vendor: Vendor) -> Any:
    """Return the simulator's package: in a wheel it is one of ours, in a checkout one of the tests'."""
    for package in ("kalends.simulators", "tests.simulators"):
        with suppress(ModuleNotFoundError):
            return import_module(f"{package}.{vendor.value}")
    return fail("the simulators are not installed here")
