"""Messages that came in and were not yet heard: joined of their frames, in order.

How many frames a message may have, how long it may take and how large it may be, ``guard`` has judged before.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from websockets.frames import Frame, Opcode


class Hears(Protocol):
    """What a peer's messages go to."""

    @property
    def busy(self) -> bool:
        """Whether nothing more is to be heard for now; ``Peer.go_on`` tells when that is over."""

    def hear(self, message: bytes | None) -> None:
        """A binary message, or None for one of text."""


class Messages:
    """A queue of binary messages; None stands for one of text, which nobody wants."""

    __slots__ = ("_pieces", "_text", "_whole")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._text = False
        self._whole: deque[bytes | None] = deque()

    def __len__(self) -> int:
        return len(self._whole)

    def put(self, frame: Frame) -> None:
        """One more frame of data; UnicodeDecodeError at the end of a text that is not UTF-8."""
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        message = bytes(frame.data)
        if not frame.fin or self._pieces:
            self._pieces.append(message)
        if not frame.fin:
            return
        if self._pieces:
            message = b"".join(self._pieces)
            self._pieces.clear()
        if self._text:
            message.decode()
        self._whole.append(None if self._text else message)

    def take(self) -> bytes | None:
        """The next one."""
        return self._whole.popleft()

    def clear(self) -> None:
        """Nobody hears them any more."""
        self._pieces.clear()
        self._whole.clear()
