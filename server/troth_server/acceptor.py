"""The accept step: who may come in is asked before TLS, so that a flood costs one accept for each connection.

``websockets``' Server takes this for the asyncio Server it would have made. It accepts on the loop, a few in a turn,
asks the ``gate``, and gives the loop only what may come in. Without descriptors or memory it holds its breath: what is
connected goes on, what comes waits in the kernel. It closes nothing that is established. [R-11.6-1]
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import resource
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.server import ServerConnection

from troth_protocol.errors import NetworkError

from .gate import Gate, Shut, Visit
from .limits import (
    ACCEPTS,
    BREATH_SECONDS,
    CLOSE_SECONDS,
    DESCRIPTORS,
    HURRY_SECONDS,
    OPEN_SECONDS,
    PACE_SECONDS,
    PENDING,
    RECEIVE_BUFFER,
    SEND_BUFFER,
    UNSENT_BUFFER,
)
from .metrics import Count, Metrics

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def listening_socket(bind: str, port: int) -> socket.socket:
    """A socket that listens on an address, with the buffers that accepted ones inherit; NetworkError."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    # With the protocol named: asyncio turns Nagle's delay off only then (40 ms an answer without it).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if sys.platform == "linux":
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BUFFER)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((bind, port))
    except OSError as error:
        listening.close()
        raise NetworkError(f"cannot listen on {bind} port {port}: {error.strerror}") from None
    return listening


def private(bind: str, sock: socket.socket | None) -> bool:
    """Whether only this machine reaches it: a UNIX socket, or a loopback address. [R-11.1-3]"""
    if sock is not None and sock.family == socket.AF_UNIX:
        return True
    found = bind if sock is None else str(sock.getsockname()[0])
    return ipaddress.ip_address(found).is_loopback


