"""What a run shows: progress, one table at the end, and the same as Markdown for docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median

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

WORDS = ("provider", "scenario", "database")
NUMBERS = ("rounds", "calls", "faults", "done", "lost", "doubled", "diverged", "repeated", "s to converge (p50, max)")
COLUMNS = (*WORDS, *NUMBERS, "verdict")
WIDTH = 145  # a narrower terminal wraps the table's lines, and loses nothing
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass
class Result:
    """What came of one round of a scenario: with one provider, on one database.

    `calls` are the entries that people and clients began, `done` those that were acknowledged. `faults` are those that
    the scenario is about. `inapplicable` says why there is no such fault: then nothing was played.
    """

    provider: str
    scenario: str
    database: str
    calls: int = 0
    faults: int = 0
    done: int = 0
    lost: int = 0
    doubled: int = 0
    diverged: int = 0
    repeated: int = 0
    seconds_to_converge: float = 0.0
    seconds: float = 0.0
    inapplicable: str = ""
    resent: dict[str, int] = field(default_factory=dict)
    met: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Which round it is of."""
        return f"{self.scenario} with {self.provider} on {DATABASES[self.database]}"

    @property
    def passed(self) -> bool:
        """Whether everything that is promised was kept."""
        return not (self.lost or self.doubled or self.diverged or self.problems) and self.done == self.calls


def rows(results: Sequence[Result]) -> Iterator[tuple[list[str], bool]]:
    """Yield the table's rows, the rounds of one kind as one, and whether all of it was kept."""
    played = [each for each in results if not each.inapplicable]
    for _, group in groupby(played, lambda each: each.title):
        rounds = list(group)
        first, kept = rounds[0], all(each.passed for each in rounds)
        words = [first.provider, first.scenario, DATABASES[first.database]]
        names = ("calls", "faults", "done", "lost", "doubled", "diverged", "repeated")
        sums = [sum(getattr(each, name) for each in rounds) for name in names]
        times = [each.seconds_to_converge for each in rounds]
        end = [f"{median(times):.1f}, {max(times):.1f}", "kept" if kept else "BROKEN"]
        yield [*words, *(f"{number:,}" for number in (len(rounds), *sums)), *end], kept


def inapplicable(results: Sequence[Result]) -> Iterator[str]:
    """Yield what does not apply, and why, each reason once."""
    reasons = dict.fromkeys(each.inapplicable for each in results if each.inapplicable)
    for reason in reasons:
        names = dict.fromkeys(f"`{each.scenario}`" for each in results if each.inapplicable == reason)
        yield f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not apply: {reason}"


def markdown(results: Sequence[Result]) -> str:
    """Return the tables for docs/reliability.md: one for each provider, and what does not apply below it."""
    parts = []
    for provider, group in groupby(results, lambda each: each.provider):
        mine = list(group)
        lines = [
            f"### {provider}",
            "",
            f"| {' | '.join(COLUMNS[1:])} |",
            f"|{'|'.join(['---'] * 2 + ['--:'] * len(NUMBERS) + ['---'])}|",
        ]
        lines += [f"| `{cells[1]}` | {' | '.join(cells[2:])} |" for cells, _ in rows(mine)]
        missing = [f"- {each}." for each in inapplicable(mine)]
        parts.append("\n".join([*lines, *([""] if missing else []), *missing]))
    return "\n\n".join(parts) + "\n"


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

    def __init__(self, *, alone: bool) -> None:
        self.console = Console()
        self._alone = alone  # one round at a time

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Bar]:
        """Show how far a scenario is."""
        if not (self.console.is_terminal and self._alone):
            self.say(f"{title}: {total:,} calls")
            yield Bar()
            return
        parts = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*parts, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            yield Bar(progress, progress.add_task(title, total=total), title)

    def table(self, results: Sequence[Result]) -> None:
        """Print the table, and below it what is to be said about single rows."""
        table = Table(title="Faults", title_justify="left")
        for name in COLUMNS:
            table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=name in WORDS)
        for cells, kept in rows(results):
            table.add_row(*cells, style=None if kept else "red")
        wide = Console(width=max(self.console.width, WIDTH))
        wide.print(table)
        for provider, group in groupby(results, lambda each: each.provider):
            for line in inapplicable(list(group)):
                self.say(f"  {provider}: {line}")
        for result in results:
            for line in result.notes:
                self.say(f"  {result.title}: {line}")
            for line in result.problems:
                self.say(f"! {result.title}: {line}")


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
