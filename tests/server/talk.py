"""What the relay's tests share: values, a store asked and answered, and a small client without any cipher."""

from __future__ import annotations

import asyncio
import queue
import secrets
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from troth_protocol import ownership, token
from troth_protocol.wire import PATH, VERSION, answers, requests
from troth_server.commands import Command, Outcome
from troth_server.ledger_file import LedgerFile
from troth_server.listener import Listener
from troth_server.storage import Store

NOW: Final = 1_700_000_000
SMALL: Final = 1_154


def envelope(mark: int, size: int = SMALL) -> bytes:
    return mark.to_bytes(8, "big").ljust(size, b"e")


def ask(store: Store, command: Command) -> Outcome:
    answer: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    store.submit(command, answer.put)
    return answer.get(timeout=10)


@dataclass
class Box:
    """A mailbox as its owner knows it."""

    mailbox: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def hash(self) -> bytes:
        return token.mailbox_hash(self.mailbox)

    def token(self, number: int) -> bytes:
        return token.issue(self.key, self.mailbox, number.to_bytes(16, "big"))


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """One connection; ``call`` waits for its answer, envelopes and DRAINED go to ``pushed``."""

    def __init__(self, socket: ClientConnection, key_hash: bytes) -> None:
        self.socket = socket
        self.key_hash = key_hash
        self.welcome: answers.Welcome
        self.pushed: deque[answers.Answer] = deque()
        self._next = 1

    @classmethod
    async def open(cls, port: int, *, hello: bool = True) -> Client:
        socket = await connect(
            f"wss://127.0.0.1:{port}{PATH}", ssl=unverified(), compression=None, proxy=None, ping_interval=None,
            max_size=2**20, max_queue=64,
        )  # fmt: skip
        tls = socket.transport.get_extra_info("ssl_object")
        client = cls(socket, ownership.tls_key_hash(tls.getpeercert(True)))
        if hello:
            welcome = await client.call(requests.Hello(VERSION))
            assert isinstance(welcome, answers.Welcome)
            client.welcome = welcome
        return client

    async def send(self, request: requests.Request) -> int:
        request_id, self._next = self._next, self._next + 1
        await self.socket.send(requests.encode(request_id, request))
        return request_id

    async def read(self) -> tuple[int, answers.Answer]:
        raw = await asyncio.wait_for(self.socket.recv(), 10)
        assert isinstance(raw, bytes)
        return answers.decode(raw)

    async def call(self, request: requests.Request) -> answers.Answer:
        wanted = await self.send(request)
        while True:
            request_id, answer = await self.read()
            if isinstance(answer, answers.Envelope | answers.Drained):
                self.pushed.append(answer)
            elif request_id == wanted:
                return answer

    async def push(self) -> answers.Answer:
        if self.pushed:
            return self.pushed.popleft()
        return (await self.read())[1]

    async def create(self, box: Box, now: int) -> answers.Answer:
        expires = now + token.EPOCH_SECONDS
        return await self.call(requests.Create(box.mailbox, ownership.stored(box.secret), box.key, expires))

    async def prove(self, box: Box) -> answers.Answer:
        nonce = secrets.token_bytes(32)
        welcome = self.welcome
        proof = ownership.prove(box.secret, box.mailbox, nonce, welcome.nonce, welcome.relay, self.key_hash)
        return await self.call(requests.Prove(box.mailbox, nonce, proof))

    async def deliver(self, box: Box, number: int, size: int = SMALL) -> answers.Answer:
        return await self.call(requests.Deliver(box.mailbox, box.token(number), envelope(number, size)))

    async def fetch_all(self, window: int = 64) -> list[answers.Envelope]:
        """Fetch, acknowledge everything, until DRAINED."""
        got: list[answers.Envelope] = []
        await self.send(requests.Fetch(window))
        while True:
            answer = await self.push()
            if isinstance(answer, answers.Drained):
                return got
            assert isinstance(answer, answers.Envelope)
            got.append(answer)
            assert await self.call(requests.Acknowledge((answer.sequence,))) == answers.Ok()

    async def close(self) -> None:
        await self.socket.close()


@dataclass
class Relay:
    """A relay in this process."""

    listener: Listener
    store: Store
    ledger: LedgerFile
    events: list[object]

    async def client(self, *, hello: bool = True) -> Client:
        return await Client.open(self.listener.port, hello=hello)

    async def owner(self, box: Box, *, create: bool = True) -> Client:
        """A connection that has proved ``box``."""
        client = await self.client()
        if create:
            assert await client.create(box, self.listener.now()) == answers.Ok()
        assert await client.prove(box) == answers.Ok()
        return client
