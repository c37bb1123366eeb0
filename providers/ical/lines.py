"""iCalendar as lines and components (RFC 5545 section 3.1). What nobody touches is written back as it came.

A file is a tree of components, whose properties keep their own text: unknown ones, unknown parameters, lines that
nobody can read and the way they are folded survive. Values are understood elsewhere, and only those that are asked for.

Limits, for files of strangers: 32 MiB, 10,000 components (those inside components aside), 4 MiB a line, 8 levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from icalendar.parser import Parameters

from providers.errors import Refused

MAX_BYTES = 32 * 2**20
MAX_COMPONENTS = 10_000
MAX_LINE = 4 * 2**20  # characters, unfolded
MAX_DEPTH = 8
_WIDTH = 75  # octets of a line before it is folded

_NAME = re.compile(r"[^:;\n]*")
_FOLD = re.compile(r"\n[ \t]")
_FOLD_BYTES = re.compile(rb"\r?\n[ \t]")
_PARAMETER = re.compile(r';[ \t]*([\w-]+)[ \t]*=((?:"[^"]*"|[^";:])*)')
_PARAMETER_VALUE = re.compile(r'"([^"]*)"|([^,"]+)')
_CARET = re.compile(r"\^([n^'])")
_CARETS = {"n": "\n", "^": "^", "'": '"'}


class Unreadable(Refused):
    """These bytes are no iCalendar, or more of it than Kalends reads; the message says which."""


class NotACalendar(Unreadable):
    """These bytes are something else, such as a page for people."""

    def __init__(self) -> None:
        super().__init__("This is not a calendar.")


class BrokenOff(Unreadable):
    """The end is missing: what is not there must not be taken for deleted."""

    def __init__(self) -> None:
        super().__init__("The calendar breaks off in the middle.")


@dataclass(frozen=True, slots=True)
class Property:
    """A content line. `name` is in upper case; `source` is the line as it came, still folded, breaks as one `\\n`."""

    name: str
    source: str

    @classmethod
    def of(cls, name: str, value: str, parameters: Mapping[str, str | Sequence[str]] | None = None) -> Property:
        """Return a line with this value, which must be escaped as its type asks for."""
        told = Parameters(parameters or {}).to_ical(sorted=False).decode()
        line = f"{name};{told}:{value}" if told else f"{name}:{value}"
        return cls(name, _folded(line))

    @property
    def line(self) -> str:
        """The line, unfolded."""
        return _FOLD.sub("", self.source) if "\n" in self.source else self.source

    @property
    def value(self) -> str:
        """The value, as it is escaped."""
        return self.parts()[1]

    def parts(self) -> tuple[dict[str, list[str]], str]:
        """Return the parameters, names in upper case, and the value as it is escaped.

        An unquoted zone name with a colon inside is understood, too: Exchange writes `TZID=tzone://Microsoft/Custom`.
        """
        line, at = self.line, len(self.name)
        parameters: dict[str, list[str]] = {}
        while (found := _PARAMETER.match(line, at)) is not None:
            parameters.setdefault(found[1].upper(), []).extend(_values(found[2]))
            at = found.end()
        value = line[line.find(":", at) + 1 :] if ":" in line[at:] else ""
        if "TZID" in parameters and ":" in value:
            head, _, value = value.rpartition(":")
            more, *rest = head.split(";")
            parameters["TZID"] = [f"{','.join(parameters['TZID'])}:{more}"]
            for each in rest:
                name, _, told = each.partition("=")
                parameters.setdefault(name.upper(), []).extend(_values(told))
        return parameters, value

    def with_value(self, value: str) -> Property:
        """Return the line with another value."""
        line = self.line
        return Property(self.name, _folded(line[: len(line) - len(self.value)] + value))

    def with_parameter(self, name: str, value: str | None) -> Property:
        """Return the line with another value of one parameter, or without it; the rest stays as it was."""
        line, at = self.line, len(self.name)
        told = f";{Parameters({name: value}).to_ical().decode()}" if value is not None else ""
        while (found := _PARAMETER.match(line, at)) is not None:
            if found[1].upper() == name:
                return Property(self.name, _folded(line[: found.start()] + told + line[found.end() :]))
            at = found.end()
        return Property(self.name, _folded(line[:at] + told + line[at:]))


@dataclass(slots=True)
class Component:
    """A component: its lines and the components inside, in their order. `name` is in upper case."""

    name: str
    items: list[Property | Component] = field(default_factory=list)

    def index(self) -> dict[str, list[Property]]:
        """Return the properties by name."""
        found: dict[str, list[Property]] = {}
        for item in self.items:
            if isinstance(item, Property):
                found.setdefault(item.name, []).append(item)
        return found

    def properties(self, *names: str) -> list[Property]:
        """Return the properties that have one of these names."""
        return [item for item in self.items if isinstance(item, Property) and item.name in names]

    def first(self, name: str) -> Property | None:
        """Return the first property of this name."""
        return next((item for item in self.items if isinstance(item, Property) and item.name == name), None)

    def components(self, *names: str) -> list[Component]:
        """Return the components inside that have one of these names."""
        return [item for item in self.items if isinstance(item, Component) and item.name in names]

    def put(self, name: str, *properties: Property) -> None:
        """Let these be the properties of this name: where the first of them was, or else behind all others."""
        kept: list[Property | Component] = []
        at = None
        for item in self.items:
            if isinstance(item, Property) and item.name == name:
                at = len(kept) if at is None else at
            else:
                kept.append(item)
        if at is None:
            inside = (number for number, item in enumerate(kept) if isinstance(item, Component))
            at = next(inside, len(kept))
        kept[at:at] = properties
        self.items = kept

    def swap(self, old: Property, *new: Property) -> None:
        """Put properties in the place of one."""
        at = next(number for number, item in enumerate(self.items) if item is old)
        self.items[at : at + 1] = new

    def drop(self, component: Component) -> None:
        """Remove a component that is inside."""
        self.items = [item for item in self.items if item is not component]

    def lines(self) -> Iterator[str]:
        """Yield the lines, folded."""
        yield f"BEGIN:{self.name}"
        for item in self.items:
            if isinstance(item, Property):
                yield item.source
            else:
                yield from item.lines()
        yield f"END:{self.name}"


def written(calendars: Sequence[Component]) -> bytes:
    """Return calendars as a stream (RFC 5545 section 3.4)."""
    text = "".join(f"{line}\n" for calendar in calendars for line in calendar.lines())
    return text.replace("\n", "\r\n").encode()


def parsed(data: bytes) -> list[Component]:
    """Return the calendars of a stream. Raises `Unreadable`.

    What is wrong inside is left to whoever asks for it: a line without a colon stays a line.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable("The calendar is too large.")
    calendars: list[Component] = []
    open_ones: list[Component] = []
    count = 0
    for source in _lines(_decoded(data)):
        name = _name(source)
        if name == "BEGIN":
            count += len(open_ones) == 1
            if count > MAX_COMPONENTS:
                raise Unreadable(f"The calendar has more than {MAX_COMPONENTS:,} entries.")
            inner = _opened(open_ones, _FOLD.sub("", source)[6:].strip().upper())
            if not open_ones:
                calendars.append(inner)
            open_ones.append(inner)
        elif not open_ones:
            raise NotACalendar
        elif name == "END":
            _close(open_ones, _FOLD.sub("", source)[4:].strip().upper())
        else:
            open_ones[-1].items.append(Property(name, source))
    if not calendars:
        raise NotACalendar
    if open_ones:
        raise BrokenOff
    return calendars


