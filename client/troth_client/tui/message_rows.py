"""How a conversation becomes rows of cells: wrapped, inert, each sender's block under a name no text can forge.

A text is drawn behind a bar, a name, a day or a notice never is: whatever a message contains, it cannot look like
something the program said. [R-13.1-8]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rich.cells import cell_len, chop_cells

from ..display import clock, day, inert
from ..events import MessageState
from ..views import MessageView

MAX_SHOWN: Final = 20_000
"""Characters of one message that are drawn: more than any text that can arrive (16,000 bytes)."""
MAX_DELAY: Final = 15 * 86_400
"""Seconds by which a sender's clock is believed to be behind ours: the relay keeps nothing for longer than 14 days."""
MIN_WIDTH: Final = 12
_WORD: Final = re.compile(r" +|[^ ]+")

_STATES: Final = {
    MessageState.QUEUED: "… queued",
    MessageState.AT_RELAY: "✓ at relay",
    MessageState.FAILED: "✗ failed",
}


class Kind(Enum):
    """What a row is, and so how it is drawn."""

    BLANK = "blank"
    DAY = "day"
    NOTICE = "notice"
    OUR_NAME = "our-name"
    THEIR_NAME = "their-name"
    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Row:
    """One line on the screen: text on the left, what is known about it on the right."""

    kind: Kind
    text: str = field(default="", repr=False)
    meta: str = ""
    failed: bool = False


def wrap(text: str, width: int) -> Iterator[str]:
    """``text`` in lines of at most ``width`` cells, broken between words where one fits."""
    for line in text.split("\n"):
        yield from _wrap_line(line, width)


def _wrap_line(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    current, used = "", 0
    for word in _WORD.findall(line):
        size = cell_len(word)
        if used + size <= width:
            current, used = current + word, used + size
        elif word[0] == " ":
            yield current
            current, used = "", 0
        else:
            if current:
                yield current.rstrip(" ")
            *full, current = chop_cells(word, width) or [""]
            yield from full
            used = cell_len(current)
    if current:
        yield current


def _when(message: MessageView) -> str:
    """When it was written, if its sender's clock may be right about that, else when it came."""
    if not message.stored - MAX_DELAY <= message.sent <= message.stored:
        return clock(message.stored)
    if day(message.sent) == day(message.stored):
        return clock(message.sent)
    return f"{day(message.sent)} {clock(message.sent)}"


def _body(message: MessageView) -> str:
    shown = inert(message.text[:MAX_SHOWN], lines=True)
    left_out = len(message.text) - MAX_SHOWN
    return f"{shown}\n‹{left_out:,} more characters›" if left_out > 0 else shown


def _speaker(message: MessageView) -> Kind:
    if message.state is MessageState.NOTICE:
        return Kind.NOTICE
    return Kind.OURS if message.ours else Kind.THEIRS


def layout(message: MessageView, before: MessageView | None, name: str, width: int) -> list[Row]:
    """The rows of one message under what stands above it; ``name`` is inert, ``width`` in cells."""
    width = max(width, MIN_WIDTH)
    rows: list[Row] = []
    speaker, new_day = _speaker(message), before is None or day(before.stored) != day(message.stored)
    if new_day:
        rows += [Row(Kind.BLANK)] * (before is not None) + [Row(Kind.DAY, day(message.stored))]
    new_speaker = before is None or new_day or _speaker(before) is not speaker
    if new_speaker:
        rows.append(Row(Kind.BLANK))
    if speaker is Kind.NOTICE:
        return rows + [Row(Kind.NOTICE, line) for line in wrap(_body(message), width - 4)]
    if new_speaker:
        rows.append(Row(Kind.OUR_NAME, "You") if message.ours else Row(Kind.THEIR_NAME, name))
    meta = " ".join(filter(None, (_when(message), _STATES.get(message.state, ""))))
    failed = message.state is MessageState.FAILED
    lines = list(wrap(_body(message), width - 2))
    if cell_len(lines[-1]) + cell_len(meta) + 2 > width - 2:
        lines.append("")
    rows += [Row(speaker, line) for line in lines[:-1]]
    rows.append(Row(speaker, lines[-1], meta, failed))
    return rows
