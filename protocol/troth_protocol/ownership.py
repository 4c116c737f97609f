"""Proof that a connection speaks for a mailbox, after SCRAM (RFC 5802): the relay stores a hash and sees no secret.

Bound to the relay's fingerprint and to the TLS key of the connection, so a proof that is forwarded elsewhere fails.
Standard library only. SPEC.md section 10.1.
"""

from __future__ import annotations

import hmac
from typing import Final

from . import labels
from .encoding import sha256
from .errors import DecodeError

NONCE_SIZE: Final = 32


def stored(secret: bytes) -> bytes:
    """What the relay keeps of the owner secret (32 bytes): H(label || secret), 32 bytes. [R-10.1-2]"""
    return sha256(labels.OWNER_STORED, secret)


def _mask(
    kept: bytes, mailbox: bytes, client_nonce: bytes, server_nonce: bytes, relay: bytes, tls_key_hash: bytes
) -> bytes:
    message = labels.OWNER_PROOF + mailbox + client_nonce + server_nonce + relay + tls_key_hash
    return hmac.digest(kept, message, "sha256")


def prove(
    secret: bytes, mailbox: bytes, client_nonce: bytes, server_nonce: bytes, relay: bytes, tls_key_hash: bytes
) -> bytes:
    """secret XOR HMAC(stored, ...), 32 bytes; ``relay`` is the operator fingerprint the client pins. [R-10.1-3]"""
    mask = _mask(stored(secret), mailbox, client_nonce, server_nonce, relay, tls_key_hash)
    return bytes(a ^ b for a, b in zip(secret, mask, strict=True))


def verify(
    kept: bytes,
    proof: bytes,
    mailbox: bytes,
    client_nonce: bytes,
    server_nonce: bytes,
    relay: bytes,
    tls_key_hash: bytes,
) -> bool:
    """Whether ``proof`` (32 bytes) opens to the secret behind ``kept``; the relay passes its own hash. [R-10.1-4]"""
    mask = _mask(kept, mailbox, client_nonce, server_nonce, relay, tls_key_hash)
    secret = bytes(a ^ b for a, b in zip(proof, mask, strict=True))
    return hmac.compare_digest(stored(secret), kept)


def tls_key_hash(certificate: bytes) -> bytes:
    """SHA-256 over the SubjectPublicKeyInfo of a DER certificate, 32 bytes (RFC 5280 4.1, RFC 7469 2.4).

    Walks Certificate -> tbsCertificate -> the seventh element (the sixth where version is absent). Raises DecodeError.
    """
    body, _ = _element(certificate, 0, "certificate")
    tbs, _ = _element(certificate, body[0], "tbsCertificate")
    at = tbs[0]
    if at < tbs[1] and certificate[at] == 0xA0:  # [0] EXPLICIT version
        at = _element(certificate, at, "version")[0][1]
    for name in ("serialNumber", "signature", "issuer", "validity", "subject"):
        at = _element(certificate, at, name)[0][1]
    (_, end), start = _element(certificate, at, "subjectPublicKeyInfo")
    return sha256(certificate[start:end])


def _element(data: bytes, at: int, name: str) -> tuple[tuple[int, int], int]:
    """The content's (start, end) of the DER element at ``at``, and ``at``."""
    if at + 2 > len(data):
        raise DecodeError(name, at, "cut short")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 3 or start + width > len(data):
            raise DecodeError(name, at, "not a DER length")
        length, start = int.from_bytes(data[start : start + width], "big"), start + width
    if start + length > len(data):
        raise DecodeError(name, at, "longer than the certificate")
    return (start, start + length), at
