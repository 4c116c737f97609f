"""One-line fields that take a paste as text and nothing else, and a box to tick."""

from __future__ import annotations

from typing import Final

from textual.events import Paste
from textual.widgets import Checkbox, Input

from ..display import typed

MAX_NAME: Final = 64
"""Characters of a name we give; the messenger counts its bytes."""


class NameInput(Input):
    """A name: a paste becomes one line without control characters."""

    def __init__(self, *, placeholder: str, id: str, compact: bool = False) -> None:
        super().__init__(placeholder=placeholder, id=id, max_length=MAX_NAME, compact=compact)

    def on_paste(self, event: Paste) -> None:
        """Insert the paste on one line."""
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor(" ".join(typed(event.text).split()))


class LinkInput(Input):
    """A link: a paste loses every blank and line end, which terminals put into long lines."""

    def on_paste(self, event: Paste) -> None:
        """Insert the paste without blanks."""
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor("".join(typed(event.text).split()))


class Tick(Checkbox):
    """A box that is empty while it is not ticked, also for who sees no colours."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw the sign, or none."""
        self.BUTTON_INNER = "X" if self.value else " "
        super().watch_value()
