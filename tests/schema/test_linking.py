"""Which remote calendar feeds which of ours: linked, subscribed to, and let go again. Nothing is lost, or twice."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from kalends.domain.access import Scope
from kalends.domain.calendars import AccountState
from kalends.domain.events import EventState
from kalends.domain.ids import uuid7
from kalends.domain.recurrence import Recurrence
from providers.errors import ReconnectRequired, Throttled, Unreachable
from storage.calendars import CalendarRepository
from storage.engine import Database
from storage.outbox import LaneRepository
from storage.secrets import Vault, new_key
from tests.api import SLOT, House, Tenant, build_house, dump, key_with, moment, problems, sabotaged
from tests.helpers import DAY, HOUR, MINUTE, NOBODY, NOW, Clock, make_content, make_when
from tests.providers.oauth_double import DOUBLES, TOKENS, AddressDouble, OAuthDouble
from tests.schema.remote import APP, PUBLIC, There, accounts_of, connected, events_of

pytestmark = pytest.mark.anyio

FEED = "https://calendars.example/holidays.ics"


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
def ics(house: House) -> AddressDouble:
    provider = house.services.providers["ics"]
    assert isinstance(provider, AddressDouble)
    return provider


@pytest.fixture
async def account(house: House, ours: Tenant) -> dict[str, Any]:
    return await connected(house, ours)


def there(house: House, tenant: Tenant, account: dict[str, Any], calendar: str = "primary") -> There:
    return There(house, tenant, UUID(account["id"]), calendar)


def wanted(tenant: Tenant, account: dict[str, Any], remote: str = "primary", **others: str) -> dict[str, str]:
    return {"calendarId": str(tenant.calendar.id), "accountId": account["id"], "remoteCalendarId": remote} | others


async def link(house: House, tenant: Tenant, account: dict[str, Any], remote: str = "primary") -> dict[str, Any]:
    """Link the tenant's calendar, and have the worker fill both sides."""
    linked = await tenant.api.done("linkCalendar", input=wanted(tenant, account, remote))
    await house.worker.drain()
    return dict(linked["calendar"])


async def calendar_now(tenant: Tenant, calendar_id: UUID | str | None = None) -> dict[str, Any]:
    return dict(await tenant.api.ask("calendar", id=str(calendar_id or tenant.calendar.id)))


# Linking


