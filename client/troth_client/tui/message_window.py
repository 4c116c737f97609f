"""The messages that are loaded, and their rows: what is the same as before keeps its rows, the rest is wrapped anew.

Never more than ``KEPT`` messages are held, so that a conversation of any length opens and wraps anew in a moment.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from ..views import Conversations, MessageView
from .message_rows import Kind, Row, layout

PAGE: Final = 100
"""Messages fetched at a time: a screenful or more on any terminal, a millisecond from the vault."""
KEPT: Final = 500
"""Messages held at most: a few screens to both sides of what is read."""


class MessageWindow:
    """A run of messages without gaps; ``older`` and ``newer`` say whether the vault has more at either side."""

    def __init__(
        self,
        conversations: Conversations,
        contact: bytes | None = None,
        caption: str = "",
        width: int = 0,
        new: int = 0,
    ) -> None:
        self._conversations = conversations
        self._contact = contact
        self.caption = caption
        """Their name, inert."""
        self.width = width
        self.new = new
        """The row of the message that the mark of what is new stands above, or 0."""
        self.messages: list[MessageView] = []
        self.rows: list[Row] = []
        self.older = self.newer = False
        self._blocks: list[list[Row]] = []
        self._starts: list[int] = [0]

    # What the vault has. Each of these says what to hold, and the caller holds it with ``put``.

    def _history(self, *, before: int | None = None, after: int | None = None, limit: int = PAGE) -> list[MessageView]:
        if self._contact is None:
            return []
        return self._conversations.history(self._contact, before=before, after=after, limit=limit)

    def end(self) -> list[MessageView]:
        """The newest page."""
        page = self._history()
        self.older, self.newer = len(page) == PAGE, False
        return page

    def around(self, row: int) -> list[MessageView]:
        """A page to both sides of a row."""
        above, below = self._history(before=row), self._history(after=row - 1)
        self.older, self.newer = len(above) == PAGE, len(below) == PAGE
        return above + below

    def now(self) -> list[MessageView]:
        """What is held, as it is now, with a page of what has come since if the end is held."""
        if not self.messages:
            return self.end()
        limit = len(self.messages) + (0 if self.newer else PAGE)
        fresh = self._history(after=self.messages[0].row - 1, limit=limit)
        self.newer = len(fresh) == limit
        return fresh

    def with_older(self, *, whole: bool) -> list[MessageView]:
        """What is held under a page from above it; ``whole`` lets go of nothing."""
        page = self._history(before=self.messages[0].row)
        kept = self.messages if whole else self.messages[: KEPT - PAGE]
        self.older, self.newer = len(page) == PAGE, self.newer or len(kept) < len(self.messages)
        return page + kept

    def with_newer(self) -> list[MessageView]:
        """What is held above a page from below it."""
        page = self._history(after=self.messages[-1].row)
        kept = self.messages[-(KEPT - PAGE) :]
        self.newer, self.older = len(page) == PAGE, self.older or len(kept) < len(self.messages)
        return kept + page

    def near(self, at: int) -> list[MessageView]:
        """A page to both sides of a place; the rest is let go of."""
        kept = self.messages[max(at - PAGE, 0) : at + PAGE]
        self.older = self.older or kept[:1] != self.messages[:1]
        self.newer = self.newer or kept[-1:] != self.messages[-1:]
        return kept

    # What is held.

    def put(self, messages: list[MessageView]) -> None:
        """Hold these messages instead, and keep the rows of those that have not changed under the same neighbour."""
        old = {message.row: at for at, message in enumerate(self.messages)} if self._blocks else {}
        blocks: list[list[Row]] = []
        before: MessageView | None = None
        for message in messages:
            was = old.get(message.row, -1)
            if was >= 0 and self.messages[was] == message and before == (self.messages[was - 1] if was else None):
                blocks.append(self._blocks[was])
            else:
                blocks.append(layout(message, before, self.caption, self.width, new=message.row == self.new))
            before = message
        self.messages, self._blocks = messages, blocks
        self.rows = [row for block in blocks for row in block]
        self._starts = [0, *accumulate(map(len, blocks))]

    def forget_rows(self) -> None:
        """Lay everything out again at the next ``put``: the width, the name or the mark is another one."""
        self._blocks = []

    def index(self, row: int | None) -> int | None:
        """The place of a message by its row, or None."""
        if row is None:
            return None
        at = bisect_right(self.messages, row - 1, key=lambda message: message.row)
        return at if at < len(self.messages) and self.messages[at].row == row else None

    def nearest(self, row: int) -> int:
        """The place of a message, or of the first one after it."""
        return max(
            min(bisect_right(self.messages, row - 1, key=lambda message: message.row), len(self.messages) - 1), 0
        )

    def span(self, at: int) -> tuple[int, int]:
        """The lines of the message at a place: first, and the one after its last."""
        return self._starts[at], self._starts[at + 1]

    def at_line(self, line: int) -> int:
        """The place of the message that a line belongs to."""
        return max(min(bisect_right(self._starts, line) - 1, len(self.messages) - 1), 0)

    def mark_line(self) -> int | None:
        """The line of the mark of what is new."""
        return next((at for at, row in enumerate(self.rows) if row.kind is Kind.NEW), None)
