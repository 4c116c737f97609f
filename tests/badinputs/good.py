"""Good clients beside a flood: somebody writes to each at a steady rate; every answer is timed and none may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from server.talk import Box, Client
from troth_protocol.wire import answers, requests

TESTS = Path(__file__).parents[1]


def resident(pid: int) -> int:
    """A process's resident memory, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass
class Good:
    """A mailbox with its owner connected, and somebody who writes to it."""

    owner: Client
    sender: Client
    box: Box
    sent: int = 0
    got: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @classmethod
    async def make(cls, port: int) -> Good:
        box = Box()
        owner, sender = await Client.open(port), await Client.open(port)
        assert await owner.create(box, int(time.time())) == answers.Ok()
        assert await owner.prove(box) == answers.Ok()
        await owner.send(requests.Fetch(64))
        assert await owner.push() == answers.Drained()
        return cls(owner, sender, box)

    async def receive(self) -> None:
        """Note and acknowledge what comes."""
        while True:
            with contextlib.suppress(TimeoutError):
                _, answer = await self.owner.read()
                if isinstance(answer, answers.Envelope):
                    self.got.append(int.from_bytes(answer.envelope[:8], "big"))
                    await self.owner.send(requests.Acknowledge((answer.sequence,)))

    async def write(self, every: float, until: float) -> None:
        """One message at a time, each timed until the relay has promised to keep it; not all at the same moment."""
        await asyncio.sleep(random.random() * every)
        while time.monotonic() < until:
            began = time.monotonic()
            assert await self.sender.deliver(self.box, self.sent) == answers.Ok()
            self.times.append(time.monotonic() - began)
            self.sent += 1
            await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))


@dataclass
class Crowd:
    """Many of them."""

    people: list[Good]

    async def work(self, seconds: float, every: float) -> float:
        """Write for so long; the 99th percentile of the answers' times, in seconds."""
        until = time.monotonic() + seconds
        for each in self.people:
            each.times.clear()
        await asyncio.gather(*(each.write(every, until) for each in self.people))
        times = sorted(time_ for each in self.people for time_ in each.times)
        return times[len(times) * 99 // 100]

    async def all_arrived(self) -> bool:
        """Whether each got everything, once and in order."""
        for _ in range(100):
            if all(len(each.got) >= each.sent for each in self.people):
                break
            await asyncio.sleep(0.1)
        return all(each.got == list(range(each.sent)) for each in self.people)


@contextlib.asynccontextmanager
async def crowd(port: int, size: int) -> AsyncIterator[Crowd]:
    """Connected, all in one burst."""
    people = await asyncio.gather(*(Good.make(port) for _ in range(size)))
    reading = [asyncio.create_task(each.receive()) for each in people]
    try:
        yield Crowd(list(people))
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for each in people:
            each.owner.socket.transport.abort()
            each.sender.socket.transport.abort()


@contextlib.asynccontextmanager
async def flooding(name: str, port: int, seconds: float) -> AsyncIterator[list[int]]:
    """The flood from another address and from the good clients' own, each in a process; how many they made of it."""
    begun: list[int] = []
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "badinputs.floods", name, str(port), source, str(seconds),
            cwd=TESTS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for source in ("127.0.0.2", "127.0.0.1")
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        yield begun
        for process in processes:
            out, _ = await asyncio.wait_for(process.communicate(), seconds + 20)
            begun.append(int(out))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
