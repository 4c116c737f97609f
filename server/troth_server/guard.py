"""The WebSocket protocol with a guard on what comes in, before the library makes an object or an answer of it.

``websockets`` bounds the bytes of a message and of a header line. It leaves open how many pieces a message has (4,096),
how long they take, how many pings it answers, and how large an HTTP head is (1 MiB); and to a request that does not
parse it answers nothing. The hooks are methods of its sans-I/O protocol. [R-11.6-5]
"""

from __future__ import annotations

import http
from collections.abc import Callable
from typing import Final

from websockets.exceptions import InvalidMessage
from websockets.frames import Frame, Opcode
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol

from troth_protocol.encoding import U16_MAX
from troth_protocol.wire import MAX_FRAME

from .effects import CloseCode
from .limits import ASSEMBLY_SECONDS, CONTROLS, CONTROLS_PER_SECOND, FRAGMENTS, HEAD_BYTES, Bucket
from .quiet import LIBRARY

_END: Final = b"\r\n\r\n"


class Guard(ServerProtocol):
    """One connection's protocol; ``clock`` is the loop's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(max_size=MAX_FRAME, logger=LIBRARY)
        self._clock = clock
        self._controls = Bucket(CONTROLS, CONTROLS_PER_SECOND)
        self._head = 0
        self._last = b""
        self._complete = False
        self.early = False
        """Whether something came behind the request before it was answered: a second request, or frames."""
        self._fragments = 0
        self._begun = 0.0
        self.flooded = False
        """Whether it was closed for a flood."""

    def receive_data(self, data: bytes | bytearray) -> None:
        """Bound the head, parse nothing behind it before it is answered, and after a flood hear nothing."""
        if self.flooded:
            return
        if self.state is CONNECTING and not self.eof_sent:
            if self._complete:
                self.early = True
                return
            end = bytes(self._last + data).find(_END)
            if end >= 0:
                self._complete = True
                end += len(_END) - len(self._last)
                self.early = end < len(data)
                data = data[:end]
            self._last = bytes(data[-3:]) if len(data) >= 3 else (self._last + data)[-3:]
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.send_response(self.reject(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Too large.\n"))
                return
        super().receive_data(data)

    def send_eof(self) -> None:
        """Say why before hanging up on a request that does not parse."""
        if self.state is CONNECTING and isinstance(self.handshake_exc, InvalidMessage):
            self.writes.append(self.reject(http.HTTPStatus.BAD_REQUEST, "Bad request.\n").serialize())
        super().send_eof()

    def recv_frame(self, frame: Frame) -> None:
        """Count frames as they are parsed, so that no flood is ever held in memory."""
        flood = self._judge(frame) if self.state is OPEN else ""
        if flood:
            self.flooded = True
            self.send_close(CloseCode.POLICY, flood)
        elif not self.flooded:
            super().recv_frame(frame)

    def message(self, payload: bytes) -> None:
        """A whole binary message to be written: the bytes of ``send_binary``, without its objects. RFC 6455, 5.2"""
        size = len(payload)
        if size < 126:
            head = bytes((0x82, size))
        elif size <= U16_MAX:
            head = b"\x82\x7e" + size.to_bytes(2, "big")
        else:
            head = b"\x82\x7f" + size.to_bytes(8, "big")
        self.writes += (head, payload)

    def late(self, now: float) -> bool:
        """Whether a message in pieces has taken too long; the patrol asks, for a client that sends nothing more."""
        return self._fragments > 0 and now - self._begun > ASSEMBLY_SECONDS

    def _judge(self, frame: Frame) -> str:
        """The name of the flood this frame is one too many of, or nothing."""
        now = self._clock()
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            return "PING_FLOOD" if self._controls.take(now) else ""
        if frame.opcode is Opcode.CLOSE:
            return ""
        if self._fragments == 0:
            self._begun = now
        self._fragments = 0 if frame.fin else self._fragments + 1
        return "FRAGMENT_FLOOD" if self._fragments > FRAGMENTS or self.late(now) else ""
