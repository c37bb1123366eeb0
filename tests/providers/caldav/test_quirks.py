"""Which server it is, and what that means; and how versions and names are compared."""

from __future__ import annotations

import httpx
import pytest

from providers.caldav.client import etag_of, is_strong, same_path
from providers.caldav.quirks import UNKNOWN, named, recognised


@pytest.mark.parametrize(
    ("host", "path", "headers", "token", "name"),
    [
        ("caldav.icloud.com", "/", {}, None, "icloud"),
        ("p42-caldav.icloud.com", "/123/calendars/", {}, None, "icloud"),
        ("apidata.googleusercontent.com", "/caldav/v2/", {}, None, "google"),
        (
            "caldav.fastmail.com",
            "/dav/calendars/user/ada@fastmail.com/",
            {"Server": "Cyrus-HTTP/3.9"},
            None,
            "fastmail",
        ),
        ("caldav.gmx.net", "/begenda/dav/ada/calendar/", {}, None, "gmx"),
        ("cloud.example.org", "/remote.php/dav/calendars/ada/", {"X-Sabre-Version": "4.6"}, None, "nextcloud"),
        ("mail.example.org", "/SOGo/dav/ada/Calendar/", {}, None, "sogo"),
        ("dav.example.org", "/caldav.php/ada/", {}, None, "davical"),
        ("dav.example.org", "/dav.php/calendars/ada/", {}, None, "sabre"),
        ("dav.example.org", "/calendars/ada/", {"x-sabre-version": "4.3.1"}, None, "sabre"),
        ("mail.example.org", "/dav/cal/ada/", {}, None, "stalwart"),
        ("imap.example.org", "/dav/calendars/user/ada/", {"Server": "Cyrus-HTTP/3.8.1"}, None, "cyrus"),
        ("dav.lan", "/ada/", {"Server": "WSGIServer"}, "http://radicale.org/ns/sync/e3b0", "radicale"),
        ("mail.example.org", "/dav/ada/Calendar/", {}, None, ""),
        ("evil-icloud.com", "/", {}, None, ""),
        ("icloud.com.example.org", "/", {}, None, ""),
        ("dav.example.org", "/", {}, "token", ""),
    ],
)
def test_a_server_is_recognised(host: str, path: str, headers: dict[str, str], token: str | None, name: str) -> None:
    found = recognised(host, path, httpx.Headers(headers), token)
    assert found.name == name
    assert named(name) is found


@pytest.mark.parametrize("name", [None, "", "no-such-server"])
def test_a_server_that_nobody_knows_is_treated_with_care(name: str | None) -> None:
    assert named(name) is UNKNOWN
    assert UNKNOWN.looks_first


@pytest.mark.parametrize("name", ["sogo", "davical", "sabre", "google"])
def test_where_a_create_could_overwrite_or_double_it_looks_first(name: str) -> None:
    assert named(name).looks_first


@pytest.mark.parametrize(
    ("text", "etag", "strong"),
    [
        ('"1"', '"1"', True),
        (' "1" ', '"1"', True),
        ('W/"1"', '"1"', False),
        ("1", '"1"', True),
        ("%221%22", '"1"', True),
        ('"a b;c"', '"a b;c"', True),
        ("", None, False),
        (None, None, False),
        ('""', None, True),
    ],
)
def test_versions_have_one_spelling(text: str | None, etag: str | None, strong: bool) -> None:
    assert (etag_of(text), is_strong(text)) == (etag, strong)


def test_names_have_several_spellings() -> None:
    assert same_path("/cal/a%40b/", "/cal/a@b")
    assert not same_path("/cal/a/", "/cal/b/")
