"""WebDAV's and CalDAV's XML: what is asked, and what is answered.

RFC 4918 (WebDAV), RFC 4791 (CalDAV), RFC 6578 (sync-collection), RFC 6638 (scheduling). Entities are not resolved, a
document type is refused, and an answer is read piece by piece, so that it takes little more memory than its own bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from lxml import etree

from providers.errors import OutcomeUnknown, Refused
from providers.web import UNREADABLE

MAX_MEMBERS = 50_000  # of one answer
_DAV, _CALDAV, _CALENDARSERVER = "DAV:", "urn:ietf:params:xml:ns:caldav", "http://calendarserver.org/ns/"
_PREFIXES = {"d": _DAV, "c": _CALDAV, "cs": _CALENDARSERVER}
_STATUS = re.compile(r"HTTP/\S+\s+(\d{3})")
_SAFELY: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def tag(name: str) -> str:
    """Return the full name of `d:…` (DAV:), `c:…` (CalDAV) or `cs:…` (calendarserver.org)."""
    prefix, _, local = name.partition(":")
    return f"{{{_PREFIXES[prefix]}}}{local}"


@dataclass(frozen=True, slots=True)
class Value:
    """What a property says: its text, the addresses inside, preferred ones first, and the elements inside by name."""

    text: str
    hrefs: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # of `c:comp`, such as VEVENT


@dataclass(frozen=True, slots=True)
class Member:
    """One resource of an answer. `properties` are those that were found, by their full names."""

    href: str
    status: int
    properties: Mapping[str, Value] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return a property's text, None where it has none."""
        value = self.properties.get(tag(name))
        return (value.text.strip() or None) if value is not None else None

    def has(self, name: str, inside: str) -> bool:
        """Tell whether a property holds an element."""
        value = self.properties.get(tag(name))
        return value is not None and tag(inside) in value.tags

    def hrefs(self, name: str) -> Sequence[str]:
        """Return the addresses that a property holds."""
        value = self.properties.get(tag(name))
        return value.hrefs if value is not None else ()


@dataclass(frozen=True, slots=True)
class Multistatus:
    """An answer about several resources (RFC 4918 section 13), with its sync token (RFC 6578 section 6.4)."""

    members: Sequence[Member]
    token: str | None = None


class Unparsable(OutcomeUnknown):
    """An answer that should be XML is none, or not all of it."""

    def __init__(self) -> None:
        super().__init__(UNREADABLE)


class TooMany(Refused):
    """An answer names more resources than Kalends reads."""

    def __init__(self) -> None:
        super().__init__(f"The calendar holds more than {MAX_MEMBERS:,} events, which is more than Kalends reads.")


def read_multistatus(body: bytes) -> Multistatus:
    """Read an answer. Raises `Unparsable`, `TooMany`, and `Refused` for one with a document type."""
    members: list[Member] = []
    token = None
    try:
        depth = 0
        for event, element in etree.iterparse(BytesIO(body), events=("start", "end"), **_SAFELY):
            if event == "start":
                depth += 1
                if depth == 1:
                    _check_root(element)
                continue
            depth -= 1
            if depth != 1:
                continue
            if element.tag == tag("d:response"):
                members.append(_member(element))
                if len(members) > MAX_MEMBERS:
                    raise TooMany
            elif element.tag == tag("d:sync-token"):
                token = (element.text or "").strip() or None
            _forget(element)
    except etree.XMLSyntaxError as error:
        raise Unparsable from error
    return Multistatus(members, token)


def read_conditions(body: bytes) -> frozenset[str]:
    """Return the names of the elements of an error's body (RFC 4918 section 16); none where it is none."""
    try:
        root: Any = etree.fromstring(body, etree.XMLParser(**_SAFELY))
    except (etree.XMLSyntaxError, ValueError):
        return frozenset()
    if root is None or root.getroottree().docinfo.doctype:
        return frozenset()
    return frozenset(str(each.tag) for each in root.iter() if isinstance(each.tag, str))


def _check_root(root: Any) -> None:
    if root.getroottree().docinfo.doctype:
        raise Refused("The provider's answer has a document type, which no answer of a calendar needs.")
    if root.tag != tag("d:multistatus"):
        raise Unparsable


def _forget(element: Any) -> None:
    """Free what was read."""
    element.clear()
    parent = element.getparent()
    while element.getprevious() is not None:
        del parent[0]


def _member(response: Any) -> Member:
    href = (response.findtext(tag("d:href")) or "").strip()
    status = _status(response.findtext(tag("d:status")))
    found: dict[str, Value] = {}
    statuses = []
    for propstat in response.findall(tag("d:propstat")):
        statuses.append(_status(propstat.findtext(tag("d:status"))))
        if statuses[-1] == 200:
            found |= {str(each.tag): _value(each) for prop in propstat.findall(tag("d:prop")) for each in prop}
    return Member(href, status if status is not None else 200, found)


def _status(text: str | None) -> int | None:
    match = _STATUS.match((text or "").strip())
    return int(match[1]) if match else None


def _value(element: Any) -> Value:
    if not len(element):
        return Value(element.text or "")
    inside = [each for each in element.iterdescendants() if isinstance(each.tag, str)]
    hrefs = [each for each in inside if each.tag == tag("d:href")]
    hrefs.sort(key=lambda each: each.get("preferred") != "1")  # Apple marks the main one of several addresses
    return Value(
        "".join(element.itertext()),
        tuple((each.text or "").strip() for each in hrefs),
        frozenset(str(each.tag) for each in inside),
        frozenset(each.get("name", "").upper() for each in inside if each.tag == tag("c:comp")),
    )


# Asking


def propfind(*names: str) -> bytes:
    """Ask for properties (RFC 4918 section 9.1)."""
    return _written("d:propfind", [_made("d:prop", [_made(name) for name in names])])


def sync_collection(token: str) -> bytes:
    """Ask what has changed since a token; since ever, where it is empty (RFC 6578 section 3.2).

    There is no `DAV:limit`, ever: with it some servers skip changes for good (`quirks.py`).
    """
    asked = [_made("d:sync-token", text=token), _made("d:sync-level", text="1"), _prop("d:getetag")]
    return _written("d:sync-collection", asked)


def calendar_multiget(hrefs: Iterable[str]) -> bytes:
    """Ask for these resources, whole (RFC 4791 section 7.9)."""
    asked = [_prop("d:getetag", "c:calendar-data"), *(_made("d:href", text=href) for href in hrefs)]
    return _written("c:calendar-multiget", asked)


def calendar_query(uid: str) -> bytes:
    """Ask for the events of a UID, whole (RFC 4791 section 7.8)."""
    match = _made("c:text-match", text=uid, collation="i;octet")
    inner = _made("c:comp-filter", [_made("c:prop-filter", [match], name="UID")], name="VEVENT")
    outer = _made("c:filter", [_made("c:comp-filter", [inner], name="VCALENDAR")])
    return _written("c:calendar-query", [_prop("d:getetag", "c:calendar-data"), outer])


def _prop(*names: str) -> Any:
    return _made("d:prop", [_made(name) for name in names])


def _made(name: str, inside: Iterable[Any] = (), /, *, text: str | None = None, **attributes: str) -> Any:
    element = etree.Element(tag(name), attributes, nsmap=_PREFIXES)
    element.text = text
    element.extend(list(inside))
    return element


def _written(name: str, inside: Sequence[Any]) -> bytes:
    return etree.tostring(_made(name, inside), xml_declaration=True, encoding="utf-8")


def batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield names in groups of at most so many."""
    for start in range(0, len(names), size):
        yield names[start : start + size]
