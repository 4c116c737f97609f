"""My card: the one that is out and unused, as a link and a code; another one is made only when it is asked for."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import Button, Static

from troth_protocol.errors import TrothError

from ..views import Conversations
from ..wording import advice
from .dialog import Dialog
from .qr import Code

_FOR_ONE = "A card for one person. Whoever has this link can write to you once: hand it over privately."


class MyCard(Dialog[None]):
    """The newest card as a link and, where the window is large enough, as a QR code."""

    TITLE_TEXT = "My card"

    def __init__(self, conversations: Conversations) -> None:
        super().__init__()
        self._conversations = conversations
        self._link = ""

    def inside(self) -> ComposeResult:
        """The link, the code."""
        yield Static(id="card-say", markup=False)
        yield Static(id="card-link", markup=False)
        yield Static(classes="error", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Copy link", id="copy", variant="primary", disabled=True, compact=True)
            yield Button("Another card", id="another", disabled=True, compact=True)
            yield Button("Close", classes="close", compact=True)
        yield Code(id="card-code")

    def on_mount(self) -> None:
        """Show the card that is out, or make the first one."""
        cards = self._conversations.cards()
        if cards:
            self._show(cards[-1], f"You have {len(cards)} cards out; this is the newest. " * (len(cards) > 1))
        else:
            self._make()

    @on(Button.Pressed, "#another")
    def _make(self) -> None:
        """Ask the relay, without holding up the window."""
        self.query_one("#card-say", Static).update("Making a card and publishing it…")
        self.query_one("#another", Button).disabled = True
        self.run_worker(self._publish(), exit_on_error=True)

    async def _publish(self) -> None:
        try:
            link = await self._conversations.make_card()
        except TrothError as error:
            self.query_one("#card-say", Static).update("No card was made.")
            self.query_one("#another", Button).disabled = False
            self.say(advice(error))
            return
        self.say("")
        self._show(link, "")

    def _show(self, link: str, how_many: str) -> None:
        self._link = link
        self.query_one("#card-say", Static).update(how_many + _FOR_ONE)
        self.query_one("#card-link", Static).update(link)
        copy = self.query_one("#copy", Button)
        copy.disabled = self.query_one("#another", Button).disabled = False
        copy.focus()
        self.query_one(Code).encode(link)

    def on_resize(self, event: Resize) -> None:
        """The code fits now, or does not."""
        self.query_one(Code).fit()

    @on(Button.Pressed, "#copy")
    def _copy(self) -> None:
        self.app.copy_to_clipboard(self._link)
        self.notify("Copied, if your terminal allows it; else mark the link and copy it.", markup=False)
