"""What goes to relays in nobody's name: a lane for each relay, and a count of what has no answer yet. [R-13.1-6]"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from troth_protocol.card import RelayAddress
from troth_protocol.errors import TrothError
from troth_protocol.wire import answers

from .events import Submit, SubmitFailed, Submitted
from .lanes import Lane, Line

Open = Callable[[RelayAddress], Awaitable[tuple[Line, answers.Welcome]]]


class Submissions:
    """Every lane of one client."""

    def __init__(
        self, open_line: Open, handle: Callable[[Submitted | SubmitFailed], None], report: Callable[[TrothError], None]
    ) -> None:
        self._open = open_line
        self._handle = handle
        self._report = report
        self._lanes: dict[bytes, Lane] = {}
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._settled.set()

    def put(self, effect: Submit) -> None:
        """Submit a request; its answer, or that there is none, comes as an event."""
        relay = effect.relay
        lane = self._lanes.get(relay.fingerprint)
        if lane is None:
            lane = self._lanes[relay.fingerprint] = Lane(lambda: self._open(relay), self._answered, self._failed)
        self._in_flight += 1
        self._settled.clear()
        lane.put(effect.reference, effect.request)

    def _answered(self, reference: bytes, answer: answers.Answer) -> None:
        self._land(Submitted(reference, answer))

    def _failed(self, reference: bytes, error: TrothError) -> None:
        self._report(error)
        self._land(SubmitFailed(reference))

    def _land(self, event: Submitted | SubmitFailed) -> None:
        try:
            self._handle(event)
        except TrothError as error:  # nothing was noted: the same bytes go again
            self._report(error)
        self._in_flight -= 1
        if self._in_flight == 0:
            self._settled.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until everything submitted has its answer, ``seconds`` at most; whether it has."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), seconds)
        return self._settled.is_set()

    async def close(self) -> None:
        """Close every lane."""
        for lane in self._lanes.values():
            await lane.close()
        self._lanes.clear()
