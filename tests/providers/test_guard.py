"""Where a connection may lead: never into the operator's own network, however its address is spelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import httpcore
import httpx
import pytest

from providers import guard as guards
from providers.errors import BadAddress, Unreachable
from providers.guard import Guard, GuardedBackend, is_public
from providers.web import Web
from tests.servers import saying, talking

pytestmark = pytest.mark.anyio

PUBLIC = ("8.8.8.8", "1.1.1.1", "203.0.114.1", "2606:4700:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8")
NOT_PUBLIC = (
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # a cloud's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # Azure's host
    "169.254.169.254",  # most clouds' metadata
    "172.16.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.178.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",  # NAT64 of loopback
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of loopback
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a cloud's metadata
    "fe80::1",
    "fec0::1",
    "ff02::1",
)


def resolving(*answers: Sequence[str] | Exception) -> guards.Resolve:
    """Return a resolver that gives these answers, one after the other, the last one for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return resolve


class _Line(httpcore.AsyncNetworkBackend):
    """Notes where connections go; only the reachable ones come about."""

    def __init__(self, reachable: Iterable[str] = PUBLIC) -> None:
        self.calls: list[tuple[str, int, float | None]] = []
        self._reachable = set(reachable)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's own interface
        *_others: object,
    ) -> httpcore.AsyncNetworkStream:
        self.calls.append((host, port, timeout))
        if host not in self._reachable:
            raise httpcore.ConnectError("refused")
        return httpcore.AsyncMockStream([])


# Addresses


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_anywhere_else_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        await Guard(resolve=resolving([address])).addresses("innocent.example", 443)


async def test_a_name_whose_addresses_are_public_but_for_one_is_refused() -> None:
    with pytest.raises(BadAddress):
        await Guard(resolve=resolving(["8.8.8.8", "2606:4700:4700::1111", "10.0.0.1"])).addresses("mixed.example", 443)


async def test_a_link_local_address_with_its_interface_is_refused() -> None:
    with pytest.raises(BadAddress):
        await Guard(resolve=resolving(["fe80::1%eth0"])).addresses("local.example", 443)


@pytest.mark.parametrize(
    "failure", [OSError("no such name"), UnicodeError("label too long"), ["no address at all"], TimeoutError()]
)
async def test_a_name_that_leads_nowhere_is_unreachable(failure: Exception | Sequence[str]) -> None:
    with pytest.raises(Unreachable):
        await Guard(resolve=resolving(failure)).addresses("nowhere.example", 443)


async def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(guards, "RESOLVE_SECONDS", 0.01)
    with pytest.raises(Unreachable):
        await Guard(resolve=silent).addresses("silent.example", 443)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "http://calendar.example/",
        "ftp://calendar.example/",
        "file:///etc/passwd",
        "gopher://calendar.example:443/",
        "https://calendar.example:80/",
        "https://calendar.example:22/",
        "https://calendar.example:0/",
        "https://calendar.example:6379/",
        "https://user@calendar.example/",
        "https://user:password@calendar.example/",
        "https:///nowhere",
        "/relative",
    ],
)
def test_other_schemes_ports_and_passwords_in_the_address_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        Guard().check(httpx.URL(url))


@pytest.mark.parametrize(
    "url", ["https://calendar.example/", "https://calendar.example:8443/dav", "https://[2606:4700::1]:443/"]
)
def test_public_https_on_its_usual_ports_passes(url: str) -> None:
    Guard().check(httpx.URL(url))


# The operator's list


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("dav.lan:80", "http://dav.lan/"),
        ("DAV.lan:8080", "http://dav.LAN:8080/"),
        ("dav.lan:5232", "https://dav.lan.:5232/"),
        ("192.168.1.2:5232", "http://192.168.1.2:5232/"),
        ("[::1]:5232", "http://[::1]:5232/"),
        ("xn--mnchen-3ya.lan:443", "https://münchen.lan/"),
    ],
)
async def test_a_listed_server_passes_whatever_its_name_leads_to(listed: str, url: str) -> None:
    line = _Line(reachable=[httpx.URL(url).raw_host.decode()])
    guard = Guard([f" {listed} "], resolving(OSError("nobody asks")))
    guard.check(httpx.URL(url))
    await GuardedBackend(guard, line).connect_tcp(*_where(url))
    assert line.calls[0][:2] == _where(url)


