"""What differs from server to server, how a server is recognised, and who says so.

A server that nobody recognises is treated with care: a create looks for the event first. So a wrong guess costs a
request, and never a second copy. [C] is `compatibility_hints.py` of the caldav package, version 3.6, which measures
servers; [R] was measured by the tests here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one kind of server behaves."""

    name: str = ""
    looks_first: bool = True
    """A create overwrites in spite of `If-None-Match: *`, or stores a second event of a UID, or nobody knows."""

    reads_back: bool = False
    """What is stored differs from what was written, although an ETag comes with the answer."""

    domain: str | None = None
    """Hosts of this domain are one server: an account's calendars live on another host than people name."""

    lossy_first_listing: bool = False
    """The first part of a listing that is cut names a token that skips the rest."""

    trash: bool = False
    """A deleted event keeps its UID in a trash bin until that is emptied."""

    begins_at: str | None = None
    """Where an account's principal is, where the well-known address leads nowhere."""

    tokens: bool = True
    """Whether sync-collection works, where it is announced."""


UNKNOWN = Quirks()

# DAViCal, Synology's fork of it, Baikal and Infomaniak (both sabre/dav) store a second event with the same UID [C].
# SOGo and Zimbra overwrite in spite of `If-None-Match: *` [C]. Zimbra has no mark of its own, and so stays unknown, as
# do Xandikos and Open-Xchange, which refuses changes of an answer (403) and of a series' start where times of it differ
# (409) [C].
_KNOWN = (
    # Homes are on p00-caldav.icloud.com and its likes; events need an end; `If-Match: *` is read backwards [C]
    # (https://github.com/python-caldav/caldav/issues/730).
    Quirks("icloud", looks_first=False, domain="icloud.com"),
    # Of the If* headers it knows If-Match alone, and keeps no property that it has no word for. It takes no passwords
    # (https://developers.google.com/workspace/calendar/caldav/v2/guide).
    Quirks("google", reads_back=True),
    Quirks("fastmail", looks_first=False),  # runs Cyrus
    # Refuses a second event with the same UID by unique-scheduling-object-resource (403) [C].
    Quirks("cyrus", looks_first=False),
    # A trash bin keeps the UIDs of deleted events, where it is not switched off
    # (https://github.com/nextcloud/server/issues/30096); newer ones let the new event in
    # (https://github.com/nextcloud/server/pull/61881).
    # DAV:limit makes it skip changes for good [C]: it is never sent to anybody.
    Quirks("nextcloud", looks_first=False, trash=True),
    Quirks("sogo"),
    Quirks("davical"),
    Quirks("sabre"),
    # Says yes to tokens that it never gave out, and cuts its listings at a size of its own [C].
    Quirks("stalwart", looks_first=False, lossy_first_listing=True),
    # The ETag of a PUT is weak, and that of a GET strong; sync-collection fails, and the well-known address leads
    # astray [C].
    Quirks("gmx", looks_first=False, tokens=False, begins_at="/begenda/dav/{username}/"),
    # Refuses what is there, by name (412) and by UID (409 no-uid-conflict); deleted names come back [R].
    Quirks("radicale", looks_first=False),
)
_BY_NAME = {each.name: each for each in _KNOWN}
_HOSTS = {
    "icloud.com": "icloud",
    "google.com": "google",
    "googleusercontent.com": "google",
    "fastmail.com": "fastmail",
    "gmx.net": "gmx",
}
_PATHS = {
    "/remote.php/dav": "nextcloud",
    "/SOGo/": "sogo",
    "/caldav.php/": "davical",
    "/dav/cal/": "stalwart",
    "/dav.php/": "sabre",
}


def named(name: str | None) -> Quirks:
    """Return the quirks of a server that was recognised before."""
    return _BY_NAME.get(name or "", UNKNOWN)


def recognised(host: str, path: str, headers: Mapping[str, str], token: str | None = None) -> Quirks:
    """Recognise a server by its name, by where it keeps calendars, by what it says of itself, or by its sync token."""
    for domain, name in _HOSTS.items():
        if host == domain or host.endswith(f".{domain}"):
            return _BY_NAME[name]
    for part, name in _PATHS.items():
        if part in path:
            return _BY_NAME[name]
    if headers.get("server", "").startswith("Cyrus"):
        return _BY_NAME["cyrus"]
    if "x-sabre-version" in headers:
        return _BY_NAME["sabre"]
    if token is not None and token.startswith("http://radicale.org/"):
        return _BY_NAME["radicale"]
    return UNKNOWN
