"""The application: one screen over one ``Conversations``, refreshed a moment after something has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual.app import App
from textual.message import Message
from textual.theme import Theme

from ..events import Notify
from ..views import Conversations
from .paste_guard import install
from .relay_panel import RelayEyes
from .screens import MainScreen

_MOMENT: Final = 0.03
"""Seconds in which notifications are gathered: a backlog of thousands is drawn a few times, an eye sees no delay."""

_THEME: Final = Theme(
    name="troth",
    primary="#4fb3a5",
    secondary="#7aa2c9",
    accent="#e0b05c",
    warning="#e0b05c",
    error="#e06c75",
    success="#5fb878",
    foreground="#d8dee4",
    background="#12171c",
    surface="#182028",
    panel="#202a33",
    dark=True,
)


class TrothApp(App[None]):
    """The terminal window; ``eyes`` adds the panel that shows a relay's view."""

    CSS_PATH = "troth.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-tall")]  # noqa: RUF012

    class Noted(Message):
        """The driver has something to show."""

        def __init__(self, note: Notify) -> None:
            super().__init__()
            self.note = note

    def __init__(self, conversations: Conversations, title: str, eyes: RelayEyes | None = None) -> None:
        install()
        super().__init__()
        self.register_theme(_THEME)
        self.set_reactive(App.theme, _THEME.name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.title = title
        self.animation_level = "none"
        self._conversations = conversations
        self._main = MainScreen(conversations, title, eyes)
        self._notes: list[Notify] = []
        self._unwatch: Callable[[], None] | None = None
        self.fault: Exception | None = None
        """What nobody expected and ended the window."""

    async def on_mount(self) -> None:
        """Listen, then show the screen: what is heard meanwhile waits until it stands."""
        self._unwatch = self._conversations.watch(self._note)
        await self.push_screen(self._main)

    def _note(self, note: Notify) -> None:
        """Pass a notification from the driver's task to ours."""
        self.post_message(self.Noted(note))

    def on_unmount(self) -> None:
        """Stop listening."""
        if self._unwatch is not None:
            self._unwatch()

    def _handle_exception(self, error: Exception) -> None:
        """Keep the fault for whoever runs us."""
        self.fault = self.fault or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Close without Textual's report: it prints local variables, among them texts and keys."""
        self._close_messages_no_wait()

    def on_troth_app_noted(self, message: Noted) -> None:
        """Gather notifications and take them together."""
        if not self._notes:
            self.set_timer(_MOMENT, self._take)
        self._notes.append(message.note)

    def _take(self) -> None:
        notes, self._notes = self._notes, []
        self._main.take(notes)
