"""Signing in with whatever address somebody knows, and the calendars that are found there."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from kalends.domain.ids import uuid7
from providers.caldav import CaldavProvider
from providers.errors import (
    BadAddress,
    OutcomeUnknown,
    ReconnectRequired,
    Refused,
    Throttled,
    Unreachable,
    WrongCredentials,
)
from providers.interface import Grant, Opened, RemoteAccount
from tests.providers.caldav.fake import HOME, HOST, PASSWORD, PRINCIPAL, URL, USER, WORK, FakeDav, respond
from tests.providers.surroundings import MemoryGrants, surroundings

pytestmark = pytest.mark.anyio


async def sign_in(dav: FakeDav, url: str = URL, username: str = USER, password: str = PASSWORD) -> Opened:
    provider = CaldavProvider(surroundings(transport=dav))
    return await provider.sign_in(url=url, username=username, password=password)


async def calendars(dav: FakeDav, grant: Grant | None = None) -> list[tuple[str, str, str | None, bool, bool]]:
    account = uuid7()
    secrets = {"url": URL + HOME, "principal": PRINCIPAL, "username": USER, "password": PASSWORD}
    grants = MemoryGrants({account: grant or Grant(secrets)})
    provider = CaldavProvider(surroundings(transport=dav, grants=grants))
    found = await provider.calendars(RemoteAccount(uuid7(), account))
    return [(each.remote_id, each.name, each.tzid, each.read_only, each.primary) for each in found]


# Finding


@pytest.mark.parametrize(
    "url", [URL, f"{URL}/", HOST, f" {HOST} ", f"{URL}{PRINCIPAL}", f"{URL}{HOME}", f"{URL}/typo/"]
)
async def test_the_account_is_found_from_any_address_of_its_server(url: str) -> None:
    opened = await sign_in(FakeDav(principal_at=("/", PRINCIPAL)), url)
    secrets = opened.grant.secrets
    assert (secrets["url"], secrets["principal"], secrets["username"]) == (URL + HOME, PRINCIPAL, USER)
    assert (opened.subject, opened.address) == (URL + PRINCIPAL, "ada@example.org")


async def test_a_server_without_a_well_known_address_is_found_at_its_root() -> None:
    assert (await sign_in(FakeDav(well_known=None))).grant.secrets["principal"] == PRINCIPAL


async def test_a_server_that_is_only_found_by_its_well_known_address_is_found() -> None:
    """RFC 6764 section 5: the context path is where the redirect leads."""
    opened = await sign_in(FakeDav(well_known="/dav/", principal_at=("/dav/", PRINCIPAL)))
    assert opened.grant.secrets["url"] == URL + HOME


async def test_the_password_is_in_the_grant_and_in_nothing_that_is_shown() -> None:
    opened = await sign_in(FakeDav())
    assert opened.grant.secrets["password"] == PASSWORD
    assert PASSWORD not in repr(opened)
    assert PASSWORD not in opened.subject


@pytest.mark.parametrize(
    ("addresses", "username", "expected"),
    [
        (("mailto:ada@example.org",), USER, "ada@example.org"),
        ((f"{PRINCIPAL}", "MAILTO:Ada%2Bx@example.org"), USER, "Ada+x@example.org"),
        ((PRINCIPAL, "urn:uuid:1"), USER, None),
        ((), "ada", None),
    ],
)
async def test_the_owners_address_is_the_one_that_the_server_knows(
    addresses: tuple[str, ...], username: str, expected: str | None
) -> None:
    assert (await sign_in(FakeDav(addresses=addresses), username=username)).address == expected


async def test_a_user_name_that_is_an_address_is_one() -> None:
    dav = FakeDav(addresses=(), user="ada@fastmail.example")
    assert (await sign_in(dav, username="ada@fastmail.example")).address == "ada@fastmail.example"


async def test_of_several_addresses_the_preferred_one_comes_first() -> None:
    dav = FakeDav(addresses=("mailto:ada@icloud.example",))
    preferred = '<d:href>mailto:old@example.org</d:href><d:href preferred="1">mailto:new@example.org</d:href>'

    def hook(request: httpx.Request) -> httpx.Response | None:
        if b"calendar-user-address-set" not in request.content:
            return None
        body = (
            '<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:response><d:href>/</d:href>'
            f"<d:propstat><d:prop><c:calendar-home-set><d:href>{HOME}</d:href></c:calendar-home-set>"
            f"<c:calendar-user-address-set>{preferred}</c:calendar-user-address-set></d:prop>"
            "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"
        )
        return respond(207, body)

    dav.hooks.append(hook)
    opened = await sign_in(dav)
    assert opened.address == "new@example.org"
    assert opened.grant.secrets["addresses"] == "new@example.org old@example.org"


async def test_a_server_that_wants_a_digest_gets_one_and_never_the_password_itself_again() -> None:
    """RFC 7616. Baikal asks for it unless told otherwise."""
    dav = FakeDav(digest=True)
    opened = await sign_in(dav)
    assert opened.grant.secrets["scheme"] == "digest"
    basic = [each for each in dav.requests if each.headers.get("authorization", "").startswith("Basic")]
    assert len(basic) == 1
    dav.requests.clear()
    assert len(await calendars(dav, opened.grant)) == 1
    assert not any(each.headers.get("authorization", "").startswith("Basic") for each in dav.requests)


# Partitions


async def test_icloud_keeps_calendars_on_another_host_of_its_own() -> None:
    dav = FakeDav(home=f"https://p42-caldav.icloud.com:443{HOME}", listing="")
    opened = await sign_in(dav, "https://caldav.icloud.com")
    assert opened.grant.secrets["url"] == f"https://p42-caldav.icloud.com{HOME}"
    assert opened.grant.secrets["server"] == "icloud"
    assert opened.subject == f"https://caldav.icloud.com{PRINCIPAL}"


@pytest.mark.parametrize(
    "home",
    [
        "https://elsewhere.example/calendars/",
        "//elsewhere.example/calendars/",
        f"http://{HOST}/calendars/ada/",
        f"https://{HOST}:8443/calendars/ada/",
        f"https://user@{HOST}/calendars/ada/",
        "https://p42-caldav.icloud.com/123/",
    ],
)
async def test_a_home_on_another_server_is_no_home(home: str) -> None:
    dav = FakeDav(home=home)
    with pytest.raises(BadAddress):
        await sign_in(dav)
    assert {each.url.host for each in dav.requests} == {HOST}


# Refusals


async def test_wrong_credentials_are_said_to_be_wrong() -> None:
    dav = FakeDav()
    with pytest.raises(WrongCredentials) as caught:
        await sign_in(dav, password="wrong")
    assert "wrong" not in str(caught.value)
    assert HOST not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "not an address", "https://", "http://dav.example.org", "https://a:b@dav.example.org"]
)
async def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    dav = FakeDav()
    with pytest.raises(BadAddress):
        await sign_in(dav, url)
    assert dav.requests == []


@pytest.mark.parametrize(
    "dav",
    [
        FakeDav(well_known=None, principal_at=()),
        FakeDav(home=None),
        FakeDav(hooks=[lambda _: respond(200, "<html>Welcome</html>", content_type="text/html")]),
        FakeDav(hooks=[lambda _: respond(405)]),
        FakeDav(hooks=[lambda _: respond(403)]),
    ],
    ids=["nothing there", "no calendars", "a web page", "no WebDAV", "forbidden"],
)
async def test_a_server_without_calendars_is_said_to_be_none(dav: FakeDav) -> None:
    with pytest.raises(BadAddress):
        await sign_in(dav)


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/dav",
        "//elsewhere.example/dav",
        f"http://{HOST}/dav",
        "https://10.0.0.1/",
        "https://[",
    ],
)
async def test_a_redirect_to_another_server_is_not_followed_and_takes_no_password_along(location: str) -> None:
    dav = FakeDav(hooks=[lambda _: respond(301, location=location)])
    with pytest.raises((BadAddress, OutcomeUnknown)) as caught:
        await sign_in(dav)
    assert {each.url.host for each in dav.requests} == {HOST}
    assert "elsewhere" not in str(caught.value)


async def test_redirects_in_circles_end() -> None:
    dav = FakeDav(hooks=[lambda _: respond(302, location="/again")])
    with pytest.raises(BadAddress):
        await sign_in(dav)
    assert len(dav.requests) <= 12


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: respond(503), Unreachable),
        (lambda: respond(429, retry_after="7"), Throttled),
        (lambda: respond(207, "half <"), OutcomeUnknown),
        (lambda: respond(207, '<!DOCTYPE d [<!ENTITY x "y">]><d/>'), Refused),
        (lambda: respond(207, b"\xff\xfe"), OutcomeUnknown),
    ],
)
async def test_a_server_that_fails_says_nothing_about_the_address(answer: object, error: type[Exception]) -> None:
    dav = FakeDav(hooks=[lambda _: answer()])  # type: ignore[operator]
    with pytest.raises(error):
        await sign_in(dav)


# Calendars


def collection(path: str, properties: str) -> str:
    return (
        f"<d:response><d:href>{path}</d:href><d:propstat><d:prop>{properties}</d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )


CALENDAR = "<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>"
READ = "<d:current-user-privilege-set><d:privilege><d:read/></d:privilege></d:current-user-privilege-set>"
WRITE = "<d:current-user-privilege-set><d:privilege><d:write-content/></d:privilege></d:current-user-privilege-set>"
EVENTS = '<c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>'
TASKS = '<c:supported-calendar-component-set><c:comp name="VTODO"/></c:supported-calendar-component-set>'
ZONE = (
    "<c:calendar-timezone>BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:{0}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
    "TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nEND:VCALENDAR\r\n</c:calendar-timezone>"
)


async def test_calendars_are_listed_with_their_names_zones_and_rights() -> None:
    listing = (
        collection(HOME, "<d:resourcetype><d:collection/></d:resourcetype>")
        + collection(f"{HOME}a/", f"{CALENDAR}<d:displayname>Ärzte &amp; co</d:displayname>{WRITE}{EVENTS}")
        + collection(f"{HOME}b", f"{CALENDAR}{READ}" + ZONE.format("W. Europe Standard Time"))
        + collection(f"{HOME}c/", f"{CALENDAR}<d:displayname></d:displayname>" + ZONE.format("Nobody's"))
        + collection(f"{HOME}d%40e/", f"{CALENDAR}<c:calendar-timezone>garbage</c:calendar-timezone>")
        + collection(f"{HOME}tasks/", f"{CALENDAR}{TASKS}")
        + collection(f"{HOME}contacts/", "<d:resourcetype><d:collection/></d:resourcetype>")
        + collection(
            f"{HOME}inbox/",
            f"<c:schedule-default-calendar-URL><d:href>{HOME}a/</d:href></c:schedule-default-calendar-URL>",
        )
        + collection("https://elsewhere.example/calendars/x/", CALENDAR)
    )
    assert await calendars(FakeDav(listing=listing)) == [
        (f"{HOME}a/", "Ärzte & co", None, False, True),
        (f"{HOME}b/", "b", "Europe/Berlin", True, False),
        (f"{HOME}c/", "c", None, False, False),
        (f"{HOME}d%40e/", "d@e", None, False, False),
    ]


async def test_an_account_without_calendars_has_none() -> None:
    assert await calendars(FakeDav(listing="")) == []


async def test_an_account_whose_home_is_gone_must_be_connected_again() -> None:
    with pytest.raises(ReconnectRequired):
        await calendars(FakeDav(hooks=[lambda _: respond(404)]))


async def test_a_password_that_is_refused_once_is_tried_again_and_then_given_up() -> None:
    refusals = iter([True, False])
    once = FakeDav(hooks=[lambda _: respond(401) if next(refusals, False) else None])
    assert [each[0] for each in await calendars(once)] == [WORK]
    twice = FakeDav(hooks=[lambda _: respond(401, www_authenticate="Basic")])
    with pytest.raises(ReconnectRequired):
        await calendars(twice)
    assert len(twice.requests) == 2


async def test_giving_a_password_back_asks_nobody() -> None:
    dav = FakeDav()
    provider = CaldavProvider(surroundings(transport=dav))
    await provider.revoke(Grant({"url": URL}))
    assert dav.requests == []
    assert replace(Grant({"password": "x"})) == Grant({"password": "x"})


async def test_a_server_whose_well_known_address_leads_astray_is_begun_elsewhere() -> None:
    """GMX redirects to a place that knows no principal."""
    dav = FakeDav(well_known="/begenda/dav/users", principal_at=(f"/begenda/dav/{USER}/", PRINCIPAL))
    opened = await sign_in(dav, "https://caldav.gmx.net")
    assert opened.grant.secrets["server"] == "gmx"
    assert opened.grant.secrets["principal"] == PRINCIPAL
