"""The only door to the cipher libraries; every other file speaks of bytes and of the handles made here.

Choices, each once and here:

- X25519, Ed25519 and Argon2id come from libsodium (PyNaCl). Its Ed25519 verification refuses small-order keys and
  non-canonical S; OpenSSL's accepts signatures under small-order keys, which makes a universal forgery. [R-3.1-1]
- Both libraries accept non-canonical X25519 keys, so ``check_x25519_public`` refuses them, a set top bit and the
  low-order points before any use, and ``x25519`` refuses an all-zero output. [R-3.1-2] [R-3.1-3]
- ML-KEM-768, ML-DSA-65, HPKE, ChaCha20-Poly1305 and HKDF come from ``cryptography``; importing an ML-KEM key runs the
  FIPS 203 section 7.2 modulus check. [R-3.1-4]
- SHA-256 and single HMACs come from the standard library. Comparison of secrets is constant-time.
- Randomness is an argument: ``draw`` for what takes a seed, one method each for library calls that take none.
"""

from __future__ import annotations

import datetime
import hmac as _hmac
import ipaddress
import os
from typing import Final, Protocol, TypeAlias

import nacl.bindings as _sodium
import nacl.exceptions
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes as _hashes
from cryptography.hazmat.primitives import serialization as _serialization
from cryptography.hazmat.primitives.asymmetric import ec as _ec
from cryptography.hazmat.primitives.asymmetric import mldsa as _mldsa
from cryptography.hazmat.primitives.asymmetric import mlkem as _mlkem
from cryptography.hazmat.primitives.asymmetric import x25519 as _x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as _ChaCha
from cryptography.hazmat.primitives.hmac import HMAC as _HMAC
from cryptography.hazmat.primitives.hpke import AEAD as _AEAD
from cryptography.hazmat.primitives.hpke import KDF as _KDF
from cryptography.hazmat.primitives.hpke import KEM as _KEM
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF as _HKDF

from .errors import BadKey

X25519_SIZE: Final = 32
ED25519_SIGNATURE_SIZE: Final = 64
MLKEM_PUBLIC_SIZE: Final = 1_184
MLKEM_SEED_SIZE: Final = 64
MLKEM_CIPHERTEXT_SIZE: Final = 1_088
MLDSA_PUBLIC_SIZE: Final = 1_952
MLDSA_SIGNATURE_SIZE: Final = 3_309
AEAD_TAG_SIZE: Final = 16
SEAL_OVERHEAD: Final = 1_136
"""HPKE encapsulation 1,120 || tag 16."""

KemPrivateHandle: TypeAlias = _mlkem.MLKEM768PrivateKey
KemPublicHandle: TypeAlias = _mlkem.MLKEM768PublicKey
DsaPrivateHandle: TypeAlias = _mldsa.MLDSA65PrivateKey
DsaPublicHandle: TypeAlias = _mldsa.MLDSA65PublicKey
SealPrivateHandle: TypeAlias = MLKEM768X25519PrivateKey
SealPublicHandle: TypeAlias = MLKEM768X25519PublicKey

_SHA256: Final = _hashes.SHA256()
_HPKE: Final = Suite(_KEM.MLKEM768_X25519, _KDF.HKDF_SHA256, _AEAD.CHACHA20_POLY1305)
_P: Final = 2**255 - 19
# The u-coordinates below p whose order divides 8 (RFC 7748 section 6.1; the list in Wycheproof's x25519 files).
_LOW_ORDER: Final = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
    }
)


class Randomness(Protocol):
    """Where randomness enters; ``SystemRandomness`` is the only one that production code makes."""

    def draw(self, count: int) -> bytes:
        """``count`` uniformly random bytes."""

    def encapsulate(self, key: KemPublicHandle) -> tuple[bytes, bytes]:
        """ML-KEM-768 (FIPS 203): shared secret 32, ciphertext 1,088."""

    def sign(self, key: DsaPrivateHandle, message: bytes) -> bytes:
        """ML-DSA-65 (FIPS 204), hedged, empty context: 3,309 bytes."""

    def seal(self, key: SealPublicHandle, info: bytes, plaintext: bytes) -> bytes:
        """HPKE base mode, single shot (RFC 9180): 1,136 bytes longer than ``plaintext``."""


