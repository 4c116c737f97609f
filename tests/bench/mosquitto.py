"""Mosquitto: MQTT 3.1.1 with QoS 1 and persistent sessions; it answers before anything is synced. Loopback TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BODY: Final = b"e" * 1_024
_CONFIG: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_inflight_messages 0
max_queued_messages 0
log_type none
"""
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 0x20, 0x30, 0x40, 0x90


def command(folder: Path, port: int) -> list[str]:
    """What starts it."""
    folder.chmod(0o777)  # the server gives up its rights
    (folder / "mosquitto.conf").write_text(_CONFIG.format(port=port, folder=folder))
    return ["mosquitto", "-c", str(folder / "mosquitto.conf")]


async def prepare(_: int) -> None:
    """Nothing to make."""


class Line(asyncio.Protocol):
    """One connection: packets go to ``on_packet`` with their first byte and body."""

    def __init__(self) -> None:
        self.on_packet: Callable[[int, bytes], None] = self._first
        self.ready = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self.transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int, name: str) -> Line:
        """Connect under a name, with a session that outlives the connection."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        body = _text("MQTT") + b"\x04\x00\x00\x00" + _text(name)
        line.transport.write(packet(0x10, body))
        await line.ready
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's transport is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Cut what came into packets."""
        buffer, at = self._buffer + data, 0
        while len(buffer) - at >= 2:
            size, shift, start = 0, 0, at + 1
            while start < len(buffer):
                size |= (buffer[start] & 0x7F) << shift
                shift, start = shift + 7, start + 1
                if buffer[start - 1] < 0x80:
                    break
            if len(buffer) < start + size or buffer[start - 1] >= 0x80:
                break
            self.on_packet(buffer[at], buffer[start : start + size])
            at = start + size
        self._buffer = buffer[at:]

    def _first(self, kind: int, _: bytes) -> None:
        if kind & 0xF0 in {_CONNACK, _SUBACK} and not self.ready.done():
            self.ready.set_result(None)


class Pair:
    """A publisher that waits for PUBACK and a subscriber that answers with one."""

    def __init__(self, number: int, sender: Line, receiver: Line) -> None:
        self.on_ack: Callable[[int], None] = lambda _: None
        self.received = 0
        self._topic = _text(f"box/{number}")
        self._sender = sender
        self._receiver = receiver
        sender.on_packet = self._acknowledged

    async def subscribe(self) -> None:
        """Ask for our topic with QoS 1."""
        self._receiver.ready = asyncio.get_running_loop().create_future()
        self._receiver.transport.write(packet(0x82, b"\x00\x01" + self._topic + b"\x01"))
        await self._receiver.ready
        self._receiver.on_packet = self._arrived

    def send(self, number: int) -> None:
        """Publish with QoS 1; packet ids are not 0."""
        self._sender.transport.write(packet(0x32, self._topic + (number + 1).to_bytes(2, "big") + _BODY))

    def close(self) -> None:
        """Cut both connections."""
        self._sender.transport.abort()
        self._receiver.transport.abort()

    def _acknowledged(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == _PUBACK:
            self.on_ack(int.from_bytes(body[:2], "big") - 1)

    def _arrived(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == _PUBLISH:
            self.received += 1
            start = 2 + int.from_bytes(body[:2], "big")
            self._receiver.transport.write(packet(_PUBACK, body[start : start + 2]))


async def pair(port: int, number: int) -> Pair:
    """A sender and a receiver."""
    made = Pair(number, await Line.open(port, f"s{number}"), await Line.open(port, f"r{number}"))
    await made.subscribe()
    return made


async def idle(port: int) -> asyncio.Transport:
    """A connection that does nothing."""
    line = await Line.open(port, f"i{id(asyncio.current_task())}-{asyncio.get_running_loop().time()}")
    return line.transport


def packet(kind: int, body: bytes) -> bytes:
    """A packet with its length in 7-bit groups."""
    size, head = len(body), bytes((kind,))
    while size > 0x7F:
        head, size = head + bytes((0x80 | size & 0x7F,)), size >> 7
    return head + bytes((size,)) + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
