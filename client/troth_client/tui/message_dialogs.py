"""What a key on a message opens: a sign to put under it, everything known about it."""

from __future__ import annotations

import time
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from ..display import clock, day, inert
from ..events import MessageState
from ..views import ContactView, MessageView
from ..wording import STATES, name, span
from .dialog import Dialog

SIGNS: Final = ("👍", "❤️", "😂", "😮", "😢", "🙏", "🎉", "✅")
"""Signs that one digit puts under a message."""
MAX_SIGN: Final = 32
"""Bytes of a sign, as the messenger counts them."""


class ReactionPicker(Dialog[str]):
    """One sign by its digit, or any other typed; the empty string takes ours away."""

    TITLE_TEXT = "React"

    def __init__(self, *, has_one: bool) -> None:
        super().__init__()
        self._has_one = has_one

    def inside(self) -> ComposeResult:
        """Signs with their digits, a field for any other."""
        yield Static("  ".join(f"{number} {sign}" for number, sign in enumerate(SIGNS, 1)), markup=False)
        yield Input(placeholder="1 to 8, or a sign of your own", id="sign", max_length=MAX_SIGN)
        yield Static(classes="error", markup=False)
        with Horizontal(classes="buttons"):
            if self._has_one:
                yield Button("Take mine away", id="away", compact=True)
            yield Button("Cancel", classes="close", compact=True)

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _quick(self, message: Input.Changed) -> None:
        typed = message.value.strip()
        if len(typed) == 1 and typed in "12345678":
            self.dismiss(SIGNS[int(typed) - 1])

    @on(Input.Submitted)
    def _own(self, message: Input.Submitted) -> None:
        sign = message.value.strip()
        if not sign or len(sign.encode("utf-8", "replace")) > MAX_SIGN:
            self.say("one sign, please")
        else:
            self.dismiss(sign)

    @on(Button.Pressed, "#away")
    def _away(self) -> None:
        self.dismiss("")


def about(message: MessageView, contact: ContactView) -> str:
    """Everything that is known about a message, inert."""
    notice = message.state is MessageState.NOTICE
    sign, word = STATES.get(message.state, ("", "a note by troth" if notice else "received"))
    lines = [
        ("from", "you" if message.ours else "troth" if notice else name(contact)),
        ("written", f"{_moment(message.sent)}{'' if message.ours else ' by their clock'}"),
        ("kept here", _moment(message.stored)),
        ("state", f"{sign} {word}".strip()),
        ("why", inert(message.why)),
        ("edited", f"{_moment(message.edited)}, edit {message.revision}" if message.edited else ""),
        ("deleted", "taken back by its writer" if message.deleted else ""),
        ("disappears", _disappears(message)),
        ("length", f"{len(message.text):,} characters"),
        ("id", f"{message.id[:8].hex()}…"),
        ("encrypted", _encrypted(contact)),
    ]
    return "\n".join(f"{label:<11} {value}" for label, value in lines if value)


def _moment(seconds: int) -> str:
    return f"{day(seconds)} {clock(seconds)}"


def _disappears(message: MessageView) -> str:
    if message.expires:
        return f"{_moment(message.expires)}, in {max(message.expires - int(time.time()), 0):,} s"
    return f"{span(message.timer)} after it is read" if message.timer else ""


def _encrypted(contact: ContactView) -> str:
    state = "confirmed" if contact.confirmed else "not yet confirmed"
    return f"end to end; session now at epoch {contact.epoch}, post-quantum {state}"
