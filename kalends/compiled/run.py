"""One execution of a plan: what its resolvers share, and the way back to graphql-core.

A plan knows the ordinary course of things only. For everything else (an error and where it is nulled, a value of an
unusual form, a resolver with hooks) it asks graphql-core's own executor, which is made for the same request when it is
first needed. Both write their errors to one list, so an answer never depends on which of the two did a part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql import ExecutionResult, GraphQLError, GraphQLResolveInfo
from graphql.execution import Executor
from graphql.pyutils import Path
from strawberry import Info
from strawberry.execution import optimized_is_awaitable as is_awaitable

if TYPE_CHECKING:
    from strawberry.types.field import StrawberryField

    from kalends.compiled.completion import Select
    from kalends.compiled.fields import Field
    from kalends.compiled.plan import Plan

Place: TypeAlias = tuple[Any, str | int, str | None]
"""A position in the response, as graphql-core's `Path` has it: what is above, key or index, type. Plain, so cheap."""

SETTLED: frozenset[type] = frozenset({dict, list, str, int, float, bool, type(None)})
"""What a completed value is made of; nothing of these types has to be awaited."""


class Run:
    """One request on its way. `values` are the coerced variables (GraphQL section 6.1.2); absent ones are missing."""

    __slots__ = ("_executor", "_extensions", "_plan", "_raw", "_spent", "context", "select", "values")

    def __init__(
        self,
        plan: Plan,
        raw: dict[str, Any],
        values: dict[str, Any],
        context: object,
        extensions: dict[str, Any] | None,
    ) -> None:
        self._plan = plan
        self._raw = raw
        self.values: Mapping[str, Any] = values
        self.context = context
        self._extensions = extensions
        self._executor: Executor[Any] | None = None
        self._spent: set[str] | None = None
        self.select: Select
        """What is to be executed, under these values."""

    def execute(self) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Run it, once. What a resolver raises is in the result."""
        try:
            data = self.select(None, None, self)
        except GraphQLError as error:
            return self._nothing(error)
        if type(data) not in SETTLED and is_awaitable(data):
            return self._awaited(data)
        return ExecutionResult(data, self.errors or None)

    async def _awaited(self, data: Awaitable[Any]) -> ExecutionResult:
        try:
            completed = await data
        except GraphQLError as error:
            return self._nothing(error)
        return ExecutionResult(completed, self.errors or None)

    def _nothing(self, error: GraphQLError) -> ExecutionResult:
        """Return the answer whose data is null as a whole: an error went past the root (section 6.4.4)."""
        self.executor.collected_errors.add(error, None)
        return ExecutionResult(None, self.errors)

    @property
    def executor(self) -> Executor[Any]:
        """The ordinary executor of this request. Raises GraphQLError where the variables no longer fit."""
        if self._executor is None:
            executor = self._plan.build_executor(self._raw, self.context, self._extensions)
            if isinstance(executor, list):
                raise executor[0]
            self._executor = executor
        return self._executor

    @property
    def errors(self) -> list[GraphQLError]:
        """The field errors so far, in the order in which they came up."""
        return [] if self._executor is None else self._executor.collected_errors.errors

    def settle(self, awaitables: list[Any]) -> None:
        """Let what was begun come to its end, though nobody waits for it: an error went past it."""
        self.executor.settle_in_background(awaitables)

    def take(self, name: str) -> object:
        """Return a variable's value for one use: resolvers may change what they get, so each gets its own."""
        if self._spent is None:
            self._spent = set()
        if name not in self._spent:
            self._spent.add(name)
            return self.values[name]
        return self._plan.variables[name].read_again(self._raw)


class PlannedInfo(Info[Any, Any]):
    """What a resolver is told, as Strawberry's `Info` tells it; what few ask for is made when they do."""

    def __init__(self, planned: Field, field: StrawberryField, place: Place, run: Run) -> None:
        self._field = field
        self._planned = planned
        self._place = place
        self._run = run

    @cached_property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override]  # an attribute there
        return self._planned.info(self._place, self._run)

    @property
    def context(self) -> Any:
        """The context passed to the execution."""
        return self._run.context


def to_path(place: Place) -> Path:
    """Return a place as graphql-core knows it."""
    above, key, typename = place
    return Path(None if above is None else to_path(above), key, typename)
