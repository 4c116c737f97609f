"""What the one door to the libraries adds: sizes, refusals, and the calls Wycheproof has no file for."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from simulator import NOW, Seeded
from troth_protocol import primitives
from troth_protocol.errors import BadKey
from troth_protocol.keys import KemPrivateKey, SealPrivateKey, SigningKey

SOURCE = Seeded("primitives")


@pytest.mark.parametrize(
    ("key", "message", "expected"),
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ],
)
def test_hmac_sha256_of_rfc_4231(key: bytes, message: bytes, expected: str) -> None:
    assert primitives.hmac_sha256(key, message).hex() == expected
    assert primitives.hmac_pair(key, message, b"other")[0].hex() == expected


def test_hmac_pair_is_two_hmacs() -> None:
    pair = primitives.hmac_pair(bytes(32), b"one", b"other")
    assert pair == tuple(hmac.digest(bytes(32), message, "sha256") for message in (b"one", b"other"))


def test_x25519_keys_of_any_other_length_are_refused() -> None:
    """[R-3.1-2]"""
    for length in (0, 31, 33):
        with pytest.raises(BadKey):
            primitives.check_x25519_public(b"\x09" + bytes(length - 1) if length else b"")


def test_ed25519_signatures_have_one_length() -> None:
    """[R-3.1-1]: a short signature may not borrow its last byte from the message."""
    seed = SOURCE.draw(32)
    public, signature = primitives.ed25519_public(seed), primitives.ed25519_sign(seed, b"text")
    assert primitives.ed25519_verify(public, b"text", signature)
    assert not primitives.ed25519_verify(public, signature[63:] + b"text", signature[:63])
    assert not primitives.ed25519_verify(public, b"ext", signature + b"t")
    assert not primitives.ed25519_verify(public[:31], b"text", signature)


def test_sizes_are_those_of_the_standards() -> None:
    kem, signing = KemPrivateKey.generate(SOURCE), SigningKey.generate(SOURCE)
    secret, ciphertext = kem.public.encapsulate(SOURCE)
    assert (len(kem.public_raw), len(ciphertext), len(secret)) == (1_184, 1_088, 32)
    assert len(signing.sign(b"manifest", b"m", SOURCE)) == 64 + 3_309
    assert len(primitives.aead_seal(bytes(32), bytes(12), b"four", b"")) == 4 + primitives.AEAD_TAG_SIZE


def test_mlkem_rejects_implicitly_and_refuses_wrong_lengths() -> None:
    """[R-3.1-4]"""
    kem = KemPrivateKey.generate(SOURCE)
    secret, ciphertext = kem.public.encapsulate(SOURCE)
    assert kem.decapsulate(ciphertext) == secret
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert kem.decapsulate(forged) not in (secret, bytes(32))
    assert kem.decapsulate(forged) == kem.decapsulate(forged)
    for wrong in (b"", ciphertext[:-1], ciphertext + b"\x00"):
        with pytest.raises(BadKey):
            kem.decapsulate(wrong)
    for raw in (kem.public_raw[:-1], kem.public_raw + b"\x00", b"\xff" * 1_184):
        with pytest.raises(BadKey):
            primitives.mlkem_public(raw)


def test_hpke_opens_what_was_sealed_and_nothing_else() -> None:
    """RFC 9180 base mode, single shot: info, key, encapsulation and every part of the ciphertext are bound."""
    key, other = SealPrivateKey.generate(SOURCE), SealPrivateKey.generate(SOURCE)
    sealed = SOURCE.seal(key.public.handle, b"info", b"plaintext")
    assert len(sealed) == 9 + primitives.SEAL_OVERHEAD
    assert primitives.seal_open(key.handle, b"info", sealed) == b"plaintext"
    assert primitives.seal_open(key.handle, b"other", sealed) is None
    assert primitives.seal_open(other.handle, b"info", sealed) is None
    for place in (0, 600, 1_087, 1_088, 1_119, 1_120, 1_128, len(sealed) - 1):
        forged = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert primitives.seal_open(key.handle, b"info", forged) is None
    for cut in (0, 10, 1_119, len(sealed) - 1):
        assert primitives.seal_open(key.handle, b"info", sealed[:cut]) is None


def test_mixed_halves_of_a_seal_key_do_not_open() -> None:
    """Both the ML-KEM and the X25519 half are needed."""
    key, other = SealPrivateKey.generate(SOURCE), SealPrivateKey.generate(SOURCE)
    sealed = SOURCE.seal(key.public.handle, b"", b"text")
    for mixed in (SealPrivateKey(key.kem, other.dh), SealPrivateKey(other.kem, key.dh)):
        assert primitives.seal_open(mixed.handle, b"", sealed) is None


def test_argon2id_depends_on_passphrase_salt_and_cost() -> None:
    lowest = (bytes(16), 1, 8_192 * 1_024)
    key = primitives.argon2id(b"passphrase", *lowest)
    assert key == primitives.argon2id(b"passphrase", *lowest)
    changed = {
        primitives.argon2id(b"Passphrase", *lowest),
        primitives.argon2id(b"passphrase", b"\x01" * 16, *lowest[1:]),
        primitives.argon2id(b"passphrase", bytes(16), 2, lowest[2]),
    }
    assert len(key) == 32
    assert len(changed | {key}) == 4


def test_the_systems_randomness_draws_what_is_asked() -> None:
    system = primitives.SystemRandomness()
    assert len(system.draw(32)) == 32
    assert system.draw(32) != system.draw(32)


def test_a_certificate_names_its_hosts() -> None:
    from cryptography import x509

    certificate, private = primitives.self_signed_certificate(("relay.example", "127.0.0.1"), NOW, 30)
    names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["relay.example"]
    assert [str(one) for one in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert b"PRIVATE KEY" in private
    assert hashlib.sha256(certificate).digest() != hashlib.sha256(private).digest()
