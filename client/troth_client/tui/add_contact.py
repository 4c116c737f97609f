"""Adding a contact: their link, a name for them, and what became of it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from troth_protocol.card import Card
from troth_protocol.errors import TrothError

from ..events import Add
from ..views import Conversations
from ..wording import advice
from .dialog import Dialog
from .fields import LinkInput, NameInput


class AddContact(Dialog[bytes]):
    """Paste a card's link, choose a name; answers with the fingerprint."""

    TITLE_TEXT = "Add a contact"

    def __init__(self, conversations: Conversations) -> None:
        super().__init__()
        self._conversations = conversations

    def inside(self) -> ComposeResult:
        """Two fields and what became of them."""
        yield Static("Their link: it begins with troth: and they send or show it to you.", markup=False)
        yield LinkInput(placeholder="troth:…", id="link")
        yield Static("Your name for them", markup=False)
        yield NameInput(placeholder="Name", id="name")
        yield Static(classes="error", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Add", id="add", variant="primary", compact=True)
            yield Button("Cancel", classes="close", compact=True)

    @on(Input.Submitted, "#link")
    def _to_name(self) -> None:
        self.query_one("#name").focus()

    @on(Input.Submitted, "#name")
    @on(Button.Pressed, "#add")
    async def _add(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        try:
            card = Card.from_link(self.query_one("#link", Input).value)
            if not name:
                self.say("give them a name first")
                return
            await self._conversations.do(Add(card, name))
        except TrothError as error:
            self.say(advice(error))
            return
        self.dismiss(card.fingerprint)
