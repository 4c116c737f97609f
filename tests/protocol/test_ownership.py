"""Proof of a mailbox's ownership, bound to one connection, and the hash of a certificate's key."""

from __future__ import annotations

import datetime
import hashlib
import hmac

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import NOW, Seeded
from troth_protocol import ownership, primitives
from troth_protocol.errors import DecodeError

SOURCE = Seeded("ownership")
SECRET, MAILBOX, CLIENT, SERVER, RELAY, TLS = (SOURCE.draw(32) for _ in range(6))
CONTEXT = (MAILBOX, CLIENT, SERVER, RELAY, TLS)


def der(pem: bytes) -> bytes:
    """A certificate's DER bytes."""
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


CERTIFICATE = der(primitives.self_signed_certificate(("relay.example",), NOW, 30)[0])


def test_the_relay_keeps_a_hash_of_the_secret() -> None:
    """[R-10.1-2]"""
    assert ownership.stored(SECRET) == hashlib.sha256(b"troth/1 owner stored" + SECRET).digest()


def test_a_proof_is_the_secret_under_a_mask_of_this_connection() -> None:
    """[R-10.1-3]"""
    mask = hmac.digest(ownership.stored(SECRET), b"troth/1 owner proof" + b"".join(CONTEXT), "sha256")
    expected = bytes(a ^ b for a, b in zip(SECRET, mask, strict=True))
    assert ownership.prove(SECRET, *CONTEXT) == expected


def test_a_proof_holds_for_this_connection_alone() -> None:
    """[R-10.1-4]: another mailbox, nonce, relay or TLS key, another secret, or a flipped bit."""
    kept, proof = ownership.stored(SECRET), ownership.prove(SECRET, *CONTEXT)
    assert ownership.verify(kept, proof, *CONTEXT)
    for place in range(5):
        changed = [*CONTEXT]
        changed[place] = bytes(32)
        assert not ownership.verify(kept, proof, *changed)
    assert not ownership.verify(ownership.stored(bytes(32)), proof, *CONTEXT)
    for place in range(32):
        flipped = proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :]
        assert not ownership.verify(kept, flipped, *CONTEXT)


def test_the_stored_hash_alone_makes_no_proof() -> None:
    """[R-10.1-4]: what a stolen database gives."""
    kept = ownership.stored(SECRET)
    mask = hmac.digest(kept, b"troth/1 owner proof" + b"".join(CONTEXT), "sha256")
    for guess in (mask, kept, bytes(32), bytes(a ^ b for a, b in zip(kept, mask, strict=True))):
        assert not ownership.verify(kept, guess, *CONTEXT)


def private_key(kind: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    """A key of a kind that certificates carry."""
    if kind == "rsa":
        return rsa.generate_private_key(65_537, 2_048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519", "old"])
def test_the_key_hash_is_that_of_an_x509_library(kind: str) -> None:
    """[R-10.1-3]: SHA-256 over the SubjectPublicKeyInfo, for keys of any kind and certificates of any size."""
    key = private_key(kind)
    names = ["x" * 60] * 5 if kind == "old" else ["relay"]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one) for one in names])
    start = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(2**150)
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9))
    signed = builder.public_key(key.public_key()).sign(key, None if kind == "ed25519" else hashes.SHA256())
    info = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert ownership.tls_key_hash(signed.public_bytes(serialization.Encoding.DER)) == hashlib.sha256(info).digest()


def test_a_certificate_cut_anywhere_before_its_key_ends_is_refused() -> None:
    assert len(ownership.tls_key_hash(CERTIFICATE)) == 32
    for length in range(len(CERTIFICATE)):
        with pytest.raises(DecodeError):
            ownership.tls_key_hash(CERTIFICATE[:length])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_certificate_raise_decode_errors_only(data: bytes) -> None:
    with pytest.raises(DecodeError):
        ownership.tls_key_hash(b"\x30\x84" + data)
    try:
        ownership.tls_key_hash(b"\x30" + bytes([len(data)]) + data)
    except DecodeError:
        return
