"""What has changed on a server: by its tokens or by comparing versions, all of it, and nothing taken for deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import httpx
import pytest

from kalends.domain.ids import uuid7
from providers.caldav import listing, wire
from providers.errors import (
    BadAddress,
    CalendarGone,
    OutcomeUnknown,
    ProviderError,
    ReconnectRequired,
    Refused,
    TokenExpired,
    Unreachable,
)
from providers.ical import lines
from providers.interface import Page
from tests.contracts.provider_contract import outgoing_for
from tests.contracts.reading_contract import nothing_known
from tests.helpers import make_event
from tests.providers.caldav.fake import WORK, FakeDav, error, respond
from tests.providers.caldav.stage import Stage, broken, ics, names, read

pytestmark = pytest.mark.anyio

EMPTY = '<d:multistatus xmlns:d="DAV:"/>'


def files(count: int) -> dict[str, str]:
    return {f"{number}.ics": ics(f"uid-{number}") for number in range(count)}


def reports(stage: Stage, kind: str) -> list[str]:
    """Return the reports of one kind that were asked for."""
    return [
        each.content.decode()
        for each in stage.dav.sent("REPORT")
        if f"<d:{kind}" in each.content.decode() or f"<c:{kind}" in each.content.decode()
    ]


def ends(pages: Sequence[Page]) -> tuple[str, bool]:
    """Return the token of the last page, and whether the round was whole."""
    assert [page.token is None for page in pages[:-1]] == [True] * (len(pages) - 1)
    assert pages[-1].token is not None
    return pages[-1].token, pages[-1].whole


# By tokens


async def test_a_whole_round_comes_in_batches_a_page_for_each_request() -> None:
    stage = Stage(FakeDav(files(10)), batch=4)
    pages = await stage.pages()
    assert set(names(pages)) == set(stage.dav.files)
    assert [len(page.events) for page in pages] == [0, 0, 4, 4, 2, 0]
    assert len(reports(stage, "calendar-multiget")) == 3
    assert ends(pages)[1]


async def test_what_is_known_is_not_fetched_again() -> None:
    stage = Stage(FakeDav(files(10)), batch=4)

    async def known(asked: Sequence[str]) -> Mapping[str, str]:
        return {name: stage.dav.etag(name) for name in asked if name != "7.ics"}

    found = names(await stage.pages(known=known))
    assert set(found) == set(stage.dav.files)
    assert [name for name, event in found.items() if event.state is not None] == ["7.ics"]
    assert len(reports(stage, "calendar-multiget")) == 1


async def test_a_token_leads_to_what_has_changed_since() -> None:
    stage = Stage(FakeDav(files(3)))
    token, _ = ends(await stage.pages())
    stage.dav.put("1.ics", ics("uid-1", summary="Changed"))
    stage.dav.remove("2.ics")
    stage.dav.put("3.ics", ics("uid-3"))
    pages = await stage.pages(token)
    found = names(pages)
    assert {name: event.deleted for name, event in found.items()} == {"1.ics": False, "2.ics": True, "3.ics": False}
    token, whole = ends(pages)
    assert not whole
    assert names(await stage.pages(token)) == {}


@pytest.mark.parametrize("token", [None, "later"])
async def test_a_listing_that_is_cut_is_read_to_its_end(token: str | None) -> None:
    """alextselegidis/easyappointments#1883, OpenWhispr/openwhispr#1571: the second page is never read."""
    stage = Stage(FakeDav(files(2)))
    if token is not None:
        token, _ = ends(await stage.pages())
    for name, text in files(11).items():
        stage.dav.put(name, text)
    stage.dav.cuts_at = 3
    pages = await stage.pages(token)
    assert set(names(pages)) == set(stage.dav.files)
    assert len(reports(stage, "sync-collection")) > 3
    assert ends(pages)[1] is (token is None)


async def test_nothing_is_whole_before_the_last_part_has_come() -> None:
    stage = Stage(FakeDav(files(9), cuts_at=3))
    calls = iter(range(10))

    def hook(request: httpx.Request) -> httpx.Response | None:
        return respond(503) if b"sync-collection" in request.content and next(calls) == 2 else None

    stage.dav.hooks.append(hook)
    pages: list[Page] = []

    async def read_on() -> None:
        async for page in stage.provider.changes(stage.calendar, None, nothing_known):
            pages.append(page)  # noqa: PERF401  it ends by an error

    with pytest.raises(Unreachable):
        await read_on()
    assert names(pages)
    assert not any(page.whole or page.token for page in pages)


