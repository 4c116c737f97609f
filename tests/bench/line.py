"""The cheapest client that a relay accepts: a WebSocket over an asyncio protocol, so that a load costs little to make.

It speaks the wire format by its own hand: frames go out with a zero masking key (legal, and free), and what comes in is
cut at the lengths in its headers. For measurements only.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from typing import Final

from troth_protocol import ownership
from troth_protocol.wire import PATH, VERSION, answers, requests

_REQUEST: Final = (
    f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()


def frame(request_id: int, request: requests.Request) -> bytes:
    """A request as the bytes of a masked WebSocket message."""
    payload = requests.encode(request_id, request)
    size = len(payload)
    head = bytes((0x82, 0x80 | size)) if size < 126 else bytes((0x82, 0xFE)) + size.to_bytes(2, "big")
    if size > 0xFFFF:
        head = bytes((0x82, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


class Line(asyncio.Protocol):
    """One connection; ``on_frame`` gets each message of the relay."""

    def __init__(self) -> None:
        self.on_frame: Callable[[bytes], None] = self._keep
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.key_hash = bytes(32)
        self._waiting: asyncio.Future[bytes] | None = None
        self._kept: list[bytes] = []
        self._buffer = b""
        self._ours = False
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext | None) -> tuple[Line, answers.Welcome]:
        """Connect, upgrade and say hello."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(cls, "127.0.0.1", port, ssl=context)
        await line.opened
        welcome = await line.call(requests.Hello(VERSION))
        if not isinstance(welcome, answers.Welcome):
            raise TypeError(f"a relay that does not welcome: {welcome}")
        return line, welcome

    async def call(self, request: requests.Request) -> answers.Answer:
        """One request and its answer, nothing else being under way."""
        self.write(frame(1, request))
        return answers.decode(await self.next())[1]

    async def next(self) -> bytes:
        """The next message, while nobody else listens."""
        if self._kept:
            return self._kept.pop(0)
        self._waiting = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._waiting, 30)

    async def prove(self, welcome: answers.Welcome, mailbox: bytes, secret: bytes) -> None:
        """Speak for a mailbox."""
        nonce = secrets.token_bytes(32)
        proof = ownership.prove(secret, mailbox, nonce, welcome.nonce, welcome.relay, self.key_hash)
        answer = await self.call(requests.Prove(mailbox, nonce, proof))
        if answer != answers.Ok():
            raise TypeError(f"a proof was refused: {answer}")

    def write(self, raw: bytes) -> None:
        """Send bytes that ``frame`` made."""
        self._transport.write(raw)

    def close(self) -> None:
        """Cut the connection."""
        self._ours = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        if not isinstance(transport, asyncio.Transport) and not hasattr(transport, "write"):
            raise TypeError("not a stream")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is none of asyncio's classes
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.key_hash = ownership.tls_key_hash(tls.getpeercert(True))
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if not self.opened.done():
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(buffer[:64].decode("ascii", "replace")))
                return
            self.opened.set_result(None)
            at = end + 4
        total = len(buffer)
        while total - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if total < start + size:
                break
            if buffer[at] == 0x82:
                self.on_frame(buffer[start : start + size])
            elif buffer[at] == 0x89:
                self._transport.write(b"\x8a\x80" + bytes(4))
            at = start + size
        self._buffer = buffer[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits; if nobody does and it was not us, the loop."""
        lost = error or ConnectionError("the relay closed the connection")
        loop = asyncio.get_running_loop()
        if loop.get_exception_handler() is not None and not self._ours and self.opened.done():
            loop.call_exception_handler({"message": str(lost), "exception": lost})
        for waiting in (self.opened, self._waiting):
            if waiting is not None and not waiting.done():
                waiting.set_exception(lost)

    def _keep(self, raw: bytes) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(raw)
        else:
            self._kept.append(raw)
