"""A subscribed file: read when it has changed, whole or not at all, and never written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx
import pytest

from kalends.domain.ids import uuid7
from kalends.domain.sync import WarningCode
from providers.errors import (
    BadAddress,
    CalendarGone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    Throttled,
    TokenExpired,
    Unreachable,
)
from providers.ical import lines
from providers.ics import IcsProvider
from providers.interface import Grant, ListedCalendar, Page, RemoteAccount, RemoteEvent
from tests.contracts.provider_contract import outgoing_for
from tests.helpers import make_event
from tests.providers.ical.test_files import FILES
from tests.providers.ics.publisher import SECRET, URL, Publisher, Stage, calendar, vevent
from tests.providers.surroundings import surroundings

pytestmark = pytest.mark.anyio

PAGE = "<!DOCTYPE html><html><body>Please sign in</body></html>"


def names(pages: Sequence[Page]) -> dict[str, RemoteEvent]:
    return {event.remote_id: event for page in pages for event in page.events}


def token_of(pages: Sequence[Page]) -> str:
    assert all(page.token is None for page in pages[:-1])
    assert pages[-1].token is not None
    return pages[-1].token


# Subscribing


@pytest.mark.parametrize(
    "url", [URL, URL.replace("https:", "webcal:"), URL.replace("https:", "WEBCAL:"), URL[8:], f" {URL} "]
)
async def test_an_address_may_be_spelled_as_people_do(url: str) -> None:
    opened = await IcsProvider(surroundings(transport=Publisher())).subscribe(url=url)
    assert opened.grant == Grant({"url": URL})
    assert opened.address is None


async def test_the_address_is_a_secret_and_its_subject_tells_it_apart() -> None:
    provider = IcsProvider(surroundings(transport=Publisher()))
    one, other = await provider.subscribe(url=URL), await provider.subscribe(url=f"{URL}?x=1")
    assert one.subject != other.subject
    assert SECRET not in repr(one)


@pytest.mark.parametrize(
    "publisher",
    [
        Publisher(PAGE),
        Publisher("BEGIN:VCARD\r\nEND:VCARD\r\n"),
        Publisher(status=404),
        Publisher(status=403),
        Publisher(status=401),
        Publisher(calendar(vevent("1"))[:-20]),
        Publisher(status=302, headers={"location": "https://elsewhere.example/basic.ics"}),
        Publisher(status=302, headers={"location": "/round-and-round.ics"}),
    ],
    ids=["a page", "contacts", "nothing", "forbidden", "a password", "half of it", "another server", "in circles"],
)
async def test_an_address_where_no_calendar_is_is_a_bad_one(publisher: Publisher) -> None:
    with pytest.raises(BadAddress) as caught:
        await IcsProvider(surroundings(transport=publisher)).subscribe(url=URL)
    assert SECRET not in str(caught.value)
    assert "example" not in str(caught.value)
    assert {each.url.host for each in publisher.requests} == {"feeds.example.org"}
    assert len(publisher.requests) <= 4


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not an address",
        "https://",
        "file:///etc/passwd",
        "ftp://feeds.example.org/a.ics",
        "http://feeds.example.org/a.ics",
        "https://u:p@feeds.example.org/a.ics",
        "https://feeds.example.org:8080/a.ics",
    ],
)
async def test_an_address_where_kalends_does_not_go_is_refused_before_anything_is_sent(url: str) -> None:
    publisher = Publisher()
    with pytest.raises(BadAddress):
        await IcsProvider(surroundings(transport=publisher)).subscribe(url=url)
    assert publisher.requests == []


async def test_a_file_that_moved_on_its_server_is_followed() -> None:
    class Moved(Publisher):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.status = 200 if request.url.path == "/new.ics" else 301
            return await super().handle_async_request(request)

    provider = IcsProvider(surroundings(transport=Moved(headers={"location": "/new.ics"})))
    assert (await provider.subscribe(url=URL)).grant == Grant({"url": URL})


# The calendar


@pytest.mark.parametrize(
    ("head", "name", "tzid"),
    [
        ("X-WR-CALNAME:Ada\\, at work\r\nX-WR-TIMEZONE:Europe/Vienna\r\n", "Ada, at work", "Europe/Vienna"),
        ("X-WR-TIMEZONE:W. Europe Standard Time\r\n", "feeds.example.org", "Europe/Berlin"),
        ("NAME:By RFC 7986\r\nX-WR-TIMEZONE:Nobody's\r\n", "By RFC 7986", None),
        ("X-WR-CALNAME: \r\n", "feeds.example.org", None),
    ],
)
async def test_a_file_is_one_calendar_that_can_only_be_read(head: str, name: str, tzid: str | None) -> None:
    stage = Stage(Publisher(calendar(head=head)))
    assert stage.calendar.account_id is not None
    account = RemoteAccount(stage.calendar.app_id, stage.calendar.account_id)
    [found] = await stage.provider.calendars(account)
    assert found == ListedCalendar("calendar", name, tzid, read_only=True, primary=True)


# Reading


async def test_a_round_is_whole_and_comes_in_pages() -> None:
    stage = Stage(Publisher(calendar(*(vevent(str(number)) for number in range(5)))), page=2)
    pages = await stage.pages()
    assert [len(page.events) for page in pages] == [0, 2, 2, 1, 0]
    assert set(names(pages)) == {"0", "1", "2", "3", "4"}
    assert pages[-1].whole
    assert len(stage.publisher.requests) == 1


@pytest.mark.parametrize("publisher", [Publisher(), Publisher(etag=None), Publisher(modified=None)])
async def test_a_file_that_has_not_changed_is_not_sent_again(publisher: Publisher) -> None:
    stage = Stage(publisher)
    token = token_of(await stage.pages())
    pages = await stage.pages(token)
    assert (token_of(pages), names(pages), pages[-1].whole) == (token, {}, False)
    validators = (
        "if-none-match" in publisher.requests[-1].headers,
        "if-modified-since" in publisher.requests[-1].headers,
    )
    assert validators == (publisher.etag is not None, publisher.modified is not None)


async def test_a_file_that_comes_again_and_says_the_same_is_not_read_again() -> None:
    stage = Stage(Publisher(calendar(vevent("1")), etag=None, modified=None))
    token = token_of(await stage.pages())
    pages = await stage.pages(token)
    assert (names(pages), pages[-1].whole) == ({}, False)


async def test_a_file_that_has_changed_is_read_whole_and_what_is_known_is_named_only() -> None:
    stage = Stage(Publisher(calendar(vevent("1"), vevent("2"), vevent("3"))))
    first = await stage.pages()
    etags = {name: event.etag for name, event in names(first).items()}
    later = "20260909T000000Z"  # as Google and Exchange write it anew for every download
    text = calendar(vevent("1", stamp=later), vevent("2", "Changed", later), vevent("4", stamp=later))
    stage.publisher.text, stage.publisher.etag, stage.publisher.modified = text, '"2"', None

    async def known(asked: Sequence[str]) -> Mapping[str, str]:
        return {name: etags[name] for name in asked if name in etags}

    pages = await stage.pages(token_of(first), known)
    found = names(pages)
    assert set(found) == {"1", "2", "4"}
    assert sorted(name for name, event in found.items() if event.state is not None) == ["2", "4"]
    assert pages[-1].whole


@pytest.mark.parametrize("token", ["no-such-token", "", "ics ", "ics {", "ics []", "ics null", 'ics {"etag":null}'])
async def test_a_token_that_is_none_asks_for_everything(token: str) -> None:
    stage = Stage(Publisher())
    with pytest.raises(TokenExpired):
        await stage.pages(token)
    assert stage.publisher.requests == []


@pytest.mark.parametrize(
    ("publisher", "expected"),
    [
        (Publisher(PAGE), CalendarGone),
        (Publisher('{"error": "gone"}'), CalendarGone),
        (Publisher(status=404), CalendarGone),
        (Publisher(status=410), CalendarGone),
        (Publisher(status=401), CalendarGone),
        (Publisher(status=403), CalendarGone),
        (Publisher(""), OutcomeUnknown),
        (Publisher("\r\n"), OutcomeUnknown),
        (Publisher(calendar(vevent("1"), vevent("2"))[:-60]), OutcomeUnknown),
        (Publisher(status=204), OutcomeUnknown),
        (Publisher(status=304), OutcomeUnknown),
        (Publisher(status=500), Unreachable),
        (Publisher(status=503, headers={"retry-after": "60"}), Throttled),
        (Publisher(status=429), Throttled),
        (Publisher(status=302, headers={"location": "https://login.example/"}), BadAddress),
    ],
)
async def test_what_is_no_calendar_is_never_an_empty_one(publisher: Publisher, expected: type[ProviderError]) -> None:
    """webhookdb/webhookdb#625: an empty listing wipes the store."""
    stage = Stage(publisher)
    with pytest.raises(expected) as caught:
        await stage.pages()
    assert type(caught.value) is expected
    assert SECRET not in str(caught.value)


