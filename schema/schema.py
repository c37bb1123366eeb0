"""The schema: a subgraph of Apollo Federation 2."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import strawberry
from strawberry.federation.schema import FederationAny
from strawberry.schema.config import StrawberryConfig

from schema.calendars import Calendar
from schema.context import Info
from schema.errors import BadArgument
from schema.events import Event
from schema.mutation import Mutation
from schema.query import Query
from schema.resources import Resource
from schema.scalars import SCALARS

ENTITIES: dict[str, Any] = {"Event": Event, "Calendar": Calendar, "Resource": Resource}
MAX_REPRESENTATIONS = 500


class Schema(strawberry.federation.Schema):
    """A federated schema whose `_entities` never fails as a whole for one representation."""

    def entities_resolver(self, info: Info, representations: list[FederationAny]) -> list[FederationAny]:
        """Resolve entities by id, all of a kind in one question; what is unknown, foreign or no entity is null.

        Order is kept (https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec).
        """
        if len(representations) > MAX_REPRESENTATIONS:
            raise BadArgument("representations", f"at most {MAX_REPRESENTATIONS}")
        return [cast("Any", self._entity(info, each)) for each in representations]

    @staticmethod
    def _entity(info: Info, representation: Any) -> Awaitable[Any] | None:
        if not isinstance(representation, dict):
            return None
        kind, entity_id = ENTITIES.get(str(representation.get("__typename"))), representation.get("id")
        if kind is None or not isinstance(entity_id, str):
            return None
        return cast("Awaitable[Any]", kind.resolve_reference(info, strawberry.ID(entity_id)))


schema = Schema(
    query=Query,
    mutation=Mutation,
    federation_version="2.9",  # a composer in wide use refuses later links
    config=StrawberryConfig(scalar_map=dict(SCALARS)),
)
