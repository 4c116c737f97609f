"""What both our applications share: themes, no colour where none is wanted, and an end that shows no texts."""

from __future__ import annotations

from textual.app import App, ReturnType

from . import anchored
from .paste_guard import install
from .themes import THEMES, without_colour


class Faultless(App[ReturnType]):
    """Keeps a fault for whoever runs it instead of printing local variables, among them texts and keys."""

    CSS_PATH = "troth.tcss"

    def __init__(self, theme: str) -> None:
        install()
        super().__init__(driver_class=anchored.driver())
        for each in THEMES:
            self.register_theme(each)
        self.set_reactive(App.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        self.animation_level = "none"
        if self.no_color:
            self._filters = without_colour(self._filters)
        self.fault: Exception | None = None
        """What nobody expected and ended the window."""

    def _handle_exception(self, error: Exception) -> None:
        self.fault = self.fault or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()
