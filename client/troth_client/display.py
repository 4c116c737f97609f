"""Other people's words made harmless for a terminal, and the few formats every window and command shares.

A text or a name from somebody else may carry anything Unicode has: escape sequences, direction overrides, invisible
letters, a hundred accents on one base. Nothing of theirs is printed before it went through ``inert``.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from functools import lru_cache
from typing import Final

MAX_MARKS: Final = 4
"""Combining marks kept on one base: the deepest stacks of living scripts (Tibetan, pointed Hebrew) have four."""
_TAB: Final = " " * 4

_EMOJI: Final = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_ONE: Final = f"[{_EMOJI}][\U0001f3fb-\U0001f3ff]?\ufe0f?"
_NATIONS: Final = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in nation) + "\U000e007f"
    for nation in ("gbeng", "gbsct", "gbwls")
)
_TOKEN: Final = re.compile(
    f"(?P<emoji>{_NATIONS}|[0-9#*]\ufe0f\u20e3|{_ONE}(?:\u200d{_ONE}){{0,3}})|(?P<plain>[ -~]+(?!\ufe0f))|.",
    re.DOTALL,
)
"""An emoji with its skin tone and U+FE0F, up to four of them joined by U+200D, a keycap, or one of the three flags that
are spelt with tags. No sequence in Unicode's list joins more than four."""
_RESERVED: Final = (range(0x1F6D5, 0x1F700), range(0x1F7D9, 0x1F800), range(0x1FA70, 0x1FB00))
"""Where Unicode puts new emoji: all of it is pictographic already, so one newer than Python's tables is still shown."""

_ARABIC: Final = (range(0x0620, 0x064B), range(0x066E, 0x06D4), range(0x06FA, 0x0700), range(0x0750, 0x0780))
_ENDS_A_JOIN: Final = frozenset(
    {
        *(0x0627, 0x0629, 0x0648, 0x06C0, 0x06CD, 0x06CF, 0x06D2, 0x06D3, 0x076B, 0x076C, 0x0771, 0x0773, 0x0774),
        *(0x0778, 0x0779, *range(0x0622, 0x0626), *range(0x062F, 0x0633), *range(0x0671, 0x0674)),
        *(*range(0x0675, 0x0678), *range(0x0688, 0x069A), *range(0x06C3, 0x06CC), *range(0x0759, 0x075C)),
    }
)
"""Arabic letters joined to the one before and never to the one after. (Unicode 15, ArabicShaping.txt)"""
_NEVER_JOINED: Final = frozenset({0x0621, 0x0640, 0x0674})
_VIRAMA: Final = 9
"""The combining class of the signs after which Indic scripts choose a shape with a joiner."""

_UNSEEN: Final = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x16FE4, 0x1D159),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    }
)
"""Letters, marks and symbols that draw nothing: fillers, variation selectors, the blank Braille cell."""


@lru_cache(maxsize=4_096)
def _shown(char: str) -> tuple[str, bool]:
    """What stands for one character, and whether it is a mark on the one before it."""
    point, category = ord(char), unicodedata.category(char)
    if char == "\t":
        return _TAB, False
    if point < 0x20:
        return chr(0x2400 + point), False
    if point == 0x7F:
        return "\u2421", False
    if category[0] == "C" or category in {"Zl", "Zp"} or point in _UNSEEN:
        return f"‹U+{point:04X}›", False
    if category == "Zs":
        return " ", False
    return char, category[0] == "M"


def _is_arabic(char: str) -> bool:
    point = ord(char)
    return (
        any(point in block for block in _ARABIC) and point not in _NEVER_JOINED and unicodedata.category(char) == "Lo"
    )


def _shapes(text: str, at: int) -> bool:
    """Whether the joiner at ``at`` changes a shape that can be seen, by RFC 5892 A.1 and A.2; elsewhere it hides."""
    start = at
    while start and at - start <= MAX_MARKS and unicodedata.category(text[start - 1])[0] == "M":
        start -= 1
    if at - start > MAX_MARKS:
        return False
    if any(unicodedata.combining(mark) == _VIRAMA for mark in text[start:at]):
        return True
    before, after = text[start - 1 : start], text[at + 1 : at + 2]
    if text[at] != "\u200c" or not before or not after:
        return False
    return _is_arabic(before) and _is_arabic(after) and ord(before) not in _ENDS_A_JOIN


