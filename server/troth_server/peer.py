"""One WebSocket as the session uses it: what comes in is parsed in slices, what goes out is bounded, time is watched.

::

    transport --> bytes ahead --SLICE_BYTES--> the library --> messages --TURN at a time--> whoever hears them
                     \\___ nothing is read while they are busy, or the others have their turn

The library asks for a subclass. Nothing awaits: a message is heard where it was parsed, and frames are written in the
turn of the loop in which they were made. A reader that is too slow pauses the session, and one that stays so is cut
off; its envelopes stay queued. [R-11.1-4] [R-11.6-5]
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN, Event

from .effects import CloseCode
from .gate import Visit
from .guard import Guard
from .limits import (
    CLOSE_SECONDS,
    HELD_BYTES,
    IDLE_SECONDS,
    LINGER_SECONDS,
    PING_SECONDS,
    SEND_SECONDS,
    SILENCE_SECONDS,
    SLICE_BYTES,
    SLOW_READERS,
    TLS_AHEAD,
    TURN,
    UNREAD_BYTES,
    WRITE_CAP,
    WRITE_HIGH,
)
from .messages import Hears, Messages
from .metrics import Count, Metrics
from .transports import GONE, TlsTransport


def _nothing() -> None:
    """In place of what a connection that is gone would do."""


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
        self._unsent, self._unread = 0, UNREAD_BYTES
        self._ahead = b""
        """Read, and not yet parsed."""
        self._messages = Messages()
        self._ears: Hears | None = None
        self._going = self._waiting = self._resting = False
        self.trouble: Exception | None = None
        """What hearing a message ended with, if nobody expected it."""
        self._ended = False
        self._held, self._due = 0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done. From here on, what was read ahead is ours to hold back, and TLS holds little more."""
        super().connection_made(transport)
        self.recv_messages.pause = self.recv_messages.resume = _nothing  # nothing is ever put there
        if transport.get_extra_info("ssl_object") is not None:
            cast(TlsTransport, transport).set_read_buffer_limits(*TLS_AHEAD)

    def patrol(self) -> None:
        """Cut off who is silent or takes no bytes, close who wants nothing, ask who is quiet whether they are there."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent < self._unsent or not self.paused:
            self._moved = now
        self._unsent = unsent
        if self._waiting:  # nothing is read from it: whether it takes what waits for it is what counts
            self._heard = max(self._heard, self._moved)
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

    def tell(self, ears: Hears) -> None:
        """From now on, messages go there; also those that came before."""
        self._ears = ears
        self.go_on()

    def go_on(self) -> None:
        """Whoever hears is not busy any more."""
        if self._waiting and not self._resting:
            self._proceed()

    def push(self, frames: Sequence[bytes]) -> None:
        """Write binary messages in this turn of the loop, all of one turn together; nothing if no longer open."""
        if not frames or self.protocol.state is not OPEN:
            return
        for frame in frames:
            self.protocol.message(frame)
            self._held += len(frame)
        if self._held >= HELD_BYTES:
            self._flush()
        elif not self._due:
            self._due = True
            self.loop.call_soon(self._flush)

    def send_data(self) -> None:
        """All that was written since, at once."""
        if self.protocol.state is not OPEN:
            super().send_data()
        elif data := b"".join(self.protocol.data_to_send()):
            self.transport.write(data)

    def fail(self, code: CloseCode, reason: str) -> None:
        """Close without waiting for the other side."""
        if self.protocol.state is OPEN:
            self.protocol.fail(code, reason)
            self.close_deadline = self.loop.time() + CLOSE_SECONDS
            self._flush()

    def end(self) -> None:
        """Nobody reads messages any more; parse on, for the other side's closing frame."""
        self._ended = True
        self._messages.clear()
        self.go_on()

    def cut_off(self, why: Count) -> None:
        """Drop the connection and what waits for it."""
        self._behind.metrics.add(why)
        self._behind.remove(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse in slices, and no further while whoever hears is busy or after a flood."""
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
        if not self._waiting:
            self._proceed()

    def process_event(self, event: Event) -> None:
        """Keep messages only while somebody hears them."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif not self._ended:
            try:
                self._messages.put(event)
            except UnicodeDecodeError:
                self.fail(CloseCode.NOT_UTF8, "NOT_UTF8")

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
        self._messages.clear()
        super().connection_lost(exc)
        self._behind.remove(self)
        self.visit.left()
        self._room()
        # What TLS holds is freed now: the search for cycles counts objects, not bytes, and would come late.
        self.transport = GONE
        self._ears = None

    def _proceed(self) -> None:
        """Parse what was read and let it be heard, as far as that goes now; whether to read on."""
        if self._going:
            return
        self._going = True
        try:
            waits = self._pause_due()
        except Exception as error:
            self.trouble, waits = error, True
            self.transport.abort()
        self._going = False
        if waits is not self._waiting:
            self._waiting = waits
            with contextlib.suppress(RuntimeError):  # uvloop's, if the transport is closing
                (self.transport.pause_reading if waits else self.transport.resume_reading)()

    def _pause_due(self) -> bool:
        """Go on until whoever hears is busy, or the others are to have their turn (True), or nothing is left."""
        data, at, turns = self._ahead, 0, TURN
        try:
            while True:
                while self._messages:
                    if self._ears is None or self._ears.busy:
                        return True
                    if not turns:
                        self._resting = True
                        self.loop.call_soon(self._rested)
                        return True
                    turns -= 1
                    self._ears.hear(self._messages.take())
                if at >= len(data) or self.protocol.flooded or self.protocol.reader.eof:
                    return self.protocol.flooded
                super().data_received(data[at : at + SLICE_BYTES])
                at += SLICE_BYTES
                if self.protocol.flooded:
                    self._linger()
                elif self.transport.get_write_buffer_size() > WRITE_CAP:
                    self.cut_off(Count.STUCK)
                    return True
        finally:
            self._ahead = data[at:]

    def _rested(self) -> None:
        """The others had their turn."""
        self._resting = False
        self.go_on()

    def _linger(self) -> None:
        """After a flood: read no more, and let what was said last go out."""
        self._behind.metrics.add(Count.FLOODED)
        with contextlib.suppress(RuntimeError):
            self.transport.pause_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _room(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _flush(self) -> None:
        self._held, self._due = 0, False
        try:
            self.send_data()
        except (OSError, RuntimeError):  # uvloop raises RuntimeError on a transport that is closing
            self.transport.abort()
        if self.transport.get_write_buffer_size() > WRITE_CAP:
            self.cut_off(Count.STUCK)
