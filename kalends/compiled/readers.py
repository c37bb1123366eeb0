"""From JSON straight to what resolvers get: scalars, enums, lists, and instances of Strawberry's input classes.

graphql-core makes a dict of an input (GraphQL section 3.10, "Input Coercion"), and Strawberry an instance of the dict.
A reader does both in one step, for values that are right. It does not say what is wrong with one that is not: it
raises, and the ordinary executor, which says it, runs in place of the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from enum import Enum
from typing import Any, TypeAlias

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
    is_required_input_field,
)
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry import Schema, Some
from strawberry.relay import GlobalID
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument
from strawberry.types.base import (
    StrawberryContainer,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    StrawberryType,
)
from strawberry.types.lazy_type import LazyType

DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF
"""Where a GraphQL type, field or argument keeps what Strawberry made it of."""

Reader: TypeAlias = Callable[[Any], Any]
"""Returns a JSON value as the resolver gets it; raises anything at all where it is not of the type."""

Python: TypeAlias = StrawberryType | type
"""A type as Strawberry has it."""


_STRICT = frozenset({GraphQLBoolean, GraphQLFloat, GraphQLID, GraphQLInt, GraphQLString})
"""The scalars whose own coercion refuses null."""


class Unfit(Exception):
    """A value, or a type, that a reader does not read."""


def is_constant(value: object) -> bool:
    """Say whether nobody can change a value, so that everybody may get the same one."""
    return value is None or isinstance(value, str | int | float | bool | Enum)


class Readers:
    """Makes readers for the types of one schema, each once."""

    def __init__(self, schema: Schema) -> None:
        self._config = schema.config
        self._registry = schema.schema_converter.scalar_registry
        self._inputs: dict[str, Reader] = {}
        self._under_way: set[str] = set()

    def reader(self, of: GraphQLInputType) -> Reader:
        """Return the reader of a type, without the `Maybe` of the place where it stands.

        Raises Unfit for a type with hooks of its own, or one that contains itself: graphql-core bounds its depth.
        """
        if not isinstance(of, GraphQLNonNull):
            return _optional(self._bare(of))
        bare = self._bare(of.of_type)
        return bare if of.of_type in _STRICT or isinstance(of.of_type, GraphQLEnumType) else _required(bare)

    def convert(self, value: object, python: Python) -> Any:
        """Return a coerced value as Strawberry hands it to a resolver."""
        return convert_argument(value, python, self._registry, self._config)

    def _bare(self, of: GraphQLInputType) -> Reader:
        if isinstance(of, GraphQLList):
            return _list(self.reader(of.of_type))
        if isinstance(of, GraphQLInputObjectType):
            return self._input(of)
        if isinstance(of, GraphQLEnumType):
            return _enum(of)
        if isinstance(of, GraphQLScalarType):
            return of.coerce_input_value if of in _STRICT else _scalar(of)
        raise Unfit(str(of))

    def _input(self, of: GraphQLInputObjectType) -> Reader:
        if of.name in self._under_way:
            raise Unfit(of.name)
        if (known := self._inputs.get(of.name)) is None:
            self._under_way.add(of.name)
            try:
                known = self._inputs[of.name] = self._object(of)
            finally:
                self._under_way.discard(of.name)
        return known

    def _object(self, of: GraphQLInputObjectType) -> Reader:
        definition = _definition(of)
        fields = self._fields(of, definition)
        given, fresh = self._defaults(of, definition)
        required = {name for name, declared in of.fields.items() if is_required_input_field(declared)}
        make, convert = definition.origin, self.convert

        def read(raw: Any) -> Any:
            if type(raw) is not dict or not required <= raw.keys():
                raise Unfit
            arguments = given.copy()
            for key, value in raw.items():
                python_name, reader = fields[key]
                arguments[python_name] = reader(value)
            for key, python_name, default, python in fresh:
                if key not in raw:
                    arguments[python_name] = convert(default, python)
            return make(**arguments)

        return _one_of(read) if definition.is_one_of else read

    def _fields(
        self, of: GraphQLInputObjectType, definition: StrawberryObjectDefinition
    ) -> dict[str, tuple[str, Reader]]:
        """Return by GraphQL's names what Python calls the fields of an input, and how they are read."""
        fields = {}
        for field in definition.fields:
            declared = of.fields.get(name := self._config.name_converter.from_field(field))
            if declared is not None:
                if declared.out_name is not None:
                    raise Unfit(of.name)
                python = field.resolve_type(type_definition=definition)
                fields[name] = field.python_name, _wrapped(self.reader(declared.type), python)
        if fields.keys() != of.fields.keys():
            raise Unfit(of.name)
        return fields

    def _defaults(
        self, of: GraphQLInputObjectType, definition: StrawberryObjectDefinition
    ) -> tuple[dict[str, Any], list[tuple[str, str, object, Python]]]:
        """Return what the fields of an input are where they are absent, and those that are made anew each time."""
        given: dict[str, Any] = {}
        fresh: list[tuple[str, str, object, Python]] = []
        for field in definition.fields:
            if field.default_value is MISSING and field.default_factory is MISSING:
                given[field.python_name] = None  # as Strawberry does where there is no default
            declared = of.fields.get(name := self._config.name_converter.from_field(field))
            default = Undefined if declared is None else coerce_default_value(declared)
            if default is Undefined:
                continue
            python = field.resolve_type(type_definition=definition)
            if is_constant(default):
                given[field.python_name] = self.convert(default, python)
            else:
                fresh.append((name, field.python_name, default, python))
        return given, fresh


