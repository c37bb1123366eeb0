"""Selection sets (GraphQL section 6.3, "Executing Selection Sets")."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, OperationDefinitionNode, get_nullable_type, is_leaf_type
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable as is_awaitable

from kalends.compiled.completion import Select, completion, settled_types, together
from kalends.compiled.fields import Field
from kalends.compiled.leaves import SAME, Writers, writers
from kalends.compiled.resolvers import TYPENAME, Resolvers, typename
from kalends.compiled.run import SETTLED, Place, Run


class Selections:
    """Compiles the selection sets of one operation, under fixed values of the variables in `@skip` and `@include`.

    Fields are collected by graphql-core's own functions, so that merging and order are its own.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDetails],
        conditions: dict[str, Any],
        resolvers: Resolvers,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._values = VariableValues({}, conditions)
        self._resolvers = resolvers

    def root(self, of: GraphQLObjectType, *, serial: bool) -> Select:
        """Return how the operation's own selection set is executed; `serial` as a mutation's (section 6.2.2)."""
        collected = collect_fields(self._schema, self._fragments, self._values, of, self._operation)
        fields = self._fields(of, collected.grouped_field_set)
        return _one_by_one(fields) if serial else _at_once(fields)

    def _below(self, of: GraphQLObjectType, details: FieldDetailsList) -> Select:
        collected = collect_subfields(self._schema, self._fragments, self._values, self._operation, of, details)
        return _at_once(self._fields(of, collected.grouped_field_set))

    def _fields(self, parent: GraphQLObjectType, grouped: GroupedFieldSet) -> list[Field]:
        fields = []
        for key, details in grouped.items():
            name = details[0].node.name.value
            definition = self._schema.get_field(parent, name)
            if definition is None:
                continue
            field = Field(key, definition, parent, details, settled_types(definition.type, self._schema))
            field.complete = completion(definition.type, field, self._schema, self._selects(field))
            if name == TYPENAME:
                field.resolve = typename(field)
            else:
                self._resolvers.settle(field)
            fields.append(field)
        return fields

    def _selects(self, field: Field) -> Any:
        return lambda of: self._below(of, field.details)


def _at_once(fields: list[Field]) -> Select:
    """Execute all fields, and wait for those that are not done together (section 6.3.1)."""
    steps = [(field.key, field.attribute, *_usual(field), field) for field in fields]

    def select(source: Any, place: Place | None, run: Run) -> Any:
        results: dict[str, Any] = {}
        waiting: list[str] = []
        try:
            for key, attribute, same, usual, field in steps:
                if attribute is None:
                    value = field.execute(source, place, run)
                else:
                    try:
                        value = getattr(source, attribute)
                        if type(value) is not same:
                            known = usual.get(type(value))
                            at = (place, key, field.parent.name)
                            value = known(value) if known is not None else field.settle(value, at, run)
                    except Exception as error:  # noqa: BLE001  a property may raise anything
                        value = field.fail(error, (place, key, field.parent.name), run)
                results[key] = value
                if type(value) not in SETTLED and is_awaitable(value):
                    waiting.append(key)
        except Exception:
            if waiting:
                run.settle([results[key] for key in waiting])
            raise
        return together(results, waiting) if waiting else results

    return select


def _usual(field: Field) -> tuple[type | None, Writers]:
    """Return the class of values that the response has as they are, and how those of other classes are written."""
    of = get_nullable_type(field.type)
    return (SAME.get(of), writers(of, nullable=of is field.type)) if is_leaf_type(of) else (None, {})


def _one_by_one(fields: list[Field]) -> Select:
    """Execute the fields in order, each after the one before it has come to its end (section 6.3.2)."""

    async def go_on(results: dict[str, Any], begun: int, awaitable: Any, source: Any, run: Run) -> dict[str, Any]:
        results[fields[begun].key] = await awaitable
        for field in fields[begun + 1 :]:
            value = field.execute(source, None, run)
            if type(value) not in SETTLED and is_awaitable(value):
                value = await value
            results[field.key] = value
        return results

    def select(source: Any, _place: Place | None, run: Run) -> Any:
        results: dict[str, Any] = {}
        for index, field in enumerate(fields):
            value = field.execute(source, None, run)
            if type(value) not in SETTLED and is_awaitable(value):
                return go_on(results, index, value, source, run)
            results[field.key] = value
        return results

    return select
