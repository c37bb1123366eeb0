"""The bench's command: `python -m bench --help`, `python -m bench sync --help`, `python -m bench freebusy --help`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.chart import draw
from bench.contestants import CONTESTANTS, Contestant
from bench.freebusy import main as freebusy
from bench.load import Measured
from bench.processes import Failed
from bench.profile import summary
from bench.report import as_json, as_markdown, sheets, show
from bench.stage import Plan, Stage
from bench.sync import main as sync

screen = Console(stderr=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[CONTESTANT]...", help="Whom; all by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each takes its turn.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long a turn is measured.")] = 3,
    warm_up: Annotated[float, typer.Option(min=0, help="How long it is warmed up before.")] = 1,
    connections: Annotated[int, typer.Option(min=1, help="Connections kept open.")] = 32,
    rate: Annotated[
        float | None, typer.Option("--open", min=1, help="Requests due per second, in place of a closed loop.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything measured here.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")] = None,
    svg_file: Annotated[Path | None, typer.Option("--svg", help="Draw the rates here.")] = None,
    profiles: Annotated[
        Path | None, typer.Option("--profile", help="Write py-spy's samples of the servers to this folder.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the databases lie: a disk, not memory.")] = Path("/var/tmp"),
) -> None:
    """Measure `createEvent` beside the database's limit, HTTP's limit, and an ordinary server."""
    chosen = _chosen(names or list(CONTESTANTS))
    plan = Plan(seconds, warm_up, connections, rate)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers must end with us
    measured = _measured(chosen, plan, rounds, folder, profiles)
    tables = sheets(measured, plan)
    for table in tables:
        show(table, Console(width=None if sys.stdout.isatty() else 150))
    for file in filter(None, (_profile(profiles, each) for each in chosen)):
        if file.is_file():  # pgbench has none
            Console(width=150).print(summary(file))
    if markdown_file:
        markdown_file.write_text("\n".join(map(as_markdown, tables)))
    if json_file:
        json_file.write_text(json.dumps(as_json(measured, plan), indent=2) + "\n")
    if svg_file:
        svg_file.parent.mkdir(parents=True, exist_ok=True)
        svg_file.write_text(draw(measured))
    if any(turn.errors for turns in measured.values() for turn in turns):
        raise typer.Exit(1)


def _chosen(names: list[str]) -> list[Contestant]:
    if unknown := set(names) - set(CONTESTANTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(CONTESTANTS)}")
    return [each for each in CONTESTANTS.values() if each.name in names]


def _profile(folder: Path | None, contestant: Contestant) -> Path | None:
    return folder.resolve() / f"{contestant.name}.txt" if folder else None


def _measured(
    chosen: list[Contestant], plan: Plan, rounds: int, folder: Path, profiles: Path | None
) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {each.name: [] for each in chosen}
    with tempfile.TemporaryDirectory(prefix="kalends-bench-", dir=folder) as parent, ExitStack() as stack:
        stage = Stage(Path(parent), stack)
        for number in range(rounds):
            shift = number % len(chosen)  # nobody is always first, or always behind the same one
            for contestant in chosen[shift:] + chosen[:shift]:
                turn = _take_turn(contestant, stage, replace(plan, profile=_profile(profiles, contestant)))
                measured[contestant.name].append(turn)
                _tell(f"{number + 1}/{rounds} {contestant.title}", turn)
    return measured


def _take_turn(contestant: Contestant, stage: Stage, plan: Plan) -> Measured:
    try:
        return contestant.turn(stage, plan)
    except (Failed, subprocess.TimeoutExpired) as failed:
        return Measured(0, 0, 0, 0, [str(failed)])


def _tell(who: str, turn: Measured) -> None:
    screen.print(f"{who}: {turn.per_second:,.0f}/s, p99 {turn.p99:.1f} ms", highlight=False)
    if turn.errors:
        screen.print(f"failed, {len(turn.errors)} errors; the first: {turn.errors[0][:2000]}", markup=False)


if __name__ == "__main__":
    others: dict[str, Callable[..., None]] = {"sync": sync, "freebusy": freebusy}
    if sys.argv[1:2] and sys.argv[1] in others:
        chosen = others[sys.argv[1]]
        sys.argv[0:2] = [f"python -m bench {sys.argv[1]}"]
        typer.run(chosen)
    else:
        typer.run(main)
