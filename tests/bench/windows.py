"""What a person waits for at the windows, measured on a fake conversation of 100,000 messages without a terminal.

``python tests/bench/windows.py`` prints the rows; ``rows()`` gives them to ``tests/bench/client.py``.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
if sys.path[1:2] == [str(Path(__file__).parent)]:
    sys.path.pop(1)  # client.py is there, and has the name of a package of tests

from textual.events import Key

from client.fake_conversations import ALICE, BOB, LONG, FakeConversations
from client.windows import Window, window


class Row(NamedTuple):
    """One figure: what, milliseconds, the most that DESIGN.md allows."""

    what: str
    ms: float
    most_ms: float


async def _until_shown(opened: Window, text: str) -> float:
    began = time.perf_counter()
    while text not in opened.screen:  # noqa: ASYNC110 (measured)
        await asyncio.sleep(0)
    return (time.perf_counter() - began) * 1_000


async def _measure() -> list[Row]:
    found: list[Row] = []
    fake = FakeConversations(LONG)
    began = time.perf_counter()
    async with window(fake, size=(120, 40)) as opened:
        found.append(Row("first paint", (time.perf_counter() - began) * 1_000, 1_000))
        await opened.open(BOB)
        opened.contacts.mark(ALICE)
        opened.contacts.focus()
        await opened.pilot.pause()
        began = time.perf_counter()
        opened.app.main.open_and_focus(ALICE)
        await _until_shown(opened, f"message {LONG}")
        found.append(Row(f"open a conversation of {LONG:,} messages", (time.perf_counter() - began) * 1_000, 500))
        await opened.pilot.pause()
        keys = []
        for letter in "thequickbrownfoxjumpsover":
            began = time.perf_counter()
            before = opened.composer.text
            opened.app.post_message(Key(letter, letter))
            await _until_shown(opened, before + letter)
            keys.append((time.perf_counter() - began) * 1_000)
        found.append(Row("key to screen, median of 25", statistics.median(keys), 50))
        opened.log.focus()
        pages = []
        for _ in range(200):
            at = opened.log.scroll_offset.y, opened.log.loaded
            began = time.perf_counter()
            opened.app.post_message(Key("pageup", None))
            while (opened.log.scroll_offset.y, opened.log.loaded) == at:  # noqa: ASYNC110 (measured)
                await asyncio.sleep(0)
            opened.app.screen._compositor.render_strips()
            pages.append((time.perf_counter() - began) * 1_000)
        found.append(Row("a page up, 95th of 200", statistics.quantiles(pages, n=20)[-1], 100))
        resizes = []
        for size in ((80, 24), (250, 80), (60, 20), (120, 40)):
            began = time.perf_counter()
            await opened.pilot.resize_terminal(*size)
            await opened.pilot.pause()
            resizes.append((time.perf_counter() - began) * 1_000)
        found.append(Row("resize far up in it, slowest of 4", max(resizes), 500))
        began = time.perf_counter()
        await opened.pilot.press("home")
        await _until_shown(opened, "message 1 ")
        found.append(Row("to its first message", (time.perf_counter() - began) * 1_000, 500))
    return found


def rows() -> list[Row]:
    """All figures of one run; the first one includes loading Textual if nobody has."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for row in rows():
        print(f"{row.what:<44} {row.ms:8.1f} ms   (at most {row.most_ms:,.0f})")
