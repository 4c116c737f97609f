"""A reader that is slow but moves, and says something meanwhile, is not taken for silent: we do not read it then."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.frames import Opcode

from badinputs.raw import frame, head
from server.conftest import serving
from server.talk import Box, Relay
from troth_protocol import ownership, token
from troth_protocol.wire import VERSION, answers, requests
from troth_server import listener, peer
from troth_server.config import Config
from troth_server.ledger_file import LedgerFile
from troth_server.metrics import Count

_LIFE = 3
"""Seconds: three times what the test lets a peer be silent."""


class Slow:
    """A WebSocket without a library, whose kernel takes 4 KiB ahead."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self, port: int) -> None:
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", port))
        self.reader, self.writer = await asyncio.open_connection(sock=self.socket, limit=2_048)
        self.writer.write(head())
        await self.reader.readuntil(b"\r\n\r\n")

    def say(self, request: requests.Request) -> None:
        self.writer.write(frame(Opcode.BINARY, requests.encode(1, request)))

    async def answer(self, request: requests.Request) -> answers.Answer:
        self.say(request)
        size = (await self.reader.readexactly(2))[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        return answers.decode(await self.reader.readexactly(size))[1]


@pytest.fixture
async def plain_relay(
    founded: tuple[Config, LedgerFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Relay]:
    """One that soon takes a peer for silent."""
    monkeypatch.setattr(listener, "PATROL_SECONDS", 0.1)
    monkeypatch.setattr(peer, "PING_SECONDS", 0.5)
    monkeypatch.setattr(peer, "SILENCE_SECONDS", 1.0)
    async with serving(*founded, tmp_path, plain=True) as relay:
        yield relay


async def test_who_takes_bytes_is_not_silent(plain_relay: Relay) -> None:
    slow, box, now, nonce = Slow(), Box(), int(time.time()), bytes(32)
    await slow.open(plain_relay.listener.port)
    welcome = await slow.answer(requests.Hello(VERSION))
    assert isinstance(welcome, answers.Welcome)
    key = ownership.stored(box.secret)
    assert await slow.answer(requests.Create(box.mailbox, key, box.key, now + token.EPOCH_SECONDS)) == answers.Ok()
    proof = ownership.prove(box.secret, box.mailbox, nonce, welcome.nonce, welcome.relay, bytes(32))
    assert await slow.answer(requests.Prove(box.mailbox, nonce, proof)) == answers.Ok()
    for number in range(8):
        assert await slow.answer(requests.Deliver(box.mailbox, box.token(number), b"e" * 65_666)) == answers.Ok()
    slow.say(requests.Fetch(64))
    await asyncio.sleep(0.3)
    slow.say(requests.Count())  # it waits, unread, until the reader has caught up
    late = time.monotonic() + _LIFE
    while time.monotonic() < late:
        slow.writer.write(frame(Opcode.PING, b""))
        await slow.reader.readexactly(2_048)
        await asyncio.sleep(0.05)
    assert plain_relay.listener.metrics.exact(Count.SILENT) == 0
    assert plain_relay.listener.connections == 1
    with contextlib.suppress(OSError):
        slow.writer.transport.abort()
