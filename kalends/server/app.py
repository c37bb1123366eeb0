"""The server: the parts put together, and the routes to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from kalends.domain.access import Forbidden, Principal
from kalends.domain.errors import CalendarsStale
from kalends.domain.values import utc_now
from kalends.server.auth import Doorkeeper
from kalends.server.doors import doors
from kalends.server.execution import Engine
from kalends.server.faults import Fault
from kalends.server.feeds import feeds
from kalends.server.freebusy_door import free_busy_routes
from kalends.server.graphiql_page import ASSETS_PATH, graphiql_assets, graphiql_page
from kalends.server.graphql_http import GraphQLEndpoint
from kalends.server.metrics import REQUESTS, SECONDS
from kalends.server.settings import Settings
from kalends.server.welcome import Tab
from kalends.server.worker import Worker
from providers.registry import Registry
from providers.surroundings import SandboxTable, Surroundings
from providers.web import Web
from resolvers.grants import StoredGrants
from resolvers.services import Services
from schema.context import Context, Unauthenticated
from schema.errors import BadArgument, BadInput, NotAnswered
from schema.schema import schema
from storage.engine import Database
from storage.errors import StorageError, Unavailable
from storage.migrate import migrate, require_current
from storage.unit_of_work import Storage

log = structlog.get_logger()

GRAPHQL = "/graphql"
DRAIN_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Welcome:
    """What GraphiQL shows first: in a demo with the demo's key."""

    tabs: tuple[Tab, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    workspace: str = ""


def connect(settings: Settings) -> Database:
    """Return the database that the settings name; no connection is made yet."""
    return Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool,
        pool_seconds=settings.database_wait,
        prepared=settings.database_prepared,
        vault=settings.vault(),
    )


def build_services(database: Database, settings: Settings) -> Services:
    """Return what the use cases need."""
    storage = Storage(database)

    def sandbox_memory(app_id: UUID) -> AbstractAsyncContextManager[SandboxTable]:
        @asynccontextmanager
        async def open_table() -> AsyncIterator[SandboxTable]:
            async with storage.writing(app_id) as work:
                yield work.sandbox

        return open_table()

    around = Surroundings(
        sandbox_memory=sandbox_memory,
        grants=StoredGrants(storage),
        web=Web(allowed=settings.private_servers, seconds=settings.sync_call_seconds),
        clock=utc_now,
        options=settings.provider_options(),
    )
    return Services(
        storage,
        Registry.installed(around),
        patience=settings.patience(),
        public_url=settings.public_url,
        return_origins=tuple(settings.return_origins),
    )


def build_worker(services: Services, settings: Settings) -> Worker:
    """Return a worker with the settings' manners."""
    return Worker(
        services,
        lanes=settings.worker_lanes,
        poll_seconds=settings.worker_poll_seconds,
        sweep_seconds=settings.worker_sweep_seconds,
    )


def classify(error: BaseException) -> Fault | None:
    """Say what an exception means to the caller; None is a defect, and is masked."""
    match error:
        case Unauthenticated():
            return Fault(str(error), "UNAUTHENTICATED")
        case Forbidden():
            return Fault(str(error), "FORBIDDEN", {"scope": error.scope})
        case BadArgument():
            return Fault(str(error), "BAD_USER_INPUT", {"argument": error.name, "expected": error.expected})
        case BadInput():
            return Fault(str(error), "BAD_USER_INPUT", {"problems": error.problems})
        case CalendarsStale():
            return Fault(str(error), "CALENDAR_STALE", {"calendarIds": [str(each) for each in error.calendar_ids]})
        case NotAnswered():
            return Fault(str(error), error.code, {} if error.retry_after is None else {"retryAfter": error.retry_after})
        case Unavailable():
            return Fault("The database cannot answer now: try again in a moment.", "UNAVAILABLE", {"retryAfter": 1})
    return None


