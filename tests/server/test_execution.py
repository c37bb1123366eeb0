"""The engine: phases, limits, masking, Strawberry's features, time, and what it keeps."""

from __future__ import annotations

import asyncio
import copy
import enum
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import pytest
import strawberry
from graphql import GraphQLError, get_introspection_query
from strawberry.extensions import FieldExtension, SchemaExtension
from strawberry.federation import Schema as FederationSchema
from strawberry.permission import BasePermission
from structlog.testing import capture_logs

from kalends.server.execution import Engine, Outcome, RequestError
from kalends.server.faults import Fault
from kalends.server.limits import Limits

pytestmark = pytest.mark.anyio


class Gone(Exception):
    """An error of the application that `classify` knows."""


def classify(error: BaseException) -> Fault | None:
    return Fault("It is gone.", "NOT_FOUND", {"hint": 1}) if isinstance(error, Gone) else None


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


class Never(BasePermission):
    message = "Not for you."
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012  Strawberry's declaration

    def has_permission(self, source: object, info: strawberry.Info, **kwargs: object) -> bool:  # noqa: ARG002
        return False


class Shout(FieldExtension):
    async def resolve_async(
        self, next_: Callable[..., Any], source: object, info: strawberry.Info, **kwargs: object
    ) -> str:
        return str(await next_(source, info, **kwargs)).upper()


@strawberry.type
class Cat:
    name: str


@strawberry.type
class Dog:
    barks: bool


@strawberry.federation.type(keys=["id"])
class Thing:
    id: strawberry.ID

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Thing:  # noqa: A002  the key's name
        return cls(id=id)


@strawberry.input
class Wish:
    colour: Colour = Colour.RED
    count: int = 1
    note: strawberry.Maybe[str] = None


@strawberry.type
class Query:
    @strawberry.field
    def colour(self, like: Colour = Colour.RED) -> Colour:
        return like

    @strawberry.field
    def pets(self) -> list[Annotated[Cat | Dog, strawberry.union("Pet")]]:
        return [Cat(name="Tom"), Dog(barks=True)]

    @strawberry.field
    def who(self, info: strawberry.Info) -> str:
        assert isinstance(info.schema, strawberry.Schema)
        return f"{info.context['name']} {info.field_name} {info.input_extensions} {info.variable_values}"

    @strawberry.field(permission_classes=[Never])  # type: ignore[untyped-decorator]
    def secret(self) -> str | None:
        return "secret"

    @strawberry.field(extensions=[Shout()])  # type: ignore[untyped-decorator]
    async def loud(self) -> str:
        return "hello"

    @strawberry.field
    async def hang(self, info: strawberry.Info) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            info.context["stopped"] = True
        return ""

    @strawberry.field
    def bug(self) -> str | None:
        raise RuntimeError("password=hunter2 \ud800")

    @strawberry.field
    async def cancelled(self) -> str | None:
        raise asyncio.CancelledError

    @strawberry.field
    def gone(self) -> str | None:
        raise Gone

    @strawberry.field
    def deliberate(self) -> str | None:
        raise GraphQLError("No.", extensions={"code": "BAD_USER_INPUT"})

    @strawberry.field
    def page(self, first: int = 50) -> list[Cat]:  # noqa: ARG002
        return []

    @strawberry.field
    def wish(self, wish: Wish) -> str:
        return repr((wish.colour, wish.count, wish.note))

    @strawberry.field
    def thing(self) -> Thing:
        return Thing(id=strawberry.ID("1"))


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def put(self, info: strawberry.Info) -> str:
        info.context["started"].set()
        await info.context["go"].wait()
        info.context["done"] = True
        return "stored"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncGenerator[int]:
        yield 1


SCHEMA = FederationSchema(Query, Mutation, Subscription)


def engine(**options: Any) -> Engine:
    defaults: dict[str, Any] = {"limits": Limits(), "introspection": True, "suggestions": True, "classify": classify}
    return Engine(SCHEMA, **defaults | options)


def codes(outcome: Outcome) -> list[str]:
    return [error["extensions"]["code"] for error in outcome.errors]


