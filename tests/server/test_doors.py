"""The doors that are not GraphQL: providers call us and learn nothing, and people come back to a page that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from kalends.domain.access import secret_hash
from kalends.domain.ids import uuid7
from providers.errors import WrongCredentials
from resolvers.channels import HOOKS, name_of
from storage.accounts import ConsentRepository
from storage.engine import Database
from storage.errors import Unavailable
from storage.sources import ChannelRepository
from tests.api import House, Tenant, build_house, dump, sabotaged
from tests.helpers import DAY, HOUR, Clock, make_channel
from tests.providers.oauth_double import DOUBLES, OAuthDouble
from tests.schema.remote import PUBLIC, There, begin, come_back, connected, events_of, state_of

pytestmark = pytest.mark.anyio

SECRET = "hook-secret"
TOO_MUCH = 10 * 2**20
UNIFORM = (202, b"", {"content-length": "0"})


@pytest.fixture
async def house(database: Database, clock: Clock) -> House:
    """Return a server that a provider can call."""
    return await build_house(database, clock, providers=DOUBLES, public_url=PUBLIC)


@pytest.fixture
def oauth(house: House) -> OAuthDouble:
    provider = house.services.providers["oauth"]
    assert isinstance(provider, OAuthDouble)
    return provider


@dataclass(frozen=True, slots=True)
class Line:
    """A channel on which a provider calls us about a calendar, which was read and is not due."""

    house: House
    app_id: UUID
    channel_id: UUID
    calendar_id: UUID

    @property
    def address(self) -> str:
        return f"{HOOKS}/oauth/{name_of(self.app_id, self.channel_id)}"

    async def call(self, secret: str | None = SECRET, address: str | None = None, **headers: str) -> httpx.Response:
        told = headers if secret is None else {"x-channel-token": secret, **headers}
        return await self.house.browse(address or self.address, method="POST", headers=told, content=b"{}")

    async def due(self) -> list[UUID]:
        """Return the calendars that somebody would look at now."""
        async with self.house.services.storage.reading(self.app_id) as work:
            return [each for each in await work.sources.all_ids() if await work.sources.due(each)]


async def open_line(house: House, tenant: Tenant) -> Line:
    account = await connected(house, tenant)
    linked = {"calendarId": str(tenant.calendar.id), "accountId": account["id"], "remoteCalendarId": "primary"}
    await tenant.api.done("linkCalendar", input=linked)
    await house.worker.drain()
    async with house.services.storage.writing(tenant.app_id) as work:
        await work.channels.forget_calendar(tenant.calendar.id)
        channel = make_channel(tenant.calendar.id, SECRET)
        await work.channels.add(channel)
    return Line(house, tenant.app_id, channel.id, tenant.calendar.id)


@pytest.fixture
async def line(house: House, ours: Tenant) -> Line:
    return await open_line(house, ours)


@pytest.fixture
def ours(house: House) -> Tenant:
    return house.ours


@pytest.fixture
def theirs(house: House) -> Tenant:
    return house.theirs


def told(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    return response.status_code, response.content, dict(response.headers)


# Hooks


async def test_a_right_call_has_somebody_look_at_the_calendar_and_at_no_other(house: House, line: Line) -> None:
    assert await line.due() == []
    assert told(await line.call()) == UNIFORM
    assert await line.due() == [line.calendar_id]
    async with house.services.storage.system(write=True) as system:
        lanes = await system.take_lanes(10, HOUR)
    assert [lane.calendar_id for lane in lanes] == [line.calendar_id]


async def test_many_calls_are_one_look(house: House, line: Line, oauth: OAuthDouble) -> None:
    before = await dump(house.database)
    for _ in range(5):
        await line.call()
    after = await dump(house.database)
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    assert await house.worker.take() == 1
    await house.worker.drain()
    assert await line.due() == []


async def test_what_has_changed_there_is_here_after_a_call(house: House, line: Line, ours: Tenant) -> None:
    account = (await ours.api.ask("calendar", id=str(ours.calendar.id)))["account"]
    await There(house, ours, UUID(account["id"]), "primary").put("Changed there")
    await house.worker.drain()
    assert await events_of(ours, ours.calendar.id) == []
    await line.call()
    await house.worker.drain()
    assert [each["what"] for each in await events_of(ours, ours.calendar.id)] == ["Changed there"]


async def test_whatever_is_wrong_with_a_call_the_answer_is_the_same_and_nobody_looks(
    house: House, line: Line, theirs: Tenant
) -> None:
    app, channel = line.app_id, line.channel_id
    calls: dict[str, tuple[str | None, str]] = {
        "no secret": (None, line.address),
        "an empty secret": ("", line.address),
        "another secret": ("hook-secreT", line.address),
        "the secret's hash": (secret_hash(SECRET).hex(), line.address),
        "an unknown channel": (SECRET, f"{HOOKS}/oauth/{name_of(app, uuid7())}"),
        "an unknown app": (SECRET, f"{HOOKS}/oauth/{name_of(uuid7(), channel)}"),
        "another app's": (SECRET, f"{HOOKS}/oauth/{name_of(theirs.app_id, channel)}"),
        "an unknown provider": (SECRET, f"{HOOKS}/myspace/{name_of(app, channel)}"),
        "a provider that does not call": (SECRET, f"{HOOKS}/sandbox/{name_of(app, channel)}"),
        "no name": (SECRET, f"{HOOKS}/oauth/x"),
        "a name too short": (SECRET, f"{HOOKS}/oauth/{name_of(app, channel)[:-1]}"),
        "a name too long": (SECRET, f"{HOOKS}/oauth/{name_of(app, channel)}0"),
        "a name with dashes": (SECRET, f"{HOOKS}/oauth/{app}{str(channel)[:28]}"),
        "a name in another script": (SECRET, HOOKS + "/oauth/" + "\u0661" * 64),
        "a name with a NUL": (SECRET, f"{HOOKS}/oauth/{'%00' * 64}"),
    }
    before = await dump(house.database)
    for wrong, (secret, address) in calls.items():
        assert told(await line.call(secret, address)) == UNIFORM, wrong
        assert await dump(house.database) == before, wrong
    assert await line.due() == []


async def test_a_channel_of_another_app_answers_to_its_own_secret_only(
    house: House, line: Line, theirs: Tenant
) -> None:
    other = await open_line(house, theirs)
    async with house.services.storage.writing(theirs.app_id) as work:
        await work.channels.remove(other.channel_id)
        channel = make_channel(theirs.calendar.id, "another-secret")
        await work.channels.add(channel)
    before = await dump(house.database, theirs.app_id)
    address = f"{HOOKS}/oauth/{name_of(theirs.app_id, channel.id)}"
    assert told(await line.call(SECRET, address)) == UNIFORM
    assert await dump(house.database, theirs.app_id) == before
    assert told(await line.call("another-secret", address)) == UNIFORM
    assert await other.due() == [theirs.calendar.id]
    assert await line.due() == []


async def test_a_call_about_a_calendar_that_is_not_read_any_more_enqueues_nothing(
    house: House, line: Line, ours: Tenant
) -> None:
    async with house.services.storage.writing(ours.app_id) as work:
        await work.sources.close(ours.calendar.id)
    before = await dump(house.database)
    assert told(await line.call()) == UNIFORM
    assert await dump(house.database) == before


async def test_a_channel_that_the_provider_gives_up_is_forgotten_and_another_is_opened(
    house: House, line: Line, oauth: OAuthDouble
) -> None:
    oauth.channels.clear()
    assert told(await line.call(**{"x-channel-state": "lost"})) == UNIFORM
    async with house.services.storage.reading(line.app_id) as work:
        assert await work.channels.get(line.channel_id) is None
    await house.worker.drain()
    assert len(oauth.channels) == 1


async def test_a_channel_that_the_provider_wants_renewed_is_renewed(
    house: House, line: Line, oauth: OAuthDouble
) -> None:
    oauth.channels.clear()
    assert told(await line.call(**{"x-channel-state": "renew"})) == UNIFORM
    await house.worker.drain()
    assert len(oauth.channels) == 1
    async with house.services.storage.reading(line.app_id) as work:
        [channel] = await work.channels.of([line.calendar_id])
    assert channel.id != line.channel_id
    assert channel.expires_at > house.clock.now + DAY


async def test_the_channel_that_was_opened_works_with_what_the_provider_was_given(
    house: House, line: Line, oauth: OAuthDouble
) -> None:
    oauth.channels.clear()
    await line.call(**{"x-channel-state": "lost"})
    await house.worker.drain()
    [(secret, address)] = oauth.channels.values()
    assert address.startswith(f"{PUBLIC}{HOOKS}/oauth/")
    assert await line.due() == []
    assert told(await line.call(secret, address.removeprefix(PUBLIC))) == UNIFORM
    assert await line.due() == [line.calendar_id]
    assert secret not in str(await dump(house.database))


async def test_a_call_that_only_tries_the_address_is_answered_in_plain_text(house: House, line: Line) -> None:
    before = await dump(house.database)
    for name in (name_of(line.app_id, line.channel_id), "x"):
        answer = await house.browse(
            f"{HOOKS}/oauth/{name}", method="POST", params={"validationToken": "<script>alert(1)</script>"}
        )
        assert (answer.status_code, answer.text) == (200, "<script>alert(1)</script>")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert await dump(house.database) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_hook_takes_nothing_but_post(house: House, line: Line, method: str) -> None:
    assert (await house.browse(line.address, method=method)).status_code == 405


async def test_a_body_that_is_too_large_is_not_read_to_its_end(house: House, line: Line) -> None:
    sent: list[int] = []

    async def flood() -> AsyncIterator[bytes]:
        for _ in range(TOO_MUCH // 2**16):
            sent.append(2**16)
            yield b"x" * 2**16

    before = await dump(house.database)
    answer = await _post_to(house, line.address, flood())
    assert answer == 413
    assert sum(sent) <= 2**19
    assert await dump(house.database) == before


async def _post_to(house: House, path: str, body: AsyncIterator[bytes]) -> int:
    """Post to the server as uvicorn would, piece by piece, and return the status."""
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        piece = await anext(body, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    headers = [(b"host", b"kalends.test"), (b"x-channel-token", SECRET.encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "server": ("kalends.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await house.app(scope, receive, send)
    return status[0]


async def test_a_body_that_does_not_come_is_not_waited_for(database: Database, clock: Clock) -> None:
    house = await build_house(database, clock, providers=DOUBLES, public_url=PUBLIC, receive_seconds=0.05)

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    assert await _post_to(house, f"{HOOKS}/oauth/{name_of(uuid7(), uuid7())}", nothing()) == 408


async def test_a_call_while_the_database_is_away_is_to_be_repeated(house: House, line: Line) -> None:
    with sabotaged(ChannelRepository, "get", Unavailable("away")):
        assert (await line.call()).status_code == 503


# Coming back


async def test_the_page_escapes_what_it_shows(house: House, ours: Tenant, oauth: OAuthDouble) -> None:
    url = await begin(ours)
    oauth.error = WrongCredentials("<script>alert('&')</script>")
    page = await come_back(house, url)
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page.text


async def test_nothing_of_the_address_is_in_the_page(house: House, ours: Tenant) -> None:
    url = await begin(ours)
    asked = {"state": state_of(url), "error": "access_denied", "error_description": "<b>evil</b>"}
    page = await house.browse("/oauth/callback", params=asked)
    assert "evil" not in page.text
    assert state_of(url)[64:] not in page.text + str(page.headers)


@pytest.mark.parametrize("how", ["connected", "used", "denied", "sent on"])
async def test_every_answer_is_kept_nowhere_tells_nobody_and_runs_nothing(
    database: Database, clock: Clock, how: str
) -> None:
    origin = "https://app.example.org"
    house = await build_house(database, clock, providers=DOUBLES, public_url=PUBLIC, return_origins=[origin])
    url = await begin(house.ours, **({"returnTo": f"{origin}/done"} if how == "sent on" else {}))
    answer = await come_back(house, url, None if how == "denied" else "ada")
    if how == "used":
        answer = await come_back(house, url)
    assert answer.status_code == {"connected": 200, "used": 400, "denied": 400, "sent on": 303}[how]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "script" not in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_people_come_back_by_get_only(house: House, method: str) -> None:
    assert (await house.browse("/oauth/callback", method=method)).status_code == 405


async def test_who_comes_back_while_the_database_is_away_is_asked_to_try_again(house: House, ours: Tenant) -> None:
    url = await begin(ours)
    with sabotaged(ConsentRepository, "take", Unavailable("away")):
        page = await come_back(house, url)
    assert (page.status_code, "try again" in page.text) == (503, True)
    assert (await come_back(house, url)).status_code == 200


@pytest.mark.parametrize(("name", "length"), [("state", 257), ("code", 4097)])
async def test_what_is_too_long_opens_nothing(house: House, ours: Tenant, name: str, length: int) -> None:
    told_there = {"state": state_of(await begin(ours)), "code": "ada"} | {name: "a" * length}
    page = await house.browse("/oauth/callback", params=told_there)
    assert page.status_code == 400
