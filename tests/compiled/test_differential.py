"""A plan answers as graphql-core does: made-up operations on made-up schemas and on ours, on both ways.

What is compared is the whole answer after JSON, the calls of resolvers with their arguments in their order, the
batches of data loaders, and what the event loop complains about. `KALENDS_TEST_SEED` chooses other cases.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution import Executor, execute_root_selection_set

from kalends.compiled import Compiler, Plan, Run
from tests.compiled.operations import Writer
from tests.compiled.world import CASE, Case, make_world
from strawberry.execution import optimized_is_awaitable

pytestmark = [
    pytest.mark.anyio,
    # A value that errors on both ways may hold a coroutine that nobody gets to.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]

SEED = int(os.environ.get("KALENDS_TEST_SEED", "1"))
SHARDS, DOCUMENTS, VARIATIONS = 30, 75, 4
"""9,000 cases: `SHARDS` schemas, for each so many documents, each with so many variables and fates."""


def leaf(chance: random.Random, name: str) -> Any:
    """Return a JSON value for one of the scalars of the made-up schemas."""
    match name:
        case "Int":
            return chance.choice([0, 1, 7, 100])
        case "Float":
            return chance.choice([0.5, 2, 1e3])
        case "Boolean":
            return chance.random() < 0.5
        case "ID":
            return chance.choice(["a", 7])
        case "Bag":
            return chance.choice([{"a": 1}, "x", [1, {"b": None}]])
        case "Shout":
            return chance.choice(["ha", "bad", "ho"])
    return chance.choice(["", "one", "two"])


class Both:
    """The two ways through one schema."""

    def __init__(self, schema: Any) -> None:
        self.schema: GraphQLSchema = schema._schema
        self._executor: type[Executor[Any]] = schema.execution_context_class
        self._compiler = Compiler(schema, self._build)
        self.how: Counter[str] = Counter()

    def _build(self, document: Any, name: Any, variables: Any, context: Any, extensions: Any) -> Any:
        return self._executor.build(
            self.schema,
            document,
            context_value=context,
            raw_variable_values=variables,
            operation_name=name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
            operation_extensions=extensions,
        )

    def prepare(self, text: str) -> tuple[Any, Plan | None] | None:
        """Return the parsed document and its plan; None where the document is not valid."""
        document = parse(text)
        if validate(self.schema, document):
            return None
        (operation,) = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        return document, self._compiler.compile(document, operation)

    async def ordinary(self, document: Any, variables: Any, context: Any) -> tuple[bytes, list[str]]:
        """Answer as graphql-core does."""
        return await self._observed(self._build(document, None, variables, context, None), execute_root_selection_set)

    async def compiled(self, plan: Plan, variables: Any, context: Any) -> tuple[bytes, list[str]] | None:
        """Answer by the plan; None where it hands over."""
        run = plan.begin(variables, context)
        self.how["handed over" if run is None else "compiled"] += 1
        return None if run is None else await self._observed(run, Run.execute)

    async def _observed(self, begun: Any, execute: Callable[[Any], Any]) -> tuple[bytes, list[str]]:
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: complaints.append(str(about["message"])))
        if isinstance(begun, list):
            result: Any = ExecutionResult(None, begun)
        else:
            result = execute(begun)
            if not isinstance(result, ExecutionResult):
                result = await result
        others = asyncio.all_tasks() - {asyncio.current_task()}
        before = len(others)
        for _ in range(50):
            if not (asyncio.all_tasks() - {asyncio.current_task()}):
                break
            await asyncio.sleep(0)
        else:
            complaints.append("tasks are left")
        complaints.append(f"{before} tasks")
        loop.set_exception_handler(None)
        return _json(result), complaints


def _json(result: ExecutionResult) -> bytes:
    errors = [error.formatted for error in result.errors or ()]
    body = {"data": result.data, "errors": errors, "types": [_cause(error) for error in result.errors or ()]}
    return json.dumps(body, default=repr).encode()


def _cause(error: Any) -> str:
    while getattr(error, "original_error", None) is not None:
        error = error.original_error
    return type(error).__name__


@pytest.mark.parametrize("shard", range(SHARDS))
async def test_generated_schemas_are_answered_the_same(shard: int) -> None:
    seed = SEED * 1_000 + shard
    world = make_world(seed)
    chance = random.Random(seed)
    both = Both(world.schema)
    writer = Writer(both.schema, chance, leaf)
    documents = 0
    while documents < DOCUMENTS:
        kind = "mutation" if chance.random() < 0.2 else "query"
        root = both.schema.mutation_type if kind == "mutation" else both.schema.query_type
        assert root is not None
        written = writer.write(kind, root)
        prepared = both.prepare(written.text)
        if prepared is None:
            both.how["invalid"] += 1
            continue
        documents += 1
        document, plan = prepared
        assert plan is not None
        for variation in range(VARIATIONS):
            variables = writer.values(written, wrong=variation == 1)
            trouble = [0.0, 0.05, 0.15, 0.3][variation]
            number = chance.randrange(2**32)
            first, second = Case(number, trouble), Case(number, trouble)
            CASE.set(first)
            expected = await both.ordinary(document, deepcopy(variables), first)
            CASE.set(second)
            found = await both.compiled(plan, deepcopy(variables), second)
            if found is not None:
                about = f"seed {SEED}, shard {shard}, case {number}\n{written.text}\n{variables}"
                assert found == expected, about
                assert second.log == first.log, about
    print(both.how)
