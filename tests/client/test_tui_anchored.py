"""Doubtful widths: whatever a terminal makes of an emoji, what stands behind it stays in its column."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from client.fake_conversations import FakeConversations
from troth_client.tui import TrothApp
from troth_client.tui.anchored import anchored, driver

HEART, TONE, FAMILY, FLAG = "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea"
_PIECE = re.compile(r"\x1b7( *)\x1b8(.*?)\x1b8(?:\x1b\[(\d+)C)?")


@pytest.mark.parametrize("sign", [HEART, TONE, FAMILY, FLAG, "\U0001fabf", "1\ufe0f\u20e3", FAMILY * 2])
def test_a_sign_is_given_its_cells_and_the_cursor_is_put_behind_it(sign: str) -> None:
    drawn = anchored(f"a {sign} b")
    pieces = _PIECE.findall(drawn)
    assert "".join(piece for _, piece, _ in pieces) == sign
    assert sum(int(on) for _, _, on in pieces) == cell_len(sign)
    assert all(len(blank) == int(on) for blank, _, on in pieces)
    assert _PIECE.sub(r"\2", drawn) == f"a {sign} b"
    assert "\x1b[?7h" not in drawn  # the terminal goes on not to wrap: what is too wide ends at its edge


def test_letters_boxes_and_commands_are_left_alone() -> None:
    for data in ("plain", "\x1b[31mé ü 漢字 ┃ ▌ ✓ …", "हिन्दी สวัสดี שלום", f"\x1b]9;Troth: {HEART}\x1b\\"):
        assert anchored(data) == data


def test_the_windows_write_through_it() -> None:
    app = TrothApp(FakeConversations(), "Troth")
    assert app.driver_class.__name__ == "AnchoredDriver"
    assert driver() is not None
