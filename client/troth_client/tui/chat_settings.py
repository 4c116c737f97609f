"""What is set for one conversation: when texts disappear, whether they learn that theirs arrived, mute, block."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from troth_protocol.errors import TrothError

from .. import wording
from ..events import Block, Event, SetMuted, SetReceipts, SetTimer, Unblock
from ..views import ContactView, Conversations
from .dialog import Dialog


class ChatSettings(Dialog[None]):
    """Choices about the open contact; each is done at once."""

    def __init__(self, conversations: Conversations, contact: ContactView) -> None:
        super().__init__()
        self._conversations = conversations
        self._contact = contact

    def heading(self) -> str:
        """Whom it is about."""
        return f"Conversation with {wording.name(self._contact)}"

    def inside(self) -> ComposeResult:
        """The times, three switches."""
        contact = self._contact
        yield Static("New texts of both sides disappear:", markup=False)
        yield OptionList(
            *(
                Option(f"{'●' if seconds == contact.timer else ' '} {_after(seconds)}", str(seconds))
                for seconds in wording.TIMERS
            ),
            id="timer", markup=False, compact=True,
        )  # fmt: skip
        told = "They are told when their texts have arrived." if contact.receipts else "They are not told what arrived."
        yield Static(told, markup=False)
        yield Static(wording.muting(on=True) if contact.muted else "Not muted.", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Stop telling" if contact.receipts else "Tell them", id="receipts", compact=True)
            yield Button("Unmute" if contact.muted else "Mute", id="mute", compact=True)
            block = ("Unblock", "unblock") if contact.blocked else ("Block", "block")
            yield Button(block[0], id=block[1], variant="error", compact=True)
            yield Button("Close", classes="close", compact=True)
        yield Static(classes="error", markup=False)

    async def _do(self, event: Event) -> None:
        try:
            await self._conversations.do(event)
        except TrothError as error:
            self.say(wording.advice(error))
        else:
            self.dismiss(None)

    @on(OptionList.OptionSelected)
    async def _set_timer(self, message: OptionList.OptionSelected) -> None:
        await self._do(SetTimer(self._contact.fingerprint, int(message.option_id or 0)))

    @on(Button.Pressed, "#receipts")
    async def _set_receipts(self) -> None:
        await self._do(SetReceipts(self._contact.fingerprint, not self._contact.receipts))

    @on(Button.Pressed, "#mute")
    async def _set_muted(self) -> None:
        await self._do(SetMuted(self._contact.fingerprint, not self._contact.muted))

    @on(Button.Pressed, "#block")
    async def _block(self) -> None:
        await self._do(Block(self._contact.fingerprint))

    @on(Button.Pressed, "#unblock")
    async def _unblock(self) -> None:
        await self._do(Unblock(self._contact.fingerprint))


def _after(seconds: int) -> str:
    return f"after {wording.span(seconds)}" if seconds else "never"
