"""The connection that speaks for our mailbox: what our relay is asked, and what it sends us. SPEC.md section 11."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from troth_protocol.errors import NetworkError, RelayError, TrothError
from troth_protocol.wire import MAX_ACKNOWLEDGED, Code, answers, requests

from .events import Acknowledge, Arrived, Ask, Drained, Event, OwnerAnswered, Reference, Step
from .lanes import Line

BATCH: Final = 64
"""Envelopes saved in one transaction when many wait."""


class OwnerLine:
    """One connection to our relay, from the welcome to its end."""

    def __init__(self, line: Line, handle: Callable[..., None]) -> None:
        self._line = line
        self._handle = handle
        self._asked: dict[int, Reference] = {}
        self._outgoing: asyncio.Queue[Ask | Acknowledge] = asyncio.Queue()
        self._sending = False
        self.moved = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether something is still to be sent or answered."""
        return bool(self._asked) or self._sending or not self._outgoing.empty()

    def put(self, effect: Ask | Acknowledge) -> None:
        """Send this, after what was put before."""
        self._outgoing.put_nowait(effect)

    async def run(self, *, until_drained: bool) -> None:
        """Read and send until the connection ends, or until drained and idle; TrothError."""
        sending = asyncio.create_task(self._send())
        frames: asyncio.Queue[tuple[int, answers.Answer] | TrothError] = asyncio.Queue(maxsize=BATCH)
        receiving = asyncio.create_task(self._receive(frames))
        drained = False
        try:
            while not (until_drained and drained and not self.busy):
                batch = [await frames.get()]
                while not frames.empty():
                    batch.append(frames.get_nowait())
                events = [event for each in batch if isinstance(each, tuple) for event in self._event(*each)]
                self._handle(*events)
                self._move()
                for each in batch:
                    if isinstance(each, TrothError):
                        raise each
                drained = drained or any(isinstance(event, Drained) for event in events)
        finally:
            for task in (sending, receiving):
                task.cancel()

    async def close(self) -> None:
        """Close, and let go whoever waits."""
        self._asked.clear()
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._move()
        with contextlib.suppress(Exception):
            await self._line.wire.close()

    def _move(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()

    async def _receive(self, frames: asyncio.Queue[tuple[int, answers.Answer] | TrothError]) -> None:
        try:
            while True:
                await frames.put(await self._line.answer())
        except TrothError as error:
            await frames.put(error)

    async def _send(self) -> None:
        """Send what is put, acknowledgements gathered; a failure is seen by the reader too."""
        with contextlib.suppress(NetworkError):
            while True:
                effect = await self._outgoing.get()
                self._sending = True
                sequences: tuple[int, ...] = ()
                while isinstance(effect, Acknowledge):
                    sequences += effect.sequences
                    if self._outgoing.empty() or len(sequences) >= MAX_ACKNOWLEDGED:
                        break
                    effect = self._outgoing.get_nowait()
                if sequences:
                    await self._line.ask(self._line.number(), requests.Acknowledge(sequences))
                if isinstance(effect, Ask):
                    number = self._line.number()
                    self._asked[number] = effect.reference
                    await self._line.ask(number, effect.request)
                self._sending = False

    def _event(self, number: int, answer: answers.Answer) -> list[Event]:
        if isinstance(answer, answers.Envelope):
            return [Arrived(answer)]
        reference = self._asked.pop(number, None)
        if isinstance(answer, answers.Drained):
            return [Drained()]
        if reference is None:
            return []
        if isinstance(answer, answers.Error) and answer.code == Code.REFUSED and reference.step is Step.PROVE:
            raise RelayError(answer.code, "REFUSED: this mailbox is not ours, or is gone", 0)
        if isinstance(answer, answers.Error) and answer.code == Code.INVITE_REQUIRED and reference.step is Step.CREATE:
            raise RelayError(answer.code, "INVITE_REQUIRED: ask whoever runs it for a link with an invitation", 0)
        return [OwnerAnswered(reference, answer)]
