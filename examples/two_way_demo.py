"""Two-way sync, played for real: `kalends serve --demo` with a Radicale beside it, and one event that goes to and fro.

What is done, and what comes back, is printed as Markdown. The exit code is 1 where anything is not as it should be.
`docs/two-way-demo.md` holds one such run; `make demo-two-way` makes another.
"""

from __future__ import annotations

import argparse
import inspect
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Any

import httpx

caldav: Any = import_module("caldav")  # typed for both of its ways, to wait and to be awaited

POLL = 3  # seconds between looks at Radicale
LOOKS = 1  # seconds between looks at what is due: KALENDS_WORKER_POLL_SECONDS
SLACK = 3  # seconds for the work itself, on a busy machine
PATIENCE = 30  # seconds for whatever has no promise
RUN = "## A run\n"
"""What comes before a run in the page that holds one."""

RADICALE = """\
[server]
hosts = 127.0.0.1:{port}
[auth]
type = htpasswd
htpasswd_filename = users
htpasswd_encryption = plain
[storage]
filesystem_folder = collections
[logging]
level = warning
"""


class Unexpected(Exception):
    """Something is not as it should be."""


@dataclass
class Stage:
    """A run: the two servers' addresses, what was found out so far, and the transcript."""

    kalends: str
    radicale: str
    key: str
    names: dict[str, str] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Print lines of Markdown, and an empty one."""
        text = "\n".join(lines) + "\n"
        self.transcript.append(text)
        print(text, flush=True)

    def ask(self, document: str, *, say: bool = True) -> Any:
        """Send an operation to Kalends, in which `$name` stands for something found out, and return its data."""
        document = Template(textwrap.dedent(document).strip()).substitute(self.names)
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(self.kalends, json={"query": document}, headers=headers, trust_env=False, timeout=30)
        told = answer.json()
        if "errors" in told or any((told["data"][each] or {}).get("errors") for each in told["data"]):
            raise Unexpected(f"{document}\n{json.dumps(told, indent=2)}")
        if say:
            self.say("```graphql", document, "```")
            self.say("```json", json.dumps(told["data"], indent=2, ensure_ascii=False), "```")
        return told["data"]

    def watch(self, document: str, reached: Callable[[Any], bool], within: float) -> Any:
        """Ask until an answer is as it should be, and say how long that took."""
        began = time.monotonic()
        while not reached(told := self.ask(document, say=False)):
            if time.monotonic() > began + within:
                raise Unexpected(f"after {within} seconds still:\n{json.dumps(told, indent=2)}")
            time.sleep(0.05)
        self.say(f"{time.monotonic() - began:.1f} seconds later:")
        return self.ask(document)

    def there(self, step: Callable[..., Any], **names: Any) -> Any:
        """Do something at Radicale with python-caldav: print the step's code, run it, and print what it printed."""
        _, *lines = inspect.getsource(step).splitlines()
        code = "\n".join(line for line in lines if not line.strip().startswith("return "))
        given = [f"{name} = {json.dumps(value)}" for name, value in names.items() if isinstance(value, str)]
        with redirect_stdout(printed := io.StringIO()):
            done = step(**names)
        self.say("```python", *given, textwrap.dedent(code), "```")
        if printed.getvalue():
            self.say("```text", printed.getvalue().replace("\r", "").strip(), "```")
        return done


def expect(what: str, found: Any, wanted: Any) -> None:
    """Raise where something is not as it should be."""
    if found != wanted:
        raise Unexpected(f"{what}: {found!r}, and not {wanted!r}")


# At Radicale, as anybody's calendar program would do it


def make_a_calendar(radicale: str) -> Any:
    client = caldav.DAVClient(radicale, username="ada", password="lovelace")
    team = client.principal().make_calendar(name="Team", cal_id="team")
    start, end = datetime(2027, 3, 1, 8, tzinfo=UTC), datetime(2027, 3, 1, 9, tzinfo=UTC)
    team.add_event(dtstart=start, dtend=end, summary="Sprint planning")
    return team


def read_the_event(team: Any, uid: str) -> Any:
    text = team.get_event_by_uid(uid).icalendar_component.to_ical().decode()
    print(text)
    return text


def move_it(team: Any, uid: str) -> None:
    event = team.get_event_by_uid(uid)
    component = event.icalendar_component
    component.start, component.end = component.start.replace(hour=15), component.end.replace(hour=16)
    component["LOCATION"] = "Room 7"
    event.save()


def rename_it(team: Any, uid: str) -> None:
    event = team.get_event_by_uid(uid)
    component = event.icalendar_component
    component["SUMMARY"] = "Design review with Grace"
    component["DESCRIPTION"] = "Grace brings the drawings."
    event.save()


def delete_it(team: Any, uid: str) -> None:
    team.get_event_by_uid(uid).delete()


# The play

