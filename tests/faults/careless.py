"""`kalends` with a defect put in: what the judge must find, from one end to the other.

    python -m tests.faults.careless doubles worker

loses    a new event is acknowledged, and was never sent
doubles  a new event is sent twice, under two names
diverges a change is acknowledged, and was never sent
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from providers.interface import Outgoing, Provider, RemoteCalendar, RemoteEvent
from providers.registry import Registry
from providers.surroundings import Surroundings

LOSES, DOUBLES, DIVERGES = WAYS = ("loses", "doubles", "diverges")

Create = Callable[[RemoteCalendar, Outgoing], Awaitable[RemoteEvent]]


def neglect(way: str) -> None:
    """Make every provider of this process careless."""
    installed = Registry.installed

    def careless(surroundings: Surroundings) -> Registry:
        registry = installed(surroundings)
        for name in registry.names:
            _spoil(registry[name], way)
        return registry

    setattr(Registry, "installed", staticmethod(careless))  # noqa: B010  it is another kind of method


def _spoil(provider: Provider, way: str) -> None:
    create: Create = provider.create

    async def never_create(_calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        return RemoteEvent(outgoing.identity.key, '"1"', state=provider.expected(outgoing))

    async def create_twice(calendar: RemoteCalendar, outgoing: Outgoing) -> RemoteEvent:
        identity = replace(outgoing.identity, generation=99, uid=f"again-{outgoing.identity.uid}")
        await create(calendar, replace(outgoing, identity=identity))
        return await create(calendar, outgoing)

    async def never_update(_calendar: RemoteCalendar, outgoing: Outgoing, known: RemoteEvent) -> RemoteEvent:
        return replace(known, state=provider.expected(outgoing))

    match way:
        case "loses":
            setattr(provider, "create", never_create)  # noqa: B010  of one object, not of its class
        case "doubles":
            setattr(provider, "create", create_twice)  # noqa: B010
        case "diverges":
            setattr(provider, "update", never_update)  # noqa: B010
        case _:
            raise ValueError(f"there is no way {way!r}: only {', '.join(WAYS)}")


def main(arguments: Sequence[str]) -> None:
    """Run `kalends` with what follows the way."""
    way, *rest = arguments
    neglect(way)
    sys.argv = ["kalends", *rest]
    from kalends.server.cli import main as run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
