"""Opening an account: consent, code, tokens, and giving them back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from providers.errors import NotConfigured, ProviderError, ReconnectRequired, Throttled, WrongCredentials
from providers.google import GoogleProvider
from providers.google.accounts import SCOPES
from providers.interface import ConnectsByOAuth, ListedCalendar, ListsCalendars, Opened
from tests.helpers import BERLIN
from tests.providers.google.payloads import Answering
from tests.providers.google.stage import ADA, ENDPOINT, Stage
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio

BACK = "https://kalends.test/oauth/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    assert stage.desk.violations == []


async def consent(stage: Stage, address: str | None = None) -> dict[str, str]:
    """Send the owner's browser to Google, and return with what it comes back."""
    url = await stage.provider.authorization_url(state="s 1&2", challenge=CHALLENGE, redirect_uri=BACK, address=address)
    answer = await stage.control_client.get(url)
    assert answer.status_code == 302
    back = urlsplit(answer.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def opened(stage: Stage, address: str | None = None) -> Opened:
    back = await consent(stage, address)
    return await stage.provider.exchange(code=back["code"], verifier=VERIFIER, redirect_uri=BACK)


async def test_it_connects_by_oauth_and_lists_calendars(stage: Stage) -> None:
    assert isinstance(stage.provider, ConnectsByOAuth)
    assert isinstance(stage.provider, ListsCalendars)


async def test_the_address_of_the_consent_asks_for_all_that_is_needed_and_for_no_more() -> None:
    provider = GoogleProvider(surroundings(google_client_id="our-client", google_client_secret="hush"))
    url = urlsplit(await provider.authorization_url(state="s", challenge="c", redirect_uri=BACK, address=ADA))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://accounts.google.com/o/oauth2/v2/auth"
    assert {name: values[0] for name, values in parse_qs(url.query).items()} == {
        "response_type": "code",
        "client_id": "our-client",
        "redirect_uri": BACK,
        "scope": " ".join(SCOPES),
        "state": "s",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "include_granted_scopes": "true",
        "prompt": "consent",
        "login_hint": ADA,
    }


async def test_without_a_client_the_operator_must_act_first() -> None:
    provider = GoogleProvider(surroundings())
    with pytest.raises(NotConfigured, match="KALENDS_GOOGLE_CLIENT_ID"):
        await provider.authorization_url(state="s", challenge="c", redirect_uri=BACK, address=None)
    with pytest.raises(NotConfigured):
        await provider.exchange(code="c", verifier="v", redirect_uri=BACK)


async def test_an_account_is_opened_and_its_name_is_its_primary_calendars(stage: Stage) -> None:
    back = await consent(stage)
    assert back["state"] == "s 1&2"
    account = await stage.provider.exchange(code=back["code"], verifier=VERIFIER, redirect_uri=BACK)
    assert (account.subject, account.address) == (ADA, ADA)
    assert account.grant.secrets.keys() == {"access_token", "refresh_token", "expires_at"}
    assert "secret" not in repr(account)
    assert account.grant.secrets["refresh_token"] not in repr(account)
    assert (await opened(stage, "eve@example.org")).subject == "eve@example.org"


async def test_whoever_connects_again_gets_a_lasting_grant_again(stage: Stage) -> None:
    """Google gives a refresh token with the first consent only, unless it is asked for consent."""
    first, second = await opened(stage), await opened(stage)
    assert second.grant.secrets["refresh_token"] != first.grant.secrets["refresh_token"]


async def test_a_code_is_worth_something_once_with_its_verifier_and_for_a_while(stage: Stage) -> None:
    back = await consent(stage)
    for code, verifier, redirect_uri in (
        ("4/nonsense", VERIFIER, BACK),
        (back["code"], "w" * 64, BACK),  # and now it is used up
        (back["code"], VERIFIER, BACK),
        ((await consent(stage))["code"], VERIFIER, f"{BACK}/else"),
    ):
        with pytest.raises(WrongCredentials):
            await stage.provider.exchange(code=code, verifier=verifier, redirect_uri=redirect_uri)
    late = (await consent(stage))["code"]
    stage.clock.now = stage.clock.now.replace(hour=23)
    with pytest.raises(WrongCredentials):
        await stage.provider.exchange(code=late, verifier=VERIFIER, redirect_uri=BACK)


async def test_an_owner_who_leaves_a_box_unticked_has_not_opened_the_account(stage: Stage) -> None:
    await stage.control("PUT", "/consent", {"allows": [SCOPES[0]]})
    with pytest.raises(WrongCredentials, match="box"):
        await opened(stage)


async def test_an_owner_who_declines_comes_back_without_a_code(stage: Stage) -> None:
    await stage.control("PUT", "/consent", {"denies": True})
    back = await consent(stage)
    assert back["error"] == "access_denied"
    assert "code" not in back


async def test_a_client_that_google_does_not_know_is_the_operators_matter(stage: Stage) -> None:
    lent = surroundings(
        transport=stage.transport,
        google_endpoint=f"{ENDPOINT}/",
        google_client_id="client",
        google_client_secret="wrong",
    )
    code = (await consent(stage))["code"]
    with pytest.raises(NotConfigured):
        await GoogleProvider(lent).exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)


