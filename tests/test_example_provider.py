"""The worked example of a provider, installed beside Kalends as anybody's would be: without this checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "provider"
KALENDS = ("-c", "from kalends.server.cli import main; main()")


class Installed:
    """A folder in which the wheels of Kalends and of the example are installed, and nothing of the checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.site = folder, folder / "site"
        wheels, source = folder / "wheels", shutil.copytree(EXAMPLE, folder / "example")
        for project in (ROOT, source):
            _run(project, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
        target = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(self.site)]
        _run(folder, "-m", "pip", "install", "-q", *target, *map(str, wheels.iterdir()))

    def python(self, *arguments: str) -> str:
        """Run Python there and return what it printed. What Kalends depends on is taken from this environment.

        -S passes over `.pth` files, by which an environment for development finds the checkout.
        """
        paths = (str(self.site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        settings = {"PYTHONPATH": os.pathsep.join(paths), "KALENDS_DATABASE_URL": f"sqlite:///{self._folder}/db"}
        return _run(self._folder, "-S", *arguments, **settings)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


def _run(folder: Path, *arguments: str, **settings: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KALENDS_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=inherited | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_keeps_the_contract_that_is_installed_with_kalends(installed: Installed) -> None:
    told = installed.python("-m", "pytest", "-q", "-c", os.devnull, "--rootdir", "example", "example")
    assert " passed" in told
    assert " skipped" not in told


def test_the_doctor_lists_the_example(installed: Installed) -> None:
    installed.python(*KALENDS, "migrate")
    findings = json.loads(installed.python(*KALENDS, "doctor", "--json"))
    states = {each["subject"]: each["state"] for each in findings}
    assert states["provider example"] == states["provider sandbox"] == "ok"


def test_the_contracts_and_the_simulators_are_installed_without_their_own_tests(installed: Installed) -> None:
    modules = [f"contracts.{each}" for each in ("building", "provider_contract", "reading_contract", "surroundings")]
    modules += ["simulators.google", "simulators.microsoft"]
    installed.python("-c", "; ".join(f"import kalends.{each}" for each in modules))
    assert list(installed.site.rglob("kalends/**/test_*")) == []


def test_the_example_is_under_100_lines_of_code() -> None:
    lines = (EXAMPLE / "example_calendar.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 100
