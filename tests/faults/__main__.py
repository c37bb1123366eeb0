"""Try out what Kalends promises under faults, with every provider; exit 1 where a promise is broken."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.databases import Home, open_home
from tests.faults.places.known import PLACES
from tests.faults.report import Result, Screen, complaints, markdown
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.selfcheck import self_check
from tests.faults.stage import Stage, open_stage
from tests.faults.verify import judge, tally

KINDS = ("sqlite", "postgresql")
FEWEST = 15
SCENARIO_SECONDS = 400


async def run(scenario: Scenario, home: Home, provider: str, options: argparse.Namespace, number: int) -> Result:
    """Play one round of a scenario and judge it; that its stage cannot be set is a result too."""
    screen: Screen = options.screen
    result = Result(provider, scenario.name, home.kind, inapplicable=scenario.inapplicable.get(provider, ""))
    if result.inapplicable:
        screen.say(f"{result.title}: does not apply: {result.inapplicable}")
        return result
    place = PLACES[provider]
    begun, count = time.monotonic(), max(FEWEST, round(options.calls * scenario.share * place.pace))
    chance = random.Random(f"{options.seed}/{number}/{scenario.name}/{provider}/{home.kind}")
    with screen.progress(result.title, count) as bar:
        try:
            async with open_stage(home, scenario.name, chance, place, scenario.setting) as stage:
                stage.on_progress, stage.storm = bar.at, options.storm
                await perform(scenario, stage, count)
                bar.now("draining")
                result.seconds_to_converge = round(await stage.drain(), 1)
                await stage.end()
                await stage.review()
                await conclude(result, scenario, stage)
        except Exception as error:  # noqa: BLE001  it is shown
            result.problems.append(f"{type(error).__name__}: {error}")
    result.seconds = round(time.monotonic() - begun, 1)
    verdict = "kept" if result.passed else "BROKEN"
    met, resent = tally(Counter(result.met)), tally(Counter(result.resent))
    screen.say(f"  {result.title}: {verdict}, {result.seconds:g} s; gone wrong: {met}; resent by clients: {resent}")
    for line in [] if result.passed else result.problems[:8]:
        screen.say(f"! {line}")
    return result


async def conclude(result: Result, scenario: Scenario, stage: Stage) -> None:
    """Judge what a round has left behind."""
    place = stage.place
    findings = judge(
        await stage.observer.rows(), await place.everything(), await place.writes(), stage.ledger, stage.place
    )
    result.calls = len(stage.ledger.entries)
    result.done = sum(entry.done for entry in stage.ledger)
    result.lost, result.doubled, result.diverged = findings.damage
    result.repeated = findings.repeated
    result.resent, result.met = dict(stage.client.repeats), dict(stage.faults)
    result.faults = sum(stage.faults[kind] for kind in scenario.counts)
    result.notes = stage.notes
    if stage.decider.conflicts:
        result.notes.append(f"{stage.decider.conflicts} conflicts were decided")
    result.problems = stage.problems + complaints(findings)
    if not result.faults:
        result.problems.append("nothing has gone wrong: nothing was shown")


async def perform(scenario: Scenario, stage: Stage, count: int) -> None:
    """Play a scenario; that it breaks is a result too."""
    try:
        async with asyncio.timeout(SCENARIO_SECONDS + stage.storm):
            await scenario.play(stage, count)
    except* Exception as group:  # noqa: BLE001  it is shown
        stage.problems += [f"{type(error).__name__}: {error}" for error in leaves(group)]


def leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """Return the exceptions of a group, and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def databases_of(provider: str, options: argparse.Namespace) -> tuple[str, ...]:
    """Return on which databases a provider's rounds are played: by default, both for the sandbox, for others one."""
    if options.database is None:
        return KINDS if provider == "sandbox" else ("postgresql",)
    return KINDS if options.database == "both" else (options.database,)


