"""The boxes that open above the conversation: one that asks, one that shows a page, what every box has in common."""

from __future__ import annotations

import re
import textwrap
from typing import ClassVar, Final, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Button, Static

Answer = TypeVar("Answer")
_FIRST_COLUMN: Final = re.compile(r" *(?:\S.*? {2,}(?=\S))?")


class Dialog(ModalScreen[Answer]):
    """A box with a title that Escape closes without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]
    TITLE_TEXT: ClassVar[str] = ""
    SCROLLS: ClassVar[bool] = False
    """Whether the box itself takes the focus, so that the arrow keys move it."""

    def heading(self) -> str:
        """The title, inert."""
        return self.TITLE_TEXT

    def compose(self) -> ComposeResult:
        """The box."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = Content(self.heading())
            box.border_subtitle = "Esc closes"
            box.can_focus = self.SCROLLS
            yield from self.inside()

    def inside(self) -> ComposeResult:
        """What the box holds."""
        raise NotImplementedError

    def say(self, error: str) -> None:
        """Show what went wrong, inside the box."""
        line = self.query_one(".error", Static)
        line.update(error)
        line.display = bool(error)
        if error:
            line.scroll_visible(animate=False)

    def action_close(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)

    @on(Button.Pressed, ".close")
    def _close(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """One question with two answers; Escape and Enter at once are no."""

    def __init__(self, title: str, question: str, yes: str) -> None:
        super().__init__()
        self._heading = title
        self._question = question
        self._yes = yes

    def heading(self) -> str:
        """What it is about."""
        return self._heading

    def inside(self) -> ComposeResult:
        """The question; the answer that does nothing has the focus."""
        yield Static(self._question, markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Cancel", classes="close", compact=True)
            yield Button(self._yes, id="yes", variant="error", compact=True)

    @on(Button.Pressed, "#yes")
    def _agree(self) -> None:
        self.dismiss(True)


def hanging(text: str, width: int) -> str:
    """Lines of two columns, two spaces apart: what has no room goes on under the second."""
    lines = []
    for line in text.split("\n"):
        column = _FIRST_COLUMN.match(line)
        indent = min(column.end() if column else 0, max(width // 2, 0))
        lines += textwrap.wrap(line, max(width, 1), subsequent_indent=" " * indent) or [""]
    return "\n".join(lines)


class Columns(Static):
    """Two columns of text, wrapped anew when the window changes."""

    def __init__(self, text: str) -> None:
        super().__init__(markup=False, classes="page")
        self._text = text

    def on_resize(self, event: Resize) -> None:
        """Wrap to the width there is."""
        self.update(hanging(self._text, event.size.width))


class Page(Dialog[None]):
    """Something to read, of any length; ``text`` is inert, and of two columns if it is ours."""

    SCROLLS = True

    def __init__(self, title: str, text: str, *, columns: bool = False) -> None:
        super().__init__()
        self._heading = title
        self._text = text
        self._columns = columns

    def heading(self) -> str:
        """What it is about."""
        return self._heading

    def inside(self) -> ComposeResult:
        """One page."""
        yield Columns(self._text) if self._columns else Static(self._text, markup=False, classes="page")