async def test_a_calendar_without_events_is_an_empty_one() -> None:
    pages = await Stage(Publisher(calendar())).pages()
    assert (names(pages), pages[-1].whole) == ({}, True)


async def test_more_than_kalends_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_COMPONENTS", 2)
    with pytest.raises(Refused, match="entries"):
        await Stage(Publisher(calendar(vevent("1"), vevent("2"), vevent("3")))).pages()


async def test_one_that_cannot_be_read_does_not_keep_the_others() -> None:
    reversed_ = vevent("reversed").replace("T100000", "T080000")
    pages = await Stage(Publisher(calendar(vevent("1"), reversed_, vevent("1", "Again")))).pages()
    assert {name: event.state is not None for name, event in names(pages).items()} == {"1": True, "reversed": False}
    assert sorted(each.name for page in pages for each in page.broken) == ["1", "reversed"]


@pytest.mark.parametrize("file", ["google", "outlook", "exchange", "apple", "lotus", "evolution"])
async def test_files_of_every_producer_are_read(file: str) -> None:
    data = (FILES / f"{file}.ics").read_bytes()
    pages = await Stage(Publisher(data)).pages()
    found = names(pages)
    assert found
    assert all(event.state is not None and event.uid for event in found.values())
    assert not any(page.broken for page in pages)
    flagged = {warning.code for event in found.values() for warning in event.warnings}
    assert (WarningCode.UNKNOWN_TIME_ZONE in flagged) is (file in ("exchange", "lotus"))


