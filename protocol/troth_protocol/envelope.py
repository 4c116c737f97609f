"""The first message: what A seals to B's SEAL key so that relay and mailbox never learn A. SPEC.md section 6.3.

plaintext = suite u16 || mode u8 || id_A 16 || id_B 16 || EK_A 32 || ct 1,088 || H(manifest_B) 32
            || H(statement_B) 32 || leaf index u8 || root key_A 1,984 || LP(manifest_A) || LP(return address)
            || LP(message 1,154) || zeros
return address = relay address || mailbox 32 || lookup id 32 || K_card 32 || spare 32
                 || token count u8 || token expiry u64 || tokens 32 each
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from . import labels, primitives
from .card import RelayAddress
from .encoding import SUITE, Reader, lp, u8, u16, u64
from .errors import SealError
from .frame import NO_TOKENS, Tokens
from .handshake import Mode, Opening, Party
from .keys import (
    DEVICE_ID_SIZE,
    DhPublicKey,
    SealPrivateKey,
    SealPublicKey,
    VerifyKey,
    read_dh,
    read_verify_key,
)
from .manifest import MAX_SIZE as MAX_MANIFEST_SIZE
from .manifest import STALE_GRACE, Manifest
from .manifest import parse as parse_manifest
from .primitives import MLKEM_CIPHERTEXT_SIZE, SEAL_OVERHEAD, Randomness
from .session import WIRE_SIZES
from .token import TOKEN_SIZE

FIRST_SIZES: Final = WIRE_SIZES[2:]
"""A first message has the wire size of an established one in a 16,384 or 65,536 byte frame. [R-6.3-3]"""
INNER_SIZE: Final = WIRE_SIZES[0]
FIRST_TOKENS: Final = 64
"""Tokens in a return address. [R-10.2-6]"""
MAX_RETURN_ADDRESS: Final = 4 + 253 + 2 + 32 + 4 * 32 + 1 + 8 + 255 * TOKEN_SIZE


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where answers go, and the right to send them."""

    relay: RelayAddress
    mailbox: bytes = field(repr=False)
    lookup: bytes = field(repr=False)
    key: bytes = field(repr=False)
    spare: bytes = field(repr=False)
    tokens: Tokens = NO_TOKENS

    def encode(self) -> bytes:
        """The address as it stands in a first message and in ADDRESSED content."""
        tokens = self.tokens
        return b"".join(
            (
                self.relay.encode(), self.mailbox, self.lookup, self.key, self.spare,
                u8(len(tokens.tokens)), u64(tokens.expires), *tokens.tokens,
            )
        )  # fmt: skip

    @classmethod
    def decode(cls, raw: bytes) -> ReturnAddress:
        """Parse an address; DecodeError."""
        reader = Reader(raw)
        relay = RelayAddress.read(reader)
        mailbox, lookup = reader.fixed("mailbox", 32), reader.fixed("lookup", 32)
        key, spare = reader.fixed("card key", 32), reader.fixed("spare", 32)
        count, expires = reader.u8("token count"), reader.u64("token expiry")
        if (count == 0) != (expires == 0):
            reader.refuse("token expiry", f"{expires} with {count} tokens")
        run = reader.fixed("tokens", count * TOKEN_SIZE)
        reader.end()
        tokens = Tokens(expires, tuple(run[at : at + TOKEN_SIZE] for at in range(0, len(run), TOKEN_SIZE)))
        return cls(relay, mailbox, lookup, key, spare, tokens)


@dataclass(frozen=True, slots=True)
class Prefix:
    """What A repeats in front of every message until B answers."""

    opening: Opening
    device_a: bytes = field(repr=False)
    device_b: bytes = field(repr=False)
    manifest_b: bytes = field(repr=False)
    statement_b: bytes = field(repr=False)
    root_a: VerifyKey
    manifest_a: bytes = field(repr=False)
    address: ReturnAddress

    def encode(self) -> bytes:
        """Everything up to the inner message. [R-6.3-4]"""
        opening = self.opening
        return b"".join(
            (
                u16(SUITE), u8(opening.mode), self.device_a, self.device_b, opening.ephemeral.raw, opening.ciphertext,
                self.manifest_b, self.statement_b, u8(opening.leaf_index), self.root_a.raw, lp(self.manifest_a),
                lp(self.address.encode()),
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """An opened first message; nothing in it is verified yet but its form."""

    prefix: Prefix
    message: bytes = field(repr=False)


def seal(prefix: bytes, message: bytes, key: SealPublicKey, statement_hash: bytes, randomness: Randomness) -> bytes:
    """An encoded prefix and one 1,154-byte message, sealed to B: 16,514 or 65,666 bytes. [R-6.3-1] [R-6.3-3]"""
    plaintext = prefix + lp(message)
    size = next(size for size in FIRST_SIZES if len(plaintext) + SEAL_OVERHEAD <= size)
    padded = plaintext.ljust(size - SEAL_OVERHEAD, b"\x00")
    return randomness.seal(key.handle, labels.SEAL + statement_hash, padded)


def unseal(sealed: bytes, candidates: Iterable[tuple[SealPrivateKey, bytes]]) -> FirstMessage:
    """Try each live SEAL key with its statement's hash; SealError if none opens, DecodeError if malformed. [R-6.4-1]"""
    if len(sealed) not in FIRST_SIZES:
        raise SealError(f"{len(sealed)} bytes is not a first message's size")
    for key, statement_hash in candidates:
        plaintext = primitives.seal_open(key.handle, labels.SEAL + statement_hash, sealed)
        if plaintext is not None:
            return _parse(plaintext)
    raise SealError("the first message opens under no live sealing key")


def _parse(plaintext: bytes) -> FirstMessage:
    reader = Reader(plaintext)
    reader.u16("first suite", SUITE, SUITE)
    mode = Mode(reader.u8("mode", 1))
    device_a, device_b = reader.fixed("device A", DEVICE_ID_SIZE), reader.fixed("device B", DEVICE_ID_SIZE)
    ephemeral: DhPublicKey = read_dh(reader, "EK_A")
    ciphertext = reader.fixed("KEM ciphertext", MLKEM_CIPHERTEXT_SIZE)
    manifest_b, statement_b = reader.fixed("manifest hash", 32), reader.fixed("statement hash", 32)
    leaf_index = reader.u8("leaf index", 127 if mode is Mode.ONE_TIME else 0)
    root_a = read_verify_key(reader, "root key A")
    manifest_a = reader.lp("manifest A", MAX_MANIFEST_SIZE)
    address = ReturnAddress.decode(reader.lp("return address", MAX_RETURN_ADDRESS))
    message = reader.lp("message", INNER_SIZE, INNER_SIZE)
    reader.zeros("first padding", reader.left)
    opening = Opening(mode, ephemeral, ciphertext, leaf_index)
    prefix = Prefix(opening, device_a, device_b, manifest_b, statement_b, root_a, manifest_a, address)
    return FirstMessage(prefix, message)


def verify_sender(prefix: Prefix, now: int) -> tuple[Manifest, Party, bool]:
    """A's manifest and party, verified, and whether the manifest is stale; a PeerError otherwise. [R-6.4-1]"""
    manifest = parse_manifest(prefix.manifest_a, prefix.root_a)
    manifest.check_time(now, STALE_GRACE)
    device = manifest.device(prefix.device_a)
    return manifest, Party.of(manifest.fingerprint, manifest.hash, device), now >= manifest.expires
