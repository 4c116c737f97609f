"""One TLS layer at the forwarder's end, as bytes in and bytes out; with a guest's mark sent back, or without.

TLS is the ``ssl`` module's. For a guest it runs on the hello without the mark, and the first record of the answer, the
ServerHello, gets the mark where the guest looks for it. [R-19.4-3]
"""

from __future__ import annotations

import ssl
from typing import Final

from troth_protocol import veil
from troth_protocol.errors import DecodeError

PIECE: Final = 65_536
_HEADER: Final = 5


class Layer:
    """A TLS connection whose other end is somebody at the door."""

    __slots__ = ("_in", "_mark", "_out", "_tls", "agreed", "broken", "ended")

    def __init__(self, context: ssl.SSLContext, mark: bytes = b"") -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._mark = mark
        self.agreed = False
        """Whether the handshake is over."""
        self.ended = False
        """Whether the other end has said that no more will come."""
        self.broken = False
        """Whether the connection is of no more use; an alert may wait in ``unsent``."""

    def receive(self, data: bytes) -> bytes:
        """What ``data`` says inside; look at ``ended``, ``broken`` and ``unsent`` afterwards."""
        self._in.write(data)
        pieces: list[bytes] = []
        try:
            if not self.agreed:
                self._tls.do_handshake()
                self.agreed = True
            while piece := self._tls.read(PIECE):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.broken = True
        return b"".join(pieces)

    def send(self, data: bytes) -> None:
        """Say ``data`` inside; it waits in ``unsent``."""
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self.broken = True

    def end(self) -> None:
        """Say that no more will come."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            self.broken = self.broken or not self.agreed

    def unsent(self) -> bytes:
        """What is to be sent now."""
        data = self._out.read()
        if self._mark and data:
            size = _HEADER + int.from_bytes(data[3:_HEADER], "big")
            mark, self._mark = self._mark, b""
            try:
                return veil.echo(data[:size], mark) + data[size:]
            except DecodeError:  # an alert: there is no hello to put the mark into
                return data
        return data
