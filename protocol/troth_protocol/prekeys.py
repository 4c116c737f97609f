"""Prekeys: what lets somebody write to a device that is offline. SPEC.md sections 4.3 and 4.4.

statement body = suite u16 || fp 32 || device id 16 || issued u64 || expires u64 || SPK 32 || PQSPK 1,184
                 || SEAL 1,216 || batch id 16 || batch root 32
statement = body || HSig(DS, "prekeys", body); its hash is over body || signature.
leaf = index u8 || X25519 32 || ML-KEM-768 1,184 || path 7 x 32
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from . import labels
from .encoding import SUITE, Reader, sha256, u8, u16, u64
from .errors import DecodeError, Expired, Mismatch
from .keys import (
    DEVICE_ID_SIZE,
    FINGERPRINT_SIZE,
    SEAL_PUBLIC_SIZE,
    SIGNATURE_SIZE,
    DhPrivateKey,
    DhPublicKey,
    KemPrivateKey,
    KemPublicKey,
    SealPrivateKey,
    SealPublicKey,
    SigningKey,
    read_dh,
    read_kem,
)
from .manifest import CLOCK_SKEW, DAY, Device
from .primitives import Randomness

LIFETIME: Final = 30 * DAY
"""How long initiators may use a statement. [R-4.3-2]"""
REPLACE_AFTER: Final = 7 * DAY
"""How often it is replaced: the forward-secrecy window of a last-resort first message follows. [R-4.3-3]"""
KEEP_PRIVATE: Final = 14 * DAY
"""How long private halves outlive the later of expiry and replacement: as long as an envelope may queue. [R-4.3-4]"""
BATCH_ID_SIZE: Final = 16
BATCH: Final = 128
DEPTH: Final = 7
REPLENISH_BELOW: Final = 32
"""Leaves left at the relay below which a new statement with a new batch is made."""
LEAF_TYPE: Final = 1
STATEMENT_BODY_SIZE: Final = 66 + 32 + 1_184 + SEAL_PUBLIC_SIZE + BATCH_ID_SIZE + 32
STATEMENT_SIZE: Final = STATEMENT_BODY_SIZE + SIGNATURE_SIZE


@dataclass(frozen=True, slots=True)
class PrekeyStatement:
    """A device's prekeys as others see them, verified."""

    fingerprint: bytes = field(repr=False)
    device_id: bytes = field(repr=False)
    issued: int
    expires: int
    spk: DhPublicKey
    pqspk: KemPublicKey
    seal: SealPublicKey
    batch: bytes = field(repr=False)
    root: bytes = field(repr=False)
    raw: bytes = field(repr=False)
    hash: bytes = field(repr=False)

    def check_time(self, now: int) -> None:
        """Expired outside the statement's time: initiators refuse it. [R-4.3-2]"""
        if now >= self.expires or now < self.issued - CLOCK_SKEW:
            raise Expired(f"the prekeys are valid from {self.issued} to {self.expires}; the time is {now}")


@dataclass(frozen=True, slots=True, repr=False)
class OneTimeSecret:
    """The private halves of one leaf: X25519 32 bytes and an ML-KEM-768 seed of 64."""

    dh: bytes
    kem_seed: bytes


