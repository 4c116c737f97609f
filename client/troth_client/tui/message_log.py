"""The conversation: a window on the newest messages that pages back through the vault as it is scrolled.

Only what was scrolled to is loaded; a row is drawn when it is on the screen and not before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar, Final

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from ..events import MessageState
from ..views import Conversations, MessageView
from .message_rows import Kind, Row, layout

PAGE: Final = 100
"""Messages fetched at a time: a screenful or more on any terminal, a millisecond from the vault."""
KEPT: Final = 2_000
"""Messages kept loaded when the window is resized at the end of a conversation."""

_BARS: Final = {Kind.OURS: "▌ ", Kind.THEIRS: "│ "}
_BAR: Final = re.compile("^(▌|│) ", re.MULTILINE)


class MessageLog(ScrollView, can_focus=True):
    """One conversation, opened at its end; posts ``Seen`` when the end is in view and ``Below`` when it is not."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"message-log--{kind.value}" for kind in Kind),
        *(f"message-log--{part}" for part in ("meta", "failed", "our-bar", "their-bar")),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("end", "scroll_end", show=False),
    ]

    class Seen(Message):
        """Everything in the conversation has been on the screen."""

    class Below(Message):
        """So many messages have arrived below what is on the screen."""

        def __init__(self, count: int) -> None:
            super().__init__()
            self.count = count

    def __init__(self, conversations: Conversations, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._conversations = conversations
        self._contact: bytes | None = None
        self._caption = ""
        self._messages: list[MessageView] = []
        self._heights: list[int] = []
        self._rows: list[Row] = []
        self._older = False
        self._following = True
        self._below = 0
        self._width = 0

    @property
    def loaded(self) -> int:
        """How many messages are in memory."""
        return len(self._messages)

    def show(self, contact: bytes | None, name: str = "") -> None:
        """Open a conversation at its end, or none; ``name`` is inert."""
        self._contact, self._caption = contact, name
        self._messages, self._heights, self._rows = [], [], []
        self._older, self._following, self._below = contact is not None, True, 0
        self._fill()
        self._settle()
        self.post_message(self.Below(0))

    def rename(self, name: str) -> None:
        """Show their name differently from now on; ``name`` is inert."""
        if name != self._caption:
            self._caption = name
            self._lay_out_again()

    def sync(self) -> None:
        """Take over what has changed in the vault: new messages, and ours that moved on."""
        if self._contact is None:
            return
        if not self._messages:
            self.show(self._contact, self._caption)
            return
        queued = (message.row for message in self._messages if message.state is MessageState.QUEUED)
        newest = self._newest_down_to(next(queued, self._messages[-1].row))
        if all(message.row != self._messages[-1].row for message in newest):
            self.show(self._contact, self._caption)
            return
        self._merge(newest)

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self._settle()

    def action_scroll_end(self) -> None:
        """Go to the newest message."""
        self.follow()

    # What is loaded.

    def _page(self, contact: bytes, before: int | None) -> list[MessageView]:
        return self._conversations.history(contact, before=before, limit=PAGE)

    def _newest_down_to(self, row: int) -> list[MessageView]:
        assert self._contact is not None  # noqa: S101
        newest = page = self._page(self._contact, None)
        while len(page) == PAGE and page[0].row > row:
            page = self._page(self._contact, page[0].row)
            newest = page + newest
        return newest

    def _merge(self, newest: list[MessageView]) -> None:
        """Replace everything from the first message that differs; what stands above it keeps its rows."""
        rows = [message.row for message in self._messages]
        at = bisect_right(rows, newest[0].row - 1)
        newest = [message for message in newest if message.row >= rows[0]]
        while at < len(rows) and newest and self._messages[at] == newest[0]:
            at, newest = at + 1, newest[1:]
        if not newest and at == len(rows):
            return
        arrived = sum(message.row > rows[-1] and not message.ours for message in newest)
        del self._rows[sum(self._heights[:at]) :], self._heights[at:], self._messages[at:]
        self._append(newest)
        self._settle()
        if not self._following and arrived:
            self._below += arrived
            self.post_message(self.Below(self._below))

    def _append(self, messages: list[MessageView]) -> None:
        for message in messages:
            before = self._messages[-1] if self._messages else None
            rows = layout(message, before, self._caption, self._width)
            self._messages.append(message)
            self._heights.append(len(rows))
            self._rows += rows

    def _load_older(self) -> bool:
        """Put one page above what is loaded; False if there is nothing older or no room to draw in yet."""
        if self._contact is None or not self._older or not self._width:
            return False
        page = self._page(self._contact, self._messages[0].row if self._messages else None)
        self._older = len(page) == PAGE
        below, heights, rows = self._messages[1:], self._heights[1:], self._rows[sum(self._heights[:1]) :]
        page += self._messages[:1]
        self._messages, self._heights, self._rows = [], [], []
        self._append(page)
        self._messages += below
        self._heights += heights
        self._rows += rows
        return self._older

    def _fill(self) -> None:
        while len(self._rows) < 2 * self.size.height and self._load_older():
            pass

    def _page_older(self) -> None:
        """Load the page above and keep what is on the screen where it is."""
        if self.scroll_offset.y < self.size.height and self._older:
            from_end = len(self._rows) - self.scroll_offset.y
            self._load_older()
            self.virtual_size = Size(self._width, len(self._rows))
            self.scroll_to(y=len(self._rows) - from_end, animate=False)
            self.refresh()

    # Where it stands.

    def _settle(self) -> None:
        """Tell the scrollbar how much there is; at the end, stay there."""
        self.virtual_size = Size(self._width, len(self._rows))
        if self._following:
            self.scroll_to(y=self.max_scroll_y, animate=False)
            self._reached_end()
        self.refresh()

    def _reached_end(self) -> None:
        if self._below:
            self._below = 0
            self.post_message(self.Below(0))
        if self._messages:
            self.post_message(self.Seen())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Page back near the top; notice the end."""
        super().watch_scroll_y(old_value, new_value)
        was_following, self._following = self._following, round(new_value) >= self.max_scroll_y
        if self._following and not was_following:
            self._reached_end()
        if round(new_value) < self.size.height and self._older:
            self.call_later(self._page_older)

    def on_resize(self, event: Resize) -> None:
        """Wrap again when the width changed; stay at the end if that is where we were."""
        width = self.scrollable_content_region.width
        if width != self._width:
            self._width = width
            self._lay_out_again()
        self._fill()
        self._settle()

    def _lay_out_again(self) -> None:
        """Wrap everything anew and keep the topmost visible message topmost."""
        starts = [0, *accumulate(self._heights)]
        top = max(bisect_right(starts, self.scroll_offset.y) - 1, 0)
        messages = self._messages
        if self._following and len(messages) > KEPT:
            messages, self._older = messages[-KEPT:], True
        self._messages, self._heights, self._rows = [], [], []
        self._append(messages)
        self._settle()
        if not self._following:
            self.scroll_to(y=sum(self._heights[:top]), animate=False)

    # How it is drawn.

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        at = self.scroll_offset.y + y
        base = self.rich_style
        if not 0 <= at < len(self._rows):
            return Strip.blank(self.size.width, base)
        text = self._draw(self._rows[at])
        if (selection := self.text_selection) is not None and (span := selection.get_span(at)) is not None:
            start, end = span
            marked = self.screen.get_component_rich_style("screen--selection")
            text.stylize(marked, start, len(text) if end == -1 else end)
        text.stylize_before(base)
        strip = Strip(text.render(self.app.console), text.cell_len)
        return strip.crop_extend(0, self.size.width, base).apply_offsets(0, at)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"message-log--{part}")

    def _draw(self, row: Row) -> Text:
        style = self._style(row.kind.value)
        if row.kind in {Kind.DAY, Kind.NOTICE}:
            shown = f"── {row.text} ──" if row.kind is Kind.DAY else row.text
            text = Text.assemble((shown, style))
            text.pad_left(max((self._width - text.cell_len) // 2, 0))
            return text
        bar = self._style("our-bar" if row.kind is Kind.OURS else "their-bar")
        text = Text.assemble((_BARS.get(row.kind, ""), bar), (row.text, style))
        if row.meta:
            text.pad_right(max(self._width - text.cell_len - len(row.meta) - 1, 1))
            text.append(row.meta, self._style("failed" if row.failed else "meta"))
        return text

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """What was marked with the mouse, without the bars and times."""
        text = "\n".join(_BARS.get(row.kind, "") + row.text for row in self._rows)
        return _BAR.sub("", selection.extract(text)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the marking."""
        self.refresh()
