"""The conversation: a sliding window of messages over the vault, paged in both directions as it is scrolled.

What changes below or above what is being read never moves it: the topmost message on the screen is the anchor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Final

from rich.style import Style
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from ..views import Conversations, MessageView
from .message_window import MessageWindow
from .row_paint import bar, draw, part_names

_SECOND: Final = 1.0
"""Seconds between two looks at the countdowns that are on the screen."""
_REST: Final = 0.2
"""Seconds after which what stands on the screen counts as read."""
_BAR: Final = re.compile("^[▌│▛╭▙╰] ", re.MULTILINE)


class MessageScroll(ScrollView, can_focus=True):
    """One conversation on the screen; posts ``Seen`` as it is read and ``Moved`` when its end comes or goes."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"message-log--{part}" for part in part_names()}

    class Seen(Message):
        """Everything up to this row has been on the screen."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    class Moved(Message):
        """The newest message came into view, or left it."""

    def __init__(self, conversations: Conversations, now: Callable[[], float], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._conversations = conversations
        self._now = now
        self._contact: bytes | None = None
        self._window = MessageWindow(conversations)
        self._following = True
        self._seen = 0
        self._resting = False
        self.selected: int | None = None
        """The row of the message that the keys are about."""

    def on_mount(self) -> None:
        """Count down while anything on the screen does."""
        self.set_interval(_SECOND, self._count_down)

    @property
    def loaded(self) -> int:
        """How many messages are in memory."""
        return len(self._window.messages)

    @property
    def at_end(self) -> bool:
        """Whether the newest message is on the screen."""
        return self._following

    @property
    def message(self) -> MessageView | None:
        """The message that the keys are about."""
        at = self._window.index(self.selected)
        return None if at is None else self._window.messages[at]

    @property
    def in_sight(self) -> bool:
        """Whether somebody can be looking: nothing lies above, and on a narrow screen it stands, not the list."""
        return self.app.app_focus and self.app.screen is self.screen and self.is_on_screen

    # What is opened.

    def show(self, contact: bytes | None, name: str = "", first_unread: int = 0) -> None:
        """Open a conversation at its first unread message or at its end, or none; ``name`` is inert."""
        self._window = MessageWindow(self._conversations, contact, name, self._window.width, first_unread)
        self._contact, self._seen, self.selected = contact, 0, None
        if first_unread:
            self._following = False
            self._put(self._window.around(first_unread))
            self._go_to_mark()
        else:
            self._go_to_end()

    def _go_to_end(self) -> None:
        self._following = True
        self._put(self._window.end())
        self._settle()

    def _go_to_mark(self) -> None:
        """Put the mark of what is new a third down the screen."""
        line = self._window.mark_line()
        self._place(self._lines if line is None else line - self.size.height // 3)

    def rename(self, name: str) -> None:
        """Show their name differently from now on; ``name`` is inert."""
        if name != self._window.caption:
            self._window.caption = name
            self._put(self._window.messages, anew=True)
            self._settle()

    def forget_mark(self) -> None:
        """Take the mark of what is new away: we have answered."""
        if self._window.new:
            self._window.new = 0
            self._put(self._window.messages, anew=True)

    def sync(self) -> None:
        """Take over what has changed in the vault."""
        window = self._window
        if self._contact is None:
            return
        fresh = window.now()
        if not fresh or (self._following and window.newer):
            self._go_to_end()  # erased, or a backlog: the end is what is being read
        elif fresh != window.messages:
            self._put(fresh)
            self._settle()

    def follow(self) -> None:
        """Go to the end and stay there."""
        if self._window.newer:
            self._go_to_end()
        self._following = True
        self._settle()

    # What is loaded.

    @property
    def _lines(self) -> int:
        return len(self._window.rows)

    def _anchor(self) -> tuple[int, int]:
        """The row of the topmost message on the screen and how many of its lines are above the screen."""
        if not self._window.messages:
            return 0, 0
        at = self._window.at_line(self.scroll_offset.y)
        return self._window.messages[at].row, self.scroll_offset.y - self._window.span(at)[0]

    def _put(self, messages: list[MessageView], *, anew: bool = False) -> None:
        """Hold these messages; what was topmost on the screen stays topmost."""
        window, (anchor, inset) = self._window, self._anchor()
        if anew:
            window.forget_rows()
        window.put(messages)
        if window.index(self.selected) is None:
            self.selected = None
        self.virtual_size = Size(window.width, self._lines)
        if not self._following and messages:
            at = window.nearest(anchor)
            top, end = window.span(at)
            inset = min(inset, end - top - 1) if messages[at].row == anchor else 0
            self.scroll_to(y=top + inset, animate=False)
        self.refresh()

    def _page(self) -> None:
        """Load a page at the edge that is near, and let go of as much at the other."""
        window, height = self._window, max(self.size.height, 1)
        if not window.messages or not window.width:
            return
        if window.older and self.scroll_offset.y < height:
            self._put(window.with_older(whole=self._following))
            self._settle()
        elif window.newer and self.scroll_offset.y > self.max_scroll_y - height:
            self._put(window.with_newer())
            self._settle()

    # Where it stands.

    def _place(self, line: int) -> None:
        """Scroll to a line, which may turn out to be in the last screen."""
        self.virtual_size = Size(self._window.width, self._lines)
        line = max(min(line, self.max_scroll_y), 0)
        self._following = not self._window.newer and line >= self.max_scroll_y
        self.scroll_to(y=line, animate=False)
        self._settle()

    def _settle(self) -> None:
        """Tell the scrollbar how much there is; at the end, stay there; soon notice what has been seen."""
        self.virtual_size = Size(self._window.width, self._lines)
        if self._following:
            self.scroll_to(y=self.max_scroll_y, animate=False)
        self.post_message(self.Moved())
        self._rest()
        self.refresh()

    def _rest(self) -> None:
        """Look a moment after the last movement began: what only rushes by is not read."""
        if not self._resting:
            self._resting = True
            self.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self.look()

    def look(self) -> None:
        """Tell how far it has been read, if that is further than before and somebody is looking."""
        window = self._window
        if not window.messages or not window.width or not self.in_sight:
            return
        bottom = self.scroll_offset.y + self.size.height - 1
        row = window.messages[-1 if self._following else window.at_line(bottom)].row
        if row > self._seen:
            self._seen = row
            self.post_message(self.Seen(row))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Page near an edge; notice the end."""
        super().watch_scroll_y(old_value, new_value)
        following = not self._window.newer and round(new_value) >= self.max_scroll_y
        if following is not self._following:
            self._following = following
            self.post_message(self.Moved())
        self._rest()
        self.call_later(self._page)

    def on_resize(self, event: Resize) -> None:
        """Wrap again when the width changed: a page to both sides of what is read, the rest when it is scrolled to."""
        window, width = self._window, self.scrollable_content_region.width
        if width != window.width:
            at = len(window.messages) if self._following else window.nearest(self._anchor()[0])
            first, kept, window.width = not window.width, window.near(at), width
            self._put(kept, anew=True)
            if first and window.new:
                self._go_to_mark()
        self._settle()
        self.call_later(self._page)

    def _count_down(self) -> None:
        shown = self._window.rows[self.scroll_offset.y : self.scroll_offset.y + self.size.height]
        if any(row.expires > 0 for row in shown):
            self.refresh()

    # How it is drawn.

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        line, base = self.scroll_offset.y + y, self.rich_style
        if not 0 <= line < self._lines:
            return Strip.blank(self.size.width, base)
        held = self._window.index(self.selected)
        top, end = self._window.span(held) if held is not None else (0, 0)
        text = draw(self._window.rows[line], self._window.width, self._part, self._now(), held=top <= line < end)
        if (selection := self.text_selection) is not None and (span := selection.get_span(line)) is not None:
            start, stop = span
            marked = self.screen.get_component_rich_style("screen--selection")
            text.stylize(marked, start, len(text) if stop == -1 else stop)
        text.stylize_before(base)
        strip = Strip(text.render(self.app.console), text.cell_len)
        return strip.crop_extend(0, self.size.width, base).apply_offsets(0, line)

    def _part(self, part: str) -> Style:
        return self.get_component_rich_style(f"message-log--{part}")

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """What was marked with the mouse, without the bars and times."""
        text = "\n".join(bar(row) + row.text for row in self._window.rows)
        return _BAR.sub("", selection.extract(text)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the marking."""
        self.refresh()