@dataclass(frozen=True, slots=True, repr=False)
class PrekeySecrets:
    """Our side of one statement: the private keys, and which one-time pairs have not been used (None: erased)."""

    spk: DhPrivateKey
    pqspk: KemPrivateKey
    seal: SealPrivateKey
    batch: bytes
    one_time: tuple[OneTimeSecret | None, ...]

    @classmethod
    def generate(cls, randomness: Randomness) -> PrekeySecrets:
        """A fresh set with a batch of 128 one-time pairs."""
        return cls(
            DhPrivateKey.generate(randomness),
            KemPrivateKey.generate(randomness),
            SealPrivateKey.generate(randomness),
            randomness.draw(BATCH_ID_SIZE),
            tuple(OneTimeSecret(randomness.draw(32), randomness.draw(64)) for _ in range(BATCH)),
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """One verified one-time pair of somebody else's batch."""

    index: int
    dh: DhPublicKey
    kem: KemPublicKey


def leaf_hash(index: int, dh: bytes, kem: bytes) -> bytes:
    """H(0x00 || type u8 || index u8 || x25519 || H(kem)). [R-4.4-1]"""
    return sha256(b"\x00", u8(LEAF_TYPE), u8(index), dh, sha256(kem))


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 || l || r). [R-4.4-1]"""
    return sha256(b"\x01", left, right)


def make_batch(one_time: Sequence[OneTimeSecret | None]) -> tuple[bytes, tuple[bytes, ...]]:
    """The Merkle root of 128 pairs and their 128 encoded leaves of 1,441 bytes; Mismatch if a pair was erased."""
    pairs = [pair for pair in one_time if pair is not None]
    if len(pairs) != BATCH:
        raise Mismatch(f"{len(pairs)} pairs where a batch has {BATCH}")
    publics = [(DhPrivateKey.load(pair.dh).public.raw, KemPrivateKey(pair.kem_seed).public_raw) for pair in pairs]
    levels = [[leaf_hash(index, dh, kem) for index, (dh, kem) in enumerate(publics)]]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)])
    leaves = tuple(
        u8(index) + dh + kem + b"".join(levels[depth][(index >> depth) ^ 1] for depth in range(DEPTH))
        for index, (dh, kem) in enumerate(publics)
    )
    return levels[-1][0], leaves


def open_leaf(raw: bytes, root: bytes) -> Leaf:
    """Verify a leaf against the signed batch root: path of exactly 7; Mismatch, BadKey or DecodeError. [R-4.4-2]"""
    reader = Reader(raw)
    index = reader.u8("leaf index", BATCH - 1)
    dh, kem = reader.fixed("leaf X25519", 32), reader.fixed("leaf KEM", 1_184)
    path = [reader.fixed("leaf path", 32) for _ in range(DEPTH)]
    reader.end()
    digest = leaf_hash(index, dh, kem)
    for depth, sibling in enumerate(path):
        digest = node_hash(sibling, digest) if index >> depth & 1 else node_hash(digest, sibling)
    if digest != root:
        raise Mismatch("the one-time prekey is not in the signed batch")
    return Leaf(index, DhPublicKey(dh), KemPublicKey(kem))


def sign_statement(
    signing: SigningKey,
    fingerprint: bytes,
    device_id: bytes,
    issued: int,
    secrets: PrekeySecrets,
    root: bytes,
    randomness: Randomness,
) -> bytes:
    """The statement for ``secrets`` whose batch has this Merkle ``root``, 5,919 bytes. [R-4.3-1]"""
    body = b"".join(
        (
            u16(SUITE), fingerprint, device_id, u64(issued), u64(issued + LIFETIME), secrets.spk.public.raw,
            secrets.pqspk.public_raw, secrets.seal.public.raw, secrets.batch, root,
        )
    )  # fmt: skip
    return body + signing.sign(labels.SIGN_PREKEYS, body, randomness)


def parse_statement(raw: bytes, fingerprint: bytes, device: Device) -> PrekeyStatement:
    """Decode and verify a statement of ``device``; DecodeError, BadSignature, Mismatch or BadKey. [R-4.3-1]"""
    if len(raw) != STATEMENT_SIZE:
        raise DecodeError("prekey statement", 0, f"{len(raw)} bytes where {STATEMENT_SIZE} are wanted")
    body, signature = raw[:STATEMENT_BODY_SIZE], raw[STATEMENT_BODY_SIZE:]
    device.signing.verify(labels.SIGN_PREKEYS, body, signature, "prekey statement")
    reader = Reader(body)
    reader.u16("prekey suite", SUITE, SUITE)
    fp, device_id = reader.fixed("prekey fp", FINGERPRINT_SIZE), reader.fixed("prekey device", DEVICE_ID_SIZE)
    if (fp, device_id) != (fingerprint, device.id):
        raise Mismatch("the prekeys are of another device")
    issued, expires = reader.u64("prekey issued"), reader.u64("prekey expires")
    if not 0 < expires - issued <= LIFETIME:
        reader.refuse("prekey expires", f"{expires - issued} s after issue is not within 1..{LIFETIME}")
    spk, pqspk = read_dh(reader, "SPK"), read_kem(reader, "PQSPK")
    seal = SealPublicKey(reader.fixed("SEAL", SEAL_PUBLIC_SIZE))
    batch, root = reader.fixed("batch id", BATCH_ID_SIZE), reader.fixed("batch root", 32)
    reader.end()
    return PrekeyStatement(fp, device_id, issued, expires, spk, pqspk, seal, batch, root, raw, sha256(raw))
