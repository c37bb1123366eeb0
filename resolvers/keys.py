"""Idempotency: the same request with the same key is done once (RFC 9110 section 9.2.2 on why that matters)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NoReturn

import orjson

from kalends.domain.access import Principal
from kalends.domain.errors import InvalidInput, Malformed, NotFound, Refused
from kalends.domain.values import read_text
from storage.idempotency import Claim

MAX_KEY = 255


def claim_of(principal: Principal, key: str | None, operation: str, request: object) -> Claim | None:
    """Return the use of a key, None without one; raise `Refused` for text that cannot be one.

    The request is what was understood, not what was written: two spellings of one instant are one request.
    """
    if key is None:
        return None
    checked = read_text(key, at_least=1, at_most=MAX_KEY)
    if isinstance(checked, Malformed):
        message = f"Expected {checked.expected}."
        raise Refused(InvalidInput(path=("idempotency_key",), message=message, expected=checked.expected))
    canonical = orjson.dumps(_plain(request), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return Claim(principal.name, key, operation, hashlib.sha256(canonical).digest())


def refuse_replay(kind: str) -> NoReturn:
    """Refuse to answer a request again whose result is gone."""
    message = f"The {kind} that this key has created was deleted since."
    raise Refused(NotFound(path=("idempotency_key",), message=message))


def _plain(value: Any) -> Any:
    """Return a value in types that orjson writes in one way."""
    if value is None or value is False or value is True:
        return value
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _fields(value.__class__)}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


@cache
def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