async def test_a_server_that_loses_the_rest_of_its_first_listing_is_not_believed() -> None:
    with pytest.raises(Refused, match="part"):
        await Stage(FakeDav(files(9), cuts_at=3), server="stalwart").pages()


async def test_a_listing_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_ROUNDS", 5)
    numbers = iter(range(100))

    def hook(request: httpx.Request) -> httpx.Response | None:
        if b"sync-collection" not in request.content or request.method != "REPORT":
            return None
        cut = f"<d:response><d:href>{WORK}</d:href><d:status>HTTP/1.1 507 No</d:status></d:response>"
        return respond(
            207, f'<d:multistatus xmlns:d="DAV:">{cut}<d:sync-token>{next(numbers)}</d:sync-token></d:multistatus>'
        )

    with pytest.raises(OutcomeUnknown):
        await Stage(FakeDav(hooks=[hook])).pages()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: error(403, "d:valid-sync-token"),
        lambda: error(412, "d:valid-sync-token"),  # Xandikos
        lambda: error(409, "d:valid-sync-token"),
        lambda: respond(403),
        lambda: respond(412),
        lambda: respond(418),
    ],
)
async def test_a_token_that_the_server_does_not_know_any_more_asks_for_everything(
    answer: Callable[[], httpx.Response],
) -> None:
    stage = Stage(FakeDav(files(1)))
    token, _ = ends(await stage.pages())
    stage.dav.hooks.append(
        lambda request: answer() if b"sync-collection" in request.content and request.method == "REPORT" else None
    )
    with pytest.raises(TokenExpired):
        await stage.pages(token)


@pytest.mark.parametrize("token", ["no-such-token", "", "ctag", "sync-token", "ics {}"])
async def test_a_token_that_is_not_ours_asks_for_everything_and_nobody(token: str) -> None:
    stage = Stage(FakeDav())
    with pytest.raises(TokenExpired):
        await stage.pages(token)
    assert stage.dav.requests == []


async def test_there_is_never_a_limit() -> None:
    """Nextcloud skips changes for good where DAV:limit is sent; the server of these tests fails where it is."""
    assert b"limit" not in wire.sync_collection("x")


# By comparing


@pytest.mark.parametrize("server", ["gmx", ""])
async def test_without_tokens_versions_are_compared(server: str) -> None:
    stage = Stage(FakeDav(files(5), tokens=server == "gmx"), server=server)
    pages = await stage.pages()
    assert set(names(pages)) == set(stage.dav.files)
    assert reports(stage, "sync-collection") == []
    token, whole = ends(pages)
    assert whole
    stage.dav.requests.clear()
    assert ends(await stage.pages(token)) == (token, False)
    assert [each.method for each in stage.dav.requests] == ["PROPFIND"]


async def test_without_tokens_a_change_is_found_by_its_version_alone() -> None:
    stage = Stage(FakeDav(files(5), tokens=False))
    token, _ = ends(await stage.pages())
    known = {name: stage.dav.etag(name) for name in stage.dav.files}
    stage.dav.put("3.ics", ics("uid-3", summary="Changed"))
    stage.dav.remove("4.ics")

    async def ask(asked: Sequence[str]) -> Mapping[str, str]:
        return {name: known[name] for name in asked}

    pages = await stage.pages(token, ask)
    found = names(pages)
    assert set(found) == {"0.ics", "1.ics", "2.ics", "3.ics"}
    assert [name for name, event in found.items() if event.state is not None] == ["3.ics"]
    assert ends(pages)[1]


async def test_without_tokens_and_tags_everything_is_compared_every_time() -> None:
    stage = Stage(FakeDav(files(2), tokens=False, ctag=False))
    token, _ = ends(await stage.pages())
    assert ends(await stage.pages(token)) == (token, True)


# Nothing is taken for deleted