@pytest.mark.parametrize("url", ["http://dav.lan:81/", "http://other.lan/", "http://dav.lan.example/", "http://lan/"])
def test_a_listed_server_is_that_host_and_that_port_alone(url: str) -> None:
    with pytest.raises(BadAddress):
        Guard(["dav.lan:80"]).check(httpx.URL(url))


@pytest.mark.parametrize("text", ["dav.lan", "dav.lan:", ":80", "dav.lan:http", ""])
def test_a_list_without_ports_is_an_operators_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Guard([text])


def _where(url: str) -> tuple[str, int]:
    parsed = httpx.URL(url)
    return parsed.raw_host.decode(), guards.port_of(parsed)


# Connections


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    line = _Line()
    backend = GuardedBackend(Guard(resolve=resolving(["8.8.8.8"])), line)
    await backend.connect_tcp("calendar.example", 443, 10.0)
    assert line.calls == [("8.8.8.8", 443, 10.0)]


async def test_a_name_that_leads_elsewhere_a_moment_later_is_refused_then() -> None:
    """DNS rebinding: the first answer is public, the second is not."""
    line = _Line()
    backend = GuardedBackend(Guard(resolve=resolving(["8.8.8.8"], ["127.0.0.1"])), line)
    await backend.connect_tcp("rebinding.example", 443)
    with pytest.raises(BadAddress):
        await backend.connect_tcp("rebinding.example", 443)
    assert [host for host, _, _ in line.calls] == ["8.8.8.8"]


async def test_of_several_addresses_none_takes_all_the_time() -> None:
    line = _Line(reachable=["1.1.1.1"])
    found = ["2606:4700:4700::1111", "8.8.8.8", "8.8.8.8", "1.1.1.1"]
    await GuardedBackend(Guard(resolve=resolving(found)), line).connect_tcp("calendar.example", 443, 9.0)
    assert line.calls == [("2606:4700:4700::1111", 443, 3.0), ("8.8.8.8", 443, 3.0), ("1.1.1.1", 443, 3.0)]


async def test_a_name_with_very_many_addresses_is_tried_at_a_few() -> None:
    line = _Line(reachable=[])
    found = [f"8.8.{number}.8" for number in range(200)]
    with pytest.raises(httpcore.ConnectError):
        await GuardedBackend(Guard(resolve=resolving(found)), line).connect_tcp("many.example", 443)
    assert len(line.calls) == 4


async def test_a_name_without_addresses_cannot_be_connected() -> None:
    with pytest.raises(httpcore.ConnectError):
        await GuardedBackend(Guard(resolve=resolving([])), _Line()).connect_tcp("empty.example", 443)


# The whole way, with the system's own resolver


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
    ],
)
async def test_no_spelling_of_a_private_address_gets_through(host: str) -> None:
    web = Web()
    with pytest.raises(BadAddress) as caught:
        await web.guarded.ask("GET", f"https://{host}/latest/meta-data")
    assert host not in str(caught.value)
    await web.close()


async def test_a_server_on_loopback_is_reached_where_it_is_listed_and_only_then() -> None:
    async with talking(saying("HTTP/1.1 200 OK\ncontent-length: 2", b"hi")) as where:
        listed, unlisted = Web(allowed=[where]), Web(allowed=["127.0.0.1:1"])
        assert (await listed.guarded.ask("GET", f"http://{where}/")).body == b"hi"
        with pytest.raises(BadAddress):
            await unlisted.guarded.ask("GET", f"http://{where}/")
        await listed.close()
        await unlisted.close()
