"""A plan answers as graphql-core does: made-up operations on made-up schemas and on ours, on both ways.

What is compared is the whole answer after JSON, the calls of resolvers with their arguments in their order, the
batches of data loaders, and what the event loop complains about. `KALENDS_TEST_SEED` chooses other cases.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution import Executor, execute_root_selection_set
from strawberry.execution import optimized_is_awaitable
from structlog.testing import capture_logs

from kalends.compiled import Compiler, Plan, Run
from kalends.domain.access import Principal, Scope
from kalends.server import app as server
from kalends.server.execution import Engine, Outcome, RequestError
from kalends.server.limits import Limits
from schema.context import Context
from schema.schema import schema
from storage.engine import Database
from tests.api import SLOT, build_house
from tests.compiled.operations import Writer
from tests.compiled.world import CASE, Case, make_world
from tests.conftest import SEED
from tests.helpers import HOUR, NOBODY, Clock

pytestmark = [
    pytest.mark.anyio,
    # Where an error cancels what has not begun yet, coroutines end without having been awaited, on both ways.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BOUNDLESS = Limits(cost=10**9, fields=10**6, depth=10**3, aliases=10**3, directives=10**3, root_fields=99)
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
                assert (*found, second.log) == (*expected, first.log), about
    assert both.how["compiled"] > both.how["handed over"]


REAL_SHARDS, REAL_DOCUMENTS = 5, 50
"""1,000 cases more, on our own schema and an SQLite database."""

QUIET = ("createEvent", "createEvents", "updateEvent", "cancelEvent", "deleteEvent", "respondToEvent", "createResource")
"""Mutations that ask no provider anything; of things that do not exist, but for the last."""

AVOIDED = ("Query.remoteCalendars", "Query.__schema", "Query.__type")
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def normal(outcome: Outcome) -> str:
    """Return an answer as JSON, with its ids numbered in the order in which they come: each way makes its own."""
    found: dict[str, str] = {}
    return UUIDS.sub(
        lambda match: found.setdefault(match[0], f"id {len(found)}"), json.dumps(outcome.body(), default=str)
    )


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("shard", range(REAL_SHARDS))
async def test_our_own_schema_is_answered_the_same(database: Database, clock: Clock, shard: int) -> None:
    house = await build_house(database, clock)
    ours = house.ours
    ids = [str(each) for each in (*ours.ids.values(), NOBODY)] + ["nonsense"]
    for hours in range(6):
        at = SLOT + hours * HOUR / 2
        made = await ours.create(at, participants=["ada@example.org"], calendarId=ids[4 + hours % 2])
        ids.append(made["id"])
    known = [*ids]

    def real_leaf(chance: random.Random, name: str) -> Any:
        values: dict[str, list[Any]] = {
            "ID": known,
            "DateTime": [(SLOT + chance.randrange(-9, 9) * HOUR).isoformat(), "2026-05-04", "never"],
            "TimeZone": ["Europe/Berlin", "UTC", "Nowhere/Land"],
            "EmailAddress": ["ada@example.org", "nobody"],
            "Metadata": [{"key": "value"}, {}, {"key": 1}],
            "_Any": [{"__typename": kind, "id": each} for kind in ("Event", "Calendar", "Nothing") for each in known],
        }
        return chance.choice(values[name]) if name in values else leaf(chance, name)

    chance = random.Random(SEED * 1_000 + shard)
    engine = Engine(schema, limits=BOUNDLESS, introspection=False, suggestions=True, classify=server.classify)
    writer = Writer(schema._schema, chance, real_leaf, avoid=AVOIDED)
    principals = [Principal(ours.app_id, ours.key_id, scopes) for scopes in (frozenset(Scope), frozenset({Scope.READ}))]
    documents = compiled = 0
    while documents < REAL_DOCUMENTS:
        kind = "mutation" if chance.random() < 0.3 else "query"
        known[:] = ids if kind == "query" else [str(NOBODY), "nonsense"]
        root = schema._schema.mutation_type if kind == "mutation" else schema._schema.query_type
        assert root is not None
        principal = chance.choice([principals[0], *principals, None])
        writer.only = QUIET if kind == "mutation" and principal is principals[0] else ()
        written = writer.write(kind, root)
        try:
            operation = engine.prepare(written.text)
        except RequestError:
            continue
        documents += 1
        for variation in range(VARIATIONS):
            variables = writer.values(written, wrong=variation == 1)
            answers = []
            for way in (replace(operation, plan=None), operation):
                context = Context(house.services, principal)
                with capture_logs():
                    answers.append(normal(await engine.run(way, deepcopy(variables), context)))
            expected, found = answers
            assert found == expected, f"seed {SEED}, shard {shard}\n{written.text}\n{variables}"
            assert operation.plan is not None
            compiled += operation.plan.begin(variables, None) is not None
    assert compiled > REAL_DOCUMENTS * VARIATIONS / 2
