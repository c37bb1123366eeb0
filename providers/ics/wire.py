"""What is remembered of a file between two looks: HTTP's validators (RFC 9110 section 8.8), and a hash of it."""

from __future__ import annotations

import hashlib
from typing import Any, TypedDict

import orjson

from providers.errors import TokenExpired
from providers.web import Answer

_PREFIX = "ics "


class Mark(TypedDict):
    """How a file is known again. `etag` and `modified` are the server's, `hash` is of what it says."""

    etag: str | None
    modified: str | None
    hash: str


def mark_of(answer: Answer) -> Mark:
    """Return the mark of a file that was just fetched."""
    validators = (answer.headers.get("etag"), answer.headers.get("last-modified"))
    return Mark(etag=validators[0], modified=validators[1], hash=hashlib.sha256(answer.body).hexdigest())


def written(mark: Mark) -> str:
    """Return a mark as a token."""
    return _PREFIX + orjson.dumps(mark).decode()


def read(token: str) -> Mark:
    """Return the mark that a token is. Raises `TokenExpired`."""
    try:
        found: Any = orjson.loads(token.removeprefix(_PREFIX)) if token.startswith(_PREFIX) else None
        return Mark(etag=found["etag"], modified=found["modified"], hash=found["hash"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise TokenExpired("This is no token of a file's.") from error
