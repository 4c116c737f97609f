"""The same load for every server: pairs of one sender and one receiver, a number of messages under way for each.

A message counts when its sender holds the server's acknowledgement; whether it also arrived is looked at in the end.
The clock is the generator's, on the same cores as the server, so that numbers are a floor of what a server can do.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

CLOCK_TICKS: Final = 100
"""Of /proc, a second (USER_HZ)."""


class Pair(Protocol):
    """Somebody who sends and somebody who receives."""

    on_ack: Callable[[int], None]
    """Called with a message's number when its sender holds the acknowledgement."""
    received: int

    def send(self, number: int) -> None:
        """Send message ``number``, 1 KB; numbers ascend from 0."""

    def close(self) -> None:
        """Cut both connections."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run showed; times in seconds."""

    messages: int
    seconds: float
    p50: float
    p99: float
    cpu: float
    """Of the server and its children, for one message."""
    arrived: int

    @property
    def rate(self) -> float:
        """Acknowledged messages a second."""
        return self.messages / self.seconds


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children."""
    used = 0.0
    for process in family(pid):
        fields = (Path("/proc") / str(process) / "stat").read_text().rsplit(")", 1)[1].split()
        used += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    return used


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold."""
    pages = (int((Path("/proc") / str(process) / "statm").read_text().split()[1]) for process in family(pid))
    return sum(pages) * 4_096


def family(pid: int) -> list[int]:
    """A process and everything it started."""
    found = [pid]
    for task in (Path("/proc") / str(pid) / "task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


async def flood(pairs: Sequence[Pair], each: int, window: int, pid: int) -> Figures:
    """Every pair keeps ``window`` messages unacknowledged until ``each`` of its own are acknowledged."""
    total = len(pairs) * each
    taken: list[float] = []
    done = asyncio.Event()
    for pair in pairs:
        _keep_full(pair, each, window, taken, lambda: done.set() if len(taken) == total else None)
    before, start = cpu_seconds(pid), time.perf_counter()
    for pair in pairs:
        pair.on_ack(-1)
    await _until(done, 300)
    seconds, cpu = time.perf_counter() - start, cpu_seconds(pid) - before
    return await _figures(pairs, taken, seconds, cpu)


async def _until(done: asyncio.Event, seconds: int) -> None:
    """Wait for the end; what fails in a connection's callbacks is raised here, or nothing would ever arrive."""
    failed: list[Exception] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        failed.append(error if isinstance(error, Exception) else RuntimeError(str(context["message"])))
        done.set()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note)
    try:
        await asyncio.wait_for(done.wait(), seconds)
    finally:
        loop.set_exception_handler(None)
    if failed:
        raise failed[0]


def _keep_full(pair: Pair, each: int, window: int, taken: list[float], tell: Callable[[], None]) -> None:
    started: dict[int, float] = {}
    sent = 0

    def acknowledged(number: int) -> None:
        nonlocal sent
        if number >= 0:
            taken.append(time.perf_counter() - started.pop(number))
            tell()
        while sent < each and len(started) < window:
            started[sent] = time.perf_counter()
            pair.send(sent)
            sent += 1

    pair.on_ack = acknowledged


async def paced(pairs: Sequence[Pair], rate: int, seconds: int, pid: int) -> Figures:
    """``rate`` messages a second in all, whether or not the ones before are acknowledged."""
    total = rate * seconds
    taken: list[float] = []
    done = asyncio.Event()
    started: dict[tuple[int, int], float] = {}
    for place, pair in enumerate(pairs):
        pair.on_ack = _note(place, started, taken, total, done)
    before, start = cpu_seconds(pid), time.perf_counter()
    for number in range(total):
        wait = start + number / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        place, own = number % len(pairs), number // len(pairs)
        started[place, own] = time.perf_counter()
        pairs[place].send(own)
    await _until(done, 60)
    return await _figures(pairs, taken, time.perf_counter() - start, cpu_seconds(pid) - before)


def _note(
    place: int, started: dict[tuple[int, int], float], taken: list[float], total: int, done: asyncio.Event
) -> Callable[[int], None]:
    def acknowledged(number: int) -> None:
        taken.append(time.perf_counter() - started.pop((place, number)))
        if len(taken) == total:
            done.set()

    return acknowledged


async def _figures(pairs: Sequence[Pair], taken: list[float], seconds: float, cpu: float) -> Figures:
    for _ in range(100):
        if sum(pair.received for pair in pairs) >= len(taken):
            break
        await asyncio.sleep(0.05)
    centiles = statistics.quantiles(taken, n=100)
    arrived = sum(pair.received for pair in pairs)
    return Figures(len(taken), seconds, centiles[49], centiles[98], cpu / len(taken), arrived)
