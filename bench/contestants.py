"""Who takes part. Each takes its turn alone: it starts, is warmed up, is measured, and stops."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from bench import pgbench
from bench.calendars import FIXED_IDS
from bench.load import Load, Measured
from bench.processes import environment, free_port, output_of, server
from bench.profile import profiled
from bench.stage import KALENDS, Dialect, Plan, Stage

Turn = Callable[[Stage, Plan], Measured]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table. The others are compared to yardsticks."""

    name: str
    title: str
    turn: Turn
    yardstick: bool = False


def _kalends(
    dialect: Dialect,
    stage: Stage,
    plan: Plan,
    *,
    provider: str = "local",
    fields: Mapping[str, str] | None = None,
    keyed: bool = False,
) -> Measured:
    """Measure `kalends serve` as it runs in production: one process, its worker inside."""
    seed = stage.seed(dialect)
    with stage.database(dialect, seed.source) as name:
        port = free_port()
        env = environment(KALENDS_DATABASE_URL=stage.url(dialect, name))
        return _served(
            stage,
            plan,
            dialect,
            name,
            command=[KALENDS, "serve", "--port", str(port)],
            env=env,
            port=port,
            token=seed.token,
            calendars=seed.calendars[provider],
            fields=dict(fields or {}),
            keyed=keyed,
        )


def _stock(dialect: Dialect, stage: Stage, plan: Plan, *, caches: bool = False) -> Measured:
    with stage.database(dialect) as name:
        driver = "postgresql+asyncpg" if dialect == "postgresql" else "sqlite+aiosqlite"
        url = stage.url(dialect, name).replace(dialect, driver, 1)
        env = environment(STOCK_URL=url, **({"STOCK_CACHES": "1"} if caches else {}))
        port = free_port()
        return _served(stage, plan, dialect, name, command=_uvicorn("bench.stock:app", port), env=env, port=port)


def _http(stage: Stage, plan: Plan) -> Measured:
    port = free_port()
    return _served(stage, plan, None, "", command=_uvicorn("bench.bare:app", port), env=environment(), port=port)


def _uvicorn(app: str, port: int) -> list[str]:
    flags = ["--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"]
    return [sys.executable, "-m", "uvicorn", app, f"--port={port}", *flags]


def _served(
    stage: Stage,
    plan: Plan,
    dialect: Dialect | None,
    name: str,
    *,
    command: Sequence[str],
    env: Mapping[str, str],
    port: int,
    token: str = "",
    calendars: Sequence[str] = FIXED_IDS,
    fields: dict[str, str] | None = None,
    keyed: bool = False,
) -> Measured:
    """Run a server, put the load on it, and compare what it says it did with what is stored."""
    with stage.scratch() as folder, server(command, port, folder, env) as process:
        load = Load(
            port=port,
            token=token,
            calendars=calendars,
            fields=fields or {},
            keyed=keyed,
            connections=plan.connections,
            seconds=plan.seconds,
            warm_up=plan.warm_up,
            rate=plan.rate,
            server=process,
            postmaster=stage.cluster.postmaster if dialect == "postgresql" else None,
        )
        client = [sys.executable, "-m", "bench.load"]
        with profiled(process, plan.warm_up + plan.seconds, plan.profile):
            measured = Measured(**json.loads(output_of(client, folder, environment(), stdin=json.dumps(asdict(load)))))
    if dialect is not None and (stored := stage.events_in(dialect, name)) != measured.created:
        measured.errors.append(f"{measured.created} events were acknowledged, but {stored} are stored")
    return measured


CONTESTANTS = {
    each.name: each
    for each in (
        Contestant("kalends-sqlite", "Kalends, SQLite", partial(_kalends, "sqlite")),
        Contestant("kalends-postgresql", "Kalends, PostgreSQL", partial(_kalends, "postgresql")),
        Contestant(
            "kalends-sqlite-guarded",
            "Kalends, SQLite, REJECT + idempotency key",
            partial(_kalends, "sqlite", fields={"onConflict": "REJECT"}, keyed=True),
        ),
        Contestant(
            "kalends-postgresql-guarded",
            "Kalends, PostgreSQL, REJECT + idempotency key",
            partial(_kalends, "postgresql", fields={"onConflict": "REJECT"}, keyed=True),
        ),
        Contestant("kalends-sqlite-outbox", "Kalends, SQLite, outbox", partial(_kalends, "sqlite", provider="sandbox")),
        Contestant(
            "kalends-postgresql-outbox",
            "Kalends, PostgreSQL, outbox",
            partial(_kalends, "postgresql", provider="sandbox"),
        ),
        Contestant("stock-sqlite", "Stock Strawberry + SQLModel, SQLite", partial(_stock, "sqlite"), yardstick=True),
        Contestant(
            "stock-postgresql",
            "Stock Strawberry + SQLModel, PostgreSQL",
            partial(_stock, "postgresql"),
            yardstick=True,
        ),
        Contestant(
            "cached-postgresql",
            "The same with document caches",
            partial(_stock, "postgresql", caches=True),
            yardstick=True,
        ),
        Contestant(
            "pgbench-statements",
            "pgbench, the same statements",
            partial(pgbench.measure, "statements.sql", False),
            yardstick=True,
        ),
        Contestant(
            "pgbench-one", "pgbench, one statement", partial(pgbench.measure, "one_statement.sql", True), yardstick=True
        ),
        Contestant("http", "Bare ASGI endpoint, no database", _http, yardstick=True),
    )
}
