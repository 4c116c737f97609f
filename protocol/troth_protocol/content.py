"""What frames carry for people: texts, replies, profiles, return addresses, and what wraps them. SPEC.md section 9.3.

Types from 0x8000 up may be ignored by a client that does not know them; any other unknown type is shown as a message
that needs a newer client. [R-9.3-3]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from .encoding import Reader, lp, u8, u16, u32, u64
from .envelope import MAX_RETURN_ADDRESS, ReturnAddress
from .errors import DecodeError
from .frame import CAPACITIES
from .marks import Deletion, Edit, Expiry, Mark, Reaction, Receipt
from .writing import (
    IGNORABLE,
    MAX_NAME,
    MAX_TEXT,
    MESSAGE_ID_SIZE,
    ContentType,
    normalize,
    normalize_name,
    normalize_sign,
    read_timer,
    read_writing,
)

__all__ = [
    "IGNORABLE", "MAX_NAME", "MAX_TEXT", "MESSAGE_ID_SIZE", "Addressed", "Content", "ContentType", "Control",
    "Deletion", "Edit", "Expiring", "Expiry", "Inner", "Profile", "Reaction", "Receipt", "Reply", "Text", "TopUp",
    "Unknown", "Words", "decode", "normalize", "normalize_name", "normalize_sign", "wrap",
]  # fmt: skip


class Control(IntEnum):
    """Session control."""

    TOP_UP = 1
    """Carries tokens and says nothing."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text: message id 16 random bytes, the second it was written, and the words."""

    id: bytes = field(repr=False)
    sent: int
    text: str = field(repr=False)

    TYPE = ContentType.TEXT

    def encode(self) -> bytes:
        """Id 16 || sent u64 || LP(text)."""
        return self.id + u64(self.sent) + lp(self.text.encode("utf-8"))

    @classmethod
    def read(cls, reader: Reader) -> Text:
        """Parse a text; DecodeError."""
        message_id, sent = reader.fixed("message id", MESSAGE_ID_SIZE), reader.u64("sent")
        return cls(message_id, sent, read_writing(reader, "text", MAX_TEXT, 1))


@dataclass(frozen=True, slots=True)
class Reply:
    """A text that answers another message: the writer's ``own``, or the reader's, by its id. [R-9.3-6]"""

    id: bytes = field(repr=False)
    sent: int
    own: bool
    about: bytes = field(repr=False)
    text: str = field(repr=False)

    TYPE = ContentType.REPLY

    def encode(self) -> bytes:
        """Id 16 || sent u64 || own u8 || id of the message answered 16 || LP(text)."""
        return self.id + u64(self.sent) + u8(self.own) + self.about + lp(self.text.encode("utf-8"))

    @classmethod
    def read(cls, reader: Reader) -> Reply:
        """Parse a reply; DecodeError."""
        message_id, sent = reader.fixed("message id", MESSAGE_ID_SIZE), reader.u64("sent")
        own, about = bool(reader.u8("own", 1)), reader.fixed("answered id", MESSAGE_ID_SIZE)
        return cls(message_id, sent, own, about, read_writing(reader, "text", MAX_TEXT, 1))


@dataclass(frozen=True, slots=True)
class Profile:
    """The name somebody gives themselves, perhaps none; never a proof of anything."""

    name: str = field(repr=False)

    TYPE = ContentType.PROFILE

    def encode(self) -> bytes:
        """LP(name), at most 64 bytes."""
        return lp(self.name.encode("utf-8"))

    @classmethod
    def read(cls, reader: Reader) -> Profile:
        """Parse a profile; DecodeError."""
        return cls(read_writing(reader, "name", MAX_NAME, 0))


