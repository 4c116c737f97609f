"""Measure the relay beside other servers: ``python tests/bench/relay.py [--quick] [--only ours]``; one table.

Every server runs alone, in turn, as a process of its own under the load of ``load.py``, made on the same two cores, so
the numbers are floors and the ratios are what to read. Nothing here is asserted. README.md says what each row means.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop

from bench import alone, load, mosquitto, nats, stores, troth_relay, xmpp

_UP_SECONDS: Final = 60


class NotUp(Exception):
    """A server did not start."""


class Closes(Protocol):
    """A connection."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Server:
    """One of those compared: how it is started, and how its clients connect."""

    name: str
    program: str
    durability: str
    command: Callable[[Path, int], list[str]]
    prepare: Callable[[int], Awaitable[None]]
    pair: Callable[[int, int], Awaitable[load.Pair]]
    idle: Callable[[int], Awaitable[Closes]]

    @contextmanager
    def run(self) -> Iterator[tuple[int, int]]:
        """Start it in a folder of its own; its port and pid, until the block ends."""
        port = _free_port()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            started = subprocess.Popen(self.command(folder, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                _wait_for(port, started)
                yield port, started.pid
            finally:
                for pid in reversed(load.family(started.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                started.wait(30)


OURS: Final = (
    Server(
        "troth relay, TLS", sys.executable, "fsynced", troth_relay.command, troth_relay.prepare, troth_relay.pair,
        troth_relay.idle,
    ),
    Server(
        "troth relay, plain", sys.executable, "fsynced", troth_relay.plain, troth_relay.prepare,
        troth_relay.plain_pair, troth_relay.plain_idle,
    ),
)  # fmt: skip
PEERS: Final = (
    Server("NATS JetStream", "nats-server", "every 2 min", nats.command, nats.prepare, nats.pair, nats.idle),
    Server(
        "Mosquitto QoS 1", "mosquitto", "every 30 min", mosquitto.command, mosquitto.prepare, mosquitto.pair,
        mosquitto.idle,
    ),
    Server("Prosody", "prosody", "no fsync", xmpp.prosody, xmpp.prepare, xmpp.pair, xmpp.idle),
    Server("ejabberd", "ejabberdctl", "no fsync", xmpp.ejabberd, xmpp.prepare, xmpp.pair, xmpp.idle),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    pairs: int
    each: int
    paced: int
    idle: int
    queued: int
    mailboxes: tuple[int, ...]
    queues: tuple[int, ...]


FULL: Final = Size(200, 150, 10, 1_000, 100_000, (1_000, 10_000, 100_000, 1_000_000), (0, 1_000, 10_000, 100_000))
QUICK: Final = Size(4, 10, 1, 20, 200, (10, 100), (0, 50))


async def figures(server: Server, size: Size) -> list[str]:
    """One server's cells: rates with 1 and 4 under way, times at 500/s, CPU, memory, what arrived."""
    with server.run() as (port, pid):
        await server.prepare(port)
        before, connections = load.resident(pid), [await server.idle(port) for _ in range(size.idle)]
        memory = (load.resident(pid) - before) / size.idle / 1_024
        for connection in connections:
            connection.close()
        runs = []
        for window, first in ((4, 0), (1, size.pairs)):
            pairs = [await server.pair(port, first + number) for number in range(size.pairs)]
            runs.append(await load.flood(pairs, size.each, window, pid))
            for pair in pairs:
                pair.close()
        pairs = [await server.pair(port, 2 * size.pairs + number) for number in range(min(50, size.pairs))]
        slow = await load.paced(pairs, 500, size.paced, pid)
        for pair in pairs:
            pair.close()
    sent, arrived = sum(run.messages for run in (*runs, slow)), sum(run.arrived for run in (*runs, slow))
    return [
        f"{runs[0].rate:,.0f}", f"{runs[1].rate:,.0f}", f"{slow.p50 * 1e3:.1f}", f"{slow.p99 * 1e3:.1f}",
        f"{runs[0].cpu * 1e6:.0f}", f"{memory:.0f}", f"{arrived / sent:.1%}", server.durability,
    ]  # fmt: skip


HEADS: Final = (
    "server", "msg/s (4 each)", "msg/s (1 each)", "p50 ms", "p99 ms", "CPU us/msg", "KiB/idle", "arrived", "on disk",
)  # fmt: skip


def row(cells: Sequence[str]) -> str:
    """Cells in columns."""
    return "  ".join(cell.ljust(18) if not at else cell.rjust(len(HEADS[at])) for at, cell in enumerate(cells))


def main(arguments: list[str] | None = None) -> None:
    """Print the table, then what only our relay is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few of everything, to see that it runs")
    parser.add_argument("--only", choices=("ours", "peers", "store"), help="one part of it")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else FULL
    if options.only != "store":
        print(row(HEADS), flush=True)
        chosen = {"ours": OURS, "peers": PEERS}.get(options.only or "", (*OURS, *PEERS))
        for server in chosen:
            if shutil.which(server.program) is None:
                print(f"{server.name}: left out, not installed", flush=True)
                continue
            try:
                print(row([server.name, *uvloop.run(figures(server, size))]), flush=True)
            except NotUp as error:
                if server in OURS:
                    raise
                print(f"{server.name}: left out, {error}", flush=True)
    if options.only in {None, "ours"}:
        uvloop.run(alone.show(size.queued))
    if options.only in {None, "store"}:
        stores.show(size.mailboxes, size.queues)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, started: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _UP_SECONDS
    while time.monotonic() < until and started.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NotUp("it did not start")


if __name__ == "__main__":
    main()
