"""Operations of SPEC.md sections 2 and 3: encoding, primitives, labels, hybrid signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol import labels, primitives
from troth_protocol.encoding import Reader, lp, sha256
from troth_protocol.errors import UserError
from troth_protocol.keys import DhPrivateKey as DhKey
from troth_protocol.keys import DhPublicKey, KemPrivateKey, KemPublicKey, SealPrivateKey, SigningKey, VerifyKey
from troth_protocol.keys import signed_bytes as signature_input

from .value import Given, Operation, Refusal, Replayed, Results


def _integer(given: Given) -> Results:
    return {"encoded": given.number("value").to_bytes(given.number("width"), "big")}


def _prefixed(given: Given) -> Results:
    return {"encoded": lp(given.raw("value"))}


def _read(given: Given) -> Results:
    reader, values = Reader(given.raw("data")), dict[str, object]()
    for field in given.parts("fields"):
        name, kind = field.text("name"), field.text("kind")
        most = field.number("most") if field.has("most") else None
        least = field.number("least") if field.has("least") else 0
        if kind in {"u8", "u16", "u32", "u64"}:
            number = reader.integer(name, int(kind[1:]) // 8, most, least)
            values[name] = str(number) if kind == "u64" else number
        elif kind == "fixed":
            values[name] = reader.fixed(name, field.number("length"))
        elif kind == "lp":
            values[name] = reader.lp(name, most or 0, least)
        elif kind == "text":
            values[name] = reader.text(name, most or 0, least)
        elif kind == "zeros":
            reader.zeros(name, field.number("length"))
        else:
            raise UserError(f"there is no field kind {kind}")
    reader.end()
    return {"values": values}


def _hash(given: Given) -> Results:
    return {"hash": sha256(given.raw("message"))}


def _hmac(given: Given) -> Results:
    return {"mac": primitives.hmac_sha256(given.raw("key"), given.raw("message"))}


def _hkdf(given: Given) -> Results:
    return {"okm": primitives.hkdf(given.raw("salt"), given.raw("ikm"), given.raw("info"), given.number("length"))}


def _aead_seal(given: Given) -> Results:
    key, nonce = given.raw("key"), given.raw("nonce")
    return {"ciphertext": primitives.aead_seal(key, nonce, given.raw("plaintext"), given.raw("associated"))}


def _aead_open(given: Given) -> Results:
    key, nonce = given.raw("key"), given.raw("nonce")
    plaintext = primitives.aead_open(key, nonce, given.raw("ciphertext"), given.raw("associated"))
    if plaintext is None:
        raise Refusal("TAMPERED")
    return {"plaintext": plaintext}


def _x25519(given: Given) -> Results:
    return {"secret": DhKey.load(given.raw("private")).exchange(DhPublicKey(given.raw("public")))}


def _x25519_bare(given: Given) -> Results:
    return {"secret": primitives.x25519(given.raw("private"), given.raw("public"))}


def _ed25519(given: Given) -> Results:
    if not primitives.ed25519_verify(given.raw("public"), given.raw("message"), given.raw("signature")):
        raise Refusal("BAD_SIGNATURE")
    return {"valid": True}


def _kem_key(given: Given) -> Results:
    return {"hash": sha256(KemPublicKey(given.raw("public")).raw)}


def _kem_decapsulate(given: Given) -> Results:
    key = KemPrivateKey(given.raw("seed"))
    return {"public_hash": sha256(key.public_raw), "secret": key.decapsulate(given.raw("ciphertext"))}


def _hpke_open(given: Given) -> Results:
    key = SealPrivateKey(KemPrivateKey(given.raw("kem_seed")), DhKey.load(given.raw("x25519")))
    plaintext = primitives.seal_open(key.handle, given.raw("info"), given.raw("sealed"))
    if plaintext is None:
        raise Refusal("SEAL")
    return {"plaintext": plaintext}


def _argon2id(given: Given) -> Results:
    passphrase, salt = given.text("passphrase").encode(), given.raw("salt")
    return {"key": primitives.argon2id(passphrase, salt, given.number("operations"), given.number("memory"))}


def _labels(_: Given) -> Results:
    values = vars(labels).items()
    return {"labels": {name: value for name, value in values if isinstance(value, bytes) and name.isupper()}}


def _signature_input(given: Given) -> Results:
    key_hash = sha256(given.raw("public_key"))
    signed = signature_input(given.text("purpose").encode(), key_hash, given.raw("message"))
    return {"key_hash": key_hash, "signed": signed}


def _signature_verify(given: Given) -> Results:
    key = VerifyKey(given.raw("public_key"))
    key.verify(given.text("purpose").encode(), given.raw("message"), given.raw("signature"), "vector")
    return {"key_hash": key.key_hash}


def _signature_sign(given: Given) -> Results:
    key = SigningKey(given.raw("ed25519_seed"), given.raw("mldsa_seed"))
    signature = key.sign(given.text("purpose").encode(), given.raw("message"), Replayed(given.part("random")))
    return {"public_key_hash": key.public.key_hash, "signature": signature}


def _public_keys(given: Given) -> Results:
    signing = SigningKey(given.raw("ed25519_seed"), given.raw("mldsa_seed")).public.raw
    return {
        "ed25519": signing[:32],
        "mldsa_hash": sha256(signing[32:]),
        "x25519": DhKey.load(given.raw("x25519_private")).public.raw,
        "mlkem_hash": sha256(KemPrivateKey(given.raw("mlkem_seed")).public_raw),
    }


OPERATIONS: Final[Mapping[str, Operation]] = {
    "encoding.integer": _integer,
    "encoding.lp": _prefixed,
    "encoding.read": _read,
    "primitive.hash": _hash,
    "primitive.hmac": _hmac,
    "primitive.hkdf": _hkdf,
    "primitive.aead-seal": _aead_seal,
    "primitive.aead-open": _aead_open,
    "primitive.x25519": _x25519,
    "primitive.x25519-unchecked": _x25519_bare,
    "primitive.ed25519-verify": _ed25519,
    "primitive.mlkem-import": _kem_key,
    "primitive.mlkem-decapsulate": _kem_decapsulate,
    "primitive.hpke-open": _hpke_open,
    "primitive.argon2id": _argon2id,
    "labels": _labels,
    "keys.public": _public_keys,
    "signature.input": _signature_input,
    "signature.sign": _signature_sign,
    "signature.verify": _signature_verify,
}
