"""What frames carry for people: texts, profiles, return addresses. SPEC.md section 9.3.

Types from 0x8000 up may be ignored by a client that does not know them; any other unknown type is shown as a message
that needs a newer client. [R-9.3-3]
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from .encoding import Reader, lp, u8, u16, u64
from .envelope import MAX_RETURN_ADDRESS, ReturnAddress
from .errors import BadText, DecodeError, TextTooLong
from .frame import CAPACITIES

MAX_TEXT: Final = 16_000
"""Bytes of UTF-8 in NFC: what a 16,384-byte frame holds beside its fields. [R-9.3-2]"""
MAX_NAME: Final = 64
MESSAGE_ID_SIZE: Final = 16
IGNORABLE: Final = 0x8000


class ContentType(IntEnum):
    """Content types; those without a class here are reserved. [R-9.3-1]"""

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


class Control(IntEnum):
    """Session control."""

    TOP_UP = 1
    """Carries tokens and says nothing."""


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


def _read_text(reader: Reader, name: str, most: int, least: int) -> str:
    start = reader.offset
    text = reader.text(name, most, least)
    if not unicodedata.is_normalized("NFC", text):
        raise DecodeError(name, start, "not in NFC")
    return text


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


@dataclass(frozen=True, slots=True)
class Profile:
    """The name somebody gives themselves, perhaps none; never a proof of anything."""

    name: str = field(repr=False)

    TYPE = ContentType.PROFILE

    def encode(self) -> bytes:
        """LP(name), at most 64 bytes."""
        return lp(self.name.encode("utf-8"))


@dataclass(frozen=True, slots=True)
class TopUp:
    """Nothing but the tokens beside it; ``padding`` zero bytes lift the frame into a bucket with room for them."""

    padding: int = 0

    TYPE = ContentType.CONTROL

    def encode(self) -> bytes:
        """Control u8 || zeros."""
        return u8(Control.TOP_UP) + bytes(self.padding)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Content of a type this client does not know."""

    type: int
    ignorable: bool


Inner: TypeAlias = Text | Profile | TopUp
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
    reader = Reader(raw)
    if content_type != ContentType.ADDRESSED:
        return _decode_inner(content_type, reader)
    address = ReturnAddress.decode(reader.lp("return address", MAX_RETURN_ADDRESS))
    inner_type = reader.u16("inner type", least=1)
    inner_raw = reader.lp("inner content", CAPACITIES[-1])
    reader.end()
    return Addressed(address, _decode_inner(inner_type, Reader(inner_raw)))


def _decode_inner(content_type: int, reader: Reader) -> Inner | Unknown:
    parsed: Inner
    if content_type == ContentType.TEXT:
        message_id, sent = reader.fixed("message id", MESSAGE_ID_SIZE), reader.u64("sent")
        parsed = Text(message_id, sent, _read_text(reader, "text", MAX_TEXT, 1))
    elif content_type == ContentType.PROFILE:
        parsed = Profile(_read_text(reader, "name", MAX_NAME, 0))
    elif content_type == ContentType.CONTROL:
        reader.u8("control", Control.TOP_UP, Control.TOP_UP)
        parsed = TopUp(reader.left)
        reader.zeros("top-up padding", reader.left)
    elif content_type == ContentType.ADDRESSED:
        raise DecodeError("inner type", 0, "an address inside an address")
    else:
        return Unknown(content_type, content_type >= IGNORABLE)
    reader.end()
    return parsed
