"""How a row is drawn: its bar, its text, what is known about it at the right. States are words before colours.

The two cells of the bar are the program's alone: their shape says whose text follows, whether it is a quote or a row of
reactions, and whether the keys are about it, with colours and without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from .message_rows import Kind, Row, countdown

_BARS: Final = {
    Kind.OURS: ("▌ ", "│ "),
    Kind.THEIRS: ("▌ ", "│ "),
    Kind.GONE: ("▌ ", "│ "),
    Kind.FOLD: ("▙ ", "╰ "),
    Kind.QUOTE: ("▛ ", "╭ "),
    Kind.SIGNS: ("▙ ", "╰ "),
    Kind.FAILURE: ("▙ ", "╰ "),
}
_TEXTS: Final = {Kind.OURS, Kind.THEIRS, Kind.GONE}
_MIDDLE: Final = {Kind.DAY, Kind.NOTICE, Kind.NEW}
HELD: Final = "▶ "
"""The bar of the text that the keys are about; quotes and reactions keep their shapes."""
_SELECTED: Final = Style(reverse=True)

Part = Callable[[str], Style]


def part_names() -> list[str]:
    """The parts that a theme gives a style."""
    return [*(kind.value for kind in Kind), "meta", "failed", "our-bar", "their-bar"]


def bar(row: Row) -> str:
    """The two cells before a row, or nothing."""
    return _BARS[row.kind][not row.ours] if row.kind in _BARS else ""


def draw(row: Row, width: int, part: Part, now: float, *, held: bool = False) -> Text:
    """One row in ``width`` cells; ``part`` gives the style of a name in ``part_names``."""
    style = part(row.kind.value)
    if row.kind in _MIDDLE:
        shown = f"── {row.text} ──" if row.kind is not Kind.NOTICE else row.text
        text = Text.assemble((shown, style))
        text.pad_left(max((width - text.cell_len) // 2, 0))
        return text
    drawn = bar(row)
    beside = part("our-bar" if row.ours else "their-bar")
    drawn = HELD if held and row.kind in _TEXTS else drawn
    text = Text.assemble((drawn, beside + _SELECTED if held else beside), (row.text, style))
    meta = countdown(row, now) + row.meta
    if meta:
        text.pad_right(max(width - text.cell_len - cell_len(meta) - 1, 1))
        text.append(meta, part("failed" if row.failed else "meta"))
    return text
