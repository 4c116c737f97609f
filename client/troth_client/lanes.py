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

from .again import AGAIN_SECONDS, DIED, PAUSE_SECONDS
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
_Asked = tuple[bytes, requests.Request]
Failed = Callable[[bytes, TrothError], None]


class Lane:
    """What goes to one relay, in order; by the next route if a path dies under it. [R-19.3-6]"""

    def __init__(self, opener: Opener, answered: Answered, failed: Failed) -> None:
        self._opener = opener
        self._answered = answered
        self._failed = failed
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue()
        self._asked: list[_Asked] = []
        """Taken from the queue and not answered, oldest first."""
        self._since = 0.0
        """When the oldest of them was first tried, or the lane began."""
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
        while not self._queue.empty():  # also for what is put while a line is being closed
            failure = await self._insist()
            failed, self._asked = self._asked, []
            while failure is not None and not self._queue.empty():
                failed.append(self._queue.get_nowait())
            for reference, _ in failed:
                self._failed(reference, failure or NetworkError("the connection to the relay is gone"))

    async def _insist(self) -> TrothError | None:
        """Talk until nothing waits any more, anew when a path dies; what it failed with in the end."""
        loop = asyncio.get_running_loop()
        self._since, pause = loop.time(), PAUSE_SECONDS
        while True:
            try:
                await self._talk()
            except DIED as error:
                over = loop.time() + pause >= self._since + AGAIN_SECONDS
                if over or not (self._asked or self._queue.qsize()):
                    return error
            except TrothError as error:
                return error
            else:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_SECONDS)

    async def _talk(self) -> None:
        """Ask what waits, over one line, until nothing has waited for a while; TrothError."""
        line, _ = await self._opener()
        pending: dict[int, _Asked] = {}
        reading: asyncio.Task[tuple[int, answers.Answer]] | None = None
        taking: asyncio.Task[_Asked] | None = None
        try:
            for asked in self._asked:
                await _ask(line, asked, pending)
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
                    asked, taking = taking.result(), None
                    if not self._asked:
                        self._since = asyncio.get_running_loop().time()
                    self._asked.append(asked)
                    await _ask(line, asked, pending)
                if reading in done:
                    (number, answer), reading = reading.result(), None
                    answered = pending.pop(number, None)
                    if answered is not None:
                        self._asked.remove(answered)
                        self._answered(answered[0], answer)
        finally:
            if taking is not None and taking.done() and not taking.cancelled():
                self._asked.append(taking.result())
            for task in (reading, taking):
                if task is not None:
                    task.cancel()
            with contextlib.suppress(Exception):
                await line.wire.close()


async def _ask(line: Line, asked: _Asked, pending: dict[int, _Asked]) -> None:
    number = line.number()
    pending[number] = asked
    await line.ask(number, asked[1])