async def test_what_is_in_either_calendar_goes_to_the_other(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    for what in ("Ours 1", "Ours 2"):
        await ours.create(what=what)
    remote = there(house, ours, account)
    series = EventState(make_when(NOW + DAY), make_content("Theirs 2"), Recurrence("FREQ=WEEKLY;COUNT=3"))
    await remote.put("Theirs 1")
    await remote.put("Theirs 2", series)
    linked = await link(house, ours, account)
    assert (linked["provider"], linked["readOnly"]) == ("oauth", False)
    everything = ["Ours 1", "Ours 2", "Theirs 1", "Theirs 2"]
    found = await events_of(ours, ours.calendar.id)
    assert [event["what"] for event in found] == await remote.alive() == everything
    assert {event["sync"]["status"] for event in found} == {"SYNCED"}
    assert [event["uid"] for event in found[2:]] == ["Theirs 1@elsewhere", "Theirs 2@elsewhere"]
    assert found[3]["recurrence"]["rule"] == "FREQ=WEEKLY;COUNT=3"
    before = await dump(house.database)
    await house.later(HOUR)
    assert [event["version"] for event in await events_of(ours, ours.calendar.id)] == [1] * 4
    assert (await dump(house.database))["sandbox_event"] == before["sandbox_event"]


async def test_from_then_on_changes_go_both_ways(house: House, ours: Tenant, account: dict[str, Any]) -> None:
    event, remote = await ours.create(what="Ours"), there(house, ours, account)
    await remote.put("Theirs")
    await link(house, ours, account)
    await ours.update(event, what="Ours, renamed")
    await remote.change("Theirs", location="Moved")
    await ours.create(SLOT + HOUR, what="New here")
    await remote.put("New there")
    await house.later(HOUR)
    assert await remote.alive() == ["New here", "New there", "Ours, renamed", "Theirs"]
    found = {each["what"]: each for each in await events_of(ours, ours.calendar.id)}
    assert set(found) == {"New here", "New there", "Ours, renamed", "Theirs"}
    assert found["Theirs"]["where"] == "Moved"
    await remote.delete("Theirs", await remote.name_of("New here"))
    await ours.api.done("deleteEvent", id=event["id"])
    await house.later(HOUR)
    assert await remote.alive() == ["New there"]
    assert [each["what"] for each in await events_of(ours, ours.calendar.id)] == ["New there"]


async def test_an_event_that_came_from_there_blocks_time_here(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    await there(house, ours, account).put("Taken", EventState(make_when(SLOT), make_content("Taken")))
    await link(house, ours, account)
    [error] = await ours.api.refused("createEvent", input=ours.event(onConflict="REJECT"))
    assert [each["what"] for each in error["conflicts"]] == ["Taken"]


async def test_a_remote_calendar_feeds_one_calendar_only(house: House, ours: Tenant, account: dict[str, Any]) -> None:
    await link(house, ours, account)
    other = (await ours.api.done("createCalendar", input={"name": "Another"}))["calendar"]
    before = await dump(house.database)
    [error] = await ours.api.refused("linkCalendar", input=wanted(ours, account, calendarId=other["id"]))
    assert problems([error]) == [("InUseError", "IN_USE", "input.remoteCalendarId")]
    [error] = await ours.api.refused("linkCalendar", input=wanted(ours, account, "team"))
    assert problems([error]) == [("InUseError", "IN_USE", "input.calendarId")]
    assert await dump(house.database) == before
    linked = await ours.api.done("linkCalendar", input=wanted(ours, account, "team", calendarId=other["id"]))
    assert linked["calendar"]["provider"] == "oauth"


async def test_a_calendar_that_may_only_be_read_is_linked_with_an_empty_one(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    event, remote = await ours.create(), there(house, ours, account, "holidays")
    [error] = await ours.api.refused("linkCalendar", input=wanted(ours, account, "holidays"))
    assert problems([error]) == [("InUseError", "IN_USE", "input.calendarId")]
    assert error["count"] == 1
    await ours.api.done("deleteEvent", id=event["id"])
    await remote.put("Christmas")
    assert (await link(house, ours, account, "holidays"))["readOnly"]
    assert [each["what"] for each in await events_of(ours, ours.calendar.id)] == ["Christmas"]
    [error] = await ours.api.refused("createEvent", input=ours.event())
    assert problems([error]) == [("CalendarNotWritableError", "CALENDAR_READ_ONLY", "input.calendarId")]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"calendarId": str(uuid7())}, "calendarId"),
        ({"calendarId": "nothing"}, "calendarId"),
        ({"accountId": str(uuid7())}, "accountId"),
        ({"accountId": "nothing"}, "accountId"),
        ({"remoteCalendarId": "unknown"}, "remoteCalendarId"),
        ({"remoteCalendarId": "\0"}, "remoteCalendarId"),
    ],
)
async def test_what_is_not_there_is_not_linked(
    house: House, ours: Tenant, account: dict[str, Any], change: dict[str, str], path: str
) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("linkCalendar", input=wanted(ours, account) | change)
    assert problems(errors) == [("NotFoundError", "NOT_FOUND", f"input.{path}")]
    assert await dump(house.database) == before


