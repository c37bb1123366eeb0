"""Does a request fit what Google has published? By the discovery document in google-api-python-client's wheel.

It looks at form alone: the method and its address, parameters and their values, the fields of the body, their types
and formats, and the values that the document lists, also where it lists them in prose. Without the package nothing is
looked at: the simulator is also used where it is not installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PREFIX = "/calendar/v3/"
DOCUMENT = "discovery_cache/documents/calendar.v3.json"

# Forbidden beside syncToken: the document says so in prose, of `events.list`.
_NOT_WITH_SYNC_TOKEN = {
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
}
_CLOCK = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?"
_OFFSET = r"(?:[Zz]|[+-]\d\d:\d\d)"
_LISTED = re.compile(r'^\s*- "([\w.]+)"', re.MULTILINE)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def validate(method: str, path: str, headers: Mapping[str, str], body: Any) -> list[str]:
    """Return what is wrong with a request to the calendar's API; nothing for one to another."""
    document = _document()
    address = urlsplit(path)
    if document is None or not address.path.startswith(PREFIX):
        return []
    called = _called(method, address.path.removeprefix(PREFIX))
    if called is None:
        return ["there is no such method"]
    query = parse_qsl(address.query, keep_blank_values=True)
    return [
        *_headers(headers),
        *_parameters(called, document["parameters"] | called.get("parameters", {}), query),
        *_body(document["schemas"], called, body),
    ]


@cache
def _document() -> Any:
    package = find_spec("googleapiclient")
    if package is None or package.origin is None:
        return None
    return json.loads((Path(package.origin).parent / DOCUMENT).read_bytes())


@cache
def _methods() -> list[tuple[str, re.Pattern[str], Any]]:
    """Return every method as its verb, its path and what it takes; the plainest paths first."""

    def walk(resource: Any) -> Iterator[Any]:
        yield from resource.get("methods", {}).values()
        for each in resource.get("resources", {}).values():
            yield from walk(each)

    methods = sorted(walk(_document()), key=lambda each: each["path"].count("{"))
    return [(each["httpMethod"], re.compile(re.sub(r"\{\w+\}", "[^/]+", each["path"])), each) for each in methods]


def _called(method: str, path: str) -> Any:
    return next((each for verb, form, each in _methods() if verb == method and form.fullmatch(path)), None)


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    lower = {name.lower(): value for name, value in headers.items()}
    if not lower.get("authorization", "").startswith("Bearer "):
        yield "header authorization: there is no bearer token"
    match = lower.get("if-match")
    if match is not None and not re.fullmatch(r'"[^"\s]*"', match):
        yield f"header if-match: {match} is no entity tag"


def _parameters(called: Any, known: Mapping[str, Any], query: list[tuple[str, str]]) -> Iterator[str]:
    names = [name for name, _ in query]
    for name, value in query:
        if name not in known:
            yield f"query {name}: unknown"
        else:
            yield from (f"query {name}: {each}" for each in _parameter(known[name], value))
            if names.count(name) > 1 and not known[name].get("repeated"):
                yield f"query {name}: more than once"
    for name, parameter in known.items():
        if parameter.get("required") and parameter["location"] == "query" and name not in names:
            yield f"query {name}: missing"
    if called["id"] == "calendar.events.list" and "syncToken" in names:
        yield from (f"query {name}: not beside syncToken" for name in sorted(_NOT_WITH_SYNC_TOKEN.intersection(names)))


def _parameter(parameter: Any, value: str) -> Iterator[str]:
    match parameter["type"]:
        case "boolean":
            if value not in ("true", "false"):
                yield f"{value!r} is neither true nor false"
        case "integer":
            if not re.fullmatch(r"-?\d+", value):
                yield f"{value!r} is no integer"
            elif not int(parameter.get("minimum", value)) <= int(value) <= int(parameter.get("maximum", value)):
                yield f"{value} is out of range"
        case _:
            yield from _text(parameter, value, zoned=False)


def _body(schemas: Any, called: Any, body: Any) -> Iterator[str]:
    if "request" not in called:
        if body is not None:
            yield "body: this method takes none"
        return
    yield from _value(schemas, called["request"], body, "body", called["id"])


def _value(schemas: Any, schema: Any, value: Any, path: str, method: str, *, zoned: bool = False) -> Iterator[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    if value is None and path != "body":  # in a PATCH, deletes what is there
        return
    expected = schema["type"]
    if expected != "any" and (
        not isinstance(value, _TYPES[expected]) or (isinstance(value, bool) and expected != "boolean")
    ):
        yield f"{path}: {expected} expected"
    elif isinstance(value, dict):
        yield from _object(schemas, schema, value, path, method)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _value(schemas, schema["items"], each, f"{path}[{number}]", method)
    elif isinstance(value, str):
        yield from (f"{path}: {each}" for each in _text(schema, value, zoned=zoned))


def _object(schemas: Any, schema: Any, value: dict[str, Any], path: str, method: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, each in value.items():
        known = properties.get(name, others)
        if known is None:
            yield f"{path}.{name}: unknown"
            continue
        if "Read-only." in known.get("description", "") and name in ("self", "organizer", "creator", "etag", "updated"):
            yield f"{path}.{name}: read-only"
        zoned = bool(value.get("timeZone"))
        yield from _value(schemas, known, each, f"{path}.{name}", method, zoned=zoned)
    for name, known in properties.items():
        if method in known.get("annotations", {}).get("required", ()) and value.get(name) is None:
            yield f"{path}.{name}: required"


def _text(schema: Any, value: str, *, zoned: bool) -> Iterator[str]:
    match schema.get("format"):
        case "date":
            try:
                date.fromisoformat(value)
            except ValueError:
                yield f"{value!r} is no date"
        case "date-time":
            if not re.fullmatch(f"{_CLOCK}{_OFFSET}{'?' if zoned else ''}", value):
                yield f"{value!r} is no RFC 3339 date-time"
        case "int64":
            if not re.fullmatch(r"-?\d+", value):
                yield f"{value!r} is no integer"
    listed = schema.get("enum") or _LISTED.findall(schema.get("description", ""))
    if len(listed) > 1 and value not in listed:
        yield f"{value!r} is not one of {', '.join(listed)}"
