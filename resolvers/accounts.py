"""Accounts at providers: opened by their owners, shown, and closed again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

import structlog

from kalends.domain.access import Principal, Scope, require, secret_hash
from kalends.domain.calendars import Account, AccountState
from kalends.domain.errors import (
    InvalidInput,
    Malformed,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    Refused,
)
from kalends.domain.ids import uuid7
from kalends.domain.values import read_text
from providers import errors as failures
from providers.interface import (
    ConnectsByOAuth,
    ConnectsByPassword,
    Grant,
    ListedCalendar,
    ListsCalendars,
    Opened,
    RemoteAccount,
)
from resolvers.holding import wake
from resolvers.services import Services
from storage.accounts import Consent
from storage.changes import Operation
from storage.secrets import NoSecretKey, SecretLost
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

CALLBACK = "/oauth/callback"
CONSENT_TIME = timedelta(minutes=15)
MAX_ADDRESS = 2048
_CODES = {
    failures.BadAddress: "BAD_ADDRESS",
    failures.WrongCredentials: "WRONG_CREDENTIALS",
    failures.ReconnectRequired: "RECONNECT_REQUIRED",
    failures.CalendarGone: "CALENDAR_GONE",
    failures.NotConfigured: "NOT_CONFIGURED",
}


@dataclass(frozen=True, slots=True)
class Finished:
    """How somebody came back from a provider: where to send them on, or what to tell them here."""

    message: str
    account: Account | None = None
    go_on_to: str | None = None


async def connect_account(
    services: Services,
    principal: Principal,
    provider_name: str,
    resource_id: UUID | Malformed | None,
    *,
    return_to: str | None = None,
) -> str:
    """Return where to send the owner of an account, who lets us in there.

    The state in that address is good once, for a quarter of an hour, and for this app alone.
    """
    require(principal, Scope.MANAGE_CALENDARS)
    provider: object = services.providers.get(provider_name)
    if not isinstance(provider, ConnectsByOAuth):
        names = [name for name in services.providers.names if isinstance(services.providers[name], ConnectsByOAuth)]
        expected = "one of " + ", ".join(names)
        raise Refused(InvalidInput(path=("provider",), message=f"Expected {expected}.", expected=expected))
    if services.public_url is None:
        message = "The operator of this server must set KALENDS_PUBLIC_URL first."
        raise Refused(ProviderRefused(path=("provider",), message=message, code="NOT_CONFIGURED"))
    _check_return(services, return_to)
    require_key(services, "provider")
    consent_id, state, verifier = uuid7(), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    async with services.storage.writing(principal.app_id) as work:
        owner, address = await owner_of(work, resource_id)
        expires_at = services.clock() + CONSENT_TIME
        await work.consents.add(
            Consent(
                consent_id, provider_name, owner, secret_hash(state), verifier, return_to, principal.name, expires_at
            )
        )
    with told("provider"):
        return await provider.authorization_url(
            state=f"{principal.app_id.hex}{consent_id.hex}{state}",
            challenge=challenge,
            redirect_uri=services.public_url + CALLBACK,
            address=address,
        )


async def finish_connecting(services: Services, *, state: str, code: str | None) -> Finished:
    """Open the account for which somebody comes back from its provider; without a code they have not let us in.

    Nothing tells apart a state that was used, has expired, or never was.
    """
    nothing = Finished("This link has been used, or is too old: begin again where you came from.")
    try:
        app_id, consent_id = UUID(hex=state[:32]), UUID(hex=state[32:64])
    except ValueError:
        return nothing
    consent = None
    with suppress(SecretLost):  # what nobody can open is as good as used
        async with services.storage.writing(app_id) as work:
            consent = await work.consents.take(consent_id, services.clock())
    if consent is None or not hmac.compare_digest(consent.state_hash, secret_hash(state[64:])):
        return nothing
    provider: object = services.providers.get(consent.provider)
    if code is None or not isinstance(provider, ConnectsByOAuth) or services.public_url is None:
        return Finished("The account was not connected.", go_on_to=_back(consent, error="access_denied"))
    try:
        opened = await provider.exchange(
            code=code, verifier=consent.verifier, redirect_uri=services.public_url + CALLBACK
        )
    except failures.ProviderError as error:
        log.info("account.not_connected", provider=consent.provider, error=str(error))
        return Finished(str(error), go_on_to=_back(consent, error=_code_of(error).lower()))
    async with services.storage.writing(app_id) as work:
        account = await open_account(services, work, consent.provider, consent.resource_id, opened, consent.origin)
    services.wake_worker()
    return Finished("The account is connected.", account, _back(consent, account=str(account.id)))


async def connect_by_password(
    services: Services,
    principal: Principal,
    provider_name: str,
    resource_id: UUID | Malformed | None,
    *,
    url: str,
    username: str,
    password: str,
) -> tuple[Account, Sequence[ListedCalendar]]:
    """Open an account with a password, and return it with the calendars that it has."""
    require(principal, Scope.MANAGE_CALENDARS)
    provider: object = services.providers.get(provider_name)
    if not isinstance(provider, ConnectsByPassword) or not isinstance(provider, ListsCalendars):
        raise Refused(NotFound(path=("provider",), message="There is no such provider here."))
    _check_texts(url=url, username=username, password=password)
    require_key(services, "url")
    async with services.storage.reading(principal.app_id) as work:
        owner, _ = await owner_of(work, resource_id)
    with told("url"):
        opened = await provider.sign_in(url=url, username=username, password=password)
    async with services.storage.writing(principal.app_id) as work:
        account = await open_account(services, work, provider_name, owner, opened, principal.name)
    services.wake_worker()
    with told("url"):
        return account, await provider.calendars(RemoteAccount(principal.app_id, account.id))


async def remote_calendars(
    services: Services, principal: Principal, account_id: UUID | None
) -> tuple[Account, Sequence[ListedCalendar]]:
    """Ask a provider which calendars an account has."""
    require(principal, Scope.MANAGE_CALENDARS)
    async with services.storage.reading(principal.app_id) as work:
        found = await work.accounts.many([account_id]) if account_id else []
    if not found:
        raise Refused(NotFound(path=("account_id",), message="There is no such account."))
    provider: object = services.providers.get(found[0].provider)
    if not isinstance(provider, ListsCalendars):
        return found[0], []
    with told("account_id"):
        return found[0], await provider.calendars(RemoteAccount(principal.app_id, found[0].id))


async def list_accounts(
    services: Services, principal: Principal, *, limit: int, after: UUID | None, resource_id: UUID | None
) -> Sequence[Account]:
    """Return a page of accounts, oldest first."""
    require(principal, Scope.READ)
    async with services.storage.reading(principal.app_id) as work:
        return await work.accounts.page(limit=limit, after=after, resource_id=resource_id)


async def owner_of(work: UnitOfWork, resource_id: UUID | Malformed | None) -> tuple[UUID | None, str | None]:
    """Return the resource that something is for, and its address; raise `Refused` for one that is not there."""
    if resource_id is None:
        return None, None
    found = await work.resources.many([resource_id]) if isinstance(resource_id, UUID) else []
    if not found:
        raise Refused(NotFound(path=("resource_id",), message="There is no such resource."))
    return found[0].id, found[0].email


async def open_account(
    services: Services, work: UnitOfWork, provider: str, resource_id: UUID | None, opened: Opened, origin: str
) -> Account:
    """Store an account that was opened; one that was there before is open again, and what waited for it goes on."""
    now = services.clock()
    await work.keys.app(lock=True)  # two who come back at once do not open two accounts
    account = await work.accounts.find(resource_id=resource_id, provider=provider, subject=opened.subject)
    operation = Operation.UPDATED
    if account is None:
        account, operation = Account(uuid7(), resource_id, provider, AccountState.ACTIVE), Operation.CREATED
        await work.accounts.add(account, now)
    await work.accounts.give(account.id, opened.grant.secrets, now, subject=opened.subject, address=opened.address)
    await work.changes.note("account", account.id, operation, origin=origin, at=now)
    for calendar in await work.calendars.of_accounts([account.id]):
        await work.sources.hasten(calendar.id)
        await wake(services, work, calendar, at_once=True)
    return (await work.accounts.many([account.id]))[0]


async def give_back(services: Services, provider_name: str, secrets_of: dict[str, str] | None) -> None:
    """Give a grant back to its provider, as far as it lets us."""
    provider: object = services.providers.get(provider_name)
    if secrets_of is None or not isinstance(provider, ListsCalendars):
        return
    try:
        await provider.revoke(Grant(secrets_of))
    except failures.ProviderError as error:
        log.info("account.not_revoked", provider=provider_name, error=str(error))


@contextmanager
def told(*path: str) -> Iterator[None]:
    """Raise `Refused` where a provider's error is the caller's to hear."""
    try:
        yield
    except failures.Throttled as error:
        seconds = error.retry_after.total_seconds()
        raise Refused(ProviderUnavailable(path=path, message=str(error), retry_after=seconds)) from error
    except failures.NeedsPerson as error:
        raise Refused(ProviderRefused(path=path, message=str(error), code=_code_of(error))) from error
    except failures.ProviderError as error:
        raise Refused(ProviderUnavailable(path=path, message=str(error))) from error


def require_key(services: Services, *path: str) -> None:
    """Raise `Refused` where there is no key that could seal what opens an account."""
    if not services.storage.database.vault.usable:
        raise Refused(ProviderRefused(path=path, message=str(NoSecretKey()), code="NOT_CONFIGURED"))


def _code_of(error: failures.ProviderError) -> str:
    if isinstance(error, failures.RetryLater):
        return "PROVIDER_UNAVAILABLE"
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), "PROVIDER_REFUSED")


def _check_return(services: Services, address: str | None) -> None:
    """Raise `Refused` for an address to which the operator has not allowed to send people."""
    if address is None:
        return
    try:
        parts = urlsplit("" if isinstance(read_text(address, at_most=MAX_ADDRESS), Malformed) else address)
    except ValueError:  # brackets that are no IPv6 address
        parts = urlsplit("")
    if f"{parts.scheme}://{parts.netloc}" not in services.return_origins:
        expected = "an address at one of the origins in KALENDS_RETURN_ORIGINS"
        raise Refused(InvalidInput(path=("return_to",), message=f"Expected {expected}.", expected=expected))


def _check_texts(**texts: str) -> None:
    problems = [
        InvalidInput(path=(name,), message=f"Expected {checked.expected}.", expected=checked.expected)
        for name, text in texts.items()
        if isinstance(checked := read_text(text, at_least=1, at_most=MAX_ADDRESS), Malformed)
    ]
    if problems:
        raise Refused(*problems)


def _back(consent: Consent, **told_there: str) -> str | None:
    """Return where somebody came from, with what has come of it."""
    if consent.return_to is None:
        return None
    parts = urlsplit(consent.return_to)
    query = "&".join(each for each in (parts.query, urlencode(told_there)) if each)
    return urlunsplit(parts._replace(query=query))
