"""The GraphQL API as a client sees it: over HTTP, on a server with two tenants whose clock stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import entry_points
from typing import Any
from uuid import UUID

import httpx
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from sqlalchemy import select
from starlette.applications import Starlette

from kalends.domain.access import ApiKey, App, Scope, new_secret, secret_hash, token
from kalends.domain.calendars import SANDBOX, Account, Calendar, Resource
from kalends.domain.ids import uuid7
from kalends.server import app as server
from kalends.server.execution import Engine
from kalends.server.settings import Settings
from kalends.server.worker import Worker
from providers import registry
from providers.interface import Provider
from providers.surroundings import Surroundings
from resolvers.services import Services
from schema.schema import schema
from storage.columns import Table
from storage.engine import Database
from storage.unit_of_work import Storage
from tests.helpers import HOUR, NOW, Clock, make_account, make_calendar, make_resource

SCHEMA: GraphQLSchema = schema._schema
SERVER = "http://kalends.test"
URL = f"{SERVER}/graphql"
GRAPHQL_JSON = "application/graphql-response+json"

SLOT = NOW + HOUR
"""An hour that every test finds free: 10:00 in Berlin."""


def at(moment: datetime) -> str:
    """Write a moment the way clients do."""
    return moment.isoformat()


def moment(text: str) -> datetime:
    """Read a moment of an answer."""
    return datetime.fromisoformat(text)


def selection(type_: GraphQLNamedType, depth: int) -> str:
    """Return every field of a type, and of the types below it down to `depth`."""
    if isinstance(type_, GraphQLUnionType):
        members = " ".join(f"... on {member.name} {selection(member, depth)}" for member in type_.types)
        return f"{{ __typename {members} }}"
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    parts = []
    for name, field in type_.fields.items():
        below = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(below):
            parts.append(name)
        elif depth and not name.startswith("_"):
            parts.append(f"{name} {selection(below, depth - 1)}")
    return f"{{ {' '.join(parts)} }}"


@cache
def document(kind: str, field: str, arguments: tuple[str, ...], depth: int) -> str:
    """Return an operation that calls one root field with these arguments and asks for everything down to `depth`."""
    root = SCHEMA.query_type if kind == "query" else SCHEMA.mutation_type
    assert root is not None
    definition = root.fields[field]
    known: Mapping[str, GraphQLArgument] = definition.args
    variables = ", ".join(f"${name}: {known[name].type}" for name in arguments)
    given = ", ".join(f"{name}: ${name}" for name in arguments)
    asked = selection(get_named_type(definition.type), depth)
    return f"{kind}{f'({variables})' if given else ''} {{ {field}{f'({given})' if given else ''} {asked} }}"


class Api:
    """A client with one key, or none."""

    def __init__(self, app: Starlette, token: str | None) -> None:
        headers = {"accept": GRAPHQL_JSON, "content-type": "application/json"} | (
            {"authorization": f"Bearer {token}"} if token else {}
        )
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), headers=headers, trust_env=False)

    async def post(self, query: str, /, **variables: Any) -> httpx.Response:
        """Send an operation and return the response, whatever it is."""
        body = json.dumps({"query": query, "variables": variables})  # escapes what UTF-8 cannot carry
        return await self._http.post(URL, content=body)

    async def run(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """Send an operation and return its data; there must be no top-level error."""
        response = await self.post(query, **variables)
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        assert response.status_code == 200
        return dict(answer["data"])

    async def fault(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """Send an operation and return its only top-level error."""
        (error,) = (await self.post(query, **variables)).json()["errors"]
        return dict(error)

    async def ask(self, field: str, *, depth: int = 3, **arguments: Any) -> Any:
        """Ask a query field for everything, and return the answer."""
        return (await self.run(document("query", field, tuple(arguments), depth), **arguments))[field]

    async def do(self, field: str, *, depth: int = 2, **arguments: Any) -> dict[str, Any]:
        """Call a mutation and return its payload, errors and all."""
        payload = (await self.run(document("mutation", field, tuple(arguments), depth), **arguments))[field]
        return dict(payload)

    async def done(self, field: str, *, depth: int = 2, **arguments: Any) -> dict[str, Any]:
        """Call a mutation that must succeed and return its payload."""
        payload = await self.do(field, depth=depth, **arguments)
        assert payload["errors"] == []
        return payload

    async def refused(self, field: str, **arguments: Any) -> list[dict[str, Any]]:
        """Call a mutation that must be refused and return why; nothing else may be in the payload."""
        payload = await self.do(field, **arguments)
        errors = payload.pop("errors")
        assert errors
        assert not any(payload.values())
        return list(errors)


def problems(errors: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return what tells errors apart: type, code and dotted path."""
    return [(each["__typename"], each["code"], ".".join(each["path"])) for each in errors]


