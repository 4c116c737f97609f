"""The one encoding: fixed-order fields, big-endian fixed-width integers, length-prefixed byte strings.

One value has one encoding; a reader refuses short input, trailing bytes, over-long strings and values out of range, and
names the field and the offset. SPEC.md section 2.
"""

from __future__ import annotations

import hashlib
from typing import Final, NoReturn

from .errors import DecodeError

SUITE: Final = 0x0001
"""The only suite of troth/1; there is nothing to negotiate inside it. [R-2-5]"""

U8_MAX: Final = 0xFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF
U64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF


def u8(value: int) -> bytes:
    """One byte; raises OverflowError outside 0..255."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Two bytes, big-endian. [R-2-1]"""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return value.to_bytes(8, "big")


def lp(value: bytes) -> bytes:
    """LP(x): the length of x as u32, then x. [R-2-2]"""
    return len(value).to_bytes(4, "big") + value


def sha256(*parts: bytes) -> bytes:
    """H: SHA-256 over the concatenation, 32 bytes (FIPS 180-4)."""
    return hashlib.sha256(b"".join(parts)).digest()


def hidden(value: object) -> str:
    """The ``repr`` of a value that holds secrets: its type's name."""
    return f"<{type(value).__name__}>"


class Reader:
    """Reads one value from the front of a byte string, field by field; every refusal is a DecodeError. [R-2-3]"""

    __slots__ = ("_data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self.offset = offset

    def refuse(self, field: str, reason: str) -> NoReturn:
        """Raise DecodeError for ``field`` at the present offset."""
        raise DecodeError(field, self.offset, reason)

    def fixed(self, field: str, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        end = self.offset + length
        if end > len(self._data):
            self.refuse(field, f"{length} bytes wanted, {len(self._data) - self.offset} left")
        value = self._data[self.offset : end]
        self.offset = end
        return value

    def integer(self, field: str, width: int, most: int | None = None, least: int = 0) -> int:
        """A big-endian integer of ``width`` bytes within ``least``..``most``."""
        start = self.offset
        value = int.from_bytes(self.fixed(field, width), "big")
        if value < least or (most is not None and value > most):
            self.offset = start
            self.refuse(field, f"{value} is not within {least}..{most if most is not None else 'any'}")
        return value

    def u8(self, field: str, most: int = U8_MAX, least: int = 0) -> int:
        """One byte within ``least``..``most``."""
        return self.integer(field, 1, most, least)

    def u16(self, field: str, most: int = U16_MAX, least: int = 0) -> int:
        """Two bytes within ``least``..``most``."""
        return self.integer(field, 2, most, least)

    def u32(self, field: str, most: int = U32_MAX, least: int = 0) -> int:
        """Four bytes within ``least``..``most``."""
        return self.integer(field, 4, most, least)

    def u64(self, field: str, most: int = U64_MAX) -> int:
        """Eight bytes, at most ``most``."""
        return self.integer(field, 8, most)

    def lp(self, field: str, most: int, least: int = 0) -> bytes:
        """A length-prefixed byte string of ``least``..``most`` bytes; the length is checked first."""
        length = self.u32(f"{field} length", most, least)
        return self.fixed(field, length)

    def text(self, field: str, most: int, least: int = 0) -> str:
        """A length-prefixed UTF-8 string of at most ``most`` bytes."""
        start = self.offset
        raw = self.lp(field, most, least)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.offset = start
            self.refuse(field, "not UTF-8")

    def zeros(self, field: str, length: int) -> None:
        """``length`` zero bytes; padding carries nothing. [R-2-4]"""
        start = self.offset
        if self.fixed(field, length).count(0) != length:
            self.offset = start
            self.refuse(field, "padding that is not zero")

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self.offset

    def end(self) -> None:
        """Refuse trailing bytes."""
        if self.left:
            self.refuse("end", f"{self.left} trailing bytes")
