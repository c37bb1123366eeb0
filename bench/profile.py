"""Where a server's time goes while it is measured: py-spy's samples, by function and by package.

py-spy is not among the dependencies: `uv tool install py-spy`, or anything else that brings it into the PATH. The
samples cost the server some of its rate, so rates are never taken from a run with a profile. Only the thread that holds
the interpreter's lock is sampled: waiting for the database or the network does not count.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from bench.processes import Failed

TOP = 10
SAMPLES_PER_SECOND = 200
PLACE = re.compile(r"^(?P<function>.+) \((?P<file>[^:]+)(:\d+)?\)$")


@contextmanager
def profiled(process: int, seconds: float, file: Path | None) -> Iterator[None]:
    """Sample a process for some seconds of the block, and write its stacks to a file; without a file do nothing."""
    if file is None:
        yield
        return
    py_spy = shutil.which("py-spy")
    if py_spy is None:
        raise Failed("py-spy is not in the PATH: see bench/profile.py")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    options = ["--format=raw", "--function", "--full-filenames", "--gil", f"--rate={SAMPLES_PER_SECOND}"]
    command = [py_spy, "record", f"--pid={process}", f"--duration={round(seconds)}", f"--output={file}", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampling:
        try:
            yield
            sampling.wait(30)
        finally:
            sampling.kill()


def summary(file: Path) -> Table:
    """Return the functions and the packages that had the most samples of their own."""
    functions: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        function, package = _place(stack.split(";")[-1])
        functions[function] += int(samples)
        packages[package] += int(samples)
    everything = max(1, functions.total())
    table = Table("own time", "function", "own time", "package", title=f"{file.stem}: {everything} samples")
    columns = [[*each.most_common(TOP), *[("", 0)] * TOP][:TOP] for each in (functions, packages)]
    for (function, first), (package, second) in zip(*columns, strict=True):
        table.add_row(f"{first / everything:.1%}", function, f"{second / everything:.1%}", package)
    return table


def _place(frame: str) -> tuple[str, str]:
    """Return a frame's function with its module, and its package."""
    found = PLACE.match(frame)
    if found is None:
        return frame or "the event loop", "other"
    path = found["file"].rpartition("site-packages/")[2]
    installed = path != found["file"]
    parts = path.removesuffix(".py").strip("/").split("/")
    if installed:
        return f"{'.'.join(parts)}.{found['function']}", parts[0]
    if "/lib/python" in path:
        return f"{parts[-2]}.{parts[-1]}.{found['function']}", "standard library"
    return f"{'.'.join(parts[-2:])}.{found['function']}", "this repository"
