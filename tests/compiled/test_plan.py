"""What has a plan, what is handed over before anything has run, and what a plan keeps apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import strawberry
from graphql import ExecutionResult, OperationDefinitionNode, parse
from strawberry.dataloader import DataLoader
from strawberry.execution import optimized_is_awaitable

from kalends.compiled import Compiler, Plan
from kalends.compiled.plan import MAX_VARIANTS

pytestmark = pytest.mark.anyio


@strawberry.input
class Box:
    number: int
    things: list[str] = strawberry.field(default_factory=list)


@strawberry.input
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")


@strawberry.type
class Leaf:
    key: strawberry.Private[int]

    @strawberry.field
    async def loaded(self, info: strawberry.Info) -> int:
        return int(await info.context["loader"].load(self.key))


@strawberry.type
class Query:
    @strawberry.field
    def filled(self, box: Box) -> list[str]:
        box.things.append(str(box.number))
        return box.things

    @strawberry.field
    def positive(self, of: Positive) -> int:
        return of.number

    @strawberry.field
    def page(self, first: int = 5) -> int:
        return first

    @strawberry.field
    def leaves(self) -> list[Leaf]:
        return [Leaf(key=key) for key in range(5)]

    @strawberry.field
    def told(self, info: strawberry.Info) -> str:
        return f"{info.field_name} {info.path.as_list()} {info.variable_values} {len(info.selected_fields)}"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def add(self, info: strawberry.Info, number: int) -> int | None:
        info.context["log"].append(number)
        await asyncio.sleep(0)
        if number < 0:
            raise ValueError("negative")
        info.context["log"].append(number)
        return number


SCHEMA = strawberry.Schema(Query, Mutation)


def plan_of(text: str, schema: strawberry.Schema = SCHEMA) -> Plan | None:
    def build(document: Any, name: Any, variables: Any, context: Any, extensions: Any) -> Any:
        return schema.execution_context_class.build(
            schema._schema,
            document,
            context_value=context,
            raw_variable_values=variables,
            operation_name=name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
            operation_extensions=extensions,
        )

    document = parse(text)
    (operation,) = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    return Compiler(schema, build).compile(document, operation)


async def run(text: str, variables: dict[str, Any] | None = None, context: Any = None) -> ExecutionResult:
    plan = plan_of(text)
    assert plan is not None
    begun = plan.begin(variables, context)
    assert begun is not None
    result = begun.execute()
    return result if isinstance(result, ExecutionResult) else await result


@pytest.mark.parametrize(
    "text",
    [
        "subscription { ticks }",
        "{ __schema { description } }",
        '{ __type(name: "Query") { name } }',
        "{ page @defer }",
        "query @experimental_disableErrorPropagation { page }",
    ],
)
def test_what_a_plan_does_not_know_has_none(text: str) -> None:
    assert plan_of(text) is None


def test_a_schema_with_an_executor_of_its_own_has_no_plans() -> None:
    class Own(SCHEMA.execution_context_class):  # type: ignore[misc, name-defined]
        pass

    assert plan_of("{ page }", strawberry.Schema(Query, execution_context_class=Own)) is None


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("query ($b: Box!) { filled(box: $b) }", {}),
        ("query ($b: Box!) { filled(box: $b) }", {"b": {"number": "1"}}),
        ("query ($b: Box!) { filled(box: $b) }", {"b": {"number": 1, "unknown": 1}}),
        ("query ($p: Positive!) { positive(of: $p) }", {"p": {"number": -1}}),
        ("query ($f: Boolean!) { page @skip(if: $f) }", {"f": "yes"}),
    ],
)
def test_values_that_do_not_fit_are_handed_over(text: str, variables: dict[str, Any]) -> None:
    plan = plan_of(text)
    assert plan is not None
    assert plan.begin(variables, None) is None


async def test_each_use_of_a_variable_gets_its_own_input() -> None:
    text = "query ($b: Box!) { first: filled(box: $b) second: filled(box: $b) }"
    result = await run(text, {"b": {"number": 1}})
    assert result.data == {"first": ["1"], "second": ["1"]}


async def test_requests_share_nothing() -> None:
    plan = plan_of("query ($b: Box!) { filled(box: $b) }")
    assert plan is not None
    for number in (1, 2):
        begun = plan.begin({"b": {"number": number}}, None)
        assert begun is not None
        result = begun.execute()
        assert isinstance(result, ExecutionResult)
        assert result.data == {"filled": [str(number)]}


async def test_a_null_where_an_argument_has_a_default_is_an_error_of_its_field() -> None:
    result = await run("query ($n: Int) { page(first: $n) }", {"n": None})
    assert result.data is None
    assert [error.path for error in result.errors or ()] == [["page"]]
    assert (await run("query ($n: Int) { page(first: $n) }")).data == {"page": 5}


async def test_mutations_run_one_after_the_other_and_each_once() -> None:
    context: dict[str, Any] = {"log": []}
    result = await run("mutation { a: add(number: 1) b: add(number: -2) c: add(number: 3) }", context=context)
    assert context["log"] == [1, 1, -2, 3, 3]
    assert result.data == {"a": 1, "b": None, "c": 3}
    assert [error.path for error in result.errors or ()] == [["b"]]


async def test_a_list_asks_a_loader_once() -> None:
    batches = []

    async def load(keys: list[int]) -> list[int]:
        batches.append(keys)
        return keys

    await run("{ leaves { loaded again: loaded } }", context={"loader": DataLoader(load)})
    assert batches == [[0, 1, 2, 3, 4]]


async def test_info_tells_what_strawberrys_own_tells() -> None:
    text = "query ($n: Int) { a: told page(first: $n) }"
    ordinary = await SCHEMA.execute(text, {"n": 1})
    assert (await run(text, {"n": 1})).data == ordinary.data


def test_variants_are_bounded() -> None:
    names = [f"v{number}" for number in range(5)]
    asked = " ".join(f"a{name}: page @include(if: ${name})" for name in names)
    plan = plan_of(f"query ({' '.join(f'${name}: Boolean!' for name in names)}) {{ __typename {asked} }}")
    assert plan is not None
    begun = [
        plan.begin({name: bool(number >> place & 1) for place, name in enumerate(names)}, None) for number in range(32)
    ]
    assert sum(run is not None for run in begun) == MAX_VARIANTS
