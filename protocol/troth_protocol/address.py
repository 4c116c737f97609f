"""Where a relay is and whose it is, and the form of every link; standard library only. SPEC.md sections 5.1 and 5.2.

``troth-relay:`` and ``troth:`` links are base64url (no padding) of suite u16 || fields || checksum 4.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from . import labels
from .encoding import SUITE, U16_MAX, Reader, lp, sha256, u16
from .errors import BadLink, DecodeError

RELAY_SCHEME: Final = "troth-relay:"
CHECKSUM_SIZE: Final = 4
MAX_HOST: Final = 253
"""The longest DNS name (RFC 1035 section 2.3.4)."""
MAX_INVITE: Final = 64
"""Of an invitation, which only the relay that made it can read."""
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.:_-]*[a-z0-9])?|::1?")


def to_link(scheme: str, fields: bytes) -> str:
    """A link with these fields."""
    body = u16(SUITE) + fields
    checked = body + sha256(labels.LINK_CHECKSUM, body)[:CHECKSUM_SIZE]
    return scheme + base64.urlsafe_b64encode(checked).rstrip(b"=").decode("ascii")


def from_link(scheme: str, text: str) -> Reader:
    """The fields of a link whose checksum holds and whose base64 is canonical; BadLink. [R-5.2-1]"""
    text = text.strip()
    if not text.startswith(scheme):
        raise BadLink(f"this is not a {scheme} link")
    encoded = text[len(scheme) :]
    try:
        checked = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadLink("the link has characters that do not belong in it, or is cut short") from None
    if base64.urlsafe_b64encode(checked).rstrip(b"=").decode("ascii") != encoded or len(checked) < 2 + CHECKSUM_SIZE:
        raise BadLink("the link is not in its one spelling")
    body, checksum = checked[:-CHECKSUM_SIZE], checked[-CHECKSUM_SIZE:]
    if sha256(labels.LINK_CHECKSUM, body)[:CHECKSUM_SIZE] != checksum:
        raise BadLink("the link is mistyped or cut short: its checksum does not match")
    reader = Reader(body)
    if reader.u16("link suite") != SUITE:
        raise BadLink("the link is for another version of troth")
    return reader


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay is and whose it is: host of at most 253 bytes, port, operator fingerprint 32."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    fingerprint: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host) or len(self.host) > MAX_HOST or not 0 < self.port <= U16_MAX:
            raise DecodeError("relay host", 0, "not a lower-case host name or address with a port")

    def encode(self) -> bytes:
        """LP(host) || port u16 || fingerprint 32."""
        return lp(self.host.encode("ascii")) + u16(self.port) + self.fingerprint

    @classmethod
    def read(cls, reader: Reader) -> RelayAddress:
        """Parse an address; DecodeError. [R-5.1-1]"""
        return cls(reader.text("relay host", MAX_HOST, 1), reader.u16("relay port"), reader.fixed("relay", 32))

    def link(self) -> str:
        """The ``troth-relay:`` link by which a client joins."""
        return to_link(RELAY_SCHEME, self.encode())

    @classmethod
    def from_link(cls, text: str) -> RelayAddress:
        """Parse a ``troth-relay:`` link; BadLink."""
        reader = from_link(RELAY_SCHEME, text)
        try:
            address = cls.read(reader)
            reader.end()
        except DecodeError as error:
            raise BadLink(f"the relay link is malformed: {error}") from None
        return address


@dataclass(frozen=True, slots=True)
class JoinLink:
    """How a client joins a relay: its address, and an invitation of 1 to 64 bytes where one is needed."""

    relay: RelayAddress
    invite: bytes = field(default=b"", repr=False)

    def link(self) -> str:
        """The ``troth-relay:`` link; without an invitation it is the address's. [R-5.2-2]"""
        return to_link(RELAY_SCHEME, self.relay.encode() + (lp(self.invite) if self.invite else b""))

    @classmethod
    def from_link(cls, text: str) -> JoinLink:
        """Parse a ``troth-relay:`` link with or without an invitation; BadLink."""
        reader = from_link(RELAY_SCHEME, text)
        try:
            relay = RelayAddress.read(reader)
            invite = reader.lp("invitation", MAX_INVITE, 1) if reader.left else b""
            reader.end()
        except DecodeError as error:
            raise BadLink(f"the relay link is malformed: {error}") from None
        return cls(relay, invite)
