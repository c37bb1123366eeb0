"""The variables of an operation (GraphQL section 6.1.2, "Coercing Variable Values")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLInputType,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    get_named_type,
    is_leaf_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.utilities.coerce_input_value import coerce_input_literal

from kalends.compiled.readers import Reader, Readers, Unfit


class Variable:
    """One variable. `is_input` says whether its value is made of input classes, which resolvers may change."""

    def __init__(self, signature: GraphQLVariableSignature, read: Reader) -> None:
        self.name = signature.name
        self.type: GraphQLInputType = signature.type
        self.is_input = not is_leaf_type(get_named_type(signature.type))
        self._read = read
        self._default = signature.default
        self._required = isinstance(signature.type, GraphQLNonNull)

    def read_into(self, values: dict[str, Any], raw: Mapping[str, Any]) -> None:
        """Add its value, if it has one; raise where the ordinary executor would refuse the request, and elsewhere."""
        value = raw.get(self.name, Undefined)
        if value is not Undefined:
            values[self.name] = self._read(value)
        elif self._default is not None:
            values[self.name] = self._default_value()
        elif self._required:
            raise Unfit(self.name)

    def read_again(self, raw: Mapping[str, Any]) -> Any:
        """Return another instance of a value that was read before."""
        return self._read(raw[self.name])

    def _default_value(self) -> Any:
        if self.is_input or self._default is None or self._default.literal is None:
            raise Unfit(self.name)
        value = coerce_input_literal(self._default.literal, self.type)
        if value is Undefined:
            raise Unfit(self.name)
        return value


def compile_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, readers: Readers
) -> dict[str, Variable] | None:
    """Return the variables of an operation by name; None where one has a type that only graphql-core coerces."""
    variables = {}
    for node in operation.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        if not isinstance(signature, GraphQLVariableSignature):
            return None
        try:
            variables[signature.name] = Variable(signature, readers.reader(signature.type))
        except Unfit:
            return None
    return variables