class SystemRandomness:
    """The operating system's generator and the libraries' own."""

    __slots__ = ()

    def draw(self, count: int) -> bytes:
        """``count`` bytes of os.urandom."""
        return os.urandom(count)

    def encapsulate(self, key: KemPublicHandle) -> tuple[bytes, bytes]:
        """ML-KEM-768 encapsulation."""
        return key.encapsulate()

    def sign(self, key: DsaPrivateHandle, message: bytes) -> bytes:
        """ML-DSA-65 signature."""
        return key.sign(message)

    def seal(self, key: SealPublicHandle, info: bytes, plaintext: bytes) -> bytes:
        """HPKE seal."""
        return _HPKE.encrypt(plaintext, key, info)


def hkdf(salt: bytes, ikm: bytes, info: bytes, length: int) -> bytes:
    """KDF(salt, ikm, info, L): HKDF-SHA-256 (RFC 5869)."""
    return _HKDF(_SHA256, length, salt, info).derive(ikm)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), 32 bytes."""
    return _hmac.digest(key, message, "sha256")


def hmac_pair(key: bytes, one: bytes, other: bytes) -> tuple[bytes, bytes]:
    """HMAC-SHA-256 of two messages under one key, set up once: a chain step, at two thirds of its price."""
    first = _HMAC(key, _SHA256)
    second = first.copy()
    first.update(one)
    second.update(other)
    return first.finalize(), second.finalize()


equal = _hmac.compare_digest
"""Constant-time equality of two byte strings."""


def aead_seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 (RFC 8439): key 32, nonce 12; 16 bytes longer than ``plaintext``."""
    return _ChaCha(key).encrypt(nonce, plaintext, associated)


def aead_open(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
    """The plaintext, or None if the tag does not verify."""
    try:
        return _ChaCha(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        return None


def check_x25519_public(public: bytes) -> None:
    """Refuse what is not the canonical encoding of a point of large order: BadKey. [R-3.1-2]"""
    u = int.from_bytes(public, "little")
    if len(public) != X25519_SIZE or u >= _P or u in _LOW_ORDER:
        raise BadKey("an X25519 key that is not canonical or is of low order")


def x25519_public(private: bytes) -> bytes:
    """The public key of ``private`` (32 bytes, clamped by the library as RFC 7748 section 5 says)."""
    return _sodium.crypto_scalarmult_base(private)


def x25519(private: bytes, public: bytes) -> bytes:
    """X: the shared u-coordinate, 32 bytes; BadKey when it is all zeros. [R-3.1-3]"""
    try:
        shared = _sodium.crypto_scalarmult(private, public)
    except nacl.exceptions.RuntimeError:  # libsodium's own all-zero check
        raise BadKey("an X25519 key that gives an all-zero secret") from None
    if equal(shared, bytes(X25519_SIZE)):
        raise BadKey("an X25519 key that gives an all-zero secret")
    return shared


def ed25519_public(seed: bytes) -> bytes:
    """The Ed25519 public key of a 32-byte seed (RFC 8032)."""
    return _sodium.crypto_sign_seed_keypair(seed)[0]


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """A deterministic Ed25519 signature, 64 bytes."""
    public, secret = _sodium.crypto_sign_seed_keypair(seed)
    del public
    return _sodium.crypto_sign(message, secret)[:ED25519_SIGNATURE_SIZE]


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """libsodium's verification: canonical S, no small-order key. [R-3.1-1]"""
    if len(signature) != ED25519_SIGNATURE_SIZE:  # the library takes them joined: a short one would eat the message
        return False
    try:
        _sodium.crypto_sign_open(signature + message, public)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError):
        return False
    return True


def mldsa_private(seed: bytes) -> DsaPrivateHandle:
    """The ML-DSA-65 key of a 32-byte seed."""
    return _mldsa.MLDSA65PrivateKey.from_seed_bytes(seed)


def mldsa_public(public: bytes) -> DsaPublicHandle:
    """Import an ML-DSA-65 public key, 1,952 bytes; BadKey."""
    try:
        return _mldsa.MLDSA65PublicKey.from_public_bytes(public)
    except ValueError:
        raise BadKey("an ML-DSA-65 key that the library refuses") from None


def mldsa_verify(key: DsaPublicHandle, message: bytes, signature: bytes) -> bool:
    """Whether the 3,309-byte signature verifies with an empty context."""
    try:
        key.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def mlkem_private(seed: bytes) -> KemPrivateHandle:
    """The ML-KEM-768 key of a 64-byte seed (d || z)."""
    return _mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)


