"""Medians and ratios of the rounds, as a table and as JSON."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contestants import CONTESTANTS
from bench.load import Measured
from bench.stage import Plan

Rounds = Mapping[str, Sequence[Measured]]
COLUMNS = {
    "per_second": "requests/s",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "server_cpu": "server CPU µs",
    "database_cpu": "database CPU µs",
    "client_cpu": "client CPU µs",
    "memory": "MiB",
}


def medians(rounds: Sequence[Measured]) -> dict[str, float | None]:
    """Return each figure's median over the rounds."""
    found: dict[str, float | None] = {}
    for column in COLUMNS:
        values = [value for each in rounds if (value := getattr(each, column)) is not None]
        found[column] = statistics.median(values) if values else None
    return found


def ratios(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Return how many times faster each contestant is than each yardstick.

    A ratio is taken within each round, where both met the same machine, and the median of the rounds is reported.
    """
    yardsticks = [name for name in rounds if CONTESTANTS[name].yardstick]
    return {
        name: {
            yardstick: statistics.median(
                ours.per_second / max(theirs.per_second, 1e-9)
                for ours, theirs in zip(rounds[name], rounds[yardstick], strict=True)
            )
            for yardstick in yardsticks
        }
        for name in rounds
        if not CONTESTANTS[name].yardstick
    }


def spread(rounds: Sequence[Measured]) -> float:
    """Return how far apart the rounds' rates are, as a share of their median."""
    rates = [each.per_second for each in rounds]
    return (max(rates) - min(rates)) / max(statistics.median(rates), 1e-9)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table, in words; the first column names the row."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def sheets(rounds: Rounds, plan: Plan) -> list[Sheet]:
    """Return what was measured, and the ratios where there is somebody to compare with."""
    count = len(next(iter(rounds.values())))
    how = f"{plan.rate:g} requests/s due" if plan.rate else "closed loop"
    title = f"createEvent, {plan.connections} connections, {how}, medians of {count} x {plan.seconds:g} s"
    rows = []
    for name, runs in rounds.items():
        figures = [_figure(value) for value in medians(runs).values()]
        errors = str(sum(len(each.errors) for each in runs))
        rows.append([CONTESTANTS[name].title, *figures, f"{spread(runs):.0%}", errors])
    found = [Sheet(title, ["", *COLUMNS.values(), "spread", "errors"], rows)]
    yardsticks = [name for name in rounds if CONTESTANTS[name].yardstick]
    compared = [
        [CONTESTANTS[name].title, *(f"{row[each]:.3g}" for each in yardsticks)] for name, row in ratios(rounds).items()
    ]
    if yardsticks and compared:
        found.append(Sheet("Ratios of the rates", ["times the rate of", *yardsticks], compared))
    return found


def show(sheet: Sheet, screen: Console) -> None:
    """Print a table."""
    heads = [column.replace(" CPU", "\nCPU").replace("-", "\n", 1) for column in sheet.columns]
    table = Table(*heads, title=sheet.title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in sheet.rows:
        table.add_row(*row)
    screen.print(table)


def as_markdown(sheet: Sheet) -> str:
    """Return a table for the documentation."""
    rule = ["---", *["---:"] * (len(sheet.columns) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (sheet.columns, rule, *sheet.rows)]
    return "\n".join([f"{sheet.title}:", "", *lines, ""])


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def machine() -> dict[str, Any]:
    """Return what was measured on."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def as_json(rounds: Rounds, plan: Plan) -> dict[str, Any]:
    """Return everything that was measured, and where."""
    return {
        "machine": machine(),
        "plan": {
            "seconds": plan.seconds,
            "warm_up": plan.warm_up,
            "connections": plan.connections,
            "rate": plan.rate,
        },
        "contestants": {
            name: {
                "title": CONTESTANTS[name].title,
                "median": medians(runs),
                "spread": spread(runs),
                "rounds": [asdict(each) for each in runs],
            }
            for name, runs in rounds.items()
        },
        "ratios": ratios(rounds),
    }
