"""What is said about messages that were sent before: edits, deletions, reactions, receipts, the timer. SPEC.md 9.3.

Each names messages by their ids and carries what orders it against its like (a revision or a time), so that it may come
late, twice, or before what it is about, and always leaves the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .encoding import Reader, lp, u8, u32, u64
from .errors import DecodeError
from .writing import MAX_SIGN, MAX_TEXT, MESSAGE_ID_SIZE, ContentType, is_sign, read_timer, read_writing

MAX_RECEIPTS: Final = 64
"""Ids in one receipt: as many as a mailbox sends ahead of its acknowledgements, and they fit the next bucket."""
_DELIVERED: Final = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """New words for a text of the writer's own; of two edits the higher revision counts. [R-9.3-7]"""

    id: bytes = field(repr=False)
    revision: int
    edited: int
    text: str = field(repr=False)

    TYPE = ContentType.EDIT

    def encode(self) -> bytes:
        """Id 16 || revision u32 || edited u64 || LP(text)."""
        return self.id + u32(self.revision) + u64(self.edited) + lp(self.text.encode("utf-8"))

    @classmethod
    def read(cls, reader: Reader) -> Edit:
        """Parse an edit; DecodeError."""
        message_id, revision = reader.fixed("message id", MESSAGE_ID_SIZE), reader.u32("revision", least=1)
        return cls(message_id, revision, reader.u64("edited"), read_writing(reader, "text", MAX_TEXT, 1))


@dataclass(frozen=True, slots=True)
class Deletion:
    """A text of the writer's own is taken back, for good. [R-9.3-8]"""

    id: bytes = field(repr=False)
    deleted: int

    TYPE = ContentType.DELETE

    def encode(self) -> bytes:
        """Id 16 || deleted u64."""
        return self.id + u64(self.deleted)

    @classmethod
    def read(cls, reader: Reader) -> Deletion:
        """Parse a deletion; DecodeError."""
        return cls(reader.fixed("message id", MESSAGE_ID_SIZE), reader.u64("deleted"))


@dataclass(frozen=True, slots=True)
class Reaction:
    """The one sign its writer has under a message, empty for none; ``own`` if the message is the writer's. [R-9.3-9]"""

    own: bool
    id: bytes = field(repr=False)
    time: int
    sign: str = field(repr=False)

    TYPE = ContentType.REACTION

    def encode(self) -> bytes:
        """Own u8 || id 16 || time u64 || LP(sign)."""
        return u8(self.own) + self.id + u64(self.time) + lp(self.sign.encode("utf-8"))

    @classmethod
    def read(cls, reader: Reader) -> Reaction:
        """Parse a reaction; DecodeError."""
        own, message_id = bool(reader.u8("own", 1)), reader.fixed("message id", MESSAGE_ID_SIZE)
        time, start = reader.u64("time"), reader.offset
        sign = read_writing(reader, "sign", MAX_SIGN, 0)
        if not is_sign(sign):
            raise DecodeError("sign", start, "holds a blank or a control character")
        return cls(own, message_id, time, sign)


@dataclass(frozen=True, slots=True)
class Receipt:
    """These texts of the reader's have been stored by the writer's client. [R-9.3-10]"""

    ids: tuple[bytes, ...] = field(repr=False)

    TYPE = ContentType.RECEIPT

    def encode(self) -> bytes:
        """Kind u8 = 1, delivered || count u8 || id 16 * count."""
        return u8(_DELIVERED) + u8(len(self.ids)) + b"".join(self.ids)

    @classmethod
    def read(cls, reader: Reader) -> Receipt:
        """Parse a receipt; DecodeError."""
        reader.u8("receipt kind", _DELIVERED, _DELIVERED)
        count = reader.u8("count", MAX_RECEIPTS, 1)
        return cls(tuple(reader.fixed("message id", MESSAGE_ID_SIZE) for _ in range(count)))


@dataclass(frozen=True, slots=True)
class Expiry:
    """From now on texts in this conversation disappear after so many seconds, or with 0 stay. [R-9.3-11]"""

    seconds: int
    time: int

    TYPE = ContentType.EXPIRY

    def encode(self) -> bytes:
        """Seconds u32 || time u64."""
        return u32(self.seconds) + u64(self.time)

    @classmethod
    def read(cls, reader: Reader) -> Expiry:
        """Parse a timer; DecodeError."""
        return cls(read_timer(reader, off=True), reader.u64("time"))


Mark: TypeAlias = Edit | Deletion | Reaction | Receipt | Expiry
