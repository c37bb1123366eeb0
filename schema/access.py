"""The caller and the app's keys, on the surface of the API."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from kalends.domain import access as domain
from kalends.domain.errors import Refused
from kalends.domain.ids import parse_id
from resolvers import access as use_cases
from schema.calendars import ERRORS, NAME
from schema.context import Info
from schema.enums import Scope
from schema.errors import IdempotencyKeyReusedError, InvalidInputError, NotFoundError, user_errors
from schema.event_inputs import KEY
from schema.scalars import DateTime, instant_or_date, moment, optional_moment


@strawberry.type(description="An API key. Its secret is not here: it is shown once, when it is made.")
class ApiKey:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The key's own id; opaque.")
    name: str = strawberry.field(description="What people call it.")
    scopes: list[Scope] = strawberry.field(description="What it may do.")
    created_at: DateTime = strawberry.field(description="When it was made.")
    expires_at: DateTime | None = strawberry.field(description="When it stops working; null for never.")
    revoked_at: DateTime | None = strawberry.field(description="When it was revoked.")
    last_used_at: DateTime | None = strawberry.field(description="When it last opened the door, to the minute.")

    @classmethod
    def of(cls, key: domain.ApiKey) -> Self:
        """Return a key in the API's words."""
        return cls(
            id=strawberry.ID(str(key.id)),
            name=key.name,
            scopes=sorted(key.scopes),
            created_at=moment(key.created_at),
            expires_at=optional_moment(key.expires_at),
            revoked_at=optional_moment(key.revoked_at),
            last_used_at=optional_moment(key.last_used_at),
        )


@strawberry.type(description="A tenant: everything belongs to exactly one app, and none sees another's.")
class App:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The app's own id; opaque.")
    name: str = strawberry.field(description="What people call it.")
    created_at: DateTime = strawberry.field(description="When it was created.")


@strawberry.type(description="Whoever asks.")
class Viewer:
    """See the description."""

    app: App = strawberry.field(description="The app of the caller's key.")
    key: ApiKey = strawberry.field(description="The caller's key.")


@strawberry.input(description="A key to be made.")
class CreateApiKeyInput:
    """See the description."""

    name: str = strawberry.field(description=NAME)
    scopes: list[Scope] = strawberry.field(description="What it may do: nothing that the caller's key may not.")
    expires_at: DateTime | None = strawberry.field(default=None, description="When it stops working; never by default.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


CreateApiKeyError = Annotated[
    InvalidInputError | IdempotencyKeyReusedError,
    strawberry.union("CreateApiKeyError", description="Why a key could not be made."),
]
RevokeApiKeyError = Annotated[
    NotFoundError, strawberry.union("RevokeApiKeyError", description="Why a key could not be revoked.")
]


@strawberry.type(description="What became of `createApiKey`.")
class CreateApiKeyPayload:
    """See the description."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    token: str | None = strawberry.field(
        default=None, description="What to send in `Authorization: Bearer`. Shown once: a repeated request gets null."
    )
    errors: list[CreateApiKeyError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of `revokeApiKey`.")
class RevokeApiKeyPayload:
    """See the description."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    errors: list[RevokeApiKeyError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class AccessQuery:
    """The queries."""

    @strawberry.field(description="Whoever asks.")
    async def viewer(self, info: Info) -> Viewer:
        """Load the caller's app and key."""
        app, key = await use_cases.viewer(info.context.services, info.context.caller)
        made = App(id=strawberry.ID(str(app.id)), name=app.name, created_at=moment(app.created_at))
        return Viewer(app=made, key=ApiKey.of(key))

    @strawberry.field(description="Every key of the app, revoked ones too, oldest first.")
    async def api_keys(self, info: Info) -> list[ApiKey]:
        """List keys."""
        return [ApiKey.of(key) for key in await use_cases.list_keys(info.context.services, info.context.caller)]


@strawberry.type
class AccessMutation:
    """The mutations."""

    @strawberry.mutation(description="Make a key.")
    async def create_api_key(
        self,
        info: Info,
        input: Annotated[CreateApiKeyInput, strawberry.argument(description="The key.")],
    ) -> CreateApiKeyPayload:
        """Make one key."""
        try:
            made = await use_cases.create_key(
                info.context.services,
                info.context.actor,
                name=input.name,
                scopes=input.scopes,
                expires_at=None if input.expires_at is None else instant_or_date(input.expires_at),
                idempotency_key=input.idempotency_key,
            )
        except Refused as refused:
            return CreateApiKeyPayload(errors=user_errors(refused))
        return CreateApiKeyPayload(api_key=ApiKey.of(made.key), token=made.token)

    @strawberry.mutation(description="Revoke a key, for good and within a second everywhere. A key may revoke itself.")
    async def revoke_api_key(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The key.")],
    ) -> RevokeApiKeyPayload:
        """Revoke one key."""
        try:
            key = await use_cases.revoke_key(info.context.services, info.context.actor, parse_id(id))
        except Refused as refused:
            return RevokeApiKeyPayload(errors=user_errors(refused, under=()))
        return RevokeApiKeyPayload(api_key=ApiKey.of(key))
