"""Cards, and the bundle a card opens. SPEC.md section 5. Relay addresses and the form of links are ``address``'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from . import labels, primitives, wire
from .address import JoinLink, RelayAddress, from_link, to_link
from .encoding import Reader, lp, sha256, u8
from .errors import BadLink, DecodeError, Mismatch
from .keys import VERIFY_KEY_SIZE, VerifyKey
from .manifest import MAX_DEVICES, Manifest
from .manifest import MAX_SIZE as MAX_MANIFEST_SIZE
from .manifest import parse as parse_manifest
from .prekeys import STATEMENT_SIZE, PrekeyStatement, parse_statement
from .primitives import Randomness

__all__ = ["Bundle", "BundleEntry", "Card", "JoinLink", "RelayAddress", "open_bundle", "seal_bundle"]

CARD_SCHEME: Final = "troth:"
_NONCE_SIZE: Final = 12


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
        return to_link(CARD_SCHEME, self.relay.encode() + self.lookup + self.key + self.fingerprint + self.capability)

    @classmethod
    def from_link(cls, text: str) -> Card:
        """Parse a ``troth:`` link; BadLink."""
        reader = from_link(CARD_SCHEME, text)
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