async def test_an_account_that_needs_its_owner_links_nothing(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    for state in (AccountState.NEEDS_RECONNECT, AccountState.REVOKED):
        async with house.services.storage.writing(ours.app_id) as work:
            await work.accounts.set_state(UUID(account["id"]), state, NOW)
        errors = await ours.api.refused("linkCalendar", input=wanted(ours, account))
        assert problems(errors) == [("ProviderRefusedError", "RECONNECT_REQUIRED", "input.accountId")]


@pytest.mark.parametrize(
    ("error", "problem", "retry_after"),
    [
        (
            Throttled("The provider is busy (429).", retry_after=MINUTE),
            ("ProviderUnavailableError", "PROVIDER_UNAVAILABLE", "input.accountId"),
            60,
        ),
        (Unreachable("503"), ("ProviderUnavailableError", "PROVIDER_UNAVAILABLE", "input.accountId"), None),
        (ReconnectRequired("Gone."), ("ProviderRefusedError", "RECONNECT_REQUIRED", "input.accountId"), None),
    ],
)
async def test_a_provider_that_does_not_answer_is_told_as_data(
    house: House,
    ours: Tenant,
    account: dict[str, Any],
    oauth: OAuthDouble,
    error: Any,
    problem: tuple[str, str, str],
    retry_after: float | None,
) -> None:
    before = await dump(house.database)
    oauth.error = error
    [told] = await ours.api.refused("linkCalendar", input=wanted(ours, account))
    assert problems([told]) == [problem]
    assert told.get("retryAfter") == retry_after
    assert await dump(house.database) == before


# How far it was read


async def test_a_linked_calendar_says_how_far_it_was_read(house: House, ours: Tenant, account: dict[str, Any]) -> None:
    assert (await calendar_now(ours))["source"] is None
    await ours.api.done("linkCalendar", input=wanted(ours, account))
    source = (await calendar_now(ours))["source"]
    assert (source["lastSyncedAt"], source["called"]) == (None, False)
    await house.worker.drain()
    calendar = await calendar_now(ours)
    assert calendar["account"]["id"] == account["id"]
    source = calendar["source"]
    assert moment(source["lastSyncedAt"]) == NOW
    assert source["nextLookAt"] is not None
    assert source["called"]
    assert {name: source[name] for name in ("lastError", "failures", "unreadable", "heldDeletions", "goneSince")} == {
        "lastError": None,
        "failures": 0,
        "unreadable": [],
        "heldDeletions": 0,
        "goneSince": None,
    }


async def test_what_cannot_be_kept_is_named_and_the_rest_is_taken(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    remote = there(house, ours, account)
    await remote.put("Good")
    await remote.put("Long", EventState(make_when(), make_content("x" * 2000)), uid="long@elsewhere")
    await link(house, ours, account)
    assert [each["what"] for each in await events_of(ours, ours.calendar.id)] == ["Good"]
    source = (await calendar_now(ours))["source"]
    assert source["unreadable"] == [{"name": "long@elsewhere", "reason": "Its title or its place is too long."}]


# Letting go


async def test_a_calendar_that_is_unlinked_is_local_and_both_sides_keep_what_they_have(
    house: House, ours: Tenant, account: dict[str, Any], oauth: OAuthDouble
) -> None:
    event, remote = await ours.create(what="Ours"), there(house, ours, account)
    await remote.put("Theirs")
    await link(house, ours, account)
    [(secret, address)] = oauth.channels.values()
    assert secret
    assert address.startswith(f"{PUBLIC}/hooks/oauth/")
    unlinked = (await ours.api.done("unlinkCalendar", calendarId=str(ours.calendar.id)))["calendar"]
    assert (unlinked["provider"], unlinked["account"], unlinked["source"]) == ("local", None, None)
    assert oauth.channels == {}
    await ours.update(event, what="Renamed")
    await remote.change("Theirs", summary="Renamed too")
    await house.later(DAY)
    found = await events_of(ours, ours.calendar.id)
    assert [(each["what"], each["sync"]["status"]) for each in found] == [("Renamed", "LOCAL"), ("Theirs", "LOCAL")]
    assert await remote.alive() == ["Ours", "Renamed too"]
    tables = await dump(house.database, ours.app_id)
    assert [tables[name] for name in ("link", "outbox", "lane", "source", "channel")] == [[]] * 5


@pytest.mark.parametrize("field", ["unlinkCalendar", "disconnectAccount"])
async def test_events_can_go_with_the_link_and_the_provider_keeps_its_own(
    house: House, ours: Tenant, account: dict[str, Any], field: str
) -> None:
    remote = there(house, ours, account)
    await ours.create(what="Ours")
    await remote.put("Theirs")
    await link(house, ours, account)
    calendar, opened = {"calendarId": str(ours.calendar.id)}, {"accountId": account["id"]}
    which: dict[str, Any] = calendar if field == "unlinkCalendar" else opened
    await ours.api.done(field, keepEvents=False, **which)
    await house.later(DAY)
    assert await events_of(ours, ours.calendar.id) == []
    assert await remote.alive() == ["Ours", "Theirs"]
    deleted = [
        row for row in (await dump(house.database, ours.app_id))["change"] if "DELETED" in row and "event" in row
    ]
    assert len(deleted) == 2


async def test_a_deletion_that_the_provider_had_not_heard_of_is_forgotten_with_the_link(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    event = await ours.create()
    await link(house, ours, account)
    await ours.api.done("deleteEvent", id=event["id"])
    await ours.api.done("unlinkCalendar", calendarId=str(ours.calendar.id))
    assert (await dump(house.database, ours.app_id))["event"] == []
    assert (await ours.api.done("deleteCalendar", id=str(ours.calendar.id)))["deletedId"] == str(ours.calendar.id)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("remote", ["primary", "holidays"])
@pytest.mark.parametrize("field", ["unlinkCalendar", "disconnectAccount"])
async def test_a_calendar_that_is_unlinked_is_as_read_only_as_it_was(
    house: House, ours: Tenant, account: dict[str, Any], before: bool, remote: str, field: str
) -> None:
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"readOnly": before})
    linked = await link(house, ours, account, remote)
    assert linked["readOnly"] == (before or remote == "holidays")
    which = {"calendarId": str(ours.calendar.id)} if field == "unlinkCalendar" else {"accountId": account["id"]}
    await ours.api.done(field, **which)
    assert (await calendar_now(ours))["readOnly"] == before


async def test_a_calendar_that_is_unlinked_stays_as_read_only_as_it_was_made_meanwhile(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    await link(house, ours, account)
    await ours.api.done("updateCalendar", id=str(ours.calendar.id), input={"readOnly": True})
    await ours.api.done("unlinkCalendar", calendarId=str(ours.calendar.id))
    assert (await calendar_now(ours))["readOnly"]


async def test_unlinking_can_be_repeated(house: House, ours: Tenant, account: dict[str, Any]) -> None:
    await ours.create()
    await link(house, ours, account)
    for _ in range(2):
        unlinked = await ours.api.done("unlinkCalendar", calendarId=str(ours.calendar.id))
        assert unlinked["calendar"]["provider"] == "local"
    assert len(await events_of(ours, ours.calendar.id)) == 1


async def test_events_are_recognised_by_their_uid_when_a_calendar_is_linked_again(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    remote = there(house, ours, account)
    for what in ("Ours 1", "Ours 2"):
        await ours.create(what=what)
    await remote.put("Theirs 1")
    await remote.put("Theirs 2")
    await link(house, ours, account)
    everything = [(each["what"], each["id"]) for each in await events_of(ours, ours.calendar.id)]
    letting_go: list[tuple[str, dict[str, Any]]] = [
        ("unlinkCalendar", {"calendarId": str(ours.calendar.id)}),
        ("disconnectAccount", {"accountId": account["id"]}),
    ]
    for field, which in letting_go:
        await ours.api.done(field, **which)
        again = await connected(house, ours)
        assert again["id"] == account["id"]
        await link(house, ours, account)
        found = await events_of(ours, ours.calendar.id)
        assert [(each["what"], each["id"]) for each in found] == everything
        assert {each["sync"]["status"] for each in found} == {"SYNCED"}
        assert await remote.alive() == ["Ours 1", "Ours 2", "Theirs 1", "Theirs 2"]


async def test_what_differs_when_a_calendar_is_linked_again_is_not_overwritten(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    remote = there(house, ours, account)
    event = await ours.create(what="Agreed")
    await link(house, ours, account)
    await ours.api.done("unlinkCalendar", calendarId=str(ours.calendar.id))
    await remote.change(await remote.name_of("Agreed"), description="Added there")
    await link(house, ours, account)
    found = await ours.event_now(event)
    assert (found["what"], found["description"]) == ("Agreed", "Added there")
    assert await remote.alive() == ["Agreed"]


# Closing an account


async def test_an_account_that_is_closed_leaves_nothing_behind_that_opens_it(
    house: House, ours: Tenant, account: dict[str, Any], oauth: OAuthDouble
) -> None:
    await ours.create(what="Ours")
    await there(house, ours, account).put("Theirs")
    await link(house, ours, account)
    assert len(oauth.channels) == 1
    closed = (await ours.api.done("disconnectAccount", accountId=account["id"]))["account"]
    assert (closed["id"], closed["state"], closed["calendars"]) == (account["id"], "REVOKED", [])
    assert oauth.channels == {}
    assert oauth.revoked == [TOKENS | {"address": "ada@example.org"}]
    async with house.services.storage.reading(ours.app_id) as work:
        assert await work.accounts.grant(UUID(account["id"])) is None
    calendar = await calendar_now(ours)
    assert (calendar["provider"], calendar["account"], calendar["source"]) == ("local", None, None)
    found = await events_of(ours, ours.calendar.id)
    assert [(each["what"], each["sync"]["status"]) for each in found] == [("Ours", "LOCAL"), ("Theirs", "LOCAL")]
    asked = len(oauth.asked)
    await house.later(DAY)
    assert len(oauth.asked) == asked


async def test_every_calendar_of_an_account_is_let_go(house: House, ours: Tenant, account: dict[str, Any]) -> None:
    other = (await ours.api.done("createCalendar", input={"name": "Another"}))["calendar"]
    await link(house, ours, account)
    await ours.api.done("linkCalendar", input=wanted(ours, account, "team", calendarId=other["id"]))
    await house.worker.drain()
    await ours.api.done("disconnectAccount", accountId=account["id"])
    for calendar_id in (ours.calendar.id, other["id"]):
        assert (await calendar_now(ours, calendar_id))["provider"] == "local"


async def test_a_provider_that_does_not_answer_does_not_keep_an_account_open(
    house: House, ours: Tenant, account: dict[str, Any], oauth: OAuthDouble
) -> None:
    await link(house, ours, account)
    oauth.error = Unreachable("503")
    closed = (await ours.api.done("disconnectAccount", accountId=account["id"]))["account"]
    assert closed["state"] == "REVOKED"
    assert (await calendar_now(ours))["provider"] == "local"
    async with house.services.storage.reading(ours.app_id) as work:
        assert await work.accounts.grant(UUID(account["id"])) is None


async def test_closing_an_account_that_broke_off_in_the_middle_can_be_repeated(
    house: House, ours: Tenant, account: dict[str, Any], oauth: OAuthDouble
) -> None:
    await ours.create(what="Ours")
    await link(house, ours, account)
    query = "mutation($id: ID!) { disconnectAccount(accountId: $id) { account { state } } }"
    with sabotaged(LaneRepository, "forget", RuntimeError("killed")):
        assert (await ours.api.fault(query, id=account["id"]))["extensions"]["code"] == "INTERNAL"
    assert (await accounts_of(ours))[0]["state"] == "REVOKED"
    assert (await calendar_now(ours))["provider"] == "oauth"
    asked = len(oauth.asked)
    await house.later(DAY)
    assert len(oauth.asked) == asked  # nothing is asked of it meanwhile
    for _ in range(2):
        closed = (await ours.api.done("disconnectAccount", accountId=account["id"]))["account"]
        assert (closed["state"], closed["calendars"]) == ("REVOKED", [])
    assert (await calendar_now(ours))["provider"] == "local"
    assert [each["what"] for each in await events_of(ours, ours.calendar.id)] == ["Ours"]


async def test_an_account_whose_grant_cannot_be_opened_any_more_can_be_closed(
    house: House, ours: Tenant, account: dict[str, Any], oauth: OAuthDouble
) -> None:
    await link(house, ours, account)
    house.database.vault = Vault([new_key()])
    closed = (await ours.api.done("disconnectAccount", accountId=account["id"]))["account"]
    assert closed["state"] == "REVOKED"
    assert oauth.revoked == []
    assert (await calendar_now(ours))["provider"] == "local"


async def test_an_account_whose_grant_cannot_be_opened_any_more_asks_for_the_operator(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    house.database.vault = Vault([new_key()])
    [error] = await ours.api.refused("linkCalendar", input=wanted(ours, account))
    assert problems([error]) == [("ProviderRefusedError", "RECONNECT_REQUIRED", "input.accountId")]
    assert "KALENDS_SECRET_KEYS" in error["message"]


async def test_a_sandbox_account_that_was_closed_opens_with_the_next_calendar(house: House, ours: Tenant) -> None:
    await ours.api.done("disconnectAccount", accountId=str(ours.account.id))
    made = {"name": "Again", "provider": "sandbox", "resourceId": str(ours.resource.id)}
    calendar = (await ours.api.done("createCalendar", input=made))["calendar"]
    event = await ours.create(calendarId=calendar["id"], syncProvider=True)
    assert event["sync"]["status"] == "SYNCED"


@pytest.mark.parametrize("text", [str(NOBODY), "nothing", ""])
async def test_what_is_not_there_is_not_let_go(house: House, ours: Tenant, text: str) -> None:
    before = await dump(house.database)
    for field, argument in (("unlinkCalendar", "calendarId"), ("disconnectAccount", "accountId")):
        which: dict[str, Any] = {argument: text}
        errors = await ours.api.refused(field, **which)
        assert problems(errors) == [("NotFoundError", "NOT_FOUND", argument)]
    assert await dump(house.database) == before


async def test_only_who_manages_calendars_links_and_lets_go(
    house: House, ours: Tenant, account: dict[str, Any]
) -> None:
    other = await key_with(house, Scope.READ, Scope.WRITE_EVENTS, Scope.MANAGE_KEYS)
    before = await dump(house.database)
    linking = "mutation($input: LinkCalendarInput!) { linkCalendar(input: $input) { __typename } }"
    faults = [
        await other.fault(linking, input=wanted(ours, account)),
        await other.fault(f'mutation {{ unlinkCalendar(calendarId: "{ours.calendar.id}") {{ __typename }} }}'),
        await other.fault(f'mutation {{ disconnectAccount(accountId: "{account["id"]}") {{ __typename }} }}'),
        await other.fault(f'query {{ remoteCalendars(accountId: "{account["id"]}") {{ name }} }}'),
    ]
    assert {fault["extensions"]["scope"] for fault in faults} == {"MANAGE_CALENDARS"}
    assert await dump(house.database) == before


# Calendars on the web


async def subscribe(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    payload = await tenant.api.done("subscribeCalendar", input={"url": FEED} | fields)
    return dict(payload["calendar"])


async def test_a_calendar_on_the_web_is_read_only_and_blocks_time(house: House, ours: Tenant) -> None:
    calendar = await subscribe(ours, resourceId=str(ours.resource.id))
    assert (calendar["name"], calendar["timeZone"], calendar["readOnly"]) == ("Public holidays", "Asia/Tokyo", True)
    assert calendar["provider"] == "ics"
    stored = await calendar_now(ours, calendar["id"])
    assert stored["resource"]["id"] == str(ours.resource.id)
    remote = There(house, ours, UUID(stored["account"]["id"]), "feed")
    await remote.put("Christmas", EventState(make_when(SLOT), make_content("Christmas")))
    await house.worker.drain()
    assert [each["what"] for each in await events_of(ours, calendar["id"])] == ["Christmas"]
    errors = await ours.api.refused("createEvent", input=ours.event(calendarId=calendar["id"]))
    assert problems(errors) == [("CalendarNotWritableError", "CALENDAR_READ_ONLY", "input.calendarId")]
    await remote.delete("Christmas")
    await house.later(DAY)
    assert await events_of(ours, calendar["id"]) == []


async def test_a_subscription_can_have_a_name_and_a_zone_of_its_own(ours: Tenant, ics: AddressDouble) -> None:
    named = await subscribe(ours, name="Holidays", timeZone="Europe/Berlin")
    assert (named["name"], named["timeZone"]) == ("Holidays", "Europe/Berlin")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"url": "https://elsewhere.test/"}, ("ProviderRefusedError", "BAD_ADDRESS", "input.url")),
        ({"name": " "}, ("InvalidInputError", "INVALID_VALUE", "input.name")),
        ({"timeZone": "Mars/Olympus"}, ("InvalidInputError", "UNKNOWN_TIME_ZONE", "input.timeZone")),
        ({"resourceId": str(uuid7())}, ("NotFoundError", "NOT_FOUND", "input.resourceId")),
    ],
)
async def test_what_cannot_be_subscribed_to_is_told_as_data(
    house: House, ours: Tenant, change: dict[str, str], problem: tuple[str, str, str]
) -> None:
    before = await dump(house.database)
    errors = await ours.api.refused("subscribeCalendar", input={"url": FEED} | change)
    assert problems(errors) == [problem]
    assert await dump(house.database) == before


async def test_an_address_feeds_one_calendar_of_a_resource(house: House, ours: Tenant) -> None:
    await subscribe(ours)
    errors = await ours.api.refused("subscribeCalendar", input={"url": FEED})
    assert problems(errors) == [("InUseError", "IN_USE", "input.url")]
    await subscribe(ours, resourceId=str(ours.resource.id))
    assert len(await accounts_of(ours, "ics")) == 2


async def test_a_subscription_that_broke_off_can_be_repeated(house: House, ours: Tenant, ics: AddressDouble) -> None:
    """The account is there already, and its calendar is not."""
    query = "mutation($input: SubscribeCalendarInput!) { subscribeCalendar(input: $input) { calendar { id } } }"
    with sabotaged(CalendarRepository, "add", RuntimeError("killed")):
        assert (await ours.api.fault(query, input={"url": FEED}))["extensions"]["code"] == "INTERNAL"
    assert (await subscribe(ours))["name"] == "Public holidays"
    assert len(await accounts_of(ours, "ics")) == 1


async def test_a_subscription_that_is_let_go_leaves_a_calendar_that_can_be_written_to(
    house: House, ours: Tenant
) -> None:
    calendar = await subscribe(ours)
    await house.worker.drain()
    unlinked = (await ours.api.done("unlinkCalendar", calendarId=calendar["id"]))["calendar"]
    assert unlinked["provider"] == "local"
    await ours.api.done("updateCalendar", id=calendar["id"], input={"readOnly": False})
    await ours.create(calendarId=calendar["id"])
    assert (await subscribe(ours))["id"] != calendar["id"]
