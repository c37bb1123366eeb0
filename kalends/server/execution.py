"""From a GraphQL document's text to its answer: parse, limit, validate, compile, coerce, execute, mask.

Strawberry's own `Schema.execute` is not used: it would validate each request anew, and it does not tell a request
that never ran from one whose data came out as null, which GraphQL over HTTP must tell apart.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLFormattedError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    ValidationRule,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import Executor, execute_root_selection_set
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from kalends.compiled import Compiler, Plan, Run
from kalends.server.faults import Classify, Fault, explain, format_error
from kalends.server.limits import LimitExceeded, Limits, Shape, analyse, check_cost

_MOST_ERRORS = 10
"""Errors reported per request: each costs a scan of the document for its line number."""


class RequestError(Exception):
    """A request that ends before anything is executed (GraphQL specification, section 7.1.2: no `data`)."""

    def __init__(self, *errors: GraphQLFormattedError) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document that is valid and within the limits that do not depend on variables.

    `plan` is None where only the ordinary executor can run it.
    """

    document: DocumentNode
    name: str | None
    kind: OperationType
    shape: Shape
    plan: Plan | None

    @property
    def is_public(self) -> bool:
        """Whether it asks only for what the schema says about itself, so that anybody may run it."""
        return self.kind is OperationType.QUERY and self.shape.public


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. With `executed` False nothing ran, and the answer has no `data`."""

    errors: list[GraphQLFormattedError]
    data: dict[str, Any] | None = None
    executed: bool = False

    def body(self) -> dict[str, Any]:
        """Return the answer's map (GraphQL specification, section 7.1)."""
        if not self.executed:
            return {"errors": self.errors}
        return {"errors": self.errors, "data": self.data} if self.errors else {"data": self.data}


