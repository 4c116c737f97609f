"""The forwarder as a whole: it listens, knows the site and the allowed relays, and keeps order at the door.

A volunteer's relays are a table from fingerprint to addresses that ``relays`` has read, verified and tried; nothing
else is ever connected to, whatever a guest says, and each address is looked at once more when it is used. [R-19.4-5]
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from troth_protocol.errors import NetworkError

from . import limits
from .counts import Counts, Seen
from .decoy import Decoy
from .door import Door
from .far import Far, Page, Wire
from .judge import Memory
from .places import Places
from .targets import is_public


@dataclass(frozen=True, slots=True)
class Site:
    """What strangers get: a server at ``address``, or the built-in page; TLS ends here if there is a ``context``."""

    address: tuple[str, int] | None
    context: ssl.SSLContext | None
    page: bytes


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there may be."""

    connections: int = limits.MAX_CONNECTIONS
    from_address: int = limits.MAX_FROM_ADDRESS


Address = tuple[str, int]


def listening(bind: str, port: int) -> socket.socket:
    """A socket on this address and port; NetworkError."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    # With the protocol named: asyncio turns Nagle's delay off only then.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((bind, port))
    except OSError as error:
        sock.close()
        raise NetworkError(f"cannot listen on port {port}: {error.strerror}") from None
    return sock


class Front:
    """A forwarder that accepts connections while its ``async with`` block runs."""

    def __init__(
        self,
        sock: socket.socket,
        secret: bytes,
        guest_context: ssl.SSLContext,
        site: Site,
        room: Room,
        *,
        private_allowed: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``secret`` is the link's; ``guest_context`` has the key that it pins."""
        self.secret = secret
        self.memory = Memory()
        self.guest_context = guest_context
        self.stranger_context = site.context
        self.places = Places(room.connections, room.from_address)
        self.counts = Counts()
        self.doors: set[Door] = set()
        self.loop: asyncio.AbstractEventLoop
        self.missed: Callable[[bytes], None] = _nothing
        """Called with a relay's fingerprint when none of its addresses can be reached."""
        self._site = site
        self._sock = sock
        self._private_allowed = private_allowed
        self._clock = clock
        self._addresses: dict[bytes, tuple[Address, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Front:
        """Listen."""
        self.loop = asyncio.get_running_loop()
        self._server = await self.loop.create_server(lambda: Door(self), sock=self._sock, backlog=limits.BACKLOG)
        self._start(self._patrol())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting, and close what is open."""
        if self._server is not None:
            self._server.close()
        for door in tuple(self.doors):
            door.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.STOP_SECONDS):
                while self.doors:  # noqa: ASYNC110 (each leaves when its transport is closed)
                    await asyncio.sleep(0.02)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now(self) -> int:
        """The time, in seconds."""
        return int(self._clock())

    def allow(self, relays: Mapping[bytes, tuple[Address, ...]]) -> None:
        """These relays, at these addresses, and no others."""
        self._addresses = dict(relays)

    def addresses(self, relay: bytes) -> tuple[Address, ...]:
        """Where an allowed relay is; nothing for any other."""
        return self._addresses.get(relay, ())

    def site(self, door: Door) -> Far:
        """What a stranger is to be connected to; the connection is being made."""
        if self._site.address is None:
            return Page(door, Decoy(self._site.page), self.now())
        wire = Wire(door)
        self._start(self._open_site(wire, door, self._site.address))
        return wire

    def reach(self, relay: bytes, addresses: tuple[Address, ...], wire: Wire, door: Door) -> None:
        """Connect a guest to the first of these addresses that answers."""
        self._start(self._open_relay(relay, addresses, wire, door))

    async def _open_site(self, wire: Wire, door: Door, address: Address) -> None:
        try:
            async with asyncio.timeout(limits.REACH_SECONDS):
                await self.loop.create_connection(lambda: wire, *address)
        except OSError:
            self.counts.add(Seen.SITE_UNREACHABLE)
            door.lack_site(wire)

    async def _open_relay(self, relay: bytes, addresses: tuple[Address, ...], wire: Wire, door: Door) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.REACH_SECONDS):
                for host, port in addresses:
                    if not self._private_allowed and not is_public(host):
                        continue
                    with contextlib.suppress(OSError):
                        async with asyncio.timeout(limits.REACH_SECONDS / len(addresses)):
                            await self.loop.create_connection(lambda: wire, host, port)
                        self.counts.add(Seen.FORWARDED)
                        return
        self.counts.add(Seen.UNREACHABLE)
        door.lose_far(wire, reset=False)
        self.missed(relay)

    def _start(self, work: asyncio._CoroutineLike[None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _patrol(self) -> None:
        while True:
            await asyncio.sleep(limits.PATROL_SECONDS)
            now = self.loop.time()
            for door in tuple(self.doors):
                door.patrol(now)


def _nothing(_: bytes) -> None:
    """Nobody wants to know."""