@pytest.mark.parametrize("status", [403, 404, 410])
@pytest.mark.parametrize("token", [None, "sync-token token-0", "ctag x"])
async def test_a_calendar_that_is_gone_or_hidden_is_no_empty_one(status: int, token: str | None) -> None:
    """webhookdb/webhookdb#625, the-djmaze/snappymail#2060: an empty listing wipes the store."""
    stage = Stage(FakeDav(hooks=[lambda _: respond(status)]))
    with pytest.raises(CalendarGone):
        await stage.pages(token)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda: respond(200, "<html>Sign in</html>", content_type="text/html"), OutcomeUnknown),
        (lambda: respond(207, EMPTY), CalendarGone),
        (lambda: respond(207, ""), OutcomeUnknown),
        (lambda: respond(207, EMPTY[:20]), OutcomeUnknown),
        (lambda: respond(207, "<html/>"), OutcomeUnknown),
        (lambda: respond(207, f"<!DOCTYPE x>{EMPTY}"), Refused),
        (lambda: respond(302, location="https://elsewhere.example/login"), Refused),
        (lambda: respond(401), ReconnectRequired),
        (lambda: respond(500), Unreachable),
        (lambda: respond(507), Refused),
    ],
)
async def test_an_answer_that_is_none_is_no_empty_calendar(
    answer: Callable[[], httpx.Response], expected: type[ProviderError]
) -> None:
    with pytest.raises(expected):
        await Stage(FakeDav(hooks=[lambda _: answer()])).pages()


async def test_a_report_without_a_token_is_not_whole() -> None:
    stage = Stage(
        FakeDav(files(1), hooks=[lambda request: respond(207, EMPTY) if request.method == "REPORT" else None])
    )
    with pytest.raises(OutcomeUnknown):
        await stage.pages()


async def test_a_collection_that_is_no_calendar_any_more_is_gone() -> None:
    body = (
        f'<d:multistatus xmlns:d="DAV:"><d:response><d:href>{WORK}</d:href><d:propstat><d:prop><d:resourcetype>'
        "<d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        "</d:multistatus>"
    )
    with pytest.raises(CalendarGone):
        await Stage(FakeDav(hooks=[lambda _: respond(207, body)])).pages()


async def test_what_goes_between_two_requests_is_deleted_or_left_out() -> None:
    stage = Stage(FakeDav(files(3)))
    token, _ = ends(await stage.pages())

    def hook(request: httpx.Request) -> httpx.Response | None:
        if b"calendar-multiget" in request.content:
            stage.dav.files.pop("5.ics", None)
        return None

    stage.dav.hooks.append(hook)
    stage.dav.put("5.ics", ics("uid-5"))
    assert names(await stage.pages(token))["5.ics"].deleted
    stage.dav.put("5.ics", ics("uid-5"))
    assert "5.ics" not in names(await stage.pages())


# What cannot be read


async def test_one_that_cannot_be_read_does_not_keep_the_others() -> None:
    texts = {
        "good.ics": ics("good"),
        "reversed.ics": ics("reversed", "DTSTART:20260504T090000Z\r\nDTEND:20260504T080000Z\r\n"),
        "cut.ics": ics("cut")[:80],
        "page.ics": "<html>",
        "task.ics": ics("task").replace("VEVENT", "VTODO"),
    }
    pages = await Stage(FakeDav(texts)).pages()
    assert read(pages) == {"good.ics"}
    assert set(broken(pages)) == {"reversed", "cut.ics", "page.ics"}
    assert all(reason.endswith(".") for reason in broken(pages).values())
    assert set(names(pages)) == set(texts) - {"task.ics"}  # what is there is named, and so never taken for deleted
    assert ends(pages)[1]


async def test_one_that_is_too_large_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = files(8) | {"huge.ics": ics("huge", summary="h" * 40_000_000)}
    pages = await Stage(FakeDav(texts)).pages()
    assert read(pages) == set(files(8))
    assert set(broken(pages)) == {"huge.ics"} < set(names(pages))


async def test_one_whose_answer_is_no_xml_does_not_keep_the_others() -> None:
    pages = await Stage(FakeDav(files(8) | {"bell.ics": ics("bell", summary="\x07")})).pages()
    assert read(pages) == set(files(8))
    assert set(broken(pages)) == {"bell.ics"}


