"""The route through a forwarder of ours: TLS that looks like a visit to its site, and in it the bytes to a relay.

``Outer`` is the outer TLS without a socket; here are the socket and the two pumps. The forwarder's own key is compared
with its link. The TLS to the relay runs inside, so the forwarder reads nothing. SPEC.md sections 19.1 and 19.4.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from troth_protocol.address import RelayAddress
from troth_protocol.errors import PinMismatch, ProxyError
from troth_protocol.route_link import Tunnel

from .dial import Dialer, kept
from .outer import Outer

CHUNK: Final = 65_536
"""Bytes moved at once, at most; what is not taken yet stays in the kernel, so a slow side slows the other."""
HANDSHAKE_SECONDS: Final = 10
"""For the outer TLS."""


class TunnelWay:
    """Through one forwarder, to whichever relay is named by its fingerprint."""

    def __init__(self, spec: Tunnel, dialer: Dialer, clock: Callable[[], float], draw: Callable[[int], bytes]) -> None:
        self._spec = spec
        self._dialer = dialer
        self._clock = clock
        self._draw = draw
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self, relay: RelayAddress) -> socket.socket:
        """A byte stream to the relay; ProxyError or another NetworkError."""
        spec, loop = self._spec, asyncio.get_running_loop()
        outer = Outer(spec.secret, spec.pin, spec.name or spec.host, relay, now=int(self._clock()), draw=self._draw)
        stream = await self._dialer.open(spec.host, spec.port)
        try:
            with kept(stream):
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await loop.sock_sendall(stream, outer.hello())
                    while not outer.ready:
                        outer.receive(await loop.sock_recv(stream, CHUNK))
                ours, theirs = socket.socketpair()
        except PinMismatch:
            raise ProxyError("the forwarder's key is not the one in its link") from None
        ours.setblocking(False)
        theirs.setblocking(False)
        pump = asyncio.create_task(_carry(stream, theirs, outer))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        return ours


async def _carry(stream: socket.socket, inner: socket.socket, outer: Outer) -> None:
    """Move bytes both ways until either side ends; then both end."""
    pumps = [asyncio.create_task(_up(inner, stream, outer)), asyncio.create_task(_down(stream, inner, outer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        stream.close()
        inner.close()


async def _up(inner: socket.socket, stream: socket.socket, outer: Outer) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while piece := await loop.sock_recv(inner, CHUNK):
            await loop.sock_sendall(stream, outer.send(piece))
        await loop.sock_sendall(stream, outer.close())


async def _down(stream: socket.socket, inner: socket.socket, outer: Outer) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while not outer.ended:
            piece = outer.receive(await loop.sock_recv(stream, CHUNK))
            if piece:
                await loop.sock_sendall(inner, piece)
