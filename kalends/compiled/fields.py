"""One field of a selection set (GraphQL section 6.4): its value, its completion, and what an error in it does.

The order of steps is graphql-core's `Executor.execute_field`, down to which of them are awaited together: how errors
of concurrent fields come up depends on it, and which keys a data loader gets in one batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList
from strawberry.execution import optimized_is_awaitable as is_awaitable

from kalends.compiled.run import SETTLED, Place, Run, to_path

Complete: TypeAlias = Callable[[Any, Place, Run], Any]
"""Turns a resolver's value into the response's (section 6.4.3), or something that will be it when awaited."""

Resolve: TypeAlias = Callable[[Any, Place, Run], Any]
"""Returns a field's value of its source (section 6.4.2)."""


class Position:
    """Where a value of a type belongs in the response: a field, or the items of a list in one."""

    __slots__ = ("complete", "details", "settled", "type")

    def __init__(self, of: GraphQLOutputType, details: FieldDetailsList, settled: frozenset[type]) -> None:
        self.type = of
        self.details = details
        self.settled = settled
        """Classes whose values never have to be awaited."""
        self.complete: Complete

    def fail(self, error: Exception, place: Place, run: Run) -> Any:
        """Note an error and return null, or raise it where null may not be (section 6.4.4, "Handling Field Errors")."""
        run.executor.handle_field_error(error, self.type, self.details, to_path(place))
        return None

    async def after(self, awaitable: Awaitable[Any], place: Place, run: Run) -> Any:
        """Wait for a value, and complete it."""
        try:
            completed = self.complete(await awaitable, place, run)
            if type(completed) not in SETTLED and is_awaitable(completed):
                completed = await completed
        except Exception as error:  # noqa: BLE001  a resolver may raise anything
            return self.fail(error, place, run)
        return completed

    async def guarded(self, completed: Awaitable[Any], place: Place, run: Run) -> Any:
        """Wait for what is being completed."""
        try:
            return await completed
        except Exception as error:  # noqa: BLE001  a resolver may raise anything
            return self.fail(error, place, run)


class Field(Position):
    """One entry of a selection set that was collected for an object type, with all nodes that were merged into it."""

    __slots__ = ("attribute", "definition", "key", "parent", "resolve")

    def __init__(
        self,
        key: str,
        definition: GraphQLField,
        parent: GraphQLObjectType,
        details: FieldDetailsList,
        settled: frozenset[type],
    ) -> None:
        super().__init__(definition.type, details, settled)
        self.key = key
        self.definition = definition
        self.parent = parent
        self.resolve: Resolve
        self.attribute: str | None = None
        """The source's attribute, where that is the field's value."""

    @property
    def node(self) -> FieldNode:
        """The node whose arguments hold for all of them."""
        return self.details[0].node

    def execute(self, source: Any, above: Place | None, run: Run) -> Any:
        """Return the field's part of the response, or an awaitable of it; raise where its parent becomes null."""
        place = (above, self.key, self.parent.name)
        try:
            value = self.resolve(source, place, run)
        except Exception as error:  # noqa: BLE001  a resolver may raise anything
            return self.fail(error, place, run)
        return self.settle(value, place, run)

    def settle(self, value: Any, place: Place, run: Run) -> Any:
        """Go on from the field's value."""
        try:
            if type(value) not in self.settled and is_awaitable(value):
                return self.after(value, place, run)
            completed = self.complete(value, place, run)
            if type(completed) not in SETTLED and is_awaitable(completed):
                return self.guarded(completed, place, run)
        except Exception as error:  # noqa: BLE001  a resolver may raise anything
            return self.fail(error, place, run)
        return completed

    def info(self, place: Place, run: Run) -> GraphQLResolveInfo[Any]:
        """Return what graphql-core tells a resolver, or whoever finds out the type of an item of the field's list."""
        while isinstance(place[1], int):
            place = place[0]
        nodes = [each.node for each in self.details]
        return run.executor.build_resolve_info(self.definition, nodes, self.parent, to_path(place))

    def hand_over(self, of: GraphQLOutputType, value: object, place: Place, run: Run) -> Any:
        """Let graphql-core complete a value: of a form, or with hooks, that a plan does not know."""
        info = self.info(place, run)
        return run.executor.complete_value(of, self.details, info, to_path(place), value, None)
