"""The routes: health, readiness, metrics, CORS, GraphiQL, introspection, and the anonymous key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.routing import Router

from kalends.domain.access import Scope
from kalends.server.app import build_services, create_app
from kalends.server.settings import Settings
from resolvers.access import create_app as create_tenant
from resolvers.access import create_key, operator, revoke_key
from resolvers.services import Services
from storage.engine import Database
from storage.migrate import newest_revision

pytestmark = pytest.mark.anyio

ORIGIN = "https://app.example.org"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
WHO = "{ viewer { app { name } key { name } } }"


@asynccontextmanager
async def server(database: Database, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(worker=False, **settings), database=database)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kalends.test", trust_env=False) as client:
        yield client


@pytest.fixture
def services(database: Database) -> Services:
    """Return the use cases on the test's database."""
    return build_services(database, Settings(worker=False))


async def make_key(services: Services, *scopes: Scope) -> tuple[str, Any]:
    """Return a token of a new tenant and how to revoke it."""
    tenant = await create_tenant(services, "Aurora")
    made = await create_key(services, operator(tenant.id), name="Gateway", scopes=scopes or list(Scope))
    assert made.token
    return made.token, lambda: revoke_key(services, operator(tenant.id), made.key.id)


async def test_health_needs_no_database(bare_database_url: str) -> None:
    database = Database(bare_database_url)
    async with server(database) as client:
        response = await client.get("/healthz")
    await database.close()

    assert (response.status_code, response.json()) == (200, {"healthy": True})


async def test_ready_on_a_migrated_database(database: Database) -> None:
    async with server(database) as client:
        response = await client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"ready": True})


async def test_not_ready_before_the_migration(bare_database_url: str) -> None:
    database = Database(bare_database_url)
    async with server(database) as client:
        response = await client.get("/readyz")
    await database.close()

    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "reason": f"the database is at nothing, not {newest_revision()}: run kalends migrate",
    }


async def test_not_ready_on_a_newer_schema(database: Database) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    async with server(database) as client:
        response = await client.get("/readyz")

    assert response.status_code == 503
    assert "install a newer Kalends" in response.json()["reason"]


async def test_metrics_count_the_requests_by_status(database: Database) -> None:
    async with server(database) as client:
        await client.post("/graphql", json={"query": WHO})
        response = await client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert 'kalends_http_requests_total{path="/graphql",status="401"}' in response.text
    assert 'kalends_http_request_seconds_bucket{le="0.001",path="/graphql"}' in response.text
    for name in ("kalends_sync_pushed_total", "kalends_sync_backlog", "kalends_sync_dead_letters"):
        assert f"# HELP {name} " in response.text


async def preflight(client: httpx.AsyncClient, origin: str) -> httpx.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    return await client.options("/graphql", headers={"origin": origin, **asked})


async def test_cors_is_closed_by_default(database: Database) -> None:
    async with server(database) as client:
        asked = await preflight(client, ORIGIN)
        answered = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"origin": ORIGIN})

    for response in (asked, answered):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_cors_opens_for_a_configured_origin_only(database: Database) -> None:
    async with server(database, cors_origins=[ORIGIN]) as client:
        ours, theirs = [await preflight(client, origin) for origin in (ORIGIN, "https://evil.example")]
        answered = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"origin": ORIGIN})

    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in ours.headers["access-control-allow-methods"]
    assert answered.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in ours.headers
    assert theirs.status_code == 400
    assert "access-control-allow-origin" not in theirs.headers


async def test_graphiql_is_for_browsers_in_development_only(database: Database) -> None:
    async with server(database, mode="development") as client:
        page = await client.get("/graphql", headers=BROWSER)
        root = await client.get("/")
    async with server(database) as client:
        hidden = await client.get("/graphql", headers=BROWSER)
        no_root = await client.get("/")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (root.status_code, root.headers["location"]) == (307, "/graphql")
    assert hidden.status_code in (405, 406)
    assert "<html" not in hidden.text
    assert no_root.status_code == 404


async def test_graphiql_without_a_demo_holds_no_key(database: Database) -> None:
    async with server(database, mode="development") as client:
        page = await client.get("/graphql", headers=BROWSER)

    assert "kal_" not in page.text
    assert "Bearer kal" not in page.text


@pytest.mark.parametrize(("mode", "told"), [("development", True), ("production", False)])
async def test_the_schema_is_told_and_names_are_suggested_in_development_only(
    database: Database, services: Services, mode: str, told: bool
) -> None:
    token, _ = await make_key(services)
    async with server(database, mode=mode) as client:
        client.headers["authorization"] = f"Bearer {token}"
        asked = (await client.post("/graphql", json={"query": "{ __schema { queryType { name } } }"})).json()
        misspelt = (await client.post("/graphql", json={"query": "{ viewr { app { id } } }"})).json()

    assert ("data" in asked and asked["data"] is not None) is told
    assert ("Did you mean" in misspelt["errors"][0]["message"]) is told


async def test_without_a_key_nothing_is_told(database: Database) -> None:
    async with server(database) as client:
        response = await client.post("/graphql", json={"query": WHO})

    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_anonymous_key_stands_in_where_none_was_sent(database: Database, services: Services) -> None:
    token, _ = await make_key(services, Scope.READ)
    async with server(database, anonymous_key=token) as client:
        without = await client.post("/graphql", json={"query": WHO})
        wrong = await client.post("/graphql", json={"query": WHO}, headers={"authorization": "Bearer kal_wrong"})

    assert without.json()["data"]["viewer"] == {"app": {"name": "Aurora"}, "key": {"name": "Gateway"}}
    assert wrong.status_code == 401


async def test_the_anonymous_key_has_no_more_rights_than_it_was_given(database: Database, services: Services) -> None:
    token, _ = await make_key(services, Scope.READ)
    mutation = 'mutation { createResource(input: {name: "Ada"}) { resource { id } } }'
    async with server(database, anonymous_key=token) as client:
        response = await client.post("/graphql", json={"query": mutation})

    (error,) = response.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["scope"]) == ("FORBIDDEN", "MANAGE_CALENDARS")


async def test_a_revoked_anonymous_key_opens_nothing(database: Database, services: Services) -> None:
    token, revoke = await make_key(services, Scope.READ)
    await revoke()
    async with server(database, anonymous_key=token) as client:
        response = await client.post("/graphql", json={"query": WHO})

    assert response.status_code == 401


async def test_posts_to_the_api_pass_by_the_router_but_not_by_the_middleware(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: object) -> None:
        raise AssertionError

    async with server(database, cors_origins=[ORIGIN], allowed_hosts=["kalends.test"]) as client:
        routed = await client.get("/healthz")
        monkeypatch.setattr(Router, "__call__", closed)
        answered = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"origin": ORIGIN})
        foreign = await client.post("/graphql", json={"query": "{ __typename }"}, headers={"host": "evil.example"})
        preflight_answer = await preflight(client, ORIGIN)

    assert routed.status_code == 200
    assert answered.json() == {"data": {"__typename": "Query"}}
    assert answered.headers["access-control-allow-origin"] == ORIGIN
    assert (foreign.status_code, preflight_answer.status_code) == (400, 200)