def _is_known(char: str) -> bool:
    return unicodedata.category(char) != "Cn" or any(ord(char) in block for block in _RESERVED)


class _Marks:
    """Counts the marks on one base and says how many were left out."""

    def __init__(self) -> None:
        self.based = False
        self.count = 0

    def take(self, mark: str) -> str:
        """The mark, on a dotted circle if it has no base; nothing once there are too many."""
        self.count += 1
        if self.count > MAX_MARKS:
            return ""
        circle = "" if self.based else "\u25cc"
        self.based = True
        return circle + mark

    def end(self, *, based: bool) -> str:
        """Begin another base; the note on what was left out of the one before."""
        left_out, self.count, self.based = self.count - MAX_MARKS, 0, based
        return f"‹+{left_out} marks›" if left_out > 0 else ""


def inert(text: str, *, lines: bool = False, joiners: bool = True) -> str:
    """``text`` with everything visible that a terminal would obey or a reader could not see, in NFC. [R-13.1-8]

    Control characters become U+2400 pictures (␛, ␀); C1, direction, zero-width, tag, filler, private, unassigned and
    surrogate characters and line separators become ‹U+202E›; more than four marks on a base become ‹+N marks›; any
    blank is a space, a tab four. Line feeds stay only with ``lines``. U+200D and U+FE0F stay inside emoji; with
    ``joiners``, U+200C and U+200D also where a script shapes its letters by them. The marks are counted before
    normalizing, which takes quadratic time in a long run of them.
    """
    if text.isascii() and text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n")
    parts: list[str] = []
    marks = _Marks()
    for token in _TOKEN.finditer(text):
        piece = token[0]
        if token["plain"] or (token["emoji"] and all(map(_is_known, piece))):
            parts += marks.end(based=True), piece
            continue
        if lines and piece == "\n":
            parts += marks.end(based=False), piece
            continue
        if joiners and piece in "\u200c\u200d" and _shapes(text, token.start()):
            parts += marks.end(based=True), piece
            continue
        for char in piece:
            shown, is_mark = _shown(char)
            if is_mark:
                parts.append(marks.take(shown))
            else:
                parts += marks.end(based=shown == char), shown
    parts.append(marks.end(based=False))
    return unicodedata.normalize("NFC", "".join(parts))


def typed(text: str) -> str:
    """What a paste may put into a field: line ends as ``\\n``, without control, direction or tag characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    kept = "\n\u200c\u200d"
    return "".join(
        char if char in kept or unicodedata.category(char) not in {"Cc", "Cf", "Cs"} else _TAB if char == "\t" else ""
        for char in text
    )


def called(name: str, fingerprint: bytes) -> str:
    """A name on one line, inert, every joiner of letters shown: two names that look the same must be the same.

    The start of the fingerprint where a name shows nothing.
    """
    return inert(name, joiners=False).strip() or short_fingerprint(fingerprint)


def short_fingerprint(fingerprint: bytes) -> str:
    """The first 8 bytes in 4 groups of 4 hex digits: for telling apart, not for comparing."""
    return _groups(fingerprint[:8])


def full_fingerprint(fingerprint: bytes, *, columns: int = 16) -> str:
    """All of it in groups of 4 hex digits, ``columns`` groups a line."""
    groups = _groups(fingerprint).split()
    return "\n".join(" ".join(groups[at : at + columns]) for at in range(0, len(groups), columns))


def _groups(raw: bytes) -> str:
    digits = raw.hex()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def _local(seconds: int) -> datetime | None:
    """Local time, or None for a second no calendar has: ``sent`` is whatever the sender wrote."""
    try:
        return datetime.fromtimestamp(seconds)
    except (OverflowError, OSError, ValueError):
        return None


def clock(seconds: int, now: int | None = None) -> str:
    """HH:MM in local time; with ``now``, a date such as ``30 Sep`` where the day is another one."""
    moment = _local(seconds)
    if moment is None:
        return "--:--"
    if now is not None and day(seconds) != day(now):
        return moment.strftime("%d %b" if day(seconds)[4:8] == day(now)[4:8] else "%Y-%m-%d")
    return moment.strftime("%H:%M")


def day(seconds: int) -> str:
    """The local day, such as ``Tue 2025-09-30``."""
    moment = _local(seconds)
    return moment.strftime("%a %Y-%m-%d") if moment else "an impossible day"
