"""Connections to relays: requests out with an id each, answers matched to what asked. SPEC.md section 11.

A ``Line`` is one open connection that has said hello. A ``Lane`` submits to one relay on a line that speaks for nobody,
opened when there is something to say and closed when there is not. [R-13.1-6]
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from troth_protocol.errors import NetworkError, PeerError, RelayError, TrothError
from troth_protocol.wire import VERSION, answers, requests

from .routes.route import Wire

ANSWER_SECONDS: Final = 30
IDLE_SECONDS: Final = 60


class Line:
    """Request ids over one wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._next = 1

    def number(self) -> int:
        """The id of the next request; whoever waits for its answer notes it before the request is sent."""
        number, self._next = self._next, self._next % 0xFFFF_FFFF + 1
        return number

    async def ask(self, number: int, request: requests.Request) -> None:
        """Send a request under an id from ``number``; NetworkError."""
        await self.wire.send(requests.encode(number, request))

    async def answer(self) -> tuple[int, answers.Answer]:
        """The next answer and the id it belongs to; NetworkError, also for a frame that is not one."""
        frame = await self.wire.receive()
        try:
            return answers.decode(frame)
        except PeerError as error:
            await self.wire.close()
            raise NetworkError(f"the relay breaks the protocol: {error}") from None

    async def call(self, request: requests.Request) -> answers.Answer:
        """One request and its answer, on a line that nothing else uses; RelayError or NetworkError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                number = self.number()
                await self.ask(number, request)
                while True:
                    answered, answer = await self.answer()
                    if answered == number:
                        break
        except TimeoutError:
            raise NetworkError(f"the relay did not answer within {ANSWER_SECONDS} s") from None
        if isinstance(answer, answers.Error):
            raise RelayError(answer.code, answer.code_name, answer.retry_after)
        return answer

    async def hello(self) -> answers.Welcome:
        """Say hello; RelayError or NetworkError."""
        answer = await self.call(requests.Hello(VERSION))
        if not isinstance(answer, answers.Welcome):
            raise NetworkError("the relay answered hello with something else")
        return answer


Opener = Callable[[], Awaitable[tuple[Line, answers.Welcome]]]
Answered = Callable[[bytes, answers.Answer], None]
Failed = Callable[[bytes, TrothError], None]


class Lane:
    """What goes to one relay, in order."""

    def __init__(self, opener: Opener, answered: Answered, failed: Failed) -> None:
        self._opener = opener
        self._answered = answered
        self._failed = failed
        self._queue: asyncio.Queue[tuple[bytes, requests.Request]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def put(self, reference: bytes, request: requests.Request) -> None:
        """Submit a request; exactly one of the two callbacks follows."""
        self._queue.put_nowait((reference, request))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; nothing is called back any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pending: dict[int, bytes] = {}
        line: Line | None = None
        reading: asyncio.Task[tuple[int, answers.Answer]] | None = None
        taking: asyncio.Task[tuple[bytes, requests.Request]] | None = None
        try:
            line, _ = await self._opener()
            while True:
                reading = reading or asyncio.create_task(line.answer())
                taking = taking or asyncio.create_task(self._queue.get())
                wait = ANSWER_SECONDS if pending else IDLE_SECONDS
                done, _ = await asyncio.wait({reading, taking}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    if pending:
                        raise NetworkError(f"the relay did not answer within {ANSWER_SECONDS} s")
                    return
                if taking in done:
                    reference, request = taking.result()
                    taking = None
                    number = line.number()
                    pending[number] = reference
                    await line.ask(number, request)
                if reading in done:
                    number, answer = reading.result()
                    reading = None
                    answered = pending.pop(number, None)
                    if answered is not None:
                        self._answered(answered, answer)
        except TrothError as error:
            failed = list(pending.values())
            if taking is not None and taking.done() and not taking.cancelled():
                failed.append(taking.result()[0])
                taking = None
            while not self._queue.empty():
                failed.append(self._queue.get_nowait()[0])
            for reference in failed:
                self._failed(reference, error)
        finally:
            for task in (reading, taking):
                if task is not None:
                    task.cancel()
            if line is not None:
                with contextlib.suppress(Exception):
                    await line.wire.close()