class Application(Starlette):
    """Starlette, with a short way to the API: what is posted there passes by the router, but not by the middleware."""

    def __init__(
        self, api: ASGIApp, routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette], middleware: Sequence[Middleware]
    ) -> None:
        super().__init__(routes=routes, lifespan=lifespan, middleware=middleware)
        for chosen, positional, named in reversed(middleware):
            api = chosen(api, *positional, **named)
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or take part in the server's lifespan."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == GRAPHQL:
            await self._api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, *, welcome: Welcome | None = None, database: Database | None = None) -> Application:
    """Return the server as an ASGI application. `database` is another one than the settings', for tests."""
    database = database or connect(settings)
    services = build_services(database, settings)
    worker = build_worker(services, settings) if settings.worker else None
    if worker is not None:
        services = replace(services, wake_worker=worker.wake)
    engine = Engine(
        schema,
        limits=settings.limits(),
        introspection=settings.development,
        suggestions=settings.development,
        classify=classify,
    )

    def context_for(_request: Request, principal: Principal | None) -> Context:
        return Context(services, principal)

    doorkeeper = Doorkeeper(services, settings.anonymous_key.get_secret_value() if settings.anonymous_key else None)
    door = GraphQLEndpoint(
        engine,
        authenticate=doorkeeper,
        context_for=context_for,
        allow_get=settings.graphql_get,
        receive_seconds=settings.receive_seconds,
    )

    async def ready(_request: Request) -> Response:
        try:
            await require_current(database)
        except StorageError as error:
            return JSONResponse({"ready": False, "reason": str(error)}, 503)
        return JSONResponse({"ready": True})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if database.is_sqlite:
            await migrate(database, at=utc_now())
        task = asyncio.create_task(worker.run()) if worker is not None else None
        yield
        await engine.drain()
        if worker is not None and task is not None:
            worker.stop()
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await task
            except TimeoutError:
                log.warning("worker.left_lanes")  # their leases end by themselves
        await database.close()

    routes = [
        Route("/healthz", _healthy),
        Route("/readyz", ready),
        Route("/metrics", _metrics),
        *doors(services, receive_seconds=settings.receive_seconds),
        *feeds(services),
        *free_busy_routes(services, authenticate=doorkeeper, classify=classify),
    ]
    endpoint = _Measured(door, GRAPHQL)
    if settings.development:
        shown = _Explored(endpoint, welcome or Welcome(), allow_get=settings.graphql_get)
        mounts = [Mount(ASSETS_PATH, graphiql_assets()), Route(GRAPHQL, shown), Route("/", _to_graphiql)]
    else:
        mounts = [Route(GRAPHQL, endpoint)]
    return Application(endpoint, [*routes, *mounts], lifespan, _middleware(settings))


def _middleware(settings: Settings) -> list[Middleware]:
    """Return what stands before every route: nothing, unless the settings ask for it."""
    chosen = []
    if settings.allowed_hosts:
        chosen.append(Middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts, www_redirect=False))
    if settings.cors_origins:
        chosen.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["POST"],
                allow_headers=["authorization", "content-type", "x-request-id"],
                max_age=600,
            )
        )
    return chosen


async def _healthy(_request: Request) -> Response:
    """Say that the process runs and its event loop turns."""
    return JSONResponse({"healthy": True})


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse(GRAPHQL)


class _Measured:
    """Counts and times the requests to one path."""

    def __init__(self, app: GraphQLEndpoint[Principal], path: str) -> None:
        self._app = app
        self._path = path
        self._seconds = SECONDS.labels(path)
        self._requests: dict[int, Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counter(message["status"]).inc()
                self._seconds.observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counting)

    def _counter(self, status: int) -> Counter:
        """Return the counter of a status; to look one up by its labels costs more than to count."""
        counter = self._requests.get(status)
        if counter is None:
            counter = self._requests[status] = REQUESTS.labels(self._path, str(status))
        return counter


class _Explored:
    """Shows GraphiQL to browsers, and is the API to everybody else."""

    def __init__(self, api: _Measured, welcome: Welcome, *, allow_get: bool) -> None:
        self._api = api
        self._welcome = welcome
        self._allow_get = allow_get

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        asks_for_page = "text/html" in request.headers.get("accept", "") and not (
            self._allow_get and "query" in request.query_params
        )
        if request.method not in ("GET", "HEAD") or not asks_for_page:
            await self._api(scope, receive, send)
            return
        page = graphiql_page(
            GRAPHQL,
            headers=self._welcome.headers,
            tabs=self._welcome.tabs,
            workspace=self._welcome.workspace,
            url=str(request.url),
        )
        await page(scope, receive, send)
