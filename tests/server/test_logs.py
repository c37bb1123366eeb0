"""Logs: no secret gets through, whether it is known by its name or by its form."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kalends.domain.access import token
from kalends.server.logs import configure_logs, redact
from tests.helpers import NOBODY

TOKEN = token(NOBODY, "s" * 43)


def clean(**event: Any) -> dict[str, Any]:
    return dict(redact(None, "info", dict(event)))


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Leave the process's logs as they were."""
    root = logging.getLogger()
    before, level, kept = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**kept)


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "cookie", "password", "secret", "token", "api_key", "apikey", "variables"],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert clean(**{name: "opensesame"}) == {name: "[removed]"}
    assert clean(headers={name: ["opensesame"]}) == {"headers": {name: "[removed]"}}
    assert clean(calls=[{"with": {name: "opensesame"}}]) == {"calls": [{"with": {name: "[removed]"}}]}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"the key {TOKEN} was refused", "the key [removed] was refused"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: [removed]"),
        ("Bearer eyJhbGciOi.x.y", "[removed]"),
        ("postgresql://kalends:hunter2@db:5432/kalends", "postgresql://[removed]@db:5432/kalends"),
        ("https://user:hunter2@example.org/dav", "https://[removed]@example.org/dav"),
    ],
)
def test_a_secret_is_known_by_its_form(text: str, kept: str) -> None:
    assert clean(event=text) == {"event": kept}
    assert clean(detail={"deep": [text, (text,)]}) == {"detail": {"deep": [kept, [kept]]}}


def test_what_is_no_secret_stays() -> None:
    plain = {"event": "worker.swept", "found": 3, "path": ["createEvent"], "at": None, "url": "https://example.org/a"}

    assert clean(**plain) == plain


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("logger", ["ours", "a library's"])
def test_one_line_of_json_per_entry_with_its_traceback_and_without_secrets(
    capsys: pytest.CaptureFixture[str], logger: str
) -> None:
    configure_logs(level="info", form="json")

    try:
        raise RuntimeError(f"cannot connect to postgresql://kalends:hunter2@db/kalends with {TOKEN}")
    except RuntimeError:
        if logger == "ours":
            structlog.get_logger("kalends").exception("failed", attempt=2)
        else:
            logging.getLogger("library").exception("failed")

    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"]) == ("failed", "error")
    assert "RuntimeError: cannot connect to postgresql://[removed]@db/kalends with [removed]" in entry["exception"]
    assert "hunter2" not in line
    assert TOKEN not in line


@pytest.mark.usefixtures("logging_restored")
def test_the_level_holds_for_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", form="json")

    structlog.get_logger("kalends").info("quiet")
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").warning("loud")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "loud"


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("library", ["httpx", "httpcore.http11", "aiosqlite"])
def test_libraries_that_tell_what_was_sent_are_quiet_at_every_level(
    capsys: pytest.CaptureFixture[str], library: str
) -> None:
    configure_logs(level="debug", form="json")

    logging.getLogger(library).debug("GET https://calendars.example/private/basic.ics")
    logging.getLogger(library).info("GET https://calendars.example/private/basic.ics")

    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize(("terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_for_people_on_a_terminal_and_json_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool, is_json: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logs(level="info", form="auto")

    structlog.get_logger("kalends").info("started")

    assert capsys.readouterr().err.startswith("{") is is_json