def mlkem_public(public: bytes) -> KemPublicHandle:
    """Import an ML-KEM-768 public key, 1,184 bytes, with the modulus check; BadKey. [R-3.1-4]"""
    try:
        return _mlkem.MLKEM768PublicKey.from_public_bytes(public)
    except ValueError:
        raise BadKey("an ML-KEM-768 key that is not reduced or not 1,184 bytes") from None


def mlkem_decapsulate(key: KemPrivateHandle, ciphertext: bytes) -> bytes:
    """The 32-byte secret; a wrong ciphertext gives another secret (implicit rejection), a wrong length BadKey."""
    try:
        return key.decapsulate(ciphertext)
    except ValueError:
        raise BadKey("an ML-KEM-768 ciphertext that is not 1,088 bytes") from None


def seal_private(kem: KemPrivateHandle, x25519_private: bytes) -> SealPrivateHandle:
    """The HPKE key made of an ML-KEM-768 key and an X25519 key."""
    return MLKEM768X25519PrivateKey(kem, _x25519.X25519PrivateKey.from_private_bytes(x25519_private))


def seal_public(kem: KemPublicHandle, x25519_public: bytes) -> SealPublicHandle:
    """The public half of ``seal_private``."""
    return MLKEM768X25519PublicKey(kem, _x25519.X25519PublicKey.from_public_bytes(x25519_public))


def seal_open(key: SealPrivateHandle, info: bytes, sealed: bytes) -> bytes | None:
    """The plaintext of an HPKE message, or None if it does not open under this key and info."""
    try:
        return _HPKE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError):
        return None


def argon2id(passphrase: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    """A 32-byte key (RFC 9106); ``salt`` 16 bytes, ``memory`` in bytes, one lane."""
    return _sodium.crypto_pwhash_alg(32, passphrase, salt, operations, memory, _sodium.crypto_pwhash_ALG_ARGON2ID13)


def self_signed_certificate(
    hosts: tuple[str, ...], not_before: int, days: int, common_name: str = "troth relay"
) -> tuple[bytes, bytes]:
    """A P-256 certificate for ``hosts`` and its key, both PEM; trusted by pin alone, never by its signature."""
    key = _ec.generate_private_key(_ec.SECP256R1())
    certificate = _self_issued(key, common_name, hosts, not_before, days).sign(key, _SHA256)
    private = key.private_bytes(
        _serialization.Encoding.PEM, _serialization.PrivateFormat.PKCS8, _serialization.NoEncryption()
    )
    return certificate.public_bytes(_serialization.Encoding.PEM), private


def sized_certificate(private: bytes, host: str, not_before: int, days: int, size: int) -> bytes | None:
    """A self-signed certificate (PEM) of ``size`` bytes in DER for a P-256 key (PEM), or None if it cannot be so small.

    An extension that nobody knows fills it up: whoever sees only the size of an encrypted handshake learns nothing.
    """
    key = _serialization.load_pem_private_key(private, None)
    if not isinstance(key, _ec.EllipticCurvePrivateKey):
        return None
    filled = 0
    for _ in range(_SIZED_TRIES):
        if filled < 0:
            return None
        extension = x509.UnrecognizedExtension(_FILLING, os.urandom(filled))
        unsigned = _self_issued(key, host[:64], (host,), not_before, days).add_extension(extension, critical=False)
        certificate = unsigned.sign(key, _SHA256)
        missing = size - len(certificate.public_bytes(_serialization.Encoding.DER))
        if not missing:
            return certificate.public_bytes(_serialization.Encoding.PEM)
        filled += missing
    return None


_FILLING: Final = x509.ObjectIdentifier("2.25.1")
"""Under the arc that needs no registration (X.667)."""
_SIZED_TRIES: Final = 64
"""An ECDSA signature has 70 to 72 bytes, as it falls."""


def _self_issued(
    key: _ec.EllipticCurvePrivateKey, common_name: str, hosts: tuple[str, ...], not_before: int, days: int
) -> x509.CertificateBuilder:
    """What both kinds of certificate say, under a new serial number."""
    start = datetime.datetime.fromtimestamp(not_before, datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
