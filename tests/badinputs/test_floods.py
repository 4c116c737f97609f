"""B003, B024, B029, B032, B037, B052 to B054 as floods, with good clients beside: none of their messages is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from badinputs.floods import FLOODS
from badinputs.good import crowd, flooding, resident
from badinputs.raw import MEBIBYTE, Raw
from server.served import Served, founded_at

ATTEMPTS = 3
"""The machine has other guests, and they can only make it look worse."""
FLOOR = 0.02
"""Seconds; below, a 99th percentile on a busy machine says more of the machine than of the relay."""


@pytest.fixture
def served() -> Iterator[Served]:
    """In memory where that can be: what a flood does to the relay is measured, not what others do to the disk."""
    memory = Path("/dev/shm")  # noqa: S108
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        founded_at(Path(folder) / "relay") as relay,
    ):
        relay.start()
        yield relay


def pid(served: Served) -> int:
    assert served.process is not None
    return served.process.pid


@pytest.mark.parametrize("name", ["fragments", "bad_proofs", "half_handshakes"])
async def test_good_clients_lose_nothing_beside_a_flood(served: Served, name: str) -> None:
    """B024, B052, B008: a short one, with few good clients; memory stays within 50 MB. [R-11.6-1]"""
    async with crowd(served.port, 10) as people:
        await people.work(0.3, 0.05)
        before = resident(pid(served))
        async with flooding(name, served.port, 1.5) as begun:
            await people.work(2.0, 0.05)
            grown = resident(pid(served)) - before
        assert sum(begun) > 0
        assert grown < 50 * MEBIBYTE
        assert await people.all_arrived()
    code, out = await asyncio.to_thread(served.stop)
    assert (code, "Traceback" in out, "127.0.0" in out.replace("serving on 127.0.0.1", "")) == (0, False, False), out


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
async def test_good_clients_hardly_notice_a_flood(served: Served, name: str) -> None:
    """A hundred good clients, two messages a second each: p99 at most doubles, memory grows by 50 MB at most."""
    async with crowd(served.port, 100) as people:
        await people.work(2, 0.5)
        before = resident(pid(served))
        for _ in range(ATTEMPTS):
            calm = await people.work(6, 0.5)
            async with flooding(name, served.port, 8) as begun:
                stormy = await people.work(7, 0.5)
                grown = resident(pid(served)) - before
            calm = max(calm, await people.work(4, 0.5))
            print(f"{name}: p99 {calm * 1e3:.1f} -> {stormy * 1e3:.1f} ms, {grown / 1e6:+.1f} MB, {begun}")
            assert grown < 50 * MEBIBYTE
            if stormy <= max(2 * calm, FLOOR):
                break
        assert await people.all_arrived()
        assert stormy <= max(2 * calm, FLOOR)
    code, out = await asyncio.to_thread(served.stop)
    assert (code, "Traceback" in out) == (0, False), out


async def waves(port: int, rounds: int, size: int) -> None:
    """Connections that prove nothing, opened and closed together."""
    for _ in range(rounds):
        for start in range(0, size, 100):
            raws = await asyncio.gather(*(Raw.plain(port) for _ in range(min(100, size - start))))
            for raw in raws:
                raw.writer.transport.abort()
            if start == 0:
                made = await asyncio.gather(*(Raw.upgraded(port) for _ in range(20)), return_exceptions=True)
                for each in made:
                    if isinstance(each, Raw):
                        each.writer.transport.abort()
        await asyncio.sleep(0.3)


@pytest.mark.parametrize(("rounds", "size"), [(3, 200), pytest.param(20, 2_000, marks=pytest.mark.slow)])
async def test_b003_memory_comes_back(served: Served, rounds: int, size: int) -> None:
    """B003: all are taken or refused, and what they took comes back within 5 MB."""
    await waves(served.port, 2, size)
    await asyncio.sleep(1)
    before = resident(pid(served))
    await waves(served.port, rounds, size)
    for _ in range(20):
        await asyncio.sleep(0.5)
        grown = resident(pid(served)) - before
        if grown < 5 * MEBIBYTE:
            break
    print(f"{rounds} rounds of {size}: {grown / 1e6:+.1f} MB")
    assert grown < 5 * MEBIBYTE
    await asyncio.sleep(2)  # the network may connect again: 10 times a second
    async with crowd(served.port, 2) as people:
        await people.work(0.2, 0.05)
        assert await people.all_arrived()