def room(wanted: int) -> int:
    """How many of ``wanted`` connections there are descriptors for; raises this process's limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + 2 * DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(1, min(wanted, soft - 2 * DESCRIPTORS))
    return wanted


@dataclass(frozen=True, slots=True)
class Handshake:
    """A connection that is not done with TLS and HTTP."""

    sock: socket.socket = field(repr=False)
    visit: Visit = field(repr=False)
    begun: float


class Acceptor:
    """Accepts from a listening socket; ``tls`` is asked at each connection, because a certificate may be renewed.

    ``clock`` is the one the connections' cores are told, in seconds: the gate hears of failures from them.
    """

    def __init__(
        self,
        sock: socket.socket,
        gate: Gate,
        tls: Callable[[], ssl.SSLContext | None],
        make: Callable[[Visit], ServerConnection],
        metrics: Metrics,
        clock: Callable[[], int],
        *,
        behind_proxy: bool,
    ) -> None:
        self._sock = sock
        self._gate = gate
        self._tls = tls
        self._make = make
        self._metrics = metrics
        self._clock = clock
        self.behind_proxy = behind_proxy
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[Visit, Handshake] = {}
        self._waiting: deque[Handshake] = deque()
        self._next = 0.0
        self._serving = False

    # What websockets' Server asks of an asyncio Server.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts."""
        return self._serving

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """None to name in a log."""
        return ()

    def close(self) -> None:
        """Accept no more, and drop what is not done with TLS."""
        if self._serving:
            self._serving = False
            self._loop.remove_reader(self._sock)
            self._sock.close()
            for task in self._tasks:
                task.cancel()
            for handshake in self._waiting:
                handshake.sock.close()

    async def wait_closed(self) -> None:
        """Until the last of them is gone."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    # The rest.

    def start(self, backlog: int) -> None:
        """Listen and accept."""
        self._sock.setblocking(False)
        self._sock.listen(backlog)
        self._serving = True
        self._loop.add_reader(self._sock, self._accept)

    def settled(self, visit: Visit) -> None:
        """This connection is done with TLS and HTTP, or is gone."""
        visit.settled()
        self._pending.pop(visit, None)

    def living(self) -> Iterator[tuple[str | None, Visit]]:
        """The connections that are not done, each with its address, which the kernel knows."""
        for handshake in self._pending.values():
            with contextlib.suppress(OSError):
                yield None if self.behind_proxy else str(handshake.sock.getpeername()[0]), handshake.visit

    def _accept(self) -> None:
        """As many as fit one turn of the loop."""
        for _ in range(ACCEPTS):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._hold_breath()
                    return
                continue  # this one was gone before it was accepted
            self._enter(sock, None if self.behind_proxy else str(address[0]))

    def _hold_breath(self) -> None:
        self._metrics.add(Count.ACCEPT_FAILED)
        self._loop.remove_reader(self._sock)
        self._loop.call_later(BREATH_SECONDS, self._breathe)

    def _breathe(self) -> None:
        if self._serving:
            self._loop.add_reader(self._sock, self._accept)

    def _enter(self, sock: socket.socket, address: str | None) -> None:
        """Ask the gate; a newcomer who finds all handshakes taken may take the place of one that dawdles."""
        now = self._loop.time()
        visit = self._gate.enter(address, self._clock())
        if visit is Shut.HANDSHAKES and self._hurry(now, self._gate.row(address)):
            visit = self._gate.enter(address, self._clock())
        if isinstance(visit, Visit) and len(self._pending) >= PENDING and not self._hurry(now, b""):
            visit.left()
            visit = Shut.HANDSHAKES
        if isinstance(visit, Shut):
            self._metrics.add(Count.TURNED_AWAY_FULL if visit is Shut.FULL else Count.TURNED_AWAY_RATE)
            sock.close()
            return
        sock.setblocking(False)
        handshake = self._pending[visit] = Handshake(sock, visit, now)
        self._waiting.append(handshake)
        if len(self._waiting) == 1:
            self._loop.call_later(max(0.0, self._next - now), self._begin)

    def _begin(self) -> None:
        """The next handshake, and a little later the one after it: signing takes a millisecond that others wait."""
        if not self._waiting or not self._serving:
            return
        handshake = self._waiting.popleft()
        task = self._loop.create_task(self._shake_hands(handshake.sock, handshake.visit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._next = self._loop.time() + PACE_SECONDS
        if self._waiting:
            self._loop.call_later(PACE_SECONDS, self._begin)

    def _hurry(self, now: float, row: bytes) -> bool:
        """Drop the oldest handshake (of a network) if it has had time enough; whether there was one."""
        for handshake in self._pending.values():
            if now - handshake.begun < HURRY_SECONDS:
                return False
            if not row or handshake.visit.shares(row):
                with contextlib.suppress(OSError):
                    handshake.sock.shutdown(socket.SHUT_RDWR)
                self.settled(handshake.visit)
                return True
        return False

    async def _shake_hands(self, sock: socket.socket, visit: Visit) -> None:
        """Give a socket to the loop, with TLS if there is TLS; HTTP follows in the connection's own task."""
        context = self._tls()

        def make() -> ServerConnection:
            return self._make(visit)

        try:
            if context is None:
                await self._loop.connect_accepted_socket(make, sock)
            else:
                await self._loop.connect_accepted_socket(
                    make, sock, ssl=context, ssl_handshake_timeout=OPEN_SECONDS, ssl_shutdown_timeout=CLOSE_SECONDS
                )
        except asyncio.CancelledError:
            self._gone(sock, visit)
            raise
        except (OSError, RuntimeError, TimeoutError):  # ssl.SSLError is an OSError
            self._gone(sock, visit)
            self._metrics.add(Count.HANDSHAKE_FAILED)

    def _gone(self, sock: socket.socket, visit: Visit) -> None:
        """TLS failed: the loop's transport closes the socket when it is done with it."""
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        self.settled(visit)
        visit.left()
