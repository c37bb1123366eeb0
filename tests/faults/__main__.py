"""Try out what Kalends promises under faults, on SQLite and PostgreSQL; exit 1 where a promise is broken."""

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
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.faults.databases import Home, open_home
from tests.faults.report import Result, Screen, complaints
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.selfcheck import self_check
from tests.faults.stage import Stage, open_stage
from tests.faults.verify import judge, tally

KINDS = ("sqlite", "postgresql")
FEWEST = 30
SCENARIO_SECONDS = 300


async def run(scenario: Scenario, home: Home, calls: int, seed: int, screen: Screen) -> Result:
    """Play one scenario on one database and judge it; that its stage cannot be set is a result too."""
    begun, count = time.monotonic(), max(FEWEST, round(calls * scenario.share))
    chance = random.Random(f"{seed}/{scenario.name}/{home.kind}")
    result = Result(scenario.name, home.kind, count)
    with screen.progress(f"{scenario.name} on {home.kind}", count) as bar:
        try:
            async with open_stage(home, scenario.name, chance, inside_worker=scenario.inside) as stage:
                stage.on_progress = bar.at
                await perform(scenario, stage, count)
                bar.now("draining")
                result.seconds_to_converge = round(await stage.drain(), 1)
                await stage.end()
                stage.review_logs()
                await conclude(result, stage)
        except Exception as error:  # noqa: BLE001  it is shown
            result.problems.append(f"{type(error).__name__}: {error}")
    result.seconds = round(time.monotonic() - begun, 1)
    verdict, resent = "kept" if result.passed else "BROKEN", tally(Counter(result.resent))
    screen.say(f"  {scenario.name} on {home.kind}: {verdict}, {result.seconds:g} s; resent: {resent}")
    return result


async def conclude(result: Result, stage: Stage) -> None:
    """Judge what a scenario has left behind."""
    findings = judge(await stage.observer.rows(), stage.entries)
    result.calls = len(stage.entries)
    result.kills = stage.kills
    result.acknowledged = sum(entry.acknowledged for entry in stage.entries)
    result.lost, result.doubled, result.diverged = findings.damage
    result.repeated = findings.repeated
    result.resent = dict(stage.client.repeats)
    result.notes = stage.notes
    result.problems = stage.problems + complaints(findings)


async def perform(scenario: Scenario, stage: Stage, count: int) -> None:
    """Play a scenario; that it breaks is a result too."""
    try:
        async with asyncio.timeout(SCENARIO_SECONDS):
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


async def run_all(options: argparse.Namespace, screen: Screen) -> list[Result]:
    """Play the scenarios asked for on the databases asked for."""
    results = []
    kinds = KINDS if options.database == "both" else (options.database,)
    for kind in kinds:
        wanted = [each for each in SCENARIOS if kind in each.databases and each.name in options.scenarios]
        if not wanted:
            continue
        home = await open_home(kind)
        try:
            results += [await run(each, home, options.calls, options.seed, screen) for each in wanted]
        finally:
            await home.close()
    return results


async def check_all(options: argparse.Namespace, screen: Screen) -> bool:
    """Damage databases by hand; return whether all damage was found."""
    found = True
    for kind in KINDS if options.database == "both" else (options.database,):
        home = await open_home(kind)
        try:
            found = await self_check(home, options.seed, screen.say) and found
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
    names = [each.name for each in SCENARIOS]
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="which ones; all by default")
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    default = int(os.environ.get("FAULTS_CALLS", "2000"))
    parser.add_argument("--calls", type=int, default=default, help="the creations of api-kill, others do a part of it")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--self-check", action="store_true", help="damage a database by hand and expect it to be found")
    options = parser.parse_args(arguments)
    options.scenarios = options.scenarios or names
    if unknown := set(options.scenarios) - set(names):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


async def main() -> int:
    """Run the command; return its exit code."""
    options, screen = parse(sys.argv[1:]), Screen()
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if options.self_check:
        return 0 if await check_all(options, screen) else 1
    results = await run_all(options, screen)
    screen.table(results)
    if options.json:
        rows = [asdict(result) | {"passed": result.passed} for result in results]
        await asyncio.to_thread(options.json.write_text, json.dumps(rows, indent=2) + "\n")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
