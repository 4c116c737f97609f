"""Text whose width terminals disagree about is written so that nothing beside it moves.

An emoji with a skin tone is two cells for one terminal and four for another, a sign with U+FE0F one or two. What
Textual believes decides where everything else stands: each such piece is written over blanks of that width, and the
cursor is put behind it whatever was drawn. So no emoji shifts a border, a time or a line, or leaves a rest of what
stood there before. Letters are left alone, though Indic ones differ too: none may be covered by the next. What is too
wide ends at the terminal's edge, because Textual has told it not to wrap.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from rich.cells import cell_len
from textual.driver import Driver

_MORE: Final = "[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d."
_UNSURE: Final = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{1,2}}|[\U0001f000-\U000fffff](?:{_MORE})*|[^\x00-\x1f\x7f]\ufe0f(?:{_MORE})*"
)
"""A flag, a pictograph with what belongs to it, or another sign with a selector."""
_KEEP, _BACK = "\x1b7", "\x1b8"


def _anchor(piece: re.Match[str]) -> str:
    cells = cell_len(piece[0])
    blank, on = (" " * cells, f"\x1b[{cells}C") if cells else ("", "")
    return f"{_KEEP}{blank}{_BACK}{piece[0]}{_BACK}{on}"


def anchored(data: str) -> str:
    """What is to be drawn, with every doubtful piece in its cells; other commands (OSC) are left alone."""
    if data.isascii() or "\x1b]" in data:
        return data
    return _UNSURE.sub(_anchor, data)


def driver() -> type[Driver] | None:
    """The terminal driver that writes like this, or None where Textual has another one."""
    if sys.platform == "win32":
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class AnchoredDriver(LinuxDriver):
        """Writes as ``anchored`` says."""

        def write(self, data: str) -> None:
            """Draw."""
            super().write(anchored(data))

    return AnchoredDriver