@pytest.mark.parametrize(
    ("query", "variables", "name", "code"),
    [
        ("{", {}, None, "GRAPHQL_PARSE_FAILED"),
        ("", {}, None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, None, "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...A } fragment A on Query { ...A }", {}, None, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($i: Int!) { page(first: $i) { name } }", {"i": None}, None, "BAD_USER_INPUT"),
        ("query ($c: Colour!) { colour(like: $c) }", {"c": "BLUE"}, None, "BAD_USER_INPUT"),
        ("query ($w: Wish!) { wish(wish: $w) }", {"w": {"count": "\ud800"}}, None, "BAD_USER_INPUT"),
        ("query ($i: Int!) { page(first: $i) { name } }", {"i": 5000}, None, "LIMIT_EXCEEDED"),
        ("query A { colour } query B { colour }", {}, None, "OPERATION_RESOLUTION_FAILURE"),
        ("query A { colour }", {}, "\ud800", "OPERATION_RESOLUTION_FAILURE"),
        ("fragment F on Query { colour }", {}, None, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_a_request_error_names_its_phase_and_has_no_data(
    query: str, variables: dict[str, Any], name: str | None, code: str
) -> None:
    outcome = await engine().execute(query, variables, name)
    assert set(codes(outcome)) == {code}
    assert not outcome.executed
    assert outcome.body().keys() == {"errors"}


async def test_a_mutation_is_refused_where_it_is_not_allowed() -> None:
    outcome = await engine().execute("mutation { put }", mutation_allowed=False)
    assert codes(outcome) == ["OPERATION_NOT_ALLOWED"]


async def test_a_subscription_needs_another_door() -> None:
    assert codes(await engine().execute("subscription { ticks }")) == ["OPERATION_NOT_ALLOWED"]


async def test_the_operation_asked_for_is_the_one_that_runs() -> None:
    outcome = await engine().execute("query A { colour } query B { loud }", operation_name="B")
    assert outcome.body() == {"data": {"loud": "HELLO"}}


async def test_strawberry_resolvers_work_as_under_its_own_execution() -> None:
    query = """
        query ($w: Wish!, $r: [_Any!]!) { colour(like: RED) loud wish(wish: $w)
          pets { __typename ... on Cat { name } ... on Dog { barks } }
          _entities(representations: $r) { ... on Thing { id } } _service { __typename } }
    """
    variables = {"w": {"count": 2, "note": "x"}, "r": [{"__typename": "Thing", "id": "7"}]}
    twin = copy.deepcopy(variables)  # Strawberry takes `__typename` out of the representations
    outcome = await engine().execute(query, variables, context={})
    reference = await SCHEMA.execute(query, twin, context_value={})
    assert reference.errors is None
    assert outcome.body() == {"data": reference.data}
    assert reference.data is not None
    assert reference.data["_entities"] == [{"id": "7"}]


async def test_info_has_context_schema_variables_and_the_requests_extensions() -> None:
    running = engine()
    operation = running.prepare("query ($i: Int) { who page(first: $i) { name } }")
    outcome = await running.run(operation, {"i": 1}, {"name": "Ann"}, {"trace": 1})
    assert outcome.data == {"who": "Ann who {'trace': 1} {'i': 1}", "page": []}


async def test_a_permission_denied_is_shown_with_its_code() -> None:
    outcome = await engine().execute("{ secret colour }")
    assert outcome.data == {"secret": None, "colour": "RED"}
    assert outcome.errors[0]["message"] == "Not for you."
    assert codes(outcome) == ["FORBIDDEN"]


async def test_a_null_where_maybe_forbids_it_is_refused_in_validation() -> None:
    outcome = await engine().execute("{ wish(wish: {note: null}) }")
    assert codes(outcome) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_known_errors_are_shown_and_unknown_ones_masked_and_logged_with_their_id() -> None:
    with capture_logs() as logs:
        outcome = await engine().execute(
            "query ($s: Int) { deliberate gone b: bug page(first: $s) { name } }", {"s": 42}
        )
    deliberate, gone, bug = outcome.errors
    assert (deliberate["message"], deliberate["extensions"]) == ("No.", {"code": "BAD_USER_INPUT"})
    assert (gone["message"], gone["extensions"]) == ("It is gone.", {"code": "NOT_FOUND", "hint": 1})
    identity = bug["extensions"]["id"]
    assert bug["message"] == f"Internal error. Quote the id {identity} to the operator."
    assert bug["path"] == ["b"]
    assert "hunter2" not in str(outcome.body())
    (entry,) = logs
    assert (entry["error_id"], entry["path"], entry["log_level"]) == (identity, ["b"], "error")
    assert "hunter2" in entry["traceback"]
    entry["traceback"].encode("utf-8")
    assert "42" not in str({key: value for key, value in entry.items() if key not in ("traceback", "error_id")})


async def test_a_resolver_cancelled_from_within_is_an_error_of_the_answer() -> None:
    with capture_logs():
        outcome = await engine().execute("{ cancelled }")
    assert codes(outcome) == ["INTERNAL"]


async def test_an_operation_that_takes_too_long_is_stopped_with_its_resolvers() -> None:
    context: dict[str, Any] = {}
    outcome = await engine(limits=Limits(operation_seconds=0.01)).execute("{ hang }", context=context)
    assert codes(outcome) == ["TIMEOUT"]
    assert outcome.body()["data"] is None
    assert context["stopped"]


async def test_a_mutation_ends_though_its_caller_was_cancelled() -> None:
    running = engine()
    context: dict[str, Any] = {"started": asyncio.Event(), "go": asyncio.Event()}
    request = asyncio.create_task(running.execute("mutation { put }", context=context))
    await context["started"].wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    context["go"].set()
    await running.drain()
    assert context["done"]


async def test_a_query_is_stopped_when_its_caller_is_cancelled() -> None:
    context: dict[str, Any] = {}
    request = asyncio.create_task(engine().execute("{ hang }", context=context))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_introspection_can_be_used_by_tools_where_it_is_on() -> None:
    outcome = await engine().execute(get_introspection_query(specified_by_url=True, one_of=True))
    assert not outcome.errors


async def test_introspection_off_refuses_the_schema_but_not_typename_or_a_subgraphs_service() -> None:
    running = engine(introspection=False)
    for query in (
        "{ __schema { queryType { name } } }",
        '{ x: __type(name: "Cat") { name } }',
        "{ ...F } fragment F on Query { __schema { description } }",
    ):
        assert codes(await running.execute(query)) == ["INTROSPECTION_DISABLED"]
    assert (await running.execute("{ __typename _service { __typename } }")).executed


NEARLY_RIGHT = [
    ("{ colou }", {}),
    ("{ colour(lik: RED) }", {}),
    ("{ pets { ... on Ca { name } } }", {}),
    ("{ colour(like: RE) }", {}),
    ("{ wish(wish: {coun: 1}) }", {}),
    ("{ pets { name } }", {}),
    ("query ($w: Wishh!) { wish(wish: $w) }", {}),
    ("query ($c: Colour!) { colour(like: $c) }", {"c": "RE"}),
    ("query ($w: Wish!) { wish(wish: $w) }", {"w": {"coun": 1}}),
    ("{ colour @skip(i: true) }", {}),
]


@pytest.mark.parametrize(("query", "variables"), NEARLY_RIGHT)
async def test_suggestions_are_made_only_where_they_are_on(query: str, variables: dict[str, Any]) -> None:
    suggested = await engine(suggestions=True).execute(query, variables)
    silent = await engine(suggestions=False).execute(query, variables)
    assert "Did you mean" in str(suggested.errors)
    assert silent.errors
    assert "Did you mean" not in str(silent.errors)


async def test_a_document_is_compiled_once_and_the_cache_is_bounded_in_number_and_size() -> None:
    running = engine(cache_size=2, cache_chars=60)
    first = running.prepare("{ colour }")
    assert running.prepare("{ colour }") is first
    running.prepare("{ loud }")
    running.prepare("{ colour }")
    running.prepare("{ who }")
    assert running.prepare("{ colour }") is first
    running.prepare("{ who }" + " " * 50)
    assert running.prepare("{ colour }") is not first
    large = running.prepare("{ who }" + " " * 60)
    assert running.prepare("{ who }" + " " * 60) is not large


def test_what_left_the_cache_makes_room() -> None:
    running = engine(cache_size=1, cache_chars=30)
    for number in range(9):
        running.prepare(f"query Q{number} {{ colour }}")
    kept = running.prepare("{ loud }")
    assert running.prepare("{ loud }") is kept


def test_a_refused_document_is_not_kept() -> None:
    running = engine()
    for _ in range(2):
        with pytest.raises(RequestError):
            running.prepare("{ nothing }")
    assert not running._documents._entries


@pytest.mark.parametrize(
    ("query", "public"),
    [
        ("{ __typename }", True),
        ("{ colour }", False),
        ("mutation { __typename }", False),
        ("{ _service { sdl } }", True),
    ],
)
def test_only_a_query_about_the_schema_is_public(query: str, public: bool) -> None:
    assert engine().prepare(query).is_public is public


def test_a_schema_with_hooks_that_would_not_run_is_refused() -> None:
    with pytest.raises(ValueError, match="extensions"):
        Engine(
            FederationSchema(Query, extensions=[SchemaExtension]), limits=Limits(), introspection=True, suggestions=True
        )


BOMBS = {
    "document_chars": "{ n }" + " " * 100_000,
    "tokens": "{ " + "n " * 5000 + "}",
    "document_lines": "{ n }" + "\n" * 5000,
    "comments": "{ n }" + "#" + "\r#" * 2500,
    "deep": "{ " + "a { " * 5000,
    "errors far down a long document": "\n" * 1900 + "{ pets { " + " ".join(f"x{i}" for i in range(99)) + " } }",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_large_documents_are_refused(name: str) -> None:
    outcome = await engine().execute(BOMBS[name])
    assert not outcome.executed
    assert len(outcome.errors) <= 11
