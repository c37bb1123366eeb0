"""Scalars and enums in the response (GraphQL section 6.4.3, "Coercing Results").

A value whose class says that it is neither an error nor awaitable is written at once; graphql-core looks at all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache, partial
from math import isfinite
from typing import Any, TypeAlias
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
)
from graphql.execution import Executor
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT
from strawberry.schema.schema_converter import CustomGraphQLEnumType

Writers: TypeAlias = Mapping[type, Callable[[Any], Any]]
"""What writes values of exactly these classes; it raises what graphql-core would raise."""

SAME: Mapping[GraphQLLeafType, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""The leaves whose values, where they are of exactly this class, are what the response has."""

write = Executor.complete_leaf_value

_PLAIN = frozenset(
    {str, int, float, bool, bytes, dict, list, tuple, set, frozenset, date, datetime, time, timedelta, Decimal, UUID}
)


@lru_cache(maxsize=512)
def writers(of: GraphQLLeafType, *, nullable: bool) -> Writers:
    """Return how usual values of a leaf are written; the same for every field of the type, to keep plans small."""
    found: dict[type, Callable[[Any], Any]]
    if (same := SAME.get(of)) is not None:
        found = {same: _itself}
    elif of is GraphQLInt:
        found = {int: _integer}
    elif of is GraphQLFloat:
        found = {float: _number}
    elif isinstance(of, CustomGraphQLEnumType):
        found = _members(of)
    else:
        found = {each: partial(write, of) for each in _PLAIN}
    return found | {type(None): _itself} if nullable else found


def _itself(value: Any) -> Any:
    return value


def _integer(value: int) -> int:
    return value if GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT else write(GraphQLInt, value)


def _number(value: float) -> float:
    return value if isfinite(value) else write(GraphQLFloat, value)


def _members(of: CustomGraphQLEnumType) -> dict[type, Callable[[Any], Any]]:
    members: Any = of.wrapped_cls
    if type(of) is not CustomGraphQLEnumType or not issubclass(members, Enum) or issubclass(members, Flag):
        return {}
    try:
        names = {member: of.coerce_output_value(member) for member in members}
    except Exception:  # noqa: BLE001  a member without a name is an error where a resolver returns it
        return {}
    return {members: names.__getitem__}
