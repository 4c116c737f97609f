"""Vectors of SPEC.md section 3: primitives as troth uses them, labels, the hybrid signature."""

from __future__ import annotations

from troth_protocol.keys import DhPrivateKey, KemPrivateKey, SealPrivateKey, SigningKey

from .book import Book, flipped

_P = 2**255 - 19
_ORDER_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
_OTHER_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
_L = 2**252 + 27742317777372353535851937790883648493


def make(book: Book) -> None:
    """Each primitive once, what must be refused before use, every label, and signatures."""
    book.chapter("03-primitives")
    _symmetric(book)
    _diffie_hellman(book)
    _encapsulation(book)
    _signatures(book)


def _symmetric(book: Book) -> None:
    message = b"abc".hex()
    book.accept("labels", "3.2-1", "every label, by name", "labels", {})
    book.accept("sha256", "", "SHA-256", "primitive.hash", {"message": message})
    book.accept("hmac", "", "HMAC-SHA-256", "primitive.hmac", {"key": "01" * 32, "message": message})
    given: dict[str, object] = {"salt": "00" * 32, "ikm": "02" * 32, "info": message, "length": 96}
    book.accept("hkdf", "", "HKDF-SHA-256 over three blocks", "primitive.hkdf", given)
    given = {"key": "03" * 32, "nonce": "04" * 12, "plaintext": message, "associated": "05" * 8}
    sealed = book.accept("aead-seal", "", "ChaCha20-Poly1305", "primitive.aead-seal", given)["ciphertext"]
    given = {name: given[name] for name in ("key", "nonce")} | {"ciphertext": sealed, "associated": "06" * 8}
    wrong = "other associated data"
    book.refuse("aead-associated", "", wrong, "primitive.aead-open", given, "TAMPERED", "primitives")
    given = {"passphrase": "correct horse", "salt": "07" * 16, "operations": 1, "memory": 8 * 1024 * 1024}
    book.accept("argon2id", "", "Argon2id, one lane, 8 MiB, one pass", "primitive.argon2id", given)


def _diffie_hellman(book: Book) -> None:
    one, other = (DhPrivateKey.load(bytes([number]) * 32) for number in (0x11, 0x12))
    operation = "primitive.x25519"
    book.accept("x25519", "", "X25519", operation, {"private": one.raw, "public": other.public.raw})
    refused = (
        ("x25519-zero", "the point of order 4, the number 0", 0),
        ("x25519-one", "the point of order 1, the number 1", 1),
        ("x25519-minus-one", "the number 2^255 - 20", _P - 1),
        ("x25519-order-8", "a point of order 8", _ORDER_8),
        ("x25519-order-8-other", "the other point of order 8", _OTHER_8),
        ("x25519-not-reduced", "2^255 - 19 + 9: another spelling of the base point", _P + 9),
        ("x25519-top-bit", "an honest key with the top bit set", int.from_bytes(other.public.raw, "little") | 1 << 255),
    )
    for name, description, number in refused:
        given: dict[str, object] = {"private": one.raw, "public": number.to_bytes(32, "little")}
        book.refuse(name, "3.1-2", description, operation, given, "BAD_KEY")
    short = {"private": one.raw, "public": other.public.raw[:31]}
    book.refuse("x25519-short", "3.1-2", "a key of 31 bytes", operation, short, "BAD_KEY")
    given = {"private": one.raw, "public": _ORDER_8.to_bytes(32, "little")}
    unchecked = "an all-zero result, should a key of low order come so far"
    book.refuse("x25519-all-zero", "3.1-3", unchecked, "primitive.x25519-unchecked", given, "BAD_KEY")


