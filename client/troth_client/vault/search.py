"""Searching the vault: whole words and beginnings of words, newest first, from an index that lies in the same file.

What a person types is words and nothing else: each is quoted, so no operator of the index's language can be written,
and words without a letter or digit find nothing. Case and accents do not matter. Scripts written without blanks are
found from the beginning of a run of letters.
"""

from __future__ import annotations

from typing import Final

import apsw

from ..views import Hit
from .messages import Messages

MOST_CHARACTERS: Final = 256
"""Of what is typed into a search; the rest is not looked at."""
MOST_WORDS: Final = 16
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Around a hit in a snippet: code points that are never characters."""
_TOKENS: Final = 16
"""Words in a snippet."""


def query(typed: str) -> str:
    """What the index is asked for words that a person typed; empty if there is nothing to look for."""
    clean = typed[:MOST_CHARACTERS].encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    words = [word.replace('"', '""') for word in clean.split()[:MOST_WORDS] if any(map(str.isalnum, word))]
    return " ".join(f'"{word}"*' for word in words)


def search(
    db: apsw.Connection, messages: Messages, typed: str, contact: bytes | None, before: int | None, limit: int
) -> list[Hit]:
    """Messages with all these words, newest first, before a row if one is given."""
    asked = query(typed)
    if not asked:
        return []
    found = db.execute(
        "SELECT m.row, c.contact, snippet(words, 0, ?1, ?2, '…', ?3) FROM words JOIN message AS m ON m.row = "
        "words.rowid JOIN chat AS c ON c.number = m.chat WHERE words MATCH ?4 AND words.rowid < ?5 "
        "AND (?6 IS NULL OR m.chat = ?6) "
        "ORDER BY words.rowid DESC LIMIT ?7",
        (
            _OPEN, _CLOSE, _TOKENS, asked, 2**62 if before is None else before,
            None if contact is None else messages.chat(contact), limit,
        ),
    )  # fmt: skip
    hits = []
    for row, whose, marked in list(found):
        (message,) = messages.read(whose, "m.row = ?2", (row,), down=False, limit=1)
        snippet, ranges = _ranges(marked)
        hits.append(Hit(whose, message, snippet, ranges))
    return hits


def _ranges(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A snippet on one line without its marks, and where they stood; a sender's own are dropped too."""
    parts: list[str] = []
    ranges: list[tuple[int, int]] = []
    length, start = 0, -1
    for char in marked:
        if char == _OPEN:
            start = length
        elif char == _CLOSE:
            if 0 <= start < length:
                ranges.append((start, length))
            start = -1
        else:
            parts.append(" " if char in "\r\n" else char)
            length += 1
    return "".join(parts), tuple(ranges)
