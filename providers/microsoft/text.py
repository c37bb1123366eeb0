"""Text as Outlook has it, and as we keep it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from providers.microsoft.wire import ItemBody

LONGEST_SUBJECT = 255
"""https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
("subject length limit"): a longer one cannot be mailed to anybody."""

# What neither JSON with UTF-8 nor every database can carry.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r\n\f]+")
_LINES = frozenset({"br", "div", "p", "li", "tr", "table", "blockquote", "hr", "h1", "h2", "h3", "h4", "h5", "h6"})
_UNSEEN = frozenset({"head", "style", "script", "title"})


def clean(text: str | None) -> str:
    """Return text without characters that nobody can print, its lines ending in one way."""
    return _UNPRINTABLE.sub("", (text or "").replace("\r\n", "\n"))


def described(body: ItemBody | None) -> str | None:
    """Return a description as text, None for an empty one.

    Text is asked for. Where HTML comes all the same, it is read. White space that Outlook adds at the ends is left out.
    """
    if body is None:
        return None
    content = body.get("content") or ""
    text = from_html(content) if body.get("contentType", "text").lower() == "html" else content
    return clean(text).strip() or None


def sent(text: str | None) -> ItemBody:
    """Return a description as it is sent: with the line ends that Exchange keeps anyway."""
    return {"contentType": "text", "content": (text or "").replace("\r\n", "\n").replace("\n", "\r\n")}


def from_html(html: str) -> str:
    """Return the text of an HTML body, with its lines."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = "".join(reader.parts).split("\n")
    return "\n".join(line.strip(" ").replace("\xa0", " ") for line in lines).strip()


class _Reader(HTMLParser):
    """Collects what a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Begin a line where the element does."""
        self._unseen += tag in _UNSEEN
        if tag == "br" or (tag in _LINES and self.parts and self.parts[-1] != "\n"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Show again what follows an element that is not shown."""
        if tag in _UNSEEN and self._unseen:
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        """Keep text, its white space folded."""
        text = _SPACE.sub(" ", data)
        if not self._unseen and text != " ":
            self.parts.append(text)
