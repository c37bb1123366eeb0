"""Names of zones as providers write them. One that nobody knows is never UTC."""

from __future__ import annotations

import pytest
from tzlocal.windows_tz import win_tz

from kalends.domain.errors import Malformed
from kalends.domain.time import read_zone, zone_names
from providers.zones import iana, windows


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("  Europe/Berlin ", "Europe/Berlin"),
        ('"Europe/Berlin"', "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
        ("Etc/UTC", "Etc/UTC"),
        ("GMT", "GMT"),
        ("Coordinated Universal Time", "UTC"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/citadel.org/20190914_1/America/New_York", "America/New_York"),
        ("/mozilla.org/20070129_1/Asia/Kolkata", "Asia/Kolkata"),
    ],
)
def test_a_known_name_has_an_iana_name(name: str, expected: str) -> None:
    assert iana(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "/",
        "tzone://Microsoft/Custom",
        "Customized Time Zone",
        "(UTC+01:00) Amsterdam, Berlin",
        "Mars/Olympus",
        "Berlin",
        "CustomTimeZone-20260101",
        "localtime",
        "Factory",
        "posixrules",
        "../../etc/passwd",
        "x" * 10_000,
    ],
)
def test_a_name_that_nobody_knows_is_no_zone_and_never_utc(name: str) -> None:
    assert iana(name) is None


def test_every_iana_name_is_its_own() -> None:
    assert all(iana(name) == name for name in zone_names())


def test_every_windows_name_has_an_iana_name_that_exists() -> None:
    found = {name: iana(name) for name in win_tz}
    assert not [name for name, zone in found.items() if isinstance(read_zone(zone), Malformed)]


@pytest.mark.parametrize(
    ("tzid", "expected"),
    [("Europe/Berlin", "W. Europe Standard Time"), ("UTC", "UTC"), ("Etc/UTC", "UTC"), ("Antarctica/Troll", None)],
)
def test_windows_has_a_name_for_most_zones(tzid: str, expected: str | None) -> None:
    assert windows(tzid) == expected


def test_a_windows_name_leads_back_to_a_zone_with_the_same_name() -> None:
    for tzid in ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo", "UTC"):
        name = windows(tzid)
        assert name is not None
        assert iana(name) == tzid
