"""The command palette: every action by its words, every contact by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from . import keys
from .themes import THEMES

if TYPE_CHECKING:
    from .app import TrothApp


class Commands(Provider):
    """Offers what can be done now."""

    def _all(self) -> Iterator[tuple[str, Callable[[], object]]]:
        app: TrothApp = self.app  # type: ignore[assignment]
        for action in keys.ACTIONS:
            offered = app.main.check_action(action.name, ())
            if action.place is keys.Place.EVERYWHERE and action.name != "palette" and offered:
                bound = " ".join(map(keys.shown, app.bound[action.name]))
                yield f"{action.says[0].upper()}{action.says[1:]}  ({bound})", partial(app.carry_out, action)
        for theme in THEMES:
            yield f"Theme: {theme.name}", partial(app.choose_theme, theme.name)
        for fingerprint, name in app.main.names().items():
            yield f"Conversation with {name}", partial(app.main.open_and_focus, fingerprint)

    async def discover(self) -> Hits:
        """Everything, before a letter is typed."""
        for words, run in self._all():
            yield DiscoveryHit(Content(words), run, text=words)

    async def search(self, query: str) -> Hits:
        """What fits the letters typed."""
        matcher = self.matcher(query)
        for words, run in self._all():
            if (score := matcher.match(words)) > 0:
                yield Hit(score, Content(words), run, text=words)  # highlight() would obey markup in a name
