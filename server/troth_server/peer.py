"""One WebSocket: what the ``websockets`` library leaves open is bounded here (fragments, pongs, slow readers).

The library asks for a subclass (``create_connection``). Frames are written at once, without awaiting: a reader that is
too slow pauses the session, and one that stays so is cut off. [R-11.1-4]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Event

from .effects import CloseCode
from .limits import FRAGMENTS, PING_SECONDS, SEND_SECONDS, SILENCE_SECONDS, WRITE_CAP


class Peer(ServerConnection):
    """A client's WebSocket as the session uses it."""

    fragments = 0
    heard = 0.0
    """When bytes last came from the peer, by the loop's clock."""
    moved = 0.0
    """When bytes last went to it, or none waited."""
    unsent = 0
    on_room: Callable[[], None] | None = None
    """Called when a reader that was slow has caught up, or is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The beginning."""
        super().connection_made(transport)
        self.heard = self.moved = self.loop.time()

    def patrol(self) -> None:
        """Cut off a peer that is silent or takes no bytes; ask one that has been quiet whether it is there."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent < self.unsent or not self.paused:
            self.moved = now
        self.unsent = unsent
        if now - self.heard > SILENCE_SECONDS or now - self.moved > SEND_SECONDS:
            self.transport.abort()
        elif now - self.heard > PING_SECONDS and self.protocol.state is OPEN:
            self.protocol.send_ping(b"")
            self._flush()

    def push(self, frames: Iterable[bytes]) -> None:
        """Write binary messages now; nothing if the connection is no longer open."""
        if self.protocol.state is not OPEN:
            return
        for frame in frames:
            self.protocol.send_binary(frame)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Cut off a peer that makes the library answer (pongs) without reading the answers."""
        self.heard = self.loop.time()
        super().data_received(data)
        if self.transport.get_write_buffer_size() > WRITE_CAP:
            self.transport.abort()

    def process_event(self, event: Event) -> None:
        """Count the fragments of a message: bytes are limited by the library, pieces are not (4,096)."""
        if isinstance(event, Frame) and event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            self.fragments = 0 if event.fin else self.fragments + 1
            if self.fragments > FRAGMENTS:
                if self.protocol.state is OPEN:
                    self.protocol.fail(CloseCode.POLICY, "FRAGMENT_FLOOD")
                    self._flush()
                return
        super().process_event(event)

    def resume_writing(self) -> None:
        """A slow reader has caught up."""
        super().resume_writing()
        self._room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        super().connection_lost(exc)
        self._room()

    def _room(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _flush(self) -> None:
        try:
            self.send_data()
        except (OSError, RuntimeError):  # uvloop raises RuntimeError on a transport that is closing
            self.transport.abort()