def _definition(of: GraphQLInputObjectType) -> StrawberryObjectDefinition:
    """Return what Strawberry made an input of; raise Unfit where somebody hooked into the making of its values."""
    definition = of.extensions.get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.from_input is not None:
        raise Unfit(of.name)
    # Strawberry checks a OneOf input by an `out_type` of its own.
    if of.is_one_of or (not definition.is_one_of and of.out_type is not GraphQLInputObjectType.out_type):
        raise Unfit(of.name)
    return definition


def _one_of(reader: Reader) -> Reader:
    """Exactly one field, and that not null (section 3.10.1, "OneOf Input Objects")."""

    def read(raw: Any) -> Any:
        if len(raw) != 1 or None in raw.values():
            raise Unfit
        return reader(raw)

    return read


def _wrapped(reader: Reader, python: Python) -> Reader:
    """Return the reader of a place whose type may be a `Maybe`; raise Unfit where ids are decoded."""
    refuse_global_ids(python)
    if not isinstance(python, StrawberryMaybe):
        return reader
    nullable = isinstance(python.of_type, StrawberryOptional)

    def read(raw: Any) -> Any:
        if raw is None and not nullable:
            raise Unfit
        return Some(reader(raw))

    return read


def refuse_global_ids(python: Python) -> None:
    """Raise Unfit where Strawberry decodes Relay's ids after the coercion."""
    while isinstance(python, StrawberryContainer | LazyType):
        python = python.of_type if isinstance(python, StrawberryContainer) else python.resolve_type()
    if python is GlobalID:
        raise Unfit("GlobalID")


def _required(reader: Reader) -> Reader:
    def read(raw: Any) -> Any:
        if raw is None:
            raise Unfit
        return reader(raw)

    return read


def _optional(reader: Reader) -> Reader:
    def read(raw: Any) -> Any:
        return None if raw is None else reader(raw)

    return read


def _list(reader: Reader) -> Reader:
    """A list, or a single value that stands for a list of one (section 3.12, "Input Coercion")."""

    def read(raw: Any) -> Any:
        if type(raw) is not list:
            if not isinstance(raw, str | int | float | bool | dict):
                raise Unfit
            return [reader(raw)]
        return [reader(each) for each in raw]

    return read


def _scalar(of: GraphQLScalarType) -> Reader:
    coerce = of.coerce_input_value

    def read(raw: Any) -> Any:
        value = coerce(raw)
        if value is Undefined:
            raise Unfit
        return value

    return read


def _enum(of: GraphQLEnumType) -> Reader:
    members: Mapping[str, Any] = {name: of.coerce_input_value(name) for name in of.values}
    if not all(isinstance(member, Enum) for member in members.values()):
        raise Unfit(of.name)
    return members.__getitem__
