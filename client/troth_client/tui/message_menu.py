"""What can be done with one message, as a list to click or to choose from: for whoever does not know the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ..events import MessageState
from ..views import MessageView
from . import keys
from .dialog import Dialog

_WORDS: Final = ("reply", "react", "copy_text")
"""What needs the words of somebody."""


def doings(message: MessageView) -> list[str]:
    """The actions that fit a message, by their names in ``keys``."""
    said = message.state is not MessageState.NOTICE and not message.deleted
    fits = {
        **dict.fromkeys(_WORDS, said),
        "edit": said and message.ours,
        "resend": message.state is MessageState.FAILED,
        "quoted": message.reply is not None,
        "read_whole": said,
        "info": True,
        "delete": True,
    }
    return [name for name, fit in fits.items() if fit]


class MessageMenu(Dialog[str]):
    """Answers with the name of an action."""

    TITLE_TEXT = "This message"

    def __init__(self, message: MessageView, bound: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self._doings = doings(message)
        self._bound = bound

    def inside(self) -> ComposeResult:
        """One line for each action, with its key."""
        width = max(len(self._key(name)) for name in self._doings)
        lines = (f"{self._key(name):<{width}}  {keys.BY_NAME[name].says}" for name in self._doings)
        options = [Option(line, name) for line, name in zip(lines, self._doings, strict=True)]
        yield OptionList(*options, id="doings", markup=False, compact=True)

    def _key(self, name: str) -> str:
        return keys.shown(self._bound[name][0])

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(message.option_id)
