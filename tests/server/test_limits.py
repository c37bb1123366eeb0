"""The analysis of a document: what it counts, what it refuses, and that bombs stay cheap."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    build_schema,
    get_introspection_query,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

from kalends.server.limits import LimitExceeded, Limits, Shape, analyse, check_cost

SCHEMA = build_schema(
    """
    type Query { a: Query b: Query n: Int items: [Query!]! events(first: Int = 50, last: Int): EventConnection!
      page(first: Int): [Query!]! byIds(ids: [ID!]!): [Query!]! _service: Int
      _entities(representations: [Int!]!): [Query]! }
    type Mutation { put: Int }
    type EventConnection { edges: [EventEdge!]! nodes: [Query!]! total: Int }
    type EventEdge { node: Query! cursor: Int }
    """
)
NO_LIMITS = Limits(**dict.fromkeys(("depth", "aliases", "directives", "fields", "root_fields", "overlaps"), 10**9))


def shape_of(text: str, limits: Limits = NO_LIMITS) -> Shape:
    return analyse(SCHEMA, parse(text), limits)[None]


def cost_of(text: str, **variables: object) -> int:
    return next(iter(analyse(SCHEMA, parse(text), NO_LIMITS).values())).cost.given(variables)


def doubling(levels: int, leaf: str) -> str:
    """Fragments that each spread the next one twice: 2 ** levels leaves."""
    spreads = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels))
    return f"{{ ...F0 }} {spreads} fragment F{levels} on Query {{ {leaf} }}"


def test_each_count_expands_fragments() -> None:
    shape = shape_of("{ x: a { ...F } ...F @skip(if: false) } fragment F on Query { b { y: n } __typename }")
    assert (shape.depth, shape.fields, shape.root_fields) == (3, 7, 3)
    assert (shape.aliases, shape.directives) == (3, 1)


def test_inline_fragments_add_no_depth_and_their_fields_are_root_fields() -> None:
    shape = shape_of("{ ... { ... on Query { a { n } } } n }")
    assert (shape.depth, shape.fields, shape.root_fields) == (2, 3, 2)


def test_directives_count_wherever_they_stand() -> None:
    text = "query ($v: Int @d) @d { ...F @d ... @d { n @d } } fragment F on Query @d { n }"
    assert shape_of(text).directives == 6


@pytest.mark.parametrize(
    ("limit", "text", "actual"),
    [
        ("depth", "{ a { b { n } } }", 3),
        ("aliases", "{ x: n y: n z: n }", 3),
        ("directives", "{ n @skip(if: true) @skip(if: true) @skip(if: true) }", 3),
        ("fields", "query A { n a { n } }", 3),
        ("fields", "query A { n } query B { n } query C { n }", 3),
        ("fields", "{ n } fragment F on Query { a { n } }", 3),
        ("root_fields", "{ n a { n } items { n } }", 3),
        ("root_fields", "query A { n } query B { n a { n } items { n } }", 3),
        ("fragments", "{ n } " + "".join(f"fragment F{i} on Query {{ n }} " for i in range(3)), 3),
        ("introspection_depth", "{ __schema { queryType { fields { name } } } }", 3),
        ("introspection_fields", "{ __schema { queryType { name kind } } }", 3),
        ("overlaps", "{ n n n }", 3),
    ],
)
def test_one_more_than_the_limit_is_refused_and_the_error_says_which(limit: str, text: str, actual: int) -> None:
    with pytest.raises(LimitExceeded) as caught:
        analyse(SCHEMA, parse(text), Limits(**{limit: actual - 1}))
    expected = {"code": "LIMIT_EXCEEDED", "limit": limit, "maximum": actual - 1, "actual": actual}
    assert caught.value.extensions == expected
    analyse(SCHEMA, parse(text), Limits(**{limit: actual}))


@pytest.mark.parametrize(
    ("text", "variables", "cost"),
    [
        ("{ n a { n } }", {}, 3),
        ("{ items { n } }", {}, 1 + 10),
        ("{ page(first: 3) { n a { n } } }", {}, 1 + 3 * 3),
        ("query ($f: Int) { page(first: $f) { n } }", {"f": 7}, 1 + 7),
        ("query ($f: Int) { page(first: $f) { n } }", {"f": None}, 1 + 10),
        ("query ($f: Int) { page(first: $f) { page(first: $f) { n } } }", {"f": 7}, 1 + 7 * (1 + 7)),
        ("{ page(first: -9) { n } }", {}, 1 + 1),
        ("{ page(first: 0) { n } }", {}, 1 + 1),
        ("{ byIds(ids: [1, 2, 3]) { n } }", {}, 1 + 3),
        ("query ($i: [ID!]!) { byIds(ids: $i) { n } }", {"i": ["1", "2"]}, 1 + 2),
        (
            "query ($r: [Int!]!) { _entities(representations: $r) { ...F } } fragment F on Query { n }",
            {"r": [1] * 9},
            10,
        ),
        ("{ events { total edges { cursor node { n } } } }", {}, 1 + 1 + 50 * (1 + 1 + 1 + 1)),
        ("{ events(first: 4) { ...C total } } fragment C on EventConnection { nodes { n } }", {}, 1 + 1 + 4 * 2),
        ("query ($f: Int) { events(first: $f) { nodes { n } } }", {}, 1 + 50 * 2),
        ("query ($f: Int) { ...F ...F } fragment F on Query { page(first: $f) { n } }", {"f": 5}, 2 * (1 + 5)),
        ("{ __schema { types { fields { name } } } }", {}, 1),
    ],
)
def test_cost_is_each_field_times_the_lists_it_is_in(text: str, variables: dict[str, object], cost: int) -> None:
    assert cost_of(text, **variables) == cost


def test_a_fragment_spread_twice_does_not_overlap_with_itself() -> None:
    shape_of("{ ...F ...F } fragment F on Query { n }", Limits(overlaps=0))


def test_a_size_too_large_for_an_int_costs_as_much_as_the_largest() -> None:
    assert cost_of(f"{{ page(first: {'9' * 60_000}) {{ n }} }}") == 2**31


def test_cost_over_the_limit_is_refused() -> None:
    shape = shape_of("query { page(first: 100) { page(first: 100) { n } } }")
    with pytest.raises(LimitExceeded) as caught:
        check_cost(shape, {}, Limits())
    assert caught.value.extensions == {"code": "LIMIT_EXCEEDED", "limit": "cost", "maximum": 5000, "actual": 10_101}


def test_the_introspection_query_of_tools_is_within_the_limits() -> None:
    text = get_introspection_query(input_value_deprecation=True)
    shape = next(iter(analyse(SCHEMA, parse(text), Limits()).values()))
    assert (shape.depth, shape.public) == (1, True)


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("{ __typename __schema { queryType { name } } _service }", True),
        ("{ ...F } fragment F on Query { __typename ... { _service } }", True),
        ("{ ...F } fragment F on Query { __typename ... { n } }", False),
        ("{ __typename n }", False),
        ("{ __typename: n }", False),
    ],
)
def test_public_means_that_every_root_field_is_about_the_schema(text: str, public: bool) -> None:
    assert shape_of(text).public is public


@pytest.mark.parametrize(
    "text",
    [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { a { ...B } } fragment B on Query { ... { ...A } }",
        "{ n } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ ...A } fragment A on Query { n } fragment A on Query { a { n } }",
    ],
)
def test_cycles_and_fragments_defined_twice_are_refused(text: str) -> None:
    with pytest.raises(GraphQLError, match=r"cycle|only one"):
        analyse(SCHEMA, parse(text), NO_LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "{ nothing { at { all } } }",
        "{ ...Nowhere }",
        "{ ... on Nothing { x } }",
        "subscription { x }",
        "fragment F on X { n }",
    ],
)
def test_documents_that_are_not_valid_can_be_analysed(text: str) -> None:
    analyse(SCHEMA, parse(text), Limits())


FLAT = " ".join(["a { n }"] * 240)
BOMBS = {
    "doubling fragments": doubling(29, "n"),
    "doubling fragments over nothing": doubling(29, "a { }"),
    "doubling fragments below introspection": doubling(28, "__schema { types { name } }"),
    "doubling fragments with open sizes": doubling(29, "page(first: $f) { n }").replace("{", "query ($f: Int) {", 1),
    "wide fragments": "{ ...F0 } "
    + "".join(f"fragment F{i} on Query {{ {f'...F{i + 1} ' * 20} }} " for i in range(29))
    + "fragment F29 on Query { n }",
    "aliases": "{ " + " ".join(f"x{i}: n" for i in range(400)) + " }",
    "deep": "{ " + "a { " * 150 + "n" + " }" * 151,
    "directives": "{ n " + "@skip(if: true) " * 200 + "}",
    "one name again and again": f"{{ {FLAT} }}",
    "one name again and again, unused": f"{{ n }} fragment F on Query {{ {FLAT} }}",
    "introspection": "{ __schema { types " + "{ fields { type " * 70 + "{ name }" + " } }" * 70 + " } }",
    "wide introspection": "{ " + "__schema { types { name } } " * 250 + "}",
    "many fragments": "{ ...F0 } " + "".join(f"fragment F{i} on Query {{ n }} " for i in range(200)),
    "operations that share a wide fragment": "".join(f"query Q{i} {{ ...F }} " for i in range(100))
    + f"fragment F on Query {{ {' '.join(['n'] * 90)} }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    document = parse(BOMBS[name])
    start = time.process_time()
    with pytest.raises(LimitExceeded):
        analyse(SCHEMA, document, Limits())
    assert time.process_time() - start < 1


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Documents in which a fragment spreads only later ones, so that naive expansion ends."""
    count = draw(st.integers(0, 3))

    def selections(first: int, depth: int) -> str:
        kinds = ["leaf", "alias", "directive", "meta"]
        kinds += ["field", "list", "inline"] if depth else []
        kinds += ["spread"] if first < count else []
        parts = []
        for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3)):
            match kind:
                case "leaf":
                    parts.append("n")
                case "alias":
                    parts.append("x: n")
                case "directive":
                    parts.append("n @skip(if: true)")
                case "meta":
                    parts.append("__schema { queryType { name } }")
                case "field":
                    parts.append(f"a {{ {selections(first, depth - 1)} }}")
                case "list":
                    parts.append(
                        f"page(first: {draw(st.sampled_from(['2', '$f']))}) {{ {selections(first, depth - 1)} }}"
                    )
                case "inline":
                    parts.append(f"... @include(if: true) {{ {selections(first, depth - 1)} }}")
                case _:
                    parts.append(f"...F{draw(st.integers(first, count - 1))} @skip(if: false)")
        return " ".join(parts)

    text = f"query ($f: Int) {{ {selections(0, 3)} }}"
    return text + "".join(f" fragment F{i} on Query {{ {selections(i + 1, 2)} }}" for i in range(count))


