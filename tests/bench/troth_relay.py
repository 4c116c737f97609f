"""Our relay under the load: a real ``troth-relay serve``, TLS with its own key, every limit as ``init`` writes it."""

from __future__ import annotations

import re
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from troth_protocol import ownership, token
from troth_protocol.wire import Type, answers, requests

from .line import Line, frame

WINDOW: Final = 64
_ACKNOWLEDGED_AT_ONCE: Final = 16


_PROXIED: Final[dict[int, bytes]] = {}
"""By port: the key that clients of a proxied relay would see at the proxy."""
_RELAY: Final = (sys.executable, "-m", "troth_server")


def command(folder: Path, port: int) -> list[str]:
    """What starts it with its own certificate."""
    _init(folder / "relay", "--port", str(port))
    return [*_RELAY, "serve", "--data", str(folder / "relay")]


def plain(folder: Path, port: int) -> list[str]:
    """What starts it without TLS, as behind a reverse proxy."""
    _init(folder / "other")
    certificate = folder / "other" / "tls-cert.pem"
    _PROXIED[port] = ownership.tls_key_hash(ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii")))
    proxied = ("--tls", "proxy", "--certificate", str(certificate), "--host", "localhost")
    _init(folder / "relay", "--port", str(port), *proxied)
    return [*_RELAY, "serve", "--data", str(folder / "relay")]


def _init(data: Path, *arguments: str) -> None:
    subprocess.run([*_RELAY, "init", "--data", str(data), *arguments], check=True, capture_output=True)
    path = data / "relay.toml"
    text = path.read_text()
    for setting in (
        "network_connections",
        "network_connects_at_once",
        "network_handshakes",
        "network_creations_at_once",
    ):
        text = re.sub(rf"^{setting} = \d+", f"{setting} = 100000", text, flags=re.MULTILINE)
    path.write_text(re.sub(r"^creations_at_once = \d+", "creations_at_once = 100000", text, flags=re.MULTILINE))


def tls() -> ssl.SSLContext:
    """A context that looks at no certificate: what is measured is not who answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Box:
    """A mailbox as its owner knows it."""

    def __init__(self) -> None:
        self.id, self.secret, self.key = (secrets.token_bytes(32) for _ in range(3))

    async def create(self, line: Line) -> None:
        """Make it at the relay."""
        expires = int(time.time()) + token.EPOCH_SECONDS
        answer = await line.call(requests.Create(self.id, ownership.stored(self.secret), self.key, expires))
        if answer != answers.Ok():
            raise ConnectionError(f"no mailbox: {answer}")

    def delivery(self, number: int) -> bytes:
        """Message ``number`` as it goes over the wire."""
        shown = token.issue(self.key, self.id, number.to_bytes(16, "big"))
        return frame(number, requests.Deliver(self.id, shown, number.to_bytes(8, "big").ljust(1_154, b"e")))


class Pair:
    """A sender with a stock of tokens and an owner who fetches and acknowledges."""

    def __init__(self, box: Box, sender: Line, owner: Line | None, first: int = 0) -> None:
        self.on_ack: Callable[[int], None] = lambda _: None
        self.received = 0
        self._box = box
        self._first = first
        self._sender = sender
        self._owner = owner
        self._pending: list[int] = []
        sender.on_frame = self._answered
        if owner is not None:
            owner.on_frame = self._arrived
            owner.write(frame(1, requests.Fetch(WINDOW)))

    def send(self, number: int) -> None:
        """Deliver."""
        self._sender.write(self._box.delivery(self._first + number))

    def close(self) -> None:
        """Cut both connections."""
        self._sender.close()
        if self._owner is not None:
            self._owner.close()

    def _answered(self, raw: bytes) -> None:
        if raw[4] != Type.OK:
            raise RuntimeError(f"not delivered: {answers.decode(raw)[1]}")
        self.on_ack(int.from_bytes(raw[:4], "big") - self._first)

    def _arrived(self, raw: bytes) -> None:
        if raw[4] == Type.ENVELOPE and self._owner is not None:
            self.received += 1
            self._pending.append(int.from_bytes(raw[5:13], "big"))
        if self._pending and (len(self._pending) == _ACKNOWLEDGED_AT_ONCE or raw[4] == Type.OK):
            self.acknowledge()

    def acknowledge(self) -> None:
        """Let the relay forget what came."""
        if self._owner is not None:
            self._owner.write(frame(2, requests.Acknowledge(tuple(self._pending))))
            self._pending.clear()


async def prepare(_: int) -> None:
    """Nothing to make."""


async def pair(port: int, number: int) -> Pair:
    """A sender and an owner."""
    return await _pair(port, tls())


async def plain_pair(port: int, number: int) -> Pair:
    """The same without TLS; the proof is bound to the key that the proxy would show."""
    return await _pair(port, None)


async def _pair(port: int, context: ssl.SSLContext | None) -> Pair:
    box = Box()
    sender, _ = await Line.open(port, context)
    await box.create(sender)
    owner, welcome = await Line.open(port, context)
    owner.key_hash = _PROXIED.get(port, owner.key_hash)
    await owner.prove(welcome, box.id, box.secret)
    return Pair(box, sender, owner)


async def idle(port: int) -> Line:
    """A connection that has said hello and does nothing."""
    return (await Line.open(port, tls()))[0]


async def plain_idle(port: int) -> Line:
    """The same without TLS."""
    return (await Line.open(port, None))[0]
