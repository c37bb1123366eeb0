"""From a resolver's value to the response's (GraphQL section 6.4.3, "Value Completion")."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.executor import collect_iterator_awaitables
from graphql.pyutils import gather_with_cancel
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.union import StrawberryUnion

from kalends.compiled.fields import Complete, Field, Position
from kalends.compiled.leaves import write, writers
from kalends.compiled.readers import DEFINITION
from kalends.compiled.run import SETTLED, Place, Run

Select: TypeAlias = Callable[[Any, Place | None, Run], Any]
"""Executes a selection set on an object (section 6.3)."""

SelectFor: TypeAlias = Callable[[GraphQLObjectType], Select]
"""Returns what a field selects of an object type."""


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
    usual = writers(of, nullable=missing is None)

    def complete(value: Any, _place: Place, _run: Run) -> Any:
        known = usual.get(type(value))
        if known is not None:
            return known(value)
        return None if _absent(value, missing) else write(of, value)

    return complete


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


def settled_types(of: GraphQLOutputType, schema: GraphQLSchema) -> frozenset[type]:
    """Return classes of which values of a type usually are, and which never have to be awaited."""
    return _settled(get_named_type(of), schema)


@lru_cache(maxsize=512)
def _settled(named: GraphQLNamedType, schema: GraphQLSchema) -> frozenset[type]:
    objects: list[GraphQLObjectType] = []
    if isinstance(named, GraphQLObjectType):
        objects = [named]
    elif is_abstract_type(named):
        objects = schema.get_possible_types(named)
    origins: set[type] = {origin for each in objects if (origin := _origin(each)) is not None}
    return SETTLED | {origin for origin in origins if not hasattr(origin, "__await__")}


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
    items = Position(of.of_type, field.details, settled_types(of.of_type, schema))
    settled = items.settled
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
                if type(item) not in settled and is_awaitable(item):
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
