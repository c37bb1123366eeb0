"""The sandbox provider's faults, on the surface of the API: frontends develop against them."""

from __future__ import annotations

from typing import Annotated

import strawberry

from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from providers.sandbox import Faults
from resolvers.sandbox import configure_sandbox
from schema.calendars import ERRORS
from schema.context import Info
from schema.errors import InvalidInputError, NotFoundError, user_errors

LATENCY = "Seconds before every answer, 0 to 60."
REVOKED = "Whether the grant is gone, as when its owner has withdrawn it."
THROTTLED = "The chance of being told to wait (429), 0 to 1."
RETRY_AFTER = "Seconds to wait when told to, 0 to 60."
UNAVAILABLE = "The chance of a failure in which nothing happens (503), 0 to 1."
REPLY_LOST = "The chance that it happens and the answer is lost, 0 to 1."


@strawberry.input(description="How the sandbox is to treat the account behind a calendar; what is absent behaves well.")
class ConfigureSandboxInput:
    """See the description."""

    calendar_id: strawberry.ID = strawberry.field(description="A calendar at the sandbox.")
    latency: float = strawberry.field(default=0.0, description=LATENCY)
    revoked: bool = strawberry.field(default=False, description=REVOKED)
    throttled: float = strawberry.field(default=0.0, description=THROTTLED)
    retry_after: float = strawberry.field(default=2.0, description=RETRY_AFTER)
    unavailable: float = strawberry.field(default=0.0, description=UNAVAILABLE)
    reply_lost: float = strawberry.field(default=0.0, description=REPLY_LOST)


@strawberry.type(description="How the sandbox treats an account.")
class SandboxFaults:
    """See the description."""

    latency: float = strawberry.field(description=LATENCY)
    revoked: bool = strawberry.field(description=REVOKED)
    throttled: float = strawberry.field(description=THROTTLED)
    retry_after: float = strawberry.field(description=RETRY_AFTER)
    unavailable: float = strawberry.field(description=UNAVAILABLE)
    reply_lost: float = strawberry.field(description=REPLY_LOST)


ConfigureSandboxError = Annotated[
    InvalidInputError | NotFoundError,
    strawberry.union("ConfigureSandboxError", description="Why the sandbox could not be configured."),
]


@strawberry.type(description="What became of `configureSandbox`.")
class ConfigureSandboxPayload:
    """See the description."""

    faults: SandboxFaults | None = strawberry.field(default=None, description="How it treats the account from now on.")
    errors: list[ConfigureSandboxError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class SandboxMutation:
    """The mutations."""

    @strawberry.mutation(
        description="Have the sandbox provider be slow, busy, unavailable or gone, to see what a frontend makes of it."
    )
    async def configure_sandbox(
        self,
        info: Info,
        input: Annotated[ConfigureSandboxInput, strawberry.argument(description="The faults.")],
    ) -> ConfigureSandboxPayload:
        """Set an account's faults."""
        faults = Faults(
            latency=input.latency,
            revoked=input.revoked,
            throttled=input.throttled,
            retry_after=input.retry_after,
            unavailable=input.unavailable,
            reply_lost=input.reply_lost,
        )
        try:
            await configure_sandbox(info.context.services, info.context.actor, parse_id(input.calendar_id), faults)
        except Refused as refused:
            return ConfigureSandboxPayload(errors=user_errors(refused))
        told = SandboxFaults(**{name: getattr(faults, name) for name in Faults.__slots__})
        return ConfigureSandboxPayload(faults=told)
