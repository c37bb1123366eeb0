"""HTTP to strangers: bounded in time and in memory, whatever they answer, and nothing carried from one to another."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import httpx
import pytest

from providers.errors import BadAddress, OutcomeUnknown, ProviderError, Refused, Throttled, Unreachable
from providers.web import MAX_BYTES, Answer, TooLarge, Web, raise_for_server
from tests.helpers import NOW
from tests.servers import Talk, saying, talking

pytestmark = pytest.mark.anyio

LIMIT = 2**20
SECONDS = 0.3
OK = "HTTP/1.1 200 OK"


@asynccontextmanager
async def asking(talk: Talk, seconds: float = 10.0) -> AsyncIterator[tuple[Web, str]]:
    """Serve a socket, and return the way to it."""
    async with talking(talk) as where:
        web = Web(allowed=[where], seconds=seconds)
        try:
            yield web, f"http://{where}/"
        finally:
            await web.close()


@contextmanager
def little_memory(at_most: int = 8 * LIMIT) -> Iterator[None]:
    """Expect that little memory is held at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < at_most


def endless(head: str, piece: bytes) -> Talk:
    """Return what never stops to talk."""

    async def talk(writer: asyncio.StreamWriter) -> None:
        await saying(head)(writer)
        while True:
            writer.write(piece)
            await writer.drain()

    return talk


async def silent(_writer: asyncio.StreamWriter) -> None:
    """Say nothing, and stay."""
    await asyncio.Event().wait()


async def trickling(writer: asyncio.StreamWriter) -> None:
    """Say one byte at a time, for ever: each is in time, and all of them never are."""
    await saying(f"{OK}\ncontent-length: 100000")(writer)
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(SECONDS / 30)


# What goes well


async def test_an_answer_comes_whole_whatever_its_status() -> None:
    async with asking(saying("HTTP/1.1 404 Not Found\ncontent-length: 4\nX-What: so", b"gone")) as (web, url):
        answer = await web.guarded.ask("GET", url)
    assert (answer.status, answer.body, answer.headers["x-what"], str(answer.url)) == (404, b"gone", "so", url)


async def test_a_compressed_answer_is_decompressed() -> None:
    text = b"calendar " * 50_000
    async with asking(saying(f"{OK}\ncontent-encoding: gzip", gzip.compress(text))) as (web, url):
        assert (await web.guarded.ask("GET", url)).body == text


async def test_an_empty_compressed_answer_is_empty() -> None:
    async with asking(saying(f"{OK}\ncontent-encoding: gzip\ncontent-length: 0")) as (web, url):
        assert (await web.guarded.ask("GET", url)).body == b""


async def test_an_answer_of_just_the_limit_is_no_more_than_the_limit() -> None:
    async with asking(saying(f"{OK}\ncontent-length: {LIMIT}", bytes(LIMIT))) as (web, url):
        assert len((await web.guarded.ask("GET", url, limit=LIMIT)).body) == LIMIT


async def test_a_redirect_is_not_followed() -> None:
    talk = saying("HTTP/1.1 302 Found\nlocation: http://169.254.169.254/latest\ncontent-length: 0")
    async with asking(talk) as (web, url):
        answer = await web.guarded.ask("GET", url)
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/latest")


async def test_no_cookie_of_one_account_reaches_another() -> None:
    heads: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heads.append(request.headers)
        return httpx.Response(200, headers={"set-cookie": "session=ada; Path=/"}, stream=httpx.ByteStream(b""))

    web = Web(transport=httpx.MockTransport(answer))
    for _ in range(2):
        await web.guarded.ask("GET", "https://calendar.example/")
    assert [head.get("cookie") for head in heads] == [None, None]
    assert all(head["user-agent"].startswith("Kalends/") for head in heads)
    await web.close()


async def test_the_way_to_vendors_and_the_guarded_one_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with talking(saying(f"{OK}\ncontent-length: 0")) as where:
        web = Web()
        assert (await web.vendor.ask("GET", f"http://{where}/")).status == 200
        with pytest.raises(BadAddress):
            await web.guarded.ask("GET", f"http://{where}/")
        await web.close()


# What is too large


@pytest.mark.parametrize(
    "talk",
    [
        endless(f"{OK}\ncontent-length: {2**30}", bytes(2**16)),
        endless(f"{OK}\ntransfer-encoding: chunked", b"10000\r\n" + bytes(2**16) + b"\r\n"),
        endless(f"{OK}\nconnection: close", bytes(2**16)),
        endless("HTTP/1.1 500 Oh\nconnection: close", bytes(2**16)),
    ],
    ids=["a gigabyte", "chunks without end", "bytes without end", "an error without end"],
)
async def test_an_answer_that_is_too_large_is_given_up_early(talk: Talk) -> None:
    async with asking(talk) as (web, url):
        with little_memory(), pytest.raises(TooLarge):
            await web.guarded.ask("GET", url, limit=LIMIT)


async def test_a_decompression_bomb_is_given_up_early() -> None:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = bytes(2**20)
    bomb = (
        b"".join(squeezed.compress(zeros) for _ in range(200)) + squeezed.flush()
    )  # a thousand times as much as it seems
    async with asking(saying(f"{OK}\ncontent-encoding: gzip", bomb)) as (web, url):
        with little_memory(), pytest.raises(TooLarge):
            await web.guarded.ask("GET", url, limit=LIMIT)


