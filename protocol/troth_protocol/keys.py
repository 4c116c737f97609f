"""Keys: small frozen values, ours and theirs of different types, each checked once when it is made.

``repr`` shows a type and nothing else. SPEC.md sections 3.3 and 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from . import labels, primitives
from .encoding import Reader, lp, sha256
from .errors import BadSignature
from .primitives import Randomness

FINGERPRINT_SIZE: Final = 32
DEVICE_ID_SIZE: Final = 16
SIGNATURE_SIZE: Final = primitives.ED25519_SIGNATURE_SIZE + primitives.MLDSA_SIGNATURE_SIZE
VERIFY_KEY_SIZE: Final = 32 + primitives.MLDSA_PUBLIC_SIZE
SEAL_PUBLIC_SIZE: Final = primitives.MLKEM_PUBLIC_SIZE + 32


@dataclass(frozen=True, slots=True, repr=False)
class DhPublicKey:
    """Somebody's X25519 key, 32 bytes; BadKey unless canonical and of large order. [R-3.1-2]"""

    raw: bytes

    def __post_init__(self) -> None:
        primitives.check_x25519_public(self.raw)


@dataclass(frozen=True, slots=True, repr=False)
class DhPrivateKey:
    """Our X25519 key, 32 bytes, with its public half."""

    raw: bytes
    public: DhPublicKey

    @classmethod
    def generate(cls, randomness: Randomness) -> DhPrivateKey:
        """A fresh key from 32 random bytes."""
        return cls.load(randomness.draw(32))

    @classmethod
    def load(cls, raw: bytes) -> DhPrivateKey:
        """The key of 32 stored bytes."""
        return cls(raw, DhPublicKey(primitives.x25519_public(raw)))

    def exchange(self, other: DhPublicKey) -> bytes:
        """X(self, other), 32 bytes; BadKey on an all-zero result."""
        return primitives.x25519(self.raw, other.raw)


@dataclass(frozen=True, slots=True, repr=False)
class KemPublicKey:
    """Somebody's ML-KEM-768 encapsulation key, 1,184 bytes; BadKey unless it passes the import check."""

    raw: bytes
    handle: primitives.KemPublicHandle = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "handle", primitives.mlkem_public(self.raw))

    def encapsulate(self, randomness: Randomness) -> tuple[bytes, bytes]:
        """A shared secret of 32 and a ciphertext of 1,088 bytes."""
        return randomness.encapsulate(self.handle)


