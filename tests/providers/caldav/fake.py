"""A CalDAV server inside the test, which behaves as badly as it is told to."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import httpx
from lxml import etree

USER, PASSWORD = "ada", "app-password"
HOST = "dav.example.org"
URL = f"https://{HOST}"
PRINCIPAL, HOME, WORK = "/principals/ada/", "/calendars/ada/", "/calendars/ada/work/"

_DAV, _CALDAV, _CS = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}", "{http://calendarserver.org/ns/}"
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"'
    ' xmlns:cs="http://calendarserver.org/ns/">'
)
_SHORT = {_DAV: "d:", _CALDAV: "c:", _CS: "cs:"}

Hook = Callable[[httpx.Request], httpx.Response | None]


def respond(status: int, body: str | bytes = b"", **headers: str) -> httpx.Response:
    """Return an answer; underscores in headers' names are hyphens."""
    content = body.encode() if isinstance(body, str) else body
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=told, stream=httpx.ByteStream(content))


def error(status: int, condition: str) -> httpx.Response:
    """Return an answer that names a precondition (RFC 4918 section 16)."""
    body = f'<d:error xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><{condition}/></d:error>'
    return respond(status, body, content_type="application/xml")


def _as_it_is(text: str) -> str:
    return text


@dataclass
class FakeDav(httpx.AsyncBaseTransport):
    """One account's server, with one calendar. What each switch does is in its name."""

    files: dict[str, str] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    overwrites: bool = False  # in spite of If-None-Match: *
    stores_duplicates: bool = False  # of a UID
    uid_conflict: Callable[[], httpx.Response] = lambda: error(409, "c:no-uid-conflict")
    etag_of_put: str | None = "strong"  # "weak", or None
    rewrites: Callable[[str], str] = _as_it_is
    tokens: bool = True
    cuts_at: int | None = None  # members of one sync-collection
    ctag: bool = True
    calendar_exists: bool = True
    ignores_filters: bool = False
    href_prefix: str = ""  # before every path, such as another spelling of the host

    well_known: str | None = PRINCIPAL
    principal_at: tuple[str, ...] = ("/", PRINCIPAL)
    home: str | None = HOME
    addresses: tuple[str, ...] = ("mailto:ada@example.org",)
    listing: str | None = None  # of the home, as responses
    digest: bool = False
    user: str = USER

    def __post_init__(self) -> None:
        self._versions: dict[str, int] = {}
        self._history: list[tuple[str, bool]] = []  # name, and whether it was there after
        self._numbers = count(1)
        for name in list(self.files):
            self._note(name, alive=True)

    # What tests do

    def put(self, name: str, text: str) -> None:
        """Store a file, as somebody else does."""
        self.files[name] = text
        self._note(name, alive=True)

    def remove(self, name: str) -> None:
        """Delete a file, as somebody else does."""
        self.files.pop(name, None)
        self._note(name, alive=False)

    def etag(self, name: str) -> str:
        """Return a file's version."""
        return f'"{self._versions[name]}"'

    def sent(self, method: str) -> list[httpx.Request]:
        """Return the requests of one method so far."""
        return [each for each in self.requests if each.method == method]

    # HTTP

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        await request.aread()
        self.requests.append(request)
        for hook in self.hooks:
            answer = hook(request)
            if answer is not None:
                return answer
        refused = self._refused(request)
        answer = refused or self._answer(request)
        answer.headers.update(self.headers)
        return answer

    def _refused(self, request: httpx.Request) -> httpx.Response | None:
        said = request.headers.get("authorization", "")
        if self.digest:
            if said.startswith("Digest ") and 'username="ada"' in said and "response=" in said:
                return None
            return respond(401, www_authenticate='Digest realm="dav", nonce="abc", qop="auth", algorithm=SHA-256')
        basic = base64.b64encode(f"{self.user}:{PASSWORD}".encode()).decode()
        return None if said == f"Basic {basic}" else respond(401, www_authenticate='Basic realm="dav"')

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        if path == "/.well-known/caldav" and self.well_known:
            return respond(301, location=self.well_known)
        match request.method:
            case "PROPFIND":
                return self._propfind(request, path)
            case "REPORT":
                return self._report(request, path)
            case "GET" | "PUT" | "DELETE" if path.startswith(WORK) and self.calendar_exists:
                return self._file(request, path.removeprefix(WORK))
            case "PUT":
                return respond(409)
        return respond(404)

    def _file(self, request: httpx.Request, name: str) -> httpx.Response:
        here = name in self.files
        if request.method == "PUT":
            return self._put(request, name)
        if request.headers.get("if-match") not in (None, self.etag(name) if here else None):
            return respond(412)
        if not here:
            return respond(404)
        if request.method == "GET":
            return respond(200, self.files[name], etag=self.etag(name), content_type="text/calendar")
        self.remove(name)
        return respond(204)

    def _put(self, request: httpx.Request, name: str) -> httpx.Response:
        here, text = name in self.files, request.content.decode()
        if request.headers.get("if-none-match") == "*" and here and not self.overwrites:
            return respond(412)
        if "if-match" in request.headers and request.headers["if-match"] != (self.etag(name) if here else None):
            return respond(412)
        others = [each for each in self.files if each != name and _uid(self.files[each]) == _uid(text)]
        if others and not self.stores_duplicates:
            return self.uid_conflict()
        self.put(name, self.rewrites(text))
        etag = {"strong": self.etag(name), "weak": f"W/{self.etag(name)}"}.get(self.etag_of_put or "")
        return respond(204 if here else 201, **({"etag": etag} if etag else {}))

    # XML

    def _propfind(self, request: httpx.Request, path: str) -> httpx.Response:
        asked = [_short(each.tag) for each in etree.fromstring(request.content)[0]]
        if path == WORK and self.calendar_exists:
            found = self._calendar(asked)
            if request.headers["depth"] == "1":
                found += "".join(self._listed(name) for name in self.files)
            return _multistatus(found)
        if path == HOME:
            return _multistatus(self.listing if self.listing is not None else self._calendar(asked))
        if path in self.principal_at:
            return _multistatus(self._response(path, self._principal(asked)))
        return respond(404)

    def _principal(self, asked: list[str]) -> dict[str, str]:
        known = {"d:current-user-principal": f"<d:href>{PRINCIPAL}</d:href>"}
        if self.home is not None:
            known["c:calendar-home-set"] = f"<d:href>{self.home}</d:href>"
        known["c:calendar-user-address-set"] = "".join(f"<d:href>{each}</d:href>" for each in self.addresses)
        return {name: value for name, value in known.items() if name in asked}

    def _calendar(self, asked: list[str]) -> str:
        known = {
            "d:resourcetype": "<d:collection/><c:calendar/>",
            "d:displayname": "Work",
            "d:sync-token": self._token() if self.tokens else "",
            "d:supported-report-set": "<d:sync-collection/>" if self.tokens else "",
        }
        if self.ctag:
            known["cs:getctag"] = f"ctag-{len(self._history)}"
        return self._response(WORK, {name: value for name, value in known.items() if name in asked})

    def _report(self, request: httpx.Request, path: str) -> httpx.Response:
        if path != WORK or not self.calendar_exists:
            return respond(404)
        root = etree.fromstring(request.content)
        match _short(root.tag):
            case "d:sync-collection":
                return self._sync(root)
            case "c:calendar-multiget":
                hrefs = [each.text or "" for each in root.iter(f"{_DAV}href")]
                return _multistatus("".join(self._whole(href.rpartition("/")[2]) for href in hrefs))
        uid = root.findtext(f".//{_CALDAV}text-match")
        found = [name for name, text in self.files.items() if self.ignores_filters or _uid(text) == uid]
        return _multistatus("".join(self._whole(name) for name in found))

    def _sync(self, root: Any) -> httpx.Response:
        if not self.tokens:
            return error(403, "d:supported-report")
        assert root.find(f"{_DAV}limit") is None, "DAV:limit makes servers lose changes"
        token = root.findtext(f"{_DAV}sync-token") or ""
        if token and not re.fullmatch(r"token-\d+", token):
            return error(403, "d:valid-sync-token")
        since = int(token.removeprefix("token-") or 0)
        names = list(dict.fromkeys(name for name, _ in self._history[since:]))
        until = len(self._history)
        if self.cuts_at is not None and len(names) > self.cuts_at:
            names = names[: self.cuts_at]
            until = since + self.cuts_at
        found = "".join(self._listed(name) for name in names if name in self.files or since)
        if until < len(self._history):
            status = "<d:status>HTTP/1.1 507 Insufficient Storage</d:status>"
            found += f"<d:response><d:href>{WORK}</d:href>{status}</d:response>"
        return _multistatus(f"{found}<d:sync-token>token-{until}</d:sync-token>")

    def _listed(self, name: str) -> str:
        if name not in self.files:
            return f"<d:response><d:href>{WORK}{name}</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>"
        return self._response(f"{WORK}{name}", {"d:getetag": self.etag(name)})

    def _whole(self, spelled: str) -> str:
        name = spelled if spelled in self.files else unquote(spelled)
        if name not in self.files:
            return self._listed(name)
        return self._response(
            f"{WORK}{name}", {"d:getetag": self.etag(name), "c:calendar-data": escape(self.files[name])}
        )

    def _response(self, path: str, properties: Mapping[str, str]) -> str:
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in properties.items())
        return (
            f"<d:response><d:href>{self.href_prefix}{path}</d:href><d:propstat><d:prop>{inner}</d:prop>"
            "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )

    def _token(self) -> str:
        return f"token-{len(self._history)}"

    def _note(self, name: str, *, alive: bool) -> None:
        self._history.append((name, alive))
        self._versions[name] = next(self._numbers)


def _multistatus(inner: str) -> httpx.Response:
    return respond(207, f"{_HEAD}{inner}</d:multistatus>", content_type="application/xml; charset=utf-8")


def _short(tag: Any) -> str:
    namespace, _, name = str(tag).rpartition("}")
    return _SHORT[f"{namespace}}}"] + name


def _uid(text: str) -> str:
    found = re.search(r"^UID:(.*?)\r?$", re.sub(r"\r?\n[ \t]", "", text), re.MULTILINE)
    return found[1] if found else hashlib.sha256(text.encode()).hexdigest()
