"""A field's arguments (GraphQL section 6.4.1, "Coercing Field Arguments"), as keyword arguments of its resolver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    VariableNode,
    get_nullable_type,
)
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry import Some
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryMaybe, StrawberryOptional, StrawberryType

from kalends.compiled.readers import DEFINITION, Readers, Unfit, is_constant, refuse_global_ids
from kalends.compiled.run import Run

if TYPE_CHECKING:
    from kalends.compiled.variables import Variable

Supply = Callable[[Run], Any]
"""Returns an argument's value in one run; `Undefined` where the resolver's own default holds."""


class Arguments:
    """What a resolver is called with."""

    def __init__(self) -> None:
        self.constant: dict[str, Any] = {}
        self.supplied: list[tuple[str, Supply]] = []
        self.not_null: set[str] = set()
        """Variables that may be null, where the arguments may not."""

    def are_wrong(self, run: Run) -> bool:
        """Say whether a variable is null where it must not be: graphql-core knows what to say about it."""
        return any(run.values.get(name, Undefined) is None for name in self.not_null)

    def given(self, run: Run) -> dict[str, Any]:
        """Return the keyword arguments in one run."""
        arguments = self.constant.copy()
        for name, supply in self.supplied:
            value = supply(run)
            if value is not Undefined:
                arguments[name] = value
        return arguments


def compile_arguments(
    field: GraphQLField, node: FieldNode, readers: Readers, variables: Mapping[str, Variable]
) -> Arguments:
    """Return a field's arguments; raise Unfit where one needs graphql-core's own coercion on every call."""
    compiled = Arguments()
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    for name, argument in field.args.items():
        _compile(compiled, argument, nodes.get(name), readers, variables)
    return compiled


def _compile(
    compiled: Arguments,
    argument: GraphQLArgument,
    node: ArgumentNode | None,
    readers: Readers,
    variables: Mapping[str, Variable],
) -> None:
    definition = argument.extensions.get(DEFINITION)
    if not isinstance(definition, StrawberryArgument) or argument.out_name is not None:
        raise Unfit
    python, name = definition.type, definition.python_name
    refuse_global_ids(python)
    if node is not None and isinstance(node.value, VariableNode):
        variable = variables[node.value.name.value]
        if _refuses_null(argument, python) and not isinstance(variable.type, GraphQLNonNull):
            compiled.not_null.add(variable.name)
        compiled.supplied.append((name, _from_variable(variable, argument, definition, readers)))
        return
    value = coerce_default_value(argument) if node is None else _literal(argument, python, node)
    if is_constant(value):
        compiled.constant[name] = readers.convert(value, python)
    elif value is not Undefined:
        compiled.supplied.append((name, lambda _run: readers.convert(value, python)))


def _literal(argument: GraphQLArgument, python: StrawberryType | type, node: ArgumentNode) -> Any:
    """Return what is written in the document; raise Unfit where it is made anew for every call, or is wrong."""
    if isinstance(node.value, ListValueNode | ObjectValueNode):
        raise Unfit  # it may hold variables
    value = coerce_input_literal(node.value, argument.type)
    if not is_constant(value) or (value is None and _refuses_null(argument, python)):
        raise Unfit
    return value


def _from_variable(
    variable: Variable, argument: GraphQLArgument, definition: StrawberryArgument, readers: Readers
) -> Supply:
    name, python = variable.name, definition.type
    maybe = isinstance(python, StrawberryMaybe)
    is_list = isinstance(get_nullable_type(argument.type), GraphQLList)
    default = coerce_default_value(argument)

    def supply(run: Run) -> Any:
        if name not in run.values:
            return default if default is Undefined else readers.convert(default, python)
        if variable.is_input:
            value = run.take(name)
        elif is_list:
            return readers.convert(run.values[name], python)  # a list of its own
        else:
            value = run.values[name]
        return Some(value) if maybe else value

    return supply


def _refuses_null(argument: GraphQLArgument, python: StrawberryType | type) -> bool:
    """Say whether null is an error here, though the argument may be absent."""
    if isinstance(python, StrawberryMaybe):
        return not isinstance(python.of_type, StrawberryOptional)
    return isinstance(argument.type, GraphQLNonNull)
