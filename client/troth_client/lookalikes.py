"""Names that look alike: a form in which they are equal, so that a window shows the fingerprint beside them.

After Unicode's TR 39 in idea, with a small table of our own: the Cyrillic, Greek and other letters that common fonts
draw like Latin ones. It is partial on purpose: it warns where it can, and nothing rests on it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_ALIKE: Final = {
    "3": "\u0437",
    "4": "\u0447",
    "6": "\u0431",
    "a": "@\u0251\u03b1\u0430\u13aa",
    "ae": "\u00e6",
    "b": "\u03b2\u0432",
    "c": "\u03c2\u0441\u13df",
    "d": "\u0111\u0501\u13a0",
    "e": "\u03b5\u0435\u0451\u13ac",
    "g": "\u0261\u0581",
    "h": "\u0127\u043d\u04bb\u0570\u13bb",
    "i": "\u0131\u0269\u03b9\u0456\u0457",
    "j": "\u0458\u13ab",
    "k": "\u03ba\u043a\u13e6",
    "l": "!1i|\u0142\u029f\u04cf",
    "m": "\u043c\u13b7",
    "n": "\u0274\u03b7\u043f\u0578",
    "o": "0\u00f8\u03bf\u03c3\u043e\u0585",
    "oe": "\u0153",
    "p": "\u03c1\u0440\u13e2",
    "q": "\u051b\u0566",
    "r": "\u0433\u13a1",
    "s": "$5\u0455\u13da",
    "t": "\u0167\u03c4\u0442\u13a2",
    "u": "\u03bc\u03c5\u0446\u057d",
    "v": "\u03bd\u0475",
    "w": "\u03c9\u0448\u051d\u13b3",
    "x": "\u03c7\u0445",
    "y": "\u03b3\u0443\u04af",
    "z": "\u03b6\u13c3",
}
"""What is drawn like each of these: Cyrillic, Greek, Armenian, Cherokee, Latin beyond a to z, digits and signs."""
_LATIN: Final = str.maketrans({char: letter for letter, alike in _ALIKE.items() for char in alike})


@lru_cache(maxsize=4_096)
def skeleton(name: str) -> str:
    """A form that names drawn alike share: no case, no accents, no blanks or signs, look-alikes made Latin."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(char for char in plain if unicodedata.category(char)[0] not in "CMZ")
    latin = kept.translate(_LATIN).translate(_LATIN)  # a look-alike of i is one of l
    letters = "".join(char for char in latin if char.isalnum()) or latin
    return letters.replace("rn", "m").replace("vv", "w").replace("cl", "d")


def confusable(names: Iterable[str]) -> frozenset[str]:
    """The skeletons that more than one of these names has."""
    counts = Counter(skeleton(name) for name in names)
    return frozenset(form for form, count in counts.items() if count > 1 and form)
