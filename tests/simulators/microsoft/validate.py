"""Whether a request is one that Microsoft's own client could make.

The measure is the code of `msgraph-sdk`, which is generated from Graph's description of itself: which paths there are,
with which methods and query options, and of which types the properties of a body are. It is read, not imported, which
would take seconds. Where the package is not installed, nothing is validated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PREFIX = "/v1.0"

_TEMPLATE = re.compile(r'"\{\+baseurl\}(/[^"]*)"')
_METHOD = re.compile(r"async def (get|post|patch|put|delete)\(self,\s*(?:body: (\w+))?")
_FIELD = re.compile(r'"([^"]+)": lambda n : setattr\(self, \'\w+\', n\.get_(\w+)\((\w*)\)\)')
_BASES = re.compile(r"^class \w+\(([^)]*)\)", re.MULTILINE)
_VALUE = re.compile(r'^\s+\w+ = "([^"]*)"', re.MULTILINE)
_ODATA = {"$count", "$expand", "$filter", "$orderby", "$search", "$select", "$skip", "$top"}
_READ_ONLY = {
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "iCalUId",
    "type",
    "seriesMasterId",
    "webLink",
    "bodyPreview",
    "isOrganizer",
    "organizer",
    "responseStatus",
    "isCancelled",
    "onlineMeeting",
    "originalStart",
    "cancelledOccurrences",
    "exceptionOccurrences",
}
_FORMS = {
    "datetime_value": (r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", "a date-time with an offset"),
    "date_value": (r"\d{4}-\d\d-\d\d", "a date"),
    "time_value": (r"\d\d:\d\d(:\d\d(\.\d+)?)?", "a time of day"),
    "timedelta_value": (r"-?P.+", "a duration"),
}
_WALL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


@dataclass(frozen=True)
class Route:
    """A path that there is: its query options, those that it needs, and its methods, each with its body's class."""

    file: Path
    options: frozenset[str]
    needed: frozenset[str]
    methods: Mapping[str, str | None]


def validate(method: str, path: str, headers: Mapping[str, str], body: Any) -> list[str]:
    """Return what is wrong with a request: nothing, too, where there is nothing to measure it by."""
    parts = urlsplit(path)
    if not parts.path.startswith(f"{PREFIX}/") or _root() is None:
        return []
    route = _route([unquote(each) for each in parts.path.removeprefix(f"{PREFIX}/").split("/")])
    if route is None:
        return ["there is no such path"]
    if method not in route.methods:
        return [f"{method} is not one of its methods"]
    found = [*_of_query(route, parts.query), *_of_headers(headers, parts.path, body)]
    name = route.methods[method]
    if name is not None and not isinstance(body, dict):
        found.append("body is no object")
    elif name is not None:
        found += _of_object(body, route.file, name, "body")
        if name == "Event":
            found += _of_event(method, body)
    elif body is not None:
        found.append("it takes no body")
    return found


@cache
def _root() -> Path | None:
    spec = find_spec("msgraph")
    return Path(spec.origin).parent / "generated" if spec is not None and spec.origin else None


def _route(segments: Sequence[str]) -> Route | None:
    """Return the route of a path."""
    folder = _root()
    names = ["users", "item", *segments[1:]] if segments[0] == "me" else list(segments)
    for name in names:
        if folder is None:
            return None
        inner = folder / _snake(name)
        folder = next((each for each in (inner, folder / "item") if each.is_dir()), None)
    return None if folder is None else _built_in(folder)


@cache
def _built_in(folder: Path) -> Route | None:
    """Return the route that the file in a folder builds requests to."""
    for file in folder.glob("*_request_builder.py"):
        text = file.read_text()
        template = _TEMPLATE.search(text)
        if template is not None:
            query = unquote(re.sub(r"^.*?(?=\?|\{\?)", "", template[1]))
            needed = frozenset(re.findall(r"[?&]([\w$]+)=\{", query))
            options = {name for group in re.findall(r"\{[?&]([^}]*)\}", query) for name in group.split(",")}
            methods = {each.upper(): kind or None for each, kind in _METHOD.findall(text)}
            return Route(file, frozenset(options) | needed, needed, methods)
    return None


