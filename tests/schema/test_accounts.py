"""Accounts: opened by their owners at the provider, with a password or by an address, shown, and opened again."""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from kalends.domain.access import Scope
from kalends.domain.calendars import AccountState
from kalends.domain.ids import uuid7
from providers.errors import NotConfigured, OutcomeUnknown, ReconnectRequired, Throttled, Unreachable
from providers.interface import Grant, Opened
from storage.engine import Database
from storage.secrets import Vault, new_key
from tests.api import House, Tenant, build_house, dump, key_with, problems
from tests.helpers import HOUR, MINUTE, NOBODY, Clock
from tests.providers.oauth_double import CONSENT, DOUBLES, PASSWORD, TOKENS, OAuthDouble, PasswordDouble
from tests.schema.remote import APP, PUBLIC, accounts_of, begin, come_back, connected, state_of

pytestmark = pytest.mark.anyio

SPENT = "This link has been used, or is too old: begin again where you came from."


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a server with providers whose accounts people open."""
    return await build_house(database, clock, providers=DOUBLES, public_url=PUBLIC, return_origins=[APP])


@pytest.fixture
def oauth(house: House) -> OAuthDouble:
    provider = house.services.providers["oauth"]
    assert isinstance(provider, OAuthDouble)
    return provider


@pytest.fixture
def caldav(house: House) -> PasswordDouble:
    provider = house.services.providers["caldav"]
    assert isinstance(provider, PasswordDouble)
    return provider


# There and back


async def test_the_owner_is_sent_to_the_provider_with_all_that_it_needs(ours: Tenant, oauth: OAuthDouble) -> None:
    url = await begin(ours, resourceId=str(ours.resource.id))
    assert url.startswith(f"{CONSENT}?")
    told = parse_qs(urlsplit(url).query)
    assert told["redirect_uri"] == [f"{PUBLIC}/oauth/callback"]
    assert told["login_hint"] == ["ada@aurora.example"]
    assert len(told["state"][0]) >= 64 + 40
    assert await begin(ours) != await begin(ours)
    assert oauth.challenges[-1]["login_hint"] is None


async def test_who_comes_back_opens_an_account(house: House, ours: Tenant) -> None:
    page = await come_back(house, await begin(ours, resourceId=str(ours.resource.id)))
    assert (page.status_code, "The account is connected." in page.text) == (200, True)
    [account] = await accounts_of(ours)
    assert {name: account[name] for name in ("provider", "state", "address", "lastError", "blockedUntil")} == {
        "provider": "oauth",
        "state": "ACTIVE",
        "address": "ada@example.org",
        "lastError": None,
        "blockedUntil": None,
    }
    assert account["resource"]["name"] == "Aurora's Ada"
    assert account["calendars"] == []
    assert await ours.api.ask("account", id=account["id"], depth=3) == (await accounts_of(ours, depth=5))[0]


async def test_the_verifier_that_the_provider_is_given_is_the_one_of_the_challenge(
    house: House, ours: Tenant, oauth: OAuthDouble
) -> None:
    """RFC 7636 section 4.2, S256."""
    for code in ("ada", "bob"):
        await come_back(house, await begin(ours), code)
    for verifier, told in zip(oauth.verifiers, oauth.challenges, strict=True):
        assert 43 <= len(verifier) <= 128
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
        assert told["code_challenge"] == digest.rstrip("=")
    assert len(set(oauth.verifiers)) == 2


async def test_a_state_is_good_once(house: House, ours: Tenant, oauth: OAuthDouble) -> None:
    url = await begin(ours)
    assert (await come_back(house, url)).status_code == 200
    before = await dump(house.database)
    for code in ("ada", "eve", None):
        again = await come_back(house, url, code)
        assert (again.status_code, SPENT in again.text) == (400, True)
    assert await dump(house.database) == before
    assert oauth.asked.count("exchange") == 1


async def test_a_state_is_good_for_a_quarter_of_an_hour(house: House, ours: Tenant, oauth: OAuthDouble) -> None:
    late, in_time = await begin(ours), await begin(ours)
    house.clock.advance(timedelta(minutes=15) - timedelta(seconds=1))
    assert (await come_back(house, in_time)).status_code == 200
    house.clock.advance(timedelta(seconds=1))
    page = await come_back(house, late, "eve")
    assert (page.status_code, SPENT in page.text) == (400, True)
    assert oauth.asked.count("exchange") == 1


async def test_a_state_opens_nothing_in_another_app(
    house: House, ours: Tenant, theirs: Tenant, oauth: OAuthDouble
) -> None:
    url = await begin(ours)
    state = state_of(url)
    forged = [theirs.app_id.hex + state[32:], state[:32] + uuid7().hex + state[64:]]
    for other in forged:
        page = await house.browse("/oauth/callback", params={"state": other, "code": "eve"})
        assert (page.status_code, SPENT in page.text) == (400, True)
    assert "exchange" not in oauth.asked
    assert await accounts_of(theirs) == await accounts_of(ours) == []
    assert (await come_back(house, url)).status_code == 200
    assert (len(await accounts_of(ours)), len(await accounts_of(theirs))) == (1, 0)


async def test_a_state_with_another_secret_opens_nothing_and_is_used_up(
    house: House, ours: Tenant, oauth: OAuthDouble
) -> None:
    url = await begin(ours)
    for state in (state_of(url)[:64] + "A" * 43, state_of(url)):
        page = await house.browse("/oauth/callback", params={"state": state, "code": "eve"})
        assert (page.status_code, SPENT in page.text) == (400, True)
    assert "exchange" not in oauth.asked


@pytest.mark.parametrize("state", ["", "x", "0" * 64, "\0" * 64, "{" * 64, "é" * 64, "0" * 300, NOBODY.hex * 3])
async def test_a_state_that_never_was_is_like_one_that_was_used(house: House, oauth: OAuthDouble, state: str) -> None:
    before = await dump(house.database)
    page = await house.browse("/oauth/callback", params={"state": state, "code": "eve"})
    assert (page.status_code, SPENT in page.text) == (400, True)
    assert (await house.browse("/oauth/callback")).status_code == 400
    assert await dump(house.database) == before
    assert oauth.asked == []


async def test_a_state_whose_key_is_lost_is_like_one_that_was_used(
    house: House, ours: Tenant, oauth: OAuthDouble
) -> None:
    url = await begin(ours)
    house.database.vault = Vault([new_key()])
    page = await come_back(house, url)
    assert (page.status_code, SPENT in page.text) == (400, True)
    assert "exchange" not in oauth.asked


async def test_who_does_not_let_us_in_is_told_so(house: House, ours: Tenant, oauth: OAuthDouble) -> None:
    page = await come_back(house, await begin(ours), None)
    assert (page.status_code, "The account was not connected." in page.text) == (400, True)
    assert await accounts_of(ours) == []
    assert "exchange" not in oauth.asked


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (None, "wrong", "The code is worth nothing."),
        (Unreachable("The provider is unavailable (503)."), "ada", "The provider is unavailable (503)."),
        (OutcomeUnknown("The answer was lost."), "ada", "The answer was lost."),
    ],
)
async def test_a_code_that_opens_nothing_is_told_to_whoever_brings_it(
    house: House, ours: Tenant, oauth: OAuthDouble, error: Any, code: str, told: str
) -> None:
    url = await begin(ours)
    oauth.error = error
    page = await come_back(house, url, code)
    assert (page.status_code, told in page.text) == (400, True)
    assert await accounts_of(ours) == []


# Back to where they came from


async def test_who_came_from_an_app_goes_back_there_with_the_account(house: House, ours: Tenant) -> None:
    answer = await come_back(house, await begin(ours, returnTo=f"{APP}/done?tab=2#top"))
    [account] = await accounts_of(ours)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{APP}/done?tab=2&account={account['id']}#top"


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (None, None, "access_denied"),
        ("wrong", None, "wrong_credentials"),
        ("ada", Unreachable("503"), "provider_unavailable"),
    ],
)
async def test_who_came_from_an_app_goes_back_there_with_what_went_wrong(
    house: House, ours: Tenant, oauth: OAuthDouble, code: str | None, error: Any, told: str
) -> None:
    url = await begin(ours, returnTo=f"{APP}/done")
    oauth.error = error
    answer = await come_back(house, url, code)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{APP}/done?error={told}")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "http://app.example.org/",
        "https://app.example.org:8443/",
        "https://app.example.org.evil.example/",
        "https://app.example.org@evil.example/",
        "https://evil@app.example.org/",
        "//app.example.org/",
        "app.example.org",
        "javascript:alert(1)",
        "https://[app.example.org/",
        "https://app.example.org/" + "x" * 3000,
        "",
        "\ud800",
        f"{APP}/\0",
        f"{APP}/\ud800",
    ],
)
async def test_nobody_is_sent_on_to_where_the_operator_has_not_allowed_it(
    house: House, ours: Tenant, oauth: OAuthDouble, address: str
) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("connectAccount", input={"provider": "oauth", "returnTo": address})
    assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.returnTo")]
    assert errors[0]["expected"] == "an address at one of the origins in KALENDS_RETURN_ORIGINS"
    assert await dump(house.database) == before
    assert oauth.asked == []


# What is refused


@pytest.mark.parametrize("provider", ["local", "sandbox", "caldav", "ics", "myspace", ""])
async def test_an_account_is_opened_by_oauth_at_who_has_it_only(house: House, ours: Tenant, provider: str) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("connectAccount", input={"provider": provider})
    assert problems(errors) == [("InvalidInputError", "INVALID_VALUE", "input.provider")]
    assert "oauth" in errors[0]["expected"]
    assert await dump(house.database) == before


async def test_without_a_public_address_nobody_can_be_sent_away(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock, providers=DOUBLES)
    before = await dump(database)
    errors = await house.ours.api.refused("connectAccount", input={"provider": "oauth"})
    assert problems(errors) == [("ProviderRefusedError", "NOT_CONFIGURED", "input.provider")]
    assert "KALENDS_PUBLIC_URL" in errors[0]["message"]
    assert await dump(database) == before


async def test_without_a_client_at_the_provider_the_operator_is_asked_for(ours: Tenant, oauth: OAuthDouble) -> None:
    oauth.error = NotConfigured("The operator must set KALENDS_OAUTH_CLIENT_ID first.")
    errors = await ours.api.refused("connectAccount", input={"provider": "oauth"})
    assert problems(errors) == [("ProviderRefusedError", "NOT_CONFIGURED", "input.provider")]
    assert errors[0]["message"] == "The operator must set KALENDS_OAUTH_CLIENT_ID first."


async def test_without_a_key_that_seals_the_operator_is_asked_for(house: House, ours: Tenant) -> None:
    house.database.vault = Vault()
    before = await dump(house.database)
    for field, wanted, path in (
        ("connectAccount", {"provider": "oauth"}, "input.provider"),
        ("connectCaldav", CALDAV, "input.url"),
        ("subscribeCalendar", {"url": "https://calendars.example/a.ics"}, "input.url"),
    ):
        errors = await ours.api.refused(field, input=wanted)
        assert problems(errors) == [("ProviderRefusedError", "NOT_CONFIGURED", path)]
        assert "KALENDS_SECRET_KEYS" in errors[0]["message"]
    assert await dump(house.database) == before


async def test_only_who_manages_calendars_opens_accounts(house: House) -> None:
    reader = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.MANAGE_KEYS)
    for field, wanted in (
        ("connectAccount", {"provider": "oauth"}),
        ("connectCaldav", CALDAV),
        ("subscribeCalendar", {"url": "https://calendars.example/a.ics"}),
    ):
        query = f"mutation($input: {field[0].upper()}{field[1:]}Input!) {{ {field}(input: $input) {{ __typename }} }}"
        error = await reader.fault(query, input=wanted)
        assert (error["extensions"]["code"], error["extensions"]["scope"]) == ("FORBIDDEN", "MANAGE_CALENDARS")
    assert (await reader.ask("accounts"))["edges"]


# Opening again


async def test_an_account_that_is_opened_again_is_the_same_one(house: House, ours: Tenant) -> None:
    first = await connected(house, ours)
    again = await connected(house, ours)
    assert again == first
    assert len(await accounts_of(ours)) == 1


async def test_two_people_and_two_resources_have_an_account_each(house: House, ours: Tenant) -> None:
    await connected(house, ours, "ada")
    await connected(house, ours, "bob")
    await connected(house, ours, "ada", resourceId=None)
    assert [(each["address"], each["resource"] is None) for each in await accounts_of(ours)] == [
        ("ada@example.org", False),
        ("bob@example.org", False),
        ("ada@example.org", True),
    ]


async def test_an_account_that_needs_its_owner_goes_on_where_it_stopped_when_it_is_opened_again(
    house: House, ours: Tenant, oauth: OAuthDouble
) -> None:
    account = await connected(house, ours)
    linked = {"calendarId": str(ours.calendar.id), "accountId": account["id"], "remoteCalendarId": "primary"}
    await ours.api.done("linkCalendar", input=linked)
    await house.worker.drain()
    async with house.services.storage.writing(ours.app_id) as work:
        await work.accounts.set_state(
            UUID(account["id"]), AccountState.NEEDS_RECONNECT, house.clock.now, error="The grant is gone."
        )
    event = await ours.create()
    await house.later(HOUR)
    [parked] = await accounts_of(ours)
    assert (parked["state"], parked["lastError"]) == ("NEEDS_RECONNECT", "The grant is gone.")
    assert (await ours.event_now(event))["sync"]["status"] == "PARKED"
    again = await connected(house, ours)
    assert (again["id"], again["state"], again["lastError"]) == (account["id"], "ACTIVE", None)
    await house.worker.drain()
    assert (await ours.event_now(event))["sync"]["status"] == "SYNCED"


async def test_opening_an_account_is_in_the_change_log(house: House, ours: Tenant) -> None:
    await connected(house, ours)
    await connected(house, ours)
    changes = [row for row in (await dump(house.database, ours.app_id))["change"] if "account" in row]
    assert [[each for each in row if each in ("CREATED", "UPDATED")] for row in changes] == [["CREATED"], ["UPDATED"]]
    assert {row[-2] for row in changes} == {f"key:{ours.key_id}"}


# With a password

CALDAV = {"url": "https://dav.example/", "username": "ada", "password": PASSWORD}


async def test_an_account_with_a_password_comes_with_its_calendars(house: House, ours: Tenant) -> None:
    wanted = CALDAV | {"resourceId": str(ours.resource.id)}
    payload = await ours.api.done("connectCaldav", input=wanted)
    account = payload["account"]
    assert (account["provider"], account["state"], account["address"]) == ("caldav", "ACTIVE", "ada@example.org")
    assert [each["remoteId"] for each in payload["remoteCalendars"]] == ["primary", "team", "holidays"]
    again = await ours.api.done("connectCaldav", input=wanted)
    assert again["account"]["id"] == account["id"]
    assert await ours.api.ask("remoteCalendars", accountId=account["id"], depth=1) == [
        {name: value for name, value in each.items() if name != "calendar"} | {"calendar": None}
        for each in payload["remoteCalendars"]
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"url": "https://elsewhere.test/"}, ("ProviderRefusedError", "BAD_ADDRESS", "input.url")),
        ({"password": "hunter2"}, ("ProviderRefusedError", "WRONG_CREDENTIALS", "input.url")),
        ({"url": ""}, ("InvalidInputError", "INVALID_VALUE", "input.url")),
        ({"username": ""}, ("InvalidInputError", "INVALID_VALUE", "input.username")),
        ({"password": "x" * 3000}, ("InvalidInputError", "INVALID_VALUE", "input.password")),
        ({"username": "\0"}, ("InvalidInputError", "INVALID_VALUE", "input.username")),
        ({"password": "\ud800"}, ("InvalidInputError", "INVALID_VALUE", "input.password")),
        ({"resourceId": str(uuid7())}, ("NotFoundError", "NOT_FOUND", "input.resourceId")),
        ({"resourceId": "nobody"}, ("NotFoundError", "NOT_FOUND", "input.resourceId")),
    ],
)
async def test_an_account_that_a_password_does_not_open_is_told_as_data(
    house: House, ours: Tenant, change: dict[str, str], problem: tuple[str, str, str]
) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("connectCaldav", input=CALDAV | change)
    assert problems(errors) == [problem]
    assert PASSWORD not in str(errors)
    assert await dump(house.database) == before


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (Throttled("The server is busy (429).", retry_after=timedelta(seconds=30)), 30),
        (Unreachable("The server is unavailable (503)."), None),
    ],
)
async def test_a_server_that_does_not_answer_now_is_told_as_data(
    house: House, ours: Tenant, caldav: PasswordDouble, error: Any, retry_after: float | None
) -> None:
    before = await dump(house.database)
    caldav.error = error
    [told] = await ours.api.refused("connectCaldav", input=CALDAV)
    assert problems([told]) == [("ProviderUnavailableError", "PROVIDER_UNAVAILABLE", "input.url")]
    assert (told["message"], told["retryAfter"]) == (str(error), retry_after)
    assert await dump(house.database) == before


# What an account has


async def test_remote_calendars_are_told_as_the_provider_has_them_and_which_are_linked(
    house: House, ours: Tenant
) -> None:
    account = await connected(house, ours)
    linked = {"calendarId": str(ours.calendar.id), "accountId": account["id"], "remoteCalendarId": "team"}
    await ours.api.done("linkCalendar", input=linked)
    found = await ours.api.ask("remoteCalendars", accountId=account["id"], depth=2)
    assert [
        (each["remoteId"], each["name"], each["timeZone"], each["readOnly"], each["primary"]) for each in found
    ] == [
        ("primary", "ada@example.org", "Europe/Berlin", False, True),
        ("team", "ada@example.org's team", "America/New_York", False, False),
        ("holidays", "ada@example.org's holidays", None, True, False),
    ]
    assert [each["calendar"] and each["calendar"]["id"] for each in found] == [None, str(ours.calendar.id), None]


async def test_the_sandboxs_accounts_have_no_calendars_to_choose_from(ours: Tenant) -> None:
    assert await ours.api.ask("remoteCalendars", accountId=str(ours.account.id)) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ReconnectRequired("The grant is gone."), {"code": "RECONNECT_REQUIRED"}),
        (Unreachable("The provider is unavailable (503)."), {"code": "PROVIDER_UNAVAILABLE"}),
        (Throttled("Busy.", retry_after=MINUTE), {"code": "PROVIDER_UNAVAILABLE", "retryAfter": 60}),
        (NotConfigured("The operator must set it."), {"code": "NOT_CONFIGURED"}),
    ],
)
async def test_a_provider_that_does_not_tell_is_a_top_level_error_of_the_query(
    house: House, ours: Tenant, oauth: OAuthDouble, error: Any, told: dict[str, Any]
) -> None:
    account = await connected(house, ours)
    oauth.error = error
    fault = await ours.api.fault("query($id: ID!) { remoteCalendars(accountId: $id) { name } }", id=account["id"])
    assert (fault["message"], fault["extensions"]) == (str(error), told)


async def test_the_providers_say_how_they_are_opened_and_what_they_can(ours: Tenant) -> None:
    found = {each["name"]: each for each in await ours.api.ask("providers")}
    told = {name: (each["connectBy"], each["reads"], each["writes"]) for name, each in found.items()}
    assert {name: told[name] for name in ("local", "sandbox", "oauth", "caldav", "ics")} == {
        "local": ("NOTHING", False, False),
        "sandbox": ("NOTHING", True, True),
        "oauth": ("OAUTH", True, True),
        "caldav": ("PASSWORD", True, True),
        "ics": ("ADDRESS", True, False),
    }
    assert list(found) == sorted(found)


# Nothing secret is told


async def test_tokens_and_passwords_are_in_no_answer_no_log_and_no_table(
    house: House, ours: Tenant, oauth: OAuthDouble, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    url = await begin(ours, resourceId=str(ours.resource.id))
    waiting = str(await dump(house.database))
    page = await come_back(house, url, "ada")
    account = (await accounts_of(ours))[0]
    answers = [
        page.text,
        str(page.headers),
        str(account),
        str(await ours.api.done("connectCaldav", input=CALDAV)),
        str(await ours.api.refused("connectCaldav", input=CALDAV | {"url": "https://elsewhere.test/"})),
        str(await ours.api.done("subscribeCalendar", input={"url": "https://x.example/private-in-the-clear.ics"})),
        str(await ours.api.ask("calendars", depth=4)),
        str(await ours.api.ask("accounts", depth=4)),
        str(await ours.api.ask("remoteCalendars", accountId=account["id"])),
    ]
    oauth.error = Unreachable("503")
    answers.append((await come_back(house, await _begun(ours, oauth), "bob")).text)
    await house.later(HOUR)
    stored, printed = str(await dump(house.database)), capsys.readouterr()
    logged = "\n".join(each.getMessage() for each in caplog.records if each.name != "httpx")  # the test's own client
    for text in (*answers, stored, waiting, logged, printed.out, printed.err):
        assert "in-the-clear" not in text
        for secret in (PASSWORD, *TOKENS.values(), oauth.verifiers[0]):
            assert secret not in text
    assert state_of(url)[64:] not in stored + waiting + logged + printed.out + printed.err


async def _begun(tenant: Tenant, oauth: OAuthDouble) -> str:
    error, oauth.error = oauth.error, None
    url = await begin(tenant)
    oauth.error = error
    return url


async def test_a_grant_that_is_shown_in_a_log_tells_nothing(house: House, ours: Tenant) -> None:
    account = await connected(house, ours)
    async with house.services.storage.reading(ours.app_id) as work:
        secrets = await work.accounts.grant(UUID(account["id"]))
    assert secrets == TOKENS | {"address": "ada@example.org"}
    opened = Opened(Grant(secrets), "subject", "ada@example.org")
    assert "in-the-clear" not in repr(opened) + str(opened) + repr(replace(opened, subject="x"))