async def test_a_busy_token_endpoint_is_left_alone_for_a_while(stage: Stage) -> None:
    code = (await consent(stage))["code"]
    stage.fails("throttled", path="/token", retry_after=9)
    with pytest.raises(Throttled) as caught:
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)
    assert caught.value.retry_after.total_seconds() == 9


@pytest.mark.parametrize("kind", ["unavailable", "half_body", "reply_lost"])
@pytest.mark.parametrize("path", ["/token", "/calendarList/primary"])
async def test_an_account_that_could_not_be_opened_to_the_end_is_an_error_of_ours(
    stage: Stage, kind: str, path: str
) -> None:
    code = (await consent(stage))["code"]
    stage.fails(kind, path=path)
    with pytest.raises(ProviderError):
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)


async def test_a_grant_that_is_given_back_is_worth_nothing_any_more_and_can_be_given_back_again(stage: Stage) -> None:
    account = await opened(stage)
    stage.grants.grants[stage.account_id] = account.grant
    await stage.provider.revoke(account.grant)
    with pytest.raises(ReconnectRequired):
        await stage.provider.calendars(stage.account)
    await stage.provider.revoke(account.grant)


async def test_calendars_are_listed_with_what_one_needs_to_choose(stage: Stage) -> None:
    await stage.connect()
    for number in range(300):
        body = {"id": f"c_{number}", "summary": f"Number {number}", "timeZone": "Asia/Tokyo", "roles": {ADA: "owner"}}
        await stage.control("POST", "/calendars", body)
    await stage.control("POST", "/calendars", {"id": "holidays", "timeZone": "Nowhere", "roles": {ADA: "reader"}})
    await stage.control("POST", "/calendars", {"id": "theirs", "roles": {"eve@example.org": "owner"}})
    found = await stage.provider.calendars(stage.account)
    assert len(found) == 302
    assert found[0] == ListedCalendar(ADA, ADA, BERLIN, read_only=False, primary=True)
    assert found[1] == ListedCalendar("c_0", "Number 0", "Asia/Tokyo")
    assert found[-1] == ListedCalendar("holidays", "holidays", None, read_only=True)


@pytest.mark.parametrize("role", ["owner", "writer", "writerWithoutPrivateAccess", "reader", "freeBusyReader"])
async def test_who_may_not_write_has_a_calendar_that_is_read_only(role: str) -> None:
    entry = {"id": "x", "summary": "Theirs", "summaryOverride": "Mine", "accessRole": role}
    stage = Stage()
    await stage.connect()
    lent = surroundings(
        grants=stage.grants,
        transport=Answering(lambda _: httpx.Response(200, json={"items": [entry]})),
        google_client_id="client",
        google_client_secret="secret",
    )
    (calendar,) = await GoogleProvider(lent).calendars(stage.account)
    assert calendar == replace(ListedCalendar("x", "Mine"), read_only=role in ("reader", "freeBusyReader"))
