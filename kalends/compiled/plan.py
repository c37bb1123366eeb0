"""Plans: what is left of an operation's document once everything that does not change between requests is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FragmentDetails
from strawberry import Schema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from kalends.compiled.completion import Select
from kalends.compiled.readers import Readers
from kalends.compiled.resolvers import Resolvers
from kalends.compiled.run import Run
from kalends.compiled.selection import Selections
from kalends.compiled.variables import Variable, compile_variables

MAX_VARIANTS = 4
"""Plans kept per operation, one for each combination of the variables in its `@skip` and `@include`."""

BuildExecutor: TypeAlias = Callable[
    [DocumentNode, str | None, dict[str, Any], object, dict[str, Any] | None], Executor[Any] | list[GraphQLError]
]
"""Builds the ordinary executor: document, operation name, raw variables, context, the request's extensions."""

_CONDITIONS = ("skip", "include")


class Plan:
    """One operation of one valid document, ready to run. `variables` are those it declares, by name."""

    def __init__(
        self,
        schema: Schema,
        readers: Readers,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        conditions: frozenset[str],
        build_executor: BuildExecutor,
    ) -> None:
        self._graphql = schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._operation = operation
        self._document = document
        self._conditions = sorted(conditions)
        self._build_executor = build_executor
        variables = compile_variables(self._graphql, operation, readers)
        self.variables: Mapping[str, Variable] = variables or {}
        self._are_readable = variables is not None
        self._resolvers = Resolvers(schema, readers, variables)
        self._fragments = {
            node.name.value: FragmentDetails(node)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._variants: dict[tuple[Any, ...], Select] = {}

    def begin(
        self, variables: dict[str, Any] | None, context: object, extensions: dict[str, Any] | None = None
    ) -> Run | None:
        """Coerce the variables. None hands the request over to the ordinary executor; no resolver has run then."""
        raw = variables or {}
        values: dict[str, Any] = {}
        run = Run(self, raw, values, context, extensions)
        try:
            if self._are_readable:
                for variable in self.variables.values():
                    variable.read_into(values, raw)
            else:
                values.update(run.executor.variable_values.coerced)
        except Exception:  # noqa: BLE001  whatever is wrong, the ordinary executor says it
            return None
        select = self._selected(values)
        if select is None:
            return None
        run.select = select
        return run

    def build_executor(
        self, raw: dict[str, Any], context: object, extensions: dict[str, Any] | None
    ) -> Executor[Any] | list[GraphQLError]:
        """Return the ordinary executor of a request, or what is wrong with its variables."""
        name = self._operation.name.value if self._operation.name else None
        return self._build_executor(self._document, name, raw, context, extensions)

    def _selected(self, values: Mapping[str, Any]) -> Select | None:
        """Return what is to be executed under these variables; None where they are wrong, or too many to keep."""
        conditions = {name: values.get(name) for name in self._conditions}
        chosen = tuple(conditions.values())
        if (known := self._variants.get(chosen)) is not None:
            return known
        if len(self._variants) >= MAX_VARIANTS or not all(isinstance(each, bool) for each in chosen):
            return None
        selections = Selections(self._graphql, self._operation, self._fragments, conditions, self._resolvers)
        kind = self._operation.operation
        root = self._graphql.get_root_type(kind)
        if not isinstance(root, GraphQLObjectType):
            return None
        select = self._variants[chosen] = selections.root(root, serial=kind is OperationType.MUTATION)
        return select


class Compiler:
    """Makes plans for the operations of one schema.

    `build_executor` makes the ordinary executor, to which goes what a plan does not know; it must be Strawberry's.
    """

    def __init__(self, schema: Schema, build_executor: BuildExecutor) -> None:
        self._schema = schema
        self._readers = Readers(schema)
        self._build_executor = build_executor

    def compile(self, document: DocumentNode, operation: OperationDefinitionNode) -> Plan | None:
        """Return the plan of an operation of a valid document; None where only the ordinary executor can run it.

        That is: subscriptions, introspection, directives other than `@skip` and `@include`, fragments with variables,
        and schemas whose execution context class is not Strawberry's own.
        """
        if operation.operation is OperationType.SUBSCRIPTION:
            return None
        if self._schema.execution_context_class is not StrawberryGraphQLCoreExecutionContext:
            return None
        survey = _Survey()
        visit(document, survey)
        if survey.is_strange:
            return None
        return Plan(
            self._schema, self._readers, document, operation, frozenset(survey.conditions), self._build_executor
        )


class _Survey(Visitor):
    """Looks for what a plan does not know, and for the variables that decide what is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.is_strange = False
        self.conditions: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.is_strange |= node.name.value in ("__schema", "__type")

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> None:
        self.is_strange |= bool(node.variable_definitions)

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.is_strange |= node.name.value not in _CONDITIONS
        values = [argument.value for argument in node.arguments or ()]
        self.conditions.update(value.name.value for value in values if isinstance(value, VariableNode))