async def test_one_with_too_many_parts_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_COMPONENTS", 5)
    alarms = ics("many").replace("END:VCALENDAR", "BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 9 + "END:VCALENDAR")
    pages = await Stage(FakeDav({"good.ics": ics("good"), "many.ics": alarms})).pages()
    assert read(pages) == {"good.ics"}
    assert set(broken(pages)) == {"many.ics"}


@pytest.mark.parametrize(
    "inner",
    [
        "<d:status>HTTP/1.1 500 Oh</d:status>",
        "<d:propstat><d:prop/><d:status>HTTP/1.1 200 OK</d:status></d:propstat>",
        "<d:propstat><d:prop><d:getetag>1</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>",
        "",
    ],
)
async def test_one_that_a_server_names_and_does_not_show_is_said_to_be_hidden(inner: str) -> None:
    def hook(request: httpx.Request) -> httpx.Response | None:
        if b"calendar-multiget" not in request.content:
            return None
        body = f"<d:response><d:href>{WORK}0.ics</d:href>{inner}</d:response>" if inner else ""
        return respond(207, f'<d:multistatus xmlns:d="DAV:">{body}</d:multistatus>')

    pages = await Stage(FakeDav(files(1), hooks=[hook])).pages()
    assert set(broken(pages)) == set(names(pages)) == {"0.ics"}
    assert read(pages) == set()


async def test_more_members_than_kalends_reads_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_MEMBERS", 10)
    with pytest.raises(Refused, match="more than"):
        await Stage(FakeDav(files(11))).pages()


# Names


async def test_hrefs_may_be_spelled_in_other_ways() -> None:
    stage = Stage(FakeDav({"a%40b.ics": ics("one"), "c d.ics": ics("two")}, href_prefix="https://dav.example.org:443"))
    assert set(names(await stage.pages())) == {"a%40b.ics", "c%20d.ics"}


async def test_hrefs_of_other_servers_are_nobodys() -> None:
    stage = Stage(FakeDav(files(2)))
    foreign = (
        '<d:multistatus xmlns:d="DAV:">'
        + "".join(
            f'<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:getetag>"1"</d:getetag></d:prop>'
            "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
            for href in ("https://elsewhere.example/x.ics", "//elsewhere.example/x.ics", "http://[", "", WORK)
        )
        + "<d:sync-token>token-9</d:sync-token></d:multistatus>"
    )
    stage.dav.hooks.append(
        lambda request: (
            respond(207, foreign) if b"sync-collection" in request.content and request.method == "REPORT" else None
        )
    )
    assert names(await stage.pages()) == {}


async def test_a_path_with_two_slashes_leads_to_the_same_server() -> None:
    stage = Stage(FakeDav())
    identity = outgoing_for(make_event(uuid7())).identity
    assert await stage.provider.find(stage.calendar, identity, "//elsewhere.example/x.ics") is None
    assert {each.url.host for each in stage.dav.requests} == {"dav.example.org"}


async def test_a_calendar_on_another_server_is_none_of_this_account() -> None:
    stage = Stage(FakeDav())
    identity = outgoing_for(make_event(uuid7())).identity
    for path in ("https://elsewhere.example/work/", "http://dav.example.org/calendars/", "https://["):
        with pytest.raises(BadAddress):
            await stage.provider.find(replace(stage.calendar, remote_id=path), identity, None)
    assert stage.dav.requests == []


async def test_a_removed_member_may_come_with_any_status_that_is_not_there_then() -> None:
    """Infomaniak reports removed members as 418: whoever has no version is asked for, and is not there."""
    stage = Stage(FakeDav(files(1)))
    token, _ = ends(await stage.pages())
    body = (
        f'<d:multistatus xmlns:d="DAV:"><d:response><d:href>{WORK}gone.ics</d:href>'
        "<d:status>HTTP/1.1 418 I'm a teapot</d:status></d:response><d:sync-token>token-2</d:sync-token>"
        "</d:multistatus>"
    )
    stage.dav.hooks.append(
        lambda request: (
            respond(207, body) if b"sync-collection" in request.content and request.method == "REPORT" else None
        )
    )
    found = names(await stage.pages(token))
    assert {name: event.deleted for name, event in found.items()} == {"gone.ics": True}
