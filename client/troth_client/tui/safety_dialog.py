"""How far a contact can be trusted: the safety number in three forms, what is known of their keys, and the verdict."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.widgets import Button, Static

from troth_protocol.errors import TrothError

from .. import wording
from ..display import full_fingerprint
from ..events import SetVerified
from ..records import Standing
from ..safety_words import safety_words
from ..views import ContactView, Conversations
from .dialog import Dialog
from .qr import Code

_CONFIRMED = (
    "Post-quantum confirmed: a key exchange that a quantum computer cannot break has been completed by both sides. "
    "Somebody who records everything today can read none of it later."
)
_NOT_CONFIRMED = (
    "Post-quantum not yet confirmed: your first messages are protected by a post-quantum key of theirs; the exchange "
    "that both sides complete is under way and ends after a few messages in both directions."
)


class SafetyNumber(Dialog[None]):
    """Eighty digits, thirty-two words or a code to compare, and the two fingerprints they are made of."""

    TITLE_TEXT = "Safety number"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "form", "Words, digits, code")]

    def __init__(self, conversations: Conversations, contact: ContactView) -> None:
        super().__init__()
        self._conversations = conversations
        self._contact = contact
        self._number = conversations.safety_number(contact.fingerprint)
        self._form = 0

    def inside(self) -> ComposeResult:
        """Digits, words or code, the verdict, fingerprints."""
        contact, name = self._contact, wording.name(self._contact)
        yield Static(
            f"Compare with {name}, face to face or on a call whose voice you know. "
            "The same on both sides: nobody stands between you.",
            markup=False,
        )
        yield Static(id="safety-digits", markup=False)
        yield Code(id="safety-code")
        with Horizontal(classes="buttons"):
            if contact.verified:
                yield Button("Unmark", id="unmark", variant="warning", compact=True)
            elif contact.standing is Standing.ACTIVE:
                yield Button("They match", id="mark", variant="success", compact=True)
            yield Button("As words", id="form", compact=True)
            yield Button("Close", classes="close", compact=True)
        yield Static(classes="error", markup=False)
        yield Static(_CONFIRMED if contact.confirmed else _NOT_CONFIRMED, id="safety-quantum", markup=False)
        yield Static(f"{name} has the fingerprint\n{full_fingerprint(contact.fingerprint, columns=8)}", markup=False)
        yield Static(f"you have\n{full_fingerprint(self._conversations.own_fingerprint, columns=8)}", markup=False)

    def on_mount(self) -> None:
        """Begin with digits."""
        self._draw()

    def on_resize(self, event: Resize) -> None:
        """The code fits now, or does not."""
        self.query_one(Code).fit()

    @on(Button.Pressed, "#form")
    def action_form(self) -> None:
        """Digits, then words, then a code to scan."""
        self._form = (self._form + 1) % 3
        self._draw()

    def _draw(self) -> None:
        digits, code = self.query_one("#safety-digits", Static), self.query_one(Code)
        digits.display, code.display = self._form != 2, self._form == 2
        groups, words = self._number.split(), safety_words(self._number)
        if self._form == 0:
            digits.update("\n".join("   ".join(groups[at : at + 4]) for at in range(0, len(groups), 4)))
        elif self._form == 1:
            digits.update("\n".join(" ".join(f"{word:8}" for word in words[at : at + 4]) for at in range(0, 32, 4)))
        else:
            code.encode("".join(groups))
        self.query_one("#form", Button).label = ("As words", "As code", "As digits")[self._form]

    @on(Button.Pressed, "#mark,#unmark")
    async def _mark(self, message: Button.Pressed) -> None:
        try:
            await self._conversations.do(SetVerified(self._contact.fingerprint, message.button.id == "mark"))
        except TrothError as error:
            self.say(wording.advice(error))
            return
        self.dismiss(None)
