"""What one GraphQL document may ask for, and the walk that finds out what it does ask for.

A document is analysed before it is validated, because validation itself can be made expensive. Every definition is
walked once; where a fragment is spread, its result is reused. So the work is linear in the document, whatever the
number of fields that it expands to, and whoever analyses must not assume that fields and types exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)
from graphql.utilities.coerce_input_value import coerce_default_value

PUBLIC_FIELDS = frozenset({"__typename", "__schema", "__type", "_service"})
"""Root fields that tell about the schema only, never about stored data (`_service`: Federation subgraph spec)."""

UNSIZED_LIST = 10
"""The items a list is taken to have when no argument says how many."""

LONG_LISTS = {"conflicts": 25}
"""Lists without such an argument that are taken to be longer, by the field's name: nested, they would multiply."""

_SIZING_ARGUMENTS = ("first", "last", "representations", "ids", "events")
_LARGEST_INT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may ask for; each is the largest value that is still accepted.

    Counts are taken with fragments expanded, over all operations of the document unless said otherwise.
    """

    depth: int = 12
    """Fields nested in one another, not counting what lies below `__schema` and `__type`."""
    aliases: int = 30
    """Fields with an alias."""
    directives: int = 50
    """Directives, on whatever they stand."""
    tokens: int = 2000
    """Lexical tokens of the document; comments, which are none, are bounded by `document_lines`."""
    fields: int = 1000
    """Fields, not counting what lies below `__schema` and `__type`."""
    fragments: int = 30
    """Fragment definitions."""
    root_fields: int = 20
    """Fields at the root of one operation."""
    cost: int = 5000
    """Fields of one operation, each times the lengths of the lists that it is in."""
    overlaps: int = 5000
    """Pairs of fields with one response name, which validation compares pair by pair (GraphQL section 5.3.2)."""
    introspection_depth: int = 20
    """Fields nested below `__schema` and `__type`; the query that GraphiQL sends has 13."""
    introspection_fields: int = 500
    """Fields below `__schema` and `__type`."""
    document_chars: int = 65_536
    """Characters of the document."""
    document_lines: int = 2000
    """Line breaks in the document: for its line number, each error counts them from the start."""
    body_bytes: int = 8_388_608
    """Bytes of the HTTP request's body: a calendar file fits in. The document has a limit of its own."""
    variables_depth: int = 32
    """Objects and lists nested in one another in `variables`, its own object included."""
    operation_seconds: float = 10.0
    """Seconds that an operation may run before it is stopped."""


class LimitExceeded(GraphQLError):
    """A request asks for more than one of the `Limits` allows; `actual` is None where counting stopped early."""

    def __init__(self, limit: str, maximum: int, actual: int | None = None) -> None:
        extensions: dict[str, Any] = {"code": "LIMIT_EXCEEDED", "limit": limit, "maximum": maximum}
        if actual is not None:
            extensions["actual"] = actual
        name = limit.replace("_", " ")
        found = "more" if actual is None else str(actual)
        super().__init__(
            f"The request exceeds the limit on {name}: {found}, where at most {maximum} is allowed.",
            extensions=extensions,
        )