async def test_what_follows_the_end_of_a_compressed_answer_is_not_read_for_ever() -> None:
    talk = endless(f"{OK}\ncontent-encoding: gzip", gzip.compress(b"a calendar"))
    async with asking(talk) as (web, url):
        with little_memory(), pytest.raises(OutcomeUnknown):
            await web.guarded.ask("GET", url, limit=LIMIT)


async def test_headers_without_end_are_given_up_early() -> None:
    async def only_headers(writer: asyncio.StreamWriter) -> None:
        writer.write(f"{OK}\r\n".encode())
        while True:
            writer.write(b"x-more: " + b"m" * 1000 + b"\r\n")
            await writer.drain()

    async with asking(only_headers) as (web, url):
        with little_memory(), pytest.raises(OutcomeUnknown):
            await web.guarded.ask("GET", url, limit=LIMIT)


async def test_the_usual_limit_is_bounded_too() -> None:
    assert MAX_BYTES <= 64 * 2**20


# What takes too long, or breaks


@pytest.mark.parametrize("talk", [silent, trickling])
async def test_an_answer_that_does_not_come_in_time_is_given_up(talk: Talk) -> None:
    async with asking(talk, SECONDS) as (web, url), asyncio.timeout(10 * SECONDS):
        with pytest.raises(OutcomeUnknown):
            await web.guarded.ask("GET", url)


@pytest.mark.parametrize(
    "talk",
    [
        saying(f"{OK}\ncontent-length: 100", b"half of it"),
        saying(f"{OK}\ntransfer-encoding: chunked", b"5\r\nhalf "),
        saying(f"{OK}\ncontent-encoding: gzip", gzip.compress(b"calendar" * 1000)[:-12]),
        saying(f"{OK}\ncontent-encoding: gzip\ncontent-length: 8", b"no gzip!"),
        saying(f"{OK}\ncontent-encoding: br\ncontent-length: 2", b"br"),
        saying("SSH-2.0-OpenSSH_9.6"),
        saying("HTTP/1.1 abc\nfoo"),
        saying(""),
    ],
    ids=["cut", "cut chunk", "cut gzip", "no gzip", "other compression", "another protocol", "no status", "nothing"],
)
async def test_half_an_answer_and_nonsense_are_no_answer(talk: Talk) -> None:
    async with asking(talk) as (web, url):
        with pytest.raises(OutcomeUnknown):
            await web.guarded.ask("GET", url)


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with talking(silent) as where:
        pass
    web = Web(allowed=[where])
    with pytest.raises(Unreachable):
        await web.guarded.ask("GET", f"http://{where}/")
    await web.close()


async def test_a_server_without_tls_where_tls_is_expected_is_unreachable() -> None:
    async with talking(saying(f"{OK}\ncontent-length: 0")) as where:
        web = Web(allowed=[where], seconds=2 * SECONDS)
        with pytest.raises(Unreachable):
            await web.guarded.ask("GET", f"https://{where}/")
        await web.close()


@pytest.mark.parametrize("url", ["https://exa mple.org/", "https://[::1/", "https://" + "a" * 300 + ".example/", "//"])
async def test_what_is_no_address_is_a_bad_one(url: str) -> None:
    web = Web()
    with pytest.raises((BadAddress, Unreachable)) as caught:
        await web.guarded.ask("GET", url)
    assert "example" not in str(caught.value)
    await web.close()


async def test_json_that_is_none_is_an_unknown_outcome() -> None:
    answer = Answer(200, httpx.Headers(), b'{"half": ', httpx.URL("https://api.example/"))
    with pytest.raises(OutcomeUnknown):
        answer.json()


# What an answer says of its server


def answered(status: int, **headers: str) -> Answer:
    told = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, told, b"", httpx.URL("https://dav.example/"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("Mon, 04 May 2026 07:01:00 GMT", 60),
        ("Mon, 04 May 2026 06:00:00 GMT", 0),
        ("Mon, 04 May 2026 07:01:00", 60),
        ("999999999", 86_400),
        ("99999999999999999999", 30),
        ("soon", 30),
        ("-5", 30),
        ("", 30),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_for_ever(text: str, seconds: int) -> None:
    for status in (429, 503):
        with pytest.raises(Throttled) as caught:
            raise_for_server(answered(status, retry_after=text), writes=False, now=NOW)
        assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("status", [408, 423, 500, 502, 503, 504, 520, 599])
def test_a_server_that_fails_is_tried_again(status: int) -> None:
    with pytest.raises(Unreachable):
        raise_for_server(answered(status), writes=False, now=NOW)


@pytest.mark.parametrize("status", [502, 504])
def test_a_write_behind_a_broken_gateway_may_have_happened(status: int) -> None:
    with pytest.raises(OutcomeUnknown):
        raise_for_server(answered(status), writes=True, now=NOW)


@pytest.mark.parametrize("status", [200, 207, 301, 400, 401, 403, 404, 409, 410, 412, 413, 501, 507])
def test_what_is_about_the_request_is_left_to_whoever_asked(status: int) -> None:
    raise_for_server(answered(status), writes=True, now=NOW)


def test_an_answer_that_is_too_large_is_refused_for_good() -> None:
    assert isinstance(TooLarge(), Refused)
    assert issubclass(TooLarge, ProviderError)
