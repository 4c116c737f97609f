"""How a conversation becomes rows of cells: wrapped, inert, each sender's block under a name no text can forge.

A text is drawn behind a bar, a name, a day or a notice never is; what a message answers and what was put under it stand
behind bars of another shape. Whatever a message contains, it cannot look like something the program said. [R-13.1-8]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rich.cells import cell_len, chop_cells

from ..display import clock, day, inert
from ..events import MessageState
from ..views import MessageView
from ..wording import STATES

FOLD_CHARACTERS: Final = 4_000
"""Characters of one message that are drawn in the conversation; the rest is a key away, and no sender fills the log."""
FOLD_LINES: Final = 60
"""Lines of one message that are drawn in the conversation."""
MAX_DELAY: Final = 15 * 86_400
"""Seconds by which a sender's clock is believed to be behind ours: the relay keeps nothing for longer than 14 days."""
MIN_WIDTH: Final = 12
WORDS_FROM: Final = 44
"""Cells of a row from which a state has its word beside its sign."""
COUNTDOWN: Final = 6
"""Cells of the longest countdown and the blank behind it."""
MAX_SIGNS: Final = 8
"""Cells of one reaction that are drawn: one sign, however many joiners it holds."""
_WORD: Final = re.compile(r" +|[^ ]+")


class Kind(Enum):
    """What a row is, and so how it is drawn."""

    BLANK = "blank"
    DAY = "day"
    NEW = "new"
    NOTICE = "notice"
    OUR_NAME = "our-name"
    THEIR_NAME = "their-name"
    OURS = "ours"
    THEIRS = "theirs"
    QUOTE = "quote"
    GONE = "gone"
    FOLD = "fold"
    SIGNS = "signs"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Row:
    """One line on the screen: text on the left, what is known about it on the right."""

    kind: Kind
    text: str = field(default="", repr=False)
    meta: str = ""
    failed: bool = False
    ours: bool = False
    expires: int = 0
    """The second it disappears, for the countdown that is drawn before ``meta``; negative: how long it will have."""


def wrap(text: str, width: int) -> Iterator[str]:
    """``text`` in lines of at most ``width`` cells, broken between words where one fits."""
    for line in text.split("\n"):
        yield from _wrap_line(line, width)


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _wrap_line(line: str, width: int) -> Iterator[str]:
    if _cells(line) <= width:
        yield line
        return
    current, used = "", 0
    for word in _WORD.findall(line):
        size = _cells(word)
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
            used = _cells(current)
    if current:
        yield current


def when(message: MessageView) -> str:
    """When it was written, if its sender's clock may be right about that, else when it came."""
    if not message.stored - MAX_DELAY <= message.sent <= message.stored:
        return clock(message.stored)
    if day(message.sent) == day(message.stored):
        return clock(message.sent)
    return f"{day(message.sent)} {clock(message.sent)}"


def one_line(text: str, width: int) -> str:
    """Others' text on one inert line of at most ``width`` cells."""
    shown = inert(text[: 4 * width].replace("\n", " "))
    return shown if cell_len(shown) <= width else f"{(chop_cells(shown, width - 1) or [''])[0]}…"


def countdown(row: Row, now: float) -> str:
    """How long a row will be there: one number and its unit, or nothing."""
    left = -row.expires if row.expires < 0 else max(math.ceil(row.expires - now), 0) if row.expires else None
    if left is None:
        return ""
    for seconds, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if left >= 2 * seconds or left == seconds:
            return f"⧖{left // seconds}{unit} "
    return f"⧖{left}s "


def _speaker(message: MessageView) -> Kind:
    if message.state is MessageState.NOTICE:
        return Kind.NOTICE
    return Kind.OURS if message.ours else Kind.THEIRS


def _head(message: MessageView, before: MessageView | None, name: str, width: int, *, new: bool) -> list[Row]:
    """What stands above a message: a day, the mark of what is new, a name."""
    rows: list[Row] = []
    speaker, new_day = _speaker(message), before is None or day(before.stored) != day(message.stored)
    if new_day:
        rows += [Row(Kind.BLANK)] * (before is not None) + [Row(Kind.DAY, day(message.stored))]
    if new:
        rows.append(Row(Kind.NEW, "new"))
    if before is None or new_day or new or _speaker(before) is not speaker:
        rows.append(Row(Kind.BLANK))
        if speaker is not Kind.NOTICE:
            our = speaker is Kind.OURS
            rows.append(Row(Kind.OUR_NAME, "You") if our else Row(Kind.THEIR_NAME, one_line(name, width)))
    return rows


def _body(message: MessageView, speaker: Kind, width: int) -> list[Row]:
    if message.deleted:
        return [Row(Kind.GONE, "deleted", ours=message.ours)]
    shown = inert(message.text[:FOLD_CHARACTERS], lines=True)
    lines = list(wrap(shown, width))
    rows = [Row(speaker, line, ours=message.ours) for line in lines[:FOLD_LINES]]
    hidden = max(len(message.text) - FOLD_CHARACTERS, 0) + sum(map(len, lines[FOLD_LINES:]))
    if hidden:
        rows.append(Row(Kind.FOLD, f"… {hidden:,} more characters", ours=message.ours))
    return rows


def _quote(message: MessageView, width: int) -> list[Row]:
    if message.reply is None:
        return []
    whose = "you" if message.reply.message.ours else "them"
    text = one_line(message.reply.text, width - 8) or "a message that is not here"
    return [Row(Kind.QUOTE, f"↪ {whose}: {text}", ours=message.ours)]


def _under(message: MessageView, width: int) -> list[Row]:
    rows = []
    if message.state is MessageState.FAILED:
        why = f"not sent: {inert(message.why)}" if message.why else "not sent"
        rows += [Row(Kind.FAILURE, line, ours=True) for line in wrap(why, width)]
    if message.reactions:
        signs = [f"{one_line(each.sign, MAX_SIGNS)}{' (you)' * each.ours}" for each in message.reactions]
        rows += [Row(Kind.SIGNS, line, ours=message.ours) for line in wrap("  ".join(signs), width)]
    return rows


def layout(message: MessageView, before: MessageView | None, name: str, width: int, *, new: bool = False) -> list[Row]:
    """The rows of one message under what stands above it; ``name`` is inert, ``width`` in cells."""
    width = max(width, MIN_WIDTH)
    rows, speaker = _head(message, before, name, width, new=new), _speaker(message)
    if speaker is Kind.NOTICE:
        shown = inert(message.text[:FOLD_CHARACTERS], lines=True)
        return rows + [Row(Kind.NOTICE, line) for line in wrap(shown, max(width - 4, MIN_WIDTH))][:FOLD_LINES]
    sign, word = STATES.get(message.state, ("", ""))
    parts = ("edited" if message.edited else "", when(message), f"{sign} {word}" if width >= WORDS_FROM else sign)
    meta = " ".join(filter(None, (part.strip() for part in parts)))
    expires = message.expires or -message.timer
    rows += _quote(message, width - 2)
    *lines, last = _body(message, speaker, width - 2)
    if cell_len(last.text) + cell_len(meta) + 2 + COUNTDOWN * bool(expires) > width - 2:
        lines, last = [*lines, last], Row(speaker, ours=message.ours)
    failed = message.state is MessageState.FAILED
    ending = Row(last.kind, last.text, meta, failed, message.ours, expires)
    return [*rows, *lines, ending, *_under(message, width - 2)]
