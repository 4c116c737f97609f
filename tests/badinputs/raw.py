"""A client that says what no library would: raw TLS, raw HTTP, raw WebSocket frames."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

from server.talk import unverified
from troth_protocol.wire import PATH, VERSION, answers, requests

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0
MEBIBYTE: Final = 1 << 20


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    """A WebSocket frame, right or wrong; ``length`` is what it says of itself, if not the truth."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = masked << 7
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros changes nothing


def head(path: str = PATH, *lines: str, method: str = "GET", version: str = "HTTP/1.1", without: str = "") -> bytes:
    """A request's head with a client's headers, less one, and more lines."""
    ours = (
        "Host: relay", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    )  # fmt: skip
    kept = [line for line in ours if not without or not line.startswith(f"{without}:")]
    return "\r\n".join([f"{method} {path} {version}", *kept, *lines, "", ""]).encode("latin-1")


@dataclass
class Raw:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> Raw:
        """TLS and nothing more."""
        context = context or unverified()
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(source, 0)))

    @classmethod
    async def plain(cls, port: int, source: str = "127.0.0.1") -> Raw:
        """TCP and nothing more."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))

    @classmethod
    async def upgraded(cls, port: int, *, hello: bool = True, source: str = "127.0.0.1") -> Raw:
        """A WebSocket, and HELLO said."""
        raw = await cls.open(port, source=source)
        raw.send(head())
        status, _ = await raw.response()
        assert status == 101
        if hello:
            raw.say(1, requests.Hello(VERSION))
            assert isinstance(await raw.answer(), answers.Welcome)
        return raw

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, request_id: int, request: requests.Request) -> None:
        self.send(frame(BINARY, requests.encode(request_id, request)))

    async def response(self) -> tuple[int, dict[str, str]]:
        """Status and headers of an HTTP answer, names in lower case; 0 if there is none."""
        try:
            raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 12)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}

    async def message(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload; 0 and nothing at the end."""
        try:
            first, second = await asyncio.wait_for(self.reader.readexactly(2), 12)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""

    async def answer(self) -> answers.Answer:
        """The next answer of the relay."""
        opcode, payload = await self.message()
        assert opcode == BINARY, (opcode, payload)
        return answers.decode(payload)[1]

    async def closed(self) -> tuple[int, str]:
        """The relay's closing frame, or zeros if it hangs up without one."""
        while True:
            opcode, payload = await self.message()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()
            if opcode == 0:
                return 0, ""

    async def gone(self, seconds: float = 12) -> bool:
        """Whether the relay hangs up in time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65_536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), 5)


def refused_socket(port: int, source: str, patience: float = 5) -> bool:
    """Whether a new connection is closed before a byte of TLS, within so many seconds."""
    with socket.socket() as sock:
        sock.settimeout(patience)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        try:
            return sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True