class Engine:
    """Runs queries and mutations on one schema.

    `introspection` off refuses `__schema` and `__type`; `suggestions` off keeps names of the schema out of messages
    ("Did you mean ..."). At most `cache_size` documents with `cache_chars` characters in all are kept, validated and
    with their plans; a character takes some 250 bytes. Documents that fail are not kept: the limits make it cheap to
    refuse them again, and one caller's garbage would push out the documents of others.

    Raises ValueError where the schema has Strawberry extensions or operation directives: both hook into
    `Schema.execute` and would silently do nothing here.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        limits: Limits,
        introspection: bool,
        suggestions: bool,
        classify: Classify = lambda _: None,
        cache_size: int = 1000,
        cache_chars: int = 250_000,
    ) -> None:
        if schema.extensions or schema.directives:
            raise ValueError("the engine runs neither Strawberry extensions nor operation directives")
        self.limits = limits
        self.classify = classify
        self._schema = schema._schema  # noqa: SLF001  Strawberry has no public name for it
        self._executor = schema.execution_context_class
        self._suggestions = suggestions
        self._rules: list[type[ASTValidationRule]] = [
            *specified_rules,
            MaybeNullValidationRule,
            OneOfInputValidationRule,
        ]
        if not introspection:
            self._rules.append(_NoIntrospection)
        self._compiler = Compiler(schema, self._build_executor)
        self._documents = _Documents(cache_size, cache_chars)
        self._mutations: set[asyncio.Task[Outcome]] = set()

    async def execute(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        operation_name: str | None = None,
        context: object = None,
        *,
        mutation_allowed: bool = True,
    ) -> Outcome:
        """Prepare and run in one step; where `mutation_allowed` is False, a mutation is a request error."""
        try:
            operation = self.prepare(query, operation_name)
            if operation.kind is OperationType.MUTATION and not mutation_allowed:
                raise _request_error("Mutations are not allowed here.", "OPERATION_NOT_ALLOWED")
        except RequestError as error:
            return Outcome(error.errors)
        return await self.run(operation, variables, context)

    def prepare(self, query: str, operation_name: str | None = None) -> Operation:
        """Return the operation to run, from the cache where the document was seen before.

        Raises RequestError where the text does not parse, exceeds a limit, is not valid, or has no such operation.
        """
        operations = self._documents.get(query)
        if operations is None:
            operations = self._compile(query)
            self._documents.put(query, operations)
        if operation_name is None and len(operations) == 1:
            return next(iter(operations.values()))
        if operation_name is None:
            raise _request_error(
                "Say in operationName which of the document's operations to run."
                if operations
                else "The document has no operation.",
                "OPERATION_RESOLUTION_FAILURE",
            )
        if operation := operations.get(operation_name):
            return operation
        raise _request_error(f"Unknown operation named '{operation_name}'.", "OPERATION_RESOLUTION_FAILURE")

    async def run(
        self,
        operation: Operation,
        variables: dict[str, Any] | None = None,
        context: object = None,
        extensions: dict[str, Any] | None = None,
    ) -> Outcome:
        """Run a prepared query or mutation; whatever goes wrong is in the outcome.

        After `Limits.operation_seconds` it is stopped. A mutation runs in a task of its own: when the caller's task
        is cancelled, as some servers do when a client goes away, the mutation still comes to its end.
        """
        if operation.kind is OperationType.SUBSCRIPTION:
            message = "Subscriptions need a stream; a single request can carry queries and mutations."
            return Outcome(_request_error(message, "OPERATION_NOT_ALLOWED").errors)
        if operation.kind is OperationType.QUERY:
            return await self._run(operation, variables, context, extensions)
        task = asyncio.create_task(self._run(operation, variables, context, extensions))
        self._mutations.add(task)
        task.add_done_callback(self._mutations.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait until the mutations that are under way have ended; for an orderly shutdown."""
        if self._mutations:
            await asyncio.wait(self._mutations)

    def _compile(self, query: str) -> dict[str | None, Operation]:
        limits = self.limits
        if len(query) > limits.document_chars:
            raise RequestError(LimitExceeded("document_chars", limits.document_chars, len(query)).formatted)
        if (lines := query.count("\n") + query.count("\r")) > limits.document_lines:
            raise RequestError(LimitExceeded("document_lines", limits.document_lines, lines).formatted)
        try:
            document = parse(query, max_lexical_tokens=limits.tokens)
        except GraphQLSyntaxError as error:
            if error.description.startswith("Document contains more than"):
                raise RequestError(LimitExceeded("tokens", limits.tokens).formatted) from None
            raise RequestError(_coded(error, "GRAPHQL_PARSE_FAILED")) from None
        except GraphQLError as error:
            raise RequestError(_coded(error, "GRAPHQL_PARSE_FAILED")) from None
        try:
            shapes = analyse(self._schema, document, limits)
        except GraphQLError as error:
            raise RequestError(_coded(error, "GRAPHQL_VALIDATION_FAILED")) from None
        errors = validate(self._schema, document, self._rules, _MOST_ERRORS, hide_suggestions=not self._suggestions)
        if errors:
            raise RequestError(*(_coded(error, "GRAPHQL_VALIDATION_FAILED") for error in errors))
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        names = [node.name.value if node.name else None for node in operations]
        return {
            name: Operation(document, name, node.operation, shapes[name], self._compiler.compile(document, node))
            for name, node in zip(names, operations, strict=True)
        }

    def _begin(
        self,
        operation: Operation,
        variables: dict[str, Any] | None,
        context: object,
        extensions: dict[str, Any] | None,
    ) -> Run | Executor[Any] | list[GraphQLError]:
        """Coerce the variables: for the plan where there is one and it fits, else for the ordinary executor."""
        run = operation.plan.begin(variables, context, extensions) if operation.plan else None
        return run or self._build_executor(operation.document, operation.name, variables or {}, context, extensions)

    def _build_executor(
        self,
        document: DocumentNode,
        name: str | None,
        variables: dict[str, Any],
        context: object,
        extensions: dict[str, Any] | None,
    ) -> Executor[Any] | list[GraphQLError]:
        return self._executor.build(
            self._schema,
            document,
            context_value=context,
            raw_variable_values=variables,
            operation_name=name,
            max_coercion_errors=_MOST_ERRORS,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # says bool, not TypeGuard
            hide_suggestions=not self._suggestions,
            operation_extensions=extensions,
        )

    async def _run(
        self,
        operation: Operation,
        variables: dict[str, Any] | None,
        context: object,
        extensions: dict[str, Any] | None,
    ) -> Outcome:
        seconds = self.limits.operation_seconds
        try:
            begun = self._begin(operation, variables, context, extensions)
            if isinstance(begun, list):
                return Outcome([_coded(error, "BAD_USER_INPUT") for error in begun])
            values = begun.values if isinstance(begun, Run) else begun.variable_values.coerced
            check_cost(operation.shape, values, self.limits)
        except LimitExceeded as error:
            return Outcome([error.formatted])
        except Exception as error:  # noqa: BLE001  a scalar's own code may raise anything
            return Outcome([explain(error, self.classify).formatted()])
        try:
            result = begun.execute() if isinstance(begun, Run) else execute_root_selection_set(begun)
            if not isinstance(result, ExecutionResult):
                async with asyncio.timeout(seconds):
                    result = await result
        except TimeoutError:
            message = f"The operation was stopped after {seconds:g} seconds."
            if operation.kind is OperationType.MUTATION:
                message += " What it had written before may be stored."
            return Outcome([Fault(message, "TIMEOUT").formatted()], executed=True)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancels this request: a resolver awaited something of its own that was cancelled.
            return Outcome([explain(error, self.classify).formatted()], executed=True)
        except Exception as error:  # noqa: BLE001  the engine's caller always gets an answer
            return Outcome([explain(error, self.classify).formatted()], executed=True)
        errors = [format_error(error, self.classify) for error in result.errors or ()]
        return Outcome(errors, result.data, executed=True)


class _Documents:
    """The documents used last, bounded by their number and by their characters in all."""

    def __init__(self, size: int, chars: int) -> None:
        self._size = size
        self._chars = chars
        self._used = 0
        self._entries: OrderedDict[str, Mapping[str | None, Operation]] = OrderedDict()

    def get(self, query: str) -> Mapping[str | None, Operation] | None:
        operations = self._entries.get(query)
        if operations is not None:
            self._entries.move_to_end(query)
        return operations

    def put(self, query: str, operations: Mapping[str | None, Operation]) -> None:
        self._entries[query] = operations
        self._used += len(query)
        while self._entries and (len(self._entries) > self._size or self._used > self._chars):
            oldest, _ = self._entries.popitem(last=False)
            self._used -= len(oldest)


class _NoIntrospection(ValidationRule):
    """Refuses `__schema` and `__type`; `__typename` and a subgraph's `_service` stay allowed."""

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value in ("__schema", "__type"):
            message = f"Introspection is off, so '{node.name.value}' cannot be asked for."
            self.report_error(GraphQLError(message, node, extensions={"code": "INTROSPECTION_DISABLED"}))


def _coded(error: GraphQLError, code: str) -> GraphQLFormattedError:
    formatted = error.formatted
    formatted["extensions"] = {"code": code, **formatted.get("extensions", {})}
    return formatted


def _request_error(message: str, code: str) -> RequestError:
    return RequestError(Fault(message, code).formatted())
