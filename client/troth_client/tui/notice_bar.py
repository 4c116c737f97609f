"""The bar that stands in a conversation until it was dealt with: changed keys, a blocked contact. It takes the field's
place, so that nothing is written past it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from ..display import inert
from ..records import Standing
from ..views import ContactView


class NoticeBar(Vertical):
    """One text and what can be done about it."""

    class Chosen(Message):
        """``acknowledge``, ``compare`` or ``unblock`` was pressed."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    def compose(self) -> ComposeResult:
        """The text, the buttons, what went wrong."""
        yield Static(id="notice-text", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Compare safety number", id="compare", variant="primary", compact=True)
            yield Button("I have read this", id="acknowledge", variant="warning", compact=True)
            yield Button("Unblock", id="unblock", compact=True)
        yield Static(id="notice-error", classes="error", markup=False)

    def ask(self, contact: ContactView | None) -> None:
        """Stand here for this contact, or go."""
        changed = contact is not None and bool(contact.change)
        blocked = contact is not None and contact.blocked
        self.display = changed or blocked
        self.say("")
        if contact is None or not self.display:
            return
        text = inert(contact.change, lines=True) if changed else (
            "You have blocked them: what they send is dropped, and they are not told."
        )  # fmt: skip
        if changed:
            text += "\nNothing is sent before you have read this. Compare the safety number if you have ever done so."
        self.query_one("#notice-text", Static).update(text)
        self.query_one("#compare").display = changed and contact.standing is Standing.ACTIVE
        self.query_one("#acknowledge").display = changed
        self.query_one("#unblock").display = blocked and not changed

    def take_focus(self) -> None:
        """Go to the first button that is offered."""
        next(button for button in self.query(Button) if button.display).focus()

    def say(self, error: str) -> None:
        """Show why it could not be done."""
        line = self.query_one("#notice-error", Static)
        line.update(error)
        line.display = bool(error)

    @on(Button.Pressed)
    def _choose(self, message: Button.Pressed) -> None:
        message.stop()
        self.post_message(self.Chosen(message.button.id or ""))
