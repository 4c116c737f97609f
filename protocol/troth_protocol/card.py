"""Addresses and cards as links, and the bundle a card opens. SPEC.md section 5.

``troth-relay:`` and ``troth:`` links are base64url (no padding) of suite u16 || fields || checksum 4.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from . import labels, primitives, wire
from .encoding import SUITE, U16_MAX, Reader, lp, sha256, u8, u16
from .errors import BadLink, DecodeError, Mismatch
from .keys import VERIFY_KEY_SIZE, VerifyKey
from .ledger import MAX_HOST
from .manifest import MAX_DEVICES, Manifest
from .manifest import MAX_SIZE as MAX_MANIFEST_SIZE
from .manifest import parse as parse_manifest
from .prekeys import STATEMENT_SIZE, PrekeyStatement, parse_statement
from .primitives import Randomness

CARD_SCHEME: Final = "troth:"
RELAY_SCHEME: Final = "troth-relay:"
CHECKSUM_SIZE: Final = 4
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.:_-]*[a-z0-9])?|::1?")
_NONCE_SIZE: Final = 12


def _to_link(scheme: str, fields: bytes) -> str:
    body = u16(SUITE) + fields
    checked = body + sha256(labels.LINK_CHECKSUM, body)[:CHECKSUM_SIZE]
    return scheme + base64.urlsafe_b64encode(checked).rstrip(b"=").decode("ascii")


def _from_link(scheme: str, text: str) -> Reader:
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
        return _to_link(RELAY_SCHEME, self.encode())

    @classmethod
    def from_link(cls, text: str) -> RelayAddress:
        """Parse a ``troth-relay:`` link; BadLink."""
        reader = _from_link(RELAY_SCHEME, text)
        try:
            address = cls.read(reader)
            reader.end()
        except DecodeError as error:
            raise BadLink(f"the relay link is malformed: {error}") from None
        return address


@dataclass(frozen=True, slots=True)
class Card:
    """What one person hands another so that they can be written to. [R-5.1-1]"""

    relay: RelayAddress
    lookup: bytes = field(repr=False)
    key: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)
    capability: bytes = field(repr=False)

    def link(self) -> str:
        """The ``troth:`` link."""
        return _to_link(CARD_SCHEME, self.relay.encode() + self.lookup + self.key + self.fingerprint + self.capability)

    @classmethod
    def from_link(cls, text: str) -> Card:
        """Parse a ``troth:`` link; BadLink."""
        reader = _from_link(CARD_SCHEME, text)
        try:
            card = cls(
                RelayAddress.read(reader),
                reader.fixed("lookup", 32),
                reader.fixed("card key", 32),
                reader.fixed("fp", 32),
                reader.fixed("capability", 32),
            )
            reader.end()
        except DecodeError as error:
            raise BadLink(f"the contact link is malformed: {error}") from None
        return card


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One device in a bundle: where it is reached and its prekeys."""

    mailbox: bytes = field(repr=False)
    statement: PrekeyStatement


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle: root key, manifest, and an entry for each device in the manifest's order."""

    root: VerifyKey
    manifest: Manifest
    entries: tuple[BundleEntry, ...]


def _bundle_key(card_key: bytes) -> bytes:
    return primitives.hkdf(bytes(32), card_key, labels.BUNDLE_KEY, 32)


def seal_bundle(
    card_key: bytes,
    lookup: bytes,
    root: VerifyKey,
    manifest: bytes,
    entries: tuple[tuple[bytes, bytes], ...],
    randomness: Randomness,
) -> bytes:
    """The bundle a relay stores at ``lookup``: 18,432 bytes, or 57,344 for several devices. [R-5.3-1]

    ``entries`` are (mailbox 32, statement) of each device. Nonce 12 random || ChaCha20-Poly1305, AD the lookup id.
    """
    parts = [root.raw, lp(manifest), u8(len(entries)), *(mailbox + lp(statement) for mailbox, statement in entries)]
    size = wire.BUNDLE_SIZE if len(entries) == 1 else wire.BUNDLE_SIZE_DEVICES
    plaintext = b"".join(parts).ljust(size - _NONCE_SIZE - primitives.AEAD_TAG_SIZE, b"\x00")
    nonce = randomness.draw(_NONCE_SIZE)
    return nonce + primitives.aead_seal(_bundle_key(card_key), nonce, plaintext, lookup)


def open_bundle(card_key: bytes, lookup: bytes, fingerprint: bytes, sealed: bytes) -> Bundle:
    """Open a bundle and verify everything in it up to ``fingerprint``, or raise a PeerError. [R-5.3-2]"""
    if len(sealed) not in (wire.BUNDLE_SIZE, wire.BUNDLE_SIZE_DEVICES):
        raise DecodeError("bundle", 0, f"{len(sealed)} bytes is not a bundle's size")
    nonce, ciphertext = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    plaintext = primitives.aead_open(_bundle_key(card_key), nonce, ciphertext, lookup)
    if plaintext is None:
        raise Mismatch("the bundle was not sealed under this card's key")
    reader = Reader(plaintext)
    root_raw = reader.fixed("root key", VERIFY_KEY_SIZE)
    if sha256(labels.ACCOUNT, root_raw) != fingerprint:
        raise Mismatch("the bundle is of another account than the card names")
    root = VerifyKey(root_raw)
    manifest = parse_manifest(reader.lp("manifest", MAX_MANIFEST_SIZE), root)
    count = reader.u8("entry count", MAX_DEVICES, 1)
    if count != len(manifest.devices):
        reader.refuse("entry count", f"{count} entries for {len(manifest.devices)} devices")
    entries = []
    for device in manifest.devices:
        mailbox = reader.fixed("mailbox", 32)
        statement = parse_statement(reader.lp("statement", STATEMENT_SIZE), fingerprint, device)
        entries.append(BundleEntry(mailbox, statement))
    reader.zeros("bundle padding", reader.left)
    return Bundle(root, manifest, tuple(entries))
