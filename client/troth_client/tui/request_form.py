"""What stands under a stranger's message instead of a composer: who they say they are, and two buttons."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Static

from ..display import called, full_fingerprint, inert
from ..views import ContactView
from .fields import NameInput


class RequestForm(Vertical):
    """Accept under a name of our choosing, or decline; nothing is sent before one of them is pressed.

    The field begins with the name they claim: accepted, it is ours and no longer follows what they call themselves.
    """

    class Accepted(Message):
        """The request should be answered under this name."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Declined(Message):
        """The request should be forgotten."""

    def compose(self) -> ComposeResult:
        """Their claim, their fingerprint, a name for them, the choice."""
        yield Static(id="request-claim", markup=False)
        yield Static(id="request-fingerprint", markup=False)
        yield NameInput(placeholder="Your name for them", id="request-name", compact=True)
        with Horizontal(classes="buttons"):
            yield Button("Accept", id="accept", variant="success", compact=True)
            yield Button("Decline", id="decline", variant="error", compact=True)
        yield Static(id="request-error", classes="error", markup=False)

    def ask(self, contact: ContactView) -> None:
        """Fill in who is asking."""
        claim = f"calls themselves ‹{called(contact.claimed, contact.fingerprint)}›" if contact.claimed.strip() else (
            "gives no name"
        )  # fmt: skip
        self.query_one("#request-claim", Static).update(f"A stranger, who {claim}, wants to write to you.")
        self.query_one("#request-fingerprint", Static).update(full_fingerprint(contact.fingerprint))
        self.query_one(NameInput).value = contact.claimed if inert(contact.claimed) == contact.claimed else ""
        self.say("")

    def say(self, error: str) -> None:
        """Show why it could not be done."""
        line = self.query_one("#request-error", Static)
        line.update(error)
        line.display = bool(error)

    @on(Input.Submitted)
    def _to_accept(self) -> None:
        """Enter chooses nothing yet: what was meant as a message must not accept a stranger."""
        self.query_one("#accept", Button).focus()

    @on(Button.Pressed, "#accept")
    def _accept(self, message: Button.Pressed) -> None:
        message.stop()
        self.post_message(self.Accepted(self.query_one(NameInput).value.strip()))

    @on(Button.Pressed, "#decline")
    def _decline(self, message: Button.Pressed) -> None:
        message.stop()
        self.post_message(self.Declined())