def _opened(open_ones: Sequence[Component], name: str) -> Component:
    """Return a new component, which is inside the innermost open one."""
    if not open_ones and name != "VCALENDAR":
        raise NotACalendar
    if len(open_ones) >= MAX_DEPTH:
        raise Unreadable("The calendar is nested too deeply.")
    inner = Component(name)
    if open_ones:
        open_ones[-1].items.append(inner)
    return inner


def _close(open_ones: list[Component], name: str) -> None:
    """Close the innermost component of this name that is open, with those inside that nobody has closed."""
    for depth in range(len(open_ones) - 1, -1, -1):
        if open_ones[depth].name == name:
            del open_ones[depth:]
            return


def _name(source: str) -> str:
    """Return a line's name in upper case; a line may be folded anywhere, in its name, too."""
    found = _NAME.match(source)
    if found is not None and source[found.end() : found.end() + 1] == "\n":
        found = _NAME.match(_FOLD.sub("", source))
    return found[0].strip().upper() if found else ""


def _lines(text: str) -> Iterator[str]:
    """Yield the lines, each with what was folded off it."""
    parts: list[str] = []
    length = 0
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and parts:
            parts.append(line)
        elif line.strip():
            if parts:
                yield "\n".join(parts)
            parts, length = [line], 0
        else:
            continue
        length += len(line)
        if length > MAX_LINE:
            raise Unreadable("A line of the calendar is too long.")
    if parts:
        yield "\n".join(parts)


def _decoded(data: bytes) -> str:
    """Return the text, with one kind of line breaks.

    Some producers fold in the middle of a character (RFC 5545 section 3.1 knows of them), and some write Latin-1.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        unfolded = _FOLD_BYTES.sub(b"", data)
        try:
            text = unfolded.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def _values(text: str) -> list[str]:
    """Return a parameter's values, at least one, without quotes, `^` undone (RFC 6868)."""
    found = [quoted or plain.strip() for quoted, plain in _PARAMETER_VALUE.findall(text)] or [""]
    return [_CARET.sub(lambda each: _CARETS[each[1]], value) if "^" in value else value for value in found]


def _folded(line: str) -> str:
    """Return a line folded after 75 octets, between characters, and not behind a backslash: some readers trip there."""
    data = line.encode()
    if len(data) <= _WIDTH:
        return line
    parts, start, width = [], 0, _WIDTH
    while len(data) - start > width:
        end = start + width
        while data[end] & 0xC0 == 0x80 or (data[end - 1] == ord("\\") and end > start + width - 2):
            end -= 1
        parts.append(data[start:end].decode())
        start, width = end, _WIDTH - 1
    parts.append(data[start:].decode())
    return "\n ".join(parts)
