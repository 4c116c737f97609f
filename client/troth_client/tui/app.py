"""The application: one screen over one ``Conversations``, refreshed a moment after something has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.events import AppBlur, AppFocus, Event, InputEvent
from textual.message import Message

from troth_protocol.errors import TrothError

from .. import wording
from ..events import Notify
from ..views import Conversations
from . import keys
from .announce import Announcer
from .faultless import Faultless
from .lock_screen import Cover
from .main_screen import MainScreen
from .palette import Commands
from .relay_panel import RelayEyes
from .settings import Settings

_MOMENT: Final = 0.03
"""Seconds in which notifications are gathered: a backlog of thousands is drawn a few times, an eye sees no delay."""
_WATCH: Final = 5.0
"""Seconds between two looks at how long nobody has pressed a key."""


class TrothApp(Faultless[None]):
    """The terminal window; ``eyes`` adds the panel that shows a relay's view. UserError if two actions have one key."""

    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {Commands}  # noqa: RUF012
    COMMAND_PALETTE_BINDING = "f24"
    BINDINGS: ClassVar[list[BindingType]] = []
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (14, "-short"), (24, "-tall")]  # noqa: RUF012

    class Noted(Message):
        """The driver has something to show."""

        def __init__(self, note: Notify) -> None:
            super().__init__()
            self.note = note

    def __init__(
        self,
        conversations: Conversations,
        title: str,
        eyes: RelayEyes | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.bound = keys.bound(settings.preferences)
        super().__init__(settings.preferences.theme)
        self.set_keymap(keys.keymap(self.bound))
        self.title = title
        self.settings = settings
        self.announcer = Announcer(settings.preferences, self._write)
        self._conversations = conversations
        self.main = MainScreen(conversations, title, eyes, self.bound)
        self._notes: list[Notify] = []
        self._unwatch: Callable[[], None] | None = None
        self._cover: Cover | None = None
        self._touched = 0.0

    async def on_mount(self) -> None:
        """Listen, then show the screen: what is heard meanwhile waits until it stands."""
        self._unwatch = self._conversations.watch(self._note)
        await self.push_screen(self.main)
        self._touched = asyncio.get_running_loop().time()
        if self.settings.preferences.lock_minutes and self.settings.unlocks is not None:
            self.set_interval(_WATCH, self._lock_if_idle)

    def _note(self, note: Notify) -> None:
        """Pass a notification from the driver's task to ours."""
        self.post_message(self.Noted(note))

    def on_unmount(self) -> None:
        """Stop listening."""
        if self._unwatch is not None:
            self._unwatch()

    def on_troth_app_noted(self, message: Noted) -> None:
        """Gather notifications and take them together."""
        if not self._notes:
            self.set_timer(_MOMENT, self._take)
        self._notes.append(message.note)

    def _take(self) -> None:
        notes, self._notes = self._notes, []
        self.main.take(notes)

    def _write(self, data: str) -> None:
        """Put bytes on the terminal, unless an editor has it."""
        if self._driver is not None and not self.main.in_editor:
            self._driver.write(data)
            self._driver.flush()

    def carry_out(self, action: keys.Action) -> None:
        """One action that works everywhere, from the palette."""
        node = self if action.method.startswith("app.") else self.main
        self.call_later(node.run_action, action.method or action.name)

    def choose_theme(self, name: str) -> None:
        """Show another theme from now on, and the next time too."""
        self.theme = name
        try:
            if self.settings.keep_theme is not None:
                self.settings.keep_theme(name)
        except TrothError as error:
            self.notify(f"the theme is not kept: {wording.advice(error)}", severity="warning", markup=False)

    # The lock.

    @property
    def locked(self) -> bool:
        """Whether the conversation is covered."""
        return self._cover is not None

    async def on_event(self, event: Event) -> None:
        """Notice that somebody is there."""
        if isinstance(event, InputEvent):
            self._touched = asyncio.get_running_loop().time()
        await super().on_event(event)

    def _lock_if_idle(self) -> None:
        idle = asyncio.get_running_loop().time() - self._touched
        if idle >= 60 * self.settings.preferences.lock_minutes:
            self.action_lock()

    def action_lock(self) -> None:
        """Cover everything until the passphrase was given."""
        if self.settings.unlocks is None:
            self.notify("There is no passphrase here to lock with.", severity="warning", markup=False)
        else:
            self._cover_up(blank=False)

    def action_blank(self) -> None:
        """Cover everything at once, without a word."""
        self._cover_up(blank=True)

    def _cover_up(self, *, blank: bool) -> None:
        if self._cover is None:
            self.clear_notifications()
            self._cover = Cover(self.settings.unlocks, blank=blank, key=self.bound["blank"])
            self.push_screen(self._cover, self._uncovered)

    def _uncovered(self, _: None) -> None:
        self._cover = None
        self.main.uncovered()

    def action_command_palette(self) -> None:
        """All commands, while nothing covers them."""
        if not self.locked:
            super().action_command_palette()

    def on_app_blur(self, _: AppBlur) -> None:
        """Nobody looks: nothing counts as read."""

    def on_app_focus(self, _: AppFocus) -> None:
        """Somebody looks again."""
        self.main.looked_at()
