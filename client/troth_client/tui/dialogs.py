"""What opens above the conversation: add a contact, hand out a card, compare a safety number, read the keys."""

from __future__ import annotations

from typing import ClassVar, Final

import segno
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from troth_protocol.card import Card
from troth_protocol.errors import TrothError

from ..display import called, full_fingerprint, inert
from ..events import Add, SetVerified
from ..views import ContactView, Conversations
from .fields import LinkInput, NameInput

_QUIET: Final = 2
"""Modules of white around the code: readers want four, and a dark terminal's own edge gives the rest."""


class Dialog(ModalScreen[bytes | None]):
    """A box with a title that Escape closes; what it answers is the contact to open, if any."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]
    TITLE_TEXT: ClassVar[str]
    SCROLLS: ClassVar[bool] = False
    """Whether the box itself takes the focus, so that the arrow keys move it."""

    def compose(self) -> ComposeResult:
        """The box."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = self.TITLE_TEXT
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


class AddContact(Dialog):
    """Paste a card's link, choose a name."""

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
            self.say(inert(str(error)))
            return
        self.dismiss(card.fingerprint)


class MyCard(Dialog):
    """A new card as a link and, where the window is large enough, as a QR code."""

    TITLE_TEXT = "My card"

    def __init__(self, conversations: Conversations) -> None:
        super().__init__()
        self._conversations = conversations
        self._link = ""

    def inside(self) -> ComposeResult:
        """The link, the code."""
        yield Static("Making a card and publishing it…", id="card-say", markup=False)
        yield Static(id="card-link", markup=False)
        yield Static(classes="error", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Copy link", id="copy", variant="primary", disabled=True, compact=True)
            yield Button("Close", classes="close", compact=True)
        yield Static(id="card-code", markup=False)

    def on_mount(self) -> None:
        """Ask the relay, without holding up the window."""
        self.run_worker(self._make(), exit_on_error=True)

    async def _make(self) -> None:
        try:
            self._link = await self._conversations.make_card()
        except TrothError as error:
            self.query_one("#card-say", Static).update("No card was made.")
            self.say(inert(str(error)))
            return
        self.query_one("#card-say", Static).update(
            "A card for one person. Whoever has this link can write to you once: hand it over privately."
        )
        self.query_one("#card-link", Static).update(self._link)
        copy = self.query_one("#copy", Button)
        copy.disabled = False
        copy.focus()
        self._draw()

    def on_resize(self, event: Resize) -> None:
        """The code fits now, or does not."""
        self._draw()

    def _draw(self) -> None:
        if not self._link:
            return
        code = segno.make(self._link, error="l", micro=False)
        side, _ = code.symbol_size(border=_QUIET)
        lines = _half_blocks([bytes(row) for row in code.matrix_iter(border=_QUIET)])
        fits = self.app.size.width >= side + 6 and self.app.size.height >= len(lines) + 4
        self.query_one("#card-code", Static).update(
            "\n".join(lines) if fits else f"The QR code needs a window of {side + 6} by {len(lines) + 4}."
        )
        self.query_one("#card-code").set_class(fits, "-drawn")

    @on(Button.Pressed, "#copy")
    def _copy(self) -> None:
        self.app.copy_to_clipboard(self._link)
        self.notify("Copied, if your terminal allows it; else mark the link and copy it.", markup=False)


def _half_blocks(matrix: list[bytes]) -> list[str]:
    """Two rows of modules a line; a dark module is ink, to be drawn black on white."""
    rows = [*matrix, bytes(len(matrix[0]))] if len(matrix) % 2 else matrix
    cells = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    return [
        "".join(cells[bool(up), bool(down)] for up, down in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]


class SafetyNumber(Dialog):
    """Eighty digits to compare, and the two fingerprints they are made of."""

    TITLE_TEXT = "Safety number"

    def __init__(self, conversations: Conversations, contact: ContactView) -> None:
        super().__init__()
        self._conversations = conversations
        self._contact = contact

    def inside(self) -> ComposeResult:
        """Digits, fingerprints, the verdict."""
        contact = self._contact
        name = called(contact.name, contact.fingerprint)
        groups = self._conversations.safety_number(contact.fingerprint).split()
        grid = "\n".join("   ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))
        yield Static(
            f"Compare with {name}, face to face or on a call whose voice you know. "
            "The same digits on both sides: nobody stands between you.",
            markup=False,
        )
        yield Static(grid, id="safety-digits", markup=False)
        with Horizontal(classes="buttons"):
            if contact.verified:
                yield Button("Unmark", id="unmark", variant="warning", compact=True)
            else:
                yield Button("They match: mark verified", id="mark", variant="success", compact=True)
            yield Button("Close", classes="close", compact=True)
        yield Static(classes="error", markup=False)
        yield Static(f"{name} has the fingerprint\n{full_fingerprint(contact.fingerprint, columns=8)}", markup=False)
        yield Static(f"you have\n{full_fingerprint(self._conversations.own_fingerprint, columns=8)}", markup=False)

    @on(Button.Pressed, "#mark,#unmark")
    async def _mark(self, message: Button.Pressed) -> None:
        try:
            await self._conversations.do(SetVerified(self._contact.fingerprint, message.button.id == "mark"))
        except TrothError as error:
            self.say(inert(str(error)))
            return
        self.dismiss(None)


class Help(Dialog):
    """The keys, and what the signs mean."""

    TITLE_TEXT = "Help"
    SCROLLS = True
    TEXT: Final = """\
Tab, Shift+Tab   from the list to the conversation to the field
↑ ↓, Enter       choose a contact, open it
Enter            send           Ctrl+J   new line
PgUp, PgDn       older, newer messages; End goes to the newest
Esc              back to the list
F1 or Ctrl+G     this page
F2 or Ctrl+R     what the relay sees (in the demonstration)
F3 or Ctrl+N     add a contact from a troth: link
F4 or Ctrl+K     my card: a link for one person to write to me
F5 or Ctrl+T     safety number of the open contact
Ctrl+Q           quit

?  a request: a stranger wrote; nothing goes back until you accept
…  waiting for their answer        ✗  their card is not valid
✓  safety number compared          ·  not compared
PQ proved against a quantum computer
… queued: waits here    ✓ at relay: stored there    ✗ failed
‹U+202E›, ␛ and the like stand for characters that would hide
something or command your terminal."""

    def inside(self) -> ComposeResult:
        """One page."""
        yield Static(self.TEXT, markup=False)
