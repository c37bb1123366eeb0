"""From a resolver's value to the response's (GraphQL section 6.4.3, "Value Completion")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, TypeAlias, cast
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    Undefined,
    is_leaf_type,
)
from graphql.execution import Executor
from graphql.execution.executor import collect_iterator_awaitables
from graphql.pyutils import gather_with_cancel
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.schema.schema_converter import CustomGraphQLEnumType
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.union import StrawberryUnion

from kalends.compiled.fields import Complete, Field, Position
from kalends.compiled.readers import DEFINITION
from kalends.compiled.run import SETTLED, Place, Run

Select: TypeAlias = Callable[[Any, Place | None, Run], Any]
"""Executes a selection set on an object (section 6.3)."""

SelectFor: TypeAlias = Callable[[GraphQLObjectType], Select]
"""Returns what a field selects of an object type."""

EXACT: dict[GraphQLLeafType, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""The leaves whose values, where they are of exactly this type, are what the response has."""

_PLAIN = frozenset(
    {str, int, float, bool, bytes, dict, list, tuple, date, datetime, time, timedelta, Decimal, UUID, set, frozenset}
)
"""Types whose values are neither errors nor awaitable: they can be serialized without a second look."""


def completion(
    of: GraphQLOutputType, field: Field, schema: GraphQLSchema, select_for: SelectFor, missing: str | None = None
) -> Complete:
    """Return how values of a type are completed; `missing` is the error where there is none and one must be."""
    if isinstance(of, GraphQLNonNull):
        message = f"Cannot return null for non-nullable field {field.parent}.{field.node.name.value}."
        return completion(of.of_type, field, schema, select_for, message)
    if isinstance(of, GraphQLList):
        return _list(of, field, schema, select_for, missing)
    if is_leaf_type(of):
        return _leaf(of, missing)
    if isinstance(of, GraphQLObjectType):
        return _object(of, field, select_for(of), missing)
    return _abstract(cast("GraphQLInterfaceType | GraphQLUnionType", of), field, schema, select_for, missing)


def _absent(value: object, missing: str | None) -> bool:
    """Say whether there is no value; raise where there is an error in its place, or there must be one."""
    if isinstance(value, Exception):
        raise value
    if value is not None and value is not Undefined:
        return False
    if missing is not None:
        raise TypeError(missing)
    return True


def _leaf(of: GraphQLLeafType, missing: str | None) -> Complete:
    """Serialize (section 6.4.3.1, "Coercing Results"), without a second look where a value is certain to be right."""
    write = Executor.complete_leaf_value

    def general(value: Any, _place: Place, _run: Run) -> Any:
        return None if _absent(value, missing) else write(of, value)

    def custom(value: Any, place: Place, run: Run) -> Any:
        return write(of, value) if type(value) in _PLAIN else general(value, place, run)

    if (exact := EXACT.get(of)) is not None:
        return _same(exact, general)
    if of is GraphQLInt:
        return _integer(general)
    if of is GraphQLFloat:
        return _number(general)
    if type(of) is CustomGraphQLEnumType and issubclass(of.wrapped_cls, Enum):
        return _enum(of, general)
    return custom


def _same(exact: type, general: Complete) -> Complete:
    def complete(value: Any, place: Place, run: Run) -> Any:
        return value if type(value) is exact else general(value, place, run)

    return complete


def _integer(general: Complete) -> Complete:
    def complete(value: Any, place: Place, run: Run) -> Any:
        right = type(value) is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT
        return value if right else general(value, place, run)

    return complete


def _number(general: Complete) -> Complete:
    def complete(value: Any, place: Place, run: Run) -> Any:
        return value if type(value) is float and isfinite(value) else general(value, place, run)

    return complete


def _enum(of: CustomGraphQLEnumType, general: Complete) -> Complete:
    members: Any = of.wrapped_cls
    names = {member: of.coerce_output_value(member) for member in members if _is_written(of, member)}

    def complete(value: Any, place: Place, run: Run) -> Any:
        name = names.get(value) if type(value) is members else None
        return general(value, place, run) if name is None else name

    return complete


