"""A QR code in half blocks: two rows of modules a line, black on white whatever the theme."""

from __future__ import annotations

from typing import Final

import segno
from textual.widgets import Static

_QUIET: Final = 2
"""Modules of white around the code: readers want four, and a dark terminal's own edge gives the rest."""
_CELLS: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


class Code(Static):
    """The code of a text, where the window has room for it, else a line that says how much it needs."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._text = ""

    def encode(self, text: str) -> None:
        """Show this text's code from now on."""
        self._text = text
        self.fit()

    def fit(self) -> None:
        """Draw the code if it fits now."""
        if not self._text:
            return
        code = segno.make(self._text, error="l", micro=False)
        side, _ = code.symbol_size(border=_QUIET)
        lines = half_blocks([bytes(row) for row in code.matrix_iter(border=_QUIET)])
        fits = self.app.size.width >= side + 6 and self.app.size.height >= len(lines) + 4
        self.update("\n".join(lines) if fits else f"The QR code needs a window of {side + 6} by {len(lines) + 4}.")
        self.set_class(fits, "-drawn")


def half_blocks(matrix: list[bytes]) -> list[str]:
    """Two rows of modules a line; a dark module is ink."""
    rows = [*matrix, bytes(len(matrix[0]))] if len(matrix) % 2 else matrix
    return [
        "".join(_CELLS[bool(up), bool(down)] for up, down in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