Seen = tuple[int, bool, int]


def expand(document: DocumentNode, variables: dict[str, int]) -> Iterator[tuple[Seen, SelectionNode]]:
    """Every selection of the operation with (depth, whether below introspection, times it is in a list)."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}

    def walk(node: SelectionSetNode, seen: Seen) -> Iterator[tuple[Seen, SelectionNode]]:
        depth, below, times = seen
        for selection in node.selections:
            yield seen, selection
            if isinstance(selection, FieldNode):
                size = 1
                for argument in selection.arguments or ():
                    size = variables.get("f", 2) if argument.value.kind == "variable" else 2
                if selection.selection_set:
                    inner = below or selection.name.value == "__schema"
                    yield from walk(selection.selection_set, (depth + 1, inner, times * size))
            elif isinstance(selection, InlineFragmentNode):
                yield from walk(selection.selection_set, seen)
            elif isinstance(selection, FragmentSpreadNode):
                yield from walk(fragments[selection.name.value].selection_set, seen)

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield from walk(definition.selection_set, (1, False, 1))


@given(documents(), st.integers(1, 5))
def test_the_analysis_equals_a_naive_expansion(text: str, size: int) -> None:
    document = parse(text)
    shape = analyse(SCHEMA, document, NO_LIMITS)[None]
    selections = list(expand(document, {"f": size}))
    every = [(seen, node) for seen, node in selections if isinstance(node, FieldNode)]
    data = [(seen, node) for seen, node in every if not seen[1]]
    assert shape.fields == len(data)
    assert shape.introspection_fields == len(every) - len(data)
    assert shape.depth == max(depth for (depth, _, _), _ in data)
    assert shape.root_fields == sum(depth == 1 for (depth, _, _), _ in data)
    assert shape.aliases == sum(node.alias is not None for _, node in every)
    assert shape.directives == sum(len(node.directives or ()) for _, node in selections)
    assert shape.cost.given({"f": size}) == sum(times for (_, _, times), _ in data)
