"""What somebody at the door is connected to: the site or a relay by TCP, or the built-in site.

Bytes pass as they are, ends and resets included, so that the site's own answers, silences and time-outs are what a
stranger gets. Buffers are bounded: who does not read is not read for.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final, Protocol

from .decoy import Decoy
from .limits import EARLY_BYTES, WRITE_HIGH

_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Near(Protocol):
    """Who is at the door, as the far side sees them."""

    def hear_far(self, far: Far, data: bytes) -> None:
        """The far side said something."""

    def end_far(self, far: Far) -> None:
        """The far side will say no more."""

    def lose_far(self, far: Far, *, reset: bool) -> None:
        """The far side is gone."""

    def let_read(self, *, on: bool) -> None:
        """Whether more may be read from whoever is at the door."""


class Far(Protocol):
    """The other side: ``Wire`` or ``Page``."""

    def write(self, data: bytes) -> None:
        """Say something to it."""

    def end(self) -> None:
        """Say that no more will come."""

    def let_read(self, *, on: bool) -> None:
        """Whether more may be read from it."""

    def drop(self, *, reset: bool) -> None:
        """Be done with it; nothing is reported any more."""

    def waiting(self) -> int:
        """How many bytes it has not taken."""


class Wire(asyncio.Protocol):
    """A TCP connection, which may still be in the making."""

    def __init__(self, near: Near) -> None:
        self._near: Near | None = near
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._early_size = 0
        self._ending = self._paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It is open: send what waited."""
        if self._near is None:
            transport.abort()
            return
        transport.set_write_buffer_limits(WRITE_HIGH)
        self._transport = transport
        if self._paused:
            transport.pause_reading()
        if self._early:
            transport.write(b"".join(self._early))
            if self._early_size > EARLY_BYTES:
                self._near.let_read(on=True)
            self._early.clear()
        if self._ending:
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self._near is not None:
            self._near.hear_far(self, data)

    def eof_received(self) -> bool:
        """It will say no more; it may still listen."""
        if self._near is not None:
            self._near.end_far(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        near, self._near = self._near, None
        if near is not None:
            near.lose_far(self, reset=isinstance(exc, ConnectionResetError))

    def pause_writing(self) -> None:
        """It does not read."""
        if self._near is not None:
            self._near.let_read(on=False)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._near is not None:
            self._near.let_read(on=True)

    def write(self, data: bytes) -> None:
        """Say something to it, now or once it is open."""
        if self._transport is not None:
            self._transport.write(data)
            return
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size > EARLY_BYTES and self._near is not None:
            self._near.let_read(on=False)

    def end(self) -> None:
        """Say that no more will come."""
        self._ending = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def let_read(self, *, on: bool) -> None:
        """Whether more may be read from it."""
        self._paused = not on
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def drop(self, *, reset: bool) -> None:
        """Be done with it: what waits is still sent, unless it was reset."""
        self._near = None
        if self._transport is not None:
            if reset:
                abort(self._transport)
            else:
                self._transport.close()

    def waiting(self) -> int:
        """How many bytes it has not taken."""
        return self._early_size if self._transport is None else self._transport.get_write_buffer_size()


def abort(transport: asyncio.Transport) -> None:
    """Close with a reset, as the other side did."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


class Page:
    """The built-in site."""

    def __init__(self, near: Near, decoy: Decoy, now: int) -> None:
        self._near = near
        self._decoy = decoy
        self.now = now
        """The time for its answers; the door keeps it."""

    def write(self, data: bytes) -> None:
        """A request, or a part of one."""
        answer = self._decoy.receive(data, self.now)
        if answer:
            self._near.hear_far(self, answer)
        if self._decoy.ended:
            self._near.end_far(self)

    def end(self) -> None:
        """A visitor who will say no more is one who has left."""
        self._near.end_far(self)

    def let_read(self, *, on: bool) -> None:
        """It says nothing unasked."""

    def drop(self, *, reset: bool) -> None:
        """It holds nothing."""

    def waiting(self) -> int:
        """It takes everything."""
        return 0