EVENT = """
    {
      event(id: "$event") {
        what where description start end version
        sync { status conflict { fields ours { what description } theirs { what description } } }
      }
    }
"""


def link(stage: Stage) -> Any:
    """Open the account, link its calendar, and return that calendar as python-caldav has it."""
    stage.say(
        "### 1. A calendar at Radicale",
        "",
        "Ada has one already, with an event in it. With python-caldav, and `from datetime import UTC, datetime`:",
    )
    team = stage.there(make_a_calendar, radicale=stage.radicale)
    stage.say("### 2. Link it", "", "In GraphiQL, or with any GraphQL client and the demo's key. First the account:")
    opened = stage.ask("""
        mutation {
          connectCaldav(input: {url: "$radicale", username: "ada", password: "lovelace"}) {
            account { id state }
            remoteCalendars { remoteId name readOnly }
            errors { ... on UserError { message } }
          }
        }
    """)["connectCaldav"]
    [remote] = opened["remoteCalendars"]
    expect("the calendar that was found", (remote["name"], remote["readOnly"]), ("Team", False))
    stage.names |= {"account": opened["account"]["id"], "remote": remote["remoteId"]}
    stage.say("Then a calendar here, to be kept in step with the one there:")
    made = stage.ask("""
        mutation {
          createCalendar(input: {name: "Team", timeZone: "Europe/Berlin"}) {
            calendar { id provider }
            errors { ... on UserError { message } }
          }
        }
    """)
    stage.names["calendar"] = made["createCalendar"]["calendar"]["id"]
    stage.ask("""
        mutation {
          linkCalendar(input: {
            calendarId: "$calendar"
            accountId: "$account"
            remoteCalendarId: "$remote"
          }) {
            calendar { provider readOnly }
            errors { ... on UserError { message } }
          }
        }
    """)
    stage.say("What was there comes here.")
    stage.watch(EVENTS, lambda told: titles(told) == ["Sprint planning"], PATIENCE)
    return team


EVENTS = """
    {
      events(
        calendarIds: ["$calendar"]
        from: "2027-03-01T00:00:00Z"
        to: "2027-03-02T00:00:00Z"
      ) {
        edges { node { what where start end sync { status } } }
      }
    }
"""


def titles(told: Any) -> list[str]:
    """Return the titles of a page of events."""
    return [each["node"]["what"] for each in told["events"]["edges"]]


def create(stage: Stage, team: Any) -> None:
    """Create an event here, and read it there."""
    stage.say("### 3. An event made here is there")
    made = stage.ask("""
        mutation {
          createEvent(input: {
            calendarId: "$calendar"
            what: "Design review", where: "Room 2"
            start: "2027-03-01T10:00:00+01:00", end: "2027-03-01T11:00:00+01:00"
            syncProvider: true
          }) {
            event { id uid sync { status } }
            errors { ... on UserError { message } }
          }
        }
    """)["createEvent"]["event"]
    expect("the new event's status", made["sync"]["status"], "SYNCED")
    stage.names |= {"event": made["id"], "uid": made["uid"]}
    stage.say("With python-caldav, whose `team` is the calendar of step 1:")
    text = stage.there(read_the_event, team=team, uid=made["uid"])
    for line in ("SUMMARY:Design review", "LOCATION:Room 2", "DTSTART;TZID=Europe/Berlin:20270301T100000"):
        expect(f"whether the copy says {line}", line in text, True)


def edit(stage: Stage, team: Any) -> None:
    """Change the event there, and see it here."""
    stage.say("### 4. A change made there is here", "", f"Kalends looks every {POLL} seconds, as this demo has it.")
    stage.there(move_it, team=team, uid=stage.names["uid"])
    told = stage.watch(EVENT, lambda told: told["event"]["where"] == "Room 7", POLL + LOOKS + SLACK)["event"]
    expect("the start", told["start"], "2027-03-01T15:00:00+01:00")
    expect("the title and the status", (told["what"], told["sync"]["status"]), ("Design review", "SYNCED"))


