"""Finding an account's calendars from whatever address its owner knows (RFC 6764 section 6, RFC 4791 section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import httpx

from providers import zones
from providers.caldav.client import Dav, Unanswered, same_path
from providers.caldav.quirks import recognised
from providers.caldav.wire import Member, Multistatus, propfind, tag
from providers.errors import BadAddress
from providers.ical.lines import Unreadable, parsed
from providers.ical.values import read_address, unescaped
from providers.interface import Grant, ListedCalendar, Opened

WELL_KNOWN = "/.well-known/caldav"
NOTHING = "There is no CalDAV server at this address, or none that shows calendars to this user."
_WHO = propfind("d:current-user-principal", "d:principal-URL", "c:calendar-home-set", "d:resourcetype")
_PRINCIPAL = propfind("c:calendar-home-set", "c:calendar-user-address-set", "d:displayname")
_HOME = propfind(
    "d:resourcetype",
    "d:displayname",
    "d:current-user-privilege-set",
    "d:sync-token",
    "c:supported-calendar-component-set",
    "c:calendar-timezone",
    "c:schedule-default-calendar-URL",
)
_WRITING = ("d:all", "d:write", "d:write-content", "d:bind")


@dataclass(frozen=True, slots=True)
class _Principal:
    path: str
    home: str
    addresses: Sequence[str]


def address_of(text: str) -> httpx.URL:
    """Return the URL that a user means, HTTPS where nothing is said. Raises `BadAddress`."""
    stripped = text.strip()
    try:
        url = httpx.URL(stripped if "://" in stripped else f"https://{stripped}")
    except httpx.InvalidURL as error:
        raise BadAddress("This is not an address.") from error
    return url.copy_with(fragment=None, query=None)


async def sign_in(dav: Dav) -> Opened:
    """Find the account's principal and its home, from the address that `dav` begins at. Raises `BadAddress`."""
    dav.quirks = recognised(dav.base.host, dav.home, {})
    principal = await _principal(dav)
    subject = str(dav.url(principal.path))
    dav.base = dav.url(principal.home)
    try:
        listing, answer = await dav.propfind(dav.home, _HOME, depth=1)
    except Unanswered as error:
        raise BadAddress(NOTHING) from error
    token = next((text for member in listing.members if (text := member.text("d:sync-token"))), None)
    dav.quirks = recognised(dav.base.host, dav.home, answer.headers, token)
    secrets = {
        "url": str(dav.base),
        "principal": principal.path,
        "username": dav.username,
        "password": dav.password,
        "addresses": " ".join(principal.addresses),
        "server": dav.quirks.name,
        "scheme": "digest" if dav.digest else "basic",
    }
    address = principal.addresses[0] if principal.addresses else read_address(dav.username)
    return Opened(Grant(secrets), subject, address)


async def calendars(dav: Dav) -> Sequence[ListedCalendar]:
    """List the calendars of an account that hold events. Raises `Unanswered`."""
    listing, _ = await dav.propfind(dav.home, _HOME, depth=1)
    defaults = [href for member in listing.members for href in member.hrefs("c:schedule-default-calendar-URL")]
    found = []
    for member in listing.members:
        path = dav.path(member.href)
        if path is None or not _holds_events(member):
            continue
        primary = any(same_path(dav.path(href) or "", path) for href in defaults)
        name = member.text("d:displayname") or unquote(path.rstrip("/").rpartition("/")[2])
        found.append(
            ListedCalendar(
                path if path.endswith("/") else f"{path}/",
                name,
                _zone(member.text("c:calendar-timezone")),
                read_only=not _writable(member),
                primary=primary,
            )
        )
    return found


async def _principal(dav: Dav) -> _Principal:
    """Try the address itself, where it says more than the server's name, then the well-known one and the root."""
    refused: BadAddress | None = None
    paths = (WELL_KNOWN, "/") if dav.home in ("", "/") else (dav.home, WELL_KNOWN, "/")
    if dav.quirks.begins_at is not None:
        paths = (dav.quirks.begins_at.format(username=quote(dav.username)), *paths)
    for path in paths:
        try:
            listing, answer = await dav.propfind(path, _WHO, depth=0)
            found = await _described(dav, answer.url, listing)
        except Unanswered:
            continue
        except BadAddress as error:
            refused = error
            continue
        if found is not None:
            return found
    raise refused or BadAddress(NOTHING)


async def _described(dav: Dav, at: httpx.URL, listing: Multistatus) -> _Principal | None:
    """Return the principal that an answer leads to. The answer may be the principal's own, or its calendar's."""
    candidates = [*_paths(dav, listing, "d:current-user-principal"), *_paths(dav, listing, "d:principal-URL")]
    if any(member.hrefs("c:calendar-home-set") for member in listing.members):
        candidates.append(at.raw_path.decode("ascii"))
    for path in dict.fromkeys(candidates):
        try:
            described, _ = await dav.propfind(path, _PRINCIPAL, depth=0)
        except Unanswered:
            continue
        homes = [href for member in described.members for href in member.hrefs("c:calendar-home-set")]
        home = next((href for href in homes if dav.path(href) is not None), None)
        if home is not None:
            said = (href for member in described.members for href in member.hrefs("c:calendar-user-address-set"))
            addresses = [email for href in said if href.lower().startswith("mailto:") and (email := read_address(href))]
            return _Principal(path, home, addresses)
    return None


def _paths(dav: Dav, listing: Multistatus, name: str) -> Iterator[str]:
    for member in listing.members:
        for href in member.hrefs(name):
            path = dav.path(href)
            if path is not None:
                yield path


def _holds_events(member: Member) -> bool:
    """Tell whether a collection is a calendar for events; one that does not say is for everything (RFC 4791 5.2.3)."""
    components = member.properties.get(tag("c:supported-calendar-component-set"))
    is_calendar = member.has("d:resourcetype", "c:calendar")
    return is_calendar and (components is None or not components.names or "VEVENT" in components.names)


def _writable(member: Member) -> bool:
    """Tell whether events may be written there; a server that keeps silent about it lets us try."""
    privileges = member.properties.get(tag("d:current-user-privilege-set"))
    return privileges is None or any(tag(each) in privileges.tags for each in _WRITING)


def _zone(definition: str | None) -> str | None:
    """Return the IANA name of a calendar's zone, which it says as a VTIMEZONE (RFC 4791 section 5.2.2)."""
    if definition is None:
        return None
    try:
        found = [zone for calendar in parsed(definition.encode()) for zone in calendar.components("VTIMEZONE")]
    except Unreadable:
        return None
    names = [line for zone in found for line in (zone.first("TZID"), zone.first("X-LIC-LOCATION")) if line is not None]
    return next((known for line in names if (known := zones.iana(unescaped(line.value)))), None)