@dataclass(frozen=True, slots=True)
class TopUp:
    """Nothing but the tokens beside it; ``padding`` zero bytes lift the frame into a bucket with room for them."""

    padding: int = 0

    TYPE = ContentType.CONTROL

    def encode(self) -> bytes:
        """Control u8 || zeros."""
        return u8(Control.TOP_UP) + bytes(self.padding)

    @classmethod
    def read(cls, reader: Reader) -> TopUp:
        """Parse a top-up; DecodeError."""
        reader.u8("control", Control.TOP_UP, Control.TOP_UP)
        top_up = cls(reader.left)
        reader.zeros("top-up padding", reader.left)
        return top_up


@dataclass(frozen=True, slots=True)
class Unknown:
    """Content of a type this client does not know."""

    type: int
    ignorable: bool


Words: TypeAlias = Text | Reply
"""What is shown as a message of its own."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """Words that both sides erase ``seconds`` after they were sent, or read. [R-9.3-11]"""

    seconds: int
    inner: Words | Unknown

    TYPE = ContentType.EXPIRING

    def encode(self) -> bytes:
        """Seconds u32 || inner type u16 || LP(inner content); what is unknown is never sent."""
        if isinstance(self.inner, Unknown):
            raise DecodeError("inner type", 4, "unknown content cannot be sent")
        return u32(self.seconds) + u16(self.inner.TYPE) + lp(self.inner.encode())

    @classmethod
    def read(cls, reader: Reader) -> Expiring:
        """Parse words that disappear; DecodeError for anything else inside that is known."""
        seconds = read_timer(reader, off=False)
        start, inner_type = reader.offset, reader.u16("inner type", least=1)
        if inner_type in _KNOWN and inner_type not in _DISAPPEARING:  # nor itself: it would nest without end
            raise DecodeError("inner type", start, "not something that disappears")
        inner = _within(inner_type, reader.lp("inner content", CAPACITIES[-1]))
        if not isinstance(inner, Text | Reply | Unknown):
            raise DecodeError("inner type", start, "not something that disappears")
        return cls(seconds, inner)


_KNOWN: Final = frozenset(ContentType)
_DISAPPEARING: Final = frozenset({ContentType.TEXT, ContentType.REPLY, ContentType.ATTACHMENT})

Inner: TypeAlias = Words | Mark | Expiring | Profile | TopUp
"""What can be sent."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """A content with the sender's return address in front, until the receiver is known to hold it. [R-9.3-4]"""

    address: ReturnAddress
    inner: Inner | Unknown


Content: TypeAlias = Inner | Addressed | Unknown


def wrap(address: ReturnAddress, inner_type: int, inner: bytes) -> tuple[int, bytes]:
    """Frame type and content with a return address in front: LP(address) || inner type u16 || LP(inner). [R-9.3-4]"""
    return ContentType.ADDRESSED, lp(address.encode()) + u16(inner_type) + lp(inner)


def decode(content_type: int, raw: bytes) -> Content:
    """Parse content; DecodeError on trailing bytes, text that is not NFC, or an address inside an address."""
    if content_type != ContentType.ADDRESSED:
        return _within(content_type, raw)
    reader = Reader(raw)
    address = ReturnAddress.decode(reader.lp("return address", MAX_RETURN_ADDRESS))
    inner_type = reader.u16("inner type", least=1)
    inner_raw = reader.lp("inner content", CAPACITIES[-1])
    reader.end()
    return Addressed(address, _within(inner_type, inner_raw))


_READERS: Final[Mapping[int, Callable[[Reader], Inner]]] = {
    kind.TYPE: kind.read for kind in (Text, Reply, Edit, Deletion, Reaction, Receipt, Expiry, Profile, TopUp, Expiring)
}


def _within(content_type: int, raw: bytes) -> Inner | Unknown:
    """Any content but an address, read to its end."""
    if content_type == ContentType.ADDRESSED:
        raise DecodeError("inner type", 0, "an address inside an address")
    read = _READERS.get(content_type)
    if read is None:
        return Unknown(content_type, content_type >= IGNORABLE)
    reader = Reader(raw)
    parsed = read(reader)
    reader.end()
    return parsed
