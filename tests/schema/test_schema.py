"""The schema: everything in it is explained, the exported file is it, and entities resolve as a subgraph's do."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    is_specified_scalar_type,
)

from kalends.domain.ids import uuid7
from schema.schema import schema
from tests.api import SCHEMA, SLOT, House, Tenant
from tests.helpers import HOUR

pytestmark = pytest.mark.anyio

FEDERATION = {"_Any", "_Entity", "_Service", "_entities", "_service"}
OURS = {
    name: type_
    for name, type_ in SCHEMA.type_map.items()
    if "__" not in name and name not in FEDERATION and not is_specified_scalar_type(type_)
}


def test_every_name_has_a_description() -> None:
    bare = []
    for name, type_ in OURS.items():
        described: dict[str, Any] = {name: type_}
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                described[f"{name}.{field_name}"] = field
                for argument_name, argument in getattr(field, "args", {}).items():
                    described[f"{name}.{field_name}({argument_name}:)"] = argument
        if isinstance(type_, GraphQLEnumType):
            described |= {f"{name}.{value_name}": value for value_name, value in type_.values.items()}
        bare += [each for each, what in described.items() if not (what.description or "").strip()]
    assert [each for each in bare if each.split(".")[-1].split("(")[0] not in FEDERATION] == []


def test_a_description_is_a_sentence() -> None:
    texts = {type_.description or "" for type_ in OURS.values()}
    assert [text for text in texts if text.split(". ")[-1][-1:] != "." or text[0] != text[0].upper()] == []


def test_every_scalar_of_ours_names_its_specification() -> None:
    scalars = [type_ for type_ in OURS.values() if isinstance(type_, GraphQLScalarType)]
    assert {type_.name for type_ in scalars} >= {"DateTime", "Date", "TimeZone", "EmailAddress"}
    assert [type_.name for type_ in scalars if not (type_.specified_by_url or "").startswith("https://")] == []


def test_the_exported_file_is_the_schema() -> None:
    exported = Path(__file__).parents[2] / "schema.graphql"
    assert exported.read_text() == schema.as_str() + "\n"


def test_every_refusal_is_a_user_error() -> None:
    interface = SCHEMA.type_map["UserError"]
    assert isinstance(interface, GraphQLInterfaceType)
    implementing = {type_.name for type_ in SCHEMA.get_possible_types(interface)}
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    for field in mutation.fields.values():
        payload = SCHEMA.type_map[str(field.type).rstrip("!")]
        assert isinstance(payload, GraphQLObjectType)
        union = SCHEMA.type_map[str(payload.fields["errors"].type).strip("[]!")]
        assert str(payload.fields["errors"].type) == f"[{union.name}!]!"
        assert {member.name for member in getattr(union, "types", ())} <= implementing


ENTITIES = """query ($them: [_Any!]!) {
  _entities(representations: $them) {
    __typename
    ... on Event { id what calendar { id } }
    ... on Calendar { id name }
    ... on Resource { id name email }
  }
}"""


async def test_entities_keep_their_order_and_what_is_none_is_null(house: House, ours: Tenant, theirs: Tenant) -> None:
    events = [await ours.create(SLOT + number * HOUR, what=f"Nr {number}") for number in range(2)]
    calendar, resource = str(ours.calendar.id), str(ours.resource.id)
    gone = await ours.create()
    await ours.api.done("deleteEvent", id=gone["id"])
    wanted: list[tuple[Any, Any]] = [
        ({"__typename": "Event", "id": events[1]["id"]}, "Nr 1"),
        ({"__typename": "Resource", "id": resource}, "Aurora's Ada"),
        ({"__typename": "Event", "id": str(uuid7())}, None),
        ({"__typename": "Calendar", "id": str(theirs.calendar.id)}, None),
        ({"__typename": "Calendar", "id": calendar}, "Aurora's work"),
        ({"__typename": "Event", "id": calendar}, None),
        ({"__typename": "Event", "id": gone["id"]}, None),
        ({"__typename": "Event", "id": "no-uuid"}, None),
        ({"__typename": "Event", "id": 7}, None),
        ({"__typename": "Event", "id": None}, None),
        ({"__typename": "Event", "id": {"$ne": ""}}, None),
        ({"__typename": "Event"}, None),
        ({"__typename": "ApiKey", "id": str(ours.key_id)}, None),
        ({"__typename": "Unknown", "id": events[0]["id"]}, None),
        ({"__typename": 7, "id": events[0]["id"]}, None),
        ({"id": events[0]["id"]}, None),
        ({}, None),
        ("Event", None),
        (["Event", events[0]["id"]], None),
        ({"__typename": "Event", "id": events[0]["id"], "what": "Forged"}, "Nr 0"),
        ({"__typename": "Event", "id": events[1]["id"]}, "Nr 1"),
    ]
    found = (await ours.api.run(ENTITIES, them=[each for each, _ in wanted]))["_entities"]
    assert [each and (each.get("what") or each["name"]) for each in found] == [name for _, name in wanted]


async def test_the_subgraph_tells_its_schema_to_anybody(house: House, ours: Tenant) -> None:
    sdl = (await ours.api.run("{ _service { sdl } }"))["_service"]["sdl"]
    for name in ("Event", "Calendar", "Resource"):
        assert f'type {name} @key(fields: "id")' in sdl
    assert 'https://specs.apollo.dev/federation/v2.9"' in sdl


async def test_too_many_representations_are_refused(ours: Tenant) -> None:
    them = [{"__typename": "Event", "id": str(uuid7())}] * 501
    error = await ours.api.fault(ENTITIES, them=them)
    assert error["extensions"] == {
        "code": "BAD_USER_INPUT",
        "argument": "representations",
        "expected": "at most 500",
    }
