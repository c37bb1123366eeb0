"""Opening accounts, and keeping them open."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from providers.errors import NotConfigured, ReconnectRequired, Refused, Throttled, WrongCredentials
from providers.interface import ConnectsByOAuth, ListsCalendars, Opened, RemoteAccount
from providers.microsoft import MicrosoftProvider
from tests.contracts.provider_contract import OWNER
from tests.providers.microsoft.stage import ENDPOINT, OTHER, Stage
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "https://calendar.example.org/oauth/callback"


async def asked(stage: Stage, address: str | None = OWNER) -> str:
    return await stage.provider.authorization_url(
        state="state-1", challenge=CHALLENGE, redirect_uri=BACK, address=address
    )


async def consented(stage: Stage, address: str | None = OWNER) -> dict[str, str]:
    """Let the owner go where we send them; return what they bring back."""
    async with httpx.AsyncClient(transport=stage.transport) as browser:
        answer = await browser.get(await asked(stage, address))
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(BACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def opened(stage: Stage, address: str | None = OWNER, verifier: str = VERIFIER) -> Opened:
    brought = await consented(stage, address)
    assert brought["state"] == "state-1"
    return await stage.provider.exchange(code=brought["code"], verifier=verifier, redirect_uri=BACK)


async def test_it_is_opened_by_its_owner_and_has_calendars_to_choose_from(stage: Stage) -> None:
    assert isinstance(stage.provider, ConnectsByOAuth)
    assert isinstance(stage.provider, ListsCalendars)


async def test_the_owner_is_sent_to_microsoft_with_what_we_ask_for() -> None:
    provider = MicrosoftProvider(surroundings(microsoft_client_id="id", microsoft_client_secret="secret"))
    url = urlsplit(await provider.authorization_url(state="s", challenge=CHALLENGE, redirect_uri=BACK, address=OWNER))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
    assert query == {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": BACK,
        "scope": "offline_access Calendars.ReadWrite",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "response_mode": "query",
        "prompt": "select_account",
        "login_hint": OWNER,
    }
    assert "secret" not in url.query


async def test_accounts_of_one_tenant_are_opened_at_its_own_address() -> None:
    provider = MicrosoftProvider(
        surroundings(microsoft_client_id="id", microsoft_client_secret="secret", microsoft_tenant="contoso.example")
    )
    url = await provider.authorization_url(state="s", challenge=CHALLENGE, redirect_uri=BACK, address=None)
    assert url.startswith("https://login.microsoftonline.com/contoso.example/oauth2/v2.0/authorize?")
    assert "login_hint" not in url


@pytest.mark.parametrize("endpoint", [ENDPOINT, f"{ENDPOINT}/"])
async def test_with_an_endpoint_everything_is_there(endpoint: str) -> None:
    provider = MicrosoftProvider(
        surroundings(microsoft_client_id="id", microsoft_client_secret="s", microsoft_endpoint=endpoint)
    )
    url = await provider.authorization_url(state="s", challenge=CHALLENGE, redirect_uri=BACK, address=None)
    assert url.startswith(f"{ENDPOINT}/common/oauth2/v2.0/authorize?")


@pytest.mark.parametrize("prefix", ["https://graph.microsoft.com/", ""])
async def test_an_account_is_opened_whether_scopes_come_back_with_their_resource_or_without(
    stage: Stage, prefix: str
) -> None:
    await stage.behave(scope_prefix=prefix)
    account = await opened(stage)
    assert account.address == OWNER
    assert account.subject
    assert account.grant.secrets.keys() == {"access_token", "refresh_token", "expires_at"}
    assert "access-" not in repr(account)
    assert (await opened(stage)).subject == account.subject
    assert (await opened(stage, OTHER)).subject != account.subject


async def test_a_code_can_be_used_once(stage: Stage) -> None:
    code = (await consented(stage))["code"]
    await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)
    with pytest.raises(WrongCredentials):
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)


async def test_a_code_is_worth_nothing_to_whoever_did_not_ask_for_it(stage: Stage) -> None:
    with pytest.raises(WrongCredentials):
        await opened(stage, verifier="w" * 64)
    code = (await consented(stage))["code"]
    with pytest.raises(WrongCredentials):
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri="https://evil.example/callback")


async def test_a_code_does_not_last(stage: Stage) -> None:
    code = (await consented(stage))["code"]
    stage.clock.advance(timedelta(minutes=11))
    with pytest.raises(WrongCredentials):
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)


@pytest.mark.parametrize("allowed", [["offline_access"], ["Calendars.ReadWrite"]])
async def test_less_than_what_is_needed_opens_no_account(stage: Stage, allowed: list[str]) -> None:
    await stage.control("PUT", "/consent", {"allows": allowed})
    with pytest.raises(WrongCredentials):
        await opened(stage)


async def test_an_owner_may_say_no(stage: Stage) -> None:
    await stage.control("PUT", "/consent", {"denies": True})
    assert await consented(stage) == {"error": "access_denied", "state": "state-1"}


async def test_a_secret_that_is_wrong_is_the_operators_to_put_right(stage: Stage) -> None:
    code = (await consented(stage))["code"]
    lent = surroundings(
        web=stage.web,
        clock=stage.clock,
        microsoft_endpoint=ENDPOINT,
        microsoft_client_id="client",
        microsoft_client_secret="old",
    )
    provider = MicrosoftProvider(lent)
    with pytest.raises(NotConfigured) as caught:
        await provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)
    assert "KALENDS_MICROSOFT_CLIENT_SECRET" in str(caught.value)


async def test_an_account_without_a_mailbox_is_said_to_be_one(stage: Stage) -> None:
    code = (await consented(stage))["code"]
    await stage.behave(has_mailbox=False)
    with pytest.raises(Refused) as caught:
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)
    assert "mailbox" in str(caught.value)


async def test_a_microsoft_that_is_busy_while_an_account_is_opened_says_so(stage: Stage) -> None:
    code = (await consented(stage))["code"]
    stage.fails("throttled", path="/token", times=1, retry_after=7)
    with pytest.raises(Throttled) as caught:
        await stage.provider.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)
    assert caught.value.retry_after == timedelta(seconds=7)


# Keeping it open


def an_account(stage: Stage) -> RemoteAccount:
    return RemoteAccount(stage.calendar.app_id, stage.account_id)


async def test_a_token_is_renewed_before_it_ends_and_the_new_refresh_token_is_kept(stage: Stage) -> None:
    before = stage.grants.grants[stage.account_id].secrets
    for _ in range(3):
        stage.clock.advance(timedelta(hours=2))
        await stage.provider.calendars(an_account(stage))
    assert stage.grants.renewals == 3
    assert stage.grants.grants[stage.account_id].secrets["refresh_token"] != before["refresh_token"]


async def test_a_token_that_ends_early_is_renewed_when_it_is_refused(stage: Stage) -> None:
    await stage.control("POST", "/tokens/expire", {"access": True})
    assert await stage.provider.calendars(an_account(stage))
    assert stage.grants.renewals == 1


async def test_an_owner_who_has_taken_the_grant_back_must_connect_again(stage: Stage) -> None:
    await stage.control("DELETE", f"/grants/{OWNER}")
    with pytest.raises(ReconnectRequired):
        await stage.provider.calendars(an_account(stage))


async def test_a_refresh_token_that_was_replaced_is_worth_nothing(stage: Stage) -> None:
    used = stage.grants.grants[stage.account_id]
    stage.clock.advance(timedelta(hours=2))
    await stage.provider.calendars(an_account(stage))
    stage.grants.grants[stage.account_id] = used
    with pytest.raises(ReconnectRequired):
        await stage.provider.calendars(an_account(stage))


async def test_there_is_no_way_to_give_a_token_back(stage: Stage) -> None:
    stage.desk.requests.clear()
    await stage.provider.revoke(stage.grants.grants[stage.account_id])
    assert stage.desk.requests == []


# Calendars


async def test_the_calendars_are_listed_with_what_may_be_done_with_them(stage: Stage) -> None:
    for number in range(15):  # more than one page
        await stage.control("POST", f"/calendars/{OWNER}", {"name": f"Number {number}", "canEdit": number % 2 == 0})
    found = await stage.provider.calendars(an_account(stage))
    assert [each.name for each in found] == ["Calendar", *(f"Number {number}" for number in range(15))]
    assert [each.primary for each in found] == [True] + [False] * 15
    assert [each.read_only for each in found[1:]] == [number % 2 == 1 for number in range(15)]
    assert found[0].remote_id == stage.calendar.remote_id
    assert {each.tzid for each in found} == {None}


async def test_a_mailbox_that_is_elsewhere_is_no_calendar_that_is_gone(stage: Stage) -> None:
    await stage.behave(has_mailbox=False)
    with pytest.raises(Refused) as caught:
        await stage.provider.calendars(an_account(stage))
    assert "mailbox" in str(caught.value)
