"""Addresses of users' that lead to whatever a stranger has put there: a typed error, in bounded time and memory.

Everything here goes over real sockets on loopback, which the operator has listed.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable

import pytest

from providers.caldav import CaldavProvider
from providers.errors import BadAddress, ProviderError
from providers.ics import IcsProvider
from providers.interface import Opened
from providers.web import Web
from tests.providers.surroundings import surroundings
from tests.providers.test_web import OK, endless, little_memory, silent, trickling
from tests.servers import Talk, saying, talking

pytestmark = pytest.mark.anyio

SECONDS = 1.0
MULTISTATUS = "HTTP/1.1 207 Multi-Status\ncontent-type: application/xml"
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><d:multistatus xmlns:d="DAV:"><d:response><d:href>&i;</d:href></d:response></d:multistatus>'
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    '<d:multistatus xmlns:d="DAV:"><d:response><d:href>&f;</d:href></d:response></d:multistatus>'
)
DEEP = '<d:multistatus xmlns:d="DAV:">' + "<d:response>" * 100_000


def bomb() -> bytes:
    """Return a hundred megabytes, as a hundred kilobytes."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = bytes(2**20)
    return b"".join(squeezed.compress(zeros) for _ in range(100)) + squeezed.flush()


STRANGERS: dict[str, Talk] = {
    "a document type": saying(MULTISTATUS, LAUGHS.encode()),
    "an entity from outside": saying(MULTISTATUS, OUTSIDE.encode()),
    "elements inside elements": saying(MULTISTATUS, DEEP.encode()),
    "a page for people": saying(f"{OK}\ncontent-type: text/html", b"<!DOCTYPE html><html>Sign in</html>"),
    "a gigabyte": endless(f"{OK}\ncontent-length: {2**30}", b"BEGIN:VCALENDAR\r\n" * 4096),
    "a gigabyte of answer": endless(f"{MULTISTATUS}\ncontent-length: {2**30}", b"<d:response/>" * 4096),
    "chunks without end": endless(f"{OK}\ntransfer-encoding: chunked", b"10000\r\n" + bytes(2**16) + b"\r\n"),
    "a bomb": saying(f"{OK}\ncontent-encoding: gzip", bomb()),
    "a bomb of an answer": saying(f"{MULTISTATUS}\ncontent-encoding: gzip", bomb()),
    "half of it": saying(f"{OK}\ncontent-encoding: gzip", gzip.compress(b"BEGIN:VCALENDAR" * 100)[:-10]),
    "silence": silent,
    "a byte at a time": trickling,
    "circles": saying("HTTP/1.1 302 Found\nlocation: /again\ncontent-length: 0"),
    "a cloud's metadata": saying("HTTP/1.1 302 Found\nlocation: http://169.254.169.254/latest\ncontent-length: 0"),
    "another port": saying("HTTP/1.1 302 Found\nlocation: http://127.0.0.1:6379/\ncontent-length: 0"),
    "another scheme": saying("HTTP/1.1 302 Found\nlocation: file:///etc/passwd\ncontent-length: 0"),
    "another protocol": saying("SSH-2.0-OpenSSH_9.6"),
    "nothing": saying(""),
}


async def caldav(web: Web, url: str) -> Opened:
    return await CaldavProvider(surroundings(web=web)).sign_in(url=url, username="ada", password="secret")


async def ics(web: Web, url: str) -> Opened:
    return await IcsProvider(surroundings(web=web)).subscribe(url=url)


@pytest.mark.parametrize("ask", [caldav, ics])
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_whatever_a_stranger_answers_it_is_an_error_and_soon(
    ask: Callable[[Web, str], Awaitable[Opened]], stranger: str
) -> None:
    async with talking(STRANGERS[stranger]) as where, asyncio.timeout(12 * SECONDS):
        web = Web(allowed=[where], seconds=SECONDS)
        try:
            with little_memory(160 * 2**20), pytest.raises(ProviderError) as caught:
                await ask(web, f"http://{where}/calendar.ics")
        finally:
            await web.close()
    assert "127.0.0.1" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("ask", [caldav, ics])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"])
async def test_the_operators_own_network_is_none_of_a_users_business(
    ask: Callable[[Web, str], Awaitable[Opened]], host: str
) -> None:
    web = Web()
    with pytest.raises(BadAddress):
        await ask(web, f"https://{host}/calendar.ics")
    await web.close()


@pytest.mark.parametrize("ask", [caldav, ics])
async def test_a_public_name_that_leads_home_is_refused(ask: Callable[[Web, str], Awaitable[Opened]]) -> None:
    async def home(_host: str, _port: int) -> list[str]:
        return ["192.168.1.1"]

    web = Web(resolve=home)
    with pytest.raises(BadAddress):
        await ask(web, "https://innocent.example.org/calendar.ics")
    await web.close()