async def test_a_very_long_uid_has_a_name_of_a_usual_length() -> None:
    stage = Stage(Publisher(calendar(vevent("u" * 5_000))))
    [(name, event)] = names(await stage.pages()).items()
    assert len(name) <= 255
    assert event.uid == "u" * 5_000
    found = await stage.provider.find(stage.calendar, outgoing_for(make_event(uuid7())).identity, name)
    assert found == event


async def test_find_looks_into_the_file() -> None:
    stage = Stage(Publisher(calendar(vevent("1"), vevent("2", "Two"), vevent("3").replace("T100000", "T080000"))))
    identity = outgoing_for(make_event(uuid7())).identity
    found = await stage.provider.find(stage.calendar, identity, "2")
    assert found is not None
    assert found.state is not None
    assert found.state.content.summary == "Two"
    assert await stage.provider.find(stage.calendar, replace(identity, uid="1"), None) is not None
    assert await stage.provider.find(stage.calendar, identity, "none") is None
    with pytest.raises(Refused):
        await stage.provider.find(stage.calendar, identity, "3")


async def test_a_calendar_without_an_address_needs_one() -> None:
    stage = Stage(Publisher())
    for account in (None, uuid7()):
        stage.calendar = replace(stage.calendar, account_id=account)
        with pytest.raises(ReconnectRequired):
            await stage.pages()


# Writing


async def test_nothing_is_ever_written() -> None:
    stage = Stage(Publisher(calendar(vevent("1"))))
    outgoing, copy = outgoing_for(make_event(uuid7(), send_invitations=True)), RemoteEvent("1", '"1"')
    with pytest.raises(Refused):
        await stage.provider.create(stage.calendar, outgoing)
    with pytest.raises(Refused):
        await stage.provider.update(stage.calendar, outgoing, copy)
    with pytest.raises(Refused):
        await stage.provider.delete(stage.calendar, outgoing, copy)
    assert stage.publisher.requests == []
    assert not stage.provider.capabilities.writes
    assert stage.provider.expected(outgoing) is None
    assert (stage.provider.warnings(outgoing), stage.provider.mailed(outgoing)) == ((), ())
    assert stage.provider.preview(outgoing) == {}
    await stage.provider.revoke(Grant({"url": URL}))
