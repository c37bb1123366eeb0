"""OData's query options, as far as Graph takes them here: https://learn.microsoft.com/graph/query-parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from .errors import invalid
from .world import Item, Wire

_ANY = re.compile(
    r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id eq '([^']+)' and "
    r"(?:\1/value (eq|ne) (?:'([^']*)'|null)|startswith\(\1/value,\s*'([^']*)'\))\s*\)",
    re.IGNORECASE,
)
_EXPANDED = re.compile(r"singleValueExtendedProperties\(\$filter=((?:id eq '[^']+'(?: or )?)+)\)")
_NAMED = re.compile(r"id eq '([^']+)'")
_SPLIT = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True)
class Expansion:
    """What comes along with an event."""

    properties: frozenset[str]
    exceptions: bool


def read_expand(text: str | None) -> Expansion:
    """Read `$expand`."""
    properties: set[str] = set()
    exceptions = False
    for part in _SPLIT.split(text) if text else ():
        found = _EXPANDED.fullmatch(part.strip())
        if found is not None:
            properties |= set(_NAMED.findall(found[1]))
        elif part.strip() == "exceptionOccurrences":
            exceptions = True
        else:
            raise invalid(f"{part} cannot be expanded.", "ErrorInvalidUrlQuery")
    return Expansion(frozenset(properties), exceptions)


def read_select(text: str | None) -> list[str]:
    """Read `$select`."""
    return [name.strip() for name in text.split(",")] if text else []


def expanded(item: Item, expansion: Expansion) -> Wire:
    """Return the properties of applications' that were asked for; without any, there is no such list."""
    found = [{"id": name, "value": value} for name, value in item.properties.items() if name in expansion.properties]
    return {"singleValueExtendedProperties": found} if found else {}


def matching(items: Sequence[Item], text: str | None) -> list[Item]:
    """Return the events that `$filter` lets through: names are case-sensitive, values are not."""
    if not text:
        return list(items)
    found = _ANY.fullmatch(text)
    if found is None:
        raise invalid("The simulator filters by single-value extended properties only.", "ErrorInvalidUrlQueryFilter")
    name, operator, value, prefix = found[2], found[3], found[4], found[5]

    def lets_through(item: Item) -> bool:
        kept = item.properties.get(name)
        if kept is None:
            return False
        if prefix is not None:
            return kept.lower().startswith(prefix.lower())
        same = value is not None and kept.lower() == value.lower()
        return same if operator == "eq" else not same

    return [item for item in items if lets_through(item)]


def paged(found: Sequence[Wire], query: Mapping[str, str], url: str) -> Wire:
    """Return a page of a list, and the link to the next one."""
    size, begin = int(query.get("$top", "10")), int(query.get("$skip", "0"))
    if not 1 <= size <= 1000:
        raise invalid("$top is from 1 to 1000.", "ErrorInvalidUrlQuery")
    page: Wire = {"value": list(found[begin : begin + size])}
    if begin + size < len(found):
        options = {**query, "$skip": str(begin + size)}
        page["@odata.nextLink"] = f"{url}?{'&'.join(f'{name}={quote(value)}' for name, value in options.items())}"
    return page


def series_parts(item: Item, select: Sequence[str], expansion: Expansion, view: Callable[[date], Wire]) -> Wire:
    """Return what only comes of a series that is asked for by its id: the days that were deleted or changed."""
    if item.recurrence is None:
        return {}
    parts: Wire = {}
    if "cancelledOccurrences" in select:
        parts["cancelledOccurrences"] = [f"OID.{item.id}.{day.isoformat()}" for day in sorted(item.cancelled)]
    if expansion.exceptions and "exceptionOccurrences" in select:
        parts["exceptionOccurrences"] = [view(day) for day in sorted(item.exceptions)]
    return parts
