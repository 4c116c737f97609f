"""Content types, and what may stand in a text, a name and a reaction. SPEC.md section 9.3.

Whatever people write is UTF-8 in Unicode normalisation form C, with a bound in bytes; a sender makes it so, a receiver
refuses what is not.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from typing import Final

from .encoding import Reader
from .errors import BadText, DecodeError, TextTooLong

MAX_TEXT: Final = 16_000
"""Bytes of UTF-8 in NFC: what a 16,384-byte frame holds beside its fields. [R-9.3-2]"""
MAX_NAME: Final = 64
MAX_SIGN: Final = 40
"""Bytes of a reaction: the longest emoji that Unicode recommends for interchange has 35. [R-9.3-9]"""
MESSAGE_ID_SIZE: Final = 16
LEAST_TIMER: Final = 30
"""Seconds: shorter than it takes to read is a mistake."""
MOST_TIMER: Final = 28 * 86_400
"""Seconds; four weeks."""
IGNORABLE: Final = 0x8000


class ContentType(IntEnum):
    """Content types; those without a class are reserved. [R-9.3-1]"""

    TEXT = 1
    REPLY = 2
    EDIT = 3
    DELETE = 4
    REACTION = 5
    RECEIPT = 6
    TYPING = 7
    ATTACHMENT = 8
    EXPIRY = 9
    PROFILE = 10
    MANIFEST = 11
    GROUP = 12
    DEVICE = 13
    CONTROL = 14
    ADDRESSED = 15
    EXPIRING = 16


def normalize(text: str) -> str:
    """``text`` in NFC; BadText if it is empty or holds lone surrogates, TextTooLong past 16,000 bytes. [R-9.3-2]"""
    normal = unicodedata.normalize("NFC", text)
    try:
        length = len(normal.encode("utf-8"))
    except UnicodeEncodeError:
        raise BadText("the text holds characters that cannot be encoded") from None
    if not normal:
        raise BadText("the text is empty")
    if length > MAX_TEXT:
        raise TextTooLong(length, MAX_TEXT)
    return normal


def normalize_name(name: str) -> str:
    """A name in NFC without blanks around it; BadText past 64 bytes or with characters that draw nothing. [R-9.3-5]"""
    normal = unicodedata.normalize("NFC", name.strip())
    if not normal.isprintable() or len(normal.encode("utf-8", "replace")) > MAX_NAME:
        raise BadText(f"a name has at most {MAX_NAME} bytes and no control characters")
    return normal


def normalize_sign(sign: str) -> str:
    """A reaction in NFC, empty to take one back; BadText past 32 bytes or with blanks or controls. [R-9.3-9]"""
    normal = unicodedata.normalize("NFC", sign.strip())
    if len(normal.encode("utf-8", "replace")) > MAX_SIGN or not is_sign(normal):
        raise BadText(f"a reaction is one sign of at most {MAX_SIGN} bytes")
    return normal


def is_sign(text: str) -> bool:
    """Whether nothing in ``text`` is a blank, a control character or half a surrogate pair."""
    return not any(unicodedata.category(char) in {"Cc", "Cs", "Zs", "Zl", "Zp"} for char in text)


def read_writing(reader: Reader, name: str, most: int, least: int) -> str:
    """A text field in NFC of ``least`` to ``most`` bytes; DecodeError."""
    start = reader.offset
    text = reader.text(name, most, least)
    if not unicodedata.is_normalized("NFC", text):
        raise DecodeError(name, start, "not in NFC")
    return text


def read_timer(reader: Reader, *, off: bool) -> int:
    """Seconds u32 within the limits, or 0 where ``off`` is allowed; DecodeError. [R-9.3-11]"""
    start = reader.offset
    seconds = reader.u32("timer", MOST_TIMER)
    if seconds < LEAST_TIMER and not (off and seconds == 0):
        raise DecodeError("timer", start, f"{seconds} s is less than {LEAST_TIMER}")
    return seconds