@dataclass(frozen=True, slots=True, repr=False)
class KemPrivateKey:
    """Our ML-KEM-768 key: the 64-byte seed, with its public half."""

    seed: bytes
    handle: primitives.KemPrivateHandle = field(init=False, compare=False)
    public_raw: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        handle = primitives.mlkem_private(self.seed)
        object.__setattr__(self, "handle", handle)
        object.__setattr__(self, "public_raw", handle.public_key().public_bytes_raw())

    @property
    def public(self) -> KemPublicKey:
        """The public half, imported anew."""
        return KemPublicKey(self.public_raw)

    @classmethod
    def generate(cls, randomness: Randomness) -> KemPrivateKey:
        """A fresh key from 64 random bytes."""
        return cls(randomness.draw(primitives.MLKEM_SEED_SIZE))

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The shared secret, 32 bytes; a forged ciphertext gives an unrelated one (FIPS 203 section 6.3)."""
        return primitives.mlkem_decapsulate(self.handle, ciphertext)


@dataclass(frozen=True, slots=True, repr=False)
class SealPublicKey:
    """Where a first message is sealed to: ML-KEM-768 1,184 || X25519 32 bytes, both checked."""

    raw: bytes
    handle: primitives.SealPublicHandle = field(init=False, compare=False)

    def __post_init__(self) -> None:
        kem, dh = self.raw[: primitives.MLKEM_PUBLIC_SIZE], self.raw[primitives.MLKEM_PUBLIC_SIZE :]
        primitives.check_x25519_public(dh)
        object.__setattr__(self, "handle", primitives.seal_public(primitives.mlkem_public(kem), dh))


@dataclass(frozen=True, slots=True, repr=False)
class SealPrivateKey:
    """Our sealing key: ML-KEM-768 seed 64 and X25519 32 bytes (the library exports neither, so the parts are kept)."""

    kem: KemPrivateKey
    dh: DhPrivateKey
    handle: primitives.SealPrivateHandle = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "handle", primitives.seal_private(self.kem.handle, self.dh.raw))

    @classmethod
    def generate(cls, randomness: Randomness) -> SealPrivateKey:
        """A fresh key: 64 random bytes, then 32."""
        return cls(KemPrivateKey.generate(randomness), DhPrivateKey.generate(randomness))

    @property
    def public(self) -> SealPublicKey:
        """The public half, 1,216 bytes."""
        return SealPublicKey(self.kem.public_raw + self.dh.public.raw)


@dataclass(frozen=True, slots=True, repr=False)
class VerifyKey:
    """Somebody's hybrid signature key: Ed25519 32 || ML-DSA-65 1,952 bytes. [R-3.3-2]"""

    raw: bytes
    _dsa: primitives.DsaPublicHandle = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dsa", primitives.mldsa_public(self.raw[32:]))

    @property
    def key_hash(self) -> bytes:
        """H(ed_pk || mldsa_pk), 32 bytes: what a signature names its signer by."""
        return sha256(self.raw)

    def fingerprint(self, label: bytes = labels.ACCOUNT) -> bytes:
        """fp = H(label || ed_pk || mldsa_pk), 32 bytes; the label says account or operator. [R-4.1-1]"""
        return sha256(label, self.raw)

    def verify(self, purpose: bytes, message: bytes, signature: bytes, what: str) -> None:
        """Check HSig(purpose, message), 3,373 bytes: both halves or BadSignature naming ``what``. [R-3.3-3]"""
        signed = signed_bytes(purpose, self.key_hash, message)
        split = primitives.ED25519_SIGNATURE_SIZE
        classical = primitives.ed25519_verify(self.raw[:32], signed, signature[:split])
        quantum = primitives.mldsa_verify(self._dsa, signed, signature[split:])
        if not (classical and quantum and len(signature) == SIGNATURE_SIZE):
            raise BadSignature(f"the signature of the {what} does not verify")


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """Our hybrid signature key: two 32-byte seeds."""

    ed25519_seed: bytes
    mldsa_seed: bytes
    public: VerifyKey = field(init=False, compare=False)
    _dsa: primitives.DsaPrivateHandle = field(init=False, compare=False)

    def __post_init__(self) -> None:
        handle = primitives.mldsa_private(self.mldsa_seed)
        object.__setattr__(self, "_dsa", handle)
        classical = primitives.ed25519_public(self.ed25519_seed)
        object.__setattr__(self, "public", VerifyKey(classical + handle.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls, randomness: Randomness) -> SigningKey:
        """A fresh key: two times 32 random bytes."""
        return cls(randomness.draw(32), randomness.draw(32))

    def sign(self, purpose: bytes, message: bytes, randomness: Randomness) -> bytes:
        """HSig(purpose, message): Ed25519 64 || ML-DSA-65 3,309 bytes. [R-3.3-1]"""
        signed = signed_bytes(purpose, self.public.key_hash, message)
        return primitives.ed25519_sign(self.ed25519_seed, signed) + randomness.sign(self._dsa, signed)


def signed_bytes(purpose: bytes, key_hash: bytes, message: bytes) -> bytes:
    """M = label || purpose || 0x00 || H(ed_pk || mldsa_pk) || LP(m). [R-3.3-1]"""
    return labels.SIGNATURE + purpose + b"\x00" + key_hash + lp(message)


def read_dh(reader: Reader, name: str) -> DhPublicKey:
    """An X25519 key from the wire; BadKey or DecodeError."""
    return DhPublicKey(reader.fixed(name, primitives.X25519_SIZE))


def read_kem(reader: Reader, name: str) -> KemPublicKey:
    """An ML-KEM-768 key from the wire; BadKey or DecodeError."""
    return KemPublicKey(reader.fixed(name, primitives.MLKEM_PUBLIC_SIZE))


def read_verify_key(reader: Reader, name: str) -> VerifyKey:
    """A hybrid signature key from the wire; BadKey or DecodeError."""
    return VerifyKey(reader.fixed(name, VERIFY_KEY_SIZE))
