"""PQXDH with the whole transcript in the KDF. SPEC.md section 6.

DH1 = X(DIK_A, SPK_B)   DH2 = X(EK_A, DIK_B)   DH3 = X(EK_A, SPK_B)   DH4 = X(EK_A, OPK_B) or 0^32
(ss, ct) = Encaps(one-time KEM key or PQSPK_B)

This is Signal's PQXDH (revision 3) with separate identity keys for DH and signing, and with every value either side
relied on hashed into the KDF, which closes re-encapsulation, key confusion and unknown key share without leaning on
ML-KEM's binding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from . import labels, primitives
from .chain import HeaderKey, PqRoot, RootKey
from .encoding import SUITE, lp, sha256, u8, u16
from .errors import Mismatch
from .keys import DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey
from .manifest import Device
from .prekeys import Leaf, OneTimeSecret, PrekeySecrets, PrekeyStatement
from .primitives import Randomness

_NO_DH4: Final = bytes(32)


class Mode(IntEnum):
    """Whether a one-time prekey was used; signed into the transcript, so neither passes for the other. [R-6.2-2]"""

    LAST_RESORT = 0
    ONE_TIME = 1


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the handshake gives, 32 bytes each."""

    transcript: bytes = field(repr=False)
    root: RootKey = field(repr=False)
    hk_a: HeaderKey = field(repr=False)
    nhk_b: HeaderKey = field(repr=False)
    pq_root: PqRoot = field(repr=False)
    auth: bytes = field(repr=False)
    sid: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Party:
    """One device as the transcript names it."""

    fingerprint: bytes = field(repr=False)
    device_id: bytes = field(repr=False)
    manifest_hash: bytes = field(repr=False)
    identity: DhPublicKey
    kem_identity: KemPublicKey

    @classmethod
    def of(cls, fingerprint: bytes, manifest_hash: bytes, device: Device) -> Party:
        """The party for a device of a verified manifest."""
        return cls(fingerprint, device.id, manifest_hash, device.identity, device.kem_identity)


@dataclass(frozen=True, slots=True)
class Opening:
    """What A sends of the handshake; the rest of the first message is in ``envelope``."""

    mode: Mode
    ephemeral: DhPublicKey
    ciphertext: bytes = field(repr=False)
    leaf_index: int


@dataclass(frozen=True, slots=True)
class _Offer:
    """The prekeys of B that one handshake uses."""

    statement_hash: bytes = field(repr=False)
    spk: DhPublicKey
    one_time: DhPublicKey | None
    kem: bytes = field(repr=False)


def transcript(mode: Mode, a: Party, b: Party, offer: _Offer, opening: Opening) -> bytes:
    """TH, 32 bytes: everything either side relied on, each value length-prefixed. [R-6.2-1]"""
    values = (
        a.fingerprint, a.device_id, a.manifest_hash, a.identity.raw, sha256(a.kem_identity.raw),
        b.fingerprint, b.device_id, b.manifest_hash, offer.statement_hash, b.identity.raw, sha256(b.kem_identity.raw),
        offer.spk.raw, offer.one_time.raw if offer.one_time else b"", offer.kem,
        opening.ephemeral.raw, opening.ciphertext,
    )  # fmt: skip
    return sha256(labels.TRANSCRIPT, u16(SUITE), u8(mode), *map(lp, values))


def derive(dh: bytes, secret: bytes, th: bytes) -> Secrets:
    """Six keys from DH1 || DH2 || DH3 || DH4 (128 bytes) and ss. [R-6.2-3]"""
    out = primitives.hkdf(sha256(labels.PQXDH_SALT), dh + secret, labels.PQXDH_INFO + th, 192)
    parts = [out[at : at + 32] for at in range(0, 192, 32)]
    return Secrets(
        th, RootKey(parts[0]), HeaderKey(parts[1]), HeaderKey(parts[2]), PqRoot(parts[3]), parts[4], parts[5]
    )


def initiate(
    a: Party, identity: DhPrivateKey, b: Party, statement: PrekeyStatement, leaf: Leaf | None, randomness: Randomness
) -> tuple[Opening, Secrets]:
    """A's side, with a one-time leaf or in last-resort mode; BadKey if a key of B gives an all-zero secret. [R-6.1-1]

    The caller has verified ``statement`` and ``leaf`` up to the fingerprint it was given, and their times.
    """
    ephemeral = DhPrivateKey.generate(randomness)
    kem = leaf.kem if leaf else statement.pqspk
    offer = _Offer(statement.hash, statement.spk, leaf.dh if leaf else None, kem.raw)
    secret, ciphertext = kem.encapsulate(randomness)
    dh = b"".join(
        (
            identity.exchange(offer.spk),
            ephemeral.exchange(b.identity),
            ephemeral.exchange(offer.spk),
            ephemeral.exchange(offer.one_time) if offer.one_time else _NO_DH4,
        )
    )
    mode = Mode.ONE_TIME if leaf else Mode.LAST_RESORT
    opening = Opening(mode, ephemeral.public, ciphertext, leaf.index if leaf else 0)
    return opening, derive(dh, secret, transcript(mode, a, b, offer, opening))


def respond(
    a: Party, b: Party, identity: DhPrivateKey, prekeys: PrekeySecrets, statement_hash: bytes, opening: Opening
) -> Secrets:
    """B's side; Mismatch if the one-time key was used or erased before. Erases nothing: the caller does, with the
    transaction that stores the session. [R-6.4-2]
    """
    one_time: DhPrivateKey | None = None
    kem = prekeys.pqspk
    if opening.mode is Mode.ONE_TIME:
        pair = _unused(prekeys, opening.leaf_index)
        one_time, kem = DhPrivateKey.load(pair.dh), KemPrivateKey(pair.kem_seed)
    offer = _Offer(statement_hash, prekeys.spk.public, one_time.public if one_time else None, kem.public_raw)
    dh = b"".join(
        (
            prekeys.spk.exchange(a.identity),
            identity.exchange(opening.ephemeral),
            prekeys.spk.exchange(opening.ephemeral),
            one_time.exchange(opening.ephemeral) if one_time else _NO_DH4,
        )
    )
    secret = kem.decapsulate(opening.ciphertext)
    return derive(dh, secret, transcript(opening.mode, a, b, offer, opening))


def _unused(prekeys: PrekeySecrets, index: int) -> OneTimeSecret:
    pair = prekeys.one_time[index]
    if pair is None:
        raise Mismatch(f"one-time prekey {index} was used before")
    return pair
