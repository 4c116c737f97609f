"""The one door to the network: every TCP connection of the client is opened here, and every name resolved. [R-19.1-2]

A ``Dialer`` made for proxies only opens nothing but the proxies' own numeric addresses and asks for no name, whatever
the code above it does. Errors are NetworkErrors that show no address.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from troth_protocol.errors import (
    ConnectionRefused,
    ConnectionReset,
    DirectForbidden,
    HostUnknown,
    NetworkError,
    TimedOut,
)

from .race import race

DIAL_SECONDS: Final = 10
"""For the TCP handshake, names included; a dead address is not worth more, and the kernel would try for minutes."""
STAGGER_SECONDS: Final = 0.25
"""Before the next of several addresses is tried beside the last one (RFC 8305 recommends 250 ms)."""
ADDRESSES: Final = 6
"""Of one name; more would only prolong the race."""

_Found: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


def is_address(host: str) -> bool:
    """Whether this is an IPv4 or IPv6 address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections: to anywhere (``only`` is None), or to these numeric addresses and to no other."""

    only: frozenset[tuple[str, int]] | None = field(repr=False)

    def check(self, host: str, port: int) -> None:
        """Refuse what may not be dialled; DirectForbidden."""
        if self.only is None:
            return
        if (host, port) not in self.only:
            raise DirectForbidden("only proxies may be used, and this would go past them")
        if not is_address(host):
            raise DirectForbidden("only proxies may be used, and this one is a name: give its address instead")

    async def open(self, host: str, port: int) -> socket.socket:
        """A connected socket that does not block; DirectForbidden, HostUnknown, TimedOut or another NetworkError."""
        self.check(host, port)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                return await _open(host, port)
        except TimeoutError:
            raise TimedOut(f"no answer to a connection within {DIAL_SECONDS} s") from None

    async def loopback(self, port: int) -> socket.socket:
        """A connection to a program of our own on this machine, which leaves it no packet; NetworkError."""
        return await _connect((socket.AF_INET, ("127.0.0.1", port)))


ANYWHERE: Final = Dialer(None)
"""For the person who has not asked for proxies only."""


async def _open(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    flags = socket.AI_NUMERICHOST if is_address(host) else 0
    try:
        answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        raise HostUnknown("the name was not resolved") from None
    found = _in_turn([(family, address) for family, _, _, _, address in answers])[:ADDRESSES]
    failures: list[NetworkError] = []

    async def attempt(one: _Found) -> socket.socket | None:
        try:
            return await _connect(one)
        except NetworkError as error:
            failures.append(error)
            return None

    opened = await race([(STAGGER_SECONDS, partial(attempt, one)) for one in found], socket.socket.close)
    if opened is not None:
        return opened
    raise failures[0] if failures else HostUnknown("the name has no address")


def _in_turn(found: list[_Found]) -> list[_Found]:
    """The families in turn, the resolver's first choice first, so that many dead IPv6 addresses hide no other one."""
    first = [one for one in found if one[0] is found[0][0]]
    other = [one for one in found if one[0] is not found[0][0]]
    return [one for turn in range(len(found)) for one in (*first[turn : turn + 1], *other[turn : turn + 1])]


async def _connect(found: _Found) -> socket.socket:
    family, address = found
    opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, address)
    except OSError as error:
        opened.close()
        raise network_error(error) from None
    except BaseException:
        opened.close()
        raise
    return opened


@contextlib.contextmanager
def kept(stream: socket.socket) -> Iterator[None]:
    """Close the stream unless what is said over it goes well; NetworkError for an error of the socket."""
    try:
        yield
    except TimeoutError:
        stream.close()
        raise TimedOut("the proxy did not answer in time") from None
    except ConnectionError:
        stream.close()
        raise ConnectionReset("the connection was cut before it could be used") from None
    except OSError as error:
        stream.close()
        raise network_error(error) from None
    except BaseException:
        stream.close()
        raise


def network_error(error: OSError) -> NetworkError:
    """What an operating system's error is called here, without the address that asyncio puts into its text."""
    if error.errno == errno.ECONNREFUSED:
        return ConnectionRefused("no connection (refused)")
    if error.errno == errno.ETIMEDOUT:
        return TimedOut("no connection (timed out)")
    return NetworkError(f"no connection ({os.strerror(error.errno) if error.errno else 'no answer'})")