@dataclass(frozen=True, slots=True)
class Size:
    """How many items a list has: what the variable says when it has a value, else `otherwise`."""

    otherwise: int
    variable: str | None = None

    def given(self, variables: Mapping[str, Any]) -> int:
        """Return the number of items, never less than one: to find out that a list is empty costs something too."""
        value = variables.get(self.variable) if self.variable else None
        if isinstance(value, list):
            return max(len(value), 1)
        return max(value if isinstance(value, int) else self.otherwise, 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, plus the cost of one item times the size of each list whose length only the variables tell."""

    fixed: int = 0
    lists: tuple[tuple[Size, Cost], ...] = ()

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.fixed + other.fixed, self.lists + other.lists)

    def times(self, size: Size) -> Cost:
        """Return the cost of a list of `size` such items.

        An item with open sizes is referred to, not copied: fragments spread twice in each other would double it.
        """
        if size.variable is None and not self.lists:
            return Cost(self.fixed * size.given({}))
        return Cost(0, ((size, self),))

    def given(self, variables: Mapping[str, Any]) -> int:
        """Return the cost with these (coerced) variables; only for a shape within `Limits.fields`."""
        return self.fixed + sum(size.given(variables) * item.given(variables) for size, item in self.lists)


_ONCE = Size(1)
_FREE = Cost()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a selection asks for; the names are those of `Limits`. The shapes of the parts add up to the whole."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspection_depth: int = 0
    introspection_fields: int = 0
    public: bool = True
    """Whether every field of this very level is one of `PUBLIC_FIELDS`."""
    cost: Cost = _FREE
    item_cost: Cost = _FREE
    """What a connection's selection asks of each of its items."""

    def __add__(self, other: Shape) -> Shape:
        return Shape(
            depth=max(self.depth, other.depth),
            fields=self.fields + other.fields,
            root_fields=self.root_fields + other.root_fields,
            aliases=self.aliases + other.aliases,
            directives=self.directives + other.directives,
            introspection_depth=max(self.introspection_depth, other.introspection_depth),
            introspection_fields=self.introspection_fields + other.introspection_fields,
            public=self.public and other.public,
            cost=self.cost + other.cost,
            item_cost=self.item_cost + other.item_cost,
        )


def analyse(schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> dict[str | None, Shape]:
    """Return the shape of each operation, by name (None for the anonymous one); the document need not be valid.

    Raises LimitExceeded, or a GraphQLError where fragments are defined twice or form a cycle: what comes after
    may rely on neither being the case. The cost is not checked here, see `check_cost`.
    """
    definitions = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(definitions) > limits.fragments:
        raise LimitExceeded("fragments", limits.fragments, len(definitions))
    fragments = {node.name.value: node for node in definitions}
    if len(fragments) < len(definitions):
        raise GraphQLError("There can be only one fragment of a name.", definitions)

    spreads = {name: _spreads(node.selection_set) & fragments.keys() for name, node in fragments.items()}
    try:
        order = list(TopologicalSorter(spreads).static_order())
    except CycleError as error:
        names = list(reversed(error.args[1]))
        nodes = [fragments[name] for name in names]
        raise GraphQLError(f"Fragments must not form a cycle: {' -> '.join(names)}.", nodes) from None

    walk = _Walk(schema)
    for name in order:
        walk.fragments[name] = walk.definition(fragments[name])
    shapes = [(node.name.value if node.name else None, walk.definition(node)) for node in operations]

    # A fragment that nothing spreads is an error, but validation walks it before it says so.
    unused = fragments.keys() - set().union(*spreads.values(), *(_spreads(node.selection_set) for node in operations))
    total = sum((walk.fragments[name] for name in unused), sum((shape for _, shape in shapes), Shape()))
    _check(replace(total, root_fields=max((shape.root_fields for _, shape in shapes), default=0)), limits)

    roots = [node.selection_set for node in (*operations, *(fragments[name] for name in unused))]
    overlaps = sum(_overlaps([root], fragments) for root in roots)
    if overlaps > limits.overlaps:
        raise LimitExceeded("overlaps", limits.overlaps, overlaps)
    return dict(shapes)


def check_cost(shape: Shape, variables: Mapping[str, Any], limits: Limits) -> None:
    """Raise LimitExceeded where an operation costs too much with these coerced variables."""
    cost = shape.cost.given(variables)
    if cost > limits.cost:
        raise LimitExceeded("cost", limits.cost, cost)


def _check(shape: Shape, limits: Limits) -> None:
    for counted in fields(Shape):
        if (maximum := getattr(limits, counted.name, None)) is None or counted.name == "cost":
            continue
        if (actual := getattr(shape, counted.name)) > maximum:
            raise LimitExceeded(counted.name, maximum, actual)


@dataclass(slots=True)
class _Walk:
    """One walk over a document. Its recursion is as deep as a definition is nested, which the parser bounds."""

    schema: GraphQLSchema
    fragments: dict[str, Shape] = field(default_factory=dict)

    def definition(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> Shape:
        parent: GraphQLNamedType | None
        if isinstance(node, OperationDefinitionNode):
            parent = self.schema.get_root_type(node.operation)
        else:
            parent = self.schema.get_type(node.type_condition.name.value)
        own = len(node.directives or ())
        own += sum(len(variable.directives or ()) for variable in node.variable_definitions or ())
        return Shape(directives=own) + self.selections(node.selection_set, parent)

    def selections(self, node: SelectionSetNode | None, parent: GraphQLNamedType | None) -> Shape:
        shape = Shape()
        for selection in node.selections if node else ():
            directives = Shape(directives=len(selection.directives or ()))
            if isinstance(selection, FieldNode):
                shape += directives + self.field(selection, parent)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = self.schema.get_type(condition.name.value) if condition else parent
                shape += directives + self.selections(selection.selection_set, inner)
            elif isinstance(selection, FragmentSpreadNode):
                spread = self.fragments.get(selection.name.value, Shape())
                cost, item_cost = spread.cost.times(_ONCE), spread.item_cost.times(_ONCE)
                shape += directives + replace(spread, cost=cost, item_cost=item_cost)
        return shape

    def field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Shape:
        definition = self.schema.get_field(parent, node.name.value) if is_composite_type(parent) else None
        returned = get_named_type(definition.type) if definition else None
        inner = self.selections(node.selection_set, returned)
        shape = Shape(
            root_fields=1,
            aliases=inner.aliases + (node.alias is not None),
            directives=inner.directives,
            public=node.name.value in PUBLIC_FIELDS,
        )
        if parent is not None and parent.name.startswith("__"):
            return replace(
                shape,
                introspection_depth=inner.introspection_depth + 1,
                introspection_fields=inner.introspection_fields + 1,
            )
        shape = replace(
            shape,
            depth=inner.depth + 1,
            fields=inner.fields + 1,
            introspection_depth=inner.introspection_depth,
            introspection_fields=inner.introspection_fields,
        )
        # In a connection, `edges` and `nodes` are as long as the connection's own `first` says.
        is_list = definition is not None and is_list_type(get_nullable_type(definition.type))
        if is_list and _is_connection(parent):
            return replace(shape, item_cost=Cost(1) + inner.cost)
        if is_list:
            return replace(shape, cost=Cost(1) + inner.cost.times(_size(node, definition)))
        if _is_connection(returned):
            items = inner.item_cost.times(_size(node, definition))
            return replace(shape, cost=Cost(1) + inner.cost + items)
        return replace(shape, cost=Cost(1) + inner.cost)


def _is_connection(of: GraphQLNamedType | None) -> bool:
    """Say whether a type is a connection, by its name (Relay cursor connections specification, section 2)."""
    return of is not None and of.name.endswith("Connection")


def _size(node: FieldNode, definition: GraphQLField | None) -> Size:
    """Return how many items a field's arguments ask for."""
    written = {argument.name.value: argument.value for argument in node.arguments or ()}
    declared = definition.args if definition else {}
    for name in _SIZING_ARGUMENTS:
        default = coerce_default_value(declared[name]) if name in declared else None
        otherwise = Size(default if isinstance(default, int) else UNSIZED_LIST)
        if name in written and (size := _written_size(written[name], otherwise.otherwise)):
            return size
        if isinstance(default, int):
            return otherwise
    return Size(LONG_LISTS.get(node.name.value, UNSIZED_LIST))


def _written_size(value: ValueNode, otherwise: int) -> Size | None:
    if isinstance(value, VariableNode):
        return Size(otherwise, value.name.value)
    if isinstance(value, IntValueNode):
        return Size(int(value.value) if len(value.value) <= 10 else _LARGEST_INT)
    if isinstance(value, ListValueNode):
        return Size(len(value.values))
    return None


def _spreads(root: SelectionSetNode) -> set[str]:
    """Return the names of the fragments that are spread somewhere within."""
    found = set()
    stack = [root]
    while stack:
        for selection in stack.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                found.add(selection.name.value)
            elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                stack.append(selection.selection_set)
    return found


def _overlaps(roots: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]) -> int:
    """Count the pairs of fields with one response name in selections that are merged into one, at every level.

    Visits every expanded field, so only for documents within `Limits.fields` and `Limits.depth`.
    """
    named: dict[str, list[FieldNode]] = {}
    for node in _merged_fields(roots, fragments):
        named.setdefault((node.alias or node.name).value, []).append(node)
    pairs = 0
    for nodes in named.values():
        pairs += len(nodes) * (len(nodes) - 1) // 2
        below = [node.selection_set for node in nodes if node.selection_set]
        if below:
            pairs += _overlaps(below, fragments)
    return pairs


def _merged_fields(
    roots: list[SelectionSetNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[FieldNode]:
    stack = list(roots)
    seen: set[str] = set()
    while stack:
        for selection in stack.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                stack.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
                seen.add(selection.name.value)
                if definition := fragments.get(selection.name.value):
                    stack.append(definition.selection_set)
