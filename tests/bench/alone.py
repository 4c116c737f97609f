"""What only our relay is asked: a restart with a long queue, storing for somebody who is away, and draining it."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from troth_protocol.wire import Type, requests
from troth_server import config as configuration

from . import load, troth_relay
from .line import Line, frame
from .troth_relay import Box, Pair

_SENDERS = 20
_TOKENS = 90_000
"""Nonces a mailbox takes in an epoch: 100,000."""


async def show(queued: int) -> None:
    """Run and print a line for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = troth_relay.command(folder, _port())
        _widen(folder / "relay")
        boxes = [Box() for _ in range(max(1, -(-queued // _TOKENS)))]
        each = queued // len(boxes)
        with _serving(command) as (port, pid, _):
            stored = await _store(port, pid, boxes, each)
            print(f"stored for owners who are away: {stored.rate:,.0f}/s ({stored.messages:,} messages, fsynced)")
        with _serving(command) as (port, pid, seconds):
            print(f"restart with {each * len(boxes):,} queued: {seconds:.2f} s until it serves")
            start = time.perf_counter()
            for box in boxes:
                await _drain(port, box, each)
            took = time.perf_counter() - start
            print(f"drained and acknowledged: {each * len(boxes) / took:,.0f}/s")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _widen(data: Path) -> None:
    """Let a mailbox take and hold more than 4,096 envelopes, and a connection send as many."""
    path = data / configuration.FILE
    text = path.read_text()
    for name, most in (
        ("envelopes", 10**6), ("envelope_bytes", 2**40), ("deliveries_at_once", 10**6), ("requests_at_once", 10**6),
    ):  # fmt: skip
        text, found = re.subn(rf"^{name} = \d+", f"{name} = {most}", text, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"no setting {name}")
    path.write_text(text)


@contextmanager
def _serving(command: list[str]) -> Iterator[tuple[int, int, float]]:
    start = time.perf_counter()
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = started.stdout.readline() if started.stdout is not None else ""
        yield int(line.rsplit(":", 1)[1]), started.pid, time.perf_counter() - start
    finally:
        started.terminate()
        started.wait(60)


async def _store(port: int, pid: int, boxes: list[Box], each: int) -> load.Figures:
    pairs: list[Pair] = []
    share = each // _SENDERS
    for box in boxes:
        line, _ = await Line.open(port, troth_relay.tls())
        await box.create(line)
        line.close()
        for sender in range(_SENDERS):
            line, _ = await Line.open(port, troth_relay.tls())
            pairs.append(Pair(box, line, None, first=sender * share))
    figures = await load.flood(pairs, share, 8, pid)
    for pair in pairs:
        pair.close()
    return figures


async def _drain(port: int, box: Box, count: int) -> None:
    owner, welcome = await Line.open(port, troth_relay.tls())
    await owner.prove(welcome, box.id, box.secret)
    done = asyncio.Event()
    pending: list[int] = []
    got = 0

    def arrived(raw: bytes) -> None:
        nonlocal got
        if raw[4] == Type.DRAINED:
            done.set()
        elif raw[4] == Type.ENVELOPE:
            got += 1
            pending.append(int.from_bytes(raw[5:13], "big"))
            if len(pending) == 16 or got == count:
                owner.write(frame(2, requests.Acknowledge(tuple(pending))))
                pending.clear()

    owner.on_frame = arrived
    owner.write(frame(1, requests.Fetch(troth_relay.WINDOW)))
    await asyncio.wait_for(done.wait(), 600)
    owner.close()
