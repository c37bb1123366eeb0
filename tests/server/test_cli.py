"""The command line: what each command does, and that what goes wrong is said in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from anyio.from_thread import BlockingPortal

from kalends.domain.access import read_token
from kalends.server import cli
from storage.engine import Database
from storage.migrate import newest_revision
from storage.secrets import Vault
from storage.unit_of_work import Storage
from tests.helpers import NOW, make_account

ROOT = Path(__file__).parents[2]
MAIN = (sys.executable, "-c", "from kalends.server.cli import main; main()")
NOBODY = "postgresql://kalends:hunter2@127.0.0.1:1/kalends"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what it printed as JSON."""
        return json.loads(self.out)

    def failed_with(self, text: str) -> None:
        """Expect one line that says so, and nothing else."""
        assert (self.code, self.out) == (1, "")
        assert self.err.startswith("kalends: ")
        assert text in self.err
        assert self.err.count("\n") == 1, self.err


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, an embedded database in it, and no other settings."""
    for name in [each for each in os.environ if each.upper().startswith("KALENDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KALENDS_DATABASE_URL", f"sqlite:///{tmp_path / 'kalends.sqlite3'}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a way to run a command in this process, whose logs are left alone."""
    monkeypatch.setattr("kalends.server.logs.configure_logs", lambda **_: None)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["kalends", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def app(run: Run) -> str:
    """Return the id of an app."""
    return str(run("app", "create", "Aurora", "--json").json["app"])


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process of its own; kill it at the end."""
    with subprocess.Popen(
        [*MAIN, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def first_line(child: subprocess.Popen[str], containing: str) -> str:
    """Return the first line that a process prints with this text in it."""
    assert child.stdout
    for line in child.stdout:
        if containing in line:
            return line
    raise AssertionError(child.stderr.read() if child.stderr else "")


def test_a_new_app_has_a_key_that_is_shown_once(run: Run) -> None:
    made = run("app", "create", "Aurora", "--json").json
    keys = run("key", "list", "--app", made["app"], "--json").json
    (listed,) = run("app", "list", "--json").json

    taken = read_token(made["token"])
    assert taken is not None
    assert str(taken[0]) == made["key"]
    assert (listed["id"], listed["name"]) == (made["app"], "Aurora")
    assert [(key["id"], key["name"]) for key in keys] == [(made["key"], "First key")]
    assert keys[0]["scopes"] == "FREE_BUSY MANAGE_CALENDARS MANAGE_KEYS READ WRITE_EVENTS"
    assert made["token"].partition(".")[2] not in json.dumps(keys)


def test_people_get_words(run: Run, app: str) -> None:
    made = run("app", "create", "Borealis")
    key = run("key", "create", "--app", app, "--name", "Reader", "--scope", "READ")

    for printed in (made, key):
        assert re.search(r"^Token kal_[0-9a-f]{32}\.[\w-]{43}$", printed.out, re.MULTILINE)
        assert "shown once" in printed.out
    assert "Borealis" in run("app", "list").out
    assert "Reader" in run("key", "list", "--app", app).out


def test_a_key_has_the_scopes_and_the_end_it_was_given(run: Run, app: str) -> None:
    made = run(
        *("key", "create", "--app", app, "--name", "Desk", "--scope", "READ", "--scope", "WRITE_EVENTS"),
        *("--expires", "2199-01-01T00:00:00", "--json"),
    ).json
    key = next(key for key in run("key", "list", "--app", app, "--json").json if key["id"] == made["key"])

    assert (key["name"], key["scopes"]) == ("Desk", "READ WRITE_EVENTS")
    assert key["expiresAt"] is not None
    assert key["revokedAt"] is None


def test_a_revoked_key_says_when(run: Run, app: str) -> None:
    key = run("key", "create", "--app", app, "--name", "Desk", "--scope", "READ", "--json").json["key"]

    revoked = run("key", "revoke", key, "--app", app, "--json").json
    again = run("key", "revoke", key, "--app", app)

    listed = next(each for each in run("key", "list", "--app", app, "--json").json if each["id"] == key)
    assert revoked == {"key": key, "revokedAt": listed["revokedAt"]}
    assert again.out == "Desk is revoked.\n"


def test_an_unknown_key_is_refused(run: Run, app: str) -> None:
    run("key", "revoke", str(uuid4()), "--app", app).failed_with("There is no such key.")


def test_an_end_in_the_past_is_refused(run: Run, app: str) -> None:
    when = ("--expires", "2001-01-01")
    run("key", "create", "--app", app, "--name", "Desk", "--scope", "READ", *when).failed_with("in the future")


def test_an_app_needs_a_name(run: Run) -> None:
    run("app", "create", "").failed_with("Expected")


def test_words_that_are_no_command_are_a_usage_error(run: Run) -> None:
    assert run("frobnicate").code == 2
    assert run("key", "list", "--app", "not-an-id").code == 2


COMMANDS = ["serve", "worker", "migrate", "schema", "app", "key", "doctor", "settings", "secrets", "simulate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    done = run(command, "--help")

    assert done.code == 0
    assert "Usage" in done.out


def test_migrating_twice_is_migrating_once(run: Run, bare_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", bare_database_url)

    first = run("migrate", "--json").json
    second = run("migrate", "--json").json

    assert first == {"before": None, "after": newest_revision(), "copy": None}
    assert second == {"before": newest_revision(), "after": newest_revision(), "copy": None}
    assert run("migrate").out == f"The schema is at {newest_revision()} already.\n"


def test_the_migration_has_a_url_of_its_own(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.sqlite3"
    monkeypatch.setenv("KALENDS_MIGRATION_URL", f"sqlite:///{other}")

    assert run("migrate").out == f"Migrated from nothing to {newest_revision()}.\n"
    assert other.is_file()
    assert not (tmp_path / "kalends.sqlite3").exists()


def test_a_healthy_house_has_nothing_to_do(run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", database_url)

    done = run("doctor", "--json")

    assert done.code == 0
    assert {each["state"] for each in done.json} == {"ok"}
    assert {"database", "clock", "schema", "provider local", "provider sandbox", "time zones"} <= {
        each["subject"] for each in done.json
    }


def test_the_doctor_says_that_the_migration_is_missing(
    run: Run, bare_database_url: str, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", bare_database_url)

    done = run("doctor", "--json")

    finding = next(each for each in done.json if each["subject"] == "schema")
    if dialect == "sqlite":
        assert (done.code, finding["state"]) == (0, "warning")
    else:
        assert (done.code, finding["state"], finding["advice"]) == (1, "failed", "Run kalends migrate.")


def test_the_doctor_finds_a_database_that_does_not_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", NOBODY)

    done = run("doctor", "--json")

    assert done.code == 1
    assert [(each["subject"], each["state"]) for each in done.json] == [("database", "failed")]
    assert "KALENDS_DATABASE_URL" in done.json[0]["advice"]
    assert "hunter2" not in done.out + done.err


def test_the_doctor_tries_the_anonymous_key(run: Run, app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("key", "create", "--app", app, "--name", "Gateway", "--scope", "READ", "--json").json
    monkeypatch.setenv("KALENDS_ANONYMOUS_KEY", made["token"])
    open_door = run("doctor", "--json")
    run("key", "revoke", made["key"], "--app", app)
    closed_door = run("doctor", "--json")

    for done, code, state in ((open_door, 0, "warning"), (closed_door, 1, "failed")):
        finding = next(each for each in done.json if each["subject"] == "anonymous key")
        assert (done.code, finding["state"]) == (code, state)
        assert made["token"] not in done.out


def test_the_doctor_speaks_to_people(run: Run) -> None:
    run("migrate")
    done = run("doctor")

    assert done.code == 0
    assert "✓" in done.out
    assert "provider sandbox" in done.out


def test_the_exported_schema_is_the_schema(run: Run) -> None:
    printed = run("schema")
    checked = run("schema", "--check", str(ROOT / "schema.graphql"))

    assert printed.out == (ROOT / "schema.graphql").read_text()
    assert (checked.code, checked.out, checked.err) == (0, "", "")


@pytest.mark.parametrize("content", ["type Query { a: Int }\n", None])
def test_another_schema_is_found_out(run: Run, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        Path("other.graphql").write_text(content)

    run("schema", "--check", "other.graphql").failed_with("run kalends schema > other.graphql")


def test_the_settings_are_shown_without_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", NOBODY)
    monkeypatch.setenv("KALENDS_PORT", "8123")
    monkeypatch.setenv("KALENDS_PROT", "8124")

    shown, parsed = run("settings"), run("settings", "--json")

    values = {row["variable"]: row["value"] for row in parsed.json}
    assert values["KALENDS_PORT"] == "8123"
    assert values["KALENDS_DATABASE_URL"] == "(hidden)"
    assert "KALENDS_PORT = 8123  (default: 8000)\n" in shown.out
    assert "KALENDS_PROT is no setting" in shown.err
    assert "hunter2" not in shown.out + shown.err + parsed.out


def test_the_settings_page_is_printed(run: Run) -> None:
    assert run("settings", "--markdown").out == (ROOT / "docs" / "settings.md").read_text()


# Keys that seal


def test_a_new_key_is_one_that_the_settings_take(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run("secrets", "new"), run("secrets", "new")

    for made in (first, second):
        assert (made.code, made.err) == (0, "")
        assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", made.out)
    assert first.out != second.out
    monkeypatch.setenv("KALENDS_SECRET_KEYS", f"{first.out.strip()},{second.out.strip()}")
    assert run("settings", "--json").code == 0


async def _grants(url: str, keys: str, app: str, *, write: bool = False) -> list[dict[str, str] | None]:
    """Return what opens the accounts of an app, sealed with these keys; with `write`, store one first."""
    database = Database(url, vault=Vault(keys.split(",")))
    account = make_account(provider="google")
    async with Storage(database).writing(UUID(app)) as work:
        if write:
            await work.accounts.add(account, NOW)
            await work.accounts.give(account.id, {"token": "t"}, NOW, subject="s", address=None)
        found = [await work.accounts.grant(each) for each in await work.accounts.all_ids()]
    await database.close()
    return found


def test_rotating_seals_everything_with_the_first_key_and_the_old_one_can_go(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, portal: BlockingPortal
) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", database_url)
    apps = [run("app", "create", name, "--json").json["app"] for name in ("Aurora", "Borealis")]
    old, new = (run("secrets", "new").out.strip() for _ in range(2))
    for app in apps:
        portal.call(partial(_grants, database_url, old, app, write=True))

    monkeypatch.setenv("KALENDS_SECRET_KEYS", f"{new},{old}")
    first, second = run("secrets", "rotate", "--json"), run("secrets", "rotate", "--json")
    told = run("secrets", "rotate")

    assert (first.json, second.json) == ({"resealed": 2}, {"resealed": 0})
    assert told.out == "0 secrets were sealed with another key; now all have the first.\n"
    for app in apps:
        assert portal.call(_grants, database_url, new, app) == [{"token": "t"}]


def test_rotating_without_the_old_key_is_said_and_changes_nothing(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, portal: BlockingPortal
) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", database_url)
    app = run("app", "create", "Aurora", "--json").json["app"]
    old, new = (run("secrets", "new").out.strip() for _ in range(2))
    portal.call(partial(_grants, database_url, old, app, write=True))

    monkeypatch.setenv("KALENDS_SECRET_KEYS", new)
    run("secrets", "rotate").failed_with("KALENDS_SECRET_KEYS")

    assert portal.call(_grants, database_url, old, app) == [{"token": "t"}]


def test_a_wrong_key_is_named_by_its_variable_and_not_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_SECRET_KEYS", "hunter2")

    done = run("secrets", "rotate")

    assert (done.code, done.out) == (1, "")
    assert "KALENDS_SECRET_KEYS: " in done.err
    assert "hunter2" not in done.err


# Simulators


def simulated(monkeypatch: pytest.MonkeyPatch, vendor: str) -> list[int]:
    """Put a simulator in place that only notes on which port it was to listen."""
    ports: list[int] = []
    module = ModuleType(f"kalends.simulators.{vendor}")
    module.serve = ports.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kalends.simulators", ModuleType("kalends.simulators"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return ports


@pytest.mark.parametrize(("vendor", "port"), [("google", 8002), ("microsoft", 8003)])
def test_a_simulator_says_how_to_use_it_and_listens(
    run: Run, monkeypatch: pytest.MonkeyPatch, vendor: str, port: int
) -> None:
    ports = simulated(monkeypatch, vendor)

    by_default, elsewhere = run("simulate", vendor), run("simulate", vendor, "--port", "9200")

    assert ports == [port, 9200]
    assert by_default.code == elsewhere.code == 0
    assert f"{vendor.capitalize()}, simulated, on http://127.0.0.1:9200" in elsewhere.out
    name = vendor.upper()
    variables = dict(re.findall(r"(KALENDS_\w+)=(\S+)", elsewhere.out))
    assert variables == {
        f"KALENDS_{name}_ENDPOINT": "http://127.0.0.1:9200",
        f"KALENDS_{name}_CLIENT_ID": "client",
        f"KALENDS_{name}_CLIENT_SECRET": "secret",
        "KALENDS_PUBLIC_URL": "http://127.0.0.1:8000",
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert run("settings").code == 0


def test_there_is_no_simulator_of_anybody_else(run: Run) -> None:
    assert run("simulate", "apple").code == 2


def test_without_the_simulators_it_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("kalends.simulators", "tests.simulators"):
        monkeypatch.setitem(sys.modules, f"{package}.google", None)

    run("simulate", "google").failed_with("the simulators are not installed here")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "kalends.example.org"])
def test_the_demo_listens_on_loopback_only(run: Run, host: str) -> None:
    done = run("serve", "--demo", "--host", host)

    assert done.code == 1
    assert "loopback only" in " ".join(done.err.split())
    assert not Path("var").exists()


def test_a_long_error_is_one_line(run: Run) -> None:
    run("serve", "--demo", "--host", "kalends.example.org").failed_with("loopback only")


@pytest.mark.parametrize("command", [("app", "list"), ("migrate",)])
def test_a_database_that_is_not_there_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", NOBODY)

    run(*command).failed_with("the database cannot be reached")


def test_commands_on_postgresql_wait_for_the_migration(
    run: Run, bare_database_url: str, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALENDS_DATABASE_URL", bare_database_url)

    done = run("app", "list")

    if dialect == "sqlite":
        assert done.code == 0  # an embedded database migrates itself
    else:
        assert (done.code, done.out) == (1, "")
        assert "run kalends migrate" in " ".join(done.err.split())


def test_a_place_that_cannot_be_written_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    monkeypatch.setenv("KALENDS_DATABASE_URL", "sqlite:///file/kalends.sqlite3")

    run("app", "list").failed_with("file")


def test_a_bad_setting_is_named_by_its_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALENDS_PORT", "eighty")
    monkeypatch.setenv("KALENDS_DATABASE_URL", "mysql://kalends:hunter2@db/kalends")

    done = run("app", "list")

    assert (done.code, done.out) == (1, "")
    assert "KALENDS_PORT: Input should be a valid integer" in done.err
    assert "KALENDS_DATABASE_URL: " in done.err
    assert "docs/settings.md" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize("name", cli.OURS)
def test_foreign_packages_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "foreign" / name).mkdir(parents=True)
    (tmp_path / "foreign" / name / "__init__.py").touch()

    path = os.pathsep.join((str(tmp_path / "foreign"), str(ROOT)))
    ended = subprocess.run(
        [*MAIN, "app", "list"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    said = " ".join(ended.stderr.split())
    assert (
        said == f"kalends: the package {name} belongs to another distribution: give Kalends an environment of its own"
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_stops_when_it_is_told_to(how: signal.Signals) -> None:
    with process("worker") as child:
        assert "syncing" in first_line(child, "Kalends")
        child.send_signal(how)
        assert child.wait(20) == 0
        assert child.stderr
        assert "Traceback" not in child.stderr.read()


def test_the_server_says_where_it_is_and_stops_when_it_is_told_to() -> None:
    with process("serve", "--port", "0") as child:
        url = first_line(child, "http").split()[-1]
        assert httpx.get(url.replace("/graphql", "/readyz"), trust_env=False).json() == {"ready": True}
        child.terminate()
        assert child.wait(20) in (0, -signal.SIGTERM)
        assert child.stderr
        assert "Traceback" not in child.stderr.read()


def test_the_demo_prints_a_request_that_works_and_keeps_its_key_private(tmp_path: Path) -> None:
    with process("serve", "--demo", "--port", "0") as child:
        url = first_line(child, "GraphiQL").split()[-1]
        token = first_line(child, "Key").split()[-1]
        body = json.loads(first_line(child, "  -d ").strip().removeprefix("-d ").strip("'"))
        with closing(httpx.Client(headers={"authorization": f"Bearer {token}"}, trust_env=False)) as client:
            payload = client.post(url, json=body).json()["data"]["createEvent"]

    key = tmp_path / "var" / "demo.key"
    assert payload["errors"] == []
    assert payload["event"]["what"] == "Design review"
    assert payload["event"]["sync"] == {"status": "SYNCED"}
    assert key.read_text() == token + "\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