async def run_all(options: argparse.Namespace) -> list[Result]:
    """Play the scenarios asked for with the providers asked for, on their databases, several at the same time."""
    results: list[Result] = []
    room = asyncio.Semaphore(options.jobs)

    async def play(provider: str, kind: str) -> None:
        wanted = [each for each in SCENARIOS if kind in each.databases and each.name in options.scenarios]
        async with room:
            home = await open_home(kind)
            try:
                for scenario in wanted:
                    for number in range(1 if provider in scenario.inapplicable else options.rounds):
                        results.append(await run(scenario, home, provider, options, number))
                        await asyncio.to_thread(keep, results, options.json)
            finally:
                await home.close()

    async with asyncio.TaskGroup() as group:
        for provider in options.provider:
            for kind in databases_of(provider, options):
                group.create_task(play(provider, kind))
    return in_order(results)


def in_order(results: Sequence[Result]) -> list[Result]:
    """Return results by provider and database, the rounds of one scenario next to each other."""
    names = [each.name for each in SCENARIOS]
    places = list(PLACES)
    return sorted(
        results,
        key=lambda each: (places.index(each.provider), KINDS.index(each.database), names.index(each.scenario)),
    )


def keep(results: Sequence[Result], file: Path | None) -> None:
    """Write results where they are to be kept: after each round, so that nothing goes with a run that is stopped."""
    if file is not None:
        file.write_text(json.dumps([asdict(result) | {"passed": result.passed} for result in results], indent=2) + "\n")


def kept(files: Sequence[Path]) -> list[Result]:
    """Read results that other runs have kept."""
    found = [row for file in files for row in json.loads(file.read_text())]
    return in_order([Result(**{name: value for name, value in row.items() if name != "passed"}) for row in found])


async def check_all(options: argparse.Namespace) -> bool:
    """Do damage by hand; return whether all of it was found."""
    found = True
    for provider in options.provider:
        for kind in databases_of(provider, options):
            home = await open_home(kind)
            try:
                found = await self_check(home, PLACES[provider], options.seed, options.screen.say) and found
            finally:
                await home.close()
    return found


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        epilog="Scenarios: " + "; ".join(f"{each.name}: {each.fault}" for each in SCENARIOS) + ".",
    )
    names, environ = [each.name for each in SCENARIOS], os.environ
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="which ones; all by default")
    parser.add_argument("--provider", action="append", choices=PLACES, help="which ones; all by default")
    parser.add_argument(
        "--database", choices=(*KINDS, "both"), help="both for the sandbox, PostgreSQL for the others by default"
    )
    calls, storm, rounds, jobs = (environ.get(f"FAULTS_{each}", "") for each in ("CALLS", "STORM", "ROUNDS", "JOBS"))
    help_calls = "the creations of api-kill, others do a part of it"
    parser.add_argument("--calls", type=int, default=int(calls or 2000), help=help_calls)
    parser.add_argument("--storm", type=float, default=float(storm or 60), help="seconds of nothing but 429")
    parser.add_argument("--rounds", type=int, default=int(rounds or 1), help="how often each is played")
    parser.add_argument("--jobs", type=int, default=int(jobs or 1), help="so many at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument(
        "--from", type=Path, nargs="+", dest="kept", metavar="FILE", help="play nothing: show what was written there"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there")
    parser.add_argument("--self-check", action="store_true", help="do damage by hand and expect it to be found")
    options = parser.parse_args(arguments)
    options.scenarios = options.scenarios or names
    options.provider = options.provider or list(PLACES)
    if unknown := set(options.scenarios) - set(names):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


async def main() -> int:
    """Run the command; return its exit code."""
    options = parse(sys.argv[1:])
    options.screen = Screen(alone=options.jobs == 1)
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if options.self_check:
        return 0 if await check_all(options) else 1
    results = await asyncio.to_thread(kept, options.kept) if options.kept else await run_all(options)
    options.screen.table(results)
    if options.markdown:
        await asyncio.to_thread(options.markdown.write_text, markdown(results))
    return 0 if all(result.passed or result.inapplicable for result in results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
