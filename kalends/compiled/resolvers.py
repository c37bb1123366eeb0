"""Where a field's value comes from (GraphQL section 6.4.2, "Value Resolution")."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any

from graphql import GraphQLField
from graphql.execution.values import get_argument_values
from strawberry import Info, Schema
from strawberry.types.field import StrawberryField

from kalends.compiled.arguments import Arguments, compile_arguments
from kalends.compiled.fields import Field, Resolve
from kalends.compiled.readers import DEFINITION, Readers, Unfit
from kalends.compiled.run import Place, PlannedInfo, Run

if TYPE_CHECKING:
    from kalends.compiled.variables import Variable

_STRAWBERRY = "strawberry.schema.schema_converter"
"""The module in which Strawberry wraps a resolver for graphql-core: what is from elsewhere is called as it is."""


class Resolvers:
    """Finds the shortest way to the values of a schema's fields. Without `variables` graphql-core coerces arguments."""

    def __init__(self, schema: Schema, readers: Readers, variables: Mapping[str, Variable] | None) -> None:
        self._readers = readers
        self._variables = variables
        self._config = schema.config
        # Without handlers, an exception of a resolver is only ever an error of its field.
        self._handled = bool(schema.schema_converter._exception_handler_specs)  # noqa: SLF001  it has no public name

    def settle(self, field: Field) -> None:
        """Give a field its `resolve`, and its `attribute` where that is all there is to it."""
        plain = None if self._handled else _plain(field.definition)
        if plain is not None and plain.is_basic_field and self._config.default_resolver is getattr:
            field.attribute = plain.python_name
            field.resolve = _from_attribute(plain.python_name)
        elif plain is not None and (arguments := self._arguments(field, plain)) is not None:
            field.resolve = _direct(field, plain, arguments)
        else:
            field.resolve = _ordinary(field)

    def _arguments(self, field: Field, plain: StrawberryField) -> Arguments | None:
        """Return the arguments of a resolver that can be called directly; None where there is more to it."""
        if self._variables is None or self._config.info_class is not Info or plain.base_resolver is None:
            return None
        function: object = plain.base_resolver.wrapped_func
        if not callable(function) or isasyncgenfunction(function):
            return None
        try:
            return compile_arguments(field.definition, field.node, self._readers, self._variables)
        except Unfit:
            return None


def _plain(definition: GraphQLField) -> StrawberryField | None:
    """Return a field as Strawberry has it, where it is Strawberry's own and nothing is hooked into it."""
    field = definition.extensions.get(DEFINITION)
    if not isinstance(field, StrawberryField) or field.extensions:
        return None
    if type(field).get_result is not StrawberryField.get_result:
        return None
    return field if getattr(definition.resolve, "__module__", None) == _STRAWBERRY else None


def _from_attribute(name: str) -> Resolve:
    def resolve(source: Any, _place: Place, _run: Run) -> Any:
        return getattr(source, name)

    return resolve


def _direct(field: Field, plain: StrawberryField, arguments: Arguments) -> Resolve:
    """Call the resolver, as Strawberry would after converting the arguments."""
    resolver = plain.base_resolver
    if resolver is None:
        raise Unfit(field.key)
    function: Any = resolver.wrapped_func
    takes_self = resolver.self_parameter is not None
    sources = [each.name for each in (resolver.parent_parameter, resolver.root_parameter) if each is not None]
    info = resolver.info_parameter.name if resolver.info_parameter is not None else None
    ordinary = _ordinary(field)

    def resolve(source: Any, place: Place, run: Run) -> Any:
        if arguments.not_null and arguments.are_wrong(run):
            return ordinary(source, place, run)
        given = arguments.given(run)
        for name in sources:
            given[name] = source
        if info is not None:
            given[info] = PlannedInfo(field, plain, place, run)
        return function(source, **given) if takes_self else function(**given)

    return resolve


def _ordinary(field: Field) -> Resolve:
    """Call whatever resolves the field the way graphql-core does."""
    definition, node = field.definition, field.node
    has_arguments = bool(definition.args or node.arguments)

    def resolve(source: Any, place: Place, run: Run) -> Any:
        executor = run.executor
        info = field.info(place, run)
        arguments = (
            get_argument_values(definition, node, executor.variable_values, None, executor.hide_suggestions)
            if has_arguments
            else {}
        )
        return (definition.resolve or executor.field_resolver)(source, info, **arguments)

    return resolve


TYPENAME = "__typename"


def typename(field: Field) -> Resolve:
    """Return the name of the object type (section 4.1, "Type Name Introspection")."""
    name = field.parent.name

    def resolve(_source: Any, _place: Place, _run: Run) -> Any:
        return name

    return resolve
