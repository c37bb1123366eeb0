"""Telling the sandbox provider how to misbehave."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from kalends.domain.access import Principal, Scope, require
from kalends.domain.calendars import SANDBOX
from kalends.domain.errors import InvalidInput, NotFound, Refused
from providers.sandbox import MAX_SECONDS, Faults
from resolvers.services import Services

LIMITS = (
    *((name, 1.0, "a chance from 0 to 1") for name in ("throttled", "unavailable", "reply_lost")),
    *((name, float(MAX_SECONDS), f"0 to {MAX_SECONDS} seconds") for name in ("latency", "retry_after")),
)


async def configure_sandbox(
    services: Services, principal: Principal, calendar_id: UUID | None, faults: Faults
) -> Faults:
    """Set the faults of the account behind a sandbox calendar, which may have other calendars too."""
    require(principal, Scope.MANAGE_CALENDARS)
    problems = [
        InvalidInput(path=(name,), message=f"Expected {expected}.", expected=expected)
        for name, most, expected in LIMITS
        if not 0 <= getattr(faults, name) <= most
    ]
    if problems:
        raise Refused(*problems)
    async with services.storage.writing(principal.app_id) as work:
        found = await work.calendars.many([calendar_id]) if calendar_id else []
        if not found or found[0].provider != SANDBOX or found[0].account_id is None:
            raise Refused(NotFound(path=("calendar_id",), message="There is no such calendar at the sandbox."))
        await work.sandbox.set_faults(found[0].account_id, asdict(faults))
    return faults
