"""Where a message is written: Enter sends, Ctrl+J breaks the line, a paste never sends, nothing typed is ever lost."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Key, Paste
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static, TextArea

from ..display import typed
from . import keys

MAX_TEXT: Final = 16_000
"""Bytes of UTF-8 in NFC that one message holds. [R-9.3-2]"""
COUNT_FROM: Final = 15_000
"""Bytes from which the writer is told how many are left."""
MAX_PASTE: Final = 64_000
"""Characters one paste may put in: a few messages' worth; the field wraps every keystroke and must stay quick."""


def size_of(text: str) -> int:
    """Bytes a message will take."""
    return len(unicodedata.normalize("NFC", text).encode("utf-8", "replace"))


class ComposerArea(TextArea):
    """The text field itself."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings(keys.Place.WRITING)]

    def __init__(self, submit: Callable[[], None], bound: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(id="composer-area", placeholder="Message", highlight_cursor_line=False, soft_wrap=True)
        self._submit = submit
        self._bound = bound
        for action in keys.ACTIONS:  # a key that works everywhere is not the field's too
            if action.place is keys.Place.EVERYWHERE:
                for key in action.keys:
                    self._bindings.key_to_bindings.pop(key, None)

    class Scrolled(Message):
        """The conversation should move by so many pages."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class Upward(Message):
        """The arrow went up from a field that is empty: a message should be chosen."""

    class PasteRefused(Message):
        """A paste of so many characters was too large to take."""

        def __init__(self, length: int) -> None:
            super().__init__()
            self.length = length

    async def _on_key(self, event: Key) -> None:
        """Send, break the line, or write: in the order of the keys, however fast they come."""
        if event.key in self._bound["submit"]:
            event.prevent_default()
            event.stop()
            self._submit()
        elif event.key in self._bound["newline"]:
            event.prevent_default()
            event.stop()
            self.replace("\n", *self.selection)
        else:
            await super()._on_key(event)

    def render_line(self, y: int) -> Strip:
        """One line; blank where a window that shrinks has left the field no width, which Textual would divide by."""
        return super().render_line(y) if self.content_size.width else Strip.blank(self.size.width)

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, out of the field if it is empty."""
        if self.text:
            super().action_cursor_up(select)
        else:
            self.post_message(self.Upward())

    def action_scroll_log(self, pages: int) -> None:
        """Move the conversation while writing."""
        self.post_message(self.Scrolled(pages))

    async def on_paste(self, event: Paste) -> None:
        """Take a paste as text and nothing else: it cannot send, and brings no control characters."""
        event.prevent_default()
        event.stop()
        text = typed(event.text)
        if len(text) > MAX_PASTE:
            self.post_message(self.PasteRefused(len(text)))
        else:
            self.replace(text, *self.selection, maintain_selection_offset=False)


class Composer(Vertical):
    """The field and one line under it that says what is wrong or how much room is left."""

    class Changed(Message):
        """Something else stands in the field."""

    class Submitted(Message):
        """A text of an acceptable length should be sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, bound: Mapping[str, tuple[str, ...]], *, id: str) -> None:
        super().__init__(id=id)
        self.area = ComposerArea(self._submit, bound)

    def compose(self) -> ComposeResult:
        """The field, then the line."""
        yield self.area
        yield Static(id="composer-hint", markup=False)

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.area.text

    def put(self, text: str) -> None:
        """Replace what stands in the field and go to its end."""
        self.area.load_text(text)
        self.area.move_cursor(self.area.document.end)

    def give_back(self, text: str, reason: str) -> None:
        """Put a text that could not be sent before whatever was typed since, and say why."""
        with self.prevent(TextArea.Changed):
            self.put(f"{text}\n{self.text}" if self.text else text)
        self.say(f"not sent: {reason}", wrong=True)

    def say(self, hint: str, *, wrong: bool = False) -> None:
        """Show one line under the field, or none."""
        line = self.query_one("#composer-hint", Static)
        line.update(hint)
        line.display = bool(hint)
        line.set_class(wrong, "-wrong")

    @on(TextArea.Changed)
    def _count(self) -> None:
        self.post_message(self.Changed())
        size = size_of(self.text)
        if size > MAX_TEXT:
            self.say(f"{size - MAX_TEXT:,} bytes too long: a message holds {MAX_TEXT:,}", wrong=True)
        elif size > COUNT_FROM:
            self.say(f"{MAX_TEXT - size:,} bytes left")
        else:
            self.say("")

    @on(ComposerArea.PasteRefused)
    def _refuse_paste(self, message: ComposerArea.PasteRefused) -> None:
        self.say(f"{message.length:,} characters were not pasted: a message holds {MAX_TEXT:,} bytes", wrong=True)

    def _submit(self) -> None:
        text = self.text
        size = size_of(text)
        if size > MAX_TEXT:
            self.say(f"not sent: {size - MAX_TEXT:,} bytes too long; a message holds {MAX_TEXT:,}", wrong=True)
        elif text.strip():
            with self.prevent(TextArea.Changed):
                self.put("")
            self.say("")
            self.post_message(self.Submitted(text))
