"""Choosing a message and asking for something to be done with it, by key or by mouse."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.events import Click
from textual.message import Message

from ..views import MessageView
from . import keys
from .message_rows import Kind
from .message_scroll import MessageScroll


class MessageLog(MessageScroll):
    """A conversation whose messages can be selected; posts ``Asked`` when a key is about one."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings(keys.Place.MESSAGES)]

    class Asked(Message):
        """Something should be done with a message."""

        def __init__(self, action: str, message: MessageView) -> None:
            super().__init__()
            self.action = action
            self.message = message

    class Left(Message):
        """The keys should go back to the field."""

    def go_to(self, row: int) -> bool:
        """Select the message of a row and bring it into the screen; False if it is gone."""
        if self._contact is None:
            return False
        if self._window.index(row) is None:
            self._following = False
            self._put(self._window.around(row))
        at = self._window.index(row)
        if at is None:
            self._go_to_end()
            return False
        self.selected = row
        self._place(self._window.span(at)[0] - self.size.height // 3)
        return True

    # What is selected.

    def select_last(self) -> None:
        """Select the message that ends the screen."""
        bottom = self.scroll_offset.y + self.size.height - 1
        self._select(len(self._window.messages) - 1 if self._following else self._window.at_line(bottom))

    def _select(self, at: int) -> None:
        if self._window.messages:
            at = max(min(at, len(self._window.messages) - 1), 0)
            self.selected = self._window.messages[at].row
            top, end = self._window.span(at)
            height = self.size.height
            if top < self.scroll_offset.y:
                self.scroll_to(y=top, animate=False)
            elif end > self.scroll_offset.y + height:
                self.scroll_to(y=min(end - height, top), animate=False)
            self.refresh()

    def action_step(self, by: int) -> None:
        """Select the message above or below; from the newest, go back to the field."""
        at = self._window.index(self.selected)
        if at is None:
            self.select_last()
        elif at + by >= len(self._window.messages) and not self._window.newer:
            self.action_write()
        else:
            self._select(at + by)

    def action_ask(self, action: str) -> None:
        """Ask for something to be done with the selected message, or select one first."""
        if self.message is None:
            self.select_last()
        elif (message := self.message) is not None:
            self.post_message(self.Asked(action, message))

    def action_write(self) -> None:
        """Let go of the selection and write."""
        self.selected = None
        self.refresh()
        self.post_message(self.Left())

    def action_oldest(self) -> None:
        """Go to the first message."""
        if self._window.older and self._contact is not None:
            self._following = False
            self._put(self._window.around(1))
        self._place(0)

    def action_newest(self) -> None:
        """Go to the newest message."""
        self.selected = None
        self.follow()

    def action_half(self, way: int) -> None:
        """Half a page up or down."""
        self.scroll_to(y=self.scroll_offset.y + way * max(self.size.height // 2, 1), animate=False)

    def on_click(self, event: Click) -> None:
        """Select what was clicked; clicked again, it shows what to do; a quote leads to what it quotes, a fold on."""
        line = self.scroll_offset.y + event.y
        if 0 <= line < self._lines:
            before = self.selected
            self._select(self._window.at_line(line))
            asked = {Kind.QUOTE: "quoted", Kind.FOLD: "read_whole"}.get(self._window.rows[line].kind)
            if asked or (before is not None and before == self.selected):
                self.action_ask(asked or "menu")
