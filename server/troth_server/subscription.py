"""One Fetch: which envelopes were sent, which are acknowledged, when the next page is loaded and when DRAINED is due.

Envelopes go out in the order of their numbers, at most ``window`` ahead of acknowledgements. Because they go out in
order, a number up to the highest one sent that is not waiting for its acknowledgement is no longer in the queue; to
acknowledge it again is harmless and answered OK, on a later connection too. Pure: SPEC.md section 11.4. [R-11.4-2]
"""

from __future__ import annotations

from collections.abc import Sequence

from troth_protocol.wire import answers

from .commands import LoadQueue, Page, Queued
from .effects import Answer, Ask, Effect


class Subscription:
    """The delivery side of an owner's connection."""

    __slots__ = (
        "_again",
        "_drain_to",
        "_drained",
        "_high",
        "_loading",
        "_mailbox",
        "_more",
        "_waiting",
        "_window",
        "id",
    )

    def __init__(self, request_id: int, mailbox: bytes, window: int) -> None:
        self.id = request_id
        self._mailbox = mailbox
        self._window = window
        self._waiting: set[int] = set()
        self._high = 0
        self._loading: Ask | None = None
        self._more = True
        self._again = False
        self._drain_to: int | None = None
        self._drained = False

    def load(self, now: int) -> list[Effect]:
        """Ask for the next page if there may be one and the window has room; one page at a time."""
        room = self._window - len(self._waiting)
        if self._loading is not None or not self._more or room <= 0:
            return []
        self._loading = Ask(self.id, LoadQueue(self._mailbox, self._high, room, now))
        return [self._loading]

    def wake(self, row: Queued | None, now: int) -> list[Effect]:
        """Something was deposited: send ``row`` at once if it is next and nothing stands before it, else load.

        A page being loaded may have been read before the deposit, so another is loaded after it.
        """
        idle = self._loading is None and not self._more and self._drain_to is not None
        if row is not None and idle and row.number == self._high + 1 and len(self._waiting) < self._window:
            return [self._send(row)]
        self._more = True
        self._again = self._loading is not None
        return self.load(now)

    def loaded(self, ask: Ask, page: Page, now: int) -> list[Effect]:
        """Send a page; a page that an earlier Fetch of this connection asked for is dropped."""
        if ask is not self._loading:
            return []
        self._loading = None
        self._more = page.more or self._again
        self._again = False
        if self._drain_to is None:  # the first page: what is queued at the time of Fetch ends here
            self._drain_to = page.last
        effects: list[Effect] = [self._send(row) for row in page.rows]
        if not page.more:
            self._high = max(self._high, page.last)
        return effects + self._drain() + self.load(now)

    def knows(self, numbers: Sequence[int]) -> bool:
        """Whether each number was sent here, or lies below what was sent and is gone already. [R-11.4-8]"""
        return all(number in self._waiting or 0 < number <= self._high for number in numbers)

    def waits(self, numbers: Sequence[int]) -> bool:
        """Whether any of these was sent and is not yet gone from the disk."""
        return not self._waiting.isdisjoint(numbers)

    def forgotten(self, numbers: Sequence[int], now: int) -> list[Effect]:
        """Acknowledged and gone from the disk: room in the window, and perhaps the queue is drained."""
        self._waiting.difference_update(numbers)
        return self._drain() + self.load(now)

    def _send(self, row: Queued) -> Effect:
        self._waiting.add(row.number)
        self._high = row.number
        return Answer(answers.encode(self.id, answers.Envelope(row.number, row.via, row.mark, row.envelope)))

    def _drain(self) -> list[Effect]:
        """DRAINED, once, when all that was queued at Fetch has been sent and acknowledged. [R-11.4-4]"""
        if self._drained or self._drain_to is None or self._high < self._drain_to:
            return []
        if any(number <= self._drain_to for number in self._waiting):
            return []
        self._drained = True
        return [Answer(answers.encode(self.id, answers.Drained()))]