def quarrel(stage: Stage, team: Any) -> None:
    """Change one thing on both sides, in different ways, and have a person decide."""
    stage.say("### 5. Both sides change the same", "", "There it gets another title, and a description:")
    await_a_look(stage)  # so that the next one is not in the way
    stage.there(rename_it, team=team, uid=stage.names["uid"])
    stage.say("Before Kalends has looked, it gets another title here, too:")
    stage.ask("""
        mutation {
          updateEvent(
            id: "$event"
            input: {what: "Design review, second round", syncProvider: true}
          ) {
            event { what sync { status } }
            errors { ... on UserError { message } }
          }
        }
    """)
    stage.say("Kalends overwrites neither, and says what clashes:")
    told = stage.ask(EVENT)["event"]
    expect("the status", told["sync"]["status"], "CONFLICT")
    conflict = told["sync"]["conflict"]
    expect("what clashes", conflict["fields"], ["what"])
    both = [conflict[side]["what"] for side in ("ours", "theirs")]
    expect("both titles", both, ["Design review, second round", "Design review with Grace"])
    stage.say("Somebody decides for our title. The description, which only one side has changed, is kept in any case:")
    stage.ask("""
        mutation {
          resolveSyncConflict(input: {eventId: "$event", keep: OURS}) {
            event { what description }
            errors { ... on UserError { message } }
          }
        }
    """)
    stage.watch(EVENT, lambda told: told["event"]["sync"]["status"] == "SYNCED", PATIENCE)
    stage.say("And there:")
    text = stage.there(read_the_event, team=team, uid=stage.names["uid"])
    for line in ("SUMMARY:Design review\\, second round", "DESCRIPTION:Grace brings the drawings.", "LOCATION:Room 7"):
        expect(f"whether the copy says {line}", line in text, True)


def await_a_look(stage: Stage) -> None:
    """Return when Kalends has just looked at Radicale."""
    look = '{ calendar(id: "$calendar") { source { lastSyncedAt } } }'
    before = stage.ask(look, say=False)
    deadline = time.monotonic() + PATIENCE
    while stage.ask(look, say=False) == before:
        if time.monotonic() > deadline:
            raise Unexpected("Kalends does not look at Radicale any more")
        time.sleep(0.05)


def delete(stage: Stage, team: Any) -> None:
    """Delete the event there, and see it go here."""
    stage.say("### 6. Deleted there, it goes here")
    stage.there(delete_it, team=team, uid=stage.names["uid"])
    stage.watch(EVENTS, lambda told: titles(told) == ["Sprint planning"], POLL + LOOKS + SLACK)


# The servers


@contextmanager
def staged(folder: Path, port: int, radicale_port: int) -> Iterator[Stage]:
    """Start both servers, and say how."""
    with ExitStack() as stack:
        (folder / "users").write_text("ada:lovelace\n")
        (folder / "radicale.conf").write_text(RADICALE.format(port=radicale_port))
        radicale = f"http://127.0.0.1:{radicale_port}"
        stack.enter_context(running(["-m", "radicale", "--config", "radicale.conf"], folder, radicale, {}))
        settings = {
            "KALENDS_PRIVATE_SERVERS": json.dumps([f"127.0.0.1:{radicale_port}"]),
            "KALENDS_SYNC_POLL_SECONDS": str(POLL),
        }
        kalends = ["-c", "from kalends.server.cli import main; main()", "serve", "--demo", "--port", str(port)]
        stack.enter_context(running(kalends, folder, f"http://127.0.0.1:{port}", settings))
        stage = Stage(f"http://127.0.0.1:{port}/graphql", radicale, (folder / "var" / "demo.key").read_text().strip())
        stage.names["radicale"] = radicale
        stage.say("### 0. Two servers", "", "`users` says `ada:lovelace`, and `radicale.conf`:")
        stage.say("```ini", (folder / "radicale.conf").read_text().strip(), "```")
        exports = [f"export {name}='{value}'" for name, value in settings.items()]
        commands = ["python -m radicale --config radicale.conf", "", "# in another terminal", *exports]
        stage.say("```sh", *commands, f"kalends serve --demo --port {port}", "```")
        yield stage


@contextmanager
def running(command: list[str], folder: Path, address: str, settings: dict[str, str]) -> Iterator[None]:
    """Run a server until the end; wait until it answers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KALENDS_")}
    log = folder / f"{address.rpartition(':')[2]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=inherited | settings, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"{address}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Unexpected(f"a server did not start:\n{log.read_text(errors='replace')}") from None
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Unexpected(f"{' '.join(command)} did not end") from None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Play it, and return the exit code."""
    parser = argparse.ArgumentParser(description="Two-way sync, played for real.")
    parser.add_argument("--port", type=int, help="Kalends' port; any by default")
    parser.add_argument("--radicale-port", type=int, help="Radicale's port; any by default")
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"put the run into a page, after {RUN.strip()!r}")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers must end with us
    with tempfile.TemporaryDirectory(prefix="kalends-demo-") as folder:
        try:
            with staged(Path(folder), chosen.port or free_port(), chosen.radicale_port or free_port()) as stage:
                team = link(stage)
                create(stage, team)
                edit(stage, team)
                quarrel(stage, team)
                delete(stage, team)
        except Unexpected as unexpected:
            print(f"Not as it should be: {unexpected}", file=sys.stderr)
            return 1
    if chosen.write:
        before, mark, _ = chosen.write.read_text().partition(RUN)
        chosen.write.write_text(f"{before}{mark or RUN}\n" + "\n".join(stage.transcript))
    return 0


if __name__ == "__main__":
    sys.exit(main())
