"""The limit of the database: pgbench, saying what Kalends says to PostgreSQL, with nothing in front of it."""

from __future__ import annotations

import re
import time
from pathlib import Path

from bench.calendars import FIXED_IDS
from bench.load import Measured, quantile
from bench.processes import Failed, environment, output_of
from bench.stage import Plan, Stage

SCRIPTS = Path(__file__).with_name("sql")
PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
FAILED = re.compile(r"number of failed transactions: (\d+)")


def measure(script: str, as_tenant: bool, stage: Stage, plan: Plan) -> Measured:
    """Run a script; `as_tenant` where it leaves role and tenant to the session."""
    seed, cluster = stage.seed("postgresql"), stage.cluster
    with stage.database("postgresql", seed.source) as name, stage.scratch() as folder:
        cluster.run(*_calendars(seed.app), "CHECKPOINT", database=name)
        seconds = round(plan.warm_up + plan.seconds)
        command = [
            str(cluster.pgbench), "--no-vacuum", "--protocol=prepared", f"--client={plan.connections}", "--jobs=2",
            f"--time={seconds}", f"--file={SCRIPTS / script}", f"--define=app={seed.app}", "--define=n=0",
            "--log", f"--log-prefix={folder / 'log'}", cluster.url(name),
        ]  # fmt: skip
        if plan.rate:
            command.insert(1, f"--rate={plan.rate}")
        session = f"-c role=kalends_tenant -c app.tenant={seed.app}" if as_tenant else ""
        began = time.time()
        report = output_of(command, folder, environment(PGOPTIONS=session), seconds=seconds + 60)
        failed, processed = FAILED.search(report), PROCESSED.search(report)
        if failed is None or processed is None:
            raise Failed(f"pgbench said:\n{report}")
        created = int(processed[1])
        errors = [] if failed[1] == "0" else [f"{failed[1]} transactions failed"]
        if (stored := stage.events_in("postgresql", name)) != created:
            errors.append(f"{created} transactions, but {stored} events are stored")
        first = began + plan.warm_up
        times = _times(folder, first, first + seconds - plan.warm_up)
    return Measured(
        per_second=len(times) / (seconds - plan.warm_up),
        p50=quantile(times, 0.50),
        p99=quantile(times, 0.99),
        created=created,
        errors=errors,
    )


def _calendars(app: str) -> list[str]:
    rows = ", ".join(f"('{app}', '{each}', 'Bench', 'UTC', 'local', false, '{{}}', now(), now())" for each in FIXED_IDS)
    columns = "app_id, id, name, tzid, provider, read_only, meta, created_at, updated_at"
    return [f"INSERT INTO calendar ({columns}) VALUES {rows}"]


def _times(folder: Path, first: float, last: float) -> list[float]:
    """Return the milliseconds of the transactions that ended in a span, sorted.

    A line of the log is: client, transaction, microseconds, script, and when it ended, in seconds and microseconds.
    """
    times = []
    for file in folder.glob("log.*"):
        for line in file.read_text().splitlines():
            _client, _number, taken, _script, seconds, microseconds, *_ = line.split()
            if first <= int(seconds) + int(microseconds) / 1e6 < last:
                times.append(int(taken) / 1e3)
    return sorted(times)
