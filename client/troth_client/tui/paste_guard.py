"""A paste stays a paste: what stands between a terminal's two paste marks can never become keystrokes.

Textual 8.2 reads an escape sequence it does not know inside a paste, and the characters behind it, as keys: an Enter
among them would send, a Ctrl+Q quit. Most terminals take ESC out of a paste; those that do not are helped here. So are
terminals without the Kitty protocol: their Alt+Enter is ESC CR, which Textual reads as an Enter and would send.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from textual._xterm_parser import XTermParser
from textual.message import Message

START: Final = "\x1b[200~"
END: Final = "\x1b[201~"
_ALT_ENTER: Final = "\x1b\r"
_NEW_LINE: Final = "\n"
"""Ctrl+J, which breaks the line."""
_CONTROLS: Final = dict.fromkeys(set(range(0x20)) - {ord("\t"), ord("\n"), ord("\r")})


class PasteGuard:
    """Takes control characters out of pastes, wherever the reads happen to cut them."""

    def __init__(self) -> None:
        self._inside = False
        self._tail = ""

    def clean(self, data: str) -> str:
        """``data`` with pastes freed of control characters; the start of an end mark is held back until it is whole."""
        out = ""
        while data:
            if self._inside:
                text, mark, rest = (self._tail + data).partition(END)
                held = 0 if mark else max(size for size in range(len(END)) if text.endswith(END[:size]))
                out += text[: len(text) - held].translate(_CONTROLS) + mark
                self._inside, self._tail, data = not mark, END[:held], rest
            else:
                text, mark, rest = (self._tail + data).partition(START)
                out += (text + mark)[len(self._tail) :].replace(_ALT_ENTER, _NEW_LINE)
                self._inside, self._tail, data = bool(mark), "" if mark else text[-len(START) + 1 :], rest
        return out


class GuardedParser(XTermParser):
    """Textual's parser behind a ``PasteGuard``."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._guard = PasteGuard()

    def feed(self, data: str) -> Iterable[Message]:
        """Parse what the guard lets through; nothing at all means the end of input and is passed on as it is."""
        cleaned = self._guard.clean(data)
        return super().feed(cleaned) if cleaned or not data else ()


def install() -> None:
    """Let the terminal driver read through the guard: it offers no other place for it."""
    if sys.platform != "win32":
        from textual.drivers import linux_driver

        linux_driver.XTermParser = GuardedParser  # type: ignore[attr-defined]
