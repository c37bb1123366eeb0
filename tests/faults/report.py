"""What a run shows: progress, and one table at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from tests.faults.verify import Findings

COLUMNS = (
    "scenario",
    "database",
    "calls",
    "kills",
    "acknowledged",
    "lost",
    "doubled",
    "diverged",
    "repeated calls",
    "converged in",
    "verdict",
)
WIDTH = 135  # a narrower terminal wraps the table's lines, and loses nothing


@dataclass
class Result:
    """What came of one scenario on one database."""

    scenario: str
    database: str
    calls: int
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    diverged: int = 0
    repeated: int = 0
    seconds_to_converge: float = 0.0
    seconds: float = 0.0
    resent: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything that is promised was kept."""
        return not (self.lost or self.doubled or self.diverged or self.problems) and self.acknowledged == self.calls

    def cells(self) -> list[str]:
        """Return the table's row."""
        numbers = (self.calls, self.kills, self.acknowledged, self.lost, self.doubled, self.diverged, self.repeated)
        end = [f"{self.seconds_to_converge:.1f} s", "kept" if self.passed else "BROKEN"]
        return [self.scenario, self.database, *(f"{number:,}" for number in numbers), *end]


def complaints(findings: Findings, shown: int = 5) -> list[str]:
    """Return the first findings of each kind as lines."""
    kinds = {"lost": findings.lost, "doubled": findings.doubled, "diverged": findings.diverged}
    lines = []
    for name, items in kinds.items():
        lines += [f"{name}: {item}" for item in items[:shown]]
        if len(items) > shown:
            lines.append(f"{name}: and {len(items) - shown} more")
    return lines


class Screen:
    """Progress for people on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console()

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Bar]:
        """Show how far a scenario is."""
        if not self.console.is_terminal:
            self.say(f"{title}: {total:,} calls")
            yield Bar()
            return
        parts = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*parts, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            yield Bar(progress, progress.add_task(title, total=total), title)

    def table(self, results: Sequence[Result]) -> None:
        """Print the table, and below it what is to be said about single rows."""
        table = Table(title="Faults", title_justify="left")
        for number, name in enumerate(COLUMNS):
            table.add_column(name, justify="right" if 2 <= number <= 9 else "left", no_wrap=number < 2)
        for result in results:
            table.add_row(*result.cells(), style=None if result.passed else "red")
        wide = Console(width=max(self.console.width, WIDTH))
        wide.print(table)
        for result in results:
            for line in result.notes:
                self.say(f"  {result.scenario} on {result.database}: {line}")
            for line in result.problems:
                self.say(f"! {result.scenario} on {result.database}: {line}")


class Bar:
    """One scenario's progress; without a terminal it does nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None, title: str = "") -> None:
        self._progress = progress
        self._task = task
        self._title = title

    def at(self, done: int) -> None:
        """Say how many calls are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done)

    def now(self, doing: str) -> None:
        """Say what is being done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=f"{self._title}: {doing}")
