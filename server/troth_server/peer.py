"""One WebSocket as the session uses it: what comes in is parsed in slices, what goes out is bounded, time is watched.

The library asks for a subclass. Frames are written at once, without awaiting: a reader that is too slow pauses the
session, and one that stays so is cut off; its envelopes stay queued. [R-11.1-4] [R-11.6-5]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.protocol import OPEN, Event

from .effects import CloseCode
from .gate import Visit
from .guard import Guard
from .limits import (
    CLOSE_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    PING_SECONDS,
    READ_FRAMES,
    SEND_SECONDS,
    SILENCE_SECONDS,
    SLICE_BYTES,
    SLOW_READERS,
    TLS_AHEAD,
    UNREAD_BYTES,
    WRITE_CAP,
    WRITE_HIGH,
)
from .metrics import Count, Metrics


class _Gone(asyncio.Transport):
    """The transport of a connection that is gone: nothing waits, and nothing happens."""

    def abort(self) -> None:
        """Gone already."""

    def close(self) -> None:
        """Gone already."""

    def is_closing(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> None:
        """To nobody."""

    def can_write_eof(self) -> bool:
        """No."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing."""
        return 0

    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""


_GONE: Final = _Gone()


def _nothing() -> None:
    """In place of what a connection that is gone would do."""


class TlsTransport(Protocol):
    """What the TLS transports of asyncio and of uvloop have, and typeshed does not know."""

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        """Undecrypted bytes to stop and to go on at."""


class Behind:
    """The peers that are behind with reading, the one that has been so for the longest first. [R-11.6-6]"""

    __slots__ = ("_peers", "metrics")

    def __init__(self, metrics: Metrics) -> None:
        self._peers: dict[Peer, None] = {}
        self.metrics = metrics

    def add(self, peer: Peer) -> None:
        """One more; if they are too many, memory is worth more than the first one's place."""
        self._peers[peer] = None
        if len(self._peers) > SLOW_READERS:
            next(iter(self._peers)).cut_off(Count.STUCK)

    def remove(self, peer: Peer) -> None:
        """It has caught up, or is gone."""
        self._peers.pop(peer, None)


class Peer(ServerConnection):
    """A client's WebSocket."""

    protocol: Guard

    def __init__(self, server: Server, visit: Visit, behind: Behind) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            Guard(loop.time),
            server,
            ping_interval=None,  # ``patrol`` pings: one task for all, and a slow link is not taken for dead
            ping_timeout=None,
            close_timeout=CLOSE_SECONDS,
            max_queue=READ_FRAMES,
            write_limit=WRITE_HIGH,
        )
        self.visit = visit
        self.opened = loop.time()
        self.used = self.opened
        """When it last asked for something, by the loop's clock."""
        self.owner = False
        """Whether it has proved a mailbox."""
        self.on_room: Callable[[], None] | None = None
        """Called when a reader that was slow has caught up, or is gone."""
        self._behind = behind
        self._heard = self._moved = self.opened
        self._unsent = 0
        self._ahead = b""
        """Read, and not yet parsed: the session is busy."""
        self._ended = False
        self._unread = UNREAD_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done. From here on, what was read ahead is ours to hold back, and TLS holds little more."""
        super().connection_made(transport)
        self.recv_messages.pause, self.recv_messages.resume = self.transport.pause_reading, self._go_on
        if transport.get_extra_info("ssl_object") is not None:
            cast(TlsTransport, transport).set_read_buffer_limits(*TLS_AHEAD)

    def patrol(self) -> None:
        """Cut off who is silent or takes no bytes, close who wants nothing, ask who is quiet whether they are there."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent < self._unsent or not self.paused:
            self._moved = now
        self._unsent = unsent
        if now - self._heard > SILENCE_SECONDS:
            self.cut_off(Count.SILENT)
        elif now - self._moved > SEND_SECONDS:
            self.cut_off(Count.STUCK)
        elif self.protocol.state is not OPEN:
            if self.close_deadline is not None and now > self.close_deadline:
                self.transport.abort()
        elif self.protocol.late(now):
            self.fail(CloseCode.POLICY, "FRAGMENT_FLOOD")
        elif not self.owner and now - self.used > IDLE_SECONDS:
            self.fail(CloseCode.GOING_AWAY, "IDLE")
        elif now - self._heard > PING_SECONDS:
            self.protocol.send_ping(b"")
            self._flush()

    def push(self, frames: Sequence[bytes]) -> None:
        """Write binary messages now; nothing if the connection is no longer open."""
        if not frames or self.protocol.state is not OPEN:
            return
        for frame in frames:
            self.protocol.send_binary(frame)
        self._flush()

    def fail(self, code: CloseCode, reason: str) -> None:
        """Close without waiting for the other side."""
        if self.protocol.state is OPEN:
            self.protocol.fail(code, reason)
            self.close_deadline = self.loop.time() + CLOSE_SECONDS
            self._flush()

    def end(self) -> None:
        """Nobody reads messages any more; parse on, for the other side's closing frame."""
        self._ended = True
        if self.recv_messages.paused:
            self.recv_messages.paused = False
            self._go_on()

    def cut_off(self, why: Count) -> None:
        """Drop the connection and what waits for it."""
        self._behind.metrics.add(why)
        self._behind.remove(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse in slices, and no further while the session is busy or after a flood."""
        if self.protocol.flooded:
            return
        self._heard = self.loop.time()
        if self._ended:
            self._unread -= len(data)
            if self._unread < 0:
                self.protocol.flooded = True
                self._linger()
                return
        self._ahead = self._ahead + data if self._ahead else data
        if not self.recv_messages.paused:
            self._parse()

    def process_event(self, event: Event) -> None:
        """Keep messages only while somebody reads them."""
        if not self._ended:
            super().process_event(event)

    def pause_writing(self) -> None:
        """A reader is slow."""
        super().pause_writing()
        self._behind.add(self)

    def resume_writing(self) -> None:
        """A slow reader has caught up."""
        super().resume_writing()
        self._behind.remove(self)
        self._room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._ahead = b""
        super().connection_lost(exc)
        self._behind.remove(self)
        self.visit.left()
        self._room()
        # What TLS holds is freed now: the search for cycles counts objects, not bytes, and would come late.
        self.recv_messages.pause = self.recv_messages.resume = _nothing
        self.transport = _GONE

    def _parse(self) -> None:
        """What was read ahead, slice by slice, until the session has enough."""
        data, self._ahead = self._ahead, b""
        for start in range(0, len(data), SLICE_BYTES):
            if self.recv_messages.paused:
                self._ahead = data[start:]
                return
            super().data_received(data[start : start + SLICE_BYTES])
            if self.protocol.flooded:
                self._linger()
                return
            if self.transport.get_write_buffer_size() > WRITE_CAP:
                self.cut_off(Count.STUCK)
                return

    def _linger(self) -> None:
        """After a flood: read no more, and let what was said last go out."""
        self._behind.metrics.add(Count.FLOODED)
        self.transport.pause_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _go_on(self) -> None:
        """The session has room again."""
        if self.protocol.flooded:
            return
        if not self.protocol.reader.eof:
            self._parse()
        if not self.recv_messages.paused:
            self.transport.resume_reading()

    def _room(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _flush(self) -> None:
        try:
            self.send_data()
        except (OSError, RuntimeError):  # uvloop raises RuntimeError on a transport that is closing
            self.transport.abort()
        if self.transport.get_write_buffer_size() > WRITE_CAP:
            self.cut_off(Count.STUCK)
