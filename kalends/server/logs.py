"""Structured logs. What looks like a secret is taken out by its name and by its form, whoever logged it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRET_NAME = re.compile(r"authorization|cookie|password|secret|token|api_?key|variables", re.IGNORECASE)
_SECRET_FORM = re.compile(r"kal(?:feed)?_[0-9a-f]{32}\.[\w-]+|Bearer\s+\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_REMOVED = "[removed]"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of a log entry."""
    for name, value in event.items():
        event[name] = _REMOVED if _SECRET_NAME.fullmatch(name) else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_FORM.sub(_REMOVED, value)
    if isinstance(value, Mapping):
        return {key: _REMOVED if _SECRET_NAME.fullmatch(str(key)) else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def configure_logs(*, level: str, form: str) -> None:
    """Send every log, the libraries' too, to stderr in one form."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("alembic", "uvicorn", "httpx", "httpcore", "aiosqlite"):  # the last three tell what was sent
        logging.getLogger(name).setLevel(logging.WARNING)