@dataclass(frozen=True, slots=True)
class Tenant:
    """An app with a key that may do everything, a person, her local calendar, and her calendar at the sandbox."""

    api: Api
    app_id: UUID
    key_id: UUID
    token: str
    resource: Resource
    account: Account
    calendar: Calendar
    sandbox: Calendar

    @property
    def ids(self) -> dict[str, UUID]:
        """Every id that belongs to it."""
        return {
            "app": self.app_id,
            "key": self.key_id,
            "resource": self.resource.id,
            "account": self.account.id,
            "calendar": self.calendar.id,
            "sandbox": self.sandbox.id,
        }

    def event(self, start: datetime = SLOT, duration: timedelta = HOUR, /, **fields: Any) -> dict[str, Any]:
        """Return an input of `createEvent`, with its required fields."""
        when = {"start": at(start), "end": at(start + duration)}
        return {"calendarId": str(self.calendar.id), "what": "Planning", "where": "Room 2", **when, **fields}

    async def create(self, start: datetime = SLOT, duration: timedelta = HOUR, /, **fields: Any) -> dict[str, Any]:
        """Create an event and return it."""
        payload = await self.api.done("createEvent", input=self.event(start, duration, **fields))
        return dict(payload["event"])

    async def update(self, event: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Change an event and return it."""
        return dict((await self.api.done("updateEvent", id=event["id"], input=changes))["event"])

    async def event_now(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event as it is stored now."""
        return dict(await self.api.ask("event", id=event["id"], depth=1))


@dataclass(frozen=True, slots=True)
class House:
    """A running server and its two tenants."""

    app: Starlette
    services: Services
    worker: Worker
    database: Database
    clock: Clock
    ours: Tenant
    theirs: Tenant

    async def browse(self, url: str, *, method: str = "GET", **options: Any) -> httpx.Response:
        """Ask the server for something that is not GraphQL; a redirection is not followed."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=SERVER, trust_env=False) as client:
            return await client.request(method, url, **options)

    async def later(self, by: timedelta) -> None:
        """Let time go by, on the server and on the database, and have the worker do what is due then."""
        self.clock.advance(by)
        self.database.skew += by
        await self.worker.drain()


@cache
def shared_engine(_schema: object, **options: Any) -> Engine:
    """Return one engine for all tests with the same limits: it keeps documents parsed and validated."""
    return Engine(schema, **options)


@dataclass(frozen=True, slots=True)
class _Point:
    """An entry point that nobody has installed."""

    name: str
    builder: Callable[[Surroundings], Provider]

    def load(self) -> Callable[[Surroundings], Provider]:
        return self.builder


installed_providers = cache(entry_points)
"""The entry points, looked up once: to scan the environment costs more than most tests."""


Builders = Mapping[str, Callable[[Surroundings], Provider]]


async def build_house(database: Database, clock: Clock, *, providers: Builders | None = None, **settings: Any) -> House:
    """Start a server on a migrated database. The worker is off: tests drive it, and no busy machine ends an operation.

    `providers` are registered beside those that are installed, or in their place.
    """
    generous = {"limit_cost": 10**9, "limit_fields": 10**4, "limit_tokens": 10**5, "limit_operation_seconds": 60}
    chosen = Settings(**{"worker": False} | generous | settings)
    others = [_Point(name, builder) for name, builder in (providers or {}).items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda **group: [*installed_providers(**group), *others])
        services = replace(server.build_services(database, chosen), clock=clock, chance=lambda: 0.5)
        patch.setattr(server, "build_services", lambda *_: services)
        patch.setattr(server, "Engine", shared_engine)
        app = server.create_app(chosen, database=database)
    ours, theirs = [await add_tenant(app, services.storage, name) for name in ("Aurora", "Borealis")]
    return House(app, services, server.build_worker(services, chosen), database, clock, ours, theirs)


async def add_tenant(app: Starlette, storage: Storage, name: str) -> Tenant:
    """Store a tenant. Its name is part of every name in it."""
    resource = make_resource(f"{name}'s Ada", email=f"ada@{name.lower()}.example")
    account = make_account(resource.id)
    local = make_calendar(f"{name}'s work", resource_id=resource.id)
    remote = make_calendar(f"{name}'s team", resource_id=resource.id, provider=SANDBOX, account_id=account.id)
    remote = replace(remote, remote_id=str(remote.id))
    owner = App(uuid7(), name, NOW)
    async with storage.system(write=True) as system:
        await system.add_app(owner)
    async with storage.writing(owner.id) as work:
        key, secret = await _add_key(storage, owner.id, f"{name}'s key", *Scope, into=work.keys.add)
        await work.resources.add(resource)
        await work.accounts.add(account, NOW)
        for calendar in (local, remote):
            await work.calendars.add(calendar)
    return Tenant(Api(app, secret), owner.id, key.id, secret, resource, account, local, remote)


async def _add_key(storage: Storage, app_id: UUID, name: str, *scopes: Scope, into: Any) -> tuple[ApiKey, str]:
    secret = new_secret()
    key = ApiKey(uuid7(), app_id, name, secret_hash(secret), frozenset(scopes), NOW)
    await into(key)
    return key, token(key.id, secret)


async def key_with(house: House, *scopes: Scope) -> Api:
    """Return a client of our app whose key has only these scopes."""
    app_id = house.ours.app_id
    async with house.services.storage.writing(app_id) as work:
        _, secret = await _add_key(house.services.storage, app_id, "Narrow", *scopes, into=work.keys.add)
    return Api(house.app, secret)


async def dump(database: Database, app_id: UUID | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, or of one app, but for when keys were last used."""
    found = {}
    async with database.reader.connect() as connection:
        for table in Table.metadata.sorted_tables:
            query = select(*(column for column in table.c if column.name != "last_used_at"))
            if app_id is not None:
                query = query.where((table.c.app_id if "app_id" in table.c else table.c.id) == app_id)
            rows = await connection.execute(query.order_by(*table.primary_key))
            found[table.name] = [tuple(row) for row in rows]
    return found


async def count_rows(database: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    return {name: len(rows) for name, rows in (await dump(database)).items()}


@contextmanager
def sabotaged(owner: type, method: str, error: BaseException) -> Iterator[None]:
    """Have a method of a repository raise."""

    async def fail(*_args: object, **_options: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, fail)
        yield