def _encapsulation(book: Book) -> None:
    source = book.source("primitives")
    key = KemPrivateKey(bytes([0x21]) * 64)
    secret, ciphertext = source.encapsulate(key.public.handle)
    operation = "primitive.mlkem-decapsulate"
    book.accept(
        "mlkem", "", "decapsulation with a seed d || z", operation, {"seed": key.seed, "ciphertext": ciphertext}
    )
    wrong = {"seed": key.seed, "ciphertext": flipped(ciphertext, 0)}
    rejected = book.accept("mlkem-rejected", "", "a changed ciphertext gives another secret", operation, wrong)
    if rejected["secret"] == secret.hex():
        raise ValueError("a changed ciphertext gave the same secret")
    short = {"seed": key.seed, "ciphertext": ciphertext[:-1]}
    book.refuse("mlkem-short-ciphertext", "", "1,087 bytes", operation, short, "BAD_KEY", "primitives")
    book.accept("mlkem-key", "3.1-4", "a key that passes", "primitive.mlkem-import", {"public": key.public_raw})
    unreduced = b"\xff\xff\xff" + key.public_raw[3:]
    for name, description, public in (
        ("mlkem-not-reduced", "two coefficients of 4,095", unreduced),
        ("mlkem-key-short", "a key of 1,183 bytes", key.public_raw[:-1]),
    ):
        book.refuse(name, "3.1-4", description, "primitive.mlkem-import", {"public": public}, "BAD_KEY")
    seal = SealPrivateKey(key, DhPrivateKey.load(bytes([0x22]) * 32))
    sealed = source.seal(seal.public.handle, b"troth/1 seal" + bytes(32), b"a first message")
    given: dict[str, object] = {"kem_seed": key.seed, "x25519": seal.dh.raw, "sealed": sealed}
    info, wrong_info = b"troth/1 seal" + bytes(32), b"troth/1 seal" + bytes(31) + b"\x01"
    book.accept(
        "hpke", "6.3-1", "HPKE with X-Wing and ChaCha20-Poly1305", "primitive.hpke-open", given | {"info": info}
    )
    other = given | {"info": wrong_info}
    book.refuse("hpke-info", "6.3-1", "another info", "primitive.hpke-open", other, "SEAL", "primitives")


def _signatures(book: Book) -> None:
    source = book.source("signature")
    key = SigningKey(bytes([0x31]) * 32, bytes([0x32]) * 32)
    public = key.public.raw
    seeds = {"ed25519_seed": key.ed25519_seed, "mldsa_seed": key.mldsa_seed}
    private = {**seeds, "x25519_private": "33" * 32, "mlkem_seed": "34" * 64}
    book.accept("public-keys", "3.3-2", "public keys from private ones", "keys.public", private)
    given: dict[str, object] = {"purpose": "manifest", "public_key": public, "message": b"abc"}
    book.accept("signature-input", "3.3-1", "the bytes that both algorithms sign", "signature.input", given)
    signature = key.sign(b"manifest", b"abc", source)
    made = {**seeds, "purpose": "manifest", "message": b"abc", "random": source.used()}
    book.accept("signature-made", "3.3-1", "Ed25519 half computed, ML-DSA half recorded", "signature.sign", made)
    operation = "signature.verify"
    book.accept("signature", "3.3-3", "both halves verify", operation, given | {"signature": signature})
    s = int.from_bytes(signature[32:64], "little") + _L
    refused: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("signature-classical", "the Ed25519 half does not verify", {"signature": flipped(signature, 0)}),
        ("signature-quantum", "the ML-DSA half does not verify", {"signature": flipped(signature, 64)}),
        ("signature-purpose", "made for another purpose", {"signature": signature, "purpose": "ledger"}),
        ("signature-message", "made for another message", {"signature": signature, "message": b"abd"}),
        ("signature-short", "one byte short", {"signature": signature[:-1]}),
        ("signature-long", "one byte too long", {"signature": signature + b"\x00"}),
        ("signature-s", "S of the Ed25519 half is not reduced",
         {"signature": signature[:32] + s.to_bytes(32, "little") + signature[64:]}),
    )  # fmt: skip
    for name, description, change in refused:
        book.refuse(name, "3.3-3", description, operation, given | change, "BAD_SIGNATURE")
    small = {
        "public": (1).to_bytes(32, "little"),
        "message": b"abc",
        "signature": (1).to_bytes(32, "little") + bytes(32),
    }
    description = "a small-order key, under which this signature verifies for every message in lax libraries"
    operation = "primitive.ed25519-verify"
    book.refuse("ed25519-small-order", "3.1-1", description, operation, small, "BAD_SIGNATURE", "primitives")
    classical = {"public": public[:32], "message": key_message(public), "signature": signature[:64]}
    book.accept("ed25519", "3.1-1", "the Ed25519 half alone", operation, classical)


def key_message(public: bytes) -> bytes:
    """M of section 3.3 for the message abc, written out."""
    import hashlib

    return b"troth/1 sig manifest\x00" + hashlib.sha256(public).digest() + b"\x00\x00\x00\x03abc"
