"""Frames: what one message carries besides its text, always padded to a bucket. SPEC.md section 9.

frame = type u16 || LP(content) || kind u8 || start u8 || count u8 || symbols 32 each || stock u16
        || token count u8 || token expiry u64 || tokens 32 each || zeros
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from .encoding import hidden
from .errors import DecodeError, TextTooLong
from .token import TOKEN_SIZE

BUCKETS: Final = (1_024, 4_096, 16_384, 65_536)
SYMBOL: Final = 32
KEY_SYMBOLS: Final = 38
"""ML-KEM-768 key 1,184 || MAC 32, in symbols."""
CIPHERTEXT_SYMBOLS: Final = 35
"""ML-KEM-768 ciphertext 1,088 || MAC 32, in symbols. [R-8.1-1]"""
RESERVED_SYMBOLS: Final = 5
"""Symbols every frame has room for, so that a bucket never tells the phase of the exchange. [R-9.1-3]"""
RESERVED: Final = RESERVED_SYMBOLS * SYMBOL
OVERHEAD: Final = 20
CAPACITIES: Final = tuple(bucket - OVERHEAD - RESERVED for bucket in BUCKETS)
"""Content bytes a bucket takes: 844, 3,916, 16,204, 65,356."""
STOCK_UNKNOWN: Final = 0xFFFF
_HEAD: Final = struct.Struct(">HI")
_RUN: Final = struct.Struct(">BBB")
_TAIL: Final = struct.Struct(">HBQ")


class Kind(IntEnum):
    """What the symbols in a frame are of."""

    NONE = 0
    KEY = 1
    CIPHERTEXT = 2


SYMBOL_COUNT: Final[dict[int, int]] = {Kind.NONE: 0, Kind.KEY: KEY_SYMBOLS, Kind.CIPHERTEXT: CIPHERTEXT_SYMBOLS}


class Symbols(NamedTuple):
    """A run of 32-byte symbols; indices wrap after the last."""

    kind: Kind = Kind.NONE
    start: int = 0
    data: bytes = b""

    def __repr__(self) -> str:
        return hidden(self)


class Tokens(NamedTuple):
    """Delivery tokens the sender gives the receiver, and the second they stop working."""

    expires: int = 0
    tokens: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return hidden(self)


NO_SYMBOLS: Final = Symbols()
NO_TOKENS: Final = Tokens()


class Frame(NamedTuple):
    """One decoded frame; ``stock`` is how many tokens its sender has left for us."""

    type: int
    content: bytes
    symbols: Symbols = NO_SYMBOLS
    stock: int = STOCK_UNKNOWN
    tokens: Tokens = NO_TOKENS

    def __repr__(self) -> str:
        return hidden(self)


def bucket_for(content_length: int) -> int:
    """The smallest bucket for so many content bytes; TextTooLong past 65,356. [R-9.2-1]"""
    for bucket in BUCKETS:
        if content_length <= bucket - OVERHEAD - RESERVED:
            return bucket
    raise TextTooLong(content_length, CAPACITIES[-1])


def token_room(content_length: int) -> int:
    """How many tokens fit beside this content and the five reserved symbols, at most 255. [R-9.1-3]"""
    return min((bucket_for(content_length) - OVERHEAD - content_length - RESERVED) // TOKEN_SIZE, 255)


def symbol_room(content_length: int, token_count: int) -> int:
    """How many symbols fit beside this content and so many tokens; at least five."""
    return (bucket_for(content_length) - OVERHEAD - content_length - token_count * TOKEN_SIZE) // SYMBOL


def encode(frame: Frame) -> bytes:
    """The frame, padded with zeros to its bucket; ValueError if it does not fit. [R-9.1-1]"""
    content_type, content, (kind, start, data), stock, (expires, tokens) = frame
    head = _HEAD.pack(content_type, len(content))
    run = _RUN.pack(kind, start, len(data) // SYMBOL)
    tail = _TAIL.pack(stock, len(tokens), expires)
    bucket = bucket_for(len(content))
    padded = b"".join((head, content, run, data, tail, *tokens)).ljust(bucket, b"\x00")
    if len(padded) != bucket:  # a longer frame would leave the buckets, and tell
        raise ValueError(f"{len(padded)} bytes do not fit a frame of {bucket}")
    return padded


def decode(raw: bytes) -> Frame:
    """Parse a frame; DecodeError on a wrong bucket, length, kind, index, expiry or padding. [R-9.1-2]

    Written out rather than read field by field: it stands in the path of every message.
    """
    size = len(raw)
    if size not in BUCKETS:
        raise DecodeError("frame", 0, f"{size} bytes is not a bucket")
    content_type, length = _HEAD.unpack_from(raw)
    at = _HEAD.size + length
    if content_type == 0:
        raise DecodeError("frame type", 0, "0 is no type")
    if length > CAPACITIES[-1] or bucket_for(length) != size:
        raise DecodeError("frame content length", 2, f"{length} content bytes do not belong in a frame of {size}")
    # The bucket leaves room for everything up to here and five symbols, so no field below starts past the end.
    kind, start, count = _RUN.unpack_from(raw, at)
    run, after = at + _RUN.size, at + _RUN.size + count * SYMBOL
    total = SYMBOL_COUNT.get(kind)
    if total is None:
        raise DecodeError("symbol kind", at, f"{kind} is no kind")
    if count > total or start >= max(total, 1) or (total and not count):
        raise DecodeError("symbols", at + 1, f"{count} from {start} of {total}")
    if after + _TAIL.size > size:
        raise DecodeError("symbols", run, f"{count} symbols do not fit")
    stock, token_count, expires = _TAIL.unpack_from(raw, after)
    end = after + _TAIL.size + token_count * TOKEN_SIZE
    if end > size:
        raise DecodeError("tokens", after, f"{token_count} tokens do not fit")
    if (token_count == 0) != (expires == 0):
        raise DecodeError("token expiry", after + 3, f"{expires} with {token_count} tokens")
    if raw.count(0, end) != size - end:
        raise DecodeError("frame padding", end, "padding that is not zero")
    symbols = Symbols(Kind(kind), start, raw[run:after]) if count else NO_SYMBOLS
    tokens = NO_TOKENS
    if token_count:
        first = after + _TAIL.size
        tokens = Tokens(expires, tuple(raw[place : place + TOKEN_SIZE] for place in range(first, end, TOKEN_SIZE)))
    return Frame(content_type, raw[_HEAD.size : at], symbols, stock, tokens)