def _of_query(route: Route, query: str) -> Iterator[str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    tokens = {"$skiptoken", "$deltatoken"} & given.keys()
    for name in given.keys() - route.options - tokens:
        yield f"{name} is none of its query options"
    for name in route.needed - given.keys() if not tokens else ():
        yield f"{name} is missing from its query"
    if route.file.parent.name == "delta":
        yield from (f"{name} cannot be used with a delta" for name in given.keys() & (_ODATA - {"$top"}))
    if "$select" in given and "events" in route.file.parts:
        event = _class_file(route.file, "Event")
        known = _fields(event) if event is not None else {}
        yield from (f"$select names {each}" for each in given["$select"].split(",") if known and each not in known)


def _of_headers(headers: Mapping[str, str], path: str, body: Any) -> Iterator[str]:
    given = {name.lower(): value for name, value in headers.items()}
    if not given.get("authorization", "").startswith("Bearer "):
        yield "it has no bearer token"
    if path.startswith(f"{PREFIX}/me/") and 'IdType="ImmutableId"' not in given.get("prefer", ""):
        yield "it does not ask for immutable ids"
    if body is not None and not given.get("content-type", "").startswith("application/json"):
        yield "its body is not said to be JSON"


def _of_event(method: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the types do not say: what can be written, and how times are."""
    unwritable = _READ_ONLY | ({"transactionId"} if method == "PATCH" else set())
    yield from (f"body.{name} cannot be written" for name in body.keys() & unwritable)
    if method == "POST":
        yield from (f"body.{name} is missing" for name in ("start", "end") if name not in body)
    for name in ("start", "end"):
        value = body.get(name)
        if isinstance(value, dict) and not (_WALL.fullmatch(str(value.get("dateTime"))) and value.get("timeZone")):
            yield f"body.{name} is no wall time with a zone"


def _of_object(value: Any, source: Path, name: str, where: str) -> Iterator[str]:
    """Yield what of an object does not fit the class of that name, as `source` imports it."""
    if value is None:
        return
    file = _class_file(source, name)
    if file is None:
        return
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    known = _fields(file)
    folded = {each.lower(): each for each in known} if name.endswith("RequestBody") else {}
    for each, inner in value.items():
        if each.startswith("@") or "@odata" in each:
            continue
        found = known.get(str(folded.get(each.lower(), each)))
        if found is None:
            yield f"{where}.{each} is no property of {name}"
        else:
            yield from _of_value(inner, found, f"{where}.{each}")


def _of_value(value: Any, kind: tuple[str, str, Path], where: str) -> Iterator[str]:
    getter, name, source = kind
    if value is None:
        return
    if getter.startswith("collection_of_"):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        inner = {"object_values": "object_value", "enum_values": "enum_value"}.get(
            getter.removeprefix("collection_of_")
        )
        for number, each in enumerate(value):
            yield from _of_value(each, (inner or f"{name}_value", name, source), f"{where}[{number}]")
    elif getter == "object_value":
        yield from _of_object(value, source, name, where)
    elif getter == "enum_value":
        file = _class_file(source, name)
        allowed = _VALUE.findall(file.read_text()) if file else [value]
        if value not in allowed:
            yield f"{where} is none of {', '.join(allowed)}"
    elif getter in _FORMS:
        form, wanted = _FORMS[getter]
        if not isinstance(value, str) or not re.fullmatch(form, value):
            yield f"{where} is not {wanted}"
    else:
        yield from _of_primitive(value, getter, where)


def _of_primitive(value: Any, getter: str, where: str) -> Iterator[str]:
    expected: dict[str, type | tuple[type, ...]] = {
        "bool_value": bool,
        "int_value": int,
        "float_value": (int, float),
    }
    wanted = expected.get(getter, str)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{where} is {type(value).__name__}"


@cache
def _fields(file: Path) -> Mapping[str, tuple[str, str, Path]]:
    """Return the properties of a class and of those that it is made from: how each is read, as what, and where."""
    text = file.read_text()
    found: dict[str, tuple[str, str, Path]] = {}
    bases = _BASES.search(text)
    for base in (each.strip() for each in (bases[1] if bases else "").split(",")):
        inherited = _class_file(file, base)
        if inherited is not None:
            found |= _fields(inherited)
    return found | {name: (getter, kind, file) for name, getter, kind in _FIELD.findall(text)}


@cache
def _class_file(source: Path, name: str) -> Path | None:
    """Return the file of a class that another file imports; None for one of the client's own."""
    found = re.search(rf"from (\.+)([\w.]+) import {name}\b", source.read_text())
    if found is None:
        return None
    folder = source.parents[len(found[1]) - 1]
    return folder.joinpath(*found[2].split(".")).with_suffix(".py")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
