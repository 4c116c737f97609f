"""What an owner may ask about everything a relay keeps of them, and about who may write to them; SPEC.md 11.3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..encoding import Reader, u16
from . import MAX_REFUSED, NONCE_SIZE, Type


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase this mailbox: every row of it, and the key to its part of every backup. Needs a proof. [R-11.7-5]"""

    TYPE: ClassVar = Type.ERASE

    def body(self) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def read(cls, _: Reader) -> Erase:
        """Parse a body."""
        return cls()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Treat these token nonces as spent, without an envelope. Needs a proof. [R-10.2-8]"""

    TYPE: ClassVar = Type.REFUSE
    nonces: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Count u16 || nonce 16 * count."""
        return u16(len(self.nonces)) + b"".join(self.nonces)

    @classmethod
    def read(cls, reader: Reader) -> Refuse:
        """Parse a body."""
        count = reader.u16("refused count", MAX_REFUSED, 1)
        return cls(tuple(reader.fixed("nonce", NONCE_SIZE) for _ in range(count)))
