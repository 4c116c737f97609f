"""The lock and the blank: nothing of any conversation is drawn while one of them stands.

The lock asks for the vault's passphrase. The blank shows nothing at all, not even that there is something; the key that
made it takes it away, any other key leads to the lock. An account without a passphrase, as in the demonstration, has
only the blank.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, TypeAlias

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Key, Paste
from textual.screen import ModalScreen
from textual.widgets import Input, Static

Unlocks: TypeAlias = Callable[[str], Awaitable[bool]]
"""Whether this is the vault's passphrase; takes as long as the vault's key takes to derive."""

MAX_PASSPHRASE: Final = 1_024
"""Characters of a passphrase that is tried."""


class Cover(ModalScreen[None]):
    """Covers everything; answers when it may go away."""

    BINDINGS: ClassVar[list[BindingType]] = []
    AUTO_FOCUS = ""
    """What is typed into the dark goes nowhere."""

    def __init__(self, unlocks: Unlocks | None, *, blank: bool, key: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._unlocks = unlocks
        self._blank = blank
        self._key = key
        self._trying = False

    def compose(self) -> ComposeResult:
        """The question, hidden while the screen is blank."""
        with Vertical(id="lock"):
            yield Static("Troth is locked", id="lock-title", markup=False)
            yield Input(placeholder="Passphrase", password=True, id="passphrase", max_length=MAX_PASSPHRASE)
            yield Static(id="lock-say", markup=False)

    def on_mount(self) -> None:
        """Blank, or ask."""
        self.query_one("#lock").display = not self._blank
        if not self._blank:
            self.query_one(Input).focus()

    def on_key(self, event: Key) -> None:
        """From the blank: the same key brings everything back, any other asks for the passphrase."""
        if not self._blank:
            return
        event.stop()
        event.prevent_default()
        if event.key in self._key or self._unlocks is None:
            self.dismiss(None)
            return
        self.ask()

    def on_paste(self, event: Paste) -> None:
        """A paste into the dark is nothing."""
        if self._blank:
            event.stop()

    def ask(self) -> None:
        """From the blank to the question."""
        self._blank = False
        self.query_one("#lock").display = True
        self.query_one(Input).focus()

    @on(Input.Submitted)
    async def _try(self, message: Input.Submitted) -> None:
        if self._trying or self._unlocks is None:
            return
        self._trying = True
        typed, field = message.value, self.query_one(Input)
        field.clear()
        self.query_one("#lock-say", Static).update("…")
        self.run_worker(self._check(typed), exit_on_error=True)

    async def _check(self, typed: str) -> None:
        assert self._unlocks is not None  # noqa: S101
        right = await self._unlocks(typed)
        self._trying = False
        if right:
            self.dismiss(None)
        else:
            self.query_one("#lock-say", Static).update("This is not the passphrase.")
            self.query_one(Input).focus()
