"""NATS JetStream with a file store; it syncs every two minutes (2.9; "always" came later). Plain loopback TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BODY: Final = b"e" * 1_024
_CONFIG: Final = """\
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/js", max_file_store: 4GB }}
"""


def command(folder: Path, port: int) -> list[str]:
    """What starts it."""
    (folder / "nats.conf").write_text(_CONFIG.format(port=port, folder=folder))
    return ["nats-server", "-c", str(folder / "nats.conf")]


class Line(asyncio.Protocol):
    """One connection: MSG frames go to ``on_message`` with subject, reply subject and body."""

    def __init__(self) -> None:
        self.on_message: Callable[[bytes, bytes, bytes], None] = _nobody
        self.ready = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self.transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int) -> Line:
        """Connect."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        line.transport.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
        await line.ready
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's transport is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Cut what came into protocol lines and bodies."""
        buffer, at = self._buffer + data, 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            line = buffer[at:end]
            if line.startswith(b"MSG "):
                words = line.split()
                size, start = int(words[-1]), end + 2
                if len(buffer) < start + size + 2:
                    break
                self.on_message(words[1], words[3] if len(words) == 5 else b"", buffer[start : start + size])
                end = start + size
            elif line == b"PING":
                self.transport.write(b"PONG\r\n")
            elif line == b"PONG" and not self.ready.done():
                self.ready.set_result(None)
            at = end + 2
        self._buffer = buffer[at:]


class Pair:
    """A publisher with an inbox for its acknowledgements, and a push consumer that acknowledges what it gets."""

    def __init__(self, number: int, sender: Line, receiver: Line) -> None:
        self.on_ack: Callable[[int], None] = lambda _: None
        self.received = 0
        self._sender = sender
        self._receiver = receiver
        self._subject = f"box.{number}"
        self._inbox = f"ack.{number}"
        sender.on_message = self._acknowledged
        receiver.on_message = self._arrived

    async def subscribe(self, number: int) -> None:
        """A consumer for our subject, its messages to be acknowledged."""
        self._sender.transport.write(f"SUB {self._inbox}.* 1\r\n".encode())
        self._receiver.transport.write(f"SUB in.{number} 1\r\n".encode())
        config = (
            f'{{"stream_name":"s","config":{{"durable_name":"d{number}","deliver_subject":"in.{number}",'
            f'"filter_subject":"{self._subject}","ack_policy":"explicit","max_ack_pending":64}}}}'
        ).encode()
        await _ask(self._receiver, f"$JS.API.CONSUMER.DURABLE.CREATE.s.d{number}", config)
        self._receiver.on_message = self._arrived

    def send(self, number: int) -> None:
        """Publish, the answer to our inbox."""
        head = f"PUB {self._subject} {self._inbox}.{number} {len(_BODY)}\r\n".encode()
        self._sender.transport.write(head + _BODY + b"\r\n")

    def close(self) -> None:
        """Cut both connections."""
        self._sender.transport.abort()
        self._receiver.transport.abort()

    def _acknowledged(self, subject: bytes, _: bytes, body: bytes) -> None:
        if b'"error"' in body:
            raise ConnectionError(body.decode())
        self.on_ack(int(subject.rsplit(b".", 1)[1]))

    def _arrived(self, _: bytes, reply: bytes, __: bytes) -> None:
        self.received += 1
        self._receiver.transport.write(b"PUB " + reply + b" 4\r\n+ACK\r\n")


async def prepare(port: int) -> None:
    """The stream that takes every message."""
    line = await Line.open(port)
    await _ask(line, "$JS.API.STREAM.CREATE.s", b'{"name":"s","subjects":["box.*"],"storage":"file"}')
    line.transport.abort()


async def pair(port: int, number: int) -> Pair:
    """A sender and a receiver."""
    made = Pair(number, await Line.open(port), await Line.open(port))
    await made.subscribe(number)
    return made


async def idle(port: int) -> asyncio.Transport:
    """A connection that does nothing."""
    return (await Line.open(port)).transport


async def _ask(line: Line, subject: str, body: bytes) -> None:
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    line.on_message = lambda _, __, answer: None if answered.done() else answered.set_result(answer)
    line.transport.write(
        f"SUB api.{id(line)} 9\r\nPUB {subject} api.{id(line)} {len(body)}\r\n".encode() + body + b"\r\n"
    )
    answer = await asyncio.wait_for(answered, 10)
    if b'"error"' in answer:
        raise ConnectionError(answer.decode())


def _nobody(_: bytes, __: bytes, ___: bytes) -> None:
    """Nobody listens yet."""
