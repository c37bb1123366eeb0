"""The schema: a subgraph of Apollo Federation 2."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import strawberry
from graphql import GraphQLSchema, print_type
from graphql.utilities.print_schema import print_directive
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

# What Federation adds to the schema, as its specification describes it.
FEDERATION_TYPES = {
    "_Any": "A representation of an entity: its `__typename` and the fields of its key.",
    "_Entity": "What another subgraph can refer to.",
    "_Service": "This subgraph, as a gateway sees it.",
    "federation__FieldSet": "A selection of fields, without the outer braces.",
    "link__Import": "A name of a linked specification, or that name and the one that it has here.",
    "link__Purpose": "What a linked specification is needed for.",
}
FEDERATION_DIRECTIVES = {
    "key": (
        "The fields by which a gateway finds an entity (Apollo Federation).",
        {"fields": "The fields.", "resolvable": "Whether this subgraph can find it, or only refers to it."},
    ),
    "link": (
        "A specification whose names this schema uses (https://specs.apollo.dev/link/v1.0).",
        {
            "url": "The specification, with its version.",
            "as": "The prefix of its names here; its own by default.",
            "for": "What it is needed for.",
            "import": "Its names that stand here without a prefix.",
        },
    ),
}
LINK_PURPOSES = {"SECURITY": "To refuse what must not be seen.", "EXECUTION": "To answer rightly."}

# Strawberry prints the directive without saying what it means (https://spec.graphql.org/September2025/#sec--oneOf).
ONE_OF = "directive @oneOf on INPUT_OBJECT"
ONE_OF_MEANS = '"""Exactly one field of the input is given, and it is not null."""'

# For whoever lints the exported file with stock rules; conformance/ ignores it, and names each exception itself.
LINT_NOTE = (
    "# eslint-disable @graphql-eslint/strict-id-in-types, @graphql-eslint/naming-convention "
    "-- pages, payloads, errors and values have no identity; Federation chooses its own names"
)


class Schema(strawberry.federation.Schema):
    """A federated schema whose `_entities` never fails as a whole for one representation."""

    def as_str(self) -> str:
        """Return the schema as a file that is complete in itself: Strawberry leaves out what a gateway knows anyway."""
        text, graphql = super().as_str(), self._schema
        text = text.replace(ONE_OF, f"{ONE_OF_MEANS}\n{ONE_OF}")
        directives = [print_directive(each) for each in graphql.directives if each.name in FEDERATION_DIRECTIVES]
        types = [print_type(graphql.type_map[name]) for name in FEDERATION_TYPES if "__" in name]
        return "\n\n".join([LINT_NOTE, text, *directives, *types])

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


def _describe(graphql: GraphQLSchema) -> None:
    """Describe Federation's names, and give one the name that the specification has for it."""
    types: dict[str, Any] = graphql.type_map
    selection = types.pop("_FieldSet")
    selection.name = "federation__FieldSet"
    types[selection.name] = selection
    for name, description in FEDERATION_TYPES.items():
        types[name].description = description
    for value, description in LINK_PURPOSES.items():
        types["link__Purpose"].values[value].description = description
    types["_Service"].fields["sdl"].description = "The schema, with Federation's directives."
    fields = types["Query"].fields
    fields["_service"].description = "What a gateway composes its schema from (Apollo Federation)."
    fields["_entities"].description = "Entities that other subgraphs refer to, in their order; null for an unknown one."
    fields["_entities"].args["representations"].description = f"The references, at most {MAX_REPRESENTATIONS}."
    for directive in graphql.directives:
        if directive.name in FEDERATION_DIRECTIVES:
            directive.description, arguments = FEDERATION_DIRECTIVES[directive.name]
            for name, description in arguments.items():
                directive.args[name].description = description


_describe(schema._schema)  # noqa: SLF001  Strawberry has no public name for it
