"""Where a connection may lead whose address a user gave: never into the operator's own network.

A check of the name alone fails, because a name can lead elsewhere a moment later. So it is the address that is checked,
when the connection is made, and the connection goes to the address that was checked. Names and numbers in any spelling
(decimal, octal, mapped into IPv6) go the same way: what counts is what the resolver makes of them.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from providers.errors import BadAddress, Unreachable

PORTS = (443, 8443)
RESOLVE_SECONDS = 5.0
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}")  # a name in ASCII, or an address
_MAX_ADDRESSES = 4  # that are tried of one name
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291 section 2.4; NAT64 (RFC 6052, RFC 8215) is outside
_NOT_PUBLIC = (
    IPv6Network(
        "2002::/16"
    ),  # 6to4 (RFC 3056): carries an IPv4 address, and Python 3.11 calls loopback in there global
    IPv6Network("2001::/32"),  # Teredo (RFC 4380): so does this
    IPv6Network("3fff::/20"),  # documentation (RFC 9637), younger than Python 3.11's table
    IPv4Network("192.88.99.0/24"),  # the way to 6to4 relays (RFC 7526)
    IPv4Network("168.63.129.16/32"),  # Azure's host, as its guests see it
)
REFUSED = "This address is not one that Kalends goes to: expected a public HTTPS address, on port 443 or 8443."


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses that a name leads to. Raises `OSError` or `UnicodeError` where it leads nowhere."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to the internet, and carries no other address inside."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolved(host: str, port: int) -> Sequence[str]:
    """Ask the system where a name leads."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Guard:
    """Which addresses are allowed: public ones, and those `host:port` that the operator has listed.

    Raises `ValueError` for a listed server without a port.
    """

    def __init__(self, allowed: Iterable[str] = (), resolve: Resolve = resolved) -> None:
        self._allowed = frozenset(_listed(each) for each in allowed)
        self._resolve = resolve

    def check(self, url: httpx.URL) -> None:
        """Raise `BadAddress` for a URL that would be refused whatever its name leads to."""
        host, port = _host(url), port_of(url)
        if not _HOST.fullmatch(host) or url.userinfo or url.scheme not in ("https", "http"):
            raise BadAddress(REFUSED)
        if not self.lists(host, port) and (url.scheme != "https" or port not in PORTS):
            raise BadAddress(REFUSED)

    def lists(self, host: str, port: int) -> bool:
        """Tell whether the operator has listed this server."""
        return _server(host, port) in self._allowed

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return where a name leads; raise `BadAddress` where any of it is not public."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolve(host, port)
            texts = [each.partition("%")[0] for each in found]
            public = all(is_public(ip_address(text)) for text in texts)
        except (OSError, UnicodeError, ValueError) as error:  # OSError: TimeoutError too
            raise Unreachable("The server's name could not be found.") from error
        if not public:
            raise BadAddress(REFUSED)
        return list(dict.fromkeys(texts))[:_MAX_ADDRESSES]


def port_of(url: httpx.URL) -> int:
    """Return the port that a URL leads to."""
    return {"https": 443, "http": 80}.get(url.scheme, 0) if url.port is None else url.port


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Return a URL's origin (RFC 6454 section 4)."""
    return url.scheme, _host(url).lower(), port_of(url)


def _host(url: httpx.URL) -> str:
    """Return a URL's host as connections are made to it: in ASCII, IPv6 without brackets."""
    return url.raw_host.decode("ascii")


def _listed(text: str) -> str:
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"expected host:port, such as dav.example.org:8443, and not {text!r}")
    return _server(host, port)


def _server(host: str, port: int | str) -> str:
    return f"{host.strip('[]').rstrip('.').lower()}:{port}"


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects where the guard lets us, by another backend."""

    def __init__(self, guard: Guard, inner: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address that was checked; where there are several, none of them takes all the time."""
        addresses = [host] if self._guard.lists(host, port) else await self._guard.addresses(host, port)
        patience = None if timeout is None else timeout / max(len(addresses), 1)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("the name leads nowhere")

    async def sleep(self, seconds: float) -> None:
        """Wait, between two attempts of httpcore's."""
        await self._inner.sleep(seconds)


class GuardedTransport(httpx.AsyncHTTPTransport):
    """HTTP over connections that the guard has let through."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(  # httpx has no way to name a backend
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=GuardedBackend(guard),
        )
