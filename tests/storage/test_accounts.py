"""Accounts at providers: found, opened, renewed by one at a time; and whoever is on the way to open one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from kalends.domain.calendars import Account, AccountState
from kalends.domain.ids import uuid7
from kalends.domain.time import EPOCH
from storage.engine import Database
from storage.secrets import NoSecretKey, SecretLost, Vault, new_key
from storage.unit_of_work import Storage
from tests.helpers import DAY, HOUR, MINUTE, NOW, add_app, make_account, make_consent, make_resource, refusing

pytestmark = pytest.mark.anyio

GRANT = {"access_token": "ya29.clear", "refresh_token": "1//clear"}
LATER = NOW + HOUR


@pytest.fixture
async def account(storage: Storage, app_id: UUID) -> Account:
    account = make_account(provider="google")
    async with storage.writing(app_id) as work:
        await work.accounts.add(account, NOW)
    return account


async def give(storage: Storage, app_id: UUID, account_id: UUID, secrets: dict[str, str] = GRANT) -> None:
    async with storage.writing(app_id) as work:
        await work.accounts.give(account_id, secrets, LATER, subject="sub-1", address="ada@example.org")


async def grant_of(storage: Storage, app_id: UUID, account_id: UUID) -> dict[str, str] | None:
    async with storage.reading(app_id) as work:
        return await work.accounts.grant(account_id)


async def now(storage: Storage, app_id: UUID, account_id: UUID) -> Account:
    async with storage.reading(app_id) as work:
        [account] = await work.accounts.many([account_id])
    return account


async def everything_stored(database: Database, table: str) -> str:
    async with database.reader.connect() as connection:
        return str([tuple(row) for row in await connection.execute(text(f"SELECT * FROM {table}"))])


# Finding


async def test_an_account_comes_back_as_it_was_stored(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    account = make_account(
        resource.id,
        "google",
        state=AccountState.NEEDS_RECONNECT,
        subject="sub",
        address="ada@example.org",
        last_error="The grant is gone.",
    )
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.accounts.add(account, NOW)
        assert await work.accounts.get(account.id) == account
        assert await work.accounts.many([account.id, uuid7()]) == [account]
        assert await work.accounts.all_ids() == [account.id]


async def test_an_unknown_account_is_refused(storage: Storage, app_id: UUID) -> None:
    async with storage.writing(app_id) as work:
        with refusing(("account_id", "NOT_FOUND")):
            await work.accounts.get(uuid7())
        assert await work.accounts.grant(uuid7()) is None


async def test_an_account_is_found_by_its_resource_its_provider_and_what_the_provider_calls_it(
    storage: Storage, app_id: UUID
) -> None:
    resource = make_resource()
    accounts = [
        make_account(resource_id, provider, subject=subject)
        for resource_id in (None, resource.id)
        for provider in ("google", "microsoft")
        for subject in ("one", "two")
    ]
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        for each in accounts:
            await work.accounts.add(each, NOW)
        for each in accounts:
            found = await work.accounts.find(resource_id=each.resource_id, provider=each.provider, subject=each.subject)
            assert found == each
        oldest = await work.accounts.find(resource_id=resource.id, provider="google")
        assert oldest == accounts[4]
        assert await work.accounts.find(resource_id=resource.id, provider="google", subject="three") is None
        assert await work.accounts.find(resource_id=uuid7(), provider="google") is None


async def test_pages_hold_every_account_once_oldest_first(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    accounts = [make_account(resource.id if number % 2 else None) for number in range(5)]
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        for each in reversed(accounts):
            await work.accounts.add(each, NOW)
        found, after = [], None
        while page := await work.accounts.page(limit=2, after=after, resource_id=None):
            found += page
            after = page[-1].id
        assert found == accounts
        assert await work.accounts.page(limit=9, after=None, resource_id=resource.id) == accounts[1::2]


async def test_the_accounts_of_a_resource_go_together(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    gone, kept = make_account(resource.id), make_account()
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        for each in (gone, kept):
            await work.accounts.add(each, NOW)
        await work.accounts.remove_of(resource.id)
        assert await work.accounts.all_ids() == [kept.id]


# Whether the provider lets us in


async def test_a_state_says_why_and_becoming_active_again_ends_a_block(
    storage: Storage, app_id: UUID, account: Account
) -> None:
    async with storage.writing(app_id) as work:
        await work.accounts.block(account.id, HOUR)
        await work.accounts.set_state(account.id, AccountState.NEEDS_RECONNECT, NOW, error="x" * 5000)
    parked = await now(storage, app_id, account.id)
    assert (parked.state, parked.last_error) == (AccountState.NEEDS_RECONNECT, "x" * 1024)
    assert parked.blocked_until is not None
    async with storage.writing(app_id) as work:
        await work.accounts.set_state(account.id, AccountState.ACTIVE, NOW)
    assert await now(storage, app_id, account.id) == account


async def test_of_two_blocks_the_later_one_counts_and_a_past_one_is_none(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    async with storage.writing(app_id) as work:
        await work.accounts.block(account.id, HOUR)
        await work.accounts.block(account.id, MINUTE)
    for skew, blocked in ((59 * MINUTE, True), (61 * MINUTE, False)):
        database.skew = skew
        assert ((await now(storage, app_id, account.id)).blocked_until is not None) is blocked


# What opens them


async def test_a_grant_comes_back_as_it_was_given_and_opens_the_account(
    storage: Storage, app_id: UUID, account: Account
) -> None:
    async with storage.writing(app_id) as work:
        await work.accounts.set_state(account.id, AccountState.NEEDS_RECONNECT, NOW, error="gone")
    assert await grant_of(storage, app_id, account.id) is None
    await give(storage, app_id, account.id)
    assert await grant_of(storage, app_id, account.id) == GRANT
    assert await now(storage, app_id, account.id) == replace(account, subject="sub-1", address="ada@example.org")


async def test_no_column_ever_holds_the_clear_text(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    async def renewed() -> None:
        async with storage.writing(app_id) as work:
            await work.accounts.begin_renewal(account.id, HOUR)
            await work.accounts.end_renewal(account.id, {"access_token": "ya29.clear-too"})

    async def resealed() -> None:
        database.vault = Vault([new_key(), KEY])
        async with storage.writing(app_id) as work:
            assert await work.accounts.reseal(account.id)

    database.vault = Vault([KEY])
    steps: list[Callable[[], Awaitable[None]]] = [lambda: give(storage, app_id, account.id), renewed, resealed]
    for step in steps:
        await step()
        assert await grant_of(storage, app_id, account.id)
        stored = await everything_stored(database, "account")
        assert str(account.id) in stored or account.id.hex in stored
        assert "clear" not in stored


KEY = new_key()


async def test_another_account_and_another_app_cannot_open_a_grant(
    database: Database, storage: Storage, app_id: UUID, other_app_id: UUID, account: Account
) -> None:
    await give(storage, app_id, account.id)
    other = make_account(provider="google")
    async with storage.writing(app_id) as work:
        await work.accounts.add(other, NOW)
    async with storage.writing(other_app_id) as work:
        await work.accounts.add(account, NOW)  # even one of the same id
    async with database.writer.begin() as connection:
        await connection.execute(
            text("UPDATE account SET secret = (SELECT secret FROM account WHERE subject = 'sub-1')")
        )
    assert await grant_of(storage, app_id, account.id) == GRANT
    for app, account_id in ((app_id, other.id), (other_app_id, account.id)):
        with pytest.raises(SecretLost):
            await grant_of(storage, app, account_id)


async def test_a_grant_whose_key_is_lost_is_lost_until_it_is_given_anew(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    await give(storage, app_id, account.id)
    database.vault = Vault([new_key()])
    with pytest.raises(SecretLost, match="KALENDS_SECRET_KEYS"):
        await grant_of(storage, app_id, account.id)
    await give(storage, app_id, account.id, {"password": "new"})
    assert await grant_of(storage, app_id, account.id) == {"password": "new"}


async def test_without_a_key_nothing_is_kept(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    database.vault = Vault()
    with pytest.raises(NoSecretKey):
        await give(storage, app_id, account.id)
    assert await now(storage, app_id, account.id) == account
    assert await grant_of(storage, app_id, account.id) is None


async def test_a_grant_that_is_taken_is_forgotten(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    await give(storage, app_id, account.id)
    async with storage.writing(app_id) as work:
        await work.accounts.take(account.id)
    assert await grant_of(storage, app_id, account.id) is None
    async with database.reader.connect() as connection:
        assert list(await connection.execute(text("SELECT secret FROM account"))) == [(None,)]


async def test_a_new_key_in_front_seals_anew_and_the_old_one_can_go(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    database.vault = Vault([KEY])
    await give(storage, app_id, account.id)
    new = new_key()
    for resealed in (True, False):
        database.vault = Vault([new, KEY])
        async with storage.writing(app_id) as work:
            assert await work.accounts.reseal(account.id) is resealed
    database.vault = Vault([new])
    assert await grant_of(storage, app_id, account.id) == GRANT
    async with storage.writing(app_id) as work:
        assert not await work.accounts.reseal(uuid7())
        await work.accounts.take(account.id)
        assert not await work.accounts.reseal(account.id)


# Renewal


async def test_a_grant_is_renewed_by_one_at_a_time(storage: Storage, app_id: UUID, account: Account) -> None:
    await give(storage, app_id, account.id)

    async def begin() -> bool:
        async with storage.writing(app_id) as work:
            return await work.accounts.begin_renewal(account.id, MINUTE)

    assert sum(await asyncio.gather(*(begin() for _ in range(8)))) == 1
    assert not await begin()
    async with storage.writing(app_id) as work:
        await work.accounts.end_renewal(account.id, {"access_token": "new"})
    assert await grant_of(storage, app_id, account.id) == {"access_token": "new"}
    assert await begin()


async def test_a_renewal_that_fails_leaves_the_grant_and_lets_others_try(
    storage: Storage, app_id: UUID, account: Account
) -> None:
    await give(storage, app_id, account.id)
    async with storage.writing(app_id) as work:
        assert await work.accounts.begin_renewal(account.id, MINUTE)
        await work.accounts.end_renewal(account.id, None)
        assert await work.accounts.grant(account.id) == GRANT
        assert await work.accounts.begin_renewal(account.id, MINUTE)


async def test_whoever_dies_while_renewing_holds_up_the_others_for_a_while_only(
    database: Database, storage: Storage, app_id: UUID, account: Account
) -> None:
    for skew, free in ((0 * MINUTE, True), (59 * MINUTE, False), (61 * MINUTE, True)):
        database.skew = skew
        async with storage.writing(app_id) as work:
            assert await work.accounts.begin_renewal(account.id, HOUR) is free


# On the way


async def test_a_consent_is_good_once(storage: Storage, app_id: UUID) -> None:
    resource = make_resource()
    consent = make_consent(resource.id, return_to="https://app.example.org/done?a=b")
    async with storage.writing(app_id) as work:
        await work.resources.add(resource)
        await work.consents.add(consent)
    async with storage.writing(app_id) as work:
        assert await work.consents.take(consent.id, NOW) == consent
    async with storage.writing(app_id) as work:
        assert await work.consents.take(consent.id, NOW) is None
        assert await work.consents.take(uuid7(), NOW) is None


async def test_of_many_who_come_back_with_one_consent_one_is_let_in(storage: Storage, app_id: UUID) -> None:
    consent = make_consent()
    async with storage.writing(app_id) as work:
        await work.consents.add(consent)

    async def come_back() -> bool:
        async with storage.writing(app_id) as work:
            return await work.consents.take(consent.id, NOW) is not None

    assert sum(await asyncio.gather(*(come_back() for _ in range(8)))) == 1


async def test_a_consent_that_has_expired_is_none_and_used_up(storage: Storage, app_id: UUID) -> None:
    consent = make_consent(expires_at=NOW + HOUR)
    async with storage.writing(app_id) as work:
        await work.consents.add(consent)
        assert await work.consents.take(consent.id, NOW + HOUR) is None
        assert await work.consents.take(consent.id, NOW) is None


async def test_a_consent_of_another_app_is_none_and_stays(storage: Storage, app_id: UUID, other_app_id: UUID) -> None:
    consent = make_consent()
    async with storage.writing(app_id) as work:
        await work.consents.add(consent)
    async with storage.writing(other_app_id) as work:
        assert await work.consents.take(consent.id, NOW) is None
    async with storage.writing(app_id) as work:
        assert await work.consents.take(consent.id, NOW) == consent


async def test_the_verifier_of_a_consent_is_sealed(database: Database, storage: Storage, app_id: UUID) -> None:
    async with storage.writing(app_id) as work:
        await work.consents.add(make_consent(verifier="in-the-clear"))
    stored = await everything_stored(database, "consent")
    assert "google" in stored
    assert "in-the-clear" not in stored


async def test_who_never_came_back_is_forgotten_in_every_app(database: Database, storage: Storage) -> None:
    apps = [await add_app(storage, name) for name in ("One", "Two")]
    async with storage.system(write=True) as system:
        assert await system.forget_old_consents() == 0
    for app_id in apps:
        async with storage.writing(app_id) as work:
            for expires_at in (EPOCH, NOW + 100 * 365 * DAY):
                await work.consents.add(make_consent(expires_at=expires_at))
    async with storage.system(write=True) as system:
        assert await system.forget_old_consents() == 2
    async with database.reader.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM consent")) == 2
