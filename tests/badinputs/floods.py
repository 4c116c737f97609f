"""Floods, each against a relay on loopback from one address: ``python -m badinputs.floods NAME PORT ADDRESS SECONDS``.

They run in a process of their own, beside the good clients whose patience is measured (``test_floods``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from badinputs.raw import BINARY, CONT, PING, Raw, frame, head
from troth_protocol.wire import answers, requests

Flood = Callable[[int, str], Awaitable[None]]
_SMALL: Final = 1_154


async def churn(port: int, source: str) -> None:
    """Connect, shake hands, go."""
    with contextlib.suppress(OSError, AssertionError):
        raw = await Raw.upgraded(port, hello=False, source=source)
        raw.writer.transport.abort()


async def half_handshakes(port: int, source: str) -> None:
    """A ClientHello's first bytes, and silence."""
    with contextlib.suppress(OSError):
        raw = await Raw.plain(port, source)
        raw.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(20))
        await raw.gone(20)
        raw.writer.transport.abort()


async def syns(port: int, source: str) -> None:
    """Connections that are dropped at once, as fast as a socket can be made."""
    for _ in range(50):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setblocking(False)
            sock.bind((source, 0))
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port))
    await asyncio.sleep(0.01)


async def slow_loris(port: int, source: str) -> None:
    """A head, a byte at a time."""
    with contextlib.suppress(OSError):
        raw = await Raw.open(port, source=source)
        for byte in head():
            raw.send(bytes([byte]))
            await asyncio.sleep(0.5)
            if raw.reader.at_eof():
                return


async def _stream(port: int, source: str, data: bytes, most: int = 2_000) -> None:
    """Write something again and again until the relay has had enough."""
    with contextlib.suppress(OSError, AssertionError):
        raw = await Raw.upgraded(port, source=source)
        for _ in range(most):
            raw.send(data)
            await raw.writer.drain()
            if raw.reader.at_eof() or raw.reader.exception():
                break
        raw.writer.transport.abort()


async def fragments(port: int, source: str) -> None:
    await _stream(port, source, frame(CONT, b"x", fin=False) * 10_000)


async def pings(port: int, source: str) -> None:
    await _stream(port, source, frame(PING, bytes(125)) * 2_000)


async def bad_frames(port: int, source: str) -> None:
    await _stream(port, source, frame(BINARY, os.urandom(300)) * 200)


async def ledgers(port: int, source: str) -> None:
    """What anybody may ask and what has the longest answer, without reading any."""
    await _stream(port, source, frame(BINARY, requests.encode(1, requests.Ledger(0))) * 100)


async def _ask(port: int, source: str, make: Callable[[], requests.Request], most: int) -> None:
    """Ask and read, as fast as the relay answers, until it hangs up."""
    with contextlib.suppress(OSError, AssertionError, TimeoutError):
        raw = await Raw.upgraded(port, source=source)
        for number in range(most):
            raw.say(number + 2, make())
            if isinstance(await raw.answer(), answers.Error) and number % 50 == 49:
                await asyncio.sleep(0)
        raw.writer.transport.abort()


async def bad_proofs(port: int, source: str) -> None:
    await _ask(port, source, lambda: requests.Prove(os.urandom(32), os.urandom(32), os.urandom(32)), 1_000)


async def creations(port: int, source: str) -> None:
    expires = int(time.time()) + 86_400

    def create() -> requests.Request:
        return requests.Create(os.urandom(32), os.urandom(32), os.urandom(32), expires)

    await _ask(port, source, create, 1_000)


async def bundles(port: int, source: str) -> None:
    await _ask(port, source, lambda: requests.FetchBundle(b"l" * 32, os.urandom(32)), 1_000)


async def deliveries(port: int, source: str) -> None:
    """Envelopes to nobody, the largest."""
    await _ask(port, source, lambda: requests.Deliver(os.urandom(32), os.urandom(32), bytes(65_666)), 1_000)


async def slow_readers(port: int, source: str) -> None:
    """Ask for what is long, and read nothing; hold on."""
    with contextlib.suppress(OSError, AssertionError):
        raw = await Raw.upgraded(port, source=source)
        raw.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(frame(BINARY, requests.encode(1, requests.Ledger(0))) * 190)
        await asyncio.sleep(20)


async def idle(port: int, source: str) -> None:
    """As many connections as are let in, held."""
    with contextlib.suppress(OSError, AssertionError):
        raw = await Raw.upgraded(port, source=source)
        await raw.gone(30)


FLOODS: Final[Mapping[str, tuple[Flood, int]]] = {
    "churn": (churn, 20),
    "syns": (syns, 2),
    "half_handshakes": (half_handshakes, 600),
    "slow_loris": (slow_loris, 200),
    "fragments": (fragments, 10),
    "pings": (pings, 10),
    "bad_frames": (bad_frames, 10),
    "ledgers": (ledgers, 10),
    "bad_proofs": (bad_proofs, 10),
    "creations": (creations, 10),
    "bundles": (bundles, 10),
    "deliveries": (deliveries, 10),
    "slow_readers": (slow_readers, 200),
    "idle": (idle, 600),
}
"""Each flood and how many of it at once."""


async def flood(name: str, port: int, source: str, seconds: float) -> int:
    """Keep so many going for so long; how many were begun."""
    once, together = FLOODS[name]
    begun = 0
    deadline = time.monotonic() + seconds

    async def again() -> None:
        nonlocal begun
        while time.monotonic() < deadline:
            begun += 1
            await once(port, source)
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(again()) for _ in range(together)]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return begun


if __name__ == "__main__":
    os.nice(19)  # what it costs the relay is to be measured, not that it takes the machine from everybody
    print("ready", flush=True)
    sys.stdin.readline()
    print(asyncio.run(flood(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))), flush=True)
