"""Typed keys and the hybrid signature."""

from __future__ import annotations

import itertools

import pytest

from simulator import Seeded
from troth_protocol import keys, labels, primitives
from troth_protocol.encoding import Reader, lp, sha256
from troth_protocol.errors import BadKey, BadSignature, DecodeError

SOURCE = Seeded("keys")
SIGNER = keys.SigningKey.generate(SOURCE)


def test_signed_bytes_name_purpose_signer_and_length() -> None:
    """[R-3.3-1]"""
    key_hash = sha256(SIGNER.public.raw)
    expected = b"troth/1 sig manifest\x00" + key_hash + lp(b"body")
    assert keys.signed_bytes(labels.SIGN_MANIFEST, key_hash, b"body") == expected
    assert SIGNER.public.key_hash == key_hash
    signature = SIGNER.sign(labels.SIGN_MANIFEST, b"body", SOURCE)
    assert primitives.ed25519_verify(SIGNER.public.raw[:32], expected, signature[:64])


def test_a_verify_key_is_ed25519_then_mldsa() -> None:
    """[R-3.3-2]"""
    raw = SIGNER.public.raw
    assert len(raw) == keys.VERIFY_KEY_SIZE == 1_984
    assert raw[:32] == primitives.ed25519_public(SIGNER.ed25519_seed)
    assert raw[32:] == primitives.mldsa_private(SIGNER.mldsa_seed).public_key().public_bytes_raw()
    for wrong in (raw[:-1], raw + b"\x00", b""):
        with pytest.raises(BadKey):
            keys.VerifyKey(wrong)


def test_both_halves_must_verify() -> None:
    """[R-3.3-3]"""
    signature = SIGNER.sign(labels.SIGN_PREKEYS, b"body", SOURCE)
    SIGNER.public.verify(labels.SIGN_PREKEYS, b"body", signature, "thing")
    assert len(signature) == keys.SIGNATURE_SIZE == 3_373
    stranger = keys.SigningKey.generate(SOURCE).sign(labels.SIGN_PREKEYS, b"body", SOURCE)
    forgeries = [
        stranger[:64] + signature[64:], signature[:64] + stranger[64:], stranger, signature[:64], b"",
        signature[:-1], signature + b"\x00", signature[64:] + signature[:64],
        *(signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :] for at in (0, 32, 63, 64, 100, 3_372)),
    ]  # fmt: skip
    for forged in forgeries:
        with pytest.raises(BadSignature, match="the signature of the thing does not verify"):
            SIGNER.public.verify(labels.SIGN_PREKEYS, b"body", forged, "thing")


def test_a_signature_holds_for_one_purpose_message_and_signer() -> None:
    """[R-3.3-1] [R-3.3-3]"""
    other = keys.SigningKey(SIGNER.ed25519_seed, SOURCE.draw(32))
    for made, asked in itertools.permutations(labels.SIGN_PURPOSES, 2):
        signature = SIGNER.sign(made, b"body", SOURCE)
        with pytest.raises(BadSignature):
            SIGNER.public.verify(asked, b"body", signature, "thing")
    signature = SIGNER.sign(labels.SIGN_LEDGER, b"body", SOURCE)
    for key, message in ((SIGNER.public, b"bodY"), (other.public, b"body")):
        with pytest.raises(BadSignature):
            key.verify(labels.SIGN_LEDGER, message, signature, "thing")


def test_fingerprints_of_accounts_and_operators_differ() -> None:
    """[R-4.1-1]"""
    raw = SIGNER.public.raw
    assert SIGNER.public.fingerprint() == sha256(b"troth/1 account" + raw)
    assert SIGNER.public.fingerprint(labels.OPERATOR) == sha256(b"troth/1 operator" + raw)


def test_keys_load_as_they_were_generated() -> None:
    dh, kem = keys.DhPrivateKey.generate(SOURCE), keys.KemPrivateKey.generate(SOURCE)
    assert keys.DhPrivateKey.load(dh.raw) == dh
    assert keys.KemPrivateKey(kem.seed).public == kem.public
    other = keys.DhPrivateKey.generate(SOURCE)
    assert dh.exchange(other.public) == other.exchange(dh.public)


def test_a_seal_key_is_mlkem_then_x25519_both_checked() -> None:
    """[R-3.1-2] [R-3.1-4]"""
    raw = keys.SealPrivateKey.generate(SOURCE).public.raw
    assert len(raw) == keys.SEAL_PUBLIC_SIZE == 1_216
    assert keys.SealPublicKey(raw).raw == raw
    for wrong in (raw[:-1], raw + b"\x00", raw[:1_184] + bytes(32), b"\xff" * 1_184 + raw[1_184:]):
        with pytest.raises(BadKey):
            keys.SealPublicKey(wrong)


def test_keys_from_the_wire_are_checked_as_they_are_read() -> None:
    """[R-3.1-2] [R-3.1-4]"""
    kem = keys.KemPrivateKey.generate(SOURCE).public_raw
    dh = keys.DhPrivateKey.generate(SOURCE).public.raw
    assert keys.read_dh(Reader(dh), "key").raw == dh
    assert keys.read_kem(Reader(kem), "key").raw == kem
    assert keys.read_verify_key(Reader(SIGNER.public.raw), "key") == SIGNER.public
    with pytest.raises(BadKey):
        keys.read_dh(Reader(bytes(32)), "key")
    with pytest.raises(BadKey):
        keys.read_kem(Reader(b"\xff" * 1_184), "key")
    for read, raw in ((keys.read_dh, dh), (keys.read_kem, kem), (keys.read_verify_key, SIGNER.public.raw)):
        with pytest.raises(DecodeError):
            read(Reader(raw[:-1]), "key")