def _is_written(of: CustomGraphQLEnumType, member: object) -> bool:
    try:
        return isinstance(of.coerce_output_value(member), str)
    except Exception:  # noqa: BLE001  the same happens when it is a resolver's value, and is an error then
        return False


def _object(of: GraphQLObjectType, field: Field, select: Select, missing: str | None) -> Complete:
    origin = _origin(of)
    if of.is_type_of is None:

        def complete(value: Any, place: Place, run: Run) -> Any:
            if type(value) is not origin and _absent(value, missing):
                return None
            return select(value, place, run)

        return complete

    def checked(value: Any, place: Place, run: Run) -> Any:
        if type(value) is origin and getattr(value, TYPE_CAST_ATTRIBUTE, None) is None:
            return select(value, place, run)
        return None if _absent(value, missing) else field.hand_over(of, value, place, run)

    return checked


def _origin(of: GraphQLObjectType) -> type | None:
    """Return the class whose very instances are of a type without being asked; None where nobody can say.

    Strawberry decides by the class, but for generic types and where a type decides by a function of its own.
    """
    definition = of.extensions.get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        return None
    if definition.is_graphql_generic or definition.concrete_of is not None:
        return None
    return definition.origin


def _abstract(
    of: GraphQLInterfaceType | GraphQLUnionType,
    field: Field,
    schema: GraphQLSchema,
    select_for: SelectFor,
    missing: str | None,
) -> Complete:
    known = _known_types(of, schema)
    selects: dict[type, Select] = {}

    def complete(value: Any, place: Place, run: Run) -> Any:
        of_value = type(value)
        if (found := known.get(of_value)) is not None and getattr(value, TYPE_CAST_ATTRIBUTE, None) is None:
            select = selects.get(of_value)
            if select is None:
                select = selects[of_value] = select_for(found)
            return select(value, place, run)
        return None if _absent(value, missing) else field.hand_over(of, value, place, run)

    return complete


def _known_types(of: GraphQLInterfaceType | GraphQLUnionType, schema: GraphQLSchema) -> dict[type, GraphQLObjectType]:
    """Return the object types that Strawberry finds by the class of a value alone."""
    definition = of.extensions.get(DEFINITION)
    if isinstance(definition, StrawberryObjectDefinition):
        if definition.resolve_type is not None:
            return {}
    elif not isinstance(definition, StrawberryUnion):
        return {}
    found = {_origin(each): each for each in schema.get_possible_types(of)}
    return {
        origin: each
        for origin, each in found.items()
        if origin is not None and each.extensions[DEFINITION].name in (None, each.name)
    }


def _list(
    of: GraphQLList[Any], field: Field, schema: GraphQLSchema, select_for: SelectFor, missing: str | None
) -> Complete:
    items = Position(of.of_type, field.details)
    items.complete = complete_item = completion(of.of_type, field, schema, select_for)

    def complete(value: Any, place: Place, run: Run) -> Any:
        if type(value) is not list and type(value) is not tuple:
            return None if _absent(value, missing) else field.hand_over(of, value, place, run)
        results: list[Any] = []
        waiting: list[int] = []
        iterator = iter(value)
        try:
            for index, item in enumerate(iterator):
                at: Place = (place, index, None)
                if type(item) not in SETTLED and is_awaitable(item):
                    results.append(items.after(item, at, run))
                    waiting.append(index)
                    continue
                try:
                    completed = complete_item(item, at, run)
                    if type(completed) not in SETTLED and is_awaitable(completed):
                        completed = items.guarded(completed, at, run)
                        waiting.append(index)
                except Exception as error:  # noqa: BLE001  a resolver may raise anything
                    completed = items.fail(error, at, run)
                results.append(completed)
        except Exception:
            begun = [results[index] for index in waiting]
            begun.extend(collect_iterator_awaitables(iterator, is_awaitable))
            if begun:
                run.settle(begun)
            raise
        return together(results, waiting) if waiting else results

    return complete


async def together(results: Any, waiting: list[Any]) -> Any:
    """Await the entries of a list or dict that have these keys, all at once, and put what they are in their place."""
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        found = await gather_with_cancel(*(results[key] for key in waiting))
        for key, value in zip(waiting, found, strict=True):
            results[key] = value
    return results
