"""What a client keeps about a conversation and about all of them, and each record's bytes in the vault.

Like those of ``records``, but each begins with the number of its form, for later ones to say more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from troth_protocol.encoding import Reader, lp, u8, u32, u64
from troth_protocol.snapshot import read_time_or_never, time_or_never

_FORM: Final = 1
_CHAT_FORM: Final = 2
"""Form 1 of a chat could not be muted."""
_LONGEST: Final = 1_024
"""Bytes of a notice."""


class Receipts(IntEnum):
    """Whether a contact is told what has arrived."""

    AS_ALL = 0
    ON = 1
    OFF = 2


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation: ``timer`` was set at ``timer_time``; ``keys`` is the hash of the devices we know.

    ``change`` is the notice nobody has read yet, ``reacted`` the time of our latest reaction, ``receipts_due`` when the
    next receipt goes; of a ``muted`` one nothing new is announced.
    """

    timer: int = 0
    timer_time: int = 0
    reacted: int = 0
    blocked: bool = False
    receipts: Receipts = Receipts.AS_ALL
    receipts_due: int | None = None
    keys: bytes = field(default=bytes(32), repr=False)
    change: str = field(default="", repr=False)
    muted: bool = False

    def encode(self) -> bytes:
        """The record's bytes."""
        times = u32(self.timer) + u64(self.timer_time) + u64(self.reacted)
        flags = u8(self.blocked) + u8(self.receipts) + time_or_never(self.receipts_due)
        return u8(_CHAT_FORM) + times + flags + self.keys + lp(self.change.encode()) + u8(self.muted)

    @classmethod
    def decode(cls, raw: bytes) -> Chat:
        """The record of ``encode``, or of form 1."""
        reader = Reader(raw)
        form = reader.u8("form", _CHAT_FORM, _FORM)
        timer, timer_time, reacted = reader.u32("timer"), reader.u64("timer time"), reader.u64("reacted")
        blocked, receipts = bool(reader.u8("blocked", 1)), Receipts(reader.u8("receipts", max(Receipts)))
        due, keys = read_time_or_never(reader), reader.fixed("keys", 32)
        change = reader.text("change", _LONGEST)
        muted = form >= _CHAT_FORM and bool(reader.u8("muted", 1))
        chat = cls(timer, timer_time, reacted, blocked, receipts, due, keys, change, muted)
        reader.end()
        return chat


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds where nothing else was decided."""

    receipts: bool = False

    def encode(self) -> bytes:
        """The record's bytes."""
        return u8(_FORM) + u8(self.receipts)

    @classmethod
    def decode(cls, raw: bytes) -> Settings:
        """The record of ``encode``."""
        reader = Reader(raw)
        reader.u8("form", _FORM, _FORM)
        settings = cls(bool(reader.u8("receipts", 1)))
        reader.end()
        return settings
