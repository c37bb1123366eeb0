"""What a write would do, and what payloads say of themselves."""

from __future__ import annotations

from typing import Self

import strawberry

from resolvers.events import Preview
from schema.scalars import EmailAddress, JSONValue
from schema.times import TimeRange

ERRORS = "What is wrong, all of it at once; empty where it was done."
CONFLICTS = (
    "The events in the way, where the policy is WARN; earliest first, at most 50 per event. "
    "Empty for a key without the scope READ."
)
EVENT = "The event as it is stored now; null where it was refused."
MAX_TAKEN = 100


@strawberry.type(description="What a write would have a provider do.")
class DryRun:
    """See the description."""

    provider: str = strawberry.field(description="The provider's name.")
    payload: JSONValue = strawberry.field(description="What the provider would get, in its own form; {} for none.")
    mailed: list[EmailAddress] = strawberry.field(description="Who would be mailed.")
    takes: list[TimeRange] = strawberry.field(
        description=f"The times that would be taken and are not taken by it now: the first {MAX_TAKEN}."
    )

    @classmethod
    def of(cls, preview: Preview) -> Self:
        """Return what a write would do in the API's words."""
        return cls(
            provider=preview.provider,
            payload=JSONValue(preview.payload),
            mailed=[EmailAddress(each) for each in preview.mailed],
            takes=[TimeRange.of(each) for each in preview.takes[:MAX_TAKEN]],
        )
